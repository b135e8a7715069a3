//! Where the parts of a backup go: apart from each other and from the store, and over nothing that is there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::backup_error::{BackupError, at};
use super::unfinished::Left;

/// The three places are apart. Gives where the rows really go.
pub(super) fn check_apart(data: &Path, dir: &Path, rows: &Path) -> Result<PathBuf, BackupError> {
    let data = fs::canonicalize(data).map_err(at(data))?;
    let (dir, rows) = (real(dir)?, real(rows)?);
    let apart = !dir.starts_with(&data)
        && !data.starts_with(&dir)
        && !rows.starts_with(&dir)
        && !rows.starts_with(&data);
    if apart { Ok(rows) } else { Err(BackupError::Inside) }
}

/// The directory that a backup is restored to and the backup are apart: what is copied must not copy keys of customers.
pub fn check_restored(backup: &Path, to: &Path) -> Result<(), BackupError> {
    let (backup, to) = (fs::canonicalize(backup).map_err(at(backup))?, real(to)?);
    if to.starts_with(&backup) || backup.starts_with(&to) { Err(BackupError::Inside) } else { Ok(()) }
}

/// Where something really is. What does not exist yet is named by the directory that it comes into.
fn real(path: &Path) -> Result<PathBuf, BackupError> {
    let parent = fs::canonicalize(parent(path)).map_err(at(parent(path)))?;
    Ok(path.file_name().map_or(parent.clone(), |name| parent.join(name)))
}

/// Nothing is overwritten.
pub(super) fn check_free(dir: &Path, rows: &Path, left: Left) -> Result<(), BackupError> {
    if rows.symlink_metadata().is_ok() && !left.rows {
        return Err(BackupError::Exists { path: rows.to_owned() });
    }
    let entries = fs::read_dir(dir);
    if entries.is_ok_and(|mut entries| entries.next().is_some()) || (dir.exists() && !dir.is_dir()) {
        return Err(BackupError::Exists { path: dir.to_owned() });
    }
    Ok(())
}

/// Where a file is written that takes the place of another one.
pub(super) fn beside(rows: &Path) -> Result<PathBuf, BackupError> {
    let mut name = rows.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    if new.symlink_metadata().is_ok_and(|left| left.is_file()) {
        fs::remove_file(&new).map_err(at(&new))?;
    }
    Ok(new)
}

/// The directory that a path is in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(super) fn sync_dir(dir: &Path) -> Result<(), BackupError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(at(dir))
}
