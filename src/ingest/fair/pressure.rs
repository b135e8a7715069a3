//! How many were refused of late, and when each is to come back: later the more there are, and never
//! all at the same moment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The window over which those who were refused spread at the least and at the most.
const NARROW: Duration = Duration::from_millis(100);
const WIDE: Duration = Duration::from_secs(30);

/// Refusals of the last seconds: the number of the second in the upper half, the count in the lower.
/// Each second halves what was before it.
#[derive(Debug, Default)]
pub struct Pressure(AtomicU64);

/// The count after one more refusal in `second`.
const fn one_more(packed: u64, second: u32) -> u64 {
    let (then, count) = ((packed >> 32) & 0xffff_ffff, packed & 0xffff_ffff);
    #[expect(clippy::as_conversions, reason = "u64::from is not const")]
    let now = second as u64;
    let old = now.saturating_sub(then);
    let left = if old >= 32 { 0 } else { count >> old };
    let count = if left >= 0xffff_fffe { left } else { left + 1 };
    now << 32 | count
}

impl Pressure {
    /// None so far.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Counts a refusal in `second`: how many there were of late before it.
    pub fn count(&self, second: u32) -> u32 {
        let counted = |packed| Some(one_more(packed, second));
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted).unwrap_or_else(|p| p);
        u32::try_from(one_more(before, second) & 0xffff_ffff).unwrap_or(u32::MAX).saturating_sub(1)
    }
}

/// When one who is refused is to come back: `soonest` at the least, and then anywhere in a window that is
/// as many times as wide as others were refused of late. `random` is from 0 to 1.
#[must_use]
pub fn spread(soonest: Duration, refused: u32, random: f64) -> Duration {
    let window = soonest.max(NARROW).saturating_mul(refused.saturating_add(1)).min(WIDE);
    soonest.saturating_add(window.mul_f64(random.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_and_forgotten() {
        let pressure = Pressure::new();
        let counts: Vec<u32> = (0..5).map(|_| pressure.count(100)).collect();
        assert_eq!(counts, [0, 1, 2, 3, 4]);
        assert_eq!(pressure.count(101), 2, "half of five");
        assert_eq!(pressure.count(200), 0);
        assert_eq!(pressure.count(199), 1, "a clock that steps back changes nothing");
    }

    #[test]
    fn the_more_are_refused_the_later_and_wider_they_come_back() {
        let second = Duration::from_secs(1);
        assert_eq!(spread(second, 0, 0.0), second, "never sooner than there is room");
        assert_eq!(spread(second, 0, 1.0), second * 2);
        assert_eq!(spread(second, 9, 1.0), second * 11);
        assert_eq!(spread(second, 1_000_000, 1.0), second * 31, "and never for ever");
        assert_eq!(spread(Duration::ZERO, 0, 0.5), NARROW / 2);
    }

    /// Hundreds that are refused together do not come back together.
    #[test]
    fn retries_of_a_crowd_spread_so_that_each_moment_sees_few() {
        let pressure = Pressure::new();
        let mut moments = std::collections::BTreeMap::<u128, u32>::new();
        for n in 0..500_u32 {
            // Evenly spread numbers stand for random ones.
            let random = f64::from(n.wrapping_mul(2_654_435_769)) / f64::from(u32::MAX);
            let wait = spread(Duration::from_millis(200), pressure.count(7), random);
            *moments.entry(wait.as_millis() / 200).or_default() += 1;
        }
        let most = moments.values().max().copied().unwrap_or_default();
        assert!(
            most <= 25 && moments.len() > 100,
            "{most} of 500 within 200 ms, in {} moments",
            moments.len()
        );
    }
}
