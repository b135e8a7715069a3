//! Which epoch of rotating pseudonyms a time belongs to. Epochs are counted from 1970; when their length is
//! changed, counting goes on from the epoch that was reached, so that a number never comes twice.

use std::time::Duration;

use crate::model::UnixMillis;

/// Changes of the length that are remembered. Of times before the first of them, the number is only an estimate.
const TURNS: usize = 4;

/// From when on epochs have a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Turn {
    from: i64,
    /// The number of the epoch that begins at `from`.
    epoch: u32,
    /// In milliseconds, at least an hour.
    length: i64,
}

/// The length of a rotation epoch of pseudonyms, now and before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation([Turn; TURNS]);

impl Default for Rotation {
    fn default() -> Self {
        Self::every(Duration::from_hours(720))
    }
}

impl Rotation {
    /// Bytes of [`Self::encode`].
    const BYTES: usize = TURNS * 20;

    /// A rotation of this length, of at least one hour; shorter ones are taken as one hour.
    #[must_use]
    pub fn every(length: Duration) -> Self {
        Self([Turn { from: 0, epoch: 0, length: millis(length) }; TURNS])
    }

    /// The length of the present epochs.
    #[must_use]
    pub fn length(self) -> Duration {
        Duration::from_millis(self.present().length.unsigned_abs())
    }

    /// The number of the epoch at a time.
    #[must_use]
    pub fn epoch(self, at: UnixMillis) -> u32 {
        let turn = self.turn(at);
        let since = at.0.saturating_sub(turn.from).div_euclid(turn.length);
        u32::try_from(i64::from(turn.epoch).saturating_add(since).max(0)).unwrap_or(u32::MAX)
    }

    /// When the epoch after the one at `at` begins.
    #[must_use]
    pub fn next(self, at: UnixMillis) -> UnixMillis {
        let turn = self.turn(at);
        let since = at.0.saturating_sub(turn.from).div_euclid(turn.length);
        UnixMillis(since.saturating_add(1).saturating_mul(turn.length).saturating_add(turn.from))
    }

    /// When an epoch begins, by the present length if it is later than the last change.
    #[must_use]
    pub fn start(self, epoch: u32) -> UnixMillis {
        let [first, ..] = self.0;
        let turn = self.0.iter().rev().find(|turn| turn.epoch <= epoch).copied().unwrap_or(first);
        let since = i64::from(epoch).saturating_sub(turn.epoch.into()).saturating_mul(turn.length);
        UnixMillis(turn.from.saturating_add(since))
    }

    /// The same with epochs of another length after `used`, the last time of which something was derived; `None` if they
    /// have that length already. A new epoch begins then. What clocks show meanwhile does not count: one that is ahead
    /// would put the change off until then, and one that is behind would have numbers come again.
    #[must_use]
    pub fn changed(self, length: Duration, used: UnixMillis) -> Option<Self> {
        let (length, known) = (millis(length), self.until(used));
        let last = known.present();
        if length == last.length {
            return (known != self).then_some(known);
        }
        let from = used.0.max(last.from).saturating_add(1);
        let epoch = known.epoch(UnixMillis(from)).saturating_add(1);
        let [_, turns @ ..] = known.0;
        let mut next = [Turn { from, epoch, length }; TURNS];
        next.iter_mut().zip(turns).for_each(|(slot, turn)| *slot = turn);
        Some(Self(next))
    }

    /// Without changes that begin later than right after `used`: a clock that was ahead made them, and nothing was derived
    /// by them.
    fn until(self, used: UnixMillis) -> Self {
        let [first, second, third, last] = self.0;
        if last.from <= used.0.saturating_add(1) || last == first {
            return self;
        }
        Self([first, first, second, third]).until(used)
    }

    /// When epochs began to have their present length.
    #[must_use]
    pub fn since(self) -> UnixMillis {
        UnixMillis(self.present().from)
    }

    /// As bytes, for the store.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::BYTES);
        for turn in self.0 {
            out.extend_from_slice(&turn.from.to_be_bytes());
            out.extend_from_slice(&turn.epoch.to_be_bytes());
            out.extend_from_slice(&turn.length.to_be_bytes());
        }
        out
    }

    /// Takes back what [`Self::encode`] gave; `None` if it is anything else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (turns, rest) = bytes.as_chunks::<20>();
        let mut rotation = Self::default();
        if turns.len() != TURNS || !rest.is_empty() {
            return None;
        }
        for (slot, turn) in rotation.0.iter_mut().zip(turns) {
            let (from, rest) = turn.split_first_chunk()?;
            let (epoch, rest) = rest.split_first_chunk()?;
            let (length, _) = rest.split_first_chunk()?;
            *slot = Turn {
                from: i64::from_be_bytes(*from),
                epoch: u32::from_be_bytes(*epoch),
                length: i64::from_be_bytes(*length),
            };
        }
        let sane =
            rotation.0.iter().all(|turn| turn.length > 0) && rotation.0.is_sorted_by_key(|turn| turn.from);
        sane.then_some(rotation)
    }

    fn present(self) -> Turn {
        let [.., last] = self.0;
        last
    }

    fn turn(self, at: UnixMillis) -> Turn {
        let [first, ..] = self.0;
        self.0.iter().rev().find(|turn| turn.from <= at.0).copied().unwrap_or(first)
    }
}

fn millis(length: Duration) -> i64 {
    i64::try_from(length.max(Duration::from_hours(1)).as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn epochs_are_counted_from_1970_and_begin_on_time() {
        let rotation = Rotation::every(Duration::from_hours(2));
        for (at, epoch) in
            [(0, 0), (2 * HOUR - 1, 0), (2 * HOUR, 1), (21 * HOUR, 10), (-1, 0), (i64::MAX, u32::MAX)]
        {
            assert_eq!(rotation.epoch(UnixMillis(at)), epoch, "{at}");
        }
        assert_eq!(rotation.next(UnixMillis(21 * HOUR)), UnixMillis(22 * HOUR));
        assert_eq!(rotation.next(UnixMillis(22 * HOUR)), UnixMillis(24 * HOUR));
        assert_eq!(Rotation::every(Duration::ZERO).length(), Duration::from_hours(1));
        assert_eq!(Rotation::default().length(), Duration::from_hours(720));
    }

    #[test]
    fn a_changed_length_begins_a_new_epoch_and_no_number_comes_twice() {
        let mut rotation = Rotation::every(Duration::from_hours(1));
        let (mut highest, mut at) = (0, 1_000 * HOUR);
        // More changes than are remembered, to longer and to shorter.
        for hours in [720, 24, 8_760, 1, 48, 2] {
            let (before, just_before) = (rotation.epoch(UnixMillis(at)), rotation.epoch(UnixMillis(at - 1)));
            assert!(before >= highest);
            assert_eq!(rotation.changed(rotation.length(), UnixMillis(at)), None);
            rotation = rotation.changed(Duration::from_hours(hours), UnixMillis(at - 1)).unwrap();
            assert_eq!(rotation.epoch(UnixMillis(at - 1)), just_before, "what was before keeps its number");
            for epoch in [just_before, before + 1, before + 7] {
                assert!(rotation.epoch(rotation.start(epoch)) == epoch, "{epoch}");
            }
            assert_eq!(rotation.start(before + 1), UnixMillis(at));
            highest = rotation.epoch(UnixMillis(at));
            assert_eq!(highest, before + 1);
            assert_eq!(rotation.epoch(UnixMillis(at + rotation.present().length)), highest + 1);
            at += 100 * HOUR + 17;
        }
        assert_eq!(Rotation::decode(&rotation.encode()), Some(rotation));
    }

    #[test]
    fn a_change_of_a_clock_that_was_ahead_is_made_again_and_one_that_was_used_stays() {
        let (day, days) = (Duration::from_hours(24), Duration::from_hours(72));
        let (used, far) = (UnixMillis(10_000 * HOUR), UnixMillis(90_000 * HOUR));
        let first = Rotation::every(day);
        let pinned = first.changed(days, far).unwrap();
        let right = first.changed(days, used).unwrap();
        assert_eq!(pinned.changed(days, used), Some(right));
        assert_eq!(pinned.changed(day, used), Some(first), "as if it had never been");
        assert_eq!(right.changed(days, used), None);
        assert_eq!(pinned.changed(days, UnixMillis(far.0 + 1)), None, "something was derived by it");
        assert_eq!(right.since(), UnixMillis(used.0 + 1));
    }

    #[test]
    fn what_is_no_rotation_is_not_taken_for_one() {
        let good = Rotation::default().encode();
        assert_eq!(Rotation::decode(&good), Some(Rotation::default()));
        assert_eq!(Rotation::decode(good.get(1..).unwrap()), None);
        assert_eq!(Rotation::decode(&vec![0; good.len()]), None, "a length of nothing");
    }
}
