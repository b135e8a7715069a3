//! What the ledger is told in sums, at intervals and at the end: what came in and what was refused. What left, the
//! drain tells by itself.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::ingest::Intake;
use crate::ledger::{Entry, Refusals};
use crate::store::{MetaOp, Store, StoreError};

/// How long to wait at the end before telling again what was not taken.
const AGAIN: Duration = Duration::from_millis(200);

/// Tells the ledger of sums.
pub(super) struct Sums {
    pub store: Store,
    pub intake: Intake,
    pub refusals: Refusals,
    /// How often.
    pub every: Duration,
}

impl Sums {
    /// What is told `every` so often.
    pub fn of(store: &Store, intake: &Intake, refusals: &Refusals, every: Duration) -> Self {
        Self { store: store.clone(), intake: intake.clone(), refusals: refusals.clone(), every }
    }

    /// Tells at intervals until it is told to end, and until when it may try that; then for the last time.
    pub async fn run(self, mut last: watch::Receiver<Option<Instant>>) {
        let mut rounds = tokio::time::interval_at(Instant::now() + self.every, self.every);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                until = until_when(&mut last) => return self.tell_last(until).await,
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

    /// Tells for the last time. What is in memory only is lost if the store does not take it until then: as long as there
    /// is such, it is tried again, for a disk that is full may not stay so.
    async fn tell_last(&self, until: Instant) {
        let mut is_said = false;
        loop {
            let refused =
                self.tell_refused(|store, entries| async move { store.tell_last(entries).await }).await;
            let collected = self.intake.tell().await;
            let would_be_lost = refused.is_err() || self.intake.holds_untold();
            let is_closed = matches!(refused, Err(StoreError::Closed | StoreError::Failed))
                || matches!(collected, Err(StoreError::Closed | StoreError::Failed));
            if would_be_lost && !is_closed && Instant::now() + AGAIN < until {
                if !std::mem::replace(&mut is_said, true) {
                    tracing::warn!(
                        "the store does not take the last counts for the ledger; it is tried until the grace period is over"
                    );
                }
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            if let Err(error) = refused {
                tracing::error!(%error, "counts of what was refused could not be told at the end; they are lost");
            }
            if let Err(error) = collected {
                // The sums of what was stored are on disk, and mostly those of what was withheld, too.
                tracing::warn!(%error, "not told at the end: what is stored is told later, counts of what was withheld whole may be lost");
            }
            return;
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

/// Waits until it is told to end: until when it may try. At once, if nobody can tell it any more.
async fn until_when(last: &mut watch::Receiver<Option<Instant>>) -> Instant {
    let told = last.wait_for(Option::is_some).await.ok().and_then(|until| *until);
    told.unwrap_or_else(Instant::now)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::ingest;
    use crate::ledger::{Fact, Refusal};
    use crate::model::UnixMillis;
    use crate::observe::Clock;
    use crate::policy::{Handle, compile, shipped};
    use crate::sanitize::RootKey;
    use crate::store::{Customers, Options};

    fn opened(home: &Path) -> (Store, Intake, Refusals) {
        let options = Options::new(&home.join("data"));
        let key = RootKey::from_hex(&"0123456789abcdef".repeat(4)).unwrap();
        let clock = Clock::manual(UnixMillis(1_000));
        let store = Store::open(options, &key, clock.clone()).unwrap();
        let customers = Customers::new(store.clone(), 16);
        let policy = Handle::new(Arc::new(compile(&shipped()).unwrap().0));
        let intake = Intake::new(store.clone(), customers, policy, clock.clone(), ingest::Options::default());
        (store, intake, Refusals::new(clock))
    }

    /// Runs to the end, which has come.
    async fn shutdown_of(sums: Sums) {
        sums.run(watch::channel(Some(Instant::now())).1).await;
    }

    #[tokio::test]
    async fn what_was_refused_is_on_the_ledger_once_at_the_latest_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let (store, intake, refusals) = opened(dir.path());
        let every = Duration::from_hours(24);
        let sums = Sums { store: store.clone(), intake: intake.clone(), refusals: refusals.clone(), every };
        refusals.count(Refusal::Policy);
        refusals.count(Refusal::Policy);
        let (end, last) = watch::channel(None);
        let running = tokio::spawn(sums.run(last));
        refusals.count(Refusal::Policy);
        end.send_replace(Some(Instant::now()));
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

    #[tokio::test]
    async fn what_a_full_store_does_not_take_at_the_end_is_told_when_there_is_room_again_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let (store, intake, refusals) = opened(dir.path());
        // Nothing more fits, neither the room for what is told last.
        let full = |n| std::iter::repeat_n(b"{}".to_vec(), n).collect::<Vec<_>>();
        store.write_meta(full(100_000).into_iter().map(MetaOp::Ledger).collect(), true).await.unwrap();
        while store.tell_last(full(100)).await.is_ok() {}
        while store.tell_last(full(1)).await.is_ok() {}
        refusals.count(Refusal::Policy);
        let sums = || Sums::of(&store, &intake, &refusals, Duration::from_hours(24));
        shutdown_of(sums()).await;
        let kept = refusals.take();
        assert_eq!(kept.len(), 1, "no time was left: it was not told");
        refusals.put_back(kept);

        let hour = Instant::now() + Duration::from_hours(1);
        let running = tokio::spawn(sums().run(watch::channel(Some(hour)).1));
        // It makes room only after the first time has failed: whoever tries once is over by then.
        tokio::time::sleep(2 * AGAIN).await;
        let last = store.outbox(200_000).unwrap().last().unwrap().0;
        store.forget_outbox(last).await.unwrap();
        running.await.unwrap();
        assert!(refusals.take().is_empty());
        let told = store.outbox(10).unwrap();
        let fact = Entry::from_bytes(&told.last().unwrap().1).unwrap().fact;
        assert!(matches!(fact, Fact::Refused { what: Refusal::Policy, times: 1, .. }), "{fact:?}");
    }
}
