//! Tests: which spellings of known identifiers are found, and what happens when there are too many.

use super::{ENTRIES, FORBIDDEN, Known, VALUES};
use crate::model::IdentifierClass as Class;
use crate::sanitize::canonical::Scratch;

fn known(values: &[(Class, &str)]) -> Known {
    let mut known = Known::default();
    for (class, value) in values {
        known.add(*class, value.as_bytes(), &mut Scratch::default());
    }
    known.finish();
    known
}

#[test]
fn the_longest_known_spelling_that_is_a_whole_word_is_found() {
    let known = known(&[
        (Class::ObjectName, "Prod VM 1"),
        (Class::ObjectName, "Prod"),
        (Class::HostName, "ESX-04.corp.example.com."),
        (Class::UserId, "CORP\\jdoe"),
        (Class::MacAddress, "00-1B-21-AB-CD-EF"),
        (Class::Secret, "hunter2-x"),
        (Class::NotIdentifying, "standard"),
        (Class::ObjectName, "404"),
        (Class::Location, "IN"),
        (Class::HostName, "localhost"),
    ]);
    for (text, expected) in [
        ("prod vm 1 is off", Some((9, Class::ObjectName, "Prod VM 1"))),
        ("prod vm 10 is off", Some((4, Class::ObjectName, "Prod"))),
        ("PROD", Some((4, Class::ObjectName, "Prod"))),
        ("products", None),
        ("esx-04.corp.example.com:", Some((23, Class::HostName, "esx-04.corp.example.com"))),
        ("ESX-04 is down", Some((6, Class::HostName, "esx-04.corp.example.com"))),
        ("jdoe)", Some((4, Class::UserId, "corp\\jdoe"))),
        ("001b21abcdef up", Some((12, Class::MacAddress, "00:1b:21:ab:cd:ef"))),
        ("hunter2-x", Some((9, Class::Secret, ""))),
        ("standard", None),
        ("404", None),
        ("in", None),
        ("localhost", None),
    ] {
        let found = known.longest(text.as_bytes(), 0);
        let found = found.and_then(|(len, number)| {
            let (class, canonical) = known.get(number)?;
            Some((len, class, std::str::from_utf8(canonical.unwrap_or_default()).ok()?))
        });
        assert_eq!(found, expected, "{text}");
    }
}

// covers: P1, P8
#[test]
fn a_telephone_number_is_found_by_its_end_and_what_is_none_is_not() {
    let known = known(&[
        (Class::Phone, "+49 30 748359133"),
        (Class::Phone, "+49 89 5551234 ext. 5"),
        (Class::Phone, "esx01.corp.example.com"),
        (Class::Phone, "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
    ]);
    for (text, expected) in [
        ("748 359-133 rings", Some("+4930748359133")),
        ("555-1234 rings", Some("+49895551234")),
        ("089/5551234", Some("+49895551234")),
        ("esx01.corp.example.com", Some("esx01.corp.example.com")),
        ("example.com is up", None),
        ("afd80709", None),
    ] {
        let found = known.longest(text.as_bytes(), 0);
        let form = found.and_then(|(_, number)| known.get(number)?.1);
        assert_eq!(form, expected.map(str::as_bytes), "{text}");
    }
}

// covers: P1, P4
#[test]
fn what_is_a_part_of_several_is_of_none_of_them() {
    let known = known(&[
        (Class::HostName, "db1.a.example"),
        (Class::HostName, "DB1.b.example"),
        (Class::HostName, "db2.a.example"),
        (Class::HostName, "DB2.a.example"),
        (Class::UserId, "A\\jdoe"),
        (Class::UserId, "B\\jdoe"),
        (Class::UserId, "db3@a.example"),
        (Class::HostName, "db3.a.example"),
        (Class::HostName, "db4.a.example"),
        (Class::HostName, "db4.b.example"),
        (Class::ObjectName, "db4"),
    ]);
    for (text, class, form) in [
        ("db1.a.example", Class::HostName, Some("db1.a.example")),
        ("db1", Class::HostName, None),
        ("db2", Class::HostName, Some("db2.a.example")),
        ("jdoe", Class::UserId, None),
        // Of two classes that which comes first among all: the order of events says nothing.
        ("db3", Class::HostName.min(Class::UserId), None),
        // What a field itself names.
        ("db4", Class::ObjectName, Some("db4")),
    ] {
        let found = known.longest(text.as_bytes(), 0);
        let found = found.and_then(|(len, number)| Some((len, known.get(number)?)));
        assert_eq!(found, Some((text.len(), (class, form.map(str::as_bytes)))), "{text}");
    }
}

// covers: B1
#[test]
fn the_walk_of_a_text_is_bounded_whatever_is_known() {
    let long = "a ".repeat(2_000);
    let known = known(&[
        (Class::CustomerContent, &long),
        (Class::ObjectName, "a a a a a a a a a a a a b"),
        (Class::LicenceKey, "11111-11111-11111-11111-2"),
        (Class::Phone, "+11111111111112"),
    ]);
    for unit in ["a ", "a    \n   ", "a\\n", "1", "1 ", "1-(", "0", "\u{e9}", "\\"] {
        let text = unit.repeat(20_000 / unit.len());
        let looked = crate::sanitize::detect::work::of(|| {
            for at in 0..text.len() {
                _ = known.longest(text.as_bytes(), at);
            }
        });
        let most = u64::try_from(text.len() * 3 * 257).unwrap_or(0);
        assert!(looked <= most, "{unit:?}: {looked} for {} bytes", text.len());
    }
}

/// The first identifier that is found in a text, with its place.
fn first<'k>(known: &'k Known, text: &str) -> Option<(usize, usize, &'k str)> {
    (0..text.len()).filter(|at| text.is_char_boundary(*at)).find_map(|start| {
        let (end, number) = known.longest(text.as_bytes(), start)?;
        Some((start, end, std::str::from_utf8(known.get(number)?.1.unwrap_or_default()).ok()?))
    })
}

// covers: P1
#[test]
fn names_are_found_in_scripts_without_spaces_and_short_ones_by_themselves() {
    let known = known(&[
        (Class::ObjectName, "\u{8d22}\u{52a1}\u{865a}\u{62df}\u{673a}"),
        (Class::ObjectName, "Prod-VM-01"),
        (Class::ObjectName, "\u{dc}berpool Nord"),
        (Class::ObjectName, "db1"),
        (Class::ObjectName, "x2"),
        (Class::ObjectName, "vm"),
        (Class::ObjectName, "B\u{fc}ro \u{2013} Server"),
    ]);
    for (text, found) in [
        ("\u{8fde}\u{63a5}\u{8d22}\u{52a1}\u{865a}\u{62df}\u{673a}\u{5931}\u{8d25}", Some((6, 21))),
        ("Prod-VM-01\u{6545}\u{969c}", Some((0, 10))),
        ("prod-vm-01\u{2026}", Some((0, 10))),
        ("\u{fc}berpool nord", Some((0, 14))),
        ("\u{dc}BERPOOL NORD", Some((0, 14))),
        ("b\u{fc}ro - server", Some((0, 14))),
        ("DB1", Some((0, 3))),
        ("db1\u{6ee1}", Some((0, 3))),
        ("db1", Some((0, 3))),
        ("x2:", Some((0, 2))),
        ("db12", None),
        ("x2y", None),
        ("VM is off", Some((0, 2))),
        ("vms", None),
        ("\u{5e93}vm", Some((3, 5))),
    ] {
        let place = first(&known, text).map(|(start, end, _)| (start, end));
        assert_eq!(place, found, "{text}");
    }
}

// covers: P4, P8
#[test]
fn a_host_or_an_account_without_its_domain_is_the_one_with_it() {
    let known = known(&[
        (Class::HostName, "esx-04.corp.example.com"),
        (Class::HostName, "db1.corp.example.com"),
        (Class::HostName, "nas-7"),
        (Class::HostName, "nas-7.corp.example.com"),
        (Class::UserId, "CORP\\jdoe"),
    ]);
    for (text, found) in [
        ("ESX-04 is down", "esx-04.corp.example.com"),
        ("db1", "db1.corp.example.com"),
        // What a field itself names.
        ("nas-7", "nas-7"),
        ("jdoe", "corp\\jdoe"),
    ] {
        assert_eq!(first(&known, text).map(|(_, _, name)| name), Some(found), "{text}");
    }
}

// covers: B1, P1
#[test]
fn a_value_is_added_once_and_too_many_are_told() {
    let mut scratch = Scratch::default();
    for (class, most) in [(Class::VmId, ENTRIES), (Class::Secret, FORBIDDEN)] {
        let mut known = Known::default();
        for number in 0..most * 2 {
            known.add(class, format!("vm-{}", number / 2).as_bytes(), &mut scratch);
        }
        known.finish();
        assert_eq!((known.entries.len(), known.is_over()), (most, false));
        assert!(first(&known, &format!("vm-{}", most - 1)).is_some());
        known.add(class, b"vm-x", &mut scratch);
        assert!(known.is_over());
        known.clear();
        assert!(!known.is_over() && first(&known, "vm-10").is_none());
    }
    // The one kind leaves the other its room: of identifiers, of their bytes, and of values that are none.
    let mut known = Known::default();
    let long = "x".repeat(240);
    for number in 0..FORBIDDEN {
        known.add(Class::Secret, format!("{long}-{number}").as_bytes(), &mut scratch);
    }
    for number in 0..ENTRIES {
        known.add(Class::VmId, format!("vm-{}-{number}", &long[..100]).as_bytes(), &mut scratch);
    }
    assert!(!known.is_over() && known.bytes() > super::ARENA);
    let mut known = Known::default();
    for number in 0..VALUES {
        known.add(Class::Secret, format!("secret-{}", number % FORBIDDEN).as_bytes(), &mut scratch);
        let local = format!("169.254.{}.{}", number / 256, number % 256);
        known.add(Class::IpAddress, local.as_bytes(), &mut scratch);
    }
    assert!(!known.is_over() && known.entries.len() == FORBIDDEN);
}

// covers: P4, P8
#[test]
fn of_identifiers_that_differ_in_letter_case_text_names_the_one_that_it_writes() {
    let mut names = ["Prod-VM", "prod-vm", "PROD-VM", "other"].map(|name| (Class::ObjectName, name));
    for _ in 0..2 {
        let known = known(&names);
        for (text, form) in
            [("prod-vm", "prod-vm"), ("PROD-VM", "PROD-VM"), ("Prod-VM", "Prod-VM"), ("OTHER", "other")]
        {
            let (_, number) = known.longest(text.as_bytes(), 0).unwrap_or_default();
            let found = known.get(known.exactly(number, text.as_bytes()));
            assert_eq!(found, Some((Class::ObjectName, Some(form.as_bytes()))), "{text}");
        }
        names.reverse();
    }
}
