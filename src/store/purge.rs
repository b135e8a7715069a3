//! Purging: what was amended, replaced or destroyed is taken out of every file. `RocksDB` keeps old versions in its
//! write-ahead log and in older table files until both are rewritten, so both are, and the files that could hold
//! them are checked to be gone.
//!
//! Nothing here runs in the writer's thread, and the writer drops families at the same time. That is safe: a handle
//! that is held keeps a dropped family alive, its compaction then ends early, and with the handle its files go.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::thread;
use std::time::{Duration, Instant};

use rocksdb::{BottommostLevelCompaction, CompactOptions, ErrorKind};

use super::Store;
use super::bytes::count;
use super::command::Command;
use super::dedup::generations;
use super::fault::StoreError;
use super::layout::{
    ASIDE, CHANGES, CUSTOMERS, FIXED, Family, IDS, IDS_ENDS, KEY_DATA_ROOT, KEY_STORE, META, SALTS, family,
    segment_family,
};
use super::meta::MetaTable;
use super::purge_files::{File, Range, live, names};
use super::registry::change_key;
use super::rocks::{Db, between};
use super::salts::{bridges_of, own_of};
use super::shared::Shared;
use super::step;
use crate::model::{CommitNumber, CustomerKey};

/// How long it is waited for files to go. A reader that is at work holds them, for a moment.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often that is looked at.
const PAUSE: Duration = Duration::from_millis(2);
/// How often one place is compacted before it is given up.
const ATTEMPTS: u32 = 3;

/// Free bytes beyond what is written anew.
const SLACK: u64 = 2 * 1024 * 1024;

/// What is to be purged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Old versions of the records from `first` to `last`.
    Commits {
        /// The first.
        first: CommitNumber,
        /// The last.
        last: CommitNumber,
    },
    /// The rows of a customer that was destroyed, and secrets that were replaced or destroyed.
    Customer(CustomerKey),
    /// Old versions of rows whose keys begin with `prefix`.
    Rows {
        /// Their table.
        table: MetaTable,
        /// How their keys begin; empty for all.
        prefix: Vec<u8>,
    },
    /// States of ratchets that were moved on, and bridges that have ended, of every customer.
    Keys,
    /// Old wrappings of the data root.
    DataRoot,
}

/// How far purging has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurgeProgress {
    /// Parts that are done: the log, and each range of a family.
    pub done: usize,
    /// All parts.
    pub of: usize,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purged {
    /// Table files that were rewritten and are gone.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files of the write-ahead log that are gone.
    pub logs: u64,
    /// How long it took.
    pub took: Duration,
}

/// Why old versions may still be there. Purging again is safe.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The directory could not be read.
    #[error("cannot list the files of the database; see the cause, then try again")]
    List(#[source] io::Error),
    /// Files that may hold them are still there.
    #[error(
        "{files} files that may hold what was erased are still there: the disk may be full, or something reads them; free space, then try again"
    )]
    Left {
        /// How many.
        files: u64,
    },
    /// There is not enough room to write the files anew. Nothing was tried.
    #[error(
        "{bytes} bytes must be free to rewrite the files that hold what was erased; free space, then try again"
    )]
    Full {
        /// How many bytes that takes.
        bytes: u64,
    },
    /// A damaged part of a file keeps its family from being rewritten.
    #[error(
        "{family} has a damaged block, so it cannot be rewritten; what is in it goes with retention, or by restoring a backup"
    )]
    Unreadable {
        /// The family.
        family: String,
    },
}

impl Store {
    /// Takes what was replaced or destroyed in these places out of every file. Blocks, for as long as it takes to
    /// rewrite the files that hold something of them; appends and reads go on. One at a time.
    ///
    /// # Errors
    /// If it cannot be shown that nothing is left.
    pub fn purge(
        &self,
        places: &[Place],
        progress: &mut dyn FnMut(PurgeProgress),
    ) -> Result<Purged, PurgeError> {
        let begun = Instant::now();
        let shared = self.shared();
        let _alone = shared.files.lock().unwrap_or_else(PoisonError::into_inner);
        let ranges: Vec<Range> = places.iter().flat_map(|place| ranges(shared, place)).collect();
        let of = ranges.len() + 1;
        progress(PurgeProgress { done: 0, of });
        let logs = self.renew_log()?;
        step::reached("purge: log");
        progress(PurgeProgress { done: 1, of });
        let dirty = names(&shared.db)?;
        let mut gone = Vec::new();
        for (range, done) in ranges.iter().zip(2..) {
            if self.sender().is_none() {
                // It is closed meanwhile: the rest is for the next start.
                return Err(StoreError::Closed.into());
            }
            gone.extend(rewrite(shared, range, &dirty)?);
            step::reached("purge: range");
            progress(PurgeProgress { done, of });
        }
        let left = wait_for(|| gone.iter().filter(|file| file.path.exists()).count());
        if left > 0 {
            return Err(PurgeError::Left { files: count(left) });
        }
        let bytes = gone.iter().map(|file| file.bytes).sum();
        Ok(Purged { files: count(gone.len()), bytes, logs, took: begun.elapsed() })
    }

    /// Has everything in memory written to table files, so that the log files so far are not needed and go.
    fn renew_log(&self) -> Result<u64, PurgeError> {
        let shared = self.shared();
        let sender = self.sender().ok_or(StoreError::Closed)?;
        let (reply, answer) = tokio::sync::oneshot::channel();
        // The newest log file now holds something, so that flushing begins another.
        sender.blocking_send(Command::Mark(reply)).map_err(|_| StoreError::Closed)?;
        drop(sender);
        answer.blocking_recv().map_err(|_| StoreError::Closed)??;
        let old = logs(shared)?;
        let until = Instant::now() + PATIENCE;
        loop {
            flush(shared)?;
            let soon = Instant::now() + PATIENCE / 60;
            while Instant::now() < soon {
                if old.iter().all(|path| !path.exists()) {
                    return Ok(count(old.len()));
                }
                thread::sleep(PAUSE);
            }
            // A family that was begun meanwhile can hold on to the log: it is flushed in the next round.
            if Instant::now() >= until {
                return Err(PurgeError::Left {
                    files: count(old.iter().filter(|path| path.exists()).count()),
                });
            }
        }
    }
}

/// The files of the write-ahead log.
fn logs(shared: &Shared) -> Result<BTreeSet<PathBuf>, PurgeError> {
    let entries = fs::read_dir(shared.directory.database()).map_err(PurgeError::List)?;
    let mut found = BTreeSet::new();
    for entry in entries {
        let path = entry.map_err(PurgeError::List)?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            found.insert(path);
        }
    }
    Ok(found)
}

/// Refuses what a full disk would interrupt: `RocksDB` would stop all writes for that.
fn check_room(shared: &Shared, bytes: u64) -> Result<(), PurgeError> {
    let bytes = bytes.saturating_add(SLACK);
    // If the file system does not say, it is tried.
    let free = shared.directory.free_bytes().unwrap_or(u64::MAX);
    if free < bytes { Err(PurgeError::Full { bytes }) } else { Ok(()) }
}

/// Writes the memtables of all families out.
fn flush(shared: &Shared) -> Result<(), PurgeError> {
    let db = &shared.db;
    let failed = StoreError::database("write the log out");
    let segments = shared.catalogue().segments.iter().map(|segment| segment_family(segment.number)).collect();
    let names: Vec<String> = [FIXED.map(str::to_owned).to_vec(), segments, generations(db)?].concat();
    let in_memory = |name: &String| {
        let family = db.cf_handle(name)?;
        db.property_int_value_cf(&family, rocksdb::properties::CUR_SIZE_ALL_MEM_TABLES).ok().flatten()
    };
    check_room(shared, names.iter().filter_map(in_memory).sum())?;
    for name in names {
        let Some(family) = db.cf_handle(&name) else { continue };
        if let Err(error) = db.flush_cf(&family) {
            drop(family);
            // One that was dropped meanwhile has nothing to be written.
            if db.cf_handle(&name).is_some() {
                return Err(failed(error).into());
            }
        }
    }
    Ok(())
}

/// Where the rows of a place are.
fn ranges(shared: &Shared, place: &Place) -> Vec<Range> {
    match place {
        Place::Commits { first, last } => {
            let (first, last) = (first.0, last.0);
            let catalogue = shared.catalogue();
            let touched = catalogue
                .segments
                .iter()
                .filter(|segment| segment.first <= last && first <= segment.content.last.max(segment.first));
            let mut ranges: Vec<Range> = touched
                .map(|segment| {
                    let (from, to) = (segment.first.max(first), segment.content.last.min(last));
                    Range::new(&segment_family(segment.number), &from.to_be_bytes(), &to.to_be_bytes())
                })
                .collect();
            ranges.push(Range::new(ASIDE, &first.to_be_bytes(), &last.to_be_bytes()));
            ranges
        }
        Place::Customer(key) => {
            let own = key.0.to_be_bytes();
            let ((salt, ratchet), (bridges, behind)) = (own_of(*key), bridges_of(*key));
            let [before, after] = IDS_ENDS;
            vec![
                Range::new(SALTS, &salt, &ratchet),
                Range::new(SALTS, &bridges, &behind),
                Range::new(CUSTOMERS, &own, &own),
                Range::new(CHANGES, &change_key(*key, 0), &change_key(*key, u64::MAX)),
                // All of it is one file.
                Range::new(IDS, &before, &after),
            ]
        }
        Place::Rows { table, prefix } => {
            let (first, behind) = table.prefixed(prefix);
            vec![Range::new(META, &first, &behind)]
        }
        Place::Keys => vec![Range::new(SALTS, &[], &[0xff; 21])],
        Place::DataRoot => {
            vec![Range::new(META, KEY_DATA_ROOT, KEY_DATA_ROOT), Range::new(META, KEY_STORE, KEY_STORE)]
        }
    }
}

/// Rewrites the files that overlap a range. Gives those that are to be gone. Nothing but this compacts a segment, so of its
/// files only those that were there when the log was renewed can hold old bytes: one that was rewritten for a range before
/// this is not rewritten again.
fn rewrite(shared: &Shared, range: &Range, dirty: &BTreeSet<PathBuf>) -> Result<Vec<File>, PurgeError> {
    let db = &shared.db;
    let is_segment = matches!(family(&range.family), Some(Family::Segment(_)));
    let mut old = live(db, range)?;
    old.retain(|file| !is_segment || dirty.contains(&file.path));
    if old.is_empty() {
        return Ok(old);
    }
    check_room(shared, old.iter().map(|file| file.bytes).sum())?;
    if is_segment {
        check_readable(db, &range.family)?;
    }
    let mut options = CompactOptions::default();
    // Also files at the bottom are rewritten. Other families are compacted meanwhile.
    options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
    options.set_exclusive_manual_compaction(false);
    // `RocksDB` passes over a file that has no key in the range, and so would one be that this range lies in the middle
    // of. The ends of the files are keys of theirs.
    let first = old.iter().map(|file| &file.first).chain([&range.first]).min().unwrap_or(&range.first);
    let last = old.iter().map(|file| &file.last).chain([&range.last]).max().unwrap_or(&range.last);
    for _ in 0..ATTEMPTS {
        let Some(family) = db.cf_handle(&range.family) else { return Ok(old) };
        db.compact_range_cf_opt(&family, Some(first), Some(last), &options);
        drop(family);
        let now = live(db, range)?;
        if !old.iter().any(|file| now.contains(file)) {
            return Ok(old);
        }
    }
    let now = live(db, range)?;
    Err(PurgeError::Left { files: count(old.iter().filter(|file| now.contains(file)).count()) })
}

/// Reads through a segment. Nothing else compacts one, and a compaction that comes upon a damaged block would stop
/// the whole database.
fn check_readable(db: &Db, name: &str) -> Result<(), PurgeError> {
    let Some(family) = db.cf_handle(name) else { return Ok(()) };
    let mut rows = db.raw_iterator_cf_opt(&family, between(Vec::new(), vec![0xff; 64]));
    rows.seek_to_first();
    while rows.valid() {
        rows.next();
    }
    match rows.status() {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::Corruption => {
            Err(PurgeError::Unreadable { family: name.to_owned() })
        }
        Err(error) => Err(StoreError::database("read a family")(error).into()),
    }
}

/// Waits until a count is zero, or patience ends; gives what it is then.
fn wait_for(left: impl Fn() -> usize) -> usize {
    let until = Instant::now() + PATIENCE;
    loop {
        let left = left();
        if left == 0 || Instant::now() >= until {
            return left;
        }
        thread::sleep(PAUSE);
    }
}
