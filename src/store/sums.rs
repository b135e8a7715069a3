//! Sums of what came in that the ledger was not told of yet.
//!
//! A sum has one row of the metadata family: `21` and its number (8); version 1 (1), then JSON. It is written together
//! with the first batch that it counts. What later groups add to it is in their increments (`increment.rs`), one row a
//! group; the row of the sum says from which increment on they are not in it. When there are many increments, the next
//! takes the place of the oldest, and the sums that this one adds to are written anew. A sum is deleted together with
//! the writing of the ledger's entry: so the ledger has each batch once, through any crash.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::collected::{Collected, CollectedKey};
use super::command::Reply;
use super::fault::StoreError;
use super::increment::Increment;
use super::layout::{INCREMENTS, META, collected_key, collected_number, increment_key};
use super::outbox::Notary;
use super::pending::Pending;
use super::rocks::Db;
use crate::model::UnixMillis;

const VERSION: u8 = 1;
/// Sums that wait, about 2 KiB each. With more, the ledger is told of the oldest.
const MANY: usize = 4_096;
/// Sums that may wait while the outbox takes nothing: beyond it, what would begin one is refused as busy.
const MOST: usize = 2 * MANY;
/// Sums that the ledger is told of in one write: it may hold up ingest for about a millisecond.
const TOLD: usize = 256;

/// A sum with the time of the first and the last that it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sum {
    key: CollectedKey,
    from: UnixMillis,
    until: UnixMillis,
    collected: Collected,
    /// Increments from this one on are not in its row.
    #[serde(default)]
    next_increment: u64,
}

impl Sum {
    fn read(row: &[u8]) -> Option<Self> {
        serde_json::from_slice(row.strip_prefix(&[VERSION])?).ok()
    }

    fn add(&mut self, collected: &Collected, at: UnixMillis) {
        self.collected.merge(collected);
        self.until = self.until.max(at);
    }
}

/// What the sum in a row is of, and since when it counts.
pub(super) fn read_sum(row: &[u8]) -> Option<(CollectedKey, UnixMillis)> {
    Sum::read(row).map(|sum| (sum.key, sum.from))
}

/// The sums that are on disk, with all increments.
#[derive(Debug, Default)]
pub(super) struct Sums {
    next: u64,
    by_number: BTreeMap<u64, Sum>,
    numbers: HashMap<CollectedKey, u64>,
    next_increment: u64,
    /// The increments that are on disk, the oldest first, and the sums that each adds to.
    increments: VecDeque<(u64, Vec<u64>)>,
}

/// What a group does to the sums.
#[derive(Debug, Default)]
pub(super) struct SumChanges {
    /// What is added to sums that are there.
    added: BTreeMap<u64, Collected>,
    /// Sums that begin.
    begun: HashMap<CollectedKey, Collected>,
    /// How many of the oldest the ledger is to be told of.
    tell: usize,
    /// Once the group is complete: sums whose rows are written, by number,
    put: Vec<(u64, Sum)>,
    /// sums that the ledger is told of,
    gone: Vec<u64>,
    /// what is added to the others,
    increment: Option<Increment>,
    /// and whether the oldest increment goes.
    folds: bool,
}

impl Sums {
    /// Those that left these rows; `None` if one is damaged.
    pub(super) fn recover(rows: &[(Vec<u8>, Vec<u8>)], increments: &[(Vec<u8>, Vec<u8>)]) -> Option<Self> {
        let mut sums = Self::default();
        for (key, row) in rows {
            sums.put(collected_number(key)?, Sum::read(row)?);
        }
        let increments = increments.iter().map(|(_, row)| Increment::decode(row));
        let mut increments: Vec<_> = increments.collect::<Option<_>>()?;
        increments.sort_unstable_by_key(|increment| increment.number);
        for increment in &increments {
            sums.add(increment);
        }
        Some(sums)
    }

    fn put(&mut self, number: u64, sum: Sum) {
        self.next = self.next.max(number.saturating_add(1));
        self.next_increment = self.next_increment.max(sum.next_increment);
        self.numbers.insert(sum.key.clone(), number);
        self.by_number.insert(number, sum);
    }

    /// Takes an increment in. The ledger may have been told of a sum since; its number is not used again while an
    /// increment names it.
    fn add(&mut self, increment: &Increment) {
        let number = increment.number;
        for (of, collected) in &increment.added {
            self.next = self.next.max(of.saturating_add(1));
            if let Some(sum) = self.by_number.get_mut(of).filter(|sum| sum.next_increment <= number) {
                sum.add(collected, increment.at);
            }
        }
        self.next_increment = self.next_increment.max(number.saturating_add(1));
        self.increments.push_back((number, increment.added.keys().copied().collect()));
    }

    /// Takes in what a group did, now that it is on disk.
    pub(super) fn apply(&mut self, changes: SumChanges) {
        for number in changes.gone {
            if let Some(sum) = self.by_number.remove(&number) {
                self.numbers.remove(&sum.key);
            }
        }
        if changes.folds {
            self.increments.pop_front();
        }
        for (number, sum) in changes.put {
            self.put(number, sum);
        }
        if let Some(increment) = changes.increment {
            self.add(&increment);
        }
    }

    /// A sum as it will be with what is added.
    fn with(&self, number: u64, added: Option<Collected>, now: UnixMillis) -> Option<Sum> {
        let mut sum = self.by_number.get(&number)?.clone();
        if let Some(added) = added {
            sum.add(&added, now);
        }
        sum.next_increment = self.next_increment;
        Some(sum)
    }

    /// The oldest increment, if the next one takes its place, and the sums whose rows do not have it yet. After an
    /// accepted loss there may be fewer than fill all places.
    fn oldest(&self) -> Option<(u64, impl Iterator<Item = u64>)> {
        let goes = |number: u64| number.saturating_add(INCREMENTS.into()) <= self.next_increment;
        let (number, of) = self.increments.front().filter(|(number, _)| goes(*number))?;
        let without = |of: &u64| self.by_number.get(of).is_some_and(|sum| sum.next_increment <= *number);
        Some((*number, of.iter().copied().filter(move |of| without(of))))
    }
}

impl SumChanges {
    fn count(&mut self, sums: &Sums, key: CollectedKey, one: Collected) {
        let known = sums.numbers.get(&key);
        let sum = match known {
            Some(number) => self.added.get_mut(number),
            None => self.begun.get_mut(&key),
        };
        match (sum, known) {
            (Some(sum), _) => sum.merge(&one),
            (None, Some(number)) => drop(self.added.insert(*number, one)),
            (None, None) => drop(self.begun.insert(key, one)),
        }
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
        let waiting = sums.by_number.len() + self.sums.begun.len();
        waiting + collected.len() <= MOST || collected.iter().all(|(key, _)| sums.numbers.contains_key(key))
    }

    /// Counts what came in.
    pub(super) fn count(&mut self, sums: &Sums, collected: Vec<(CollectedKey, Collected)>) {
        for (key, one) in collected {
            self.sums.count(sums, key, one);
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
            self.count(sums, collected);
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

    /// Puts what the group adds to sums into it, and entries for those that the ledger is told of, once the group is
    /// complete.
    pub(super) fn sum_up(&mut self, sums: &Sums, db: &Db, notary: Option<&Notary>, now: UnixMillis) {
        let notary = notary.filter(|notary| notary.keeps_sums());
        let (Some(notary), Some(meta)) = (notary, db.cf_handle(META)) else { return };
        let waiting = sums.by_number.len() + self.sums.begun.len();
        let many = waiting.checked_sub(MANY).filter(|more| *more > 0).map_or(0, |more| more.max(TOLD));
        let many = if self.check_outbox(many).is_ok() { many } else { 0 };
        for number in sums.by_number.keys().take(self.sums.tell.max(many)) {
            let told = sums.with(*number, self.sums.added.remove(number), now);
            let Some(entry) = told.and_then(|sum| notary.entry_of(&sum)) else { continue };
            self.batch.delete_cf(&meta, collected_key(*number));
            self.enter(db, &entry);
            self.sums.gone.push(*number);
        }
        self.begin_and_fold(sums, now);
        for (number, sum) in &self.sums.put {
            let mut row = vec![VERSION];
            // Its types do not let this fail.
            if serde_json::to_writer(&mut row, sum).is_ok() {
                self.batch.put_cf(&meta, collected_key(*number), row);
            }
        }
        let added = std::mem::take(&mut self.sums.added);
        // Even with nothing in it, it takes the place of the oldest.
        if self.sums.folds || !added.is_empty() {
            let increment = Increment { number: sums.next_increment, at: now, added };
            self.batch.put_cf(&meta, increment_key(increment.number), increment.encode());
            self.sums.increment = Some(increment);
        }
    }

    /// Finds the sums whose rows are written: those that begin, and those that the oldest increment adds to, if that
    /// has to go. A number is not used again while the process lives.
    fn begin_and_fold(&mut self, sums: &Sums, now: UnixMillis) {
        let SumChanges { added, begun, put, gone, folds, .. } = &mut self.sums;
        let begun = std::mem::take(begun).into_iter().map(|(key, collected)| Sum {
            key,
            from: now,
            until: now,
            collected,
            next_increment: sums.next_increment,
        });
        put.extend((sums.next..).zip(begun));
        let Some((_, of)) = sums.oldest().filter(|_| !added.is_empty()) else { return };
        *folds = true;
        for number in of.filter(|number| !gone.contains(number)) {
            put.extend(sums.with(number, added.remove(&number), now).map(|sum| (number, sum)));
        }
    }
}
