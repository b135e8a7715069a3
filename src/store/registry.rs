//! Customers: their key, their salt, what they chose now and ever. Rows and lookups; the writer
//! thread makes the changes.

use std::collections::{HashMap, HashSet};

use rand::TryRng;
use rand::rngs::SysRng;
use rocksdb::WriteBatch;
use zeroize::Zeroizing;

use super::fault::{SetError, StoreError};
use super::layout::{CHANGES, CUSTOMERS, IDS, IDS_ENDS, RegistryRow};
use super::rocks::{Db, between};
use super::salts;
use crate::model::{Change, CustomerId, CustomerKey, Participation, UnixMillis};
use crate::sanitize::{CustomerSalt, Ratchet};

const VERSION: u8 = 1;
/// The longest name of who asked for a change, in bytes.
const BY_BYTES: usize = 256;
/// The longest reason, in bytes.
const REASON_BYTES: usize = 1024;

/// A change that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChange {
    /// The participation after it.
    pub participation: Participation,
    /// Who asks for it: at most 256 bytes.
    pub by: String,
    /// Why: at most 1,024 bytes.
    pub reason: String,
    /// The revision that it was made from (0: none yet); the change is refused if there is another one by now.
    pub if_revision: Option<u64>,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetOutcome {
    /// What holds now.
    pub change: Change,
    /// Whether it is new. The same participation again makes no new revision.
    pub changed: bool,
    /// The customer's key.
    pub key: CustomerKey,
}

/// A customer as the store knows it.
#[derive(Debug, Clone)]
pub struct Customer {
    /// The collector's own number for it.
    pub key: CustomerKey,
    /// What it chose, and when.
    pub change: Change,
    /// Its salt.
    pub salt: CustomerSalt,
    /// Its ratchet.
    pub ratchet: Ratchet,
}

/// The family of ids. It is written to through [`put_id`] and [`delete_id`] only.
fn end_ids(db: &Db, batch: &mut WriteBatch) -> Option<()> {
    let ids = db.cf_handle(IDS)?;
    for end in IDS_ENDS {
        batch.put_cf(&ids, end, []);
    }
    Some(())
}

fn put_id(db: &Db, batch: &mut WriteBatch, id: &CustomerId, key: CustomerKey) -> Option<()> {
    batch.put_cf(&db.cf_handle(IDS)?, id.as_str(), key.0.to_be_bytes());
    end_ids(db, batch)
}

fn delete_id(db: &Db, batch: &mut WriteBatch, id: &CustomerId) -> Option<()> {
    batch.delete_cf(&db.cf_handle(IDS)?, id.as_str());
    end_ids(db, batch)
}

pub(super) fn change_key(key: CustomerKey, revision: u64) -> Vec<u8> {
    let mut full = key.0.to_be_bytes().to_vec();
    full.extend_from_slice(&revision.to_be_bytes());
    full
}

fn encode(change: &Change) -> Result<Vec<u8>, StoreError> {
    let mut row = vec![VERSION];
    serde_json::to_writer(&mut row, change).map_err(|_| DAMAGED)?;
    Ok(row)
}

const DAMAGED: StoreError = StoreError::Damaged { what: "a row of the customer registry" };

pub(super) fn decode(row: &[u8]) -> Result<Change, StoreError> {
    let json = row.strip_prefix(&[VERSION]).ok_or(DAMAGED)?;
    serde_json::from_slice(json).map_err(|_| DAMAGED)
}

/// A row as it would be written again.
pub(super) fn again(row: &[u8]) -> Option<Vec<u8>> {
    encode(&decode(row).ok()?).ok()
}

fn get(db: &Db, family: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    let family = db.cf_handle(family).ok_or(DAMAGED)?;
    db.get_cf(&family, key).map_err(StoreError::database("read the customer registry"))
}

/// The key of a customer.
pub(super) fn key_of(db: &Db, id: &CustomerId) -> Result<Option<CustomerKey>, StoreError> {
    let row = get(db, IDS, id.as_str().as_bytes())?;
    row.map(|row| Ok(CustomerKey(u64::from_be_bytes(row.try_into().map_err(|_| DAMAGED)?)))).transpose()
}

/// What a customer chose.
pub(super) fn present(db: &Db, key: CustomerKey) -> Result<Option<Change>, StoreError> {
    get(db, CUSTOMERS, &key.0.to_be_bytes())?.map(|row| decode(&row)).transpose()
}

/// A customer with its salt; `None` if it has no participation or its salt is gone.
pub(super) fn customer(db: &Db, key: CustomerKey) -> Result<Option<Customer>, StoreError> {
    let Some(change) = present(db, key)? else { return Ok(None) };
    let keys = salts::of(db, key)?;
    Ok(keys.map(|(salt, ratchet)| Customer { key, change, salt, ratchet }))
}

/// Customers in the order of their ids, after `after`.
pub(super) fn list(db: &Db, after: Option<&CustomerId>, limit: usize) -> Result<Vec<Change>, StoreError> {
    let [before, behind] = IDS_ENDS;
    let mut lower = after.map_or_else(|| before.to_vec(), |id| id.as_str().as_bytes().to_vec());
    lower.push(0);
    let family = db.cf_handle(IDS).ok_or(DAMAGED)?;
    let mut rows = db.raw_iterator_cf_opt(&family, between(lower, behind.to_vec()));
    rows.seek_to_first();
    let mut found = Vec::new();
    while let Some(row) = rows.value().filter(|_| found.len() < limit) {
        let key = CustomerKey(u64::from_be_bytes(row.try_into().map_err(|_| DAMAGED)?));
        found.push(present(db, key)?.ok_or(DAMAGED)?);
        rows.next();
    }
    rows.status().map_err(StoreError::database("list customers"))?;
    Ok(found)
}

/// The changes of a customer below `before`, newest first.
pub(super) fn history(
    db: &Db,
    key: CustomerKey,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<Change>, StoreError> {
    let family = db.cf_handle(CHANGES).ok_or(DAMAGED)?;
    let bounds = between(change_key(key, 0), change_key(key, before.unwrap_or(u64::MAX)));
    let mut rows = db.raw_iterator_cf_opt(&family, bounds);
    rows.seek_to_last();
    let mut found = Vec::new();
    while let Some(row) = rows.value().filter(|_| found.len() < limit) {
        found.push(decode(row)?);
        rows.prev();
    }
    rows.status().map_err(StoreError::database("read the history of a customer"))?;
    Ok(found)
}

/// What a change makes of the present state: the new revision, or `None` if nothing changes. Pure.
fn revise(present: Option<&Change>, new: &NewChange, now: UnixMillis) -> Result<Option<Change>, SetError> {
    let revision = present.map_or(0, |change| change.revision);
    for (what, text, most) in [("by", &new.by, BY_BYTES), ("reason", &new.reason, REASON_BYTES)] {
        if text.len() > most {
            return Err(SetError::TooLong { what, most });
        }
    }
    if let Some(expected) = new.if_revision.filter(|expected| *expected != revision) {
        return Err(SetError::Revision { expected, present: revision });
    }
    if present.is_some_and(|change| change.participation == new.participation) {
        return Ok(None);
    }
    Ok(Some(Change {
        participation: new.participation.clone(),
        revision: revision + 1,
        by: new.by.clone(),
        reason: new.reason.clone(),
        at: now,
    }))
}

/// A random salt, and a ratchet that stands at `epoch`.
fn new_keys(epoch: u32) -> Result<(CustomerSalt, Ratchet), StoreError> {
    let mut random = Zeroizing::new([[0; 32]; 2]);
    SysRng.try_fill_bytes(random.as_flattened_mut()).map_err(|_| StoreError::Entropy)?;
    let [salt, state] = *random;
    Ok((CustomerSalt::new(salt), Ratchet::new(epoch, state)))
}

/// Changes of one group, on top of what is stored.
#[derive(Debug)]
pub(super) struct Revisions {
    /// The counters after them.
    pub(super) row: RegistryRow,
    /// Customers that changed.
    pub(super) touched: HashSet<CustomerKey>,
    /// What changed, in order: before and after.
    pub(super) news: Vec<(Option<Change>, Change, CustomerKey)>,
    changed: HashMap<CustomerId, (CustomerKey, Change)>,
    /// Customers whose rows are taken away.
    destroyed: HashSet<CustomerKey>,
}

impl Revisions {
    pub(super) fn new(row: RegistryRow) -> Self {
        let (touched, destroyed) = (HashSet::new(), HashSet::new());
        Self { row, touched, news: Vec::new(), changed: HashMap::new(), destroyed }
    }

    /// Takes every row of a customer away: its secrets, its id, what it chose now and ever. Gives what it chose
    /// last, or `None` if there was no such customer. Its key is never used again.
    pub(super) fn destroy(
        &mut self,
        db: &Db,
        batch: &mut WriteBatch,
        key: CustomerKey,
    ) -> Result<Option<Change>, StoreError> {
        if self.destroyed.contains(&key) {
            return Ok(None);
        }
        let here = self.changed.values().find(|(changed, _)| *changed == key);
        let change = match here {
            Some((_, change)) => Some(change.clone()),
            None => present(db, key)?,
        };
        let families = (db.cf_handle(CUSTOMERS), db.cf_handle(CHANGES));
        let (Some(customers), Some(changes)) = families else { return Err(DAMAGED) };
        salts::destroy(db, batch, key)?;
        if let Some(change) = &change {
            let id = &change.participation.customer;
            delete_id(db, batch, id).ok_or(DAMAGED)?;
            self.changed.remove(id);
            self.row.customers = self.row.customers.saturating_sub(1);
        }
        batch.delete_cf(&customers, key.0.to_be_bytes());
        // Purging takes these marks away again: they do not pile up.
        batch.delete_range_cf(&changes, change_key(key, 0), change_key(CustomerKey(key.0 + 1), 0));
        self.touched.insert(key);
        self.destroyed.insert(key);
        Ok(change)
    }

    /// Whether the customer's rows are taken away by this group.
    pub(super) fn is_destroyed(&self, key: CustomerKey) -> bool {
        self.destroyed.contains(&key)
    }

    /// Applies one change: writes its rows into `batch`. A customer that is seen for the first time gets
    /// a key, a salt and a ratchet that stands at `epoch`.
    pub(super) fn apply(
        &mut self,
        db: &Db,
        batch: &mut WriteBatch,
        new: &NewChange,
        (now, epoch): (UnixMillis, u32),
    ) -> Result<Result<SetOutcome, SetError>, StoreError> {
        let id = &new.participation.customer;
        let known = match self.changed.get(id) {
            Some((key, change)) => Some((*key, Some(change.clone()))),
            None => match key_of(db, id)?.filter(|key| !self.destroyed.contains(key)) {
                Some(key) => Some((key, present(db, key)?)),
                None => None,
            },
        };
        let (key, present) = known.map_or((None, None), |(key, change)| (Some(key), change));
        let change = match revise(present.as_ref(), new, now) {
            Err(error) => return Ok(Err(error)),
            Ok(None) => match (key, present) {
                (Some(key), Some(change)) => return Ok(Ok(SetOutcome { change, changed: false, key })),
                (_, _) => return Ok(Err(SetError::Damaged)),
            },
            Ok(Some(change)) => change,
        };
        let families = (db.cf_handle(CUSTOMERS), db.cf_handle(CHANGES));
        let (Some(customers), Some(changes)) = families else { return Err(DAMAGED) };
        // Whatever can fail comes before the first row.
        let row = encode(&change)?;
        let key = if let Some(key) = key {
            key
        } else {
            let key = self.row.next;
            let (salt, ratchet) = new_keys(epoch)?;
            salts::make(db, batch, key, &salt, &ratchet)?;
            put_id(db, batch, id, key).ok_or(DAMAGED)?;
            self.row = RegistryRow { next: CustomerKey(key.0 + 1), customers: self.row.customers + 1 };
            key
        };
        batch.put_cf(&customers, key.0.to_be_bytes(), &row);
        batch.put_cf(&changes, change_key(key, change.revision), &row);
        self.touched.insert(key);
        self.news.push((present, change.clone(), key));
        self.changed.insert(id.clone(), (key, change.clone()));
        Ok(Ok(SetOutcome { change, changed: true, key }))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::model::Delivery;

    fn new(delivery: Delivery, if_revision: Option<u64>) -> NewChange {
        let customer = CustomerId::new("acme").unwrap();
        let participation = Participation { delivery, ..Participation::none(customer) };
        NewChange { participation, by: "ops".into(), reason: "asked".into(), if_revision }
    }

    #[test]
    fn a_change_makes_one_revision_and_the_same_again_makes_none() {
        let now = UnixMillis(5);
        let first = revise(None, &new(Delivery::Deliver, None), now).unwrap().unwrap();
        assert_eq!((first.revision, first.at), (1, now));
        assert_eq!(revise(Some(&first), &new(Delivery::Deliver, None), now), Ok(None));
        let second = revise(Some(&first), &new(Delivery::Paused, Some(1)), now).unwrap().unwrap();
        assert_eq!(second.revision, 2);
    }

    #[test]
    fn a_change_from_another_revision_or_with_a_long_text_is_refused() {
        let now = UnixMillis(5);
        let first = revise(None, &new(Delivery::Deliver, Some(0)), now).unwrap().unwrap();
        let expected = Err(SetError::Revision { expected: 0, present: 1 });
        assert_eq!(revise(Some(&first), &new(Delivery::Paused, Some(0)), now), expected);
        let long = NewChange { by: "x".repeat(257), ..new(Delivery::Paused, None) };
        assert_eq!(revise(None, &long, now), Err(SetError::TooLong { what: "by", most: 256 }));
    }
}
