//! Addresses: IPv4, IPv6, MAC in every form that it is written in, and UUIDs.

use std::net::Ipv6Addr;

use super::view::{self, BEYOND_HEX, DIGIT, HIGH, LETTER, Set, UNDERSCORE, View, WORD, Word};
use super::{Finding, What};
use crate::model::IdentifierClass as Class;

/// Words before four numbers that make them a version.
const VERSION_WORDS: [&[u8]; 7] = [b"version", b"ver", b"v", b"release", b"rev", b"build", b"firmware"];
/// Names before `/` and four numbers that make them the version of a program.
const AGENTS: [&[u8]; 12] = [
    b"chrome",
    b"chromium",
    b"crios",
    b"edg",
    b"firefox",
    b"fxios",
    b"opr",
    b"opera",
    b"safari",
    b"version",
    b"wget",
    b"vlc",
];
/// Bytes of the longest text form of an IPv6 address, with the IPv4 form at its end.
const V6_BYTES: usize = 45;
/// Bytes of the longest zone of an IPv6 address.
const ZONE_BYTES: usize = 16;
/// Vendor prefixes of virtual machines: twelve digits that begin so are a MAC address without being told.
const VIRTUAL: [&[u8]; 4] = [b"005056", b"000c29", b"000569", b"525400"];
/// What is said before a MAC address of twelve digits.
const MAC_WORDS: [&[u8]; 6] = [b"mac", b"hwaddr", b"ether", b"lladdr", b"bssid", b"address"];
/// What is said before 32 digits that are the digest of a file.
const DIGEST_WORDS: [&[u8]; 19] = [
    b"sha",
    b"blob",
    b"tree",
    b"raw",
    b"blame",
    b"rev",
    b"revision",
    b"md5",
    b"sha1",
    b"sha224",
    b"sha256",
    b"sha384",
    b"sha512",
    b"commit",
    b"checksum",
    b"digest",
    b"hash",
    b"etag",
    b"integrity",
];

/// Four numbers below 256 with dots, from a word of digits on.
pub(super) fn v4(view: View<'_>, word: Word) -> Option<Finding> {
    let before = view.before(word.start);
    if word.len() > 3 || (before == b'.' && view::is(view.before(word.start - 1), WORD)) {
        return None;
    }
    let mut end = word.start;
    for group in 0..4 {
        if group > 0 {
            if view.at(end) != b'.' {
                return None;
            }
            end += 1;
        }
        let from = end;
        end = view.run_within(from, DIGIT, 4);
        if number(view.slice(from, end))? > 255 {
            return None;
        }
    }
    // A letter right after it, or one more group, makes it a version or another kind of number; but five
    // groups of which the last is a port are how tcpdump writes an address.
    if view::is(view.at(end), WORD) {
        return None;
    }
    if view.at(end) == b'.' && view::is(view.at(end + 1), WORD) {
        let next = view.word(end + 1);
        let is_last = view.at(next.end) != b'.' || !view::is(view.at(next.end + 1), DIGIT);
        let is_port = next.is_number() && is_last && number(view.slice(next.start, next.end))? > 255;
        let in_name = view::is(view.at(next.start), LETTER) && !matches!(before, b'-' | b'_');
        if !is_port && !in_name {
            return None;
        }
    }
    if is_version(view, word.start) { None } else { Finding::of(word.start, end, Class::IpAddress) }
}

/// A number of up to four digits.
fn number(digits: &[u8]) -> Option<u32> {
    let fits = (1..=4).contains(&digits.len()) || (digits.len() == 5 && digits <= b"65535".as_slice());
    fits.then(|| digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit.wrapping_sub(b'0'))))
}

/// Whether what stands before says that a version follows.
fn is_version(view: View<'_>, start: usize) -> bool {
    if view.before(start) == b'/' {
        let name = view.slice(view.run_back(start - 1, LETTER, 12), start - 1);
        return AGENTS.iter().any(|agent| name.eq_ignore_ascii_case(agent));
    }
    let mut end = start;
    for _ in 0..3 {
        if matches!(view.before(end), b' ' | b':' | b'=' | b'"' | b'\'' | b'-' | b'_') {
            end -= 1;
        }
    }
    let name = view.slice(view.run_back(end, LETTER, 12), end);
    end < start && VERSION_WORDS.iter().any(|word| name.eq_ignore_ascii_case(word))
}

/// An IPv6 address that begins with a word of digits, or with two colons before it.
pub(super) fn v6(view: View<'_>, word: Word) -> Option<Finding> {
    let mut start = word.start;
    if view.before(start) == b':' {
        if view.before(start - 1) != b':' || view::is(view.before(start - 2), WORD | view::DOT) {
            return None;
        }
        start -= 2;
        if view.before(start) == b':' {
            return None;
        }
    }
    let mut end = start;
    let (mut colons, mut digits, mut pair) = (0, 0, false);
    while end - start < V6_BYTES {
        match view.at(end) {
            b':' => {
                pair |= view.before(end) == b':' && end > start;
                colons += 1;
            }
            byte if view::is(byte, DIGIT) => digits += 1,
            b'.' => {}
            byte if view::is(byte, LETTER) && !view::is(byte, BEYOND_HEX) => {}
            _ => break,
        }
        end += 1;
    }
    if digits == 0 || colons < 2 || (!pair && colons < 7) {
        return None;
    }
    while matches!(view.before(end), b'.') || (view.before(end) == b':' && view.before(end - 1) != b':') {
        end -= 1;
    }
    let text = std::str::from_utf8(view.slice(start, end)).ok()?;
    text.parse::<Ipv6Addr>().ok()?;
    if view::is(view.at(end), WORD | UNDERSCORE) {
        return None;
    }
    if view.at(end) == b'%' {
        let zone = view.run_within(end + 1, WORD, ZONE_BYTES);
        end = if zone > end + 1 { zone } else { end };
    }
    Finding::of(start, end, Class::IpAddress)
}

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

/// How many colons there are in the run of an address that a word begins or goes on, and whether two of them
/// stand together.
pub(super) fn colons(view: View<'_>, word: Word) -> (usize, bool) {
    let (mut count, mut pair) = (0, view.before(word.start) == b':' && view.before(word.start - 1) == b':');
    let mut at = word.end;
    while at < word.start + V6_BYTES {
        let byte = view.at(at);
        if byte == b':' {
            count += 1;
            pair |= view.at(at + 1) == b':';
        } else if byte != b'.' && (!view::is(byte, DIGIT | LETTER) || view::is(byte, BEYOND_HEX)) {
            break;
        }
        at += 1;
    }
    (count, pair)
}

/// Whether the separator stands where it does in a MAC address, for the first groups.
pub(super) fn may_be_mac(view: View<'_>, word: Word, separator: u8) -> bool {
    let step = word.len() + 1;
    matches!(word.len(), 2 | 4)
        && view.at(word.end + step) == separator
        && view::is(view.at(word.end + step + 1), WORD)
}

/// Whether a group of an address ends here, so that what comes behind it is no beginning. A word such as `mac:` is none.
fn goes_on(view: View<'_>, end: usize) -> bool {
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
fn is_joined(view: View<'_>, word: Word) -> bool {
    let joins = |byte| matches!(byte, b'-' | b'.' | b'_' | b'+' | b'/');
    joins(view.before(word.start))
        || (joins(view.at(word.end)) && view::is(view.at(word.end + 1), WORD | UNDERSCORE))
}

/// Whether one of `words` ends right before `start`, but for separators.
pub(super) fn says(view: View<'_>, start: usize, words: &[&[u8]], most: usize) -> bool {
    const BETWEEN: Set = view::SPACE | view::QUOTE | view::PUNCTUATION | view::BASE64 | UNDERSCORE;
    let mut end = start;
    while end > 0 && end + 4 > start && (view::is(view.before(end), BETWEEN) || view.before(end) == b':') {
        end -= 1;
    }
    let name = view.slice(view.run_back(end, LETTER | DIGIT, most), end);
    words.iter().any(|word| {
        name.len() >= word.len() && {
            let (_, tail) = name.split_at(name.len() - word.len());
            tail.eq_ignore_ascii_case(word)
        }
    })
}

/// A UUID: 8-4-4-4-12 digits, or 32 digits that are no digest of a file.
pub(super) fn uuid(view: View<'_>, word: Word) -> Option<Finding> {
    if !word.is_hex() {
        return None;
    }
    let joins = |byte, beyond| byte == b'-' && view::is(beyond, WORD) && !view::is(beyond, BEYOND_HEX | HIGH);
    if joins(view.before(word.start), view.before(word.start.saturating_sub(1))) {
        return None;
    }
    match word.len() {
        8 => {
            let mut at = word.end;
            for len in [4, 4, 4, 12] {
                let group = view.word(at + 1);
                if view.at(at) != b'-' || group.len() != len || !group.is_hex() {
                    return None;
                }
                at = group.end;
            }
            Finding::of(word.start, at, Class::BiosUuid)
        }
        32 if word.is_mixed() && !says(view, word.start, &DIGEST_WORDS, 12) => {
            Finding::of(word.start, word.end, Class::BiosUuid)
        }
        _ => None,
    }
}

/// The sixteen pairs of a `.vmx` file, with spaces and a dash between them.
pub(super) fn vmx_uuid(view: View<'_>, word: Word) -> Option<Finding> {
    const BYTES: usize = 47;
    if word.len() != 2 || view.at(word.start + 23) != b'-' || view::is(view.at(word.start + BYTES), WORD) {
        return None;
    }
    let text = view.ahead(word.start, BYTES);
    let is_pair = |at: usize, byte: u8| match at % 3 {
        2 => byte == if at == 23 { b'-' } else { b' ' },
        _ => byte.is_ascii_hexdigit(),
    };
    let all = text.len() == BYTES && text.iter().enumerate().all(|(at, byte)| is_pair(at, *byte));
    if all { Finding::of(word.start, word.start + BYTES, Class::BiosUuid) } else { None }
}

/// A long run of hexadecimal digits that nothing calls a digest: a key, or a hash of somebody.
pub(super) fn hex_secret(view: View<'_>, word: Word) -> Option<Finding> {
    let is_len = matches!(word.len(), 40 | 48 | 56 | 64 | 96 | 128);
    let fits = is_len && word.is_hex() && word.is_mixed() && !is_joined(view, word);
    if fits && !says(view, word.start, &DIGEST_WORDS, 12) {
        Some(Finding { start: word.start, end: word.end, what: What::SECRET })
    } else {
        None
    }
}
