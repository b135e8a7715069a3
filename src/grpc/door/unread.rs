//! Answers that a client does not read: with an HTTP/2 window of zero it can leave them for ever, each
//! in a place that others need. The socket cannot tell, because nothing is written to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::sleep;

/// The unary answers of one connection that have not gone out. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Unread(Arc<Counts>);

/// Answers of the present period and of the one before, by turns.
#[derive(Debug, Default)]
struct Counts {
    periods: AtomicUsize,
    going: [AtomicUsize; 2],
}

impl Counts {
    fn of(&self, period: usize) -> Option<&AtomicUsize> {
        self.going.get(period % 2)
    }
}

/// An answer until it has gone out.
#[derive(Debug)]
pub(super) struct Going {
    counts: Arc<Counts>,
    period: usize,
}

impl Unread {
    /// One more answer is ready.
    pub(super) fn answered(self) -> Going {
        let period = self.0.periods.load(Ordering::Acquire);
        if let Some(going) = self.0.of(period) {
            going.fetch_add(1, Ordering::AcqRel);
        }
        Going { counts: self.0, period }
    }

    /// Waits until an answer was ready for longer than `deadline`, and noticed before it is twice that.
    pub(super) async fn for_too_long(&self, deadline: Duration) {
        loop {
            sleep(deadline).await;
            if self.is_over_period() {
                return;
            }
        }
    }

    /// Begins another period; not if an answer is left from the one before the present one.
    fn is_over_period(&self) -> bool {
        let next = self.0.periods.load(Ordering::Acquire).wrapping_add(1);
        if self.0.of(next).is_some_and(|old| old.load(Ordering::Acquire) > 0) {
            return true;
        }
        self.0.periods.store(next, Ordering::Release);
        false
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        if let Some(going) = self.counts.of(self.period) {
            going.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_nobody_reads_is_noticed_after_one_period_and_before_two() {
        let unread = Unread::default();
        for _ in 0..10 {
            let going = unread.clone().answered();
            assert!(!unread.is_over_period());
            drop(going);
            assert!(!unread.is_over_period(), "a slow client is served");
        }
        let left = unread.clone().answered();
        assert!(!unread.is_over_period(), "it may be new");
        let new = unread.clone().answered();
        assert!(unread.is_over_period() && unread.is_over_period());
        drop(left);
        assert!(!unread.is_over_period(), "the other one is of this period");
        drop(new);
    }
}
