//! The key that signs checkpoints, and its public half as others hold it: a verifier key as of
//! C2SP `signed-note`, `<name>+<id>+<key>`.

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// The type of an Ed25519 key in a signed note.
const ED25519: u8 = 1;
/// Bytes of the longest name.
const NAME_BYTES: usize = 128;

/// A key that is none. Never holds a digit of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// The text of a signing key has another form.
    #[error("a ledger key is 64 hexadecimal digits")]
    Form,
    /// The text of a verifier key has another form.
    #[error(
        "a verifier key is written <name>+<8 hexadecimal digits>+<base64>, as in the file `vkey` of a ledger"
    )]
    VerifierForm,
    /// The id in a verifier key is not that of its key.
    #[error("the verifier key does not fit its own id: it was not copied whole")]
    VerifierId,
}

/// The key that signs. Wiped when it is dropped.
pub struct LedgerKey(SigningKey);

impl std::fmt::Debug for LedgerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LedgerKey(..)")
    }
}

impl LedgerKey {
    /// The key with this seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads 64 hexadecimal digits; white space at the end is allowed.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn from_hex(text: &str) -> Result<Self, KeyFault> {
        let bytes = Zeroizing::new(HEXLOWER.decode(text.trim_end().as_bytes()).map_err(|_| KeyFault::Form)?);
        let seed: Zeroizing<[u8; 32]> =
            Zeroizing::new(bytes.as_slice().try_into().map_err(|_| KeyFault::Form)?);
        Ok(Self::from_seed(&seed))
    }

    /// The digits of a seed.
    #[must_use]
    pub fn to_hex(seed: &[u8; 32]) -> Zeroizing<String> {
        Zeroizing::new(HEXLOWER.encode(seed))
    }

    /// The public half, under the name of a ledger.
    #[must_use]
    pub fn verifier(&self, name: &str) -> VerifierKey {
        VerifierKey { name: name.to_owned(), key: self.0.verifying_key() }
    }

    pub(super) fn sign(&self, text: &[u8]) -> [u8; 64] {
        self.0.sign(text).to_bytes()
    }
}

/// The public half of a ledger's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key: VerifyingKey,
}

impl VerifierKey {
    /// The name of the ledger.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of SHA-256 over name, line end, type and key.
    pub(super) fn id(&self) -> [u8; 4] {
        let hash = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', ED25519])
            .chain_update(self.key.as_bytes())
            .finalize();
        let [a, b, c, d, ..]: [u8; 32] = hash.into();
        [a, b, c, d]
    }

    pub(super) fn verifies(&self, text: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(text, &Signature::from_bytes(signature)).is_ok()
    }
}

/// Whether `name` may be the name of a key: no white space, no plus.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES && !name.contains(|c: char| c.is_whitespace() || c == '+')
}

impl std::fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut key = vec![ED25519];
        key.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, HEXLOWER.encode(&self.id()), BASE64.encode(&key))
    }
}

impl std::str::FromStr for VerifierKey {
    type Err = KeyFault;

    fn from_str(text: &str) -> Result<Self, KeyFault> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyFault::VerifierForm);
        };
        let id = HEXLOWER.decode(id.as_bytes()).map_err(|_| KeyFault::VerifierForm)?;
        let key = BASE64.decode(key.as_bytes()).map_err(|_| KeyFault::VerifierForm)?;
        let key = key.strip_prefix(&[ED25519]).and_then(|key| <[u8; 32]>::try_from(key).ok());
        let key = key.and_then(|key| VerifyingKey::from_bytes(&key).ok());
        let key = key.filter(|_| is_name(name)).ok_or(KeyFault::VerifierForm)?;
        let verifier = Self { name: name.to_owned(), key };
        if verifier.id().as_slice() == id { Ok(verifier) } else { Err(KeyFault::VerifierId) }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// The example of golang.org/x/mod/sumdb/note.
    #[test]
    fn a_verifier_key_is_read_as_others_write_it() {
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key: VerifierKey = text.parse().unwrap();
        assert_eq!((key.name(), key.to_string().as_str()), ("PeterNeumann", text));
        for (bad, fault) in [
            ("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", KeyFault::VerifierId),
            ("PeterNeumenn+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", KeyFault::VerifierId),
            ("PeterNeumann+c74f20a3+AhpC", KeyFault::VerifierForm),
            ("Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", KeyFault::VerifierForm),
            ("", KeyFault::VerifierForm),
        ] {
            assert_eq!(bad.parse::<VerifierKey>(), Err(fault), "{bad}");
        }
    }

    #[test]
    fn a_signing_key_is_64_digits_and_shows_none_of_them() {
        let text = LedgerKey::to_hex(&[0xab; 32]);
        let key = LedgerKey::from_hex(&format!("{}\n", text.as_str())).unwrap();
        assert_eq!(format!("{key:?}"), "LedgerKey(..)");
        assert_eq!(key.verifier("x"), LedgerKey::from_seed(&[0xab; 32]).verifier("x"));
        for bad in ["", "ab", &text.to_uppercase(), &format!("{}00", text.as_str())] {
            assert_eq!(LedgerKey::from_hex(bad).unwrap_err(), KeyFault::Form);
        }
    }
}
