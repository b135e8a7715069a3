//! A bounded cache over the registry: what `ingest` and `drain` ask for with every batch.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;

use super::fault::StoreError;
use super::{Customer, MetaTable, Store};
use crate::model::{Change, CommitNumber, CustomerId, CustomerKey, ErasureId, UnixMillis};
use crate::observe::Metric;
use crate::sanitize::{CustomerSecret, Erased, Suppressions};

/// How long what arrives late is withheld: the age at which that ends.
const LATE: Duration = Duration::from_hours(31 * 24);
/// Rows that are read at a time.
const ROWS: usize = 1_000;

/// What a batch was decided under, the participation, what was erased and the keys: made by [`CustomerEntry::basis`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Basis {
    pub(super) key: CustomerKey,
    pub(super) stamp: u64,
}

/// A customer with what is derived from its salt.
#[derive(Debug)]
pub struct CustomerEntry {
    /// The collector's own number for it.
    pub key: CustomerKey,
    /// What it chose, and when.
    pub change: Change,
    /// Its secret; its keys are derived from it.
    pub secret: Arc<CustomerSecret>,
    /// What was erased of it and is still to be looked for.
    pub erased: Arc<[Erased]>,
    /// What is withheld of it because it was erased.
    pub suppressed: Option<Arc<Suppressions>>,
    /// The stamp of the customer from before it was read.
    stamp: u64,
    /// Whether something of it was erased, and no clock could be believed yet: all of that is in it, and it is read again
    /// when one can be.
    is_unsettled: bool,
}

impl CustomerEntry {
    /// What the writer checks, so that nothing is stored under a participation that was changed, or behind an erasure
    /// that was fenced, while the batch was on its way.
    #[must_use]
    pub fn basis(&self) -> Basis {
        Basis { key: self.key, stamp: self.stamp }
    }
}

/// The cache. Cheap to clone. An entry never outlives a change: each is checked against a stamp
/// that the writer moves after a change is on disk and before it is answered. Customers that do
/// not exist are not remembered, so unknown ids cost no memory.
#[derive(Debug, Clone)]
pub struct Customers {
    store: Store,
    keys: Arc<Cache<CustomerId, CustomerKey>>,
    entries: Arc<Cache<CustomerKey, Arc<CustomerEntry>>>,
}

/// Whether something that was erased is looked for in what the customer sends: it is under way, or what arrives late is
/// withheld. Others are kept for the case that an older copy of the data is put back, and mean nothing until then. By a
/// clock that may be believed, for what is let in stays in; without one, everything is looked for.
fn is_live(erased: &Erased, settled: Option<UnixMillis>) -> bool {
    erased.upto > CommitNumber(0) || settled.is_none_or(|now| erased.until > now)
}

/// What was erased of a customer, and of whoever had its id before, as far as it is looked for.
fn erased(
    store: &Store,
    (key, mark): (CustomerKey, &[u8; 16]),
    settled: Option<UnixMillis>,
) -> Result<Vec<Erased>, StoreError> {
    const DAMAGED: StoreError = StoreError::Damaged { what: "a row of what was erased" };
    let is_live = |erased: &Erased| is_live(erased, settled);
    let mut live = Vec::new();
    let mut look = |row: &[u8]| -> Result<(), StoreError> {
        live.extend(Some(Erased::decode(row).ok_or(DAMAGED)?).filter(is_live));
        Ok(())
    };
    let (prefix, mut after) = (key.0.to_be_bytes(), None::<Vec<u8>>);
    loop {
        let rows = store.scan_meta(MetaTable::Suppressions, &prefix, after.as_deref(), ROWS)?;
        let Some((last, _)) = rows.last() else { break };
        after = Some(last.clone());
        rows.iter().try_for_each(|(_, row)| look(row))?;
    }
    let before = store.meta(MetaTable::Suppressions, &suppression_of_mark(mark))?;
    before.iter().try_for_each(|row| look(row))?;
    Ok(live)
}

/// The key of the row of an erasure of a customer who is still there.
#[must_use]
pub fn suppression_of(customer: CustomerKey, erasure: &ErasureId) -> Vec<u8> {
    let mut key = customer.0.to_be_bytes().to_vec();
    key.extend_from_slice(erasure.as_bytes());
    key
}

/// The key of the row of a whole customer who was erased: a keyed mark of its id, which tells nobody who it was.
#[must_use]
pub fn suppression_of_mark(mark: &[u8; 16]) -> Vec<u8> {
    let mut key = vec![0xfe; 8];
    key.extend_from_slice(mark);
    key
}

impl Customers {
    /// How many erasures of a customer are looked for in what it sends: those under way, and those that withhold what
    /// arrives late. What is only remembered does not count.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn erasures_of(&self, key: CustomerKey) -> Result<usize, StoreError> {
        let settled = self.settled();
        let is_looked_for = |erased: &&Erased| is_live(erased, settled);
        let entry = self.get_by_key(key)?;
        Ok(entry.map_or(0, |entry| entry.erased.iter().filter(is_looked_for).count()))
    }

    /// The time by which it is decided that something comes late no more.
    fn settled(&self) -> Option<UnixMillis> {
        self.store.shared().clock.settled(LATE)
    }

    /// A keyed mark of a customer's id. Without the data root nobody can tell whose it is.
    #[must_use]
    pub fn mark(&self, id: &CustomerId) -> [u8; 16] {
        self.store.shared().data_root.mark(id)
    }

    /// Holds at most `capacity` customers, about 2 KiB each.
    #[must_use]
    pub fn new(store: Store, capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self { store, keys: Arc::new(Cache::new(capacity)), entries: Arc::new(Cache::new(capacity)) }
    }

    /// A customer by its id; `None` if it has no participation.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn get(&self, id: &CustomerId) -> Result<Option<Arc<CustomerEntry>>, StoreError> {
        // The key of an id changes only when the customer was erased and comes again.
        if let Some(key) = self.keys.get(id) {
            if let Some(found) = self.get_by_key(key)? {
                return Ok(Some(found));
            }
            self.keys.remove(id);
        }
        let Some(key) = self.store.customer_key(id)? else { return Ok(None) };
        self.keys.insert(id.clone(), key);
        self.get_by_key(key)
    }

    /// A customer by its key; `None` if it has no participation.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn get_by_key(&self, key: CustomerKey) -> Result<Option<Arc<CustomerEntry>>, StoreError> {
        // Read before the row: a change in between makes the entry stale, never wrongly fresh.
        let stamp = self.store.stamp(key);
        let is_good = |found: &Arc<CustomerEntry>| {
            found.stamp == stamp && !(found.is_unsettled && self.settled().is_some())
        };
        if let Some(found) = self.entries.get(&key).filter(is_good) {
            return Ok(Some(found));
        }
        Metric::CustomerCacheMisses.add(&[], 1);
        let Some(Customer { key, change, salt, ratchet }) = self.store.customer_by_key(key)? else {
            self.entries.remove(&key);
            return Ok(None);
        };
        let secret = Arc::new(CustomerSecret::derive(&self.store.shared().data_root, &salt, ratchet, key));
        let id = &change.participation.customer;
        let mark = self.store.shared().data_root.mark(id);
        // What has its end behind it comes late no more: a clock that is ahead for a while lets nothing of it in, now or
        // later, for this outlives the wrong clock.
        let settled = self.settled();
        let erased = erased(&self.store, (key, &mark), settled)?;
        let now = settled.unwrap_or(UnixMillis(i64::MIN));
        let suppressed = Erased::suppressions(erased.iter(), &secret, now).map(Arc::new);
        let is_unsettled = settled.is_none() && !erased.is_empty();
        let erased = erased.into_iter().map(Erased::at_hand).collect();
        let entry = Arc::new(CustomerEntry { key, change, secret, erased, suppressed, stamp, is_unsettled });
        self.entries.insert(key, Arc::clone(&entry));
        Ok(Some(entry))
    }

    /// Lets go of what is derived from the secrets of a customer who was destroyed.
    pub fn forget(&self, id: &CustomerId, key: CustomerKey) {
        self.keys.remove(id);
        self.entries.remove(&key);
    }

    /// Forgets what is derived for every customer, so that no key that was ratcheted on stays in memory.
    pub fn forget_all(&self) {
        self.entries.clear();
    }

    /// The store behind it.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }
}
