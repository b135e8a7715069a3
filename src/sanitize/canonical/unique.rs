//! UUIDs: 8-4-4-4-12 in lower case, octets in the order in which they are written. Ids that are often
//! UUIDs and may be anything.

use super::hex::{has_shape, nibble, push_hex};
use super::{Found, digest, known, text};

/// UUIDs that firmware has where nobody set one.
const FACTORY: [[u8; 16]; 4] = [
    // AMI's default, and the same with its first three groups in the other byte order.
    [3, 0, 2, 0, 4, 0, 5, 0, 0, 6, 0, 7, 0, 8, 0, 9],
    [0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8, 0, 9],
    [0x12, 0x34, 0x56, 0x78, 0x12, 0x34, 0x56, 0x78, 0x90, 0xab, 0xcd, 0xdf, 0xee, 0xfa, 0xab, 0xbc],
    [0x12, 0x34, 0x56, 0x78, 0x12, 0x34, 0x56, 0x78, 0x90, 0xab, 0xcd, 0xde, 0xef, 0xaa, 0xbb, 0xcc],
];

/// The sixteen octets of a UUID.
pub(super) struct Octets {
    all: [u8; 16],
    /// Whether the text was the canonical form.
    canonical: bool,
}

impl Octets {
    pub(super) const fn new(all: [u8; 16]) -> Self {
        Self { all, canonical: false }
    }

    /// Reads 8-4-4-4-12 and 32 digits, either in braces or after `urn:uuid:`; and the sixteen
    /// pairs of a `.vmx` file, with spaces and a dash between them.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        match text.len() {
            36 => Self::digits(text, |at| matches!(at, 8 | 13 | 18 | 23), b"-")
                .map(|uuid| Self { canonical: !text.iter().any(u8::is_ascii_uppercase), ..uuid }),
            32 => Self::digits(text, |_| false, b""),
            47 => Self::digits(text, |at| at % 3 == 2, b" -"),
            _ => match text {
                [b'{', inner @ .., b'}'] if matches!(inner.len(), 32 | 36) => Self::parse(inner),
                _ => {
                    let (urn, rest) = text.split_at_checked(9)?;
                    let named = urn.eq_ignore_ascii_case(b"urn:uuid:") && matches!(rest.len(), 32 | 36);
                    if named { Self::parse(rest) } else { None }
                }
            }
            .map(|uuid| Self { canonical: false, ..uuid }),
        }
    }

    #[inline]
    fn digits(text: &[u8], is_separator: impl Fn(usize) -> bool, separators: &[u8]) -> Option<Self> {
        let mut all = [0_u8; 16];
        let mut octets = all.iter_mut();
        let mut high = None;
        let mut bad = 0;
        for (at, byte) in text.iter().enumerate() {
            if is_separator(at) {
                bad |= if separators.contains(byte) { 0 } else { 0xf0 };
                continue;
            }
            let value = nibble(*byte);
            bad |= value;
            match high.take() {
                None => high = Some(value),
                Some(high) => *octets.next()? = (high << 4) | (value & 0x0f),
            }
        }
        (bad < 0x10).then_some(Self { all, canonical: false })
    }

    fn known(&self) -> Option<&'static str> {
        if self.all == [0; 16] {
            Some(known::ZERO)
        } else if self.all == [0xff; 16] {
            Some(known::ONES)
        } else if FACTORY.contains(&self.all) {
            Some(known::PLACEHOLDER)
        } else {
            None
        }
    }

    /// Writes it, unless it is a known one or `text` is the canonical form.
    pub(super) fn found<'t>(&self, text: &'t [u8], out: &mut Vec<u8>) -> Found<'t> {
        if let Some(word) = self.known() {
            return Found::Known(word);
        }
        if self.canonical {
            return Found::AsIs(text);
        }
        for (at, octet) in self.all.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                out.push(b'-');
            }
            push_hex(*octet, out);
        }
        Found::Written
    }
}

/// Whether `text` is the canonical form of a UUID.
#[inline]
fn has_form(text: &[u8]) -> bool {
    <&[u8; 36]>::try_from(text).is_ok_and(|text| has_shape(text, b"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"))
}

/// Whether `text`, a UUID in its canonical form, can be one of those that have a word. They begin alike.
#[inline]
fn is_suspect(text: &[u8]) -> bool {
    matches!(text, [b'0', b'0' | b'3', ..] | [b'1', b'2', ..] | [b'f', b'f', ..])
}

/// The canonical form of what has to be a UUID.
pub(super) fn canonical_uuid<'t>(text: &'t str, out: &mut Vec<u8>) -> Found<'t> {
    let bytes = text.as_bytes();
    if has_form(bytes) && !is_suspect(bytes) {
        return Found::AsIs(bytes);
    }
    if let Some(uuid) = Octets::parse(bytes) {
        return uuid.found(bytes, out);
    }
    match known::placeholder(bytes) {
        Some(word) => Found::Known(word),
        None => digest::any(bytes, out).unwrap_or(Found::Malformed),
    }
}

/// The canonical form of what may be a UUID.
#[inline]
pub(super) fn canonical_id<'t>(text: &'t str, out: &mut Vec<u8>) -> Found<'t> {
    let bytes = text.as_bytes();
    if has_form(bytes) && !is_suspect(bytes) {
        return Found::AsIs(bytes);
    }
    match Octets::parse(bytes) {
        Some(uuid) => uuid.found(bytes, out),
        None => text::canonical(text, out),
    }
}

#[cfg(test)]
mod tests {
    use super::{FACTORY, is_suspect};
    use crate::model::IdentifierClass::{AdvertisingId, BiosUuid, InstanceId, VmId};
    use crate::sanitize::canonical::checks::{borrowed, cases, malformed};

    const UUID: &str = "564d8a3b-1234-abcd-8899-aabbccddeeff";

    #[test]
    fn every_text_form_of_a_uuid_is_one_uuid() {
        for class in [BiosUuid, InstanceId, VmId] {
            for text in [
                UUID,
                "564D8A3B-1234-ABCD-8899-AABBCCDDEEFF",
                "564d8a3b1234abcd8899aabbccddeeff",
                "{564d8a3b-1234-abcd-8899-aabbccddeeff}",
                "{564D8A3B1234ABCD8899AABBCCDDEEFF}",
                "urn:uuid:564d8a3b-1234-abcd-8899-aabbccddeeff",
                "URN:UUID:564D8A3B-1234-ABCD-8899-AABBCCDDEEFF",
                "56 4d 8a 3b 12 34 ab cd-88 99 aa bb cc dd ee ff",
                "\t564d8a3b-1234-abcd-8899-aabbccddeeff ",
            ] {
                cases(class, &[(text, UUID)]);
            }
            borrowed(class, UUID);
        }
    }

    #[test]
    fn uuids_of_nobody_are_words() {
        for class in [BiosUuid, AdvertisingId] {
            cases(
                class,
                &[
                    ("00000000-0000-0000-0000-000000000000", "=zero"),
                    ("00000000000000000000000000000000", "=zero"),
                    ("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "=ones"),
                    ("{ffffffffffffffffffffffffffffffff}", "=ones"),
                    ("03000200-0400-0500-0006-000700080009", "=placeholder"),
                    ("Not Settable", if class == BiosUuid { "!" } else { "Not Settable" }),
                    ("Not Specified", "=placeholder"),
                ],
            );
        }
    }

    #[test]
    fn every_uuid_with_a_word_is_suspect() {
        for octets in [[[0; 16], [0xff; 16]].as_slice(), FACTORY.as_slice()].concat() {
            let uuid = uuid::Uuid::from_bytes(octets).to_string();
            assert!(is_suspect(uuid.as_bytes()), "{uuid}");
            assert!(super::Octets::new(octets).known().is_some(), "{uuid}");
        }
    }

    #[test]
    fn an_id_need_not_be_a_uuid_and_a_bios_uuid_must() {
        cases(VmId, &[("vm-1042", "vm-1042"), ("VM-1042", "VM-1042"), ("{564d}", "{564d}")]);
        for text in [
            "vm-1042",
            "564d8a3b-1234-abcd-8899-aabbccddeef",
            "564d8a3b-1234-abcd-8899-aabbccddeefg",
            "564d8a3b12-34-abcd-8899-aabbccddeeff",
            "{564d8a3b-1234-abcd-8899-aabbccddeeff",
            "{{564d8a3b1234abcd8899aabbccddeeff}}",
            "urn:uuid:urn:uuid:564d8a3b1234abcd8899aabbccddeeff",
            "564d8a3b\u{2011}1234-abcd-8899-aabbccddeeff",
        ] {
            malformed(BiosUuid, text);
        }
    }
}
