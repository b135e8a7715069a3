//! The events of a request: borrowed, one after the other, walked as deep as they go.

use super::{Cursor, WireType};
use crate::model::{
    Raw, RawEvent, RawFields, RawItems, RawText, RawValue, WireError, WireFault, WireReader, limits,
};

/// Reads the events of a `SubmitRequest`.
#[derive(Debug, Clone)]
pub struct ProtoReader<'a> {
    cursor: Cursor<'a>,
    next: u32,
}

/// Reads the fields of an event (`map<string, Value>` is a run of entries, each a message of
/// key 1 and value 2) or of a `Record`.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    cursor: Cursor<'a>,
    /// The field number of the entries: 4 in an `Event`, 1 in a `Record`.
    entry: u8,
    event: u32,
}

/// Reads the values of a `List`.
#[derive(Debug, Clone)]
pub struct Items<'a> {
    cursor: Cursor<'a>,
    event: u32,
}

impl<'a> ProtoReader<'a> {
    /// A reader of the events of `request`.
    #[must_use]
    pub const fn new(request: &'a [u8]) -> Self {
        Self { cursor: Cursor::new(request), next: 0 }
    }

    fn event(mut cursor: Cursor<'a>, event: u32) -> Result<RawEvent<'a, Fields<'a>>, WireError> {
        let fields = Fields { cursor, entry: 4, event };
        let mut read = RawEvent { name: Raw::default(), time_ms: None, needed_level: Raw::default(), fields };
        loop {
            // The fields come later; here they are only passed over, most of them in this one step.
            while let [0x22, len @ 0..=0x7f, rest @ ..] = cursor.rest() {
                let Some(rest) = rest.get(usize::from(*len)..) else { break };
                cursor.advance_to(rest);
            }
            let at = cursor.offset();
            let wire = |fault| WireError { fault, offset: Some(at), event: Some(event) };
            let Some((number, kind)) = cursor.tag().map_err(wire)? else { return Ok(read) };
            match number {
                1 => read.name = Raw::new(cursor.expect_bytes(kind).map_err(wire)?),
                2 => read.time_ms = Some(cursor.expect_message(kind).and_then(timestamp).map_err(wire)?),
                3 => read.needed_level = Raw::new(cursor.expect_bytes(kind).map_err(wire)?),
                4 => {
                    cursor.expect_bytes(kind).map_err(wire)?;
                }
                _ => cursor.skip(kind).map_err(wire)?,
            }
        }
    }
}

impl<'a> WireReader<'a> for ProtoReader<'a> {
    type Fields = Fields<'a>;

    fn next_event(&mut self) -> Result<Option<RawEvent<'a, Fields<'a>>>, WireError> {
        loop {
            let at = self.cursor.offset();
            let wire = |fault| WireError { fault, offset: Some(at), event: None };
            let Some((number, kind)) = self.cursor.tag().map_err(wire)? else { return Ok(None) };
            if number == 6 {
                let event = self.next;
                self.next = event.saturating_add(1);
                let message = self.cursor.expect_message(kind).map_err(wire)?;
                return Self::event(message, event).map(Some);
            }
            self.cursor.skip(kind).map_err(wire)?;
        }
    }
}

impl<'a> RawFields<'a> for Fields<'a> {
    type Items = Items<'a>;

    #[inline]
    fn next_field(&mut self) -> Result<Option<(RawText<'a>, RawValue<'a, Self>)>, WireError> {
        if self.cursor.rest().is_empty() {
            return Ok(None);
        }
        match short_entry(self.cursor.rest(), self.entry) {
            Some((field, rest)) => {
                self.cursor.advance_to(rest);
                Ok(Some(field))
            }
            None => self.next_entry(),
        }
    }
}

impl<'a> Fields<'a> {
    /// The next field, in whatever layout protobuf allows.
    fn next_entry(&mut self) -> Result<Option<(RawText<'a>, RawValue<'a, Self>)>, WireError> {
        let event = self.event;
        loop {
            let at = self.cursor.offset();
            let wire = |fault| WireError { fault, offset: Some(at), event: Some(event) };
            let Some((number, kind)) = self.cursor.tag().map_err(wire)? else { return Ok(None) };
            if number != u32::from(self.entry) {
                self.cursor.skip(kind).map_err(wire)?;
                continue;
            }
            let mut entry = self.cursor.expect_message(kind).map_err(wire)?;
            return read_entry(&mut entry, event).map(Some).map_err(|fault| WireError {
                fault,
                offset: Some(entry.offset()),
                event: Some(event),
            });
        }
    }
}

/// The name and the value of a field.
type Entry<'a> = (RawText<'a>, RawValue<'a, Fields<'a>>);

/// A field in the one layout that serialisers write for a short scalar: the entry, in it the name
/// and then the value, every length in one byte. Anything else is left to the general reader; nearly
/// every field of real telemetry ends here, at a third of the cost.
#[inline]
fn short_entry(bytes: &[u8], number: u8) -> Option<(Entry<'_>, &[u8])> {
    let [tag, len @ 0..=0x7f, rest @ ..] = bytes else { return None };
    if *tag != number << 3 | 2 {
        return None;
    }
    let (entry, rest) = rest.split_at_checked(usize::from(*len))?;
    let [0x0a, name_len @ 0..=0x7f, entry @ ..] = entry else { return None };
    let (name, entry) = entry.split_at_checked(usize::from(*name_len))?;
    let [0x12, value_len @ 0..=0x7f, value @ ..] = entry else { return None };
    if usize::from(*value_len) != value.len() {
        return None;
    }
    let value = match value {
        [0x0a, text_len @ 0..=0x7f, text @ ..] if usize::from(*text_len) == text.len() => {
            RawValue::Text(Raw::new(text))
        }
        [0x10, number @ 0..=0x7f] => RawValue::Int(i64::from(*number)),
        [0x10, number @ ..] => {
            let mut cursor = Cursor::new(number);
            let number = cursor.varint().ok().filter(|_| cursor.rest().is_empty())?;
            RawValue::Int(number.cast_signed())
        }
        [0x20, flag @ 0..=1] => RawValue::Bool(*flag == 1),
        _ => return None,
    };
    Some(((Raw::new(name), value), rest))
}

#[inline]
fn read_entry<'a>(
    entry: &mut Cursor<'a>,
    event: u32,
) -> Result<(RawText<'a>, RawValue<'a, Fields<'a>>), WireFault> {
    let mut name: &[u8] = &[];
    let mut value = RawValue::Empty;
    while let Some((number, kind)) = entry.tag()? {
        match number {
            1 => name = entry.expect_bytes(kind)?,
            2 => value = read_value(entry.expect_message(kind)?, event)?,
            _ => entry.skip(kind)?,
        }
    }
    if name.len() > limits::VALUE_BYTES {
        return Err(WireFault::ValueLength);
    }
    Ok((Raw::new(name), value))
}

impl<'a> RawItems<'a> for Items<'a> {
    type Fields = Fields<'a>;

    fn next_item(&mut self) -> Result<Option<RawValue<'a, Fields<'a>>>, WireError> {
        let event = self.event;
        loop {
            let at = self.cursor.offset();
            let wire = |fault| WireError { fault, offset: Some(at), event: Some(event) };
            let Some((number, kind)) = self.cursor.tag().map_err(wire)? else { return Ok(None) };
            if number == 1 {
                let value = self.cursor.expect_message(kind).and_then(|value| read_value(value, event));
                return value.map(Some).map_err(wire);
            }
            self.cursor.skip(kind).map_err(wire)?;
        }
    }
}

/// A `Value`. As in every protobuf parser, the last kind that is set counts.
#[inline]
fn read_value(mut cursor: Cursor<'_>, event: u32) -> Result<RawValue<'_, Fields<'_>>, WireFault> {
    let mut value = RawValue::Empty;
    while let Some((number, kind)) = cursor.tag()? {
        value = match number {
            1 => RawValue::Text(bounded(cursor.expect_bytes(kind)?)?),
            2 => RawValue::Int(cursor.expect_varint(kind)?.cast_signed()),
            3 if kind == WireType::Fixed64 => RawValue::Double(f64::from_bits(cursor.fixed64()?)),
            3 => return Err(WireFault::WireType),
            4 => RawValue::Bool(cursor.expect_varint(kind)? != 0),
            5 => RawValue::Bytes(bounded(cursor.expect_bytes(kind)?)?),
            6 => RawValue::Record(Fields { cursor: cursor.expect_message(kind)?, entry: 1, event }),
            7 => RawValue::List(Items { cursor: cursor.expect_message(kind)?, event }),
            _ => {
                cursor.skip(kind)?;
                continue;
            }
        };
    }
    Ok(value)
}

#[inline]
fn bounded(bytes: &[u8]) -> Result<Raw<'_>, WireFault> {
    if bytes.len() > limits::VALUE_BYTES { Err(WireFault::ValueLength) } else { Ok(Raw::new(bytes)) }
}

/// A `google.protobuf.Timestamp` in milliseconds; nanoseconds are cut off.
fn timestamp(mut cursor: Cursor<'_>) -> Result<i64, WireFault> {
    let (mut seconds, mut nanos) = (0i64, 0i64);
    while let Some((number, kind)) = cursor.tag()? {
        match number {
            1 => seconds = cursor.expect_varint(kind)?.cast_signed(),
            2 => nanos = cursor.expect_varint(kind)?.cast_signed(),
            _ => cursor.skip(kind)?,
        }
    }
    Ok(seconds.saturating_mul(1000).saturating_add(nanos.clamp(0, 999_999_999) / 1_000_000))
}
