//! What the store tells of itself, whenever it is asked: also when the writer waits for a slow disk.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::Store;
use super::bytes::count;
use super::forecast::{Room, Sample};
use super::options::{Options, WhenFull};
use super::retention::Cause;
use super::store::SHARE;
use crate::observe::Metric;

/// Begins what alerts look at with zero.
pub(super) fn begin_counters() {
    for cause in [Cause::Age, Cause::Size] {
        Metric::SegmentsDropped.begin(&[("reason", cause.as_str())]);
    }
}

impl Store {
    /// Sets the gauges of the store. To be asked about once a second. Asks the file system what is free, which may wait.
    pub fn tell(&self) {
        let shared = self.shared();
        let (queued, segments) = {
            let catalogue = shared.catalogue();
            (catalogue.bytes(), catalogue.segments.len())
        };
        let set = |metric: Metric, value: u64| metric.set_count(&[], value);
        set(Metric::CommitNumber, self.head().0);
        set(Metric::Customers, self.customers_count());
        set(Metric::LedgerWaiting, self.outbox_waiting());
        set(Metric::StoreBytes, shared.disk_bytes.load(Ordering::Acquire));
        set(Metric::StoreSegments, count(segments));
        set(Metric::StoreQueuedBytes, queued);
        set(Metric::StoreBudget, shared.options.retention_bytes);
        set(Metric::StoreReserve, shared.options.reserve_bytes);
        let waiting = self.sender().map_or(0, |sender| sender.max_capacity() - sender.capacity());
        set(Metric::StoreWaiting, count(waiting));
        let free = self.shares().available_permits();
        set(Metric::StoreWaitingBytes, count((Options::QUEUE_BYTES / SHARE).saturating_sub(free) * SHARE));
        Metric::WitnessLag.set(&[], shared.witness_lag().as_secs_f64());
        let Ok(free) = shared.directory.free_bytes() else { return };
        set(Metric::StoreFree, free);
        let budget = match shared.options.when_full {
            WhenFull::Refuse => Some(shared.options.retention_bytes),
            WhenFull::DropOldest => None,
        };
        let room = Room { budget, reserve: shared.options.reserve_bytes };
        let now = Sample { at: shared.clock.now().0, queued, free };
        let outlook = shared.forecast.lock().unwrap_or_else(PoisonError::into_inner).note(now, room);
        Metric::StoreGrowth.set(&[], outlook.growth);
        Metric::StoreFull.set(&[], outlook.full_in.as_secs_f64());
    }

    /// Entries that wait until the ledger has them.
    fn outbox_waiting(&self) -> u64 {
        let made = *self.shared().outbox.borrow();
        made.saturating_add(1).saturating_sub(self.shared().outbox_first.load(Ordering::Acquire))
    }
}
