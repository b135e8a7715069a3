//! Looking at a store that no daemon has open, without changing anything.

use std::cell::Cell;
use std::path::Path;

use data_encoding::HEXLOWER;
use serde::Serialize;

use super::aside;
use super::bytes::count;
use super::catalogue::{Segment, Span};
use super::dedup::Generation;
use super::directory::{Directory, Format, failed};
use super::fault::OpenError;
use super::layout::{
    DEDUP_BOUNDS, FORMAT_VERSION, Head, KEY_REGISTRY, KEY_STORE, META, RegistryRow, SEGMENT_BOUNDS, StoreRow,
    dedup_family, segment_family,
};
use super::meta::MetaTable;
use super::open::{Judge, head_row, row};
use super::reader::walk;
use super::rocks::{Db, Recovery, Setup, between, families};
use super::survey::rows;
use super::witness::{self, Said};
use crate::model::{CommitNumber, UnixMillis};

/// What a store holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The version of its format.
    pub format: u32,
    /// Its id, in hexadecimal digits.
    pub id: String,
    /// When it was made.
    pub created: UnixMillis,
    /// The last commit.
    pub head: CommitNumber,
    /// The first commit that is still there, or the next one if there is none.
    pub oldest: CommitNumber,
    /// The last acknowledged commit that the witness file knows; `None` if the file cannot be read.
    pub witness: Option<CommitNumber>,
    /// Its segments, oldest first.
    pub segments: Vec<SegmentInspection>,
    /// Its families of deduplication rows, oldest first.
    pub dedup: Vec<DedupInspection>,
    /// Subscriptions.
    pub subscriptions: u64,
    /// Customers that have a participation.
    pub customers: u64,
    /// Damaged records that are set aside.
    pub damaged: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// What a segment holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SegmentInspection {
    /// Its column family.
    pub family: String,
    /// Its first commit.
    pub first: CommitNumber,
    /// Its last commit.
    pub last: CommitNumber,
    /// When its oldest record was received.
    pub oldest: UnixMillis,
    /// When its newest record was received.
    pub newest: UnixMillis,
    /// Records.
    pub records: u64,
    /// Bytes of records.
    pub bytes: u64,
    /// Whether it is written to no more.
    pub closed: bool,
    /// Records that failed their checks while this was made; closed segments are not read.
    pub unreadable: u64,
}

/// What a family of deduplication rows holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DedupInspection {
    /// Its column family.
    pub family: String,
    /// When it was begun.
    pub begun: UnixMillis,
    /// Bytes of its files.
    pub bytes: u64,
}

/// Looks at the store in `dir`.
///
/// # Errors
/// If there is none, if a daemon has it open ([`OpenError::Locked`]), or if it cannot be read.
pub fn inspect(dir: &Path) -> Result<Inspection, OpenError> {
    let directory = Directory::claim_to_read(dir)?;
    let Format::Known(id) = directory.format()? else {
        return Err(OpenError::Absent { path: dir.to_owned() });
    };
    let said = witness::read(&directory.witness()).map_err(|e| failed("read", &directory.witness(), e))?;
    let witness = match said {
        Said::Head(testimony) => Some(CommitNumber(testimony.head.commit)),
        Said::Absent | Said::Damaged => None,
    };
    if !directory.has_database()? {
        return Err(OpenError::Absent { path: dir.to_owned() });
    }
    let judge = Judge { path: dir, accept: true, witnessed: Head::default(), accepted: Cell::default() };
    let db = view(&directory, &judge)?;
    let head = head_row(&db, &judge)?;
    let store = row(&db, KEY_STORE, &judge)?.as_deref().and_then(StoreRow::decode);
    let registry = row(&db, KEY_REGISTRY, &judge)?.as_deref().and_then(RegistryRow::decode);
    let segments = segments(&db, head, &judge)?;
    let oldest = segments.first().map_or(CommitNumber(head.commit).next(), |segment| segment.first);
    let damaged = aside::load(&db).map_err(judge.unreadable("the family of damaged records"))?;
    Ok(Inspection {
        format: store.map_or(FORMAT_VERSION, |row| row.format),
        id: HEXLOWER.encode(&id),
        created: store.map_or(UnixMillis(0), |row| row.created),
        head: CommitNumber(head.commit),
        oldest,
        witness,
        segments,
        dedup: dedup(&db, &judge)?,
        subscriptions: subscriptions(&db, &judge)?,
        customers: registry.map_or(0, |row| row.customers),
        damaged: count(damaged.len()),
        bytes: directory.bytes(),
    })
}

fn view(directory: &Directory, judge: &Judge<'_>) -> Result<Db, OpenError> {
    let path = directory.database();
    let open = || {
        let setup = Setup::new();
        let options = Setup::database(false, Recovery::UpToDamage)?;
        let descriptors = setup.descriptors(&families(&path)?)?;
        Ok(Db::open_cf_descriptors_read_only(&options, &path, descriptors, false)?)
    };
    open().map_err(|fault| judge.failed("the database", fault))
}

fn segments(db: &Db, head: Head, judge: &Judge<'_>) -> Result<Vec<SegmentInspection>, OpenError> {
    let mut found = Vec::new();
    for (_, row) in rows(db, SEGMENT_BOUNDS, judge)? {
        let segment = Segment::decode(&row).ok_or_else(|| judge.damaged("the row of a segment", None))?;
        let (content, unreadable) =
            if segment.closed { (segment.content, 0) } else { content(db, &segment, head, judge)? };
        found.push(SegmentInspection {
            family: segment_family(segment.number),
            first: CommitNumber(segment.first),
            last: CommitNumber(content.last),
            oldest: content.oldest,
            newest: content.newest,
            records: content.records,
            bytes: content.bytes,
            closed: segment.closed,
            unreadable,
        });
    }
    Ok(found)
}

/// Reads the segment that is not closed.
fn content(
    db: &Db,
    segment: &Segment,
    head: Head,
    judge: &Judge<'_>,
) -> Result<(super::catalogue::Content, u64), OpenError> {
    let begun = Segment::begin(
        segment.number,
        segment.first - 1,
        segment.follows,
        segment.chain_before,
        segment.created,
    );
    let mut content = begun.content;
    let mut unreadable = 0;
    let span = Span { number: segment.number, from: segment.first, to: head.commit };
    if span.from <= span.to {
        let walked = walk(db, span, |found| {
            match found {
                Ok(stored) => {
                    let bytes = count(stored.stored_len());
                    content.add(stored.commit().0, head.chain, stored.received(), bytes);
                }
                Err(damage) => {
                    content.last = damage.commit;
                    unreadable += 1;
                }
            }
            std::ops::ControlFlow::Continue(())
        });
        let _flow = walked.map_err(|_| judge.damaged(&segment_family(segment.number), None))?;
    }
    Ok((content, unreadable))
}

fn dedup(db: &Db, judge: &Judge<'_>) -> Result<Vec<DedupInspection>, OpenError> {
    let mut found = Vec::new();
    for (number, row) in rows(db, DEDUP_BOUNDS, judge)? {
        let family = dedup_family(number);
        let begun = Generation::decode(&row).ok_or_else(|| judge.damaged("the deduplication rows", None))?;
        let bytes = db.cf_handle(&family).map_or(0, |handle| db.get_column_family_metadata_cf(&handle).size);
        found.push(DedupInspection { family, begun, bytes });
    }
    Ok(found)
}

fn subscriptions(db: &Db, judge: &Judge<'_>) -> Result<u64, OpenError> {
    let (lower, upper) = MetaTable::Subscriptions.bounds();
    let meta = db.cf_handle(META).ok_or_else(|| judge.damaged("the metadata family", None))?;
    let mut rows = db.raw_iterator_cf_opt(&meta, between(lower.to_vec(), upper.to_vec()));
    rows.seek_to_first();
    let mut found = 0;
    while rows.valid() {
        found += 1;
        rows.next();
    }
    rows.status().map_err(judge.unreadable("the metadata family"))?;
    Ok(found)
}
