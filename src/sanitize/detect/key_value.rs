//! What the name before a value says of it: passwords and tokens, accounts, hosts, coordinates.

use super::announced::Announced::{self, Cookie, Coordinate, Host, Password, Token, User};
use super::announced::ends;
use super::secret::is_opaque;
use super::view::{
    self, DIGIT, DOT, HYPHEN, LETTER, LOWER, NAME, QUOTE, SPACE, UNDERSCORE, UPPER, View, WORD, Word,
};
use super::{Finding, What, host, place};
use crate::model::IdentifierClass as Class;

/// Bytes of a name of an account, of a host, or of a coordinate.
const NAMED_BYTES: usize = 256;

/// Values that say that there is none, or that it is hidden already.
const NONE: [&[u8]; 34] = [
    b"null",
    b"none",
    b"nil",
    b"true",
    b"false",
    b"yes",
    b"no",
    b"undefined",
    b"unknown",
    b"empty",
    b"redacted",
    b"hidden",
    b"masked",
    b"removed",
    b"required",
    b"incorrect",
    b"invalid",
    b"expired",
    b"missing",
    b"changed",
    b"wrong",
    b"failed",
    b"ok",
    b"set",
    b"unset",
    b"not",
    b"is",
    b"must",
    b"str",
    b"string",
    b"password",
    b"secret",
    b"token",
    b"bytes",
];

/// The end of a name, folded and without what joins its words.
struct Name {
    text: [u8; 16],
    len: usize,
}

/// What the name that ends with this word announces.
fn announced(view: View<'_>, word: Word) -> Option<Announced> {
    let list = ends(view.before(word.end).to_ascii_lowercase());
    if list.is_empty() {
        return None;
    }
    let mut name = Name { text: [0; 16], len: 0 };
    let mut at = word.end;
    // The words of the name from its end, with where each begins in it.
    while name.len < name.text.len() {
        let byte = view.before(at);
        match byte {
            byte if view::is(byte, LETTER | DIGIT) => {
                if let Some(slot) = name.text.iter_mut().rev().nth(name.len) {
                    *slot = byte.to_ascii_lowercase();
                }
                name.len += 1;
            }
            b'_' | b'-' if name.len > 0 => {}
            _ => break,
        }
        at -= 1;
    }
    let tail = name.text.get(name.text.len() - name.len..)?;
    let (end, what) = list.iter().filter(|(end, _)| tail.ends_with(end)).max_by_key(|(end, _)| end.len())?;
    begins_word(view, word.end, end.len()).then_some(*what)
}

/// Whether the last `len` letters of a name begin a word of it: after `_`, `-` or another sign, or with a capital
/// after a small letter.
fn begins_word(view: View<'_>, end: usize, len: usize) -> bool {
    let (mut at, mut left) = (end, len);
    while left > 0 {
        at -= 1;
        left -= usize::from(view::is(view.at(at), LETTER | DIGIT));
    }
    let (before, first) = (view.before(at), view.at(at));
    let hump = view::is(first, UPPER) && view::is(before, LOWER | DIGIT);
    // `DBPASSWORD` and `dbpassword`: a long end is one whatever comes before it.
    hump || !view::is(before, WORD) || len >= 8
}

/// Where the value begins that is written after a name, and the quote around it or 0.
fn value_start(view: View<'_>, word: Word) -> Option<(usize, u8)> {
    let mut at = word.end;
    let flag = view.at(at) == b' ' && is_flag(view, word.start);
    at += usize::from(view.at(at) == b'\\');
    at += usize::from(matches!(view.at(at), b'"' | b'\'' | b']'));
    at = view.past_spaces(at, 3);
    let separator = view.at(at);
    match separator {
        b'=' | b':' => {
            at += 1;
            // `:=`, `=>`, `==`; but `::` and `://` are no separators.
            if separator == b':' && matches!(view.at(at), b':' | b'/') {
                return None;
            }
            at += usize::from(matches!(view.at(at), b'=' | b'>'));
        }
        // <password>secret</password>
        b'>' if view.before(word.start) == b'<' || view.before(word.start) == b':' => at += 1,
        _ if flag => {}
        _ => return None,
    }
    at = view.past_spaces(at, 4);
    let escaped = usize::from(view.at(at) == b'\\' && matches!(view.at(at + 1), b'"' | b'\''));
    match view.at(at + escaped) {
        quote @ (b'"' | b'\'' | b'`') => Some((at + escaped + 1, quote)),
        _ => Some((at, 0)),
    }
}

/// Whether the word is part of a flag: `--admin-password`.
fn is_flag(view: View<'_>, start: usize) -> bool {
    let from = view.run_back(start, LETTER | DIGIT | HYPHEN | UNDERSCORE, 32);
    view.ahead(from, 2) == b"--"
}

/// Where a value ends: at its quote, or where a list, a query or a sentence goes on.
fn value_end(view: View<'_>, start: usize, quote: u8, most: usize) -> usize {
    let mut at = start;
    while at - start < most {
        let byte = view.at(at);
        match byte {
            0 | b'\n' | b'\r' => break,
            _ if quote != 0 => {
                if byte == quote {
                    break;
                }
            }
            b'"' | b'\'' | b'`' | b'<' | b'&' | b';' => break,
            b',' | b')' | b']' | b'}' | b'|' | b'>' if !view::is(view.at(at + 1), WORD | NAME) => break,
            byte if view::is(byte, SPACE) => break,
            _ => {}
        }
        at += 1;
    }
    at - usize::from(quote != 0 && view.before(at) == b'\\' && at > start)
}

/// The value that the name announces which ends with this word.
pub(super) fn value(view: View<'_>, word: Word) -> Option<Finding> {
    let (start, quote) = value_start(view, word)?;
    let what = announced(view, word)?;
    // `[hidden]`, `${PASSWORD}`, and what other detectors know better.
    let begins = view.ahead(start, 10);
    if matches!(begins, [b'[' | b'<' | b'(' | b'{' | b'$' | b'%', ..])
        || begins == b"-----BEGIN"
        || begins.starts_with(b"p1-")
    {
        return None;
    }
    let most = if matches!(what, Password | Token) { view.len() } else { NAMED_BYTES };
    let end = value_end(view, start, quote, most);
    // `User: Jane Doe said`, `the host: a machine`: a sentence, not a value.
    let in_prose =
        quote == 0 && view.at(end) == b' ' && view.before(start) == b' ' && view.at(start - 2) == b':';
    if in_prose && matches!(what, User | Host) && view.is_word_next(end) {
        return None;
    }
    if is_none(view.slice(start, end)) {
        return None;
    }
    match what {
        Password => Some(Finding { start, end, what: What::SECRET }),
        Token => token(view, start, end),
        Cookie => {
            let end = if quote == 0 { line_end(view, start) } else { end };
            let text = view.slice(start, end);
            if text.contains(&b'=') || is_opaque(text) {
                Finding::of(start, end, Class::Cookie)
            } else {
                None
            }
        }
        User => user(view, start, end),
        Host => {
            let colon = view.run_within(start, NAME, 253).min(end);
            let port = view.at(colon) == b':' && view::is(view.at(colon + 1), DIGIT);
            let single = !view.slice(start, colon).iter().any(|byte| matches!(byte, b'.' | b'_'));
            if (colon == end || port) && single { host::label(view, start, colon) } else { None }
        }
        Coordinate => place::one(view, start, end),
    }
}

/// Whether a value says that there is none.
fn is_none(text: &[u8]) -> bool {
    let hidden = |byte: &u8| matches!(byte, b'*' | b'x' | b'X' | b'.' | b'-' | b'?' | b'#' | b'_');
    let inner = text.trim_ascii();
    inner.is_empty() || inner.iter().all(hidden) || NONE.iter().any(|word| inner.eq_ignore_ascii_case(word))
}

fn token(view: View<'_>, start: usize, end: usize) -> Option<Finding> {
    // `Authorization: Bearer …`: the scheme says where the token begins.
    let first = view.word(start);
    let scheme = [&b"bearer"[..], b"basic", b"digest", b"negotiate", b"token", b"apikey", b"ntlm"];
    let name = view.slice(first.start, first.end);
    let (start, end) =
        if scheme.iter().any(|word| name.eq_ignore_ascii_case(word)) && view.at(first.end) == b' ' {
            let start = view.past_spaces(first.end, 3);
            (start, value_end(view, start, 0, view.len()))
        } else {
            (start, end)
        };
    let text = view.slice(start, end);
    if is_opaque(text) && !text.contains(&b' ') {
        Some(Finding { start, end, what: What::SECRET })
    } else {
        None
    }
}

fn line_end(view: View<'_>, start: usize) -> usize {
    let mut at = start;
    while !matches!(view.at(at), 0 | b'\n' | b'\r' | b'"' | b'\'') {
        at += 1;
    }
    at
}

fn user(view: View<'_>, start: usize, end: usize) -> Option<Finding> {
    let name = view.run_within(start, NAME, 64).min(end);
    let text = view.slice(start, name);
    let begins = text.first().is_some_and(|byte| view::is(*byte, LETTER | view::HIGH | UNDERSCORE));
    let ends = name == end || view::is(view.at(name), QUOTE | SPACE | DOT);
    if begins && text.len() > 1 && ends { Finding::of(start, name, Class::UserId) } else { None }
}

/// An account that a sentence names: `for user bob`, `Invalid user bob`, `password for bob from`.
pub(super) fn account_in_sentence(view: View<'_>, word: Word) -> Option<Finding> {
    let before = view.word(view.run_back(view.back_spaces(word.start, 1), LETTER, 12));
    let before = view.slice(before.start, before.end);
    let fits = |words: &[&[u8]]| words.iter().any(|word| before.eq_ignore_ascii_case(word));
    let start = view.past_spaces(word.end, 1);
    let start = start + usize::from(matches!(view.at(start), b'\'' | b'"'));
    let end = view.run_within(start, NAME, 64);
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
                || [&b" from "[..], b" logge", b" on fr", b" authe", b" login"]
                    .iter()
                    .any(|text| after == *text)
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
