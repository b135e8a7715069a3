//! Outlines: what an erased identifier looks like from afar, so that it is looked for in text that no detector finds it
//! in (the name of a person or of a machine) without an HMAC for every word.
//!
//! An outline is kept of each spelling, sealed, when the identifier itself is forgotten: how many letters it has and a sum
//! of them. That tells a few words of a text apart from nearly all others; whether they are the identifier, its pseudonym
//! says. A letter of a script that is written without spaces is a word of its own: names stand there with nothing between
//! them and the next word.

use std::ops::Range;

use unicode_normalization::char::decompose_canonical;

use super::addresses;
use super::detect::is_alphabet;
use crate::model::IdentifierClass;

/// Words of the longest spelling that has an outline.
const WORDS: usize = 32;
/// What the letters of a word are multiplied with.
const BASE: u32 = 0x0100_0193;
/// What every letter beyond ASCII counts as, but those that are words: it has more than one spelling.
const BEYOND_ASCII: u32 = 0x80;
/// Bytes of an outline as it is kept.
const BYTES: usize = 7;

/// The outline of a spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Outline {
    /// A sum of its letters and digits, whatever their case and what stands between them.
    mark: u32,
    /// How many there are.
    letters: u8,
    /// Bytes before the first.
    before: u8,
    /// Bytes after the last.
    after: u8,
}

impl Outline {
    /// The outline of a spelling; `None` if there are no letters in it, or too many to look for.
    pub(super) fn of(spelling: &[u8]) -> Option<Self> {
        let spelling = std::str::from_utf8(spelling).ok()?;
        let (mut whole, mut count) = (None, 0);
        for word in words(spelling) {
            count += 1;
            whole = Some(whole.map_or(word, |whole: Word| whole.then(word)));
        }
        let whole = whole.filter(|_| count <= WORDS)?;
        Some(Self {
            mark: whole.mark(),
            letters: u8::try_from(whole.letters).ok()?,
            before: u8::try_from(whole.start).ok()?,
            after: u8::try_from(spelling.len() - whole.end).ok()?,
        })
    }

    /// The form in which it is kept: its mark (4), its letters (1), the bytes before and after them (1 each).
    pub(super) fn encode(self) -> [u8; BYTES] {
        let [a, b, c, d] = self.mark.to_be_bytes();
        [a, b, c, d, self.letters, self.before, self.after]
    }

    /// Reads several in that form.
    pub(super) fn decode(kept: &[u8]) -> impl Iterator<Item = Self> {
        kept.as_chunks::<BYTES>().0.iter().map(|[a, b, c, d, letters, before, after]| Self {
            mark: u32::from_be_bytes([*a, *b, *c, *d]),
            letters: *letters,
            before: *before,
            after: *after,
        })
    }
}

/// The outlines of everything that is looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Outlines {
    /// In order, each once.
    all: Vec<(Outline, IdentifierClass)>,
    /// Which marks there are, by sixteen of their bits: what sorts out nearly all words.
    marks: Vec<u64>,
    /// The most letters of one.
    longest: usize,
    /// Whether any can be an address.
    has_addresses: bool,
}

impl Outlines {
    /// Bits of [`Self::marks`], in words of 64.
    const MARKS: usize = 1 << 16;

    pub(super) fn extend(&mut self, outlines: impl IntoIterator<Item = (IdentifierClass, Outline)>) {
        for (class, outline) in outlines {
            self.marks.resize(Self::MARKS / 64, 0);
            if let Some(bits) = self.marks.get_mut(Self::place(outline.mark)) {
                *bits |= 1 << (outline.mark % 64);
            }
            self.longest = self.longest.max(usize::from(outline.letters));
            self.has_addresses |= is_address(class);
            self.all.push((outline, class));
        }
    }

    /// Makes what was taken ready to be looked for.
    pub(super) fn finish(&mut self) {
        self.all.sort_unstable();
        self.all.dedup();
    }

    fn place(mark: u32) -> usize {
        usize::try_from(mark).unwrap_or(0) % Self::MARKS / 64
    }

    fn has(&self, mark: u32) -> bool {
        self.marks.get(Self::place(mark)).is_some_and(|bits| bits >> (mark % 64) & 1 == 1)
    }

    /// Whether any words of a text that look like one of these are it, as `is` says.
    pub(super) fn any_in(&self, text: &str, mut is: impl FnMut(IdentifierClass, &str) -> bool) -> bool {
        if self.all.is_empty() {
            return false;
        }
        any_words(text, self.longest, |words, mark| {
            self.alike(mark, words.letters).any(|(outline, class)| {
                let spelling = words.with(usize::from(outline.before), usize::from(outline.after));
                spelling.and_then(|place| text.get(place)).is_some_and(|spelling| is(class, spelling))
            })
        })
    }

    /// Whether any address in a text, in whatever spelling, that is like one of these in its canonical form is it, as `is`
    /// says of that form.
    pub(super) fn any_address_in(
        &self,
        text: &str,
        mut is: impl FnMut(IdentifierClass, &[u8]) -> bool,
    ) -> bool {
        self.has_addresses
            && addresses::any(text, |form| {
                Outline::of(form).is_some_and(|own| {
                    let alike = self.alike(own.mark, usize::from(own.letters));
                    alike.into_iter().any(|(_, class)| is_address(class) && is(class, form))
                })
            })
    }

    /// Those of a mark, and of so many letters.
    fn alike(&self, mark: u32, letters: usize) -> impl Iterator<Item = (Outline, IdentifierClass)> {
        let all = if self.has(mark) { self.all.as_slice() } else { &[] };
        let from = all.partition_point(|(outline, _)| outline.mark < mark);
        let alike = all.iter().skip(from).take_while(move |(outline, _)| outline.mark == mark);
        alike.filter(move |(outline, _)| usize::from(outline.letters) == letters).copied()
    }
}

/// Whether a class has addresses: a host can be named by one.
const fn is_address(class: IdentifierClass) -> bool {
    matches!(class, IdentifierClass::IpAddress | IdentifierClass::HostName)
}

/// A word, or several that follow each other.
#[derive(Debug, Clone, Copy)]
struct Word {
    start: usize,
    end: usize,
    letters: usize,
    /// The letters, as the value of a polynomial.
    value: u32,
    /// [`BASE`] to the power of the number of letters.
    power: u32,
    last: u32,
}

impl Word {
    const fn begin(start: usize) -> Self {
        Self { start, end: start, letters: 0, value: 0, power: 1, last: 0 }
    }

    const fn push(&mut self, letter: u32, end: usize) {
        self.value = self.value.wrapping_mul(BASE).wrapping_add(letter);
        self.power = self.power.wrapping_mul(BASE);
        (self.letters, self.last, self.end) = (self.letters + 1, letter, end);
    }

    /// An accent on its last letter: together they are one beyond ASCII.
    const fn accent(&mut self, end: usize) {
        self.value = self.value.wrapping_sub(self.last).wrapping_add(BEYOND_ASCII);
        (self.last, self.end) = (BEYOND_ASCII, end);
    }

    /// This and what follows it.
    const fn then(self, next: Self) -> Self {
        Self {
            start: self.start,
            letters: self.letters + next.letters,
            value: self.value.wrapping_mul(next.power).wrapping_add(next.value),
            power: self.power.wrapping_mul(next.power),
            ..next
        }
    }

    const fn mark(&self) -> u32 {
        let mixed = (self.value ^ self.value >> 15).wrapping_mul(0x9E37_79B1);
        mixed ^ mixed >> 16
    }

    /// Where it stands, with so many bytes before and after.
    const fn with(&self, before: usize, after: usize) -> Option<Range<usize>> {
        match self.start.checked_sub(before) {
            Some(start) => Some(start..self.end + after),
            None => None,
        }
    }
}

/// Whether any word of a text passes, or any few that follow each other and have at most so many letters. What is done is
/// bounded by the number of words.
fn any_words(text: &str, longest: usize, mut is: impl FnMut(&Word, u32) -> bool) -> bool {
    let mut latest = [Word::begin(0); WORDS];
    for (count, word) in words(text).enumerate() {
        if let Some(place) = latest.get_mut(count % WORDS) {
            *place = word;
        }
        let mut several: Option<Word> = None;
        for back in 0..WORDS.min(count + 1) {
            let Some(before) = latest.get((count - back) % WORDS) else { break };
            let all = several.map_or(*before, |all| before.then(all));
            if all.letters > longest {
                break;
            }
            if is(&all, all.mark()) {
                return true;
            }
            several = Some(all);
        }
    }
    false
}

/// A character of a text, as words are made of it.
enum Sign {
    /// A letter or digit, and whether it is of a script that names do not mix with others.
    Letter(u32, bool),
    /// A letter of a script without spaces.
    Word(u32),
    /// An accent by itself.
    Accent,
    /// What goes on a letter of a script without spaces, and does not count.
    Mark,
    Other,
}

impl Sign {
    fn of(c: char) -> Self {
        match c {
            c if c.is_ascii_alphanumeric() => Self::Letter(u32::from(c.to_ascii_lowercase()), false),
            c if c.is_ascii() => Self::Other,
            // What only looks wider is the letter.
            '\u{ff10}'..='\u{ff5a}' if c.is_alphanumeric() => {
                let narrow = char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c);
                Self::Letter(u32::from(narrow.to_ascii_lowercase()), false)
            }
            '\u{300}'..='\u{36f}' => Self::Accent,
            // Voice marks of kana, and the vowels and ends of syllables of Hangul: a text can have them apart.
            '\u{3099}' | '\u{309a}' | '\u{1160}'..='\u{11ff}' => Self::Mark,
            c if !c.is_alphanumeric() => Self::Other,
            c if has_no_spaces(c) => {
                let mut first = None;
                decompose_canonical(c, |part| first = first.or(Some(part)));
                Self::Word(u32::from(first.unwrap_or(c)))
            }
            c => Self::Letter(BEYOND_ASCII, is_strange(c)),
        }
    }
}

/// The words of a text: letters and digits, and accents on them. A word ends where a script begins that names do not mix
/// with others; a letter of one without spaces is a word.
fn words(text: &str) -> impl Iterator<Item = Word> {
    let mut chars = text.char_indices().map(|(at, c)| (at, at + c.len_utf8(), Sign::of(c))).peekable();
    std::iter::from_fn(move || {
        let (mut word, script) = loop {
            let (at, end, sign) = chars.next()?;
            let mut word = Word::begin(at);
            let script = match sign {
                Sign::Letter(letter, is_strange) => {
                    word.push(letter, end);
                    Some(is_strange)
                }
                Sign::Word(letter) => {
                    word.push(letter, end);
                    None
                }
                Sign::Accent | Sign::Mark | Sign::Other => continue,
            };
            break (word, script);
        };
        let goes_on = |sign: &Sign| match sign {
            Sign::Letter(_, is_strange) => script == Some(*is_strange),
            Sign::Accent | Sign::Mark => true,
            Sign::Word(_) | Sign::Other => false,
        };
        while let Some((_, end, sign)) = chars.next_if(|(_, _, sign)| goes_on(sign)) {
            match sign {
                Sign::Letter(letter, _) => word.push(letter, end),
                Sign::Accent if script.is_some() => word.accent(end),
                Sign::Accent | Sign::Mark | Sign::Word(_) | Sign::Other => word.end = end,
            }
        }
        Some(word)
    })
}

/// Whether a letter is of a script that is written without spaces, or, as Hangul, with particles right behind a name.
fn has_no_spaces(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1100}'..='\u{115f}' | '\u{1780}'..='\u{17ff}')
        || matches!(c, '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}')
        || matches!(c, '\u{ff66}'..='\u{ff9f}' | '\u{20000}'..='\u{3ffff}')
}

/// Whether a letter is of a script that names do not mix with others.
fn is_strange(c: char) -> bool {
    let mut bytes = [0; 4];
    let [first, second, ..] = *c.encode_utf8(&mut bytes).as_bytes() else { return false };
    !is_alphabet(first, second)
}

#[cfg(test)]
#[path = "outline_tests.rs"]
mod tests;
