//! Requests of which nothing is stored: counted here, so that they cost no write each, and handed to the store's sums
//! at intervals. What was counted since then is lost if the process is killed, or if at its end the store takes nothing until the
//! grace period is over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{CustomerKey, Reason, Tally};
use crate::store::{Collected, CollectedKey, Store, StoreError};

/// Customers that are counted at a time, about 150 bytes each; with more, they are handed over at once.
const MOST: usize = 1_024;

/// What was withheld of one customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Withheld {
    requests: u64,
    events: [u64; Reason::COUNT],
}

impl Withheld {
    fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        for (sum, n) in self.events.iter_mut().zip(other.events) {
            *sum = sum.saturating_add(n);
        }
    }
}

/// The counts. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Untold(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    counts: Mutex<HashMap<CustomerKey, Withheld>>,
    /// Held while some are handed over: what cannot be handed over comes back, and there is never more than twice what
    /// there may be.
    turn: tokio::sync::Mutex<()>,
}

impl Untold {
    fn counts(&self) -> MutexGuard<'_, HashMap<CustomerKey, Withheld>> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request. If there are too many customers, what is counted is handed over first.
    pub(super) async fn add(
        &self,
        store: &Store,
        customer: CustomerKey,
        tally: &Tally,
    ) -> Result<(), StoreError> {
        let one = Withheld { requests: 1, events: tally.withheld.map(u64::from) };
        while !self.fits(customer, &one) {
            self.hand_over(store, MOST).await?;
        }
        Ok(())
    }

    /// Whether something is here and nowhere else.
    pub(super) fn is_empty(&self) -> bool {
        self.counts().is_empty()
    }

    fn fits(&self, customer: CustomerKey, one: &Withheld) -> bool {
        let mut counts = self.counts();
        let fits = counts.len() < MOST || counts.contains_key(&customer);
        if fits {
            counts.entry(customer).or_default().add(one);
        }
        fits
    }

    /// Hands everything over to the sums of the store that is there now, if that is `least` customers: of those who wait
    /// for room, one makes it. Goes on if the caller goes away: what is taken out here is nowhere else.
    pub(super) async fn hand_over(&self, store: &Store, least: usize) -> Result<(), StoreError> {
        let (untold, store) = (self.clone(), store.clone());
        let handed = tokio::spawn(async move {
            let _turn = untold.0.turn.lock().await;
            let mut left = untold.counts().len();
            while left >= least.max(1) {
                untold.hand_over_some(&store).await?;
                left = left.saturating_sub(MOST);
            }
            Ok::<_, StoreError>(())
        });
        handed.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Hands over as many as the store takes at a time.
    async fn hand_over_some(&self, store: &Store) -> Result<(), StoreError> {
        let taken: HashMap<CustomerKey, Withheld> = {
            let mut counts = self.counts();
            let some: Vec<CustomerKey> = counts.keys().take(MOST).copied().collect();
            some.into_iter().filter_map(|customer| counts.remove_entry(&customer)).collect()
        };
        if taken.is_empty() {
            return Ok(());
        }
        let collected = taken.iter().map(|(customer, withheld)| {
            let key = CollectedKey { customer: *customer, under: None };
            let collected = Collected {
                batches: withheld.requests,
                withheld: Reason::named(withheld.events),
                ..Collected::default()
            };
            (key, collected)
        });
        let handed = store.count_collected(collected.collect()).await;
        if handed.is_err() {
            let mut counts = self.counts();
            for (customer, withheld) in &taken {
                counts.entry(*customer).or_default().add(withheld);
            }
        }
        handed
    }
}
