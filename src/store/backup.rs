//! A consistent copy of an open store, in two parts: a directory with everything but the personal rows, and a small
//! file with those. Without that file the directory says nothing of who a customer is, and nothing in it opens; so
//! a customer who is erased is erased from old directories too, once the files that belong to them are gone.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use rocksdb::checkpoint::Checkpoint;

use super::Store;
use super::directory::{Directory, Format};
use super::fault::{DatabaseFault, OpenError};
use super::layout::{FIXED, Head, KEY_HEAD, META, PERSONAL};
use super::personal::{self, Search};
use super::rocks::{Db, Recovery, Setup, families};
use super::step;
use super::witness::Witness;
use crate::model::CommitNumber;

/// Where a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupProgress {
    /// Table files are linked or copied.
    Copying,
    /// Personal rows are written to their file, and taken out of the copy.
    Separating,
    /// The copy is searched for secrets.
    Searching {
        /// Bytes so far.
        done: u64,
        /// All bytes.
        of: u64,
    },
}

/// A backup that is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backup {
    /// The last commit in it.
    pub head: CommitNumber,
    /// Bytes of the directory.
    pub bytes: u64,
    /// Personal rows in the file.
    pub rows: u64,
    /// How long it took.
    pub took: Duration,
}

/// Why there is no backup. What was made of it is removed again.
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

fn at(path: &Path) -> impl Fn(io::Error) -> BackupError + '_ {
    |source| BackupError::File { path: path.to_owned(), source }
}

impl Store {
    /// Copies the store to the new directory `dir`, without personal rows, and those to the new file `rows`.
    /// Appends and reads go on. On one file system, table files are linked and take no space until the store drops
    /// them. Blocks.
    ///
    /// # Errors
    /// If it could not be written, or could not be shown to be free of secrets.
    pub fn backup(
        &self,
        dir: &Path,
        rows: &Path,
        progress: &mut dyn FnMut(BackupProgress),
    ) -> Result<Backup, BackupError> {
        let begun = Instant::now();
        check_places(self.shared().directory.path(), dir, rows)?;
        let made = self.copy(dir, rows, progress);
        if made.is_err() {
            // An unfinished copy has personal rows in it. What cannot be removed is named by the error all the same.
            let _left = (fs::remove_dir_all(dir), fs::remove_file(rows));
        }
        let (head, rows, bytes) = made?;
        Ok(Backup { head: CommitNumber(head.commit), bytes, rows, took: begun.elapsed() })
    }

    fn copy(
        &self,
        dir: &Path,
        rows: &Path,
        progress: &mut dyn FnMut(BackupProgress),
    ) -> Result<(Head, u64, u64), BackupError> {
        let shared = self.shared();
        let _alone = shared.files.lock().unwrap_or_else(PoisonError::into_inner);
        progress(BackupProgress::Copying);
        // The same rights as the store itself.
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))?;
        let id = match shared.directory.format().map_err(BackupError::Open)? {
            Format::Known(id) => id,
            Format::Absent => return Err(BackupError::Damaged),
        };
        let (unfinished, copy) = (dir.join("unfinished"), dir.join("db"));
        Checkpoint::new(&shared.db)?.create_checkpoint(&unfinished)?;
        step::reached("backup: copied");
        progress(BackupProgress::Separating);
        let (head, count, patterns) = separate(&unfinished, id, rows)?;
        step::reached("backup: separated");
        fs::rename(&unfinished, &copy).map_err(at(&copy))?;
        let bytes = search(dir, &patterns, progress)?;
        // Without the format file it is no store: it comes last.
        Witness::begin(&dir.join("witness"), id, 0, head).map_err(at(dir))?;
        shared.directory.copy_format(dir).map_err(at(dir))?;
        sync_dir(dir)?;
        sync_dir(rows.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        Ok((head, count, bytes))
    }
}

/// Puts the personal rows in the file `rows` back into the backup in `dir`, which no process has open. Gives how many.
///
/// # Errors
/// If there is no backup in `dir`, it has personal rows, or the file does not belong to it.
pub fn put_back(dir: &Path, rows: &Path) -> Result<u64, BackupError> {
    let directory = Directory::claim_to_write(dir).map_err(BackupError::Open)?;
    let Format::Known(id) = directory.format().map_err(BackupError::Open)? else {
        return Err(BackupError::Open(OpenError::Absent { path: dir.to_owned() }));
    };
    let path = directory.database();
    if !directory.has_database() {
        return Err(BackupError::Open(OpenError::Absent { path: dir.to_owned() }));
    }
    let mut names = families(&path)?;
    names.extend(FIXED.map(str::to_owned));
    names.sort_unstable();
    names.dedup();
    let db = open(&path, &names, true)?;
    if personal::has_any(&db)? {
        return Err(BackupError::Present);
    }
    personal::put_back(&db, id, rows)
}

/// The three places are apart, and nothing is overwritten.
fn check_places(data: &Path, dir: &Path, rows: &Path) -> Result<(), BackupError> {
    let real = |path: &Path| -> Result<PathBuf, BackupError> {
        // What does not exist yet is named by the directory that it comes into.
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let parent = fs::canonicalize(parent).map_err(at(parent))?;
        Ok(path.file_name().map_or(parent.clone(), |name| parent.join(name)))
    };
    if rows.symlink_metadata().is_ok() {
        return Err(BackupError::Exists { path: rows.to_owned() });
    }
    let entries = fs::read_dir(dir);
    if entries.is_ok_and(|mut entries| entries.next().is_some()) || (dir.exists() && !dir.is_dir()) {
        return Err(BackupError::Exists { path: dir.to_owned() });
    }
    let data = fs::canonicalize(data).map_err(at(data))?;
    let (dir, rows) = (real(dir)?, real(rows)?);
    let apart = !dir.starts_with(&data)
        && !data.starts_with(&dir)
        && !rows.starts_with(&dir)
        && !rows.starts_with(&data);
    if apart { Ok(()) } else { Err(BackupError::Inside) }
}

fn open(path: &Path, names: &[String], create: bool) -> Result<Db, BackupError> {
    let setup = Setup::new();
    let options = Setup::database(create, Recovery::Strict)?;
    Ok(Db::open_cf_descriptors(&options, path, setup.descriptors(names)?)?)
}

/// Takes the personal rows out of a copy. Gives its head, how many rows there were, and what to search for.
fn separate(copy: &Path, id: [u8; 16], rows: &Path) -> Result<(Head, u64, personal::Patterns), BackupError> {
    let names = families(copy)?;
    let db = open(copy, &names, false)?;
    let meta = db.cf_handle(META).ok_or(BackupError::Damaged)?;
    let head = db.get_cf(&meta, KEY_HEAD)?.map_or(Some(Head::default()), |row| Head::decode(&row));
    let head = head.ok_or(BackupError::Damaged)?;
    drop(meta);
    let (count, patterns) = personal::write(&db, id, rows)?;
    for name in PERSONAL {
        db.drop_cf(name)?;
    }
    drop(db);
    // Opened again, it is shown to open without them, and has a log and a manifest that never knew of them.
    let left: Vec<String> = names.into_iter().filter(|name| !PERSONAL.contains(&name.as_str())).collect();
    drop(open(copy, &left, false)?);
    Ok((head, count, patterns))
}

/// Searches every file of the copy. Gives their bytes.
fn search(
    dir: &Path,
    patterns: &[u128],
    progress: &mut dyn FnMut(BackupProgress),
) -> Result<u64, BackupError> {
    let mut files = Vec::new();
    for dir in [dir.to_owned(), dir.join("db")] {
        for entry in fs::read_dir(&dir).map_err(at(&dir))? {
            let entry = entry.map_err(at(&dir))?;
            let meta = entry.metadata().map_err(at(&dir))?;
            if meta.is_file() {
                files.push((entry.path(), meta.len()));
            }
        }
    }
    let of = files.iter().map(|(_, bytes)| bytes).sum();
    let (mut done, mut found) = (0, 0);
    let search = Search::new(patterns);
    for (path, bytes) in &files {
        progress(BackupProgress::Searching { done, of });
        found += search.count(File::open(path).map_err(at(path))?).map_err(at(path))?;
        done += bytes;
    }
    progress(BackupProgress::Searching { done, of });
    if found == 0 { Ok(of) } else { Err(BackupError::Secrets { found }) }
}

fn sync_dir(dir: &Path) -> Result<(), BackupError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(at(dir))
}
