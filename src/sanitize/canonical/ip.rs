//! IP addresses: dotted decimal, or RFC 5952 without zone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::hex::push_short;
use super::{Found, digest, known, text};

/// Bits of an IPv4 address that its network keeps.
const V4_PREFIX: &str = "/24";
/// Bits of an IPv6 address that its network keeps.
const V6_PREFIX: &str = "/48";

/// Reads dotted decimal without leading zeros: what has only one meaning and one text form. Takes
/// what the standard library takes, in half the time.
#[inline]
pub(super) fn parse_v4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = octets.iter_mut();
    let mut octet = parts.next()?;
    let mut digits = 0;
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' if digits == 0 || *octet > 0 => {
                *octet = u8::checked_mul(*octet, 10)?.checked_add(byte - b'0')?;
                digits += 1;
            }
            b'.' if digits > 0 => {
                octet = parts.next()?;
                digits = 0;
            }
            _ => return None,
        }
    }
    (digits > 0 && parts.next().is_none()).then(|| Ipv4Addr::from(octets))
}

/// Reads every text form of IPv6, a zone included; an IPv4-mapped address is IPv4.
#[inline]
pub(super) fn parse_v6(text: &str) -> Option<IpAddr> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    if zone.is_some_and(|zone| zone.is_empty() || !zone.bytes().all(|byte| byte.is_ascii_graphic())) {
        return None;
    }
    address.parse::<Ipv6Addr>().ok().map(|address| IpAddr::V6(address).to_canonical())
}

/// Whether an address of one link is made of the MAC address of its interface (EUI-64, RFC 4291). Its word tells nobody; it
/// itself does.
pub(in crate::sanitize) fn tells_mac(text: &[u8]) -> bool {
    let address = std::str::from_utf8(text).ok().and_then(parse_v6);
    address.is_some_and(|address| match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => {
            let [.., fifth, sixth, _] = address.segments();
            address.is_unicast_link_local() && fifth & 0xff == 0xff && sixth >> 8 == 0xfe
        }
    })
}

/// Reads an address of either kind.
pub(super) fn parse(text: &str) -> Option<IpAddr> {
    parse_v4(text).map(IpAddr::V4).or_else(|| parse_v6(text))
}

/// The word for an address that is nobody's own.
#[inline]
pub(super) fn known(address: IpAddr) -> Option<&'static str> {
    let (broadcast, link_local) = match address {
        IpAddr::V4(address) => (address.is_broadcast(), address.is_link_local()),
        IpAddr::V6(address) => (false, address.is_unicast_link_local()),
    };
    if address.is_unspecified() {
        Some(known::UNSPECIFIED)
    } else if address.is_loopback() {
        Some(known::LOOPBACK)
    } else if broadcast {
        Some(known::BROADCAST)
    } else if link_local {
        Some(known::LINK_LOCAL)
    } else {
        None
    }
}

/// Writes `address`, or finds its word.
pub(super) fn written(address: IpAddr, out: &mut Vec<u8>) -> Found<'static> {
    if let Some(word) = known(address) {
        return Found::Known(word);
    }
    out.clear();
    match address {
        IpAddr::V4(address) => text::push_display(address, out),
        IpAddr::V6(address) => push_v6(address, out),
    }
    Found::Written
}

/// Appends the form of RFC 5952: lower case, and `::` for the first of the longest runs of zeros. The
/// standard library writes the same, in five times the time.
fn push_v6(address: Ipv6Addr, out: &mut Vec<u8>) {
    let segments = address.segments();
    // One segment alone is not shortened.
    let (mut longest, mut from) = (1, segments.len());
    let mut run = 0;
    for (at, segment) in segments.iter().enumerate() {
        run = if *segment == 0 { run + 1 } else { 0 };
        if run > longest {
            (longest, from) = (run, at + 1 - run);
        }
    }
    let rest = from + longest;
    for (at, segment) in segments.iter().enumerate() {
        if at == from {
            out.extend_from_slice(b"::");
        }
        if (from..rest).contains(&at) {
            continue;
        }
        if at > 0 && at != rest {
            out.push(b':');
        }
        push_short(*segment, out);
    }
}

/// The address in `text` if it is one, in its canonical form.
#[inline]
pub(super) fn literal<'t>(text: &'t str, out: &mut Vec<u8>) -> Option<Found<'t>> {
    if let Some(address) = parse_v4(text) {
        return Some(known(IpAddr::V4(address)).map_or(Found::AsIs(text.as_bytes()), Found::Known));
    }
    parse_v6(text).map(|address| written(address, out))
}

#[inline]
pub(super) fn canonical<'t>(text: &'t str, out: &mut Vec<u8>) -> Found<'t> {
    if let Some(found) = literal(text, out) {
        return found;
    }
    match known::placeholder(text.as_bytes()) {
        Some(word) => Found::Known(word),
        None => digest::any(text.as_bytes(), out).unwrap_or(Found::Malformed),
    }
}

/// Writes the network of an address, /24 or /48, or of such a network.
pub(super) fn network(text: &str, out: &mut Vec<u8>) -> Option<Found<'static>> {
    let Some((base, _)) = text.split_once('/') else { return Some(network_of(parse(text)?, out)) };
    push_network(embedded(parse(base)?), out);
    // Only what this function writes is a network: anything else has bits that may not be kept.
    (out.as_slice() == text.as_bytes()).then_some(Found::Written)
}

/// [`network`] of an address that has been read.
pub(super) fn network_of(address: IpAddr, out: &mut Vec<u8>) -> Found<'static> {
    let address = embedded(address);
    if let Some(word) = known(address) {
        return Found::Known(word);
    }
    push_network(address, out);
    Found::Written
}

/// The IPv4 address that a 6to4 address (RFC 3056) has within its first 48 bits; else the address.
fn embedded(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if v6.segments().first() == Some(&0x2002) => match v6.octets() {
            [_, _, a, b, c, d, ..] => IpAddr::from([a, b, c, d]),
        },
        IpAddr::V4(_) | IpAddr::V6(_) => address,
    }
}

fn push_network(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            text::push_display(Ipv4Addr::new(a, b, c, 0), out);
            out.extend_from_slice(V4_PREFIX.as_bytes());
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            push_v6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), out);
            out.extend_from_slice(V6_PREFIX.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::IdentifierClass::IpAddress;
    use crate::sanitize::canonical::checks::{borrowed, cases, malformed};

    #[test]
    fn an_address_of_a_link_tells_the_mac_address_that_it_is_made_of() {
        for (text, tells) in [
            ("fe80::21b:21ff:feab:cdef", true),
            ("FE80:0:0:0:021B:21FF:FEAB:CDEF%vmk0", true),
            ("fe80::1", false),
            ("fe80::ff:fe00", false),
            ("fe80::a1b2:c3d4:e5f6:708", false),
            // This one has a pseudonym.
            ("2001:db8::21b:21ff:feab:cdef", false),
            ("169.254.7.9", false),
            ("esx01", false),
        ] {
            assert_eq!(super::tells_mac(text.as_bytes()), tells, "{text}");
        }
    }

    #[test]
    fn every_text_form_of_an_address_is_one_address() {
        cases(
            IpAddress,
            &[
                ("10.1.2.3", "10.1.2.3"),
                (" 10.1.2.3 ", "10.1.2.3"),
                ("::ffff:10.1.2.3", "10.1.2.3"),
                ("::FFFF:0a01:0203", "10.1.2.3"),
                ("0:0:0:0:0:ffff:10.1.2.3", "10.1.2.3"),
                // RFC 5952, sections 1, 2.1 and 4
                ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
                ("2001:0db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
                ("2001:db8::1:0:0:1", "2001:db8::1:0:0:1"),
                ("2001:db8::0:1:0:0:1", "2001:db8::1:0:0:1"),
                ("2001:0db8::1:0:0:1", "2001:db8::1:0:0:1"),
                ("2001:DB8:0:0:1::1", "2001:db8::1:0:0:1"),
                ("2001:db8:aaaa:bbbb:cccc:dddd::1", "2001:db8:aaaa:bbbb:cccc:dddd:0:1"),
                ("2001:db8::aaaa:0:0:1", "2001:db8::aaaa:0:0:1"),
                ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
                ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
                ("2001:db8::1%eth0", "2001:db8::1"),
                ("64:ff9b::10.1.2.3", "64:ff9b::a01:203"),
            ],
        );
        borrowed(IpAddress, "192.168.100.23");
    }

    #[test]
    fn addresses_of_nobody_are_words() {
        cases(
            IpAddress,
            &[
                ("0.0.0.0", "=unspecified"),
                ("::", "=unspecified"),
                ("0:0:0:0:0:0:0:0", "=unspecified"),
                ("127.0.0.1", "=loopback"),
                ("127.8.9.1", "=loopback"),
                ("::1", "=loopback"),
                ("::ffff:127.0.0.1", "=loopback"),
                ("255.255.255.255", "=broadcast"),
                ("169.254.7.9", "=link-local"),
                ("fe80::250:56ff:feab:cdef%vmk0", "=link-local"),
                ("localhost", "=localhost"),
                ("unknown", "=placeholder"),
            ],
        );
    }

    #[test]
    fn what_is_no_address_is_malformed() {
        for text in [
            "esx01",
            "010.1.2.3",
            "10.1.2.03",
            "10.1.2",
            "10.1.2.3.4",
            "10.1.2.256",
            "10.1.2.3/24",
            "10.1.2.3:443",
            "10.1.2.3%eth0",
            "[2001:db8::1]",
            "[2001:db8::1]:443",
            "2001:db8::1%",
            "2001:db8::1%a b",
            "2001:db8::1::2",
            "1:2:3:4:5:6:7",
            "12345::",
            "0x0a010203",
            "167838211",
            "１0.1.2.3",
        ] {
            malformed(IpAddress, text);
        }
    }
}
