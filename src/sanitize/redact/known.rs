//! The known identifiers of a program's events in a request: values of their classed fields, which are found in
//! their text too. Whole words, in any letter case. Kept for the time of one request, in buffers that are used
//! again and zeroed. Of a request that has more than are kept all text is cut to nothing: none of it could be looked
//! through for all of them.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, Hash};

use foldhash::fast::FixedState;
use zeroize::Zeroize as _;

use crate::model::IdentifierClass as Class;
use crate::sanitize::canonical::{self, Canonical};
use crate::sanitize::detect::Lookup;
use crate::sanitize::spelling;

/// Identifiers of one request. How many there are does not depend on the level.
const ENTRIES: usize = 16_384;
/// The same of values that are never stored. They are counted by themselves: a sender that leaves them out, as it
/// is told to, has the same identifiers found.
const FORBIDDEN: usize = 4_096;
/// Different values of fields that can be known, identifiers or not.
const VALUES: usize = 65_536;
/// Bytes of all spellings, of what is never stored and of the others each.
const ARENA: usize = 4 * 1_024 * 1_024;
/// What is kept for the next request of a buffer that a large one made grow.
const KEPT: usize = 256 * 1_024;
/// Words of 64 bits in the filter by the first four letters.
const FILTER: usize = 1_024;

/// A spelling of an identifier, folded to small letters.
#[derive(Clone, Copy)]
struct Key {
    start: u32,
    len: u32,
    entry: u32,
    /// Whether it is a part of its identifier: the whole of another one comes before it.
    is_part: bool,
}

struct Entry {
    class: Class,
    start: u32,
    len: u32,
}

/// What values that are never stored take of the room. They have their own, so that they leave the others theirs.
#[derive(Clone, Copy, Default)]
struct Share {
    values: usize,
    entries: usize,
    bytes: usize,
}

/// The identifiers of one request.
#[derive(Default)]
pub(in crate::sanitize) struct Known {
    /// The program whose events were gathered, by its position in the policy.
    pub(super) program: Option<usize>,
    arena: Vec<u8>,
    entries: Vec<Entry>,
    keys: Vec<Key>,
    /// How many of the keys are in order.
    sorted: usize,
    /// Hashes of what was added, so that a value that comes with every event counts once.
    added: HashSet<u64, FixedState>,
    /// Of all this, what is there for values that are never stored.
    forbidden: Share,
    /// Whether there were more than are kept.
    is_over: bool,
    filter: Filter,
    /// Whether any spelling is shorter than what the filter looks at.
    has_short: bool,
    hasher: FixedState,
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

impl Known {
    /// Forgets everything.
    pub(in crate::sanitize) fn clear(&mut self) {
        self.program = None;
        self.is_over = false;
        if self.added.is_empty() {
            return;
        }
        self.arena.zeroize();
        if self.arena.capacity() > KEPT {
            *self = Self::default();
            return;
        }
        self.entries.clear();
        self.keys.clear();
        self.sorted = 0;
        self.added.clear();
        self.forbidden = Share::default();
        self.filter = Filter::default();
        self.has_short = false;
    }

    /// Whether there were more identifiers than are kept, so that text may hold some that nobody knows.
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Takes a value of a field of a class, as text.
    pub(super) fn add(&mut self, class: Class, value: &[u8], scratch: &mut canonical::Scratch) {
        let value = value.trim_ascii();
        if !class.is_found_in_text() || !spelling::is_telling(value) || !self.takes(class, value) {
            return;
        }
        match canonical::canonical(class, value, scratch) {
            Canonical::Identifier(canonical) => self.insert(class, canonical, value),
            // What has not the form of its class, or has none: a secret goes by what it is.
            Canonical::Malformed if std::str::from_utf8(value).is_ok() => self.insert(class, value, value),
            Canonical::Known(_) | Canonical::Malformed => {}
        }
    }

    /// Whether a value of a class is a new one that is to be inserted. If there is no room for it, there were too many.
    pub(super) fn takes(&mut self, class: Class, value: impl Hash) -> bool {
        if self.is_over || !self.added.insert(self.hasher.hash_one((class.index(), value))) {
            return false;
        }
        let Share { values, entries, bytes } = self.forbidden;
        self.is_over = if class.is_forbidden() {
            self.forbidden.values += 1;
            values == FORBIDDEN || bytes > ARENA
        } else {
            self.entries.len() - entries == ENTRIES
                || self.added.len() - values > VALUES
                || self.arena.len() - bytes > ARENA
        };
        !self.is_over
    }

    /// Inserts an identifier by its canonical form and the form in which text has it.
    pub(super) fn insert(&mut self, class: Class, canonical: &[u8], value: &[u8]) {
        let before = self.arena.len();
        let entry = self.entry(class, canonical);
        self.keys(canonical, entry, false);
        if canonical != value {
            self.keys(value, entry, false);
        }
        // A name without its domain is the same machine, an account without its domain the same account: the part has the
        // pseudonym of the whole, so that one erasure takes both.
        spelling::parts(class, canonical, value, |part| self.keys(part, entry, true));
        if class.is_forbidden() {
            self.forbidden.entries += 1;
            self.forbidden.bytes += self.arena.len() - before;
        }
    }

    /// Whether a value is known as a whole, by what was there at the latest [`Self::finish`].
    pub(super) fn has(&self, value: &[u8]) -> bool {
        let sorted = self.keys.get(..self.sorted).unwrap_or_default();
        self.walk(sorted, value).is_some_and(|(end, _)| end == value.len())
    }

    fn entry(&mut self, class: Class, canonical: &[u8]) -> u32 {
        let start = size(self.arena.len());
        self.arena.extend_from_slice(canonical);
        self.entries.push(Entry { class, start, len: size(canonical.len()) });
        size(self.entries.len() - 1)
    }

    /// Adds the spellings of an identifier, or of a part of it.
    fn keys(&mut self, value: &[u8], entry: u32, is_part: bool) {
        let Self { arena, keys, .. } = self;
        spelling::each(value, |spelling| {
            if spelling::is_telling(spelling) {
                let start = size(arena.len());
                arena.extend(spelling.iter().map(u8::to_ascii_lowercase));
                keys.push(Key { start, len: size(spelling.len()), entry, is_part });
            }
        });
    }

    /// Makes what was added ready to be looked for.
    pub(super) fn finish(&mut self) {
        let Self { arena, keys, sorted, filter, has_short, .. } = self;
        let text = |key: &Key| arena.get(index(key.start)..index(key.start + key.len)).unwrap_or_default();
        // Of equal spellings the one that came first, and that of a whole identifier before that of a part.
        keys.sort_unstable_by(|a, b| {
            text(a).cmp(text(b)).then((a.is_part, a.entry).cmp(&(b.is_part, b.entry)))
        });
        keys.dedup_by(|a, b| text(a) == text(b));
        *sorted = keys.len();
        for key in keys.iter() {
            let text = text(key);
            *has_short |= text.len() < spelling::SHORT;
            let slot = slot(text, spelling::SHORT);
            if let Some(word) = filter.0.get_mut(slot / 64) {
                *word |= 1 << (slot % 64);
            }
        }
    }

    fn text(&self, key: &Key) -> &[u8] {
        self.arena.get(index(key.start)..index(key.start + key.len)).unwrap_or_default()
    }

    /// The class and canonical form of an identifier.
    pub(super) fn get(&self, number: usize) -> Option<(Class, &[u8])> {
        let entry = self.entries.get(number)?;
        Some((entry.class, self.arena.get(index(entry.start)..index(entry.start + entry.len))?))
    }

    /// The class of a canonical form, if a field has it.
    pub(super) fn class_of(&self, canonical: &[u8]) -> Option<Class> {
        if self.keys.is_empty() {
            return None;
        }
        let of = |key: &Key| {
            self.get(index(key.entry)).filter(|(_, form)| *form == canonical).map(|(class, _)| class)
        };
        let folded =
            |key: &Key| self.text(key).iter().copied().cmp(canonical.iter().map(u8::to_ascii_lowercase));
        let at = self.keys.binary_search_by(folded).ok()?;
        self.keys.get(at).and_then(of)
    }
}

/// The place of a spelling in the filter: its first bytes, folded and multiplied (Fibonacci hashing).
#[inline]
fn slot(text: &[u8], len: usize) -> usize {
    let mut first = [0; spelling::SHORT];
    first.iter_mut().zip(text.iter().take(len)).for_each(|(to, from)| *to = from.to_ascii_lowercase());
    usize::try_from(u32::from_le_bytes(first).wrapping_mul(0x9E37_79B1) >> 16).unwrap_or(0)
}

impl Known {
    /// Whether a spelling has these first bytes, as far as the filter tells.
    #[inline]
    fn may_be(&self, text: &[u8], len: usize) -> bool {
        let slot = slot(text, len);
        self.filter.0.get(slot / 64).is_some_and(|bits| bits >> (slot % 64) & 1 == 1)
    }
}

impl Lookup for &Known {
    #[inline]
    fn may_begin(&self, text: &[u8], start: usize) -> bool {
        if self.keys.is_empty() {
            return false;
        }
        let rest = text.get(start..).unwrap_or_default();
        let ends = |len: &usize| rest.get(*len).is_none_or(|byte| !byte.is_ascii_alphanumeric());
        self.may_be(rest, spelling::SHORT)
            || self.has_short && (2..spelling::SHORT).filter(ends).any(|len| self.may_be(rest, len))
    }

    #[inline]
    fn longest(&self, text: &[u8], start: usize) -> Option<(usize, usize)> {
        if !self.may_begin(text, start) {
            return None;
        }
        self.walk(&self.keys, text.get(start..)?).map(|(len, number)| (start + len, number))
    }
}

impl Known {
    /// Follows the text through the sorted spellings: at most as many steps as the longest has bytes.
    fn walk(&self, mut keys: &[Key], rest: &[u8]) -> Option<(usize, usize)> {
        let mut best = None;
        for depth in 0..=spelling::LONGEST {
            // A spelling that ends here comes before those that go on.
            if let Some((first, others)) = keys.split_first()
                && index(first.len) == depth
            {
                let edge = depth.checked_sub(1).and_then(|last| rest.get(last));
                if edge.is_some_and(|edge| spelling::is_border(*edge, rest.get(depth))) {
                    best = Some((depth, index(first.entry)));
                }
                keys = others;
            }
            let Some(byte) = rest.get(depth).map(u8::to_ascii_lowercase) else { break };
            let at = |key: &Key| self.text(key).get(depth).copied().unwrap_or(0);
            let from = keys.partition_point(|key| at(key) < byte);
            let to = keys.partition_point(|key| at(key) <= byte);
            keys = keys.get(from..to).unwrap_or_default();
            if keys.is_empty() {
                break;
            }
        }
        best
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        self.arena.zeroize();
    }
}

#[cfg(test)]
#[path = "known_tests.rs"]
mod tests;
