//! What came in since the ledger was told last, summed up by customer and by what it was decided under.
//!
//! A sum has one row of the metadata family: `21` and its number (8); version 1 (1), then JSON. It is written together
//! with the batches that it counts, and deleted together with the writing of the ledger's entry: so the ledger has
//! each batch once, through any crash. Of a group, each sum that it touches is written once.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::command::{Command, Reply};
use super::fault::StoreError;
use super::layout::{META, collected_key};
use super::outbox::Notary;
use super::pending::Pending;
use super::rocks::Db;
use super::store::Store;
use crate::model::{ClassCounts, CustomerKey, Reason, Under, UnixMillis};

const VERSION: u8 = 1;
/// Sums that wait, about 2 KiB each. With more, the ledger is told of the oldest.
const MANY: usize = 4_096;
/// Sums that may wait while the outbox takes nothing: beyond it, what would begin one is refused as busy.
const MOST: usize = 2 * MANY;
/// Sums that the ledger is told of in one write: it may hold up ingest for about a millisecond.
const TOLD: usize = 256;

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

/// A sum with the time of the first and the last that it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sum {
    key: CollectedKey,
    from: UnixMillis,
    until: UnixMillis,
    collected: Collected,
}

/// What the sum in a row is of, and since when it counts.
pub(super) fn read_sum(row: &[u8]) -> Option<(CollectedKey, UnixMillis)> {
    let sum: Sum = serde_json::from_slice(row.strip_prefix(&[VERSION])?).ok()?;
    Some((sum.key, sum.from))
}

/// The sums that are on disk.
#[derive(Debug, Default)]
pub(super) struct Sums {
    next: u64,
    by_number: BTreeMap<u64, Sum>,
    numbers: HashMap<CollectedKey, u64>,
}

/// What a group does to the sums.
#[derive(Debug, Default)]
pub(super) struct SumChanges {
    added: HashMap<CollectedKey, Collected>,
    /// How many of the oldest the ledger is to be told of.
    tell: usize,
    /// Sums as they will be, by number, once the group is complete.
    put: Vec<(u64, Sum)>,
    gone: Vec<u64>,
}

impl Sums {
    /// Those that left these rows; `None` if one is damaged.
    pub(super) fn recover(rows: impl Iterator<Item = (u64, Vec<u8>)>) -> Option<Self> {
        let mut sums = Self::default();
        for (number, row) in rows {
            let sum: Sum = serde_json::from_slice(row.strip_prefix(&[VERSION])?).ok()?;
            sums.put(number, sum);
        }
        Some(sums)
    }

    fn put(&mut self, number: u64, sum: Sum) {
        self.next = self.next.max(number.saturating_add(1));
        self.numbers.insert(sum.key.clone(), number);
        self.by_number.insert(number, sum);
    }

    /// Takes in what a group did, now that it is on disk.
    pub(super) fn apply(&mut self, changes: SumChanges) {
        for number in changes.gone {
            if let Some(sum) = self.by_number.remove(&number) {
                self.numbers.remove(&sum.key);
            }
        }
        for (number, sum) in changes.put {
            self.put(number, sum);
        }
    }

    /// The sums of `changes`, as they will be. A number is not used again while the process lives.
    fn changed(&self, added: HashMap<CollectedKey, Collected>, now: UnixMillis) -> BTreeMap<u64, Sum> {
        let mut changed = BTreeMap::new();
        let mut next = self.next;
        for (key, collected) in added {
            let known =
                self.numbers.get(&key).and_then(|number| Some((*number, self.by_number.get(number)?)));
            let (number, sum) = if let Some((number, known)) = known {
                let mut sum = known.clone();
                sum.collected.merge(&collected);
                sum.until = now.max(sum.until);
                (number, sum)
            } else {
                next += 1;
                (next - 1, Sum { key, from: now, until: now, collected })
            };
            changed.insert(number, sum);
        }
        changed
    }
}

impl Notary {
    fn entry_of(&self, sum: &Sum) -> Option<Vec<u8>> {
        self.collected(&sum.key, (sum.from, sum.until), &sum.collected)
    }
}

impl Pending {
    /// Whether sums may be begun for these.
    pub(super) fn has_room_for(&self, sums: &Sums, collected: &[(CollectedKey, Collected)]) -> bool {
        let waiting = sums.by_number.len() + self.sums.added.len();
        waiting + collected.len() <= MOST || collected.iter().all(|(key, _)| sums.numbers.contains_key(key))
    }

    /// Counts what came in.
    pub(super) fn count(&mut self, collected: Vec<(CollectedKey, Collected)>) {
        for (key, one) in collected {
            match self.sums.added.get_mut(&key) {
                Some(sum) => sum.merge(&one),
                None => drop(self.sums.added.insert(key, one)),
            }
        }
    }

    /// Counts what came in of which nothing is stored.
    pub(super) fn count_only(
        &mut self,
        sums: &Sums,
        collected: Vec<(CollectedKey, Collected)>,
        reply: Reply<()>,
    ) {
        if self.has_room_for(sums, &collected) {
            self.count(collected);
            self.wait(reply, ());
        } else {
            drop(reply.send(Err(StoreError::Busy)));
        }
    }

    /// Has the ledger told of the oldest sums, those with numbers below `upto`, or all if there is none. Answers with
    /// the bound for the next time, if some of them are left.
    pub(super) fn tell(&mut self, sums: &Sums, upto: Option<u64>, reply: Reply<Option<u64>>) {
        let upto = upto.unwrap_or(sums.next);
        let due = sums.by_number.range(..upto).count();
        if let Err(error) = self.check_outbox(due.min(TOLD)) {
            return drop(reply.send(Err(error)));
        }
        self.sums.tell = self.sums.tell.max(due.min(TOLD));
        self.wait(reply, (due > TOLD).then_some(upto));
    }

    /// Puts the rows of sums into the group, and entries for those that the ledger is told of, once the group is
    /// complete.
    pub(super) fn sum_up(&mut self, sums: &Sums, db: &Db, notary: Option<&Notary>, now: UnixMillis) {
        let (Some(notary), Some(meta)) = (notary, db.cf_handle(META)) else { return };
        let mut changed = sums.changed(std::mem::take(&mut self.sums.added), now);
        let waiting = sums.by_number.len() + changed.len();
        let many = waiting.checked_sub(MANY).filter(|more| *more > 0).map_or(0, |more| more.max(TOLD));
        let many = if self.check_outbox(many).is_ok() { many } else { 0 };
        for (number, sum) in sums.by_number.iter().take(self.sums.tell.max(many)) {
            let sum = changed.remove(number).unwrap_or_else(|| sum.clone());
            let Some(entry) = notary.entry_of(&sum) else { continue };
            self.batch.delete_cf(&meta, collected_key(*number));
            self.enter(db, &entry);
            self.sums.gone.push(*number);
        }
        for (number, sum) in &changed {
            let mut row = vec![VERSION];
            // Its types do not let this fail.
            if serde_json::to_writer(&mut row, sum).is_ok() {
                self.batch.put_cf(&meta, collected_key(*number), row);
            }
        }
        self.sums.put = changed.into_iter().collect();
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
