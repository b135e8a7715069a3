//! MAC addresses in every form that they are written in.

use super::Finding;
use super::address::says;
use super::view::{self, BEYOND_HEX, DIGIT, LETTER, UNDERSCORE, View, WORD, Word};
use crate::model::IdentifierClass as Class;

/// Vendor prefixes of virtual machines: twelve digits that begin so are a MAC address without being told.
const VIRTUAL: [&[u8]; 4] = [b"005056", b"000c29", b"000569", b"525400"];
/// What is said before a MAC address of twelve digits.
const MAC_WORDS: [&[u8]; 6] = [b"mac", b"hwaddr", b"ether", b"lladdr", b"bssid", b"address"];

/// Groups of hexadecimal digits with one separator.
struct Groups {
    count: usize,
    end: usize,
    letters: bool,
    digits: bool,
    /// Whether each group has the length of the first.
    even: bool,
}

impl Groups {
    /// Reads up to `most` groups of up to `len` digits.
    fn read(view: View<'_>, word: Word, len: usize, most: usize) -> Self {
        let separator = view.at(word.end);
        let mut groups = Self { count: 0, end: word.start, letters: false, digits: false, even: true };
        let mut at = word.start;
        while groups.count < most {
            let group = view.word(at);
            if group.len() == 0 || group.len() > len || !group.is_hex() {
                break;
            }
            groups.letters |= group.bits & LETTER != 0;
            groups.digits |= group.bits & DIGIT != 0;
            groups.even &= group.len() == word.len();
            groups.count += 1;
            groups.end = group.end;
            if view.at(group.end) != separator {
                break;
            }
            at = group.end + 1;
        }
        groups
    }
}

/// Whether the separator stands where it does in a MAC address, for the first groups.
pub(super) fn may_be_mac(view: View<'_>, word: Word, separator: u8) -> bool {
    let step = word.len() + 1;
    matches!(word.len(), 2 | 4)
        && view.at(word.end + step) == separator
        && view::is(view.at(word.end + step + 1), WORD)
}

/// Whether a group of an address ends here, so that what comes behind it is no beginning. A word such as `mac:` is none.
pub(super) fn goes_on(view: View<'_>, end: usize) -> bool {
    let group = view.slice(view.run_back(end, WORD, 5), end);
    let is_hex = |byte: &u8| view::is(*byte, WORD) && !view::is(*byte, BEYOND_HEX);
    matches!(group.len(), 1..=4) && group.iter().all(is_hex)
}

/// A MAC address, or an EUI-64: groups of two or four digits, from a word of digits on.
pub(super) fn mac(view: View<'_>, word: Word) -> Option<Finding> {
    let separator = view.at(word.end);
    let before = view.before(word.start);
    if before == separator && goes_on(view, word.start - 1) {
        return None;
    }
    let groups = match word.len() {
        1 | 2 => Groups::read(view, word, 2, 9),
        4 => Groups::read(view, word, 4, 5),
        _ => return None,
    };
    let known = [b"0050", b"000c", b"0000", b"ffff"];
    let is_mac = match (word.len(), groups.count) {
        (2, 6 | 8) if groups.even => separator == b':' || groups.letters,
        // Solaris and macOS leave leading zeros out.
        (1 | 2, 6) => separator == b':' && groups.letters,
        (4, 3 | 4) if groups.even => {
            let first = view.slice(word.start, word.end);
            let counts = separator != b':' || groups.count == 3;
            let mixed = groups.letters && groups.digits;
            counts && (mixed || known.iter().any(|known| first.eq_ignore_ascii_case(*known)))
        }
        _ => false,
    };
    let more = view.at(groups.end) == separator && view::is(view.at(groups.end + 1), WORD);
    let goes_on = view::is(view.at(groups.end), WORD) || (more && separator != b'.');
    if is_mac && !goes_on { Finding::of(word.start, groups.end, Class::MacAddress) } else { None }
}

/// Twelve digits that are a MAC address because of their vendor, or because something says so.
pub(super) fn bare_mac(view: View<'_>, word: Word) -> Option<Finding> {
    if word.len() != 12 || !word.is_hex() || is_joined(view, word) {
        return None;
    }
    let prefix = view.ahead(word.start, 6);
    let told = || says(view, word.start, &MAC_WORDS, 12) && word.is_mixed();
    if VIRTUAL.iter().any(|vendor| prefix.eq_ignore_ascii_case(vendor)) || told() {
        Finding::of(word.start, word.end, Class::MacAddress)
    } else {
        None
    }
}

/// Whether a word is part of a longer name.
pub(super) fn is_joined(view: View<'_>, word: Word) -> bool {
    let joins = |byte| matches!(byte, b'-' | b'.' | b'_' | b'+' | b'/');
    joins(view.before(word.start))
        || (joins(view.at(word.end)) && view::is(view.at(word.end + 1), WORD | UNDERSCORE))
}
