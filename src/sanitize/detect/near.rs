//! Words that stand near a number and say what it is.

use super::view::{LETTER, View};
use crate::sanitize::redact::item::{self, Item};

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
            && is_said(view, at, start)
        {
            return true;
        }
        at = at.saturating_sub(usize::from(at == end));
    }
    false
}

/// Whether what stands at `at` says something of what begins at `start`: no marker and no token of ours is in it or
/// between them. Each is shorter than what it stands for, perhaps, so a word before it has come nearer; and its own words
/// announce nothing, or each redaction would find another one.
pub(super) fn is_said(view: View<'_>, at: usize, start: usize) -> bool {
    const LONGEST: usize = 96;
    let from = at.max(start.saturating_sub(LONGEST)).saturating_sub(LONGEST);
    let text = view.slice(from, start);
    let is_behind = |item: Option<Item>| {
        item.is_some_and(|item| match item {
            Item::Marker { end } | Item::Token { end, .. } => end > at && end <= start,
        })
    };
    let begins = |byte: u8| matches!(byte, b'[' | b'p');
    let mut places =
        text.iter().enumerate().filter(|(_, byte)| begins(**byte)).map(|(place, _)| from + place);
    !places.any(|place| {
        let text = view.bytes();
        is_behind(if view.at(place) == b'[' { item::marker(text, place) } else { item::token(text, place) })
    })
}
