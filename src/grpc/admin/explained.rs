//! What became of a batch, and what is stored of a customer, as the API says it.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;

use crate::drain::{Standing, StandingOf};
use crate::grpc::proto::admin as pb;
use crate::grpc::proto::drain::value::Kind;
use crate::grpc::proto::drain::{Batch, Field, Value};
use crate::grpc::times::timestamp;
use crate::ingest::{Content, Opened, Receipt, WhyStored};
use crate::model::{Fate, Reason};
use crate::policy::EventExplanation;

/// Bytes of the longest batch that is shown and explained.
const BATCH_BYTES: usize = 4 << 20;

/// The counts of a receipt, each outcome with what it means.
pub(super) fn receipt(receipt: &Receipt, current_policy: &str) -> pb::ExplainBatchResponse {
    let tally = &receipt.tally;
    let levels = receipt.effective.iter();
    pb::ExplainBatchResponse {
        received_events: tally.received,
        accepted_events: tally.accepted,
        withheld_events: reasons(&tally.withheld),
        stored_fields: fates(&tally.fields),
        withheld_fields: reasons(&tally.fields_withheld),
        effective_levels: levels
            .map(|(program, level)| pb::ProgramLevel {
                program: program.to_string(),
                level: level.to_string(),
            })
            .collect(),
        policy_version: receipt.policy_version.to_string(),
        current_policy_version: current_policy.to_owned(),
        records: Vec::new(),
    }
}

fn reasons(counts: &[u32; Reason::COUNT]) -> Vec<pb::OutcomeCount> {
    let counted = Reason::ALL.iter().zip(counts).filter(|(_, count)| **count > 0);
    counted.map(|(reason, count)| outcome(reason.as_str(), *count, reason.remedy())).collect()
}

fn fates(counts: &[u32; Fate::COUNT]) -> Vec<pb::OutcomeCount> {
    let counted = Fate::ALL.iter().zip(counts).filter(|(_, count)| **count > 0);
    counted.map(|(fate, count)| outcome(fate.as_str(), *count, "")).collect()
}

fn outcome(outcome: &str, count: u32, remedy: &str) -> pb::OutcomeCount {
    pb::OutcomeCount { outcome: outcome.to_owned(), count, remedy: remedy.to_owned() }
}

/// A record, with its batch if it is not too long.
pub(super) fn record(opened: Opened) -> pb::StoredRecord {
    let commit_number = opened.commit.0;
    let empty =
        |state: &str| pb::StoredRecord { commit_number, state: state.to_owned(), ..Default::default() };
    match opened.content {
        Content::Damaged => empty("damaged"),
        Content::Reduced => empty("reduced"),
        Content::Gone => empty("gone"),
        Content::Whole(header, body) => {
            let body = if body.len() > BATCH_BYTES { Vec::new() } else { body };
            let policy_version = Batch::decode(&*body).map(|batch| batch.policy_version).unwrap_or_default();
            pb::StoredRecord {
                product: header.product,
                program: header.program,
                level: header.level,
                region: header.region,
                dictionary_version: header.dictionary_version,
                accepted_version: header.accepted_version,
                receive_time: Some(timestamp(header.received)),
                events: header.events,
                batch: body.into(),
                policy_version,
                ..empty("stored")
            }
        }
    }
}

/// Field by field, what is stored of the events in `batch`, what is not, and why.
pub(super) fn events(batch: &[u8], why: &WhyStored<'_>) -> Vec<pb::StoredEvent> {
    let Ok(batch) = Batch::decode(batch) else { return Vec::new() };
    let mut seen: BTreeMap<u32, Seen> = BTreeMap::new();
    for event in &batch.events {
        let seen = seen.entry(event.name).or_default();
        seen.count = seen.count.saturating_add(1);
        seen.record(&batch, &event.fields);
    }
    let named = seen.into_iter().filter_map(|(at, seen)| {
        let name = batch.event_names.get(usize::try_from(at).ok()?)?;
        Some(stored_event(&batch, name, &seen, why.event(name)))
    });
    named.collect()
}

/// What occurs in the events of one name.
#[derive(Default)]
struct Seen {
    count: u32,
    /// Places in the table of fields.
    fields: BTreeSet<usize>,
}

impl Seen {
    fn record(&mut self, batch: &Batch, fields: &[Field]) {
        for field in fields {
            let at = usize::try_from(field.field).unwrap_or(usize::MAX);
            // A batch is nested as deep as a dictionary: a few steps.
            if let Some(kind) = field.value.as_ref().and_then(|value| value.kind.as_ref()) {
                self.kind(batch, at, kind);
            }
        }
    }

    fn kind(&mut self, batch: &Batch, at: usize, kind: &Kind) {
        match kind {
            Kind::RecordValue(record) => self.record(batch, &record.fields),
            Kind::ListValue(list) => self.values(batch, at, list.values.iter()),
            Kind::MapValue(map) => {
                let key = batch.fields.get(at).and_then(|spec| spec.key_field.checked_sub(1));
                if let Some(key) =
                    key.and_then(|key| usize::try_from(key).ok()).filter(|_| !map.pairs.is_empty())
                {
                    self.fields.insert(key);
                }
                self.values(batch, at, map.pairs.iter().filter_map(|pair| pair.value.as_ref()));
            }
            Kind::StringValue(_)
            | Kind::IntValue(_)
            | Kind::DoubleValue(_)
            | Kind::BoolValue(_)
            | Kind::BytesValue(_)
            | Kind::TokenValue(_) => {
                self.fields.insert(at);
            }
        }
    }

    fn values<'v>(&mut self, batch: &Batch, at: usize, values: impl Iterator<Item = &'v Value>) {
        values.filter_map(|value| value.kind.as_ref()).for_each(|kind| self.kind(batch, at, kind));
    }
}

fn stored_event(batch: &Batch, name: &str, seen: &Seen, rules: Option<EventExplanation>) -> pb::StoredEvent {
    let rules = rules.map(|rules| rules.fields).unwrap_or_default();
    let specs = seen.fields.iter().filter_map(|at| batch.fields.get(*at));
    let stored: Vec<_> = specs
        .map(|spec| {
            let rule = rules.iter().find(|rule| rule.path.as_str() == spec.path);
            let why = match rule {
                None => "the policy in force does not have it any more".to_owned(),
                Some(rule) if rule.treatment == spec.treatment => rule.why.clone(),
                Some(rule) => {
                    format!("the policy in force does otherwise (`{}`): {}", rule.treatment, rule.why)
                }
            };
            explanation(&spec.path, &spec.treatment, &why)
        })
        .collect();
    let is_stored = |path: &str| stored.iter().any(|one| one.place == path);
    let withheld = rules.iter().filter(|rule| rule.treatment == "drop" && !is_stored(rule.path.as_str()));
    let withheld = withheld.map(|rule| explanation(rule.path.as_str(), rule.treatment, &rule.why)).collect();
    pb::StoredEvent { name: name.to_owned(), count: seen.count, stored, withheld }
}

fn explanation(place: &str, treatment: &str, why: &str) -> pb::FieldExplanation {
    pb::FieldExplanation { place: place.to_owned(), treatment: treatment.to_owned(), why: why.to_owned() }
}

/// Where a record stands with a subscription.
pub(super) fn standing(of: &StandingOf) -> pb::SubscriptionStanding {
    let (word, attempts, reason) = match of.standing {
        Standing::Before => ("before", 0, ""),
        Standing::Waiting => ("waiting", 0, ""),
        Standing::Leased { attempts, .. } => ("leased", attempts, ""),
        Standing::Returned { attempts } => ("returned", attempts, ""),
        Standing::Dead { attempts, reason } => ("dead", attempts, reason.as_str()),
        Standing::NotFor(reason) => ("not for it", 0, reason.as_str()),
        Standing::Done => ("done", 0, ""),
    };
    let lease_end = match of.standing {
        Standing::Leased { until, .. } => Some(timestamp(until)),
        Standing::Before
        | Standing::Waiting
        | Standing::Returned { .. }
        | Standing::Dead { .. }
        | Standing::NotFor(_)
        | Standing::Done => None,
    };
    pb::SubscriptionStanding {
        subscription: of.subscription.to_string(),
        purpose: of.purpose.to_string(),
        recipient: of.recipient.clone(),
        standing: word.to_owned(),
        attempts,
        reason: reason.to_owned(),
        lease_end,
    }
}
