//! When the disk will be full, from how it grew. Pure: it is told the time and what is used.

use std::collections::VecDeque;
use std::time::Duration;

/// How far back is looked.
const SPAN_MS: i64 = 3_600_000;
/// How far samples are apart.
const APART_MS: i64 = 60_000;
/// Beyond this nobody plans, and a forecast says no more.
const FARTHEST: Duration = Duration::from_hours(366 * 24);

/// What is used at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// When, in milliseconds.
    pub(super) at: i64,
    /// Bytes of queued records.
    pub(super) queued: u64,
    /// Free bytes of the file system.
    pub(super) free: u64,
}

/// What may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Bytes of queued records at which something happens; none if the oldest give way.
    pub(super) budget: Option<u64>,
    /// Free bytes that are left alone.
    pub(super) reserve: u64,
}

/// What is to be expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outlook {
    /// Growth of the queued records, in bytes a second; 0 if they shrink.
    pub(super) growth: f64,
    /// When the first of the two is used up.
    pub(super) full_in: Duration,
}

/// Samples of the last hour, one for each minute.
#[derive(Debug, Default)]
pub(super) struct Forecast(VecDeque<Sample>);

impl Forecast {
    /// Takes note of what is used now, and says what is to be expected.
    pub(super) fn note(&mut self, now: Sample, room: Room) -> Outlook {
        let samples = &mut self.0;
        // A clock that went back: what is in the future was measured by another time.
        samples.retain(|sample| (0..=SPAN_MS).contains(&now.at.saturating_sub(sample.at)));
        if samples.back().is_none_or(|last| now.at.saturating_sub(last.at) >= APART_MS) {
            samples.push_back(now);
        }
        let first = samples.front().copied().unwrap_or(now);
        let since = Duration::from_millis(u64::try_from(now.at.saturating_sub(first.at)).unwrap_or(0));
        let per_second = |grown: u64| {
            // A minute at least, or one write would look like a flood.
            if since.as_secs() < 60 { 0.0 } else { float(grown) / since.as_secs_f64() }
        };
        let growth = per_second(now.queued.saturating_sub(first.queued));
        let shrinking = per_second(first.free.saturating_sub(now.free));
        let of_budget = room.budget.map(|budget| until(budget.saturating_sub(now.queued), growth));
        let of_disk = until(now.free.saturating_sub(room.reserve), shrinking);
        Outlook { growth, full_in: of_budget.map_or(of_disk, |budget| budget.min(of_disk)) }
    }
}

/// How long `left` lasts.
fn until(left: u64, per_second: f64) -> Duration {
    if left == 0 {
        return Duration::ZERO;
    }
    Duration::try_from_secs_f64(float(left) / per_second).map_or(FARTHEST, |time| time.min(FARTHEST))
}

/// Beyond 2^53 it is rounded, which no forecast can tell.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "a rate is a float")]
const fn float(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { budget: Some(10_000_000), reserve: 1_000_000 };

    fn sample(second: i64, queued: u64, free: u64) -> Sample {
        Sample { at: second * 1_000, queued, free }
    }

    #[test]
    fn what_grows_steadily_is_full_when_the_rest_is_used_up_at_that_rate() {
        let mut forecast = Forecast::default();
        let mut outlook = forecast.note(sample(0, 0, u64::MAX), ROOM);
        assert_eq!((outlook.growth, outlook.full_in), (0.0, FARTHEST), "nothing is known yet");
        for second in 1..=7_200 {
            let queued = u64::try_from(second).unwrap_or(0) * 1_000;
            outlook = forecast.note(sample(second, queued, u64::MAX), ROOM);
            assert!(forecast.0.len() <= 62);
        }
        assert!((outlook.growth - 1_000.0).abs() < 1.0, "{outlook:?}");
        assert_eq!(outlook.full_in.as_secs(), 2_800);
    }

    #[test]
    fn the_first_of_budget_and_disk_counts() {
        let mut forecast = Forecast::default();
        forecast.note(sample(0, 0, 9_000_000), ROOM);
        // 10 kB a second of the budget, 50 kB a second of the disk: others write there too.
        let outlook = forecast.note(sample(100, 1_000_000, 4_000_000), ROOM);
        assert_eq!(outlook.full_in.as_secs(), 60);
        let drops = Room { budget: None, ..ROOM };
        let outlook = forecast.note(sample(160, 9_999_999, 9_000_000), drops);
        assert_eq!(outlook.full_in, FARTHEST, "the oldest give way, and the disk has room again");
    }

    #[test]
    fn what_is_full_is_full_and_a_clock_that_goes_back_makes_no_flood() {
        let mut forecast = Forecast::default();
        assert_eq!(forecast.note(sample(9_000, 10_000_000, u64::MAX), ROOM).full_in, Duration::ZERO);
        let outlook = forecast.note(sample(100, 5_000_000, u64::MAX), ROOM);
        assert_eq!((outlook.growth, outlook.full_in), (0.0, FARTHEST));
    }
}
