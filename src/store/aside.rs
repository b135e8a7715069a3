//! Damaged records, copied out of the queue so that they can be looked at and are counted once.

use std::collections::BTreeSet;

use rocksdb::WriteBatch;

use super::layout::{ASIDE, row};
use super::reader::Damage;
use super::rocks::{Db, between};
use crate::model::UnixMillis;

/// The longest copy of a damaged record, in bytes; of a longer one the beginning is kept.
const COPY: usize = 256 * 1024;
/// Commits that are remembered as damaged while the store is open.
pub(super) const REMEMBERED: usize = 65_536;

/// Writes the row of a damaged record.
pub(super) fn put(db: &Db, batch: &mut WriteBatch, damage: &Damage, now: UnixMillis) -> bool {
    let Some(family) = db.cf_handle(ASIDE) else { return false };
    let copy = damage.bytes.get(..damage.bytes.len().min(COPY)).unwrap_or_default();
    let value = row(|out| {
        out.push(damage.fault.code());
        out.extend_from_slice(&now.0.to_be_bytes());
        out.extend_from_slice(copy);
    });
    batch.put_cf(&family, damage.commit.to_be_bytes(), value);
    true
}

/// Forgets the rows below `oldest`: their segments are gone.
pub(super) fn forget(db: &Db, batch: &mut WriteBatch, known: &BTreeSet<u64>, oldest: u64) {
    if let Some(family) = db.cf_handle(ASIDE) {
        for commit in known.range(..oldest) {
            batch.delete_cf(&family, commit.to_be_bytes());
        }
    }
}

/// The commits of all rows, at most [`REMEMBERED`], and how many rows there are.
pub(super) fn load(db: &Db) -> Result<BTreeSet<u64>, rocksdb::Error> {
    let mut known = BTreeSet::new();
    let Some(family) = db.cf_handle(ASIDE) else { return Ok(known) };
    let mut rows = db.raw_iterator_cf_opt(&family, between(vec![0; 8], vec![0xff; 9]));
    rows.seek_to_first();
    while let Some(key) = rows.key().filter(|_| known.len() < REMEMBERED) {
        known.extend(key.try_into().map(u64::from_be_bytes));
        rows.next();
    }
    rows.status()?;
    Ok(known)
}
