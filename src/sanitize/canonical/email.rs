//! E-mail addresses: the local part as it is in NFC (its letter case is the receiver's business), the
//! domain as a host name.

use super::host::{self, Name};
use super::{Found, digest, known, text};

/// Bytes of the longest local part (RFC 5321).
const LOCAL_BYTES: usize = 64;

/// Whether `local` is made of the characters that need no quotes (RFC 5322 `atext`, RFC 6531) and dots.
#[inline]
fn is_local(local: &[u8]) -> bool {
    let fits =
        |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80 || b".!#$%&'*+-/=?^_`{|}~".contains(byte);
    (1..=LOCAL_BYTES).contains(&local.len()) && local.iter().all(fits)
}

/// Reads an address; `None` if it is none. `out` is empty.
#[inline]
fn address<'t>(text: &'t str, out: &mut Vec<u8>) -> Option<Found<'t>> {
    let (local, domain) = text.rsplit_once('@')?;
    if !local.is_ascii() && local.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return None;
    }
    text::push_nfc(local, out);
    if !is_local(out) {
        return None;
    }
    let as_is = out.as_slice() == local.as_bytes();
    out.push(b'@');
    match host::name(domain, out)? {
        Name::AsIs(name) if as_is && name.len() == domain.len() => return Some(Found::AsIs(text.as_bytes())),
        Name::AsIs(name) => out.extend_from_slice(name),
        Name::Written => {}
        Name::Address(_) => return None,
    }
    Some(Found::Written)
}

#[inline]
pub(super) fn canonical<'t>(text: &'t str, out: &mut Vec<u8>) -> Found<'t> {
    if let Some(found) = address(text, out) {
        return found;
    }
    match known::placeholder(text.as_bytes()) {
        Some(word) => Found::Known(word),
        None => digest::any(text.as_bytes(), out).unwrap_or(Found::Malformed),
    }
}

/// Writes `@` and the domain of an address, or of what this function made. The `@` is what tells a
/// domain from an address that somebody wrote without one, which must not be kept.
pub(super) fn domain(text: &str, out: &mut Vec<u8>) -> Option<Found<'static>> {
    let (local, domain) = text.rsplit_once('@')?;
    if !local.is_empty() && address(text, out).is_none() {
        return None;
    }
    out.clear();
    out.push(b'@');
    match host::name(domain, out)? {
        Name::AsIs(name) => out.extend_from_slice(name),
        Name::Written => {}
        Name::Address(_) => return None,
    }
    Some(Found::Written)
}

#[cfg(test)]
mod tests {
    use crate::model::IdentifierClass::Email;
    use crate::sanitize::canonical::checks::{borrowed, cases, malformed};

    #[test]
    fn the_domain_is_folded_and_the_local_part_is_not() {
        cases(
            Email,
            &[
                ("bob.smith@example.com", "bob.smith@example.com"),
                ("Bob.Smith@Example.COM", "Bob.Smith@example.com"),
                ("bob@example.com.", "bob@example.com"),
                ("bob+tag@B\u{fc}cher.example", "bob+tag@xn--bcher-kva.example"),
                ("jose\u{301}@example.com", "jos\u{e9}@example.com"),
                ("jose\u{301}@EXAMPLE.com", "jos\u{e9}@example.com"),
                ("root@localhost", "root@localhost"),
                (" bob@example.com\n", "bob@example.com"),
                ("unknown", "=placeholder"),
            ],
        );
        borrowed(Email, "bob.smith@example.com");
    }

    #[test]
    fn what_is_no_address_is_malformed() {
        for text in [
            "bob",
            "bob@",
            "@example.com",
            "@",
            "bob smith@example.com",
            "Bob <bob@example.com>",
            "\"bob smith\"@example.com",
            "bob@[10.1.2.3]",
            "bob@10.1.2.3",
            "bob@exam ple.com",
            "bob@@example.com",
            "mailto:bob@example.com",
            "bob\u{37e}@example.com",
            "bob\u{a0}@example.com",
        ] {
            malformed(Email, text);
        }
        malformed(Email, &format!("{}@example.com", "a".repeat(65)));
    }
}
