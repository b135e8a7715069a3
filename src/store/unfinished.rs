//! What a backup that was interrupted leaves behind. A file in its directory, there from before anything else is made until
//! the backup is finished, says which store made it and where its personal rows go: by that the next backup knows that it
//! may clear the directory.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use data_encoding::HEXLOWER;

use super::backup_error::{BackupError, at};
use super::personal;

/// The name of the file.
pub(super) const MARK: &str = "UNFINISHED";
/// Whatever an unfinished backup can have in its directory.
const MADE: [&str; 8] =
    [MARK, "unfinished", "unfinished.tmp", "db", "witness", "FORMAT", "ledger", "BACKUP.new"];

/// What an earlier backup left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Left {
    /// There was something in the directory, and it was cleared.
    pub(super) cleared: bool,
    /// Its file of personal rows is there, whole or not.
    pub(super) rows: bool,
}

fn text(store: [u8; 16], rows: &Path) -> Vec<u8> {
    let head = format!("usaged backup 1, unfinished\nstore {}\npersonal rows ", HEXLOWER.encode(&store));
    [head.as_bytes(), rows.as_os_str().as_bytes(), b"\n"].concat()
}

/// Writes the mark of a backup of `store` whose personal rows go to `rows` into its directory.
pub(super) fn mark(dir: &Path, store: [u8; 16], rows: &Path) -> Result<(), BackupError> {
    let path = dir.join(MARK);
    let mut file = File::create_new(&path).map_err(at(&path))?;
    file.write_all(&text(store, rows)).and_then(|()| file.sync_all()).map_err(at(&path))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(at(dir))
}

/// Takes the mark away: the backup in `dir` is finished.
///
/// # Errors
/// If that is refused.
pub fn finished(dir: &Path) -> Result<(), BackupError> {
    let path = dir.join(MARK);
    fs::remove_file(&path).map_err(at(&path))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(at(dir))
}

/// Clears a directory of what an unfinished backup of the same store left in it. Anything else stays as it is.
pub(super) fn clear(dir: &Path, store: [u8; 16], rows: &Path) -> Result<Left, BackupError> {
    let nothing = Left { cleared: false, rows: false };
    let Some(names) = names(dir).filter(|names| !names.is_empty()) else { return Ok(nothing) };
    let (Ok(mark), all) = (fs::read(dir.join(MARK)), text(store, rows)) else { return Ok(nothing) };
    let others_rows = [all_but_rows(&mark), all_but_rows(&all)];
    // The crash can have come while the mark was written: then there is nothing else.
    let is_torn = names.len() == 1 && all.starts_with(&mark);
    let is_ours = is_torn || matches!(others_rows, [Some(found), Some(ours)] if found == ours);
    if !is_ours || !names.iter().all(|name| MADE.iter().any(|made| name == made)) {
        return Ok(nothing);
    }
    // The mark goes last: until then it says whose the rest is.
    for name in names.iter().filter(|name| *name != MARK).chain(names.iter().filter(|name| *name == MARK)) {
        let path = dir.join(name);
        let kind = path.symlink_metadata().map_err(at(&path))?;
        let removed = if kind.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(at(&path))?;
    }
    Ok(Left { cleared: true, rows: mark == all && is_begun(rows, store) })
}

/// The part of a mark that says whose it is.
fn all_but_rows(mark: &[u8]) -> Option<&[u8]> {
    let line = mark.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1)?;
    mark.get(..line.0)
}

fn names(dir: &Path) -> Option<BTreeSet<OsString>> {
    fs::read_dir(dir).ok()?.map(|entry| Some(entry.ok()?.file_name())).collect()
}

/// Whether a file is one of personal rows of this store, as far as it was written.
fn is_begun(rows: &Path, store: [u8; 16]) -> bool {
    if !rows.symlink_metadata().is_ok_and(|left| left.is_file()) {
        return false;
    }
    let head = [personal::MAGIC.as_slice(), &personal::VERSION.to_be_bytes(), &store].concat();
    let (mut found, most) = (Vec::new(), u64::try_from(head.len()).unwrap_or(u64::MAX));
    let read = File::open(rows).and_then(|file| file.take(most).read_to_end(&mut found));
    read.is_ok() && head.starts_with(&found)
}
