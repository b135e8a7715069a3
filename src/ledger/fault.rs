//! What can go wrong with a ledger, each with the remedy.

use std::path::PathBuf;

use super::files::FileFault;
use super::finding::Findings;

/// Why a ledger does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file or directory could not be used.
    #[error(
        "a file of the ledger could not be used; check that the disk has space and that this user may write there"
    )]
    File(#[from] FileFault),
    /// Another process has it open.
    #[error("the ledger in {path} is in use by another process; stop that process first", path = path.display())]
    Locked {
        /// Its directory.
        path: PathBuf,
    },
    /// The system gave no randomness.
    #[error("the system gave no random bytes to name a new ledger with; start again")]
    Entropy,
    /// It does not add up.
    #[error(
        "the ledger in {path} does not add up: {findings}. Find out who changed it; `usaged ledger verify {path}` tells \
         more. Go on with a new one that begins with this fault, once, with --accept-ledger-break: what is there now is \
         kept beside it. Only a copy that is as new as the store can be put back; with an older one restore the whole \
         backup",
        path = path.display()
    )]
    Broken {
        /// Its directory.
        path: PathBuf,
        /// What is wrong.
        findings: Findings,
    },
}

/// Why something could not be done with an open ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// There is no space. Nothing was written; what waits in the outbox stays there.
    #[error("there is no space for the ledger; free some on its disk, it goes on by itself")]
    Full,
    /// A file could not be read or written. After a failed write nothing more is written.
    #[error(
        "a file of the ledger failed; look at the disk, then start again: what was not written is in the outbox"
    )]
    File(#[from] FileFault),
    /// A write has failed before.
    #[error("the ledger has failed before; look at the disk, then start again")]
    Failed,
    /// An entry came again, and says something else.
    #[error("entry number {number} is in the ledger already and says something else: the store was set back")]
    Conflict {
        /// Its number.
        number: u64,
    },
    /// An entry does not follow the last one.
    #[error("entry number {number} does not follow: the next one is {expected}")]
    Gap {
        /// Its number.
        number: u64,
        /// The number that comes next.
        expected: u64,
    },
    /// The bytes are not an entry.
    #[error("what has the number {number} is not an entry: a mistake in the collector")]
    NotAnEntry {
        /// Its number.
        number: u64,
    },
    /// A record does not read as it was written.
    #[error(
        "entry {index} of the ledger does not read; `usaged ledger verify` tells whether it was changed. If it was \
         not, stop the collector and remove the files `tree` and `offsets`: the next start makes them again"
    )]
    Damaged {
        /// Its index.
        index: u64,
    },
}

impl LedgerError {
    /// A failed read or write.
    pub(super) fn of(fault: FileFault) -> Self {
        if fault.is_full() { Self::Full } else { Self::File(fault) }
    }
}
