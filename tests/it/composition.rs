//! Treatments compose: a batch that is stored at one level and brought down to another is, byte for byte, what the
//! lower level would have stored at once, for every pair of levels, every overlay, purposes that are switched off, and
//! older accepted dictionaries. And whatever plan a batch is brought to, it never says more than it did.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use prost::Message as _;
use usaged::grpc::proto::drain::{Batch, Field, FieldSpec, Value, value::Kind};
use usaged::grpc::proto::ingest::{Event, SubmitRequest};
use usaged::model::{
    CustomerId, CustomerKey, IdentifierClass, Participation, ProductName, ProgramName, Purpose, Purposes,
    RawText, RegionName, UnixMillis,
};
use usaged::policy::{Ask, Plan, Policy, Product, compile, shipped};
use usaged::sanitize::wire::{Head, ProtoReader};
use usaged::sanitize::{
    Applicant, CustomerSalt, CustomerSecret, DataRoot, Filtered, LowerTo, Lowered, Permit, Ratchet,
    SanitizedBatch, Scratch, filter_purpose, lower, sanitize,
};

use crate::dictionary_events::{make, text};
use crate::golden_levels::example;
use crate::made_up::{self, Dice, LEVELS, PRODUCT, PROGRAM, REGIONS};

const NOW: UnixMillis = UnixMillis(1_790_000_000_123);
const EPOCH: u32 = 690;

fn secret() -> Arc<CustomerSecret> {
    let (root, salt) = (DataRoot::new([5; 32]), CustomerSalt::new([7; 32]));
    Arc::new(CustomerSecret::derive(&root, &salt, Ratchet::new(0, [6; 32]), CustomerKey(1)))
}

/// What a customer agrees to, and the region that the sender names.
#[derive(Debug, Clone)]
struct Terms {
    levels: Vec<(String, String)>,
    region: Option<&'static str>,
    senders: Option<&'static str>,
    off: Vec<Purpose>,
    accepted: u32,
}

impl Terms {
    fn participation(&self, product: &str) -> Participation {
        let mut participation = Participation::none(CustomerId::new("acme").unwrap());
        for (program, level) in &self.levels {
            participation.levels.insert(program.parse().unwrap(), level.parse().unwrap());
        }
        participation.region = self.region.map(|region| RegionName::new(region).unwrap());
        participation.purposes_off.clone_from(&self.off);
        participation.accepted_dictionaries.insert(ProductName::new(product).unwrap(), self.accepted);
        participation
    }

    /// The plan of a program under these terms, with the accepted version.
    fn plan(&self, policy: &Policy, product: &str, program: &ProgramName) -> Option<(Arc<Plan>, u32)> {
        let decision = policy.decide(&Ask {
            participation: Some(&self.participation(product)),
            global_caps: &BTreeMap::new(),
            product: RawText::new(product.as_bytes()),
            region: RawText::new(self.senders.unwrap_or("").as_bytes()),
            level_caps: &[],
        });
        let at = policy.program_index(program)?;
        let plan = policy.plan(decision.plan_key(at, decision.rank(at))?);
        Some((plan, decision.accepted_version))
    }

    fn sanitize(
        &self,
        policy: &Arc<Policy>,
        request: &SubmitRequest,
        secret: &Arc<CustomerSecret>,
    ) -> Vec<SanitizedBatch> {
        let request = SubmitRequest { region: self.senders.unwrap_or("").to_owned(), ..request.clone() };
        let bytes = request.encode_to_vec();
        let head = Head::read(&bytes).unwrap();
        let participation = self.participation(&request.product);
        let applicant = Applicant {
            participation: &participation,
            secret,
            caps: &BTreeMap::new(),
            received: NOW,
            epoch: EPOCH,
        };
        let permit = Permit::grant(Arc::clone(policy), &applicant, &head);
        sanitize(&permit, &head, ProtoReader::new(&bytes), &mut Scratch::default()).unwrap().batches
    }
}

fn request(product: &str, instance: &str, events: Vec<Event>) -> SubmitRequest {
    SubmitRequest {
        batch_id: "0190a3c2-7b1e-7c55-9d2f-0123456789ab".into(),
        product: product.into(),
        instance: instance.into(),
        events,
        ..SubmitRequest::default()
    }
}

/// The bytes that are left; nothing if nothing is.
fn lowered(body: &[u8], (plan, accepted_version): &(Arc<Plan>, u32), secret: &CustomerSecret) -> Vec<u8> {
    let to = LowerTo { plan, accepted_version: *accepted_version, secret, epoch: EPOCH };
    match lower(body, &to, &mut Scratch::default()).unwrap() {
        Lowered::Same => body.to_vec(),
        Lowered::Nothing(counts) => {
            assert_eq!(counts.events_kept, 0);
            Vec::new()
        }
        Lowered::Less { batch, counts } => {
            assert_eq!(batch.events(), counts.events_kept);
            assert_eq!((batch.received(), batch.accepted_version()), (NOW, *accepted_version));
            assert_eq!(batch.fingerprint(), plan.fingerprint);
            batch.body().to_vec()
        }
    }
}

/// Where two batches differ first, with what stands around it.
fn difference(made: &[u8], expected: &[u8]) -> String {
    let told = |body: &[u8]| match body {
        [] => "nothing".to_owned(),
        body => format!("{:#?}", Batch::decode(body).unwrap()),
    };
    let (made, expected) = (told(made), told(expected));
    let at = made.lines().zip(expected.lines()).take_while(|(a, b)| a == b).count();
    let around = |text: &str| {
        let lines = text.lines().skip(at.saturating_sub(12)).take(24).map(str::trim);
        lines.collect::<Vec<_>>().join("\n")
    };
    format!("{}\n-- at once:\n{}", around(&made), around(&expected))
}

/// Sanitises under `terms`, each stricter than the one before, and brings each down to every one after it.
fn check(policy: &Arc<Policy>, request: &SubmitRequest, terms: &[Terms]) -> usize {
    let secret = secret();
    let mut compared = 0;
    for program in policy.programs().iter().map(|program| program.name()) {
        let stored: Vec<Vec<u8>> = terms
            .iter()
            .map(|terms| {
                let batches = terms.sanitize(policy, request, &secret);
                batches
                    .iter()
                    .find(|batch| batch.program() == program)
                    .map_or(Vec::new(), |b| b.body().to_vec())
            })
            .collect();
        for (at, high) in stored.iter().enumerate().filter(|(_, high)| !high.is_empty()) {
            let mut step_by_step = high.clone();
            for (low, expected) in terms.iter().zip(&stored).skip(at) {
                let Some(plan) = low.plan(policy, &request.product, program) else {
                    assert!(expected.is_empty());
                    break;
                };
                let made = lowered(high, &plan, &secret);
                assert!(
                    made == *expected,
                    "{program}, {:?} to {low:?}:\n{}",
                    terms[at],
                    difference(&made, expected)
                );
                if !step_by_step.is_empty() {
                    step_by_step = lowered(&step_by_step, &plan, &secret);
                    assert!(step_by_step == *expected, "{program}, step by step to {low:?}");
                }
                if !made.is_empty() {
                    assert!(lowered(&made, &plan, &secret) == made, "{program}, {low:?} a second time");
                    compared += 1;
                }
            }
        }
    }
    compared
}

/// Terms of the made-up program, each stricter than the one before.
fn stricter_and_stricter(dice: &mut Dice) -> Vec<Terms> {
    let mut rank = LEVELS.len() - 1;
    let mut terms = Terms {
        levels: vec![(PROGRAM.to_owned(), LEVELS[rank].to_owned())],
        region: None,
        senders: None,
        off: Vec::new(),
        accepted: 3,
    };
    let mut all = vec![terms.clone()];
    for _ in 0..2 + dice.roll(4) {
        for _ in 0..=dice.roll(2) {
            match dice.roll(6) {
                0 | 1 => rank = rank.saturating_sub(1),
                2 => terms.region = terms.region.or(Some(*dice.one(&REGIONS))),
                3 => terms.senders = terms.senders.or(Some(*dice.one(&REGIONS))),
                4 => terms.off.push(*dice.one(Purpose::ALL)),
                _ => terms.accepted = terms.accepted.saturating_sub(1),
            }
        }
        terms.levels = vec![(PROGRAM.to_owned(), LEVELS[rank].to_owned())];
        all.push(terms.clone());
    }
    all
}

const INSTANCES: [&str; 5] = ["6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "vm-17", "localhost", "zero", ""];

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

// covers: P6, P1
#[test]
fn lowering_gives_the_bytes_of_the_lower_level_for_every_class_type_shape_and_treatment() {
    let compared = std::cell::Cell::new(0);
    proptest!(config(120), |(seed in any::<u64>())| {
        let mut dice = Dice(seed);
        let policy = Arc::new(made_up::policy(&mut dice));
        for _ in 0..3 {
            let events = (0..1 + dice.roll(6)).map(|_| made_up::event(&mut dice)).collect();
            let instance = *dice.one(&INSTANCES);
            let terms = stricter_and_stricter(&mut dice);
            compared.set(compared.get() + check(&policy, &request(PRODUCT, instance, events), &terms));
        }
    });
    assert!(compared.get() > 1000, "{} batches were compared", compared.get());
}

/// Whether the shipped policy redacts the class at one level and has a vocabulary for it at a lower one.
fn is_text(class: IdentifierClass) -> bool {
    use IdentifierClass::{Argument, FilePath, Query, Url};
    [Url, FilePath, Query, Argument].contains(&class)
}

/// What is sent of the shipped dictionaries: examples, and now and then something odd.
fn shipped_request(dice: &mut Dice, product: &Product) -> SubmitRequest {
    let events = (0..1 + dice.roll(6)).map(|_| {
        let declared = dice.one(product.events());
        make(product, declared, |_, field| match dice.roll(8) {
            0 => None,
            _ if !made_up::redacts() && is_text(field.class()) => None,
            1 if field.kind() == usaged::policy::Kind::Text => {
                let odd = ["localhost", "10.9.8.7", "A.Example.com", "", "other", "n/a", "de-by"];
                Some(text(*dice.one(&odd)))
            }
            _ => Some(example(field)),
        })
    });
    let events: Vec<_> = events.collect();
    let instance = INSTANCES[0];
    request(product.name().as_str(), instance, events)
}

// covers: P6
#[test]
fn lowering_gives_the_bytes_of_the_lower_level_for_the_shipped_policy() {
    let policy = Arc::new(compile(&shipped()).unwrap().0);
    let terms = |ceip: &str, region, off: &[Purpose], accepted| Terms {
        levels: vec![("ceip".into(), ceip.into()), ("operational".into(), "operational".into())],
        region,
        senders: None,
        off: off.to_vec(),
        accepted,
    };
    // Every way down, from everything to nothing.
    let ways = [
        vec![
            terms("enhanced", None, &[], 2),
            terms("standard", None, &[], 2),
            terms("standard", Some("eea"), &[], 2),
            terms("standard", Some("eea"), &[], 1),
            terms("standard", Some("eea"), &[Purpose::Improve], 1),
            terms("none", Some("eea"), &Purpose::ALL[..], 1),
        ],
        vec![
            terms("enhanced", None, &[], 2),
            terms("enhanced", Some("eea"), &[], 2),
            terms("enhanced", Some("eea"), &[Purpose::Recommend], 2),
            terms("standard", Some("eea"), &[Purpose::Recommend, Purpose::Deliver], 2),
            terms("standard", Some("eea"), &[Purpose::Recommend, Purpose::Deliver], 0),
        ],
        vec![
            terms("enhanced", None, &[], 2),
            terms("enhanced", None, &[], 1),
            terms("enhanced", None, &[Purpose::Improve], 1),
            terms("enhanced", Some("eea"), &[Purpose::Improve], 1),
        ],
    ];
    let compared = std::cell::Cell::new(0);
    proptest!(config(60), |(seed in any::<u64>())| {
        let mut dice = Dice(seed);
        let product = dice.one(policy.products());
        let request = shipped_request(&mut dice, product);
        for terms in &ways {
            compared.set(compared.get() + check(&policy, &request, terms));
        }
    });
    assert!(compared.get() > 500, "{} batches were compared", compared.get());
}
