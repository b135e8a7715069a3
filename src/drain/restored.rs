//! After a backup was put back: what its rows know of deliveries is brought up to what the ledger tells of those that came
//! after it, before anybody drains. Pure.

use std::collections::{BTreeMap, HashMap};

use super::DrainError;
use super::notify::perhaps;
use super::received::Mark;
use super::table::{self, Found};
use super::totals::{self, TotalKey};
use crate::ledger::Fact;
use crate::model::{CommitNumber, CustomerKey, SubscriptionName, UnixMillis};
use crate::store::MetaRow;

/// The subscriptions of a backup, and what of their deliveries the ledger had not been told when it was made.
#[derive(Debug)]
pub struct Redelivery {
    head: CommitNumber,
    numbers: HashMap<SubscriptionName, u64>,
    /// By subscription, what each sum is of, and since when: the key of its row.
    totals: BTreeMap<(u64, TotalKey, UnixMillis), Vec<u8>>,
    told: Vec<Vec<u8>>,
}

impl Redelivery {
    /// From the rows of [`MetaTable::Subscriptions`](crate::store::MetaTable) and of `Totals`, and the last commit.
    ///
    /// # Errors
    /// If a row is damaged.
    pub fn read(
        subscriptions: Vec<MetaRow>,
        sums: Vec<MetaRow>,
        head: CommitNumber,
    ) -> Result<Self, DrainError> {
        let found = Found::read([subscriptions, vec![], vec![], vec![], vec![], sums])?;
        let numbers = found.definitions.into_iter().map(|one| (one.subscription.name, one.nonce)).collect();
        let mut totals = BTreeMap::new();
        for (nonce, rows) in found.totals {
            for (number, row) in rows {
                let total = totals::read(&row).map_err(table::fault)?;
                let key = [nonce.to_be_bytes(), number.to_be_bytes()].concat();
                totals.insert((nonce, total.key, total.from), key);
            }
        }
        Ok(Self { head, numbers, totals, told: Vec::new() })
    }

    /// Takes in what the ledger was told after the backup. Gives the row of `Received` to add, if it tells of a delivery
    /// to a subscription that there is.
    pub fn take(&mut self, fact: &Fact) -> Option<MetaRow> {
        let Fact::Pulled { customer, period, subscription, under, .. } = fact else { return None };
        let number = *self.numbers.get(subscription)?;
        let key = TotalKey { customer: *customer, under: under.clone() };
        // The first sum that is told of the same since the same time is this one, grown.
        if let Some(row) = self.totals.remove(&(number, key, period.from)) {
            self.told.push(row);
        }
        let mark = Mark { first: self.head, last: self.head };
        Some((Mark::key(number, *customer), mark.row()))
    }

    /// The rows of `Totals` to take out: the ledger was told of them.
    #[must_use]
    pub fn told(&self) -> &[Vec<u8>] {
        &self.told
    }

    /// The rows of `Received` that say that every subscription may have received data of each customer below `below`: what
    /// left last before the data was lost, no ledger was told of.
    #[must_use]
    pub fn perhaps(&self, below: CustomerKey) -> Vec<MetaRow> {
        self.numbers.values().map(|number| perhaps(*number, below)).collect()
    }
}
