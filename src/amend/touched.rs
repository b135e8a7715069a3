//! Where old bytes are: the commits that were rewritten, as ranges. Pure.
//!
//! An erasure keeps them in its row, which is written together with each amendment: whatever happens to the process, the
//! next one knows which files to rewrite, and rewrites no others.

use serde::{Deserialize, Serialize};

use crate::model::CommitNumber;
use crate::store::Place;

/// Rewritten commits that are no further apart than this are purged together.
const NEAR: u64 = 1_024;
/// Ranges that are told apart. Beyond it, the two that are nearest to each other become one.
const RANGES: usize = 64;

/// Commits that were rewritten: ranges in order, each by its first and last commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Touched(Vec<(u64, u64)>);

impl Touched {
    /// Everything from `first` to `last`.
    pub(super) fn all(first: CommitNumber, last: CommitNumber) -> Self {
        Self(vec![(first.0, last.0)])
    }

    /// Takes in one more.
    pub(super) fn add(&mut self, commit: CommitNumber) {
        self.cover(commit.0, commit.0);
    }

    /// Takes in what another has.
    pub(super) fn and(&mut self, other: &Self) {
        other.0.iter().for_each(|(first, last)| self.cover(*first, *last));
    }

    fn cover(&mut self, mut first: u64, mut last: u64) {
        self.0.retain(|(from, to)| {
            let is_near = first <= to.saturating_add(NEAR) && *from <= last.saturating_add(NEAR);
            if is_near {
                (first, last) = (first.min(*from), last.max(*to));
            }
            !is_near
        });
        let at = self.0.partition_point(|(from, _)| *from < first);
        self.0.insert(at, (first, last));
        if self.0.len() > RANGES {
            self.join_nearest();
        }
    }

    fn join_nearest(&mut self) {
        let gaps = self.0.iter().zip(self.0.iter().skip(1)).enumerate();
        let nearest = gaps.min_by_key(|(_, ((_, last), (first, _)))| first.saturating_sub(*last));
        let Some((at, ((first, _), (_, last)))) = nearest else { return };
        let joined = (*first, *last);
        self.0.splice(at..=at.saturating_add(1), [joined]);
    }

    /// Where old bytes are.
    pub(super) fn places(self) -> Vec<Place> {
        let place = |(first, last): (u64, u64)| Place::Commits {
            first: CommitNumber(first),
            last: CommitNumber(last),
        };
        self.0.into_iter().map(place).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(commits: impl IntoIterator<Item = u64>) -> Touched {
        let mut touched = Touched::default();
        commits.into_iter().for_each(|commit| touched.add(CommitNumber(commit)));
        touched
    }

    #[test]
    fn commits_that_are_near_are_purged_together_in_whatever_order_they_come() {
        let expected = [(5, 900), (5_000, 5_001), (9_999, 9_999)];
        assert_eq!(of([5, 6, 900, 5_000, 5_001, 9_999]).0, expected);
        assert_eq!(of([9_999, 900, 5_001, 5, 5_000, 6]).0, expected);
        let mut both = of([5, 9_999]);
        both.and(&of([5_000, 5_001, 6, 900]));
        assert_eq!(both.0, expected);
        // One that lies between two makes them one.
        assert_eq!(of([1_000, 3_000, 2_000]).0, [(1_000, 3_000)]);
    }

    proptest! {
        // covers: P8 B1
        #[test]
        fn whatever_was_rewritten_is_in_one_of_few_ranges(
            commits in proptest::collection::vec(prop_oneof![0..9_000_u64, 0..10_000_000_u64], 0..300),
        ) {
            let touched = of(commits.iter().copied());
            prop_assert!(touched.0.len() <= RANGES);
            prop_assert!(touched.0.iter().all(|(first, last)| first <= last));
            prop_assert!(touched.0.iter().zip(touched.0.iter().skip(1)).all(|(a, b)| a.1 + NEAR < b.0));
            let is_in = |commit: &u64| touched.0.iter().any(|range| (range.0..=range.1).contains(commit));
            prop_assert!(commits.iter().all(is_in));
            // No range begins or ends with what was not rewritten.
            prop_assert!(touched.0.iter().all(|range| commits.contains(&range.0) && commits.contains(&range.1)));
        }
    }
}
