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
            tokio::select! {
                () = shutdown.cancelled() => return self.tell_last().await,
                _ = rounds.tick() => {}
            }
            if let Err(error) = self.tell().await {
                tracing::warn!(%error, "the ledger cannot be told of sums now; they are told later");
            }
        }
    }

    /// Tells what was counted since the last time.
    async fn tell(&self) -> Result<(), StoreError> {
        let collected = self.intake.tell().await;
        let told = self.tell_refused(|store, entries| async move {
            store.write_meta(entries.into_iter().map(MetaOp::Ledger).collect(), true).await
        });
        told.await.and(collected)
    }

    /// Tells for the last time. What is in memory only is lost if the store does not take it now.
    async fn tell_last(&self) {
        let refused = self.tell_refused(|store, entries| async move { store.tell_last(entries).await }).await;
        if let Err(error) = refused {
            tracing::error!(%error, "counts of what was refused could not be told at the end; they are lost");
        }
        if let Err(error) = self.intake.tell().await {
            // The sums of what was stored are on disk, and mostly those of what was withheld, too.
            tracing::warn!(%error, "not told at the end: what is stored is told later, counts of what was withheld whole may be lost");
        }
    }

    async fn tell_refused<T>(&self, write: impl FnOnce(Store, Vec<Vec<u8>>) -> T) -> Result<(), StoreError>
    where
        T: Future<Output = Result<(), StoreError>>,
    {
        let refused = self.refusals.take();
        if refused.is_empty() {
            return Ok(());
        }
        let told = write(self.store.clone(), refused.iter().map(Entry::to_bytes).collect()).await;
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

    /// Runs to the end, which has come.
    async fn shutdown_of(sums: Sums) {
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        sums.run(shutdown).await;
    }

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
        // An outbox that takes nothing: it waits, and is there at the latest at the end all the same.
        let full = std::iter::repeat_n(MetaOp::Ledger(b"{}".to_vec()), 100_000 - told.len());
        store.write_meta(full.collect(), true).await.unwrap();
        refusals.count(Refusal::Policy);
        let sums = Sums { store: store.clone(), intake: intake.clone(), refusals: refusals.clone(), every };
        assert!(matches!(sums.tell().await, Err(StoreError::Busy)));
        refusals.count(Refusal::Policy);
        shutdown_of(sums).await;
        assert!(refusals.take().is_empty());
        let told = store.outbox(100_010).unwrap();
        let last = Entry::from_bytes(&told.last().unwrap().1).unwrap().fact;
        assert!(matches!(last, Fact::Refused { what: Refusal::Policy, times: 2, .. }), "{last:?}");
        // A store that takes nothing: what was counted waits.
        store.clone().close().await;
        refusals.count(Refusal::Policy);
        let sums = Sums { store, intake, refusals: refusals.clone(), every };
        assert!(sums.tell().await.is_err());
        assert_eq!(refusals.take().len(), 1);
    }
}
