//! The state machine of one subscription. Pure: it is told the time, the head and the oldest
//! commit of the store, and never reads them.
//!
//! Every commit below [`Queue::next`] is *leased*, *returned* (to be delivered again), or done
//! with: acknowledged, skipped, dead or expired. Only the first two are held, and both together
//! are bounded; what is done with is the rest, so that any number of acknowledgements out of
//! order costs nothing. The cursor is the lowest commit that is leased or returned, else `next`:
//! it cannot pass what is not done with (D4).

use std::collections::{BTreeMap, BTreeSet};

use super::counts::{Balance, Counts, SkipReason, Turnover};
use super::lease::{Cargo, Dead, DeadReason, Lease, LeaseEnded, Returned, Terms};
use crate::model::{CommitNumber, CustomerKey, Subscription, UnixMillis};

/// Which rows differ from what was last taken by [`Queue::take_changes`].
#[derive(Debug, Clone, Default)]
pub(super) struct Dirty {
    pub(super) head: bool,
    pub(super) outstanding: BTreeSet<u64>,
    pub(super) dead: BTreeSet<u64>,
}

/// The queue as one subscription sees it.
#[derive(Debug, Clone)]
pub struct Queue {
    pub(super) terms: Terms,
    pub(super) start: CommitNumber,
    pub(super) next: CommitNumber,
    pub(super) leases: BTreeMap<u64, Lease>,
    /// The same leases by deadline.
    pub(super) deadlines: BTreeSet<(UnixMillis, u64)>,
    pub(super) returned: BTreeMap<u64, Returned>,
    pub(super) dead: BTreeMap<u64, Dead>,
    pub(super) counts: Counts,
    pub(super) turnover: Turnover,
    pub(super) next_nonce: u64,
    pub(super) dirty: Dirty,
}

impl Queue {
    /// A subscription that begins with `start`. Lease nonces count up from `nonce_seed`, which should
    /// be random at every start of the process, so that no lease id comes twice.
    #[must_use]
    pub fn new(start: CommitNumber, terms: Terms, nonce_seed: u64) -> Self {
        let dirty = Dirty { head: true, ..Dirty::default() };
        Self {
            terms,
            start,
            next: start,
            leases: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            returned: BTreeMap::new(),
            dead: BTreeMap::new(),
            counts: Counts::default(),
            turnover: Turnover::default(),
            next_nonce: nonce_seed,
            dirty,
        }
    }

    /// The first commit that is not done with.
    #[must_use]
    pub fn cursor(&self) -> CommitNumber {
        let first = |commit: Option<&u64>| commit.copied().unwrap_or(u64::MAX);
        let outstanding = first(self.leases.keys().next()).min(first(self.returned.keys().next()));
        CommitNumber(outstanding.min(self.next.0))
    }

    /// The first commit that the store has to keep: that of the cursor, or of a dead letter that can still be
    /// replayed.
    #[must_use]
    pub fn needed(&self) -> CommitNumber {
        let readable = |(_, dead): &(&u64, &Dead)| dead.reason != DeadReason::Damaged;
        let dead = self.dead.iter().find(readable).map(|(commit, _)| CommitNumber(*commit));
        dead.map_or(self.cursor(), |dead| dead.min(self.cursor()))
    }

    /// The first commit that was never looked at.
    #[must_use]
    pub const fn next(&self) -> CommitNumber {
        self.next
    }

    /// How many leases there are.
    #[must_use]
    pub fn leased(&self) -> usize {
        self.leases.len()
    }

    /// How many more batches may be leased.
    #[must_use]
    pub fn room(&self) -> usize {
        self.terms.max_outstanding.saturating_sub(self.outstanding())
    }

    /// Outcomes so far.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Where every batch up to `head` is. Of those that were never looked at, `lost` are lost: nobody waits for them.
    #[must_use]
    pub fn balance(&self, head: CommitNumber, lost: u64) -> Balance {
        let end = head.0.saturating_add(1).max(self.next.0);
        Balance {
            start: self.start,
            stored: end.saturating_sub(self.start.0).saturating_add(self.counts.repeated),
            acknowledged: self.counts.acknowledged.batches,
            waiting: (end - self.next.0).saturating_sub(lost).saturating_add(wide(self.outstanding())),
            dead: wide(self.dead.len()),
            expired: self.counts.expired.batches.saturating_add(lost),
            skipped: self.counts.skipped_total(),
        }
    }

    /// Up to `limit` batches to be delivered again, oldest first. They come before new ones.
    #[must_use]
    pub fn returned(&self, limit: usize) -> Vec<CommitNumber> {
        self.returned.keys().take(limit).copied().map(CommitNumber).collect()
    }

    /// When the first lease ends, if there is one.
    #[must_use]
    pub fn first_deadline(&self) -> Option<UnixMillis> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Whether there is anything to lease or to note: a batch that came back or is new and fits, a
    /// lease that ends, a batch that the store dropped.
    #[must_use]
    pub fn is_ready(&self, now: UnixMillis, oldest: CommitNumber, head: CommitNumber) -> bool {
        let fresh = self.next <= head && self.room() > 0;
        let due = self.first_deadline().is_some_and(|deadline| deadline <= now);
        fresh || due || !self.returned.is_empty() || self.cursor() < oldest
    }

    /// Whether there are changes that [`Queue::take_changes`] has not given yet.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.dirty.head || !self.dirty.outstanding.is_empty() || !self.dirty.dead.is_empty()
    }

    /// The lease `nonce` of `commit`.
    ///
    /// # Errors
    /// If it has ended.
    pub fn lease_of(&self, commit: CommitNumber, nonce: u64) -> Result<Lease, LeaseEnded> {
        self.leases.get(&commit.0).copied().filter(|lease| lease.nonce == nonce).ok_or(LeaseEnded)
    }

    /// Leases `commit` for `lasting_ms` from `now`. `None` if it is not a candidate any more (neither
    /// returned nor the next new one), or there is no room.
    pub fn lease(
        &mut self,
        commit: CommitNumber,
        cargo: Cargo,
        now: UnixMillis,
        lasting_ms: i64,
    ) -> Option<Lease> {
        if commit == self.next && self.room() == 0 {
            return None;
        }
        let attempts = self.take_candidate(commit)?.attempts.saturating_add(1);
        let nonce = self.next_nonce;
        self.next_nonce = nonce.wrapping_add(1);
        let lease = Lease {
            attempts,
            deadline: now.plus_ms(lasting_ms),
            nonce,
            cargo,
            handed: false,
            revoked: false,
        };
        self.put_lease(commit.0, lease);
        Some(lease)
    }

    /// Takes note that the batch of a lease goes out, as `plan` leaves it: from now on the attempt counts, also
    /// after a crash.
    ///
    /// # Errors
    /// If the lease has ended.
    pub fn hand_out(&mut self, commit: CommitNumber, nonce: u64, plan: [u8; 8]) -> Result<(), LeaseEnded> {
        let lease = self.leases.get_mut(&commit.0).filter(|lease| lease.nonce == nonce).ok_or(LeaseEnded)?;
        lease.handed = true;
        self.turnover.delivered += 1;
        lease.cargo.plan = plan;
        self.dirty.head = true;
        self.dirty.outstanding.insert(commit.0);
        Ok(())
    }

    /// Passes over the candidate `commit`. `false` if it is not one any more.
    pub fn skip(&mut self, commit: CommitNumber, events: u32, reason: SkipReason) -> bool {
        let candidate = self.take_candidate(commit).is_some();
        if candidate {
            self.counts.skip(reason, 1, u64::from(events));
        }
        candidate
    }

    /// Gives up the candidate `commit`. `false` if it is not one any more.
    pub fn bury(&mut self, commit: CommitNumber, now: UnixMillis, reason: DeadReason) -> bool {
        let Some(was) = self.take_candidate(commit) else { return false };
        self.put_dead(commit.0, Dead { attempts: was.attempts, at: now, reason, events: was.events });
        true
    }

    /// Acknowledges a lease: its batch is done with.
    ///
    /// # Errors
    /// If the lease has ended.
    pub fn acknowledge(&mut self, commit: CommitNumber, nonce: u64) -> Result<(), LeaseEnded> {
        let lease = self.take_lease(commit, nonce)?;
        self.counts.acknowledged.add(1, u64::from(lease.cargo.events));
        Ok(())
    }

    /// Ends a lease and passes over its batch.
    ///
    /// # Errors
    /// If the lease has ended.
    pub fn withdraw(
        &mut self,
        commit: CommitNumber,
        nonce: u64,
        reason: SkipReason,
    ) -> Result<(), LeaseEnded> {
        let lease = self.take_lease(commit, nonce)?;
        self.counts.skip(reason, 1, u64::from(lease.cargo.events));
        Ok(())
    }

    /// Ends a lease whose batch is not any more what was delivered: what is left of it waits to be delivered, with
    /// a fresh count of attempts.
    ///
    /// # Errors
    /// If the lease has ended.
    pub fn take_back(&mut self, commit: CommitNumber, nonce: u64) -> Result<(), LeaseEnded> {
        let lease = self.take_lease(commit, nonce)?;
        self.put_returned(commit.0, Returned { attempts: 0, events: lease.cargo.events });
        Ok(())
    }

    /// Takes note that stored batches were erased, whole or in part: who holds them is to delete what was
    /// delivered. Returns of how many there is a lease.
    pub fn revoke(&mut self, commits: &BTreeSet<CommitNumber>) -> usize {
        let mut revoked = 0;
        for commit in commits {
            let Some(lease) = self.leases.get_mut(&commit.0) else { continue };
            lease.revoked = true;
            revoked += 1;
            self.dirty.head = true;
            self.dirty.outstanding.insert(commit.0);
        }
        revoked
    }

    /// The batches of a customer that are leased.
    pub fn leased_of(&self, customer: CustomerKey) -> impl Iterator<Item = CommitNumber> {
        let mine = self.leases.iter().filter(move |(_, lease)| lease.cargo.customer == customer);
        mine.map(|(commit, _)| CommitNumber(*commit))
    }

    /// Whether a batch is out in another form than the plan of this print leaves it in.
    #[must_use]
    pub fn is_leased_unlike(&self, commit: CommitNumber, plan: Option<[u8; 8]>) -> bool {
        let lease = self.leases.get(&commit.0);
        lease.is_some_and(|lease| lease.handed && plan != Some(lease.cargo.plan))
    }

    /// Ends a lease whose batch turned out to be damaged, and gives the batch up. The delivery
    /// that did not come about is not counted.
    ///
    /// # Errors
    /// If the lease has ended.
    pub fn condemn(&mut self, commit: CommitNumber, nonce: u64, now: UnixMillis) -> Result<(), LeaseEnded> {
        let lease = self.take_lease(commit, nonce)?;
        let attempts = lease.attempts.saturating_sub(1);
        let dead = Dead { attempts, at: now, reason: DeadReason::Damaged, events: lease.cargo.events };
        self.put_dead(commit.0, dead);
        Ok(())
    }

    /// Undoes a lease whose batch did not go out: the attempt is not counted.
    ///
    /// # Errors
    /// If the lease has ended.
    pub fn release(&mut self, commit: CommitNumber, nonce: u64) -> Result<(), LeaseEnded> {
        let lease = self.take_lease(commit, nonce)?;
        self.turnover.delivered = self.turnover.delivered.saturating_sub(u64::from(lease.handed));
        self.put_returned(commit.0, lease.unhanded());
        Ok(())
    }

    /// Lets a lease last `lasting_ms` from `now`. Nothing left of it (0) gives the batch back.
    ///
    /// # Errors
    /// If the lease has ended.
    pub fn extend(
        &mut self,
        commit: CommitNumber,
        nonce: u64,
        now: UnixMillis,
        lasting_ms: i64,
    ) -> Result<(), LeaseEnded> {
        let lease = self.take_lease(commit, nonce)?;
        if lasting_ms > 0 {
            self.put_lease(commit.0, Lease { deadline: now.plus_ms(lasting_ms), ..lease });
        } else {
            self.end(commit.0, lease, now);
        }
        Ok(())
    }

    /// Ends the leases whose deadline has come. Returns how many.
    pub fn expire(&mut self, now: UnixMillis) -> usize {
        // No lease lasts longer than this, so one that ends later means that the clock went back.
        let longest = i64::try_from(Subscription::ACK_DEADLINE.end().as_millis()).unwrap_or(i64::MAX);
        let mut ended = 0;
        loop {
            let due = self.deadlines.first().filter(|(deadline, _)| *deadline <= now);
            let far = || self.deadlines.last().filter(|(deadline, _)| deadline.ms_since(now) > longest);
            let Some((_, commit)) = due.or_else(far).copied() else { return ended };
            let Some(nonce) = self.leases.get(&commit).map(|lease| lease.nonce) else { return ended };
            let Ok(lease) = self.take_lease(CommitNumber(commit), nonce) else { return ended };
            self.turnover.leases_ended += u64::from(lease.handed);
            self.end(commit, lease, now);
            ended += 1;
        }
    }

    fn end(&mut self, commit: u64, lease: Lease, now: UnixMillis) {
        let Lease { attempts, cargo: Cargo { events, .. }, handed, .. } = lease;
        if !handed {
            self.put_returned(commit, lease.unhanded());
        } else if attempts >= self.terms.max_attempts {
            self.put_dead(commit, Dead { attempts, at: now, reason: DeadReason::Attempts, events });
        } else {
            self.put_returned(commit, Returned { attempts, events });
        }
    }

    pub(super) fn outstanding(&self) -> usize {
        self.leases.len().saturating_add(self.returned.len())
    }

    /// Takes `commit` out of what is to be delivered.
    pub(super) fn take_candidate(&mut self, commit: CommitNumber) -> Option<Returned> {
        if let Some(returned) = self.returned.remove(&commit.0) {
            self.dirty.head = true;
            self.dirty.outstanding.insert(commit.0);
            return Some(returned);
        }
        (commit == self.next).then(|| {
            self.dirty.head = true;
            self.next = commit.next();
            Returned { attempts: 0, events: 0 }
        })
    }

    pub(super) fn take_lease(&mut self, commit: CommitNumber, nonce: u64) -> Result<Lease, LeaseEnded> {
        let lease = self.lease_of(commit, nonce)?;
        self.leases.remove(&commit.0);
        self.deadlines.remove(&(lease.deadline, commit.0));
        self.dirty.head = true;
        self.dirty.outstanding.insert(commit.0);
        Ok(lease)
    }

    pub(super) fn put_lease(&mut self, commit: u64, lease: Lease) {
        self.dirty.outstanding.insert(commit);
        self.deadlines.insert((lease.deadline, commit));
        self.leases.insert(commit, lease);
    }

    pub(super) fn put_returned(&mut self, commit: u64, returned: Returned) {
        self.dirty.outstanding.insert(commit);
        self.returned.insert(commit, returned);
    }

    fn put_dead(&mut self, commit: u64, dead: Dead) {
        self.counts.buried.add(1, u64::from(dead.events));
        self.dirty.dead.insert(commit);
        self.dead.insert(commit, dead);
        if self.dead.len() > self.terms.max_dead
            && let Some((oldest, gone)) = self.dead.pop_first()
        {
            self.dirty.dead.insert(oldest);
            self.counts.expired.add(1, u64::from(gone.events));
        }
    }
}

/// A length as a count. Lengths here are bounded far below the range of both.
pub(super) fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
