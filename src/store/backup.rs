//! A consistent copy of a store, open or not, in two parts: a directory with everything but the personal rows, and a
//! small file with those. Without that file the directory says nothing of who a customer is, and nothing in it opens;
//! so a customer who is erased is erased from old directories too, once the files that belong to them are gone.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{BottommostLevelCompaction, CompactOptions, WriteBatch};

use super::Store;
use super::backup_error::{BackupError, at};
use super::backup_files::{FileSum, sums};
use super::backup_places::{beside, check_apart, check_free, parent, sync_dir};
use super::directory::{Directory, Format};
use super::fault::OpenError;
use super::layout::{Head, KEY_HEAD, KEY_OUTBOX, KEY_STORE, META, OutboxRow, PERSONAL, StoreRow};
use super::loss::Loss;
use super::personal;
use super::rocks::{Db, Recovery, Setup, families, write_options};
use super::search::Search;
use super::step;
use super::unfinished;
use super::witness::{self, Said, Witness};
use crate::model::{CommitNumber, UnixMillis};
use crate::sanitize::key_id;

/// Where a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupProgress {
    /// What an earlier backup left in the directory when it was interrupted is removed.
    Clearing,
    /// Table files are linked or copied.
    Copying,
    /// Personal rows are written to their file, and taken out of the copy.
    Separating,
    /// The copy is searched for secrets, and sums are taken of its files.
    Searching {
        /// Bytes so far.
        done: u64,
        /// All bytes.
        of: u64,
    },
}

/// A backup that is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The id of the store.
    pub store: [u8; 16],
    /// Names the root key that it was made under ([`key_id`]).
    pub root_key: String,
    /// The last commit in it.
    pub head: CommitNumber,
    /// The newest entry that was ever put into the outbox.
    pub outbox: u64,
    /// Bytes of the directory.
    pub bytes: u64,
    /// Personal rows in the file.
    pub rows: u64,
    /// Every file of the directory.
    pub files: Vec<FileSum>,
    /// How long it took.
    pub took: Duration,
}

/// A file with personal rows that is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PersonalBackup {
    /// The id of the store.
    pub store: [u8; 16],
    /// Personal rows in the file.
    pub rows: u64,
}

/// What is copied, and where to.
struct Job<'a> {
    db: &'a Db,
    directory: &'a Directory,
    dir: &'a Path,
    rows: &'a Path,
    now: UnixMillis,
    /// What purging is kept out by, of a store that is open.
    files: Option<&'a Mutex<()>>,
}

/// What the copy says of itself.
struct Found {
    head: Head,
    outbox: u64,
    root_key: String,
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
        let shared = self.shared();
        let (now, files) = (shared.clock.now(), Some(&shared.files));
        make(&Job { db: &shared.db, directory: &shared.directory, dir, rows, now, files }, progress)
    }

    /// Writes the personal rows, as they are now, to the new file `rows`. Blocks.
    ///
    /// # Errors
    /// If it could not be written.
    pub fn backup_personal(&self, rows: &Path) -> Result<PersonalBackup, BackupError> {
        let shared = self.shared();
        write_personal(&shared.db, &shared.directory, rows, shared.clock.now())
    }
}

/// The same as [`Store::backup`], of a store that no process has open.
///
/// # Errors
/// As there, and if it does not open without a loss.
pub fn backup_closed(
    data: &Path,
    (dir, rows): (&Path, &Path),
    now: UnixMillis,
    progress: &mut dyn FnMut(BackupProgress),
) -> Result<Backup, BackupError> {
    let directory = closed(data)?;
    let path = directory.database();
    let db = open(&path, &families(&path)?, false)?;
    is_whole(&db, &directory)?;
    make(&Job { db: &db, directory: &directory, dir, rows, now, files: None }, progress)
}

/// The same as [`Store::backup_personal`], of a store that no process has open. It need not be whole; nothing of it
/// is changed.
///
/// # Errors
/// If it cannot be read, or the file could not be written.
pub fn backup_personal_closed(
    data: &Path,
    rows: &Path,
    now: UnixMillis,
) -> Result<PersonalBackup, BackupError> {
    let directory = closed(data)?;
    let path = directory.database();
    let setup = Setup::new();
    let options = Setup::database(false, Recovery::UpToDamage)?;
    let descriptors = setup.descriptors(&families(&path)?)?;
    let db = Db::open_cf_descriptors_read_only(&options, &path, descriptors, false)?;
    write_personal(&db, &directory, rows, now)
}

/// Holds a store that exists.
fn closed(data: &Path) -> Result<Directory, BackupError> {
    let directory = Directory::claim_to_write(data).map_err(BackupError::Open)?;
    if directory.has_database().map_err(BackupError::Open)? {
        Ok(directory)
    } else {
        Err(BackupError::Open(OpenError::Absent { path: data.to_owned() }))
    }
}

/// Whether it reaches what the witness saw: a copy of less would pass for a copy of all.
fn is_whole(db: &Db, directory: &Directory) -> Result<(), BackupError> {
    let witness = directory.witness();
    let said = witness::read(&witness).map_err(at(&witness))?;
    let head = told(db)?.head;
    let (loss, witnessed) = match said {
        Said::Head(testimony) if head.commit < testimony.head.commit => {
            let (first, last) = (CommitNumber(head.commit + 1), CommitNumber(testimony.head.commit));
            (Loss::Commits { first, last }, testimony.head)
        }
        Said::Head(testimony) if head.writes < testimony.head.writes => {
            (Loss::Metadata { writes: testimony.head.writes - head.writes }, testimony.head)
        }
        Said::Absent if head.writes > 0 => (Loss::WitnessMissing, head),
        Said::Damaged => (Loss::WitnessDamaged, head),
        Said::Head(_) | Said::Absent => return Ok(()),
    };
    let (recovered, witnessed) = (CommitNumber(head.commit), CommitNumber(witnessed.commit));
    let path = directory.path().to_owned();
    Err(BackupError::Open(OpenError::Amnesia { path, loss, recovered, witnessed }))
}

fn make(job: &Job<'_>, progress: &mut dyn FnMut(BackupProgress)) -> Result<Backup, BackupError> {
    let begun = Instant::now();
    let alone = job.files.map(|files| files.lock().unwrap_or_else(PoisonError::into_inner));
    let store = id(job.directory)?;
    let rows = check_apart(job.directory.path(), job.dir, job.rows)?;
    let left = unfinished::clear(job.dir, store, &rows)?;
    if left.cleared {
        progress(BackupProgress::Clearing);
        tracing::info!(dir = %job.dir.display(), "removed what an interrupted backup left");
    }
    check_free(job.dir, job.rows, left)?;
    // Beside it, where there is one from before: until the new one is whole, that is the newest.
    let new = if left.rows { beside(job.rows)? } else { job.rows.to_owned() };
    let made = copy(job, (store, &rows, &new), alone, progress);
    if made.is_err() {
        // An unfinished copy has personal rows in it. What cannot be removed is named by the error all the same.
        let _left = (fs::remove_dir_all(job.dir), fs::remove_file(&new));
    }
    Ok(Backup { took: begun.elapsed(), ..made? })
}

/// Makes both parts. The rows go to `new`, and from there to their place; the mark names that as `named`.
fn copy(
    job: &Job<'_>,
    (store, named, new): ([u8; 16], &Path, &Path),
    alone: Option<MutexGuard<'_, ()>>,
    progress: &mut dyn FnMut(BackupProgress),
) -> Result<Backup, BackupError> {
    let Job { db, directory, dir, rows, now, .. } = *job;
    progress(BackupProgress::Copying);
    // The same rights as the store itself.
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at(dir))?;
    unfinished::mark(dir, store, named)?;
    step::reached("backup: marked");
    let (unfinished, copy) = (dir.join("unfinished"), dir.join("db"));
    Checkpoint::new(db)?.create_checkpoint(&unfinished)?;
    step::reached("backup: copied");
    progress(BackupProgress::Separating);
    let (Found { head, outbox, root_key }, count, patterns) = separate(&unfinished, store, new, now)?;
    if new != rows {
        fs::rename(new, rows).map_err(at(rows))?;
    }
    step::reached("backup: separated");
    // What is erased from now on is not in the copy, or does not open there. Reading all of it can take hours, and erasing
    // does not wait for that.
    drop(alone);
    fs::rename(&unfinished, &copy).map_err(at(&copy))?;
    Witness::begin(&dir.join("witness"), store, 0, head).map_err(at(dir))?;
    let search = Search::new(&patterns);
    let (mut files, bytes) =
        sums(dir, &search, &mut |done, of| progress(BackupProgress::Searching { done, of }))?;
    step::reached("backup: searched");
    // Without the format file it is no store: it comes last.
    directory.copy_format(dir).map_err(at(dir))?;
    files.push(FileSum::of(dir, "FORMAT")?);
    sync_dir(&copy)?;
    sync_dir(dir)?;
    sync_dir(parent(rows))?;
    let (head, took) = (CommitNumber(head.commit), Duration::ZERO);
    Ok(Backup { store, root_key, head, outbox, bytes, rows: count, files, took })
}

/// Writes personal rows to a file that is there whole or not at all.
fn write_personal(
    db: &Db,
    directory: &Directory,
    rows: &Path,
    now: UnixMillis,
) -> Result<PersonalBackup, BackupError> {
    if rows.symlink_metadata().is_ok() {
        return Err(BackupError::Exists { path: rows.to_owned() });
    }
    let store = id(directory)?;
    let written = personal::write(db, store, now, rows);
    if written.is_err() {
        let _left = fs::remove_file(rows);
    }
    let (rows_written, _) = written?;
    sync_dir(parent(rows))?;
    Ok(PersonalBackup { store, rows: rows_written })
}

/// The id of a store that is there.
pub(super) fn id(directory: &Directory) -> Result<[u8; 16], BackupError> {
    match directory.format().map_err(BackupError::Open)? {
        Format::Known(id) => Ok(id),
        Format::Absent => Err(BackupError::Open(OpenError::Absent { path: directory.path().to_owned() })),
    }
}

pub(super) fn open(path: &Path, names: &[String], create: bool) -> Result<Db, BackupError> {
    let setup = Setup::new();
    let options = Setup::database(create, Recovery::Strict)?;
    Ok(Db::open_cf_descriptors(&options, path, setup.descriptors(names)?)?)
}

/// What a database says of itself.
fn told(db: &Db) -> Result<Found, BackupError> {
    let meta = db.cf_handle(META).ok_or(BackupError::Damaged)?;
    let head = db.get_cf(&meta, KEY_HEAD)?.map_or(Some(Head::default()), |row| Head::decode(&row));
    let outbox = db.get_cf(&meta, KEY_OUTBOX)?.map_or(Some(OutboxRow::START), |row| OutboxRow::decode(&row));
    let store = db.get_cf(&meta, KEY_STORE)?.and_then(|row| StoreRow::decode(&row));
    let (Some(head), Some(outbox), Some(store)) = (head, outbox, store) else {
        return Err(BackupError::Damaged);
    };
    Ok(Found { head, outbox: outbox.next - 1, root_key: key_id(&store.key_check) })
}

/// Takes the personal rows out of a copy. Gives what it says, how many rows there were, and what to search for.
fn separate(
    copy: &Path,
    store: [u8; 16],
    rows: &Path,
    now: UnixMillis,
) -> Result<(Found, u64, personal::Patterns), BackupError> {
    let names = families(copy)?;
    let db = open(copy, &names, false)?;
    let found = told(&db)?;
    let (count, patterns) = personal::write(&db, store, now, rows)?;
    for name in PERSONAL {
        db.drop_cf(name)?;
    }
    take_apart(&db)?;
    drop(db);
    // Opened again, it is shown to open without them, and has a log and a manifest that never knew of them.
    let left: Vec<String> = names.into_iter().filter(|name| !PERSONAL.contains(&name.as_str())).collect();
    drop(open(copy, &left, false)?);
    Ok((found, count, patterns))
}

/// Takes the rows of metadata that are in the file of personal rows only out of a copy, and out of its files.
fn take_apart(db: &Db) -> Result<(), BackupError> {
    forget_apart(db)?;
    let meta = db.cf_handle(META).ok_or(BackupError::Damaged)?;
    db.flush_cf(&meta)?;
    let old = meta_files(db)?;
    let mut options = CompactOptions::default();
    // Also files at the bottom are written anew.
    options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
    db.compact_range_cf_opt(&meta, None::<&[u8]>, None::<&[u8]>, &options);
    // A compaction does not say that it failed.
    let found = meta_files(db)?.intersection(&old).count();
    if found == 0 { Ok(()) } else { Err(BackupError::Secrets { found: super::bytes::count(found) }) }
}

/// Deletes the rows of metadata that are in the file of personal rows only.
pub(super) fn forget_apart(db: &Db) -> Result<(), BackupError> {
    let meta = db.cf_handle(META).ok_or(BackupError::Damaged)?;
    let mut batch = WriteBatch::default();
    for table in personal::APART {
        let (from, until) = table.bounds();
        batch.delete_range_cf(&meta, from, until);
    }
    Ok(db.write_opt(batch, &write_options(true))?)
}

/// The names of the table files of the metadata.
fn meta_files(db: &Db) -> Result<BTreeSet<String>, BackupError> {
    let files = db.live_files()?.into_iter();
    Ok(files.filter(|file| file.column_family_name == META).map(|file| file.name).collect())
}
