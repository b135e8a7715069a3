//! The erasures that there are: those under way in memory, and of those that are done when each was asked for; the rest
//! of these is read from its row by who asks. Pure, apart from reading.
//!
//! An erasure that is done is remembered for a year: for who asks, and to erase the same from a backup that is put
//! back. It costs about 40 bytes of memory, and no request looks at more of them than it answers with.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use super::AmendError;
use super::erasure::{Erasure, Stage};
use super::touched::Touched;
use crate::model::{CustomerKey, ErasureId, UnixMillis};
use crate::store::{MetaTable, Store};

/// Rows that are read at a time.
const ROWS: usize = 1_000;

/// When an erasure was asked for, and its id: the order in which they are listed, and that they are carried out in.
pub(super) type Asked = (UnixMillis, ErasureId);

/// All erasures.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    under_way: BTreeMap<ErasureId, Erasure>,
    /// Those under way, and those that are done.
    all: BTreeSet<Asked>,
}

impl Remembered {
    /// Those whose rows are stored. Blocks.
    pub(super) fn load(store: &Store) -> Result<Self, AmendError> {
        let (mut all, mut after) = (Self::default(), None::<Vec<u8>>);
        loop {
            let rows = store.scan_meta(MetaTable::Erasures, &[], after.as_deref(), ROWS)?;
            let Some((last, _)) = rows.last() else { return Ok(all) };
            after = Some(last.clone());
            for (_, row) in &rows {
                all.put(Erasure::decode(row).ok_or(DAMAGED)?);
            }
        }
    }

    /// Takes one in as it is now.
    pub(super) fn put(&mut self, erasure: Erasure) {
        self.all.insert((erasure.requested, erasure.id));
        if erasure.stage == Stage::Done {
            self.under_way.remove(&erasure.id);
        } else {
            self.under_way.insert(erasure.id, erasure);
        }
    }

    /// One that is under way.
    pub(super) fn get(&self, id: ErasureId) -> Option<Erasure> {
        self.under_way.get(&id).cloned()
    }

    /// Where each that is under way rewrote something of a customer, as far as it is known.
    pub(super) fn of(&self, customer: CustomerKey) -> Vec<Option<Touched>> {
        let open = self.under_way.values().filter(|erasure| erasure.stage < Stage::Verifying);
        open.filter(|erasure| erasure.customer == customer).map(|erasure| erasure.touched.clone()).collect()
    }

    /// How many are under way.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// How many are done and remembered.
    pub(super) fn done(&self) -> usize {
        self.all.len().saturating_sub(self.under_way.len())
    }

    /// The one under way that was asked for first, without `tried`.
    pub(super) fn next(&self, tried: &BTreeSet<ErasureId>) -> Option<Erasure> {
        let open = self.under_way.values().filter(|erasure| !tried.contains(&erasure.id));
        open.min_by_key(|erasure| (erasure.requested, erasure.id)).cloned()
    }

    /// How many are under way, and how long ago the first of them was asked for.
    pub(super) fn due(&self, now: UnixMillis) -> (u64, Duration) {
        let first = self.under_way.values().map(|erasure| erasure.requested).min().unwrap_or(now);
        let count = u64::try_from(self.under_way.len()).unwrap_or(u64::MAX);
        (count, Duration::from_millis(u64::try_from(now.ms_since(first)).unwrap_or(0)))
    }

    /// Newest first, after the first `skip`, at most `most`.
    pub(super) fn newest(&self, skip: usize, most: usize) -> Vec<ErasureId> {
        self.all.iter().rev().skip(skip).take(most).map(|(_, id)| *id).collect()
    }

    /// Those that were asked for before `time` and come after `after`, oldest first, at most `most`.
    pub(super) fn before(&self, time: UnixMillis, after: Option<Asked>, most: usize) -> Vec<Asked> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let later = self.all.range((from, Bound::Unbounded));
        later.take_while(|(requested, _)| *requested < time).take(most).copied().collect()
    }

    /// Forgets these.
    pub(super) fn forget(&mut self, old: &[Asked]) {
        for one in old {
            self.all.remove(one);
            self.under_way.remove(&one.1);
        }
    }
}

const DAMAGED: AmendError = AmendError::Damaged { what: "an erasure" };

/// An erasure as its row has it.
pub(super) fn read(store: &Store, id: ErasureId) -> Result<Option<Erasure>, AmendError> {
    let row = store.meta(MetaTable::Erasures, id.as_bytes())?;
    row.map(|row| Erasure::decode(&row).ok_or(DAMAGED)).transpose()
}
