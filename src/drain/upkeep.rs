//! What happens to subscriptions while nobody pulls: leases end, retention drops, gauges are set.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::{Drain, DrainError, blocking};
use crate::observe::Metric;

/// How often leases and retention are looked at. A pull looks by itself, so this only bounds how
/// late the counts are.
const ROUND: Duration = Duration::from_secs(1);

impl Drain {
    /// Looks after every subscription, about once a second, until `shutdown`. Then pulls end with
    /// [`DrainError::Stopped`], while acknowledgements are still taken.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut rounds = tokio::time::interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut shutdown => return self.shared.stop(),
                _ = rounds.tick() => {}
            }
            if let Err(error) = self.tick().await {
                tracing::warn!(%error, "upkeep of subscriptions failed; it is tried again");
            }
        }
    }

    /// One round of [`Drain::run`].
    ///
    /// # Errors
    /// If the store fails.
    pub async fn tick(&self) -> Result<(), DrainError> {
        let shared = &self.shared;
        shared.release();
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
                drainer.publish();
            }
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
            Metric::SubscriptionLeased.set(&label, gauge(state.leased));
            Metric::SubscriptionWaiting.set(&label, gauge(state.waiting));
            Metric::SubscriptionOldestSeconds.set(&label, state.oldest_age.unwrap_or_default().as_secs_f64());
        }
        Ok(())
    }
}

/// A count as a gauge shows it: exact up to 2^32, which is more than a store holds batches.
fn gauge(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}
