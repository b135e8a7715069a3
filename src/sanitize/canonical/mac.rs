//! MAC addresses (EUI-48) and EUI-64: lower-case octets with colons.

use super::hex::{has_shape, nibble, push_hex};
use super::{Found, digest, known};

/// The octets of an address, six or eight.
pub(super) struct Octets {
    all: [u8; 8],
    len: usize,
    /// Whether the text was the canonical form.
    canonical: bool,
}

impl Octets {
    /// The octets of a bytes value.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if !matches!(bytes.len(), 6 | 8) {
            return None;
        }
        let mut all = [0; 8];
        all.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Some(Self { all, len: bytes.len(), canonical: false })
    }

    /// Reads `xx:xx:xx:xx:xx:xx`, with `-` or `.` as well; `xxxx.xxxx.xxxx`, with `:` or `-` as well;
    /// and twelve digits. Eight octets likewise.
    #[inline]
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        match text.len() {
            17 | 23 => Self::grouped::<3>(text),
            14 | 19 => Self::grouped::<5>(text),
            12 | 16 => Self::grouped::<{ usize::MAX }>(text),
            _ => None,
        }
    }

    /// Groups of `STRIDE` characters, the last of them a separator (missing in the last group).
    #[inline]
    fn grouped<const STRIDE: usize>(text: &[u8]) -> Option<Self> {
        let mut address = Self { all: [0; 8], len: 0, canonical: STRIDE == 3 };
        let mut octets = address.all.iter_mut();
        let mut separator = None;
        let mut bad = 0;
        for group in text.chunks(STRIDE) {
            let (pairs, rest) = group.as_chunks::<2>();
            for [high, low] in pairs {
                let (high_value, low_value) = (nibble(*high), nibble(*low));
                bad |= high_value | low_value;
                address.canonical &= !high.is_ascii_uppercase() & !low.is_ascii_uppercase();
                *octets.next()? = (high_value << 4) | (low_value & 0x0f);
                address.len += 1;
            }
            if let [byte] = rest {
                bad |= if *separator.get_or_insert(*byte) == *byte { 0 } else { 0xf0 };
            }
        }
        let separated = match separator {
            Some(byte) => b":-.".contains(&byte),
            None => true,
        };
        address.canonical &= separator == Some(b':');
        (bad < 0x10 && separated).then_some(address)
    }

    /// The octets.
    pub(super) fn octets(&self) -> &[u8] {
        self.all.get(..self.len).unwrap_or_default()
    }

    /// The word for it, if it is not an identifier.
    pub(super) fn known(&self) -> Option<&'static str> {
        let all = |byte: u8| self.octets().iter().all(|octet| *octet == byte);
        if all(0) {
            Some(known::ZERO)
        } else if all(0xff) {
            Some(known::BROADCAST)
        } else {
            None
        }
    }

    /// Appends the octets with colons.
    pub(super) fn write(octets: &[u8], out: &mut Vec<u8>) {
        let mut first = true;
        for octet in octets {
            if !first {
                out.push(b':');
            }
            first = false;
            push_hex(*octet, out);
        }
    }
}

/// The canonical form of an address of six octets, and the two that are nobody's.
const SHAPE: &[u8; 17] = b"xx:xx:xx:xx:xx:xx";
const ZERO: &[u8; 17] = b"00:00:00:00:00:00";
const BROADCAST: &[u8; 17] = b"ff:ff:ff:ff:ff:ff";

#[inline]
pub(super) fn canonical<'t>(text: &'t str, out: &mut Vec<u8>) -> Found<'t> {
    let text = text.as_bytes();
    if let Ok(exact) = <&[u8; 17]>::try_from(text)
        && has_shape(exact, SHAPE)
        && exact != ZERO
        && exact != BROADCAST
    {
        return Found::AsIs(text);
    }
    match Octets::parse(text) {
        Some(address) => match address.known() {
            Some(word) => Found::Known(word),
            None if address.canonical => Found::AsIs(text),
            None => {
                Octets::write(address.octets(), out);
                Found::Written
            }
        },
        None => match known::placeholder(text) {
            Some(word) => Found::Known(word),
            None => digest::any(text, out).unwrap_or(Found::Malformed),
        },
    }
}

/// Appends the first three octets, which name the vendor; `None` if the address names none: one that
/// is locally administered, a group's, or no address.
pub(super) fn vendor(text: &[u8], out: &mut Vec<u8>) -> Option<Found<'static>> {
    let address = match text.len() {
        // The vendor alone: what this function made.
        8 => Octets::grouped::<3>(text).filter(|vendor| vendor.canonical)?,
        _ => Octets::parse(text)?,
    };
    vendor_of(&address, out)
}

/// [`vendor`] of an address that has been read.
pub(super) fn vendor_of(address: &Octets, out: &mut Vec<u8>) -> Option<Found<'static>> {
    if address.len != 3
        && let Some(word) = address.known()
    {
        return Some(Found::Known(word));
    }
    let vendor = address.all.first_chunk::<3>()?;
    // IEEE 802: bit 0 of the first octet is set in group addresses, bit 1 in locally administered ones.
    if vendor.first()? & 0b11 != 0 {
        return None;
    }
    Octets::write(vendor, out);
    Some(Found::Written)
}

#[cfg(test)]
mod tests {
    use crate::model::IdentifierClass::MacAddress;
    use crate::sanitize::canonical::checks::{borrowed, cases, malformed};

    #[test]
    fn separators_and_case_do_not_matter() {
        let canonical = "00:50:56:ab:cd:ef";
        for text in [
            canonical,
            "00:50:56:AB:CD:EF",
            "00-50-56-ab-cd-ef",
            "00.50.56.ab.cd.ef",
            "0050.56AB.CDEF",
            "0050:56ab:cdef",
            "0050-56ab-cdef",
            "005056abcdef",
            "005056ABCDEF",
            " 005056ABCDEF\n",
        ] {
            cases(MacAddress, &[(text, canonical)]);
        }
        for text in
            ["00:1B:44:11:3A:B7:FF:FE", "001b.4411.3ab7.fffe", "001B44113AB7FFFE", "00-1b-44-11-3a-b7-ff-fe"]
        {
            cases(MacAddress, &[(text, "00:1b:44:11:3a:b7:ff:fe")]);
        }
        borrowed(MacAddress, canonical);
    }

    #[test]
    fn addresses_of_nobody_are_words() {
        cases(
            MacAddress,
            &[
                ("00:00:00:00:00:00", "=zero"),
                ("0000.0000.0000", "=zero"),
                ("FF-FF-FF-FF-FF-FF", "=broadcast"),
                ("n/a", "=placeholder"),
                ("", "=empty"),
            ],
        );
    }

    #[test]
    fn what_is_no_address_is_malformed() {
        for text in [
            "esx01.example.com",
            "00:50:56:ab:cd",
            "00:50:56:ab:cd:eg",
            "00:50-56:ab:cd:ef",
            "00:50:56:ab:cd:ef:",
            "0:50:56:a:b:c",
            "00 50 56 ab cd ef",
            "0050.56ab:cdef",
            "192.168.100.23",
            "００:50:56:ab:cd:ef",
            ":::::::::::::::::",
        ] {
            malformed(MacAddress, text);
        }
    }
}
