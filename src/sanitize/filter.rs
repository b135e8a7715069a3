//! The purpose filter: from a stored batch to what one purpose may see (P7). Fields of other
//! purposes go, with their names; so do events and records that had nothing else.

use super::encode;
use super::wire::{Cursor, WireType};
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
    let tables = Tables::read(body, purpose)?;
    if !tables.events.contains(&true) {
        return Ok(Filtered::Nothing);
    }
    if tables.specs.iter().all(|spec| spec.number.is_some()) && !tables.events.contains(&false) {
        return Ok(Filtered::Whole);
    }
    let mut rewrite = Rewrite {
        specs: &tables.specs,
        events: &tables.events,
        names: vec![None; tables.names.len()],
        kept: Vec::new(),
    };
    let (mut events, mut count) = (Vec::with_capacity(body.len()), 0);
    let mut cursor = Cursor::new(body);
    while let Some((number, kind)) = cursor.tag()? {
        if number == 12 {
            let start = events.len();
            if rewrite.event(cursor.expect_message(kind)?, &mut events)? {
                count += 1;
            } else {
                events.truncate(start);
            }
        } else {
            cursor.skip(kind)?;
        }
    }
    if count == 0 {
        return Ok(Filtered::Nothing);
    }
    let kept = rewrite.kept;
    tables.write(body, purpose, &kept, out)?;
    out.extend_from_slice(&events);
    Ok(Filtered::Part { events: count })
}

/// A field of the table: what it is called after the filter, if it is left.
#[derive(Debug, Clone, Copy)]
struct Spec {
    number: Option<u32>,
}

/// The tables of a batch, read for one purpose.
#[derive(Debug)]
struct Tables<'a> {
    /// For each name of an event, whether the purpose may know of the event.
    events: Vec<bool>,
    specs: Vec<Spec>,
    names: Vec<&'a [u8]>,
}

impl<'a> Tables<'a> {
    fn read(body: &'a [u8], purpose: Purpose) -> Result<Self, WireFault> {
        let mut cursor = Cursor::new(body);
        let mut tables = Self { events: Vec::new(), specs: Vec::new(), names: Vec::new() };
        let (mut found, mut left) = (Vec::new(), 0);
        while let Some((number, kind)) = cursor.tag()? {
            match number {
                10 => found.push(spec(cursor.expect_message(kind)?)?),
                11 => tables.names.push(cursor.expect_bytes(kind)?),
                13 => {
                    let bits = cursor.expect_bytes(kind)?.iter();
                    tables.events = bits.map(|bits| Purposes::from_bits(*bits).has(purpose)).collect();
                }
                // The tables stand before the events.
                12 => break,
                _ => cursor.skip(kind)?,
            }
        }
        for (allowed, key) in &found {
            let key_allowed = key.checked_sub(1).is_none_or(|key| {
                usize::try_from(key).ok().and_then(|at| found.get(at)).is_some_and(|k| k.0.has(purpose))
            });
            let number = (allowed.has(purpose) && key_allowed).then_some(left);
            left += u32::from(number.is_some());
            tables.specs.push(Spec { number });
        }
        Ok(tables)
    }

    /// Writes the head, with the fields that are left and the names that occur.
    fn write(
        &self,
        body: &[u8],
        purpose: Purpose,
        kept_names: &[usize],
        out: &mut Vec<u8>,
    ) -> Result<(), WireFault> {
        let mut cursor = Cursor::new(body);
        let mut index = 0;
        loop {
            let before = cursor.rest();
            let Some((number, kind)) = cursor.tag()? else { break };
            match number {
                10 => {
                    let spec = cursor.expect_message(kind)?;
                    if self.specs.get(index).is_some_and(|spec| spec.number.is_some()) {
                        self.write_spec(spec, out)?;
                    }
                    index += 1;
                }
                // What is said of events is written again below, of those that are left.
                11 | 13 => cursor.skip(kind)?,
                12 => break,
                _ => {
                    cursor.skip(kind)?;
                    let taken = before.len() - cursor.rest().len();
                    out.extend_from_slice(before.get(..taken).unwrap_or_default());
                }
            }
        }
        // Of the purposes of an event, the drainer learns its own only.
        let own = vec![Purposes::only(purpose).bits(); kept_names.len()];
        encode::bytes_field(out, 13, &own);
        for name in kept_names {
            encode::bytes_field(out, 11, self.names.get(*name).copied().unwrap_or_default());
        }
        Ok(())
    }

    /// Copies a spec; the number of a map's key field is another after the filter.
    fn write_spec(&self, mut spec: Cursor<'_>, out: &mut Vec<u8>) -> Result<(), WireFault> {
        let open = encode::open(out, 10, 1);
        loop {
            let before = spec.rest();
            let Some((number, kind)) = spec.tag()? else { break };
            if number == 7 {
                let key = usize::try_from(spec.expect_varint(kind)?).unwrap_or(0);
                let left =
                    key.checked_sub(1).and_then(|key| self.specs.get(key)).and_then(|spec| spec.number);
                if let Some(left) = left {
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
}

/// The purposes of a `FieldSpec` and the number of its key field plus one.
fn spec(mut cursor: Cursor<'_>) -> Result<(Purposes, u64), WireFault> {
    let mut read = (Purposes::NONE, 0);
    while let Some((number, kind)) = cursor.tag()? {
        match number {
            5 => read.0 = purposes(cursor.expect_bytes(kind)?),
            7 => read.1 = cursor.expect_varint(kind)?,
            _ => cursor.skip(kind)?,
        }
    }
    Ok(read)
}

/// A packed list of `usaged.drain.v1.Purpose`; numbers that mean nothing allow nothing.
fn purposes(packed: &[u8]) -> Purposes {
    let of =
        |number: &u8| Purpose::ALL.iter().copied().find(|p| super::builder::purpose_number(*p) == *number);
    packed.iter().filter_map(of).collect()
}

struct Rewrite<'t> {
    specs: &'t [Spec],
    events: &'t [bool],
    /// For each name of the batch: its number after the filter, once it occurs.
    names: Vec<Option<u32>>,
    /// The names that occur, in the order of their new numbers.
    kept: Vec<usize>,
}

impl Rewrite<'_> {
    /// Writes an event with the fields that are left; `false` if it had fields and none is left.
    fn event(&mut self, event: Cursor<'_>, out: &mut Vec<u8>) -> Result<bool, WireFault> {
        let open = encode::open(out, 12, 2);
        let (mut had, mut has) = (false, false);
        let mut name = None;
        let mut scan = event;
        while let Some((number, kind)) = scan.tag()? {
            match number {
                1 => name = usize::try_from(scan.expect_varint(kind)?).ok(),
                2 => encode::varint_field(out, 2, scan.expect_varint(kind)?),
                3 => {
                    had = true;
                    has |= self.field(scan.expect_message(kind)?, 3, out)?;
                }
                _ => scan.skip(kind)?,
            }
        }
        let allowed = name.and_then(|name| self.events.get(name)).copied().unwrap_or(false);
        if !allowed || (had && !has) {
            return Ok(false);
        }
        if let Some(name) = name {
            encode::varint_field(out, 1, u64::from(self.name(name)));
        }
        encode::close(out, open);
        Ok(true)
    }

    fn name(&mut self, name: usize) -> u32 {
        let next = u32::try_from(self.kept.len()).unwrap_or(u32::MAX);
        match self.names.get_mut(name) {
            Some(Some(number)) => *number,
            Some(slot) => {
                *slot = Some(next);
                self.kept.push(name);
                next
            }
            None => next,
        }
    }

    /// Writes a field as field `to`, if it is left and holds anything.
    fn field(&mut self, mut field: Cursor<'_>, to: u8, out: &mut Vec<u8>) -> Result<bool, WireFault> {
        let (mut spec, mut value) = (None, None);
        while let Some((number, kind)) = field.tag()? {
            match number {
                1 => spec = usize::try_from(field.expect_varint(kind)?).ok(),
                2 => value = Some(field.expect_message(kind)?),
                _ => field.skip(kind)?,
            }
        }
        let number = spec.and_then(|spec| self.specs.get(spec)).and_then(|spec| spec.number);
        let (Some(number), Some(value)) = (number, value) else { return Ok(false) };
        let start = out.len();
        let open = encode::open(out, to, 1);
        encode::varint_field(out, 1, u64::from(number));
        let kept = self.value(value, 2, out)?;
        if kept {
            encode::close(out, open);
        } else {
            out.truncate(start);
        }
        Ok(kept)
    }

    /// Writes a value as field `to`; `false` if it is a record of which nothing is left.
    fn value(&mut self, mut value: Cursor<'_>, to: u8, out: &mut Vec<u8>) -> Result<bool, WireFault> {
        let open = encode::open(out, to, 1);
        let mut kept = true;
        loop {
            let before = value.rest();
            let Some((number, kind)) = value.tag()? else { break };
            match number {
                7 => kept = self.members(value.expect_message(kind)?, 7, out)?,
                8 => kept = self.members(value.expect_message(kind)?, 8, out)?,
                9 => kept = self.members(value.expect_message(kind)?, 9, out)?,
                _ => {
                    value.skip(kind)?;
                    let taken = before.len() - value.rest().len();
                    out.extend_from_slice(before.get(..taken).unwrap_or_default());
                }
            }
        }
        encode::close(out, open);
        Ok(kept)
    }

    /// Writes a record (7), list (8) or map (9); `false` if it had members and none is left.
    fn members(&mut self, mut members: Cursor<'_>, what: u8, out: &mut Vec<u8>) -> Result<bool, WireFault> {
        let open = encode::open(out, what, 1);
        let (mut had, mut has) = (false, false);
        while let Some((number, kind)) = members.tag()? {
            if number != 1 {
                members.skip(kind)?;
                continue;
            }
            had = true;
            let start = out.len();
            let member = members.expect_message(kind)?;
            let kept = match what {
                7 => self.field(member, 1, out)?,
                8 => self.value(member, 1, out)?,
                _ => self.pair(member, out)?,
            };
            if !kept {
                out.truncate(start);
            }
            has |= kept;
        }
        encode::close(out, open);
        Ok(has || !had)
    }

    fn pair(&mut self, mut pair: Cursor<'_>, out: &mut Vec<u8>) -> Result<bool, WireFault> {
        let open = encode::open(out, 1, 1);
        let mut kept = true;
        while let Some((number, kind)) = pair.tag()? {
            match (number, kind) {
                (1, WireType::Bytes) => encode::bytes_field(out, 1, pair.bytes()?),
                (2, WireType::Bytes) => kept = self.value(pair.message()?, 2, out)?,
                (_, kind) => pair.skip(kind)?,
            }
        }
        encode::close(out, open);
        Ok(kept)
    }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
