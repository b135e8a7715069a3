//! What a customer has chosen since a revision: read from the registry where it has changed, and kept at hand.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::DrainError;
use crate::model::{CustomerKey, Participation};
use crate::store::{CustomerEntry, Store};

/// Histories that are kept at hand.
const CACHED: usize = 1_000;
/// Changes that are read at a time.
const PAGE: usize = 256;
/// Different choices of a customer since a revision. A customer that changed its mind more often than that while a
/// batch waited cannot be looked through: nothing of the batch goes out.
const CHOICES: usize = 1_000;

/// What was chosen from some revision on.
#[derive(Debug)]
struct History {
    /// The revision up to which it was read.
    upto: u64,
    /// Different from each other, the present one last; none if there were too many.
    choices: Vec<Participation>,
}

/// What a customer has chosen from a revision on, the present choice last.
#[derive(Debug)]
pub struct Since(Kind);

#[derive(Debug)]
enum Kind {
    /// Nothing has changed.
    Now(Arc<CustomerEntry>),
    Changed(Arc<History>),
}

impl Since {
    /// The participations, oldest first; none if nothing can be said.
    #[must_use]
    pub fn choices(&self) -> Vec<&Participation> {
        match &self.0 {
            Kind::Now(customer) => vec![&customer.change.participation],
            Kind::Changed(history) => history.choices.iter().collect(),
        }
    }
}

/// Histories of customers that changed something.
#[derive(Debug)]
pub struct Histories(Cache<(CustomerKey, u64), Arc<History>>);

impl Default for Histories {
    fn default() -> Self {
        Self::new()
    }
}

impl Histories {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Cache::new(CACHED))
    }

    /// What `customer` has chosen from `revision` on.
    ///
    /// # Errors
    /// If the registry cannot be read.
    pub fn since(
        &self,
        store: &Store,
        customer: &Arc<CustomerEntry>,
        revision: u64,
    ) -> Result<Since, DrainError> {
        let present = customer.change.revision;
        if revision == present {
            return Ok(Since(Kind::Now(Arc::clone(customer))));
        }
        let key = (customer.key, revision);
        if let Some(found) = self.0.get(&key).filter(|history| history.upto >= present) {
            return Ok(Since(Kind::Changed(found)));
        }
        let history = Arc::new(read(store, customer, revision)?);
        self.0.insert(key, Arc::clone(&history));
        Ok(Since(Kind::Changed(history)))
    }
}

fn read(store: &Store, customer: &CustomerEntry, revision: u64) -> Result<History, DrainError> {
    let change = &customer.change;
    let mut history = History { upto: change.revision, choices: Vec::new() };
    // A batch of a revision that is yet to come is of another registry.
    if revision > change.revision {
        return Ok(history);
    }
    let mut before = None;
    loop {
        let page = store.history(&change.participation.customer, before, PAGE)?;
        for change in &page {
            if change.revision < revision {
                break;
            }
            history.upto = history.upto.max(change.revision);
            if history.choices.contains(&change.participation) {
                continue;
            }
            if history.choices.len() >= CHOICES {
                history.choices.clear();
                return Ok(history);
            }
            history.choices.push(change.participation.clone());
        }
        before = page.last().map(|change| change.revision);
        if before.is_none_or(|oldest| oldest <= revision) {
            break;
        }
    }
    history.choices.reverse();
    Ok(history)
}
