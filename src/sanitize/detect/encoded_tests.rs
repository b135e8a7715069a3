//! Tests: identifiers that stand in a text in another encoding.

#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fmt::Write as _;

use data_encoding::{BASE64, BASE64URL, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use proptest::prelude::*;

use super::detect_tests::{cases, marked, untouched};

/// What has a form of its own, and what redaction makes of it.
const IDENTIFIERS: [(&str, &str); 9] = [
    ("jane@example.com", "[email]"),
    ("10.1.2.3", "[ip_address]"),
    ("2001:db8::17:1", "[ip_address]"),
    ("00:50:56:ab:cd:ef", "[mac_address]"),
    ("564d8a3b-1234-abcd-8899-aabbccddeeff", "[bios_uuid]"),
    ("db-01.corp.example.com", "[host_name]"),
    ("DE89370400440532013000", "[iban]"),
    ("4111111111111111", "[payment_card]"),
    ("AKIAIOSFODNN7EXAMPLE", "[secret]"),
];

/// The text with every character that `which` says written so.
fn escaped(text: &str, which: fn(char) -> bool, write: fn(char) -> String) -> String {
    text.chars().map(|c| if which(c) { write(c) } else { c.to_string() }).collect()
}

const ESCAPES: [fn(char) -> String; 13] = [
    |c| format!("%{:02X}", u32::from(c)),
    |c| format!("%{:02x}", u32::from(c)),
    |c| format!("%25{:02x}", u32::from(c)),
    |c| format!("&#{};", u32::from(c)),
    |c| format!("&#x{:x};", u32::from(c)),
    |c| format!("&amp;#{};", u32::from(c)),
    |c| format!("\\u{:04x}", u32::from(c)),
    |c| format!("\\\\u{:04X}", u32::from(c)),
    |c| format!("\\x{:02x}", u32::from(c)),
    |c| format!("\\u{{{:x}}}", u32::from(c)),
    |c| format!("\\U{:08x}", u32::from(c)),
    |c| format!("%u{:04x}", u32::from(c)),
    // UTF-16, as programs print bytes.
    |c| if c.is_ascii_punctuation() { format!("\\x{:02x}\\x00", u32::from(c)) } else { format!("{c}\\x00") },
];

// covers: P1
#[test]
fn what_is_found_as_it_stands_is_found_and_replaced_whole_in_every_escape() {
    let mut wrong = Vec::new();
    for (identifier, expected) in IDENTIFIERS {
        for (at, write) in ESCAPES.iter().enumerate() {
            for which in [|c: char| c.is_ascii_punctuation(), |_: char| true] {
                let text = format!("<{}> y", escaped(identifier, which, *write));
                let told = marked(&text);
                if told != format!("<{expected}> y") {
                    wrong.push(format!("{at}: {text:?} became {told:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn escapes_around_and_inside_of_identifiers_are_read_as_a_person_reads_them() {
    cases(&[
        ("jane%40example.com", "[email]"),
        ("jane%40example%2ecom.", "[email]."),
        ("mail jane&commat;example&period;com", "mail [email]"),
        ("jane&#64example.com", "[email]"),
        ("{\"a\":\"jane\\u0040example.com\"}", "{\"a\":\"[email]\"}"),
        ("{\\\"a\\\":\\\"jane\\\\u0040example.com\\\"}", "{\\\"a\\\":\\\"[email]\\\"}"),
        ("to%3Djane%40example.com%26x", "to%3D[email]%26x"),
        ("https%3A%2F%2Fbob%3Apw%40db.example.com%2Fx", "https%3A%2F%2F[secret]%40[host_name]%2Fx"),
        ("https:\\/\\/db.example.com\\/x?y=1", "https:\\/\\/[host_name]\\/x?[query]"),
        ("go%2Fdb.example.com", "go%2F[host_name]"),
        ("password%3Dhunter2", "password%3D[secret]"),
        ("password=hunter%202%22x y", "password=[secret] y"),
        ("{&quot;password&quot;:&quot;a b&quot;}", "{&quot;password&quot;:&quot;[secret]&quot;}"),
        ("GET /x?q=%22a%22%20b HTTP/1.1", "GET /x?[query] HTTP/1.1"),
        ("\\x6a\\x00\\x61\\x00\\x40\\x00b\\x00.\\x00d\\x00e\\x00", "[email]"),
        ("ja\0ne\0@\0example.com", "[email]"),
        ("%EF%BC%91%EF%BC%90.1.2.3", "[ip_address]"),
        ("zo%C3%AB%40example.com", "[email]"),
        ("%5Bemail%5D jane%40example.com", "%5Bemail%5D [email]"),
        // Nobody's.
        ("127.0.0.1%3A8080 localhost%2Fx", "127.0.0.1%3A8080 localhost%2Fx"),
        ("127%2E0%2E0%2E1", "127%2E0%2E0%2E1"),
    ]);
}

#[test]
fn what_only_looks_escaped_or_is_nobodys_stays() {
    untouched(&[
        "85% utilized, 100%25 of 7%",
        "a & b &amp; c &nbsp; d &lt;init&gt;",
        "C:\\x64\\u1234\\Users",
        "%2d items, %20s, %04x",
        "caf\\u00e9 na\\xc3\\xafve line\\nnext\\ttab",
        "path%2Fto%2Ffile%2Ers",
    ]);
}

#[test]
fn words_in_base64_and_in_hexadecimal_digits_become_one_marker() {
    let mut wrong = Vec::new();
    let mut check = |text: String, expected: &str| {
        let told = marked(&text);
        // What is too random for words is a secret already.
        if told != expected && told != expected.replace("encoded", "secret") {
            wrong.push(format!("{text:?} became {told:?} and not {expected:?}"));
        }
    };
    for (identifier, _) in IDENTIFIERS {
        // Long enough for any of them, and with what only one of the two alphabets writes.
        for text in [format!("mail {identifier} now"), format!("<>?~> {identifier}; \u{e9}\u{4f8b}")] {
            let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let mut all = vec![
                BASE64.encode(text.as_bytes()),
                BASE64URL.encode(text.as_bytes()),
                BASE64URL_NOPAD.encode(text.as_bytes()),
                HEXLOWER.encode(text.as_bytes()),
                HEXUPPER.encode(text.as_bytes()),
                format!("0x{}", HEXLOWER.encode(text.as_bytes())),
                BASE64.encode(text.as_bytes()).replace('=', "%3D"),
            ];
            if text.is_ascii() {
                all.extend([BASE64.encode(&wide), HEXLOWER.encode(&wide)]);
            }
            for one in all {
                check(format!("said '{one}', then"), "said '[encoded]', then");
                check(format!("blob={one}"), "blob=[encoded]");
            }
        }
    }
    check("amFuZUBleGFtcGxlLmNvbQ==".to_owned(), "[encoded]");
    check("data:text/plain;base64,amFuZUBleGFtcGxlLmNvbQ==".to_owned(), "data:text/plain;base64,[encoded]");
    check("/cb/amFuZUBleGFtcGxlLmNvbQ/next".to_owned(), "/cb/[encoded]/next");
    check("Basic am9objpwYXNzd29yZDEyMw==".to_owned(), "Basic [secret]");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn words_that_are_no_text_or_text_about_nobody_stay() {
    untouched(&[
        "SGVsbG8gd29ybGQsIG1vcmU=",
        "org/apache/hadoop/mapreduce/v2/app/MRAppMaster ResourceManagerAdministrationProtocol",
        "68656c6c6f20776f726c642c2074686973",
        "1647417600123456 38865049064139660",
        "dfs.DataNode$PacketResponder-addStoredBlock_blockMap",
    ]);
}

/// A piece of text in one of the encodings, or as it is.
fn piece() -> impl Strategy<Value = String> {
    let core = prop::sample::select(vec![
        "jane@example.com",
        "10.1.2.3",
        "password=a b",
        "https://u:p@db.example.com/x?y=1",
        "localhost",
        "plain words",
        "[email]",
        "p1-host_name-s-0123456789abcdefghijklmnop",
        "%40",
        "\\u00",
        "&#6",
        "\\",
        "=",
    ]);
    (core, 0_usize..18).prop_map(|(core, how)| match how {
        0 => BASE64.encode(core.as_bytes()),
        1 => HEXLOWER.encode(core.as_bytes()),
        2 => BASE64URL_NOPAD.encode(core.as_bytes()),
        how => match ESCAPES.get(how - 3) {
            Some(write) => escaped(core, |c| c.is_ascii_punctuation(), *write),
            None => core.to_owned(),
        },
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    // covers: P1
    #[test]
    fn nothing_encoded_is_left_of_an_address_whatever_stands_around_it(
        before in prop::collection::vec(piece(), 0..4),
        how in 0_usize..16,
        after in prop::collection::vec(piece(), 0..4),
    ) {
        let core = "zq7xjane@example.com";
        let address = match how.checked_sub(ESCAPES.len()) {
            None => escaped(core, |c| c.is_ascii_punctuation(), ESCAPES[how]),
            Some(0) => BASE64.encode(core.as_bytes()),
            Some(1) => HEXLOWER.encode(core.as_bytes()),
            Some(_) => core.to_owned(),
        };
        let mut text = before.concat();
        _ = write!(text, " {address} {}", after.concat());
        let told = marked(&text);
        prop_assert!(!told.contains(&address), "{:?} became {:?}", text, told);
        prop_assert!(!told.contains("zq7x"), "{:?} became {:?}", text, told);
    }
}
