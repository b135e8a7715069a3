//! Detectors and redaction on any text: findings in order and on whole characters, nothing left to find in what was
//! redacted, nothing changed by redacting it once more, and lowered text the same as text redacted lower at once.

use prost::Message as _;
use usaged::grpc::proto::drain::{Batch, value::Kind as Out};
use usaged::grpc::proto::ingest::{Event, SubmitRequest};
use usaged::sanitize::wire::Head;
use usaged::sanitize::{Finder, LowerTo, Lowered, Scratch, lower};

use super::desk::{Desk, EPOCH, FULL, OVERLAY, SECRET};
use crate::dictionary_events::{field, text};

/// What has a form of its own, whatever stands around it: none of it may be left that stands alone. Of the others, and
/// of what is joined to something, it depends on the neighbours whether it is found, and those may be replaced.
const FORMED: [&str; 6] = ["email", "ip_address", "mac_address", "bios_uuid", "iban", "payment_card"];
/// After so many rounds, what was redacted stays as it is.
const ROUNDS: usize = 3;

pub fn run(input: &[u8]) {
    let input = String::from_utf8_lossy(input);
    findings(&input);
    let Some((body, once)) = redacted(&FULL, &input) else { return };
    Finder::default().each(&once, |found| {
        let left = &once[found.start..found.end];
        let alone = once[..found.start].chars().next_back().is_none_or(char::is_whitespace)
            && once[found.end..].chars().next().is_none_or(char::is_whitespace);
        let is_left = alone && FORMED.contains(&found.what);
        assert!(!is_left, "{left:?} ({}) is left in {once:?}, of {input:?}", found.what);
    });
    let mut before = once;
    for round in 0.. {
        let (_, after) = redacted(&FULL, &before).expect("what was redacted is not too long");
        if after == before {
            break;
        }
        assert!(round < ROUNDS, "redacting again goes on changing {input:?}: {before:?} {after:?}");
        before = after;
    }

    let at_once = redacted(&OVERLAY, &input);
    let program = "ceip".parse().unwrap();
    let (plan, accepted_version) = OVERLAY.plan("vcenter", "", &program).unwrap();
    let to = LowerTo { plan: &plan, accepted_version, secret: &SECRET, epoch: EPOCH };
    let lowered = match lower(&body, &to, &mut Scratch::default()).unwrap() {
        Lowered::Same => Some(body),
        Lowered::Less { batch, .. } => Some(batch.body().to_vec()),
        Lowered::Nothing(_) => None,
    };
    assert_eq!(lowered.as_ref().map(|body| message(body)), at_once.as_ref().map(|(_, text)| text.clone()));
    assert_eq!(lowered, at_once.map(|(body, _)| body), "lowered text of {input:?}");
}

/// Findings are in order, do not overlap, and cut no character.
fn findings(text: &str) {
    let (mut end, mut count) = (0, 0);
    Finder::default().each(text, |found| {
        assert!(
            found.start >= end && found.start < found.end && found.end <= text.len(),
            "{text:?} {found:?}"
        );
        assert!(text.is_char_boundary(found.start) && text.is_char_boundary(found.end), "{text:?} {found:?}");
        end = found.end;
        count += 1;
    });
    assert!(count <= text.len());
}

/// What a level stores of a text, with its batch; nothing if that is nothing.
fn redacted(desk: &Desk, message_text: &str) -> Option<(Vec<u8>, String)> {
    let event = Event {
        name: "support.log_line".to_owned(),
        fields: vec![field("message", text(message_text))],
        ..Event::default()
    };
    let request = SubmitRequest {
        batch_id: "0190a3c2-7b1e-7c55-9d2f-0123456789ab".into(),
        product: "vcenter".into(),
        events: vec![event],
        ..SubmitRequest::default()
    };
    let bytes = request.encode_to_vec();
    let head = Head::read(&bytes).unwrap();
    let sanitized = desk.sanitize(&head, &bytes, None, &mut Scratch::default()).unwrap();
    let body = sanitized.batches.first()?.body().to_vec();
    let text = message(&body);
    Some((body, text))
}

fn message(body: &[u8]) -> String {
    let batch = Batch::decode(body).expect("what is stored is protobuf, and its texts are UTF-8");
    let value =
        batch.events[0].fields.first().and_then(|field| field.value.clone()).and_then(|value| value.kind);
    match value {
        Some(Out::StringValue(text)) => text,
        None => String::new(),
        other => panic!("a message is stored as {other:?}"),
    }
}
