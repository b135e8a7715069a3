//! The text under the scan: its bytes by class, and the few ways in which detectors look at it. Beyond
//! both ends stands a zero, which is part of nothing.

/// A set of byte classes.
pub(super) type Set = u16;

pub(super) const DIGIT: Set = 1;
pub(super) const LOWER: Set = 1 << 1;
pub(super) const UPPER: Set = 1 << 2;
/// A letter that is no hexadecimal digit.
pub(super) const BEYOND_HEX: Set = 1 << 3;
/// Part of a character that is not ASCII.
pub(super) const HIGH: Set = 1 << 4;
pub(super) const UNDERSCORE: Set = 1 << 5;
pub(super) const HYPHEN: Set = 1 << 6;
pub(super) const DOT: Set = 1 << 7;
/// What Base64 has beside letters and digits.
pub(super) const BASE64: Set = 1 << 8;
/// What the local part of an e-mail address may have beside `.`, `-` and `_`. The rest of what RFC 5322
/// allows is seen around addresses far more often than in them.
pub(super) const LOCAL: Set = 1 << 9;
/// White space and control characters.
pub(super) const SPACE: Set = 1 << 10;
/// What ends a value, a path or a URL, beside white space.
pub(super) const QUOTE: Set = 1 << 11;
/// What separates the digits of numbers that people write.
pub(super) const PUNCTUATION: Set = 1 << 12;

/// What ends a word and begins nothing: commas, parentheses, quotes that no name of a value is in.
pub(super) const QUIET: Set = 1 << 13;

/// What makes something of the word after it: a path, a query, a marker.
pub(super) const BEGINS: Set = 1 << 14;

pub(super) const LETTER: Set = LOWER | UPPER;
/// What words are made of.
pub(super) const WORD: Set = LETTER | DIGIT | HIGH;
/// What names of machines are made of.
pub(super) const NAME: Set = WORD | DOT | HYPHEN | UNDERSCORE;
/// What tokens in the alphabet of Base64 for URLs are made of.
pub(super) const TOKEN: Set = LETTER | DIGIT | HYPHEN | UNDERSCORE;

static CLASSES: [Set; 256] = classes();

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "computed when compiled, over all bytes"
)]
const fn classes() -> [Set; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        let beyond = if matches!(byte.to_ascii_lowercase(), b'g'..=b'z') { BEYOND_HEX } else { 0 };
        table[at] = match byte {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'z' => LOWER | beyond,
            b'A'..=b'Z' => UPPER | beyond,
            b'_' => UNDERSCORE,
            b'-' => HYPHEN | PUNCTUATION,
            b'.' => DOT | PUNCTUATION,
            b'+' => BASE64 | LOCAL,
            b'/' => BASE64 | PUNCTUATION | QUIET | BEGINS,
            b'=' => BASE64,
            b'%' | b'!' | b'#' | b'$' | b'*' | b'~' | b'^' => LOCAL,
            b' ' => SPACE | PUNCTUATION,
            b'(' => PUNCTUATION | QUIET,
            b')' => PUNCTUATION | QUOTE | QUIET,
            b'[' => QUOTE | QUIET | BEGINS,
            b'?' | b'\\' => BEGINS,
            b',' | b';' | b'|' | b'{' | b'}' | b'<' | b'`' => QUOTE | QUIET,
            b'"' | b'\'' | b'>' | b']' => QUOTE,
            0..=0x1f | 0x7f => SPACE,
            0x80.. => HIGH,
            _ => 0,
        };
        at += 1;
    }
    table
}

/// The classes of a byte.
#[inline]
pub(super) fn class(byte: u8) -> Set {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(0)
}

/// Whether a byte is of one of the classes.
#[inline]
pub(super) fn is(byte: u8, set: Set) -> bool {
    class(byte) & set != 0
}

/// The text.
#[derive(Clone, Copy)]
pub(super) struct View<'t> {
    bytes: &'t [u8],
}

impl<'t> View<'t> {
    pub(super) const fn new(bytes: &'t [u8]) -> Self {
        Self { bytes }
    }

    pub(super) const fn len(self) -> usize {
        self.bytes.len()
    }

    /// All of it: for whoever reads items of ours.
    pub(super) const fn bytes(self) -> &'t [u8] {
        self.bytes
    }

    /// The byte at a place.
    #[inline]
    pub(super) fn at(self, at: usize) -> u8 {
        #[cfg(any(test, fuzzing))]
        super::work::count(1);
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// The byte before a place.
    #[inline]
    pub(super) fn before(self, at: usize) -> u8 {
        at.checked_sub(1).map_or(0, |at| self.at(at))
    }

    #[inline]
    pub(super) fn slice(self, from: usize, to: usize) -> &'t [u8] {
        #[cfg(any(test, fuzzing))]
        super::work::count(u64::try_from(to.saturating_sub(from)).unwrap_or(0));
        self.bytes.get(from..to).unwrap_or_default()
    }

    /// What follows a place, up to `most` bytes.
    #[inline]
    pub(super) fn ahead(self, from: usize, most: usize) -> &'t [u8] {
        self.slice(from, from.saturating_add(most).min(self.len()))
    }

    /// What comes before a place, up to `most` bytes.
    #[inline]
    pub(super) fn behind(self, to: usize, most: usize) -> &'t [u8] {
        self.slice(to.saturating_sub(most), to)
    }

    /// What follows a place.
    #[inline]
    fn rest(self, from: usize) -> &'t [u8] {
        self.bytes.get(from..).unwrap_or_default()
    }

    /// Where the run of bytes of `set` that begins at `from` ends.
    #[inline]
    pub(super) fn run(self, from: usize, set: Set) -> usize {
        self.run_bits(from, set).0
    }

    /// [`Self::run`], with the classes of all its bytes.
    #[inline]
    pub(super) fn run_bits(self, from: usize, set: Set) -> (usize, Set) {
        let (mut at, mut bits) = (from, 0);
        for byte in self.rest(from) {
            let class = class(*byte);
            if class & set == 0 {
                break;
            }
            bits |= class;
            at += 1;
        }
        #[cfg(any(test, fuzzing))]
        super::work::count(u64::try_from(at - from).unwrap_or(0));
        (at, bits)
    }

    /// [`Self::run`] of at most `most` bytes.
    #[inline]
    pub(super) fn run_within(self, from: usize, set: Set, most: usize) -> usize {
        let end = from.saturating_add(most);
        let mut at = from;
        while at < end && is(self.at(at), set) {
            at += 1;
        }
        at
    }

    /// Where the run of bytes of `set` that ends at `to` begins, if it has at most `most` bytes.
    #[inline]
    pub(super) fn run_back(self, to: usize, set: Set, most: usize) -> usize {
        let least = to.saturating_sub(most);
        let mut at = to;
        while at > least && is(self.before(at), set) {
            at -= 1;
        }
        at
    }

    /// The first byte of `set` from `from` on, or the end of the text.
    #[inline]
    pub(super) fn find(self, from: usize, set: Set) -> usize {
        let rest = self.rest(from);
        let skipped = rest.iter().position(|byte| is(*byte, set)).unwrap_or(rest.len());
        #[cfg(any(test, fuzzing))]
        super::work::count(u64::try_from(skipped).unwrap_or(0));
        from + skipped
    }

    /// The word that begins at `from`: its end, and the classes of all its bytes.
    #[inline]
    pub(super) fn word(self, from: usize) -> Word {
        let (end, bits) = self.run_bits(from, WORD);
        Word { start: from, end, bits }
    }

    #[inline]
    pub(super) fn starts(self, at: usize, text: &[u8]) -> bool {
        self.at(at) == text.first().copied().unwrap_or(0) && self.ahead(at, text.len()) == text
    }

    /// Whether `text`, which is in lower case, stands at a place in any letter case.
    #[inline]
    pub(super) fn starts_folded(self, at: usize, text: &[u8]) -> bool {
        self.ahead(at, text.len()).eq_ignore_ascii_case(text)
    }

    /// A place moved over at most `most` spaces (no line ends).
    #[inline]
    pub(super) fn past_spaces(self, from: usize, most: usize) -> usize {
        let mut at = from;
        while at < from + most && matches!(self.at(at), b' ' | b'\t') {
            at += 1;
        }
        at
    }

    /// Whether a space and a word in letters follow: whether a sentence goes on.
    pub(super) fn is_word_next(self, at: usize) -> bool {
        let next = self.word(self.past_spaces(at, 1));
        next.len() > 0 && next.bits & !LETTER & !BEYOND_HEX & !HIGH == 0 && self.at(next.end) != b'='
    }

    /// A place moved back over at most `most` spaces.
    #[inline]
    pub(super) fn back_spaces(self, to: usize, most: usize) -> usize {
        let mut at = to;
        while at + most > to && matches!(self.before(at), b' ' | b'\t') {
            at -= 1;
        }
        at
    }
}

/// A run of letters, digits and characters that are not ASCII.
#[derive(Clone, Copy)]
pub(super) struct Word {
    pub(super) start: usize,
    pub(super) end: usize,
    /// The classes of its bytes.
    pub(super) bits: Set,
}

impl Word {
    #[inline]
    pub(super) const fn len(self) -> usize {
        self.end - self.start
    }

    /// Whether every byte is a hexadecimal digit.
    #[inline]
    pub(super) const fn is_hex(self) -> bool {
        self.bits & (BEYOND_HEX | HIGH) == 0
    }

    /// Whether every byte is a digit.
    #[inline]
    pub(super) const fn is_number(self) -> bool {
        self.bits == DIGIT
    }

    /// Whether there are letters and digits in it.
    #[inline]
    pub(super) const fn is_mixed(self) -> bool {
        self.bits & DIGIT != 0 && self.bits & LETTER != 0
    }
}
