//! Items of redacted text: tokens and markers, as they are written and as they are read again.
//!
//! ```text
//! token  = "p1-" class "-s-" digits | "p1-" class "-r" epoch "-" digits     digits: 26 of base32hex, lower case
//! marker = "[" class "]" | "[" ("payment_card" | "iban" | "national_id" | "encoded" | "token" | "cut") "]"
//! ```
//!
//! Neither begins with what can go on an item that was begun before it, so what is read is what was written.

use crate::model::IdentifierClass;
use crate::policy::Epoch;
use crate::sanitize::detect::What;

/// Characters of a token after its prefix.
pub(in crate::sanitize) const DIGITS: usize = 26;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
/// The marker of a text that was cut.
pub(super) const CUT: &str = "cut";

/// An item in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sanitize) enum Item {
    /// A marker.
    Marker {
        /// Where it ends.
        end: usize,
    },
    /// A token.
    Token {
        /// Where it begins.
        start: usize,
        /// Where it ends.
        end: usize,
        /// Its class.
        class: IdentifierClass,
        /// The epoch of its key.
        epoch: Epoch,
        /// The pseudonym.
        bits: [u8; 16],
    },
}

/// The words of markers that are no classes.
fn is_marker_word(word: &[u8]) -> bool {
    word == CUT.as_bytes()
        || What::CLASSLESS.iter().any(|what| what.word().as_bytes() == word)
        || IdentifierClass::ALL.iter().any(|class| class.as_str().as_bytes() == word)
}

/// The item that is at, or that is begun by, the word from `start` to `end`.
#[inline]
pub(in crate::sanitize) fn at_word(text: &[u8], start: usize, end: usize) -> Option<Item> {
    let before = start.checked_sub(1).and_then(|at| text.get(at));
    if before == Some(&b'[')
        && let Some(marker) = marker(text, start - 1)
    {
        return Some(marker);
    }
    if text.get(end) == Some(&b'-') && end >= start + 2 && text.get(end - 2..end) == Some(b"p1") {
        return token(text, end - 2);
    }
    None
}

/// The marker at a place.
pub(in crate::sanitize) fn marker(text: &[u8], start: usize) -> Option<Item> {
    const LONGEST: usize = 24;
    let inner = text.get(start + 1..)?;
    let len = inner.iter().take(LONGEST).position(|byte| !byte.is_ascii_lowercase() && *byte != b'_')?;
    let closed = text.get(start) == Some(&b'[') && inner.get(len) == Some(&b']');
    (closed && is_marker_word(inner.get(..len)?)).then_some(Item::Marker { end: start + len + 2 })
}

/// The token at a place.
pub(in crate::sanitize) fn token(text: &[u8], start: usize) -> Option<Item> {
    let rest = text.get(start..)?.strip_prefix(b"p1-")?;
    let class = IdentifierClass::ALL.iter().find_map(|class| {
        let rest = rest.strip_prefix(class.as_str().as_bytes())?.strip_prefix(b"-")?;
        Some((*class, rest))
    });
    let (class, rest) = class?;
    let (epoch, rest) = match rest {
        [b's', b'-', rest @ ..] => (Epoch::Stable, rest),
        [b'r', rest @ ..] => {
            let len = rest.iter().take(11).position(|byte| !byte.is_ascii_digit()).filter(|len| *len > 0)?;
            (Epoch::Rotating, rest.get(len..)?.strip_prefix(b"-")?)
        }
        _ => return None,
    };
    let digits = rest.get(..DIGITS)?;
    let mut number: u128 = 0;
    for (at, digit) in digits.iter().enumerate() {
        let value =
            ALPHABET.iter().position(|known| known == digit).and_then(|value| u128::try_from(value).ok())?;
        // The last digit has three bits and two that are nothing.
        number = if at + 1 < DIGITS { number << 5 | value } else { number << 3 | value >> 2 };
    }
    let end = text.len() - rest.len() + DIGITS;
    Some(Item::Token { start, end, class, epoch, bits: number.to_be_bytes() })
}

/// Appends a marker.
pub(super) fn write_marker(word: &str, out: &mut Vec<u8>) {
    out.push(b'[');
    out.extend_from_slice(word.as_bytes());
    out.push(b']');
}

/// Appends a token; `rotation` is the number of the epoch of rotating keys.
pub(super) fn write_token(
    class: IdentifierClass,
    epoch: Epoch,
    rotation: u32,
    bits: [u8; 16],
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"p1-");
    out.extend_from_slice(class.as_str().as_bytes());
    match epoch {
        Epoch::Stable => out.extend_from_slice(b"-s-"),
        Epoch::Rotating => {
            use std::io::Write as _;
            // Writing to a `Vec` has no error to give.
            _ = write!(out, "-r{rotation}-");
        }
    }
    let number = u128::from_be_bytes(bits);
    let digit = |value: u128| {
        usize::try_from(value & 31).ok().and_then(|at| ALPHABET.get(at)).copied().unwrap_or(b'0')
    };
    out.extend((0..25).map(|at| digit(number >> (123 - 5 * at))));
    out.push(digit((number & 7) << 2));
}

#[cfg(test)]
mod tests {
    use super::{Item, at_word, marker, token, write_marker, write_token};
    use crate::model::IdentifierClass;
    use crate::policy::Epoch;
    use crate::sanitize::detect::What;

    #[test]
    fn a_token_reads_as_it_was_written_and_prints_as_that_of_a_field() {
        for class in IdentifierClass::ALL {
            for epoch in [Epoch::Stable, Epoch::Rotating] {
                for seed in [0_u128, 1, u128::MAX, 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210] {
                    let bits = seed.to_be_bytes();
                    let mut out = b"x".to_vec();
                    write_token(*class, epoch, 690, bits, &mut out);
                    let expected = data_encoding::BASE32HEX_NOPAD.encode(&bits).to_ascii_lowercase();
                    assert!(out.ends_with(expected.as_bytes()), "{class}");
                    let end = out.len();
                    out.extend_from_slice(b"0rest");
                    let read = Item::Token { start: 1, end, class: *class, epoch, bits };
                    assert_eq!(token(&out, 1), Some(read));
                    assert_eq!(at_word(&out, 0, 3), Some(read));
                }
            }
        }
    }

    #[test]
    fn what_is_nearly_a_token_or_a_marker_is_none() {
        for text in [
            "p1-host_name-s-",
            "p1-host_name-s-0123456789abcdefghijklmno",
            "p1-host_name-s-0123456789abcdefghijklmnoW",
            "p1-host_name-r-0123456789abcdefghijklmnop",
            "p1-host-s-0123456789abcdefghijklmnop",
            "p2-host_name-s-0123456789abcdefghijklmnop",
            "P1-host_name-s-0123456789abcdefghijklmnop",
        ] {
            assert_eq!(token(text.as_bytes(), 0), None, "{text}");
        }
        for text in
            ["[]", "[mac", "[MAC_ADDRESS]", "[mac address]", "[nothing]", "mac_address]", "[mac_address_]"]
        {
            assert_eq!(marker(text.as_bytes(), 0), None, "{text}");
        }
    }

    #[test]
    fn every_marker_reads_as_it_was_written() {
        let classes = IdentifierClass::ALL.iter().map(|class| class.as_str());
        for word in classes.chain(What::CLASSLESS.map(What::word)).chain(["cut"]) {
            let mut out = Vec::new();
            write_marker(word, &mut out);
            assert_eq!(marker(&out, 0), Some(Item::Marker { end: out.len() }), "{word}");
        }
    }
}
