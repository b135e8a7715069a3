//! What a check of a ledger can find, each with the entry that it is about.

use serde::Serialize;
use serde_json::{Value, json};

use super::checkpoint::NoteFault;
use super::record::RecordFault;

/// Findings that are named; further ones are counted.
const NAMED: usize = 100;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// A file is not there, or is not what its name says.
    #[error("the file `{file}` is missing, or is not that of a ledger this program reads")]
    File {
        /// Its name.
        file: &'static str,
    },
    /// A record cannot be read.
    #[error("entry {index}, at byte {offset} of `entries`, is damaged: {fault}")]
    Damaged {
        /// Its index.
        index: u64,
        /// Where it begins.
        offset: u64,
        /// What is wrong with it.
        fault: RecordFault,
    },
    /// Behind a damaged record nothing can be read any more.
    #[error("after byte {offset} of `entries` nothing can be read")]
    Unreadable {
        /// Where that begins.
        offset: u64,
    },
    /// Entries are gone.
    #[error("{} missing: removed, or moved elsewhere", named(*from, *to, "is", "are"))]
    Missing {
        /// The first index.
        from: u64,
        /// The last one.
        to: u64,
    },
    /// An entry stands where another belongs.
    #[error("entry {index} was replaced by the one that has the number {number}")]
    Replaced {
        /// The place.
        index: u64,
        /// The number that is found there.
        number: u64,
    },
    /// An entry is there that does not belong there.
    #[error("before entry {index} there is an entry too much, with {}: inserted, or moved there", numbered(*number))]
    Extra {
        /// The entry that belongs there.
        index: u64,
        /// The number of the one too much, if it has one.
        number: Option<u64>,
    },
    /// An entry was changed.
    #[error("entry {index} was changed")]
    Changed {
        /// Its index.
        index: u64,
    },
    /// Some entry was changed, and the hashes that would tell which were changed with it.
    #[error("among {} something was changed, removed or put in: the root at {size} entries is not the signed one", range(*from, *to))]
    Among {
        /// The first that it can be.
        from: u64,
        /// The last one.
        to: u64,
        /// The size of the checkpoint that tells.
        size: u64,
    },
    /// The end is missing.
    #[error(
        "the ledger ends after {size} entries, and a signed checkpoint has {signed}: its end was cut off"
    )]
    Cut {
        /// Entries that are there.
        size: u64,
        /// Entries that were signed.
        signed: u64,
    },
    /// The store has forgotten entries that are not there.
    #[error(
        "the ledger ends with number {last}, and up to {forgotten} were moved into it: its end was cut off"
    )]
    Behind {
        /// The last number that is there.
        last: u64,
        /// The last one that was moved.
        forgotten: u64,
    },
    /// There are entries that the store has never made.
    #[error(
        "the ledger ends with number {last}, and the store has made {made}: entries were put in, or the store was set back"
    )]
    Ahead {
        /// The last number that is there.
        last: u64,
        /// The last one that the store gave.
        made: u64,
    },
    /// A checkpoint is not good.
    #[error("checkpoint {place} of `checkpoints` is not good: {fault}")]
    Checkpoint {
        /// Its place in the file, from 1.
        place: u64,
        /// What is wrong with it.
        fault: NoteFault,
    },
    /// The checkpoints are not in order.
    #[error("checkpoint {place} of `checkpoints` is older than the one before it")]
    Order {
        /// Its place in the file, from 1.
        place: u64,
    },
    /// There is no checkpoint at all.
    #[error("there is no signed checkpoint")]
    NoCheckpoint,
    /// The checkpoint that was given is not of this ledger.
    #[error("the checkpoint that was given is not good: {fault}")]
    Given {
        /// Why not.
        fault: NoteFault,
    },
    /// Two checkpoints of one size have different roots: the ledger was forked.
    #[error(
        "two signed checkpoints of {size} entries have different roots: there are two versions of this ledger"
    )]
    Forked {
        /// Their size.
        size: u64,
    },
    /// The key is another one.
    #[error("the ledger was signed with another key: it has {found}, and the key is {expected}")]
    Key {
        /// The verifier key in the ledger.
        found: String,
        /// The one it should be.
        expected: String,
    },
    /// It belongs to another store.
    #[error("the ledger belongs to another store: it is of {found}, and the store is {expected}")]
    Store {
        /// The id in the ledger.
        found: String,
        /// That of the store.
        expected: String,
    },
    /// The ledger is not there at all.
    #[error("there is no ledger, and the store has moved {forgotten} entries into one")]
    Gone {
        /// The last number that was moved.
        forgotten: u64,
    },
}

fn range(from: u64, to: u64) -> String {
    if from == to { format!("entry {from}") } else { format!("entries {from} to {to}") }
}

fn named(from: u64, to: u64, one: &str, many: &str) -> String {
    format!("{} {}", range(from, to), if from == to { one } else { many })
}

fn numbered(number: Option<u64>) -> String {
    number.map_or_else(|| "no number".to_owned(), |number| format!("the number {number}"))
}

impl Finding {
    /// The word for its kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Damaged { .. } => "damaged",
            Self::Unreadable { .. } => "unreadable",
            Self::Missing { .. } => "missing",
            Self::Replaced { .. } => "replaced",
            Self::Extra { .. } => "extra",
            Self::Changed { .. } => "changed",
            Self::Among { .. } => "among",
            Self::Cut { .. } => "cut",
            Self::Behind { .. } => "behind",
            Self::Ahead { .. } => "ahead",
            Self::Checkpoint { .. } => "checkpoint",
            Self::Order { .. } => "order",
            Self::NoCheckpoint => "no_checkpoint",
            Self::Given { .. } => "given",
            Self::Forked { .. } => "forked",
            Self::Key { .. } => "key",
            Self::Store { .. } => "store",
            Self::Gone { .. } => "gone",
        }
    }

    /// The first and the last entry that it can be about.
    #[must_use]
    pub const fn entries(&self) -> Option<(u64, u64)> {
        match self {
            Self::Missing { from, to } | Self::Among { from, to, .. } => Some((*from, *to)),
            Self::Damaged { index, .. }
            | Self::Replaced { index, .. }
            | Self::Extra { index, .. }
            | Self::Changed { index } => Some((*index, *index)),
            Self::Cut { size, signed } => Some((*size, signed.saturating_sub(1))),
            Self::File { .. }
            | Self::Unreadable { .. }
            | Self::Behind { .. }
            | Self::Ahead { .. }
            | Self::Checkpoint { .. }
            | Self::Order { .. }
            | Self::NoCheckpoint
            | Self::Given { .. }
            | Self::Forked { .. }
            | Self::Key { .. }
            | Self::Store { .. }
            | Self::Gone { .. } => None,
        }
    }
}

impl Serialize for Finding {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (first, last) =
            self.entries().map_or((Value::Null, Value::Null), |(first, last)| (json!(first), json!(last)));
        let told = json!({ "kind": self.kind(), "first": first, "last": last, "message": self.to_string() });
        told.serialize(serializer)
    }
}

/// What was found, with a bound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// The first ones.
    pub named: Vec<Finding>,
    /// How many there are beyond these.
    pub more: u64,
}

impl Findings {
    pub(super) fn add(&mut self, finding: Finding) {
        if self.named.len() < NAMED {
            self.named.push(finding);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.named.is_empty()
    }
}

impl std::fmt::Display for Findings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, finding) in self.named.iter().take(5).enumerate() {
            write!(f, "{}{finding}", if at == 0 { "" } else { "; " })?;
        }
        let beyond = u64::try_from(self.named.len().saturating_sub(5)).unwrap_or(u64::MAX);
        let more = self.more.saturating_add(beyond);
        if more > 0 { write!(f, "; and {more} more") } else { Ok(()) }
    }
}
