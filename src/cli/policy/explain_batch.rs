//! What became of a batch, for people and as JSON.

use serde_json::{Value as Json, json};

use crate::cli::batch_text::{self, time_text};
use crate::cli::exit::Failure;
use crate::cli::output::{Output, pairs, table};
use crate::grpc::client::Message as _;
use crate::grpc::proto::admin::{
    ExplainBatchResponse, FieldExplanation, OutcomeCount, StoredRecord, SubscriptionStanding,
};
use crate::grpc::proto::drain::Batch;

pub(super) fn show(told: &ExplainBatchResponse, out: Output) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(&json(told));
    }
    let levels: Vec<_> =
        told.effective_levels.iter().map(|one| format!("{}={}", one.program, one.level)).collect();
    let events = format!("{} received, {} stored", told.received_events, told.accepted_events);
    out.table(&pairs([
        ("events", events),
        ("levels then", levels.join(" ")),
        ("policy then", told.policy_version.clone()),
        ("policy now", told.current_policy_version.clone()),
    ]))?;
    let mut outcomes = table(&["outcome", "of", "count", "what it means"]);
    for (of, counts) in [
        ("events", &told.withheld_events),
        ("fields", &told.stored_fields),
        ("fields", &told.withheld_fields),
    ] {
        for OutcomeCount { outcome, count, remedy } in counts {
            let means = if remedy.is_empty() { "stored" } else { remedy };
            outcomes.add_row([outcome.as_str(), of, &count.to_string(), means]);
        }
    }
    out.line("")?;
    out.table(&outcomes)?;
    told.records.iter().try_for_each(|record| show_record(record, out))
}

fn show_record(record: &StoredRecord, out: Output) -> Result<(), Failure> {
    out.line("")?;
    out.line(&headline(record))?;
    record.notes.iter().try_for_each(|note| out.line(&format!("note: {note}")))?;
    for event in &record.explained {
        let mut fields = table(&[&format!("{} ({} times)", event.name, event.count), "treatment", "why"]);
        let mut add = |field: &FieldExplanation, treatment: &str| {
            fields.add_row([field.place.as_str(), treatment, &field.why]);
        };
        event.stored.iter().for_each(|field| add(field, &field.treatment));
        event.withheld.iter().for_each(|field| add(field, "not stored"));
        out.table(&fields)?;
    }
    if record.standings.is_empty() {
        return Ok(());
    }
    let mut standings = table(&["subscription", "purpose", "recipient", "standing"]);
    for one in &record.standings {
        standings.add_row([&one.subscription, &one.purpose, &one.recipient, &standing_text(one)]);
    }
    out.table(&standings)
}

/// A record in one line.
pub(in crate::cli) fn headline(record: &StoredRecord) -> String {
    let commit = record.commit_number;
    if record.state != "stored" {
        return format!("commit {commit}: {}", record.state);
    }
    let received = record.receive_time.as_ref().map(time_text).unwrap_or_default();
    let region = if record.region.is_empty() { String::new() } else { format!(", region {}", record.region) };
    format!(
        "commit {commit}: {}{} of {} at {} {}{region}, received {received}, dictionary {} (accepted {}), \
         policy {}",
        record.events,
        if record.events == 1 { " event" } else { " events" },
        record.product,
        record.program,
        record.level,
        record.dictionary_version,
        record.accepted_version,
        record.policy_version
    )
}

fn standing_text(one: &SubscriptionStanding) -> String {
    let attempts = (one.attempts > 0).then(|| format!("delivered {} times", one.attempts));
    let reason = Some(&one.reason).filter(|reason| !reason.is_empty()).cloned();
    let until = one.lease_end.as_ref().map(|end| format!("until {}", time_text(end)));
    let parts: Vec<_> =
        std::iter::once(one.standing.clone()).chain(attempts).chain(reason).chain(until).collect();
    parts.join(", ")
}

fn json(told: &ExplainBatchResponse) -> Json {
    let levels: serde_json::Map<_, _> =
        told.effective_levels.iter().map(|one| (one.program.clone(), json!(one.level))).collect();
    json!({
        "received_events": told.received_events,
        "accepted_events": told.accepted_events,
        "withheld_events": counts(&told.withheld_events),
        "stored_fields": counts(&told.stored_fields),
        "withheld_fields": counts(&told.withheld_fields),
        "levels": levels,
        "policy_version": told.policy_version,
        "current_policy_version": told.current_policy_version,
        "records": told.records.iter().map(record_json).collect::<Vec<_>>(),
    })
}

fn counts(counts: &[OutcomeCount]) -> Vec<Json> {
    let one = |one: &OutcomeCount| {
        let mut told = json!({ "outcome": one.outcome, "count": one.count });
        if let Some(object) = told.as_object_mut().filter(|_| !one.remedy.is_empty()) {
            object.insert("remedy".to_owned(), json!(one.remedy));
        }
        told
    };
    counts.iter().map(one).collect()
}

/// A record, with the events that are stored in it.
pub(in crate::cli) fn record_json(record: &StoredRecord) -> Json {
    let batch = Batch::decode(&*record.batch).unwrap_or_default();
    let fields = |fields: &[FieldExplanation]| -> Vec<Json> {
        fields
            .iter()
            .map(|one| json!({ "path": one.place, "treatment": one.treatment, "why": one.why }))
            .collect()
    };
    let explained = record.explained.iter().map(|event| {
        json!({
            "name": event.name,
            "count": event.count,
            "stored": fields(&event.stored),
            "withheld": fields(&event.withheld),
        })
    });
    let standings = record.standings.iter().map(|one| {
        json!({
            "subscription": one.subscription,
            "purpose": one.purpose,
            "recipient": one.recipient,
            "standing": one.standing,
            "attempts": one.attempts,
            "reason": one.reason,
            "lease_end": one.lease_end.as_ref().map(time_text),
        })
    });
    json!({
        "commit_number": record.commit_number,
        "state": record.state,
        "product": record.product,
        "program": record.program,
        "level": record.level,
        "region": record.region,
        "policy_version": record.policy_version,
        "dictionary_version": record.dictionary_version,
        "accepted_version": record.accepted_version,
        "receive_time": record.receive_time.as_ref().map(time_text),
        "events": batch_text::lines(&batch, record.commit_number).collect::<Vec<_>>(),
        "explained": explained.collect::<Vec<_>>(),
        "notes": record.notes,
        "standings": standings.collect::<Vec<_>>(),
    })
}
