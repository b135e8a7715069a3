//! What a ledger is opened with.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a ledger is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Its directory.
    pub dir: PathBuf,
    /// A checkpoint is signed at the latest after so many entries ...
    pub checkpoint_entries: u64,
    /// ... or after so long, if there are new ones.
    pub checkpoint_every: Duration,
    /// A ledger of at most so many bytes is read whole when it is opened; of a larger one, what comes
    /// behind the last checkpoint.
    pub check_bytes: u64,
    /// If what is there does not add up, go on with a new ledger that begins with the fault.
    pub accept_break: bool,
}

impl Options {
    /// The usual ones, in `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            checkpoint_entries: 1_024,
            checkpoint_every: Duration::from_mins(10),
            check_bytes: 64 * 1024 * 1024,
            accept_break: false,
        }
    }
}

/// The outbox that the ledger is filled from, as it was when the ledger is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The id of the store.
    pub store: [u8; 16],
    /// The last number that the store has forgotten, because it was in the ledger; 0 for none.
    pub forgotten: u64,
    /// The last number that the store has given; 0 for none.
    pub made: u64,
}
