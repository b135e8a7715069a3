//! Amendments: a stored record is replaced by another of the same batch, or reduced to nothing. It keeps its commit
//! number and its place in the running hash. The old bytes are beyond reading after [`Store::purge`].

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::bytes::{count, length};
use super::catalogue::{Catalogue, Segment};
use super::command::{Command, MetaOp, Reply};
use super::fault::{RecordFault, StoreError};
use super::layout::{ASIDE, META, segment_family, segment_key};
use super::options::Options;
use super::pending::Pending;
use super::reader::{Damage, at};
use super::record::{SealedRecord, Stub};
use super::shared::Shared;
use super::store::{SHARE, Store};
use super::stored::{Stored, StoredRecord};
use crate::model::{CommitNumber, UnixMillis};

/// A change of one stored record.
#[derive(Debug)]
pub struct Amendment {
    /// Its place.
    pub commit: CommitNumber,
    /// What takes its place: a record of the same customer and time. `None` leaves nothing of it.
    pub with: Option<SealedRecord>,
    /// What was read there: [`StoredRecord::tag`]. If something else is there by now, nothing is changed. Of a
    /// damaged record there is none; it is not looked at then.
    pub expect: [u8; 16],
}

impl Amendment {
    /// Amendments in one write: between two of them, ingest has its turn.
    pub const AT_ONCE: usize = 64;
    /// Bytes of new records in one write; one more record may go beyond it.
    pub const BYTES_AT_ONCE: u64 = 4 * 1024 * 1024;

    /// Bytes of the new record.
    #[must_use]
    pub fn stored_len(&self) -> u64 {
        self.with.as_ref().map_or(0, |record| count(record.stored_len()))
    }

    /// Takes from the front of `left` what fits into one write.
    pub fn chunk<T>(
        left: &mut std::iter::Peekable<impl Iterator<Item = T>>,
        amendment: impl Fn(&T) -> &Self,
    ) -> Vec<T> {
        let (mut chunk, mut size) = (Vec::new(), 0_u64);
        while let Some(next) = left.next_if(|_| chunk.len() < Self::AT_ONCE && size < Self::BYTES_AT_ONCE) {
            size = size.saturating_add(amendment(&next).stored_len());
            chunk.push(next);
        }
        chunk
    }
}

/// What became of an amendment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amended {
    /// It is on disk. A damaged record can be reduced to nothing, and not be replaced.
    Done,
    /// Something else is there than what was read: read it again.
    Changed,
    /// There is nothing left of it already.
    Gone,
    /// Its segment was dropped, or there was never such a commit.
    Absent,
    /// It cannot be read, so it was not replaced; or there is nothing to write over.
    Damaged,
    /// The new record is of another customer or another time. That is a fault of the caller.
    Unlike,
}

/// What amendments change besides the rows, while they are on their way to the disk.
#[derive(Debug, Default)]
pub(super) struct Changes {
    amended: HashSet<u64>,
    /// Bytes that went and came, by segment.
    resized: BTreeMap<u32, (u64, u64)>,
    /// Closed segments as they will be.
    pub(super) closed: Vec<Segment>,
    /// Damaged records of which nothing is left.
    pub(super) healed: Vec<u64>,
}

impl Changes {
    /// Whether the segment that is written to has another size.
    pub(super) fn is_empty(&self) -> bool {
        self.amended.is_empty()
    }
}

/// Bytes of the new records.
pub(super) fn bytes(amendments: &[Amendment]) -> u64 {
    amendments.iter().map(Amendment::stored_len).sum()
}

impl Store {
    /// Amends records, some at a time, each of these writes synced and answered in order. What comes before one
    /// that could not be written is amended.
    ///
    /// # Errors
    /// If the store cannot be read or written, or is closed.
    pub async fn amend(&self, amendments: Vec<Amendment>) -> Result<Vec<Amended>, StoreError> {
        let mut outcomes = Vec::with_capacity(amendments.len());
        let mut left = amendments.into_iter().peekable();
        while left.peek().is_some() {
            let chunk = Amendment::chunk(&mut left, |amendment| amendment);
            outcomes.extend(self.amend_with(chunk, Vec::new()).await?);
        }
        Ok(outcomes)
    }

    /// Amends records and changes metadata rows, in one synced write: what is told of the amendments is on disk if
    /// and only if they are. For as many as [`Amendment::chunk`] gives.
    ///
    /// # Errors
    /// As [`Self::amend`]; the rows may then be there without the amendments, and the same again puts that right.
    pub async fn amend_with(
        &self,
        amendments: Vec<Amendment>,
        ops: Vec<MetaOp>,
    ) -> Result<Vec<Amended>, StoreError> {
        let size = usize::try_from(bytes(&amendments)).unwrap_or(usize::MAX);
        let shares = (size / SHARE + 1).min(Options::QUEUE_BYTES / SHARE);
        let share = Arc::clone(self.shares()).acquire_many_owned(u32::try_from(shares).unwrap_or(u32::MAX));
        let share = share.await.map_err(|_| StoreError::Closed)?;
        self.ask(|reply| Command::Amend { amendments, ops, _share: share, reply }).await?
    }
}

impl Pending {
    /// Takes in amendments, and before them the rows that tell of them: an amendment that nobody remembers would
    /// never be purged.
    pub(super) fn amend(
        &mut self,
        shared: &Shared,
        amendments: Vec<Amendment>,
        ops: Vec<MetaOp>,
        reply: Reply<Vec<Amended>>,
    ) {
        self.sync |= !ops.is_empty();
        let outcomes = self.put_rows(&shared.db, ops).and_then(|()| {
            amendments.into_iter().map(|amendment| self.amend_one(shared, amendment)).collect()
        });
        match outcomes {
            Ok(outcomes) => self.wait(reply, outcomes),
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn amend_one(&mut self, shared: &Shared, amendment: Amendment) -> Result<Amended, StoreError> {
        let Amendment { commit: CommitNumber(commit), with, expect } = amendment;
        let span = shared.catalogue().span(commit).filter(|span| span.from == commit);
        let Some(span) = span else { return Ok(Amended::Absent) };
        if self.changes.amended.contains(&commit) {
            return Ok(Amended::Changed);
        }
        let Some(found) = at(&shared.db, span.number, commit)? else { return Ok(Amended::Absent) };
        let aside = shared.aside().contains(&commit);
        let was =
            found.as_ref().map_or_else(|damage| length(&damage.bytes), |stored| count(stored.stored_len()));
        let row = match (found, with) {
            (Ok(Stored::Gone(_)), _) => return Ok(Amended::Gone),
            (Ok(Stored::Record(record)), _) if !aside && record.tag() != expect => {
                return Ok(Amended::Changed);
            }
            (Ok(Stored::Record(record)), None) => reduced(record),
            (Ok(Stored::Record(record)), Some(with)) => match replaced(record, with, aside) {
                Ok(row) => row,
                Err(outcome) => return Ok(outcome),
            },
            // Where RocksDB finds nothing, or a block that it cannot read, writing would only hide the loss.
            (Err(Damage { fault: RecordFault::Missing | RecordFault::Block, .. }), _) | (Err(_), Some(_)) => {
                return Ok(Amended::Damaged);
            }
            (Err(_), None) => {
                let newest = shared.catalogue().received_in(span.number).unwrap_or(UnixMillis(0));
                Stub { received: newest, events: 0 }.encode(commit, None)
            }
        };
        let Some(family) = shared.db.cf_handle(&segment_family(span.number)) else {
            return Ok(Amended::Absent);
        };
        self.batch.put_cf(&family, commit.to_be_bytes(), &row);
        if let Some(family) = shared.db.cf_handle(ASIDE).filter(|_| aside) {
            self.batch.delete_cf(&family, commit.to_be_bytes());
            self.changes.healed.push(commit);
        }
        self.changes.amended.insert(commit);
        let sizes = self.changes.resized.entry(span.number).or_default();
        *sizes = (sizes.0 + was, sizes.1 + length(&row));
        self.sync = true;
        Ok(Amended::Done)
    }

    /// Puts the rows of segments whose records have other sizes now into the group, once it is complete.
    pub(super) fn resize(&mut self, shared: &Shared) {
        let catalogue = shared.catalogue();
        for (number, (was, is)) in std::mem::take(&mut self.changes.resized) {
            let Some(segment) = catalogue.segments.iter().find(|segment| segment.number == number) else {
                continue;
            };
            if !segment.closed {
                self.content.bytes = self.content.bytes.saturating_sub(was) + is;
                continue;
            }
            let mut segment = segment.clone();
            segment.content.bytes = segment.content.bytes.saturating_sub(was) + is;
            if let Some(meta) = shared.db.cf_handle(META) {
                self.batch.put_cf(&meta, segment_key(number), segment.encode());
            }
            self.changes.closed.push(segment);
        }
    }
}

impl Catalogue {
    /// When the newest record of a segment was received.
    fn received_in(&self, number: u32) -> Option<UnixMillis> {
        self.segments.iter().find(|segment| segment.number == number).map(|segment| segment.content.newest)
    }
}

/// The stub in the place of a record.
fn reduced(record: StoredRecord) -> Vec<u8> {
    let stub = Stub { received: record.header.received, events: record.header.events };
    let commit = record.commit.0;
    stub.encode(commit, Stored::Record(record).first())
}

/// The row of the record that takes the place of another.
fn replaced(record: StoredRecord, with: SealedRecord, aside: bool) -> Result<Vec<u8>, Amended> {
    if aside {
        return Err(Amended::Damaged);
    }
    if with.customer() != record.header.customer || with.received() != record.header.received {
        return Err(Amended::Unlike);
    }
    let commit = record.commit.0;
    let (tag, chain) = Stored::Record(record).first().ok_or(Amended::Damaged)?;
    Ok(with.replace(commit, tag, chain))
}
