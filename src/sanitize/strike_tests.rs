//! Where an identifier is found in stored values: every form that a level can have stored it in.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use data_encoding::BASE32HEX_NOPAD;

use super::{Strike, Struck, StruckFrom, strike};
use crate::model::{CustomerKey, IdentifierClass as Class, ProgramName, RawText};
use crate::policy::Epoch;
use crate::sanitize::erased_marks::Found;
use crate::sanitize::{CustomerSalt, CustomerSecret, DataRoot, LiveEpochs, Ratchet, Scratch, encode};

const HOST: &str = "esx01.corp.example.com";

fn secret() -> CustomerSecret {
    let (root, salt) = (DataRoot::new([5; 32]), CustomerSalt::new([7; 32]));
    CustomerSecret::derive(&root, &salt, Ratchet::new(0, [6; 32]), CustomerKey(1))
}

fn program() -> ProgramName {
    ProgramName::new("ceip").unwrap()
}

fn host() -> Strike {
    let (secret, value) = (secret(), RawText::new(HOST.as_bytes()));
    let epochs = LiveEpochs::of(secret.ratchet(), [3, 4]);
    Strike::identifier(Class::HostName, value, &secret, &[program()], &epochs).unwrap()
}

fn message(number: u8, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let (mut inner, mut out) = (Vec::new(), Vec::new());
    write(&mut inner);
    encode::bytes_field(&mut out, number, &inner);
    out
}

/// A batch of one event with one field, of a class, a treatment and the bytes of a value.
fn batch(class: Class, treatment: &str, value: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for (number, text) in [(1, "vcenter"), (2, "ceip"), (3, "enhanced"), (5, "v1")] {
        encode::text_field(&mut body, number, text);
    }
    encode::bytes_field(&mut body, 13, &[4]);
    body.extend(message(10, |out| {
        encode::text_field(out, 1, "field");
        encode::text_field(out, 2, class.as_str());
        encode::text_field(out, 3, treatment);
    }));
    encode::text_field(&mut body, 11, "event");
    body.extend(message(12, |out| {
        encode::varint_field(out, 1, 0);
        encode::varint_field(out, 2, 7);
        out.extend(message(3, |out| {
            encode::varint_field(out, 1, 0);
            encode::bytes_field(out, 2, value);
        }));
    }));
    body
}

fn text(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    encode::bytes_field(&mut out, 1, text.as_bytes());
    out
}

fn token(token: [u8; 16]) -> Vec<u8> {
    let mut out = Vec::new();
    encode::bytes_field(&mut out, 6, &token);
    out
}

fn is_struck(body: &[u8], what: &Strike) -> bool {
    let from = StruckFrom { customer: CustomerKey(1), accepted_version: 1, fingerprint: [0; 8] };
    match strike(body, what, &from, &mut Scratch::default()).unwrap() {
        Struck::Untouched => false,
        Struck::All { events_removed } => events_removed == 1,
        Struck::Part { .. } => unreachable!("there is one event"),
    }
}

/// covers: P8
#[test]
fn an_identifier_that_is_forgotten_is_found_by_its_pseudonyms_in_every_form() {
    let (known, secret) = (host(), Arc::new(secret()));
    let forgotten = || Strike::pseudonyms(known.stable_tokens(), &Found::of(&known), &secret);
    let stable = known.stable_tokens().first().unwrap().1;
    let rotating = secret.program(&program(), 3).rotate(Class::HostName, &stable).unwrap();
    let words = |token: &[u8; 16]| BASE32HEX_NOPAD.encode(token).to_ascii_lowercase();
    let table = [
        ("a stable pseudonym", batch(Class::HostName, "pseudonym", &token(stable)), true),
        ("a rotating one", batch(Class::HostName, "pseudonym", &token(rotating)), true),
        (
            "a kept value in another form",
            batch(Class::HostName, "keep", &text("ESX01.corp.example.com.")),
            true,
        ),
        (
            "a word of kept text",
            batch(Class::FreeText, "keep", &text("lost ESX01.corp.example.com, again")),
            true,
        ),
        ("a word of redacted text", batch(Class::ProductLog, "redact", &text(&format!("({HOST})"))), true),
        (
            "a pseudonym in text",
            batch(
                Class::ProductLog,
                "redact",
                &text(&format!("lost p1-host_name-s-{} again", words(&stable))),
            ),
            true,
        ),
        ("another host", batch(Class::HostName, "keep", &text("esx02.corp.example.com")), false),
        (
            "a word beside another script",
            batch(
                Class::FreeText,
                "keep",
                &text("\u{4e3b}\u{673a}ESX01.corp.example.com\u{6545}\u{969c}\u{2192}"),
            ),
            true,
        ),
        ("a longer name", batch(Class::FreeText, "keep", &text("xesx02.corp.example.com")), false),
        ("the value of another class", batch(Class::NotIdentifying, "keep", &text(HOST)), false),
        ("another pseudonym", batch(Class::HostName, "pseudonym", &token([9; 16])), false),
    ];
    for (what, body, found) in table {
        assert_eq!(is_struck(&body, &forgotten()), found, "{what}");
        assert_eq!(is_struck(&body, &known), found, "{what}, by the identifier");
    }
}

/// covers: P8
#[test]
fn an_identifier_is_found_in_every_form_that_a_level_can_have_stored() {
    let letters = |token: [u8; 16]| BASE32HEX_NOPAD.encode(&token).to_ascii_lowercase();
    let of = |epoch: u32, kind, value: &str| {
        secret().program(&program(), epoch).token(Class::HostName, kind, value.as_bytes()).unwrap()
    };
    let stable = of(3, Epoch::Stable, HOST);
    let [old, new, later] = [3, 4, 5].map(|epoch| of(epoch, Epoch::Rotating, HOST));
    let other = of(3, Epoch::Stable, "esx02.corp.example.com");
    for (class, treatment, value, found) in [
        (Class::HostName, "pseudonym", token(stable), true),
        (Class::HostName, "pseudonym", token(old), true),
        (Class::HostName, "pseudonym", token(new), true),
        (Class::HostName, "pseudonym", token(later), false),
        (Class::HostName, "pseudonym", token(other), false),
        (Class::HostName, "keep", text("ESX01.Corp.Example.com."), true),
        (Class::HostName, "keep", text("esx02.corp.example.com"), false),
        (Class::ProductLog, "redact", text(&format!("on p1-host_name-s-{} at 7", letters(stable))), true),
        (Class::ProductLog, "redact", text(&format!("on p1-host_name-r4-{}", letters(new))), true),
        (Class::ProductLog, "redact", text(&format!("on p1-host_name-s-{}", letters(other))), false),
        // What no detector has found.
        (Class::ProductLog, "redact", text("up=ESX01.corp.example.com;"), true),
        // A name as long as this is found anywhere: an event too many is the lesser harm.
        (Class::ProductLog, "redact", text("up=esx01.corp.example.community"), true),
        (Class::ProductLog, "redact", text("up%3Desx01%2Ecorp.example.com"), true),
        // The same machine, without its domain.
        (Class::ProductLog, "redact", text("ESX01 is down"), true),
        (Class::ProductLog, "redact", text("esx011 is down"), false),
        (Class::ObjectName, "keep", text("copy of esx01.corp.example.com"), true),
        (Class::NotIdentifying, "vocabulary", text("esx01.corp.example.com"), false),
        (Class::Url, "generalise", text("https://example.com"), false),
    ] {
        assert_eq!(
            is_struck(&batch(class, treatment, &value), &host()),
            found,
            "{class} {treatment} {value:?}"
        );
    }
}

/// covers: P8
#[test]
fn a_name_is_found_in_text_of_any_script_and_a_short_one_by_itself() {
    for (name, said, found) in [
        ("Prod-VM-01", "\u{865a}\u{62df}\u{673a}Prod-VM-01\u{6545}\u{969c}", true),
        (
            "\u{8d22}\u{52a1}\u{865a}\u{62df}\u{673a}",
            "\u{8fde}\u{63a5}\u{8d22}\u{52a1}\u{865a}\u{62df}\u{673a}\u{5931}\u{8d25}",
            true,
        ),
        ("\u{dc}berpool Nord", "\u{fc}berpool nord is full", true),
        ("\u{dc}berpool Nord", "U\u{308}BERPOOL NORD is full", true),
        ("A\u{2013}1 \u{ff08}x\u{ff09}", "pool A-1 (x) is full", true),
        ("db1", "pool db1 is full", true),
        ("db1", "\u{6c60}db1\u{2026}", true),
        ("db1", "boot\\ndb1 up", true),
        ("db1", "pool db12 is full", false),
        ("vm", "the VM is off", true),
        ("vm", "vmware", false),
    ] {
        let secret = secret();
        let epochs = LiveEpochs::of(secret.ratchet(), [3]);
        let value = RawText::new(name.as_bytes());
        let what = Strike::identifier(Class::ObjectName, value, &secret, &[program()], &epochs);
        let body = batch(Class::ProductLog, "redact", &text(said));
        assert_eq!(is_struck(&body, &what.unwrap()), found, "{name} in {said}");
    }
}

/// covers: P8
#[test]
fn an_account_is_found_without_its_domain_and_an_address_without_separators() {
    for (class, value, said, found) in [
        (Class::UserId, "CORP\\jdoe", "user jdoe left the room; JDOE gone", true),
        (Class::UserId, "jdoe@corp.example.com", "user jdoe left", true),
        (Class::UserId, "CORP\\jdoe", "user jdoes left", false),
        (Class::UserId, "CORP\\jdoe", "the corp is closed", false),
        (Class::MacAddress, "00:1b:21:ab:cd:ef", "port 001B21abcdef up", true),
        (Class::MacAddress, "001b.21ab.cdef", "port 001b21abcdef up", true),
        (Class::MacAddress, "00:1b:21:ab:cd:ef", "port 001b21abcdee up", false),
    ] {
        let secret = secret();
        let epochs = LiveEpochs::of(secret.ratchet(), [3]);
        let value = RawText::new(value.as_bytes());
        let what = Strike::identifier(class, value, &secret, &[program()], &epochs);
        let body = batch(Class::ProductLog, "redact", &text(said));
        assert_eq!(is_struck(&body, &what.unwrap()), found, "{said}");
    }
}

/// covers: P8
#[test]
fn what_redaction_took_for_another_class_is_found_by_either() {
    const UUID: &str = "564d8a3b-1234-abcd-8899-aabbccddeeff";
    let letters = |token: [u8; 16]| BASE32HEX_NOPAD.encode(&token).to_ascii_lowercase();
    for (asked, value, stored_as, form, found) in [
        (Class::HostName, HOST, Class::ObjectName, HOST, true),
        (Class::ObjectName, HOST, Class::HostName, HOST, true),
        (Class::ObjectName, "ESX01.Corp.example.com", Class::HostName, HOST, true),
        (Class::HostName, "ESX01.Corp.example.com", Class::ObjectName, "ESX01.Corp.example.com", true),
        (Class::BiosUuid, UUID, Class::VmId, UUID, true),
        (Class::VmId, UUID, Class::BiosUuid, UUID, true),
        (Class::UserId, "jdoe@corp.example.com", Class::Email, "jdoe@corp.example.com", true),
        (Class::PersonName, "jdoe", Class::UserId, "jdoe", true),
        // Fields tell these apart, and text never takes one for another.
        (Class::DeviceId, UUID, Class::VmId, UUID, false),
        (Class::ObjectName, "Prod VM 1", Class::PersonName, "Prod VM 1", false),
        (Class::HostName, HOST, Class::ObjectName, "esx02.corp.example.com", false),
    ] {
        let secret = Arc::new(secret());
        let epochs = LiveEpochs::of(secret.ratchet(), [3]);
        let value = RawText::new(value.as_bytes());
        let what = Strike::identifier(asked, value, &secret, &[program()], &epochs).unwrap();
        let forgotten = Strike::pseudonyms(what.stable_tokens(), &Found::of(&what), &secret);
        for epoch in [Epoch::Stable, Epoch::Rotating] {
            let token = secret.program(&program(), 3).token(stored_as, epoch, form.as_bytes()).unwrap();
            let number = if epoch == Epoch::Stable { "s" } else { "r3" };
            let said = format!("at p1-{stored_as}-{number}-{} again", letters(token));
            for body in [
                batch(Class::ProductLog, "redact", &text(&said)),
                batch(stored_as, "pseudonym", &self::token(token)),
            ] {
                assert_eq!(is_struck(&body, &what), found, "{asked} {stored_as}");
                assert_eq!(is_struck(&body, &forgotten), found, "{asked} {stored_as}, forgotten");
            }
        }
    }
}

/// covers: P8
#[test]
fn a_name_that_is_forgotten_is_found_in_text_in_any_letter_case_and_by_its_parts() {
    for (class, name, said, found) in [
        (Class::HostName, HOST, "ESX01 is down", true),
        (Class::HostName, HOST, "esx011 is down", false),
        (Class::UserId, "CORP\\jdoe", "user JDoe left the room", true),
        (Class::UserId, "CORP\\jdoe", "the corp is closed", false),
        (Class::ObjectName, "Prod VM one", "PROD VM ONE is off", true),
        (Class::ObjectName, "Prod VM one", "prod vm one is off", true),
        (
            Class::PersonName,
            "\u{418}\u{432}\u{430}\u{43d}\u{43e}\u{432} \u{418}\u{432}\u{430}\u{43d}",
            "\u{418}\u{412}\u{410}\u{41d}\u{41e}\u{412} \u{418}\u{412}\u{410}\u{41d} up",
            true,
        ),
        (
            Class::ObjectName,
            "The Pool Of All The Names We Have",
            "the pool of all the names we have is full",
            true,
        ),
        (
            Class::ObjectName,
            "\u{8d22}\u{52a1}\u{673a}",
            "\u{8fde}\u{63a5}\u{8d22}\u{52a1}\u{673a}\u{5931}",
            true,
        ),
        (
            Class::ObjectName,
            "\u{8d22}\u{52a1}\u{673a}",
            "\u{8fde}\u{63a5}\u{8d22}\u{52a1}\u{5e93}\u{5931}",
            false,
        ),
        (Class::MacAddress, "00:1b:21:ab:cd:ef", "port 001B21abcdef up", true),
        (Class::Email, "jane.roe@example.com", "JANE.ROE left", true),
    ] {
        let secret = Arc::new(secret());
        let epochs = LiveEpochs::of(secret.ratchet(), [3]);
        let value = RawText::new(name.as_bytes());
        let what = Strike::identifier(class, value, &secret, &[program()], &epochs).unwrap();
        let forgotten = Strike::pseudonyms(what.stable_tokens(), &Found::of(&what), &secret);
        for body in
            [batch(Class::ProductLog, "redact", &text(said)), batch(Class::FilePath, "keep", &text(said))]
        {
            assert_eq!(is_struck(&body, &what), found, "{name} in {said}");
            assert_eq!(is_struck(&body, &forgotten), found, "{name} in {said}, forgotten");
        }
    }
}

#[test]
fn a_time_is_in_its_range_with_both_ends() {
    let body = batch(Class::HostName, "keep", &text("x"));
    for (range, found) in [(7..=7, true), (0..=7, true), (7..=9, true), (8..=9, false), (0..=6, false)] {
        assert_eq!(is_struck(&body, &Strike::times(range.clone())), found, "{range:?}");
    }
    assert!(is_struck(&body, &host().or(Strike::times(7..=7))));
    assert!(!is_struck(&body, &Strike::default()));
}

#[path = "strike_spelt_tests.rs"]
mod spelt;
