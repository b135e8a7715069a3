//! Values that arrive already hashed. Each is an identifier of its class.

use super::Found;

/// Whether `text` is a hexadecimal digest of 128, 160, 224, 256, 384 or 512 bits.
#[inline]
pub(super) fn is_hex(text: &[u8]) -> bool {
    matches!(text.len(), 32 | 40 | 56 | 64 | 96 | 128) && text.iter().all(u8::is_ascii_hexdigit)
}

/// Bytes of a digest as such.
pub(super) const fn is_raw_len(len: usize) -> bool {
    matches!(len, 16 | 20 | 28 | 32 | 48 | 64)
}

/// A hexadecimal digest in lower case; `None` if it is none.
#[inline]
pub(super) fn hex<'t>(text: &'t [u8], out: &mut Vec<u8>) -> Option<Found<'t>> {
    if !is_hex(text) {
        return None;
    }
    if !text.iter().any(u8::is_ascii_uppercase) {
        return Some(Found::AsIs(text));
    }
    out.clear();
    out.extend(text.iter().map(u8::to_ascii_lowercase));
    Some(Found::Written)
}

/// A digest in hexadecimal or Base64 form.
pub(super) fn any<'t>(text: &'t [u8], out: &mut Vec<u8>) -> Option<Found<'t>> {
    hex(text, out).or_else(|| is_base64(text).then_some(Found::AsIs(text)))
}

/// Whether `text` has the length and the letters of a digest of 128, 160, 224, 256, 384 or 512 bits in
/// Base64, of either alphabet, with or without padding.
pub(super) fn is_base64(text: &[u8]) -> bool {
    let (digits, pads) = match text {
        [digits @ .., b'=', b'='] => (digits, 2),
        [digits @ .., b'='] => (digits, 1),
        digits => (digits, 0),
    };
    let fits = match digits.len() {
        22 | 38 | 86 => pads == 0 || pads == 2,
        27 | 43 => pads == 0 || pads == 1,
        64 => pads == 0,
        _ => false,
    };
    fits && digits.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte))
}

#[cfg(test)]
mod tests {
    use crate::model::IdentifierClass;
    use crate::sanitize::canonical::checks::{cases, malformed};

    const SHA1: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
    const SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_value_already_hashed_is_an_identifier_of_every_class() {
        let sha512 = format!("{SHA256}{SHA256}");
        for class in IdentifierClass::ALL.iter().filter(|class| !class.is_forbidden()) {
            for digest in [SHA1, SHA256, &sha512] {
                cases(*class, &[(digest, digest), (&digest.to_uppercase(), digest)]);
            }
            let base64 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
            // A licence key has no letter case.
            if *class != IdentifierClass::LicenceKey {
                cases(*class, &[(base64, base64)]);
            }
        }
    }

    #[test]
    fn thirty_two_digits_are_a_uuid_where_uuids_are_at_home() {
        let md5 = "D41D8CD98F00B204E9800998ECF8427E";
        cases(IdentifierClass::MacAddress, &[(md5, "d41d8cd98f00b204e9800998ecf8427e")]);
        cases(IdentifierClass::VmId, &[(md5, "d41d8cd9-8f00-b204-e980-0998ecf8427e")]);
    }

    #[test]
    fn other_lengths_are_not_digests() {
        for text in ["d41d8cd98f00b204e9800998ecf8427", "1B2M2Y8AsgTpgAmY7PhCfg=", "+-*/+-*/+-*/+-*/+-*/++"] {
            malformed(IdentifierClass::MacAddress, text);
        }
    }
}
