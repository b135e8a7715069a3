//! Keys: the root key, a customer's salt, and everything derived from the two (DESIGN section 4).
//!
//! ```text
//! secret  = HKDF-Extract(salt = the customer's random salt, ikm = root key)
//! key     = HKDF-Expand(secret, info = each part with its length before it, as u32 big-endian)
//! info    = "usaged/pseudonym/v1", program, class, epoch      pseudonyms
//!           "usaged/seal/v1", program                         sealing stored records
//!           "usaged/batch-id/v1" and "usaged/batch-body/v1"   deduplication
//! check   = HKDF(no salt, root key, info = "usaged/root-check/v1"), 16 bytes, kept in the store
//! ```
//!
//! The root key is never in the store; the salt is never anywhere else. Without either, nothing
//! can be derived. No key serves two uses, because the use is part of the derivation.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use hkdf::Hkdf;
use polyval::universal_hash::UniversalHash;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{HmacKey, SealKey};
use crate::model::{BatchId, CustomerKey, IdentifierClass, ProgramName};
use crate::policy::Epoch;

/// A root key or salt that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 64 hexadecimal digits.
    #[error("the root key must be 64 hexadecimal digits (32 random bytes), as `openssl rand -hex 32` prints")]
    Form,
    /// All bytes are the same: a placeholder, not a key.
    #[error("the root key is a placeholder; make one with `openssl rand -hex 32`")]
    Placeholder,
}

/// The key that everything is derived from. 32 bytes; comes from a file or the environment.
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
    /// If the text is anything else, or a placeholder of equal bytes.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes());
        let bytes = Zeroizing::new(bytes.map_err(|_| KeyError::Form)?);
        let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| KeyError::Form)?;
        if key.iter().all(|byte| Some(byte) == key.first()) {
            return Err(KeyError::Placeholder);
        }
        Ok(Self(key))
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
        let mut check = [0; 16];
        expand(&Hkdf::new(None, &self.0), &[b"usaged/root-check/v1"], &mut check);
        check
    }
}

/// The random salt of a customer. Destroying it makes every pseudonym and record of that
/// customer underivable.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct CustomerSalt([u8; 32]);

impl std::fmt::Debug for CustomerSalt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CustomerSalt(..)")
    }
}

impl CustomerSalt {
    /// Takes 32 random bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the one place that keeps them: the store's family of salts.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What is derived for one customer, with the keys of the programs in use.
pub struct CustomerSecret {
    customer: CustomerKey,
    hkdf: Hkdf<Sha256>,
    batch_id: HmacKey,
    batch_body: HmacKey,
    body_hash: Zeroizing<[u8; 16]>,
    /// The programs in use, each with its rotation epoch. A handful: programs are at most 8.
    programs: RwLock<Vec<(ProgramName, u32, Arc<ProgramKeys>)>>,
}

impl std::fmt::Debug for CustomerSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CustomerSecret").field("customer", &self.customer).finish_non_exhaustive()
    }
}

impl CustomerSecret {
    /// Derives the secret of a customer.
    #[must_use]
    pub fn derive(root: &RootKey, salt: &CustomerSalt, customer: CustomerKey) -> Self {
        let hkdf = Hkdf::new(Some(&salt.0), &root.0);
        let key = |info: &[u8]| {
            let mut key = Zeroizing::new([0; 32]);
            expand(&hkdf, &[info], &mut *key);
            HmacKey::new(&*key)
        };
        let mut body_hash = Zeroizing::new([0; 16]);
        expand(&hkdf, &[b"usaged/batch-hash/v1"], &mut *body_hash);
        Self {
            customer,
            batch_id: key(b"usaged/batch-id/v1"),
            batch_body: key(b"usaged/batch-body/v1"),
            body_hash,
            programs: RwLock::default(),
            hkdf,
        }
    }

    /// The customer that this is the secret of.
    #[must_use]
    pub const fn customer(&self) -> CustomerKey {
        self.customer
    }

    /// The keys of a program at a rotation epoch. Cheap when they were used before.
    #[must_use]
    pub fn program(&self, program: &ProgramName, epoch: u32) -> Arc<ProgramKeys> {
        let programs = self.programs.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((.., keys)) = programs.iter().find(|(name, at, _)| at == &epoch && name == program) {
            return Arc::clone(keys);
        }
        drop(programs);
        let keys = Arc::new(ProgramKeys::derive(&self.hkdf, program, epoch));
        let mut programs = self.programs.write().unwrap_or_else(PoisonError::into_inner);
        // Only the newest epoch of a program is worth its memory.
        programs.retain(|(name, at, _)| name != program || *at > epoch);
        programs.push((program.clone(), epoch, Arc::clone(&keys)));
        keys
    }

    /// The key that seals this customer's records of a program.
    #[must_use]
    pub fn seal_key(&self, program: &ProgramName) -> SealKey {
        seal_key(&self.hkdf, program)
    }

    /// What the store knows a batch by: a keyed token, since the sender made up the id.
    #[must_use]
    pub fn batch_token(&self, id: &BatchId) -> [u8; 16] {
        self.batch_id.token(id.as_bytes())
    }

    /// A keyed digest of a request's body, to tell a retry from another batch under the same id:
    /// a universal hash (POLYVAL) whose result is hidden by HMAC together with the id.
    #[must_use]
    pub fn body_token(&self, id: &BatchId, body: &[u8]) -> [u8; 16] {
        let mut hash = polyval::Polyval::new((&*self.body_hash).into());
        hash.update_padded(body);
        let mut message = Vec::with_capacity(40);
        message.extend_from_slice(id.as_bytes());
        message.extend_from_slice(&hash.finalize());
        message.extend_from_slice(&length(body).to_be_bytes());
        self.batch_body.token(&message)
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// The keys of one customer and program. Class keys are derived when first used.
pub struct ProgramKeys {
    hkdf: Hkdf<Sha256>,
    program: ProgramName,
    epoch: u32,
    seal: SealKey,
    stable: Box<[OnceLock<Box<HmacKey>>]>,
    rotating: Box<[OnceLock<Box<HmacKey>>]>,
}

impl std::fmt::Debug for ProgramKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProgramKeys").field("program", &self.program).finish_non_exhaustive()
    }
}

impl ProgramKeys {
    fn derive(hkdf: &Hkdf<Sha256>, program: &ProgramName, epoch: u32) -> Self {
        let empty = || IdentifierClass::ALL.iter().map(|_| OnceLock::new()).collect();
        Self {
            hkdf: hkdf.clone(),
            program: program.clone(),
            epoch,
            seal: seal_key(hkdf, program),
            stable: empty(),
            rotating: empty(),
        }
    }

    /// The number of the rotation epoch.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The key that seals records.
    #[must_use]
    pub const fn seal(&self) -> &SealKey {
        &self.seal
    }

    /// The pseudonym of a canonical identifier.
    #[inline]
    #[must_use]
    pub fn token(&self, class: IdentifierClass, epoch: Epoch, canonical: &[u8]) -> [u8; 16] {
        let stable = self.key(class, Epoch::Stable).token(canonical);
        match epoch {
            Epoch::Stable => stable,
            Epoch::Rotating => self.rotate(class, &stable),
        }
    }

    /// The rotating pseudonym that belongs to a stable one: its keyed hash, so that a stored
    /// stable pseudonym can be brought down without the identifier.
    #[inline]
    #[must_use]
    pub fn rotate(&self, class: IdentifierClass, stable: &[u8; 16]) -> [u8; 16] {
        self.key(class, Epoch::Rotating).token(stable)
    }

    #[inline]
    fn key(&self, class: IdentifierClass, epoch: Epoch) -> &HmacKey {
        let keys = match epoch {
            Epoch::Stable => &self.stable,
            Epoch::Rotating => &self.rotating,
        };
        // Both lists have a place for every class, so the last branch is not taken; it derives
        // nothing weaker, only without keeping it.
        match keys.get(class.index()) {
            Some(key) => key.get_or_init(|| Box::new(self.derive_class(class, epoch))),
            None => unreachable!("a key place for every identifier class"),
        }
    }

    fn derive_class(&self, class: IdentifierClass, epoch: Epoch) -> HmacKey {
        let number = self.epoch.to_be_bytes();
        let epoch: &[u8] = match epoch {
            Epoch::Stable => b"stable",
            Epoch::Rotating => &number,
        };
        let info =
            [b"usaged/pseudonym/v1", self.program.as_str().as_bytes(), class.as_str().as_bytes(), epoch];
        let mut key = Zeroizing::new([0; 32]);
        expand(&self.hkdf, &info, &mut *key);
        HmacKey::new(&*key)
    }
}

fn seal_key(hkdf: &Hkdf<Sha256>, program: &ProgramName) -> SealKey {
    let mut key = Zeroizing::new([0; 32]);
    expand(hkdf, &[b"usaged/seal/v1", program.as_str().as_bytes()], &mut *key);
    SealKey::new(&key)
}

/// HKDF-Expand with an info whose parts cannot run into each other: each has its length before it.
fn expand(hkdf: &Hkdf<Sha256>, info: &[&[u8]], key: &mut [u8]) {
    let mut flat = Vec::with_capacity(128);
    for part in info {
        flat.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        flat.extend_from_slice(part);
    }
    // HKDF refuses only more than 255 blocks of output; keys here are one block.
    if hkdf.expand(&flat, key).is_err() {
        unreachable!("HKDF expands to at most 32 bytes here");
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
