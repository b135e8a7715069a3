//! What a check tells: how far it is, what it read, and what is wrong with what to do about it.

use serde::Serialize;

use crate::model::CommitNumber;

/// Findings that are named; of more, the number is told.
const NAMED: usize = 100;

/// How far a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckProgress {
    /// What is read.
    pub part: &'static str,
    /// How much of it was read: records or rows.
    pub done: u64,
    /// All there is of it, where that is known.
    pub of: u64,
}

/// One thing that is wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Where.
    pub part: String,
    /// What.
    pub what: String,
    /// What to do.
    pub remedy: &'static str,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}; {}", self.part, self.what, self.remedy)
    }
}

/// Everything that is wrong, as far as it is named.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Faults {
    /// The first ones.
    pub named: Vec<Fault>,
    /// How many there are besides.
    pub more: u64,
}

impl Faults {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.named.is_empty() && self.more == 0
    }

    /// Adds one.
    pub fn add(&mut self, part: impl Into<String>, what: impl Into<String>, remedy: &'static str) {
        if self.named.len() < NAMED {
            self.named.push(Fault { part: part.into(), what: what.into(), remedy });
        } else {
            self.more += 1;
        }
    }
}

/// What to do about a part without which nothing goes.
pub(super) const RESTORE: &str = "restore the data directory from a backup (`usaged store restore`)";
/// What to do about commits that are missing.
pub(super) const ACCEPT: &str =
    "restore the data directory from a backup, or go on without that data: `usaged serve --accept-data-loss`";
/// What to do about damaged records.
pub(super) const ASIDE: &str = "the collector sets such a record aside and serves what comes behind it; to have it back, restore a backup";

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Checked {
    /// The version of the format.
    pub format: u32,
    /// The id of the store.
    pub store: String,
    /// The last commit.
    pub head: CommitNumber,
    /// What the witness has seen; none if it cannot be read.
    pub witness: Option<CommitNumber>,
    /// Records that passed every check.
    pub records: u64,
    /// Records of which nothing is left, by intent.
    pub gone: u64,
    /// Records that were opened with the root key.
    pub opened: u64,
    /// Records whose customer has no keys: erased, or a backup without its personal rows.
    pub sealed: u64,
    /// Records that are set aside as damaged.
    pub set_aside: u64,
    /// Deduplication rows.
    pub dedup_rows: u64,
    /// Rows of the registry and of salts.
    pub personal_rows: u64,
    /// Rows of the metadata family.
    pub meta_rows: u64,
    /// The newest entry that the store has moved into the ledger.
    pub ledger_has: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// What is wrong.
    pub faults: Faults,
}
