//! How far a known identifier reaches that a finding overlaps.
//!
//! The scan of a text asks for what begins at each word that no finding took. A finding can take the beginning of a known
//! identifier: that of `\nesx01.example.com` begins with the letter of the line end, that of `CORP\Prod VM 1` is one word,
//! and of two names the first can end within the second. So here every place is looked at where one can begin, and the
//! scan is told of what began before a word and goes on in it: **nothing of a known identifier stays, whatever overlaps it**.
//! What stays for all that is looked through once more ([`super::rest`]).
//!
//! Each place is looked at once in each reading, so this stays linear.

use std::cell::Cell;

use super::known::Known;
use crate::sanitize::detect::{Lookup, ends_control};

/// The known identifier that reaches farthest in one reading of a text, as far as it was looked through.
#[derive(Clone, Copy, Default)]
pub(super) struct Farthest {
    /// Where the places begin that were not looked at yet.
    pub(super) next: usize,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) number: usize,
}

impl Farthest {
    /// Takes what begins at a place, if it reaches farther.
    #[inline]
    pub(super) fn take(&mut self, start: usize, found: Option<(usize, usize)>) {
        if let Some((end, number)) = found
            && end > self.end
        {
            (self.start, self.end, self.number) = (start, end, number);
        }
    }

    /// Looks at the place that is next.
    pub(super) fn step(&mut self, known: &Known, text: &[u8]) {
        let at = self.next;
        if begins(text, at) || at == self.end {
            self.take(at, known.longest(text, at));
        }
        self.next += 1;
    }

    /// What began before a place and goes on there: where it ends, and its number.
    #[inline]
    fn over(&self, at: usize) -> Option<(usize, usize)> {
        (self.start < at && at < self.end).then_some((self.end, self.number))
    }
}

/// The known identifiers, as the scan of one text asks for them.
#[derive(Clone, Copy)]
pub(super) struct Reach<'k> {
    known: &'k Known,
    /// Whether any reading has one in it, as far as it was scanned.
    has_known: &'k Cell<bool>,
}

impl<'k> Reach<'k> {
    pub(super) const fn new(known: &'k Known, has_known: &'k Cell<bool>) -> Self {
        Self { known, has_known }
    }
}

impl Lookup for Reach<'_> {
    type Memory = Farthest;

    #[inline]
    fn may_begin(&self, memory: &mut Farthest, text: &[u8], start: usize) -> bool {
        memory.next = memory.next.max(start + 1);
        memory.end > start || self.known.may_begin(text, start)
    }

    #[inline]
    fn longest(&self, memory: &mut Farthest, text: &[u8], start: usize) -> Option<(usize, usize)> {
        let over = memory.over(start);
        memory.next = memory.next.max(start + 1);
        let own = self.known.longest(text, start);
        if own.is_some() {
            memory.take(start, own);
            self.has_known.set(true);
        }
        if own.map(|(end, _)| end) < over.map(|(end, _)| end) { over } else { own }
    }

    #[inline]
    fn pass(&self, memory: &mut Farthest, text: &[u8], to: usize) {
        if memory.next < to && !self.known.is_empty() {
            while memory.next < to {
                memory.step(self.known, text);
            }
            if memory.end > 0 {
                self.has_known.set(true);
            }
        }
    }
}

/// Whether a known identifier can begin at a place: where a word does, at a character beyond ASCII or behind it, behind a
/// line end or another control character that is written (`\n`, `#012`, `^I`), and behind the colour of a terminal.
fn begins(text: &[u8], at: usize) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
    let back = |by: usize| at.checked_sub(by).and_then(|at| text.get(at)).copied().unwrap_or(0);
    let Some(byte) = text.get(at).copied().filter(|byte| is_word(*byte)) else { return false };
    let before = back(1);
    !is_word(before)
        || byte >= 0xc0
        || byte & 0xc0 != 0x80 && !before.is_ascii()
        || matches!(
            (back(2), before),
            (b'\\' | b'^' | b'(' | b')', _)
                | (b'0'..=b'9', b'0'..=b'9')
                | (b'0'..=b'9' | b'[' | b';' | b':' | b'?', b'a'..=b'z' | b'A'..=b'Z')
        ) && ends_control(text.get(..at).unwrap_or_default())
}
