//! What is not an identifier: a closed list of values that many machines share, each with the public word
//! that is stored in its place. A pseudonym of one would make a single "host" of everybody's placeholder.

/// Nothing but zeros.
pub(super) const ZERO: &str = "zero";
/// Nothing but ones.
pub(super) const ONES: &str = "ones";
/// Everybody on the link.
pub(super) const BROADCAST: &str = "broadcast";
/// A name for the machine itself.
const LOCALHOST: &str = "localhost";
/// A value that was never set.
const UNINITIALIZED: &str = "uninitialized";
/// An address that means something on one link only.
pub(super) const LINK_LOCAL: &str = "link-local";
/// An address of the machine itself.
pub(super) const LOOPBACK: &str = "loopback";
/// The address that means none.
pub(super) const UNSPECIFIED: &str = "unspecified";
/// What stands where a value is missing.
pub(super) const PLACEHOLDER: &str = "placeholder";
/// No text at all.
pub(super) const EMPTY: &str = "empty";

/// Every word that can be stored in the place of a value that is not an identifier.
pub const WORDS: [&str; 10] =
    [ZERO, ONES, BROADCAST, LOCALHOST, UNINITIALIZED, LINK_LOCAL, LOOPBACK, UNSPECIFIED, PLACEHOLDER, EMPTY];

/// The word that `text` is, if it is one of [`WORDS`].
#[must_use]
pub fn known_word(text: &[u8]) -> Option<&'static str> {
    WORDS.iter().copied().find(|word| word.as_bytes() == text)
}

/// The placeholders of one length, in lower case. The texts are those that operating systems, SDKs
/// and DMI tables (`dmidecode`, fwupd and hwdata list them) put where there is no value.
const fn of_len(len: usize) -> &'static [(&'static str, &'static str)] {
    const fn of(text: &'static str) -> (&'static str, &'static str) {
        (text, PLACEHOLDER)
    }
    match len {
        1 => const { &[of("-"), of("?")] },
        2 => const { &[of("--"), of("??")] },
        3 => const { &[of("n/a"), of("nil"), of("???"), of("---"), of("...")] },
        4 => const { &[of("none"), of("null"), of("n.a."), of("????")] },
        5 => const { &[of("unset"), of("<nil>"), of("empty")] },
        6 => const { &[of("(none)"), of("(null)"), of("<null>"), of("<none>"), of("o.e.m.")] },
        7 => const { &[of("unknown"), of("not set"), of("<empty>"), of("invalid")] },
        9 => {
            const {
                &[
                    ("localhost", LOCALHOST),
                    of("undefined"),
                    of("(unknown)"),
                    of("<unknown>"),
                    of("(not set)"),
                    of("123456789"),
                ]
            }
        }
        10 => {
            const { &[("localhost4", LOCALHOST), ("localhost6", LOCALHOST), of("0123456789"), of("1234567890")] }
        }
        11 => const { &[of("placeholder"), of("unspecified"), of("unavailable")] },
        12 => const { &[("ip6-loopback", LOCALHOST)] },
        13 => {
            const {
                &[
                    ("ip6-localhost", LOCALHOST),
                    ("uninitialized", UNINITIALIZED),
                    ("uninitialised", UNINITIALIZED),
                    of("not available"),
                    of("not specified"),
                    of("serial number"),
                ]
            }
        }
        14 => const { &[of("default string"), of("not applicable")] },
        15 => const { &[("not initialized", UNINITIALIZED), ("not initialised", UNINITIALIZED)] },
        18 => const { &[("localhost.localdom", LOCALHOST)] },
        19 => const { &[of("to be filled by oem")] },
        20 => const { &[of("system serial number")] },
        21 => const { &[("localhost.localdomain", LOCALHOST), of("chassis serial number")] },
        22 => const { &[of("to be filled by o.e.m.")] },
        23 => const { &[("localhost4.localdomain4", LOCALHOST), ("localhost6.localdomain6", LOCALHOST)] },
        24 => const { &[of("base board serial number")] },
        _ => &[],
    }
}

/// The word for `text` (trimmed) if it is a placeholder in any class: one of the list, in any letter
/// case, or nothing but zeros and separators.
#[inline]
pub(super) fn placeholder(text: &[u8]) -> Option<&'static str> {
    if let Some((_, word)) =
        of_len(text.len()).iter().find(|(known, _)| text.eq_ignore_ascii_case(known.as_bytes()))
    {
        return Some(word);
    }
    let zeros = text.first() == Some(&b'0') && text.iter().all(|byte| b"0-:._ ".contains(byte));
    zeros.then_some(ZERO)
}

#[cfg(test)]
mod tests {
    use super::{WORDS, known_word, of_len, placeholder};

    #[test]
    fn every_placeholder_is_listed_under_its_length_in_lower_case() {
        for len in 0..64 {
            for (text, word) in of_len(len) {
                assert_eq!(text.len(), len, "{text}");
                assert_eq!(*text, text.to_ascii_lowercase());
                assert!(WORDS.contains(word));
            }
        }
    }

    #[test]
    fn placeholders_are_found_in_any_case_and_nothing_else_is() {
        for (text, word) in [
            ("N/A", Some("placeholder")),
            ("NULL", Some("placeholder")),
            ("To Be Filled By O.E.M.", Some("placeholder")),
            ("Default string", Some("placeholder")),
            ("Not Specified", Some("placeholder")),
            ("LocalHost", Some("localhost")),
            ("localhost.localdomain", Some("localhost")),
            ("localhost.localdom", Some("localhost")),
            ("Uninitialized", Some("uninitialized")),
            ("0000-0000", Some("zero")),
            ("0", Some("zero")),
            ("0x0", None),
            ("000001", None),
            ("unknown-host", None),
            ("na", None),
            ("zero", None),
            ("", None),
        ] {
            assert_eq!(placeholder(text.as_bytes()), word, "{text}");
        }
    }

    #[test]
    fn words_are_recognised_as_such() {
        for word in WORDS {
            assert_eq!(known_word(word.as_bytes()), Some(word));
        }
        assert_eq!(known_word(b"Zero"), None);
    }
}
