//! Subscriptions and dead letters as JSON and for people, and what they are on the wire.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::cli::batch_text::{self, head, time_text};
use crate::cli::exit::Failure;
use crate::cli::output::{Output, grouped, pairs};
use crate::grpc::client::{Message as _, ProtoDuration};
use crate::grpc::proto::drain::{Batch, DeadLetter, Purpose as WirePurpose, Subscription};
use crate::model::Purpose;

/// A length of time on the wire.
pub(in crate::cli) fn wire_duration(duration: Duration) -> ProtoDuration {
    ProtoDuration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}

/// A purpose on the wire.
pub(in crate::cli) const fn wire_purpose(purpose: Purpose) -> WirePurpose {
    match purpose {
        Purpose::Deliver => WirePurpose::Deliver,
        Purpose::Recommend => WirePurpose::Recommend,
        Purpose::Improve => WirePurpose::Improve,
    }
}

pub(super) fn purpose_word(purpose: i32) -> &'static str {
    match WirePurpose::try_from(purpose) {
        Ok(WirePurpose::Deliver) => "deliver",
        Ok(WirePurpose::Recommend) => "recommend",
        Ok(WirePurpose::Improve) => "improve",
        Ok(WirePurpose::Unspecified) | Err(_) => "?",
    }
}

pub(super) fn dead_letter_json(letter: &DeadLetter) -> Json {
    let batch = letter.batch.as_ref().and_then(|bytes| Batch::decode(bytes.clone()).ok());
    let batch = batch.map(|batch| {
        let mut shown = head(&batch);
        let events: Vec<_> = batch_text::lines(&batch, letter.commit_number).collect();
        shown.insert("events".to_owned(), json!(events));
        shown
    });
    json!({
        "commit_number": letter.commit_number,
        "delivery_attempts": letter.delivery_attempts,
        "dead_time": letter.dead_time.as_ref().map(time_text),
        "reason": letter.reason,
        "batch": batch,
    })
}

pub(super) fn json_of(one: &Subscription) -> Json {
    json!({
        "name": one.name,
        "purpose": purpose_word(one.purpose),
        "recipient": one.recipient,
        "programs": one.programs,
        "products": one.products,
        "ack_deadline_seconds": one.ack_deadline.as_ref().map(|deadline| deadline.seconds),
        "max_delivery_attempts": one.max_delivery_attempts,
        "create_time": one.create_time.as_ref().map(time_text),
        "cursor": one.cursor,
        "waiting_batches": one.waiting_batches,
        "leased_batches": one.leased_batches,
        "dead_batches": one.dead_batches,
        "oldest_age_seconds": one.oldest_age.as_ref().map(|age| age.seconds),
        "acknowledged_batches": one.acknowledged_batches,
        "expired_batches": one.expired_batches,
        "skipped_batches": one.skipped_batches,
    })
}

pub(super) fn show(one: &Subscription, out: Output) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(&json_of(one));
    }
    let all_or = |names: &[String]| if names.is_empty() { "all".to_owned() } else { names.join(" ") };
    out.table(&pairs([
        ("name", one.name.clone()),
        ("purpose", purpose_word(one.purpose).to_owned()),
        ("recipient", one.recipient.clone()),
        ("programs", all_or(&one.programs)),
        ("products", all_or(&one.products)),
        (
            "ack deadline",
            one.ack_deadline.as_ref().map_or(String::new(), |deadline| format!("{} s", deadline.seconds)),
        ),
        ("attempts", one.max_delivery_attempts.to_string()),
        ("cursor", one.cursor.to_string()),
        ("waiting", grouped(one.waiting_batches)),
        ("leased", grouped(one.leased_batches)),
        ("dead", grouped(one.dead_batches)),
        ("acknowledged", grouped(one.acknowledged_batches)),
        ("expired", grouped(one.expired_batches)),
        ("skipped", grouped(one.skipped_batches)),
    ]))
}
