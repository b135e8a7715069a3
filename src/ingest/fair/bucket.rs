//! A token bucket that lends: who comes while it is not overdrawn is served whole and pays afterwards,
//! however large the request is. One number says how it stands (the generic cell rate algorithm of ATM):
//! the time at which it will be full again.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
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

/// When a bucket is full under the rate `new` that is to be full at `full` under `old`: what was taken out stays the
/// same number. Without a rate nothing was counted, or nothing counts any more.
fn at_rate(full: u64, now: u64, old: Option<Rate>, new: Option<Rate>) -> u64 {
    let (Some(old), Some(new)) = (old, new) else { return 0 };
    let owed = u128::from(full.saturating_sub(now)).saturating_mul(old.0.get().into());
    now.saturating_add(u64::try_from(owed / u128::from(new.0.get())).unwrap_or(u64::MAX))
}

/// The bucket of one customer for one thing. The rate is said with each question, because it can change.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// Whether there ever was a rate: until then nothing is counted, and nobody waits for a lock.
    is_rated: AtomicBool,
    level: Mutex<Level>,
}

/// How a bucket stands.
#[derive(Debug, Default)]
struct Level {
    /// The rate by which `full` was reckoned.
    rate: Option<Rate>,
    full: u64,
}

impl Bucket {
    /// How long until it lends again at `rate`, if it does not now. It holds what comes in `burst`.
    pub(super) fn wait(&self, now: u64, rate: Option<Rate>, burst: Duration) -> Option<Duration> {
        let burst = u64::try_from(burst.as_nanos()).unwrap_or(u64::MAX);
        let full = self.at(now, rate, |full| full)?;
        let wait = rate.map_or(0, |_| wait(full, now, burst));
        (wait > 0).then(|| Duration::from_nanos(wait))
    }

    /// Takes `count`.
    pub(super) fn pay(&self, now: u64, rate: Option<Rate>, count: u64) {
        let cost = rate.map_or(0, |rate| rate.nanos(count));
        self.at(now, rate, |full| after(full, now, cost));
    }

    /// Goes by `rate` from now on, and moves the time at which it is full: gives that time, if there ever was a rate.
    fn at(&self, now: u64, rate: Option<Rate>, moved: impl FnOnce(u64) -> u64) -> Option<u64> {
        if rate.is_some() {
            self.is_rated.store(true, Ordering::Relaxed);
        } else if !self.is_rated.load(Ordering::Relaxed) {
            return None;
        }
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        if level.rate != rate {
            level.full = at_rate(level.full, now, level.rate, rate);
            level.rate = rate;
        }
        level.full = moved(level.full);
        Some(level.full)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// A bucket and how it is asked.
    struct Asked {
        bucket: Bucket,
        rate: Option<Rate>,
        burst: Duration,
    }

    impl Asked {
        fn wait(&self, now: u64) -> Option<Duration> {
            self.bucket.wait(now, self.rate, self.burst)
        }

        fn pay(&self, now: u64, count: u64) {
            self.bucket.pay(now, self.rate, count);
        }
    }

    fn bucket(per_second: u64, burst: Duration) -> Asked {
        Asked { bucket: Bucket::default(), rate: Rate::new(per_second), burst }
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
        let bucket = bucket(0, Duration::ZERO);
        bucket.pay(0, u64::MAX);
        assert_eq!(bucket.wait(0), None);
        assert_eq!(Rate::new(0), None);
    }

    #[test]
    fn under_another_rate_what_was_taken_counts_as_much_as_before() {
        let mut bucket = bucket(10, Duration::from_secs(1));
        bucket.pay(0, 1_000);
        assert_eq!(bucket.wait(0), Some(Duration::from_secs(99)));
        bucket.rate = Rate::new(100);
        assert_eq!(bucket.wait(0), Some(Duration::from_secs(9)), "a thousand at a hundred a second");
        assert_eq!(bucket.wait(5 * SECOND), Some(Duration::from_secs(4)));
        bucket.rate = Rate::new(50);
        assert_eq!(
            bucket.wait(5 * SECOND),
            Some(Duration::from_secs(9)),
            "half a thousand at fifty a second"
        );
        bucket.burst = Duration::from_secs(10);
        assert_eq!(bucket.wait(5 * SECOND), None, "a longer burst holds it");
        (bucket.burst, bucket.rate) = (Duration::ZERO, Rate::new(0));
        assert_eq!(bucket.wait(5 * SECOND), None, "without a rate it is let go");
        bucket.rate = Rate::new(50);
        assert_eq!(bucket.wait(5 * SECOND), None, "and begins anew");
        bucket.pay(5 * SECOND, u64::MAX);
        bucket.rate = Rate::new(1);
        assert!(bucket.wait(5 * SECOND).unwrap() > Duration::from_secs(1_000_000_000));
    }
}
