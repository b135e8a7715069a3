//! Everything that is kept of one subscription and changes together: its queue, its notices, who it received
//! data of, and what of that the ledger is still to be told.

use std::sync::Arc;

use super::notices::{self, Notices};
use super::programs::Forms;
use super::received::{Mark, Marks};
use super::state::Queue;
use super::told;
use super::totals::{Delivered, Round, Totals};
use super::unwritten::Unwritten;
use crate::model::{CommitNumber, CustomerKey, ProgramName, Subscription, UnixMillis};
use crate::store::{MetaOp, MetaTable};

/// The books of one subscription.
#[derive(Debug)]
pub(super) struct Books {
    /// The number of the subscription: how its rows begin.
    pub(super) number: u64,
    pub(super) queue: Queue,
    pub(super) notices: Notices,
    pub(super) marks: Marks,
    pub(super) totals: Totals,
    /// Rows of all but the queue.
    pub(super) unwritten: Unwritten,
    /// Whether a mark says something new that whoever looks after the writes has not taken note of.
    pub(super) has_new_mark: bool,
}

impl Books {
    pub(super) fn new(number: u64, queue: Queue, notices: Notices, totals: Totals) -> Self {
        let (marks, unwritten) = (Marks::default(), Unwritten::default());
        Self { number, queue, notices, marks, totals, unwritten, has_new_mark: false }
    }

    fn key(&self, row: u64) -> Vec<u8> {
        [self.number.to_be_bytes(), row.to_be_bytes()].concat()
    }

    /// Changes the notices, and has their rows written.
    pub(super) fn change_notices<R>(
        &mut self,
        change: impl FnOnce(&mut Notices) -> (R, Vec<notices::Changed>),
    ) -> R {
        let (result, changed) = change(&mut self.notices);
        for (number, row) in changed {
            self.unwritten.set(MetaTable::Notices, self.key(number), row);
        }
        result
    }

    /// Takes note that a customer's batch goes out, of a program, and how it names the customer. What is new in that has
    /// to be synced before the batch leaves.
    pub(super) fn mark(&mut self, delivered: (CustomerKey, CommitNumber), of: (&ProgramName, Forms)) {
        let Some((mark, is_new)) = self.marks.mark(delivered, of) else { return };
        self.unwritten.set(MetaTable::Received, Mark::key(self.number, delivered.0), Some(mark.row()));
        self.has_new_mark |= is_new;
    }

    /// Counts deliveries for the ledger; it is told at once if too many sums wait.
    pub(super) fn count(
        &mut self,
        subscription: &Subscription,
        delivered: &[Arc<Delivered>],
        now: UnixMillis,
    ) {
        for (number, row) in self.totals.add(delivered, now) {
            self.unwritten.set(MetaTable::Totals, self.key(number), row);
        }
        if self.totals.is_full() {
            self.tell(subscription);
        }
    }

    /// Takes a delivery out that was counted and did not go out. What the ledger was told already stays told.
    pub(super) fn take_back(&mut self, delivered: &Delivered, round: Round) {
        if let Some((number, row)) = self.totals.take_back(delivered, round) {
            self.unwritten.set(MetaTable::Totals, self.key(number), row);
        }
    }

    /// Has the ledger told of all sums; their rows go with the same write. Gives how many there were.
    pub(super) fn tell(&mut self, subscription: &Subscription) -> usize {
        let (totals, changed) = self.totals.take();
        for (number, row) in changed {
            self.unwritten.set(MetaTable::Totals, self.key(number), row);
        }
        for total in &totals {
            self.unwritten.tell(told::pulled(subscription, total));
        }
        totals.len()
    }

    /// What the ledger is still to be told.
    pub(super) fn untold(&self, subscription: &Subscription) -> Vec<MetaOp> {
        let sums = self.totals.look().map(|total| told::pulled(subscription, total));
        self.unwritten.told().iter().cloned().chain(sums).collect()
    }

    /// Takes note that a write is done and no other is under way.
    pub(super) fn written(&mut self) {
        if self.unwritten.is_empty() {
            self.marks.shrink();
        }
    }
}
