//! One customer's part of the ledger, as it is given out: the leaves byte for byte, each with the
//! proof that it is in the tree of a signed checkpoint. Whoever has the verifier key can check it
//! without the collector.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::checkpoint::{Checkpoint, NoteFault, SignedCheckpoint};
use super::key::VerifierKey;
use super::leaf::Leaf;
use super::number;
use super::proof::{includes, is_beginning};
use super::tree::{Hash, leaf_hash};

/// The first member of every export.
pub const EXPORT_FORMAT: &str = "usaged ledger export, format 1";
/// Faults that are named.
const NAMED: usize = 100;

/// An export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// [`EXPORT_FORMAT`].
    pub format: String,
    /// The customer id as the operator has it; empty if the customer was erased.
    pub customer: String,
    /// The collector's number for it, as the entries name it.
    pub customer_number: String,
    /// When it was made, Unix milliseconds.
    pub made: i64,
    /// The version of the collector.
    pub collector_version: String,
    /// The policy that was in force then.
    pub policy_version: String,
    /// After how many seconds stored batches are dropped, drained or not.
    pub retention_seconds: u64,
    /// The key that signed the checkpoint. Compare it with the one that you were given before.
    pub verifier_key: String,
    /// The signed checkpoint that the proofs lead to.
    pub checkpoint: String,
    /// The proof that an older checkpoint is the beginning of it, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
    /// The entries, oldest first.
    pub entries: Vec<Exported>,
}

/// The proof that a smaller tree is the beginning of the one of the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Since {
    /// Its size.
    pub size: u64,
    /// Hashes, in base64.
    pub proof: Vec<String>,
}

/// An entry of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exported {
    /// Its place in the tree.
    pub index: u64,
    /// The text that was hashed.
    pub leaf: String,
    /// Hashes, in base64.
    pub proof: Vec<String>,
}

/// What is wrong with an export.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportFault {
    /// It is of another format.
    #[error("it is not an export that this program reads")]
    Format,
    /// Its key cannot be read.
    #[error("its verifier key cannot be read")]
    NoKey,
    /// It was signed with another key.
    #[error("it was signed with another key than the one that was given: {found}")]
    Key {
        /// The key in it.
        found: String,
    },
    /// Its checkpoint is not good.
    #[error("its checkpoint is not good: {0}")]
    Checkpoint(NoteFault),
    /// An entry is not in the tree.
    #[error("entry {index} is not what was signed: it was changed, or never was in the ledger")]
    Entry {
        /// Its index.
        index: u64,
    },
    /// An entry is about somebody else.
    #[error("entry {index} is not about this customer")]
    Foreign {
        /// Its index.
        index: u64,
    },
    /// Entries are not in order.
    #[error("entry {index} comes twice or out of order")]
    Order {
        /// Its index.
        index: u64,
    },
    /// The older checkpoint is not good.
    #[error("the checkpoint that was given is not good: {0}")]
    Older(NoteFault),
    /// The ledger does not go on from the older checkpoint, or it is not proven.
    #[error("it is not proven that the ledger goes on from the checkpoint that was given, of {size} entries")]
    Broken {
        /// Its size.
        size: u64,
    },
}

fn hashes(proof: &[String]) -> Option<Vec<Hash>> {
    let read = |text: &String| BASE64.decode(text.as_bytes()).ok()?.try_into().ok();
    proof.iter().map(read).collect()
}

/// Hashes of a proof, as an export has them.
#[must_use]
pub fn proof_text<H: AsRef<[u8]>>(proof: &[H]) -> Vec<String> {
    proof.iter().map(|hash| BASE64.encode(hash.as_ref())).collect()
}

impl Export {
    /// Checks the signature, every proof, and that an older checkpoint still holds. Without a key, the one
    /// in the export is taken: then only that it fits together is known, not who signed it.
    ///
    /// # Errors
    /// All that is wrong; at most a hundred.
    pub fn verify(
        &self,
        key: Option<&VerifierKey>,
        older: Option<&SignedCheckpoint>,
    ) -> Result<Checkpoint, Vec<ExportFault>> {
        if self.format != EXPORT_FORMAT {
            return Err(vec![ExportFault::Format]);
        }
        let Ok(found) = self.verifier_key.parse::<VerifierKey>() else {
            return Err(vec![ExportFault::NoKey]);
        };
        if key.is_some_and(|key| *key != found) {
            return Err(vec![ExportFault::Key { found: self.verifier_key.clone() }]);
        }
        let read = SignedCheckpoint::read(&self.checkpoint).and_then(|note| note.verify(&found).cloned());
        let checkpoint = read.map_err(|fault| vec![ExportFault::Checkpoint(fault)])?;
        let mut faults = Vec::new();
        let mut next = 0;
        for entry in &self.entries {
            if faults.len() >= NAMED {
                break;
            }
            if entry.index < next {
                faults.push(ExportFault::Order { index: entry.index });
            }
            next = next.max(entry.index.saturating_add(1));
            faults.extend(self.entry_fault(entry, &checkpoint));
        }
        faults.extend(older.and_then(|older| self.since_fault(older, &checkpoint, &found)));
        if faults.is_empty() { Ok(checkpoint) } else { Err(faults) }
    }

    fn entry_fault(&self, entry: &Exported, checkpoint: &Checkpoint) -> Option<ExportFault> {
        let index = entry.index;
        let leaf = leaf_hash(entry.leaf.as_bytes());
        let is_in = hashes(&entry.proof)
            .is_some_and(|path| includes(&leaf, index, checkpoint.size, &path, &checkpoint.root));
        let read = Leaf::read(index, entry.leaf.clone().into_bytes());
        match read {
            Some(read) if is_in => {
                let customer = number::parse(&self.customer_number);
                let is_about = customer.is_some_and(|customer| read.is_about(customer));
                (!is_about).then_some(ExportFault::Foreign { index })
            }
            Some(_) | None => Some(ExportFault::Entry { index }),
        }
    }

    fn since_fault(
        &self,
        older: &SignedCheckpoint,
        checkpoint: &Checkpoint,
        key: &VerifierKey,
    ) -> Option<ExportFault> {
        let older = match older.verify(key) {
            Ok(older) => older,
            Err(fault) => return Some(ExportFault::Older(fault)),
        };
        let proof =
            if older.size == checkpoint.size { Some(Vec::new()) } else { self.since_proof(older.size) };
        let holds = proof.is_some_and(|path| {
            is_beginning(older.size, &older.root, checkpoint.size, &checkpoint.root, &path)
        });
        (!holds).then_some(ExportFault::Broken { size: older.size })
    }

    fn since_proof(&self, size: u64) -> Option<Vec<Hash>> {
        let since = self.since.as_ref().filter(|since| since.size == size)?;
        hashes(&since.proof)
    }

    /// The entries, read.
    #[must_use]
    pub fn leaves(&self) -> Vec<Leaf> {
        let read = |entry: &Exported| Leaf::read(entry.index, entry.leaf.clone().into_bytes());
        self.entries.iter().filter_map(read).collect()
    }
}
