//! Finds one original identifier in stored values: as a pseudonym, as the text of one inside other text, as a value that
//! was kept, and as a word of text that is there in any spelling and reading. What redaction would replace if a field of
//! the request had the identifier is found, by redaction's own look ([`Alone`]), and more: inside of longer words, and
//! addresses that no detector takes for one. An event too many is the lesser harm.

use data_encoding::BASE32HEX_NOPAD;
use memchr::memmem;
use zeroize::Zeroizing;

use super::canonical::{Canonical, Scratch, canonical, canonical_bytes, canonical_int};
use super::detect::Folded;
use super::redact::Alone;
use super::redact::item::{self, Item};
use super::stored::{StoredSpec, StoredValue};
use super::strike::is_party;
use super::{addresses, meant, spelling};
use crate::model::IdentifierClass;

/// Spellings as long as this are found inside of any word: hardly another has them in it.
const LONG_BYTES: usize = 8;
/// Letters of a token's text, after its prefix.
const TOKEN_LETTERS: usize = 26;

/// An identifier in its canonical form, wiped when it is dropped.
pub(super) struct Original {
    pub(super) class: IdentifierClass,
    pub(super) canonical: Zeroizing<Vec<u8>>,
    /// How it can be spelt in text.
    pub(super) spellings: Vec<Zeroizing<Vec<u8>>>,
    /// As redaction looks for it.
    alone: Alone,
}

impl Original {
    /// Bytes of the shortest spelling: a single letter or digit is not looked for inside of text.
    pub(super) const SHORTEST: usize = 2;

    /// An identifier, in its canonical form and as it was given.
    pub(super) fn new(class: IdentifierClass, canonical: Zeroizing<Vec<u8>>, given: &[u8]) -> Self {
        let mut spellings: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        let mut add = |value: &[u8]| {
            spelling::each(value, |spelling| {
                let is_new = !spellings.iter().any(|known| known.eq_ignore_ascii_case(spelling));
                if spelling.len() >= Self::SHORTEST && is_new {
                    spellings.push(Zeroizing::new(spelling.to_vec()));
                }
            });
        };
        add(&canonical);
        add(given);
        // Without the backslash that a text has before a quote or as a line end.
        add(&meant::plain(given));
        spelling::parts(class, &canonical, given, &mut add);
        meant::tails(class, &canonical, add);
        let alone = Alone::new(class, &[&canonical, given]);
        Self { class, canonical, spellings, alone }
    }

    /// One that is looked for in fields of its class only.
    pub(super) fn of_field(class: IdentifierClass, canonical: Zeroizing<Vec<u8>>) -> Self {
        Self { class, canonical, spellings: Vec::new(), alone: Alone::default() }
    }

    /// Whether it stands in what is read of a text.
    fn is_in(&self, reading: &[u8]) -> bool {
        let has_word = || self.spellings.iter().any(|spelling| contains_word(reading, spelling));
        let is_known = |at: usize| self.alone.is_at(reading, at) && !is_ours(reading, at);
        let has_address = || {
            let text = std::str::from_utf8(reading).unwrap_or_default();
            addresses::any(text, |form| *form == **self.canonical)
        };
        has_word() || (0..reading.len()).any(is_known) || has_address()
    }

    /// Whether redaction would find it in a text.
    fn is_found_in(&self, text: &str, folded: &mut Folded, scratch: &mut Scratch) -> bool {
        let is = |_, form: &[u8]| meant::are_same(form, &self.canonical);
        self.alone.is_found_in(text, folded, (scratch, is))
    }
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
        let same = |form: Canonical<'_>, original: &Original| match form {
            Canonical::Identifier(form) if is_party(original.class) => *form == **original.canonical,
            Canonical::Identifier(form) => meant::are_same(form, &original.canonical),
            Canonical::Known(_) | Canonical::Malformed => false,
        };
        match value {
            StoredValue::Token(token) => self.has(token),
            StoredValue::Text(text) => {
                self.kept(told, |one| same(canonical(one.class, text, scratch), one))
                    || self.has_token_text(text)
                    || told.is_free() && self.has_word(text, scratch)
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

    /// Whether an original stands in a text that identifies and was not replaced, in any letter case and reading.
    fn has_word(&self, text: &[u8], scratch: &mut Scratch) -> bool {
        let mut sought = self.originals.iter().filter(|original| !original.spellings.is_empty()).peekable();
        if sought.peek().is_none() {
            return false;
        }
        let Ok(text) = std::str::from_utf8(text) else { return sought.any(|original| original.is_in(text)) };
        let mut folded = Folded::default();
        sought.any(|original| {
            folded.any(text, |reading| original.is_in(reading))
                || original.is_found_in(text, &mut folded, scratch)
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

/// Whether `word` stands in `text` with nothing around it that it could be a part of. A long one is found inside of other
/// words too, unless it is a number in a longer one: `10.1.2.3` is not in `10.1.2.34`.
fn contains_word(text: &[u8], word: &[u8]) -> bool {
    let ends = |edge: Option<&u8>, beside: Option<&u8>| {
        let Some(edge) = edge else { return false };
        if word.len() >= LONG_BYTES {
            !(edge.is_ascii_digit() && beside.is_some_and(u8::is_ascii_digit))
        } else if word.len() < spelling::SHORT && !edge.is_ascii() {
            beside.is_none_or(|beside| beside.is_ascii() && !beside.is_ascii_alphanumeric())
        } else {
            spelling::is_border(*edge, beside)
        }
    };
    text.windows(word.len()).enumerate().any(|(at, window)| {
        window.eq_ignore_ascii_case(word)
            && ends(word.first(), at.checked_sub(1).and_then(|before| text.get(before)))
            && ends(word.last(), text.get(at + word.len()))
            && !is_ours(text, at)
    })
}

/// Whether a place is inside of a token or marker of ours, whose words are nobody's: `vm` of `p1-vm_id-s-…`.
fn is_ours(text: &[u8], at: usize) -> bool {
    const LONGEST: usize = 80;
    (at.saturating_sub(LONGEST)..=at).any(|place| {
        let item = match text.get(place) {
            Some(b'[') => item::marker(text, place),
            Some(b'p') => item::token(text, place),
            _ => None,
        };
        item.is_some_and(|item| match item {
            Item::Marker { end } | Item::Token { end, .. } => end > at,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{contains_word, token_at};

    #[test]
    fn a_word_is_found_in_any_letter_case_and_a_short_one_whole() {
        for (text, word, found) in [
            ("login on ESX01.corp failed", "esx01.corp", true),
            ("esx01.corp", "esx01.corp", true),
            ("(esx01.corp)", "esx01.corp", true),
            ("esx01.corp.example", "esx01.corp", true),
            // Eight bytes and more are found anywhere, but numbers in no longer ones.
            ("xesx01.corp", "esx01.corp", true),
            ("esx01.corporate", "esx01.corp", true),
            ("at 10.1.2.34", "10.1.2.3", false),
            ("at 110.1.2.3", "10.1.2.3", false),
            ("at\u{2192}10.1.2.3\u{6545}", "10.1.2.3", true),
            ("esx01x", "esx01", false),
            ("\u{e9}esx01\u{6545}", "esx01", true),
            // Short ones by themselves.
            ("pool db1 is full", "db1", true),
            ("\u{6c60}db1\u{6ee1}", "db1", true),
            ("pool db12 is full", "db1", false),
            ("the on switch", "on", true),
            ("none", "on", false),
            // The words of tokens and markers are nobody's.
            ("at p1-vm_id-s-0123456789abcdefghijklmnop [email]", "vm", false),
            ("at p1-vm_id-s-0123456789abcdefghijklmnop [email]", "email", false),
            ("at p1-vm_id-s-0123456789abcdefghijklmnop vm [email] email", "vm", true),
            ("at p1-vm_id-s-0123456789abcdefghijklmnop vm [email] email", "email", true),
            // Names in scripts without spaces have no border.
            ("\u{8fde}\u{63a5}\u{8d22}\u{52a1}\u{673a}\u{5931}\u{8d25}", "\u{8d22}\u{52a1}\u{673a}", true),
            ("\u{8fde}\u{5e93}\u{5931}", "\u{5e93}", false),
            ("at \u{5e93}.", "\u{5e93}", true),
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
