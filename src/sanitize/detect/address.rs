//! Addresses: IPv4 and IPv6.

use std::net::Ipv6Addr;

use super::near::is_said;
use super::view::{self, BEYOND_HEX, DIGIT, LETTER, Set, UNDERSCORE, View, WORD, Word};
use super::{Finding, mac, port};
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

/// Four numbers below 256 with dots, from a word of digits on. What stands before `free` is replaced, and denies nothing.
pub(super) fn v4(view: View<'_>, word: Word, free: usize) -> Option<Finding> {
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
    // groups of which the last is a port are how tcpdump and netstat write an address.
    if view::is(view.at(end), WORD) {
        return None;
    }
    if view.at(end) == b'.' && view::is(view.at(end + 1), WORD) {
        let next = view.word(end + 1);
        let is_last = view.at(next.end) != b'.' || !view::is(view.at(next.end + 1), DIGIT);
        let is_port = next.is_number()
            && is_last
            && (number(view.slice(next.start, next.end))? > 255 || port::is_said(view, word.start, next.end));
        let in_name = view::is(view.at(next.start), LETTER) && !matches!(before, b'-' | b'_');
        if !is_port && !in_name {
            return None;
        }
    }
    if is_version(view, word.start, free) { None } else { Finding::of(word.start, end, Class::IpAddress) }
}

/// A number of up to four digits.
fn number(digits: &[u8]) -> Option<u32> {
    let fits = (1..=4).contains(&digits.len()) || (digits.len() == 5 && digits <= b"65535".as_slice());
    fits.then(|| digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit.wrapping_sub(b'0'))))
}

/// Whether what stands before says that a version follows.
fn is_version(view: View<'_>, start: usize, free: usize) -> bool {
    if view.before(start) == b'/' {
        let name = view.slice(view.run_back(start - 1, LETTER, 12), start - 1);
        return start > free && AGENTS.iter().any(|agent| name.eq_ignore_ascii_case(agent));
    }
    let mut end = start;
    for _ in 0..3 {
        if matches!(view.before(end), b' ' | b':' | b'=' | b'"' | b'\'' | b'-' | b'_') {
            end -= 1;
        }
    }
    let name = view.slice(view.run_back(end, LETTER, 12), end);
    free < end && end < start && VERSION_WORDS.iter().any(|word| name.eq_ignore_ascii_case(word))
}

/// An IPv6 address that begins with a word of digits, or with two colons before it.
pub(super) fn v6(view: View<'_>, word: Word) -> Option<Finding> {
    let mut start = word.start;
    // The colon of `peer:2001:db8::7` is of the word before it.
    if view.before(start) == b':' && (view.before(start - 1) == b':' || mac::goes_on(view, start - 1)) {
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
    // A port, or the name of one, stands behind a dot.
    let mut text = std::str::from_utf8(view.slice(start, end)).ok()?;
    while text.parse::<Ipv6Addr>().is_err() {
        text = text.get(..text.rfind('.')?)?;
    }
    end = start + text.len();
    if view::is(view.at(end), WORD) {
        return None;
    }
    if view.at(end) == b'%' {
        let zone = view.run_within(end + 1, WORD, ZONE_BYTES);
        end = if zone > end + 1 { zone } else { end };
    }
    Finding::of(start, end, Class::IpAddress)
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

/// Whether one of `words` ends right before `start`, but for separators.
pub(super) fn says(view: View<'_>, start: usize, words: &[&[u8]], most: usize) -> bool {
    said(view, start, words, most).is_some()
}

/// Where the one of `words` ends that stands right before `start`, but for separators.
pub(super) fn said(view: View<'_>, start: usize, words: &[&[u8]], most: usize) -> Option<usize> {
    const BETWEEN: Set = view::SPACE | view::QUOTE | view::PUNCTUATION | view::BASE64 | UNDERSCORE;
    let mut end = start;
    while end > 0 && end + 4 > start && (view::is(view.before(end), BETWEEN) || view.before(end) == b':') {
        end -= 1;
    }
    let from = view.run_back(end, LETTER | DIGIT, most);
    let name = view.slice(from, end);
    let is_known = words.iter().any(|word| {
        name.len() >= word.len() && {
            let (_, tail) = name.split_at(name.len() - word.len());
            tail.eq_ignore_ascii_case(word)
        }
    });
    (is_known && is_said(view, from, start)).then_some(end)
}
