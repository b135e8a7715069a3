//! How an identifier can be spelt inside of text. Redaction, which looks for what a batch knows, and erasure, which
//! looks for what is asked of it, go by the same rules: what the one replaces the other finds.

use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use super::detect::fold;

/// Bytes of the longest value that is looked for: a host's name has 253, the name of an object 80 characters.
pub(super) const LONGEST: usize = 256;
/// Values shorter than this stand in text for other things more often than not.
pub(super) const SHORT: usize = 4;

/// Shows every spelling of a value, from its first letter or digit to its last: as detectors read it, in small letters
/// and in capitals, composed and decomposed. Letter case of ASCII is left to whoever compares.
pub(super) fn each(value: &[u8], mut see: impl FnMut(&[u8])) {
    let Some(text) = std::str::from_utf8(value).ok().filter(|text| !text.is_ascii()) else {
        return core(value).into_iter().for_each(see);
    };
    let folded: Zeroizing<String> = Zeroizing::new(text.chars().filter_map(fold).collect());
    for case in [folded.clone(), folded.to_lowercase().into(), folded.to_uppercase().into()] {
        for spelling in [case.nfc().collect::<String>(), case.nfd().collect()].map(Zeroizing::new) {
            core(spelling.as_bytes()).into_iter().for_each(&mut see);
        }
    }
}

/// From the first letter or digit to the last.
fn core(spelling: &[u8]) -> Option<&[u8]> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
    let first = spelling.iter().position(is_word)?;
    let last = spelling.iter().rposition(is_word)?;
    spelling.get(first..=last)
}

/// Whether a spelling is looked for in the text of a batch that knows it. A short one has to have a letter and a digit,
/// as `db1`: of others (`vm`, `on`, `10`) text is full.
pub(super) fn is_telling(spelling: &[u8]) -> bool {
    let has = |what: fn(&u8) -> bool| spelling.iter().any(what);
    (SHORT..=LONGEST).contains(&spelling.len())
        || (2..SHORT).contains(&spelling.len()) && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic)
}

/// Whether a spelling can end where this byte stands beside it. Only a letter or digit of ASCII goes on with one of
/// ASCII: scripts without spaces, arrows and the like stand right beside a name. For the same reason a spelling that
/// ends in such a character ends anywhere.
#[inline]
pub(super) fn is_border(edge: u8, beside: Option<&u8>) -> bool {
    !edge.is_ascii() || beside.is_none_or(|beside| !beside.is_ascii_alphanumeric())
}

/// A host's name without its domain, which is the same machine, unless it could be any word.
pub(super) fn without_domain(canonical: &[u8]) -> Option<&[u8]> {
    let name = canonical.split(|byte| *byte == b'.').next()?;
    let has = |what: fn(&u8) -> bool| name.iter().any(what);
    let is_name = has(|byte| byte.is_ascii_digit() || *byte == b'-') && has(|byte| !byte.is_ascii_digit());
    (name.len() < canonical.len() && is_name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::{each, is_border, is_telling, without_domain};

    #[test]
    fn a_value_has_the_spellings_that_text_can_have_of_it() {
        let all = |value: &str| {
            let mut all = Vec::new();
            each(value.as_bytes(), |spelling| all.push(String::from_utf8_lossy(spelling).into_owned()));
            all.dedup();
            all
        };
        assert_eq!(all("(Prod VM 1)"), ["Prod VM 1"]);
        assert_eq!(all("--"), Vec::<String>::new());
        // The wide parentheses and the dash as detectors read them.
        assert_eq!(
            all("\u{8d22}\u{52a1}\u{ff08}A\u{2013}1\u{ff09}\u{5e93}"),
            [
                "\u{8d22}\u{52a1}(A-1)\u{5e93}",
                "\u{8d22}\u{52a1}(a-1)\u{5e93}",
                "\u{8d22}\u{52a1}(A-1)\u{5e93}"
            ]
        );
        let umlaut = all("\u{dc}ber");
        for spelling in ["\u{dc}ber", "\u{fc}ber", "\u{dc}BER", "U\u{308}ber", "u\u{308}ber"] {
            assert!(umlaut.iter().any(|one| one == spelling), "{spelling} in {umlaut:?}");
        }
    }

    #[test]
    fn short_values_are_looked_for_if_they_are_no_words_and_names_end_at_what_is_beyond_ascii() {
        for (value, telling) in [
            ("db1", true),
            ("x1", true),
            ("vm", false),
            ("10", false),
            ("abc", false),
            ("\u{5e93}", false),
            ("prod", true),
            ("\u{8d22}\u{52a1}", true),
            ("", false),
        ] {
            assert_eq!(is_telling(value.as_bytes()), telling, "{value}");
        }
        assert!(!is_telling(&[b'a'; 257]));
        assert!(is_border(b'a', None) && is_border(b'a', Some(&b'-')) && is_border(b'a', Some(&0xe6)));
        assert!(!is_border(b'a', Some(&b'b')) && is_border(0xe6, Some(&b'b')));
    }

    #[test]
    fn a_host_without_its_domain_is_no_plain_word_and_no_number() {
        for (name, short) in [
            ("esx-04.corp.example.com", Some("esx-04")),
            ("db1.lab", Some("db1")),
            ("www.example.com", None),
            ("10.1.2.3", None),
            ("esx-04", None),
        ] {
            assert_eq!(without_domain(name.as_bytes()), short.map(str::as_bytes), "{name}");
        }
    }
}
