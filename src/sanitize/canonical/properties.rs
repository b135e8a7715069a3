//! What holds for every class: properties, and the promise not to allocate.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;

use proptest::prelude::*;

use super::checks::{form, malformed, shown};
use super::{Canonical, Scratch, canonical, canonical_bytes, canonical_int, generalise};
use crate::model::IdentifierClass::{self, HostName, IpAddress, LicenceKey, MacAddress, VmId};
use crate::policy::Generalise;

#[test]
fn bytes_have_the_form_of_the_text_that_says_the_same() {
    let uuid: [u8; 16] = std::array::from_fn(|at| u8::try_from(at).unwrap() * 0x11);
    for (class, bytes, expected) in [
        (MacAddress, &[0, 0x50, 0x56, 0xab, 0xcd, 0xef][..], "00:50:56:ab:cd:ef"),
        (MacAddress, &[0, 0x1b, 0x44, 0x11, 0x3a, 0xb7, 0xff, 0xfe], "00:1b:44:11:3a:b7:ff:fe"),
        (MacAddress, &[0; 6], "=zero"),
        (MacAddress, &[0xff; 6], "=broadcast"),
        (MacAddress, &[1, 2, 3], "!"),
        (IpAddress, &[10, 1, 2, 3], "10.1.2.3"),
        (IpAddress, &[127, 0, 0, 1], "=loopback"),
        (IpAddress, &[0; 16], "=unspecified"),
        (IpAddress, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3], "10.1.2.3"),
        (IpAddress, &[10, 1, 2], "!"),
        (VmId, &uuid, "00112233-4455-6677-8899-aabbccddeeff"),
        (IdentifierClass::BiosUuid, &uuid, "00112233-4455-6677-8899-aabbccddeeff"),
        (IdentifierClass::AdvertisingId, &uuid, "00112233-4455-6677-8899-aabbccddeeff"),
        (IdentifierClass::BrowserId, &uuid, "00112233-4455-6677-8899-aabbccddeeff"),
        (IdentifierClass::BiosUuid, &[0xff; 16], "=ones"),
        (IdentifierClass::BiosUuid, &[1, 2, 3], "!"),
        (IdentifierClass::SerialNumber, &uuid, "00112233445566778899aabbccddeeff"),
        (IdentifierClass::SerialNumber, &[0; 5], "=zero"),
        (IdentifierClass::SerialNumber, &[1, 0, 2], "\u{1}\0\u{2}"),
        (IdentifierClass::SerialNumber, b"VMware-1\0\0", "VMware-1"),
        (IdentifierClass::SerialNumber, b"", "=empty"),
        (HostName, b"ESX01", "esx01"),
        (HostName, &[0xfe; 20], "fefefefefefefefefefefefefefefefefefefefe"),
        (HostName, &[0xfe; 5], "!"),
        (IdentifierClass::Secret, b"x", "!"),
    ] {
        assert_eq!(
            shown(canonical_bytes(class, bytes, &mut Scratch::default())),
            expected,
            "{class} {bytes:?}"
        );
    }
}

#[test]
fn numbers_have_the_form_of_their_decimal_text() {
    for (class, value, expected) in [
        (IdentifierClass::UserId, 1000, "1000"),
        (IdentifierClass::EntitlementId, -5, "-5"),
        (IdentifierClass::ClusterId, i64::MIN, "-9223372036854775808"),
        (IdentifierClass::LicenceKey, -5_551, "5551"),
        (IdentifierClass::UserId, 0, "=zero"),
        (IdentifierClass::Phone, 15_551_234_567, "15551234567"),
        (IdentifierClass::Phone, -5_551_234, "!"),
        (IdentifierClass::Phone, 12, "!"),
        (IpAddress, 167_838_211, "!"),
        (MacAddress, 1, "!"),
        (IdentifierClass::CustomerContent, 1, "!"),
    ] {
        assert_eq!(shown(canonical_int(class, value, &mut Scratch::default())), expected, "{class} {value}");
        if !expected.starts_with(['=', '!']) {
            assert_eq!(form(class, &value.to_string()), expected, "{class} {value}");
        }
    }
}

#[test]
fn what_is_forbidden_has_no_form_and_debug_shows_nothing() {
    for class in IdentifierClass::ALL.iter().filter(|class| class.is_forbidden()) {
        for text in ["", "x", "unknown", "da39a3ee5e6b4b0d3255bfef95601890afd80709"] {
            malformed(*class, text);
        }
    }
    let mut scratch = Scratch::default();
    let found = canonical(HostName, b"ESX-CANARY", &mut scratch);
    assert_eq!(format!("{found:?}"), "Identifier(10 bytes)");
}

#[test]
fn ascii_is_not_allocated_for() {
    let values = [
        (HostName, "esx-0042.lab.example.com"),
        (HostName, "ESX-0042.lab.example.com."),
        (IpAddress, "192.168.100.23"),
        (IpAddress, "2001:0DB8::0:1%eth0"),
        (MacAddress, "00:50:56:ab:cd:ef"),
        (MacAddress, "0050.56AB.CDEF"),
        (VmId, "564D8A3B1234ABCD8899AABBCCDDEEFF"),
        (IdentifierClass::ObjectName, " Prod VM 1 "),
        (IdentifierClass::Email, "Bob@Example.COM"),
        (IdentifierClass::UserId, "CORP\\Bob"),
        (IdentifierClass::Phone, "+1 (555) 123-4567"),
        (LicenceKey, "jj2wr-25l9p-h71a8-6j20p-c0k3f"),
        (IdentifierClass::Location, "de-by"),
    ];
    let mut scratch = Scratch::default();
    let allocated = allocation_counter::measure(|| {
        for (class, text) in values {
            assert!(matches!(canonical(class, text.as_bytes(), &mut scratch), Canonical::Identifier(_)));
        }
    });
    assert_eq!(allocated.count_total, 0);
}

/// Text that is more than random: pieces of what the classes are made of.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[0-9a-fA-F]{2,8}",
        "[a-zA-Z0-9]{1,6}",
        "[:.@%/\\\\{}=+ -]{1,2}",
        Just("xn--".to_owned()),
        Just("00".to_owned()),
        Just("(0)".to_owned()),
        any::<char>().prop_map(String::from),
        prop::char::range('\u{300}', '\u{36f}').prop_map(String::from),
        prop::sample::select(vec![
            "\u{212a}", "\u{212b}", "\u{130}", "\u{1e9e}", "\u{3a3}", "\u{df}", "\u{37e}"
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        pieces(),
        any::<String>(),
        "[0-9a-fA-F:.%-]{1,48}",
        "[+0-9 ()./-]{1,24}",
        "[a-zA-Z0-9.@\\\\-]{1,40}",
        "[A-Za-z0-9+/_-]{22}(==)?",
        "[A-Za-z0-9+/_-]{27}=?",
        "[A-Za-z0-9_-]{43}=?",
        "[A-Za-z0-9-]{64}",
        "[A-F0-9]{40}",
        "[A-Fa-f0-9]{32}"
    ]
}

fn any_class() -> impl Strategy<Value = IdentifierClass> {
    prop::sample::select(IdentifierClass::ALL)
}

fn hex_groups(bytes: &[u8], group: usize, separator: &str) -> String {
    let groups: Vec<String> = bytes
        .chunks(group)
        .map(|group| {
            group.iter().fold(String::new(), |mut text, byte| {
                write!(text, "{byte:02x}").unwrap();
                text
            })
        })
        .collect();
    groups.join(separator)
}

/// `text` with its letters in upper case where `upper` says so.
fn mixed_case(text: &str, upper: &[bool]) -> String {
    text.chars()
        .zip(upper.iter().cycle())
        .map(|(c, up)| if *up { c.to_ascii_uppercase() } else { c })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_form_of_a_form_is_that_form(class in any_class(), text in any_text()) {
        if let Canonical::Identifier(bytes) = canonical(class, text.as_bytes(), &mut Scratch::default()) {
            let again = form(class, std::str::from_utf8(bytes).unwrap());
            prop_assert_eq!(again, String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_scratch_forgets_the_value_before(first in any_text(), second in any_text(), class in any_class()) {
        let mut scratch = Scratch::default();
        let _ = canonical(HostName, first.as_bytes(), &mut scratch);
        prop_assert_eq!(shown(canonical(class, second.as_bytes(), &mut scratch)), form(class, &second));
    }

    #[test]
    fn bytes_that_are_no_text_have_a_form_that_stays(bytes in prop::collection::vec(any::<u8>(), 1..70), class in any_class()) {
        let mut scratch = Scratch::default();
        let found = canonical_bytes(class, &bytes, &mut scratch);
        if let Canonical::Identifier(made) = found && made != bytes {
            prop_assert_eq!(shown(canonical(class, made, &mut Scratch::default())), shown(found));
        }
    }

    #[test]
    fn nothing_panics_on_any_bytes(bytes: Vec<u8>, class in any_class()) {
        let mut scratch = Scratch::default();
        let _ = canonical(class, &bytes, &mut scratch);
        let _ = canonical_bytes(class, &bytes, &mut scratch);
    }

    #[test]
    fn a_mac_address_has_one_form(octets: [u8; 6], upper: [bool; 7]) {
        let expected = form(MacAddress, &hex_groups(&octets, 1, ":"));
        for (group, separator) in [(1, ":"), (1, "-"), (1, "."), (2, "."), (6, "")] {
            let text = mixed_case(&hex_groups(&octets, group, separator), &upper);
            prop_assert_eq!(form(MacAddress, &text), expected.clone());
        }
        prop_assert_eq!(shown(canonical_bytes(MacAddress, &octets, &mut Scratch::default())), expected);
    }

    #[test]
    fn a_uuid_has_one_form(octets: [u8; 16], upper: [bool; 7]) {
        let uuid = uuid::Uuid::from_bytes(octets);
        let texts = [uuid.hyphenated().to_string(), uuid.simple().to_string(), uuid.braced().to_string(), uuid.urn().to_string()];
        for text in texts {
            prop_assert_eq!(form(VmId, &mixed_case(&text, &upper)), uuid.to_string());
        }
        prop_assert_eq!(shown(canonical_bytes(VmId, &octets, &mut Scratch::default())), uuid.to_string());
    }

    #[test]
    fn an_ipv6_address_has_one_form(segments: [u16; 8], zeros: u8, upper: [bool; 7]) {
        let segments: [u16; 8] = std::array::from_fn(|at| {
            segments.get(at).copied().filter(|_| zeros >> at & 1 == 0).unwrap_or(0)
        });
        let address = std::net::Ipv6Addr::from(segments);
        let long = segments.map(|segment| format!("{segment:04x}")).join(":");
        let expected = shown(canonical_bytes(IpAddress, &address.octets(), &mut Scratch::default()));
        if !expected.starts_with('=') {
            prop_assert_eq!(&expected, &address.to_canonical().to_string());
        }
        for text in [long.clone(), mixed_case(&long, &upper), address.to_string(), format!("{address}%vmk0")] {
            prop_assert_eq!(form(IpAddress, &text), expected.clone());
            prop_assert_eq!(form(HostName, &text), expected.clone());
        }
    }

    #[test]
    fn the_case_of_a_host_name_does_not_matter(name in "[a-z0-9]{1,9}(\\.[a-z][a-z0-9]{0,9}){0,3}", upper: [bool; 7]) {
        let expected = form(HostName, &name);
        prop_assert_eq!(form(HostName, &mixed_case(&name, &upper)), expected.clone());
        prop_assert_eq!(form(HostName, &format!("{name}.")), expected);
    }

    #[test]
    fn the_dashes_of_a_licence_key_do_not_matter(groups in prop::collection::vec("[A-Z0-9]{5}", 1..6), upper: [bool; 7]) {
        let expected = form(LicenceKey, &groups.concat());
        for separator in ["-", " ", " - ", "\u{2013}"] {
            prop_assert_eq!(form(LicenceKey, &mixed_case(&groups.join(separator), &upper)), expected.clone());
        }
    }

    #[test]
    fn a_coarser_form_from_a_finer_one_is_that_from_the_raw_value(text in any_text(), code in "[a-zA-Z]{2}(-[a-zA-Z0-9]{1,4})?") {
        use Generalise::{EmailDomain, IpNetwork, LocationCountry, LocationRegion, MacVendor, TimeHour, UrlOrigin};
        let of = |how, value: &[u8]| generalise(how, value, &mut Scratch::default()).map(<[u8]>::to_vec);
        for how in [EmailDomain, IpNetwork, LocationCountry, LocationRegion, MacVendor, TimeHour, UrlOrigin, Generalise::Bucket(10)] {
            for raw in [&text, &format!("https://{text}"), &format!("bob@{text}")] {
                if let Some(made) = of(how, raw.as_bytes()) {
                    prop_assert_eq!(of(how, &made), Some(made));
                }
            }
        }
        let region = of(LocationRegion, code.as_bytes());
        prop_assert_eq!(region.and_then(|region| of(LocationCountry, &region)), of(LocationCountry, code.as_bytes()));
    }

    #[test]
    fn the_network_of_a_form_is_the_network_of_the_value(address: [u8; 16], v4: bool) {
        let ip = if v4 { std::net::IpAddr::from([address[0], address[1], address[2], address[3]]) } else { address.into() };
        let raw = ip.to_string();
        let finer = form(IpAddress, &raw);
        if !finer.starts_with('=') {
            let mut scratch = [Scratch::default(), Scratch::default()];
            let [one, two] = &mut scratch;
            prop_assert_eq!(
                generalise(Generalise::IpNetwork, raw.as_bytes(), one),
                generalise(Generalise::IpNetwork, finer.as_bytes(), two)
            );
        }
    }
}
