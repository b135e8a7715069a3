//! What most texts are made of: words, small numbers, dates and times by which nothing can be found. They are
//! told by a few looks, so that the detectors are asked about the rest only. Whatever is not surely plain is not.

use super::view::{self, BEGINS, DIGIT, HIGH, PUNCTUATION, QUIET, QUOTE, SPACE, View, WORD, Word};
use super::{place, sentence, vendor};

/// Words with letters and digits that are shorter than every number and key with a form.
const MIXED: usize = 7;
/// Numbers that are shorter than every number with a form.
const NUMBER: usize = 6;

/// Where to go on after a plain word. `inside` is whether it stands in a name that was looked at already.
#[inline]
pub(super) fn past(view: View<'_>, word: Word, inside: bool) -> Option<usize> {
    let (before, after) = (view.before(word.start), view.at(word.end));
    if view::is(before, BEGINS) || word.bits & HIGH != 0 || view.starts(word.start, b"eyJ") {
        return None;
    }
    let ends = view::is(after, SPACE | QUIET);
    if word.bits & DIGIT == 0 {
        let joined = inside && matches!(after, b'.' | b'-' | b'_') && !vendor::may_begin(view, word);
        let ends = ends
            && !announces(view, word, before, after)
            && (word.len() < 8 || !vendor::may_begin(view, word));
        return (ends || joined).then_some(word.end);
    }
    if word.is_number() {
        return number(view, word, before, after);
    }
    let short = word.len() <= MIXED && !(word.len() == 4 && after == b' ');
    (ends && short && before != b':' && !announces(view, word, before, after)).then_some(word.end)
}

/// Whether a word with a space or a colour after it may say what follows.
#[inline]
fn announces(view: View<'_>, word: Word, before: u8, after: u8) -> bool {
    match after {
        b' ' => {
            matches!(view.at(word.end + 1), b'=' | b':') || before == b'-' || sentence::is_key(view, word)
        }
        0x1b => true,
        b'^' => view.at(word.end + 1) == b'[',
        b'#' => view.at(word.end + 1) == b'0',
        b'[' => view::is(view.at(word.end + 1), DIGIT),
        _ => false,
    }
}

/// A short number alone, a date or a time.
#[inline]
fn number(view: View<'_>, word: Word, before: u8, after: u8) -> Option<usize> {
    match after {
        place::DEGREE => None,
        b':' if word.len() == 2 => time(view, word, before),
        b'-' | b'/' if word.len() == 4 => date(view, word, before),
        b' ' => {
            let goes_on = view::is(view.at(word.end + 1), DIGIT | PUNCTUATION)
                && !(word.len() <= 4 && view.at(word.end + 3) == b':');
            let pairs = word.len() == 2 && view.at(word.start + 23) == b'-';
            let alone = word.len() <= NUMBER && !goes_on && !pairs && before != b':' && before != b'+';
            (alone && !matches!(view.at(word.end + 1), b'=' | b':' | b'o' | b'f' | b'm' | b'h' | b'c'))
                .then_some(word.end)
        }
        _ => {
            let ends = view::is(after, SPACE | QUIET) && !view::is(after, PUNCTUATION);
            (ends && word.len() <= NUMBER && before != b':' && before != b'+').then_some(word.end)
        }
    }
}

/// `18:01:47`, and nothing that would make an address of it.
fn time(view: View<'_>, word: Word, before: u8) -> Option<usize> {
    let [b':', a, b, b':', c, d, after] = *view.ahead(word.end, 7).first_chunk::<7>()? else { return None };
    let digits = [a, b, c, d].iter().all(u8::is_ascii_digit);
    let alone = !matches!(before, b':' | b'.' | b'-' | b'_')
        && !view::is(after, WORD)
        && !matches!(after, b':' | b'@' | place::DEGREE);
    (digits && alone).then_some(word.end + 6)
}

/// `2024-03-15`, and nothing that would make a name of it.
fn date(view: View<'_>, word: Word, before: u8) -> Option<usize> {
    let [first, a, b, second, c, d, after] = *view.ahead(word.end, 7).first_chunk::<7>()?;
    let digits = [a, b, c, d].iter().all(u8::is_ascii_digit) && first == second;
    let before = !view::is(before, view::NAME | BEGINS) && !matches!(before, b'+' | b':');
    let after = after == b'T' || (view::is(after, SPACE | QUIET) && after != place::DEGREE);
    (digits && before && after).then(|| time_of_day(view, word.end + 6))
}

/// Where a time in UTC ends that follows a date, `T08:00:01.100Z`; the end of the date if there is none.
fn time_of_day(view: View<'_>, from: usize) -> usize {
    const FRACTION: usize = 9;
    let text = view.ahead(from, 9);
    let fits = |(byte, form): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form };
    if text.len() < 9 || !text.iter().zip(b"T00:00:00").all(fits) {
        return from;
    }
    let mut end = from + 9;
    if matches!(view.at(end), b'.' | b',') {
        end = view.run_within(end + 1, DIGIT, FRACTION);
    }
    let after = view.at(end + 1);
    let ends = view::is(after, SPACE | QUIET | QUOTE) && !view::is(after, BEGINS) && after != place::DEGREE;
    if view.at(end) == b'Z' && ends { end + 1 } else { from }
}
