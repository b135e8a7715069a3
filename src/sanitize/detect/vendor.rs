//! Keys and tokens that vendors begin with a text of their own, so that they can be found.

use super::view::{self, DIGIT, HYPHEN, LETTER, Set, UNDERSCORE, View, Word};
use super::{Finding, What};

const ALNUM: Set = LETTER | DIGIT;
const URL: Set = ALNUM | HYPHEN | UNDERSCORE;
const DOTTED: Set = URL | view::DOT;
const BASE: Set = URL | view::BASE64 | view::DOT;

/// Bytes of a key that are judged.
const JUDGED: usize = 128;

/// How a key begins, how many bytes follow at least, and of what. The least is far below what a whole key has:
/// a key that was cut is still worth hiding.
#[derive(Clone, Copy)]
struct Prefix {
    /// The first three bytes of the text, which tell most of them apart.
    head: [u8; 3],
    text: &'static [u8],
    least: usize,
    body: Set,
}

const fn of(text: &'static [u8], least: usize, body: Set) -> Prefix {
    let head = match text {
        [a, b, c, ..] => [*a, *b, *c],
        _ => [0; 3],
    };
    Prefix { head, text, least, body }
}

/// AWS.
const UPPER_A: &[Prefix] = &[
    of(b"AKIA", 8, ALNUM),
    of(b"ASIA", 8, ALNUM),
    of(b"ABIA", 8, ALNUM),
    of(b"ACCA", 8, ALNUM),
    of(b"AIza", 12, URL),
    of(b"AGE-SECRET-KEY-1", 8, ALNUM),
    of(b"ATATT3x", 12, BASE),
    of(b"ATBB", 16, ALNUM),
    of(b"AQ.", 24, URL),
];
const UPPER: &[Prefix] = &[
    of(b"GOCSPX-", 8, URL),
    of(b"SG.", 16, DOTTED),
    of(b"PMAK-", 12, URL),
    of(b"NRAK-", 12, ALNUM),
    of(b"EAACEdEose0cBA", 4, ALNUM),
    of(b"NRII-", 12, URL),
    of(b"LTAI", 12, ALNUM),
    of(b"T3BlbkFJ", 8, ALNUM),
];
const LOWER_A_TO_G: &[Prefix] = &[
    of(b"ghp_", 8, ALNUM),
    of(b"gho_", 8, ALNUM),
    of(b"ghu_", 8, ALNUM),
    of(b"ghs_", 8, ALNUM),
    of(b"ghr_", 8, ALNUM),
    of(b"github_pat_", 8, URL),
    of(b"glpat-", 8, DOTTED),
    of(b"gldt-", 8, URL),
    of(b"glrt-", 8, DOTTED),
    of(b"glcbt-", 8, URL),
    of(b"glptt-", 8, URL),
    of(b"glsoat-", 8, URL),
    of(b"glagent-", 8, URL),
    of(b"glsa_", 12, URL),
    of(b"glc_", 12, BASE),
    of(b"gsk_", 12, ALNUM),
    of(b"dop_v1_", 8, ALNUM),
    of(b"doo_v1_", 8, ALNUM),
    of(b"dor_v1_", 8, ALNUM),
    of(b"dckr_pat_", 8, URL),
    of(b"dckr_oat_", 8, URL),
    of(b"dapi", 28, ALNUM),
    of(b"dt0c01.", 12, DOTTED),
    of(b"dp.pt.", 12, ALNUM),
    of(b"dp.st.", 12, DOTTED),
    of(b"cio", 32, ALNUM),
    of(b"figd_", 12, URL),
];
const LOWER_H_TO_R: &[Prefix] = &[
    of(b"hf_", 12, ALNUM),
    of(b"hvs.", 8, URL),
    of(b"hvb.", 8, URL),
    of(b"hvr.", 8, URL),
    of(b"lin_api_", 8, ALNUM),
    of(b"npm_", 12, ALNUM),
    of(b"pypi-AgE", 8, URL),
    of(b"pul-", 24, ALNUM),
    of(b"pk_live_", 8, ALNUM),
    of(b"pk_test_", 8, ALNUM),
    of(b"rk_live_", 8, ALNUM),
    of(b"rk_test_", 8, ALNUM),
    of(b"key-", 28, ALNUM),
    of(b"oy2", 40, ALNUM),
    of(b"rubygems_", 12, ALNUM),
    of(b"ntn_", 16, ALNUM),
];
const LOWER_S_TO_Z: &[Prefix] = &[
    of(b"sk_live_", 8, ALNUM),
    of(b"sk_test_", 8, ALNUM),
    of(b"sk-", 16, URL),
    of(b"shpat_", 8, ALNUM),
    of(b"shpca_", 8, ALNUM),
    of(b"shppa_", 8, ALNUM),
    of(b"shpss_", 8, ALNUM),
    of(b"sq0atp-", 8, URL),
    of(b"sq0csp-", 8, URL),
    of(b"sntrys_", 12, BASE),
    of(b"sntryu_", 12, ALNUM),
    of(b"sbp_", 16, ALNUM),
    of(b"tfp_", 16, URL),
    of(b"ts-", 40, ALNUM),
    // Our own: `identity::token`. A metric's name is shorter, or goes on with `_`.
    of(b"usaged_", 32, ALNUM),
    of(b"whsec_", 12, BASE),
    of(b"xoxa-", 8, URL),
    of(b"xoxb-", 8, URL),
    of(b"xoxc-", 8, URL),
    of(b"xoxd-", 8, BASE),
    of(b"xoxe-", 8, URL),
    of(b"xoxe.", 8, DOTTED),
    of(b"xoxo-", 8, URL),
    of(b"xoxp-", 8, URL),
    of(b"xoxr-", 8, URL),
    of(b"xoxs-", 8, URL),
    of(b"xapp-", 8, URL),
    of(b"ya29.", 12, DOTTED),
    of(b"tskey-", 12, URL),
    of(b"vault:v1:", 12, BASE),
    of(b"v1.0-", 100, URL),
];

/// Whether some key begins with the first two bytes of a word.
#[inline]
pub(super) fn may_begin(view: View<'_>, word: Word) -> bool {
    let second = view.at(word.start + 1);
    match view.at(word.start) {
        b'A' => matches!(second, b'K' | b'S' | b'B' | b'C' | b'I' | b'G' | b'T' | b'Q'),
        b'E' | b'G' | b'L' | b'N' | b'P' | b'S' | b'T' => {
            matches!(second, b'A' | b'O' | b'G' | b'M' | b'R' | b'T' | b'3')
        }
        b'c' | b'f' | b'l' => second == b'i',
        b'd' => matches!(second, b'o' | b'c' | b'a' | b't' | b'p'),
        b'g' => matches!(second, b'h' | b'i' | b'l' | b's'),
        b'h' => matches!(second, b'f' | b'v'),
        b'k' => second == b'e',
        b'n' => matches!(second, b'p' | b't'),
        b'o' => second == b'y',
        b'p' => matches!(second, b'y' | b'u' | b'k'),
        b'r' => matches!(second, b'k' | b'u'),
        b's' => matches!(second, b'k' | b'h' | b'q' | b'n' | b'b'),
        b't' => matches!(second, b'f' | b's'),
        b'u' => second == b's',
        b'v' => matches!(second, b'a' | b'1'),
        b'w' => second == b'h',
        b'x' => matches!(second, b'o' | b'a'),
        b'y' => second == b'a',
        _ => false,
    }
}

/// A key that begins with this word.
pub(super) fn key(view: View<'_>, word: Word) -> Option<Finding> {
    if !may_begin(view, word) {
        return None;
    }
    let list = match view.at(word.start) {
        b'A' => UPPER_A,
        b'E' | b'G' | b'L' | b'N' | b'P' | b'S' | b'T' => UPPER,
        b'a'..=b'g' => LOWER_A_TO_G,
        b'h'..=b'r' => LOWER_H_TO_R,
        b's'..=b'z' => LOWER_S_TO_Z,
        _ => return None,
    };
    let head = [view.at(word.start), view.at(word.start + 1), view.at(word.start + 2)];
    list.iter().find_map(|prefix| {
        if prefix.head != head || !view.starts(word.start, prefix.text) {
            return None;
        }
        let from = word.start + prefix.text.len();
        let body = view.slice(from, view.run_within(from, prefix.body, JUDGED));
        // Without a digit or a capital it is the name of something: `sk-button-primary-large`.
        let odd = |byte: &u8| view::is(*byte, DIGIT | view::UPPER);
        let fits = body.len() >= prefix.least && (body.iter().any(odd) || prefix.text.len() > 5);
        if !fits {
            return None;
        }
        let mut end = view.run(from + body.len(), prefix.body);
        while end > from && matches!(view.before(end), b'.' | b'-' | b'/') {
            end -= 1;
        }
        Some(Finding { start: word.start, end, what: What::SECRET })
    })
}

/// The secret part of a web hook of Slack, Discord or Teams, from its host on.
pub(super) fn web_hook(view: View<'_>, host: usize, end: usize) -> Option<Finding> {
    const HOOKS: [&[u8]; 4] = [
        b"hooks.slack.com/",
        b"discord.com/api/webhooks/",
        b"discordapp.com/api/webhooks/",
        b"outlook.office.com/webhook/",
    ];
    let hook = HOOKS.iter().find(|hook| view.starts_folded(host, hook))?;
    let from = host + hook.len();
    (from < end).then_some(Finding { start: from, end, what: What::SECRET })
}

/// The token of a Telegram bot: its number, a colon, and 35 characters.
pub(super) fn telegram(view: View<'_>, word: Word) -> Option<Finding> {
    let end = view.run_within(word.end + 1, URL, 64);
    let fits = (8..=10).contains(&word.len()) && view.starts(word.end, b":AA") && end - word.end > 30;
    fits.then_some(Finding { start: word.start, end, what: What::SECRET })
}

#[cfg(test)]
mod tests {
    use super::{LOWER_A_TO_G, LOWER_H_TO_R, LOWER_S_TO_Z, UPPER, UPPER_A};
    use crate::sanitize::detect::detect_tests::marked;

    #[test]
    fn every_prefix_with_enough_after_it_is_found() {
        for prefix in [UPPER_A, UPPER, LOWER_A_TO_G, LOWER_H_TO_R, LOWER_S_TO_Z].concat() {
            let text = std::str::from_utf8(prefix.text).unwrap_or_default();
            let body = "a1B2c3D4".repeat(prefix.least / 8 + 1);
            assert_eq!(marked(&format!("x {text}{body} y")), "x [secret] y", "{text}");
        }
    }
}
