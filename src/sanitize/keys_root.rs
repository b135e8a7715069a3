//! The root key, which is the operator's, and the data root, which is the store's. The root key wraps the
//! data root and does nothing else, so it can be changed without a pseudonym or a record changing with it.

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::keys_derive::{Prk, half};
use super::{NONCE_BYTES, SealBroken, SealKey, TAG_BYTES};
use crate::model::CustomerId;

/// The version of the wrapped form.
const VERSION: u8 = 1;

/// A root key or salt that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 64 hexadecimal digits.
    #[error("the root key must be 64 hexadecimal digits (32 random bytes), as `openssl rand -hex 32` prints")]
    Form,
    /// All bytes are the same, or count up or down: a placeholder, not a key.
    #[error("the root key is a placeholder; make one with `openssl rand -hex 32`")]
    Placeholder,
}

/// The key that wraps the data root. 32 bytes; comes from a file or the environment.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RootKey([u8; 32]);

impl std::fmt::Debug for RootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootKey(..)")
    }
}

impl RootKey {
    /// Reads 64 hexadecimal digits, with white space around them allowed.
    ///
    /// # Errors
    /// If the text is anything else, or a placeholder: equal bytes, or bytes that count.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes());
        let bytes = Zeroizing::new(bytes.map_err(|_| KeyError::Form)?);
        let key = Self(bytes.as_slice().try_into().map_err(|_| KeyError::Form)?);
        // A random key has a step that differs from the others; all 31 are equal once in 2^248 keys.
        let mut steps = key.0.iter().zip(key.0.iter().skip(1)).map(|(a, b)| b.wrapping_sub(*a));
        let first = steps.next();
        if steps.all(|step| Some(step) == first) {
            return Err(KeyError::Placeholder);
        }
        Ok(key)
    }

    /// Takes 32 bytes of entropy and gives the hexadecimal text to keep.
    #[must_use]
    pub fn to_hex(entropy: &[u8; 32]) -> Zeroizing<String> {
        Zeroizing::new(data_encoding::HEXLOWER.encode(entropy))
    }

    /// Sixteen bytes that tell this root key from another without giving it away. The store
    /// keeps them, so that it refuses a wrong key by name.
    #[must_use]
    pub fn check(&self) -> [u8; 16] {
        half(&Prk::extract(&[], &self.0).expand(&[b"usaged/root-check/v1"]))
    }

    /// Wraps the data root of a store. `nonce` is random and used once.
    ///
    /// # Errors
    /// Never in practice: the data root is 32 bytes.
    pub fn wrap(
        &self,
        root: &DataRoot,
        store: &[u8; 16],
        nonce: &[u8; NONCE_BYTES],
    ) -> Result<Vec<u8>, SealBroken> {
        let mut wrapped = Vec::with_capacity(1 + NONCE_BYTES + 32 + TAG_BYTES);
        wrapped.push(VERSION);
        wrapped.extend_from_slice(nonce);
        let from = wrapped.len();
        wrapped.extend_from_slice(&root.0);
        self.wrapping().seal(nonce, &self.context(store), &mut wrapped, from)?;
        Ok(wrapped)
    }

    /// Unwraps the data root of a store.
    ///
    /// # Errors
    /// If it was wrapped under another root key or for another store, or was changed.
    pub fn unwrap(&self, wrapped: &[u8], store: &[u8; 16]) -> Result<DataRoot, SealBroken> {
        let (version, rest) = wrapped.split_first().ok_or(SealBroken)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(SealBroken)?;
        if *version != VERSION {
            return Err(SealBroken);
        }
        let mut opened = Zeroizing::new(sealed.to_vec());
        self.wrapping().open(nonce, &self.context(store), &mut opened)?;
        Ok(DataRoot(opened.as_slice().try_into().map_err(|_| SealBroken)?))
    }

    fn wrapping(&self) -> SealKey {
        SealKey::new(&Prk::extract(&[], &self.0).expand(&[b"usaged/wrap/v1"]))
    }

    /// What is authenticated with the wrapped data root: whose it is, and under which key.
    fn context(&self, store: &[u8; 16]) -> [u8; 32] {
        let mut context = [0; 32];
        let (first, second) = context.split_at_mut(16);
        first.copy_from_slice(store);
        second.copy_from_slice(&self.check());
        context
    }
}

/// Tells one root key from another, for people: the first 32 bits of [`RootKey::check`] as hexadecimal digits.
#[must_use]
pub fn key_id(check: &[u8; 16]) -> String {
    data_encoding::HEXLOWER.encode(check.first_chunk::<4>().map_or(&[], <[u8; 4]>::as_slice))
}

/// What every key of a store is derived from: 32 random bytes that are made with the store and never change.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct DataRoot([u8; 32]);

impl std::fmt::Debug for DataRoot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataRoot(..)")
    }
}

impl DataRoot {
    /// Takes 32 random bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for derivation.
    pub(super) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A keyed mark of a customer's id, by which a customer who was erased is known again, and by which nobody can tell
    /// who it was.
    #[must_use]
    pub fn mark(&self, id: &CustomerId) -> [u8; 16] {
        let key = Prk::extract(b"", &self.0).key(&[b"usaged/erased-customer/v1"]);
        key.token(id.as_str().as_bytes())
    }
}
