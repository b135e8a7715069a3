//! What a database holds: segments, deduplication rows, damaged records. Only what is not closed is
//! read; the rest is known from its rows.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use rocksdb::WriteBatch;

use super::aside;
use super::catalogue::{Catalogue, Segment, Span};
use super::chain::Chain;
use super::dedup::Generation;
use super::fault::{OpenError, RecordFault};
use super::layout::{
    DEDUP_BOUNDS, Family, Head, META, SEGMENT_BOUNDS, dedup_family, dedup_key, family, key_number,
    segment_family,
};
use super::loss::Loss;
use super::open::{self, Judge};
use super::reader::{Damage, at, walk};
use super::rocks::{Db, Setup, between, families, write_options};
use super::segments::{drop_families, unlist};
use crate::model::{CommitNumber, UnixMillis};

/// What was found.
pub(super) struct Survey {
    pub(super) head: Head,
    pub(super) catalogue: Catalogue,
    pub(super) generations: Vec<Generation>,
    pub(super) aside: BTreeSet<u64>,
}

impl Survey {
    /// The running hash after `commit`, if its record, or one of the rows, still says so.
    pub(super) fn chain_at(&self, db: &Db, commit: u64) -> Option<Chain> {
        if commit == self.head.commit {
            return Some(self.head.chain);
        }
        let span = self.catalogue.span(commit).filter(|span| span.from == commit)?;
        at(db, span.number, commit).ok()??.ok()?.first().map(|(_, chain)| chain)
    }
}

/// Takes stock, and finishes what a crash left half done.
pub(super) fn take(db: &Db, setup: &Setup, judge: &Judge<'_>, now: UnixMillis) -> Result<Survey, OpenError> {
    let head = open::head_row(db, judge)?;
    let present = present(db, judge)?;
    let mut segments = Vec::new();
    for (_, row) in rows(db, SEGMENT_BOUNDS, judge)? {
        segments.push(Segment::decode(&row).ok_or_else(|| judge.damaged("the row of a segment", None))?);
    }
    let segments = existing(db, segments, &present, head, judge)?;
    let mut aside = open::aside(db, judge)?;
    let mut catalogue = Catalogue { segments };
    check_order(&catalogue, judge)?;
    if let Some(segment) = catalogue.segments.last_mut().filter(|segment| !segment.closed) {
        measure(db, segment, head, &mut aside, judge, now)?;
    }
    if catalogue.head() < head.commit && !judge.accept {
        let (first, last) = (CommitNumber(catalogue.head() + 1), CommitNumber(head.commit));
        judge.lost(Loss::Commits { first, last }, Head { commit: catalogue.head(), ..head })?;
    }
    let generations = generations(db, setup, &present, judge, now)?;
    Ok(Survey { head, catalogue, generations, aside })
}

/// The families of the database.
fn present(db: &Db, judge: &Judge<'_>) -> Result<Vec<Family>, OpenError> {
    let names = families(db.path()).map_err(|fault| judge.failed("the manifest of the database", fault))?;
    Ok(names.iter().filter_map(|name| family(name)).collect())
}

/// Rows of the metadata family between two keys.
pub(super) fn rows(
    db: &Db,
    (lower, upper): ([u8; 1], [u8; 1]),
    judge: &Judge<'_>,
) -> Result<Vec<(u32, Vec<u8>)>, OpenError> {
    const PART: &str = "the metadata family";
    let meta = db.cf_handle(META).ok_or_else(|| judge.damaged(PART, None))?;
    let mut found = Vec::new();
    let mut iterator = db.raw_iterator_cf_opt(&meta, between(lower.to_vec(), upper.to_vec()));
    iterator.seek_to_first();
    while let Some((key, row)) = iterator.item() {
        let number = key_number(key).ok_or_else(|| judge.damaged(PART, None))?;
        found.push((number, row.to_vec()));
        iterator.next();
    }
    iterator.status().map_err(judge.unreadable(PART))?;
    Ok(found)
}

/// Brings rows and families together. A family without a row was about to begin (then it is empty)
/// or about to go (then it is older than every row). A row without a family is a loss.
fn existing(
    db: &Db,
    segments: Vec<Segment>,
    present: &[Family],
    head: Head,
    judge: &Judge<'_>,
) -> Result<Vec<Segment>, OpenError> {
    let (kept, gone): (Vec<_>, Vec<_>) =
        segments.into_iter().partition(|segment| present.contains(&Family::Segment(segment.number)));
    for segment in &gone {
        let last = if segment.closed { segment.content.last } else { head.commit };
        if last < segment.first {
            continue;
        }
        let (first, last) = (CommitNumber(segment.first), CommitNumber(last));
        judge.lost(Loss::Segment { family: segment_family(segment.number), first, last }, head)?;
    }
    if !gone.is_empty() {
        let numbers: Vec<u32> = gone.iter().map(|segment| segment.number).collect();
        let mut batch = WriteBatch::default();
        unlist(db, &mut batch, &numbers);
        db.write_opt(batch, &write_options(true)).map_err(judge.unreadable("the metadata family"))?;
    }
    let oldest = kept.first().map_or(0, |segment| segment.number);
    let unlisted = present.iter().filter_map(|family| match family {
        Family::Segment(number) => Some(*number).filter(|n| !kept.iter().any(|segment| segment.number == *n)),
        Family::Fixed | Family::Dedup(_) => None,
    });
    for number in unlisted {
        let name = segment_family(number);
        if number >= oldest && !is_empty(db, &name, judge)? {
            return Err(judge.damaged(&format!("the row of segment {name}"), None));
        }
        drop_families(db, [name].into_iter())
            .map_err(judge.unreadable("a segment that was to be dropped"))?;
    }
    Ok(kept)
}

fn is_empty(db: &Db, name: &str, judge: &Judge<'_>) -> Result<bool, OpenError> {
    let Some(family) = db.cf_handle(name) else { return Ok(true) };
    let mut records = db.raw_iterator_cf_opt(&family, between(vec![0; 8], vec![0xff; 9]));
    records.seek_to_first();
    let empty = !records.valid();
    records.status().map_err(judge.unreadable("a segment without a row"))?;
    Ok(empty)
}

/// Closed segments follow each other without a gap, and only the last is not closed.
fn check_order(catalogue: &Catalogue, judge: &Judge<'_>) -> Result<(), OpenError> {
    for pair in catalogue.segments.windows(2) {
        let [before, after] = pair else { continue };
        let follows = before.closed && before.number < after.number && before.content.last <= after.follows;
        if !follows
            || (!judge.accept && before.content.last < after.follows && after.number == before.number + 1)
        {
            return Err(judge.damaged("the catalogue of segments", None));
        }
    }
    Ok(())
}

/// Reads the segment that is not closed, up to the head: what is in it, and whether it is whole.
fn measure(
    db: &Db,
    segment: &mut Segment,
    head: Head,
    aside: &mut BTreeSet<u64>,
    judge: &Judge<'_>,
    now: UnixMillis,
) -> Result<(), OpenError> {
    let fresh = Segment::begin(
        segment.number,
        segment.first - 1,
        segment.follows,
        segment.chain_before,
        segment.created,
    );
    let mut content = fresh.content;
    let mut chain = Some(segment.chain_before);
    let mut problem = Ok(());
    let mut missing: Option<(u64, u64)> = None;
    let span = Span { number: segment.number, from: segment.first, to: head.commit };
    let mut visit = |found: Result<_, Damage>| match found {
        Ok(stored) => {
            let stored: super::stored::Stored = stored;
            let commit = stored.commit();
            let right = chain.is_none_or(|before| stored.follows(before));
            chain = stored.first().map(|(_, chain)| chain);
            let bytes = super::bytes::count(stored.stored_len());
            content.add(commit.0, chain.unwrap_or(head.chain), stored.received(), bytes);
            if right { Ok(()) } else { judge.lost(Loss::Differs { commit }, head) }
        }
        Err(Damage { commit, fault: RecordFault::Missing, .. }) => {
            missing = Some((missing.map_or(commit, |(first, _)| first), commit));
            chain = None;
            content.last = commit;
            Ok(())
        }
        Err(damage) => {
            chain = None;
            content.last = damage.commit;
            content.records += 1;
            set_aside(db, aside, &damage, judge, now)
        }
    };
    if span.from <= span.to {
        let walked = walk(db, span, |found| {
            problem = visit(found);
            if problem.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let _flow = walked.map_err(|_| judge.damaged(&segment_family(segment.number), None))?;
    }
    problem?;
    if let Some((first, last)) = missing {
        judge.lost(Loss::Commits { first: CommitNumber(first), last: CommitNumber(last) }, head)?;
    }
    if chain.is_some_and(|chain| chain != head.chain) && content.last == head.commit {
        judge.lost(Loss::Differs { commit: CommitNumber(head.commit) }, head)?;
    }
    content.chain = head.chain;
    segment.content = content;
    Ok(())
}

fn set_aside(
    db: &Db,
    known: &mut BTreeSet<u64>,
    damage: &Damage,
    judge: &Judge<'_>,
    now: UnixMillis,
) -> Result<(), OpenError> {
    if known.len() < aside::REMEMBERED && known.insert(damage.commit) {
        let mut batch = WriteBatch::default();
        aside::put(db, &mut batch, damage, now);
        db.write_opt(batch, &write_options(true))
            .map_err(judge.unreadable("the family of damaged records"))?;
        crate::observe::Metric::DamagedRecords.add(&[], 1);
        tracing::error!(commit = damage.commit, fault = %damage.fault, "a stored record is damaged; it is set aside");
    }
    Ok(())
}

/// The families of deduplication rows; begins the first one.
fn generations(
    db: &Db,
    setup: &Setup,
    present: &[Family],
    judge: &Judge<'_>,
    now: UnixMillis,
) -> Result<Vec<Generation>, OpenError> {
    const PART: &str = "the deduplication rows";
    let mut found = Vec::new();
    for (number, row) in rows(db, DEDUP_BOUNDS, judge)? {
        let begun = Generation::decode(&row).ok_or_else(|| judge.damaged(PART, None))?;
        if !present.contains(&Family::Dedup(number)) {
            judge.lost(Loss::Dedup { family: dedup_family(number) }, judge.witnessed)?;
            continue;
        }
        let bytes =
            db.cf_handle(&dedup_family(number)).map_or(0, |f| db.get_column_family_metadata_cf(&f).size);
        found.push(Generation { bytes, ..Generation::begin(number, begun) });
    }
    let newest = found.last().map_or(0, |generation| generation.number);
    for family in present {
        // One without a row was about to be dropped, or is empty and about to begin: then its number is
        // taken by the next.
        if let Family::Dedup(number) = family
            && !found.iter().any(|generation| generation.number == *number)
        {
            drop_families(db, [dedup_family(*number)].into_iter()).map_err(judge.unreadable(PART))?;
        }
    }
    if found.is_empty() {
        let first = Generation::begin(newest + 1, now);
        let options = setup.family(&first.family).map_err(|fault| judge.damaged(PART, Some(fault)))?;
        db.create_cf(&first.family, &options).map_err(judge.unreadable(PART))?;
        let mut batch = WriteBatch::default();
        if let Some(meta) = db.cf_handle(META) {
            batch.put_cf(&meta, dedup_key(first.number), first.encode());
        }
        db.write_opt(batch, &write_options(true)).map_err(judge.unreadable(PART))?;
        found.push(first);
    }
    Ok(found)
}
