//! What a finding covers in the end: whole characters, what begins inside of it and ends beyond it, and a token of ours
//! as one.

use super::finding::Best;
use super::scan::Scan;
use super::view::{self, WORD, Word};
use super::{Finding, Lookup, What, email};
use crate::sanitize::redact::item::{self, Item};

/// Bytes of a finding inside of another whose words are asked, too.
const NEAR: usize = 256;

impl<L: Lookup + Copy> Scan<'_, L> {
    /// The finding without half a character at either end, and without the half of a word at its own.
    pub(super) fn whole(&self, mut found: Finding) -> Finding {
        // What the batch knows ends where it is told to: in scripts without spaces that is inside of a word.
        let ends = matches!(found.what, What::Known(_)) || !view::is(self.view.at(found.end), WORD);
        if !ends && view::is(self.view.before(found.end), WORD) {
            found.end = self.view.run(found.end, WORD);
        }
        let is_inside = |at: usize| self.text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
        while is_inside(found.start) {
            found.start -= 1;
        }
        while is_inside(found.end) {
            found.end += 1;
        }
        found
    }

    /// The finding with the account that hangs on it by an `@`: in `a@b@example.com` nobody is left before the address,
    /// nor in `jane@-10.1.2.3`.
    #[inline]
    pub(super) fn hung_on(&mut self, mut found: Finding) -> Finding {
        if self.free < found.start && email::is_part(self.view.before(found.start)) {
            let start = email::hung_on(self.view, found.start, self.free);
            self.is_joined |= start < found.start;
            found.start = start;
        }
        found
    }

    /// The finding with the credentials of the URL whose scheme it hides: what stands before `://` is one, whatever else
    /// it is.
    #[inline]
    pub(super) fn before_url(&mut self, mut found: Finding) -> Finding {
        if self.view.starts(found.end, b"://") {
            let mut best = Best::from(found.end, self.free);
            self.scheme(Word { start: found.start, end: found.end, bits: view::LETTER }, &mut best);
            if let Some(more) = best.found() {
                self.is_joined = true;
                found = Finding { end: more.end, what: found.more(more), ..found };
            }
        }
        found
    }

    /// The finding with what begins inside of it and ends beyond it: an account that ends at the `/` of a word in
    /// Base64, a number that is the first group of an address. Cut in two, the rest would be found by nobody. The
    /// words before `from` have been asked already.
    #[inline]
    pub(super) fn beyond(&mut self, from: usize, found: Finding) -> Finding {
        if self.goes_on(found.end) { self.extended(from.max(found.start), found) } else { found }
    }

    /// Whether what stands at the end of a finding may belong to something that begins inside of it.
    #[inline]
    fn goes_on(&self, end: usize) -> bool {
        let (after, next) = (self.view.at(end), self.view.at(end + 1));
        let joins = matches!(after, b'/' | b'+' | b'-' | b'_' | b':' | b'.');
        view::is(after, WORD) || after == b'=' || joins && (view::is(next, WORD) || next == b':')
    }

    /// [`Self::beyond`], by the words from a place on. What is found and ends inside is passed over as anywhere else, so
    /// that this is no slower.
    fn extended(&mut self, mut at: usize, mut found: Finding) -> Finding {
        let url = self.url;
        loop {
            let start = self.view.find(at, WORD);
            if start >= found.end {
                break;
            }
            let word = self.view.word(start);
            let encoded = self.encoded(word);
            self.known.pass(&mut self.memory, self.text, start);
            at = word.end;
            let Some(other) = self.look(word, encoded).filter(|other| other.start < found.end) else {
                continue;
            };
            if other.end <= found.end {
                // What is short may itself cut something.
                if other.end - start > NEAR || !self.goes_on(other.end) {
                    at = at.max(other.end);
                }
                continue;
            }
            self.is_joined = true;
            found = Finding { start: found.start.min(other.start), end: other.end, what: found.more(other) };
            if !self.goes_on(found.end) {
                break;
            }
        }
        // A URL that begins inside goes on behind it; read again for each `://` in it, it would be read to its end each time.
        self.url = self.url.filter(|url| url.end > found.end).or(url);
        found
    }
}

/// A finding that is a token of ours, whatever announces it, is one: redacted text that comes in again is not hashed
/// once more.
pub(super) fn ours(text: &[u8], found: Finding) -> Finding {
    match item::token(text, found.start) {
        Some(Item::Token { end, .. }) if end == found.end => Finding { what: What::Token, ..found },
        Some(Item::Token { .. } | Item::Marker { .. }) | None => found,
    }
}

/// Whether a query is a marker of ours and nothing else; its bracket ends it.
pub(super) fn is_marker(text: &[u8], query: Finding) -> bool {
    matches!(item::marker(text, query.start), Some(Item::Marker { end }) if end == query.end + 1)
}
