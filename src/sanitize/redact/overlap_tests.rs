//! Tests: nothing of a known identifier stays in text, whatever overlaps it: a finding of a detector, another known
//! identifier, a piece of a long one.

use proptest::prelude::*;

use super::super::item::{self, Item};
use super::{Class, Epoch, Redaction, redacted, rules, token};
use crate::sanitize::detect::{decoded, fold};

/// What is left of a text when what was found is gone.
fn left(text: &str) -> String {
    let mut left = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        if let Some(Item::Marker { end }) = item::marker(text.as_bytes(), at) {
            left.push(b'|');
            at = end;
        } else {
            left.push(*byte);
            at += 1;
        }
    }
    String::from_utf8(left).unwrap()
}

/// The same as whoever reads it understands it: its escapes decoded, wide letters as letters, in small letters.
fn understood(text: &str) -> String {
    let mut text = left(text);
    while let Some(once) = decoded(&text) {
        text = once.to_string();
    }
    text.chars().filter_map(fold).flat_map(char::to_lowercase).collect()
}

fn none() -> Redaction {
    rules(&[], None)
}

// covers: P1
#[test]
fn what_a_finding_takes_of_a_known_identifier_takes_the_rest_with_it() {
    let content = "esx01.corp.example.com and a great many other words that make it long, ".repeat(5);
    let broken = content.replace(' ', "\\n");
    let lines = "line7 one7\\nline7 two7 ".repeat(20);
    for (class, value, text) in [
        // Behind a written line end, which is read as a part of the word.
        (Class::CustomerContent, content.as_str(), format!("see\\n{content}")),
        (Class::CustomerContent, content.as_str(), format!("see\\n{broken}")),
        (Class::ObjectName, "esx7.corp.example.com Finance 7", "at\\nesx7.corp.example.com Finance 7".into()),
        // An account, an address, a query, a home that ends within it.
        (Class::ObjectName, "Prod7 VM7 7", "CORP\\Prod7 VM7 7".into()),
        (Class::ObjectName, "Prod7 VM7 7", "https://h.example.com/x?a=Prod7 VM7 7".into()),
        (Class::PersonName, "Jane7 Roe7", "/home/Jane7 Roe7".into()),
        (Class::PersonName, "Jane7 Roe7", "https://x:Jane7 Roe7@h.example.com".into()),
        (Class::ObjectName, "a7@example.com pool7 7", "x.a7@example.com pool7 7".into()),
        (Class::ObjectName, "10.1.2.7 pool7 7", "::ffff:10.1.2.7 pool7 7".into()),
        (Class::ObjectName, "127.0.0.1 pool7 7", "::ffff:127.0.0.1 pool7 7".into()),
        (Class::PersonName, "Jane7 Roe7", "password=x,Jane7 Roe7".into()),
        // A word that says what follows.
        (Class::ObjectName, "user7", "user7 user7:x user7=longer.than.this".into()),
        (Class::ObjectName, "token", "token=abcdefghij0123 seven".into()),
        (Class::ObjectName, "token: is7", "token: is7-a-longer-value-7".into()),
        (Class::ObjectName, "user jane7", "user jane7.longer.than.this".into()),
        // The same, written with escapes and wide letters, behind what takes a part of it, and behind a scheme.
        (Class::ObjectName, "token", "\\u0074oken=abcdefghij0123 seven".into()),
        (Class::ObjectName, "token: is7", "%74oken: is7-a-longer-value-7".into()),
        (Class::ObjectName, "user jane7", "\u{ff55}ser jane7.longer.than.this".into()),
        (Class::ObjectName, "VM7 token: is7", "CORP\\VM7 token: is7-a-longer-value-7".into()),
        (Class::ObjectName, "bearer abc7", "Authorization: Bearer abc7-a-longer-value-7".into()),
        (Class::ObjectName, "127.0.0.1 pool7 7", "::ffff:%3127.0.0.1 pool7 7".into()),
        // Behind the colour of a terminal, over line ends.
        (Class::ObjectName, "Prod7 VM7", "\\u001b[1;31mProd7\\nVM7\\u001b[0m".into()),
        (Class::ObjectName, "Prod7 VM7", "\u{1b}[1;31mProd7\\nVM7\u{1b}[0m".into()),
        (Class::CustomerContent, lines.as_str(), format!("\u{1b}[m{lines}")),
        // A marker in the text of a sender.
        (Class::ObjectName, "[email] pool7 7", "to [email] pool7 7".into()),
    ] {
        let text = format!("x {text}; y");
        let once = redacted(&none(), &text, &[(class, value)]);
        let stays = understood(&once);
        let gone = ["7", "token", "bearer", "jane", "user", "great", "other", "words", "make", "long"];
        let gone = gone.iter().filter(|word| value.contains(**word));
        let wrong: Vec<_> = gone.filter(|word| stays.contains(**word)).collect();
        assert!(wrong.is_empty(), "{wrong:?} of {value:?} in {text:?}: {once:?}");
        assert!(stays.starts_with("x ") && stays.ends_with('y'), "{text:?}: {once:?}");
    }
}

// covers: P1, P6
#[test]
fn what_no_finding_is_of_is_replaced_also_where_there_is_no_finding_at_all_and_no_bound() {
    for text in ["[0ndb1", "x[1;2ndb1 y"] {
        for cut in [None, Some(4_096)] {
            let once = redacted(&rules(&[], cut), text, &[(Class::ObjectName, "db1")]);
            assert_eq!(once, text.replace("db1", "[object_name]"), "{cut:?}");
        }
    }
}

// covers: P1, P4
#[test]
fn of_two_known_identifiers_that_overlap_each_has_its_token() {
    let rules = rules(&[(Class::ObjectName, Epoch::Stable)], None);
    let vm = |name: &str| token(Class::ObjectName, Epoch::Stable, name);
    let known =
        [(Class::ObjectName, "Prod VM"), (Class::ObjectName, "VM 1 Secret"), (Class::ObjectName, "1 Se")];
    for (text, expected) in [
        ("at Prod VM 1 Secret.", format!("at {} {}.", vm("Prod VM"), vm("VM 1 Secret"))),
        ("at VM 1 Secret, Prod VM", format!("at {}, {}", vm("VM 1 Secret"), vm("Prod VM"))),
        ("at Prod%20VM%201%20Secret.", format!("at {}%20{}.", vm("Prod VM"), vm("VM 1 Secret"))),
        ("at Prod VM 1 Secrets.", format!("at {} 1 Secrets.", vm("Prod VM"))),
    ] {
        assert_eq!(redacted(&rules, text, &known), expected, "{text}");
    }
}

// covers: B1
#[test]
fn looking_for_what_a_finding_overlaps_is_linear() {
    let long = format!("{}b", "a-".repeat(120));
    let known =
        [(Class::ObjectName, long.as_str()), (Class::ObjectName, "a-a-a b"), (Class::ObjectName, "x")];
    for (before, unit) in [
        ("https://h.example.com/?", "a-"),
        ("password=", "a-a-a "),
        ("", "a-a-a b@"),
        ("", "\\na-"),
        ("", "CORP\\a-a-a b "),
        ("", "a-%61-"),
        ("", "\u{8d22}a-"),
    ] {
        let cost = |bytes: usize| {
            let text = format!("{before}{}", unit.repeat(bytes / unit.len()));
            crate::sanitize::detect::work::of(|| _ = redacted(&none(), &text, &known))
        };
        let (once, often) = (cost(4_000), cost(16_000));
        assert!(often < once * 5, "{unit:?}: {once} for 4,000 bytes, {often} for 16,000");
    }
}

/// Words of names; each has a seven, so that what is left of one can be told.
const WORDS: [&str; 14] = [
    "Prod7",
    "7",
    "7vm",
    "esx7.corp.example.com",
    "jane7@example.com",
    "10.1.2.7",
    "00:50:56:ab:cd:e7",
    "/home/j7",
    "B7\\j7",
    "password=x7",
    "\u{8d22}7\u{52a1}",
    "\u{fc}ber7",
    "\"7\"",
    "n7",
];

/// What can stand before a name and take a part of it.
const BEFORE: [&str; 29] = [
    "",
    "user=",
    "user ",
    "password=",
    "token: ",
    "CORP\\",
    "\\n",
    "\\\\t",
    "#012",
    "^I",
    "\\033[1;31m",
    "jane@",
    "https://",
    "https://h.example.com/?q=",
    "https://x:",
    "/home/",
    "\\\\",
    "::ffff:",
    "host: ",
    "for ",
    "Bearer ",
    "x.",
    "Authorization: ",
    "\u{1b}[1;31m",
    "\\u001b[31m",
    "%1b[m",
    "\\n\\u001b[0m",
    "\\u001b[0m\\n",
    "\u{8d22}",
];

/// Words that say what follows, as names begin with them; nothing else in the texts is one of these.
const ANNOUNCE: [&str; 16] = [
    "",
    "",
    "7a ",
    "secret: ",
    "secret=",
    "7a secret = ",
    "fqdn ",
    "owner:",
    "7a/owner: ",
    "apikey=\"",
    "login ",
    "--secret ",
    "\u{fc}passphrase: ",
    "\u{8d22}passphrase=",
    "7a for account ",
    "negotiate ",
];
const ANNOUNCING: [&str; 8] =
    ["secret", "fqdn", "owner", "apikey", "login", "passphrase", "account", "negotiate"];

/// How the beginning of a name can be written: its first letters, or all of them.
const BEGINNINGS: [fn(&str) -> String; 9] = [
    str::to_owned,
    |text| begun(text, 1, |c| format!("\\u{:04x}", u32::from(c))),
    |text| begun(text, 5, |c| format!("\\u{:04X}", u32::from(c))),
    |text| begun(text, 2, |c| format!("&#{};", u32::from(c))),
    |text| begun(text, 1, in_url),
    |text| begun(text, 4, in_url),
    |text| begun(text, 1, |c| in_url(c).replace('%', "%25")),
    |text| begun(text, 1, wide),
    |text| begun(text, 12, wide),
];

fn begun(text: &str, letters: usize, write: impl Fn(char) -> String) -> String {
    let write = |(at, c): (usize, char)| if at < letters { write(c) } else { c.into() };
    text.chars().enumerate().map(write).collect()
}

fn in_url(c: char) -> String {
    let escape = |byte: u8| format!("%{byte:02x}");
    c.to_string().bytes().map(escape).collect()
}

fn wide(c: char) -> String {
    let wide = if c.is_ascii_alphanumeric() { char::from_u32(u32::from(c) + 0xfee0) } else { None };
    wide.unwrap_or(c).into()
}

/// What can stand behind one.
const AFTER: [&str; 10] =
    ["", "@example.com", ".example.com", ":443", "=abcdefghij012345", "\\n", "/", " ", "-", "://h"];

/// How a text can be written; names are found in all of these.
const WRITINGS: [fn(&str) -> String; 5] = [
    str::to_owned,
    |text| text.replace(' ', "\\n"),
    |text| text.replace(' ', "\\\\r\\\\n"),
    |text| text.replace(' ', "%20"),
    |text| text.to_uppercase(),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    // covers: P1
    #[test]
    fn nothing_of_a_known_identifier_stays_whatever_overlaps_it(
        words in prop::collection::vec(prop::sample::select(&WORDS[..]), 1..7),
        many in prop_oneof![3 => Just(1_usize), 1 => 8..20_usize],
        cuts in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        before in prop::sample::select(&BEFORE[..]),
        after in prop::sample::select(&AFTER[..]),
        announce in (prop::sample::select(&ANNOUNCE[..]), prop::sample::select(&ANNOUNCE[..])),
        write in (prop::sample::select(&WRITINGS[..]), prop::sample::select(&BEGINNINGS[..])),
        class in prop::sample::select(&[Class::ObjectName, Class::CustomerContent, Class::PersonName][..]),
    ) {
        let words: Vec<&str> = words.iter().copied().cycle().take(words.len() * many).collect();
        // Two names, each of which is of the words from or up to somewhere, and may begin with what says something.
        let (from, to) = (cuts.0.index(words.len()), cuts.1.index(words.len()) + 1);
        let (from, to) = if from < to { (from, to) } else { (0, words.len()) };
        let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        words[from].insert_str(0, announce.1);
        let whole = format!("{}7a {} a7", announce.0, words.join(" "));
        let first = format!("{}7a {}", announce.0, words[..to].join(" "));
        let second = format!("{} a7", words[from..].join(" "));
        let written = write.1(&write.0(&whole));
        // As it is written before an escape: alone it would be of this.
        let before = if written.starts_with('\\') { before.replace('\\', "\\\\") } else { before.to_owned() };
        let text = format!("x {before}{written}{after} y");
        let once = redacted(&none(), &text, &[(class, &first), (class, &second)]);
        let stays = understood(&once);
        let wrong = ANNOUNCING.iter().any(|word| stays.contains(word));
        prop_assert!(!wrong && !stays.contains('7'), "{:?} {:?} in {:?}: {:?}", first, second, text, once);
    }
}
