//! Which detectors are asked about a word, by what stands around it.

use super::finding::Best;
use super::scan::Scan;
use super::view::{self, DIGIT, LETTER, UPPER, Word};
use super::{
    Finding, Lookup, What, email, host, key_value, national, path, secret, sentence, shape, url, vendor,
};

impl<L: Lookup + Copy> Scan<'_, L> {
    /// The best that is found by a word.
    pub(super) fn look(&mut self, word: Word, encoded: Option<Finding>) -> Option<Finding> {
        let view = self.view;
        let mut best = Best::from(self.at, self.free);
        best.offer(encoded);
        if let Some((end, number)) = self.known.longest(&mut self.memory, self.text, word.start) {
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
    pub(super) fn scheme(&mut self, word: Word, best: &mut Best) {
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
            let found = email::address(self.view, word, self.sign);
            if found.is_none() {
                // What follows is no domain for any other beginning either.
                self.find_sign(self.sign + 1);
            }
            best.offer(found);
        }
    }
}
