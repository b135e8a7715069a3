//! Which time may be believed when something is dropped for good because of its age. A clock that is wrong for a while,
//! and be it two seconds, must not cost data: a wall clock is believed once it has gone along with the monotonic clock,
//! which nobody sets, for long enough. Pure.

use std::collections::VecDeque;
use std::time::Duration;

/// The longest wait. A clock that was wrong at the start of the machine has been put right by then.
const LONGEST: Duration = Duration::from_hours(1);
/// Of an age so many parts: the wait for what is dropped at that age.
const PARTS: u32 = 10;
/// What the wall clock may be ahead of what it was believed to be without being watched, in milliseconds: a clock that
/// is put right by small steps is not one that jumps, and there are few rows to keep.
const GRAIN: i64 = 1_000;
/// Rows that are kept. A clock that has jumped ahead so often within an hour is believed later.
const MOST: usize = 64;

/// How long the wall clock must have gone along with the monotonic one before what is older than `age` is dropped.
pub(super) fn wait(age: Duration) -> Duration {
    (age / PARTS).min(LONGEST)
}

/// What was seen of the two clocks.
#[derive(Debug, Default)]
pub(super) struct Settling {
    /// Both ascend. The first may be older than any wait.
    seen: VecDeque<Ahead>,
}

/// Since a time, the wall clock has never been less ahead of the monotonic one.
#[derive(Debug, Clone, Copy)]
struct Ahead {
    since: Duration,
    ms: i64,
}

impl Settling {
    /// Both clocks, read together: the wall clock first, so that a pause between the two makes it look late, not early.
    pub(super) fn see(&mut self, wall_ms: i64, steady: Duration) {
        let mut ahead = Ahead { since: steady, ms: wall_ms.saturating_sub(millis(steady)) };
        while let Some(last) = self.seen.back().filter(|last| last.ms > ahead.ms) {
            ahead.since = last.since;
            self.seen.pop_back();
        }
        let is_ahead = |last: &Ahead| ahead.ms >= last.ms.saturating_add(GRAIN);
        if self.seen.back().is_none_or(is_ahead) && self.seen.len() < MOST {
            self.seen.push_back(ahead);
        }
        // What comes after the first one is believed by whoever waits longest.
        while self.seen.get(1).is_some_and(|next| next.since.saturating_add(LONGEST) <= steady) {
            self.seen.pop_front();
        }
    }

    /// The latest time, in Unix milliseconds, that the wall clock has not been behind for as long as `wait`, as it has
    /// gone on since; `None` if it was not watched for so long. A clock that is put back is believed at once.
    pub(super) fn settled(&self, steady: Duration, wait: Duration) -> Option<i64> {
        let is_old = |ahead: &&Ahead| ahead.since.saturating_add(wait) <= steady;
        let ahead = self.seen.iter().rev().find(is_old)?;
        Some(ahead.ms.saturating_add(millis(steady)))
    }
}

fn millis(steady: Duration) -> i64 {
    i64::try_from(steady.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A year, in milliseconds.
    const YEAR: i64 = 365 * 86_400_000;
    /// When the tests begin.
    const START: i64 = 50 * YEAR;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_wait_is_an_hour_and_a_tenth_of_a_short_age() {
        let table = [(30 * 86_400, 3_600), (36_000, 3_600), (3_600, 360), (60, 6), (0, 0)];
        for (age, waits) in table {
            assert_eq!(wait(secs(age)), secs(waits), "{age} s");
        }
    }

    #[test]
    fn a_clock_is_believed_an_hour_after_it_jumped_ahead_and_at_once_when_it_was_put_back() {
        let mut clock = Settling::default();
        assert_eq!(clock.settled(secs(9_999), LONGEST), None, "nothing was seen");
        // At each second: what the wall clock is ahead by, and what is believed.
        let jump = 31 * 86_400_000;
        let table = [
            (0, 0, None),
            (3_599, 0, None),
            (3_600, 0, Some(0)),
            (3_602, jump, Some(0)),
            (3_604, 0, Some(0)),
            (4_000, jump, Some(0)),
            (7_599, jump, Some(0)),
            (7_600, jump, Some(jump)),
            (7_601, 0, Some(0)),
            (7_602, -jump, Some(-jump)),
            // It was put right: that is a jump ahead too.
            (7_603, 0, Some(-jump)),
            (11_202, 0, Some(-jump)),
            (11_203, 0, Some(0)),
        ];
        for (at, ahead, believed) in table {
            clock.see(START + millis(secs(at)) + ahead, secs(at));
            let expected = believed.map(|ahead| START + millis(secs(at)) + ahead);
            assert_eq!(clock.settled(secs(at), LONGEST), expected, "at {at}");
        }
    }

    #[test]
    fn a_clock_that_nobody_looked_at_for_long_is_not_believed_for_that() {
        let mut clock = Settling::default();
        clock.see(START, secs(0));
        // The process stood still, and meanwhile somebody set the clock.
        clock.see(START + YEAR, secs(40_000));
        assert_eq!(clock.settled(secs(40_000), LONGEST), Some(START + 40_000_000));
    }

    #[test]
    fn a_clock_that_is_slowly_put_right_is_followed_and_rows_are_few() {
        let mut clock = Settling::default();
        for second in 0..20_000_u32 {
            // Half a thousandth fast.
            let wall = START + i64::from(second) * 1_000 + i64::from(second) / 2;
            clock.see(wall, secs(second.into()));
            let Some(settled) = clock.settled(secs(second.into()), LONGEST) else { continue };
            assert!((wall - 3_000..=wall).contains(&settled), "{} behind at {second}", wall - settled);
        }
        for second in 20_000..40_000_u32 {
            clock.see(START + i64::from(second) * 3_000, secs(second.into()));
        }
        assert!(clock.seen.len() <= MOST, "{}", clock.seen.len());
    }

    proptest! {
        /// Whatever the clock shows meanwhile, in spells that are shorter than the wait: nothing is believed to be later
        /// than the earliest of what it showed within the wait, and what it went on showing is believed in the end.
        #[test]
        fn no_spell_of_a_wrong_clock_is_believed(
            spells in prop::collection::vec((1_u64..50, -2 * YEAR..2 * YEAR, 1_u64..50), 1..40),
        ) {
            let (mut clock, wait) = (Settling::default(), secs(60));
            let (mut now, mut seen) = (0_u64, Vec::new());
            for (wrong_for, by, right_for) in spells {
                for (long, ahead) in [(wrong_for, by), (right_for, 0)] {
                    for _ in 0..long {
                        now += 1;
                        clock.see(START + millis(secs(now)) + ahead, secs(now));
                        seen.push(ahead);
                        let settled = clock.settled(secs(now), wait);
                        let earliest = *seen.iter().rev().take(60).min().unwrap();
                        if let Some(settled) = settled {
                            let believed = settled - START - millis(secs(now));
                            prop_assert!(believed <= earliest, "{believed} at {now}, {earliest} was shown");
                        } else {
                            prop_assert!(now <= 60);
                        }
                    }
                }
            }
            for _ in 0..=60 {
                now += 1;
                clock.see(START + millis(secs(now)), secs(now));
            }
            let believed = clock.settled(secs(now), wait).unwrap() - START - millis(secs(now));
            prop_assert!((-GRAIN..=0).contains(&believed), "{believed}");
        }
    }
}
