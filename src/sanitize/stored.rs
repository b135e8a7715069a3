//! Reads the stored form of a batch, the bytes of a `usaged.drain.v1.Batch`, borrowed and with nothing copied:
//! for the purpose filter, for lowering and for erasure.

use super::wire::{Cursor, WireType};
use crate::model::{Purpose, Purposes, UnixMillis, WireFault};

/// The head and the tables of a batch. They stand before its events.
#[derive(Debug, Clone)]
pub(super) struct StoredBatch<'a> {
    pub(super) program: &'a [u8],
    pub(super) product: &'a [u8],
    pub(super) level: &'a [u8],
    pub(super) region: &'a [u8],
    pub(super) policy_version: &'a [u8],
    pub(super) dictionary_version: u64,
    /// The message, as it is stored.
    pub(super) received: &'a [u8],
    pub(super) customer: Party<'a>,
    pub(super) instance: Party<'a>,
    pub(super) specs: Vec<StoredSpec<'a>>,
    pub(super) names: Vec<&'a [u8]>,
    /// For each of `names`, the purposes that the event may be used for.
    pub(super) event_purposes: &'a [u8],
    pub(super) events: Events<'a>,
}

/// The customer or the instance in the head.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Party<'a> {
    /// The bytes of its `Value`, if it is there.
    pub(super) value: Option<Cursor<'a>>,
    /// The prefix of its tokens; empty if it is no pseudonym.
    pub(super) prefix: &'a [u8],
}

/// An entry of the table of fields.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StoredSpec<'a> {
    /// All of it.
    pub(super) bytes: &'a [u8],
    pub(super) path: &'a [u8],
    pub(super) class: &'a [u8],
    pub(super) treatment: &'a [u8],
    pub(super) prefix: &'a [u8],
    pub(super) purposes: Purposes,
    pub(super) category: &'a [u8],
    /// For a map, the number of its keys' entry plus one; else 0.
    pub(super) key: u64,
    /// The width that numbers were rounded down to; 0 if they were not.
    pub(super) bucket: u64,
}

impl<'a> StoredBatch<'a> {
    /// Reads the head and the tables of `body`.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, WireFault> {
        let mut cursor = Cursor::new(body);
        let mut batch = Self {
            program: &[],
            product: &[],
            level: &[],
            region: &[],
            policy_version: &[],
            dictionary_version: 0,
            received: &[],
            customer: Party::default(),
            instance: Party::default(),
            specs: Vec::new(),
            names: Vec::new(),
            event_purposes: &[],
            events: Events(cursor),
        };
        loop {
            batch.events = Events(cursor);
            let Some((number, kind)) = cursor.tag()? else { return Ok(batch) };
            match number {
                1 => batch.product = cursor.expect_bytes(kind)?,
                2 => batch.program = cursor.expect_bytes(kind)?,
                3 => batch.level = cursor.expect_bytes(kind)?,
                4 => batch.region = cursor.expect_bytes(kind)?,
                5 => batch.policy_version = cursor.expect_bytes(kind)?,
                6 => batch.dictionary_version = cursor.expect_varint(kind)?,
                7 => batch.received = cursor.expect_bytes(kind)?,
                8 => batch.customer.value = Some(cursor.expect_message(kind)?),
                9 => batch.instance.value = Some(cursor.expect_message(kind)?),
                10 => batch.specs.push(StoredSpec::read(cursor.expect_bytes(kind)?)?),
                11 => batch.names.push(cursor.expect_bytes(kind)?),
                12 => return Ok(batch),
                13 => batch.event_purposes = cursor.expect_bytes(kind)?,
                14 => batch.customer.prefix = cursor.expect_bytes(kind)?,
                15 => batch.instance.prefix = cursor.expect_bytes(kind)?,
                _ => cursor.skip(kind)?,
            }
        }
    }

    /// When the request was received.
    pub(super) fn received(&self) -> Result<UnixMillis, WireFault> {
        let mut cursor = Cursor::new(self.received);
        let (mut seconds, mut nanos) = (0_i64, 0_i64);
        while let Some((number, kind)) = cursor.tag()? {
            match number {
                1 => seconds = cursor.expect_varint(kind)?.cast_signed(),
                2 => nanos = cursor.expect_varint(kind)?.cast_signed(),
                _ => cursor.skip(kind)?,
            }
        }
        Ok(UnixMillis(seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000)))
    }

    /// Whether another batch says the same, whatever versions of policy and dictionary the two name.
    pub(super) fn says_the_same_as(&self, other: &Self) -> bool {
        let party = |party: &Party<'a>| (party.value.map(|value| value.rest()), party.prefix);
        let head = |batch: &Self| [batch.product, batch.program, batch.level, batch.region, batch.received];
        head(self) == head(other)
            && party(&self.customer) == party(&other.customer)
            && party(&self.instance) == party(&other.instance)
            && self.event_purposes == other.event_purposes
            && self.names == other.names
            && self.specs.iter().map(|spec| spec.bytes).eq(other.specs.iter().map(|spec| spec.bytes))
            && self.events.0.rest() == other.events.0.rest()
    }

    /// The purposes of the event name of this number; none if there is no such name.
    pub(super) fn purposes_of(&self, name: usize) -> Purposes {
        self.event_purposes.get(name).map_or(Purposes::NONE, |bits| Purposes::from_bits(*bits))
    }

    /// The entry that a map's entry names for its keys.
    pub(super) fn key_of(&self, spec: &StoredSpec<'_>) -> Option<usize> {
        let key = usize::try_from(spec.key).ok()?.checked_sub(1)?;
        (key < self.specs.len()).then_some(key)
    }
}

impl<'a> StoredSpec<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, WireFault> {
        let mut cursor = Cursor::new(bytes);
        let mut spec = Self { bytes, ..Self::default() };
        while let Some((number, kind)) = cursor.tag()? {
            match number {
                1 => spec.path = cursor.expect_bytes(kind)?,
                2 => spec.class = cursor.expect_bytes(kind)?,
                3 => spec.treatment = cursor.expect_bytes(kind)?,
                4 => spec.prefix = cursor.expect_bytes(kind)?,
                5 => spec.purposes = purposes(cursor.expect_bytes(kind)?),
                6 => spec.category = cursor.expect_bytes(kind)?,
                7 => spec.key = cursor.expect_varint(kind)?,
                8 => spec.bucket = cursor.expect_varint(kind)?,
                _ => cursor.skip(kind)?,
            }
        }
        Ok(spec)
    }
}

/// A packed list of `usaged.drain.v1.Purpose`; numbers that mean nothing allow nothing.
fn purposes(packed: &[u8]) -> Purposes {
    let of =
        |number: &u8| Purpose::ALL.iter().copied().find(|p| super::builder::purpose_number(*p) == *number);
    packed.iter().filter_map(of).collect()
}

/// The events of a batch, one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Events<'a>(Cursor<'a>);

/// An event.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredEvent<'a> {
    /// The number of its name in the table.
    pub(super) name: usize,
    /// Milliseconds since the epoch.
    pub(super) time_ms: i64,
    /// Its fields.
    pub(super) fields: Parts<'a>,
}

impl<'a> Events<'a> {
    /// The next event, or `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<StoredEvent<'a>>, WireFault> {
        while let Some((number, kind)) = self.0.tag()? {
            if number == 12 {
                return event(self.0.expect_bytes(kind)?).map(Some);
            }
            self.0.skip(kind)?;
        }
        Ok(None)
    }
}

fn event(bytes: &[u8]) -> Result<StoredEvent<'_>, WireFault> {
    let mut cursor = Cursor::new(bytes);
    let mut event = StoredEvent { name: usize::MAX, time_ms: 0, fields: Parts { cursor, number: 3 } };
    loop {
        // What is stored has its fields last.
        event.fields.cursor = cursor;
        let Some((number, kind)) = cursor.tag()? else { return Ok(event) };
        match number {
            1 => event.name = usize::try_from(cursor.expect_varint(kind)?).unwrap_or(usize::MAX),
            2 => event.time_ms = cursor.expect_varint(kind)?.cast_signed(),
            3 => return Ok(event),
            _ => cursor.skip(kind)?,
        }
    }
}

/// The messages of an event, record, list or map, one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    cursor: Cursor<'a>,
    number: u32,
}

/// A field of an event or record.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredField<'a> {
    /// Its number in the table of fields.
    pub(super) spec: usize,
    /// Its `Value`.
    pub(super) value: Cursor<'a>,
}

impl<'a> Parts<'a> {
    fn new(cursor: Cursor<'a>) -> Self {
        Self { cursor, number: 1 }
    }

    /// The next message.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Cursor<'a>>, WireFault> {
        while let Some((number, kind)) = self.cursor.tag()? {
            if number == self.number {
                return self.cursor.expect_message(kind).map(Some);
            }
            self.cursor.skip(kind)?;
        }
        Ok(None)
    }

    /// The next message, which is a `Field`. One without a number or a value is no field.
    #[inline]
    pub(super) fn next_field(&mut self) -> Result<Option<StoredField<'a>>, WireFault> {
        while let Some(mut field) = self.next()? {
            let (mut spec, mut value) = (None, None);
            while let Some((number, kind)) = field.tag()? {
                match number {
                    1 => spec = usize::try_from(field.expect_varint(kind)?).ok(),
                    2 => value = Some(field.expect_message(kind)?),
                    _ => field.skip(kind)?,
                }
            }
            if let (Some(spec), Some(value)) = (spec, value) {
                return Ok(Some(StoredField { spec, value }));
            }
        }
        Ok(None)
    }

    /// The next message, which is a `Pair`: its key and its value.
    pub(super) fn next_pair(&mut self) -> Result<Option<(Cursor<'a>, Cursor<'a>)>, WireFault> {
        while let Some(mut pair) = self.next()? {
            let (mut key, mut value) = (None, None);
            while let Some((number, kind)) = pair.tag()? {
                match number {
                    1 => key = Some(pair.expect_message(kind)?),
                    2 => value = Some(pair.expect_message(kind)?),
                    _ => pair.skip(kind)?,
                }
            }
            if let (Some(key), Some(value)) = (key, value) {
                return Ok(Some((key, value)));
            }
        }
        Ok(None)
    }
}

/// A stored value.
#[derive(Debug, Clone, Copy)]
pub(super) enum StoredValue<'a> {
    /// None is set.
    Empty,
    Text(&'a [u8]),
    Int(i64),
    Double(f64),
    Bool(bool),
    Bytes(&'a [u8]),
    Token([u8; 16]),
    Record(Parts<'a>),
    List(Parts<'a>),
    Map(Parts<'a>),
}

impl<'a> StoredValue<'a> {
    /// Reads a `Value`.
    #[inline]
    pub(super) fn read(mut cursor: Cursor<'a>) -> Result<Self, WireFault> {
        let mut value = Self::Empty;
        while let Some((number, kind)) = cursor.tag()? {
            value = match (number, kind) {
                (1, kind) => {
                    let text = cursor.expect_bytes(kind)?;
                    // A drainer could not read it.
                    std::str::from_utf8(text).map_err(|_| WireFault::Utf8)?;
                    Self::Text(text)
                }
                (2, kind) => Self::Int(cursor.expect_varint(kind)?.cast_signed()),
                (3, WireType::Fixed64) => Self::Double(f64::from_bits(cursor.fixed64()?)),
                (4, kind) => Self::Bool(cursor.expect_varint(kind)? != 0),
                (5, kind) => Self::Bytes(cursor.expect_bytes(kind)?),
                (6, kind) => {
                    let token = <[u8; 16]>::try_from(cursor.expect_bytes(kind)?);
                    Self::Token(token.map_err(|_| WireFault::WireType)?)
                }
                (7, kind) => Self::Record(Parts::new(cursor.expect_message(kind)?)),
                (8, kind) => Self::List(Parts::new(cursor.expect_message(kind)?)),
                (9, kind) => Self::Map(Parts::new(cursor.expect_message(kind)?)),
                (_, kind) => {
                    cursor.skip(kind)?;
                    continue;
                }
            };
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::StoredValue;
    use crate::model::WireFault;
    use crate::sanitize::wire::Cursor;

    // covers: D5
    #[test]
    fn a_text_that_nobody_could_read_is_damage() {
        assert!(matches!(StoredValue::read(Cursor::new(b"\x0a\x02ok")), Ok(StoredValue::Text(b"ok"))));
        let cut = StoredValue::read(Cursor::new(b"\x0a\x01\xc3"));
        assert!(matches!(cut, Err(WireFault::Utf8)));
    }
}
