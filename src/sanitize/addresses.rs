//! Addresses of IPv6 in text, in whatever spelling and whatever stands beside them: `2001:0DB8:0:0:0:0:0:5`,
//! `2001:db8::5:443`. What detectors do not take for an address, erasure does: it knows which one it looks for, and only
//! that one counts. An address of IPv4 has one spelling, or is at the end of one of IPv6.

use super::canonical::{Canonical, Scratch, canonical_str};
use crate::model::IdentifierClass as Class;

/// Bytes of the longest spelling.
const LONGEST: usize = 45;
/// Colons of the shortest spelling.
const COLONS: usize = 2;

/// Whether the canonical form of any address in a text passes.
pub(super) fn any(text: &str, mut is: impl FnMut(&[u8]) -> bool) -> bool {
    // Most text has no colons beside each other or near.
    if memchr::memchr_iter(b':', text.as_bytes()).nth(COLONS - 1).is_none() {
        return false;
    }
    let mut scratch = Scratch::default();
    let is_of = |c: char| c.is_ascii_hexdigit() || matches!(c, ':' | '.');
    let runs = text.split(|c| !is_of(c));
    runs.filter(|run| colons(run) >= COLONS).any(|run| any_in_run(run, &mut scratch, &mut is))
}

fn colons(run: &str) -> usize {
    memchr::memchr_iter(b':', run.as_bytes()).count()
}

/// The longest address that begins at each place where one can.
fn any_in_run(run: &str, scratch: &mut Scratch, is: &mut impl FnMut(&[u8]) -> bool) -> bool {
    let mut at = 0;
    while at < run.len() {
        let rest = run.get(at..).unwrap_or_default();
        match longest(rest, scratch) {
            Some((len, Canonical::Identifier(form))) => {
                if is(form) {
                    return true;
                }
                at += len;
            }
            Some((len, Canonical::Known(_) | Canonical::Malformed)) => at += len,
            // Behind the next colon, and at the two that an address can begin with.
            None => {
                let next = rest.find(':').map_or(rest.len(), |colon| colon + 1);
                at += if next > 1 && rest.get(next - 1..).is_some_and(|rest| rest.starts_with("::")) {
                    next - 1
                } else {
                    next
                };
            }
        }
    }
    false
}

/// The longest address that a run begins with, and its length.
fn longest<'s>(run: &'s str, scratch: &'s mut Scratch) -> Option<(usize, Canonical<'s>)> {
    let most = run.get(..LONGEST.min(run.len()))?;
    let is_end = |at: &usize| {
        *at == most.len()
            || matches!(most.as_bytes().get(*at), Some(b':' | b'.'))
            || most.get(..*at).is_some_and(|one| one.ends_with("::"))
    };
    let ends = (COLONS..=most.len()).rev().filter(is_end);
    let is_address = |end: &usize| {
        most.get(..*end).is_some_and(|one| colons(one) >= COLONS && one.parse::<std::net::Ipv6Addr>().is_ok())
    };
    let end = ends.into_iter().find(is_address)?;
    let form = match canonical_str(Class::IpAddress, most.get(..end)?, scratch) {
        Canonical::Identifier(form) => Canonical::Identifier(form),
        Canonical::Known(word) => Canonical::Known(word),
        Canonical::Malformed => return None,
    };
    Some((end, form))
}

#[cfg(test)]
mod tests {
    use super::any;

    fn all(text: &str) -> Vec<String> {
        let mut all = Vec::new();
        any(text, |form| {
            all.push(String::from_utf8_lossy(form).into_owned());
            false
        });
        all
    }

    #[test]
    fn an_address_is_read_in_every_spelling_and_with_anything_beside_it() {
        for (text, expected) in [
            ("2001:0DB8:0:0:0:0:0:5", &["2001:db8::5"][..]),
            ("x2001:db8:0::5y", &["2001:db8::5"]),
            ("from:2001:db8:0:0:0:0:0:5:443.", &["2001:db8::5"]),
            ("[2001:DB8::0:5]:443, ::ffff:0a01:0203", &["2001:db8::5", "10.1.2.3"]),
            ("peer=::FFFF:10.1.2.3.", &["10.1.2.3"]),
            ("2001:db8::5. 2001:db8::6:", &["2001:db8::5", "2001:db8::6"]),
            ("at 12:30:45", &[]),
            ("::1 fe80::1", &[]),
            ("a:b:c:d and no more: than: this", &[]),
            ("00:1b:21:ab:cd:ef", &[]),
            ("10.1.2.3:443", &[]),
            ("", &[]),
        ] {
            assert_eq!(all(text), expected, "{text}");
        }
        // Of long runs no more is read than there are places to begin at.
        assert!(all(&"1:".repeat(5_000)).len() <= 5_000);
        assert!(all(&":".repeat(5_000)).is_empty());
    }
}
