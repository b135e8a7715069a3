//! What the ledger is told of a request that is stored.

use crate::model::{CustomerKey, Reason, Tally, Under};
use crate::sanitize::SanitizedBatch;
use crate::store::{Collected, CollectedKey};

/// What the ledger is told of a request that is stored, for the sums that are written with it.
pub(super) struct Sums {
    customer: CustomerKey,
    /// Events that were withheld and belong to none of the batches.
    rest: [u64; Reason::COUNT],
    collected: Vec<(CollectedKey, Collected)>,
}

impl Sums {
    /// Of a request with this tally.
    pub(super) fn of(customer: CustomerKey, tally: &Tally) -> Self {
        Self { customer, rest: tally.withheld.map(u64::from), collected: Vec::with_capacity(2) }
    }

    /// Adds one of its batches.
    pub(super) fn add(&mut self, batch: SanitizedBatch) {
        for (reason, here) in batch.withheld() {
            if let Some(rest) = self.rest.get_mut(reason.index()) {
                *rest = rest.saturating_sub(*here);
            }
        }
        let under = Under {
            program: batch.program().clone(),
            product: batch.product().clone(),
            level: batch.level().clone(),
            region: batch.region().cloned(),
            dictionary: batch.dictionary_version(),
        };
        let collected = Collected {
            batches: 1,
            events: batch.events().into(),
            withheld: batch.withheld().clone(),
            fields: batch.into_fields(),
        };
        self.collected.push((CollectedKey { customer: self.customer, under: Some(under) }, collected));
    }

    /// What is written.
    pub(super) fn finish(mut self) -> Vec<(CollectedKey, Collected)> {
        let withheld = Reason::named(self.rest);
        if !withheld.is_empty() {
            let key = CollectedKey { customer: self.customer, under: None };
            self.collected.push((key, Collected { withheld, ..Collected::default() }));
        }
        self.collected
    }
}
