//! The receipt: what a sender is told, and the short form of it that is kept with the batch id so
//! that a retry gets the same answer. The short form holds counts and words of the policy, never
//! a name that the sender made up.

use std::sync::Arc;

use super::plan::Told;
use crate::model::{CommitNumber, LevelName, ProgramName, Tally};
use crate::sanitize::WithheldPlace;

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// What may be kept is on disk.
    Stored,
    /// It was on disk already.
    Duplicate,
    /// The customer does not take part, or is paused: stop sending.
    Disabled,
    /// The customer takes part, but nothing of this batch may be kept.
    NothingStored,
}

/// The durable answer to a batch.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// What became of the batch.
    pub state: State,
    /// The commit number of its last record, or 0.
    pub commit: CommitNumber,
    /// The records that it became, one after the other.
    pub records: u8,
    /// The outcome of every event and field.
    pub tally: Tally,
    /// The level in force, per program.
    pub effective: Vec<(ProgramName, LevelName)>,
    /// The policy that decided.
    pub policy_version: Arc<str>,
    /// Places that the sender can repair.
    pub places: Vec<WithheldPlace>,
    /// Whether there were more.
    pub places_truncated: bool,
    /// What is to be collected, as of now: also for a batch that was stored before.
    pub plan: Told,
}

/// The version of the short form.
const SHORT: u8 = 1;

impl Receipt {
    /// The short form: a version byte, the number of records, the counts that are not zero, the policy, the
    /// levels.
    pub(super) fn to_short(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        out.push(SHORT);
        out.push(self.records);
        let counts: Vec<(u8, u32)> =
            (0u8..).zip(counts(&self.tally)).filter(|(_, count)| *count > 0).collect();
        out.push(u8::try_from(counts.len()).unwrap_or(u8::MAX));
        for (index, count) in counts {
            out.push(index);
            out.extend_from_slice(&count.to_le_bytes());
        }
        out.extend_from_slice(self.policy_version.as_bytes());
        for (program, level) in &self.effective {
            out.extend_from_slice(format!("\n{program} {level}").as_bytes());
        }
        out
    }

    /// The receipt of a batch that was stored before, from its short form; `None` if that is not
    /// one of ours.
    pub(super) fn from_short(short: &[u8], commit: CommitNumber) -> Option<Self> {
        let (head, mut rest) = short.split_first_chunk::<3>()?;
        let [SHORT, records, count] = *head else { return None };
        let mut tally = Tally::default();
        for _ in 0..count {
            let (entry, after) = rest.split_first_chunk::<5>()?;
            let [index, count @ ..] = *entry;
            *counts_mut(&mut tally).nth(usize::from(index))? = u32::from_le_bytes(count);
            rest = after;
        }
        let mut lines = std::str::from_utf8(rest).ok()?.split('\n');
        let policy_version = lines.next()?.into();
        let effective = lines
            .map(|line| {
                let (program, level) = line.split_once(' ')?;
                Some((ProgramName::new(program).ok()?, LevelName::new(level).ok()?))
            })
            .collect::<Option<_>>()?;
        Some(Self {
            state: State::Duplicate,
            commit,
            records,
            tally,
            effective,
            policy_version,
            places: Vec::new(),
            places_truncated: false,
            plan: Told::default(),
        })
    }
}

fn counts(tally: &Tally) -> impl Iterator<Item = u32> {
    [tally.received, tally.accepted]
        .into_iter()
        .chain(tally.withheld)
        .chain(tally.fields)
        .chain(tally.fields_withheld)
}

fn counts_mut(tally: &mut Tally) -> impl Iterator<Item = &mut u32> {
    [&mut tally.received, &mut tally.accepted]
        .into_iter()
        .chain(&mut tally.withheld)
        .chain(&mut tally.fields)
        .chain(&mut tally.fields_withheld)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Receipt, State, Told};
    use crate::model::{CommitNumber, Fate, LevelName, ProgramName, Reason, Tally};

    #[test]
    fn a_retry_gets_the_counts_and_levels_of_the_first_answer() {
        let mut tally = Tally { received: 700, accepted: 698, ..Tally::default() };
        tally.withhold_event(Reason::Clock);
        tally.withhold_event(Reason::NoKey);
        tally.withhold_field(Reason::UnknownField);
        tally.store_field(Fate::Pseudonymised);
        let effective = vec![(ProgramName::new("ceip").unwrap(), LevelName::new("standard").unwrap())];
        let first = Receipt {
            state: State::Stored,
            commit: CommitNumber(7),
            records: 2,
            tally,
            effective,
            policy_version: "0123456789abcdef".into(),
            places: Vec::new(),
            places_truncated: false,
            plan: Told::default(),
        };
        let again = Receipt::from_short(&first.to_short(), CommitNumber(7)).unwrap();
        assert_eq!(again.state, State::Duplicate);
        assert_eq!(
            (again.tally.clone(), again.effective.clone()),
            (first.tally.clone(), first.effective.clone())
        );
        assert_eq!((again.policy_version.clone(), again.records), (first.policy_version.clone(), 2));
        let short = first.to_short();
        for cut in 0..short.len() {
            let cut = Receipt::from_short(short.get(..cut).unwrap(), CommitNumber(7));
            let same = |cut: Receipt| (cut.tally, cut.effective, cut.policy_version, cut.records);
            assert_ne!(cut.map(same), Some(same(again.clone())));
        }
    }
}
