//! Gathers the known identifiers of a request before the text of a program's events is redacted.
//!
//! They are the values of the classed fields of all events of that program, as the dictionary declares them,
//! of whatever type, stored or not: whatever the level, the purposes or the accepted version make of them, the same are
//! found. Events of another program have no say. A customer can leave that one, and then nothing of it is sent; what is
//! stored of this one has to be the same.
//!
//! A URL or a path is no identifier that text would repeat, but the hosts and accounts in it are: what the detectors find
//! of these is known, too, unless a field names it.

use std::collections::HashSet;
use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use zeroize::Zeroizing;

use super::known::Known;
use crate::model::{IdentifierClass, RawFields, RawItems, RawValue, WireError, WireReader};
use crate::policy::{NameTable, Plan, Shape};
use crate::sanitize::canonical::{self, Canonical, canonical_bytes, canonical_int};
use crate::sanitize::detect::{Folded, Nothing, What};
use crate::sanitize::{Permit, spelling};

/// The least number that is looked for, of five digits: text is full of smaller ones, such as ports, counts and years.
const LEAST: u32 = 10_000;
/// Different URLs and paths of a request that are remembered, so that each is looked through once. Of a request with more
/// those that come after are looked through as often as they come.
const REMEMBERED: usize = 16_384;

/// Hashes that there is room for in the set that is kept for the next request.
const KEPT: usize = 2_048;

/// The URLs and paths of a request that were seen, as hashes. The set is used again.
#[derive(Default)]
pub(in crate::sanitize) struct Visited {
    hashes: HashSet<u64, FixedState>,
    hasher: FixedState,
}

impl Visited {
    fn clear(&mut self) {
        if self.hashes.capacity() > KEPT {
            self.hashes = HashSet::default();
        }
        self.hashes.clear();
    }

    fn hash(&self, text: &[u8]) -> u64 {
        self.hasher.hash_one(text)
    }
}

/// Takes every classed value of every event of the program of `plan` in a request, and the ids of its customer and
/// instance.
///
/// # Errors
/// If the bytes are not what the format says.
pub(in crate::sanitize) fn gather<'a, R: WireReader<'a> + Clone>(
    permit: &Permit,
    plan: &Plan,
    instance: &[u8],
    reader: &R,
    (known, folded, scratch, visited): (&mut Known, &mut Folded, &mut canonical::Scratch, &mut Visited),
) -> Result<(), WireError> {
    use IdentifierClass::{CustomerId, InstanceId};
    known.clear();
    visited.clear();
    known.add(CustomerId, permit.customer().as_str().as_bytes(), scratch);
    known.add(InstanceId, instance, scratch);
    let mut gather = Gather {
        plan,
        known,
        folded,
        scratch,
        visited,
        named: Vec::new(),
        step: Step::Values,
        has_more: false,
    };
    gather.events(permit, reader.clone())?;
    gather.known.finish();
    // Names come after all values, so that one has the class and the pseudonym that a field says it has, wherever it comes.
    if !gather.named.is_empty() {
        for text in std::mem::take(&mut gather.named) {
            gather.names(text);
        }
        if gather.has_more {
            gather.step = Step::Names;
            gather.events(permit, reader.clone())?;
        }
        gather.known.finish();
    }
    gather.known.program = Some(plan.program_index);
    Ok(())
}

/// What is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The values of fields.
    Values,
    /// Names inside of those that were too many to be remembered.
    Names,
}

struct Gather<'g, 'a> {
    plan: &'g Plan,
    known: &'g mut Known,
    folded: &'g mut Folded,
    scratch: &'g mut canonical::Scratch,
    visited: &'g mut Visited,
    /// The values that names are looked for in, each once.
    named: Vec<&'a [u8]>,
    step: Step,
    /// Whether there are more of them than are remembered.
    has_more: bool,
}

impl<'a> Gather<'_, 'a> {
    fn events<R: WireReader<'a>>(&mut self, permit: &Permit, mut reader: R) -> Result<(), WireError> {
        while let Some(event) = reader.next_event()? {
            let is_own =
                permit.event(event.name).is_some_and(|known| known.program == self.plan.program_index);
            if let Some(fields) = permit.event_fields(event.name).filter(|_| is_own) {
                self.fields(event.fields, fields)?;
            }
        }
        Ok(())
    }

    fn fields<F: RawFields<'a>>(&mut self, mut fields: F, names: &NameTable) -> Result<(), WireError> {
        while let Some((name, value)) = fields.next_field()? {
            if let Some(field) = names.get(name.expose()) {
                self.value(field, value)?;
            }
        }
        Ok(())
    }

    fn value<F: RawFields<'a>>(&mut self, field: u32, value: RawValue<'a, F>) -> Result<(), WireError> {
        let plan = self.plan;
        let Some(field) = usize::try_from(field).ok().and_then(|at| plan.fields.get(at)) else {
            return Ok(());
        };
        match (&field.shape, value) {
            (Shape::Scalar { .. }, value) => self.scalar(field.spec.class, &value),
            (Shape::Record(names), RawValue::Record(fields)) => self.fields(fields, names)?,
            (Shape::List { item }, RawValue::List(mut items)) => {
                while let Some(value) = items.next_item()? {
                    self.value(*item, value)?;
                }
            }
            (Shape::Map { key, value }, RawValue::Record(mut pairs)) => {
                while let Some((raw_key, raw_value)) = pairs.next_field()? {
                    self.value::<F>(*key, RawValue::Text(raw_key))?;
                    self.value(*value, raw_value)?;
                }
            }
            (Shape::Record(_) | Shape::List { .. } | Shape::Map { .. }, _) => {}
        }
        Ok(())
    }

    /// A value of a class, of the type that it came with: one of the wrong type is not stored and may be in text all
    /// the same.
    fn scalar<F: RawFields<'a>>(&mut self, class: IdentifierClass, value: &RawValue<'a, F>) {
        if class.has_names_in_it() {
            if let RawValue::Text(text) = value {
                self.visit(text.expose());
            }
            return;
        }
        if self.step == Step::Names || !class.is_found_in_text() {
            return;
        }
        match value {
            RawValue::Text(text) => self.known.add(class, text.expose(), self.scratch),
            RawValue::Int(number) => self.number(class, *number),
            RawValue::Bytes(bytes) => self.bytes(class, bytes.expose()),
            // Only what is never stored can be declared with such a type: a number that was sent as one with a fraction.
            RawValue::Double(number) if number.fract() == 0.0 && number.abs() >= f64::from(LEAST) => {
                self.known.add(class, Zeroizing::new(number.to_string()).as_bytes(), self.scratch);
            }
            RawValue::Empty
            | RawValue::Double(_)
            | RawValue::Bool(_)
            | RawValue::Record(_)
            | RawValue::List(_) => {}
        }
    }

    /// A number stands in text as its decimal digits.
    fn number(&mut self, class: IdentifierClass, number: i64) {
        if number.unsigned_abs() < u64::from(LEAST) || !self.known.takes(class, number) {
            return;
        }
        match canonical_int(class, number, self.scratch) {
            Canonical::Identifier(canonical) => self.known.insert(class, canonical, canonical),
            Canonical::Malformed => {
                let digits = Zeroizing::new(number.to_string());
                self.known.insert(class, digits.as_bytes(), digits.as_bytes());
            }
            Canonical::Known(_) => {}
        }
    }

    /// Bytes stand in text as the text form of their class, and what has none as hexadecimal digits.
    fn bytes(&mut self, class: IdentifierClass, bytes: &[u8]) {
        let canonical = match canonical_bytes(class, bytes, self.scratch) {
            Canonical::Identifier(canonical) => canonical,
            Canonical::Malformed if std::str::from_utf8(bytes).is_ok() => {
                return self.known.add(class, bytes, self.scratch);
            }
            Canonical::Malformed => bytes,
            Canonical::Known(_) => return,
        };
        let digits;
        let text = if let Ok(utf8) = std::str::from_utf8(canonical) {
            utf8.as_bytes()
        } else {
            digits = Zeroizing::new(data_encoding::HEXLOWER.encode(canonical));
            digits.as_bytes()
        };
        if spelling::is_sought(text) && self.known.takes(class, bytes) {
            self.known.insert(class, canonical, text);
        }
    }

    /// Takes a URL or a path that names are looked for in, if it is a new one.
    fn visit(&mut self, text: &'a [u8]) {
        let hash = self.visited.hash(text);
        if self.visited.hashes.contains(&hash) {
            return;
        }
        match self.step {
            Step::Values if self.named.len() < REMEMBERED => {
                self.visited.hashes.insert(hash);
                self.named.push(text);
            }
            Step::Values => self.has_more = true,
            Step::Names => self.names(text),
        }
    }

    /// The hosts and accounts that detectors find in a URL or a path: in its own field they are replaced as these.
    fn names(&mut self, text: &[u8]) {
        let Ok(text) = std::str::from_utf8(text) else { return };
        for hit in self.folded.findings(text, Nothing) {
            let What::Class(class @ (IdentifierClass::HostName | IdentifierClass::UserId)) = hit.what else {
                continue;
            };
            let is_new = spelling::is_telling(hit.text) && !self.known.has(hit.text);
            if is_new
                && !hit.is_joined
                && let Canonical::Identifier(canonical) = canonical::canonical(class, hit.text, self.scratch)
                && self.known.takes(class, hit.text)
            {
                self.known.insert(class, canonical, hit.text);
            }
        }
    }
}

#[cfg(test)]
#[path = "gather_tests.rs"]
mod tests;
