//! How far a known identifier reaches that a finding overlaps.
//!
//! The scan of a text asks for what begins at each word that no finding took. A finding can take the beginning of a known
//! identifier: that of `\nesx01.example.com` begins with the letter of the line end, that of `CORP\Prod VM 1` is one word,
//! and of two names the first can end within the second. So here every place is looked at where one can begin, and the
//! scan is told of what began before a word and goes on in it: **nothing of a known identifier stays, whatever overlaps it**.
//!
//! Each place is looked at once in each reading, so this stays linear.

use std::cell::{Cell, RefCell};

use super::item::{self, Item};
use super::known::Known;
use crate::sanitize::detect::Lookup;

/// Bytes of the numbers of a colour.
const COLOUR: usize = 24;

/// One reading of a text, by its place in memory, and the known identifier that reaches farthest in it so far.
#[derive(Clone, Copy, Default)]
struct Reading {
    address: usize,
    /// Where the places begin that were not looked at yet.
    next: usize,
    start: usize,
    end: usize,
    number: usize,
}

impl Reading {
    fn take(&mut self, start: usize, found: Option<(usize, usize)>) {
        if let Some((end, number)) = found
            && end > self.end
        {
            (self.start, self.end, self.number) = (start, end, number);
        }
    }
}

/// What was looked at in the readings of one text.
#[derive(Default)]
pub(super) struct Readings {
    all: RefCell<Vec<Reading>>,
    has_known: Cell<bool>,
}

impl Readings {
    /// Forgets the text before.
    pub(super) fn clear(&mut self) {
        self.all.get_mut().clear();
        self.has_known.set(false);
    }

    /// Whether any reading has a known identifier in it.
    pub(super) fn has_known(&self) -> bool {
        self.has_known.get()
    }
}

/// The known identifiers, as the scan of one text asks for them.
#[derive(Clone, Copy)]
pub(super) struct Reach<'k> {
    pub(super) known: &'k Known,
    pub(super) readings: &'k Readings,
}

impl Reach<'_> {
    /// What is the case in a reading when all before `start` was looked at.
    fn with<T>(&self, text: &[u8], start: usize, tell: impl FnOnce(&mut Reading) -> T) -> T {
        let mut all = self.readings.all.borrow_mut();
        let address = text.as_ptr().addr();
        let at = all.iter().position(|one| one.address == address).unwrap_or_else(|| {
            all.push(Reading { address, ..Reading::default() });
            all.len() - 1
        });
        let mut none = Reading::default();
        let one = all.get_mut(at).unwrap_or(&mut none);
        if !is_passed(text, one.next, start) || one.end > one.next {
            for at in one.next..start {
                if (begins(text, at) || at == one.end) && self.known.may_begin(text, at) {
                    one.take(at, self.known.longest(text, at));
                }
            }
        }
        let told = tell(one);
        // Of the place itself is known what begins at it.
        one.next = one.next.max(start + 1);
        if one.end > 0 {
            self.readings.has_known.set(true);
        }
        told
    }

    /// What began before a place and goes on there: where it ends, and its number. An encoded word has the place of the one
    /// before it, so what is remembered is looked for again.
    fn over(&self, text: &[u8], start: usize, one: Reading) -> Option<(usize, usize)> {
        let is_over = one.start < start && start < one.end;
        let again = if is_over { self.known.longest(text, one.start) } else { None };
        again.filter(|again| *again == (one.end, one.number))
    }

    /// Shows the known identifiers that begin in a stretch of a text that no finding took: where they begin, where they end,
    /// and their number. A word that says what follows can be one (`token=…`), and a detector found more behind it.
    pub(super) fn left(
        &self,
        text: &[u8],
        (from, to): (usize, usize),
        mut see: impl FnMut(usize, (usize, usize)),
    ) {
        let mut at = from;
        while at < to {
            if text.get(at) == Some(&b'[')
                && let Some(Item::Marker { end }) = item::marker(text, at)
            {
                at = end;
                continue;
            }
            let found = if begins(text, at) { self.known.longest(text, at) } else { None };
            match found {
                Some((end, number)) => {
                    see(at, (end, number));
                    at = end;
                }
                None => at += 1,
            }
        }
    }
}

/// Whether nothing can begin between a place and the next that is asked for, as in plain text: the rest of one word, and what
/// separates it from the next.
#[inline]
fn is_passed(text: &[u8], from: usize, to: usize) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
    let mut rest = text.get(from..to).unwrap_or_default().iter();
    let inside = from.checked_sub(1).and_then(|at| text.get(at)).is_some_and(u8::is_ascii_alphanumeric);
    let before = from.checked_sub(2).and_then(|at| text.get(at));
    let is_sign = matches!(before, Some(b'\\' | b'[' | b';' | b':' | b'?'));
    let end = rest.find(|byte| !byte.is_ascii_alphanumeric());
    inside && !is_sign && end.is_none_or(u8::is_ascii) && !rest.any(is_word)
}

/// Whether a known identifier can begin at a place: where a word does, at a character beyond ASCII or behind it, behind the
/// letter of a line end that is written as `\n`, and behind the colour of a terminal (`ESC [31m`).
fn begins(text: &[u8], at: usize) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
    let back = |by: usize| at.checked_sub(by).and_then(|at| text.get(at)).copied().unwrap_or(0);
    let Some(byte) = text.get(at).copied().filter(|byte| is_word(*byte)) else { return false };
    let before = back(1);
    !is_word(before)
        || byte >= 0xc0
        || byte & 0xc0 != 0x80 && !before.is_ascii()
        || matches!(before, b'n' | b'r' | b't') && back(2) == b'\\'
        || before.is_ascii_alphabetic() && is_behind_colour(text.get(..at - 1).unwrap_or_default())
}

/// Whether a text ends in the beginning of a colour, up to its letter.
fn is_behind_colour(text: &[u8]) -> bool {
    let is_part = |byte: &&u8| byte.is_ascii_digit() || matches!(byte, b';' | b':' | b'?');
    let numbers = text.iter().rev().take(COLOUR).take_while(is_part).count();
    text.get(..text.len() - numbers).is_some_and(|before| before.ends_with(b"\x1b["))
}

impl Lookup for Reach<'_> {
    #[inline]
    fn may_begin(&self, text: &[u8], start: usize) -> bool {
        if self.known.is_empty() {
            return false;
        }
        self.known.may_begin(text, start)
            || self.with(text, start, |one| one.start < start && start < one.end)
    }

    #[inline]
    fn longest(&self, text: &[u8], start: usize) -> Option<(usize, usize)> {
        if self.known.is_empty() {
            return None;
        }
        let own = self.known.longest(text, start);
        let one = self.with(text, start, |one| {
            let before = *one;
            one.take(start, own);
            before
        });
        self.over(text, start, one).into_iter().chain(own).max_by_key(|(end, _)| *end)
    }
}
