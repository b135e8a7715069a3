//! The bare cost of appending: the same bytes, the same RocksDB options, synced groups, and nothing
//! else. `usaged load` measures it beside the real thing.

use std::path::Path;

use rocksdb::WriteBatch;

use super::fault::{DatabaseFault, OpenError};
use super::layout::segment_family;
use super::record::SealedRecord;
use super::rocks::{Db, Recovery, Setup, write_options};

/// An empty database to append to.
pub struct Floor {
    db: Db,
    next: u64,
}

impl Floor {
    /// Makes a database in the empty directory `dir`.
    ///
    /// # Errors
    /// If RocksDB cannot.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let failure = |source: DatabaseFault| OpenError::Database { path: dir.to_owned(), source };
        let setup = Setup::new();
        let options = Setup::database(true, Recovery::Strict).map_err(failure)?;
        let families = setup.descriptors(&["default".to_owned(), segment_family(1)]).map_err(failure)?;
        let db = Db::open_cf_descriptors(&options, dir, families).map_err(|error| failure(error.into()))?;
        Ok(Self { db, next: 1 })
    }

    /// Writes one group of records with one sync.
    ///
    /// # Errors
    /// If RocksDB cannot.
    pub fn append<'a>(
        &mut self,
        records: impl IntoIterator<Item = &'a SealedRecord>,
    ) -> Result<(), DatabaseFault> {
        let missing = || DatabaseFault("the family of records is gone".to_owned());
        let family = self.db.cf_handle(&segment_family(1)).ok_or_else(missing)?;
        let mut batch = WriteBatch::default();
        for record in records {
            batch.put_cf(&family, self.next.to_be_bytes(), record.sealed());
            self.next += 1;
        }
        Ok(self.db.write_opt(batch, &write_options(true))?)
    }
}

impl std::fmt::Debug for Floor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Floor").field("next", &self.next).finish_non_exhaustive()
    }
}
