//! IBANs.

use super::view::{self, DIGIT, LETTER, View, WORD, Word};
use super::{Finding, What};

/// Lengths of IBANs by country (SWIFT registry).
const IBAN: [(&[u8; 2], u8); 88] = [
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
];

/// An IBAN, from its country on: the country's length, in groups or not, and 1 modulo 97.
pub(super) fn iban(view: View<'_>, word: Word) -> Option<Finding> {
    let [first, second, third, fourth] = *view.ahead(word.start, 4).first_chunk::<4>()?;
    if !view::is(first, LETTER)
        || !view::is(second, LETTER)
        || !view::is(third, DIGIT)
        || !view::is(fourth, DIGIT)
    {
        return None;
    }
    let country = [first.to_ascii_uppercase(), second.to_ascii_uppercase()];
    let (_, len) = IBAN.iter().find(|(known, _)| **known == country)?;
    let (mut left, mut at, mut rest) = (*len, word.start, 0_u64);
    let mut head = 0_u64;
    while left > 0 {
        let byte = view.at(at);
        let value = match byte {
            b'0'..=b'9' => u64::from(byte - b'0'),
            b'a'..=b'z' | b'A'..=b'Z' => u64::from(byte.to_ascii_uppercase() - b'A') + 10,
            b' ' | b'-' if left < *len && view::is(view.before(at), WORD) => {
                at += 1;
                continue;
            }
            _ => return None,
        };
        // The first four characters count last.
        let part = if left + 4 > *len { &mut head } else { &mut rest };
        *part = *part * if value > 9 { 100 } else { 10 } + value;
        rest %= 97;
        left -= 1;
        at += 1;
    }
    let is_valid = (rest * 1_000_000 + head) % 97 == 1;
    let alone = !view::is(view.at(at), WORD) && !view::is(view.before(word.start), view::UNDERSCORE);
    (is_valid && alone).then_some(Finding { start: word.start, end: at, what: What::Iban })
}
