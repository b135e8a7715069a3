//! Numbers that a state gives a person, where their form can be checked. What is but a run of digits has to
//! be told by a word, or to be written in its groups.

use super::check_digit::{luhn, weighted};
use super::digits::{Digits, stands_alone};
use super::near::near;
use super::view::{self, UPPER, View, Word};
use super::{Finding, What};

fn found(start: usize, end: usize) -> Finding {
    Finding { start, end, what: What::NationalId }
}

/// The value of some digits.
fn value(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(*digit))
}

/// Whether six digits are day, month and year, in this or in the other order.
fn is_date(digits: &[u8], day_first: bool) -> bool {
    let (pairs, _) = digits.as_chunks::<2>();
    let [first, second, third] = pairs else { return false };
    let of = |[tens, ones]: &[u8; 2]| tens * 10 + ones;
    let day = if day_first { of(first) } else { of(third) };
    (1..=12).contains(&of(second)) && (1..=31).contains(&day)
}

/// A number in one form, and how it is checked.
struct Form {
    /// The lengths of its groups, and what stands between them.
    groups: &'static [usize],
    between: &'static [u8],
    /// Words of which one has to be near; none if the form says enough.
    words: &'static [&'static [u8]],
    check: fn(&[u8]) -> bool,
}

const SSN_WORDS: &[&[u8]] = &[b"ssn", b"social", b"socialsecurity", b"itin", b"tin"];
const DE_WORDS: &[&[u8]] =
    &[b"steuer", b"steuerid", b"idnr", b"steueridentifikationsnummer", b"identifikationsnummer", b"tin"];
const NL_WORDS: &[&[u8]] = &[b"bsn", b"burgerservicenummer", b"sofinummer", b"sofi"];
const PL_WORDS: &[&[u8]] = &[b"pesel"];
const BR_WORDS: &[&[u8]] = &[b"cpf"];

const NHS_WORDS: &[&[u8]] = &[b"nhs"];

const FORMS: [Form; 21] = [
    Form { groups: &[3, 3, 4], between: b" ", words: NHS_WORDS, check: nhs },
    Form { groups: &[10], between: b"", words: NHS_WORDS, check: nhs },
    Form { groups: &[3, 2, 4], between: b"-", words: &[], check: us },
    Form { groups: &[3, 2, 4], between: b" ", words: SSN_WORDS, check: us },
    Form { groups: &[9], between: b"", words: SSN_WORDS, check: us },
    Form { groups: &[2, 3, 3, 3], between: b" ", words: &[], check: de },
    Form { groups: &[11], between: b"", words: DE_WORDS, check: de },
    Form { groups: &[9], between: b"", words: NL_WORDS, check: nl },
    Form { groups: &[4, 2, 3], between: b".", words: &[], check: nl },
    Form { groups: &[11], between: b"", words: PL_WORDS, check: pl },
    Form { groups: &[1, 2, 2, 2, 3, 3, 2], between: b" ", words: &[], check: fr },
    Form { groups: &[13, 2], between: b" ", words: &[], check: fr },
    Form { groups: &[15], between: b"", words: &[], check: fr },
    Form { groups: &[2, 2, 2, 3, 2], between: b"..-.", words: &[], check: be },
    Form { groups: &[6, 4], between: b"-", words: &[], check: se },
    Form { groups: &[8, 4], between: b"-", words: &[], check: se },
    Form { groups: &[3, 4, 4, 2], between: b".", words: &[], check: ch },
    Form { groups: &[11], between: b"", words: &[], check: no },
    Form { groups: &[6, 5], between: b" ", words: &[], check: no },
    Form { groups: &[3, 3, 3, 2], between: b"..-", words: &[], check: br },
    Form { groups: &[11], between: b"", words: BR_WORDS, check: br },
];

/// A national number of nothing but digits.
pub(super) fn number(view: View<'_>, digits: &Digits) -> Option<Finding> {
    if digits.plus || digits.parens {
        return None;
    }
    let first = digits.groups().first()?.len;
    FORMS.iter().filter(|form| form.groups.first() == Some(&first)).find_map(|form| {
        let count = form.groups.len();
        let end = digits.end(count);
        let fits = digits.is_grouped(form.groups, form.between)
            && (form.check)(digits.of(count))
            && stands_alone(view, digits.start, end)
            && (form.words.is_empty() || near(view, digits.start, form.words));
        fits.then(|| found(digits.start, end))
    })
}

/// Social security number, or the number of a taxpayer without one.
fn us(digits: &[u8]) -> bool {
    let (Some((area, rest)), 9) = (digits.split_at_checked(3), digits.len()) else { return false };
    let (group, serial) = rest.split_at(2);
    let (area, group) = (value(area), value(group));
    let itin = matches!(area, 900..=999) && matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99);
    let ssn = !matches!(area, 0 | 666 | 900..=999) && group > 0 && value(serial) > 0;
    ssn || itin
}

/// The Steuer-ID: ISO 7064, modulus 11, 10.
fn de(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    let product = body.iter().fold(10, |product, digit| {
        let sum = (u32::from(*digit) + product) % 10;
        (if sum == 0 { 10 } else { sum } * 2) % 11
    });
    digits.first() != Some(&0) && (11 - product) % 10 == u32::from(*check) && digits.len() == 11
}

/// The burgerservicenummer: the eleven test.
fn nl(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    let sum = weighted(body, &[9, 8, 7, 6, 5, 4, 3, 2]);
    value(digits) > 9_999_999 && sum % 11 == u32::from(*check)
}

fn pl(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    // The month also tells the century.
    let [_, _, tens, ones, day_tens, day_ones, ..] = body else { return false };
    let (month, day) = ((tens * 10 + ones) % 20, day_tens * 10 + day_ones);
    let sum = weighted(body, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]);
    (1..=12).contains(&month) && (1..=31).contains(&day) && (10 - sum % 10) % 10 == u32::from(*check)
}

/// The number of the National Health Service: modulus 11.
fn nhs(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    let sum = weighted(body, &[10, 9, 8, 7, 6, 5, 4, 3, 2]);
    (11 - sum % 11) % 11 == u32::from(*check)
}

/// The numéro d'inscription au répertoire: 97 less the rest by 97.
fn fr(digits: &[u8]) -> bool {
    let Some((body, key)) = digits.split_at_checked(13) else { return false };
    let [sex, _, _, tens, ones, ..] = body else { return false };
    let month = tens * 10 + ones;
    matches!(sex, 1 | 2) && (matches!(month, 1..=12 | 20..=42 | 50..)) && 97 - value(body) % 97 == value(key)
}

fn be(digits: &[u8]) -> bool {
    let Some((body, key)) = digits.split_at_checked(9) else { return false };
    let rest = |body: u64| 97 - body % 97 == value(key);
    is_date(body.get(..6).unwrap_or_default(), false)
        && (rest(value(body)) || rest(2_000_000_000 + value(body)))
}

fn se(digits: &[u8]) -> bool {
    let short = digits.get(digits.len().saturating_sub(10)..).unwrap_or_default();
    let century = digits.len() == 10 || matches!(digits, [1, 9, ..] | [2, 0, ..]);
    century && is_date(short.get(..6).unwrap_or_default(), false) && luhn(short)
}

/// The AHV number: a check digit as in EAN-13.
fn ch(digits: &[u8]) -> bool {
    digits.starts_with(&[7, 5, 6])
        && weighted(digits, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_multiple_of(10)
}

/// The fødselsnummer: a date and two check digits.
fn no(digits: &[u8]) -> bool {
    let checks = |weights: &[u32]| weighted(digits, weights).is_multiple_of(11);
    is_date(digits.get(..6).unwrap_or_default(), true)
        && checks(&[3, 7, 6, 1, 8, 9, 4, 5, 2, 1])
        && checks(&[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1])
}

fn br(digits: &[u8]) -> bool {
    let check = |len: u32| {
        let sum: u32 =
            digits.iter().zip((2..=len + 1).rev()).map(|(digit, weight)| u32::from(*digit) * weight).sum();
        let rest = sum * 10 % 11 % 10;
        usize::try_from(len).ok().and_then(|at| digits.get(at)).is_some_and(|digit| u32::from(*digit) == rest)
    };
    digits.iter().any(|digit| Some(digit) != digits.first()) && check(9) && check(10)
}

/// A national number with letters in it, from its first word on.
pub(super) fn mixed(view: View<'_>, word: Word) -> Option<Finding> {
    let alone = |end: usize| stands_alone(view, word.start, end);
    let text = view.slice(word.start, word.end);
    let whole = match text.len() {
        9 => spain(text) || britain(text),
        16 => italy(text),
        18 => china(text),
        _ => false,
    };
    if whole && alone(word.end) {
        return Some(found(word.start, word.end));
    }
    // AB 12 34 56 C, AB123456 C
    if matches!(word.len(), 2 | 8) && view::is(view.at(word.start), UPPER) {
        let mut letters = [0; 9];
        let mut at = word.start;
        for slot in &mut letters {
            at += usize::from(view.at(at) == b' ' && at > word.start);
            *slot = view.at(at);
            at += 1;
        }
        if britain(&letters) && alone(at) {
            return Some(found(word.start, at));
        }
    }
    // 12345678-Z, and 131052-308T: six digits, a century, three digits, a check.
    if !matches!((text.len(), view.at(word.end)), (8, b'-') | (6, b'-' | b'+')) {
        return None;
    }
    let tail = view.word(word.end + 1);
    let rest = view.slice(tail.start, tail.end);
    let fits = match (text.len(), tail.len(), view.at(word.end)) {
        (8, 1, b'-') => {
            let mut joined = [0; 9];
            joined.iter_mut().zip(text.iter().chain(rest)).for_each(|(to, from)| *to = *from);
            spain(&joined)
        }
        (6, 4, b'-' | b'+') => finland(text, rest),
        _ => false,
    };
    (fits && alone(tail.end)).then(|| found(word.start, tail.end))
}

/// DNI: eight digits and a letter; NIE: a letter, seven digits and a letter.
fn spain(text: &[u8]) -> bool {
    let [first, .., last] = text else { return false };
    let lead = match first {
        b'0'..=b'9' => first - b'0',
        b'X' | b'Y' | b'Z' => first - b'X',
        _ => return false,
    };
    let middle = text.get(1..8).unwrap_or_default();
    let number =
        middle.iter().fold(u64::from(lead), |sum, byte| sum * 10 + u64::from(byte.wrapping_sub(b'0')));
    let letter = usize::try_from(number % 23).ok().and_then(|at| b"TRWAGMYFPDXBNJZSQVHLCKE".get(at));
    middle.iter().all(u8::is_ascii_digit) && letter == Some(last)
}

/// National insurance number.
fn britain(text: &[u8]) -> bool {
    let [first, second, digits @ .., last] = text else { return false };
    let never: [&[u8; 2]; 7] = [b"BG", b"GB", b"NK", b"KN", b"TN", b"NT", b"ZZ"];
    view::is(*first, UPPER)
        && view::is(*second, UPPER)
        && !b"DFIQUV".contains(first)
        && !b"DFIQUVO".contains(second)
        && !never.contains(&&[*first, *second])
        && digits.iter().all(u8::is_ascii_digit)
        && matches!(last, b'A'..=b'D')
}

/// Codice fiscale.
fn italy(text: &[u8]) -> bool {
    const ODD: &[u8; 36] = &[
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12,
        14, 16, 10, 22, 25, 24, 23,
    ];
    let digit = |byte: u8| byte.is_ascii_digit() || b"LMNPQRSTUV".contains(&byte);
    let shape = text.iter().enumerate().all(|(at, byte)| match at {
        0..=5 | 8 | 11 | 15 => byte.is_ascii_uppercase(),
        _ => digit(*byte),
    });
    let value = |byte: u8| if byte.is_ascii_digit() { byte - b'0' } else { byte.wrapping_sub(b'A') };
    let sum: u32 = text
        .iter()
        .take(15)
        .enumerate()
        .map(|(at, byte)| {
            let place = usize::from(value(*byte)) + if byte.is_ascii_digit() { 0 } else { 10 };
            let odd = || ODD.get(place).copied().unwrap_or(0);
            u32::from(if at.is_multiple_of(2) { odd() } else { value(*byte) })
        })
        .sum();
    shape && text.last().is_some_and(|last| sum % 26 == u32::from(last.wrapping_sub(b'A')))
}

/// Resident identity card: ISO 7064, modulus 11, 2.
fn china(text: &[u8]) -> bool {
    let Some((last, body)) = text.split_last() else { return false };
    let sum = body.iter().fold(0, |sum, byte| (sum + u32::from(byte.wrapping_sub(b'0') % 10)) * 2 % 11);
    let check = (12 - sum % 11) % 11;
    let expected = if check == 10 { b'X' } else { b'0' + u8::try_from(check).unwrap_or(0) };
    let date: &[u8] = body.get(8..14).unwrap_or_default();
    let mut numbers = [0; 6];
    numbers.iter_mut().zip(date).for_each(|(to, from)| *to = from.wrapping_sub(b'0'));
    body.iter().all(u8::is_ascii_digit)
        && matches!(body.get(6..8), Some(b"19" | b"20"))
        && is_date(&numbers, false)
        && last.eq_ignore_ascii_case(&expected)
}

/// Henkilötunnus: a date, a century, a number and a check character.
fn finland(date: &[u8], rest: &[u8]) -> bool {
    let (Some((check, serial)), true) = (rest.split_last(), date.iter().all(u8::is_ascii_digit)) else {
        return false;
    };
    let all =
        date.iter().chain(serial).fold(0_u64, |sum, byte| sum * 10 + u64::from(byte.wrapping_sub(b'0')));
    let mut numbers = [0; 6];
    numbers.iter_mut().zip(date).for_each(|(to, from)| *to = from.wrapping_sub(b'0'));
    let expected = usize::try_from(all % 31).ok().and_then(|at| b"0123456789ABCDEFHJKLMNPRSTUVWXY".get(at));
    serial.iter().all(u8::is_ascii_digit) && is_date(&numbers, true) && expected == Some(check)
}
