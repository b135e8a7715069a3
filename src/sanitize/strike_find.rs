//! Finds one original identifier in stored values: as a pseudonym, as the text of one inside other text, and as a
//! value that was kept.

use data_encoding::BASE32HEX_NOPAD;
use memchr::memmem;
use zeroize::Zeroizing;

use super::canonical::{Canonical, Scratch, canonical, canonical_bytes, canonical_int};
use super::stored::{StoredSpec, StoredValue};
use crate::model::IdentifierClass;

/// Words shorter than this are not looked for inside text: they stand in it for other things.
const WORD_BYTES: usize = 4;
/// Letters of a token's text, after its prefix.
const TOKEN_LETTERS: usize = 26;

/// An identifier in its canonical form, wiped when it is dropped.
pub(super) struct Original {
    pub(super) class: IdentifierClass,
    pub(super) canonical: Zeroizing<Vec<u8>>,
    /// As it was given, without what is around it.
    pub(super) given: Zeroizing<Vec<u8>>,
}

/// What is looked for.
#[derive(Default)]
pub(super) struct Wanted {
    /// Pseudonyms, in order.
    pub(super) tokens: Vec<[u8; 16]>,
    pub(super) originals: Vec<Original>,
}

/// What the table of a batch says of a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) class: Option<IdentifierClass>,
    pub(super) kept: bool,
    redacted: bool,
}

impl Told {
    pub(super) fn of(spec: &StoredSpec<'_>) -> Self {
        let class = std::str::from_utf8(spec.class).ok().and_then(|word| word.parse().ok());
        Self { class, kept: spec.treatment == b"keep", redacted: spec.treatment == b"redact" }
    }

    /// Whether it is text that identifies, and is not replaced as a whole.
    pub(super) fn is_free(self) -> bool {
        self.class.is_some_and(|class| class != IdentifierClass::NotIdentifying)
            && (self.kept || self.redacted)
    }

    /// A customer's or an instance's id: kept, unless it is a pseudonym.
    pub(super) const fn party(class: IdentifierClass) -> Self {
        Self { class: Some(class), kept: true, redacted: false }
    }
}

impl Wanted {
    /// Whether a value without parts is what is looked for, or holds it.
    pub(super) fn is_in(&self, value: &StoredValue<'_>, told: Told, scratch: &mut Scratch) -> bool {
        let same = |form: Canonical<'_>, original: &Original| {
            form == Canonical::Identifier(original.canonical.as_slice())
        };
        match value {
            StoredValue::Token(token) => self.has(token),
            StoredValue::Text(text) => {
                self.kept(told, |one| same(canonical(one.class, text, scratch), one))
                    || self.has_token_text(text)
                    || self.has_word(text, told)
            }
            StoredValue::Bytes(bytes) => {
                self.kept(told, |one| same(canonical_bytes(one.class, bytes, scratch), one))
            }
            StoredValue::Int(number) => {
                self.kept(told, |one| same(canonical_int(one.class, *number, scratch), one))
            }
            StoredValue::Empty
            | StoredValue::Double(_)
            | StoredValue::Bool(_)
            | StoredValue::Record(_)
            | StoredValue::List(_)
            | StoredValue::Map(_) => false,
        }
    }

    fn has(&self, token: &[u8; 16]) -> bool {
        self.tokens.binary_search(token).is_ok()
    }

    /// Whether a kept value is an original of its class.
    fn kept(&self, told: Told, is: impl FnMut(&Original) -> bool) -> bool {
        let of_class = |original: &&Original| told.kept && Some(original.class) == told.class;
        self.originals.iter().filter(of_class).any(is)
    }

    /// Whether the text of a wanted pseudonym stands in a text.
    fn has_token_text(&self, text: &[u8]) -> bool {
        memmem::find_iter(text, b"p1-")
            .any(|at| token_at(text.get(at..)).is_some_and(|token| self.has(&token)))
    }

    /// Whether an original stands in a text that identifies and was not replaced, as a word and in any letter case.
    fn has_word(&self, text: &[u8], told: Told) -> bool {
        told.is_free()
            && self.originals.iter().any(|original| {
                contains_word(text, &original.canonical) || contains_word(text, &original.given)
            })
    }
}

/// The token whose text begins here, such as `p1-host_name-s-` and 26 letters.
fn token_at(text: Option<&[u8]>) -> Option<[u8; 16]> {
    let rest = text?.strip_prefix(b"p1-")?;
    let class = rest.iter().position(|byte| *byte == b'-')?;
    let rest = rest.get(class + 1..)?;
    let epoch = rest.iter().position(|byte| *byte == b'-')?;
    let letters: [u8; TOKEN_LETTERS] = *rest.get(epoch + 1..)?.first_chunk()?;
    let mut token = [0; 16];
    let decoded = BASE32HEX_NOPAD.decode_mut(&letters.map(|byte| byte.to_ascii_uppercase()), &mut token);
    decoded.is_ok_and(|len| len == token.len()).then_some(token)
}

/// Whether `word` stands in `text` with nothing around it that it could be a part of.
fn contains_word(text: &[u8], word: &[u8]) -> bool {
    if word.len() < WORD_BYTES {
        return false;
    }
    let part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80);
    text.windows(word.len()).enumerate().any(|(at, window)| {
        window.eq_ignore_ascii_case(word)
            && !part(at.checked_sub(1).and_then(|before| text.get(before)))
            && !part(text.get(at + word.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::{contains_word, token_at};

    #[test]
    fn a_word_is_found_whole_and_in_any_letter_case() {
        for (text, word, found) in [
            ("login on ESX01.corp failed", "esx01.corp", true),
            ("esx01.corp", "esx01.corp", true),
            ("(esx01.corp)", "esx01.corp", true),
            ("xesx01.corp", "esx01.corp", false),
            ("esx01.corporate", "esx01.corp", false),
            ("esx01.corp.example", "esx01.corp", true),
            ("\u{e9}esx01.corp", "esx01.corp", false),
            ("the on switch", "on", false),
            ("", "esx01", false),
        ] {
            assert_eq!(contains_word(text.as_bytes(), word.as_bytes()), found, "{word} in {text}");
        }
    }

    #[test]
    fn the_text_of_a_token_is_read_and_nothing_else_is() {
        let letters = "0123456789abcdefghijklmn00";
        for (text, read) in [
            (format!("p1-host_name-s-{letters}"), true),
            (format!("p1-ip_address-r690-{letters} and more"), true),
            (format!("p1-host_name-s-{}", letters.get(1..).unwrap_or_default()), false),
            (format!("p1-host_name-{letters}"), false),
            ("p1-".to_owned(), false),
            ("p1-host_name-s-0123456789abcdefghijklmnzz".to_owned(), false),
        ] {
            assert_eq!(token_at(Some(text.as_bytes())).is_some(), read, "{text}");
        }
    }
}
