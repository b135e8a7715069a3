//! Finding a stored batch again by what names it.

use super::dedup::recall_in;
use super::fault::StoreError;
use super::layout::{DEDUP_BOUNDS, META, dedup_family, key_number};
use super::rocks::between;
use super::store::Store;
use crate::model::{CommitNumber, UnixMillis};

/// A batch that is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The commit of its last record.
    pub last: CommitNumber,
    /// The receipt, as it was given with the batch.
    pub receipt: Vec<u8>,
}

impl Store {
    /// The batch that was stored under [`super::Dedup::id`], as long as ids are remembered. Reads: not for a
    /// runtime thread.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn find(&self, id: &[u8; 16]) -> Result<Option<Found>, StoreError> {
        const DAMAGED: StoreError = StoreError::Damaged { what: "the rows of deduplication families" };
        let db = &self.shared().db;
        let meta = db.cf_handle(META).ok_or(DAMAGED)?;
        let (lower, upper) = DEDUP_BOUNDS;
        let mut rows = db.raw_iterator_cf_opt(&meta, between(lower.to_vec(), upper.to_vec()));
        rows.seek_to_last();
        // Newest first, a handful of families.
        while let Some((key, _)) = rows.item() {
            let family = dedup_family(key_number(key).ok_or(DAMAGED)?);
            // What a family held that has gone meanwhile is not remembered.
            let found = if db.cf_handle(&family).is_some() { recall_in(db, &family, id)? } else { None };
            if let Some(found) = found {
                return Ok(Some(Found { last: found.last, receipt: found.receipt }));
            }
            rows.prev();
        }
        rows.status().map_err(StoreError::database("read the rows of deduplication families"))?;
        Ok(None)
    }

    /// Since when batch ids are remembered at the latest.
    #[must_use]
    pub fn remembers_since(&self) -> UnixMillis {
        let shared = self.shared();
        let window = i64::try_from(shared.options.dedup_window.as_millis()).unwrap_or(i64::MAX);
        shared.clock.now().plus_ms(window.saturating_neg())
    }
}
