//! Tests: what a field of the batch holds is found in its text however text writes it.

use proptest::prelude::*;

use super::{Class, Epoch, redacted, rules, token};

// covers: P1, P4
#[test]
fn an_identifier_of_a_field_is_found_in_other_spellings_than_the_field_has() {
    let rules = rules(
        &[(Class::HostName, Epoch::Stable), (Class::UserId, Epoch::Stable), (Class::Phone, Epoch::Stable)],
        None,
    );
    let host = |name: &str| token(Class::HostName, Epoch::Stable, name);
    let phone = token(Class::Phone, Epoch::Stable, "+4930748359133");
    let buero = host("xn--bro-7-kva.corp.example");
    for (class, value, text, expected) in [
        (Class::MacAddress, "00:1b:21:ab:cd:ef", "port 001b21abcdef up", "port [mac_address] up"),
        (Class::MacAddress, "00:1b:21:ab:cd:ef", "port 001B21-ABCDEF up", "port [mac_address] up"),
        (Class::MacAddress, "00:1b:21:ab:cd:ef", "port 001B21-ABCDEF0 up", "port 001B21-ABCDEF0 up"),
        (Class::LicenceKey, "JJ2WR25L9PH71A8", "key jj2wr-25l9p-h71a8.", "key [licence_key]."),
        (Class::LicenceKey, "JJ2WR25L9PH71A8", "key JJ2WR 25L9P H71A8.", "key [licence_key]."),
        (Class::LicenceKey, "JJ2WR-25L9P-H71A8", "key JJ2WR25L9PH71A8.", "key [licence_key]."),
        (Class::HostName, "b\u{fc}ro-7.corp.example", "b\u{fc}ro-7 is down", &format!("{buero} is down")),
        (Class::HostName, "xn--bro-7-kva.corp.example", "B\u{dc}RO-7 is down", &format!("{buero} is down")),
        (Class::HostName, "esx01:443", "esx01 is down", &format!("{} is down", host("esx01"))),
        (
            Class::UserId,
            "CN=Jane Doe,OU=Sales",
            "Jane Doe left",
            &format!("{} left", token(Class::UserId, Epoch::Stable, "CN=Jane Doe,OU=Sales")),
        ),
        (Class::ObjectName, "Prod  VM 1", "at Prod VM   1.", "at [object_name]."),
        (Class::PersonName, "Jane van Doe", "by Jane\nvan Doe", "by [person_name]"),
        (Class::PersonName, "J\u{fc}rgen van Doe", "by J\u{fc}rgen\\nvan Doe", "by [person_name]"),
        (Class::ObjectName, "say \"x\" 1", "{\"a\":\"say \\\"x\\\" 1\"}", "{\"a\":\"[object_name]\"}"),
        (Class::ObjectName, "O'Brien's VM", "'O\\'Brien\\'s VM'", "'[object_name]'"),
        (Class::ObjectName, "Prod VM 1", "name=Prod+VM+1&x=1", "name=[object_name]&x=1"),
        (Class::PersonName, "Doe, Jane", "body: name=Doe%2C+Jane&x=1", "body: name=[person_name]&x=1"),
        (Class::PersonName, "Jane M. Doe", "name=Jane+M.+Doe&x=1", "name=[person_name]&x=1"),
        (Class::ObjectName, "Prod VM (old)", "name=Prod+VM+%28old%29&x=1", "name=[object_name]%29&x=1"),
        (Class::ObjectName, "Prod VM - old", "name=Prod+VM+-+old&x=1", "name=[object_name]&x=1"),
        (Class::ObjectName, "R+D C++ 1", "name=R%2BD+C%2B%2B+1&x=1", "name=[object_name]&x=1"),
        (Class::ObjectName, "Prod VM 1", "/ds1/Prod\\ VM\\ 1/x", "/ds1/[object_name]/x"),
        (Class::UserId, "CORP\\nancy", "for CORP\\NANCY now", &{
            format!("for {} now", token(Class::UserId, Epoch::Stable, "corp\\nancy"))
        }),
        (Class::ObjectName, "a%2fb pool", "a/b pool, a%2Fb pool", "[object_name], [object_name]"),
        (Class::Phone, "+49 30 748359133", "ring 030/748359133 now", &format!("ring {phone} now")),
        (Class::Phone, "+49 30 748359133", "ring 748 359-133 now", &format!("ring {phone} now")),
        (Class::Phone, "+49 30 748359133", "block 9133 of 5748359133", "block 9133 of 5748359133"),
        (
            Class::ObjectName,
            "\u{441}\u{435}\u{440}\u{432}\u{435}\u{440}-1",
            "\u{421}\u{435}\u{440}\u{412}\u{435}\u{440}-1 up",
            "[object_name] up",
        ),
        (Class::ObjectName, "Stra\u{df}e 1", "STRASSE 1", "[object_name]"),
        (Class::CustomerContent, "first line\\n", "first line\\nsecond", "[customer_content]\\nsecond"),
    ] {
        assert_eq!(redacted(&rules, text, &[(class, value)]), expected, "{value} in {text}");
    }
}

// covers: P4
#[test]
fn the_short_name_of_two_hosts_is_a_marker_and_no_pseudonym() {
    let rules = rules(&[(Class::HostName, Epoch::Stable)], None);
    let known = [(Class::HostName, "db1.a.example"), (Class::HostName, "db1.b.example")];
    let a = token(Class::HostName, Epoch::Stable, "db1.a.example");
    assert_eq!(redacted(&rules, "db1 of db1.a.example", &known), format!("[host_name] of {a}"));
}

const WORDS: [&str; 19] = [
    "Prod",
    "VM",
    "web",
    "1",
    "x2",
    "\"x\"",
    "O'Brien's",
    "\u{dc}berpool",
    "Stra\u{df}e",
    "\u{418}\u{432}\u{430}\u{43d}\u{43e}\u{432}",
    "\u{39f}\u{394}\u{39f}\u{3a3}",
    "\u{8d22}\u{52a1}",
    "(A)",
    "naIve",
    "A\\\u{dc}x",
    "Finance",
    "and",
    "J.",
    "R+D",
];

/// The names that objects have: a few words. And what is longer than is looked for as a whole.
fn name() -> impl Strategy<Value = String> {
    let joint = || prop::sample::select(&[" ", " ", " ", " ", ".", "-"][..]);
    let words = |count| prop::collection::vec((prop::sample::select(&WORDS[..]), joint()), count);
    let words = prop_oneof![4 => words(1..5), 1 => words(50..120)];
    (prop::sample::select(&BEGINNINGS[..]), words).prop_map(|(begin, words)| {
        let text: String = words.into_iter().flat_map(|(word, joint)| [word, joint]).collect();
        format!("{begin}{}", text.trim_matches([' ', '.', '-']))
    })
}

/// How names begin; some with a word that says what follows.
const BEGINNINGS: [&str; 6] = ["VM ", "token: ", "user ", "Password=", "\u{dc}password: ", "Host:"];

// covers: P1
#[test]
fn what_is_long_is_found_piece_by_piece() {
    for sentence in
        ["the quick brown fox and ", "\u{438}\u{432}\u{430}\u{43d} \u{432} \u{434}\u{43e}\u{43c}\u{435} "]
    {
        let content = sentence.repeat(20);
        let text = format!("at <{}> now", content.trim().replace(' ', "\n  "));
        let once = redacted(&rules(&[], None), &text, &[(Class::CustomerContent, &content)]);
        assert_eq!(left(&once), "atnow", "{once}");
        assert!(once.contains("[customer_content]"));
    }
}

/// Another way to write a text.
type Writing = fn(&str) -> String;

const WRITINGS: [(&str, Writing); 14] = [
    ("as it is", str::to_owned),
    ("in small letters", |text| text.chars().flat_map(char::to_lowercase).collect()),
    ("in capitals", str::to_uppercase),
    ("in mixed case", |text| {
        let other = |(at, c): (usize, char)| match c.to_uppercase().next() {
            Some(capital) if at % 2 == 0 && c.to_uppercase().count() == 1 => capital,
            _ => c,
        };
        text.chars().enumerate().map(other).collect()
    }),
    ("decomposed", |text| unicode_normalization::UnicodeNormalization::nfd(text).collect()),
    ("broken into lines", |text| text.replace(' ', "\n    ")),
    ("as JSON", |text| serde_json::to_string(text).unwrap_or_default()),
    ("as JSON in JSON", |text| {
        serde_json::to_string(&serde_json::to_string(text).unwrap_or_default()).unwrap_or_default()
    }),
    ("as JSON in ASCII", |text| {
        let ascii = |c: char| {
            let mut units = [0; 2];
            let escape = |unit: &u16| format!("\\u{unit:04x}");
            if c.is_ascii() {
                c.to_string()
            } else {
                c.encode_utf16(&mut units).iter().map(escape).collect::<String>()
            }
        };
        serde_json::to_string(text).unwrap_or_default().chars().map(ascii).collect::<String>()
    }),
    // What is no letter or digit of ASCII in percent, but a blank as `+`.
    ("in a form", |text| {
        let write = |byte: u8| match byte {
            b' ' => "+".to_owned(),
            byte if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.') => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        };
        text.bytes().map(write).collect()
    }),
    ("in a shell", |text| {
        let write = |c: char| {
            if c.is_ascii() && !c.is_ascii_alphanumeric() { format!("\\{c}") } else { c.to_string() }
        };
        text.chars().map(write).collect()
    }),
    ("in a URL", |text| {
        let escape = |byte: u8| {
            if byte.is_ascii_graphic() { char::from(byte).to_string() } else { format!("%{byte:02x}") }
        };
        text.bytes().map(escape).collect()
    }),
    ("with an escape at its beginning", |text| {
        let mut letters = text.chars();
        letters.next().map_or(String::new(), |c| format!("\\u{:04x}{}", u32::from(c), letters.as_str()))
    }),
    ("in wide letters", |text| {
        let wide = |c: char| char::from_u32(u32::from(c) + 0xfee0).filter(|_| c.is_ascii_alphanumeric());
        text.chars().map(|c| wide(c).unwrap_or(c)).collect()
    }),
];

/// The letters and digits of a text that are neither of a marker nor of the escape of a sign: between two pieces of a long name
/// the sign may stay, however it is written.
fn left(text: &str) -> String {
    let mut left = String::new();
    for (at, piece) in without_signs(text).replace("\\n", " ").split('[').enumerate() {
        let rest = if at == 0 { piece } else { piece.split_once(']').map_or(piece, |(_, rest)| rest) };
        left.extend(rest.chars().filter(|c| c.is_alphanumeric()));
    }
    left
}

/// A text in which signs of ASCII that are written in percent are blanks.
fn without_signs(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).unwrap_or(("", piece));
        let byte = u8::from_str_radix(digits, 16).ok();
        if byte.is_some_and(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric()) {
            out.extend([" ", rest]);
        } else {
            out.extend(["%", piece]);
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    // covers: P1
    #[test]
    fn a_name_is_found_however_text_writes_it(name in name(), class in prop::sample::select(&[
        Class::ObjectName, Class::CustomerContent, Class::PersonName,
    ][..])) {
        for (how, write) in WRITINGS {
            let text = format!("at <{}> now", write(&name));
            let once = redacted(&rules(&[], None), &text, &[(class, &name)]);
            prop_assert_eq!(left(&once), "atnow", "{}: {:?} became {:?}", how, text, once);
        }
    }
}
