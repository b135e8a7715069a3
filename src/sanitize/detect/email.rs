//! E-mail addresses, whose domain is the name of a host, and accounts in front of the address of a machine.

use super::Finding;
use super::address;
use super::domain::{self, Ending};
use super::host::{FILE_LABELS, NAME_BYTES, run};
use super::view::{self, DIGIT, DOT, HIGH, LETTER, LOCAL, NAME, View, WORD, Word};
use crate::model::IdentifierClass as Class;
use crate::sanitize::redact::item::{self, Item};

/// Bytes of a local part that is looked back over. RFC 5321 allows 64; what is longer is no less a name.
const LOCAL_BYTES: usize = 128;

/// Where what can be the local part of an address begins before the `@` at `sign`. A token of ours is no part of one:
/// what it stands for has been judged.
pub(super) fn local_start(view: View<'_>, sign: usize) -> usize {
    let least = sign.saturating_sub(LOCAL_BYTES);
    let mut at = sign;
    while at > least && is_part(view.before(at)) && view.before(at) != b'@' {
        at -= 1;
    }
    let ours = view.slice(at, sign).windows(3).rposition(|part| part == b"p1-").map(|from| at + from);
    ours.and_then(|from| item::token(view.bytes(), from)).map_or(at, |ours| match ours {
        Item::Token { end, .. } => end.min(sign),
        Item::Marker { .. } => at,
    })
}

/// Whether a byte can be of the local part of an address, or is the `@` between two of them.
#[inline]
pub(super) fn is_part(byte: u8) -> bool {
    view::is(byte, NAME | LOCAL) || matches!(byte, b'&' | b'@')
}

/// Where the first account begins that hangs by an `@` on what begins at `start`, not before `free`; else `start`.
pub(super) fn hung_on(view: View<'_>, start: usize, free: usize) -> usize {
    let (mut at, mut signs) = (start, false);
    while at > free && is_part(view.before(at)) {
        at -= 1;
        signs |= view.at(at) == b'@';
    }
    if !signs {
        return start;
    }
    while at < start && !view::is(view.at(at), WORD) {
        at += 1;
    }
    at
}

/// An e-mail address whose local part begins with this word and whose `@` is at `sign`; or the account in
/// front of the address of a machine.
pub(super) fn address(view: View<'_>, word: Word, sign: usize) -> Option<Finding> {
    // Before a token of ours as before the address that it stands for.
    if view.at(sign + 1) == b'p' && item::token(view.bytes(), sign + 1).is_some() {
        return Finding::of(word.start, sign, Class::UserId);
    }
    let mut labels = run(view, sign + 1);
    if labels.start != sign + 1 || !view::is(view.at(sign + 1), WORD) {
        let bracket = view.at(sign + 1) == b'[' && view::is(view.at(sign + 2), DIGIT);
        let is_machine = bracket || is_v6(view, sign + 1);
        return if is_machine { Finding::of(word.start, sign, Class::UserId) } else { None };
    }
    // A run can go on past the address, as in `bob@example.com.log`.
    for _ in 0..=FILE_LABELS {
        let (at, last) = labels.last();
        let letters = last.iter().all(|byte| view::is(*byte, LETTER | HIGH)) && last.len() > 1;
        let file = domain::is_file(last) && labels.count() > 2;
        if ((letters && !file) || domain::ending(last) != Ending::None) && labels.count() > 1 {
            return Finding::of(word.start, labels.end, Class::Email);
        }
        // `bob@example.com-backup`: the name ends before the hyphen, as that of a host does. Nobody is left before it.
        if let Some(cut) = last.iter().position(|byte| matches!(byte, b'-' | b'_'))
            && domain::ending(last.get(..cut).unwrap_or_default()) == Ending::Clear
            && labels.count() > 1
        {
            return Finding::of(word.start, at + cut, Class::Email);
        }
        match labels.without_last() {
            Some(shorter) => labels = shorter,
            None => break,
        }
    }
    single(view, word, sign)
}

/// Whether an IPv6 address stands here, in brackets or not; it may begin with its colons.
fn is_v6(view: View<'_>, at: usize) -> bool {
    let at = if view.at(at) == b'[' { at + 1 } else { at };
    let at = if view.at(at) == b':' && view.at(at + 1) == b':' { at + 2 } else { at };
    address::v6(view, view.word(at)).is_some()
}

/// `root@esx01` is an account on a machine; `Thread@1f2e3d` and `lodash@4.17.21` are none.
fn single(view: View<'_>, word: Word, sign: usize) -> Option<Finding> {
    if is_v6(view, sign + 1) {
        return Finding::of(word.start, sign, Class::UserId);
    }
    let whole = run(view, sign + 1);
    let text = view.slice(whole.start, whole.end);
    if text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.') {
        let parts = text.split(|byte| *byte == b'.').count();
        return if parts == 4 { Finding::of(word.start, sign, Class::UserId) } else { None };
    }
    let end = view.run_within(whole.start, NAME & !DOT, NAME_BYTES);
    let label = view.slice(whole.start, end.min(whole.end));
    let object = label.len() <= 8 && label.iter().all(u8::is_ascii_hexdigit);
    let begins = label.first().is_some_and(|byte| view::is(*byte, LETTER | HIGH));
    let class_name = view.slice(word.start, sign).contains(&b'$');
    let ends = end >= whole.end && !matches!(view.at(whole.end), b'/' | b'@' | b'(');
    if label.len() > 1 && begins && !object && !class_name && ends {
        Finding::of(word.start, whole.end, Class::Email)
    } else {
        None
    }
}
