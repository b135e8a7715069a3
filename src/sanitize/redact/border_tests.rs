//! Tests: an identifier is found whatever stands beside it that is no letter or digit of ASCII, and text of a request
//! with too many identifiers is not stored.

use super::{Class, Epoch, Workspace, keys, redact, redacted, rules, token};
use crate::sanitize::detect::ONE_OF_EACH;

/// What stands beside identifiers in logs and is no white space: scripts without spaces and with particles, alphabets,
/// arrows, stops, line ends as they are written, colours of a terminal.
const BESIDE: [&str; 23] = [
    "",
    " ",
    "\u{7528}\u{6237}",
    "\u{30b5}\u{30fc}\u{30d0}",
    "\u{c5d0}\u{c11c}",
    "\u{e17}\u{e35}\u{e48}",
    "\u{5d1}",
    "\u{645}\u{646}",
    "\u{441}",
    "\u{e9}",
    "\u{2192}",
    "\u{2026}",
    "\u{ff1a}",
    "\u{1f600}",
    "\\n",
    "\u{1b}[31m",
    "\\u001b[1;31m",
    "%1b[m",
    "#012",
    "^I",
    "#033[31m",
    "\\\\033[0;1m",
    "[31m",
];

/// Numbers that need some context, and names that only a field tells.
const MORE: [&str; 6] = [
    "+49 30 7483-4584",
    "078-05-1120",
    "Prod-VM-01",
    "\u{8d22}\u{52a1}\u{865a}\u{62df}\u{673a}",
    "db1",
    "\u{dc}berpool Nord",
];
const NAMES: [(Class, &str); 4] = [
    (Class::ObjectName, "Prod-VM-01"),
    (Class::ObjectName, "\u{8d22}\u{52a1}\u{865a}\u{62df}\u{673a}"),
    (Class::ObjectName, "db1"),
    (Class::ObjectName, "\u{dc}berpool Nord"),
];

// covers: P1
#[test]
fn an_identifier_is_found_whatever_stands_beside_it_that_is_not_ascii() {
    let rules = rules(&[], None);
    let mut wrong = Vec::new();
    for identifier in ONE_OF_EACH.into_iter().chain(MORE) {
        for (before, after) in BESIDE.iter().flat_map(|before| BESIDE.map(|after| (*before, after))) {
            let text = format!("at {before}{identifier}{after} x");
            let once = redacted(&rules, &text, &NAMES);
            if once.contains(identifier) || !once.contains('[') || redacted(&rules, &once, &NAMES) != once {
                wrong.push(format!("{text:?} became {once:?}"));
            }
            // The same as JSON, a URL and HTML write it.
            let escaped: String = text
                .chars()
                .map(|c| if c.is_ascii() { c.to_string() } else { format!("\\u{{{:x}}}", u32::from(c)) })
                .collect();
            let once = redacted(&rules, &escaped, &NAMES);
            if once.contains(identifier) || !once.contains('[') {
                wrong.push(format!("{escaped:?} became {once:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}: {:#?}", wrong.len(), wrong.iter().take(40).collect::<Vec<_>>());
}

// covers: P1, P4
#[test]
fn beside_other_scripts_an_identifier_has_the_token_that_it_has_in_a_field() {
    let rules = rules(&[(Class::HostName, Epoch::Stable), (Class::ObjectName, Epoch::Stable)], None);
    let host = token(Class::HostName, Epoch::Stable, "esx01.corp.example.com");
    let idn = token(Class::HostName, Epoch::Stable, "xn--bcher-kva.example.com");
    let vm = token(Class::ObjectName, Epoch::Stable, "Prod-VM-01");
    let pool = token(Class::ObjectName, Epoch::Stable, "\u{8d22}\u{52a1}\u{865a}\u{62df}\u{673a}");
    for (text, expected) in [
        (
            "\u{865a}\u{62df}\u{673a}Prod-VM-01\u{6545}\u{969c}",
            format!("\u{865a}\u{62df}\u{673a}{vm}\u{6545}\u{969c}"),
        ),
        (
            "\u{8fde}\u{63a5}\u{8d22}\u{52a1}\u{865a}\u{62df}\u{673a}\u{5931}\u{8d25}",
            format!("\u{8fde}\u{63a5}{pool}\u{5931}\u{8d25}"),
        ),
        // The words around it can be of the name, so they go, too.
        ("\u{4e3b}\u{673a}esx01.corp.example.com\u{6545}\u{969c} x", format!("{host} x")),
        ("at \u{2192}esx01.corp.example.com\u{2190}", format!("at {host}")),
        ("boot\\nesx01.corp.example.com up", format!("boot\\{host} up")),
        ("boot#012esx01.corp.example.com up", format!("boot#{host} up")),
        ("^[[31mesx01.corp.example.com^[[0m up", format!("^[[{host}^[[0m up")),
        ("at b\u{fc}cher.example.com", format!("at {idn}")),
        ("\\\\nas01.corp.example.com\\x", {
            format!("\\\\{}\\x", token(Class::HostName, Epoch::Stable, "nas01.corp.example.com"))
        }),
        (
            "\u{7528}\u{6237}10.1.2.3\u{767b}\u{5f55}",
            "\u{7528}\u{6237}[ip_address]\u{767b}\u{5f55}".to_owned(),
        ),
        ("see e794a8e688b731302e312e322e33", "see [encoded]".to_owned()),
    ] {
        assert_eq!(redacted(&rules, text, &NAMES), expected, "{text}");
    }
}

// covers: B1, P1
#[test]
fn of_a_request_with_more_identifiers_than_are_looked_for_no_text_is_stored() {
    let rules = rules(&[], None);
    let mut work = Workspace::default();
    let text = b"pool Finance Secret Merger is full";
    for number in 0..20_000 {
        work.known.add(Class::ObjectName, format!("vm number {number}").as_bytes(), &mut work.canonical);
    }
    work.known.add(Class::ObjectName, b"Finance Secret Merger", &mut work.canonical);
    work.known.finish();
    assert_eq!(redact(&rules, &keys(), text, &mut work).map(<[u8]>::to_vec), Ok(b"[cut]".to_vec()));
    assert!(work.seen.is_over);
    // What the dictionary lists says nothing of anybody.
    assert!(redact(&rules, &keys(), b"https://api.example.com", &mut work).is_ok());
    work.forget();
    assert!(redact(&rules, &keys(), text, &mut work).is_ok());
}
