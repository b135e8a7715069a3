//! Tests: what stands right beside an identifier, in the ways that capture and log tools write it, hides nothing of it.

use super::detect_tests::{cases, marked, untouched};

#[test]
fn an_address_is_found_whatever_port_stands_behind_its_dot() {
    for port in ["22", "53", "80", "161", "255", "256", "443", "61234", "ssh", "domain"] {
        for address in
            ["10.1.2.3", "2001:db8::7", "2001:db8:0:0:0:0:0:7", "::ffff:10.1.2.3", "fd00:1:2:3:4:5:6:7"]
        {
            for (before, after) in [
                ("IP ", " > 10.9.9.9.53: Flags"),
                ("IP 10.9.9.9.53 > ", ": Flags [P.]"),
                ("", " > x"),
                ("", ": GetRequest"),
                ("tcp4 0 0 ", " *.* LISTEN"),
                ("tcp4       0      0  10.9.9.9.22              ", "    ESTABLISHED"),
                ("  ", "   TIME_WAIT"),
                ("", ":"),
            ] {
                let text = format!("{before}{address}.{port}{after}");
                let told = marked(&text);
                assert!(!told.contains(address), "{text:?} became {told:?}");
                assert!(told.contains(&format!("[ip_address].{port}")), "{text:?} became {told:?}");
                assert!(!told.contains("10.9.9.9"), "{text:?} became {told:?}");
            }
        }
    }
}

/// Control characters and colours as programs write them.
const WRITTEN: [&str; 29] = [
    "#011",
    "#012",
    "#015#012",
    "#033[31m",
    "#033[0m#033[1;32m",
    "#033(B",
    "#177",
    "^I",
    "^M",
    "^[[31m",
    "^[(B",
    "^?",
    "\\011",
    "\\012",
    "\\033[1m",
    "\\\\033[m",
    "\\e[31m",
    "\\E[0K",
    "\\33[0m",
    "\\x1b[31m",
    "\\u001b[31m",
    "%1b[31m",
    "%23012",
    "&#27;[31m",
    "\u{9b}31m",
    "\u{241b}[31m",
    "<1b>[31m",
    "[31m",
    "[1;31m",
];

/// One of each class that its form tells, whatever stands around it.
pub(in crate::sanitize) const ONE_OF_EACH: [&str; 9] = [
    "10.1.2.3",
    "2001:db8::a7f3",
    "00:50:56:ab:cd:ef",
    "564d8a3b-1234-abcd-8899-aabbccddeeff",
    "jane@example.com",
    "esx01.corp.example.com",
    "4111111111111111",
    "DE89370400440532013000",
    "AKIAIOSFODNN7EXAMPLE",
];

// covers: P1
#[test]
fn control_characters_hide_nothing_however_they_are_written() {
    let mut wrong = Vec::new();
    for identifier in ONE_OF_EACH {
        for (before, after) in WRITTEN.iter().flat_map(|before| WRITTEN.map(|after| (*before, after))) {
            for text in
                [format!("at {before}{identifier}{after} x"), format!("at{before}{identifier}{after}x")]
            {
                let once = marked(&text);
                if once.contains(identifier) || !once.contains('[') || marked(&once) != once {
                    wrong.push(format!("{text:?} became {once:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}: {:#?}", wrong.len(), wrong.iter().take(40).collect::<Vec<_>>());
}

#[test]
fn what_only_looks_like_a_control_character_stays_and_hides_nothing() {
    untouched(&[
        "issue #012 and #1234, colour #0a1b2c, ^A-Z$ ^[a-z]+$ [5m] \\esx C:\\bin \\100 a^b",
        "src\\main.go:12: error, lib\\foo.c:33: note, app\\models::find, HKLM\\x:y",
    ]);
    cases(&[
        ("ESC[31m10.1.2.3", "ESC[31m[ip_address]"),
        ("^[email] 10.1.2.3", "^[email] [ip_address]"),
        ("#033[phone] 131245310-36", "#033[phone] 131245310-36"),
        ("^[[phone] 131245310-36", "^[[phone] 131245310-36"),
    ]);
}
