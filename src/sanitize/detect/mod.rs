//! Finds identifiers and secrets in text: in one pass from left to right, in linear time, without
//! allocating.
//!
//! The text is read word by word (letters, digits, characters beyond ASCII). What a word looks like and what
//! stands around it says which detectors are asked; each looks at a bounded stretch around the word, or
//! finds something, which is then passed over. Of several findings at one place **the longest wins, and of
//! equally long ones the most sensitive** ([`What`] is in that order). No finding overlaps another.
//!
//! What is found has the form of its class, and a check where the class has one: addresses are parsed,
//! cards pass Luhn, IBANs modulo 97, national numbers their own. What has no form of its own (a password, an
//! account, the name of a machine without a domain) is found by what announces it.
//!
//! A text with escapes in it (`%40`, `&#64;`, `\u0040`) is read as it stands and with the escapes decoded, and
//! [`findings`] joins what is found; a word in Base64 or hexadecimal digits is decoded where it stands ([`encoded`]).

mod address;
mod digits;
mod domain;
mod encoded;
mod escape;
mod finding;
mod findings;
mod fold;
mod host;
mod join;
mod key_value;
mod national;
mod number;
mod path;
mod place;
mod plain;
mod secret;
mod sentence;
mod shape;
mod url;
mod value_end;
mod vendor;
mod view;
#[cfg(any(test, fuzzing))]
pub(super) mod work;

#[cfg(test)]
mod detect_tests;
#[cfg(test)]
mod disguise_tests;
#[cfg(test)]
mod encoded_tests;
#[cfg(test)]
mod hostile_tests;

use std::cell::RefCell;

use encoded::Tried;
use finding::Best;
use url::Url;
use value_end::ValueEnds;
use view::{DIGIT, LETTER, UPPER, View, WORD, Word};

pub(super) use finding::{Finding, What};
pub(super) use findings::{Findings, Hit};
pub(super) use fold::Folded;

use super::redact::item::{self, Item};

/// What else is looked for at the beginning of every word: the known identifiers of a batch.
pub(super) trait Lookup {
    /// Where the longest known identifier ends that begins at `start`, at the end of a word, and its number.
    fn longest(&self, text: &[u8], start: usize) -> Option<(usize, usize)>;

    /// Whether one may begin at `start`: a first look, by a few bytes.
    fn may_begin(&self, text: &[u8], start: usize) -> bool;
}

/// Knows nothing.
#[derive(Clone, Copy)]
pub(super) struct Nothing;

impl Lookup for Nothing {
    #[inline]
    fn longest(&self, _: &[u8], _: usize) -> Option<(usize, usize)> {
        None
    }

    #[inline]
    fn may_begin(&self, _: &[u8], _: usize) -> bool {
        false
    }
}

/// Reads one reading of a text finding by finding.
struct Scan<'t, L> {
    text: &'t [u8],
    view: View<'t>,
    known: L,
    /// Where the next word is looked for. Nothing that begins before it is found any more.
    at: usize,
    /// The next `@` from `at` on, or beyond the end.
    sign: usize,
    /// Where what can be the local part before it begins, or beyond the end.
    local: usize,
    /// Where the run of a name ends that was looked at last, so that it is not run through again after each
    /// finding in it.
    name_end: usize,
    /// The classes of its bytes.
    name_bits: view::Set,
    /// The URL that the scan is in.
    url: Option<Url>,
    /// Where encoded words are decoded to; `None` in a word that was decoded: one level is read.
    spare: Option<&'t RefCell<Vec<u8>>>,
    /// What was decoded and is nothing.
    tried: Tried,
    value_ends: ValueEnds,
    /// Whether the latest finding is of several that overlap.
    is_joined: bool,
}

impl<'t, L: Lookup + Copy> Scan<'t, L> {
    fn new(text: &'t [u8], known: L, spare: Option<&'t RefCell<Vec<u8>>>) -> Self {
        let mut scan = Self {
            text,
            view: View::new(text),
            known,
            at: 0,
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
    fn find_sign(&mut self, from: usize) {
        let rest = self.text.get(from..).unwrap_or_default();
        let sign = memchr::memchr(b'@', rest).map(|at| from + at);
        self.sign = sign.unwrap_or(usize::MAX);
        self.local = sign.map_or(usize::MAX, |sign| host::local_start(self.view, sign));
    }

    /// The word, and what is joined to it, if it is text in another alphabet with something to find in it.
    #[inline]
    fn encoded(&mut self, word: Word) -> Option<Finding> {
        if !encoded::may_begin(self.view, word) {
            return None;
        }
        let mut text = self.spare?.try_borrow_mut().ok()?;
        let end = encoded::decode(self.view, word, &mut self.tried, &mut text)?;
        Scan::new(&text, self.known, None).next()?;
        Some(Finding { start: word.start, end, what: What::Encoded })
    }

    fn look(&mut self, word: Word, encoded: Option<Finding>) -> Option<Finding> {
        let view = self.view;
        let mut best = Best::from(self.at);
        best.offer(encoded);
        if let Some((end, number)) = self.known.longest(self.text, word.start) {
            best.offer(Some(Finding { start: word.start, end, what: What::Known(number) }));
        }
        let (before, after) = (view.before(word.start), view.at(word.end));
        self.placed(word, before, &mut best);
        self.joined(word, after, &mut best);
        if word.is_hex() && (word.len() >= 8 || matches!(after, b':' | b'-' | b'.' | b' ') || before == b':')
        {
            shape::hexadecimal(view, word, after, &mut best);
        }
        if word.bits & DIGIT != 0 {
            shape::with_digits(view, word, after, &mut best);
        }
        if after == b' ' {
            self.before_space(word, before, &mut best);
        } else if word.bits & LETTER != 0 && key_value::may_follow(view, word, after) {
            best.offer(key_value::value(view, word, &mut self.value_ends));
        }
        self.secret(word, after, &mut best);
        best.found()
    }

    /// Where to go on if nothing can be found by this word: what most texts are made of.
    #[inline]
    fn past_plain(&self, word: Word) -> Option<usize> {
        if self.sign < word.end || self.url.is_some() {
            return None;
        }
        let end = plain::past(self.view, word, word.start < self.name_end)?;
        if end > self.local {
            return None;
        }
        // A date and a time are three words, and a known identifier may begin with each.
        let begins = |at: &usize| *at == word.start || !view::is(self.view.before(*at), WORD);
        let known = (word.start..end).filter(begins).any(|at| self.known.may_begin(self.text, at));
        (!known).then_some(end)
    }

    /// What is found by where a word stands: in a URL, before an `@`, after a sign.
    #[inline]
    fn placed(&mut self, word: Word, before: u8, best: &mut Best) {
        if self.url.is_some_and(|url| url.host == word.start) {
            best.offer(host::of_url(self.view, word));
        }
        if self.sign != usize::MAX {
            self.email(word, best);
        }
        if matches!(before, b'/' | b'\\' | b'?') {
            shape::after_sign(self.view, word, before, best);
        }
    }

    /// What is found by what a word is joined to.
    fn joined(&mut self, word: Word, after: u8, best: &mut Best) {
        let view = self.view;
        match after {
            b':' => self.scheme(word, best),
            b'\\' => best.offer(path::domain_account(view, word)),
            b'.' | b'-' | b'_' if !host::is_inside(view, word) => {
                if self.name_end <= word.start {
                    (self.name_end, self.name_bits) = view.run_bits(word.end, view::NAME);
                }
                if self.name_bits & view::DOT != 0 {
                    best.offer(host::name(view, word, self.name_end));
                }
                if after == b'-' {
                    best.offer(host::made_up(view, word));
                }
                if view.at(self.name_end) == b'\\' {
                    best.offer(path::domain_account(view, word));
                }
            }
            _ => {}
        }
    }

    /// What is found by a word with a space after it: what it announces.
    #[inline]
    fn before_space(&mut self, word: Word, before: u8, best: &mut Best) {
        let view = self.view;
        if matches!(view.at(word.end + 1), b'=' | b':') || before == b'-' {
            best.offer(key_value::value(view, word, &mut self.value_ends));
        }
        match (view.at(word.start) | 0x20, word.len()) {
            (b'b', 5 | 6) => {
                best.offer(secret::key_block(view, word));
                best.offer(secret::scheme(view, word));
            }
            (b'n', 9) | (b'd', 6) => best.offer(secret::scheme(view, word)),
            (b'u', 4) if view.starts_folded(word.start, b"user") => best.offer(sentence::account(view, word)),
            (b'f', 3) if view.starts(word.start, b"for") => best.offer(sentence::account(view, word)),
            (b'j' | b'f' | b'm' | b'a' | b's' | b'o' | b'n' | b'd', 3) => {
                best.offer(sentence::syslog_host(view, word));
            }
            (_, 2) if word.bits & (view::LOWER | DIGIT) == 0 => best.offer(national::mixed(view, word)),
            _ => {}
        }
    }

    /// Secrets that begin with a word.
    fn secret(&self, word: Word, after: u8, best: &mut Best) {
        let view = self.view;
        let mixed = word.bits & (DIGIT | UPPER) != 0;
        if matches!(after, b'-' | b'_' | b'.' | b':') || (word.len() >= 12 && mixed) {
            best.offer(vendor::key(view, word));
        }
        if view.at(word.start) == b'e' {
            best.offer(secret::web_token(view, word));
        }
        if word.len() >= 12 && word.is_mixed() {
            best.offer(secret::random(view, word, self.at));
        }
    }

    /// A scheme and what follows it, an address with colons.
    fn scheme(&mut self, word: Word, best: &mut Best) {
        if let Some((url, first)) = url::read(self.view, word, self.url) {
            self.url = Some(url);
            best.offer(first);
            if let Some(hook) = vendor::web_hook(self.view, url.host, url.end) {
                best.offer(Some(hook));
            }
        }
    }

    #[inline]
    fn email(&mut self, word: Word, best: &mut Best) {
        if self.sign < word.end {
            self.find_sign(word.end);
        }
        if self.sign != usize::MAX && word.start >= self.local {
            let found = host::email(self.view, word, self.sign);
            if found.is_none() {
                // What follows is no domain for any other beginning either.
                self.find_sign(self.sign + 1);
            }
            best.offer(found);
        }
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
                if let Some(query) = url.query()
                    && query.start >= self.at
                    && !join::is_marker(self.text, query)
                {
                    let query = self.beyond(query.start, query);
                    self.at = query.end;
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
                self.at = end;
                continue;
            }
            match item::at_word(self.text, word.start, word.end) {
                Some(Item::Marker { end, .. }) => {
                    self.at = end;
                    continue;
                }
                Some(Item::Token { start, end, .. }) if start >= self.at => {
                    self.at = end;
                    return Some(Finding { start, end, what: What::Token });
                }
                Some(Item::Token { .. }) | None => {}
            }
            match self.look(word, encoded) {
                Some(found) => {
                    let found = self.beyond(word.end, found);
                    let found = join::ours(self.text, self.whole(found));
                    self.at = found.end;
                    return Some(found);
                }
                None => self.at = word.end,
            }
        }
    }
}
