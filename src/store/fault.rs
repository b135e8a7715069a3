//! Everything that can go wrong with a store, each with the remedy.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::loss::Loss;
use crate::model::CommitNumber;

/// What is wrong with one stored record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// Shorter than a record can be.
    #[error("the record is cut short")]
    Short,
    /// The checksum does not match.
    #[error("the checksum of the record does not match")]
    Checksum,
    /// The record belongs to another commit than the one it was found under.
    #[error("the record was found under the commit number of another")]
    Misplaced,
    /// The version is not one that this program reads.
    #[error("the record has format version {0}, which this program does not read")]
    Version(u8),
    /// The header is not one.
    #[error("the header of the record cannot be read")]
    Header,
    /// The sealed body does not open.
    #[error("the record does not open: it was changed, or its key is gone")]
    Seal,
    /// The body opens but does not decompress to its length.
    #[error("the body of the record does not decompress")]
    Compression,
    /// There is no record where one must be.
    #[error("the record is missing")]
    Missing,
    /// The database could not read the block that holds it.
    #[error("the block that holds the record is damaged")]
    Block,
}

impl RecordFault {
    /// A number for the family of records set aside.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Short => 1,
            Self::Checksum => 2,
            Self::Misplaced => 3,
            Self::Version(_) => 4,
            Self::Header => 5,
            Self::Seal => 6,
            Self::Compression => 7,
            Self::Missing => 8,
            Self::Block => 9,
        }
    }
}

/// What RocksDB said. Its messages name files, never values: `allow_data_in_errors` is off.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DatabaseFault(pub(super) String);

impl DatabaseFault {
    /// Whether the system refused a call, such as for want of space or of a right: nothing says that bytes are damaged.
    pub(super) fn is_of_the_system(&self) -> bool {
        self.0.starts_with("IO error") && !is_absence(&self.0)
    }
}

/// Whether RocksDB says that a file is missing.
pub(super) fn is_absence(said: &str) -> bool {
    said.contains("No such file or directory")
}

impl From<rocksdb::Error> for DatabaseFault {
    fn from(error: rocksdb::Error) -> Self {
        Self(error.into_string())
    }
}

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file or directory could not be used.
    #[error("cannot {what} {path}; check that the directory exists and that this user may write to it", path = path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file system cannot be written to.
    #[error("{path} is on a read-only file system; mount it writable or choose another data directory", path = path.display())]
    ReadOnly {
        /// The data directory.
        path: PathBuf,
    },
    /// Another process has it open.
    #[error("the store in {path} is in use by another process; stop that process first", path = path.display())]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// It was written by another version of the program.
    #[error("the store in {path} has format version {found}, and this program reads version {known}; use the program that wrote it, or another data directory", path = path.display())]
    UnknownVersion {
        /// The data directory.
        path: PathBuf,
        /// The version that was found.
        found: String,
        /// The version that this program reads.
        known: u32,
    },
    /// The database has a column family that this program does not know.
    #[error("the store in {path} has a column family that this program does not know ({family}); use the program that wrote it", path = path.display())]
    UnknownFamily {
        /// The data directory.
        path: PathBuf,
        /// The family.
        family: String,
    },
    /// There is a database, but the file that says what it is does not say so.
    #[error("{path} cannot be read as the format file of a store; restore it from a backup, or choose an empty data directory", path = path.display())]
    NotAStore {
        /// The format file.
        path: PathBuf,
    },
    /// There is no store.
    #[error("there is no store in {path}; check the data directory", path = path.display())]
    Absent {
        /// The data directory.
        path: PathBuf,
    },
    /// There is none where there has to be one.
    #[error(
        "there is no store in {path}, and `store.must_exist` says that there is one: its volume is not mounted, or it was \
         moved. Mount it, or restore a backup; if a new one is to be begun, start once with --set store.must_exist=false",
        path = path.display()
    )]
    Gone {
        /// The data directory.
        path: PathBuf,
    },
    /// There is none where the ledger of one is.
    #[error(
        "there is no store in {path}, and the ledger of one is in {ledger}: its volume is not mounted, or the database is \
         gone, and all that was queued with it. Mount it, or restore a backup; if a new store is to be begun, start once \
         with --accept-ledger-break",
        path = path.display(), ledger = ledger.display()
    )]
    LedgerAlone {
        /// The data directory.
        path: PathBuf,
        /// The directory of the ledger.
        ledger: PathBuf,
    },
    /// It was written under another root key.
    #[error(
        "the store in {path} was written with another root key ({wanted}, this one is {given}); start with that key, \
         or choose another data directory",
        path = path.display()
    )]
    WrongRootKey {
        /// The data directory.
        path: PathBuf,
        /// Names the key that was given ([`crate::sanitize::key_id`]).
        given: String,
        /// Names the key that opens the store.
        wanted: String,
    },
    /// Parts of two stores are mixed.
    #[error("{part} in {path} belongs to another store; put back the parts that belong together", path = path.display())]
    Foreign {
        /// The part that does not belong.
        part: &'static str,
        /// The data directory.
        path: PathBuf,
    },
    /// A part of the database cannot be read, and cannot be set aside.
    #[error("{part} in {path} is damaged; restore the data directory from a backup", path = path.display())]
    Damaged {
        /// The part.
        part: String,
        /// The data directory.
        path: PathBuf,
        /// What RocksDB said, if it was RocksDB that found it.
        source: Option<DatabaseFault>,
    },
    /// The database does not open for another reason.
    #[error("cannot open the database in {path}; see the cause, and put right what it names: space, a disk that cannot be written to, files of another user", path = path.display())]
    Database {
        /// The data directory.
        path: PathBuf,
        /// What RocksDB said.
        source: DatabaseFault,
    },
    /// Data that was acknowledged is missing.
    #[error("acknowledged data is missing from {path}: {loss}; {recovered} of {witnessed} acknowledged commits can be accounted for; restore the data directory from a backup, or go on without that data with --accept-data-loss", path = path.display())]
    Amnesia {
        /// The data directory.
        path: PathBuf,
        /// What is missing.
        loss: Loss,
        /// The last commit that the database holds.
        recovered: CommitNumber,
        /// The last commit that is known to have been acknowledged.
        witnessed: CommitNumber,
    },
    /// The operating system gave no randomness or no thread.
    #[error("the operating system did not give {what}; free its resources and start again")]
    System {
        /// What was asked for.
        what: &'static str,
    },
}

impl OpenError {
    /// Whether the system did not do what was asked of it. Then nothing is known to be wrong with the store, and a later
    /// start goes on by itself once the disk does.
    #[must_use]
    pub const fn is_of_the_system(&self) -> bool {
        match self {
            // Whoever has it open may be the collector before, which is just ending.
            Self::File { .. }
            | Self::ReadOnly { .. }
            | Self::Locked { .. }
            | Self::Database { .. }
            | Self::System { .. } => true,
            Self::UnknownVersion { .. }
            | Self::UnknownFamily { .. }
            | Self::NotAStore { .. }
            | Self::Absent { .. }
            | Self::Gone { .. }
            | Self::LedgerAlone { .. }
            | Self::WrongRootKey { .. }
            | Self::Foreign { .. }
            | Self::Damaged { .. }
            | Self::Amnesia { .. } => false,
        }
    }
}

/// Why a store that is open did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be read or written.
    #[error(
        "cannot {what} in the store; see the cause, and `usaged store inspect` once the daemon is stopped"
    )]
    Database {
        /// What was tried.
        what: &'static str,
        /// What RocksDB said.
        source: DatabaseFault,
    },
    /// A row is damaged.
    #[error("{what} in the store is damaged; restore the data directory from a backup")]
    Damaged {
        /// The kind of row.
        what: &'static str,
    },
    /// There is no space for metadata.
    #[error("the disk is full; free space, then try again")]
    Full,
    /// Too many entries wait for the ledger, and what was asked for would add one.
    #[error(
        "too many changes wait to be written to the ledger; see why it does not take them, then try again"
    )]
    Busy,
    /// An earlier write failed, so nothing can be written until a restart.
    #[error("an earlier write to the store failed; restart the daemon")]
    Failed,
    /// The store is closed.
    #[error("the store is closed; start the daemon again")]
    Closed,
    /// The operating system gave no randomness for a salt.
    #[error("the operating system gave no randomness; try again")]
    Entropy,
    /// What was to be written was decided before something that it depends on changed.
    #[error("something that this depends on changed meanwhile; try again")]
    Stale,
}

impl StoreError {
    pub(super) fn database(what: &'static str) -> impl FnOnce(rocksdb::Error) -> Self {
        move |error| Self::Database { what, source: error.into() }
    }
}

/// Why a batch was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The disk budget or the free space is spent.
    #[error("the store is full; send again after the hint")]
    Full {
        /// When to send again.
        retry_after: Duration,
    },
    /// Too much waits for the writer.
    #[error("the store is busy; send again after the hint")]
    Busy {
        /// When to send again.
        retry_after: Duration,
    },
    /// The participation that the batch was decided under was changed meanwhile: decide again.
    #[error("the participation of the customer was changed meanwhile; send again")]
    Stale,
    /// A write failed, or it could not be checked whether the batch is there already. What became of the
    /// batch is open: sending it again with the same id is safe.
    #[error("the store could not write; restart the daemon, then send again")]
    Failed,
    /// The store is closed.
    #[error("the store is closed; send again when the daemon is back")]
    Closed,
}

/// Why a participation was not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// The customer has another revision than the one the change was made from.
    #[error("the participation is at revision {present}, not {expected}; read it again, then change that")]
    Revision {
        /// The revision that the caller expected.
        expected: u64,
        /// The present one; 0 if there is none.
        present: u64,
    },
    /// A text is too long.
    #[error("{what} is longer than {most} bytes; shorten it")]
    TooLong {
        /// Which text.
        what: &'static str,
        /// The bound, in bytes.
        most: usize,
    },
    /// The stored row cannot be read.
    #[error("the stored participation is damaged; restore the data directory from a backup")]
    Damaged,
}
