//! Numbers that people write in groups: their digits, and what stands between them. Read once for a word of
//! digits, judged by everyone who knows a form.

use super::view::{self, DIGIT, View, Word};

/// Digits of the longest number: a card's 19, with room for a country's code.
const DIGITS: usize = 24;
/// Groups of the longest number.
const GROUPS: usize = 8;

/// Groups of digits.
pub(super) struct Digits {
    /// Where it begins, an opening parenthesis or `+` included.
    pub(super) start: usize,
    /// Whether it begins with `+`.
    pub(super) plus: bool,
    /// Whether a group is in parentheses.
    pub(super) parens: bool,
    values: [u8; DIGITS],
    count: usize,
    groups: [Group; GROUPS],
    group_count: usize,
}

/// One group of digits.
#[derive(Clone, Copy, Default)]
pub(super) struct Group {
    pub(super) len: usize,
    /// Where it ends in the text, a closing parenthesis included.
    pub(super) end: usize,
    /// What stands before it: a byte, `*` for more than one, or 0.
    pub(super) before: u8,
    /// How many digits there are up to its end.
    total: usize,
}

impl Digits {
    /// Reads the groups from a word of digits on.
    pub(super) fn read(view: View<'_>, word: Word) -> Self {
        let mut all = Self {
            start: word.start,
            plus: false,
            parens: false,
            values: [0; DIGITS],
            count: 0,
            groups: [Group::default(); GROUPS],
            group_count: 0,
        };
        if view.before(all.start) == b'(' {
            all.start -= 1;
            all.parens = true;
        }
        if view.before(all.start) == b'+' {
            all.start -= 1;
            all.plus = true;
        }
        let (mut at, mut before) = (word.start, 0);
        while all.group_count < GROUPS {
            let end = view.run_within(at, DIGIT, DIGITS);
            if end == at || all.count + (end - at) > DIGITS || view::is(view.at(end), DIGIT) {
                break;
            }
            let close = usize::from(view.at(end) == b')' && all.opens(view, at));
            all.push(view.slice(at, end), end + close, before);
            (at, before) = match gap(view, end + close) {
                Some((next, between)) => (next, if close > 0 { b'*' } else { between }),
                None if close > 0 && view::is(view.at(end + 1), DIGIT) => (end + 1, b'*'),
                None => break,
            };
        }
        all
    }

    fn opens(&mut self, view: View<'_>, at: usize) -> bool {
        let opened = view.before(at) == b'(';
        self.parens |= opened;
        opened
    }

    fn push(&mut self, digits: &[u8], end: usize, before: u8) {
        for (slot, digit) in self.values.iter_mut().skip(self.count).zip(digits) {
            *slot = digit.wrapping_sub(b'0');
        }
        self.count += digits.len();
        if let Some(slot) = self.groups.get_mut(self.group_count) {
            *slot = Group { len: digits.len(), end, before, total: self.count };
        }
        self.group_count += 1;
    }

    pub(super) fn groups(&self) -> &[Group] {
        self.groups.get(..self.group_count).unwrap_or_default()
    }

    /// The digits of the first `count` groups.
    pub(super) fn of(&self, count: usize) -> &[u8] {
        let total =
            count.checked_sub(1).and_then(|last| self.groups().get(last)).map_or(0, |group| group.total);
        self.values.get(..total).unwrap_or_default()
    }

    /// Whether the first groups have these lengths and nothing but this between them, or anything for 0.
    pub(super) fn is_grouped(&self, lens: &[usize], between: &[u8]) -> bool {
        lens.len() <= self.group_count
            && self.groups().iter().zip(lens).all(|(group, len)| group.len == *len)
            && self
                .groups()
                .iter()
                .take(lens.len())
                .skip(1)
                .zip(between.iter().cycle())
                .all(|(group, expected)| group.before == *expected || *expected == 0)
    }

    /// Where the first `count` groups end.
    pub(super) fn end(&self, count: usize) -> usize {
        count.checked_sub(1).and_then(|last| self.groups().get(last)).map_or(self.start, |group| group.end)
    }
}

/// Where the next group begins after a place, and what stands between: one separator, or a few of them
/// around a parenthesis.
fn gap(view: View<'_>, from: usize) -> Option<(usize, u8)> {
    let separator = view.at(from);
    if !view::is(separator, view::PUNCTUATION) || separator == b')' {
        return None;
    }
    if view::is(view.at(from + 1), DIGIT) {
        return Some((from + 1, separator));
    }
    let mut at = from;
    while at < from + 3 && matches!(view.at(at), b' ' | b'-' | b'(' | b'/') {
        at += 1;
    }
    view::is(view.at(at), DIGIT).then_some((at, b'*'))
}

/// Whether seven digits or more begin with a word, with separators between them that people use, and no date.
pub(super) fn is_long(view: View<'_>, word: Word) -> bool {
    const NEAR: usize = 32;
    let date = word.len() == 4
        && matches!(view.ahead(word.end, 6), [a, _, _, b, _, _] if a == b && matches!(a, b'-' | b'/' | b'.'))
        && view::is(view.at(word.end + 5), DIGIT)
        && !view::is(view.at(word.end + 6), DIGIT);
    if date {
        return false;
    }
    let (mut digits, mut gap) = (word.len(), 0);
    let mut at = word.end;
    while digits < 7 && at < word.end + NEAR && gap < 4 {
        let byte = view.at(at);
        if view::is(byte, DIGIT) {
            (digits, gap) = (digits + 1, 0);
        } else if view::is(byte, view::PUNCTUATION) {
            gap += 1;
        } else {
            break;
        }
        at += 1;
    }
    digits >= 7
}

/// Whether a number that begins and ends here stands for itself, and is no part of a longer one.
pub(super) fn stands_alone(view: View<'_>, start: usize, end: usize) -> bool {
    let after = view.at(end);
    let goes_on = matches!(after, b'-' | b'.') && view::is(view.at(end + 1), view::WORD);
    may_stand_alone(view, start) && !goes_on && !view::is(after, view::WORD | view::UNDERSCORE)
}

/// Whether a number that begins here goes on none before it.
pub(super) fn may_stand_alone(view: View<'_>, start: usize) -> bool {
    let before = view.before(start);
    let is_word = |at: usize| view::is(view.at(at), view::WORD);
    let joined = matches!(before, b'.' | b'/' | b'+') && start > 1 && is_word(start - 2);
    // The seconds of a time are not the beginning of another number.
    let joined = joined || (before == b':' && start > 1 && view::is(view.at(start - 2), DIGIT));
    !joined && !view::is(before, view::WORD | view::UNDERSCORE) && before != b'-'
}
