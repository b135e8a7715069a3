//! Tests: text that somebody made to be slow, to slip through, or to break something.

#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

use super::detect_tests::marked;
use super::{Folded, Hit, Lookup, Nothing, work};

/// What texts without end are made of.
const UNITS: &[&str] = &[
    "a",
    "1",
    "a.",
    "1.",
    "a@",
    "@",
    "a@b.",
    "a:",
    "1:",
    "::",
    "a-",
    "1-",
    "ab-12-",
    "/",
    "//",
    "://",
    "a://",
    "\\",
    "\\\\",
    "\\\\a\\",
    "a\\b",
    "=",
    "a=",
    "user=",
    "token=",
    "token='",
    "token=\"",
    "password='",
    "password=[",
    "?",
    "/?a=",
    "&",
    "eyJ",
    "eyJ-",
    "eyJ.",
    "sk-",
    "ghp_",
    "SG.",
    "xoxb-",
    "aB3dE5gH7jK9-",
    "ABCdef123456-",
    "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN ",
    "BEGIN",
    "-----END",
    "4111 ",
    "4111",
    "1 1 ",
    "(1) ",
    "+1 ",
    "DE89 ",
    "DE89",
    "GB82WEST1234",
    "Bearer ",
    "for user ",
    "user ",
    "Jun 1 ",
    "lat=",
    "1.1, ",
    "1.1,1.1",
    "[",
    "[email",
    "p1-",
    "p1-host_name-s-",
    "p1-host_name-s-0123456789abcdefghijklmno",
    "12345678-",
    "ffff:",
    "00:",
    "0050.",
    "https://a@",
    "https://a?",
    "\u{b0}",
    "1\u{b0}",
    "\u{200b}",
    "\u{ff41}",
    "\u{e9}",
    "\u{e9}.",
    "Cookie: ",
    "\n",
    " ",
    "'",
    "home/",
    "/home/",
    "\\Users\\",
    "x.com-",
    "a_",
    "_1",
    "+",
    "<password>",
    "--password ",
    "%41",
    "%25",
    "%2541",
    "&#64;",
    "&amp;#64;",
    "\\u0041",
    "\\x41\\x00",
    "\0",
    "YWJjZGVmZ2hpamts",
    "ICAg/",
    "YWJj-ZGVm_",
    "6162636465666768",
    "amFuZUBleGFtcGxl",
];

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

/// How many bytes the detectors look at for each byte of `text`.
fn cost(text: &str) -> u64 {
    let mut folded = Folded::default();
    let looked = work::of(|| assert!(folded.findings(text, Nothing).count() <= text.len()));
    looked / u64::try_from(text.len()).unwrap_or(1).max(1)
}

// covers: B1
#[test]
fn the_work_grows_with_the_text_and_no_faster() {
    let mut wrong = Vec::new();
    for piece in UNITS {
        for other in ["", "x", " ", ".", "1"] {
            let text = |len: usize| format!("{piece}{other}").repeat(len / (piece.len() + other.len()));
            let (small, large) = (cost(&text(4_000)), cost(&text(32_000)));
            if large > small + small / 2 + 20 || large > 2_500 {
                wrong.push(format!("{piece:?} {other:?}: {small} and then {large} for a byte"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

// covers: B1
#[test]
fn no_text_that_the_fuzzer_keeps_costs_more_when_it_is_long() {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/detect");
    let mut seen = 0;
    for seed in std::fs::read_dir(seeds).into_iter().flatten().flatten() {
        let bytes = std::fs::read(seed.path()).unwrap_or_default();
        let seed = String::from_utf8_lossy(&bytes);
        let text = |len: usize| seed.repeat(len / seed.len().max(1));
        let (small, large) = (cost(&text(4_000)), cost(&text(32_000)));
        assert!(
            large <= small + small / 2 + 20 && large <= 2_500,
            "{seed:?}: {small} and then {large} for a byte"
        );
        seen += 1;
    }
    assert!(seen > 10, "{seen} seeds");
}

#[test]
fn a_megabyte_without_a_space_is_read_like_any_other_text() {
    for unit in ["a", "ab1", "4", "f", "a.b-", "\u{4f8b}", "x/y?z=", "%41"] {
        let text = unit.repeat(1_048_576 / unit.len());
        let hidden = format!("{text} jane@example.com {text}");
        assert!(cost(&text) < 600, "{unit}");
        assert!(!marked(&hidden).contains("jane@example.com"), "{unit}");
    }
}

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
    fn longest(&self, _: &[u8], _: usize) -> Option<(usize, usize)> {
        None
    }

    fn may_begin(&self, _: &[u8], _: usize) -> bool {
        true
    }
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
