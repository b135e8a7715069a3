//! Telephone numbers: `+` and digits as in E.164, or the digits of a number without its country.

use super::{Found, digest, known};

/// Digits of the shortest number (an extension of a private exchange) and of the longest (E.164).
const DIGITS: std::ops::RangeInclusive<usize> = 3..=15;

/// Digits of an extension, and what stands before them; the longer words first.
const EXTENSION: std::ops::RangeInclusive<usize> = 1..=6;
const WORDS: [&[u8]; 8] = [b"extension", b"durchwahl", b"ext.", b"ext=", b"ext", b"poste", b"x", b"#"];

/// Bytes of the longest text that is looked at for one. What is longer is no number, and could have extensions without end.
const LONGEST: usize = 64;

/// What people put between digits.
const fn is_separator(c: char) -> bool {
    matches!(
        c,
        ' ' | '-' | '.' | '/' | '(' | ')' | '\u{a0}' | '\u{202f}' | '\u{2009}' | '\u{2010}'..='\u{2013}'
    )
}

#[inline]
pub(super) fn canonical<'t>(text: &'t str, out: &mut Vec<u8>) -> Found<'t> {
    if let Some(word) = known::placeholder(text.as_bytes()) {
        return Found::Known(word);
    }
    match number(text, out) {
        Some(found) => found,
        None => digest::any(text.as_bytes(), out).unwrap_or(Found::Malformed),
    }
}

fn number<'t>(text: &'t str, out: &mut Vec<u8>) -> Option<Found<'t>> {
    let scheme = text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("tel:"));
    let number = if scheme { text.get(4..)? } else { text };
    let mut rest = number.trim_start_matches(is_separator);
    // 00 is the international prefix that the ITU recommends; some countries have another, and a
    // number that was dialled with one of those stays a national number.
    let zeros = || rest.strip_prefix('0')?.trim_start_matches(is_separator).strip_prefix('0');
    let international = rest.strip_prefix('+').or_else(zeros);
    if let Some(after) = international {
        out.push(b'+');
        rest = after;
    }
    let start = out.len();
    // The trunk prefix is not dialled after a country's code: +44 (0)20 7946 0000.
    let trunk = international.and(rest.find("(0)"));
    for (at, c) in rest.char_indices() {
        match c {
            '0' if trunk.is_some_and(|trunk| trunk + 1 == at) => {}
            '0'..='9' => super::text::push(c, out),
            c if is_separator(c) => {}
            _ => return None,
        }
    }
    let digits = out.get(start..)?;
    if digits.iter().all(|digit| *digit == b'0') && !digits.is_empty() {
        return Some(Found::Known(known::ZERO));
    }
    // No country's code begins with 0.
    let begins = international.is_none() || digits.first() != Some(&b'0');
    let fits = DIGITS.contains(&digits.len()) && begins;
    fits.then(
        || if out.as_slice() == text.as_bytes() { Found::AsIs(text.as_bytes()) } else { Found::Written },
    )
}

/// A number as text without the extension behind it, if it has one: `+1 555 123 4567 ext. 89`, `…x89`, `tel:…;ext=89`. With it, it is
/// no number of E.164; without, it is the same line.
pub(in crate::sanitize) fn without_extension(text: &[u8]) -> Option<&[u8]> {
    if text.len() > LONGEST {
        return None;
    }
    let end = text.iter().rposition(|byte| !byte.is_ascii_digit())? + 1;
    let (before, digits) = text.split_at_checked(end)?;
    if !EXTENSION.contains(&digits.len()) {
        return None;
    }
    let word = before.trim_ascii_end();
    let number = WORDS.iter().find_map(|name| {
        let (number, last) = word.split_at_checked(word.len().checked_sub(name.len())?)?;
        last.eq_ignore_ascii_case(name).then_some(number)
    })?;
    let number = number.trim_ascii_end();
    let number = number.strip_suffix(b",").or_else(|| number.strip_suffix(b";")).unwrap_or(number);
    (!number.is_empty()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::without_extension;
    use crate::model::IdentifierClass::Phone;
    use crate::sanitize::canonical::checks::{cases, malformed};

    #[test]
    fn punctuation_does_not_matter() {
        cases(
            Phone,
            &[
                ("+15551234567", "+15551234567"),
                ("+1 (555) 123-4567", "+15551234567"),
                ("+1.555.123.4567", "+15551234567"),
                ("001 555 123 4567", "+15551234567"),
                ("0.0.1 555 123 4567", "+15551234567"),
                ("tel:+1-555-123-4567", "+15551234567"),
                ("(555) 123-4567", "5551234567"),
                ("+44 (0)20 7946 0000", "+442079460000"),
                ("+44\u{a0}20\u{a0}7946\u{2011}0000", "+442079460000"),
                ("(0)20 7946 0000", "02079460000"),
                ("030/123456", "030123456"),
                ("112", "112"),
                ("000-0000", "=zero"),
                ("(000) 000-0000", "=zero"),
                ("n/a", "=placeholder"),
            ],
        );
    }

    #[test]
    fn an_extension_is_told_from_the_number_before_it() {
        for (text, number) in [
            ("+49 30 748359133 ext. 5", Some("+49 30 748359133")),
            ("555-1234x5", Some("555-1234")),
            ("555-1234, Extension 12", Some("555-1234")),
            ("tel:+1-201-555-0123;ext=123", Some("tel:+1-201-555-0123")),
            ("555 1234 #9", Some("555 1234")),
            ("555-1234 ext.", None),
            ("555-1234 ext. 1234567", None),
            ("+49 30 748359133", None),
            ("ext. 5", None),
            ("12", None),
            ("", None),
        ] {
            assert_eq!(without_extension(text.as_bytes()), number.map(str::as_bytes), "{text}");
        }
        // covers: B1
        assert_eq!(without_extension("1x1".repeat(20_000).as_bytes()), None);
    }

    #[test]
    fn what_is_no_number_is_malformed() {
        for text in [
            "bob",
            "12",
            "+",
            "+1",
            "++15551234567",
            "+1+5551234567",
            "1234567890123456",
            "555-1234 ext. 5",
            "555-1234x5",
            "1-800-FLOWERS",
            "+0151234567",
            "\u{664}\u{664}\u{664}\u{664}",
        ] {
            malformed(Phone, text);
        }
    }
}
