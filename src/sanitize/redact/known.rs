//! The known identifiers of a program's events in a request: values of their classed fields, which are found in
//! their text too. Whole words, in any letter case. Kept for the time of one request, in buffers that are used
//! again and zeroed.

use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use zeroize::Zeroize as _;

use crate::model::IdentifierClass as Class;
use crate::sanitize::canonical::{self, Canonical};
use crate::sanitize::detect::Lookup;

/// Identifiers of one request. The first so many count; which they are does not depend on the level.
const ENTRIES: usize = 512;
/// The same of values that are never stored. They are counted by themselves: a sender that leaves them out, as it
/// is told to, has the same identifiers found.
const FORBIDDEN: usize = 128;
/// Bytes of a value that is looked for. Shorter ones would be found everywhere, longer ones nowhere.
const BYTES: std::ops::RangeInclusive<usize> = 4..=96;
/// Values of fields that can be known which are looked at for new ones.
const VALUES: usize = 20_000;
/// Bits of the filter by the first four letters.
const FILTER: usize = 64;

/// A spelling of an identifier, folded to small letters.
#[derive(Clone, Copy)]
struct Key {
    start: u32,
    len: u32,
    entry: u32,
}

struct Entry {
    class: Class,
    start: u32,
    len: u32,
}

/// The identifiers of one request.
#[derive(Default)]
pub(in crate::sanitize) struct Known {
    /// The program whose events were gathered, by its position in the policy.
    pub(super) program: Option<usize>,
    arena: Vec<u8>,
    entries: Vec<Entry>,
    keys: Vec<Key>,
    /// Hashes of what was added, so that a value that comes with every event counts once.
    added: Vec<u64>,
    values: usize,
    /// Entries of values that are never stored.
    forbidden: usize,
    filter: Filter,
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
        self.values = 0;
        if self.added.is_empty() {
            return;
        }
        self.arena.zeroize();
        self.entries.clear();
        self.keys.clear();
        self.added.clear();
        self.forbidden = 0;
        self.filter = Filter::default();
    }

    /// Takes a value of a field of a class.
    pub(super) fn add(&mut self, class: Class, value: &[u8], scratch: &mut canonical::Scratch) {
        if !class.is_found_in_text() || !BYTES.contains(&value.len()) {
            return;
        }
        let is_full = if class.is_forbidden() {
            self.forbidden >= FORBIDDEN
        } else {
            self.values += 1;
            self.values > VALUES || self.entries.len() - self.forbidden >= ENTRIES
        };
        if is_full || self.was_added(class, value) {
            return;
        }
        let (value, canonical) = match canonical::canonical(class, value, scratch) {
            Canonical::Identifier(canonical) => (value, canonical),
            // What has not the form of its class, or has none: a secret goes by what it is.
            Canonical::Malformed if std::str::from_utf8(value).is_ok() => (value, value),
            Canonical::Known(_) | Canonical::Malformed => return,
        };
        let value = value.trim_ascii();
        let entry = self.entry(class, canonical);
        self.key(canonical, entry);
        self.key(value, entry);
        // A name without its domain is the same machine, an account without its domain the same account.
        let part = if class == Class::HostName {
            canonical.split(|byte| *byte == b'.').next().filter(|name| {
                name.len() < canonical.len() && name.iter().any(|byte| byte.is_ascii_digit() || *byte == b'-')
            })
        } else if class == Class::UserId {
            account(canonical)
        } else {
            None
        };
        if let Some(part) = part.filter(|part| BYTES.contains(&part.len())) {
            let entry = self.entry(class, part);
            self.key(part, entry);
        }
    }

    fn was_added(&mut self, class: Class, value: &[u8]) -> bool {
        let hash = self.hasher.hash_one((class.index(), value));
        match self.added.binary_search(&hash) {
            Ok(_) => true,
            Err(at) => {
                self.added.insert(at, hash);
                false
            }
        }
    }

    fn entry(&mut self, class: Class, canonical: &[u8]) -> u32 {
        let start = size(self.arena.len());
        self.arena.extend_from_slice(canonical);
        self.entries.push(Entry { class, start, len: size(canonical.len()) });
        self.forbidden += usize::from(class.is_forbidden());
        size(self.entries.len() - 1)
    }

    /// Adds a spelling: from its first letter or digit to its last.
    fn key(&mut self, spelling: &[u8], entry: u32) {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80;
        let Some(first) = spelling.iter().position(is_word) else { return };
        let last = spelling.iter().rposition(is_word).unwrap_or(first);
        let Some(spelling) = spelling.get(first..=last).filter(|spelling| BYTES.contains(&spelling.len()))
        else {
            return;
        };
        let start = size(self.arena.len());
        self.arena.extend(spelling.iter().map(u8::to_ascii_lowercase));
        self.keys.push(Key { start, len: size(spelling.len()), entry });
    }

    /// Makes what was added ready to be looked for.
    pub(super) fn finish(&mut self) {
        let Self { arena, keys, filter, .. } = self;
        let text = |key: &Key| arena.get(index(key.start)..index(key.start + key.len)).unwrap_or_default();
        // Of equal spellings the one that came first.
        keys.sort_unstable_by(|a, b| text(a).cmp(text(b)).then(a.entry.cmp(&b.entry)));
        keys.dedup_by(|a, b| text(a) == text(b));
        for key in keys.iter() {
            let slot = slot(text(key));
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

/// The account of `domain\account` or `account@domain`.
fn account(canonical: &[u8]) -> Option<&[u8]> {
    if let Some(at) = canonical.iter().position(|byte| *byte == b'\\') {
        return canonical.get(at + 1..);
    }
    let at = canonical.iter().rposition(|byte| *byte == b'@')?;
    canonical.get(..at)
}

/// The place of a spelling in the filter: its first four bytes, folded and multiplied (Fibonacci hashing).
#[inline]
fn slot(text: &[u8]) -> usize {
    let first: [u8; 4] = text.first_chunk().copied().unwrap_or_default();
    let folded = u32::from_le_bytes(first.map(|byte| byte.to_ascii_lowercase()));
    usize::try_from(folded.wrapping_mul(0x9E37_79B1) >> 20).unwrap_or(0)
}

impl Lookup for &Known {
    #[inline]
    fn may_begin(&self, text: &[u8], start: usize) -> bool {
        let slot = slot(text.get(start..).unwrap_or_default());
        !self.keys.is_empty() && self.filter.0.get(slot / 64).is_some_and(|bits| bits >> (slot % 64) & 1 == 1)
    }

    #[inline]
    fn longest(&self, text: &[u8], start: usize) -> Option<(usize, usize)> {
        if !self.may_begin(text, start) {
            return None;
        }
        self.walk(text.get(start..)?).map(|(len, number)| (start + len, number))
    }
}

impl Known {
    /// Follows the text through the sorted spellings: at most as many steps as the longest has bytes.
    fn walk(&self, rest: &[u8]) -> Option<(usize, usize)> {
        let mut keys = self.keys.as_slice();
        let mut best = None;
        for depth in 0..=*BYTES.end() {
            // A spelling that ends here comes before those that go on.
            if let Some((first, others)) = keys.split_first()
                && index(first.len) == depth
            {
                let ends = rest.get(depth).is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte < 0x80);
                if ends && depth > 0 {
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
mod tests {
    use super::Known;
    use crate::model::IdentifierClass as Class;
    use crate::sanitize::canonical::Scratch;
    use crate::sanitize::detect::Lookup as _;

    fn known(values: &[(Class, &str)]) -> Known {
        let mut known = Known::default();
        for (class, value) in values {
            known.add(*class, value.as_bytes(), &mut Scratch::default());
        }
        known.finish();
        known
    }

    #[test]
    fn the_longest_known_spelling_that_is_a_whole_word_is_found() {
        let known = known(&[
            (Class::ObjectName, "Prod VM 1"),
            (Class::ObjectName, "Prod"),
            (Class::HostName, "ESX-04.corp.example.com."),
            (Class::UserId, "CORP\\jdoe"),
            (Class::Secret, "hunter2-x"),
            (Class::NotIdentifying, "standard"),
            (Class::ObjectName, "abc"),
            (Class::HostName, "localhost"),
        ]);
        for (text, expected) in [
            ("prod vm 1 is off", Some((9, Class::ObjectName, "Prod VM 1"))),
            ("prod vm 10 is off", Some((4, Class::ObjectName, "Prod"))),
            ("PROD", Some((4, Class::ObjectName, "Prod"))),
            ("products", None),
            ("esx-04.corp.example.com:", Some((23, Class::HostName, "esx-04.corp.example.com"))),
            ("ESX-04 is down", Some((6, Class::HostName, "esx-04"))),
            ("jdoe)", Some((4, Class::UserId, "jdoe"))),
            ("hunter2-x", Some((9, Class::Secret, "hunter2-x"))),
            ("standard", None),
            ("abc", None),
            ("localhost", None),
        ] {
            let found = (&known).longest(text.as_bytes(), 0);
            let found = found.and_then(|(len, number)| {
                let (class, canonical) = known.get(number)?;
                Some((len, class, std::str::from_utf8(canonical).ok()?))
            });
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_value_is_added_once_and_the_number_of_values_is_bounded() {
        let mut known = Known::default();
        let mut scratch = Scratch::default();
        for number in 0..5_000 {
            known.add(Class::VmId, format!("vm-{}", number / 2).as_bytes(), &mut scratch);
        }
        known.finish();
        assert_eq!(known.entries.len(), super::ENTRIES);
        assert!((&known).longest(b"vm-10", 0).is_some());
        known.clear();
        assert!((&known).longest(b"vm-10", 0).is_none());
    }
}
