//! The text as detectors read it: characters that only look different are folded to ASCII, and those that
//! nobody sees are left out; and once more with its escapes decoded, if it has any. Plain text is read as it is.

use std::cell::RefCell;

use zeroize::Zeroize;

use super::place::DEGREE;
use super::{Findings, Lookup, border, encoded, escape, flat};

/// The readings of a text, one after another in the same buffers.
#[derive(Default)]
pub(in crate::sanitize) struct Folded {
    plain: Text,
    once: Text,
    twice: Text,
    /// The deepest of them with its borders drawn.
    bordered: Vec<u8>,
    /// Where encoded words are decoded to.
    spare: RefCell<Vec<u8>>,
}

/// A text that was changed to be read, and where each byte of it came from.
#[derive(Default)]
struct Text {
    text: Vec<u8>,
    /// For each byte, where its character, or the escape for it, begins in the text as it came.
    origins: Vec<u32>,
}

impl std::fmt::Debug for Folded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Folded(..)")
    }
}

impl Drop for Folded {
    fn drop(&mut self) {
        for text in [&mut self.plain, &mut self.once, &mut self.twice] {
            text.text.zeroize();
        }
        self.bordered.zeroize();
        self.spare.get_mut().zeroize();
    }
}

/// A text to scan.
#[derive(Clone, Copy)]
pub(in crate::sanitize) struct Reading<'t> {
    /// What detectors read.
    pub(in crate::sanitize) text: &'t [u8],
    /// Where its bytes came from, if it is not the text itself.
    origins: Option<&'t [u32]>,
    len: usize,
}

impl Folded {
    /// What is found in a text, by place. It is read as it stands, with its escapes decoded, with those decoded that this
    /// brings to light, and the last of these once more with its borders drawn; all but the first only if there are any.
    pub(in crate::sanitize) fn findings<'t, L: Lookup + Copy>(
        &'t mut self,
        text: &'t str,
        known: L,
    ) -> Findings<'t, L> {
        let (first, others) =
            Self::readings((&mut self.plain, &mut self.once, &mut self.twice), text, &mut self.bordered);
        Findings::new(first, others, known, &self.spare)
    }

    /// Whether a text passes as it came, or in any way in which it is read, or what a word of it in Base64 or hexadecimal
    /// digits says.
    pub(in crate::sanitize) fn any(&mut self, text: &str, mut is: impl FnMut(&[u8]) -> bool) -> bool {
        let (first, others) =
            Self::readings((&mut self.plain, &mut self.once, &mut self.twice), text, &mut self.bordered);
        let as_it_came = first.origins.is_some() && is(text.as_bytes());
        as_it_came
            || [Some(first)]
                .iter()
                .chain(&others)
                .flatten()
                .any(|reading| is(reading.text) || encoded::any(reading.text, &mut is))
    }

    fn readings<'t>(
        (plain, once, twice): (&'t mut Text, &'t mut Text, &'t mut Text),
        text: &'t str,
        bordered: &'t mut Vec<u8>,
    ) -> (Reading<'t>, [Option<Reading<'t>>; 3]) {
        if flat::is_flat(text.as_bytes()) {
            return (Reading { text: text.as_bytes(), origins: None, len: text.len() }, [None; 3]);
        }
        let first = plain.fold(text);
        let second = once.decode(first);
        let third = second.and_then(|second| twice.decode(second));
        let deepest = third.or(second).unwrap_or(first);
        (first, [second, third, deepest.bordered(bordered)])
    }
}

impl Text {
    fn clear(&mut self) {
        self.text.clear();
        self.origins.clear();
    }

    fn push(&mut self, c: char, origin: usize) {
        let mut bytes = [0; 4];
        for byte in c.encode_utf8(&mut bytes).bytes() {
            self.push_byte(byte, origin);
        }
    }

    fn push_byte(&mut self, byte: u8, origin: usize) {
        self.text.push(byte);
        self.origins.push(u32::try_from(origin).unwrap_or(u32::MAX));
    }

    fn reading(&self, len: usize) -> Reading<'_> {
        Reading { text: &self.text, origins: Some(&self.origins), len }
    }

    /// Folds a text, if there is anything to fold in it.
    fn fold<'t>(&'t mut self, text: &'t str) -> Reading<'t> {
        let len = text.len();
        if text.is_ascii() || !text.chars().any(|c| !c.is_ascii() && fold(c) != Some(c)) {
            return Reading { text: text.as_bytes(), origins: None, len };
        }
        self.clear();
        for (at, c) in text.char_indices() {
            if let Some(c) = fold(c) {
                self.push(c, at);
            }
        }
        self.reading(len)
    }

    /// Decodes the escapes in a text, if there are any.
    fn decode<'t>(&'t mut self, from: Reading<'_>) -> Option<Reading<'t>> {
        let first = escape::first(from.text)?;
        self.clear();
        let mut at = 0;
        while let Some(byte) = from.text.get(at) {
            let escape = if at < first { None } else { escape::read(from.text, at) };
            if let Some((c, end)) = escape {
                // A zero is half of a character in UTF-16.
                if let Some(c) = fold(c).filter(|c| *c != '\0') {
                    self.push(c, from.origin(at));
                }
                at = end;
            } else {
                self.push_byte(*byte, from.origin(at));
                at += 1;
            }
        }
        Some(self.reading(from.len))
    }
}

impl<'t> Reading<'t> {
    /// The same with its borders drawn, if there are any.
    fn bordered(self, buffer: &'t mut Vec<u8>) -> Option<Self> {
        if !border::is_needed(self.text) {
            return None;
        }
        buffer.clear();
        buffer.extend_from_slice(self.text);
        border::draw(buffer);
        Some(Self { text: buffer, ..self })
    }

    /// The place in the text as it came of a place in what is read.
    pub(in crate::sanitize) fn origin(&self, at: usize) -> usize {
        match self.origins {
            None => at,
            Some(origins) => {
                origins.get(at).and_then(|at| usize::try_from(*at).ok()).unwrap_or(self.len).min(self.len)
            }
        }
    }

    /// The first place from `at` on, in the text as it came, where a character begins that is read here: not the
    /// inside of an escape.
    pub(super) fn boundary(&self, at: usize) -> usize {
        self.origin(self.place(at))
    }

    /// The place in what is read of the first character that begins at or behind a place in the text as it came.
    pub(in crate::sanitize) fn place(&self, at: usize) -> usize {
        let before = |origin: &u32| usize::try_from(*origin).is_ok_and(|origin| origin < at);
        self.origins.map_or(at, |origins| origins.partition_point(before))
    }
}

/// First digits of scripts whose ten digits follow each other.
const ZEROS: [char; 20] = [
    '\u{660}', '\u{6f0}', '\u{7c0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}', '\u{be6}',
    '\u{c66}', '\u{ce6}', '\u{d66}', '\u{e50}', '\u{ed0}', '\u{f20}', '\u{1040}', '\u{17e0}', '\u{1810}',
    '\u{1946}', '\u{a620}',
];

/// What a character is read as; `None` if nobody sees it.
pub(in crate::sanitize) fn fold(c: char) -> Option<char> {
    let code = u32::from(c);
    Some(match code {
        0..=0x7f => c,
        0xad
        | 0x34f
        | 0x61c
        | 0x180e
        | 0x200b..=0x200f
        | 0x202a..=0x202e
        | 0x2060..=0x2064
        | 0x2066..=0x2069
        | 0xfe00..=0xfe0f
        | 0xfeff => return None,
        0xff01..=0xff5e => char::from_u32(code - 0xfee0).unwrap_or(c),
        0x2024 | 0x3002 | 0xfe52 | 0xff61 => '.',
        0x2010..=0x2015 | 0x2212 | 0xfe58 | 0xfe63 => '-',
        0xa0 | 0x1680 | 0x2000..=0x200a | 0x202f | 0x205f | 0x3000 => ' ',
        0xfe6b => '@',
        0x2236 | 0xfe55 => ':',
        0x2044 | 0x2215 => '/',
        0x2216 | 0xfe68 => '\\',
        0x2018 | 0x2019 | 0x2032 => '\'',
        0x201c | 0x201d | 0x2033 => '"',
        0xb0 | 0xba => char::from(DEGREE),
        0x1d7ce..=0x1d7ff => digit((code - 0x1d7ce) % 10, c),
        _ => {
            let zero =
                ZEROS.iter().map(|zero| u32::from(*zero)).find(|zero| (*zero..zero + 10).contains(&code));
            zero.map_or(c, |zero| digit(code - zero, c))
        }
    })
}

fn digit(value: u32, otherwise: char) -> char {
    char::from_digit(value, 10).unwrap_or(otherwise)
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn what_only_looks_different_is_folded_and_every_byte_knows_where_it_came_from() {
        let text = "é \u{ff11}\u{ff10}.1\u{200b}.2\u{3002}3 \u{661}";
        let mut folded = Text::default();
        let reading = folded.fold(text);
        assert_eq!(reading.text, "é 10.1.2.3 1".as_bytes());
        let from = reading.text.windows(8).position(|part| part == b"10.1.2.3").unwrap_or_default();
        assert_eq!(
            &text[reading.origin(from)..reading.origin(from + 8)],
            "\u{ff11}\u{ff10}.1\u{200b}.2\u{3002}3"
        );
        assert_eq!(reading.origin(reading.text.len()), text.len());
    }

    #[test]
    fn escapes_are_decoded_level_by_level_and_every_byte_knows_where_it_came_from() {
        let text = "a\u{200b}%2540b \\u0031&#46;1 %C3%A9";
        let (mut folded, mut once, mut twice) = (Text::default(), Text::default(), Text::default());
        let first = folded.fold(text);
        let second = once.decode(first).unwrap_or(first);
        assert_eq!(second.text, "a%40b 1.1 é".as_bytes());
        let third = twice.decode(second).unwrap_or(second);
        assert_eq!(third.text, "a@b 1.1 é".as_bytes());
        assert_eq!(&text[third.origin(1)..third.origin(2)], "%2540");
        assert_eq!(&text[third.origin(4)..third.origin(7)], "\\u0031&#46;1");
        let inside = text.find("2540").unwrap_or_default();
        assert_eq!(third.boundary(inside), third.origin(2));
        assert_eq!(third.boundary(third.origin(2)), third.origin(2));
        assert!(Text::default().decode(third).is_none());
    }

    #[test]
    fn plain_text_is_read_as_it_is() {
        for text in ["", "plain", "Zo\u{eb} \u{4f8b}\u{5b50}", "85% of C:\\Users & 50%"] {
            let mut folded = Text::default();
            let reading = folded.fold(text);
            assert_eq!(reading.text.as_ptr(), text.as_ptr());
            assert!(Text::default().decode(reading).is_none());
        }
    }
}
