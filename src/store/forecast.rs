//! When the disk will be full, from how it grew. Pure: it is told the time and what is used.

use std::collections::VecDeque;
use std::time::Duration;

use super::catalogue::Held;

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
    /// Bytes of stored records.
    pub(super) queued: u64,
    /// What of them subscriptions hold.
    pub(super) held: Held,
    /// Free bytes of the file system.
    pub(super) free: u64,
}

/// What may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Bytes of stored records beyond which something has to give way.
    pub(super) budget: u64,
    /// Whether batches are refused rather than that what is not drained gives way.
    pub(super) refuses: bool,
    /// Free bytes that are left alone.
    pub(super) reserve: u64,
}

/// What is to be expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outlook {
    /// Growth of what subscriptions hold, in bytes a second; 0 if it shrinks.
    pub(super) growth: f64,
    /// When the first of the two is used up. What every subscription has drained is room in the budget.
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
        let growth = per_second(now.held.bytes.saturating_sub(first.held.bytes));
        let disk = Disk {
            left: now.free.saturating_sub(room.reserve),
            shrinking: per_second(first.free.saturating_sub(now.free)),
            queue_left: room.budget.saturating_sub(now.queued),
            queue_growth: per_second(now.queued.saturating_sub(first.queued)),
        };
        let of_budget =
            if room.refuses { until(room.budget.saturating_sub(now.held.kept), growth) } else { FARTHEST };
        Outlook { growth, full_in: of_budget.min(disk.full_in()) }
    }
}

/// How the disk is used up: by the queue, which grows to its budget and no further, and by others.
struct Disk {
    /// Bytes that may be used.
    left: u64,
    /// By how much they become less, in bytes a second.
    shrinking: f64,
    /// Bytes until the queue is at its budget.
    queue_left: u64,
    /// Growth of the queue, in bytes a second.
    queue_growth: f64,
}

impl Disk {
    fn full_in(&self) -> Duration {
        let (full, grown) = (until(self.left, self.shrinking), until(self.queue_left, self.queue_growth));
        if full <= grown {
            return full;
        }
        // From then on only others use it.
        let used = self.shrinking * grown.as_secs_f64();
        lasts(float(self.left) - used, self.shrinking - self.queue_growth).saturating_add(grown).min(FARTHEST)
    }
}

/// How long `left` lasts.
fn until(left: u64, per_second: f64) -> Duration {
    if left == 0 { Duration::ZERO } else { lasts(float(left), per_second) }
}

fn lasts(left: f64, per_second: f64) -> Duration {
    Duration::try_from_secs_f64(left / per_second).map_or(FARTHEST, |time| time.min(FARTHEST))
}

/// Beyond 2^53 it is rounded, which no forecast can tell.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "a rate is a float")]
const fn float(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { budget: 10_000_000, refuses: true, reserve: 1_000_000 };

    /// Nobody drains.
    fn sample(second: i64, queued: u64, free: u64) -> Sample {
        Sample { at: second * 1_000, queued, held: Held { bytes: queued, kept: queued }, free }
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
        let drops = Room { refuses: false, ..ROOM };
        let outlook = forecast.note(sample(160, 9_999_999, 9_000_000), drops);
        assert_eq!(outlook.full_in, FARTHEST, "the oldest give way, and the disk has room again");
    }

    #[test]
    fn a_queue_that_is_drained_as_fast_as_it_grows_is_never_full() {
        let (mut forecast, mut lowest) = (Forecast::default(), FARTHEST);
        // Segments of 1 MB; 20 kB a second come, and are drained within five seconds. The disk is that of the queue alone.
        for second in 0..=20_000_u32 {
            let all = 100_000 + u64::from(second) * 20_000;
            let queued = if all < 10_000_000 { all } else { 9_000_000 + all % 1_000_000 };
            let held = Held { bytes: 100_000, kept: (all % 1_000_000).max(100_000) };
            let now = Sample { at: i64::from(second) * 1_000, queued, held, free: 40_000_000 - queued };
            lowest = lowest.min(forecast.note(now, ROOM).full_in);
        }
        assert_eq!(lowest, FARTHEST);
        // The drainer ends: what is left of the budget is used up at the rate at which it is sent.
        let mut outlook = None;
        for second in 1..=120_u32 {
            let held = Held {
                bytes: 100_000 + u64::from(second) * 20_000,
                kept: 1_000_000 + u64::from(second) * 20_000,
            };
            let now = Sample {
                at: 20_000_000 + i64::from(second) * 1_000,
                queued: 9_500_000,
                held,
                free: 30_000_000,
            };
            outlook = Some(forecast.note(now, ROOM));
        }
        assert!(
            outlook.is_some_and(|outlook| outlook.growth > 0.0 && outlook.full_in < FARTHEST),
            "{outlook:?}"
        );
    }

    #[test]
    fn a_disk_that_has_room_for_the_whole_budget_is_filled_by_others_only() {
        let disk = |left, shrinking, queue_left, queue_growth| {
            Disk { left, shrinking, queue_left, queue_growth }.full_in().as_secs()
        };
        assert_eq!(disk(1_000, 10.0, 10_000, 10.0), 100, "it is smaller than the budget");
        assert_eq!(disk(1_000, 10.0, 500, 10.0), FARTHEST.as_secs(), "the queue takes half of it");
        assert_eq!(disk(1_000, 10.0, 500, 5.0), 100, "and others the other half meanwhile");
        assert_eq!(disk(1_000, 10.0, 250, 5.0), 150, "after 50 s only others write: 500 bytes at 5 a second");
        assert_eq!(disk(1_000, 10.0, 0, 0.0), 100);
        assert_eq!(disk(0, 0.0, 0, 0.0), 0);
    }

    #[test]
    fn what_is_full_is_full_and_a_clock_that_goes_back_makes_no_flood() {
        let mut forecast = Forecast::default();
        assert_eq!(forecast.note(sample(9_000, 10_000_000, u64::MAX), ROOM).full_in, Duration::ZERO);
        let outlook = forecast.note(sample(100, 5_000_000, u64::MAX), ROOM);
        assert_eq!((outlook.growth, outlook.full_in), (0.0, FARTHEST));
    }
}
