//! What the store tells of itself, whenever it is asked: also when the writer waits for a slow disk.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::Store;
use super::bytes::count;
use super::forecast::{Outlook, Room, Sample};
use super::options::{Options, WhenFull};
use super::retention::Cause;
use super::store::SHARE;
use crate::observe::Metric;

/// Begins what alerts look at with zero.
pub(super) fn begin_counters() {
    for cause in Cause::ALL {
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
        Metric::GoneKeysOldest.set(&[], self.gone_keys_held().unwrap_or_default().as_secs_f64());
        Metric::WitnessLag.set(&[], shared.witness_lag().as_secs_f64());
        let Ok(free) = shared.directory.free_bytes() else { return };
        set(Metric::StoreFree, free);
        let outlook = self.outlook(free);
        // Not a number is what metrics have for what is not known: no alert compares with it.
        Metric::StoreGrowth.set(&[], outlook.growth.unwrap_or(f64::NAN));
        Metric::StoreFull.set(&[], outlook.full_in.map_or(f64::NAN, |time| time.as_secs_f64()));
    }

    /// What is to be expected of a disk with so many free bytes.
    fn outlook(&self, free: u64) -> Outlook {
        let shared = self.shared();
        let options = &shared.options;
        let released = shared.released.load(Ordering::Acquire);
        let (queued, held) = {
            let catalogue = shared.catalogue();
            (catalogue.bytes(), catalogue.held(released))
        };
        let refuses = options.when_full == WhenFull::Refuse;
        let room = Room { budget: options.retention_bytes, refuses, reserve: options.reserve_bytes };
        let now = Sample { at: shared.clock.now().0, queued, held, free };
        shared.forecast.lock().unwrap_or_else(PoisonError::into_inner).note(now, room)
    }

    /// Entries that wait until the ledger has them.
    fn outbox_waiting(&self) -> u64 {
        let made = *self.shared().outbox.borrow();
        made.saturating_add(1).saturating_sub(self.shared().outbox_first.load(Ordering::Acquire))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::super::samples::{fill, open, register};
    use crate::model::CommitNumber;

    /// covers: B2
    #[tokio::test(flavor = "multi_thread")]
    async fn a_full_queue_that_is_drained_is_not_full_and_one_that_nobody_drains_is() {
        let home = tempfile::tempdir().unwrap();
        let store = open(&home.path().join("data"));
        let customers =
            [register(&store, "acme", "enhanced").await, register(&store, "bob", "enhanced").await];
        let minutes = || store.shared().clock.advance_ms(180_000);
        let mut full_in = Vec::new();
        // Twice the budget in all, each part drained at once.
        for part in 0..30_u64 {
            fill(&store, customers, part * 100 + 1..=part * 100 + 100).await;
            store.release(CommitNumber(store.head().0 + 1));
            full_in.push(store.outlook(1 << 40).full_in);
            minutes();
        }
        assert!(
            store.status().queued_bytes > 2_500_000 && store.oldest() > CommitNumber(1),
            "{:?}",
            store.status()
        );
        let far = Some(std::time::Duration::from_hours(8_000));
        assert!(full_in.iter().all(|time| time.is_none() || *time > far), "{full_in:?}");
        let known = full_in.iter().filter(|time| time.is_some()).count();
        assert_eq!(known, 10, "nothing is foretold within the first hour: {full_in:?}");

        for part in 30..33_u64 {
            fill(&store, customers, part * 100 + 1..=part * 100 + 100).await;
            minutes();
        }
        let outlook = store.outlook(1 << 40);
        assert!(outlook.growth > Some(0.0), "{outlook:?}");
        assert!(outlook.full_in < Some(std::time::Duration::from_hours(8)), "{outlook:?}");
        store.close().await;
    }
}
