//! Spellings, sorted, and the walk of a text through them. What is long is in pieces, so that a walk is never longer than
//! the longest spelling that is looked for as a whole.

use zeroize::Zeroize as _;

use crate::sanitize::compared::{Compared, is_itself, is_separator};
use crate::sanitize::spelling;

/// Words of 64 bits in the filter by the first four letters.
const FILTER: usize = 1_024;
/// Bytes of text that a walk goes at most: white space and separators can stand between the letters.
const FAR: usize = 4 * spelling::LONGEST;
/// Letters and digits of the shortest key or number that is found whatever separates them.
const LOOSE: usize = 6;

/// A spelling of an identifier, as [`Compared`] reads it.
#[derive(Clone, Copy)]
pub(super) struct Key {
    start: u32,
    len: u32,
    /// What it is a spelling of.
    pub(super) number: u32,
    /// Whether it is a part of its identifier: the whole of another one comes before it.
    pub(super) is_part: bool,
    /// Whether it was cut within a word, so that it ends anywhere.
    is_open: bool,
}

/// The spellings of the identifiers of one request.
#[derive(Default)]
pub(super) struct Spelt {
    arena: Vec<u8>,
    words: Vec<Key>,
    /// How many of them are in order.
    sorted: usize,
    /// Those that are found whatever separates their letters and digits.
    loose: Vec<Key>,
    begin: Begin,
    filter: Filter,
    /// Whether any is shorter than what the filter looks at.
    has_short: bool,
}

/// Which letters any spelling begins with, and which come second: what sorts out most words, by two bytes of text.
struct Begin([u8; 256]);

impl Begin {
    const FIRST: u8 = 1;
    const SECOND: u8 = 2;

    fn set(&mut self, letter: u8, place: u8) {
        for letter in [letter, letter.to_ascii_uppercase()] {
            if let Some(places) = self.0.get_mut(usize::from(letter)) {
                *places |= place;
            }
        }
    }

    #[inline]
    fn has(&self, letter: u8, place: u8) -> bool {
        self.0.get(usize::from(letter)).is_some_and(|places| places & place != 0)
    }

    /// Takes the beginning of a key that is found whatever separates its letters, and with a `0` before it.
    fn set_loose(&mut self, [first, second]: [u8; 2]) {
        self.set(first, Self::FIRST | Self::SECOND);
        self.set(second, Self::SECOND);
        self.set(b'0', Self::FIRST);
        (0..=u8::MAX).filter(|byte| is_separator(*byte)).for_each(|byte| self.set(byte, Self::SECOND));
    }

    /// Whether a spelling may begin with the first two bytes. Of others than letters and digits nothing is told.
    #[inline]
    fn fits(&self, rest: &[u8]) -> bool {
        match rest {
            [first, ..] if !first.is_ascii_alphanumeric() => true,
            [first, second, ..] => {
                self.has(*first, Self::FIRST) && (!is_itself(*second) || self.has(*second, Self::SECOND))
            }
            [first] => self.has(*first, Self::FIRST),
            [] => false,
        }
    }
}

impl Default for Begin {
    fn default() -> Self {
        Self([0; 256])
    }
}

/// Which first four letters any spelling has: what sorts out nearly every word.
struct Filter([u64; FILTER]);

impl Default for Filter {
    fn default() -> Self {
        Self([0; FILTER])
    }
}

fn size(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

fn text<'a>(arena: &'a [u8], key: &Key) -> &'a [u8] {
    let start = index(key.start);
    arena.get(start..start + index(key.len)).unwrap_or_default()
}

impl Spelt {
    /// Forgets everything; buffers of more than `kept` bytes, too.
    pub(super) fn clear(&mut self, kept: usize) {
        self.arena.zeroize();
        if self.arena.capacity() > kept {
            *self = Self::default();
            return;
        }
        self.words.clear();
        self.sorted = 0;
        self.loose.clear();
        self.begin = Begin::default();
        self.filter = Filter::default();
        self.has_short = false;
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.words.is_empty() && self.loose.is_empty()
    }

    /// Bytes of all spellings.
    pub(super) const fn bytes(&self) -> usize {
        self.arena.len()
    }

    /// Adds a spelling; of something long, each piece of it. `is_open` says that it ends anywhere.
    pub(super) fn add(&mut self, spelling: &[u8], number: u32, (is_part, is_open): (bool, bool)) {
        let Self { arena, words, .. } = self;
        let from = arena.len();
        arena.extend(Compared::new(spelling));
        // A line end that is written at its end is none of its letters: what stands behind it is another word.
        while arena.len() > from && arena.last() == Some(&b' ') {
            arena.pop();
        }
        if !arena.get(from..).is_some_and(spelling::is_telling) {
            return arena.truncate(from);
        }
        let (start, len) = (size(from), size(arena.len() - from));
        words.push(Key { start, len, number, is_part, is_open });
    }

    /// Adds a key or number that is found whatever separates its letters and digits, and its ends of `tail` and more
    /// of them as parts.
    pub(super) fn add_loose(&mut self, form: &[u8], tail: Option<usize>, number: u32) {
        let Self { arena, loose, .. } = self;
        let from = arena.len();
        arena.extend(form.iter().filter(|byte| !is_separator(**byte)).map(u8::to_ascii_lowercase));
        let len = arena.len() - from;
        if !(LOOSE..=spelling::LONGEST).contains(&len) || !form.is_ascii() {
            arena.truncate(from);
            return;
        }
        let shortest = tail.unwrap_or(len).min(len);
        loose.extend((shortest..=len).map(|tail| Key {
            start: size(from + len - tail),
            len: size(tail),
            number,
            is_part: tail < len,
            is_open: false,
        }));
    }

    /// Makes what was added ready to be looked for. Of equal spellings `merge` tells what they are of: it is given the
    /// first, that of a whole identifier before those of parts, and one after another of the others.
    pub(super) fn finish(&mut self, mut merge: impl FnMut(&Key, &Key) -> u32) {
        let Self { arena, words, sorted, loose, begin, filter, has_short } = self;
        for keys in [&mut *words, loose] {
            keys.sort_unstable_by(|a, b| {
                text(arena, a).cmp(text(arena, b)).then((a.is_part, a.number).cmp(&(b.is_part, b.number)))
            });
            keys.dedup_by(|later, first| {
                let is_same = text(arena, later) == text(arena, first);
                if is_same {
                    first.number = merge(first, later);
                    first.is_open |= later.is_open;
                }
                is_same
            });
            for key in keys.iter() {
                let text = text(arena, key);
                *has_short |= text.len() < spelling::SHORT;
                filter.set(head(text.iter().copied()));
                let mut letters = text.iter().copied();
                letters.next().into_iter().for_each(|first| begin.set(first, Begin::FIRST));
                letters.next().into_iter().for_each(|second| begin.set(second, Begin::SECOND));
            }
        }
        for key in loose.iter() {
            text(arena, key).first_chunk().into_iter().for_each(|first| begin.set_loose(*first));
        }
        *sorted = words.len();
    }

    /// Whether a text is a spelling as a whole, of those that were there at the latest [`Self::finish`].
    pub(super) fn has(&self, whole: &[u8]) -> bool {
        let sorted = self.words.get(..self.sorted).unwrap_or_default();
        walk(&self.arena, sorted, Compared::new(whole)).is_some_and(|(end, _)| end == whole.len())
    }

    /// What the spelling is of that a text is as a whole.
    pub(super) fn get(&self, whole: &[u8]) -> Option<u32> {
        let compared = |key: &Key| text(&self.arena, key).iter().copied().cmp(Compared::new(whole));
        let at = self.words.binary_search_by(compared).ok()?;
        self.words.get(at).map(|key| key.number)
    }

    /// Whether a spelling may begin where `rest` does, as far as the filter tells.
    #[inline]
    pub(super) fn may_begin(&self, rest: &[u8]) -> bool {
        self.begin.fits(rest) && self.passes(rest)
    }

    /// The same by four letters.
    #[inline(never)]
    fn passes(&self, rest: &[u8]) -> bool {
        if self.is_empty() {
            return false;
        }
        let head = match rest.first_chunk() {
            Some(first) if first.iter().all(|byte| is_itself(*byte)) => {
                first.map(|byte| byte.to_ascii_lowercase())
            }
            _ => head(Compared::new(rest)),
        };
        self.filter.has(head)
            || self.has_short && self.may_be_short(head)
            || !self.loose.is_empty()
                && starts(rest).any(|rest| self.filter.has(self::head(Compared::loose(rest))))
    }

    fn may_be_short(&self, head: [u8; spelling::SHORT]) -> bool {
        (2..spelling::SHORT).any(|len| {
            let [mut short, ends] = [head, head];
            short.iter_mut().skip(len).for_each(|byte| *byte = 0);
            ends.get(len).is_none_or(|byte| !byte.is_ascii_alphanumeric()) && self.filter.has(short)
        })
    }

    /// The longest spelling that `rest` begins with: where it ends, and what it is of.
    pub(super) fn longest(&self, rest: &[u8]) -> Option<(usize, u32)> {
        let words = walk(&self.arena, &self.words, Compared::new(rest));
        if self.loose.is_empty() {
            return words;
        }
        let loose = starts(rest).filter_map(|from| {
            let (end, number) = walk(&self.arena, &self.loose, Compared::loose(from))?;
            Some((rest.len() - from.len() + end, number))
        });
        loose.chain(words).max_by_key(|(end, _)| *end)
    }
}

/// Where a number may begin: at its beginning, and behind the `0` that is dialled before the code of an area.
#[inline]
fn starts(rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    [Some(rest), rest.strip_prefix(b"0")].into_iter().flatten()
}

/// The first letters, or zeros.
fn head(letters: impl Iterator<Item = u8>) -> [u8; spelling::SHORT] {
    let mut head = [0; spelling::SHORT];
    head.iter_mut().zip(letters).for_each(|(to, from)| *to = from);
    head
}

impl Filter {
    /// The place of the first letters: multiplied (Fibonacci hashing).
    #[inline]
    fn slot(head: [u8; spelling::SHORT]) -> (usize, u64) {
        let slot = u32::from_le_bytes(head).wrapping_mul(0x9E37_79B1) >> 16;
        (usize::try_from(slot / 64).unwrap_or(0), 1 << (slot % 64))
    }

    #[inline]
    fn has(&self, head: [u8; spelling::SHORT]) -> bool {
        let (word, bit) = Self::slot(head);
        self.0.get(word).is_some_and(|bits| bits & bit != 0)
    }

    fn set(&mut self, head: [u8; spelling::SHORT]) {
        let (word, bit) = Self::slot(head);
        if let Some(bits) = self.0.get_mut(word) {
            *bits |= bit;
        }
    }
}

/// Follows a text through sorted spellings: at most as many steps as the longest has bytes.
fn walk(arena: &[u8], mut keys: &[Key], mut letters: Compared<'_>) -> Option<(usize, u32)> {
    let (mut best, mut edge) = (None, 0);
    for depth in 0..=spelling::LONGEST {
        // A spelling that ends here comes before those that go on.
        if let Some((first, others)) = keys.split_first()
            && index(first.len) == depth
        {
            if first.is_open || spelling::is_border(edge, letters.beside()) {
                best = Some((letters.end(), first.number));
            }
            keys = others;
        }
        if keys.is_empty() || letters.end() > FAR {
            break;
        }
        let Some(byte) = letters.next() else { break };
        #[cfg(any(test, fuzzing))]
        crate::sanitize::detect::work::count(1);
        let at = |key: &Key| text(arena, key).get(depth).copied().unwrap_or(0);
        let from = keys.partition_point(|key| at(key) < byte);
        let to = keys.partition_point(|key| at(key) <= byte);
        keys = keys.get(from..to).unwrap_or_default();
        edge = byte;
    }
    best
}

impl Drop for Spelt {
    fn drop(&mut self) {
        self.arena.zeroize();
    }
}
