//! Suppression: events that arrive late, after what they name was erased, are withheld. Looked at before the pass, in
//! the raw request, so that nothing of them is treated; only late events of customers with live suppressions pay for it.
//!
//! **An event is late if it names an erased identifier in any way in which the pass would see it**: as the value of a
//! field of its class, in any letter case, whatever the level makes of the field; and in text of which the level stores anything, as what
//! redaction finds and replaces there, by a pseudonym or by a marker ([`Workspace::any_identifier`], the same findings),
//! or as words that no detector knows ([`Outlines`]), as redaction compares them ([`meant`]): in any letter case, a host or
//! an account without its domain, the end of a telephone number, an address in any spelling. Of a text there is an HMAC for
//! each finding of an erased class and for each few words that look like an erased identifier, one more if they have
//! capitals or much white space, and for nothing else. A program that the policy did not have when something was erased
//! is looked through by the keys of one that it had.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::canonical::{self, Canonical, canonical, canonical_bytes, canonical_int};
use super::outline::{Outline, Outlines};
use super::redact::Workspace;
use super::strike::is_party;
use super::treat::Scalar;
use super::{ProgramKeys, Strike, meant};
use crate::model::{
    IdentifierClass, ProgramName, RawFields, RawItems, RawText, RawValue, UnixMillis, WireError,
};
use crate::policy::{Action, Epoch, FieldPlan, NameTable, Plan, Shape};

/// What was erased of one customer, and is not to be stored when it arrives again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suppressions {
    /// Stable pseudonyms, in order, each with the last time of an event that is late.
    tokens: Vec<([u8; 16], i64)>,
    /// The same of what only words of text are compared with: identifiers and their parts, in small letters.
    in_text: Vec<([u8; 16], i64)>,
    /// The programs that the pseudonyms of an erasure are made for, each set once.
    made_for: Vec<Box<[ProgramName]>>,
    /// The classes that the pseudonyms are of, each once.
    classes: Vec<IdentifierClass>,
    /// What the identifiers look like in text.
    outlines: Outlines,
    /// The last time of an event that is late for any of them.
    latest: Option<i64>,
    times: Vec<RangeInclusive<i64>>,
}

/// What an erasure of an identifier withholds.
pub(super) struct Withheld<'w> {
    pub(super) tokens: &'w [(IdentifierClass, [u8; 16])],
    pub(super) in_text: &'w [[u8; 16]],
    pub(super) outlines: Vec<(IdentifierClass, Outline)>,
    /// The programs that the pseudonyms are made for.
    pub(super) programs: &'w [ProgramName],
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
        let withheld = Withheld {
            tokens: strike.stable_tokens(),
            in_text: strike.text_tokens(),
            outlines: strike.outlines(),
            programs: strike.programs(),
        };
        suppressions.add(withheld, times, before);
        suppressions.finish()
    }

    /// Takes what another erasure withholds, too.
    pub(super) fn add(
        &mut self,
        withheld: Withheld<'_>,
        times: impl IntoIterator<Item = RangeInclusive<i64>>,
        before: UnixMillis,
    ) {
        let Withheld { tokens, in_text, outlines, programs } = withheld;
        for (class, token) in tokens {
            self.classes.push(*class);
            self.tokens.push((*token, before.0));
            self.latest = self.latest.max(Some(before.0));
        }
        self.in_text.extend(in_text.iter().map(|token| (*token, before.0)));
        if !programs.is_empty() && !self.made_for.iter().any(|known| **known == *programs) {
            self.made_for.push(programs.into());
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
        for tokens in [&mut self.tokens, &mut self.in_text] {
            // The latest time of a token comes last, and is the one that holds.
            tokens.sort_unstable();
            tokens.dedup_by(|later, earlier| {
                let same = later.0 == earlier.0;
                if same {
                    earlier.1 = later.1;
                }
                same
            });
        }
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
        keys: &Arc<ProgramKeys>,
        scratch: &mut canonical::Scratch,
    ) -> Option<i64> {
        let keys = std::slice::from_ref(keys);
        self.erased_before(IdentifierClass::InstanceId, Scalar::text(instance), keys, scratch)
    }

    /// Whether a field with this value of a class makes an event late.
    #[cfg(test)]
    pub(super) fn is_withheld(
        &self,
        class: IdentifierClass,
        value: RawText<'_>,
        keys: &Arc<ProgramKeys>,
        scratch: &mut canonical::Scratch,
    ) -> bool {
        self.erased_before(class, Scalar::text(value), std::slice::from_ref(keys), scratch).is_some()
    }

    /// The keys that an event of a program is looked through by: its own, and of each erasure from before the policy had
    /// that program those of one that it had.
    pub(super) fn keys(
        &self,
        own: &Arc<ProgramKeys>,
        of: impl Fn(&ProgramName) -> Arc<ProgramKeys>,
    ) -> Vec<Arc<ProgramKeys>> {
        let mut keys = vec![Arc::clone(own)];
        for programs in &self.made_for {
            let is_known = programs.iter().any(|program| keys.iter().any(|keys| keys.program() == program));
            if let Some(first) = programs.first().filter(|_| !is_known) {
                keys.push(of(first));
            }
        }
        keys
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
        (plan, keys): (&Plan, &[Arc<ProgramKeys>]),
        work: &mut Workspace,
    ) -> Result<bool, WireError> {
        Look { suppressions: self, time_ms, plan, keys, work }.fields(fields, names)
    }

    /// Whether a text names something that was erased and that an event of this time is late for.
    fn is_in_text(&self, text: &str, time_ms: i64, keys: &[Arc<ProgramKeys>], work: &mut Workspace) -> bool {
        let is_late = |class: IdentifierClass, form: &[u8]| {
            self.before_in_text(class, form, keys).is_some_and(|before| time_ms <= before)
        };
        let in_words = |text: &str, scratch: &mut canonical::Scratch| {
            let is_it = |class, words: &str| {
                meant::any_form(class, words.as_bytes(), scratch, |form| is_late(class, form))
            };
            self.outlines.any_in(text, is_it) || self.outlines.any_address_in(text, is_late)
        };
        let in_reading = |text: &str, scratch: &mut canonical::Scratch| {
            in_words(text, scratch) || meant::broken(text).is_some_and(|text| in_words(&text, scratch))
        };
        let in_any_case =
            |class: IdentifierClass, form: &[u8]| meant::any_case(form, &mut |form| is_late(class, form));
        work.any_reading(text, in_reading) || work.any_identifier(text, in_any_case)
    }

    /// Until when an event with this value of a class is late; `None` if it was not erased.
    fn erased_before(
        &self,
        class: IdentifierClass,
        value: Scalar<'_>,
        keys: &[Arc<ProgramKeys>],
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
        // Of an installation or a customer all is withheld, so only it is meant.
        if is_party(class) {
            return latest([&self.tokens], (class, form), keys);
        }
        let mut before = None;
        // Each way to write it is looked at: of two that were erased, the later one holds.
        let _ = meant::any_case(form, &mut |form| {
            before = before.max(latest([&self.tokens], (class, form), keys));
            false
        });
        before
    }

    /// The same of a form that an identifier in text has, where a part stands for the whole.
    fn before_in_text(&self, class: IdentifierClass, form: &[u8], keys: &[Arc<ProgramKeys>]) -> Option<i64> {
        if !self.classes.contains(&class) {
            return None;
        }
        latest([&self.tokens, &self.in_text], (class, form), keys)
    }
}

/// The latest time that any of these pseudonyms of an identifier is late until.
fn latest<const N: usize>(
    tokens: [&[([u8; 16], i64)]; N],
    (class, form): (IdentifierClass, &[u8]),
    keys: &[Arc<ProgramKeys>],
) -> Option<i64> {
    let of = |keys: &Arc<ProgramKeys>| {
        #[cfg(test)]
        tests::HASHED.with(|hashed| hashed.set(hashed.get() + 1));
        let token = keys.token(class, Epoch::Stable, form)?;
        let look_up = |tokens: &&[([u8; 16], i64)]| {
            let at = tokens.binary_search_by_key(&token, |(token, _)| *token).ok()?;
            tokens.get(at).map(|(_, before)| *before)
        };
        tokens.iter().filter_map(look_up).max()
    };
    keys.iter().filter_map(of).max()
}

/// The look through one event.
struct Look<'l> {
    suppressions: &'l Suppressions,
    time_ms: i64,
    plan: &'l Plan,
    keys: &'l [Arc<ProgramKeys>],
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

/// What is of this class has no identifiers in it.
const NOBODY: IdentifierClass = IdentifierClass::NotIdentifying;

#[cfg(test)]
#[path = "suppress_tests.rs"]
mod tests;
