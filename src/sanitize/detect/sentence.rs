//! What the words around it say of a name: accounts in the sentences of daemons, the machine of a line of syslog.

use super::view::{self, DIGIT, LETTER, NAME, UNDERSCORE, View, Word};
use super::{Finding, host};
use crate::model::IdentifierClass as Class;

/// Whether the sentence may go on with what this word announces: a first look, by its first letter and length.
#[inline]
pub(super) fn is_key(view: View<'_>, word: Word) -> bool {
    let len = word.len();
    match view.at(word.start) | 0x20 {
        b'b' => matches!(len, 2 | 5 | 6),
        b'n' => matches!(len, 2 | 3 | 9),
        b'd' => matches!(len, 2 | 3 | 6),
        b'u' => matches!(len, 2 | 4),
        b'f' | b'j' | b'm' | b'a' | b's' | b'o' => matches!(len, 2 | 3),
        _ => len == 2,
    }
}

/// An account that a sentence names: `for user bob`, `Invalid user bob`, `password for bob from`.
pub(super) fn account(view: View<'_>, word: Word) -> Option<Finding> {
    let before = view.word(view.run_back(view.back_spaces(word.start, 1), LETTER, 12));
    let before = view.slice(before.start, before.end);
    let fits = |words: &[&[u8]]| words.iter().any(|word| before.eq_ignore_ascii_case(word));
    let start = view.past_spaces(word.end, 1);
    let start = start + usize::from(matches!(view.at(start), b'\'' | b'"'));
    let end = view.run(start, NAME);
    let mut stop = end;
    while stop > start && matches!(view.before(stop), b'.' | b'-') {
        stop -= 1;
    }
    let text = view.slice(start, stop);
    let after = view.ahead(end, 6);
    let named = match word.len() {
        3 => {
            fits(&[b"password", b"publickey", b"interactive"])
                && (after.starts_with(b" from ") || after.is_empty())
        }
        _ => {
            fits(&[b"for", b"invalid", b"illegal", b"unknown", b"by", b"of", b"as"])
                || matches!(after, b" from " | b" logge" | b" on fr" | b" authe" | b" login")
        }
    };
    let begins = text.first().is_some_and(|byte| view::is(*byte, LETTER | view::HIGH | UNDERSCORE));
    let goes_on = matches!(view.at(end), b'@' | b'\\' | b'=' | b'/');
    // `for user from 10.1.2.3`: there is no name.
    let is_word = [
        &b"from"[..],
        b"user",
        b"by",
        b"is",
        b"was",
        b"has",
        b"to",
        b"in",
        b"with",
        b"and",
        b"not",
        b"the",
        b"id",
        b"name",
    ];
    let is_word = is_word.iter().any(|word| text.eq_ignore_ascii_case(word));
    if named && begins && !goes_on && !is_word && text.len() > 1 && start > word.end {
        Finding::of(start, stop, Class::UserId)
    } else {
        None
    }
}

/// The machine that a line of syslog begins with, from the name of the month on: `Jun 14 15:16:01 combo sshd[1]:`.
pub(super) fn syslog_host(view: View<'_>, word: Word) -> Option<Finding> {
    if !matches!(view.before(word.start), 0 | b'\n' | b'>') {
        return None;
    }
    let day = view.past_spaces(word.end, 2);
    let time = view.past_spaces(view.run_within(day, DIGIT, 2), 1);
    let mut at = time;
    for _ in 0..3 {
        at = view.run_within(at, DIGIT, 2) + 1;
    }
    let time_ends = view.at(at - 1) == b' ' && view.before(at - 1).is_ascii_digit() && at - time == 9;
    let end = view.run_within(at, NAME, 253);
    let program = view.run_within(end + 1, NAME | view::BASE64, 48);
    let is_program = matches!(view.at(program), b'[' | b':' | b'(');
    if time_ends && view.at(end) == b' ' && is_program { host::label(view, at, end) } else { None }
}
