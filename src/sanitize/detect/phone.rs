//! Telephone numbers.

use super::Finding;
use super::address::says;
use super::digits::{Digits, stands_alone};
use super::near::{NEAR, is_said};
use super::view::{self, DIGIT, LETTER, View, WORD};
use crate::model::IdentifierClass as Class;

/// What a word before a number says of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    /// Nothing.
    Nothing,
    /// That somebody is called or written to: so a number in groups is a telephone's.
    Called,
    /// That a telephone number follows, whatever its form.
    Phone,
}

/// What a word says that is followed by a number.
fn told(word: &[u8]) -> Told {
    let mut buffer = [0; 11];
    let Some(slots) = buffer.get_mut(..word.len()) else { return Told::Nothing };
    slots.iter_mut().zip(word).for_each(|(to, from)| *to = from | 0x20);
    match &*slots {
        b"phone" | b"phones" | b"telephone" | b"tel" | b"mobile" | b"mob" | b"cell" | b"cellphone"
        | b"fax" | b"telefon" | b"handy" | b"telefax" | b"whatsapp" | b"msisdn" | b"phonenumber" => {
            Told::Phone
        }
        b"call" | b"calling" | b"dial" | b"sms" | b"message" | b"messages" | b"voicemail" | b"answering"
        | b"registered" => Told::Called,
        _ => Told::Nothing,
    }
}

/// The most that a word says of a number in what comes right before it.
fn told_before(view: View<'_>, start: usize) -> Told {
    let (mut at, least) = (start, start.saturating_sub(NEAR));
    let mut most = Told::Nothing;
    while at > least {
        let end = at;
        at = view.run_back(end, LETTER, 12);
        let said = if end - at >= 3 { told(view.slice(at, end)) } else { Told::Nothing };
        if said > most && is_said(view, at, start) {
            most = said;
        }
        at = at.saturating_sub(usize::from(at == end));
    }
    most
}

/// What is said before one with a colon after it.
const LABELS: [&[u8]; 8] = [b"desk", b"office", b"home", b"work", b"contact", b"call", b"sms", b"text"];

/// A telephone number: international, in a form that only telephone numbers have, or after a word for one.
pub(super) fn phone(view: View<'_>, digits: &Digits) -> Option<Finding> {
    let most = digits.groups().len();
    let (count, formed) = form(digits, most);
    let labelled = |at: usize| {
        let end = view.back_spaces(at, 2);
        view.before(end) == b':' && says(view, at, &LABELS, 12)
    };
    // Groups after another group are the rest of a longer number.
    let is_rest = view.before(digits.start) == b' ' && view::is(view.before(digits.start - 1), DIGIT);
    let count = if formed && (digits.plus || !is_rest) {
        count
    } else {
        let count = whole(digits, most)?;
        let told = told_before(view, digits.start);
        let grouped = told == Told::Called && count > 1 && !is_date(digits);
        if told != Told::Phone && !grouped && !is_followed(view, digits.end(count)) && !labelled(digits.start)
        {
            return None;
        }
        count
    };
    let mut end = digits.end(count);
    end = extension(view, end);
    let alone = stands_alone(view, digits.start, end) || (is_followed(view, end) && digits.start != end);
    if alone { Finding::of(digits.start, end, Class::Phone) } else { None }
}

/// How many groups a number has that is one by its form, and whether it is.
fn form(digits: &Digits, most: usize) -> (usize, bool) {
    let all = |count: usize| digits.of(count);
    if digits.plus {
        let count = (1..=most).rev().find(|count| (8..=15).contains(&all(*count).len())).unwrap_or(0);
        return (count, count > 0 && all(1).first() != Some(&0));
    }
    // (555) 123-4567, 555-123-4567, 555.123.4567, 1-555-123-4567: North America.
    let american = |from: usize| {
        let area = digits.of(from + 1).get(digits.of(from).len()).copied().unwrap_or(0);
        (2..=9).contains(&area)
    };
    for (lens, from) in [(&[3, 3, 4][..], 0), (&[1, 3, 3, 4], 1)] {
        let same = [b"-", b"."].iter().any(|between| digits.is_grouped(lens, *between));
        let parens = digits.parens && digits.is_grouped(lens, b"\0");
        if american(from) && (same || parens) {
            return (lens.len(), true);
        }
    }
    // 001-555-123-4567 and 0044 20 7946 0000.
    let international = all(1).starts_with(&[0, 0]) && all(1).len() < 6 && most > 2;
    let count = (3..=most).rev().find(|count| (10..=17).contains(&all(*count).len())).unwrap_or(0);
    if international && count > 0 {
        return (count, true);
    }
    // 01 23 45 67 89 in France; 07700 900123 in Britain; (030) 1234567 and the like.
    let french = digits.is_grouped(&[2, 2, 2, 2, 2], b".") || digits.is_grouped(&[2, 2, 2, 2, 2], b" ");
    if french && all(1).first() == Some(&0) {
        return (5, true);
    }
    for lens in [&[5, 6][..], &[5, 3, 3]] {
        if digits.is_grouped(lens, b" ") && all(1).starts_with(&[0, 7]) {
            return (lens.len(), true);
        }
    }
    let count = (2..=most).rev().find(|count| (8..=12).contains(&all(*count).len())).unwrap_or(0);
    (count, digits.parens && count > 1 && all(1).first() == Some(&0))
}

/// Whether the groups are those of a date: 2024-06-20, 20.06.2024.
fn is_date(digits: &Digits) -> bool {
    digits.groups().len() == 3
        && (digits.is_grouped(&[4, 2, 2], b"\0") || digits.is_grouped(&[2, 2, 4], b"\0"))
}

/// How many groups a telephone number without a form has.
fn whole(digits: &Digits, most: usize) -> Option<usize> {
    let same_line = digits.groups().iter().skip(1).take_while(|group| group.before != 0).count() + 1;
    (1..=most.min(same_line)).rev().find(|count| (7..=15).contains(&digits.of(*count).len()))
}

/// An extension: `x123`, `ext. 123`.
fn extension(view: View<'_>, end: usize) -> usize {
    let at = view.past_spaces(end, 1);
    let mut word = at;
    for prefix in [&b"extension"[..], b"ext.", b"ext", b"x"] {
        if view.starts_folded(at, prefix) {
            word = view.past_spaces(at + prefix.len(), 1);
            break;
        }
    }
    let digits = view.run_within(word, DIGIT, 6);
    if word > at && digits > word && !view::is(view.at(digits), WORD) { digits } else { end }
}

/// Whether a word follows that says whose number it was: `555 1234 office`.
fn is_followed(view: View<'_>, end: usize) -> bool {
    let at = end + usize::from(matches!(view.at(end), b' ' | b'-'));
    let word = view.word(at);
    let text = view.slice(at, word.end);
    at > end
        && [&b"office"[..], b"fax", b"mobile", b"home", b"cell"]
            .iter()
            .any(|known| text.eq_ignore_ascii_case(known))
}
