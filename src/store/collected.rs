//! What came in since the ledger was told last: by customer and by what it was decided under.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::command::Command;
use super::fault::StoreError;
use super::store::Store;
use crate::model::{ClassCounts, CustomerKey, Reason, Under};

/// What a sum is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectedKey {
    /// The customer.
    pub customer: CustomerKey,
    /// What it was decided under; nothing for what was withheld before that was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under: Option<Under>,
}

/// What came in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collected {
    /// Batches that were stored; without [`CollectedKey::under`], requests of which nothing was.
    pub batches: u64,
    /// Events that were stored.
    pub events: u64,
    /// Events that were withheld, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub withheld: BTreeMap<Reason, u64>,
    /// The fields of the stored events, those counted that were dropped on the way in.
    pub fields: ClassCounts,
}

impl Collected {
    /// Adds what another one counts.
    pub fn merge(&mut self, other: &Self) {
        self.batches = self.batches.saturating_add(other.batches);
        self.events = self.events.saturating_add(other.events);
        for (reason, n) in &other.withheld {
            let sum = self.withheld.entry(*reason).or_default();
            *sum = sum.saturating_add(*n);
        }
        self.fields.merge(&other.fields);
    }
}

impl Store {
    /// Counts what came in of which nothing is stored: with the sums of what is. After a crash of the process it is
    /// there; after a power cut it may not be.
    ///
    /// # Errors
    /// If the store cannot be written, or the ledger takes nothing.
    pub async fn count_collected(&self, collected: Vec<(CollectedKey, Collected)>) -> Result<(), StoreError> {
        self.ask(|reply| Command::Count { collected, reply }).await?
    }

    /// Has the ledger told of everything that was summed up until now, some at a time: between two of these writes,
    /// ingest has its turn.
    ///
    /// # Errors
    /// If the store cannot be written, or too many entries wait for the ledger. What was not told is told later.
    pub async fn tell_collected(&self) -> Result<(), StoreError> {
        let mut upto = None;
        loop {
            upto = self.ask(|reply| Command::Tell { upto, reply }).await??;
            if upto.is_none() {
                return Ok(());
            }
        }
    }
}
