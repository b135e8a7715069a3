//! Tests: a value of a field is found whatever stands around it, in every writing that is read, whatever its class.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::{Class, redacted, rules};
use crate::sanitize::detect::{decoded, fold};

/// What stands around a value.
const CONTEXTS: [&str; 57] = [
    "{}",
    "({})",
    "\"{}\"",
    "'{}'",
    "[{}]",
    "<{}>",
    "{},",
    "x={}",
    "{}:",
    "/{}/",
    "\\{}\\",
    "@{}",
    "{}@",
    "#{}",
    "-{}-",
    "_{}_",
    ".{}.",
    "{}\u{2026}",
    "\u{2192}{}",
    "%22{}%22",
    "&quot;{}&quot;",
    "\\\"{}\\\"",
    "\\n{}\\n",
    "\u{1b}[1m{}\u{1b}[0m",
    "{}=qwertyuiop123",
    "key={} key2=v",
    "https://h.example.com/{}/x",
    "https://{}/",
    "a@{}",
    "C:\\{}\\x",
    "{}\0",
    "{}%20x",
    "\t{}",
    "${}",
    "~{}",
    "*{}*",
    "`{}`",
    "user {} in",
    "{}'s",
    "[email]{}",
    "{}[email]",
    "password={}",
    "token: {}",
    "for {}",
    "host {} up",
    "https://x:{}@h.example.com/",
    "https://h/?a={}&b",
    "{{\"a\":\"{}\"}}",
    "\\\\{}\\share",
    "/home/{}/x",
    "{}://x",
    "{};{}",
    "\u{7528}{}\u{7528}",
    "Bearer {}",
    "at {}:443",
    "{}-vmk0",
    "%2F{}%2F",
];

/// A value with what is no letter or digit of ASCII written in another way.
fn escaped(value: &str, write: fn(char) -> String) -> String {
    value.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_string() } else { write(c) }).collect()
}

/// A character byte by byte, as URLs write it.
fn percent(c: char) -> String {
    c.to_string().bytes().map(|byte| ["%", &data_encoding::HEXLOWER.encode(&[byte])].concat()).collect()
}

fn backslash(c: char) -> String {
    format!("\\u{:04x}", u32::from(c))
}

fn entity(c: char) -> String {
    format!("&#x{:x};", u32::from(c))
}

fn wide(c: char) -> char {
    if c.is_ascii_graphic() { char::from_u32(u32::from(c) + 0xfee0).unwrap() } else { c }
}

fn json(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// How text writes a value: as it is, in other letter case, in escapes and JSON.
const WRITINGS: [fn(&str) -> String; 16] = [
    str::to_owned,
    str::to_lowercase,
    str::to_uppercase,
    |value| escaped(value, percent),
    |value| escaped(value, |c| percent(c).replace('%', "%25")),
    |value| value.chars().map(percent).collect(),
    |value| escaped(value, backslash),
    |value| value.chars().map(backslash).collect(),
    |value| escaped(value, entity),
    |value| value.chars().map(entity).collect(),
    |value| value.chars().map(wide).collect(),
    |value| value.chars().flat_map(|c| [c, '\u{200b}']).collect(),
    |value| value.replace(' ', "\u{a0}"),
    json,
    |value| json(&json(value)),
    |value| json(&json(&json(value))),
];

/// Values by class, each with what nothing of may stay.
const VALUES: [(Class, &str, &[&str]); 22] = [
    (Class::HostName, "q7z-esx.k7z.example.com", &["q7z", "k7z"]),
    (Class::HostName, "q7z", &["q7z"]),
    (Class::HostName, "q7z:8443", &["q7z"]),
    (Class::HostName, "b\u{fc}q7z-1.k7z.example", &["q7z", "k7z"]),
    (Class::UserId, "KQRP\\q7z", &["q7z", "kqrp"]),
    (Class::UserId, "q7z.roe", &["q7z"]),
    (Class::UserId, "q7z@k7z.example", &["q7z", "k7z"]),
    (Class::UserId, "CN=Q7z Roek7z,OU=j7z", &["q7z", "k7z", "j7z"]),
    (Class::UserId, "o'q7z k7z", &["q7z", "k7z"]),
    (Class::SerialNumber, "q7z-12k7z", &["q7z", "k7z"]),
    (Class::SerialNumber, "VMware-56 4d q7z 9f-88 k7z", &["q7z", "k7z"]),
    (Class::SerialNumber, "/q7z.k7z/", &["q7z", "k7z"]),
    (Class::Email, "q7z.roe+k7z@j7z.example", &["q7z", "k7z", "j7z"]),
    (Class::MacAddress, "00:1b:21:ab:cd:ef", &["ab:cd", "abcd", "b:cd", "cd:ef"]),
    (Class::IpAddress, "2001:db8:a7f3::b7c9", &["a7f3", "b7c9"]),
    (Class::ObjectName, "Prod (q7z) \"k7z\" & j7z", &["q7z", "k7z", "j7z"]),
    (Class::ObjectName, "q7z\\nk7z\\j7z", &["q7z", "k7z", "j7z"]),
    (Class::ObjectName, "100% q7z %41k7z", &["q7z", "k7z"]),
    (Class::ObjectName, "\u{8d22}q7z\u{52a1}k7z", &["q7z", "k7z"]),
    (Class::PersonName, "Q7z O\u{2019}K7z", &["q7z", "k7z"]),
    (Class::CustomerContent, "line q7z\nline k7z\tj7z", &["q7z", "k7z", "j7z"]),
    (Class::Secret, "q7z$k7z!j7z", &["q7z", "k7z", "j7z"]),
];

/// A text as it is, and with its escapes decoded as often as anybody would.
fn readings(text: &str) -> Vec<String> {
    let mut all = vec![text.to_lowercase()];
    for _ in 0..3 {
        let folded: String = all.last().unwrap().chars().filter_map(fold).collect();
        all.push(decoded(&folded).map_or(folded, |one| one.to_lowercase()));
    }
    all
}

// covers: P1
#[test]
fn a_value_of_a_field_is_found_in_every_place_and_writing() {
    let mut wrong = Vec::new();
    for (class, value, needles) in VALUES {
        for (write, context) in WRITINGS.iter().flat_map(|write| CONTEXTS.map(|context| (write, context))) {
            let text = format!("a {} z", context.replace("{}", &write(value)));
            let once = redacted(&rules(&[], None), &text, &[(class, value)]);
            let left = readings(&once);
            if needles.iter().any(|needle| left.iter().any(|one| one.contains(needle))) {
                wrong.push(format!("{class} {value:?} in {text:?}: {once:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}: {:#?}", wrong.len(), wrong.iter().take(40).collect::<Vec<_>>());
}
