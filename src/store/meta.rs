//! Rows of the metadata family that belong to other rooms: their tables, and how they are read.

use super::Store;
use super::command::{Command, MetaOp};
use super::fault::StoreError;
use super::layout::META;
use super::rocks::between;

/// Tables of rows that belong to other rooms. Their keys and values are opaque here. A key must not say who a
/// customer is: `RocksDB` copies some keys into its manifest, where nothing erases them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetaTable {
    /// One row for each subscription.
    Subscriptions,
    /// Leases and what comes with them.
    Leases,
    /// Dead letters.
    Dead,
    /// One cursor for each subscription.
    Cursors,
    /// What must not be stored again after an erasure, and until when.
    Suppressions,
    /// Erasures that were asked for, and how far each has come.
    Erasures,
    /// Which subscription received data of which customer. May have millions of rows.
    Received,
    /// Sums for the ledger.
    Totals,
    /// Changes of levels that are being brought into effect on disk.
    Bindings,
    /// What drainers are to delete.
    Notices,
    /// That the store was restored, until what was erased since the backup is erased again.
    Restored,
    /// Bearer tokens, by their ids: hashes and what they allow.
    Tokens,
}

impl MetaTable {
    const fn tag(self) -> u8 {
        match self {
            Self::Subscriptions => 0x10,
            Self::Leases => 0x11,
            Self::Dead => 0x12,
            Self::Cursors => 0x13,
            Self::Suppressions => 0x14,
            Self::Erasures => 0x15,
            Self::Received => 0x16,
            Self::Totals => 0x17,
            Self::Bindings => 0x18,
            Self::Notices => 0x19,
            Self::Restored => 0x1f,
            Self::Tokens => 0x1a,
        }
    }

    /// The key of a row in the metadata family.
    pub(super) fn key(self, key: &[u8]) -> Vec<u8> {
        let mut full = Vec::with_capacity(key.len() + 1);
        full.push(self.tag());
        full.extend_from_slice(key);
        full
    }

    /// The bounds of all its rows.
    pub(super) const fn bounds(self) -> ([u8; 1], [u8; 1]) {
        ([self.tag()], [self.tag() + 1])
    }

    /// The bounds of its rows whose keys begin with `prefix`.
    pub(super) fn prefixed(self, prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let lower = self.key(prefix);
        let upper = after_prefix(&lower);
        (lower, upper)
    }
}

/// The first key that does not begin with `prefix` and comes after all that do. The prefix does not consist of
/// `FF` alone: its first byte is a tag.
pub(super) fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let kept = prefix.iter().rposition(|byte| *byte < 0xff).map_or(0, |at| at + 1);
    let mut upper = prefix.get(..kept).unwrap_or_default().to_vec();
    if let Some(last) = upper.last_mut() {
        *last += 1;
    }
    upper
}

/// The key and the value of a metadata row.
pub type MetaRow = (Vec<u8>, Vec<u8>);

const FAMILY: StoreError = StoreError::Damaged { what: "the metadata family" };
const READ: &str = "read metadata";

impl Store {
    /// Changes metadata rows: all of them or none, in order. With `durable`, and with an entry for the ledger, it
    /// answers after a sync; without, a power cut may take the change back, a crash of the process does not.
    ///
    /// # Errors
    /// If the store cannot be written, or too many entries wait for the ledger.
    pub async fn write_meta(&self, ops: Vec<MetaOp>, durable: bool) -> Result<(), StoreError> {
        self.ask(|reply| Command::Meta { ops, durable, reply }).await?
    }

    /// All rows of a table, in the order of their keys: for tables that are known to be small.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn load_meta(&self, table: MetaTable) -> Result<Vec<MetaRow>, StoreError> {
        self.scan_meta(table, &[], None, usize::MAX)
    }

    /// One row of a table.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn meta(&self, table: MetaTable, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let db = &self.shared().db;
        let meta = db.cf_handle(META).ok_or(FAMILY)?;
        db.get_cf(&meta, table.key(key)).map_err(StoreError::database(READ))
    }

    /// The first row of a table whose key is `from` or comes after it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn meta_from(&self, table: MetaTable, from: &[u8]) -> Result<Option<MetaRow>, StoreError> {
        let db = &self.shared().db;
        let meta = db.cf_handle(META).ok_or(FAMILY)?;
        let mut rows = db.raw_iterator_cf_opt(&meta, between(table.key(from), table.bounds().1.to_vec()));
        rows.seek_to_first();
        let found =
            rows.item().map(|(key, value)| (key.get(1..).unwrap_or_default().to_vec(), value.to_vec()));
        rows.status().map_err(StoreError::database(READ))?;
        Ok(found)
    }

    /// The rows of a table whose keys begin with `prefix`, in the order of their keys: at most `limit`, those
    /// after the key `after` only.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn scan_meta(
        &self,
        table: MetaTable,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<MetaRow>, StoreError> {
        let db = &self.shared().db;
        let meta = db.cf_handle(META).ok_or(FAMILY)?;
        let (lower, upper) = table.prefixed(prefix);
        let next = after.map(|after| {
            let mut next = table.key(after);
            next.push(0);
            next
        });
        let lower = next.map_or_else(|| lower.clone(), |next| next.max(lower.clone()));
        let mut found = Vec::new();
        if lower >= upper {
            return Ok(found);
        }
        let mut rows = db.raw_iterator_cf_opt(&meta, between(lower, upper));
        rows.seek_to_first();
        while let Some((key, value)) = rows.item().filter(|_| found.len() < limit) {
            found.push((key.get(1..).unwrap_or_default().to_vec(), value.to_vec()));
            rows.next();
        }
        rows.status().map_err(StoreError::database(READ))?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_of_a_prefix_hold_all_keys_that_begin_with_it_and_no_other() {
        let table = [
            (&[0x16_u8][..], &[0x17_u8][..]),
            (&[0x16, 5], &[0x16, 6]),
            (&[0x16, 5, 0xff], &[0x16, 6]),
            (&[0x16, 0xff, 0xff], &[0x17]),
        ];
        for (prefix, upper) in table {
            assert_eq!(after_prefix(prefix), upper, "{prefix:?}");
        }
    }
}
