//! Generalisations of text and bytes: what is left is coarser, in a form of its own.
//!
//! Each takes what it made itself, and what a finer one made, and gives what it would have given for the
//! raw value: so a stored batch can be brought to a lower level. Values that are not identifiers come
//! out as their word ([`super::WORDS`]).

use super::{Canonical, Found, Scratch, bytes, email, hour, ip, known, mac, number, origin, place, text};
use crate::policy::Generalise;

/// The coarser form of a text value; `None` if it has none, and then nothing may be stored.
pub fn generalise<'s>(how: Generalise, value: &'s [u8], scratch: &'s mut Scratch) -> Option<&'s [u8]> {
    let text = std::str::from_utf8(value).ok()?;
    let out = scratch.for_value(value.len());
    let found = of_text(how, text::trim(text), out)?;
    stored(found, out)
}

/// The coarser form of a bytes value: a MAC or IP address as such, else printable text.
pub fn generalise_bytes<'s>(how: Generalise, value: &'s [u8], scratch: &'s mut Scratch) -> Option<&'s [u8]> {
    let out = scratch.for_value(value.len());
    let found = match how {
        Generalise::IpNetwork => bytes::address(value).map(|address| Some(ip::network_of(address, out))),
        Generalise::MacVendor => mac::Octets::from_bytes(value).map(|address| mac::vendor_of(&address, out)),
        Generalise::EmailDomain
        | Generalise::UrlOrigin
        | Generalise::LocationCountry
        | Generalise::LocationRegion
        | Generalise::TimeHour
        | Generalise::Bucket(_) => None,
    };
    let found = match found {
        Some(found) => found?,
        None => of_text(how, text::trim(bytes::printable(value)?), out)?,
    };
    stored(found, out)
}

fn of_text(how: Generalise, text: &str, out: &mut Vec<u8>) -> Option<Found<'static>> {
    let made = match how {
        Generalise::IpNetwork => ip::network(text, out),
        Generalise::MacVendor => mac::vendor(text.as_bytes(), out),
        Generalise::EmailDomain => email::domain(text, out),
        Generalise::UrlOrigin => origin::origin(text, out),
        Generalise::LocationCountry => place::country(text.as_bytes(), out),
        Generalise::LocationRegion => place::region(text.as_bytes(), out),
        Generalise::TimeHour => hour::hour(text, out),
        Generalise::Bucket(width) => bucket(width, text, out),
    };
    made.or_else(|| not_an_identifier(text).map(Found::Known))
}

fn not_an_identifier(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some(known::EMPTY);
    }
    known::known_word(text.as_bytes()).or_else(|| known::placeholder(text.as_bytes()))
}

/// Writes the bucket of a whole number in decimal text.
fn bucket(width: u64, text: &str, out: &mut Vec<u8>) -> Option<Found<'static>> {
    let value: i64 = text.parse().ok()?;
    text::push_display(number::generalise_number(width, value), out);
    Some(Found::Written)
}

fn stored<'s>(found: Found<'s>, out: &'s [u8]) -> Option<&'s [u8]> {
    match found.in_buffer(out) {
        Canonical::Identifier(made) => Some(made),
        Canonical::Known(word) => Some(word.as_bytes()),
        Canonical::Malformed => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Scratch, generalise_bytes};
    use crate::policy::Generalise::{
        Bucket, EmailDomain, IpNetwork, LocationCountry, LocationRegion, MacVendor,
    };
    use crate::sanitize::canonical::checks::coarse;

    #[test]
    fn an_address_is_left_with_its_network() {
        coarse(
            IpNetwork,
            &[
                ("10.1.2.3", Some("10.1.2.0/24")),
                ("10.1.2.0/24", Some("10.1.2.0/24")),
                ("::ffff:10.1.2.3", Some("10.1.2.0/24")),
                ("2001:db8:1:2:3:4:5:6", Some("2001:db8:1::/48")),
                ("2001:DB8:1:2::%eth0", Some("2001:db8:1::/48")),
                ("2001:db8:1::/48", Some("2001:db8:1::/48")),
                // 6to4: the next 32 bits are an IPv4 address.
                ("2002:0a01:0203::1", Some("10.1.2.0/24")),
                ("0.0.0.9", Some("0.0.0.0/24")),
                ("::2", Some("::/48")),
                ("2002:7f00:1::", Some("loopback")),
                ("2002:a01:203::/48", None),
                ("127.0.0.1", Some("loopback")),
                ("169.254.3.4", Some("link-local")),
                ("n/a", Some("placeholder")),
                ("10.1.2.3/24", None),
                ("10.1.2.0/25", None),
                ("2001:db8:1:2::/48", None),
                ("2001:db8:1::/64", None),
                ("esx01", None),
                ("da39a3ee5e6b4b0d3255bfef95601890afd80709", None),
            ],
        );
    }

    #[test]
    fn a_mac_address_is_left_with_its_vendor() {
        coarse(
            MacVendor,
            &[
                ("00:50:56:ab:cd:ef", Some("00:50:56")),
                ("0050.56AB.CDEF", Some("00:50:56")),
                ("00:50:56:ff:fe:ab:cd:ef", Some("00:50:56")),
                ("00:00:00:01:02:03", Some("00:00:00")),
                ("00:50:56", Some("00:50:56")),
                ("00:00:00:00:00:00", Some("zero")),
                ("ff:ff:ff:ff:ff:ff", Some("broadcast")),
                ("02:50:56:ab:cd:ef", None),
                ("01:00:5e:00:00:01", None),
                ("02:50:56", None),
                ("00-50-56", None),
                ("host", None),
            ],
        );
    }

    #[test]
    fn an_address_is_left_with_its_domain() {
        coarse(
            EmailDomain,
            &[
                ("Bob.Smith@Example.COM", Some("@example.com")),
                ("bob@b\u{fc}cher.example", Some("@xn--bcher-kva.example")),
                ("@example.com", Some("@example.com")),
                ("unknown", Some("placeholder")),
                ("bob.smith", None),
                ("example.com", None),
                ("bob@10.1.2.3", None),
                ("Bob <bob@example.com>", None),
            ],
        );
    }

    #[test]
    fn a_place_is_left_with_its_country_or_region() {
        coarse(
            LocationRegion,
            &[("de-by", Some("DE-BY")), ("DE", Some("DE")), ("DE-BAYERN", None), ("Munich", None)],
        );
        coarse(
            LocationCountry,
            &[
                ("de-by", Some("DE")),
                ("us", Some("US")),
                ("XX", None),
                ("DE-BAYERN", None),
                ("", Some("empty")),
            ],
        );
    }

    #[test]
    fn a_number_in_text_is_left_with_its_bucket() {
        coarse(Bucket(100), &[("1234", Some("1200")), ("-1", Some("-100")), ("12.5", None), ("many", None)]);
    }

    #[test]
    fn bytes_are_left_with_the_same() {
        let mut scratch = Scratch::default();
        for (how, value, expected) in [
            (IpNetwork, &[10, 1, 2, 3][..], Some("10.1.2.0/24")),
            (IpNetwork, b"10.1.2.3", Some("10.1.2.0/24")),
            (IpNetwork, &[127, 0, 0, 1], Some("loopback")),
            (IpNetwork, &[1, 2, 3], None),
            (MacVendor, &[0, 0x50, 0x56, 1, 2, 3], Some("00:50:56")),
            (MacVendor, &[2, 0x50, 0x56, 1, 2, 3], None),
            (LocationCountry, b"de-by", Some("DE")),
            (LocationCountry, b"\xff\xff", None),
        ] {
            let made = generalise_bytes(how, value, &mut scratch);
            assert_eq!(made, expected.map(str::as_bytes), "{how:?} {value:?}");
        }
    }
}
