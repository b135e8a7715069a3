//! What became of a batch, for people and as JSON.

use crate::cli::batch_text::time_text;
use crate::cli::exit::Failure;
use crate::cli::output::{Output, pairs, table};
use crate::grpc::json::explained;
pub(in crate::cli) use crate::grpc::json::explained::record as record_json;
use crate::grpc::proto::admin::{
    ExplainBatchResponse, FieldExplanation, OutcomeCount, StoredRecord, SubscriptionStanding,
};

pub(super) fn show(told: &ExplainBatchResponse, out: Output) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(&explained::batch(told));
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
        let head = format!("{} ({} times)", event.name, event.count);
        let mut fields = table(&[head.as_str(), "treatment", "why"]);
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
