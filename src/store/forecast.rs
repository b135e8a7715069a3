//! When the disk will be full, from how it grew. Pure: it is told the time and what is used.

use std::collections::VecDeque;
use std::time::Duration;

use super::catalogue::Held;

/// How far back is looked.
const SPAN_MS: i64 = 3_600_000;
/// How far samples are apart.
const APART_MS: i64 = 60_000;
/// What comes so soon after a start was waiting for it: senders bring what they kept, and drainers come later. It tells
/// nothing of what is to come.
const SETTLING_MS: i64 = 900_000;
/// How far back is looked at least. Together with the time before, a forecast is made an hour after a start.
const ENOUGH_MS: i64 = SPAN_MS - SETTLING_MS;
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
    /// Growth of what subscriptions hold, in bytes a second; 0 if it shrinks. `None` as long as it is not known.
    pub(super) growth: Option<f64>,
    /// When the first of the two is used up. What every subscription has drained is room in both. `None` as long as it is
    /// not known; what is used up already is known at once.
    pub(super) full_in: Option<Duration>,
}

/// Samples of the last hour, one for each minute.
#[derive(Debug, Default)]
pub(super) struct Forecast {
    /// When it was asked first.
    begun: Option<i64>,
    samples: VecDeque<Sample>,
}

impl Sample {
    /// Bytes that are free, or would be without what is drained.
    const fn open(&self) -> u64 {
        self.free.saturating_add(self.queued.saturating_sub(self.held.bytes))
    }
}

impl Forecast {
    /// Takes note of what is used now, and says what is to be expected.
    pub(super) fn note(&mut self, now: Sample, room: Room) -> Outlook {
        // A clock that went back: what is in the future was measured by another time.
        let begun = self.begun.map_or(now.at, |begun| begun.min(now.at));
        self.begun = Some(begun);
        let samples = &mut self.samples;
        samples.retain(|sample| (0..=SPAN_MS).contains(&now.at.saturating_sub(sample.at)));
        if now.at.saturating_sub(begun) >= SETTLING_MS
            && samples.back().is_none_or(|last| now.at.saturating_sub(last.at) >= APART_MS)
        {
            samples.push_back(now);
        }
        let budget_left = if room.refuses { room.budget.saturating_sub(now.held.kept) } else { u64::MAX };
        let disk_left = now.free.saturating_add(now.held.spare).saturating_sub(room.reserve);
        let is_full = budget_left == 0 || disk_left == 0;
        let first = samples.front().filter(|first| now.at.saturating_sub(first.at) >= ENOUGH_MS);
        let Some(first) = first else {
            return Outlook { growth: None, full_in: is_full.then_some(Duration::ZERO) };
        };
        let since = Duration::from_millis(u64::try_from(now.at.saturating_sub(first.at)).unwrap_or(0));
        let per_second = |grown: u64| float(grown) / since.as_secs_f64();
        let growth = per_second(now.held.bytes.saturating_sub(first.held.bytes));
        let disk = Disk {
            left: disk_left,
            shrinking: per_second(first.open().saturating_sub(now.open())),
            queue_left: room.budget.saturating_sub(now.held.kept),
            queue_growth: growth,
        };
        let of_budget = if room.refuses { until(budget_left, growth) } else { FARTHEST };
        Outlook { growth: Some(growth), full_in: Some(of_budget.min(disk.full_in())) }
    }
}

/// How the disk is used up: by the queue, which grows to its budget and no further, and by others.
struct Disk {
    /// Bytes that may be used.
    left: u64,
    /// By how much they become less, in bytes a second.
    shrinking: f64,
    /// Bytes until what is not drained is at the budget.
    queue_left: u64,
    /// Growth of that, in bytes a second.
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
        let held = Held { bytes: queued, kept: queued, spare: 0 };
        Sample { at: second * 1_000, queued, held, free }
    }

    /// One that has settled long ago.
    fn settled() -> Forecast {
        Forecast { begun: Some(-SPAN_MS), ..Forecast::default() }
    }

    #[test]
    fn what_grows_steadily_is_full_when_the_rest_is_used_up_at_that_rate() {
        let mut forecast = Forecast::default();
        let mut outlook = forecast.note(sample(0, 0, u64::MAX), ROOM);
        for second in 1..=7_200 {
            assert_eq!(outlook.growth.is_some(), second > 3_600, "after {second} seconds: {outlook:?}");
            assert_eq!(outlook.full_in.is_some(), second > 3_600, "after {second} seconds: {outlook:?}");
            let queued = u64::try_from(second).unwrap_or(0) * 1_000;
            outlook = forecast.note(sample(second, queued, u64::MAX), ROOM);
            assert!(forecast.samples.len() <= 62);
        }
        assert!(outlook.growth.is_some_and(|growth| (growth - 1_000.0).abs() < 1.0), "{outlook:?}");
        assert_eq!(outlook.full_in.map(|time| time.as_secs()), Some(2_800));
    }

    #[test]
    fn what_senders_bring_after_a_start_because_they_had_kept_it_is_no_growth() {
        let mut forecast = Forecast::default();
        for second in 0..=7_200_u32 {
            // Half of the budget within ten minutes, and the disk is that of the queue alone; then nothing.
            let queued = u64::from(second.min(600)) * 8_333;
            let outlook = forecast.note(sample(second.into(), queued, 12_000_000 - queued), ROOM);
            let is_calm = outlook.growth.is_none_or(|growth| growth == 0.0);
            assert!(is_calm && outlook.full_in.is_none_or(|time| time == FARTHEST), "{second}: {outlook:?}");
        }
    }

    #[test]
    fn the_first_of_budget_and_disk_counts() {
        let mut forecast = settled();
        forecast.note(sample(0, 0, 9_000_000), ROOM);
        // 300 bytes a second of the budget, 2 kB a second of the disk: others write there too.
        let outlook = forecast.note(sample(3_000, 900_000, 3_000_000), ROOM);
        assert_eq!(outlook.full_in.map(|time| time.as_secs()), Some(1_000));
        let drops = Room { refuses: false, ..ROOM };
        let outlook = forecast.note(sample(3_060, 9_999_999, 9_000_000), drops);
        assert_eq!(outlook.full_in, Some(FARTHEST), "the oldest give way, and the disk has room again");
    }

    #[test]
    fn what_is_drained_is_room_on_the_disk_too() {
        let mut forecast = settled();
        let now = |second: i64, free| {
            let held = Held { bytes: 0, kept: 0, spare: 5_000_000 };
            Sample { at: second * 1_000, queued: 5_000_000, held, free }
        };
        forecast.note(now(0, 4_500_000), ROOM);
        let outlook = forecast.note(now(3_000, 1_500_000), ROOM);
        assert_eq!(outlook.full_in.map(|time| time.as_secs()), Some(5_500), "1 kB a second by others");
        let outlook = forecast.note(now(3_060, 900_000), ROOM);
        assert!(outlook.full_in > Some(Duration::from_secs(4_000)), "it gives way: {outlook:?}");
    }

    #[test]
    fn a_queue_that_is_drained_as_fast_as_it_grows_is_never_full() {
        let (mut forecast, mut lowest) = (settled(), FARTHEST);
        // Segments of 1 MB; 20 kB a second come, and are drained within five seconds. The disk is that of the queue alone.
        for second in 0..=20_000_u32 {
            let all = 100_000 + u64::from(second) * 20_000;
            let queued = if all < 10_000_000 { all } else { 9_000_000 + all % 1_000_000 };
            let kept = (all % 1_000_000).max(100_000);
            let held = Held { bytes: 100_000, kept, spare: queued - kept };
            let now = Sample { at: i64::from(second) * 1_000, queued, held, free: 40_000_000 - queued };
            lowest = lowest.min(forecast.note(now, ROOM).full_in.unwrap_or(FARTHEST));
        }
        assert_eq!(lowest, FARTHEST);
        // The drainer ends: what is left of the budget is used up at the rate at which it is sent.
        let mut outlook = None;
        for second in 1..=120_u32 {
            let kept = 1_000_000 + u64::from(second) * 20_000;
            let held = Held { bytes: 100_000 + u64::from(second) * 20_000, kept, spare: 9_500_000 - kept };
            let at = 20_000_000 + i64::from(second) * 1_000;
            outlook = Some(forecast.note(Sample { at, queued: 9_500_000, held, free: 30_000_000 }, ROOM));
        }
        let is_told = |outlook: Outlook| {
            outlook.growth.is_some_and(|growth| growth > 0.0) && outlook.full_in < Some(FARTHEST)
        };
        assert!(outlook.is_some_and(is_told), "{outlook:?}");
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
    fn what_is_full_is_full_at_once_and_a_clock_that_goes_back_makes_no_flood() {
        let mut forecast = Forecast::default();
        let full = forecast.note(sample(9_000, 10_000_000, u64::MAX), ROOM);
        assert_eq!(full, Outlook { growth: None, full_in: Some(Duration::ZERO) });
        assert_eq!(forecast.note(sample(9_001, 1, 1_000_000), ROOM), full, "the disk is");
        let mut forecast = settled();
        forecast.note(sample(9_000, 5_000_000, u64::MAX), ROOM);
        assert!(forecast.note(sample(12_000, 5_000_000, u64::MAX), ROOM).growth.is_some());
        let unknown = Outlook { growth: None, full_in: None };
        assert_eq!(forecast.note(sample(100, 5_000_000, u64::MAX), ROOM), unknown);
    }
}
