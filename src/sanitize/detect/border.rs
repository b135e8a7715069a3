//! One more reading of a text, in which a word also ends where it does not look like it: at characters beyond ASCII
//! (`用户10.1.2.3登录`, `a→10.1.2.3`: many scripts have no spaces, and an arrow is none), at line ends and other control
//! characters that are written as `\n`, `#012` or `^I`, and at the colours of a terminal.
//!
//! It has as many bytes as the text that it is made of, so a place in the one is a place in the other. Names with such
//! characters (`bücher.example`) are whole only without it: as with escapes, what any reading shows is replaced.

use super::control;
use super::view::{self, SPACE};

/// What stands for each byte that words end at.
const BORDER: u8 = 0x1e;
const ESCAPE: u8 = 0x1b;
/// Backslashes before the letter of a line end.
const BACKSLASHES: usize = 8;
/// Bytes that are looked at together.
const BLOCK: usize = 32;

/// Whether anything that could be a part of an identifier stands at a border.
pub(super) fn is_needed(text: &[u8]) -> bool {
    let touches = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii() && !view::is(*byte, SPACE));
    let mut at = 0;
    while let Some((start, end)) = next(text, at) {
        let is_high = text.get(start).is_some_and(|byte| !byte.is_ascii());
        let before = start.checked_sub(1).and_then(|before| text.get(before));
        if touches(text.get(end)) || is_high && touches(before) {
            return true;
        }
        at = end;
    }
    false
}

/// Draws the borders in a text.
pub(super) fn draw(text: &mut [u8]) {
    let mut at = 0;
    while let Some((start, end)) = next(text, at) {
        if let Some(stretch) = text.get_mut(start..end) {
            // A name may go on in the next line.
            stretch.fill(if control::is_white(stretch) { b'\n' } else { BORDER });
        }
        at = end;
    }
}

/// How many bytes at the beginning certainly hold no border: most texts have none, and are passed over block by block.
fn plain(text: &[u8]) -> usize {
    let has_none = |block: &&[u8]| block.iter().fold(0, |seen, byte| seen | begins(*byte)) == 0;
    text.chunks(BLOCK).take_while(has_none).map(<[u8]>::len).sum()
}

/// Not zero for a byte that a border can begin with. Without a branch, so that a block is one step.
#[inline]
fn begins(byte: u8) -> u8 {
    let is = |sign: u8| u8::from(byte == sign);
    byte & 0x80 | is(b'\\') | is(ESCAPE) | is(b'#') | is(b'^') | is(b'[')
}

/// The next border from a place on: where it begins and ends.
fn next(text: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    loop {
        at = text.len().min(at + plain(text.get(at..)?));
        let rest = text.get(at..)?;
        at += rest.iter().position(|byte| begins(*byte) != 0)?;
        let rest = text.get(at..)?;
        let len = match rest.first()? {
            b'\\' => {
                let before = at.checked_sub(1).and_then(|before| text.get(before));
                line_end(rest, before).max(control::behind_backslashes(rest, backslashes(rest)))
            }
            &ESCAPE => control::with_sequence(1, rest),
            b'#' => control::behind_hash(rest),
            b'^' => control::behind_caret(rest),
            b'[' => control::bare_colour(rest),
            _ => beyond(rest),
        };
        #[cfg(any(test, fuzzing))]
        super::work::count(u64::try_from(len + 1).unwrap_or(0));
        if len > 0 {
            return Some((at, at + len));
        }
        // Not from every backslash of a row again.
        at += rest.iter().take(BACKSLASHES).take_while(|byte| **byte == b'\\').count().max(1);
    }
}

fn backslashes(rest: &[u8]) -> usize {
    rest.iter().take(BACKSLASHES).take_while(|byte| **byte == b'\\').count()
}

/// Bytes of `\n`, behind one backslash or several; 0 if it is none. `\\nas01\share` is a server.
fn line_end(rest: &[u8], before: Option<&u8>) -> usize {
    let backslashes = backslashes(rest);
    let begins =
        before.is_none_or(|byte| view::is(*byte, SPACE | view::QUOTE) || matches!(byte, b'=' | b'('));
    let is_server = matches!(backslashes, 2 | 4) && begins;
    let is_end = matches!(rest.get(backslashes), Some(b'n' | b'r' | b't')) && !is_server;
    if is_end { backslashes + 1 } else { 0 }
}

/// Bytes of a run beyond ASCII, with the numbers of a colour behind the sign that is both bytes of `ESC [` in one.
fn beyond(rest: &[u8]) -> usize {
    let len = rest.iter().take_while(|byte| !byte.is_ascii()).count();
    let (run, behind) = rest.split_at(len);
    if run.ends_with(&[0xc2, 0x9b]) { len + control::numbers(behind) } else { len }
}

/// Whether a character, by its first two bytes, is a letter of an alphabet whose names have letters of ASCII in them
/// (Latin with accents, Greek, Cyrillic): `bücher.example` is one name, and `主机esx01.corp` a name after a word.
pub(in crate::sanitize) const fn is_alphabet(first: u8, second: u8) -> bool {
    matches!((first, second), (0xc3..=0xd5, _) | (0xe1, 0xb2..))
}

/// What a text has beyond ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beyond {
    Nothing,
    /// Letters of such an alphabet, whatever else.
    Letters,
    /// Other characters only.
    Others,
}

pub(super) fn beyond_ascii(text: &[u8]) -> Beyond {
    let mut pairs = text.iter().zip(text.iter().skip(1));
    if text.is_ascii() {
        Beyond::Nothing
    } else if pairs.any(|(first, second)| is_alphabet(*first, *second)) {
        Beyond::Letters
    } else {
        Beyond::Others
    }
}

#[cfg(test)]
mod tests {
    use super::{Beyond, beyond_ascii, draw, is_needed};

    fn drawn(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        draw(&mut bytes);
        let mut told = String::from_utf8(bytes).unwrap_or_default().replace('\n', "\u{1e}");
        while told.contains("\u{1e}\u{1e}") {
            told = told.replace("\u{1e}\u{1e}", "\u{1e}");
        }
        told.replace('\u{1e}', "|")
    }

    #[test]
    fn words_end_at_what_is_beyond_ascii_at_written_line_ends_and_at_colours() {
        for (text, expected) in [
            ("\u{7528}\u{6237}10.1.2.3\u{767b}\u{5f55}", "|10.1.2.3|"),
            ("a\u{2192}10.1.2.3", "a|10.1.2.3"),
            ("boot\\n10.1.2.3\\\\tx", "boot|10.1.2.3|x"),
            ("\u{1b}[1;31m10.1.2.3\u{1b}[0m", "|10.1.2.3|"),
            ("\u{9b}31m10.1.2.3\u{241b}[0m", "|10.1.2.3|"),
            ("at#01210.1.2.3#033[31mx#033[0m", "at|10.1.2.3|x|"),
            ("at^I10.1.2.3^[[31mx^[[0m[1;32my", "at|10.1.2.3|x|y"),
            ("at\\01110.1.2.3\\\\e[31mx\\b1", "at|10.1.2.3|x|1"),
            (
                "at \\\\nas01\\share C:\\\\x \\ \u{1b} \u{1b}[",
                "at \\\\nas01\\share C:\\\\x \\ \u{1b} \u{1b}[",
            ),
            ("", ""),
        ] {
            assert_eq!(drawn(text), expected, "{text:?}");
        }
    }

    #[test]
    fn borders_are_needed_where_something_touches_one() {
        for (text, needed) in [
            ("plain \\\\nas01 C:\\x", false),
            ("issue #12 of sshd[123]: a^b [31] \\esx01", false),
            ("x#0111", true),
            ("x^Iy", true),
            ("[31mx", true),
            ("\u{7528}\u{6237} 10.1.2.3 \u{767b}\u{5f55}", false),
            ("said \u{2014} nothing", false),
            ("\u{7528}\u{6237}10.1.2.3", true),
            ("[2001:db8::1]\u{2192}", true),
            ("x\\n10", true),
            ("x\\n", false),
        ] {
            assert_eq!(is_needed(text.as_bytes()), needed, "{text:?}");
        }
        assert_eq!(beyond_ascii("b\u{fc}cher".as_bytes()), Beyond::Letters);
        assert_eq!(beyond_ascii("\u{4e3b}\u{673a}esx01\u{2192}".as_bytes()), Beyond::Others);
        assert_eq!(beyond_ascii(b"esx01"), Beyond::Nothing);
    }
}
