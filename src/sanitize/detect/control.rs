//! Control characters as programs write them that would not print them, and the colours that they begin.
//!
//! ```text
//! #011 #033   rsyslog: three octal digits
//! ^I ^[ ^?    `cat -v`, terminals, many pagers
//! \011 \e[   shells and C; \n is `line_end`, and \x1b, \u001b and %1b are escapes, decoded before
//! [31m        whoever left the ESC of a colour out
//! ```

use crate::sanitize::redact::item;

/// Bytes of the numbers of a colour.
const NUMBERS: usize = 24;

/// Three octal digits of a control character.
fn is_octal(digits: &[u8]) -> bool {
    matches!(digits, [b'0', b'0'..=b'3', b'0'..=b'7', ..] | [b'1', b'7', b'7', ..])
}

/// Bytes of three octal digits behind `len` bytes of a sign, with the sign and the sequence that an ESC begins; 0 if there
/// are none.
fn octal(rest: &[u8], len: usize) -> usize {
    let digits = rest.get(len..).unwrap_or_default();
    match digits {
        [b'0', b'3', b'3', ..] => len + 3 + sequence(rest.get(len + 3..).unwrap_or_default()),
        _ if is_octal(digits) => len + 3,
        _ => 0,
    }
}

/// Bytes of `#012`; 0 if it is none.
pub(super) fn behind_hash(rest: &[u8]) -> usize {
    octal(rest, 1)
}

/// Bytes of `^I`, or of `^[` with the sequence that it begins; 0 if it is none. A `^` before a bracket of anything else
/// is one.
pub(super) fn behind_caret(rest: &[u8]) -> usize {
    match rest.get(1) {
        Some(b'[') => with_sequence(2, rest),
        Some(b'?'..=b'_') => 2,
        _ => 0,
    }
}

/// Whether a control character that is written so is white space, behind backslashes or another sign.
pub(super) fn is_white(written: &[u8]) -> bool {
    matches!(
        written,
        [.., b'\\', b'n' | b'r' | b't'] | [.., b'#' | b'\\', b'0', b'1', b'1'..=b'5'] | [b'^', b'I'..=b'M']
    )
}

/// Bytes of `\012`, of `\e` or `\33` with the sequence that it begins, and of `\b` and the like before a digit; 0 if it is
/// none. `\esx01` may be a server, and `CORP\bob` is an account.
pub(super) fn behind_backslashes(rest: &[u8], backslashes: usize) -> usize {
    match rest.get(backslashes..).unwrap_or_default() {
        [b'e' | b'E', ..] => with_sequence(backslashes + 1, rest),
        [b'3', b'3', b'[', ..] => with_sequence(backslashes + 2, rest),
        [b'a' | b'b' | b'f' | b'v', b'0'..=b'9', ..] => backslashes + 1,
        _ => octal(rest, backslashes),
    }
}

/// `len` bytes of an ESC with the sequence behind it; 0 if there is none.
pub(super) fn with_sequence(len: usize, rest: &[u8]) -> usize {
    match sequence(rest.get(len..).unwrap_or_default()) {
        0 => 0,
        more => len + more,
    }
}

/// Bytes of `[31m`, without an ESC before it; 0 if it is none.
#[inline]
pub(super) fn bare_colour(rest: &[u8]) -> usize {
    let is_number = rest.get(1).is_some_and(u8::is_ascii_digit);
    let len = if is_number { numbers(rest.get(1..).unwrap_or_default()) } else { 0 };
    if matches!(rest.get(len), Some(b'm' | b'K')) && len > 0 { len + 1 } else { 0 }
}

/// Bytes of a colour, with its ESC as it is or as it is written, or without; 0 if there is none.
pub(super) fn colour(rest: &[u8]) -> usize {
    let backslashes = rest.iter().take_while(|byte| **byte == b'\\').count();
    let len = match rest {
        [0x1b, ..] => with_sequence(1, rest),
        [b'^', b'[', ..] => behind_caret(rest),
        [b'#', b'0', b'3', b'3', ..] => behind_hash(rest),
        [b'[', ..] => bare_colour(rest),
        _ if backslashes > 0 => behind_backslashes(rest, backslashes),
        _ => 0,
    };
    // An ESC by itself is none.
    if rest.get(..len).is_some_and(|colour| colour.contains(&b'[')) { len } else { 0 }
}

/// Bytes of what stands behind an ESC: `[31m`, or the choice of a set of characters (`(B`); 0 if it is neither. A marker of
/// ours is none.
fn sequence(rest: &[u8]) -> usize {
    match rest {
        [b'[', numbers @ ..] if item::marker(rest, 0).is_none() => match self::numbers(numbers) {
            0 => 0,
            len => len + 1,
        },
        [b'(' | b')', b'0' | b'A' | b'B', ..] => 2,
        _ => 0,
    }
}

/// Bytes of the numbers of a colour and of the letter that ends them; 0 if there is none.
pub(super) fn numbers(rest: &[u8]) -> usize {
    let is_part = |byte: &&u8| byte.is_ascii_digit() || matches!(byte, b';' | b':' | b'?');
    let len = rest.iter().take(NUMBERS).take_while(is_part).count();
    if rest.get(len).is_some_and(u8::is_ascii_alphabetic) { len + 1 } else { 0 }
}

/// Whether a control character as it is written, or a colour, ends at the end of a text. It is not asked to the last
/// whether it is one: a known identifier that begins behind it is one all the same.
pub(in crate::sanitize) fn ends(text: &[u8]) -> bool {
    match text {
        [.., b'\\', b'n' | b'r' | b't' | b'a' | b'b' | b'f' | b'v']
        | [.., b'^', b'?'..=b'_']
        | [.., b'(' | b')', b'0' | b'A' | b'B'] => true,
        [.., b'#' | b'\\', a, b, c] if c.is_ascii_digit() => is_octal(&[*a, *b, *c]),
        [before @ .., last] if last.is_ascii_alphabetic() => opens_colour(before),
        _ => false,
    }
}

/// Whether a text ends in the beginning of a colour, up to its letter.
fn opens_colour(text: &[u8]) -> bool {
    let is_part = |byte: &&u8| byte.is_ascii_digit() || matches!(byte, b';' | b':' | b'?');
    let numbers = text.iter().rev().take(NUMBERS).take_while(is_part).count();
    text.get(..text.len() - numbers).is_some_and(|before| before.ends_with(b"["))
}

/// Whether the word that begins at a place can have the end of one in it.
#[inline]
pub(super) fn may_end_in(text: &[u8], at: usize) -> bool {
    let back = |by: usize| at.checked_sub(by).and_then(|at| text.get(at)).copied().unwrap_or(0);
    match back(1) {
        b'\\' | b'#' | b'^' | b'(' | b')' => true,
        // Behind a bracket of anything else stand most words of a log that have one before them.
        b'[' => {
            text.get(at).is_some_and(u8::is_ascii_digit)
                || matches!(back(2), 0x1b | b'[' | b'3' | b'e' | b'E')
        }
        b';' | b':' | b'?' => opens_colour(text.get(..at).unwrap_or_default()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{bare_colour, behind_backslashes, behind_caret, behind_hash};

    #[test]
    fn what_ends_in_one_is_told_from_its_end() {
        for (text, is) in [
            ("x\\n", true),
            ("x#012", true),
            ("x\\033", true),
            ("x^I", true),
            ("x^[[1;31m", true),
            ("x\u{1b}[m", true),
            ("x#033(B", true),
            ("x[0K", true),
            ("x#123", false),
            ("x12", false),
            ("x^i", false),
            ("[mail", false),
            ("x", false),
            ("", false),
        ] {
            assert_eq!(super::ends(text.as_bytes()), is, "{text:?}");
        }
    }

    #[test]
    fn colours_are_told_from_other_control_characters() {
        for (text, len) in [
            ("\u{1b}[0m: x", 4),
            ("\u{1b}[1;31mx", 7),
            ("^[[0m=", 5),
            ("#033[0m=", 7),
            ("\\033[0m=", 7),
            ("\\\\e[31m=", 7),
            ("[31m=", 4),
            ("[hidden]", 0),
            ("\u{1b}x", 0),
            ("^I", 0),
            ("#012", 0),
            ("\\n[", 0),
            ("x", 0),
            ("", 0),
        ] {
            assert_eq!(super::colour(text.as_bytes()), len, "{text:?}");
        }
    }

    #[test]
    fn white_space_is_told_from_other_control_characters() {
        for (text, is) in [
            ("\\n", true),
            ("\\\\t", true),
            ("#012", true),
            ("\\015", true),
            ("^J", true),
            ("#010", false),
            ("#033[15m", false),
            ("^H", false),
            ("\u{1b}[0m", false),
        ] {
            assert_eq!(super::is_white(text.as_bytes()), is, "{text:?}");
        }
    }

    #[test]
    fn control_characters_are_as_long_as_they_are_written() {
        for (text, len) in [
            ("#011x", 4),
            ("#1777", 4),
            ("#033[1;31mx", 10),
            ("#033(Bx", 6),
            ("#033[phone] 1", 4),
            ("#040", 0),
            ("#12", 0),
            ("^Ix", 2),
            ("^?x", 2),
            ("^[[0mx", 5),
            ("^[10.1.2.3", 0),
            ("^[email] x", 0),
            ("^[[email] x", 0),
            ("^x", 0),
            ("\\012x", 4),
            ("\\\\033[31mx", 9),
            ("\\e[mx", 4),
            ("\\33[0mx", 6),
            ("\\f1", 2),
            ("\\esx01", 0),
            ("\\bob", 0),
            ("\\100", 0),
            ("[31mx", 4),
            ("[0Kx", 3),
            ("[31]", 0),
            ("[mac_address]", 0),
            ("[12h]", 0),
        ] {
            let bytes = text.as_bytes();
            let found = match bytes.first() {
                Some(b'#') => behind_hash(bytes),
                Some(b'^') => behind_caret(bytes),
                Some(b'[') => bare_colour(bytes),
                _ => behind_backslashes(bytes, bytes.iter().take_while(|byte| **byte == b'\\').count()),
            };
            assert_eq!(found, len, "{text:?}");
        }
    }
}
