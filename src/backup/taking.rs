//! Making a backup, of a collector that runs or of one that does not.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use super::Progress;
use super::fault::{BackupFault, at};
use super::manifest::{LedgerPart, Manifest};
use crate::ledger;
use crate::model::UnixMillis;
use crate::store::{self, Backup, BackupProgress, FileSum, PersonalBackup, Store};

/// Where a backup goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The new directory.
    pub dir: PathBuf,
    /// The new file of personal rows, which must not lie in it.
    pub personal: PathBuf,
}

/// A backup that is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Bytes of the directory.
    pub bytes: u64,
}

/// Makes a backup of an open store and its ledger, while both go on. Blocks.
///
/// # Errors
/// If a place is taken, or something cannot be read or written. What was made of it is removed again.
pub fn take(
    store: &Store,
    ledger: &Path,
    places: &Places,
    now: UnixMillis,
    progress: &mut dyn FnMut(Progress),
) -> Result<Taken, BackupFault> {
    let made = store.backup(&places.dir, &places.personal, &mut |at| progress(told(at)))?;
    finish(&made, ledger, places, now, progress)
}

/// The same, of a data directory that no process has open.
///
/// # Errors
/// As [`take`], and if the store is not whole.
pub fn take_closed(
    data: &Path,
    places: &Places,
    now: UnixMillis,
    progress: &mut dyn FnMut(Progress),
) -> Result<Taken, BackupFault> {
    let to = (places.dir.as_path(), places.personal.as_path());
    let made = store::backup_closed(data, to, now, &mut |at| progress(told(at)))?;
    finish(&made, &data.join("ledger"), places, now, progress)
}

/// Writes the personal rows as they are now to `file`, in the place of an older file of them, if that is there. Blocks.
///
/// # Errors
/// If the file is something else, or cannot be written.
pub fn personal(store: &Store, file: &Path) -> Result<PersonalBackup, BackupFault> {
    replacing(file, |new| store.backup_personal(new))
}

/// The same, of a data directory that no process has open. It need not be whole.
///
/// # Errors
/// As [`personal`].
pub fn personal_closed(data: &Path, file: &Path, now: UnixMillis) -> Result<PersonalBackup, BackupFault> {
    replacing(file, |new| store::backup_personal_closed(data, new, now))
}

/// Writes beside a file and puts it in its place: there is always one, and never two.
fn replacing(
    file: &Path,
    write: impl FnOnce(&Path) -> Result<PersonalBackup, store::BackupError>,
) -> Result<PersonalBackup, BackupFault> {
    if file.symlink_metadata().is_ok() {
        // Whatever is lost here must be what it was taken for.
        store::personal_contents(file).map_err(|_| BackupFault::Exists { path: file.to_owned() })?;
    }
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    // One that a crash left behind is unfinished, has secrets in it, and would be in the way for ever.
    if new.symlink_metadata().is_ok_and(|left| left.is_file()) {
        fs::remove_file(&new).map_err(at(&new))?;
    }
    let written = write(&new)?;
    if let Err(error) = fs::rename(&new, file) {
        let _left = fs::remove_file(&new);
        return Err(at(file)(error));
    }
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(parent).and_then(|dir| dir.sync_all()).map_err(at(parent))?;
    Ok(written)
}

fn told(at: BackupProgress) -> Progress {
    match at {
        BackupProgress::Clearing => {
            Progress { part: "clearing what an interrupted backup left", done: 0, of: 0 }
        }
        BackupProgress::Copying => Progress { part: "copying", done: 0, of: 0 },
        BackupProgress::Separating => Progress { part: "separating personal rows", done: 0, of: 0 },
        BackupProgress::Searching { done, of } => Progress { part: "searching for secrets", done, of },
    }
}

/// Adds the ledger, and says that it is complete.
fn finish(
    made: &Backup,
    ledger: &Path,
    places: &Places,
    now: UnixMillis,
    progress: &mut dyn FnMut(Progress),
) -> Result<Taken, BackupFault> {
    progress(Progress { part: "copying the ledger", done: 0, of: 0 });
    let finished = add_ledger(made, ledger, places, now);
    if finished.is_err() {
        // What cannot be removed is named by the error all the same.
        let _left = (fs::remove_dir_all(&places.dir), fs::remove_file(&places.personal));
    }
    finished
}

fn add_ledger(made: &Backup, ledger: &Path, places: &Places, now: UnixMillis) -> Result<Taken, BackupFault> {
    let copied = ledger::copy(ledger, &places.dir.join("ledger"), made.outbox)?;
    let mut files = made.files.clone();
    for name in ["ledger/checkpoints", "ledger/entries", "ledger/vkey"] {
        files.push(FileSum::of(&places.dir, name)?);
    }
    let manifest = Manifest {
        usaged_backup: Manifest::format(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made: now,
        store: HEXLOWER.encode(&made.store),
        root_key: made.root_key.clone(),
        head: made.head,
        personal_rows: made.rows,
        ledger: LedgerPart { entries: copied.entries, number: copied.number },
        files,
    };
    manifest.write(&places.dir)?;
    store::finished(&places.dir)?;
    let bytes = manifest.files.iter().map(|file| file.bytes).sum();
    Ok(Taken { manifest, bytes })
}
