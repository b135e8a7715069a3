//! Keys: everything that is derived from the data root and a customer's salt (DESIGN section 4).
//!
//! ```text
//! root key     the operator's, 32 bytes, in a file or the environment, never in the store
//! data root    32 random bytes, made with the store and kept in it wrapped under the root key
//! salt, state  32 random bytes each, per customer; kept in the store, destroyed with the customer
//!
//! check    = HKDF(no salt, root key, "usaged/root-check/v1"), 16 bytes, kept in the store
//! wrapped  = version 1 (1), nonce (12), AES-256-GCM(HKDF(no salt, root key, "usaged/wrap/v1"), nonce,
//!            data root, authenticated: store id (16), check (16))
//!
//! secret   = HKDF-Extract(salt = the customer's salt, ikm = data root)
//! epoch e  = HKDF-Extract(salt = seed of epoch e, ikm = HKDF-Expand(secret, "usaged/rotating/v1"))
//!            where the seed comes from the customer's state ([`super::Ratchet`])
//! key      = HKDF-Expand(secret or epoch e, info), info being parts with their length before each, as u32
//!            big-endian:
//!            secret   "usaged/pseudonym/v1", program, class, "stable"         stable pseudonyms
//!            epoch e  "usaged/pseudonym/v1", program, class, e (4)            rotating pseudonyms
//!            secret   "usaged/seal/v1", program, UTC day received (8)         sealing stored records
//!            secret   "usaged/batch-id/v1", "usaged/batch-body/v1",
//!                     "usaged/batch-hash/v1"                                  deduplication
//!
//! stable pseudonym of a value    = leftmost 128 bits of HMAC-SHA-256(stable key, canonical form)
//! rotating pseudonym of a value  = leftmost 128 bits of HMAC-SHA-256(rotating key, stable pseudonym)
//! ```
//!
//! No key serves two uses, because the use is part of the derivation; a key seals the records of one customer,
//! program and day. All numbers are big-endian. What can no longer be derived:
//!
//! - without the salt: everything of the customer, records and pseudonyms;
//! - without the state of an epoch or an earlier one: the rotating pseudonyms of that epoch. The stored state is
//!   that of the oldest epoch that is kept, and moves forward with time;
//! - without the root key: everything of the store.
//!
//! **Changing the root key.** The new key wraps the data root again, in one synced write; nothing else changes,
//! so pseudonyms and stored records stay as they are, and the daemon goes on meanwhile. The daemon reads the new
//! key from the file of the root key with `.next` after its name, writes the row, and then renames the file over
//! the old one. After a crash in between, the next start tries both files, and finishes the renaming if it is
//! the new one that opens the store. Copies of the data directory from before still open with the old key; so do
//! files of the database that still hold the old row, until its family has been compacted.
//!
//! Keys are wiped when they are dropped. What is not: registers and the stack of the hash function, which hold
//! parts of them for as long as a derivation takes.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use polyval::universal_hash::UniversalHash;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::keys_derive::{Prk, half};
use super::{DataRoot, EpochSeed, HmacKey, Ratchet, SealKey};
use crate::model::{BatchId, CustomerKey, IdentifierClass, ProgramName, UnixMillis};
use crate::policy::Epoch;

/// Epochs of a program whose keys are held: the present one, and that of what is drained.
const HELD_EPOCHS: usize = 2;
/// Seal keys that are held, a KiB each: those of today, and one of a day that is drained. Making one takes a
/// microsecond, so two programs that are drained from yesterday cost less than holding more for every customer.
const HELD_SEALS: usize = 3;

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
    secret: Prk,
    ratchet: Ratchet,
    batch_id: HmacKey,
    batch_body: HmacKey,
    body_hash: Zeroizing<[u8; 16]>,
    /// The programs in use, at one or two epochs each. A handful: programs are at most 8.
    programs: RwLock<Vec<Arc<ProgramKeys>>>,
    /// The seal keys in use, each with its program and day; the oldest gives way.
    seals: RwLock<Vec<(ProgramName, i64, Arc<SealKey>)>>,
}

impl std::fmt::Debug for CustomerSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CustomerSecret").field("customer", &self.customer).finish_non_exhaustive()
    }
}

impl CustomerSecret {
    /// Derives the secret of a customer.
    #[must_use]
    pub fn derive(root: &DataRoot, salt: &CustomerSalt, ratchet: Ratchet, customer: CustomerKey) -> Self {
        let secret = Prk::extract(&salt.0, root.bytes());
        Self {
            customer,
            ratchet,
            batch_id: secret.key(&[b"usaged/batch-id/v1"]),
            batch_body: secret.key(&[b"usaged/batch-body/v1"]),
            body_hash: Zeroizing::new(half(&secret.expand(&[b"usaged/batch-hash/v1"]))),
            programs: RwLock::default(),
            seals: RwLock::default(),
            secret,
        }
    }

    /// The customer that this is the secret of.
    #[must_use]
    pub const fn customer(&self) -> CustomerKey {
        self.customer
    }

    /// The ratchet: which epochs there are keys of.
    #[must_use]
    pub const fn ratchet(&self) -> &Ratchet {
        &self.ratchet
    }

    /// The keys of a program at a rotation epoch. Cheap when they were used before. If the epoch's keys cannot be
    /// derived, there are those of stable pseudonyms only.
    #[must_use]
    pub fn program(&self, program: &ProgramName, epoch: u32) -> Arc<ProgramKeys> {
        let programs = self.programs.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = programs.iter().find(|keys| keys.epoch == epoch && keys.program == *program) {
            return Arc::clone(keys);
        }
        let stable =
            programs.iter().find(|keys| keys.program == *program).map(|keys| Arc::clone(&keys.stable));
        drop(programs);
        let seed = self.ratchet.seed(epoch);
        let keys = Arc::new(self.keys(program, epoch, seed.as_ref(), stable));
        let mut programs = self.programs.write().unwrap_or_else(PoisonError::into_inner);
        let held = programs.iter().filter(|keys| keys.program == *program).count();
        if held >= HELD_EPOCHS
            && let Some(oldest) = programs.iter().position(|keys| keys.program == *program)
        {
            programs.remove(oldest);
        }
        programs.push(Arc::clone(&keys));
        keys
    }

    /// The keys of a program at an epoch whose seed is given, or those of stable pseudonyms only. They are not
    /// held: what is looked up does not push out what is in use.
    pub(super) fn keys_apart(&self, program: &ProgramName, epoch: Option<(u32, &EpochSeed)>) -> ProgramKeys {
        let (number, seed) = epoch.map_or((0, None), |(epoch, seed)| (epoch, Some(seed)));
        self.keys(program, number, seed, None)
    }

    fn keys(
        &self,
        program: &ProgramName,
        epoch: u32,
        seed: Option<&EpochSeed>,
        stable: Option<Arc<ClassKeys>>,
    ) -> ProgramKeys {
        let rotating = seed.map(|seed| {
            let prk = Prk::extract(seed.expose(), &*self.secret.expand(&[b"usaged/rotating/v1"]));
            ClassKeys::new(prk)
        });
        let stable = stable.unwrap_or_else(|| Arc::new(ClassKeys::new(self.secret.clone())));
        ProgramKeys { program: program.clone(), epoch, stable, rotating }
    }

    /// The key that seals what the collector itself notes down of this customer, such as an identifier that is being
    /// erased.
    #[must_use]
    pub fn note_key(&self) -> SealKey {
        SealKey::new(&self.secret.expand(&[b"usaged/note/v1"]))
    }

    /// The key that seals this customer's records of a program that were received on the UTC day of `received`.
    #[must_use]
    pub fn seal_key(&self, program: &ProgramName, received: UnixMillis) -> Arc<SealKey> {
        let day = received.0.div_euclid(86_400_000);
        let seals = self.seals.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((.., key)) = seals.iter().find(|(name, of, _)| *of == day && name == program) {
            return Arc::clone(key);
        }
        drop(seals);
        let info: [&[u8]; 3] = [b"usaged/seal/v1", program.as_str().as_bytes(), &day.to_be_bytes()];
        let key = Arc::new(SealKey::new(&self.secret.expand(&info)));
        let mut seals = self.seals.write().unwrap_or_else(PoisonError::into_inner);
        if seals.len() >= HELD_SEALS {
            seals.remove(0);
        }
        seals.push((program.clone(), day, Arc::clone(&key)));
        key
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
    program: ProgramName,
    epoch: u32,
    stable: Arc<ClassKeys>,
    /// `None` if the keys of the epoch cannot be derived.
    rotating: Option<ClassKeys>,
}

impl std::fmt::Debug for ProgramKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProgramKeys")
            .field("program", &self.program)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl ProgramKeys {
    /// The program.
    #[must_use]
    pub const fn program(&self) -> &ProgramName {
        &self.program
    }

    /// The number of the rotation epoch.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Whether there are keys of rotating pseudonyms: the epoch is neither too old nor too far ahead.
    #[must_use]
    pub const fn has_epoch(&self) -> bool {
        self.rotating.is_some()
    }

    /// The pseudonym of a canonical identifier; `None` if there is no key for it, and then nothing may be stored
    /// ([`crate::model::Reason::NoKey`]).
    #[inline]
    #[must_use]
    pub fn token(&self, class: IdentifierClass, epoch: Epoch, canonical: &[u8]) -> Option<[u8; 16]> {
        let stable = self.stable.key(&self.program, class, b"stable").token(canonical);
        match epoch {
            Epoch::Stable => Some(stable),
            Epoch::Rotating => self.rotate(class, &stable),
        }
    }

    /// The rotating pseudonym that belongs to a stable one: its keyed hash, so that a stored
    /// stable pseudonym can be brought down without the identifier. `None` if there is no key for it.
    #[inline]
    #[must_use]
    pub fn rotate(&self, class: IdentifierClass, stable: &[u8; 16]) -> Option<[u8; 16]> {
        let keys = self.rotating.as_ref()?;
        Some(keys.key(&self.program, class, &self.epoch.to_be_bytes()).token(stable))
    }
}

/// The keys of every class, from one secret and for one epoch.
struct ClassKeys {
    prk: Prk,
    keys: Box<[OnceLock<Box<HmacKey>>]>,
}

impl ClassKeys {
    fn new(prk: Prk) -> Self {
        Self { prk, keys: IdentifierClass::ALL.iter().map(|_| OnceLock::new()).collect() }
    }

    /// The key of a class. Program and epoch are always the same ones.
    #[inline]
    fn key(&self, program: &ProgramName, class: IdentifierClass, epoch: &[u8]) -> &HmacKey {
        let derive = || {
            let info =
                [b"usaged/pseudonym/v1", program.as_str().as_bytes(), class.as_str().as_bytes(), epoch];
            Box::new(self.prk.key(&info))
        };
        match self.keys.get(class.index()) {
            Some(key) => key.get_or_init(derive),
            None => unreachable!("a key place for every identifier class"),
        }
    }
}

/// The text of a pseudonym, as a field of a stored batch prints: algorithm version, class, epoch (`None` for a
/// stable one), and the token in base32hex.
#[must_use]
pub fn pseudonym_text(class: IdentifierClass, epoch: Option<u32>, token: &[u8; 16]) -> String {
    let mut text = match epoch {
        None => format!("p1-{class}-s-"),
        Some(epoch) => format!("p1-{class}-r{epoch}-"),
    };
    text.push_str(&data_encoding::BASE32HEX_NOPAD.encode(token).to_ascii_lowercase());
    text
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
