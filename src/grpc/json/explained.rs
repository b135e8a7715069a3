//! What explaining says, as JSON: the same for the command line and for the admin port.

use prost::Message as _;
use serde_json::{Value as Json, json};

use super::batch::time_text;
use super::event::show_fields;
use crate::grpc::proto::admin::{
    ExplainBatchResponse, FieldExplanation, LevelExplanation, OutcomeCount, StoredRecord,
};
use crate::grpc::proto::drain::Batch;
use crate::grpc::proto::ingest::Event;

/// Events as they were sent, and what each level would store of them.
#[must_use]
pub fn events(sent: &[Event], policy_version: &str, levels: &[(LevelExplanation, Batch)]) -> Json {
    let sent = sent.iter().map(|event| json!({ "name": event.name, "fields": show_fields(&event.fields) }));
    let levels = levels.iter().map(|(told, batch)| level(told, batch));
    json!({
        "policy_version": policy_version,
        "sent": sent.collect::<Vec<_>>(),
        "levels": levels.collect::<Vec<_>>(),
    })
}

fn level(level: &LevelExplanation, batch: &Batch) -> Json {
    let events = super::batch::lines(batch, 0).map(|mut line| {
        if let Some(object) = line.as_object_mut() {
            object.remove("commit_number");
        }
        line
    });
    let fields = level.fields.iter();
    let fields =
        fields.map(|field| json!({ "place": field.place, "treatment": field.treatment, "why": field.why }));
    let mut told = json!({
        "program": level.program,
        "level": level.level,
        "events": events.collect::<Vec<_>>(),
        "fields": fields.collect::<Vec<_>>(),
    });
    if let Some(object) = told.as_object_mut().filter(|_| level.in_force) {
        object.insert("in_force".to_owned(), json!(true));
    }
    told
}

/// What became of a batch.
#[must_use]
pub fn batch(told: &ExplainBatchResponse) -> Json {
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
        "records": told.records.iter().map(record).collect::<Vec<_>>(),
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
#[must_use]
pub fn record(record: &StoredRecord) -> Json {
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
        "events": super::batch::lines(&batch, record.commit_number).collect::<Vec<_>>(),
        "explained": explained.collect::<Vec<_>>(),
        "notes": record.notes,
        "standings": standings.collect::<Vec<_>>(),
    })
}
