//! Tests: which spellings of known identifiers are found, and what happens when there are too many.

use super::{ENTRIES, FORBIDDEN, Known, VALUES};
use crate::model::IdentifierClass as Class;
use crate::sanitize::canonical::Scratch;
use crate::sanitize::detect::Lookup as _;

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
        (Class::ObjectName, "abc"),
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
        ("hunter2-x", Some((9, Class::Secret, "hunter2-x"))),
        ("standard", None),
        ("abc", None),
        ("localhost", None),
    ] {
        let found = (&known).longest(text.as_bytes(), 0);
        let found = found.and_then(|(len, number)| {
            let (class, canonical) = known.get(number)?;
            Some((len, class, std::str::from_utf8(canonical).ok()?))
        });
        assert_eq!(found, expected, "{text}");
    }
}

/// The first identifier that is found in a text, with its place.
fn first<'k>(known: &'k Known, text: &str) -> Option<(usize, usize, &'k str)> {
    (0..text.len()).filter(|at| text.is_char_boundary(*at)).find_map(|start| {
        let (end, number) = known.longest(text.as_bytes(), start)?;
        Some((start, end, std::str::from_utf8(known.get(number)?.1).ok()?))
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
        ("vm", None),
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
    let long = "x".repeat(200);
    for number in 0..FORBIDDEN {
        known.add(Class::Secret, format!("{long}-{number}").as_bytes(), &mut scratch);
    }
    for number in 0..ENTRIES {
        known.add(Class::VmId, format!("vm-{}-{number}", &long[..80]).as_bytes(), &mut scratch);
    }
    assert!(!known.is_over() && known.arena.len() > super::ARENA);
    let mut known = Known::default();
    for number in 0..VALUES {
        known.add(Class::Secret, format!("secret-{}", number % FORBIDDEN).as_bytes(), &mut scratch);
        let local = format!("169.254.{}.{}", number / 256, number % 256);
        known.add(Class::IpAddress, local.as_bytes(), &mut scratch);
    }
    assert!(!known.is_over() && known.entries.len() == FORBIDDEN);
}
