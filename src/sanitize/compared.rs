//! Text as spellings are compared: in small letters, a run of white space as one blank, and what stands behind
//! backslashes as what it is written for: a line end (`\n`), a quote (`\"`), a backslash. A blank behind
//! one is a blank, and any other sign itself, as shells write them (`Prod\ VM\ \(old\)`). A `+` beside no white
//! space is the blank that forms write as one (`Prod+VM+1`, `Doe,+Jane`).
//!
//! A letter becomes one letter, by itself: what several letters stand for in capitals (`STRASSE`) is a spelling of its
//! own. Nothing is allocated.

/// Bytes of a run of white space that is one blank: a line end, and how far the next line is moved in.
const BLANKS: usize = 64;
/// Separators between two letters or digits that are passed over, if any are.
const GAP: usize = 3;
/// Backslashes before a letter: text that was written into text, and that once more.
const BACKSLASHES: usize = 8;

/// Reads a text byte by byte.
#[derive(Clone)]
pub(super) struct Compared<'t> {
    text: &'t [u8],
    at: usize,
    /// Bytes of the latest letter beyond ASCII that were not shown yet.
    letter: [u8; 4],
    shown: usize,
    len: usize,
    /// Whether separators between letters and digits are passed over.
    is_loose: bool,
}

impl<'t> Compared<'t> {
    /// Reads words as they are.
    #[inline]
    pub(super) const fn new(text: &'t [u8]) -> Self {
        Self { text, at: 0, letter: [0; 4], shown: 0, len: 0, is_loose: false }
    }

    /// Passes over what people put between the letters and digits of a number or key: `JJ2WR-25L9P`, `030/748 35`.
    #[inline]
    pub(super) const fn loose(text: &'t [u8]) -> Self {
        Self { is_loose: true, ..Self::new(text) }
    }

    /// Where what was shown ends in the text.
    #[inline]
    pub(super) const fn end(&self) -> usize {
        self.at
    }

    /// The byte behind what was shown.
    #[inline]
    pub(super) fn beside(&self) -> Option<&'t u8> {
        self.text.get(self.at)
    }

    fn pass_separators(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at += rest.iter().take(GAP).take_while(|byte| is_separator(**byte)).count();
    }

    /// The byte of a blank, or of a control character.
    fn blank(&mut self, byte: u8) -> u8 {
        let (from, mut end) = (self.at, self.at);
        while end < from + BLANKS
            && let more @ 1.. = self.blank_len(end)
        {
            end += more;
        }
        if end > from {
            self.at = end;
            return b' ';
        }
        self.at += 1;
        byte
    }

    /// Bytes of the blank at a place; 0 if there is none.
    fn blank_len(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        let backslashes = backslashes(rest);
        match rest.get(backslashes) {
            Some(b'+') if self.is_written_blank(at, backslashes) => backslashes + 1,
            Some(b'+') => 0,
            Some(_) | None => blank_len(rest),
        }
    }

    /// Whether the `+` behind some backslashes at a place is a blank: no white space is beside it, but a letter or digit, or
    /// anything else on both sides that is no `+`.
    fn is_written_blank(&self, at: usize, backslashes: usize) -> bool {
        let before = self.text.get(..at).unwrap_or_default();
        let behind = self.text.get(at + backslashes + 1..).unwrap_or_default();
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
        let is_within = match (before.last(), behind.first()) {
            (Some(before), Some(behind)) => {
                is_word(*before) || is_word(*behind) || (*before != b'+' && *behind != b'+')
            }
            (Some(byte), None) | (None, Some(byte)) => is_word(*byte),
            (None, None) => false,
        };
        is_within && blank_len(behind) == 0 && !ends_in_blank(before)
    }

    /// A `+` behind some backslashes.
    fn plus(&mut self, backslashes: usize) -> u8 {
        if self.is_written_blank(self.at, backslashes) {
            return self.blank(b' ');
        }
        self.at += backslashes + 1;
        b'+'
    }

    fn backslashes(&mut self) -> u8 {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let len = backslashes(rest);
        match rest.get(len) {
            Some(b'n' | b'r' | b't' | b'N' | b'R' | b'T' | b' ') => self.blank(b'\\'),
            Some(b'+') => self.plus(len),
            Some(sign) if is_escaped(*sign) => {
                self.at += len + 1;
                *sign
            }
            _ => {
                self.at += len;
                b'\\'
            }
        }
    }

    fn beyond_ascii(&mut self, byte: u8) -> u8 {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let len = match byte {
            // Scripts without capitals are most of these; what is in the middle of a letter, and what is none.
            0x80..=0xc1 | 0xe3..=0xe9 | 0xeb..=0xee | 0xf5.. => 1,
            0xc2..=0xdf => 2,
            0xe0..=0xe2 | 0xea | 0xef => 3,
            _ => 4,
        };
        let letter = rest.get(..len).and_then(|letter| std::str::from_utf8(letter).ok());
        let Some(c) = letter.and_then(|letter| letter.chars().next()) else {
            self.at += 1;
            return byte;
        };
        self.at += len;
        self.len = lower(c).encode_utf8(&mut self.letter).len();
        self.shown = 1;
        self.letter.first().copied().unwrap_or(byte)
    }
}

impl Iterator for Compared<'_> {
    type Item = u8;

    #[inline]
    fn next(&mut self) -> Option<u8> {
        if self.shown < self.len {
            self.shown += 1;
            return self.letter.get(self.shown - 1).copied();
        }
        if self.is_loose {
            self.pass_separators();
        }
        let byte = *self.text.get(self.at)?;
        if is_itself(byte) {
            self.at += 1;
            return Some(byte.to_ascii_lowercase());
        }
        if byte == b'\\' {
            return Some(self.backslashes());
        }
        if byte == b'+' {
            return Some(self.plus(0));
        }
        let is_blank = byte.is_ascii() || blank_len(self.text.get(self.at..)?) > 0;
        Some(if is_blank { self.blank(byte) } else { self.beyond_ascii(byte) })
    }
}

/// Bytes of a character of white space at the beginning; 0 if there is none. Most others are read as a blank already.
fn blank_len(text: &[u8]) -> usize {
    match text {
        [b' ' | b'\t'..=b'\r', ..] => 1,
        [b'\\', ..] => {
            let len = backslashes(text);
            let is_blank = matches!(text.get(len), Some(b'n' | b'r' | b't' | b'N' | b'R' | b'T' | b' '));
            if is_blank { len + 1 } else { 0 }
        }
        [0xc2, 0x85, ..] => 2,
        [0xe2, 0x80, 0xa8 | 0xa9, ..] => 3,
        _ => 0,
    }
}

/// Whether a text ends in white space of ASCII, or in a line end as it is written.
fn ends_in_blank(text: &[u8]) -> bool {
    matches!(text, [.., b' ' | b'\t'..=b'\r'] | [.., b'\\', b'n' | b'r' | b't' | b'N' | b'R' | b'T'])
}

/// Whether a sign is itself behind backslashes: quotes in JSON, and what a shell or a pattern would read as something else.
const fn is_escaped(sign: u8) -> bool {
    sign.is_ascii_punctuation() && !matches!(sign, b'\\' | b'/' | b'_' | b'+')
}

fn backslashes(text: &[u8]) -> usize {
    text.iter().take(BACKSLASHES).take_while(|byte| **byte == b'\\').count()
}

/// Whether a byte is compared by itself, in any letter case.
#[inline]
pub(super) const fn is_itself(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'\\' && byte != b'+'
}

/// What people put between the letters and digits of keys, addresses and telephone numbers.
pub(super) const fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'-' | b'.' | b'/' | b'(' | b')' | b':')
}

/// The small letter of a letter, if it is one letter.
fn lower(c: char) -> char {
    // At the end of a word, the same letter as within.
    if c == '\u{3c2}' {
        return '\u{3c3}';
    }
    let mut letters = c.to_lowercase();
    match (letters.next(), letters.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::Compared;

    fn read(text: &str) -> String {
        let bytes: Vec<u8> = Compared::new(text.as_bytes()).collect();
        String::from_utf8(bytes).unwrap_or_default()
    }

    #[test]
    fn letters_become_small_and_a_run_of_white_space_one_blank() {
        for (text, expected) in [
            ("Prod VM 1", "prod vm 1"),
            ("Prod \t\r\n  VM\u{2028}1\\n\\\\tx", "prod vm 1 x"),
            ("say \\\"x\\\" and O\\'Brien", "say \"x\" and o'brien"),
            ("CORP\\\\jdoe\\", "corp\\jdoe\\"),
            // In capitals a name with a backslash in it (`CORP\nancy`) has another letter behind it.
            ("CORP\\nancy CORP\\NANCY", "corp ancy corp ancy"),
            ("Prod+VM+1 C++ +49 a+ b +c", "prod vm 1 c + +49 a+ b +c"),
            ("Doe,+Jane+M.+D VM+-+old VM+(old)+(new)", "doe, jane m. d vm - old vm (old) (new)"),
            // What a name has a `+` in is read as its form is: `C%2B%2B+x`, `A+%2B+B`, `A++B` of two blanks.
            ("C++ x C++11 C\\+\\+11", "c + x c 11 c 11"),
            ("C+++x A + B A+++B A++B", "c + x a + b a + b a b"),
            ("a\\n+b \\+c a\\ \\+c", "a +b +c a +c"),
            ("Prod\\ VM\\  1\\\\ \\(old\\) esx\\.corp", "prod vm 1 (old) esx.corp"),
            ("\u{418}\u{412}\u{410}\u{41d}\u{41e}\u{412}", "\u{438}\u{432}\u{430}\u{43d}\u{43e}\u{432}"),
            ("\u{dc}BER U\u{308}", "\u{fc}ber u\u{308}"),
            ("\u{39f}\u{394}\u{39f}\u{3a3} \u{3c3}\u{3c2}", "\u{3bf}\u{3b4}\u{3bf}\u{3c3} \u{3c3}\u{3c3}"),
            // Where there are several small letters, or another number of bytes.
            ("\u{130}\u{1e9e}\u{212a}\u{23a}", "\u{130}\u{df}k\u{2c65}"),
            ("\u{8d22}\u{52a1} \u{ac00} \u{1f600}\u{10400}", "\u{8d22}\u{52a1} \u{ac00} \u{1f600}\u{10428}"),
            ("\u{1e}\0", "\u{1e}\0"),
            ("", ""),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
        // What is no UTF-8 is as it is, and a run without end does not become one blank.
        let bytes = b"A\xff\xc3\xe4\xb8B";
        assert_eq!(Compared::new(bytes).collect::<Vec<_>>(), b"a\xff\xc3\xe4\xb8b");
        assert_eq!(read(&" ".repeat(100)), "  ");
    }

    #[test]
    fn separators_between_letters_and_digits_are_passed_over_when_asked_to() {
        for (text, expected, end) in [
            ("JJ2WR-25L9P 6J", "jj2wr25l9p6j", 14),
            ("030/748 (35)- 9133", "0307483591", 16),
            ("00:1B:21", "001b21", 8),
            ("1     2", "1", 1),
        ] {
            let mut letters = Compared::loose(text.as_bytes());
            let read: Vec<u8> = letters.by_ref().take(expected.len()).collect();
            assert_eq!((String::from_utf8_lossy(&read).as_ref(), letters.end()), (expected, end), "{text}");
        }
    }
}
