//! The wire reader and the one pass, on any bytes: no panic, outcomes that add up, output that is bounded and that
//! another reader reads, and nothing of what was sent in what a strict level stores.

use std::sync::{Arc, LazyLock};

use prost::Message as _;
use usaged::grpc::proto::drain::Batch;
use usaged::grpc::proto::ingest::SubmitRequest;
use usaged::model::{IdentifierClass, Purpose, RawFields, RawItems, RawText, RawValue, WireReader};
use usaged::sanitize::wire::{Head, HeadError, ProtoReader};
use usaged::sanitize::{
    Filtered, LiveEpochs, LowerTo, Lowered, Sanitized, Scratch, Strike, Suppressions, count_fields,
    filter_purpose, lower,
};

use super::desk::{Desk, EPOCH, FULL, NOW, OVERLAY, POLICY, SECRET, STANDARD};

/// What must not come out where it was put in: no vocabulary has it and no shape allows it.
pub const CANARY: &[u8] = b"~cAnAry~";

/// Stored bytes for each byte of a request, at most: a token and a marker are longer than what they stand for.
const GROWTH: usize = 40;
/// Stored bytes of a batch that are not from the request: its head and the tables of a dictionary.
const TABLES: usize = 64 * 1024;

/// Some things that were erased: an address, an installation, and a second of time.
static ERASED: LazyLock<Arc<Suppressions>> = LazyLock::new(|| {
    let programs: Vec<_> = POLICY.programs().iter().map(|program| program.name().clone()).collect();
    let strike = |class, value: &str| {
        let value = RawText::new(value.as_bytes());
        let epochs = LiveEpochs::new(SECRET.ratchet(), EPOCH, []);
        Strike::identifier(class, value, &SECRET, &programs, &epochs).unwrap()
    };
    let both =
        strike(IdentifierClass::IpAddress, "10.1.2.3").or(strike(IdentifierClass::InstanceId, "vm-17"));
    Arc::new(Suppressions::new(&both, [NOW.0 - 2_000..=NOW.0 - 1_000], NOW))
});

/// The first byte says how the rest becomes a request: as it is, or behind a head that is good.
pub fn run(input: &[u8]) {
    let Some((mode, rest)) = input.split_first() else { return };
    let product = match mode % 4 {
        0 => return request(rest),
        1 => "vcenter",
        2 => "horizon",
        _ => "tanzu-cli",
    };
    let head = SubmitRequest {
        batch_id: "0190a3c2-7b1e-7c55-9d2f-0123456789ab".into(),
        product: product.into(),
        ..SubmitRequest::default()
    };
    let mut bytes = head.encode_to_vec();
    bytes.extend_from_slice(rest);
    request(&bytes);
}

fn request(bytes: &[u8]) {
    let walked = walk(bytes);
    let head = match Head::read(bytes) {
        Ok(head) => head,
        Err(HeadError::Wire(error)) => {
            assert!(error.offset.is_none_or(|at| at <= bytes.len()), "{error}");
            return;
        }
        Err(HeadError::Field { .. }) => return,
    };
    let mut scratch = Scratch::default();
    for (desk, erased) in [(&FULL, None), (&STANDARD, None), (&OVERLAY, None), (&FULL, Some(&*ERASED))] {
        let desk: &Desk = desk;
        match desk.sanitize(&head, bytes, erased, &mut scratch) {
            Ok(sanitized) => {
                outcome(desk, &head, bytes, &sanitized);
                // What one request leaves in the buffers says nothing in the next.
                let again = desk.sanitize(&head, bytes, erased, &mut Scratch::default()).unwrap();
                let bodies =
                    |of: &Sanitized| of.batches.iter().map(|b| b.body().to_vec()).collect::<Vec<_>>();
                assert_eq!(bodies(&sanitized), bodies(&again), "a scratch remembers");
            }
            Err(error) => assert!(error.offset.is_none_or(|at| at <= bytes.len()), "{error}"),
        }
    }
    // A second reader of the same format: what both read has the same events.
    if let (Some(events), Ok(message)) = (walked, SubmitRequest::decode(bytes)) {
        assert_eq!(events, message.events.len());
        assert_eq!(usize::try_from(head.events).unwrap(), events);
        assert_eq!(head.product.expose(), message.product.as_bytes());
    }
}

fn outcome(desk: &Desk, head: &Head<'_>, bytes: &[u8], sanitized: &Sanitized) {
    let tally = &sanitized.tally;
    assert!(tally.adds_up(), "{tally:?}");
    assert_eq!(tally.received, head.events);
    let stored: u32 = sanitized.batches.iter().map(|batch| batch.events()).sum();
    assert_eq!(stored, tally.accepted);
    assert!(sanitized.places.len() <= usaged::model::limits::WITHHELD_PLACES);
    let sum: usize = sanitized.batches.iter().map(|batch| batch.body().len()).sum();
    let most = sanitized.batches.len() * TABLES + bytes.len() * GROWTH;
    assert!(sum <= most, "{sum} bytes are stored of {}", bytes.len());
    let is_strict = std::ptr::eq(desk, &*STANDARD);
    for batch in &sanitized.batches {
        let body = batch.body();
        assert!(
            !is_strict || memchr::memmem::find(body, CANARY).is_none(),
            "what was sent is stored as it was sent"
        );
        let read = Batch::decode(body).expect("what is stored is protobuf");
        assert_eq!(read.events.len(), usize::try_from(batch.events()).unwrap());
        assert_eq!(read.program, batch.program().as_str());
        count_fields(body).expect("what is stored can be counted");
        let mut out = Vec::new();
        for purpose in Purpose::ALL {
            match filter_purpose(body, *purpose, &mut out).expect("what is stored can be filtered") {
                Filtered::Part { events } => {
                    assert_eq!(Batch::decode(&*out).unwrap().events.len(), usize::try_from(events).unwrap());
                    assert!(out.len() <= body.len(), "a part is longer than the whole");
                }
                Filtered::Whole | Filtered::Nothing => assert!(out.is_empty()),
            }
        }
        let region = std::str::from_utf8(head.region.expose()).unwrap_or("");
        let product = batch.product().as_str();
        // Under the plan that made it, it stays as it is; unless the request asked for less.
        let Some((plan, accepted_version)) = desk.plan(product, region, batch.program()) else { continue };
        if plan.fingerprint == batch.fingerprint() {
            let to = LowerTo { plan: &plan, accepted_version, secret: &SECRET, epoch: EPOCH };
            let lowered = lower(body, &to, &mut Scratch::default()).expect("what is stored can be lowered");
            assert!(matches!(lowered, Lowered::Same), "the plan that made a batch changes it: {lowered:?}");
        }
    }
}

/// Reads everything there is to read; the events, if all of it can be read.
fn walk(bytes: &[u8]) -> Option<usize> {
    let mut reader = ProtoReader::new(bytes);
    let mut events = 0;
    let mut left = bytes.len() * 4 + 16;
    while let Some(event) = reader.next_event().ok()? {
        events += 1;
        fields(event.fields, 0, &mut left)?;
    }
    Some(events)
}

fn step(left: &mut usize) {
    *left = left.checked_sub(1).expect("there is more to read than there are bytes");
}

fn fields<'a>(mut all: impl RawFields<'a>, depth: usize, left: &mut usize) -> Option<()> {
    while let Some((_, found)) = all.next_field().ok()? {
        step(left);
        value(found, depth, left)?;
    }
    Some(())
}

fn value<'a, F: RawFields<'a>>(found: RawValue<'a, F>, depth: usize, left: &mut usize) -> Option<()> {
    if depth > 64 {
        return None;
    }
    match found {
        RawValue::Record(record) => fields(record, depth + 1, left),
        RawValue::List(mut items) => {
            while let Some(item) = items.next_item().ok()? {
                step(left);
                value(item, depth + 1, left)?;
            }
            Some(())
        }
        _ => Some(()),
    }
}
