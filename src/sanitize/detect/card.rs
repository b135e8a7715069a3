//! Payment cards.

use super::check_digit::luhn;
use super::digits::{Digits, stands_alone};
use super::near::near;
use super::view::View;
use super::{Finding, What};

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
