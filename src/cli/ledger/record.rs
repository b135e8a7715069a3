//! The entries of an export as a record of processing: what was agreed, what was collected, who
//! received what, what was erased. Pure.

use std::collections::BTreeMap;

use crate::ledger::{Export, Fact, Leaf, Period, Terms, Under};
use crate::model::{ClassCounts, Purpose, Reason, UnixMillis};

/// A change of what was agreed.
pub(super) struct Change {
    pub at: UnixMillis,
    pub revision: u64,
    pub before: Option<Terms>,
    pub after: Terms,
}

/// What one recipient received, for one purpose, under one level and dictionary.
pub(super) struct Sent {
    pub recipient: String,
    pub purpose: Purpose,
    pub under: Under,
    pub subscriptions: Vec<String>,
    pub batches: u64,
    pub events: u64,
    pub fields: ClassCounts,
    pub period: Period,
}

/// What was collected under one level and dictionary.
pub(super) struct Collected {
    pub under: Under,
    pub batches: u64,
    pub events: u64,
    pub period: Period,
}

/// What an export says, by subject.
#[derive(Default)]
pub(super) struct Record {
    /// From the first entry to the last.
    pub period: Option<Period>,
    /// What holds now.
    pub present: Option<Terms>,
    pub changes: Vec<Change>,
    pub sent: Vec<Sent>,
    pub collected: Vec<Collected>,
    /// Fields that were collected, by class.
    pub fields: ClassCounts,
    /// Events that were withheld.
    pub withheld: BTreeMap<Reason, u64>,
    /// Receipts of erasures, and that the customer is erased.
    pub erasures: Vec<Leaf>,
    /// Everything else.
    pub others: Vec<Leaf>,
}

impl Record {
    pub fn of(export: &Export) -> Self {
        let mut record = Self::default();
        let mut sent: BTreeMap<(String, Purpose, Under), Sent> = BTreeMap::new();
        let mut collected: BTreeMap<Under, Collected> = BTreeMap::new();
        for leaf in export.leaves() {
            let at = leaf.at();
            let period = record.period.get_or_insert(Period { from: at, until: at });
            *period = joined(*period, Period { from: at, until: at });
            match leaf.fact() {
                Some(Fact::ParticipationChanged { revision, before, after, .. }) => {
                    record.present = Some(after.clone());
                    let (before, after) = (before.clone(), after.clone());
                    record.changes.push(Change { at, revision: *revision, before, after });
                }
                Some(fact @ Fact::Pulled { .. }) => add_sent(&mut sent, fact),
                Some(fact @ Fact::Collected { .. }) => record.add_collected(&mut collected, fact),
                Some(Fact::ErasureDone { .. } | Fact::CustomerErased { .. }) => {
                    if matches!(leaf.fact(), Some(Fact::CustomerErased { .. })) {
                        record.present = None;
                    }
                    record.erasures.push(leaf);
                }
                Some(_) | None => record.others.push(leaf),
            }
        }
        record.sent = sent.into_values().collect();
        record.collected = collected.into_values().collect();
        record
    }

    fn add_collected(&mut self, all: &mut BTreeMap<Under, Collected>, fact: &Fact) {
        let Fact::Collected { under, period, batches, events, withheld, fields, .. } = fact else { return };
        for (reason, n) in withheld {
            let sum = self.withheld.entry(*reason).or_default();
            *sum = sum.saturating_add(*n);
        }
        self.fields.merge(fields);
        let Some(under) = under else { return };
        let one = all.entry(under.clone()).or_insert_with(|| Collected {
            under: under.clone(),
            batches: 0,
            events: 0,
            period: *period,
        });
        one.batches = one.batches.saturating_add(*batches);
        one.events = one.events.saturating_add(*events);
        one.period = joined(one.period, *period);
    }

    /// Events that were collected.
    pub fn collected_events(&self) -> u64 {
        self.collected.iter().fold(0, |sum, one| sum.saturating_add(one.events))
    }

    /// Events that left, counted once for each recipient and purpose.
    pub fn sent_events(&self) -> u64 {
        self.sent.iter().fold(0, |sum, one| sum.saturating_add(one.events))
    }

    /// How many recipients there are.
    pub fn recipients(&self) -> usize {
        let names: std::collections::BTreeSet<_> = self.sent.iter().map(|sent| &sent.recipient).collect();
        names.len()
    }
}

fn add_sent(all: &mut BTreeMap<(String, Purpose, Under), Sent>, fact: &Fact) {
    let Fact::Pulled { recipient, purpose, under, subscription, batches, events, fields, period, .. } = fact
    else {
        return;
    };
    let key = (recipient.clone(), *purpose, under.clone());
    let one = all.entry(key).or_insert_with(|| Sent {
        recipient: recipient.clone(),
        purpose: *purpose,
        under: under.clone(),
        subscriptions: Vec::new(),
        batches: 0,
        events: 0,
        fields: ClassCounts::default(),
        period: *period,
    });
    one.batches = one.batches.saturating_add(*batches);
    one.events = one.events.saturating_add(*events);
    one.fields.merge(fields);
    one.period = joined(one.period, *period);
    if !one.subscriptions.iter().any(|name| name == subscription.as_str()) {
        one.subscriptions.push(subscription.to_string());
    }
}

fn joined(a: Period, b: Period) -> Period {
    Period { from: a.from.min(b.from), until: a.until.max(b.until) }
}
