//! The text as detectors read it: characters that only look different are folded to ASCII, and those that
//! nobody sees are left out. Plain text is read as it is.

use zeroize::Zeroize;

use super::place::DEGREE;

/// A text that was folded, and where each byte of it came from.
#[derive(Default)]
pub(in crate::sanitize) struct Folded {
    text: Vec<u8>,
    /// For each byte of the folded text, where its character begins in the text.
    origins: Vec<u32>,
}

impl std::fmt::Debug for Folded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Folded(..)")
    }
}

impl Drop for Folded {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

/// A text to scan.
pub(in crate::sanitize) struct Reading<'t> {
    /// What detectors read.
    pub(in crate::sanitize) text: &'t [u8],
    /// Where its bytes came from, if it is not the text itself.
    origins: Option<&'t [u32]>,
    len: usize,
}

impl Folded {
    /// Folds a text, if there is anything to fold in it.
    pub(in crate::sanitize) fn read<'t>(&'t mut self, text: &'t str) -> Reading<'t> {
        let len = text.len();
        if text.is_ascii() || !text.chars().any(|c| !c.is_ascii() && fold(c) != Some(c)) {
            return Reading { text: text.as_bytes(), origins: None, len };
        }
        self.text.clear();
        self.origins.clear();
        for (at, c) in text.char_indices() {
            let Some(c) = fold(c) else { continue };
            let mut bytes = [0; 4];
            let bytes = c.encode_utf8(&mut bytes).as_bytes();
            self.text.extend_from_slice(bytes);
            self.origins.extend(bytes.iter().map(|_| u32::try_from(at).unwrap_or(u32::MAX)));
        }
        Reading { text: &self.text, origins: Some(&self.origins), len }
    }
}

impl Reading<'_> {
    /// The place in the text of a place in what is read.
    pub(in crate::sanitize) fn origin(&self, at: usize) -> usize {
        match self.origins {
            None => at,
            Some(origins) => {
                origins.get(at).and_then(|at| usize::try_from(*at).ok()).unwrap_or(self.len).min(self.len)
            }
        }
    }
}

/// First digits of scripts whose ten digits follow each other.
const ZEROS: [char; 20] = [
    '\u{660}', '\u{6f0}', '\u{7c0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}', '\u{be6}',
    '\u{c66}', '\u{ce6}', '\u{d66}', '\u{e50}', '\u{ed0}', '\u{f20}', '\u{1040}', '\u{17e0}', '\u{1810}',
    '\u{1946}', '\u{a620}',
];

/// What a character is read as; `None` if nobody sees it.
fn fold(c: char) -> Option<char> {
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
    use super::Folded;

    #[test]
    fn what_only_looks_different_is_folded_and_every_byte_knows_where_it_came_from() {
        let text = "é \u{ff11}\u{ff10}.1\u{200b}.2\u{3002}3 \u{661}";
        let mut folded = Folded::default();
        let reading = folded.read(text);
        assert_eq!(reading.text, "é 10.1.2.3 1".as_bytes());
        let from = reading.text.windows(8).position(|part| part == b"10.1.2.3").unwrap_or_default();
        assert_eq!(
            &text[reading.origin(from)..reading.origin(from + 8)],
            "\u{ff11}\u{ff10}.1\u{200b}.2\u{3002}3"
        );
        assert_eq!(reading.origin(reading.text.len()), text.len());
    }

    #[test]
    fn plain_text_is_read_as_it_is() {
        for text in ["", "plain", "Zo\u{eb} \u{4f8b}\u{5b50}"] {
            let mut folded = Folded::default();
            assert_eq!(folded.read(text).text.as_ptr(), text.as_ptr());
        }
    }
}
