//! Text without a form of its own: NFC, without outer white space.

use std::io::Write as _;

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

use super::{Found, digest, known};

/// `text` without white space and NUL around it (firmware pads with both).
#[inline]
pub(super) fn trim(text: &str) -> &str {
    let graphic = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    if graphic(text.as_bytes().first()) && graphic(text.as_bytes().last()) {
        return text;
    }
    text.trim_matches(|c: char| c.is_whitespace() || c == '\0')
}

/// Whether `text` is surely in NFC already.
#[inline]
pub(super) fn is_nfc(text: &str) -> bool {
    text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes
}

/// Appends `chars`.
pub(super) fn push_all(chars: impl Iterator<Item = char>, out: &mut Vec<u8>) {
    for c in chars {
        push(c, out);
    }
}

/// Appends `c`.
pub(super) fn push(c: char, out: &mut Vec<u8>) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Appends `text` in NFC.
#[inline]
pub(super) fn push_nfc(text: &str, out: &mut Vec<u8>) {
    if is_nfc(text) {
        out.extend_from_slice(text.as_bytes());
    } else {
        push_all(text.nfc(), out);
    }
}

/// Appends what `value` displays.
pub(super) fn push_display(value: impl std::fmt::Display, out: &mut Vec<u8>) {
    // Writing to a `Vec` has no error to give.
    _ = write!(out, "{value}");
}

/// The canonical form of text that could be anything.
#[inline]
pub(super) fn canonical<'t>(text: &'t str, out: &mut Vec<u8>) -> Found<'t> {
    if let Some(word) = known::placeholder(text.as_bytes()) {
        return Found::Known(word);
    }
    if let Some(found) = digest::hex(text.as_bytes(), out) {
        return found;
    }
    if is_nfc(text) {
        return Found::AsIs(text.as_bytes());
    }
    push_all(text.nfc(), out);
    // NFC turns a few characters into ASCII (KELVIN SIGN into K).
    known::placeholder(out).map_or(Found::Written, Found::Known)
}

#[cfg(test)]
mod tests {
    use crate::model::IdentifierClass;
    use crate::sanitize::canonical::checks::{cases, malformed_bytes};

    #[test]
    fn names_are_trimmed_and_composed() {
        cases(
            IdentifierClass::ObjectName,
            &[
                ("Prod VM 1", "Prod VM 1"),
                ("  Prod VM 1\t\r\n", "Prod VM 1"),
                ("serial\0\0", "serial"),
                ("\u{a0}x\u{2003}", "x"),
                ("Cafe\u{301}", "Caf\u{e9}"),
                ("Caf\u{e9}", "Caf\u{e9}"),
                ("\u{1100}\u{1161}", "\u{ac00}"),
                ("\u{212b}", "\u{c5}"),
                ("vm-12", "vm-12"),
                ("D41D8CD98F00B204E9800998ECF8427E", "d41d8cd98f00b204e9800998ecf8427e"),
                ("DEADBEEF", "DEADBEEF"),
                ("Unknown", "=placeholder"),
                ("UN\u{212a}NOWN", "=placeholder"),
                ("", "=empty"),
                (" \t\0 ", "=empty"),
                ("00000000", "=zero"),
                ("00-01", "00-01"),
            ],
        );
    }

    #[test]
    fn text_that_is_not_utf8_is_malformed() {
        for class in IdentifierClass::ALL {
            malformed_bytes(*class, b"\xff\xfe");
            malformed_bytes(*class, b"ok\xc3");
        }
    }
}
