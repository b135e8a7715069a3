//! What the name before a value says of it: passwords and tokens, accounts, hosts, coordinates.

use super::announce::Announced::{Cookie, Coordinate, Host, Password, Token, User};
use super::announce::announced;
use super::secret::is_opaque;
use super::value_end::{self, BACKSLASHES, ValueEnds};
use super::view::{self, DIGIT, DOT, HYPHEN, LETTER, NAME, QUOTE, SPACE, UNDERSCORE, View, Word};
use super::{Finding, What, control, host, place};
use crate::model::IdentifierClass as Class;

/// Bytes of a token or a line of cookies that are judged: what is none is not read to its end for each of its words.
const JUDGED_BYTES: usize = 1024;
/// Bytes of a name of an account, of a host, or of a coordinate.
const NAMED_BYTES: usize = 256;

/// Colours between a name and its value, and bytes of one.
const COLOURS: usize = 4;
const COLOUR_BYTES: usize = 32;

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

/// Whether what follows a name can be the sign before its value.
#[inline]
pub(super) fn may_follow(view: View<'_>, word: Word, after: u8) -> bool {
    let next = view.at(word.end + 1);
    match after {
        b'=' | b':' => true,
        b'"' | b'\'' | b']' => matches!(next, b':' | b'=' | b' '),
        b'\\' => past_backslashes(view, word.end).is_some() || is_coloured(view, word.end),
        0x1b | b'^' | b'#' | b'[' => is_coloured(view, word.end),
        b'>' => matches!(view.before(word.start), b'<' | b':'),
        _ => false,
    }
}

/// Where the quote is that stands behind some backslashes, as in JSON that is a text in JSON; `None` if there is none.
fn past_backslashes(view: View<'_>, from: usize) -> Option<usize> {
    let backslashes = view.ahead(from, BACKSLASHES).iter().take_while(|byte| **byte == b'\\').count();
    matches!(view.at(from + backslashes), b'"' | b'\'').then_some(from + backslashes)
}

fn is_coloured(view: View<'_>, at: usize) -> bool {
    control::colour(view.ahead(at, COLOUR_BYTES)) > 0
}

/// Where what is no blank and no colour begins.
fn past_colours(view: View<'_>, from: usize, most: usize) -> usize {
    let mut at = view.past_spaces(from, most);
    for _ in 0..COLOURS {
        if !matches!(view.at(at), 0x1b | b'^' | b'#' | b'[' | b'\\') {
            break;
        }
        match control::colour(view.ahead(at, COLOUR_BYTES)) {
            0 => break,
            len => at = view.past_spaces(at + len, most),
        }
    }
    at
}

/// Where the value begins that is written after a name, and the quote around it or 0.
fn value_start(view: View<'_>, word: Word) -> Option<(usize, u8)> {
    let mut at = word.end;
    let flag = view.at(at) == b' ' && is_flag(view, word.start);
    at = past_backslashes(view, at).unwrap_or(at);
    at += usize::from(matches!(view.at(at), b'"' | b'\'' | b']'));
    at = past_colours(view, at, 3);
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
    at = past_colours(view, at, 4);
    let quoted = past_backslashes(view, at).unwrap_or(at);
    match view.at(quoted) {
        quote @ (b'"' | b'\'' | b'`') => Some((past_colours(view, quoted + 1, 0), quote)),
        _ => Some((at, 0)),
    }
}

/// Whether the word is part of a flag: `--admin-password`.
fn is_flag(view: View<'_>, start: usize) -> bool {
    let from = view.run_back(start, LETTER | DIGIT | HYPHEN | UNDERSCORE, 32);
    view.ahead(from, 2) == b"--"
}

/// The value that the name announces which ends with this word.
pub(super) fn value(view: View<'_>, word: Word, ends: &mut ValueEnds) -> Option<Finding> {
    let what = announced(view, word)?;
    let (start, quote) = value_start(view, word)?;
    // `[hidden]`, `${PASSWORD}`, and what other detectors know better.
    let begins = view.ahead(start, 10);
    if matches!(begins, [b'[' | b'<' | b'(' | b'{' | b'$' | b'%', ..])
        || begins == b"-----BEGIN"
        || begins.starts_with(b"p1-")
    {
        return None;
    }
    let end = match what {
        Password | Token => ends.end(view, start, quote),
        Cookie | User | Host | Coordinate => value_end::within(view, start, quote, NAMED_BYTES),
    };
    // `User: Jane Doe said`, `the host: a machine`: a sentence, not a value.
    let in_prose =
        quote == 0 && view.at(end) == b' ' && view.before(start) == b' ' && view.at(start - 2) == b':';
    if in_prose && matches!(what, User | Host) && view.is_word_next(end) {
        return None;
    }
    if is_none(view, start, end) {
        return None;
    }
    match what {
        Password => Some(Finding { start, end, what: What::SECRET }),
        Token => token(view, (start, end), ends),
        Cookie => {
            let end = if quote == 0 { value_end::line_within(view, start, JUDGED_BYTES) } else { end };
            let text = view.slice(start, end);
            if text.contains(&b'=') || is_opaque(text) {
                let end = if quote == 0 { ends.line(view, end) } else { end };
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

/// Whether a value says that there is none. Of a long one no more is looked at than decides.
fn is_none(view: View<'_>, start: usize, end: usize) -> bool {
    let hidden = |byte: u8| matches!(byte, b'*' | b'x' | b'X' | b'.' | b'-' | b'?' | b'#' | b'_');
    if end - start > NAMED_BYTES {
        return (start..end).all(|at| hidden(view.at(at)));
    }
    let inner = view.slice(start, end).trim_ascii();
    inner.iter().all(|byte| hidden(*byte)) || NONE.iter().any(|word| inner.eq_ignore_ascii_case(word))
}

fn token(view: View<'_>, (start, end): (usize, usize), ends: &mut ValueEnds) -> Option<Finding> {
    // `Authorization: Bearer …`: the scheme says where the token begins.
    let first = view.word(start);
    let scheme = [&b"bearer"[..], b"basic", b"digest", b"negotiate", b"token", b"apikey", b"ntlm"];
    let name = view.slice(first.start, first.end);
    let (start, end) =
        if scheme.iter().any(|word| name.eq_ignore_ascii_case(word)) && view.at(first.end) == b' ' {
            let start = view.past_spaces(first.end, 3);
            (start, ends.end(view, start, 0))
        } else {
            (start, end)
        };
    let text = view.slice(start, end.min(start + JUDGED_BYTES));
    if is_opaque(text) && !text.contains(&b' ') {
        Some(Finding { start, end, what: What::SECRET })
    } else {
        None
    }
}

fn user(view: View<'_>, start: usize, end: usize) -> Option<Finding> {
    let name = view.run_within(start, NAME, 64).min(end);
    let text = view.slice(start, name);
    let begins = text.first().is_some_and(|byte| view::is(*byte, LETTER | view::HIGH | UNDERSCORE));
    // `/user:CORP\jdoe`
    if begins && text.len() > 1 && view.at(name) == b'\\' {
        let account = name + 1 + usize::from(view.at(name + 1) == b'\\');
        let last = view.run_within(account, NAME, 64).min(end);
        let is_whole = last == end || view::is(view.at(last), QUOTE | SPACE);
        if is_whole && last > account + 1 && view::is(view.at(account), LETTER | view::HIGH | UNDERSCORE) {
            return Finding::of(start, last, Class::UserId);
        }
    }
    let ends = name == end || view::is(view.at(name), QUOTE | SPACE | DOT);
    if begins && text.len() > 1 && ends { Finding::of(start, name, Class::UserId) } else { None }
}
