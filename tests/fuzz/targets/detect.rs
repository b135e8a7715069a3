//! Detectors and redaction on any text: findings in order and on whole characters, what is planted found wherever it
//! stands and however it is written, each finding replaced by one marker or token and nothing else changed, nothing left
//! to find in what was redacted, nothing changed by redacting it once more, lowered text the same as text redacted lower
//! at once, and work that grows with the text and no faster.

use prost::Message as _;
use usaged::grpc::proto::drain::{Batch, value::Kind as Out};
use usaged::grpc::proto::ingest::{Event, SubmitRequest};
use usaged::sanitize::wire::Head;
use usaged::sanitize::{Finder, Found, LowerTo, Lowered, Scratch, lower};

use super::desk::{Desk, EPOCH, FULL, OVERLAY, SECRET};
use super::planted::Planted;
use crate::dictionary_events::{field, text};

/// What has a form of its own, whatever stands around it: none of it may be left that stands alone. Of the others, and
/// of what is joined to something, it depends on the neighbours whether it is found, and those may be replaced.
const FORMED: [&str; 6] = ["email", "ip_address", "mac_address", "bios_uuid", "iban", "payment_card"];
/// After so many rounds, and one for each finding, what was redacted stays as it is.
const ROUNDS: usize = 3;

/// The input is a text; its last four bytes say, too, what is planted in what stands before them.
pub fn run(input: &[u8]) {
    if let Some((text, choices)) = input.split_last_chunk::<4>() {
        planted(&Planted::new(&String::from_utf8_lossy(text), choices));
        #[cfg(fuzzing)]
        if choices[3] % 8 == 0 {
            cost(&String::from_utf8_lossy(input));
        }
    }
    let input = String::from_utf8_lossy(input);
    let found = findings(&input);
    let Some((body, once)) = redacted(&FULL, &input) else { return };
    replaced(&input, &found, &once);
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
        // What is replaced may let its neighbour be seen, as each server of `\\a\\b\\c` the next one, also where a
        // backslash is `%5c`, or each query of a URL in a URL: one in a round.
        let rounds = ROUNDS + found.len() + input.matches(['\\', '%', '?', '&']).count();
        assert!(round < rounds, "redacting again goes on changing {input:?}: {before:?} {after:?}");
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

/// What is planted is found whole, and no byte of it is stored.
fn planted(planted: &Planted) {
    let Planted { text, start, end, identifier, sign } = planted;
    let (mut covered, found) = (*start, findings(text));
    for one in &found {
        if one.start <= covered || (one.start < *end && text[covered..one.start] == *sign) {
            covered = covered.max(one.end);
        }
    }
    assert!(covered >= *end, "{identifier:?} at {start}..{end} of {text:?}: {found:?}");
    if let Some((_, once)) = redacted(&FULL, text) {
        replaced(text, &found, &once);
        let written = &text[*start..*end];
        let is_left = text.matches(written).count() == 1 && once.contains(written);
        assert!(!is_left, "{identifier:?} is left in {once:?} of {text:?}");
    }
}

/// A text with its findings replaced: each by one marker or token of its class, and every other byte as it was. So
/// no marker stands inside of another, and nothing that was not found is lost.
fn replaced(text: &str, found: &[Found], once: &str) {
    let wrong = |why: &str| -> ! { panic!("{text:?} became {once:?}: {why}; {found:?}") };
    // What looks like a token of ours is replaced without being found, and a text that was cut ends early. Nor do detectors
    // find the customer's own id, which is known.
    let has_own_id = once.matches("customer_id").count() > text.matches("customer_id").count();
    if text.contains("p1-") || once.ends_with("[cut]") || has_own_id {
        return;
    }
    let (mut rest, mut at) = (once, 0);
    for one in found {
        rest = rest.strip_prefix(&text[at..one.start]).unwrap_or_else(|| wrong("text is lost"));
        let marker = format!("[{}]", one.what);
        let token = format!("p1-{}-", one.what);
        rest = if let Some(rest) = rest.strip_prefix(&marker) {
            rest
        } else {
            let rest = rest.strip_prefix(&token).unwrap_or_else(|| wrong("a finding is not replaced"));
            let digits = rest.strip_prefix("s-").or_else(|| rest.strip_prefix(&format!("r{EPOCH}-")));
            let rest = digits.unwrap_or_else(|| wrong("a token of no epoch"));
            let (digits, rest) = rest.split_at_checked(26).unwrap_or_else(|| wrong("a token is cut"));
            let is_digit = |c: char| c.is_ascii_digit() || matches!(c, 'a'..='v');
            assert!(digits.chars().all(is_digit), "{digits:?} in {once:?}");
            rest
        };
        at = one.end;
    }
    if rest != &text[at..] {
        wrong("its end differs");
    }
}

/// A long text costs for each byte what a short one of the same pieces does, and no text costs much.
#[cfg(fuzzing)]
fn cost(text: &str) {
    let cost = |len: usize| {
        let text = text.repeat(len / text.len().max(1));
        usaged::sanitize::fuzzing::looked(&text) / u64::try_from(text.len()).unwrap().max(1)
    };
    let (small, large) = (cost(4_000), cost(32_000));
    assert!(
        large <= small + small / 2 + 20 && large <= 2_500,
        "{text:?}: {small} and then {large} for a byte"
    );
}

/// Findings are in order, do not overlap, and cut no character.
fn findings(text: &str) -> Vec<Found> {
    let (mut end, mut all) = (0, Vec::new());
    Finder::default().each(text, |found| {
        assert!(
            found.start >= end && found.start < found.end && found.end <= text.len(),
            "{text:?} {found:?}"
        );
        assert!(text.is_char_boundary(found.start) && text.is_char_boundary(found.end), "{text:?} {found:?}");
        end = found.end;
        all.push(found);
    });
    assert!(all.len() <= text.len());
    all
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
