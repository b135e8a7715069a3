//! Who received what: for each subscription and customer, the first and the last commit that was delivered. It
//! tells whom an erasure concerns, so it stays until the subscription is deleted.
//!
//! After a restore a subscription has one row more, for no customer (0): it may have received data of every customer
//! whose number is below that of its last commit.
//!
//! A row of `received`: key subscription number (8), customer (8); value version byte 1, first commit (8), last
//! commit (8). It is written together with the leases of the delivery, and the first of a customer is synced
//! before the delivery goes out: what left is never forgotten.

use std::collections::HashMap;

use super::rows::{Row, RowFault};
use crate::model::{CommitNumber, CustomerKey};

const VERSION: u8 = 1;
/// Customers of one subscription that are remembered without a look into the store.
const CACHED: usize = 4_096;

/// What a subscription received of one customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) first: CommitNumber,
    pub(super) last: CommitNumber,
}

impl Mark {
    /// The key of the row.
    pub(super) fn key(subscription: u64, customer: CustomerKey) -> Vec<u8> {
        [subscription.to_be_bytes(), customer.0.to_be_bytes()].concat()
    }

    /// The row.
    pub(super) fn row(self) -> Vec<u8> {
        let mut row = vec![VERSION];
        row.extend(self.first.0.to_be_bytes());
        row.extend(self.last.0.to_be_bytes());
        row
    }

    /// Reads the row.
    pub(super) fn read(row: &[u8]) -> Result<Self, RowFault> {
        let mut row = Row::open(row)?;
        let mark = Self { first: CommitNumber(row.u64()?), last: CommitNumber(row.u64()?) };
        row.end()?;
        Ok(mark)
    }
}

/// The marks of one subscription that were needed lately.
#[derive(Debug, Default)]
pub(super) struct Marks {
    cached: HashMap<CustomerKey, Mark>,
    /// Grows when marks are forgotten: what was read from the store before may be older than what they were.
    generation: u64,
}

impl Marks {
    /// Which of `customers` have to be read, and the generation to say with what was found.
    pub(super) fn unknown(&self, customers: impl Iterator<Item = CustomerKey>) -> (Vec<CustomerKey>, u64) {
        (customers.filter(|customer| !self.cached.contains_key(customer)).collect(), self.generation)
    }

    /// Takes in what was found in the store. `false` if it has to be read again.
    pub(super) fn learn(&mut self, found: &[(CustomerKey, Mark)], generation: u64) -> bool {
        if generation != self.generation {
            return false;
        }
        for (customer, mark) in found {
            self.cached.entry(*customer).or_insert(*mark);
        }
        true
    }

    /// Takes note of a delivery. Gives the mark to write, if it changed, and whether it is the first.
    pub(super) fn mark(&mut self, customer: CustomerKey, commit: CommitNumber) -> Option<(Mark, bool)> {
        let known = self.cached.get(&customer).copied();
        let before = known.unwrap_or(Mark { first: commit, last: commit });
        let mark = Mark { first: before.first.min(commit), last: before.last.max(commit) };
        self.cached.insert(customer, mark);
        (known != Some(mark)).then_some((mark, known.is_none()))
    }

    /// Forgets marks that take too much room. Only while all of them are in the store.
    pub(super) fn shrink(&mut self) {
        if self.cached.len() > CACHED {
            self.cached.clear();
            self.generation = self.generation.wrapping_add(1);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const ACME: CustomerKey = CustomerKey(7);

    #[test]
    fn a_mark_spans_what_was_delivered_and_is_written_when_it_changes() {
        let mut marks = Marks::default();
        let commits =
            [(5, Some((5, 5, true))), (7, Some((5, 7, false))), (6, None), (2, Some((2, 7, false)))];
        for (commit, expected) in commits {
            let changed = marks.mark(ACME, CommitNumber(commit));
            assert_eq!(changed.map(|(mark, new)| (mark.first.0, mark.last.0, new)), expected, "{commit}");
        }
        let mark = Mark { first: CommitNumber(2), last: CommitNumber(7) };
        assert_eq!(Mark::read(&mark.row()), Ok(mark));
        assert_eq!(Mark::read(mark.row().split_last().unwrap().1), Err(RowFault::Damaged));
    }

    #[test]
    fn what_was_read_before_marks_were_forgotten_is_read_again() {
        let mut marks = Marks::default();
        let (unknown, generation) = marks.unknown([ACME].into_iter());
        assert_eq!(unknown, [ACME]);
        for customer in 0..=u64::try_from(CACHED).unwrap() {
            marks.mark(CustomerKey(customer), CommitNumber(1));
        }
        marks.shrink();
        assert!(!marks.learn(&[], generation));
        let (unknown, generation) = marks.unknown([ACME].into_iter());
        assert_eq!(unknown, [ACME]);
        assert!(marks.learn(&[(ACME, Mark { first: CommitNumber(1), last: CommitNumber(1) })], generation));
        assert_eq!(marks.unknown([ACME].into_iter()).0, []);
    }
}
