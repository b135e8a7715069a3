//! Which segments give way to age, to the disk budget, to a disk that others fill, and to what is new. Pure.

use std::time::Duration;

use super::WhenFull;

/// A closed segment, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed {
    /// Its number.
    pub(super) number: u32,
    /// Its last commit.
    pub(super) last: u64,
    /// When its newest record was received, in Unix milliseconds.
    pub(super) newest_ms: i64,
    /// Its bytes.
    pub(super) bytes: u64,
}

/// The terms of retention, at a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// Now, in Unix milliseconds.
    pub(super) now_ms: i64,
    /// Segments older than this are dropped.
    pub(super) age_ms: i64,
    /// The budget.
    pub(super) bytes: u64,
    /// What happens when it is spent.
    pub(super) when_full: WhenFull,
    /// Every subscription is past what is below this commit.
    pub(super) released: u64,
}

/// Why a segment is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// It is too old.
    Age,
    /// The budget is spent or the disk is short, and every subscription is past it.
    Drained,
    /// The budget is spent, and it gives way though it is not drained.
    Size,
}

impl Cause {
    /// Every one.
    pub(super) const ALL: [Self; 3] = [Self::Age, Self::Drained, Self::Size];

    /// The word for metrics and logs.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Drained => "drained",
            Self::Size => "size",
        }
    }
}

/// The oldest segments that are too old. Stops at the first that is not: the queue stays whole.
pub(super) fn expired(closed: &[Closed], terms: &Terms) -> Vec<u32> {
    let old = |segment: &&Closed| terms.now_ms.saturating_sub(segment.newest_ms) >= terms.age_ms;
    closed.iter().take_while(old).map(|segment| segment.number).collect()
}

/// What to do so that `wanted` more bytes fit beside `used` ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Room {
    /// Segments to drop that every subscription has drained, oldest first.
    pub(super) drained: Vec<u32>,
    /// Segments to drop that are not drained, oldest first; all of them come after those that are.
    pub(super) drop: Vec<u32>,
    /// Bytes that fit then; less than wanted if the budget is spent.
    pub(super) bytes: u64,
}

/// Makes room. What every subscription has drained goes first, and goes under either choice;
/// what is not drained goes only by [`WhenFull::DropOldest`].
pub(super) fn make_room(closed: &[Closed], used: u64, wanted: u64, terms: &Terms) -> Room {
    let mut left = used;
    let (mut drained, mut drop) = (Vec::new(), Vec::new());
    for segment in closed {
        let fits = left.saturating_add(wanted) <= terms.bytes;
        let is_drained = segment.last < terms.released;
        if fits || !(is_drained || terms.when_full == WhenFull::DropOldest) {
            break;
        }
        left = left.saturating_sub(segment.bytes);
        let gone = if is_drained { &mut drained } else { &mut drop };
        gone.push(segment.number);
    }
    Room { drained, drop, bytes: terms.bytes.saturating_sub(left) }
}

/// The oldest segments that every subscription has drained, so many that `short` bytes of the disk come free; all of them
/// if that is not enough. Whoever else fills the disk, what is not drained does not give way to that.
pub(super) fn spare(closed: &[Closed], short: u64, terms: &Terms) -> Vec<u32> {
    let (mut freed, mut gone) = (0_u64, Vec::new());
    for segment in closed.iter().take_while(|segment| segment.last < terms.released) {
        if freed >= short {
            break;
        }
        freed = freed.saturating_add(segment.bytes);
        gone.push(segment.number);
    }
    gone
}

/// When a sender may try again: when the oldest segment will be too old, between 1 s and 60 s.
pub(super) fn retry_after(oldest: Option<&Closed>, terms: &Terms) -> Duration {
    let due = oldest.map_or(i64::MAX, |segment| {
        terms.age_ms.saturating_sub(terms.now_ms.saturating_sub(segment.newest_ms))
    });
    Duration::from_millis(u64::try_from(due.clamp(1_000, 60_000)).unwrap_or(60_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(rows: &[(u32, u64, i64, u64)]) -> Vec<Closed> {
        rows.iter()
            .map(|&(number, last, newest_ms, bytes)| Closed { number, last, newest_ms, bytes })
            .collect()
    }

    const TERMS: Terms =
        Terms { now_ms: 1_000, age_ms: 100, bytes: 100, when_full: WhenFull::Refuse, released: 0 };

    #[test]
    fn only_the_oldest_run_of_old_segments_expires() {
        let table: [(&[i64], &[u32]); 5] = [
            (&[], &[]),
            (&[900, 901], &[0]),
            (&[950, 100], &[]),
            (&[100, 200, 990], &[0, 1]),
            (&[5_000, 100], &[]),
        ];
        for (times, dropped) in table {
            let rows: Vec<_> = (0..).zip(times).map(|(n, ms)| (n, 0, *ms, 1)).collect();
            assert_eq!(expired(&closed(&rows), &TERMS), dropped, "{times:?}");
        }
    }

    #[test]
    fn the_budget_refuses_or_drops_the_oldest_and_what_is_drained_goes_first() {
        type Case<'a> = (u64, u64, WhenFull, u64, &'a [u32], &'a [u32], u64);
        let segments = closed(&[(0, 10, 0, 40), (1, 20, 0, 40)]);
        let table: [Case<'_>; 9] = [
            (80, 20, WhenFull::Refuse, 0, &[], &[], 20),
            (80, 21, WhenFull::Refuse, 0, &[], &[], 20),
            (80, 21, WhenFull::Refuse, 11, &[0], &[], 60),
            (80, 21, WhenFull::Refuse, 10, &[], &[], 20),
            (80, 21, WhenFull::DropOldest, 0, &[], &[0], 60),
            (80, 21, WhenFull::DropOldest, 11, &[0], &[], 60),
            (80, 61, WhenFull::DropOldest, 0, &[], &[0, 1], 100),
            (80, 61, WhenFull::DropOldest, 11, &[0], &[1], 100),
            (80, 500, WhenFull::DropOldest, 0, &[], &[0, 1], 100),
        ];
        for (used, wanted, when_full, released, drained, drop, bytes) in table {
            let room = make_room(&segments, used, wanted, &Terms { when_full, released, ..TERMS });
            let expected = Room { drained: drained.to_vec(), drop: drop.to_vec(), bytes };
            assert_eq!(room, expected, "{used} + {wanted} {when_full:?}");
        }
    }

    #[test]
    fn a_short_disk_takes_what_is_drained_as_far_as_it_goes_and_nothing_else() {
        let segments = closed(&[(0, 10, 0, 40), (1, 20, 0, 40), (2, 30, 0, 40)]);
        let table: [(u64, u64, &[u32]); 8] = [
            (0, 99, &[]),
            (1, 99, &[0]),
            (40, 99, &[0]),
            (41, 99, &[0, 1]),
            (u64::MAX, 99, &[0, 1, 2]),
            (u64::MAX, 21, &[0, 1]),
            (u64::MAX, 20, &[0]),
            (u64::MAX, 0, &[]),
        ];
        for (short, released, gone) in table {
            for when_full in [WhenFull::Refuse, WhenFull::DropOldest] {
                let terms = Terms { when_full, released, ..TERMS };
                assert_eq!(spare(&segments, short, &terms), gone, "{short} {released}");
            }
        }
    }

    #[test]
    fn the_hint_is_between_a_second_and_a_minute() {
        let terms = Terms { age_ms: 30_000, ..TERMS };
        let table = [(Some(990), 29_990), (Some(-40_000), 1_000), (Some(100_000), 60_000), (None, 60_000)];
        for (newest, ms) in table {
            let oldest = newest.map(|newest_ms| Closed { number: 0, last: 0, newest_ms, bytes: 0 });
            assert_eq!(retry_after(oldest.as_ref(), &terms), Duration::from_millis(ms), "{newest:?}");
        }
    }
}
