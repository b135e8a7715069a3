//! Words that stand near a number and say what it is.

use super::view::{LETTER, UNDERSCORE, View};

/// Bytes before a number in which a word about it counts.
pub(super) const NEAR: usize = 32;

/// Whether one of `words` stands as a word in what comes right before.
pub(super) fn near(view: View<'_>, start: usize, words: &[&[u8]]) -> bool {
    let (mut at, least) = (start, start.saturating_sub(NEAR));
    while at > least {
        let end = at;
        at = view.run_back(end, LETTER, end - least);
        let word = view.slice(at, end);
        if word.len() > 1
            && words.iter().any(|known| word.eq_ignore_ascii_case(known))
            && !is_marker(view, at, end)
        {
            return true;
        }
        at = at.saturating_sub(usize::from(at == end));
    }
    false
}

/// Whether a word is of a marker: `[phone]` announces no number, or each redaction would find another one.
pub(super) fn is_marker(view: View<'_>, start: usize, end: usize) -> bool {
    const LONGEST: usize = 24;
    let from = view.run_back(start, LETTER | UNDERSCORE, LONGEST);
    let to = view.run_within(end, LETTER | UNDERSCORE, LONGEST);
    view.before(from) == b'[' && view.at(to) == b']'
}
