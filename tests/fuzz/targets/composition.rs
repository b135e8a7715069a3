//! Treatments compose, on batches of made-up policies and of the shipped one: brought down from any level to any lower
//! one, a batch is byte for byte what the lower one stores at once, by one step or by several; and its parts for all
//! purposes hold nothing that it does not.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use prost::Message as _;
use usaged::grpc::proto::drain::Batch;
use usaged::grpc::proto::ingest::{Event, SubmitRequest};
use usaged::model::{ProductName, Purpose};
use usaged::policy::Policy;
use usaged::sanitize::wire::Head;
use usaged::sanitize::{Filtered, LowerTo, Lowered, Scratch, filter_purpose, lower};

use super::Choices;
use super::desk::{Desk, EPOCH, POLICY, SECRET};
use crate::dictionary_events::{make, text, value};
use crate::made_up::{self, Dice, LEVELS, PRODUCT, REGIONS};

/// So many policies are made up; compiling one takes longer than all that is done under it.
const POLICIES: u64 = 24;

static MADE_UP: LazyLock<Vec<Arc<Policy>>> =
    LazyLock::new(|| (0..POLICIES).map(|seed| Arc::new(made_up::policy(&mut Dice(seed * 7_919)))).collect());

/// The first bytes choose a policy and the ways down, the rest what is sent.
pub fn run(input: &[u8]) {
    let mut choices = Choices(input);
    let (policy, product, ways) = match choices.roll(4) {
        0 => {
            let product = choices.one(POLICY.products()).name().as_str();
            (Arc::clone(&POLICY), product, shipped_ways(&mut choices))
        }
        _ => (Arc::clone(choices.one(&MADE_UP)), PRODUCT, made_up_ways(&mut choices)),
    };
    let mut events = Vec::new();
    while !choices.is_done() && events.len() < 6 {
        events.push(if product == PRODUCT {
            made_up_event(&mut choices)
        } else {
            shipped_event(&mut choices, product)
        });
    }
    if events.is_empty() {
        return;
    }
    let request = SubmitRequest {
        batch_id: "0190a3c2-7b1e-7c55-9d2f-0123456789ab".into(),
        product: product.into(),
        instance: (*choices.one(&["vm-17", "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "localhost", ""])).into(),
        events,
        ..SubmitRequest::default()
    };
    check(&policy, &request, &ways);
}

/// Rising strictness, each step one that only tightens.
fn made_up_ways(choices: &mut Choices<'_>) -> Vec<Desk> {
    let mut rank = LEVELS.len() - 1;
    let mut region = None;
    let (mut off, mut accepted) = (Vec::new(), 3_u32);
    let mut ways = Vec::new();
    for _ in 0..4 {
        ways.push((rank, region, off.clone(), accepted));
        match choices.roll(5) {
            0 | 1 => rank = rank.saturating_sub(1),
            2 => region = region.or(Some(*choices.one(&REGIONS))),
            3 => off.push(*choices.one(Purpose::ALL)),
            _ => accepted = accepted.saturating_sub(1),
        }
    }
    // The policy is filled in by `check`, which knows it.
    let nothing = &POLICY;
    ways.into_iter()
        .map(|(rank, region, off, accepted)| {
            let mut desk = Desk::new(nothing, &[&format!("{}={}", made_up::PROGRAM, LEVELS[rank])], region);
            desk.participation.purposes_off = off;
            desk.participation.accepted_dictionaries =
                BTreeMap::from([(ProductName::new(PRODUCT).unwrap(), accepted)]);
            desk
        })
        .collect()
}

fn shipped_ways(choices: &mut Choices<'_>) -> Vec<Desk> {
    let levels = |ceip: &str| [format!("ceip={ceip}"), "operational=operational".to_owned()];
    let desk = |ceip: &str, region: Option<&str>| {
        let levels = levels(ceip);
        Desk::new(&POLICY, &[&levels[0], &levels[1]], region)
    };
    let mut ways = vec![desk("enhanced", None)];
    ways.push(if choices.roll(2) == 0 { desk("enhanced", Some("eea")) } else { desk("standard", None) });
    ways.push(desk("standard", Some("eea")));
    if choices.roll(2) == 0 {
        let mut less = desk("standard", Some("eea"));
        less.participation.purposes_off = vec![*choices.one(Purpose::ALL)];
        ways.push(less);
    }
    ways
}

fn made_up_event(choices: &mut Choices<'_>) -> Event {
    let seed = u64::from(choices.byte()) << 8 | u64::from(choices.byte());
    made_up::event(&mut Dice(seed))
}

fn shipped_event(choices: &mut Choices<'_>, product: &str) -> Event {
    use usaged::grpc::proto::ingest::value::Kind as Wire;
    use usaged::policy::Kind;
    let product = POLICY.products().iter().find(|known| known.name().as_str() == product).unwrap();
    let declared = choices.one(product.events());
    let mut left = std::mem::take(&mut choices.0);
    let event = make(product, declared, |_, field| {
        let mut choices = Choices(left);
        let made = match choices.roll(4) {
            0 => None,
            1 => Some(match field.kind() {
                Kind::Text => text(String::from_utf8_lossy(choices.bytes(48)).into_owned()),
                Kind::Int => value(Wire::IntValue(i64::from(choices.byte()) - 100)),
                Kind::Double => value(Wire::DoubleValue(f64::from(choices.byte()) / 3.0)),
                Kind::Bool => value(Wire::BoolValue(choices.roll(2) == 0)),
                Kind::Bytes => value(Wire::BytesValue(choices.bytes(20).to_vec())),
            }),
            _ => match field.kind() {
                Kind::Text => Some(text(field.example())),
                _ => None,
            },
        };
        left = choices.0;
        made
    });
    choices.0 = left;
    event
}

fn check(policy: &Arc<Policy>, request: &SubmitRequest, ways: &[Desk]) {
    let bytes = request.encode_to_vec();
    let head = Head::read(&bytes).unwrap();
    let ways: Vec<Desk> = ways.iter().map(|way| Desk { policy: Arc::clone(policy), ..way.clone() }).collect();
    let mut scratch = Scratch::default();
    for program in policy.programs().iter().map(|program| program.name()) {
        let stored: Vec<Vec<u8>> = ways
            .iter()
            .map(|way| {
                let sanitized = way.sanitize(&head, &bytes, None, &mut scratch).unwrap();
                let batch = sanitized.batches.into_iter().find(|batch| batch.program() == program);
                batch.map_or(Vec::new(), |batch| batch.body().to_vec())
            })
            .collect();
        for (at, high) in stored.iter().enumerate().filter(|(_, high)| !high.is_empty()) {
            parts(high);
            let mut step_by_step = high.clone();
            for (low, expected) in ways.iter().zip(&stored).skip(at) {
                let Some(plan) = low.plan(&request.product, "", program) else {
                    assert!(expected.is_empty());
                    break;
                };
                let mut down = |body: &[u8]| {
                    let to =
                        LowerTo { plan: &plan.0, accepted_version: plan.1, secret: &SECRET, epoch: EPOCH };
                    match lower(body, &to, &mut scratch).unwrap() {
                        Lowered::Same => body.to_vec(),
                        Lowered::Nothing(_) => Vec::new(),
                        Lowered::Less { batch, .. } => batch.body().to_vec(),
                    }
                };
                let made = down(high);
                assert!(made == *expected, "{program}: {}", difference(&made, expected));
                if !step_by_step.is_empty() {
                    step_by_step = down(&step_by_step);
                    assert!(step_by_step == *expected, "{program}, step by step");
                }
            }
        }
    }
}

/// The parts for all purposes are parts.
fn parts(body: &[u8]) {
    let whole = Batch::decode(body).unwrap();
    let mut out = Vec::new();
    for purpose in Purpose::ALL {
        if let Filtered::Part { .. } = filter_purpose(body, *purpose, &mut out).unwrap() {
            let part = Batch::decode(&*out).unwrap();
            assert!(part.events.len() <= whole.events.len());
            assert!(part.fields.iter().all(|spec| whole.fields.iter().any(|known| known.path == spec.path)));
        }
    }
}

/// Where two batches differ first.
fn difference(made: &[u8], expected: &[u8]) -> String {
    let told = |body: &[u8]| match body {
        [] => "nothing".to_owned(),
        body => format!("{:#?}", Batch::decode(body).unwrap()),
    };
    let (made, expected) = (told(made), told(expected));
    let at = made.lines().zip(expected.lines()).take_while(|(a, b)| a == b).count();
    let around = |text: &str| {
        text.lines().skip(at.saturating_sub(12)).take(24).map(str::trim).collect::<Vec<_>>().join("\n")
    };
    format!("{}\n-- at once:\n{}", around(&made), around(&expected))
}
