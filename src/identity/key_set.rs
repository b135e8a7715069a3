//! The public keys of an identity provider, from a JSON Web Key Set (RFC 7517).

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::jwt::Algorithm;

/// Keys in one set.
const MOST_KEYS: usize = 64;

/// Bytes of a modulus: 2048 to 8192 bits. Shorter ones are broken, longer ones cost too much to check.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;

/// A key set that is refused, whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It is no key set.
    #[error("it is not a JSON Web Key Set")]
    Form,
    /// It holds a shared secret.
    #[error("it holds a symmetric key (kty \"oct\"), which is a secret and does not belong in a public list")]
    Symmetric,
    /// It holds the private half of a key.
    #[error("it holds a private key, which does not belong in a public list")]
    Private,
    /// More keys than are read.
    #[error("it has more than {MOST_KEYS} keys")]
    TooMany,
    /// Two keys of the same name.
    #[error("two keys for the same algorithm have the same key id")]
    SameName,
    /// No key of it can verify a signature by the listed algorithms.
    #[error("no key of it is for one of the listed algorithms")]
    NoKey,
}

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<RawKey>,
}

#[derive(Deserialize)]
struct RawKey {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<serde::de::IgnoredAny>,
    k: Option<serde::de::IgnoredAny>,
}

/// What tells one key from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(test, derive(Default))]
pub struct KeyPrint([u8; 32]);

/// A key, for one algorithm.
#[derive(Clone)]
pub(super) struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    decoding: DecodingKey,
    print: KeyPrint,
}

impl Key {
    pub(super) const fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    pub(super) const fn print(&self) -> KeyPrint {
        self.print
    }
}

/// The keys that tokens may be signed with.
#[derive(Clone, Default)]
pub struct KeySet(Vec<Key>);

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeySet({})", self.0.len())
    }
}

impl KeySet {
    /// Reads a key set; keys for other uses, of other kinds and for other algorithms are passed over.
    ///
    /// # Errors
    /// Why the whole of it is refused.
    pub fn read<'a, A>(json: &[u8], algorithms: &'a A) -> Result<Self, KeySetError>
    where
        &'a A: IntoIterator<Item = &'a Algorithm>,
    {
        let raw: RawSet = serde_json::from_slice(json).map_err(|_| KeySetError::Form)?;
        if raw.keys.len() > MOST_KEYS {
            return Err(KeySetError::TooMany);
        }
        let mut keys: Vec<Key> = Vec::new();
        for raw in &raw.keys {
            if raw.kty == "oct" || raw.k.is_some() {
                return Err(KeySetError::Symmetric);
            }
            if raw.d.is_some() {
                return Err(KeySetError::Private);
            }
            for algorithm in algorithms {
                let Some(key) = raw.for_algorithm(*algorithm) else { continue };
                if keys.iter().any(|other| other.id == key.id && other.algorithm == key.algorithm) {
                    return Err(KeySetError::SameName);
                }
                keys.push(key);
            }
        }
        if keys.is_empty() { Err(KeySetError::NoKey) } else { Ok(Self(keys)) }
    }

    /// How many keys there are, one that serves two algorithms counted twice.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none, so that no token holds.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key that a token names; without a name, the only one that it can be.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&Key> {
        let mut fitting = self
            .0
            .iter()
            .filter(|key| key.algorithm == algorithm && id.is_none_or(|id| key.id.as_deref() == Some(id)));
        let found = fitting.next();
        found.filter(|_| fitting.next().is_none())
    }

    /// Whether both have the same keys under the same names.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let same = |(a, b): (&Key, &Key)| (&a.id, a.algorithm, a.print) == (&b.id, b.algorithm, b.print);
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }

    /// Whether a key is still in the set.
    #[must_use]
    pub fn has(&self, print: KeyPrint) -> bool {
        self.0.iter().any(|key| key.print == print)
    }
}

impl RawKey {
    fn for_algorithm(&self, algorithm: Algorithm) -> Option<Key> {
        use Algorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        let is_for = self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.alg.as_deref().is_none_or(|name| name == algorithm.as_str());
        if !is_for {
            return None;
        }
        let bytes = |text: &Option<String>| BASE64URL_NOPAD.decode(text.as_deref()?.as_bytes()).ok();
        let curve = self.crv.as_deref();
        let (decoding, parts) = match (algorithm, self.kty.as_str()) {
            (Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512, "RSA") => {
                let (n, e) = (bytes(&self.n)?, bytes(&self.e)?);
                // A leading zero byte does not count. An exponent is odd, and 1 would let anything pass.
                let digits = |bytes: &[u8]| bytes.iter().skip_while(|byte| **byte == 0).count();
                let is_exponent = e.last().is_some_and(|last| last % 2 == 1 && (digits(&e) > 1 || *last > 1));
                if !MODULUS.contains(&digits(&n)) || !is_exponent || e.len() > 8 {
                    return None;
                }
                (DecodingKey::from_rsa_raw_components(&n, &e), [n, e])
            }
            (Es256, "EC") if curve == Some("P-256") => self.point(32)?,
            (Es384, "EC") if curve == Some("P-384") => self.point(48)?,
            (EdDsa, "OKP") if curve == Some("Ed25519") => {
                let x = bytes(&self.x).filter(|x| x.len() == 32)?;
                (DecodingKey::from_ed_components(self.x.as_deref()?).ok()?, [x, Vec::new()])
            }
            (Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512 | Es256 | Es384 | EdDsa, _) => return None,
        };
        let [first, second] = parts;
        let length = u64::try_from(first.len()).unwrap_or(u64::MAX).to_be_bytes();
        let hash = Sha256::new().chain_update(length).chain_update(&first).chain_update(&second);
        let print = KeyPrint(hash.finalize().into());
        Some(Key { id: self.kid.clone(), algorithm, decoding, print })
    }

    fn point(&self, size: usize) -> Option<(DecodingKey, [Vec<u8>; 2])> {
        let (x, y) = (self.x.as_deref()?, self.y.as_deref()?);
        let bytes = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).ok().filter(|b| b.len() == size);
        let parts = [bytes(x)?, bytes(y)?];
        Some((DecodingKey::from_ec_components(x, y).ok()?, parts))
    }
}
