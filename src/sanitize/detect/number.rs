//! Payment cards, IBANs and telephone numbers.

use super::address::says;
use super::digits::{Digits, stands_alone};
use super::view::{self, DIGIT, LETTER, UNDERSCORE, View, WORD, Word};
use super::{Finding, What};
use crate::model::IdentifierClass as Class;

/// What is said before a card whose number alone would not tell.
const CARD_WORDS: [&[u8]; 11] = [
    b"card",
    b"cards",
    b"cc",
    b"visa",
    b"mastercard",
    b"amex",
    b"maestro",
    b"credit",
    b"debit",
    b"pan",
    b"payment",
];
/// Bytes before a number in which a word about it counts.
const NEAR: usize = 32;

/// A payment card: 12 to 19 digits of a known issuer with the check digit of Luhn.
pub(super) fn card(view: View<'_>, digits: &Digits) -> Option<Finding> {
    if digits.parens || digits.plus {
        return None;
    }
    let grouped = [&[4, 4, 4, 4][..], &[4, 4, 4, 4, 3], &[4, 6, 5], &[4, 6, 4], &[6, 13], &[4, 4, 4, 4, 2]];
    let count = grouped
        .iter()
        .filter(|lens| digits.is_grouped(lens, b"-") || digits.is_grouped(lens, b" "))
        .map(|lens| lens.len())
        .max()
        .unwrap_or(1);
    let number = digits.of(count);
    let end = digits.end(count);
    if !(12..=19).contains(&number.len()) || !luhn(number) || !stands_alone(view, digits.start, end) {
        return None;
    }
    let told = || near(view, digits.start, &CARD_WORDS);
    let issued = issuer(number) == Some(true) || told();
    issued.then_some(Finding { start: digits.start, end, what: What::PaymentCard })
}

/// Whether a number is of a known issuer, and if so, whether its length is the issuer's usual one.
fn issuer(digits: &[u8]) -> Option<bool> {
    let head = |len: usize| digits.iter().take(len).fold(0_u32, |sum, digit| sum * 10 + u32::from(*digit));
    let len = digits.len();
    let usual: &[usize] = match (head(1), head(2), head(3), head(4)) {
        (4, ..) | (_, 51..=55, ..) | (.., 2221..=2720 | 3528..=3589) => &[16],
        (_, 34 | 37, ..) => &[15],
        (.., 6011) | (_, 65, ..) | (_, _, 644..=649, _) => &[16, 19],
        (_, _, 300..=305, _) | (_, 36 | 38 | 39, ..) => &[14],
        (_, 62, ..) => &[16, 19],
        // Maestro and the cards of before: no length of their own.
        (.., 1800 | 2131) | (_, 35 | 50 | 56..=69, ..) => &[],
        _ => return None,
    };
    Some(usual.contains(&len))
}

/// The check of ISO/IEC 7812: every second digit from the right counts twice.
pub(super) fn luhn(digits: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| u32::from(if at % 2 == 1 { doubled(*digit) } else { *digit }))
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| *digit != 0)
}

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
fn is_marker(view: View<'_>, start: usize, end: usize) -> bool {
    const LONGEST: usize = 24;
    let from = view.run_back(start, LETTER | UNDERSCORE, LONGEST);
    let to = view.run_within(end, LETTER | UNDERSCORE, LONGEST);
    view.before(from) == b'[' && view.at(to) == b']'
}

/// Lengths of IBANs by country (SWIFT registry).
const IBAN: [(&[u8; 2], u8); 88] = [
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
];

/// An IBAN, from its country on: the country's length, in groups or not, and 1 modulo 97.
pub(super) fn iban(view: View<'_>, word: Word) -> Option<Finding> {
    let [first, second, third, fourth] = *view.ahead(word.start, 4).first_chunk::<4>()?;
    if !view::is(first, LETTER)
        || !view::is(second, LETTER)
        || !view::is(third, DIGIT)
        || !view::is(fourth, DIGIT)
    {
        return None;
    }
    let country = [first.to_ascii_uppercase(), second.to_ascii_uppercase()];
    let (_, len) = IBAN.iter().find(|(known, _)| **known == country)?;
    let (mut left, mut at, mut rest) = (*len, word.start, 0_u64);
    let mut head = 0_u64;
    while left > 0 {
        let byte = view.at(at);
        let value = match byte {
            b'0'..=b'9' => u64::from(byte - b'0'),
            b'a'..=b'z' | b'A'..=b'Z' => u64::from(byte.to_ascii_uppercase() - b'A') + 10,
            b' ' | b'-' if left < *len && view::is(view.before(at), WORD) => {
                at += 1;
                continue;
            }
            _ => return None,
        };
        // The first four characters count last.
        let part = if left + 4 > *len { &mut head } else { &mut rest };
        *part = *part * if value > 9 { 100 } else { 10 } + value;
        rest %= 97;
        left -= 1;
        at += 1;
    }
    let is_valid = (rest * 1_000_000 + head) % 97 == 1;
    let alone = !view::is(view.at(at), WORD) && !view::is(view.before(word.start), view::UNDERSCORE);
    (is_valid && alone).then_some(Finding { start: word.start, end: at, what: What::Iban })
}

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
        if said > most && !is_marker(view, at, end) {
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
