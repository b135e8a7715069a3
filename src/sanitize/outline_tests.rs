//! What is seen of a spelling in text, and what that costs.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::{Outline, Outlines, WORDS, any_words};
use crate::model::IdentifierClass as Class;

/// What is looked at of a text, when these are looked for.
fn seen(wanted: &[&str], text: &str) -> Vec<String> {
    let mut outlines = Outlines::default();
    let of = |spelling: &&str| (Class::ObjectName, Outline::of(spelling.as_bytes()).unwrap());
    outlines.extend(wanted.iter().map(of));
    outlines.finish();
    let mut seen = Vec::new();
    let found = outlines.any_in(text, |_, spelling| {
        seen.push(spelling.to_owned());
        false
    });
    assert!(!found);
    seen
}

#[test]
fn a_spelling_is_seen_as_whole_words_whatever_its_case_and_signs() {
    let text = "login of Jane.Doe@example.com (Jane van  Doe) from 10.1.2.3:443#1 to \"Prod VM 1\", see https://esx01/ui?h=esx02.";
    for (wanted, expected) in [
        ("jane.doe@EXAMPLE.com", "Jane.Doe@example.com"),
        ("jane van doe", "Jane van  Doe"),
        ("(Jane van Doe)", "(Jane van  Doe)"),
        ("10.1.2.3", "10.1.2.3"),
        ("prod-vm-1", "Prod VM 1"),
        ("esx01", "esx01"),
        ("ESX02.", "esx02."),
    ] {
        assert_eq!(seen(&[wanted], text), [expected], "{wanted}");
    }
    for other in ["esx0", "jane.do", "rod vm 1", "[esx02]]]"] {
        assert_eq!(seen(&[other], text).iter().filter(|seen| !seen.contains("esx02")).count(), 0, "{other}");
    }
    assert!(seen(&["esx01"], "").is_empty() && seen(&["esx01"], " -- ").is_empty());
}

#[test]
fn letters_beyond_ascii_are_seen_however_they_are_composed() {
    let composed = "Jos\u{e9} \u{dc}nic\u{f6}d\u{e9}";
    let apart = "Jose\u{301} U\u{308}nico\u{308}de\u{301}";
    for wanted in [composed, apart] {
        for text in [composed, apart] {
            assert_eq!(seen(&[wanted], &format!("\u{201c}{text}\u{201d}, up")), [text]);
        }
    }
    assert_eq!(
        seen(&["esx01"], "at \u{ff45}\u{ff53}\u{ff58}\u{ff10}\u{ff11}!"),
        ["\u{ff45}\u{ff53}\u{ff58}\u{ff10}\u{ff11}"]
    );
}

#[test]
fn an_outline_reads_as_it_was_kept_and_not_everything_has_one() {
    for spelling in ["esx01.corp.example.com", "{564d8a3b-1234-abcd-8899-aabbccddeeff}", "\u{e9}"] {
        let outline = Outline::of(spelling.as_bytes()).unwrap();
        let kept = outline.encode();
        assert_eq!(Outline::decode(&kept).collect::<Vec<_>>(), [outline]);
    }
    assert_eq!(Outline::of(b"..."), None);
    assert_eq!(Outline::of(&[0xff, b'a']), None);
    assert_eq!(Outline::of("a ".repeat(WORDS + 1).as_bytes()), None);
    assert_eq!(Outline::of("a".repeat(300).as_bytes()), None);
}

#[test]
fn what_is_looked_at_is_bounded_by_the_number_of_words() {
    for text in ["a ".repeat(10_000), "a-b_c\u{e9}".repeat(10_000), " ".repeat(30_000), "x".repeat(30_000)] {
        let mut looked = 0;
        let count = super::words(&text).count();
        any_words(&text, usize::MAX, |_, _| {
            looked += 1;
            false
        });
        assert!(looked <= count * WORDS, "{looked} of {count} words");
    }
}

#[test]
fn a_name_between_letters_of_a_script_without_spaces_is_seen() {
    let text = "\u{865a}\u{62df}\u{673a}Prod VM 1\u{6545}\u{969c}\u{2192}Zo\u{eb}-7\u{2026}";
    for wanted in [
        "Prod VM 1",
        "\u{865a}\u{62df}\u{673a}",
        "\u{62df}",
        "\u{673a}Prod VM",
        "\u{865a}\u{62df}\u{673a}Prod",
        "Zo\u{eb}-7",
    ] {
        assert_eq!(seen(&[wanted], text), [wanted]);
    }
}
