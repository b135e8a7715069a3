//! Counting what an erasure or a change of participation would do, for somebody who waits for the answer. The whole queue
//! is looked through, which takes as long as that takes: piece by piece, and before each piece it is asked whether the
//! answer is still wanted. One count at a time: two would only take the disk from each other, and from ingest.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::due::Due;
use super::erasing::Wanted;
use super::erasure::Erasure;
use super::report::{BindingReport, BindingStage, Tally};
use super::request::{NewErasure, Plan};
use super::{Amend, AmendError, ErasureReport, Shared, blocking};
use crate::model::{CommitNumber, CustomerKey, Participation};
use crate::store::{Scan, Scanned};

/// Places that are looked at in one piece, and batches that are opened in it: few, so that a count that nobody waits for
/// ends soon.
const PIECE: (u64, usize) = if cfg!(test) { (16, 4) } else { (16_384, 16) };

/// The same of a count by headers alone, which opens nothing.
const HEADERS: (u64, usize) = if cfg!(test) { (16, 4) } else { (16_384, 4_096) };

/// How far a count is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counting {
    /// Places of the queue that were looked at.
    pub done: u64,
    /// Places that there are to look at.
    pub total: u64,
}

/// Whoever waits for a count: is told before each piece how far it is, and says whether it goes on.
pub type Heed = Box<dyn FnMut(Counting) -> bool + Send>;

impl Amend {
    /// Counts what an erasure would take out. Nothing is changed.
    ///
    /// # Errors
    /// As [`Self::erase`]; if another count is under way, if `heed` gives it up, or if the collector ends.
    pub async fn preview_erasure(
        &self,
        new: NewErasure,
        mut heed: Heed,
    ) -> Result<ErasureReport, AmendError> {
        self.alone(move |shared| {
            let Plan { mut erasure, erased, .. } = shared.plan(&new)?;
            erasure.upto = shared.store.head();
            let entry = shared.customers.get_by_key(erasure.customer)?.ok_or(AmendError::NoCustomer)?;
            let wanted = Wanted::new(&erasure, erased.as_ref(), &entry)?;
            shared.count(&mut erasure, &wanted, &mut heed)?;
            let mut report = shared.report(erasure);
            report.is_preview = true;
            Ok(report)
        })
        .await
    }

    /// Counts what a participation would do to what is queued. Nothing is changed.
    ///
    /// # Errors
    /// If the customer is not known, or the store cannot be read; if another count is under way, if `heed` gives it up,
    /// or if the collector ends.
    pub async fn preview_binding(
        &self,
        proposed: Participation,
        mut heed: Heed,
    ) -> Result<BindingReport, AmendError> {
        self.alone(move |shared| shared.preview(&proposed, &mut heed)).await
    }

    /// Has `count` done, which blocks, if no other one is.
    async fn alone<R: Send + 'static>(
        &self,
        count: impl FnOnce(&Shared) -> Result<R, AmendError> + Send + 'static,
    ) -> Result<R, AmendError> {
        let place = Arc::clone(&self.shared.counting).try_acquire_owned();
        let place = place.map_err(|_| AmendError::Counting)?;
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            // Kept until it has really ended, also if the caller went away.
            let _place = place;
            count(&shared)
        })
        .await?
    }
}

#[cfg(test)]
impl Amend {
    /// What an erasure of everything of a customer counts before it begins: what is told, piece by piece.
    pub(crate) async fn counted(&self, customer: CustomerKey) -> Result<Vec<u64>, AmendError> {
        let mut all = Vec::new();
        let upto = self.shared.store.head();
        let total = self.shared.count_batches((customer, upto), |so_far| all.push(so_far)).await?;
        all.push(total);
        Ok(all)
    }
}

impl Shared {
    /// Counts what is found of an erasure, as long as `heed` wants it. Blocks.
    pub(super) fn count(
        &self,
        erasure: &mut Erasure,
        wanted: &Wanted,
        heed: &mut Heed,
    ) -> Result<(), AmendError> {
        let (customer, upto) = (erasure.customer, erasure.upto);
        erasure.counts.short_names = wanted.short_name().map(|_| 0);
        self.walk(customer, upto, heed, &mut |scanned| self.count_piece(erasure, scanned, wanted))?;
        erasure.counts.total = erasure.counts.scanned;
        Ok(())
    }

    /// Has `look` see every batch of a customer up to a commit, as long as `heed` wants it. Blocks.
    fn walk(
        &self,
        customer: CustomerKey,
        upto: CommitNumber,
        heed: &mut Heed,
        look: &mut dyn FnMut(&Scanned) -> Result<(), AmendError>,
    ) -> Result<(), AmendError> {
        let first = self.store.oldest();
        let total = upto.next().0.saturating_sub(first.0);
        let mut from = first;
        while from <= upto {
            if self.closing.load(Ordering::Acquire) {
                return Err(AmendError::Stopped);
            }
            if !heed(Counting { done: from.0.saturating_sub(first.0).min(total), total }) {
                return Err(AmendError::GivenUp);
            }
            let (places, headers) = PIECE;
            let scan = Scan { customer: Some(customer), from, to: upto, places, headers };
            let scanned = self.store.scan(scan)?;
            look(&scanned)?;
            if scanned.next <= from {
                break;
            }
            from = scanned.next;
        }
        Ok(())
    }

    /// How many batches of a customer there are up to a commit, by their headers: piece by piece, so that other work has its
    /// turn on the threads that block, and so that it ends with the collector. `told` is told after each piece how many
    /// there are so far.
    pub(super) async fn count_batches(
        self: &Arc<Self>,
        (customer, upto): (CustomerKey, CommitNumber),
        mut told: impl FnMut(u64) + Send,
    ) -> Result<u64, AmendError> {
        let (mut from, mut total) = (self.store.oldest(), 0_u64);
        while from <= upto {
            if self.closing.load(Ordering::Acquire) {
                return Err(AmendError::Stopped);
            }
            let ((places, headers), store) = (HEADERS, self.store.clone());
            let scan = Scan { customer: Some(customer), from, to: upto, places, headers };
            let scanned = blocking(move || store.scan(scan)).await??;
            total = total.saturating_add(u64::try_from(scanned.found.len()).unwrap_or(u64::MAX));
            told(total);
            if scanned.next <= from {
                break;
            }
            from = scanned.next;
        }
        Ok(total)
    }

    fn preview(&self, proposed: &Participation, heed: &mut Heed) -> Result<BindingReport, AmendError> {
        let entry = self.customers.get(&proposed.customer)?.ok_or(AmendError::NoCustomer)?;
        let policy = self.policy.load();
        policy
            .check_participation(proposed)
            .map_err(|faults| AmendError::Invalid { field: "participation", rule: faults.join("; ") })?;
        // As when it is set: what is not named stays accepted as it is.
        let mut proposed = proposed.clone();
        for (product, version) in &entry.change.participation.accepted_dictionaries {
            proposed.accepted_dictionaries.entry(product.clone()).or_insert(*version);
        }
        let mut judge = self.judge_by(&policy);
        judge.proposed = Some(&proposed);
        let (mut tally, mut looked, mut withdrawn) = (Tally::default(), 0, 0_u64);
        self.walk(entry.key, self.store.head(), heed, &mut |scanned| {
            for at in &scanned.found {
                looked += 1;
                match judge.due(at)? {
                    Due::Same => {}
                    Due::Unreadable | Due::Waits => looked -= 1,
                    Due::Change(change) => {
                        withdrawn = withdrawn.saturating_add(self.withdrawn(&change));
                        tally.count(change.key, &change.line);
                    }
                }
            }
            Ok(())
        })?;
        tally.settle(looked);
        let now = self.clock.now();
        Ok(BindingReport {
            stage: BindingStage::Preview,
            revision: entry.change.revision.saturating_add(1),
            tally,
            changed: now,
            due: self.due_of(now),
            done: None,
            withdrawn,
        })
    }
}
