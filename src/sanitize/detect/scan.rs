//! The scan of one reading: word by word from left to right, what is plain passed over, the detectors asked about the
//! rest.

use std::cell::RefCell;

use super::encoded::{self, Tried};
use super::url::Url;
use super::value_end::ValueEnds;
use super::view::{self, HIGH, View, WORD, Word};
use super::{Finding, Lookup, What, border, control, email, join, plain};
use crate::sanitize::redact::item::{self, Item};

/// Reads one reading of a text finding by finding.
pub(super) struct Scan<'t, L: Lookup> {
    pub(super) text: &'t [u8],
    pub(super) view: View<'t>,
    pub(super) known: L,
    /// What it remembers of this reading.
    pub(super) memory: L::Memory,
    /// Where the next word is looked for. Nothing that begins before it is found any more.
    pub(super) at: usize,
    /// Where the latest finding, or marker, ends: what stands before it is not taken in any more.
    pub(super) free: usize,
    /// The next `@` from `at` on, or beyond the end.
    pub(super) sign: usize,
    /// Where what can be the local part before it begins, or beyond the end.
    pub(super) local: usize,
    /// Where the run of a name ends that was looked at last, so that it is not run through again after each
    /// finding in it.
    pub(super) name_end: usize,
    /// The classes of its bytes.
    pub(super) name_bits: view::Set,
    /// The URL that the scan is in.
    pub(super) url: Option<Url>,
    /// Where encoded words are decoded to; `None` in a word that was decoded: one level is read.
    pub(super) spare: Option<&'t RefCell<Vec<u8>>>,
    /// What was decoded and is nothing.
    pub(super) tried: Tried,
    pub(super) value_ends: ValueEnds,
    /// Whether the latest finding is of several that overlap.
    pub(super) is_joined: bool,
}

impl<'t, L: Lookup + Copy> Scan<'t, L> {
    pub(super) fn new(text: &'t [u8], known: L, spare: Option<&'t RefCell<Vec<u8>>>) -> Self {
        let mut scan = Self {
            text,
            view: View::new(text),
            known,
            memory: L::Memory::default(),
            at: 0,
            free: 0,
            sign: 0,
            local: 0,
            name_end: 0,
            name_bits: 0,
            url: None,
            spare,
            tried: Tried::default(),
            value_ends: ValueEnds::default(),
            is_joined: false,
        };
        scan.find_sign(0);
        scan
    }

    /// Finds the next `@` from a place on.
    pub(super) fn find_sign(&mut self, from: usize) {
        let rest = self.text.get(from..).unwrap_or_default();
        let sign = memchr::memchr(b'@', rest).map(|at| from + at);
        self.sign = sign.unwrap_or(usize::MAX);
        self.local = sign.map_or(usize::MAX, |sign| email::local_start(self.view, sign));
    }

    /// Goes on behind a finding, or a marker.
    fn pass(&mut self, end: usize) {
        self.known.pass(&mut self.memory, self.text, end);
        (self.at, self.free) = (end, end);
    }

    /// Goes on at `end`, behind a word by which nothing was found.
    #[inline]
    fn leave(&mut self, word: Word, end: usize) {
        if word.bits & HIGH != 0 || control::may_end_in(self.text, word.start) {
            self.known.pass(&mut self.memory, self.text, end);
        }
        self.at = end;
    }

    /// The word, and what is joined to it, if it is text in another alphabet with something to find in it.
    #[inline]
    pub(super) fn encoded(&mut self, word: Word) -> Option<Finding> {
        if encoded::may_begin(self.view, word) { self.decoded(word) } else { None }
    }

    #[inline(never)]
    fn decoded(&mut self, word: Word) -> Option<Finding> {
        let mut text = self.spare?.try_borrow_mut().ok()?;
        let end = encoded::decode(self.view, word, &mut self.tried, &mut text)?;
        if Scan::new(&text, self.known, None).next().is_none() {
            if !border::is_needed(&text) {
                return None;
            }
            border::draw(&mut text);
            Scan::new(&text, self.known, None).next()?;
        }
        Some(Finding { start: word.start, end, what: What::Encoded })
    }

    /// The first known identifier that begins inside of a word: at a character beyond ASCII or behind one, and behind the
    /// letter of a line end that is written as `\n`.
    fn known_inside(&mut self, word: Word) -> Option<Finding> {
        let is_line_end =
            self.view.before(word.start) == b'\\' && matches!(self.view.at(word.start), b'n' | b'r' | b't');
        let Self { view, text, known, memory, .. } = self;
        let mut known = |start: usize| {
            known.pass(memory, text, start);
            let (end, number) = known.longest(memory, text, start)?;
            Some(Finding { start, end, what: What::Known(number) })
        };
        if word.bits & HIGH == 0 {
            return if is_line_end { known(word.start + 1) } else { None };
        }
        let begins = |at: &usize| {
            let (before, byte) = (view.before(*at), view.at(*at));
            let is_beyond = byte & 0xc0 != 0x80 && view::is(before, HIGH) || byte >= 0xc0;
            is_beyond || is_line_end && *at == word.start + 1
        };
        (word.start + 1..word.end).filter(begins).find_map(&mut known)
    }

    /// What is found by a word: the first known identifier inside of it, if nothing else begins before.
    #[inline]
    fn found(&mut self, word: Word, encoded: Option<Finding>) -> Option<Finding> {
        match self.look(word, encoded) {
            Some(found) if word.bits & HIGH == 0 || found.start <= word.start => Some(found),
            Some(found) => {
                let inside = self.known_inside(word);
                inside.filter(|inside| inside.start < found.start).or(Some(found))
            }
            None => self.known_inside(word),
        }
    }

    /// Where to go on if nothing can be found by this word: what most texts are made of.
    #[inline]
    fn past_plain(&mut self, word: Word) -> Option<usize> {
        if self.sign < word.end || self.url.is_some() {
            return None;
        }
        let end = plain::past(self.view, word, word.start < self.name_end)?;
        if end > self.local {
            return None;
        }
        // A date and a time are three words, and a known identifier may begin with each.
        let Self { view, text, known, memory, .. } = self;
        let begins = |at: &usize| !view::is(view.before(*at), WORD);
        let is_known = known.may_begin(memory, text, word.start)
            || (word.end..end).filter(begins).any(|at| known.may_begin(memory, text, at));
        (!is_known).then_some(end)
    }
}

impl<L: Lookup + Copy> Iterator for Scan<'_, L> {
    type Item = Finding;

    fn next(&mut self) -> Option<Finding> {
        self.is_joined = false;
        loop {
            let start = self.view.find(self.at, WORD);
            if let Some(url) = self.url
                && url.query <= start
            {
                self.url = None;
                if let Some(query) = url.query(self.at)
                    && !join::is_marker(self.text, query)
                {
                    let query = self.beyond(query.start, query);
                    self.pass(query.end);
                    return Some(query);
                }
            }
            if start >= self.view.len() {
                return None;
            }
            let word = self.view.word(start);
            let encoded = self.encoded(word);
            if encoded.is_none()
                && let Some(end) = self.past_plain(word)
            {
                self.leave(word, end);
                continue;
            }
            match item::at_word(self.text, word.start, word.end) {
                Some(Item::Marker { end, .. }) => {
                    self.pass(end);
                    continue;
                }
                Some(Item::Token { start, end, .. }) if start >= self.at => {
                    self.pass(end);
                    return Some(Finding { start, end, what: What::Token });
                }
                Some(Item::Token { .. }) | None => {}
            }
            match self.found(word, encoded) {
                Some(found) => {
                    let found = self.beyond(word.end, found);
                    let found = self.hung_on(join::ours(self.text, self.whole(found)));
                    let found = self.before_url(found);
                    self.pass(found.end);
                    return Some(found);
                }
                None => self.leave(word, word.end),
            }
        }
    }
}
