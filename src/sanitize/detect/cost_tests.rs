//! Tests: what a text costs that somebody made to be slow, counted in bytes that detectors look at.

use super::detect_tests::marked;
use super::{Folded, Nothing, work};

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
    "\u{4f8b}1",
    "\u{4f8b}a@b.",
    "\u{2192}a.com",
    "password=\u{4f8b}10.1.2.3",
    "\\n1",
    "#012",
    "#033[31m1",
    "^[[",
    "^I1",
    "\\033[",
    "[31m1",
    "[1;",
    "1.1.1.1.1 > ",
    "1::1.1.",
    "\u{1b}[31m1",
    "\u{1b}[",
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
    "%25::&#x40;",
    "d8OOOOOOOOOOOO_OO6d06c0020006a0l\u{fffd}://0",
    "s://token=\u{fffd}?\u{fffd}b;",
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
