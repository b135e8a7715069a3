//! How a store stands, at a glance.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use serde::Serialize;

use super::Store;
use crate::model::CommitNumber;

/// How a store stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Bytes of all its files when they were last counted, at most half a second ago.
    pub bytes: u64,
    /// Bytes of queued records, as the disk budget counts them.
    pub queued_bytes: u64,
    /// Live segments.
    pub segments: usize,
    /// Damaged records that are set aside.
    pub damaged: u64,
    /// Customers that have a participation.
    pub customers: u64,
    /// The last commit; 0 before the first.
    pub head: CommitNumber,
    /// The first commit that is still there, or the next one if there is none.
    pub oldest: CommitNumber,
    /// Whether a write failed and the process must be restarted.
    pub failed: bool,
}

impl Store {
    /// The random id of this store: it stays the same for ever.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        self.shared().witness.lock().unwrap_or_else(PoisonError::into_inner).store()
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> Status {
        let shared = self.shared();
        let (queued_bytes, segments) = {
            let catalogue = shared.catalogue();
            (catalogue.bytes(), catalogue.segments.len())
        };
        Status {
            bytes: shared.disk_bytes.load(Ordering::Acquire),
            queued_bytes,
            segments,
            damaged: shared.damaged.load(Ordering::Acquire),
            customers: self.customers_count(),
            head: self.head(),
            oldest: self.oldest(),
            failed: shared.has_failed(),
        }
    }
}
