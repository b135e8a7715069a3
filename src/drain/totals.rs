//! What was delivered since the ledger was told last, summed up. Pure.
//!
//! A sum has one row of `totals`: key subscription number (8), number of the row (8); value version byte 1, then
//! JSON of [`Total`]. It is written together with the leases of the deliveries that it counts, and it is deleted
//! together with the writing of the ledger's entry: so the ledger has each delivery once, through any crash. What did
//! not go out after all is taken out of its sum again, unless the ledger was told of that before: it may say of a delivery
//! that was opened that it left, and never leaves out one that did.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::rows::RowFault;
use crate::ledger::Under;
use crate::model::{ClassCounts, CustomerKey, UnixMillis};

const VERSION: u8 = 1;
/// Sums of one subscription that wait. With more, the ledger is told at once.
const MOST: usize = 1_000;

/// What a sum is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TotalKey {
    pub(super) customer: CustomerKey,
    /// What left was decided under this, or brought down to it.
    pub(super) under: Under,
}

/// A sum of deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Total {
    pub(super) key: TotalKey,
    /// When the first and the last was delivered.
    pub(super) from: UnixMillis,
    pub(super) until: UnixMillis,
    /// Batches that were delivered for the first time, or again after a seek, a replay or a lowered level.
    pub(super) batches: u64,
    /// Their events.
    pub(super) events: u64,
    /// Deliveries of these and of others again.
    pub(super) deliveries: u64,
    /// The fields of the batches; those that were taken out on the way are dropped.
    pub(super) fields: ClassCounts,
}

/// One delivery.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Delivered {
    pub(super) key: TotalKey,
    pub(super) events: u64,
    pub(super) fields: ClassCounts,
    /// Whether it was delivered before, so that only the delivery counts.
    pub(super) again: bool,
}

/// Which sums a delivery was counted in: those that were taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Round(u64);

/// A row that changed: put (`Some`) or deleted (`None`).
pub(super) type Changed = (u64, Option<Vec<u8>>);

/// The sums of one subscription.
#[derive(Debug, Default)]
pub(super) struct Totals {
    next: u64,
    round: Round,
    sums: BTreeMap<TotalKey, (u64, Total)>,
}

impl Totals {
    /// Those that left these rows.
    pub(super) fn recover(rows: &[(u64, Vec<u8>)]) -> Result<Self, RowFault> {
        let mut totals = Self::default();
        for (number, row) in rows {
            let total = read(row)?;
            totals.next = totals.next.max(number.saturating_add(1));
            totals.sums.insert(total.key.clone(), (*number, total));
        }
        Ok(totals)
    }

    /// The first row as it would be written again.
    pub(super) fn again(&self) -> Option<Vec<u8>> {
        self.look().next().and_then(encode)
    }

    /// Which sums there are now.
    pub(super) const fn round(&self) -> Round {
        self.round
    }

    /// Adds deliveries of `now`. Gives the rows that change.
    pub(super) fn add(&mut self, delivered: &[Arc<Delivered>], now: UnixMillis) -> Vec<Changed> {
        let mut touched = BTreeMap::new();
        for delivered in delivered {
            let Delivered { key, events, fields, again } = delivered.as_ref();
            if !self.sums.contains_key(key) {
                let fields = ClassCounts::default();
                let (batches, events, deliveries) = (0, 0, 0);
                let total =
                    Total { key: key.clone(), from: now, until: now, batches, events, deliveries, fields };
                self.sums.insert(key.clone(), (self.next, total));
                self.next = self.next.saturating_add(1);
            }
            let Some((number, total)) = self.sums.get_mut(key) else { continue };
            total.until = now;
            total.deliveries = total.deliveries.saturating_add(1);
            if !again {
                total.batches = total.batches.saturating_add(1);
                total.events = total.events.saturating_add(*events);
                total.fields.merge(fields);
            }
            touched.insert(*number, key);
        }
        let row = |(number, key)| {
            let row = self.sums.get(key).and_then(|(_, total)| encode(total));
            (number, row)
        };
        touched.into_iter().map(row).collect()
    }

    /// Takes a delivery out that was counted in `round` and did not go out. Gives the row that changes; nothing if the
    /// ledger was told of its sum.
    pub(super) fn take_back(&mut self, delivered: &Delivered, round: Round) -> Option<Changed> {
        let Delivered { key, events, fields, again } = delivered;
        let (number, total) = self.sums.get_mut(key).filter(|_| round == self.round)?;
        let number = *number;
        total.deliveries = total.deliveries.saturating_sub(1);
        if !again {
            total.batches = total.batches.saturating_sub(1);
            total.events = total.events.saturating_sub(*events);
            total.fields.take_away(fields);
        }
        if total.deliveries > 0 {
            return Some((number, encode(total)));
        }
        self.sums.remove(key);
        Some((number, None))
    }

    /// Whether so many wait that the ledger is to be told now.
    pub(super) fn is_full(&self) -> bool {
        self.sums.len() >= MOST
    }

    /// All of them.
    pub(super) fn look(&self) -> impl Iterator<Item = &Total> {
        self.sums.values().map(|(_, total)| total)
    }

    /// Takes all of them, for the ledger. Gives them and the rows that go with them.
    pub(super) fn take(&mut self) -> (Vec<Total>, Vec<Changed>) {
        self.round = Round(self.round.0.wrapping_add(1));
        let sums = std::mem::take(&mut self.sums);
        sums.into_values().map(|(number, total)| (total, (number, None))).unzip()
    }
}

/// Reads a row.
pub(super) fn read(row: &[u8]) -> Result<Total, RowFault> {
    let (version, json) = row.split_first().ok_or(RowFault::Damaged)?;
    if *version != VERSION {
        return Err(RowFault::Version(*version));
    }
    serde_json::from_slice(json).map_err(|_| RowFault::Damaged)
}

/// The row; none only if it cannot be written as JSON, which its types do not allow to happen.
fn encode(total: &Total) -> Option<Vec<u8>> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, total).ok()?;
    Some(bytes)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::model::{Handling, IdentifierClass, LevelName, ProductName, ProgramName};

    fn delivered(customer: u64, again: bool) -> Arc<Delivered> {
        let mut fields = ClassCounts::default();
        fields.add(IdentifierClass::HostName, Handling::Pseudonymised, 3);
        let key = TotalKey {
            customer: CustomerKey(customer),
            under: Under {
                program: ProgramName::new("ceip").unwrap(),
                product: ProductName::new("vcenter").unwrap(),
                level: LevelName::new("standard").unwrap(),
                region: None,
                dictionary: 2,
            },
        };
        Arc::new(Delivered { key, events: 5, fields, again })
    }

    #[test]
    fn sums_come_back_from_their_rows_and_are_taken_once() {
        let mut totals = Totals::default();
        let mut rows = BTreeMap::new();
        rows.extend(totals.add(&[delivered(1, false), delivered(2, false)], UnixMillis(7)));
        rows.extend(totals.add(&[delivered(1, true), delivered(1, false)], UnixMillis(9)));
        assert_eq!(rows.len(), 2, "one row for each sum");
        let rows: Vec<_> = rows.into_iter().map(|(number, row)| (number, row.unwrap())).collect();
        let mut again = Totals::recover(&rows).unwrap();
        let (sums, gone) = again.take();
        assert_eq!(totals.take().0, sums);
        assert_eq!(gone, [(0, None), (1, None)]);
        let first = sums.first().unwrap();
        assert_eq!((first.batches, first.events, first.deliveries), (2, 10, 3));
        assert_eq!((first.from, first.until), (UnixMillis(7), UnixMillis(9)));
        assert_eq!(first.fields.get(IdentifierClass::HostName, Handling::Pseudonymised), 6);
        assert_eq!(again.take().0, []);
        let fresh = again.add(&[delivered(1, false)], UnixMillis(11));
        assert_eq!(fresh.first().unwrap().0, 2, "a row's number is not used again while the process lives");
        assert!(Totals::recover(&[(1, vec![2])]).is_err());
    }

    #[test]
    fn what_did_not_go_out_is_taken_out_of_the_sum_that_it_is_in_and_of_no_other() {
        let (mut totals, round) = (Totals::default(), Round::default());
        let [first, again, other] = [delivered(1, false), delivered(1, true), delivered(2, false)];
        totals.add(&[Arc::clone(&first)], UnixMillis(7));
        let alone: Vec<Total> = totals.look().cloned().collect();
        totals.add(&[Arc::clone(&other)], UnixMillis(7));
        totals.add(&[Arc::clone(&again), Arc::clone(&first)], UnixMillis(7));
        assert_eq!(totals.round(), round);
        assert!(totals.take_back(&first, round).unwrap().1.is_some());
        assert!(totals.take_back(&again, round).unwrap().1.is_some());
        assert_eq!(totals.take_back(&other, round), Some((1, None)), "its row goes with it");
        assert_eq!(totals.take_back(&other, round), None);
        assert_eq!(totals.take().0, alone);
        // The ledger was told: what is counted since has left.
        totals.add(&[Arc::clone(&first)], UnixMillis(7));
        assert_eq!(totals.take_back(&first, round), None);
        assert_eq!(totals.take().0, alone);
    }
}
