//! A token bucket that lends: who comes while it is not overdrawn is served whole and pays afterwards,
//! however large the request is. One number says how it stands (the generic cell rate algorithm of ATM):
//! the time at which it will be full again.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// So many in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub NonZeroU64);

impl Rate {
    /// `per_second`, or none for zero.
    #[must_use]
    pub fn new(per_second: u64) -> Option<Self> {
        NonZeroU64::new(per_second).map(Self)
    }

    /// Nanoseconds in which so many come.
    fn nanos(self, count: u64) -> u64 {
        let nanos = u128::from(count).saturating_mul(1_000_000_000) / u128::from(self.0.get());
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

/// How long until a bucket lends again that is full at `full`; zero if it does now. Times are in
/// nanoseconds since any beginning; it holds what comes in `burst`.
const fn wait(full: u64, now: u64, burst: u64) -> u64 {
    full.saturating_sub(now).saturating_sub(burst)
}

/// When a bucket is full that was to be full at `full`, and out of which what comes in `cost` is taken.
const fn after(full: u64, now: u64, cost: u64) -> u64 {
    let full = if full < now { now } else { full };
    full.saturating_add(cost)
}

/// The bucket of one customer for one thing.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: Option<Rate>,
    burst: u64,
    full: AtomicU64,
}

impl Bucket {
    pub(super) fn new(rate: Option<Rate>, burst: Duration) -> Self {
        let burst = u64::try_from(burst.as_nanos()).unwrap_or(u64::MAX);
        Self { rate, burst, full: AtomicU64::new(0) }
    }

    /// How long until it lends again, if it does not now.
    pub(super) fn wait(&self, now: u64) -> Option<Duration> {
        self.rate?;
        let wait = wait(self.full.load(Ordering::Relaxed), now, self.burst);
        (wait > 0).then(|| Duration::from_nanos(wait))
    }

    /// Takes `count`.
    pub(super) fn pay(&self, now: u64, count: u64) {
        if let Some(rate) = self.rate {
            let cost = rate.nanos(count);
            let paid = |full| Some(after(full, now, cost));
            let _before = self.full.fetch_update(Ordering::Relaxed, Ordering::Relaxed, paid);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn bucket(per_second: u64, burst: Duration) -> Bucket {
        Bucket::new(Rate::new(per_second), burst)
    }

    #[test]
    fn over_a_long_time_no_more_comes_through_than_the_rate_and_one_burst() {
        for (rate, burst, size) in [(100, 1, 1), (100, 10, 7), (1_000_000, 2, 4_000_000), (3, 1, 50)] {
            let bucket = bucket(rate, Duration::from_secs(burst));
            let (mut now, mut through) = (0_u64, 0_u64);
            let end = 1000 * SECOND;
            while now < end {
                match bucket.wait(now) {
                    None => {
                        bucket.pay(now, size);
                        through += size;
                    }
                    Some(wait) => now += u64::try_from(wait.as_nanos()).unwrap(),
                }
            }
            let most = rate * (1000 + burst) + size;
            assert!(through <= most && through + 2 * size >= rate * 1000, "{through} of {most}");
        }
    }

    #[test]
    fn what_is_larger_than_the_bucket_is_served_and_paid_for_afterwards() {
        let bucket = bucket(10, Duration::from_secs(1));
        assert_eq!(bucket.wait(0), None);
        bucket.pay(0, 1_000);
        assert_eq!(bucket.wait(0), Some(Duration::from_secs(99)));
        assert_eq!(bucket.wait(98 * SECOND), Some(Duration::from_secs(1)));
        assert_eq!(bucket.wait(99 * SECOND), None);
    }

    #[test]
    fn a_long_silence_saves_up_no_more_than_one_burst() {
        let bucket = bucket(10, Duration::from_secs(1));
        let now = 1_000_000 * SECOND;
        for _ in 0..10 {
            assert_eq!(bucket.wait(now), None);
            bucket.pay(now, 1);
        }
        bucket.pay(now, 1);
        assert_eq!(bucket.wait(now), Some(Duration::from_millis(100)));
    }

    #[test]
    fn without_a_rate_nobody_waits() {
        let bucket = Bucket::new(None, Duration::ZERO);
        bucket.pay(0, u64::MAX);
        assert_eq!(bucket.wait(0), None);
        assert_eq!(Rate::new(0), None);
    }
}
