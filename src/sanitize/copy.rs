//! A stored batch, copied in part: some events, some fields, and tables of what is left, laid out as the one pass lays
//! them out. The purpose filter and erasure copy so.

use super::encode;
use super::stored::{Parts, StoredBatch, StoredEvent, StoredField, StoredValue};
use super::wire::Cursor;
use crate::model::{Purposes, WireFault};

/// A copy that grows, event by event.
pub(super) struct Copy<'b, 'a> {
    batch: &'b StoredBatch<'a>,
    /// For each field of the table, whether it is copied.
    allowed: Vec<bool>,
    /// For each field of the table, its number in the copy, once it occurs.
    numbers: Vec<Option<u32>>,
    /// The table of fields of the copy, and how many there are.
    specs: Vec<u8>,
    count: u32,
    /// For each name of an event: its number in the copy, once it occurs.
    names: Vec<Option<u32>>,
    /// The names that occur, in the order of their numbers.
    kept: Vec<usize>,
    events: Vec<u8>,
    event_count: u32,
}

impl<'b, 'a> Copy<'b, 'a> {
    /// Nothing yet. `allowed` tells of each field of the table whether it may be copied.
    pub(super) fn new(batch: &'b StoredBatch<'a>, allowed: Vec<bool>) -> Self {
        Self {
            numbers: vec![None; batch.specs.len()],
            names: vec![None; batch.names.len()],
            specs: Vec::new(),
            count: 0,
            kept: Vec::new(),
            events: Vec::new(),
            event_count: 0,
            allowed,
            batch,
        }
    }

    /// How many events were copied.
    pub(super) const fn event_count(&self) -> u32 {
        self.event_count
    }

    /// The numbers that the names of the copied events have in the batch.
    pub(super) fn names(&self) -> &[usize] {
        &self.kept
    }

    /// Writes the copy: the head of `body`, which the batch was read from, then the tables and events. `purposes` are
    /// those of each name of an event.
    pub(super) fn write(
        &self,
        body: &[u8],
        purposes: impl Fn(usize) -> Purposes,
        out: &mut Vec<u8>,
    ) -> Result<(), WireFault> {
        let mut cursor = Cursor::new(body);
        loop {
            let before = cursor.rest();
            let Some((number, kind)) = cursor.tag()? else { break };
            match number {
                // What is said of fields and events is written below, of those that are left.
                10 | 11 | 13 => cursor.skip(kind)?,
                12 => break,
                _ => {
                    cursor.skip(kind)?;
                    out.extend_from_slice(taken(before, &cursor));
                }
            }
        }
        let purposes: Vec<u8> = self.kept.iter().map(|name| purposes(*name).bits()).collect();
        encode::bytes_field(out, 13, &purposes);
        out.extend_from_slice(&self.specs);
        for name in &self.kept {
            encode::bytes_field(out, 11, self.batch.names.get(*name).copied().unwrap_or_default());
        }
        out.extend_from_slice(&self.events);
        Ok(())
    }

    /// Copies what is allowed of an event. One that had fields, and of which none is left, is not there.
    pub(super) fn event(&mut self, event: &StoredEvent<'a>) -> Result<(), WireFault> {
        // An event whose name is not in the table is damage, and nothing.
        let Some(known) = self.names.get(event.name).copied() else { return Ok(()) };
        let number = known.unwrap_or_else(|| u32::try_from(self.kept.len()).unwrap_or(u32::MAX));
        let mark = self.mark();
        let open = encode::open(&mut self.events, 12, 2);
        encode::varint_field(&mut self.events, 1, u64::from(number));
        encode::varint_field(&mut self.events, 2, event.time_ms.cast_unsigned());
        if !self.fields(event.fields, 3)? {
            self.back_to(&mark);
            return Ok(());
        }
        encode::close(&mut self.events, open);
        self.event_count += 1;
        if let (None, Some(slot)) = (known, self.names.get_mut(event.name)) {
            *slot = Some(number);
            self.kept.push(event.name);
        }
        Ok(())
    }

    /// Copies fields as fields `to`; `false` if there were any and none is left.
    fn fields(&mut self, mut fields: Parts<'a>, to: u8) -> Result<bool, WireFault> {
        let (mut had, mut has) = (false, false);
        while let Some(field) = fields.next_field()? {
            had = true;
            has |= self.field(&field, to)?;
        }
        Ok(has || !had)
    }

    fn field(&mut self, field: &StoredField<'a>, to: u8) -> Result<bool, WireFault> {
        if !self.allowed.get(field.spec).copied().unwrap_or(false) {
            return Ok(false);
        }
        let mark = self.mark();
        let number = self.number(field.spec)?;
        let open = encode::open(&mut self.events, to, 1);
        encode::varint_field(&mut self.events, 1, u64::from(number));
        let kept = self.value(field.value, 2)?;
        if kept {
            encode::close(&mut self.events, open);
        } else {
            self.back_to(&mark);
        }
        Ok(kept)
    }

    /// Copies a value as field `to`; `false` if it holds others and none is left.
    fn value(&mut self, value: Cursor<'a>, to: u8) -> Result<bool, WireFault> {
        let (inner, parts) = match StoredValue::read(value)? {
            StoredValue::Record(parts) => (7, parts),
            StoredValue::List(parts) => (8, parts),
            StoredValue::Map(parts) => (9, parts),
            StoredValue::Empty
            | StoredValue::Text(_)
            | StoredValue::Int(_)
            | StoredValue::Double(_)
            | StoredValue::Bool(_)
            | StoredValue::Bytes(_)
            | StoredValue::Token(_) => {
                encode::bytes_field(&mut self.events, to, value.rest());
                return Ok(true);
            }
        };
        let outer = encode::open(&mut self.events, to, 1);
        let open = encode::open(&mut self.events, inner, 1);
        let kept = match inner {
            7 => self.fields(parts, 1)?,
            8 => self.items(parts)?,
            _ => self.pairs(parts)?,
        };
        encode::close(&mut self.events, open);
        encode::close(&mut self.events, outer);
        Ok(kept)
    }

    fn items(&mut self, mut items: Parts<'a>) -> Result<bool, WireFault> {
        let (mut had, mut has) = (false, false);
        while let Some(item) = items.next()? {
            had = true;
            let mark = self.mark();
            let kept = self.value(item, 1)?;
            if !kept {
                self.back_to(&mark);
            }
            has |= kept;
        }
        Ok(has || !had)
    }

    fn pairs(&mut self, mut pairs: Parts<'a>) -> Result<bool, WireFault> {
        let (mut had, mut has) = (false, false);
        while let Some((key, value)) = pairs.next_pair()? {
            had = true;
            let mark = self.mark();
            let open = encode::open(&mut self.events, 1, 1);
            encode::bytes_field(&mut self.events, 1, key.rest());
            let kept = self.value(value, 2)?;
            if kept {
                encode::close(&mut self.events, open);
            } else {
                self.back_to(&mark);
            }
            has |= kept;
        }
        Ok(has || !had)
    }

    /// The number of a field in the copy's table; it is put there when it occurs first. Keys come before their map.
    fn number(&mut self, at: usize) -> Result<u32, WireFault> {
        if let Some(number) = self.numbers.get(at).copied().flatten() {
            return Ok(number);
        }
        let batch = self.batch;
        let Some(spec) = batch.specs.get(at) else { return Ok(u32::MAX) };
        let key = match batch.key_of(spec).and_then(|key| Some((key, batch.specs.get(key)?))) {
            // An entry that names itself is damage; this would go on without end.
            Some((_, keys)) if keys.key > 0 => return Err(WireFault::Depth),
            Some((key, _)) => Some(self.number(key)?),
            None => None,
        };
        let open = encode::open(&mut self.specs, 10, 1);
        let mut cursor = Cursor::new(spec.bytes);
        loop {
            let before = cursor.rest();
            let Some((number, kind)) = cursor.tag()? else { break };
            cursor.skip(kind)?;
            match (number, key) {
                (7, Some(key)) => encode::varint_field(&mut self.specs, 7, u64::from(key) + 1),
                (7, None) => {}
                (_, _) => self.specs.extend_from_slice(taken(before, &cursor)),
            }
        }
        encode::close(&mut self.specs, open);
        if let Some(slot) = self.numbers.get_mut(at) {
            *slot = Some(self.count);
        }
        self.count += 1;
        Ok(self.count - 1)
    }

    const fn mark(&self) -> Mark {
        Mark { events: self.events.len(), specs: self.specs.len(), count: self.count }
    }

    /// Takes back what was copied since.
    fn back_to(&mut self, mark: &Mark) {
        self.events.truncate(mark.events);
        if self.count > mark.count {
            self.specs.truncate(mark.specs);
            self.count = mark.count;
            for number in &mut self.numbers {
                *number = number.filter(|number| *number < mark.count);
            }
        }
    }
}

/// How far a copy had come.
struct Mark {
    events: usize,
    specs: usize,
    count: u32,
}

/// What a cursor has passed over since it stood before `before`.
fn taken<'a>(before: &'a [u8], cursor: &Cursor<'a>) -> &'a [u8] {
    let taken = before.len() - cursor.rest().len();
    before.get(..taken).unwrap_or_default()
}
