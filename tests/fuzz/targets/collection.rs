//! The collection plan: whatever a customer chose and a sender says of itself, what the plan calls unwanted is not
//! stored, what it calls stored is, and its version stands for what it says.

use std::collections::BTreeMap;

use prost::Message as _;
use usaged::grpc::proto::drain::Batch;
use usaged::grpc::proto::ingest::{ProgramLevel, SubmitRequest};
use usaged::model::{LevelName, ProgramName, Purpose, RawText};
use usaged::policy::{Ask, CollectionState, Kind, Wish};
use usaged::sanitize::Scratch;
use usaged::sanitize::wire::Head;

use super::Choices;
use super::desk::{Desk, POLICY};
use crate::dictionary_events::{make, text, value};

/// Choices of the customer, then of the sender.
pub fn run(input: &[u8]) {
    use usaged::grpc::proto::ingest::value::Kind as Wire;
    let mut choices = Choices(input);
    let desk = desk(&mut choices);
    let product = choices.one(POLICY.products());
    let region = *choices.one(&["", "eea", "elsewhere"]);
    let cap_text = choices.bytes(16);
    let cap = ProgramLevel {
        program: (*choices.one(&["ceip", "operational", "x"])).into(),
        level: match choices.roll(4) {
            0 => String::from_utf8_lossy(cap_text).into_owned(),
            at => ["none", "standard", "enhanced"][at - 1].into(),
        },
    };
    let caps = if choices.roll(2) == 0 { Vec::new() } else { vec![cap] };
    let pairs: Vec<_> = caps
        .iter()
        .map(|cap| (RawText::new(cap.program.as_bytes()), RawText::new(cap.level.as_bytes())))
        .collect();
    let decide = || {
        POLICY.decide(&Ask {
            participation: Some(&desk.participation),
            global_caps: &BTreeMap::<ProgramName, LevelName>::new(),
            product: RawText::new(product.name().as_str().as_bytes()),
            region: RawText::new(region.as_bytes()),
            level_caps: &pairs,
        })
    };
    let decision = decide();
    let plan = POLICY.collection(Some(&desk.participation), &decision);
    let state = POLICY.collection_state(Some(&desk.participation), &decision);
    assert_eq!(plan.state, state);
    assert_eq!(plan.version, POLICY.collection_version(state, &decision));
    assert!(plan.version.is(RawText::new(plan.version.to_string().as_bytes())));

    let declared = choices.one(product.events());
    let event = make(product, declared, |_, field| {
        Some(match field.kind() {
            Kind::Text => text(field.example()),
            Kind::Int => value(Wire::IntValue(field.example().parse().unwrap())),
            Kind::Double => value(Wire::DoubleValue(field.example().parse().unwrap())),
            Kind::Bool => value(Wire::BoolValue(true)),
            Kind::Bytes => return None,
        })
    });
    let request = SubmitRequest {
        batch_id: "0190a3c2-7b1e-7c55-9d2f-0123456789ab".into(),
        product: product.name().to_string(),
        region: region.into(),
        level_caps: caps.clone(),
        events: vec![event],
        ..SubmitRequest::default()
    };
    let bytes = request.encode_to_vec();
    let head = Head::read(&bytes).unwrap();
    let sanitized = desk.sanitize(&head, &bytes, None, &mut Scratch::default()).unwrap();
    let stored: Vec<String> = sanitized
        .batches
        .iter()
        .flat_map(|batch| Batch::decode(batch.body()).unwrap().fields)
        .map(|spec| spec.path)
        .collect();
    if matches!(state, CollectionState::Disabled) {
        assert!(stored.is_empty(), "nothing is wanted and something is stored: {stored:?}");
        return;
    }
    let wish = plan.events.iter().find(|wish| wish.name == *declared.name());
    let Some(wish) = wish else {
        assert!(stored.is_empty(), "an event without a wish is stored");
        return;
    };
    assert!(wish.withheld.is_none() || stored.is_empty(), "an event that is not wanted is stored");
    for field in &wish.fields {
        let is_stored = stored.iter().any(|path| path == field.path.as_str());
        match &field.wish {
            Wish::Unwanted(_) | Wish::Context(_) | Wish::Cut(..) => {
                assert!(!is_stored, "{} is not wanted and is stored", field.path.as_str());
            }
            Wish::Stored { .. } => {}
        }
    }
}

fn desk(choices: &mut Choices<'_>) -> Desk {
    let ceip = *choices.one(&["ceip=none", "ceip=standard", "ceip=enhanced"]);
    let operational = *choices.one(&["operational=none", "operational=operational"]);
    let region = *choices.one(&[None, Some("eea")]);
    let mut desk = Desk::new(&POLICY, &[ceip, operational], region);
    for purpose in Purpose::ALL {
        if choices.roll(4) == 0 {
            desk.participation.purposes_off.push(*purpose);
        }
    }
    for version in desk.participation.accepted_dictionaries.values_mut() {
        *version = u32::try_from(choices.roll(4)).unwrap();
    }
    desk
}
