//! Checks that the tables of the other files share.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::{Canonical, Scratch, canonical, canonical_bytes, generalise};
use crate::model::IdentifierClass;
use crate::policy::Generalise;

/// A canonical form for reading: the identifier, `=word`, or `!`.
pub(super) fn shown(found: Canonical<'_>) -> String {
    match found {
        Canonical::Identifier(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Canonical::Known(word) => format!("={word}"),
        Canonical::Malformed => "!".to_owned(),
    }
}

/// What [`shown`] says of the form of `text`.
pub(super) fn form(class: IdentifierClass, text: &str) -> String {
    shown(canonical(class, text.as_bytes(), &mut Scratch::default()))
}

/// Checks pairs of a text and what [`shown`] says of its form, and that bytes have the form of the text.
pub(super) fn cases(class: IdentifierClass, table: &[(&str, &str)]) {
    for (text, expected) in table {
        assert_eq!(form(class, text), *expected, "{class} {text:?}");
        if !expected.starts_with(['=', '!']) {
            assert_eq!(form(class, expected), *expected, "{class} {expected:?}, from {text:?}");
        }
        if !matches!(text.len(), 4 | 6 | 8 | 16) && !text.contains('\0') {
            let of_bytes = shown(canonical_bytes(class, text.as_bytes(), &mut Scratch::default()));
            assert_eq!(of_bytes, *expected, "{class} bytes {text:?}");
        }
    }
}

/// Checks that `text` is refused.
pub(super) fn malformed(class: IdentifierClass, text: &str) {
    assert_eq!(form(class, text), "!", "{class} {text:?}");
}

/// Checks that `text`, which is no UTF-8, is refused.
pub(super) fn malformed_bytes(class: IdentifierClass, text: &[u8]) {
    assert_eq!(canonical(class, text, &mut Scratch::default()), Canonical::Malformed, "{class}");
}

/// Checks that `text` is canonical and not copied.
pub(super) fn borrowed(class: IdentifierClass, text: &str) {
    let mut scratch = Scratch::default();
    let Canonical::Identifier(found) = canonical(class, text.as_bytes(), &mut scratch) else {
        panic!("{class} {text:?} is no identifier");
    };
    assert!(text.as_bytes().as_ptr_range().contains(&found.as_ptr()), "{class} {text:?} was copied");
}

/// Checks pairs of a text and its coarser form, and that the coarser form stays as it is.
pub(super) fn coarse(how: Generalise, table: &[(&str, Option<&str>)]) {
    for (text, expected) in table {
        let mut scratch = Scratch::default();
        let made =
            generalise(how, text.as_bytes(), &mut scratch).map(|made| std::str::from_utf8(made).unwrap());
        assert_eq!(made, *expected, "{how:?} {text:?}");
        if let Some(expected) = expected {
            let mut scratch = Scratch::default();
            let again = generalise(how, expected.as_bytes(), &mut scratch);
            assert_eq!(again, Some(expected.as_bytes()), "{how:?} {expected:?}, from {text:?}");
        }
    }
}
