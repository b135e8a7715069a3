//! Tests: text that somebody made to slip through, or to break something.

#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

use super::detect_tests::marked;
use super::{Folded, Hit, Lookup, Nothing};

/// What texts are put together from that look like something here and there.
const PARTS: &[&str] = &[
    "10",
    ".",
    "1",
    "2",
    "3",
    ":",
    "-",
    " ",
    "ab",
    "AB",
    "cd",
    "0050",
    "56ab",
    "18:01:47",
    "2024-03-15",
    "T",
    "user",
    "for",
    "Bearer",
    "abcdef123456",
    "Jun",
    "14",
    "host",
    "combo",
    "sshd",
    "[",
    "]",
    "(",
    ")",
    "555",
    "123",
    "4567",
    "call",
    "phone",
    "+",
    "=",
    "password",
    "--",
    "x1y2",
    "\\",
    "/",
    "home",
    "@",
    "example",
    "com",
    "org",
    "AKIA",
    "DE89",
    "3704",
    "0044",
    "0532",
    "0130",
    "00",
    "4111",
    "123456",
    "C",
    "eyJ",
    "\"",
    "'",
    ",",
    ";",
    "\n",
    "lat",
    "48.8584",
    "\u{b0}",
    "N",
    "E",
    "12345678",
    "Z",
    "::",
    "fe80",
    "%40",
    "%2541",
    "&#64;",
    "\\u0040",
    "\0",
    "amFuZUBleGFtcGxlLmNvbQ==",
    "6a616e65406578616d706c652e636f6d",
    "ghp_",
    "a1B2c3D4e5F6g7",
    "_",
    "%",
    "?",
    "|",
    "<",
    ">",
    "131052",
    "308T",
    "56 4d 8a 3b 12 34 ab cd",
    "88 99 aa bb cc dd ee ff",
    "d",
    "Invalid",
    "password for",
    "a@password=c3@",
    "a@password=\"c3@",
    "a@token=c3@",
    "a@sessionid=C3@",
    "a@token=\"c3 @",
    "Bearer xtanzCookie:=a b ",
];

#[test]
fn no_prefix_of_a_secret_that_is_long_enough_to_matter_stays() {
    let made = [
        ["ghp_", "16C7e42F292c6912E7710c838347Ae178B4a"],
        ["sk_live_", "4eC39HqLyjWDarjtT1zdp7dc"],
        ["xoxb-", "123456789012-abcdefghijkl"],
    ]
    .map(|parts| parts.concat());
    let made = made.iter().map(String::as_str).zip([12, 16, 14]);
    for (secret, least) in made.chain([
        ("AKIAIOSFODNN7EXAMPLE", 12),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N", 12),
        ("password=correct-horse-battery", 10),
        ("Authorization: Bearer abcdef123456789", 30),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA1234567890abcdefgh\n-----END RSA PRIVATE KEY-----",
            31,
        ),
        ("https://bob:hunter2@db.example.com/", 20),
    ]) {
        for end in least..=secret.len() {
            let cut = &secret[..end];
            let told = marked(&format!("x {cut}"));
            assert!(told.contains("[secret]"), "{cut:?} became {told:?}");
        }
    }
}

#[test]
fn whatever_comes_every_byte_is_kept_or_found_and_no_character_is_cut() {
    let pieces = [
        "jane@example.com",
        "10.1.2.3",
        "\u{e9}",
        "\u{1f600}",
        "\u{200b}",
        "[",
        "]",
        "[email]",
        " ",
        ".",
        "@",
        "://",
        "password=",
        "\u{ff11}",
        "p1-host_name-s-0123456789abcdefghijklmnop",
        "\\",
        "/home/",
        "4111111111111111",
        "\0",
        "\u{1f}",
        "-----BEGIN PRIVATE KEY-----",
        "eyJhbGciOiJIUzI1NiJ9",
        ":",
        "\n",
        "DE89370400440532013000",
        "%C3%A9",
        "%2540",
        "&#x1f600;",
        "\\u00e9",
        "amFuZUBleGFtcGxlLmNvbQ==",
    ];
    let mut seed = 7_u64;
    for _ in 0..5_000 {
        let mut text = String::new();
        for _ in 0..6 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = usize::try_from(seed >> 33).unwrap_or(0) % pieces.len();
            text.push_str(pieces[at]);
        }
        let mut folded = Folded::default();
        let mut last = 0;
        for found in folded.findings(&text, Nothing) {
            let (start, end) = (found.start, found.end);
            assert!(start >= last && start < end && end <= text.len(), "{text:?}");
            assert!(text.is_char_boundary(start) && text.is_char_boundary(end), "{text:?}");
            last = end;
        }
        assert!(!marked(&text).contains("half a character"), "{text:?}");
    }
}

/// Knows nothing and does not say so: then no word is passed over as plain.
#[derive(Clone, Copy)]
struct Attentive;

impl Lookup for Attentive {
    type Memory = ();

    fn longest(&self, (): &mut (), _: &[u8], _: usize) -> Option<(usize, usize)> {
        None
    }

    fn may_begin(&self, (): &mut (), _: &[u8], _: usize) -> bool {
        true
    }

    fn pass(&self, (): &mut (), _: &[u8], _: usize) {}
}

#[test]
fn nothing_is_missed_because_it_was_taken_for_plain() {
    let mut seed = 11_u64;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap_or(0) % below
    };
    let (mut found, mut wrong) = (0, Vec::new());
    for _ in 0..30_000 {
        let parts = 2 + next(9);
        let mut text = String::new();
        for _ in 0..parts {
            text.push_str(PARTS[next(PARTS.len())]);
            if next(4) == 0 {
                text.push(' ');
            }
        }
        let mut folded = Folded::default();
        let place = |found: Hit<'_>| (found.start, found.end, found.what);
        let quick: Vec<_> = folded.findings(&text, Nothing).map(place).collect();
        let attentive: Vec<_> = folded.findings(&text, Attentive).map(place).collect();
        if quick != attentive && wrong.len() < 12 {
            wrong.push(format!("{text:?}: {quick:?} and not {attentive:?}"));
        }
        found += quick.len();
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(found > 1_000, "{found}");
}
