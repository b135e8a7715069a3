//! Tests: what replaces what is found, the bound, and that lowering gives what redacting at once gives.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::{Workspace, lower, redact};
use crate::model::{CustomerKey, IdentifierClass as Class, ProgramName, Reason};
use crate::policy::{Epoch, NameTable, Redaction};
use crate::sanitize::{CustomerSalt, CustomerSecret, DataRoot, ProgramKeys, Ratchet};

#[path = "border_tests.rs"]
mod border_tests;
#[path = "context_tests.rs"]
mod context_tests;
#[path = "overlap_tests.rs"]
mod overlap_tests;
#[path = "written_tests.rs"]
mod written_tests;

fn keys() -> Arc<ProgramKeys> {
    // Derived once: a ratchet goes through every epoch before.
    static KEYS: LazyLock<Arc<ProgramKeys>> = LazyLock::new(|| {
        let (root, salt, ratchet) =
            (DataRoot::new([5; 32]), CustomerSalt::new([7; 32]), Ratchet::new(0, [6; 32]));
        let secret = CustomerSecret::derive(&root, &salt, ratchet, CustomerKey(1));
        secret.program(&ProgramName::new("ceip").unwrap(), 690)
    });
    Arc::clone(&KEYS)
}

/// Rules with these epochs by class, and nothing for the others.
fn rules(found: &[(Class, Epoch)], cut: Option<u32>) -> Redaction {
    let of = |class: &Class| found.iter().find(|(known, _)| known == class).map(|(_, epoch)| *epoch);
    let listed = NameTable::new([("https://api.example.com", 0), ("/ui/app", 1)]);
    Redaction {
        max_bytes: 65_536,
        cut,
        vocabulary: Some(Arc::new(listed)),
        found: Class::ALL.iter().map(of).collect(),
    }
}

fn redacted(rules: &Redaction, text: &str, known: &[(Class, &str)]) -> String {
    let mut work = Workspace::default();
    for (class, value) in known {
        work.known.add(*class, value.as_bytes(), &mut work.canonical);
    }
    work.known.finish();
    let text = redact(rules, &keys(), text.as_bytes(), &mut work).unwrap();
    String::from_utf8(text.to_vec()).unwrap()
}

fn lowered(rules: &Redaction, stored: &str) -> String {
    let mut out = b"before".to_vec();
    lower(rules, &keys(), stored.as_bytes(), &mut out);
    String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
}

/// The token of an identifier, as that of a field prints.
fn token(class: Class, epoch: Epoch, canonical: &str) -> String {
    let bits = keys().token(class, epoch, canonical.as_bytes()).unwrap();
    let digits = data_encoding::BASE32HEX_NOPAD.encode(&bits).to_ascii_lowercase();
    match epoch {
        Epoch::Stable => format!("p1-{class}-s-{digits}"),
        Epoch::Rotating => format!("p1-{class}-r690-{digits}"),
    }
}

// covers: P1, P4
#[test]
fn a_host_in_text_has_the_token_of_the_host_in_a_field_and_the_rest_a_marker() {
    let rules = rules(&[(Class::HostName, Epoch::Stable), (Class::IpAddress, Epoch::Rotating)], None);
    let host = token(Class::HostName, Epoch::Stable, "esx-04.corp.example.com");
    let ip = token(Class::IpAddress, Epoch::Rotating, "10.1.2.3");
    for (text, expected) in [
        ("reach ESX-04.corp.example.com.", format!("reach {host}.")),
        ("https://esx-04.corp.example.com/ui", format!("https://{host}/ui")),
        ("\\\\esx-04.corp.example.com\\x", format!("\\\\{host}\\x")),
        ("10.1.2.3 00:50:56:ab:cd:ef", format!("{ip} [mac_address]")),
        ("::ffff:10.1.2.3", ip.clone()),
        ("127.0.0.1 localhost", "127.0.0.1 localhost".to_owned()),
        ("password=x1, card 4111111111111111", "password=[secret], card [payment_card]".to_owned()),
        ("[mac_address] stays", "[mac_address] stays".to_owned()),
        (&host, "[token]".to_owned()),
        ("https://api.example.com", "https://api.example.com".to_owned()),
    ] {
        assert_eq!(redacted(&rules, text, &[]), expected, "{text}");
    }
}

#[test]
fn identifiers_of_the_batch_are_found_as_their_class() {
    let rules = rules(&[(Class::ObjectName, Epoch::Stable), (Class::VmId, Epoch::Stable)], None);
    let uuid = "564d8a3b-1234-abcd-8899-aabbccddeeff";
    let known = [
        (Class::ObjectName, "Prod VM 1"),
        (Class::VmId, uuid),
        (Class::HostName, "esx01.corp.example.com"),
        (Class::UserId, "CORP\\jdoe"),
        (Class::CustomerContent, "hunter two"),
        (Class::SerialNumber, "10.1.2.3"),
    ];
    let vm = token(Class::ObjectName, Epoch::Stable, "Prod VM 1");
    let id = token(Class::VmId, Epoch::Stable, uuid);
    for (text, expected) in [
        ("cannot start 'prod vm 1'", format!("cannot start '{vm}'")),
        ("prod vm 12", "prod vm 12".to_owned()),
        ("{564D8A3B1234ABCD8899AABBCCDDEEFF}", format!("{{{id}}}")),
        (&format!("urn:uuid:{uuid}"), format!("urn:uuid:{id}")),
        ("00000000-1234-abcd-8899-aabbccddeef0", "[bios_uuid]".to_owned()),
        ("esx01.corp.example.com", "[host_name]".to_owned()),
        ("user jdoe and JDOE_x", "user [user_id] and [user_id]_x".to_owned()),
        ("said: HUNTER TWO!", "said: [customer_content]!".to_owned()),
        // What has the form of an address is one, whatever a field says.
        ("10.1.2.3", "[ip_address]".to_owned()),
    ] {
        assert_eq!(redacted(&rules, text, &known), expected, "{text}");
    }
}

// covers: P1, P4
#[test]
fn what_is_escaped_has_the_token_that_it_has_as_it_stands_and_base64_is_gone_whole() {
    let none = rules(&[], None);
    let rules = rules(&[(Class::HostName, Epoch::Stable), (Class::ObjectName, Epoch::Stable)], None);
    let host = token(Class::HostName, Epoch::Stable, "esx-04.corp.example.com");
    let vm = token(Class::ObjectName, Epoch::Stable, "Prod VM 1");
    let known = [(Class::ObjectName, "Prod VM 1")];
    for (text, expected) in [
        ("up%3Desx-04%2Ecorp%2Eexample%2Ecom", format!("up%3D{host}")),
        ("go%2Fesx-04.corp.example.com", format!("go%2F{host}")),
        ("https%3A%2F%2Fesx-04.corp.example.com%2Fui", format!("https%3A%2F%2F{host}%2Fui")),
        ("\"esx-04\\u002ecorp\\u002eexample\\u002ecom\"", format!("\"{host}\"")),
        ("vm=Prod%20VM%201&x", format!("vm={vm}&x")),
        ("p1%2Dhost_name-s-0123456789abcdefghijklmnop", "[token]".to_owned()),
        ("see UHJvZCBWTSAxIGlzIGdvbmU=", "see [encoded]".to_owned()),
        ("%6C%6Fcalhost%3A80", "%6C%6Fcalhost%3A80".to_owned()),
    ] {
        let once = redacted(&rules, text, &known);
        assert_eq!(once, expected, "{text}");
        // Brought down, it is what is stored lower at once, and there it stays.
        let lower = redacted(&none, text, &known);
        assert_eq!(lowered(&none, &once), lower, "{text}");
        assert_eq!(redacted(&none, &lower, &known), lower, "{text}");
    }
}

#[test]
fn what_is_too_long_or_no_text_is_refused_and_what_is_listed_is_kept() {
    let rules = Redaction { max_bytes: 30, ..rules(&[], Some(10)) };
    let mut work = Workspace::default();
    let mut of = |text: &[u8]| redact(&rules, &keys(), text, &mut work).map(<[u8]>::to_vec);
    assert_eq!(of(&[b'a'; 31]), Err(Reason::Malformed));
    assert_eq!(of(b"a\xff"), Err(Reason::Malformed));
    let listed = b"https://api.example.com";
    assert_eq!(of(listed), Ok(listed.to_vec()));
    assert_eq!(of(b"abcdefghijk"), Ok(b"abcdefghij[cut]".to_vec()));
}

#[test]
fn what_was_listed_once_and_is_no_more_is_redacted_when_it_is_lowered() {
    let now = Redaction { vocabulary: None, ..rules(&[], None) };
    assert_eq!(lowered(&now, "https://api.example.com"), "https://[host_name]");
    assert_eq!(lowered(&rules(&[], None), "https://api.example.com"), "https://api.example.com");
}

#[test]
fn lowering_never_gives_more_than_is_there() {
    let rotating = token(Class::HostName, Epoch::Rotating, "esx01.example.com");
    let stable = rules(&[(Class::HostName, Epoch::Stable)], None);
    assert_eq!(lowered(&stable, &format!("a {rotating}")), format!("a {rotating}"));
    assert_eq!(lowered(&stable, "a [host_name]"), "a [host_name]");
    assert_eq!(lowered(&rules(&[], None), &format!("a {rotating}b")), "a [host_name]b");
}

#[test]
fn nothing_is_allocated_for_text_in_which_nothing_is_found() {
    let rules = rules(&[], None);
    let keys = keys();
    let mut work = Workspace::default();
    work.known.add(Class::ObjectName, b"Prod VM 1", &mut work.canonical);
    work.known.finish();
    let texts = [
        "2024-03-15 08:00:02 INFO org.apache.hadoop.hdfs: block 17 of 300 at version 8.0.3-24022515 in main.rs:12",
        "panic: nil map in vpxd::HostSync::run (127.0.0.1)",
        "Zo\u{eb} said \u{2014} nothing",
        "85% of a%20b%2Fc, &lt;init&gt; in caf\\u00e9, and MRAppMasterResourceManagerAdministration",
    ];
    // The buffers have the room that they need once they were used.
    assert!(texts.iter().all(|text| redact(&rules, &keys, text.as_bytes(), &mut work).is_ok()));
    let counted = allocation_counter::measure(|| {
        for text in texts {
            assert!(redact(&rules, &keys, text.as_bytes(), &mut work).is_ok());
        }
    });
    assert_eq!(counted.count_total, 0);
}

const CLASSES: [Class; 6] =
    [Class::HostName, Class::IpAddress, Class::Email, Class::UserId, Class::ObjectName, Class::BiosUuid];

fn piece() -> impl Strategy<Value = String> {
    let fixed = [
        "esx-04.corp.example.com",
        "10.1.2.3",
        "2001:db8::1",
        "jane@example.com",
        "/home/jdoe/",
        "CORP\\bob",
        "564d8a3b-1234-abcd-8899-aabbccddeeff",
        "00:50:56:ab:cd:ef",
        "password=x1",
        "4111 1111 1111 1111",
        "Prod VM 1",
        "[email]",
        "[cut]",
        "[",
        "]",
        "p1-",
        "p1-host_name-s-0123456789abcdefghijklmnop",
        "-s-",
        "[mac_",
        "127.0.0.1",
        "https://u:p@esx-04.corp.example.com/x?y=1",
        "\u{e9}",
        "\u{ff11}0.1.2.3",
        "\u{200b}",
        "\u{7528}\u{6237}",
        "\u{2192}",
        "\\n",
        "\u{1b}[31m",
        "\u{8d22}\u{52a1}\u{5e93}",
        "db1",
        "db7",
        "vm",
        "Prod  VM\\n1",
        "\\\"",
        "030/748359133",
        "001b21-abcdef",
        "jane%40example.com",
        "jane&#64;example.com",
        "%2540",
        "\\u0040",
        "%2F",
        "\0",
        "%5Bemail%5D",
        "p1%2Dhost_name-s-0123456789abcdefghijklmnop",
        "amFuZUBleGFtcGxlLmNvbQ==",
        "UHJvZCBWTSAxIGlzIGdvbmU=",
        "6a616e65406578616d706c652e636f6d",
        "[encoded]",
        " ",
        "\n",
        ".",
        "-",
        "_",
        "@",
    ];
    // Compiled once: as a plain text, a pattern is read again for every value.
    let pattern = |text| prop::string::string_regex(text).unwrap();
    prop_oneof![
        4 => prop::sample::select(fixed.to_vec()).prop_map(str::to_owned),
        2 => pattern("[a-z0-9 .:@/\\[\\]_-]{0,12}"),
        1 => pattern("\\PC{0,6}"),
    ]
}

/// What one level finds, and less: for each class nothing, rotating or stable.
fn two_levels() -> impl Strategy<Value = (Redaction, Redaction)> {
    let ranks = prop::collection::vec((0_usize..3, 0_usize..3), CLASSES.len());
    let cuts = (prop::option::of(0_u32..120), prop::option::of(0_u32..120));
    (ranks, cuts).prop_map(|(ranks, (first, second))| {
        let epochs = [None, Some(Epoch::Rotating), Some(Epoch::Stable)];
        let table = |of: &dyn Fn(usize, usize) -> usize| {
            let all = CLASSES.iter().zip(&ranks);
            let all = all.filter_map(|(class, (a, b))| epochs[of(*a, *b)].map(|epoch| (*class, epoch)));
            all.collect::<Vec<_>>()
        };
        let low_cut = match (first, second) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        // The higher level cuts later, or not at all.
        let high_cut = first.and_then(|a| second.map(|b| a.max(b)));
        (rules(&table(&usize::max), high_cut), rules(&table(&usize::min), low_cut))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    // covers: P6
    #[test]
    fn redacting_and_then_lowering_gives_the_bytes_of_redacting_lower_at_once(
        pieces in prop::collection::vec(piece(), 0..10),
        (high, low) in two_levels(),
    ) {
        let known = [
            (Class::ObjectName, "Prod VM 1"),
            (Class::HostName, "esx-04.corp.example.com"),
            (Class::ObjectName, "\u{8d22}\u{52a1}\u{5e93}"),
            (Class::ObjectName, "db1"),
            (Class::ObjectName, "vm"),
            (Class::HostName, "db7.a.example"),
            (Class::HostName, "db7.b.example"),
            (Class::Phone, "+49 30 748359133"),
            (Class::MacAddress, "00:1b:21:ab:cd:ef"),
        ];
        let text = pieces.concat();
        let at_once = redacted(&low, &text, &known);
        let stored = redacted(&high, &text, &known);
        prop_assert_eq!(&lowered(&low, &stored), &at_once, "{:?} was stored as {:?}", text, stored);
        // What is as low as it can be stays.
        prop_assert_eq!(lowered(&low, &at_once), at_once);
    }
}
