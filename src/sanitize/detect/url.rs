//! URLs: what is sensitive in one is its credentials, its host and its query. Each is a finding of its own,
//! so that the host has the same token as in a field.

use super::view::{self, NAME, View, WORD, Word};
use super::{Finding, What};
use crate::model::IdentifierClass as Class;

/// Bytes of a user and a password in front of a host.
const CREDENTIALS_BYTES: usize = 1024;

/// What is still to come of a URL.
#[derive(Clone, Copy)]
pub(super) struct Url {
    /// Where its host begins.
    pub(super) host: usize,
    /// Where it ends.
    pub(super) end: usize,
    /// Where its query begins, after the `?`; the end if it has none.
    pub(super) query: usize,
}

/// Where a URL ends that goes on at `from`.
fn end(view: View<'_>, from: usize) -> usize {
    let mut at = from;
    loop {
        match view.at(at) {
            b'"' | b'\'' | b'`' | b'<' | b'>' | b'|' | b'{' | b'}' | b'\\' | b'^' => break,
            // Part of a URL unless they end what the URL stands in.
            b',' | b';' | b')' | b']' | b'.' | b'!' | b':' if !goes_on(view.at(at + 1)) => break,
            byte if view::is(byte, view::SPACE) => break,
            _ => at += 1,
        }
    }
    at
}

fn goes_on(byte: u8) -> bool {
    view::is(byte, WORD | view::TOKEN | view::LOCAL)
        || matches!(byte, b'/' | b'?' | b'=' | b'&' | b'@' | b'[')
}

/// Reads the URL whose scheme this word ends, and the finding that comes first in it. A URL inside of another
/// ends where that one does, so that no text is read once for each `://` in it.
pub(super) fn read(view: View<'_>, word: Word, outer: Option<Url>) -> Option<(Url, Option<Finding>)> {
    let start = word.end + 3;
    if !view.starts(word.end, b"://") || word.bits & view::LETTER == 0 {
        return None;
    }
    let outer = outer.filter(|outer| start < outer.end);
    let end = outer.map_or_else(|| end(view, start), |outer| outer.end);
    let whole = view.slice(start, end.min(if outer.is_some() { start + CREDENTIALS_BYTES } else { end }));
    let authority = whole.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(whole.len());
    let authority = authority.min(CREDENTIALS_BYTES);
    // The last `@` of the authority: a password may have one in it.
    let sign = whole.get(..authority)?.iter().rposition(|byte| *byte == b'@');
    let host = sign.map_or(start, |sign| start + sign + 1);
    let query = outer.map(|outer| outer.query);
    let query =
        query.unwrap_or_else(|| whole.iter().position(|byte| *byte == b'?').map_or(end, |at| start + at + 1));
    let url = Url { host, end, query };
    let credentials =
        sign.filter(|sign| *sign > 0).map(|sign| Finding { start, end: start + sign, what: What::SECRET });
    // A host that nobody can read: nothing of such a URL is left.
    let readable =
        view::is(view.at(host), WORD) || view.at(host) == b'[' || host >= end || view.at(host) == b'/';
    if credentials.is_some() && !readable {
        return Some((Url { host: end, query: end, end }, Finding::of(word.start, end, Class::Url)));
    }
    Some((url, credentials))
}

impl Url {
    /// The query, with the fragment, if there is more to it than the `?`. Where it begins inside of a finding that ends
    /// at `free`, it is what is left of it: else each URL in it would be read to its end once more.
    pub(super) fn query(&self, free: usize) -> Option<Finding> {
        let start = self.query.max(free);
        if start < self.end { Finding::of(start, self.end, Class::Query) } else { None }
    }
}

/// The query of a URL without a host, as in the log of a web server: `/search?q=`, from the word after `?` on.
pub(super) fn relative_query(view: View<'_>, word: Word) -> Option<Finding> {
    const BEFORE: usize = 64;
    let mark = word.start.checked_sub(1).filter(|at| view.at(*at) == b'?')?;
    let begins = view::is(view.before(mark), NAME) || view.before(mark) == b'/';
    let name_end = view.run_within(word.start, NAME, BEFORE);
    if !begins || view.at(name_end) != b'=' {
        return None;
    }
    let path = view.behind(mark, BEFORE);
    let is_path =
        path.iter().rev().take_while(|byte| !view::is(**byte, view::SPACE)).any(|byte| *byte == b'/');
    if is_path { Finding::of(word.start, end(view, word.start), Class::Query) } else { None }
}
