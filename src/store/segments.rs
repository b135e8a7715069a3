//! Beginning and dropping families, in an order that a crash at any point cannot confuse.

use rocksdb::{FlushOptions, WriteBatch};

use super::catalogue::Segment;
use super::fault::DatabaseFault;
use super::layout::{META, segment_family, segment_key};
use super::rocks::{Db, Setup, write_options};

/// Why a step failed: RocksDB's own error, so that a full disk can be told from the rest.
pub(super) type Step<T> = Result<T, rocksdb::Error>;

/// What becomes of a segment that is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// It stays. What is in memory of it is written out.
    Stays,
    /// It is dropped right away, by a disk that has no room for what is in memory of it.
    Goes,
}

/// Makes the family of `next` and writes its row, and that of `closed`, which ends here. The family comes
/// first: one without a row is empty and is dropped at open.
pub(super) fn begin(
    db: &Db,
    setup: &Setup,
    closed: Option<(&Segment, After)>,
    next: &Segment,
) -> Result<(), Begin> {
    let name = segment_family(next.number);
    if db.cf_handle(&name).is_none() {
        db.create_cf(&name, &setup.family(&name)?)?;
    }
    let mut batch = WriteBatch::default();
    if let Some(meta) = db.cf_handle(META) {
        for segment in closed.map(|(segment, _)| segment).into_iter().chain([next]) {
            batch.put_cf(&meta, segment_key(segment.number), segment.encode());
        }
    }
    db.write_opt(batch, &write_options(true))?;
    if let Some((closed, After::Stays)) = closed {
        flush(db, closed.number)?;
    }
    Ok(())
}

/// Why a segment could not be begun.
#[derive(Debug)]
pub(super) enum Begin {
    /// The options are wrong: a fault of the program.
    Options(DatabaseFault),
    /// RocksDB failed.
    Database(rocksdb::Error),
}

impl From<DatabaseFault> for Begin {
    fn from(fault: DatabaseFault) -> Self {
        Self::Options(fault)
    }
}

impl From<rocksdb::Error> for Begin {
    fn from(error: rocksdb::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Begin> for DatabaseFault {
    fn from(begin: Begin) -> Self {
        match begin {
            Begin::Options(fault) => fault,
            Begin::Database(error) => error.into(),
        }
    }
}

/// Has what is in memory of a closed segment, and of the rows that tell of it, written out in the background: it
/// would pin the write-ahead log, and with that log lost, the segment is still known.
fn flush(db: &Db, number: u32) -> Step<()> {
    let mut options = FlushOptions::new();
    options.set_wait(false);
    let families = [db.cf_handle(&segment_family(number)), db.cf_handle(META)];
    families.into_iter().flatten().try_for_each(|family| db.flush_cf_opt(&family, &options))
}

/// Takes the rows of segments away; their families are dropped after that. A family without a
/// row that is older than every row is dropped at open.
pub(super) fn unlist(db: &Db, batch: &mut WriteBatch, numbers: &[u32]) {
    if let Some(meta) = db.cf_handle(META) {
        for number in numbers {
            batch.delete_cf(&meta, segment_key(*number));
        }
    }
}

/// Drops families. Their files go at once, or when the last read of them ends.
pub(super) fn drop_families(db: &Db, names: impl Iterator<Item = String>) -> Step<()> {
    names.filter(|name| db.cf_handle(name).is_some()).try_for_each(|name| db.drop_cf(&name))
}
