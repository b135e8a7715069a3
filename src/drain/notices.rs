//! The notices of one subscription: which wait, and which erasures it has acknowledged. Pure.
//!
//! A row of `notices`: key subscription number (8), notice number (8); value version byte 1, then JSON with
//! the customer, the erasures and the notice. It is there as long as the notice waits, and then, without the notice, as the record that the
//! erasure was acknowledged.
//!
//! Both are bounded. When one more would be too many, the notices of one customer become one that asks for
//! everything of it; if no customer has two, all of them become one that asks for everything. Of
//! acknowledgements the oldest is forgotten.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::notice::{Notice, Scope};
use super::rows::RowFault;
use crate::model::{CustomerKey, ErasureId};

const VERSION: u8 = 1;
/// Erasures that one merged notice remembers. Older ones count as never told.
const ERASURES: usize = 1_000;

/// The number that stands for every customer.
const EVERYBODY: CustomerKey = CustomerKey(0);

/// A notice that waits, or what is left of one.
#[derive(Debug, Clone)]
struct Row {
    customer: CustomerKey,
    /// The erasures it tells of, the newest last.
    erasures: Vec<ErasureId>,
    /// Absent once it is acknowledged.
    notice: Option<Arc<Notice>>,
}

/// [`Row`] as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored<'a> {
    customer: CustomerKey,
    erasures: Cow<'a, [ErasureId]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notice: Option<Cow<'a, Notice>>,
}

/// A row that changed: put (`Some`) or deleted (`None`).
pub(super) type Changed = (u64, Option<Vec<u8>>);

/// The notices of one subscription.
#[derive(Debug, Clone)]
pub(super) struct Notices {
    most: usize,
    next: u64,
    waiting: BTreeMap<u64, Row>,
    acknowledged: BTreeMap<u64, Row>,
    /// Where an erasure is told of.
    told: HashMap<ErasureId, u64>,
}

impl Notices {
    /// None yet, and at most `most` at a time.
    pub(super) fn new(most: usize) -> Self {
        let (waiting, acknowledged, told) = (BTreeMap::new(), BTreeMap::new(), HashMap::new());
        Self { most: most.max(1), next: 1, waiting, acknowledged, told }
    }

    /// Those that left these rows.
    pub(super) fn recover(most: usize, rows: &[(u64, Vec<u8>)]) -> Result<Self, RowFault> {
        let mut notices = Self::new(most);
        for (number, row) in rows {
            let (version, json) = row.split_first().ok_or(RowFault::Damaged)?;
            if *version != VERSION {
                return Err(RowFault::Version(*version));
            }
            let row: Stored<'_> = serde_json::from_slice(json).map_err(|_| RowFault::Damaged)?;
            notices.next = notices.next.max(number.saturating_add(1));
            let notice = row.notice.map(|notice| Arc::new(notice.into_owned()));
            notices
                .keep(*number, Row { customer: row.customer, erasures: row.erasures.into_owned(), notice });
        }
        Ok(notices)
    }

    /// The first row as it would be written again.
    pub(super) fn again(&self) -> Option<Vec<u8>> {
        self.waiting.values().chain(self.acknowledged.values()).next().and_then(encode)
    }

    /// Whether one has been acknowledged, and is remembered.
    pub(super) fn have_ended(&self) -> bool {
        !self.acknowledged.is_empty()
    }

    fn keep(&mut self, number: u64, row: Row) {
        self.told.extend(row.erasures.iter().map(|erasure| (*erasure, number)));
        let rows = if row.notice.is_some() { &mut self.waiting } else { &mut self.acknowledged };
        rows.insert(number, row);
    }

    /// Whether this subscription was told of the erasure; if so, whether it has acknowledged that.
    pub(super) fn fate(&self, erasure: ErasureId) -> Option<bool> {
        let number = self.told.get(&erasure)?;
        Some(self.acknowledged.contains_key(number))
    }

    /// Those that wait and come after `seen`, at most `most` and about `bytes`, but one always.
    pub(super) fn after(&self, seen: u64, most: usize, bytes: usize) -> Vec<(u64, Arc<Notice>)> {
        let (mut found, mut sum) = (Vec::new(), 0);
        for (number, row) in self.waiting.range(seen.saturating_add(1)..) {
            let Some(notice) = &row.notice else { continue };
            sum += notice.bytes();
            if found.len() >= most || (sum > bytes && !found.is_empty()) {
                break;
            }
            found.push((*number, Arc::clone(notice)));
        }
        found
    }

    /// Adds a notice, unless the erasure was told of before. Gives the rows that change.
    pub(super) fn add(&mut self, customer: CustomerKey, notice: Arc<Notice>) -> Vec<Changed> {
        if self.told.contains_key(&notice.erasure) {
            return Vec::new();
        }
        let row = Row { customer, erasures: vec![notice.erasure], notice: Some(notice) };
        let mut changed = Vec::new();
        let row = if self.waiting.len() >= self.most { self.make_room(row, &mut changed) } else { row };
        self.wait(row, &mut changed);
        changed
    }

    fn wait(&mut self, row: Row, changed: &mut Vec<Changed>) {
        let number = self.next;
        self.next = number.saturating_add(1);
        changed.push((number, encode(&row)));
        self.keep(number, row);
    }

    /// Takes notices away so that there is room for one more. What they ask for is asked for by the one that is
    /// given back, or by another.
    fn make_room(&mut self, new: Row, changed: &mut Vec<Changed>) -> Row {
        let mut by_customer: BTreeMap<CustomerKey, Vec<u64>> = BTreeMap::new();
        for (number, row) in &self.waiting {
            by_customer.entry(row.customer).or_default().push(*number);
        }
        if !by_customer.contains_key(&EVERYBODY) {
            if let Some(numbers) = by_customer.get(&new.customer) {
                return self.merge(numbers, new, false, changed);
            }
            let most = by_customer.values().max_by_key(|numbers| numbers.len());
            if let Some((newest, numbers)) = most.and_then(|numbers| numbers.split_last())
                && !numbers.is_empty()
                && let Some(newest_row) = self.waiting.remove(newest)
            {
                changed.push((*newest, None));
                let merged = self.merge(numbers, newest_row, false, changed);
                self.wait(merged, changed);
                return new;
            }
        }
        let numbers: Vec<u64> = self.waiting.keys().copied().collect();
        self.merge(&numbers, new, true, changed)
    }

    /// Takes these away and makes one of them and of `newest`.
    fn merge(&mut self, numbers: &[u64], newest: Row, everything: bool, changed: &mut Vec<Changed>) -> Row {
        let mut parts = Vec::with_capacity(numbers.len() + 1);
        for number in numbers {
            parts.extend(self.waiting.remove(number));
            changed.push((*number, None));
        }
        let customer = newest.customer;
        parts.push(newest);
        let mut erasures: Vec<ErasureId> =
            parts.iter().flat_map(|row| row.erasures.iter().copied()).collect();
        let forgotten = erasures.len().saturating_sub(ERASURES);
        for erasure in erasures.drain(..forgotten) {
            self.told.remove(&erasure);
        }
        let notice = Notice::merged(parts.iter().filter_map(|row| row.notice.as_deref()), everything);
        let is_everything = notice.as_ref().is_some_and(|notice| notice.scope == Scope::Everything);
        let customer = if is_everything { EVERYBODY } else { customer };
        Row { customer, erasures, notice: notice.map(Arc::new) }
    }

    /// Takes note that the drainer has deleted what the notice asks for. `None` if it does not wait any more.
    pub(super) fn acknowledge(&mut self, number: u64) -> Option<Vec<Changed>> {
        let row = self.waiting.remove(&number)?;
        let row = Row { notice: None, ..row };
        let mut changed = vec![(number, encode(&row))];
        self.acknowledged.insert(number, row);
        if self.acknowledged.len() > self.most
            && let Some((oldest, row)) = self.acknowledged.pop_first()
        {
            for erasure in &row.erasures {
                self.told.remove(erasure);
            }
            changed.push((oldest, None));
        }
        Some(changed)
    }
}

/// The row; none only if it cannot be written as JSON, which its types do not allow to happen.
fn encode(row: &Row) -> Option<Vec<u8>> {
    let mut bytes = vec![VERSION];
    let Row { customer, erasures, notice } = row;
    let notice = notice.as_deref().map(Cow::Borrowed);
    let stored = Stored { customer: *customer, erasures: Cow::Borrowed(erasures), notice };
    serde_json::to_writer(&mut bytes, &stored).ok()?;
    Some(bytes)
}
