//! Coordinates: pairs of degrees with decimals, degrees with minutes, and values that a name announces.

use super::Finding;
use super::address::says;
use super::view::{self, DIGIT, View, WORD, Word};
use crate::model::IdentifierClass as Class;

/// What the folded text has for the degree sign, which is no ASCII: a control character that stands for
/// nothing else.
pub(super) const DEGREE: u8 = 0x1f;
/// What is said before a pair of coordinates.
const WORDS: [&[u8]; 10] = [
    b"gps",
    b"geo",
    b"location",
    b"position",
    b"coordinates",
    b"coords",
    b"point",
    b"at",
    b"near",
    b"latlng",
];

/// A number with decimals.
struct Decimal {
    end: usize,
    whole: u32,
    decimals: usize,
}

impl Decimal {
    fn read(view: View<'_>, from: usize) -> Option<Self> {
        let point = view.run_within(from, DIGIT, 4);
        let end = view.run_within(point + 1, DIGIT, 16);
        let whole = view.slice(from, point);
        if whole.is_empty() || whole.len() > 3 || view.at(point) != b'.' || end == point + 1 {
            return None;
        }
        let whole = whole.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit.wrapping_sub(b'0')));
        Some(Self { end, whole, decimals: end - point - 1 })
    }
}

/// One coordinate, which a name announces.
pub(super) fn one(view: View<'_>, start: usize, end: usize) -> Option<Finding> {
    let from = start + usize::from(matches!(view.at(start), b'-' | b'+'));
    let number = Decimal::read(view, from)?;
    let fits = number.decimals >= 2 && number.whole <= 180 && number.end <= end.max(number.end);
    if fits && !view::is(view.at(number.end), WORD | view::DOT) {
        Finding::of(start, number.end, Class::Location)
    } else {
        None
    }
}

/// A pair of coordinates, from the first number on.
pub(super) fn pair(view: View<'_>, word: Word) -> Option<Finding> {
    if let Some(found) = minutes(view, word) {
        return Some(found);
    }
    let start = word.start - usize::from(matches!(view.before(word.start), b'-' | b'+'));
    if matches!(view.before(start), b'.' | b',' | b'_') || view::is(view.before(start), WORD) {
        return None;
    }
    let first = Decimal::read(view, word.start)?;
    let (mut at, first_marked) = marks(view, first.end);
    if view.at(at) != b',' && !first_marked {
        return None;
    }
    at += usize::from(view.at(at) == b',');
    at = view.past_spaces(at, 2);
    at += usize::from(matches!(view.at(at), b'-' | b'+'));
    let second = Decimal::read(view, at)?;
    let (end, second_marked) = marks(view, second.end);
    let most = first.decimals.min(second.decimals);
    let told = || says(view, start, &WORDS, 12);
    let precise = most >= 5 && first.whole > 0 && second.whole > 0;
    let marked = first_marked && second_marked && most >= 2;
    let in_range = first.whole <= 90 && second.whole <= 180;
    let (after, next) = (view.at(end), view.at(end + 1));
    // A decimal point, or a third number of a list.
    let goes_on = view::is(after, WORD)
        || (after == b'.' && view::is(next, DIGIT))
        || (after == b',' && view::is(view.at(end + 2), DIGIT));
    let last = !goes_on;
    let found = in_range && last && (marked || precise || (most >= 3 && told()));
    if found { Finding::of(start, end, Class::Location) } else { None }
}

/// Where the degree sign and the letter of a side of the world end, and whether there is one of them.
fn marks(view: View<'_>, from: usize) -> (usize, bool) {
    let mut at = from + usize::from(view.at(from) == DEGREE);
    let side = view.past_spaces(at, 1);
    if matches!(view.at(side), b'N' | b'S' | b'E' | b'W') && !view::is(view.at(side + 1), WORD) {
        at = side + 1;
    }
    (at, at > from)
}

/// `48°51'29.6"N 2°17'40.2"E`, from the first number on.
fn minutes(view: View<'_>, word: Word) -> Option<Finding> {
    let end = angle(view, word.start)?;
    let second = view.past_spaces(end + usize::from(view.at(end) == b','), 2);
    Finding::of(word.start, angle(view, second).unwrap_or(end), Class::Location)
}

/// Where an angle ends: degrees, minutes, perhaps seconds, and the side of the world.
fn angle(view: View<'_>, from: usize) -> Option<usize> {
    let mut at = view.run_within(from, DIGIT, 3);
    if at == from || view.at(at) != DEGREE {
        return None;
    }
    at = view.past_spaces(at + 1, 1);
    for _ in 0..2 {
        let end = view.run_within(at, DIGIT | view::DOT, 10);
        if end == at {
            break;
        }
        at = end;
        while matches!(view.at(at), b'\'' | b'"') {
            at += 1;
        }
        at = view.past_spaces(at, 1);
    }
    let side = matches!(view.at(at), b'N' | b'S' | b'E' | b'W');
    // Another angle may follow without a space; another letter makes a word of it.
    let degrees = view.run_within(at + 1, DIGIT, 3);
    let goes_on = view::is(view.at(at + 1), WORD) && view.at(degrees) != DEGREE;
    (side && !goes_on).then_some(at + 1)
}
