//! UUIDs, and other long runs of hexadecimal digits.

use super::address::said;
use super::mac::is_joined;
use super::view::{self, BEYOND_HEX, HIGH, View, WORD, Word};
use super::{Finding, What};
use crate::model::IdentifierClass as Class;

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

/// Whether something calls it a digest that is not replaced itself, as what stands before `free` is.
fn is_digest(view: View<'_>, word: Word, free: usize) -> bool {
    said(view, word.start, &DIGEST_WORDS, 12).is_some_and(|end| free < end)
}

/// A UUID: 8-4-4-4-12 digits, or 32 digits that are no digest of a file.
pub(super) fn uuid(view: View<'_>, word: Word, free: usize) -> Option<Finding> {
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
        32 if word.is_mixed() && !is_digest(view, word, free) => {
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
pub(super) fn hex_secret(view: View<'_>, word: Word, free: usize) -> Option<Finding> {
    let is_len = matches!(word.len(), 40 | 48 | 56 | 64 | 96 | 128);
    let fits = is_len && word.is_hex() && word.is_mixed() && !is_joined(view, word);
    if fits && !is_digest(view, word, free) {
        Some(Finding { start: word.start, end: word.end, what: What::SECRET })
    } else {
        None
    }
}
