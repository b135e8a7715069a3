//! What the ledger is told in sums, at intervals and at the end: what came in and what was refused. What left, the
//! drain tells by itself.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::ingest::Intake;
use crate::ledger::{Entry, Refusals};
use crate::store::{MetaOp, Store, StoreError};

/// Tells the ledger of sums.
pub(super) struct Sums {
    pub store: Store,
    pub intake: Intake,
    pub refusals: Refusals,
    /// How often.
    pub every: Duration,
}

impl Sums {
    /// Tells at intervals until `shutdown`, and then once more.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut rounds = tokio::time::interval_at(Instant::now() + self.every, self.every);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                () = shutdown.cancelled() => true,
                _ = rounds.tick() => false,
            };
            if let Err(error) = self.tell().await {
                tracing::warn!(%error, "the ledger cannot be told of sums now; they are told later");
            }
            if is_last {
                return;
            }
        }
    }

    /// Tells what was counted since the last time.
    async fn tell(&self) -> Result<(), StoreError> {
        let collected = self.intake.tell().await;
        self.tell_refused().await.and(collected)
    }

    async fn tell_refused(&self) -> Result<(), StoreError> {
        let refused = self.refusals.take();
        if refused.is_empty() {
            return Ok(());
        }
        let entries = refused.iter().map(|entry| MetaOp::Ledger(Entry::to_bytes(entry))).collect();
        let told = self.store.write_meta(entries, true).await;
        if told.is_err() {
            self.refusals.put_back(refused);
        }
        told
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ingest;
    use crate::ledger::{Fact, Refusal};
    use crate::model::UnixMillis;
    use crate::observe::Clock;
    use crate::policy::{Handle, compile, shipped};
    use crate::sanitize::RootKey;
    use crate::store::{Customers, Options};

    #[tokio::test]
    async fn what_was_refused_is_on_the_ledger_once_at_the_latest_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::new(&dir.path().join("data"));
        let key = RootKey::from_hex(&"0123456789abcdef".repeat(4)).unwrap();
        let clock = Clock::manual(UnixMillis(1_000));
        let store = Store::open(options, &key, clock.clone()).unwrap();
        let refusals = Refusals::new(clock.clone());
        let customers = Customers::new(store.clone(), 16);
        let policy = Handle::new(Arc::new(compile(&shipped()).unwrap().0));
        let intake = Intake::new(store.clone(), customers, policy, clock, ingest::Options::default());
        let every = Duration::from_hours(24);
        let sums = Sums { store: store.clone(), intake: intake.clone(), refusals: refusals.clone(), every };
        refusals.count(Refusal::Policy);
        refusals.count(Refusal::Policy);
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(sums.run(shutdown.clone()));
        refusals.count(Refusal::Policy);
        shutdown.cancel();
        running.await.unwrap();
        let told = store.outbox(10).unwrap();
        let facts: Vec<_> =
            told.iter().filter_map(|(_, entry)| Entry::from_bytes(entry).map(|entry| entry.fact)).collect();
        assert!(
            matches!(facts.as_slice(), [Fact::Refused { what: Refusal::Policy, times: 3, .. }]),
            "{facts:?}"
        );
        // A store that takes nothing: what was counted waits.
        store.clone().close().await;
        refusals.count(Refusal::Policy);
        let sums = Sums { store, intake, refusals: refusals.clone(), every };
        assert!(sums.tell().await.is_err());
        assert_eq!(refusals.take().len(), 1);
    }
}
