//! Host names: lower-case A-labels (UTS #46, non-transitional) without the last dot. An IP literal is
//! that address.

use std::net::{IpAddr, Ipv4Addr};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::{Found, digest, ip, known};

/// Bytes of the longest domain name in text form, without the last dot (RFC 1035).
const NAME_BYTES: usize = 253;
/// Bytes of the longest label.
const LABEL_BYTES: usize = 63;

/// A domain name in its canonical form.
pub(super) enum Name<'t> {
    /// Part of what was given.
    AsIs(&'t [u8]),
    /// Appended to the buffer.
    Written,
    /// Not a name: an IPv4 address.
    Address(Ipv4Addr),
}

/// What a text of letters, digits, hyphens, underscores and dots is.
enum Look {
    Name,
    /// A name with a label that begins with `xn--` and has to be checked.
    Ace,
    Address(Ipv4Addr),
    Refused,
}

/// Whether there is nothing to fold. Underscores are not host names by RFC 952 and common all the same.
#[inline]
fn is_plain(name: &[u8]) -> bool {
    // Without a way out of the loop it is done many bytes at a time.
    let wrong = name.iter().fold(0, |wrong, byte| {
        let letter = u8::from(byte.wrapping_sub(b'a') < 26);
        let number = u8::from(byte.wrapping_sub(b'0') < 10);
        let hyphen_or_dot = u8::from(byte.wrapping_sub(b'-') < 2);
        let fits = letter | number | hyphen_or_dot | u8::from(*byte == b'_');
        wrong | (fits ^ 1)
    });
    wrong == 0
}

#[inline]
fn look(name: &[u8]) -> Look {
    if name.len() > NAME_BYTES {
        return Look::Refused;
    }
    let mut ace = false;
    let mut last: &[u8] = &[];
    for label in name.split(|byte| *byte == b'.') {
        if label.is_empty() || label.len() > LABEL_BYTES {
            return Look::Refused;
        }
        ace |= label.starts_with(b"xn--");
        last = label;
    }
    // No top-level domain is a number, so this is meant as an address (WHATWG URL, "ends in a number").
    if last.len() < name.len() && last.iter().all(u8::is_ascii_digit) {
        let address = std::str::from_utf8(name).ok().and_then(ip::parse_v4);
        return address.map_or(Look::Refused, Look::Address);
    }
    if ace { Look::Ace } else { Look::Name }
}

fn without_last_dot(name: &[u8]) -> &[u8] {
    name.strip_suffix(b".").unwrap_or(name)
}

/// Reads a domain name; `None` if it is none. Appends to `out` what has to be written.
#[inline]
pub(super) fn name<'t>(text: &'t str, out: &mut Vec<u8>) -> Option<Name<'t>> {
    let given = without_last_dot(text.as_bytes());
    if is_plain(given) {
        return match look(given) {
            Look::Name => Some(Name::AsIs(given)),
            Look::Ace => international(text, out),
            Look::Address(address) => Some(Name::Address(address)),
            Look::Refused => None,
        };
    }
    if !text.is_ascii() {
        return international(text, out);
    }
    let start = out.len();
    out.extend(given.iter().map(u8::to_ascii_lowercase));
    let folded = out.get(start..).unwrap_or_default();
    if !is_plain(folded) {
        out.truncate(start);
        return None;
    }
    match look(folded) {
        Look::Name => Some(Name::Written),
        // Folded text has no address that the text as given has not.
        Look::Address(_) | Look::Refused => None,
        Look::Ace => {
            out.truncate(start);
            international(text, out)
        }
    }
}

/// Maps, checks and encodes by UTS #46. The one path here that allocates.
#[cold]
fn international(text: &str, out: &mut Vec<u8>) -> Option<Name<'static>> {
    // Which ASCII and which lengths are right is decided by `look`, as for any name.
    let mapped = Uts46::new()
        .to_ascii(text.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow, DnsLength::Ignore)
        .ok()?;
    let name = without_last_dot(mapped.as_bytes());
    if !is_plain(name) {
        return None;
    }
    match look(name) {
        Look::Name | Look::Ace => {
            out.extend_from_slice(name);
            Some(Name::Written)
        }
        Look::Address(address) => Some(Name::Address(address)),
        Look::Refused => None,
    }
}

#[inline]
pub(super) fn canonical<'t>(text: &'t str, out: &mut Vec<u8>) -> Found<'t> {
    match name(text, out) {
        Some(Name::AsIs(name)) => known::placeholder(name).map_or(Found::AsIs(name), Found::Known),
        Some(Name::Written) => known::placeholder(out).map_or(Found::Written, Found::Known),
        Some(Name::Address(address)) => ip::written(IpAddr::V4(address), out),
        None => not_a_name(text, out),
    }
}

fn not_a_name<'t>(text: &'t str, out: &mut Vec<u8>) -> Found<'t> {
    if let Some(address) = ip::parse_v6(text) {
        return ip::written(address, out);
    }
    match known::placeholder(text.as_bytes()) {
        Some(word) => Found::Known(word),
        // A broken A-label can have the length of a digest.
        None if text.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("xn--")) => Found::Malformed,
        None => digest::any(text.as_bytes(), out).unwrap_or(Found::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use crate::model::IdentifierClass::HostName;
    use crate::sanitize::canonical::checks::{borrowed, cases, malformed};

    #[test]
    fn case_last_dot_and_script_do_not_matter() {
        cases(
            HostName,
            &[
                ("esx01.corp.example.com", "esx01.corp.example.com"),
                ("ESX01.Corp.Example.COM.", "esx01.corp.example.com"),
                ("esx01.corp.example.com.", "esx01.corp.example.com"),
                (" esx01\r\n", "esx01"),
                ("DESKTOP-4F2K9", "desktop-4f2k9"),
                ("_ldap._tcp.example.com", "_ldap._tcp.example.com"),
                ("web--1-", "web--1-"),
                ("12345", "12345"),
                ("3com.example", "3com.example"),
                ("b\u{fc}cher.example", "xn--bcher-kva.example"),
                ("BU\u{308}CHER.example", "xn--bcher-kva.example"),
                ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
                ("xn--bcher-kva.example.", "xn--bcher-kva.example"),
                ("fa\u{df}.de", "xn--fa-hia.de"),
                ("\u{ff45}\u{ff53}\u{ff58}\u{ff10}\u{ff11}", "esx01"),
                ("esx01\u{3002}example\u{ff0e}com\u{ff61}", "esx01.example.com"),
                ("\u{4f8b}\u{5b50}.\u{6d4b}\u{8bd5}", "xn--fsqu00a.xn--0zwm56d"),
            ],
        );
        borrowed(HostName, "esx-0042.lab.example.com");
        borrowed(HostName, "esx-0042.lab.example.com.");
    }

    #[test]
    fn an_ip_literal_is_that_address() {
        cases(
            HostName,
            &[
                ("10.1.2.3", "10.1.2.3"),
                ("10.1.2.3.", "10.1.2.3"),
                ("\u{ff11}0.1.2.3", "10.1.2.3"),
                ("2001:DB8:0::1", "2001:db8::1"),
                ("::ffff:10.1.2.3", "10.1.2.3"),
                ("127.0.0.1", "=loopback"),
                ("fe80::1%vmk0", "=link-local"),
            ],
        );
    }

    #[test]
    fn names_of_nobody_are_words() {
        cases(
            HostName,
            &[
                ("localhost", "=localhost"),
                ("LOCALHOST.", "=localhost"),
                ("localhost.localdomain", "=localhost"),
                ("\u{ff4c}ocalhost", "=localhost"),
                ("uninitialized", "=uninitialized"),
                ("Unknown", "=placeholder"),
                ("(none)", "=placeholder"),
                ("n/a", "=placeholder"),
                ("0.0.0.0", "=unspecified"),
                ("0", "=zero"),
                ("", "=empty"),
            ],
        );
    }

    #[test]
    fn what_is_no_name_is_malformed() {
        let long = "a.".repeat(127);
        for text in [
            "esx01:443",
            "[2001:db8::1]",
            "https://esx01",
            "bob@esx01",
            "my host",
            "host$",
            "a..b",
            ".a",
            ".",
            "a..",
            "256.1.1.1",
            "010.1.2.3",
            "1.2.3",
            "10.1.2.3.4",
            "host.1",
            "xn--a.example",
            "xn--\u{fc}.example",
            "a\u{200d}b.example\u{fffd}",
            &"a".repeat(65),
            &format!("{long}a"),
        ] {
            malformed(HostName, text);
        }
    }
}
