//! What is found of an erased identifier in text that arrives late, and what looking for it costs.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::cell::Cell;
use std::sync::{Arc, LazyLock};

use super::*;
use crate::model::{CustomerKey, IdentifierClass as Class, ProgramName};
use crate::sanitize::{CustomerSalt, CustomerSecret, DataRoot, LiveEpochs, Ratchet};

thread_local! {
    /// Pseudonyms that were made to be looked up.
    pub(super) static HASHED: Cell<u64> = const { Cell::new(0) };
}

static SECRET: LazyLock<CustomerSecret> = LazyLock::new(|| {
    let (root, salt) = (DataRoot::new([5; 32]), CustomerSalt::new([7; 32]));
    CustomerSecret::derive(&root, &salt, Ratchet::new(0, [6; 32]), CustomerKey(1))
});

/// One of each class that can be erased.
const ERASED: [(Class, &str); 22] = [
    (Class::EntitlementId, "ent-0042"),
    (Class::LicenceKey, "1HK2L-3M4NP-5QR6S-7TU8V-9WX0Y"),
    (Class::ClusterId, "domain-c8"),
    (Class::VmId, "vm-1042"),
    (Class::HostName, "esx01.corp.example.com"),
    (Class::IpAddress, "10.1.2.3"),
    (Class::MacAddress, "00:50:56:ab:cd:ef"),
    (Class::ObjectName, "Prod VM 1"),
    (Class::DeviceId, "dev-7"),
    (Class::SerialNumber, "5CG1234XYZ9"),
    (Class::BiosUuid, "564d8a3b-1234-abcd-8899-aabbccddeeff"),
    (Class::BrowserId, "browser-1"),
    (Class::Cookie, "cookie-1"),
    (Class::PixelId, "pixel-1"),
    (Class::AdvertisingId, "ad-1"),
    (Class::UserId, "corp\\bob"),
    (Class::PersonName, "Jane van Doe"),
    (Class::Email, "jane.doe@example.com"),
    (Class::Phone, "+49 30 7483-59133"),
    (Class::PostalAddress, "1 Main Street, Springfield"),
    (Class::Location, "DE-BY"),
    (Class::FilePath, "/home/jane/notes.txt"),
];

fn keys() -> Arc<ProgramKeys> {
    SECRET.program(&ProgramName::new("ceip").unwrap(), 0)
}

fn suppressions(erased: &[(Class, &str)]) -> Suppressions {
    let programs = [ProgramName::new("ceip").unwrap()];
    let strike = |(class, value): &(Class, &str)| {
        Strike::identifier(*class, RawText::new(value.as_bytes()), &SECRET, &programs, &LiveEpochs::default())
            .unwrap()
    };
    let all = erased.iter().map(strike).reduce(Strike::or).unwrap();
    Suppressions::new(&all, [], UnixMillis(1_000))
}

/// Whether a text is late, and how many pseudonyms that took.
fn looked(suppressions: &Suppressions, text: &str, time_ms: i64) -> (bool, u64) {
    let before = HASHED.with(Cell::get);
    let late = suppressions.is_in_text(text, time_ms, &[keys()], &mut Workspace::default());
    (late, HASHED.with(Cell::get) - before)
}

// covers: P8
#[test]
fn an_erased_identifier_of_every_class_is_found_among_the_words_of_a_text() {
    for (class, value) in ERASED {
        let one = suppressions(&[(class, value)]);
        for text in [
            format!("it was {value}, we think"),
            format!("\u{201c}{value}\u{201d}"),
            format!("a/{value}?b=c"),
            format!("up\\n{}", value.replace('\\', "\\\\")),
            format!("q={}", value.replace(' ', "%20").replace('@', "%40")),
            format!("({})", value.to_uppercase()),
            format!("({})", value.to_lowercase()),
        ] {
            let (late, _) = looked(&one, &text, 1_000);
            assert!(late, "{class}: {text}");
            assert!(!looked(&one, &text, 1_001).0, "what happened after the erasure is new");
        }
        assert!(!looked(&one, "nothing of this is anybody's, 7 times", 1_000).0, "{class}");
    }
}

// covers: P8
#[test]
fn a_part_of_what_was_erased_is_found_in_text_and_in_no_field() {
    for (class, value, said, part) in [
        (Class::HostName, "esx01.corp.example.com", "ESX01 is down", "esx01"),
        (Class::UserId, "CORP\\jdoe", "user jdoe left, JDOE is gone", "jdoe"),
        (Class::Email, "Jane.Roe+x@example.com", "jane.roe is gone", "jane.roe"),
        (Class::UserId, "J\u{fc}rgen@corp.example.com", "J\u{dc}RGEN is gone", "J\u{fc}rgen"),
    ] {
        let one = suppressions(&[(class, value)]);
        assert!(looked(&one, said, 1_000).0, "{said}");
        assert!(!looked(&one, said, 1_001).0, "{said}");
        let before = |value: &str| {
            one.erased_before(
                class,
                Scalar::Text(value.as_bytes()),
                &[keys()],
                &mut canonical::Scratch::default(),
            )
        };
        assert_eq!(
            (before(value), before(part)),
            (Some(1_000), None),
            "a field that says less may be another"
        );
    }
}

// covers: P8
#[test]
fn what_was_erased_is_compared_in_late_text_as_redaction_compares_it() {
    for (class, value, said, found) in [
        (Class::ObjectName, "Prod  VM one", "at PROD VM \t one.", true),
        (Class::PersonName, "Jane van Doe", "by Jane\\nvan Doe", true),
        (Class::ObjectName, "say \"x\" 1", "{\"a\":\"say \\\"x\\\" 1\"}", true),
        (Class::MacAddress, "00:1b:21:ab:cd:ef", "port 001B21-AB.CD ef up", true),
        (Class::LicenceKey, "JJ2WR-25L9P-H71A8", "key jj2wr.25l9p/h71a8.", true),
        (Class::Phone, "+49 30 748359133", "ring 030/748359133 now", true),
        (Class::Phone, "+49 30 748359133", "ring 748 359-133 now", true),
        (Class::IpAddress, "2001:db8::5", "id=x2001:0DB8:0:0:0:0:0:5y", true),
        (Class::IpAddress, "2001:db8::5", "id=x2001:0DB8:0:0:0:0:0:6y", false),
        (Class::HostName, "2001:db8::5", "at_2001:db8:0::0:5", true),
        // In Base64 and hexadecimal digits: `ESX01 is down now`, `x: Prod VM 1; y`.
        (Class::HostName, "esx01.corp.example.com", "said RVNYMDEgaXMgZG93biBub3c=, then", true),
        (Class::ObjectName, "prod vm 1", "blob%3DeDogUHJvZCBWTSAxOyB5", true),
        (Class::ObjectName, "prod vm 1", "0x783a2050726f6420564d20313b2079", true),
        (Class::ObjectName, "prod vm 2", "blob=eDogUHJvZCBWTSAxOyB5", false),
    ] {
        let one = suppressions(&[(class, value)]);
        assert_eq!(looked(&one, said, 1_000).0, found, "{value} in {said}");
        assert!(!looked(&one, said, 1_001).0, "{said}");
    }
}

// covers: P8
#[test]
fn it_is_told_of_which_classes_a_field_tells_letter_case_apart() {
    for (class, value) in ERASED.into_iter().filter(|(class, _)| class.is_found_in_text()) {
        let form = |value: &str| match canonical(class, value.as_bytes(), &mut canonical::Scratch::default())
        {
            Canonical::Identifier(form) => form.to_vec(),
            Canonical::Known(_) | Canonical::Malformed => panic!("{value} is no {class}"),
        };
        let differ = form(&value.to_uppercase()) != form(&value.to_lowercase());
        assert_eq!(class.keeps_letter_case(), differ, "{class}");
    }
    assert!(!Class::InstanceId.keeps_letter_case() && !Class::Secret.keeps_letter_case());
}

// covers: P8
#[test]
fn a_late_field_is_compared_in_any_letter_case_unless_all_is_taken_that_its_owner_sent() {
    for (class, value, said, late) in [
        (Class::ObjectName, "prod vm 1", "Prod VM 1", true),
        (Class::ObjectName, "Production", "proDUCtion", true),
        (Class::ObjectName, "Production", "proDUCtion 2", false),
        (Class::PersonName, "J\u{fc}rgen  Doe", "J\u{dc}rgen doE", true),
        (Class::UserId, "CORP\\jDoe", "corp\\JdOe", true),
        (Class::Email, "jane.Roe@example.com", "Jane.rOe@EXAMPLE.com", true),
        (Class::InstanceId, "Node-1", "node-1", false),
        (Class::InstanceId, "Node-1", "Node-1", true),
    ] {
        let one = suppressions(&[(class, value)]);
        let scratch = &mut canonical::Scratch::default();
        let before = one.erased_before(class, Scalar::Text(said.as_bytes()), &[keys()], scratch);
        assert_eq!(before, late.then_some(1_000), "{said} of {value}");
    }
}

// covers: P8
#[test]
fn a_name_in_a_script_without_spaces_is_found_inside_of_a_run() {
    for (name, said) in [
        (
            "\u{8d22}\u{52a1}\u{865a}\u{62df}\u{673a}",
            "\u{8fde}\u{63a5}\u{8d22}\u{52a1}\u{865a}\u{62df}\u{673a}\u{5931}\u{8d25}",
        ),
        ("\u{ae40}\u{cca0}\u{c218}", "\u{c804}\u{ae40}\u{cca0}\u{c218}\u{ac00}"),
        ("\u{30ac}\u{30b9}", "\u{30ab}\u{3099}\u{30b9}\u{3067}\u{3059}"),
    ] {
        let one = suppressions(&[(Class::ObjectName, name)]);
        assert!(looked(&one, said, 1_000).0, "{name} in {said}");
        let other: String = said.chars().rev().collect();
        assert_eq!(looked(&one, &other, 1_000), (false, 0), "{name} in {other}");
    }
}

// covers: P8
#[test]
fn a_program_that_came_after_the_erasure_is_looked_through_by_the_keys_of_one_from_before() {
    let one = suppressions(&[(Class::HostName, "esx01.corp.example.com"), (Class::ObjectName, "Prod VM 1")]);
    let of = |program: &ProgramName| SECRET.program(program, 0);
    let joined = of(&ProgramName::new("joined").unwrap());
    assert_eq!(one.keys(&keys(), of).len(), 1, "of a program that was there its own are enough");
    let all = one.keys(&joined, of);
    assert_eq!(all.len(), 2, "however many were erased");
    for said in ["esx01.corp.example.com is down", "ESX01 is down", "prod vm 1"] {
        assert!(one.is_in_text(said, 1_000, &all, &mut Workspace::default()), "{said}");
    }
    let host = Scalar::Text(b"ESX01.corp.example.com");
    let before = one.erased_before(Class::HostName, host, &all, &mut canonical::Scratch::default());
    assert_eq!(before, Some(1_000));
}

// covers: P8
#[test]
fn looking_for_what_was_erased_costs_a_pseudonym_for_each_finding_and_none_for_other_words() {
    let all = suppressions(&ERASED);
    let size = 256 << 10;
    let fill = |unit: &str| unit.repeat(size / unit.len());
    for unit in ["a ", "a b-c.d_e:", "\u{e9} ", "x", "prod vm ", "jane van ", "[]", "%20a", "prod.vm.2 "] {
        let (late, hashed) = looked(&all, &fill(unit), 0);
        assert!(!late);
        assert!(hashed < 64, "{hashed} pseudonyms for {unit}");
    }
    // What is found has a class by its form, and one that a field of the batch gives it.
    for (unit, of_unit) in [("10.1.2.4 ", 1), ("esx02.corp.example.com ", 1), ("a@b.example.com\n", 1)] {
        let text = fill(unit);
        let findings = u64::try_from(text.len() / unit.len()).unwrap() * of_unit;
        let (late, hashed) = looked(&all, &text, 0);
        assert!(!late);
        assert!(hashed <= 2 * findings, "{hashed} pseudonyms for {findings} times {unit}");
    }
}
