//! What happens to subscriptions while nobody pulls: leases end, retention drops, gauges are set.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::{Drain, DrainError, Shared, blocking, millis};
use crate::model::UnixMillis;
use crate::observe::{Metric, Seldom};

/// It is tried again every second.
static NO_UPKEEP: Seldom = Seldom::new();

/// How often leases and retention are looked at. A pull looks by itself, so this only bounds how
/// late the counts are.
const ROUND: Duration = Duration::from_secs(1);

impl Drain {
    /// Looks after every subscription, about once a second, until `shutdown`. Then pulls end with
    /// [`DrainError::Stopped`], while acknowledgements are still taken, and the ledger is told what was delivered.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut rounds = tokio::time::interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                _ = rounds.tick() => {}
            }
            if let Err(error) = self.tick().await
                && let Some(unsaid) = NO_UPKEEP.due()
            {
                tracing::warn!(%error, unsaid, "upkeep of subscriptions failed; it is tried again");
            }
        }
        self.shared.stop();
        // What a pull that is still under way delivers is told of at the next start.
        if let Err(error) = self.shared.tell().await {
            tracing::warn!(%error, "the ledger is told at the next start what was delivered");
        }
    }

    /// Has the ledger told of everything that was delivered until now.
    ///
    /// # Errors
    /// If the store fails. What was not told is told later.
    pub async fn tell(&self) -> Result<(), DrainError> {
        self.shared.tell().await
    }

    /// One round of [`Drain::run`].
    ///
    /// # Errors
    /// If the store fails.
    pub async fn tick(&self) -> Result<(), DrainError> {
        let shared = &self.shared;
        shared.release();
        shared.purge_notices();
        let since = shared.clock.now().ms_since(UnixMillis(shared.told_at.load(Ordering::Relaxed)));
        if !(0..millis(shared.options.totals_every)).contains(&since) {
            shared.tell().await?;
        }
        for drainer in shared.all_drainers() {
            let (now, oldest) = (shared.clock.now(), shared.store.oldest());
            let changed = drainer.change(|queue| {
                let expired = queue.drop_below(oldest);
                (queue.expire(now), expired, queue.is_dirty())
            });
            // Deleted meanwhile: nothing to look after.
            let Ok(((ended, expired, dirty), ticket)) = changed else { continue };
            if dirty {
                drainer.write(&shared.store, ticket, false).await?;
            }
            // Also where a pull has just written what ended or went out.
            drainer.publish();
            let subscription = drainer.subscription.name.as_str();
            if ended > 0 {
                drainer.bell.notify_waiters();
                tracing::debug!(subscription, batches = ended, "leases ended without an acknowledgement");
            }
            if expired > 0 {
                tracing::warn!(
                    subscription,
                    batches = expired,
                    "retention dropped batches before they were acknowledged"
                );
            }
            let (reader, one) = (Arc::clone(shared), Arc::clone(&drainer));
            let state = blocking(move || reader.state(&one)).await??;
            let label = [("subscription", subscription)];
            let lag = shared.store.head().0.saturating_add(1).saturating_sub(state.cursor.0);
            Metric::SubscriptionDead.set_count(&label, state.dead);
            Metric::SubscriptionLag.set_count(&label, lag);
            Metric::SubscriptionLeased.set_count(&label, state.leased);
            Metric::SubscriptionWaiting.set_count(&label, state.waiting);
            Metric::SubscriptionOldestSeconds.set(&label, state.oldest_age.unwrap_or_default().as_secs_f64());
        }
        Ok(())
    }
}

impl Shared {
    /// Tells the ledger what was delivered since the last time.
    async fn tell(&self) -> Result<(), DrainError> {
        for drainer in self.all_drainers() {
            let told = drainer.change_books(|books| books.tell(&drainer.subscription));
            // What was deleted meanwhile has told the ledger.
            let Ok((sums, ticket)) = told else { continue };
            if sums > 0 {
                drainer.write(&self.store, ticket, true).await?;
            }
        }
        self.told_at.store(self.clock.now().0, Ordering::Relaxed);
        Ok(())
    }
}
