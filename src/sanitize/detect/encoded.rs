//! Words that are text in another alphabet: Base64 (that of RFC 4648 and that for URLs) and hexadecimal digits.
//! Such a word is decoded as long as it gives text, and the text is scanned like any other: one level, no escapes.
//!
//! Hardly any word is text when it is decoded: the first four characters already tell that of most, and nothing is
//! allocated before sixteen of them have.

use zeroize::Zeroizing;

use super::border;
use super::view::{self, HYPHEN, TOKEN, UNDERSCORE, View, WORD, Word};

/// Characters of the shortest word that is decoded.
const LEAST: usize = 16;
/// Characters of Base64 that are three bytes.
const GROUP: usize = 4;

/// How far each of the four alignments of Base64 was decoded, so that no text is decoded from each of its words on.
#[derive(Default)]
pub(super) struct Tried([usize; GROUP]);

/// Whether a word, with what is joined to it, may be decoded: a first look.
#[inline]
pub(super) fn may_begin(view: View<'_>, word: Word) -> bool {
    if word.len() >= LEAST {
        return true;
    }
    let joined = matches!(view.at(word.end), b'+' | b'/' | b'-' | b'_');
    joined
        && is_text(view, word)
        && view.run_within(word.end, TOKEN | view::BASE64, LEAST) >= word.start + LEAST
}

/// Whether the first group of Base64 gives text.
fn is_text(view: View<'_>, word: Word) -> bool {
    let (bytes, len, _) = group(view, word.start);
    let mut judge = Judge::default();
    len == bytes.len() && bytes.iter().all(|byte| judge.takes(*byte))
}

/// Decodes the word, and what is joined to it, as far as it gives text: where that ends.
pub(super) fn decode(view: View<'_>, word: Word, tried: &mut Tried, text: &mut Vec<u8>) -> Option<usize> {
    hexadecimal(view, word, text).or_else(|| base64(view, word, tried, text))
}

/// Whether the text of any word of a text that is text in another alphabet passes, as it is decoded or with its borders
/// drawn.
pub(super) fn any(text: &[u8], mut is: impl FnMut(&[u8]) -> bool) -> bool {
    let (view, mut tried, mut at) = (View::new(text), Tried::default(), 0);
    let mut decoded = Zeroizing::new(Vec::new());
    loop {
        let start = view.find(at, WORD);
        if start >= view.len() {
            return false;
        }
        let word = view.word(start);
        at = word.end;
        if !may_begin(view, word) || decode(view, word, &mut tried, &mut decoded).is_none() {
            continue;
        }
        if is(&decoded) {
            return true;
        }
        if border::is_needed(&decoded) {
            border::draw(&mut decoded);
            if is(&decoded) {
                return true;
            }
        }
    }
}

/// Whether bytes go on being text in UTF-8, or in UTF-16 of ASCII, whose zeros are passed over.
#[derive(Default, Clone, Copy)]
struct Judge {
    /// Bytes of a character that are still to come.
    left: u8,
}

impl Judge {
    fn takes(&mut self, byte: u8) -> bool {
        if self.left > 0 {
            self.left -= 1;
            return byte & 0xc0 == 0x80;
        }
        self.left = match byte {
            0xc2..=0xdf => 1,
            0xe0..=0xef => 2,
            0xf0..=0xf4 => 3,
            _ => 0,
        };
        self.left > 0 || matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r' | 0)
    }
}

/// A word of nothing but hexadecimal digits, with or without `0x`, that is text as a whole.
fn hexadecimal(view: View<'_>, word: Word, text: &mut Vec<u8>) -> Option<usize> {
    let prefix = if view.starts_folded(word.start, b"0x") { 2 } else { 0 };
    let digits = view.slice(word.start + prefix, word.end);
    if digits.len() < LEAST || !digits.len().is_multiple_of(2) || (prefix == 0 && !word.is_hex()) {
        return None;
    }
    let pairs = || {
        digits.as_chunks::<2>().0.iter().map(|[high, low]| {
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            Some(digit(*high)? << 4 | digit(*low)?)
        })
    };
    let mut judge = Judge::default();
    if !pairs().all(|byte| byte.is_some_and(|byte| judge.takes(byte))) {
        return None;
    }
    text.clear();
    text.extend(pairs().flatten().filter(|byte| *byte != 0));
    Some(word.end)
}

/// The value of a character of Base64.
fn sextet(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    }))
}

/// The three bytes of the group at a place, or the one or two of the last, and how many characters they took.
fn group(view: View<'_>, at: usize) -> ([u8; 3], usize, usize) {
    let (mut bits, mut count) = (0, 0);
    while count < GROUP
        && let Some(value) = sextet(view.at(at + count))
    {
        bits |= value << (18 - 6 * count);
        count += 1;
    }
    let [_, first, second, third] = u32::to_be_bytes(bits);
    ([first, second, third], count.saturating_sub(1), count)
}

/// A run of Base64 that begins with the word and gives text.
fn base64(view: View<'_>, word: Word, tried: &mut Tried, text: &mut Vec<u8>) -> Option<usize> {
    let alignment = tried.0.get_mut(word.start % GROUP)?;
    if word.start < *alignment {
        return None;
    }
    let mut judge = Judge::default();
    let (mut at, mut is_long) = (word.start, false);
    loop {
        let (bytes, len, count) = group(view, at);
        let bytes = bytes.get(..len).unwrap_or_default();
        if len == 0 || !bytes.iter().all(|byte| judge.takes(*byte)) {
            break;
        }
        if is_long {
            text.extend(bytes.iter().filter(|byte| **byte != 0));
        }
        at += count;
        if !is_long && at >= word.start + LEAST {
            is_long = true;
            text.clear();
            let groups = (word.start..at).step_by(GROUP).map(|at| group(view, at));
            text.extend(
                groups.flat_map(|(bytes, len, _)| bytes.into_iter().take(len)).filter(|byte| *byte != 0),
            );
        }
        if count < GROUP {
            break;
        }
    }
    *alignment = at;
    if !is_long {
        return None;
    }
    // What is joined to it goes with it: the rest of the last word, and the padding.
    let end = if view::is(view.before(at), WORD | HYPHEN | UNDERSCORE) { view.run(at, WORD) } else { at };
    let padding = view.ahead(end, 2).iter().take_while(|byte| **byte == b'=').count();
    Some(end + padding)
}
