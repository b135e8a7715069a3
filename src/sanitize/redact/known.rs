//! The known identifiers of a program's events in a request: values of their classed fields, which are found in
//! their text too. Whole words, in any letter case. Kept for the time of one request, in buffers that are used
//! again and zeroed. Of a request that has more than are kept all text is cut to nothing: none of it could be looked
//! through for all of them.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, Hash};

use foldhash::fast::FixedState;
use zeroize::Zeroize as _;

use super::spelt::Spelt;
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
/// Bytes of all spellings and canonical forms, of what is never stored and of the others each.
const ARENA: usize = 4 * 1_024 * 1_024;
/// What is kept for the next request of a buffer that a large one made grow.
const KEPT: usize = 256 * 1_024;
/// The first of the numbers that stand for a class, and no identifier of it.
const CLASSES: usize = 1 << 24;
/// Digits of the shortest end of a telephone number that is found without what comes before.
const SUBSCRIBER: usize = 7;

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
    spelt: Spelt,
    /// Canonical forms, one after another.
    forms: Vec<u8>,
    entries: Vec<Entry>,
    /// Identifiers with a spelling of one that came before, which is found for both.
    twins: Vec<(u32, u32)>,
    /// Hashes of what was added, so that a value that comes with every event counts once.
    added: HashSet<u64, FixedState>,
    /// Of all this, what is there for values that are never stored.
    forbidden: Share,
    /// Whether there were more than are kept.
    is_over: bool,
    hasher: FixedState,
}

fn size(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

/// Whether a value of a class is looked for. The two letters of a country's code are words in text (`in`, `is`, `it`), and
/// say what millions share.
fn is_looked_for(class: Class, value: &[u8]) -> bool {
    let is_short = value.len() < spelling::SHORT;
    class.is_found_in_text() && spelling::is_sought(value) && !(class == Class::Location && is_short)
}

impl Known {
    /// Forgets everything.
    pub(in crate::sanitize) fn clear(&mut self) {
        self.program = None;
        self.is_over = false;
        if self.added.is_empty() {
            return;
        }
        self.forms.zeroize();
        if self.spelt.bytes() + self.forms.capacity() > KEPT {
            *self = Self::default();
            return;
        }
        self.spelt.clear(KEPT);
        self.entries.clear();
        self.twins.clear();
        self.added.clear();
        self.forbidden = Share::default();
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.spelt.is_empty()
    }

    /// Whether there were more identifiers than are kept, so that text may hold some that nobody knows.
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Takes a value of a field of a class, as text.
    pub(super) fn add(&mut self, class: Class, value: &[u8], scratch: &mut canonical::Scratch) {
        let value = value.trim_ascii();
        if !is_looked_for(class, value) || !self.takes(class, value) {
            return;
        }
        match canonical::canonical(class, value, scratch) {
            Canonical::Identifier(canonical) => self.insert(class, canonical, value),
            // What has not the form of its class, or has none: a secret goes by what it is.
            Canonical::Malformed if std::str::from_utf8(value).is_ok() => self.insert(class, value, value),
            Canonical::Known(_) | Canonical::Malformed => return,
        }
        let is_host = class == Class::HostName;
        let is_phone = class == Class::Phone;
        let host = || spelling::without_port(value).filter(|_| is_host);
        if let Some(bare) = host().or_else(|| canonical::without_extension(value).filter(|_| is_phone)) {
            self.add(class, bare, scratch);
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
                || self.bytes() - bytes > ARENA
        };
        !self.is_over
    }

    /// Inserts an identifier by its canonical form and the form in which text has it.
    pub(super) fn insert(&mut self, class: Class, canonical: &[u8], value: &[u8]) {
        let before = self.bytes();
        let entry = self.entry(class, canonical);
        self.keys(canonical, entry, false);
        if canonical != value {
            self.keys(value, entry, false);
        }
        self.loose(class, canonical, entry);
        // A name without its domain is the same machine, an account without its domain the same account: the part has the
        // pseudonym of the whole, so that one erasure takes both.
        spelling::parts(class, canonical, value, |part| self.keys(part, entry, true));
        if class.is_forbidden() {
            self.forbidden.entries += 1;
            self.forbidden.bytes += self.bytes() - before;
        }
    }

    /// Whether a value is known as a whole, by what was there at the latest [`Self::finish`].
    pub(super) fn has(&self, value: &[u8]) -> bool {
        self.spelt.has(value)
    }

    const fn bytes(&self) -> usize {
        self.spelt.bytes() + self.forms.len()
    }

    fn entry(&mut self, class: Class, canonical: &[u8]) -> u32 {
        let start = size(self.forms.len());
        // No pseudonym is made of what is never stored.
        let form = if class.is_forbidden() { &[] } else { canonical };
        self.forms.extend_from_slice(form);
        self.entries.push(Entry { class, start, len: size(form.len()) });
        size(self.entries.len() - 1)
    }

    /// Adds the spellings of an identifier, or of a part of it.
    fn keys(&mut self, value: &[u8], entry: u32, is_part: bool) {
        spelling::compared(value, |spelling, (is_piece, is_open)| {
            // A piece may be one of something else, too.
            self.spelt.add(spelling, entry, (is_part || is_piece, is_open));
        });
    }

    /// Adds what is the same whatever separates its letters and digits.
    fn loose(&mut self, class: Class, canonical: &[u8], entry: u32) {
        if class == Class::LicenceKey || class == Class::MacAddress {
            self.spelt.add_loose(canonical, None, entry);
        } else if class == Class::Phone {
            let digits = canonical.strip_prefix(b"+").unwrap_or(canonical);
            // Of what is no number (a name, a digest) an end would say nothing: `example.com` is not the host in the field.
            let is_number = digits.iter().all(u8::is_ascii_digit);
            self.spelt.add_loose(digits, is_number.then_some(SUBSCRIBER), entry);
        }
    }

    /// Makes what was added ready to be looked for. A spelling of a whole identifier is of that which came first. One that
    /// is a part of several is of none of them: nobody can tell which is meant.
    pub(super) fn finish(&mut self) {
        let Self { spelt, entries, forms, twins, .. } = self;
        spelt.finish(|first, other| {
            let same = form(entries, forms, index(first.number)) == form(entries, forms, index(other.number));
            if !first.is_part && !other.is_part && !same {
                twins.push((first.number, other.number));
            }
            if !first.is_part || same {
                return first.number;
            }
            let class = |number: u32| form(entries, forms, index(number)).map(|(class, _)| class.index());
            let class = class(first.number).into_iter().chain(class(other.number)).min();
            size(CLASSES + class.unwrap_or_default())
        });
        let text = |number: u32| form(entries, forms, index(number)).and_then(|(_, form)| form);
        twins.sort_unstable_by(|(a, one), (b, other)| a.cmp(b).then_with(|| text(*one).cmp(&text(*other))));
    }

    /// Which of the identifiers with one spelling has this form, letter by letter: as text writes `db-1`, so does one of the
    /// fields with `DB-1` and `db-1`.
    pub(super) fn exactly(&self, number: usize, text: &[u8]) -> usize {
        if self.twins.is_empty() {
            return number;
        }
        let form = |number: usize| self.get(number).and_then(|(_, form)| form);
        if form(number) == Some(text) {
            return number;
        }
        let compared = |(first, other): &(u32, u32)| {
            index(*first).cmp(&number).then_with(|| form(index(*other)).cmp(&Some(text)))
        };
        let twin = self.twins.binary_search_by(compared).ok().and_then(|at| self.twins.get(at));
        twin.map_or(number, |(_, other)| index(*other))
    }

    /// The class of what was found, and its canonical form, if it is one identifier that a pseudonym may be made of.
    pub(super) fn get(&self, number: usize) -> Option<(Class, Option<&[u8]>)> {
        form(&self.entries, &self.forms, number)
    }

    /// Whether an identifier may begin at a place: a first look, by a few bytes.
    #[inline]
    pub(super) fn may_begin(&self, text: &[u8], start: usize) -> bool {
        self.spelt.may_begin(text.get(start..).unwrap_or_default())
    }

    /// Where the longest identifier ends that begins at a place, and its number.
    #[inline]
    pub(super) fn longest(&self, text: &[u8], start: usize) -> Option<(usize, usize)> {
        if !self.may_begin(text, start) {
            return None;
        }
        self.spelt.longest(text.get(start..)?).map(|(len, number)| (start + len, index(number)))
    }

    /// The class of a canonical form, if a field has it.
    pub(super) fn class_of(&self, canonical: &[u8]) -> Option<Class> {
        if self.spelt.is_empty() {
            return None;
        }
        let (class, form) = self.get(index(self.spelt.get(canonical)?))?;
        (form == Some(canonical)).then_some(class)
    }
}

/// What a number stands for.
fn form<'f>(entries: &[Entry], forms: &'f [u8], number: usize) -> Option<(Class, Option<&'f [u8]>)> {
    if let Some(class) = number.checked_sub(CLASSES) {
        return Some((*Class::ALL.get(class)?, None));
    }
    let entry = entries.get(number)?;
    let start = index(entry.start);
    let form = forms.get(start..start + index(entry.len))?;
    Some((entry.class, Some(form).filter(|_| !entry.class.is_forbidden())))
}

impl Lookup for &Known {
    type Memory = ();

    #[inline]
    fn longest(&self, (): &mut (), text: &[u8], start: usize) -> Option<(usize, usize)> {
        Known::longest(self, text, start)
    }

    #[inline]
    fn may_begin(&self, (): &mut (), text: &[u8], start: usize) -> bool {
        Known::may_begin(self, text, start)
    }

    #[inline]
    fn pass(&self, (): &mut (), _: &[u8], _: usize) {}
}

impl Drop for Known {
    fn drop(&mut self) {
        self.forms.zeroize();
    }
}

#[cfg(test)]
#[path = "known_tests.rs"]
mod tests;
