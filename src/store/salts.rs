//! The family of salts: for each customer a salt and a ratchet, and bridges. Rows, lookups, and the changes that
//! the writer makes. What is destroyed here is gone for good once the family has been purged.
//!
//! A bridge lies behind all customers, so that bridges are found without a walk over the salts; no customer has
//! the key that it begins with.

use rocksdb::WriteBatch;
use zeroize::Zeroizing;

use super::bytes::Bytes;
use super::fault::StoreError;
use super::layout::SALTS;
use super::rocks::{Db, between};
use crate::model::{CustomerKey, UnixMillis};
use crate::sanitize::{CustomerSalt, EpochSeed, Ratchet};

const VERSION: u8 = 1;
/// Of a ratchet that has a state of earlier epochs, too, which follows.
const WITH_EARLY: u8 = 2;
const RATCHET: u8 = b'r';
/// What the key of every bridge begins with.
pub(super) const BRIDGES: [u8; 8] = [0xff; 8];
/// Ratchets that are read at once.
const CHUNK: usize = 1_000;
const DAMAGED: StoreError = StoreError::Damaged { what: "a row of the family of salts" };

/// The keys of one older epoch of one customer, kept for longer than the ratchet keeps them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// The customer.
    pub customer: CustomerKey,
    /// The epoch that it opens; no other one.
    pub epoch: u32,
    /// What its keys are derived from.
    pub seed: EpochSeed,
    /// When it was made.
    pub made: UnixMillis,
    /// When it ends.
    pub until: UnixMillis,
    /// Who asked for it: at most 255 bytes.
    pub by: String,
    /// Why: at most 512 bytes.
    pub reason: String,
}

/// A change of the keys of a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyOp {
    /// Moves the ratchet of a customer, if it still has keys and its ratchet does not stand further already.
    Ratchet {
        /// The customer.
        customer: CustomerKey,
        /// Where it stands from then on.
        to: Ratchet,
    },
    /// Gives the ratchet of a customer a state of earlier epochs, if it still stands where it stood and has none.
    Reach {
        /// The customer.
        customer: CustomerKey,
        /// The ratchet with that state.
        to: Ratchet,
    },
    /// Keeps a bridge, if its customer still has keys.
    Bridge(Bridge),
    /// Erases a bridge.
    EraseBridge {
        /// The customer.
        customer: CustomerKey,
        /// The epoch.
        epoch: u32,
    },
}

impl KeyOp {
    /// The customer whose keys it changes.
    pub(super) const fn customer(&self) -> CustomerKey {
        match self {
            Self::Ratchet { customer, .. }
            | Self::Reach { customer, .. }
            | Self::EraseBridge { customer, .. } => *customer,
            Self::Bridge(bridge) => bridge.customer,
        }
    }
}

fn ratchet_key(customer: CustomerKey) -> [u8; 9] {
    let mut key = [RATCHET; 9];
    let (number, _) = key.split_at_mut(8);
    number.copy_from_slice(&customer.0.to_be_bytes());
    key
}

fn bridge_key(customer: CustomerKey, epoch: u32) -> [u8; 20] {
    let mut key = [0xff; 20];
    let (_, rest) = key.split_at_mut(BRIDGES.len());
    let (first, second) = rest.split_at_mut(8);
    first.copy_from_slice(&customer.0.to_be_bytes());
    second.copy_from_slice(&epoch.to_be_bytes());
    key
}

fn get(db: &Db, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let family = db.cf_handle(SALTS).ok_or(DAMAGED)?;
    let row = db.get_cf(&family, key).map_err(StoreError::database("read the family of salts"))?;
    Ok(row.map(Zeroizing::new))
}

/// The salt and the ratchet of a customer; `None` if they are gone.
pub(super) fn of(db: &Db, customer: CustomerKey) -> Result<Option<(CustomerSalt, Ratchet)>, StoreError> {
    let Some(salt) = get(db, &customer.0.to_be_bytes())? else { return Ok(None) };
    let salt = salt.strip_prefix(&[VERSION]).and_then(|salt| salt.try_into().ok()).ok_or(DAMAGED)?;
    let ratchet = get(db, &ratchet_key(customer))?.ok_or(DAMAGED)?;
    Ok(Some((CustomerSalt::new(salt), decode_ratchet(&ratchet)?)))
}

/// Writes the keys of a new customer.
pub(super) fn make(
    db: &Db,
    batch: &mut WriteBatch,
    customer: CustomerKey,
    salt: &CustomerSalt,
    ratchet: &Ratchet,
) -> Result<(), StoreError> {
    let family = db.cf_handle(SALTS).ok_or(DAMAGED)?;
    let mut row = Zeroizing::new(Vec::with_capacity(33));
    row.push(VERSION);
    row.extend_from_slice(salt.expose());
    batch.put_cf(&family, customer.0.to_be_bytes(), row.as_slice());
    batch.put_cf(&family, ratchet_key(customer), encode_ratchet(ratchet).as_slice());
    Ok(())
}

fn encode_ratchet(ratchet: &Ratchet) -> Zeroizing<Vec<u8>> {
    let mut row = Zeroizing::new(Vec::with_capacity(73));
    row.push(if ratchet.expose_all().count() > 1 { WITH_EARLY } else { VERSION });
    for (epoch, state) in ratchet.expose_all() {
        row.extend_from_slice(&epoch.to_be_bytes());
        row.extend_from_slice(state);
    }
    row
}

fn decode_ratchet(row: &[u8]) -> Result<Ratchet, StoreError> {
    let (version, rest) = row.split_first().ok_or(DAMAGED)?;
    let mut input = Bytes(rest);
    let mut state = || Some((input.u32()?, input.array()?));
    let (epoch, main) = state().ok_or(DAMAGED)?;
    let main = Ratchet::new(epoch, main);
    let ratchet = match *version {
        VERSION => Some(main),
        WITH_EARLY => state().and_then(|(epoch, early)| main.reaching(epoch, early)),
        _ => None,
    };
    ratchet.filter(|_| input.0.is_empty()).ok_or(DAMAGED)
}

fn encode_bridge(bridge: &Bridge) -> Option<Zeroizing<Vec<u8>>> {
    let mut row = Zeroizing::new(Vec::with_capacity(64 + bridge.by.len() + bridge.reason.len()));
    row.push(VERSION);
    row.extend_from_slice(bridge.seed.expose());
    row.extend_from_slice(&bridge.made.0.to_be_bytes());
    row.extend_from_slice(&bridge.until.0.to_be_bytes());
    row.push(u8::try_from(bridge.by.len()).ok()?);
    row.extend_from_slice(bridge.by.as_bytes());
    row.extend_from_slice(bridge.reason.as_bytes());
    Some(row)
}

fn decode_bridge(key: &[u8], row: &[u8]) -> Option<Bridge> {
    let mut place = Bytes(key.strip_prefix(&BRIDGES)?);
    let (customer, epoch) = (CustomerKey(place.u64()?), place.u32()?);
    let mut input = Bytes(row.strip_prefix(&[VERSION])?);
    let seed = EpochSeed::new(input.array()?);
    let (made, until) = (UnixMillis(input.i64()?), UnixMillis(input.i64()?));
    let by = input.short_text()?.to_owned();
    let reason = std::str::from_utf8(input.0).ok()?.to_owned();
    place.0.is_empty().then_some(Bridge { customer, epoch, seed, made, until, by, reason })
}

/// A ratchet as it would be written again.
pub(super) fn ratchet_again(row: &[u8]) -> Option<Vec<u8>> {
    Some(encode_ratchet(&decode_ratchet(row).ok()?).to_vec())
}

/// A bridge as it would be written again.
pub(super) fn bridge_again(row: &[u8]) -> Option<Vec<u8>> {
    encode_bridge(&decode_bridge(&bridge_key(CustomerKey(7), 3), row)?).map(|row| row.to_vec())
}

/// The bridges of one customer, or of all, in the order of customers and epochs; at most `limit`.
pub(super) fn bridges(
    db: &Db,
    customer: Option<CustomerKey>,
    limit: usize,
) -> Result<Vec<Bridge>, StoreError> {
    let (lower, upper) = match customer {
        Some(customer) => bridges_of(customer),
        None => (BRIDGES.to_vec(), vec![0xff; 21]),
    };
    let family = db.cf_handle(SALTS).ok_or(DAMAGED)?;
    let mut rows = db.raw_iterator_cf_opt(&family, between(lower, upper));
    rows.seek_to_first();
    let mut found = Vec::new();
    while let Some((key, row)) = rows.item().filter(|_| found.len() < limit) {
        found.push(decode_bridge(key, row).ok_or(DAMAGED)?);
        rows.next();
    }
    rows.status().map_err(StoreError::database("read the bridges"))?;
    Ok(found)
}

/// The ratchets of customers after `after`, at most `limit`, in the order of their keys.
pub(super) fn ratchets(
    db: &Db,
    after: CustomerKey,
    limit: usize,
) -> Result<Vec<(CustomerKey, Ratchet)>, StoreError> {
    let family = db.cf_handle(SALTS).ok_or(DAMAGED)?;
    let lower = CustomerKey(after.0.saturating_add(1)).0.to_be_bytes().to_vec();
    let mut rows = db.raw_iterator_cf_opt(&family, between(lower, BRIDGES.to_vec()));
    rows.seek_to_first();
    let mut found = Vec::new();
    while let Some((key, row)) = rows.item().filter(|_| found.len() < limit) {
        if let Some((customer, [RATCHET])) = key.split_first_chunk::<8>() {
            found.push((CustomerKey(u64::from_be_bytes(*customer)), decode_ratchet(row)?));
        }
        rows.next();
    }
    rows.status().map_err(StoreError::database("read the ratchets"))?;
    Ok(found)
}

/// The oldest epoch that the ratchet of any customer gives; `None` if there is no customer. Reads a row of each.
pub(super) fn oldest_epoch(db: &Db) -> Result<Option<u32>, StoreError> {
    fold_epochs(db, |oldest, epoch| Some(oldest.map_or(epoch, |oldest: u32| oldest.min(epoch))))
}

/// The newest epoch at which the ratchet of any customer stands, of those up to `most`; `None` if there is none. Reads a
/// row of each.
pub(super) fn newest_epoch(db: &Db, most: u32) -> Result<Option<u32>, StoreError> {
    fold_epochs(db, |newest, epoch| if epoch <= most { newest.max(Some(epoch)) } else { newest })
}

fn fold_epochs(db: &Db, with: impl Fn(Option<u32>, u32) -> Option<u32>) -> Result<Option<u32>, StoreError> {
    let (mut found, mut after) = (None, CustomerKey(0));
    loop {
        let chunk = ratchets(db, after, CHUNK)?;
        let Some((last, _)) = chunk.last() else { return Ok(found) };
        after = *last;
        found = chunk.iter().map(|(_, ratchet)| ratchet.epoch()).fold(found, &with);
    }
}

/// What has to be known of the store before a change is written: whether it is to be made at all.
pub(super) fn applies(db: &Db, op: &KeyOp) -> Result<bool, StoreError> {
    match op {
        KeyOp::Ratchet { customer, to } => {
            Ok(of(db, *customer)?.is_some_and(|(_, present)| present.epoch() < to.epoch()))
        }
        KeyOp::Reach { customer, to } => {
            Ok(of(db, *customer)?.is_some_and(|(_, present)| to.extends(&present)))
        }
        KeyOp::Bridge(bridge) => Ok(get(db, &bridge.customer.0.to_be_bytes())?.is_some()),
        KeyOp::EraseBridge { .. } => Ok(true),
    }
}

/// Writes a change that applies into `batch`.
pub(super) fn apply(db: &Db, batch: &mut WriteBatch, op: &KeyOp) {
    let Some(family) = db.cf_handle(SALTS) else { return };
    match op {
        KeyOp::Ratchet { customer, to } | KeyOp::Reach { customer, to } => {
            batch.put_cf(&family, ratchet_key(*customer), encode_ratchet(to).as_slice());
        }
        KeyOp::Bridge(bridge) => {
            if let Some(row) = encode_bridge(bridge) {
                batch.put_cf(&family, bridge_key(bridge.customer, bridge.epoch), row.as_slice());
            }
        }
        KeyOp::EraseBridge { customer, epoch } => batch.delete_cf(&family, bridge_key(*customer, *epoch)),
    }
}

/// Destroys everything that keys of a customer are derived from: salt, ratchet and bridges.
pub(super) fn destroy(db: &Db, batch: &mut WriteBatch, customer: CustomerKey) -> Result<(), StoreError> {
    let family = db.cf_handle(SALTS).ok_or(DAMAGED)?;
    let (from, to) = bridges_of(customer);
    batch.delete_cf(&family, customer.0.to_be_bytes());
    batch.delete_cf(&family, ratchet_key(customer));
    batch.delete_range_cf(&family, from, to);
    Ok(())
}

/// The bounds of the salt and the ratchet of a customer, both of which are rows.
pub(super) fn own_of(customer: CustomerKey) -> (Vec<u8>, Vec<u8>) {
    (customer.0.to_be_bytes().to_vec(), ratchet_key(customer).to_vec())
}

/// The bounds of the bridges of a customer.
pub(super) fn bridges_of(customer: CustomerKey) -> (Vec<u8>, Vec<u8>) {
    let bound = |customer| bridge_key(customer, 0).to_vec();
    (bound(customer), bound(CustomerKey(customer.0.saturating_add(1))))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn rows_read_back_and_others_are_refused() {
        let ratchet = Ratchet::new(7, [9; 32]);
        assert_eq!(decode_ratchet(&encode_ratchet(&ratchet)).unwrap(), ratchet);
        assert!(decode_ratchet(&[1; 36]).is_err() && decode_ratchet(&[2; 37]).is_err());
        let bridge = Bridge {
            customer: CustomerKey(258),
            epoch: 5,
            seed: EpochSeed::new([3; 32]),
            made: UnixMillis(1),
            until: UnixMillis(-2),
            by: "ann".to_owned(),
            reason: "ticket 4711".to_owned(),
        };
        let (key, row) = (bridge_key(bridge.customer, 5), encode_bridge(&bridge).unwrap());
        assert_eq!(decode_bridge(&key, &row), Some(bridge));
        assert_eq!(decode_bridge(&key, row.get(..48).unwrap()), None);
        assert!(ratchet_key(CustomerKey(u64::MAX - 1)).as_slice() < BRIDGES.as_slice());
    }

    #[test]
    fn a_ratchet_comes_back_from_its_row_with_the_state_of_earlier_epochs() {
        let main = Ratchet::new(9, [3; 32]);
        for ratchet in [main.clone(), main.reaching(4, [5; 32]).unwrap()] {
            let row = encode_ratchet(&ratchet);
            assert_eq!(decode_ratchet(&row).unwrap(), ratchet);
            for cut in 0..row.len() {
                assert!(decode_ratchet(row.get(..cut).unwrap()).is_err(), "{cut}");
            }
        }
        let mut later = encode_ratchet(&main.reaching(4, [5; 32]).unwrap());
        later.get_mut(37..41).unwrap().copy_from_slice(&9_u32.to_be_bytes());
        assert!(decode_ratchet(&later).is_err(), "an earlier state that is none");
        later.get_mut(..1).unwrap().copy_from_slice(&[3]);
        assert!(decode_ratchet(&later).is_err(), "another version");
    }

    #[test]
    fn nothing_of_a_key_is_shown() {
        let op = KeyOp::Ratchet { customer: CustomerKey(1), to: Ratchet::new(7, [0xab; 32]) };
        let shown = format!("{op:?} {:?}", EpochSeed::new([0xab; 32]));
        assert!(!shown.contains("171") && !shown.contains("ab"), "{shown}");
    }
}
