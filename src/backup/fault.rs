//! Why a backup was not made, not read or not put back.

use std::io;
use std::path::{Path, PathBuf};

use crate::ledger::{FileFault, Findings};
use crate::store::{BackupError, Faults, OpenError};

/// Why a backup was not made, not read or not put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupFault {
    /// The store could not be copied or put back.
    #[error(transparent)]
    Store(#[from] BackupError),
    /// The store could not be opened or looked at.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The ledger could not be copied.
    #[error("cannot copy the ledger")]
    Ledger(#[from] FileFault),
    /// The ledger does not add up.
    #[error("the ledger in {path} does not add up: {findings}; name another one with --ledger", path = path.display())]
    LedgerBroken {
        /// Its directory.
        path: PathBuf,
        /// What is wrong.
        findings: Findings,
    },
    /// It is the ledger of another store, or an older one than that of the backup.
    #[error(
        "the ledger in {path} does not go on from that of the backup; name the newest ledger of this collector",
        path = path.display()
    )]
    OtherLedger {
        /// Its directory.
        path: PathBuf,
    },
    /// There is no backup, or an unfinished one.
    #[error("{path} is not a finished backup: its file BACKUP is missing or cannot be read", path = path.display())]
    NotABackup {
        /// The directory.
        path: PathBuf,
    },
    /// The backup was made by another version of the program.
    #[error("{path} is a backup of format {found}, and this program reads format 1; use the program that made it", path = path.display())]
    Version {
        /// The directory.
        path: PathBuf,
        /// The format that was found.
        found: u32,
    },
    /// A directory or file that is made anew is there already.
    #[error("{path} exists already, and is not empty; name another place, or move it away", path = path.display())]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// A file could not be used.
    #[error("cannot use {path}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The personal rows are older than what the ledger tells.
    #[error("{0}")]
    Behind(Behind),
    /// What was put together has faults, and was not put in place.
    #[error("what the backup holds is not whole, and nothing was put in place: {}", first(.0))]
    Faults(Faults),
}

/// What the ledger tells, and the file of personal rows does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    /// Customers whose participation was changed since.
    pub changed: u64,
    /// Erasures by identifier, installation or time since.
    pub erasures: u64,
    /// Customers that either concerns.
    pub customers: u64,
}

impl std::fmt::Display for Behind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the file of personal rows is too old: the ledger tells of {} changed participations and {} erasures that \
             it does not know, of {} customers; name a newer file with --personal, or have these customers left out \
             as if they were erased, with --leave-out",
            self.changed, self.erasures, self.customers
        )
    }
}

fn first(faults: &Faults) -> String {
    faults.named.first().map(ToString::to_string).unwrap_or_default()
}

/// A failure at a file.
pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> BackupFault + '_ {
    |source| BackupFault::File { path: path.to_owned(), source }
}
