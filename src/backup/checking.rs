//! Reading everything of a data directory or a backup, without changing anything.

use std::path::Path;

use super::Progress;
use super::fault::BackupFault;
use super::manifest::Manifest;
use crate::ledger::{self, Verification};
use crate::sanitize::RootKey;
use crate::store::{BackupError, Check, Checked, Faults};

/// What to do about a file of a backup that is not what it was.
const OTHER: &str = "use another backup";
/// What to do about a ledger that does not add up.
const LEDGER: &str = "go on with a new one that names what is wrong: `usaged serve --accept-ledger-break`; only a ledger as new as the store can be put back";

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// The store, with everything that is wrong, also with the ledger.
    pub store: Checked,
    /// What a backup says of itself; none of a data directory.
    pub backup: Option<Manifest>,
    /// Entries of the ledger.
    pub entries: u64,
}

/// Reads everything in `dir`: a data directory that no process has open, or a backup.
///
/// # Errors
/// If there is nothing of the kind, or it cannot be looked at. What is wrong is in the result.
pub fn check(
    dir: &Path,
    key: Option<&RootKey>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Inspected, BackupFault> {
    let backup = if Manifest::is_in(dir) { Some(Manifest::read(dir)?) } else { None };
    let mut files = Faults::default();
    if let Some(manifest) = &backup {
        sums(dir, manifest, &mut files, progress)?;
    }
    let mut store = store_part(&Check { dir, key, is_backup: backup.is_some() }, progress)?;
    if let Some(manifest) = &backup
        && manifest.head != store.head
    {
        let what = format!("its last commit is {}, and BACKUP says {}", store.head, manifest.head);
        files.add("the backup", what, OTHER);
    }
    let ledger = dir.join("ledger");
    let entries = ledger_part(&ledger, &mut files, progress)?;
    let number = if entries > 0 { ledger::reach(&ledger)?.number } else { 0 };
    if number < store.ledger_has {
        let what =
            format!("it ends with number {number}, and the store has moved {} into it", store.ledger_has);
        files.add("the ledger", what, LEDGER);
    }
    store.faults.named.extend(files.named);
    store.faults.more = store.faults.more.saturating_add(files.more);
    Ok(Inspected { store, backup, entries })
}

/// Compares every file with its sum.
fn sums(
    dir: &Path,
    manifest: &Manifest,
    faults: &mut Faults,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), BackupFault> {
    let of = manifest.files.iter().map(|file| file.bytes).sum();
    let mut done = 0;
    for file in &manifest.files {
        progress(Progress { part: "comparing files", done, of });
        match file.check(dir) {
            Ok(()) => {}
            Err(BackupError::Changed { file }) => faults.add(file, "it is missing or was changed", OTHER),
            Err(error) => return Err(error.into()),
        }
        done += file.bytes;
    }
    Ok(())
}

/// Reads the store.
pub(super) fn store_part(
    check: &Check<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Checked, BackupFault> {
    let mut told = |at: crate::store::CheckProgress| {
        progress(Progress { part: at.part, done: at.done, of: at.of });
    };
    Ok(check.run(&mut told)?)
}

/// Verifies the ledger; gives its entries.
pub(super) fn ledger_part(
    dir: &Path,
    faults: &mut Faults,
    progress: &mut dyn FnMut(Progress),
) -> Result<u64, BackupFault> {
    let mut told = |done, of| progress(Progress { part: "verifying the ledger", done, of });
    let verified = Verification { dir, key: None, checkpoint: None }.run(&mut told)?;
    for finding in &verified.findings.named {
        faults.add("the ledger", finding.to_string(), LEDGER);
    }
    faults.more = faults.more.saturating_add(verified.findings.more);
    Ok(verified.entries)
}
