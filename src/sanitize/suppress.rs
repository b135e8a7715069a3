//! Suppression: events that arrive late, after what they name was erased, are withheld. Looked at before the pass, in
//! the raw request, so that nothing of them is treated; only customers with live suppressions pay for it.

use std::ops::RangeInclusive;

use super::ProgramKeys;
use super::canonical::{self, Canonical, canonical, canonical_bytes, canonical_int};
use super::detect::is_alphabet;
use super::treat::Scalar;
use crate::model::{IdentifierClass, RawFields, RawItems, RawText, RawValue, UnixMillis, WireError};
use crate::policy::{Action, Epoch, FieldPlan, NameTable, Plan, Shape};

/// What was erased of one customer, and is not to be stored when it arrives again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suppressions {
    /// Stable pseudonyms, in order, each with the last time of an event that is late.
    tokens: Vec<([u8; 16], i64)>,
    /// The classes that the pseudonyms are of, each once.
    classes: Vec<IdentifierClass>,
    times: Vec<RangeInclusive<i64>>,
}

impl Suppressions {
    /// Of erased identifiers, by the stable pseudonyms that [`super::Strike::stable_tokens`] gives, and of ranges of
    /// time, in milliseconds since the epoch. Of identifiers, events that happened until `before` are withheld: newer
    /// ones are no late arrivals.
    #[must_use]
    pub fn new(
        identifiers: impl IntoIterator<Item = (IdentifierClass, [u8; 16])>,
        times: impl IntoIterator<Item = RangeInclusive<i64>>,
        before: UnixMillis,
    ) -> Self {
        Self::default().with(identifiers, times, before)
    }

    /// This, and what another erasure withholds.
    #[must_use]
    pub fn with(
        mut self,
        identifiers: impl IntoIterator<Item = (IdentifierClass, [u8; 16])>,
        times: impl IntoIterator<Item = RangeInclusive<i64>>,
        before: UnixMillis,
    ) -> Self {
        for (class, token) in identifiers {
            self.classes.push(class);
            self.tokens.push((token, before.0));
        }
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
        self.times.extend(times);
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

    /// Whether fields of an event, as its plan declares them, name something that was erased.
    pub(super) fn are_in<'a, F: RawFields<'a>>(
        &self,
        (fields, time_ms): (F, i64),
        names: &NameTable,
        (plan, keys): (&Plan, &ProgramKeys),
        scratch: &mut canonical::Scratch,
    ) -> Result<bool, WireError> {
        if self.tokens.is_empty() {
            return Ok(false);
        }
        Look { suppressions: self, time_ms, plan, keys, scratch }.fields(fields, names)
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
    scratch: &'l mut canonical::Scratch,
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
        let before = self.suppressions.erased_before(planned.spec.class, scalar, self.keys, self.scratch);
        if before.is_some_and(|before| self.time_ms <= before) {
            return true;
        }
        match (action, scalar) {
            // What the level drops is not stored, whatever words are in it.
            (Action::Redact(_) | Action::Keep(_), Scalar::Text(text)) if planned.spec.class != NOBODY => {
                let Self { suppressions, time_ms, keys, scratch, .. } = self;
                let erased = |words: &[u8]| {
                    let of = |class: &IdentifierClass| {
                        let before = suppressions.erased_before(*class, Scalar::Text(words), keys, scratch);
                        before.is_some_and(|before| *time_ms <= before)
                    };
                    suppressions.classes.iter().any(of)
                };
                any_words(text, erased)
            }
            (_, _) => false,
        }
    }
}

/// What is of this class has no identifiers in it.
const NOBODY: IdentifierClass = IdentifierClass::NotIdentifying;
/// Names of people, virtual machines and places have up to so many words.
const WORDS: usize = 5;

/// Whether any word of a text passes, or any few that follow each other.
pub(super) fn any_words(text: &[u8], mut is: impl FnMut(&[u8]) -> bool) -> bool {
    let mut starts = [0; WORDS];
    let mut count = 0_usize;
    for (start, word) in words(text) {
        starts.rotate_right(1);
        if let Some(first) = starts.first_mut() {
            *first = start;
        }
        count += 1;
        let end = start + word.len();
        if starts.iter().take(count).any(|from| text.get(*from..end).is_some_and(&mut is))
            || parts(word).any(&mut is)
        {
            return true;
        }
    }
    false
}

/// The words of a text and where they begin: what stands between white space and signs, without what addresses and
/// names have inside them but do not begin or end with. A word ends where a script without spaces begins, or an arrow.
fn words(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`()[]{}<>,;=|!?/".contains(byte);
    let inner = |byte: &u8| b".:-_@\\".contains(byte);
    let mut at = 0;
    let words = text.split(ends).map(move |word| {
        let begins = at;
        at += word.len() + 1;
        (begins, word)
    });
    let stretches =
        words.flat_map(|(begins, word)| stretches(word).map(move |(at, part)| (begins + at, part)));
    stretches.filter_map(move |(begins, word)| {
        let start = word.iter().position(|byte| !inner(byte))?;
        let end = word.iter().rposition(|byte| !inner(byte))?;
        Some((begins + start, word.get(start..=end)?))
    })
}

/// A word, cut between letters that names mix and all others: `虚拟机` and `Prod-VM-01` of `虚拟机Prod-VM-01`.
fn stretches(word: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = word.get(at..).filter(|rest| !rest.is_empty())?;
        let is_strange = |at: usize, byte: u8| {
            !byte.is_ascii() && !is_alphabet(byte, rest.get(at + 1).copied().unwrap_or(0))
        };
        let first = rest.first().is_some_and(|byte| is_strange(0, *byte));
        // What goes on a character is of it.
        let len = rest
            .iter()
            .enumerate()
            .skip(1)
            .position(|(at, byte)| byte & 0xc0 != 0x80 && is_strange(at, *byte) != first);
        let start = at;
        at += len.map_or(rest.len(), |len| len + 1);
        Some((start, word.get(start..at)?))
    })
}

/// The parts of `10.1.2.3:443`, `user@host` and the like.
fn parts(word: &[u8]) -> impl Iterator<Item = &[u8]> {
    let parts = word.split(|byte| matches!(byte, b':' | b'@' | b'\\'));
    parts.filter(|part| part.len() < word.len() && !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::any_words;

    #[test]
    fn every_word_and_every_few_words_of_a_text_are_looked_at() {
        let text = "login of jane.doe@example.com (Jane van Doe) from 10.1.2.3:443 to \"Prod VM 1\", see https://esx01/ui?h=esx02.";
        for wanted in [
            "login",
            "jane.doe@example.com",
            "jane.doe",
            "Jane van Doe",
            "10.1.2.3",
            "10.1.2.3:443",
            "Prod VM 1",
            "esx01",
            "esx02",
        ] {
            assert!(any_words(text.as_bytes(), |words| words == wanted.as_bytes()), "{wanted}");
        }
        for other in ["jane", "esx0", "VM", "10.1.2"] {
            let found = any_words(text.as_bytes(), |words| words == other.as_bytes());
            assert_eq!(found, other == "VM", "{other}");
        }
        let text = "\u{865a}\u{62df}\u{673a}Prod VM 1\u{6545}\u{969c}\u{2192}Zo\u{eb}-7\u{2026}";
        for wanted in ["Prod VM 1", "\u{865a}\u{62df}\u{673a}", "\u{865a}\u{62df}\u{673a}Prod", "Zo\u{eb}-7"]
        {
            assert!(any_words(text.as_bytes(), |words| words == wanted.as_bytes()), "{wanted}");
        }
        assert!(!any_words(b"", |_| true) && !any_words(b" -- ", |_| true));
    }
}
