//! The bytes that requests may take before they are read: in all, and for one connection.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::observe::Metric;

/// Bytes that requests of all connections share. Clones share it.
#[derive(Debug, Clone)]
pub struct Budget {
    all: Arc<Semaphore>,
    whole: usize,
    per_connection: usize,
}

impl Budget {
    /// A budget of `all` bytes, of which one connection may take `per_connection`.
    #[must_use]
    pub fn new(all: u32, per_connection: u32) -> Self {
        let whole = |bytes: u32| usize::try_from(bytes).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let (whole, per_connection) = (whole(all), whole(per_connection));
        Self { all: Arc::new(Semaphore::new(whole)), whole, per_connection }
    }

    /// Says how much of it is in use.
    pub(super) fn tell(&self) {
        let count = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        Metric::RequestMemory.set_count(&[], count(self.whole.saturating_sub(self.all.available_permits())));
        Metric::RequestMemoryLimit.set_count(&[], count(self.whole));
    }

    /// The share of one new connection.
    #[must_use]
    pub fn share(&self) -> Share {
        Share(Arc::new(Shared {
            all: Arc::clone(&self.all),
            own: Arc::new(Semaphore::new(self.per_connection)),
            whole: self.whole.min(self.per_connection),
        }))
    }
}

/// What one connection may take of the budget. Clones share it.
#[derive(Debug, Clone)]
pub struct Share(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    all: Arc<Semaphore>,
    own: Arc<Semaphore>,
    whole: usize,
}

/// Bytes that are taken; free again when dropped.
#[derive(Debug)]
pub struct Reservation {
    own: OwnedSemaphorePermit,
    all: OwnedSemaphorePermit,
}

impl Reservation {
    /// Takes over what `more` holds, which must be of the same share.
    pub fn add(&mut self, more: Self) {
        self.own.merge(more.own);
        self.all.merge(more.all);
    }

    /// Gives back what is more than `bytes`.
    pub fn keep(&mut self, bytes: usize) {
        let more = self.own.num_permits().saturating_sub(bytes);
        drop(self.own.split(more));
        drop(self.all.split(more));
    }
}

impl Share {
    /// What it is when nothing is taken.
    #[must_use]
    pub fn whole(&self) -> usize {
        self.0.whole
    }

    /// Takes `bytes` if they are free now.
    #[must_use]
    pub fn take(&self, bytes: u32) -> Option<Reservation> {
        let own = Arc::clone(&self.0.own).try_acquire_many_owned(bytes).ok()?;
        let all = Arc::clone(&self.0.all).try_acquire_many_owned(bytes).ok()?;
        Some(Reservation { own, all })
    }

    /// Takes `bytes` as soon as they are free. Never ready for more bytes than the whole budget.
    pub async fn wait(&self, bytes: u32) -> Option<Reservation> {
        let own = Arc::clone(&self.0.own).acquire_many_owned(bytes).await.ok()?;
        let all = Arc::clone(&self.0.all).acquire_many_owned(bytes).await.ok()?;
        Some(Reservation { own, all })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn what_one_connection_holds_cannot_starve_the_others() {
        let budget = Budget::new(100, 60);
        let (greedy, other) = (budget.share(), budget.share());
        let held = greedy.take(60).unwrap();
        assert!(greedy.take(1).is_none());
        let _rest = other.take(40).unwrap();
        assert!(other.take(1).is_none(), "the whole budget is spent");
        drop(held);
        assert!(other.take(20).is_some());
    }

    #[test]
    fn a_reservation_that_grew_gives_everything_back() {
        let share = Budget::new(10, 10).share();
        let mut held = share.take(4).unwrap();
        held.add(share.take(6).unwrap());
        assert!(share.take(1).is_none());
        drop(held);
        assert!(share.take(10).is_some());
    }

    #[test]
    fn a_reservation_that_was_too_large_gives_the_rest_back() {
        let share = Budget::new(10, 10).share();
        let mut held = share.take(10).unwrap();
        held.keep(12);
        assert!(share.take(1).is_none());
        held.keep(4);
        assert!(share.take(7).is_none() && share.take(6).is_some());
    }

    #[tokio::test]
    async fn a_waiter_gets_what_another_gives_back() {
        let share = Budget::new(10, 10).share();
        let held = share.take(10).unwrap();
        let waiting = tokio::spawn({
            let share = share.clone();
            async move { share.wait(5).await.is_some() }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(held);
        assert!(waiting.await.unwrap());
    }
}
