//! A backup that is joined with personal rows, before it is a store: what of it the ledger was told since is taken out,
//! and what it does not know is put in.

use std::collections::HashMap;

use rocksdb::WriteBatch;

use super::backup_error::BackupError;
use super::collected::CollectedKey;
use super::directory::Directory;
use super::layout::{
    COLLECTED_BOUNDS, Head, KEY_HEAD, KEY_OUTBOX, KEY_REGISTRY, META, OutboxRow, RegistryRow, collected_key,
    collected_number,
};
use super::meta::{MetaRow, MetaTable};
use super::restore::{Joined, Restore};
use super::rocks::{Db, between, write_options};
use super::sums::read_sum;
use crate::model::{CommitNumber, CustomerKey, UnixMillis};

/// Changes in one write.
const GROUP: usize = 1_024;

/// The joint of a backup and personal rows. Made by [`super::restore()`].
pub struct Joint<'r> {
    pub(super) restore: &'r Restore<'r>,
    pub(super) directory: Directory,
    pub(super) db: Db,
    pub(super) joined: Joined,
    head: CommitNumber,
    /// As the backup has it.
    outbox: OutboxRow,
    registry: RegistryRow,
    batch: WriteBatch,
    /// Rows in the batch that may change again.
    changed: HashMap<Vec<u8>, Vec<u8>>,
}

impl std::fmt::Debug for Joint<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joint").field("head", &self.head).finish_non_exhaustive()
    }
}

impl<'r> Joint<'r> {
    pub(super) fn new(
        restore: &'r Restore<'r>,
        directory: Directory,
        db: Db,
        joined: Joined,
    ) -> Result<Self, BackupError> {
        let meta = db.cf_handle(META).ok_or(BackupError::Damaged)?;
        let head = db.get_cf(&meta, KEY_HEAD)?.map_or(Some(Head::default()), |row| Head::decode(&row));
        let outbox =
            db.get_cf(&meta, KEY_OUTBOX)?.map_or(Some(OutboxRow::START), |row| OutboxRow::decode(&row));
        let registry = db.get_cf(&meta, KEY_REGISTRY)?;
        let registry = registry.map_or(Some(RegistryRow::START), |row| RegistryRow::decode(&row));
        let (Some(head), Some(outbox), Some(registry)) = (head, outbox, registry) else {
            return Err(BackupError::Damaged);
        };
        let (head, batch) = (CommitNumber(head.commit), WriteBatch::default());
        drop(meta);
        let changed = HashMap::new();
        Ok(Self { restore, directory, db, joined, head, outbox, registry, batch, changed })
    }

    /// The last commit of the backup.
    #[must_use]
    pub const fn head(&self) -> CommitNumber {
        self.head
    }

    /// The number that the first entry for the ledger after the backup had: entries from it on tell of what came after.
    #[must_use]
    pub const fn next_entry(&self) -> u64 {
        self.outbox.next
    }

    /// A number that every customer of before the restore is below: those who come later get greater ones.
    #[must_use]
    pub fn customers_below(&self) -> CustomerKey {
        // Microseconds grow faster than customers come: see `leap`.
        let now = u64::try_from(self.restore.now.0).unwrap_or(0).saturating_mul(1_000);
        self.registry.next.max(CustomerKey(now))
    }

    /// The sums of what came in that the ledger had not been told of when the backup was made: what each is of and since
    /// when, with its number.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn sums(&self) -> Result<HashMap<(CollectedKey, UnixMillis), u64>, BackupError> {
        let meta = self.db.cf_handle(META).ok_or(BackupError::Damaged)?;
        let (lower, upper) = COLLECTED_BOUNDS;
        let mut rows = self.db.raw_iterator_cf_opt(&meta, between(lower.to_vec(), upper.to_vec()));
        rows.seek_to_first();
        let mut sums = HashMap::new();
        while let Some((key, row)) = rows.item() {
            let number = collected_number(key).ok_or(BackupError::Damaged)?;
            sums.insert(read_sum(row).ok_or(BackupError::Damaged)?, number);
            rows.next();
        }
        rows.status()?;
        Ok(sums)
    }

    /// Takes a sum out: the ledger was told of it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn forget_sum(&mut self, number: u64) -> Result<(), BackupError> {
        let meta = self.db.cf_handle(META).ok_or(BackupError::Damaged)?;
        self.batch.delete_cf(&meta, collected_key(number));
        drop(meta);
        self.write(false)
    }

    /// The rows of a table that is known to be small.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn rows(&self, table: MetaTable) -> Result<Vec<MetaRow>, BackupError> {
        let meta = self.db.cf_handle(META).ok_or(BackupError::Damaged)?;
        let (lower, upper) = table.bounds();
        let mut rows = self.db.raw_iterator_cf_opt(&meta, between(lower.to_vec(), upper.to_vec()));
        rows.seek_to_first();
        let mut found = Vec::new();
        while let Some((key, row)) = rows.item() {
            found.push((key.get(1..).unwrap_or_default().to_vec(), row.to_vec()));
            rows.next();
        }
        rows.status()?;
        Ok(found)
    }

    /// Changes a row, from what it is to what it is to be; nothing leaves it as it is.
    ///
    /// # Errors
    /// If it cannot be read or written, or `change` fails.
    pub fn change(
        &mut self,
        table: MetaTable,
        key: &[u8],
        change: impl FnOnce(Option<&[u8]>) -> Result<Option<Vec<u8>>, BackupError>,
    ) -> Result<(), BackupError> {
        let (meta, key) = (self.db.cf_handle(META).ok_or(BackupError::Damaged)?, table.key(key));
        let changed = match self.changed.get(&key) {
            Some(row) => change(Some(row))?,
            None => change(self.db.get_pinned_cf(&meta, &key)?.as_deref())?,
        };
        if let Some(row) = changed {
            self.batch.put_cf(&meta, &key, &row);
            self.changed.insert(key, row);
        }
        drop(meta);
        self.write(false)
    }

    /// Takes a row out.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn remove(&mut self, table: MetaTable, key: &[u8]) -> Result<(), BackupError> {
        let meta = self.db.cf_handle(META).ok_or(BackupError::Damaged)?;
        self.batch.delete_cf(&meta, table.key(key));
        drop(meta);
        self.write(false)
    }

    /// Writes what is gathered: some of it when there is much, all of it in the end.
    pub(super) fn write(&mut self, is_end: bool) -> Result<(), BackupError> {
        if !is_end && self.batch.len() < GROUP {
            return Ok(());
        }
        self.changed.clear();
        Ok(self.db.write_opt(std::mem::take(&mut self.batch), &write_options(is_end))?)
    }
}
