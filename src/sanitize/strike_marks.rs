//! Finds an erased identifier in stored values when it is not known any more, by its stable pseudonyms alone: every
//! value that was kept, every word of text and every few, is hashed as ingest would, and what looks like it however many
//! words it has. It takes an HMAC or two for each, and is needed only where an older copy of the data was put back.

use std::sync::Arc;

use super::canonical::{Canonical, Scratch, canonical, canonical_bytes, canonical_int};
use super::detect::{Folded, is_alphabet};
use super::erased_marks::Found;
use super::outline::Outlines;
use super::stored::StoredValue;
use super::strike::is_party;
use super::strike_find::Told;
use super::{CustomerSecret, ProgramKeys, meant};
use crate::model::{IdentifierClass, ProgramName};
use crate::policy::Epoch;

/// Pseudonyms to look for, and the secret that they are derived from.
pub(super) struct Marks {
    secret: Arc<CustomerSecret>,
    /// Those of the class that was asked for come first.
    tokens: Vec<(IdentifierClass, [u8; 16])>,
    /// Those that only words of text have.
    in_text: Vec<[u8; 16]>,
    outlines: Outlines,
}

impl Marks {
    pub(super) fn new(
        secret: &Arc<CustomerSecret>,
        tokens: &[(IdentifierClass, [u8; 16])],
        found: &Found,
    ) -> Self {
        let mut outlines = Outlines::default();
        outlines.extend(found.outlines_of(tokens.first().map(|(class, _)| *class)));
        outlines.finish();
        let (secret, tokens, in_text) = (Arc::clone(secret), tokens.to_vec(), found.in_text.clone());
        Self { secret, tokens, in_text, outlines }
    }

    /// The same for batches of one program.
    pub(super) fn of(&self, program: &ProgramName) -> ProgramMarks<'_> {
        // The stable pseudonym is of no epoch.
        ProgramMarks { keys: self.secret.program(program, 0), marks: self }
    }
}

/// Pseudonyms to look for in batches of one program.
pub(super) struct ProgramMarks<'m> {
    keys: Arc<ProgramKeys>,
    marks: &'m Marks,
}

impl ProgramMarks<'_> {
    /// Whether what a field has is it, in any letter case, unless all is taken that its owner sent.
    fn is(&self, class: IdentifierClass, form: Canonical<'_>) -> bool {
        let Canonical::Identifier(form) = form else { return false };
        let mut is = |form: &[u8]| {
            let token = self.keys.token(class, Epoch::Stable, form);
            token.is_some_and(|token| self.marks.tokens.contains(&(class, token)))
        };
        if is_party(class) { is(form) } else { meant::any_case(form, &mut is) }
    }

    /// Whether words of a text are the identifier or a part of it, as text is compared.
    fn are(&self, words: &[u8], scratch: &mut Scratch) -> bool {
        let Some((class, _)) = self.marks.tokens.first() else { return false };
        meant::any_form(*class, words, scratch, |form| {
            self.keys.token(*class, Epoch::Stable, form).is_some_and(|token| {
                self.marks.tokens.contains(&(*class, token)) || self.marks.in_text.contains(&token)
            })
        })
    }

    /// Whether a text has words that look like the identifier and are it, or any words that are.
    fn are_in_text(&self, text: &[u8], scratch: &mut Scratch) -> bool {
        let mut in_words = |text: &str| {
            self.marks.outlines.any_in(text, |_, words| self.are(words.as_bytes(), scratch))
                || self.marks.outlines.any_address_in(text, |_, form| self.are(form, scratch))
        };
        let looks_so = std::str::from_utf8(text).is_ok_and(|text| {
            Folded::default().any(text, |reading| {
                let reading = std::str::from_utf8(reading).unwrap_or_default();
                in_words(reading) || meant::broken(reading).is_some_and(|text| in_words(&text))
            })
        });
        looks_so || any_words(text, |words| self.are(words, scratch))
    }

    /// Whether a value without parts is what is looked for, or holds it.
    pub(super) fn are_in(&self, value: &StoredValue<'_>, told: Told, scratch: &mut Scratch) -> bool {
        let is_of = |class: &IdentifierClass| self.marks.tokens.iter().any(|(wanted, _)| wanted == class);
        let class = told.class.filter(|class| told.kept && is_of(class));
        match value {
            StoredValue::Text(text) => {
                class.is_some_and(|class| self.is(class, canonical(class, text, scratch)))
                    || (told.is_free() && self.are_in_text(text, scratch))
            }
            StoredValue::Bytes(bytes) => {
                class.is_some_and(|class| self.is(class, canonical_bytes(class, bytes, scratch)))
            }
            StoredValue::Int(number) => {
                class.is_some_and(|class| self.is(class, canonical_int(class, *number, scratch)))
            }
            StoredValue::Token(_)
            | StoredValue::Empty
            | StoredValue::Double(_)
            | StoredValue::Bool(_)
            | StoredValue::Record(_)
            | StoredValue::List(_)
            | StoredValue::Map(_) => false,
        }
    }
}

/// Names of people, virtual machines and places have up to so many words, most often.
const WORDS: usize = 5;

/// Whether any word of a text passes, or any few that follow each other.
fn any_words(text: &[u8], mut is: impl FnMut(&[u8]) -> bool) -> bool {
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
