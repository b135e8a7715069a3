//! The file `BACKUP`: what a backup is, and the list of its files.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::fault::{BackupFault, at};
use crate::model::{CommitNumber, UnixMillis};
use crate::store::FileSum;

/// The name of the file.
pub(super) const BACKUP: &str = "BACKUP";
/// The format of backups that this program makes. It reads no other.
const FORMAT: u32 = 1;
/// A longer list of files is damage.
const MOST: u64 = 64 * 1024 * 1024;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format of the backup.
    pub usaged_backup: u32,
    /// The version of the program that made it.
    pub version: String,
    /// When it was made.
    pub made: UnixMillis,
    /// The id of the store, in hexadecimal digits.
    pub store: String,
    /// Names the root key that opens it; the key itself is not in it.
    pub root_key: String,
    /// The last commit in it.
    pub head: CommitNumber,
    /// Rows in the file of personal rows that was made with it.
    pub personal_rows: u64,
    /// Its part of the ledger.
    pub ledger: LedgerPart,
    /// Every file except this one.
    pub files: Vec<FileSum>,
}

/// How far the ledger in a backup reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerPart {
    /// Entries.
    pub entries: u64,
    /// The number of the last one in the outbox of the store.
    pub number: u64,
}

/// What the manifest of any format says.
#[derive(Deserialize)]
struct Version {
    usaged_backup: u32,
}

impl Manifest {
    /// Whether `dir` has such a file.
    #[must_use]
    pub fn is_in(dir: &Path) -> bool {
        dir.join(BACKUP).exists()
    }

    /// The format that this program writes.
    pub(super) const fn format() -> u32 {
        FORMAT
    }

    /// Reads the one in `dir`.
    ///
    /// # Errors
    /// If there is none, or it is none that this program reads.
    pub fn read(dir: &Path) -> Result<Self, BackupFault> {
        let path = dir.join(BACKUP);
        let none = || BackupFault::NotABackup { path: dir.to_owned() };
        let length = fs::metadata(&path).map_err(|_| none())?.len();
        if length > MOST {
            return Err(none());
        }
        let text = fs::read(&path).map_err(at(&path))?;
        let version: Version = serde_json::from_slice(&text).map_err(|_| none())?;
        if version.usaged_backup != FORMAT {
            return Err(BackupFault::Version { path: dir.to_owned(), found: version.usaged_backup });
        }
        serde_json::from_slice(&text).map_err(|_| none())
    }

    /// Writes it into `dir`, whole or not at all.
    pub(super) fn write(&self, dir: &Path) -> Result<(), BackupFault> {
        let (path, new) = (dir.join(BACKUP), dir.join("BACKUP.new"));
        let write = || -> std::io::Result<()> {
            let mut file = File::create_new(&new)?;
            serde_json::to_writer_pretty(&mut file, self).map_err(std::io::Error::from)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(dir)?.sync_all()
        };
        write().map_err(at(&path))
    }
}
