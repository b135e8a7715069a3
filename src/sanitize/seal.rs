//! Sealing: AES-256-GCM under a key of one customer, program and day. A record whose customer's salt
//! is gone cannot be opened by anyone.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Tag};
use zeroize::Zeroizing;

/// Bytes of a nonce. Nonces are random: 2^32 records under one key keep the chance of a repeat
/// below 2^-32 (NIST SP 800-38D, 8.3). A key seals the records of one day only.
pub const NONCE_BYTES: usize = 12;
/// Bytes that sealing adds: the authentication tag.
pub const TAG_BYTES: usize = 16;

/// The bytes do not open under this key: another key, or they were changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed record does not open: it was changed, or its key is gone")]
pub struct SealBroken;

/// A key that seals and opens records. Wiped when dropped.
#[derive(Clone)]
pub struct SealKey(Aes256Gcm);

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(..)")
    }
}

impl SealKey {
    pub(super) fn new(key: &Zeroizing<[u8; 32]>) -> Self {
        Self(Aes256Gcm::new((&**key).into()))
    }

    /// Seals `bytes[from..]` in place and appends the tag. `aad` is authenticated with it.
    ///
    /// # Errors
    /// If `from` is beyond the end, or there are more than 64 GiB.
    pub fn seal(
        &self,
        nonce: &[u8; NONCE_BYTES],
        aad: &[u8],
        bytes: &mut Vec<u8>,
        from: usize,
    ) -> Result<(), SealBroken> {
        let plain = bytes.get_mut(from..).ok_or(SealBroken)?;
        let tag = self.0.encrypt_inout_detached(nonce.into(), aad, plain.into()).map_err(|_| SealBroken)?;
        bytes.extend_from_slice(&tag);
        Ok(())
    }

    /// Opens sealed bytes (with their tag at the end) in place and takes the tag off.
    ///
    /// # Errors
    /// If they, the `aad` or the nonce were changed, or the key is another.
    pub fn open(&self, nonce: &[u8; NONCE_BYTES], aad: &[u8], bytes: &mut Vec<u8>) -> Result<(), SealBroken> {
        let end = bytes.len().checked_sub(TAG_BYTES).ok_or(SealBroken)?;
        let (sealed, tag) = bytes.split_at_mut_checked(end).ok_or(SealBroken)?;
        let tag = Tag::try_from(&*tag).map_err(|_| SealBroken)?;
        self.0.decrypt_inout_detached(nonce.into(), aad, sealed.into(), &tag).map_err(|_| SealBroken)?;
        bytes.truncate(end);
        Ok(())
    }
}
