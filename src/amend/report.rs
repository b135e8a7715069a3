//! What a changed participation or policy does to what is queued: counted before, and while it is done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{ClassCounts, UnixMillis};

/// Which batches a line counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineKey {
    /// The program.
    pub program: String,
    /// The product.
    pub product: String,
    /// The level that they were stored at.
    pub from: String,
    /// The level that they are brought down to; `none` where nothing is left.
    pub to: String,
}

/// What becomes of the batches of a line.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Batches that are rewritten.
    pub rewritten: u64,
    /// Batches of which nothing is left.
    pub removed: u64,
    /// Events that stay.
    pub kept_events: u64,
    /// Events that go.
    pub removed_events: u64,
    /// Fields that stay as they are.
    pub kept_fields: u64,
    /// Fields that are treated more strictly.
    pub lowered_fields: u64,
    /// Fields that go.
    pub removed_fields: u64,
    /// All fields of these batches, by class: how those that are left are stored now, and as dropped the others, those of
    /// events and batches that go too. Not counted before it is done; and nobody can count what is damaged, or what is of
    /// a customer whose keys are gone.
    #[serde(default, skip_serializing_if = "ClassCounts::is_empty")]
    pub fields: ClassCounts,
}

impl Line {
    /// Adds what another one counts.
    pub(super) fn add(&mut self, other: &Self) {
        self.rewritten = self.rewritten.saturating_add(other.rewritten);
        self.removed = self.removed.saturating_add(other.removed);
        self.kept_events = self.kept_events.saturating_add(other.kept_events);
        self.removed_events = self.removed_events.saturating_add(other.removed_events);
        self.kept_fields = self.kept_fields.saturating_add(other.kept_fields);
        self.lowered_fields = self.lowered_fields.saturating_add(other.lowered_fields);
        self.removed_fields = self.removed_fields.saturating_add(other.removed_fields);
        self.fields.merge(&other.fields);
    }
}

/// What was counted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Batches that were looked at.
    pub batches: u64,
    /// Of these, batches that are as they should be.
    pub unchanged: u64,
    /// The others. Bounded by what a policy names: programs, products and levels.
    #[serde(with = "lines")]
    pub lines: BTreeMap<LineKey, Line>,
}

impl Tally {
    /// Counts a batch that changes.
    pub(super) fn count(&mut self, key: LineKey, line: &Line) {
        self.lines.entry(key).or_default().add(line);
    }

    /// What an interrupted pass counted, for the pass that takes it up and looks at everything again: what was
    /// rewritten is seen again then, what was removed is not.
    pub(super) fn taken_up(self) -> Self {
        Self { batches: self.sum().removed, unchanged: 0, lines: self.lines }
    }

    /// Ends the counting: this many batches were looked at.
    pub(super) fn settle(&mut self, looked: u64) {
        let sum = self.sum();
        self.batches = self.batches.saturating_add(looked);
        self.unchanged = self.batches.saturating_sub(sum.rewritten).saturating_sub(sum.removed);
    }

    /// All lines together.
    #[must_use]
    pub fn sum(&self) -> Line {
        let mut sum = Line::default();
        self.lines.values().for_each(|line| sum.add(line));
        sum
    }

    /// Whether anything changes.
    #[must_use]
    pub fn changes(&self) -> bool {
        !self.lines.is_empty()
    }
}

/// JSON has no maps with such keys: a list of pairs.
mod lines {
    use std::collections::BTreeMap;

    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::{Line, LineKey};

    pub(super) fn serialize<S: Serializer>(
        lines: &BTreeMap<LineKey, Line>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(lines)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<LineKey, Line>, D::Error> {
        Vec::<(LineKey, Line)>::deserialize(from).map(|pairs| pairs.into_iter().collect())
    }
}

/// How far a binding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BindingStage {
    /// Only counted.
    Preview,
    /// What leaves is bound; the bytes on disk are being rewritten.
    Rewriting,
    /// Rewritten; the old bytes are being taken off the disk.
    Purging,
    /// Every stored byte is as the participation asks.
    Done,
}

/// What a change of one customer does, or did, to what is queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingReport {
    /// How far it is.
    pub stage: BindingStage,
    /// The revision of the participation.
    pub revision: u64,
    /// What was counted.
    pub tally: Tally,
    /// When the change was made.
    pub changed: UnixMillis,
    /// By when the disk is rewritten.
    pub due: UnixMillis,
    /// When it was done.
    pub done: Option<UnixMillis>,
    /// Leases that are out for more of a batch than is left of it: they are refused at their acknowledgement.
    pub withdrawn: u64,
}
