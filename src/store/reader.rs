//! Reading records in order, and what is left of them where bytes are damaged.

use std::ops::ControlFlow;

use rocksdb::ErrorKind;

use super::catalogue::Span;
use super::fault::{RecordFault, StoreError};
use super::layout::segment_family;
use super::record::Stub;
use super::rocks::{Db, between};
use super::shared::Shared;
use super::stored::{Stored, StoredRecord};
use crate::model::{CommitNumber, UnixMillis};

/// How much one read gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Entries.
    pub records: usize,
    /// Stored bytes. A single record may be longer.
    pub bytes: u64,
}

/// What is at one place of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all entries are records")]
pub enum Entry {
    /// A record whose checks passed.
    Record(StoredRecord),
    /// A record that failed its checks, or that is not there. It was set aside.
    Damaged {
        /// Its place.
        commit: CommitNumber,
    },
    /// A record was here, and was reduced to nothing since: [`super::Amendment`].
    Gone {
        /// Its place.
        commit: CommitNumber,
        /// When its request was received.
        received: UnixMillis,
        /// Events that were in it.
        events: u32,
    },
}

impl Entry {
    /// Its place.
    #[must_use]
    pub const fn commit(&self) -> CommitNumber {
        match self {
            Self::Record(record) => record.commit,
            Self::Damaged { commit } | Self::Gone { commit, .. } => *commit,
        }
    }
}

/// A damaged record, to be set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) commit: u64,
    pub(super) fault: RecordFault,
    /// What was found in its place.
    pub(super) bytes: Vec<u8>,
}

/// One place of a segment.
pub(super) type Found = Result<Stored, Damage>;

fn check(commit: u64, bytes: &[u8]) -> Found {
    Stored::read(commit, bytes).map_err(|fault| Damage { commit, fault, bytes: bytes.to_vec() })
}

const fn nothing(commit: u64, fault: RecordFault) -> Found {
    Err(Damage { commit, fault, bytes: Vec::new() })
}

const READ: &str = "read records";

/// Reads one place.
pub(super) fn at(db: &Db, segment: u32, commit: u64) -> Result<Option<Found>, StoreError> {
    let Some(family) = db.cf_handle(&segment_family(segment)) else { return Ok(None) };
    match db.get_pinned_cf(&family, commit.to_be_bytes()) {
        Ok(Some(bytes)) => Ok(Some(check(commit, &bytes))),
        Ok(None) => Ok(Some(nothing(commit, RecordFault::Missing))),
        Err(error) if error.kind() == ErrorKind::Corruption => Ok(Some(nothing(commit, RecordFault::Block))),
        Err(error) => Err(StoreError::database(READ)(error)),
    }
}

/// Visits every place of `span` in order, also those where nothing is found: commits are dense.
/// Where RocksDB finds a damaged block it goes on place by place. Nothing is visited if the segment was
/// dropped meanwhile.
pub(super) fn walk(
    db: &Db,
    span: Span,
    mut visit: impl FnMut(Found) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, StoreError> {
    walk_rows(db, span, |commit, row| {
        visit(match row {
            Ok(bytes) => check(commit, bytes),
            Err(fault) => nothing(commit, fault),
        })
    })
}

/// The same, with the bytes as they are found.
pub(super) fn walk_rows(
    db: &Db,
    span: Span,
    mut visit: impl FnMut(u64, Result<&[u8], RecordFault>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, StoreError> {
    let Some(family) = db.cf_handle(&segment_family(span.number)) else {
        return Ok(ControlFlow::Continue(()));
    };
    let (lower, upper) = (span.from.to_be_bytes(), span.to.saturating_add(1).to_be_bytes());
    let mut rows = db.raw_iterator_cf_opt(&family, between(lower.to_vec(), upper.to_vec()));
    rows.seek(lower);
    let mut next = span.from;
    while let Some((key, bytes)) = rows.item() {
        let commit = key.try_into().map(u64::from_be_bytes).unwrap_or_default();
        // A key that is not a commit number to come can only be damage; what is missed is found missing.
        if commit >= next {
            while next < commit {
                if visit(next, Err(RecordFault::Missing)).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                next += 1;
            }
            if visit(commit, Ok(bytes)).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            next = commit + 1;
        }
        rows.next();
    }
    match rows.status() {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::Corruption => {
            tracing::warn!(
                segment = span.number,
                commit = next,
                "a block cannot be read; going on record by record"
            );
        }
        Err(error) => return Err(StoreError::database(READ)(error)),
    }
    drop(rows);
    while next <= span.to {
        let flow = match db.get_pinned_cf(&family, next.to_be_bytes()) {
            Ok(Some(bytes)) => visit(next, Ok(&bytes)),
            Ok(None) => visit(next, Err(RecordFault::Missing)),
            Err(error) if error.kind() == ErrorKind::Corruption => visit(next, Err(RecordFault::Block)),
            Err(error) => return Err(StoreError::database(READ)(error)),
        };
        if flow.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        next += 1;
    }
    Ok(ControlFlow::Continue(()))
}

/// Reads from `from` on, across segments, up to the last acknowledged commit: at least one entry
/// if there is one. Also gives the damage that was not known yet.
pub(super) fn read(
    shared: &Shared,
    from: u64,
    limits: ReadLimits,
) -> Result<(Vec<Entry>, Vec<Damage>), StoreError> {
    let mut entries = Vec::new();
    let mut damages = Vec::new();
    let mut bytes = 0_u64;
    let mut from = from;
    loop {
        let Some(span) = shared.catalogue().span(from) else { break };
        let flow = walk(&shared.db, span, |found| {
            if entries.len() >= limits.records.max(1) {
                return ControlFlow::Break(());
            }
            let length = found.as_ref().map_or(0, |stored| super::bytes::count(stored.stored_len()));
            if !entries.is_empty() && bytes.saturating_add(length) > limits.bytes {
                return ControlFlow::Break(());
            }
            bytes = bytes.saturating_add(length);
            let (entry, damage) = judge(shared, found);
            entries.push(entry);
            damages.extend(damage);
            ControlFlow::Continue(())
        })?;
        if flow.is_break() || entries.len() >= limits.records {
            break;
        }
        from = span.to + 1;
    }
    Ok((entries, damages))
}

/// Reads one place; `None` if it is not, or no longer, in the queue.
pub(super) fn read_one(shared: &Shared, commit: u64) -> Result<Option<(Entry, Option<Damage>)>, StoreError> {
    let span = shared.catalogue().span(commit);
    let Some(span) = span.filter(|span| span.from == commit) else { return Ok(None) };
    Ok(at(&shared.db, span.number, commit)?.map(|found| judge(shared, found)))
}

/// What a reader gets to see, and the damage if it was not known yet.
fn judge(shared: &Shared, found: Found) -> (Entry, Option<Damage>) {
    match found {
        Ok(Stored::Gone(gone)) => {
            let Stub { received, events } = gone.stub;
            (Entry::Gone { commit: gone.commit, received, events }, None)
        }
        Ok(Stored::Record(record)) if shared.aside().contains(&record.commit.0) => {
            (Entry::Damaged { commit: record.commit }, None)
        }
        Ok(Stored::Record(record)) => (Entry::Record(record), None),
        Err(damage) => {
            let known = shared.aside().contains(&damage.commit);
            (Entry::Damaged { commit: CommitNumber(damage.commit) }, (!known).then_some(damage))
        }
    }
}

/// The first commit that was received at or after `time`, as far as records are in the order of
/// their times; the one after the head if there is none. Costs a walk over the segments and one
/// bisection in one of them.
pub(super) fn seek_time(shared: &Shared, time: UnixMillis) -> Result<CommitNumber, StoreError> {
    let span = {
        let catalogue = shared.catalogue();
        let reaches = |segment: &&super::catalogue::Segment| {
            segment.content.records > 0 && segment.content.newest >= time
        };
        match catalogue.segments.iter().find(reaches) {
            Some(segment) => Span { number: segment.number, from: segment.first, to: segment.content.last },
            None => return Ok(CommitNumber(catalogue.head() + 1)),
        }
    };
    let (mut low, mut high) = (span.from, span.to);
    while low < high {
        let middle = low + (high - low) / 2;
        let before = match at(&shared.db, span.number, middle)? {
            Some(Ok(stored)) => stored.received() < time,
            // Of a damaged record no time is known: stay before it, so that nothing is passed over.
            Some(Err(_)) => false,
            None => break,
        };
        if before {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(CommitNumber(low))
}
