//! What a batch holds, counted: its fields by identifier class and by what was done with them. Every batch that
//! leaves is counted for the ledger, so the common form of a field is read without a loop.

use super::wire::{Cursor, WireType};
use crate::model::{ClassCounts, Handling, IdentifierClass, WireFault};

/// What a vocabulary puts in place of a value that it does not list.
const OTHER: &[u8] = b"other";

/// Counts the fields in the events of `body`, a `usaged.drain.v1.Batch`: each value without parts is one, also
/// as an item of a list, or as a key or value of a map. A text that the dictionary lists counts as redacted where its
/// level redacts: the batch does not tell it from others.
///
/// # Errors
/// If `body` is not such a batch.
pub fn count_fields(body: &[u8]) -> Result<ClassCounts, WireFault> {
    let (mut cursor, mut count) = (Cursor::new(body), Count { specs: Vec::new() });
    while let Some((number, kind)) = cursor.tag()? {
        match number {
            10 => count.specs.push(Spec::read(cursor.expect_message(kind)?)?),
            12 => count.event(cursor.expect_message(kind)?)?,
            _ => cursor.skip(kind)?,
        }
    }
    let mut counts = ClassCounts::default();
    for spec in &count.specs {
        let Some(class) = spec.class else { continue };
        counts.add(class, Handling::Pseudonymised, spec.tokens);
        counts.add(class, Handling::Coarsened, spec.others);
        counts.add(class, spec.handling, spec.plain);
    }
    Ok(counts)
}

/// A field of the table, and how often it was met.
#[derive(Debug, Clone)]
struct Spec {
    class: Option<IdentifierClass>,
    /// What was done with a value that is no token.
    handling: Handling,
    is_vocabulary: bool,
    /// The number of the field that is its key, plus one.
    key: usize,
    plain: u64,
    tokens: u64,
    others: u64,
}

impl Spec {
    fn read(mut cursor: Cursor<'_>) -> Result<Self, WireFault> {
        let mut class = None;
        let (mut handling, mut is_vocabulary, mut key) = (Handling::Kept, false, 0);
        while let Some((number, kind)) = cursor.tag()? {
            match number {
                2 => {
                    let text = cursor.expect_bytes(kind)?;
                    class = IdentifierClass::ALL.iter().copied().find(|c| c.as_str().as_bytes() == text);
                }
                3 => {
                    let treatment = cursor.expect_bytes(kind)?;
                    is_vocabulary = treatment == b"vocabulary";
                    handling = match treatment {
                        // A well-known value that is no identifier stands there by name.
                        b"pseudonym" | b"generalise" => Handling::Coarsened,
                        b"redact" => Handling::Redacted,
                        _ => Handling::Kept,
                    };
                }
                7 => key = usize::try_from(cursor.expect_varint(kind)?).unwrap_or(0),
                _ => cursor.skip(kind)?,
            }
        }
        // A listed value of what identifies somebody was let through by the level; of what identifies nobody it is
        // as it came.
        if is_vocabulary && class != Some(IdentifierClass::NotIdentifying) {
            handling = Handling::Coarsened;
        }
        Ok(Self { class, handling, is_vocabulary, key, plain: 0, tokens: 0, others: 0 })
    }
}

/// A counting under way.
struct Count {
    specs: Vec<Spec>,
}

impl Count {
    fn event(&mut self, mut event: Cursor<'_>) -> Result<(), WireFault> {
        loop {
            // A field of less than 128 bytes, of one of the first 128 fields, that holds a value without parts.
            if let [0x1a, length @ 0..0x80, 0x08, spec @ 0..0x80, 0x12, _, kind, rest @ ..] = event.rest()
                && *length >= 5
                && let Some(next) = rest.get(usize::from(*length) - 5..)
                && let Some(slot) = self.specs.get_mut(usize::from(*spec))
                && (matches!(kind, 0x10 | 0x19 | 0x20 | 0x2a | 0x32)
                    || (*kind == 0x0a && !slot.is_vocabulary))
            {
                if *kind == 0x32 {
                    slot.tokens += 1;
                } else {
                    slot.plain += 1;
                }
                event.advance_to(next);
                continue;
            }
            match event.tag()? {
                None => return Ok(()),
                Some((3, WireType::Bytes)) => self.field(event.message()?)?,
                Some((_, kind)) => event.skip(kind)?,
            }
        }
    }

    fn field(&mut self, mut field: Cursor<'_>) -> Result<(), WireFault> {
        let (mut spec, mut value) = (0, None);
        while let Some((number, kind)) = field.tag()? {
            match number {
                1 => spec = usize::try_from(field.expect_varint(kind)?).unwrap_or(usize::MAX),
                2 => value = Some(field.expect_message(kind)?),
                _ => field.skip(kind)?,
            }
        }
        value.map_or(Ok(()), |value| self.value(spec, value))
    }

    fn value(&mut self, spec: usize, mut value: Cursor<'_>) -> Result<(), WireFault> {
        while let Some((number, kind)) = value.tag()? {
            match number {
                7..=9 => self.members(spec, number, value.expect_message(kind)?)?,
                1 => {
                    let text = value.expect_bytes(kind)?;
                    self.scalar(spec, |slot| {
                        if slot.is_vocabulary && text == OTHER { &mut slot.others } else { &mut slot.plain }
                    });
                }
                _ => {
                    value.skip(kind)?;
                    self.scalar(spec, |slot| if number == 6 { &mut slot.tokens } else { &mut slot.plain });
                }
            }
        }
        Ok(())
    }

    fn scalar(&mut self, spec: usize, which: impl FnOnce(&mut Spec) -> &mut u64) {
        if let Some(slot) = self.specs.get_mut(spec) {
            *which(slot) += 1;
        }
    }

    /// What is in a record (7), list (8) or map (9).
    fn members(&mut self, spec: usize, what: u32, mut members: Cursor<'_>) -> Result<(), WireFault> {
        while let Some((number, kind)) = members.tag()? {
            if number != 1 {
                members.skip(kind)?;
                continue;
            }
            let member = members.expect_message(kind)?;
            match what {
                7 => self.field(member)?,
                8 => self.value(spec, member)?,
                _ => self.pair(spec, member)?,
            }
        }
        Ok(())
    }

    fn pair(&mut self, spec: usize, mut pair: Cursor<'_>) -> Result<(), WireFault> {
        let key = self.specs.get(spec).and_then(|spec| spec.key.checked_sub(1)).unwrap_or(usize::MAX);
        while let Some((number, kind)) = pair.tag()? {
            match number {
                1 => self.value(key, pair.expect_message(kind)?)?,
                2 => self.value(spec, pair.expect_message(kind)?)?,
                _ => pair.skip(kind)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "counts_tests.rs"]
mod tests;
