//! Which detectors are asked, by what a word is made of and the sign before it.

use super::digits::Digits;
use super::finding::Best;
use super::view::{self, HIGH, View, Word};
use super::{address, card, digits, iban, mac, national, path, phone, place, url, uuid, vendor};

/// Detectors for words of hexadecimal digits.
pub(super) fn hexadecimal(view: View<'_>, word: Word, after: u8, best: &mut Best) {
    if word.len() <= 4 {
        if after == b':' || view.before(word.start) == b':' {
            let (colons, pair) = address::colons(view, word);
            if pair || colons >= 5 || (colons == 2 && word.len() == 4) {
                // Eight pairs are both; they are written so for an EUI-64.
                best.offer(mac::mac(view, word));
                best.offer(address::v6(view, word));
            }
        } else if matches!(after, b'-' | b'.') && mac::may_be_mac(view, word, after) {
            best.offer(mac::mac(view, word));
        } else if after == b' ' && word.len() == 2 {
            best.offer(uuid::vmx_uuid(view, word));
        }
    } else if word.len() >= 8 {
        best.offer(uuid::uuid(view, word, best.free));
        best.offer(mac::bare_mac(view, word));
        best.offer(uuid::hex_secret(view, word, best.free));
    }
}

/// Detectors for words with digits.
pub(super) fn with_digits(view: View<'_>, word: Word, after: u8, best: &mut Best) {
    if word.is_number() {
        numbers(view, word, after, best);
    } else if word.bits & HIGH == 0 {
        best.offer(iban::iban(view, word));
        best.offer(national::mixed(view, word));
    }
}

/// Detectors for words of nothing but digits.
fn numbers(view: View<'_>, word: Word, after: u8, best: &mut Best) {
    if after == b'.'
        && let Some(address) = address::v4(view, word, best.free)
    {
        return best.offer(Some(address));
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
    if word.len() >= 7 || (view::is(after, view::PUNCTUATION) && digits::is_long(view, word)) {
        let digits = Digits::read(view, word);
        let count = digits.of(digits.groups().len()).len();
        if count >= 7 {
            best.offer(phone::phone(view, &digits));
        }
        if count >= 9 && digits::may_stand_alone(view, digits.start) {
            best.offer(national::number(view, &digits));
        }
        if count >= 12 && digits::may_stand_alone(view, digits.start) {
            best.offer(card::card(view, &digits));
        }
    }
}

/// Detectors for words after a sign that begins something.
pub(super) fn after_sign(view: View<'_>, word: Word, before: u8, best: &mut Best) {
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
