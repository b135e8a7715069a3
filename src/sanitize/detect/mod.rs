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

mod address;
mod announced;
mod digits;
mod domain;
mod finding;
mod fold;
mod host;
mod key_value;
mod national;
mod number;
mod path;
mod place;
mod secret;
mod url;
mod vendor;
mod view;
#[cfg(test)]
pub(super) mod work;

#[cfg(test)]
mod detect_tests;
#[cfg(test)]
mod hostile_tests;

use digits::Digits;
use url::Url;
use view::{DIGIT, HIGH, LETTER, UPPER, View, WORD, Word};

pub(super) use finding::{Finding, What};
pub(super) use fold::Folded;

use super::redact::item::{self, Item};

/// What else is looked for at the beginning of every word: the known identifiers of a batch.
pub(super) trait Lookup {
    /// Where the longest known identifier ends that begins at `start`, at the end of a word, and its number.
    fn longest(&self, text: &[u8], start: usize) -> Option<(usize, usize)>;
}

/// Knows nothing.
pub(super) struct Nothing;

impl Lookup for Nothing {
    #[inline]
    fn longest(&self, _: &[u8], _: usize) -> Option<(usize, usize)> {
        None
    }
}

/// Reads a text, which is [`Folded`], finding by finding.
pub(super) struct Scan<'t, L> {
    text: &'t [u8],
    view: View<'t>,
    known: L,
    /// Where the next word is looked for. Nothing that begins before it is found any more.
    at: usize,
    /// The next `@` from `at` on, or beyond the end.
    sign: usize,
    /// Where the run of a name ends that was looked at last, so that it is not run through again after each
    /// finding in it.
    name_end: usize,
    /// The URL that the scan is in.
    url: Option<Url>,
}

impl<'t, L: Lookup> Scan<'t, L> {
    pub(super) fn new(text: &'t [u8], known: L) -> Self {
        let sign = memchr::memchr(b'@', text).unwrap_or(usize::MAX);
        Self { text, view: View::new(text), known, at: 0, sign, name_end: 0, url: None }
    }

    /// The finding without half a character at either end.
    fn whole(&self, mut found: Finding) -> Finding {
        let is_inside = |at: usize| self.text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
        while is_inside(found.start) {
            found.start -= 1;
        }
        while is_inside(found.end) {
            found.end += 1;
        }
        found
    }

    fn look(&mut self, word: Word) -> Option<Finding> {
        let mut best = Best { floor: self.at, found: None };
        let view = self.view;
        if let Some((end, number)) = self.known.longest(self.text, word.start) {
            best.offer(Some(Finding { start: word.start, end, what: What::Known(number) }));
        }
        let (before, after) = (view.before(word.start), view.at(word.end));
        if after == b':' {
            self.scheme(word, &mut best);
        }
        if self.url.is_some_and(|url| url.host == word.start) {
            best.offer(host::of_url(view, word));
        }
        if self.sign != usize::MAX {
            self.email(word, &mut best);
        }
        if word.is_hex() && (word.bits & DIGIT != 0 || matches!(after, b':' | b'-' | b'.' | b' ')) {
            hexadecimal(view, word, after, &mut best);
        }
        if word.bits & DIGIT != 0 {
            with_digits(view, word, after, &mut best);
        } else if after == b' ' && word.len() == 2 && word.bits & view::LOWER == 0 {
            best.offer(national::mixed(view, word));
        }
        if matches!(before, b'/' | b'\\' | b'?') {
            after_sign(view, word, before, &mut best);
        }
        if matches!(after, b'.' | b'-' | b'_') && !host::is_inside(view, word) {
            if self.name_end <= word.start {
                self.name_end = view.run(word.end, view::NAME);
            }
            best.offer(host::name(view, word, self.name_end));
            best.offer(host::made_up(view, word));
        }
        if after == b'\\' || (matches!(after, b'.' | b'-' | b'_') && memchr_near(view, word)) {
            best.offer(path::domain_account(view, word));
        }
        self.announced(word, after, &mut best);
        best.found
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

    fn email(&mut self, word: Word, best: &mut Best) {
        if self.sign < word.end {
            let rest = self.text.get(word.end..).unwrap_or_default();
            self.sign = memchr::memchr(b'@', rest).map_or(usize::MAX, |at| word.end + at);
        }
        if self.sign != usize::MAX && host::is_local(self.view, word, self.sign) {
            let found = host::email(self.view, word, self.sign);
            if found.is_none() {
                // What follows is no domain for any other beginning either.
                let rest = self.text.get(self.sign + 1..).unwrap_or_default();
                self.sign = memchr::memchr(b'@', rest).map_or(usize::MAX, |at| self.sign + 1 + at);
            }
            best.offer(found);
        }
    }

    /// What is found by a word that announces it, or that begins it.
    fn announced(&self, word: Word, after: u8, best: &mut Best) {
        let view = self.view;
        if matches!(after, b'=' | b':' | b'"' | b'\'' | b'\\' | b'>' | b']' | b' ') && word.bits & LETTER != 0
        {
            best.offer(key_value::value(view, word));
        }
        let first = view.at(word.start);
        match (first, word.len()) {
            (b'e', _) => best.offer(secret::web_token(view, word)),
            (b'B', 5) if after == b' ' => {
                best.offer(secret::key_block(view, word));
                best.offer(secret::scheme(view, word));
            }
            (b'B' | b'b' | b'N' | b'n' | b'd' | b'D', 5 | 6 | 9) if after == b' ' => {
                best.offer(secret::scheme(view, word));
            }
            (b'U' | b'u', 4) if after == b' ' && view.starts_folded(word.start, b"user") => {
                best.offer(key_value::account_in_sentence(view, word));
            }
            (b'f', 3) if after == b' ' && view.starts(word.start, b"for") => {
                best.offer(key_value::account_in_sentence(view, word));
            }
            (b'J' | b'F' | b'M' | b'A' | b'S' | b'O' | b'N' | b'D', 3) if after == b' ' => {
                best.offer(key_value::syslog_host(view, word));
            }
            _ => {}
        }
        if word.len() > 3 || matches!(after, b'-' | b'_' | b'.') || word.bits & DIGIT != 0 {
            best.offer(vendor::key(view, word));
        }
        if word.len() >= 12 && word.bits & (DIGIT | UPPER) == DIGIT | UPPER {
            best.offer(secret::random(view, word));
        }
    }
}

impl<L: Lookup> Iterator for Scan<'_, L> {
    type Item = Finding;

    fn next(&mut self) -> Option<Finding> {
        loop {
            let start = self.view.find(self.at, WORD);
            if let Some(url) = self.url
                && url.query <= start
            {
                self.url = None;
                if let Some(query) = url.query()
                    && query.start >= self.at
                {
                    self.at = query.end;
                    return Some(query);
                }
            }
            if start >= self.view.len() {
                return None;
            }
            let word = self.view.word(start);
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
            match self.look(word) {
                Some(found) => {
                    let found = self.whole(found);
                    self.at = found.end;
                    return Some(found);
                }
                None => self.at = word.end,
            }
        }
    }
}

/// Whether a backslash follows the name that a word begins.
fn memchr_near(view: View<'_>, word: Word) -> bool {
    let end = view.run_within(word.end, view::NAME, 64);
    view.at(end) == b'\\' && !host::is_inside(view, word)
}

/// Detectors for words of hexadecimal digits.
fn hexadecimal(view: View<'_>, word: Word, after: u8, best: &mut Best) {
    match after {
        b':' if word.len() <= 4 => {
            // Eight pairs are both; they are written so for an EUI-64.
            best.offer(address::mac(view, word));
            best.offer(address::v6(view, word));
        }
        b'-' | b'.' if word.len() <= 4 => best.offer(address::mac(view, word)),
        b' ' if word.len() == 2 => best.offer(address::vmx_uuid(view, word)),
        _ => {}
    }
    if view.before(word.start) == b':' && word.len() <= 4 {
        best.offer(address::v6(view, word));
    }
    if word.len() >= 8 {
        best.offer(address::uuid(view, word));
        best.offer(address::bare_mac(view, word));
        best.offer(address::hex_secret(view, word));
    }
}

/// Detectors for words with digits.
fn with_digits(view: View<'_>, word: Word, after: u8, best: &mut Best) {
    if word.is_number() {
        numbers(view, word, after, best);
    } else if word.bits & HIGH == 0 {
        best.offer(number::iban(view, word));
        best.offer(national::mixed(view, word));
    }
}

/// Detectors for words of nothing but digits.
fn numbers(view: View<'_>, word: Word, after: u8, best: &mut Best) {
    if after == b'.' {
        best.offer(address::v4(view, word));
    }
    if after == b'.' || after == place::DEGREE {
        best.offer(place::pair(view, word));
    }
    if after == b':' && word.len() >= 8 {
        best.offer(vendor::telegram(view, word));
    }
    if matches!(after, b'-' | b'+') && matches!(word.len(), 6 | 8) {
        best.offer(national::mixed(view, word));
    }
    let grouped = view::is(after, view::PUNCTUATION);
    if word.len() >= 7 || grouped {
        let digits = Digits::read(view, word);
        if digits.of(digits.groups().len()).len() >= 7 {
            best.offer(number::phone(view, &digits));
            best.offer(number::card(view, &digits));
            best.offer(national::number(view, &digits));
        }
    }
}

/// Detectors for words after a sign that begins something.
fn after_sign(view: View<'_>, word: Word, before: u8, best: &mut Best) {
    match before {
        b'/' | b'\\' => {
            if matches!(word.len(), 4 | 5 | 9) {
                best.offer(path::account(view, word));
            }
            if before == b'\\' {
                best.offer(path::server(view, word));
            }
        }
        b'?' => best.offer(url::relative_query(view, word)),
        _ => {}
    }
}

/// The best finding so far.
struct Best {
    floor: usize,
    found: Option<Finding>,
}

impl Best {
    #[inline]
    fn offer(&mut self, found: Option<Finding>) {
        let Some(found) = found else { return };
        let rank = |finding: Finding| (finding.len(), finding.what.sensitivity());
        if found.start >= self.floor
            && found.end > found.start
            && self.found.is_none_or(|best| rank(best) < rank(found))
        {
            self.found = Some(found);
        }
    }
}
