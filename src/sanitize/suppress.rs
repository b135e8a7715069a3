//! Suppression: events that arrive late, after what they name was erased, are withheld. Looked at before the pass, in
//! the raw request, so that nothing of them is treated; only late events of customers with live suppressions pay for it.
//!
//! **An event is late if it names an erased identifier in any way in which the pass would see it**: as the value of a
//! field of its class, whatever the level makes of the field; and in text of which the level stores anything, as what
//! redaction finds and replaces there, by a pseudonym or by a marker ([`Workspace::any_identifier`], the same findings),
//! or as words that no detector knows ([`Outlines`]). Of a text there is an HMAC for each finding of an erased class and
//! for each few words that look like an erased identifier, and for nothing else.

use std::ops::RangeInclusive;

use zeroize::Zeroizing;

use super::canonical::{self, Canonical, canonical, canonical_bytes, canonical_int, canonical_str};
use super::outline::{Outline, Outlines};
use super::redact::Workspace;
use super::treat::Scalar;
use super::{ProgramKeys, Strike};
use crate::model::{IdentifierClass, RawFields, RawItems, RawText, RawValue, UnixMillis, WireError};
use crate::policy::{Action, Epoch, FieldPlan, NameTable, Plan, Shape};

/// What was erased of one customer, and is not to be stored when it arrives again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suppressions {
    /// Stable pseudonyms, in order, each with the last time of an event that is late.
    tokens: Vec<([u8; 16], i64)>,
    /// The classes that the pseudonyms are of, each once.
    classes: Vec<IdentifierClass>,
    /// What the identifiers look like in text.
    outlines: Outlines,
    /// The last time of an event that is late for any of them.
    latest: Option<i64>,
    times: Vec<RangeInclusive<i64>>,
}

impl Suppressions {
    /// Of an erased identifier, by its stable pseudonyms and its outlines, and of ranges of time, in milliseconds since
    /// the epoch. Of identifiers, events that happened until `before` are withheld: newer ones are no late arrivals.
    #[must_use]
    pub fn new(
        strike: &Strike,
        times: impl IntoIterator<Item = RangeInclusive<i64>>,
        before: UnixMillis,
    ) -> Self {
        let mut suppressions = Self::default();
        suppressions.add(strike.stable_tokens(), strike.outlines(), times, before);
        suppressions.finish()
    }

    /// Takes what another erasure withholds, too.
    pub(super) fn add(
        &mut self,
        identifiers: &[(IdentifierClass, [u8; 16])],
        outlines: impl IntoIterator<Item = (IdentifierClass, Outline)>,
        times: impl IntoIterator<Item = RangeInclusive<i64>>,
        before: UnixMillis,
    ) {
        for (class, token) in identifiers {
            self.classes.push(*class);
            self.tokens.push((*token, before.0));
            self.latest = self.latest.max(Some(before.0));
        }
        self.outlines.extend(outlines);
        self.times.extend(times);
    }

    /// Makes what was taken ready to be looked for.
    #[must_use]
    pub(super) fn finish(mut self) -> Self {
        self.outlines.finish();
        self.classes.sort_unstable();
        self.classes.dedup();
        // The latest time of a token comes last, and is the one that holds.
        self.tokens.sort_unstable();
        self.tokens.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1 = later.1;
            }
            same
        });
        self
    }

    /// Whether there is nothing to suppress.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.times.is_empty()
    }

    /// Whether an event of this time was erased.
    pub(super) fn is_at(&self, time_ms: i64) -> bool {
        self.times.iter().any(|range| range.contains(&time_ms))
    }

    /// Until when an event of this instance is late; `None` if it was not erased.
    pub(super) fn instance_before(
        &self,
        instance: RawText<'_>,
        keys: &ProgramKeys,
        scratch: &mut canonical::Scratch,
    ) -> Option<i64> {
        self.erased_before(IdentifierClass::InstanceId, Scalar::text(instance), keys, scratch)
    }

    /// Whether an event of this time can be late for an identifier.
    pub(super) fn is_late(&self, time_ms: i64) -> bool {
        self.latest.is_some_and(|latest| time_ms <= latest)
    }

    /// Whether fields of an event, as its plan declares them, name something that was erased.
    pub(super) fn are_in<'a, F: RawFields<'a>>(
        &self,
        (fields, time_ms): (F, i64),
        names: &NameTable,
        (plan, keys): (&Plan, &ProgramKeys),
        work: &mut Workspace,
    ) -> Result<bool, WireError> {
        Look { suppressions: self, time_ms, plan, keys, work }.fields(fields, names)
    }

    /// Whether a text names something that was erased and that an event of this time is late for.
    fn is_in_text(&self, text: &str, time_ms: i64, keys: &ProgramKeys, work: &mut Workspace) -> bool {
        let is_late = |class: IdentifierClass, form: &[u8]| {
            self.before(class, form, keys).is_some_and(|before| time_ms <= before)
        };
        let in_words = |text: &str, scratch: &mut canonical::Scratch| {
            self.outlines.any_in(text, |class, words| match canonical_str(class, words, scratch) {
                Canonical::Identifier(form) => is_late(class, form),
                Canonical::Known(_) | Canonical::Malformed => false,
            })
        };
        let in_reading = |text: &str, scratch: &mut canonical::Scratch| {
            in_words(text, scratch) || broken(text).is_some_and(|text| in_words(&text, scratch))
        };
        work.any_reading(text, in_reading) || work.any_identifier(text, is_late)
    }

    /// Until when an event with this value of a class is late; `None` if it was not erased.
    fn erased_before(
        &self,
        class: IdentifierClass,
        value: Scalar<'_>,
        keys: &ProgramKeys,
        scratch: &mut canonical::Scratch,
    ) -> Option<i64> {
        if !self.classes.contains(&class) {
            return None;
        }
        let form = match value {
            Scalar::Text(text) => canonical(class, text, scratch),
            Scalar::Bytes(bytes) => canonical_bytes(class, bytes, scratch),
            Scalar::Int(number) => canonical_int(class, number, scratch),
            Scalar::Double(_) | Scalar::Bool(_) => return None,
        };
        let Canonical::Identifier(form) = form else { return None };
        self.before(class, form, keys)
    }

    /// Until when an event with this identifier is late; `None` if it was not erased.
    fn before(&self, class: IdentifierClass, form: &[u8], keys: &ProgramKeys) -> Option<i64> {
        if !self.classes.contains(&class) {
            return None;
        }
        #[cfg(test)]
        tests::HASHED.with(|hashed| hashed.set(hashed.get() + 1));
        let token = keys.token(class, Epoch::Stable, form)?;
        let at = self.tokens.binary_search_by_key(&token, |(token, _)| *token).ok()?;
        self.tokens.get(at).map(|(_, before)| *before)
    }
}

/// The look through one event.
struct Look<'l> {
    suppressions: &'l Suppressions,
    time_ms: i64,
    plan: &'l Plan,
    keys: &'l ProgramKeys,
    work: &'l mut Workspace,
}

impl Look<'_> {
    fn fields<'a, F: RawFields<'a>>(&mut self, mut fields: F, names: &NameTable) -> Result<bool, WireError> {
        while let Some((name, value)) = fields.next_field()? {
            if let Some(field) = names.get(name.expose())
                && self.value(field, value)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn value<'a, F: RawFields<'a>>(&mut self, field: u32, value: RawValue<'a, F>) -> Result<bool, WireError> {
        let plan = self.plan;
        let Some(planned) = usize::try_from(field).ok().and_then(|at| plan.fields.get(at)) else {
            return Ok(false);
        };
        match (&planned.shape, value) {
            (Shape::Scalar { kind, action }, value) => {
                let scalar = Scalar::of(*kind, &value);
                Ok(scalar.is_ok_and(|scalar| self.scalar(planned, action, scalar)))
            }
            (Shape::Record(names), RawValue::Record(fields)) => self.fields(fields, names),
            (Shape::List { item }, RawValue::List(mut items)) => {
                while let Some(value) = items.next_item()? {
                    if self.value(*item, value)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            (Shape::Map { key, value }, RawValue::Record(mut pairs)) => {
                while let Some((raw_key, raw_value)) = pairs.next_field()? {
                    if self.value(*key, RawValue::<F>::Text(raw_key))? || self.value(*value, raw_value)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            (Shape::Record(_) | Shape::List { .. } | Shape::Map { .. }, _) => Ok(false),
        }
    }

    fn scalar(&mut self, planned: &FieldPlan, action: &Action, scalar: Scalar<'_>) -> bool {
        let Self { suppressions, time_ms, keys, work, .. } = self;
        let before = suppressions.erased_before(planned.spec.class, scalar, keys, &mut work.canonical);
        if before.is_some_and(|before| *time_ms <= before) {
            return true;
        }
        match (action, scalar.within(planned.max_bytes)) {
            // What the level drops is not stored, whatever words are in it, and neither is what is no text.
            (Action::Redact(_) | Action::Keep(_), Ok(Scalar::Text(text))) if planned.spec.class != NOBODY => {
                let text = std::str::from_utf8(text);
                text.is_ok_and(|text| suppressions.is_in_text(text, *time_ms, keys, work))
            }
            (_, _) => false,
        }
    }
}

/// A text with the escapes of white space and of backslashes decoded (`up\n10.1.2.3`, `corp\\bob`), if there are any:
/// redaction does not read the former, because that is also how an account stands behind its domain.
fn broken(text: &str) -> Option<Zeroizing<String>> {
    text.contains('\\').then_some(())?;
    let mut out = Zeroizing::new(String::with_capacity(text.len()));
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = chars.next_if(|next| c == '\\' && matches!(next, 'n' | 'r' | 't' | '\\'));
        out.push(if escaped.is_some_and(|escaped| escaped != '\\') { ' ' } else { c });
    }
    (out.len() < text.len()).then_some(out)
}

/// What is of this class has no identifiers in it.
const NOBODY: IdentifierClass = IdentifierClass::NotIdentifying;

#[cfg(test)]
#[path = "suppress_tests.rs"]
mod tests;
