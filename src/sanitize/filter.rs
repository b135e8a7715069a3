//! The purpose filter: from a stored batch to what one purpose may see (P7). Fields of other
//! purposes go, with their names; so do events and records that had nothing else.

use super::encode;
use super::stored::{Parts, StoredBatch, StoredEvent, StoredField, StoredValue};
use super::wire::Cursor;
use crate::model::{Purpose, Purposes, WireFault};

/// What is left of a batch for a purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filtered {
    /// All of it: the batch can be handed out as it is.
    Whole,
    /// What was written to the output, with so many events.
    Part {
        /// Events that are left; at least one.
        events: u32,
    },
    /// Nothing.
    Nothing,
}

/// Filters `body`, a stored `usaged.drain.v1.Batch`, for `purpose` into `out`, which is cleared
/// first and stays empty unless the answer is [`Filtered::Part`].
///
/// # Errors
/// If `body` is not what [`super::SanitizedBatch::body`] gives: a damaged record.
pub fn filter_purpose(body: &[u8], purpose: Purpose, out: &mut Vec<u8>) -> Result<Filtered, WireFault> {
    out.clear();
    let batch = StoredBatch::read(body)?;
    let mut rewrite = Rewrite::new(&batch, purpose);
    if !rewrite.events.contains(&true) {
        return Ok(Filtered::Nothing);
    }
    if rewrite.specs.iter().all(Option::is_some) && !rewrite.events.contains(&false) {
        return Ok(Filtered::Whole);
    }
    let (mut written, mut count) = (Vec::with_capacity(body.len()), 0);
    let mut events = batch.events;
    while let Some(event) = events.next()? {
        let start = written.len();
        if rewrite.event(&event, &mut written)? {
            count += 1;
        } else {
            written.truncate(start);
        }
    }
    if count == 0 {
        return Ok(Filtered::Nothing);
    }
    rewrite.head(body, purpose, out)?;
    out.extend_from_slice(&written);
    Ok(Filtered::Part { events: count })
}

struct Rewrite<'b, 'a> {
    batch: &'b StoredBatch<'a>,
    /// For each field of the table, its number after the filter, if it is left.
    specs: Vec<Option<u32>>,
    /// For each name of an event, whether the purpose may know of the event.
    events: Vec<bool>,
    /// For each name of an event: its number after the filter, once it occurs.
    names: Vec<Option<u32>>,
    /// The names that occur, in the order of their new numbers.
    kept: Vec<usize>,
}

impl<'b, 'a> Rewrite<'b, 'a> {
    fn new(batch: &'b StoredBatch<'a>, purpose: Purpose) -> Self {
        let mut left = 0;
        let specs = batch.specs.iter().map(|spec| {
            // A map without its keys is nothing.
            let keys_allowed = spec.key == 0
                || batch
                    .key_of(spec)
                    .and_then(|key| batch.specs.get(key))
                    .is_some_and(|k| k.purposes.has(purpose));
            let allowed = spec.purposes.has(purpose) && keys_allowed;
            let number = allowed.then_some(left);
            left += u32::from(allowed);
            number
        });
        Self {
            specs: specs.collect(),
            events: (0..batch.event_purposes.len())
                .map(|name| batch.purposes_of(name).has(purpose))
                .collect(),
            names: vec![None; batch.names.len()],
            kept: Vec::new(),
            batch,
        }
    }

    /// Writes the head, with the fields that are left and the names that occur.
    fn head(&self, body: &[u8], purpose: Purpose, out: &mut Vec<u8>) -> Result<(), WireFault> {
        let mut cursor = Cursor::new(body);
        loop {
            let before = cursor.rest();
            let Some((number, kind)) = cursor.tag()? else { break };
            match number {
                // What is said of fields and events is written again below, of those that are left.
                10 | 11 | 13 => cursor.skip(kind)?,
                12 => break,
                _ => {
                    cursor.skip(kind)?;
                    let taken = before.len() - cursor.rest().len();
                    out.extend_from_slice(before.get(..taken).unwrap_or_default());
                }
            }
        }
        // Of the purposes of an event, the drainer learns its own only.
        let own = vec![Purposes::only(purpose).bits(); self.kept.len()];
        encode::bytes_field(out, 13, &own);
        for (at, spec) in self.batch.specs.iter().enumerate() {
            if self.spec(at).is_some() {
                self.write_spec(Cursor::new(spec.bytes), out)?;
            }
        }
        for name in &self.kept {
            encode::bytes_field(out, 11, self.batch.names.get(*name).copied().unwrap_or_default());
        }
        Ok(())
    }

    fn spec(&self, at: usize) -> Option<u32> {
        self.specs.get(at).copied().flatten()
    }

    /// Copies a spec; the number of a map's key field is another after the filter.
    fn write_spec(&self, mut spec: Cursor<'_>, out: &mut Vec<u8>) -> Result<(), WireFault> {
        let open = encode::open(out, 10, 1);
        loop {
            let before = spec.rest();
            let Some((number, kind)) = spec.tag()? else { break };
            if number == 7 {
                let key = usize::try_from(spec.expect_varint(kind)?).unwrap_or(0);
                if let Some(left) = key.checked_sub(1).and_then(|key| self.spec(key)) {
                    encode::varint_field(out, 7, u64::from(left) + 1);
                }
            } else {
                spec.skip(kind)?;
                let taken = before.len() - spec.rest().len();
                out.extend_from_slice(before.get(..taken).unwrap_or_default());
            }
        }
        encode::close(out, open);
        Ok(())
    }

    /// Writes an event with the fields that are left; `false` if it had fields and none is left.
    fn event(&mut self, event: &StoredEvent<'_>, out: &mut Vec<u8>) -> Result<bool, WireFault> {
        if !self.events.get(event.name).copied().unwrap_or(false) {
            return Ok(false);
        }
        let known = self.names.get(event.name).copied().flatten();
        let number = known.unwrap_or_else(|| u32::try_from(self.kept.len()).unwrap_or(u32::MAX));
        let open = encode::open(out, 12, 2);
        encode::varint_field(out, 1, u64::from(number));
        encode::varint_field(out, 2, event.time_ms.cast_unsigned());
        let (had, has) = self.fields(event.fields, 3, out)?;
        if had && !has {
            return Ok(false);
        }
        encode::close(out, open);
        if let (None, Some(slot)) = (known, self.names.get_mut(event.name)) {
            *slot = Some(number);
            self.kept.push(event.name);
        }
        Ok(true)
    }

    /// Writes the fields that are left as fields `to`: whether there were any, and whether any is left.
    fn fields(&self, mut fields: Parts<'_>, to: u8, out: &mut Vec<u8>) -> Result<(bool, bool), WireFault> {
        let (mut had, mut has) = (false, false);
        while let Some(field) = fields.next_field()? {
            had = true;
            has |= self.field(&field, to, out)?;
        }
        Ok((had, has))
    }

    /// Writes a field as field `to`, if it is left and holds anything.
    fn field(&self, field: &StoredField<'_>, to: u8, out: &mut Vec<u8>) -> Result<bool, WireFault> {
        let Some(number) = self.spec(field.spec) else { return Ok(false) };
        let start = out.len();
        let open = encode::open(out, to, 1);
        encode::varint_field(out, 1, u64::from(number));
        let kept = self.value(field.value, 2, out)?;
        if kept {
            encode::close(out, open);
        } else {
            out.truncate(start);
        }
        Ok(kept)
    }

    /// Writes a value as field `to`; `false` if it holds others and none is left.
    fn value(&self, value: Cursor<'_>, to: u8, out: &mut Vec<u8>) -> Result<bool, WireFault> {
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
                encode::bytes_field(out, to, value.rest());
                return Ok(true);
            }
        };
        let (outer, open) = (encode::open(out, to, 1), encode::open(out, inner, 1));
        let (had, has) = match inner {
            7 => self.fields(parts, 1, out)?,
            8 => self.items(parts, out)?,
            _ => self.pairs(parts, out)?,
        };
        encode::close(out, open);
        encode::close(out, outer);
        Ok(has || !had)
    }

    fn items(&self, mut items: Parts<'_>, out: &mut Vec<u8>) -> Result<(bool, bool), WireFault> {
        let (mut had, mut has) = (false, false);
        while let Some(item) = items.next()? {
            had = true;
            let start = out.len();
            let kept = self.value(item, 1, out)?;
            if !kept {
                out.truncate(start);
            }
            has |= kept;
        }
        Ok((had, has))
    }

    fn pairs(&self, mut pairs: Parts<'_>, out: &mut Vec<u8>) -> Result<(bool, bool), WireFault> {
        let (mut had, mut has) = (false, false);
        while let Some((key, value)) = pairs.next_pair()? {
            had = true;
            let start = out.len();
            let open = encode::open(out, 1, 1);
            encode::bytes_field(out, 1, key.rest());
            let kept = self.value(value, 2, out)?;
            if kept {
                encode::close(out, open);
            } else {
                out.truncate(start);
            }
            has |= kept;
        }
        Ok((had, has))
    }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
