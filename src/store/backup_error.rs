//! Why a backup was not made, or not restored.

use std::io;
use std::path::{Path, PathBuf};

use super::fault::{DatabaseFault, OpenError};

/// Why a backup was not made, or not restored. What was made of it is removed again.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or directory could not be used.
    #[error("cannot use {path} for a backup; see the cause", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The directory has something in it, or the file is there.
    #[error("{path} exists already; choose a directory and a file that do not", path = path.display())]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// The file, or the directory, would be inside the other, or inside the data directory.
    #[error(
        "the directory of a backup, the file with its personal rows and the data directory must not lie in each other; choose other places"
    )]
    Inside,
    /// The database could not be copied or opened.
    #[error("cannot copy the database; see the cause, and free what it names")]
    Database(#[source] DatabaseFault),
    /// The copy could not be opened.
    #[error("cannot open the copy; see the cause")]
    Open(#[source] OpenError),
    /// Secrets were found in the copy.
    #[error("{found} secrets of customers were found in the copy; it was not kept. This is a bug")]
    Secrets {
        /// How many.
        found: u64,
    },
    /// The file of personal rows is not one, is damaged or cut short.
    #[error("the file of personal rows, or the copy of the database, is damaged; use another one")]
    Damaged,
    /// It belongs to another store.
    #[error("the file of personal rows belongs to another store; use the one that was made with this backup")]
    Foreign,
    /// A file of the backup is missing, or is not what the list of its files says.
    #[error("{file} of the backup is missing or was changed; use another backup")]
    Changed {
        /// Which, inside the backup.
        file: String,
    },
    /// There are personal rows already.
    #[error("the store has personal rows already; put them back into a copy that has none")]
    Present,
}

impl From<DatabaseFault> for BackupError {
    fn from(fault: DatabaseFault) -> Self {
        Self::Database(fault)
    }
}

impl From<rocksdb::Error> for BackupError {
    fn from(error: rocksdb::Error) -> Self {
        Self::Database(error.into())
    }
}

/// A failure at a file.
pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> BackupError + '_ {
    |source| BackupError::File { path: path.to_owned(), source }
}
