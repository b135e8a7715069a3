//! The rows of a queue: what is written after every change, and how a queue comes back from them.
//!
//! Every row begins with a version byte, 1. Numbers are big-endian and of fixed width.
//!
//! | row | key (after the store's table) | value after the version byte |
//! |---|---|---|
//! | head | `h`, subscription nonce (8) | start (8), next (8), repeated (8), then batches (8) and events (8) of acknowledged, buried, expired and of each skip reason in order |
//! | leased | subscription nonce (8), commit (8) | 1, attempts (4), events (4), deadline ms (8), lease nonce (8), customer (8), revision (8), policy (8), print of the plan (8), revoked (1: 0 or 1) |
//! | returned | the same | 2, attempts (4), events (4) |
//! | dead | subscription nonce (8), commit (8) | reason (1: 1 attempts, 2 damaged), attempts (4), events (4), at ms (8) |
//!
//! What has neither a leased nor a returned row and lies below `next` is done with. So the head and
//! the rows of one change are written together, or an unfinished batch would be taken for finished.

use super::counts::{Counts, Sum};
use super::lease::{Cargo, Dead, DeadReason, Lease, Returned, Terms};
use super::state::{Dirty, Queue};
use crate::model::{CommitNumber, CustomerKey, UnixMillis};

const VERSION: u8 = 1;
const LEASED: u8 = 1;
const RETURNED: u8 = 2;
const ATTEMPTS: u8 = 1;
const DAMAGED: u8 = 2;

/// Why a row could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFault {
    /// Of a version that this program does not know.
    Version(u8),
    /// Too short, too long, or with a word that means nothing.
    Damaged,
}

/// The rows that a change puts (`Some`) and deletes (`None`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The head row.
    pub head: Option<Vec<u8>>,
    /// Leased and returned rows by commit.
    pub outstanding: Vec<(CommitNumber, Option<Vec<u8>>)>,
    /// Dead rows by commit.
    pub dead: Vec<(CommitNumber, Option<Vec<u8>>)>,
}

impl Changes {
    /// Whether there is nothing to write.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.head.is_none() && self.outstanding.is_empty() && self.dead.is_empty()
    }

    /// Of which commits there are rows: leased or returned, and dead.
    pub(super) fn commits(&self) -> Commits {
        let of = |rows: &[(CommitNumber, Option<Vec<u8>>)]| rows.iter().map(|(commit, _)| commit.0).collect();
        Commits { outstanding: of(&self.outstanding), dead: of(&self.dead) }
    }
}

/// The commits of a change.
#[derive(Debug)]
pub(super) struct Commits {
    outstanding: Vec<u64>,
    dead: Vec<u64>,
}

/// The rows of one queue, as they were found.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// The head row.
    pub head: Vec<u8>,
    /// Leased and returned rows.
    pub outstanding: Vec<(CommitNumber, Vec<u8>)>,
    /// Dead rows.
    pub dead: Vec<(CommitNumber, Vec<u8>)>,
}

impl Queue {
    /// What changed since the last call, as rows. They must be written in one piece and in the order
    /// of the calls.
    #[must_use]
    pub fn take_changes(&mut self) -> Changes {
        let dirty = std::mem::take(&mut self.dirty);
        let outstanding = |commit: &u64| {
            // A batch that is not handed out yet comes back after a crash, as if it had never been leased.
            let leased = self.leases.get(commit);
            let leased = leased
                .map(|lease| if lease.handed { leased_row(lease) } else { returned_row(lease.unhanded()) });
            leased.or_else(|| self.returned.get(commit).copied().map(returned_row))
        };
        Changes {
            head: dirty.head.then(|| self.head_row()),
            outstanding: dirty.outstanding.iter().map(|c| (CommitNumber(*c), outstanding(c))).collect(),
            dead: dirty.dead.iter().map(|c| (CommitNumber(*c), self.dead.get(c).map(dead_row))).collect(),
        }
    }

    /// Makes the next [`Queue::take_changes`] give these rows again, as they are then.
    pub(super) fn put_back(&mut self, commits: Commits) {
        self.dirty.head = true;
        self.dirty.outstanding.extend(commits.outstanding);
        self.dirty.dead.extend(commits.dead);
    }

    /// Makes the next [`Queue::take_changes`] give at least the head row.
    pub(super) const fn touch(&mut self) {
        self.dirty.head = true;
    }

    /// The deletion of every row that was or is to be written, except the head.
    #[must_use]
    pub(super) fn deletion(&self) -> Changes {
        let mut dirty = self.dirty.clone();
        dirty.outstanding.extend(self.leases.keys().chain(self.returned.keys()));
        dirty.dead.extend(self.dead.keys());
        let gone = |commits: std::collections::BTreeSet<u64>| {
            commits.into_iter().map(|commit| (CommitNumber(commit), None)).collect()
        };
        Changes { head: None, outstanding: gone(dirty.outstanding), dead: gone(dirty.dead) }
    }

    /// The queue that left these rows. `head` is where the store ends now: what lies above was lost.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub fn recover(rows: &Rows, terms: Terms, nonce_seed: u64, head: CommitNumber) -> Result<Self, RowFault> {
        let mut row = Row::open(&rows.head)?;
        let mut queue = Self::new(CommitNumber(row.u64()?), terms, nonce_seed);
        queue.next = CommitNumber(row.u64()?);
        queue.counts = counts(&mut row)?;
        row.end()?;
        queue.dirty = Dirty::default();
        for (commit, row) in &rows.outstanding {
            let mut row = Row::open(row)?;
            let kind = row.u8()?;
            let (attempts, events) = (row.u32()?, row.u32()?);
            match kind {
                LEASED => queue.put_lease(commit.0, lease(&mut row, attempts, events)?),
                RETURNED => queue.put_returned(commit.0, Returned { attempts, events }),
                _ => return Err(RowFault::Damaged),
            }
            row.end()?;
        }
        for (commit, row) in &rows.dead {
            let mut row = Row::open(row)?;
            let reason = match row.u8()? {
                ATTEMPTS => DeadReason::Attempts,
                DAMAGED => DeadReason::Damaged,
                _ => return Err(RowFault::Damaged),
            };
            let (attempts, events) = (row.u32()?, row.u32()?);
            queue.dead.insert(commit.0, Dead { attempts, events, reason, at: UnixMillis(row.i64()?) });
            row.end()?;
        }
        queue.dirty = Dirty::default();
        queue.lose_above(head);
        Ok(queue)
    }

    fn head_row(&self) -> Vec<u8> {
        let counts = &self.counts;
        let mut row = vec![VERSION];
        for number in [self.start.0, self.next.0, counts.repeated] {
            row.extend(number.to_be_bytes());
        }
        for sum in [counts.acknowledged, counts.buried, counts.expired].iter().chain(&counts.skipped) {
            row.extend(sum.batches.to_be_bytes());
            row.extend(sum.events.to_be_bytes());
        }
        row
    }
}

fn leased_row(lease: &Lease) -> Vec<u8> {
    let Cargo { events, customer, revision, policy, plan } = lease.cargo;
    let mut row = vec![VERSION, LEASED];
    row.extend(lease.attempts.to_be_bytes());
    row.extend(events.to_be_bytes());
    row.extend(lease.deadline.0.to_be_bytes());
    for number in [lease.nonce, customer.0, revision, policy] {
        row.extend(number.to_be_bytes());
    }
    row.extend(plan);
    row.push(u8::from(lease.revoked));
    row
}

fn returned_row(returned: Returned) -> Vec<u8> {
    let mut row = vec![VERSION, RETURNED];
    row.extend(returned.attempts.to_be_bytes());
    row.extend(returned.events.to_be_bytes());
    row
}

fn dead_row(dead: &Dead) -> Vec<u8> {
    let reason = match dead.reason {
        DeadReason::Attempts => ATTEMPTS,
        DeadReason::Damaged => DAMAGED,
    };
    let mut row = vec![VERSION, reason];
    row.extend(dead.attempts.to_be_bytes());
    row.extend(dead.events.to_be_bytes());
    row.extend(dead.at.0.to_be_bytes());
    row
}

fn counts(row: &mut Row<'_>) -> Result<Counts, RowFault> {
    let mut counts = Counts { repeated: row.u64()?, ..Counts::default() };
    let Counts { acknowledged, buried, expired, skipped, .. } = &mut counts;
    for sum in [acknowledged, buried, expired].into_iter().chain(skipped) {
        *sum = Sum { batches: row.u64()?, events: row.u64()? };
    }
    Ok(counts)
}

fn lease(row: &mut Row<'_>, attempts: u32, events: u32) -> Result<Lease, RowFault> {
    let deadline = UnixMillis(row.i64()?);
    let nonce = row.u64()?;
    let (customer, revision, policy, plan) =
        (CustomerKey(row.u64()?), row.u64()?, row.u64()?, row.take::<8>()?);
    let revoked = match row.u8()? {
        0 => false,
        1 => true,
        _ => return Err(RowFault::Damaged),
    };
    let cargo = Cargo { events, customer, revision, policy, plan };
    Ok(Lease { attempts, deadline, nonce, cargo, handed: true, revoked })
}

/// The rest of a row that is being read.
pub(super) struct Row<'a>(&'a [u8]);

impl<'a> Row<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, RowFault> {
        match Self::of_some_version(bytes)? {
            (VERSION, row) => Ok(row),
            (other, _) => Err(RowFault::Version(other)),
        }
    }

    /// A row and its version.
    pub(super) fn of_some_version(bytes: &'a [u8]) -> Result<(u8, Self), RowFault> {
        let mut row = Self(bytes);
        Ok((row.u8()?, row))
    }

    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8], RowFault> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(RowFault::Damaged)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], RowFault> {
        let (number, rest) = self.0.split_first_chunk::<N>().ok_or(RowFault::Damaged)?;
        self.0 = rest;
        Ok(*number)
    }

    pub(super) fn u8(&mut self) -> Result<u8, RowFault> {
        self.take().map(u8::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, RowFault> {
        self.take().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, RowFault> {
        self.take().map(u64::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, RowFault> {
        self.take().map(i64::from_be_bytes)
    }

    pub(super) fn end(&self) -> Result<(), RowFault> {
        if self.0.is_empty() { Ok(()) } else { Err(RowFault::Damaged) }
    }
}
