//! Checkpoints: what the tree was at some size, signed. The text is a C2SP `tlog-checkpoint` (name,
//! size and root, a line each) and its envelope a C2SP `signed-note`.

use data_encoding::BASE64;

use super::key::{LedgerKey, VerifierKey, is_name};
use super::tree::Hash;

/// Bytes of the longest note: three lines and some signatures.
pub(super) const NOTE_BYTES: usize = 8 * 1024;
/// Signatures of one note: ours, and those of witnesses that others may have added.
const SIGNATURES: usize = 16;
/// How a line with a signature begins.
pub(super) const DASH: &str = "\u{2014} ";

/// Why a note is not a checkpoint of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteFault {
    /// It does not have the form.
    #[error("it is not a signed checkpoint: name, size, root, an empty line and a signature")]
    Form,
    /// It is of another ledger.
    #[error("it is a checkpoint of another ledger")]
    Origin,
    /// No signature of the key is on it.
    #[error("it is not signed by this key")]
    Unsigned,
    /// The signature is not of this text.
    #[error("its signature is not good: it was changed, or signed by another key")]
    Signature,
}

/// What the tree was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of the ledger.
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(&self.root))
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, digits, root) = (lines.next()?, lines.next()?, lines.next()?);
        let size: u64 = digits.parse().ok()?;
        let root = BASE64.decode(root.as_bytes()).ok()?.try_into().ok()?;
        let is_canonical = size.to_string() == digits && is_name(origin);
        // Lines after the third are allowed and mean nothing here; an empty one is not.
        (is_canonical && lines.all(|line| !line.is_empty())).then(|| Self {
            origin: origin.to_owned(),
            size,
            root,
        })
    }

    /// Signs it: the whole note.
    #[must_use]
    pub fn sign(&self, key: &LedgerKey) -> SignedCheckpoint {
        let text = self.text();
        let mut signature = key.verifier(&self.origin).id().to_vec();
        signature.extend_from_slice(&key.sign(text.as_bytes()));
        let note = format!("{text}\n{DASH}{} {}\n", self.origin, BASE64.encode(&signature));
        SignedCheckpoint { checkpoint: self.clone(), note }
    }
}

/// A checkpoint in its envelope. That the signature is good is known only after [`Self::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: String,
}

impl SignedCheckpoint {
    /// Reads a note without looking at its signature.
    ///
    /// # Errors
    /// If it has another form.
    pub fn read(note: &str) -> Result<Self, NoteFault> {
        let fits = note.len() <= NOTE_BYTES && !note.contains('\r');
        let (text, _) = fits.then(|| split(note)).flatten().ok_or(NoteFault::Form)?;
        let checkpoint = Checkpoint::read(text).ok_or(NoteFault::Form)?;
        Ok(Self { checkpoint, note: note.to_owned() })
    }

    /// What it says, signed by `key` or not.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note: text, empty line, signatures.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }

    /// Checks that `key` signed it, and gives what it says.
    ///
    /// # Errors
    /// If it did not.
    pub fn verify(&self, key: &VerifierKey) -> Result<&Checkpoint, NoteFault> {
        if self.checkpoint.origin != key.name() {
            return Err(NoteFault::Origin);
        }
        let (text, signatures) = split(&self.note).ok_or(NoteFault::Form)?;
        let id = key.id();
        let mut ours = signatures.lines().filter_map(|line| {
            let (name, signature) = line.strip_prefix(DASH)?.split_once(' ')?;
            let signature = BASE64.decode(signature.as_bytes()).ok()?;
            let (signer, signature) = signature.split_first_chunk::<4>()?;
            (name == key.name() && *signer == id).then(|| <[u8; 64]>::try_from(signature).ok())
        });
        let signature = ours.next().ok_or(NoteFault::Unsigned)?.ok_or(NoteFault::Signature)?;
        let is_good = key.verifies(text.as_bytes(), &signature);
        if is_good { Ok(&self.checkpoint) } else { Err(NoteFault::Signature) }
    }
}

/// The text of a note with its last line end, and its signature lines.
fn split(note: &str) -> Option<(&str, &str)> {
    let at = note.rfind("\n\n")?;
    let (text, signatures) = (note.get(..=at)?, note.get(at + 2..)?);
    let mut lines = signatures.strip_suffix('\n')?.split('\n');
    let are_signatures = lines.clone().count() <= SIGNATURES && lines.all(|line| line.starts_with(DASH));
    are_signatures.then_some((text, signatures))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::tree::leaf_hash;
    use super::*;

    fn sample() -> (LedgerKey, SignedCheckpoint) {
        let key = LedgerKey::from_seed(&[7; 32]);
        let checkpoint = Checkpoint { origin: "usaged-ledger/ab".into(), size: 42, root: leaf_hash(b"x") };
        let signed = checkpoint.sign(&key);
        (key, signed)
    }

    #[test]
    fn a_signed_checkpoint_is_read_back_and_verified() {
        let (key, signed) = sample();
        let read = SignedCheckpoint::read(signed.note()).unwrap();
        assert_eq!(read, signed);
        assert_eq!(read.verify(&key.verifier("usaged-ledger/ab")).unwrap().size, 42);
        let other = LedgerKey::from_seed(&[8; 32]);
        assert_eq!(read.verify(&other.verifier("usaged-ledger/ab")), Err(NoteFault::Unsigned));
        assert_eq!(read.verify(&key.verifier("usaged-ledger/cd")), Err(NoteFault::Origin));
        let witnessed = format!("{}{DASH}witness.example AAAAAAAA\n", signed.note());
        let read = SignedCheckpoint::read(&witnessed).unwrap();
        assert!(read.verify(&key.verifier("usaged-ledger/ab")).is_ok(), "others may sign too");
    }

    #[test]
    fn no_byte_of_a_signed_checkpoint_can_be_changed() {
        let (key, signed) = sample();
        let verifier = key.verifier("usaged-ledger/ab");
        let bytes = signed.note().as_bytes();
        for at in 0..bytes.len() {
            for with in [bytes.get(at).unwrap() ^ 1, b'\n', b'0', b'A'] {
                let mut other = bytes.to_vec();
                *other.get_mut(at).unwrap() = with;
                let Ok(text) = String::from_utf8(other) else { continue };
                if text != signed.note() {
                    let read = SignedCheckpoint::read(&text);
                    assert!(read.is_err() || read.unwrap().verify(&verifier).is_err(), "{at}: {text}");
                }
            }
        }
        for at in 0..bytes.len() {
            let short = String::from_utf8_lossy(bytes.get(..at).unwrap()).into_owned();
            assert!(SignedCheckpoint::read(&short).is_err(), "{at}");
        }
    }

    /// The example of golang.org/x/mod/sumdb/note: a text of three lines that is no checkpoint.
    #[test]
    fn the_signature_of_another_implementation_is_good() {
        let key: VerifierKey =
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let line =
            "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let signature = BASE64.decode(line.as_bytes()).unwrap();
        let (id, signature) = signature.split_first_chunk::<4>().unwrap();
        assert_eq!(*id, key.id());
        assert!(key.verifies(text.as_bytes(), signature.try_into().unwrap()));
    }
}
