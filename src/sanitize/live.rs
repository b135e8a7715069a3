//! The rotation epochs of which a customer has keys: those that its ratchet gives, and those whose seed a bridge keeps.
//! Whoever asks which rotating pseudonyms can be told asks this: the look-up of pseudonyms, erasure and its notice.

use super::{CustomerSecret, EpochSeed, ProgramKeys, Ratchet};
use crate::model::{ProgramName, UnixMillis};

/// The epochs of which there are keys of one customer, in order; each once, unless it has different keys. `Debug` tells
/// their numbers.
#[derive(Clone, Default)]
pub struct LiveEpochs(Vec<Live>);

#[derive(Clone)]
struct Live {
    epoch: u32,
    seed: EpochSeed,
    /// When the bridge ends that its keys are had by; `None` if the ratchet gives them.
    bridge: Option<UnixMillis>,
}

impl std::fmt::Debug for LiveEpochs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|live| live.epoch)).finish()
    }
}

impl LiveEpochs {
    /// From the oldest epoch that the ratchet still gives, whatever is to be kept by now, to `present`; and those of
    /// bridges, each with its seed and end. A ratchet that is more than [`Ratchet::STEPS`] behind gives no more of them.
    #[must_use]
    pub fn new(
        ratchet: &Ratchet,
        present: u32,
        bridges: impl IntoIterator<Item = (u32, EpochSeed, UnixMillis)>,
    ) -> Self {
        let mut live = Self::of(ratchet, ratchet.epoch()..=present).0;
        let kept = live.len();
        for (epoch, seed, until) in bridges {
            // An epoch can have keys of a bridge and others of the ratchet: those of earlier epochs that it was given late.
            if !live.iter().any(|live| live.epoch == epoch && live.seed == seed) {
                live.push(Live { epoch, seed, bridge: Some(until) });
            }
        }
        if live.len() > kept {
            live.sort_by_key(|live| live.epoch);
        }
        Self(live)
    }

    /// These and of other epochs, which are in order, those that the ratchet gives: what was stored while a clock was ahead
    /// has pseudonyms of epochs that have not begun. In memory only: nothing of the ratchet moves.
    #[must_use]
    pub fn and(mut self, ratchet: &Ratchet, others: impl IntoIterator<Item = u32>) -> Self {
        let before = self.0.len();
        for other in Self::of(ratchet, others).0 {
            if !self.0.iter().any(|live| live.epoch == other.epoch && live.seed == other.seed) {
                self.0.push(other);
            }
        }
        if self.0.len() > before {
            self.0.sort_by_key(|live| live.epoch);
        }
        self
    }

    /// Those of `epochs`, which are in order, that a ratchet gives.
    pub(super) fn of(ratchet: &Ratchet, epochs: impl IntoIterator<Item = u32>) -> Self {
        let (last, mut at) = (ratchet.last(), ratchet.clone());
        let within = epochs.into_iter().take_while(|epoch| *epoch <= last);
        // Moved from one to the next, so that many take as many steps.
        let live = within.filter(|epoch| ratchet.gives(*epoch)).filter_map(|epoch| {
            if epoch > at.epoch() {
                at = at.forward(epoch);
            }
            Some(Live { epoch, seed: at.seed(epoch)?, bridge: None })
        });
        Self(live.collect())
    }

    /// Their numbers, in order.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|live| live.epoch)
    }

    /// Without those whose bridge has ended at `now`, and of those that the ratchet gives only the `newest`: what is told
    /// to somebody who asks.
    #[must_use]
    pub fn told_at(mut self, now: UnixMillis, newest: usize) -> Self {
        let kept = self.0.iter().filter(|live| live.bridge.is_none()).count();
        let mut old = kept.saturating_sub(newest);
        self.0.retain(|live| match live.bridge {
            Some(until) => until > now,
            None if old > 0 => {
                old -= 1;
                false
            }
            None => true,
        });
        self
    }

    /// The keys of a program at each of them, with the number of the epoch and whether a bridge keeps it. They are not
    /// held: what is looked for does not push out what is in use.
    pub(super) fn keys<'l>(
        &'l self,
        secret: &'l CustomerSecret,
        program: &'l ProgramName,
    ) -> impl Iterator<Item = (ProgramKeys, bool)> + 'l {
        let keys = |live: &Live| secret.keys_apart(program, Some((live.epoch, &live.seed)));
        self.0.iter().map(move |live| (keys(live), live.bridge.is_some()))
    }

    /// The rotating pseudonym of each of them that belongs to a stable one, with the number of the epoch.
    pub fn rotated<'l>(
        &'l self,
        secret: &'l CustomerSecret,
        program: &'l ProgramName,
        (class, stable): (crate::model::IdentifierClass, &'l [u8; 16]),
    ) -> impl Iterator<Item = (u32, [u8; 16])> + 'l {
        self.keys(secret, program)
            .filter_map(move |(keys, _)| Some((keys.epoch(), keys.rotate(class, stable)?)))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn ratchet(epoch: u32) -> Ratchet {
        Ratchet::new(3, [6; 32]).forward(epoch)
    }

    fn bridge(epoch: u32) -> (u32, EpochSeed, UnixMillis) {
        (epoch, ratchet(3).seed(epoch).unwrap(), UnixMillis(100))
    }

    fn numbers(live: &LiveEpochs) -> Vec<u32> {
        live.numbers().collect()
    }

    // covers: P4
    #[test]
    fn the_epochs_are_those_of_the_ratchet_and_of_bridges_each_once_and_with_its_own_seed() {
        let live = LiveEpochs::new(&ratchet(6), 8, [bridge(4), bridge(7), bridge(4)]);
        assert_eq!(format!("{live:?}"), "[4, 6, 7, 8]");
        for one in &live.0 {
            assert!(one.seed == ratchet(3).seed(one.epoch).unwrap(), "{}", one.epoch);
            assert_eq!(one.bridge.is_some(), one.epoch == 4, "{}", one.epoch);
        }
        assert_eq!(numbers(&LiveEpochs::new(&ratchet(6), 5, [])), [0_u32; 0], "the clock was set back");
        assert_eq!(numbers(&LiveEpochs::of(&ratchet(6), [2, 5, 6, 9])), [6, 9]);
    }

    // covers: B1
    #[test]
    fn a_ratchet_that_is_far_behind_gives_as_many_as_it_can() {
        let live = LiveEpochs::new(&ratchet(3), 50_000, []);
        assert_eq!(numbers(&live), (3..=3 + Ratchet::STEPS).collect::<Vec<_>>());
    }

    // covers: P8
    #[test]
    fn epochs_that_have_not_begun_are_reached_across_the_two_states_of_a_ratchet() {
        // A clock that was ahead moved it there, and it was given keys of the present again.
        let far = 3 + 2 * Ratchet::STEPS;
        let both = Ratchet::new(far, [6; 32]).reaching(4, [7; 32]).unwrap();
        let live =
            LiveEpochs::new(&both, 5, []).and(&both, [5, 9, far - 1, far + 2, far + Ratchet::STEPS + 1]);
        assert_eq!(numbers(&live), [4, 5, 9, far + 2], "once each, and none without keys");
        for one in &live.0 {
            assert!(Some(&one.seed) == both.seed(one.epoch).as_ref(), "{}", one.epoch);
        }
        // A bridge has other keys of an epoch than the state that came later.
        let live = LiveEpochs::new(&both, 5, [bridge(9)]).and(&both, [9]);
        assert_eq!(numbers(&live), [4, 5, 9, 9]);
    }

    #[test]
    fn who_asks_is_told_of_bridges_that_have_not_ended_and_of_the_newest_epochs() {
        let live = LiveEpochs::new(&ratchet(6), 9, [bridge(4)]);
        assert_eq!(numbers(&live.clone().told_at(UnixMillis(99), 9)), [4, 6, 7, 8, 9]);
        assert_eq!(numbers(&live.clone().told_at(UnixMillis(99), 2)), [4, 8, 9]);
        assert_eq!(numbers(&live.told_at(UnixMillis(100), 9)), [6, 7, 8, 9]);
    }
}
