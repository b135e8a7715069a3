//! What is told once a second of how things stand: the gauges that nobody sets by itself.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::ledger::Ledger;
use crate::observe::{Clock, Metric};
use crate::store::Store;

const ROUND: Duration = Duration::from_secs(1);

/// What is looked at.
#[derive(Clone)]
pub(super) struct Pulse {
    store: Store,
    ledger: Ledger,
    clock: Clock,
}

impl Pulse {
    /// Begins to tell about once a second, until `shutdown`.
    pub fn begin(
        store: &Store,
        ledger: &Ledger,
        clock: &Clock,
        shutdown: &CancellationToken,
    ) -> JoinHandle<()> {
        let pulse = Self { store: store.clone(), ledger: ledger.clone(), clock: clock.clone() };
        tokio::spawn(pulse.run(shutdown.clone()))
    }

    async fn run(self, shutdown: CancellationToken) {
        for result in ["loaded", "unchanged", "refused"] {
            Metric::IdentityLoads.begin(&[("result", result)]);
        }
        for result in ["fetched", "failed"] {
            Metric::IdentityKeyFetches.begin(&[("result", result)]);
        }
        Metric::BuildInfo.set(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        let mut rounds = tokio::time::interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = rounds.tick() => {}
            }
            self.tell_keys();
            // The store before the ledger: what waits shows also while the ledger waits for its disk.
            let pulse = self.clone();
            let told = tokio::task::spawn_blocking(move || {
                pulse.store.tell();
                pulse.tell_ledger();
            });
            let _panicked = told.await;
        }
    }

    fn tell_keys(&self) {
        let (now, rotation) = (self.clock.now(), self.store.rotation());
        Metric::KeyEpoch.set(&[], rotation.epoch(now).into());
        Metric::KeyOldestEpoch.set(&[], self.store.oldest_epoch(now).into());
        let left = u64::try_from(rotation.next(now).ms_since(now)).unwrap_or(0);
        let age = rotation.length().saturating_sub(Duration::from_millis(left));
        Metric::KeyEpochAge.set(&[], age.as_secs_f64());
    }

    fn tell_ledger(&self) {
        let (unsigned, since) = self.ledger.unsigned();
        Metric::LedgerEntries.set_count(&[], self.ledger.head().size);
        Metric::LedgerUnsigned.set_count(&[], unsigned);
        let age = Duration::from_millis(u64::try_from(since).unwrap_or(0));
        Metric::LedgerCheckpointAge.set(&[], age.as_secs_f64());
    }
}
