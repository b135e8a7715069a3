//! Treatments compose: a batch that is stored at one level and brought down to another is, byte for byte, what the
//! lower level would have stored at once, for every pair of levels, every overlay, purposes that are switched off, and
//! older accepted dictionaries. And whatever plan a batch is brought to, it never says more than it did.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use prost::Message as _;
use usaged::grpc::proto::drain::{Batch, value::Kind};
use usaged::grpc::proto::ingest::{Event, SubmitRequest};
use usaged::model::{
    CustomerId, CustomerKey, Participation, ProductName, ProgramName, Purpose, RawText, RegionName,
    UnixMillis,
};
use usaged::policy::{Action, Ask, Plan, Policy, Product, Shape, compile, shipped};
use usaged::sanitize::wire::{Head, ProtoReader};
use usaged::sanitize::{
    Applicant, CustomerSalt, CustomerSecret, DataRoot, Filtered, LowerTo, Lowered, Permit, Ratchet,
    Sanitized, SanitizedBatch, Scratch, Strike, StruckFrom, Suppressions, filter_purpose, lower, sanitize,
    strike,
};

use crate::dictionary_events::{field, make, text};
use crate::golden_levels::example;
use crate::made_up::{self, Dice, LEVELS, PRODUCT, PROGRAM, REGIONS};
use crate::stored_leaves::{self, Leaf};

pub const NOW: UnixMillis = UnixMillis(1_790_000_000_123);
pub const EPOCH: u32 = 690;

pub fn secret() -> Arc<CustomerSecret> {
    let (root, salt) = (DataRoot::new([5; 32]), CustomerSalt::new([7; 32]));
    Arc::new(CustomerSecret::derive(&root, &salt, Ratchet::new(0, [6; 32]), CustomerKey(1)))
}

/// What a customer agrees to, and the region that the sender names.
#[derive(Debug, Clone)]
pub struct Terms {
    levels: Vec<(String, String)>,
    region: Option<&'static str>,
    senders: Option<&'static str>,
    off: Vec<Purpose>,
    accepted: u32,
}

impl Terms {
    /// These levels, each `program=level`, and nothing else that tightens.
    pub fn full(levels: &[&str]) -> Self {
        let levels = levels.iter().map(|level| level.split_once('=').unwrap());
        Self {
            levels: levels.map(|(program, level)| (program.to_owned(), level.to_owned())).collect(),
            region: None,
            senders: None,
            off: Vec::new(),
            accepted: 9,
        }
    }

    /// The same in a region.
    pub fn within(self, region: &'static str) -> Self {
        Self { region: Some(region), ..self }
    }

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

    pub fn sanitize(
        &self,
        policy: &Arc<Policy>,
        request: &SubmitRequest,
        secret: &Arc<CustomerSecret>,
    ) -> Vec<SanitizedBatch> {
        self.sanitize_but(policy, request, secret, None).batches
    }

    /// The same of a customer of whom something was erased.
    pub fn sanitize_but(
        &self,
        policy: &Arc<Policy>,
        request: &SubmitRequest,
        secret: &Arc<CustomerSecret>,
        suppressed: Option<&Arc<Suppressions>>,
    ) -> Sanitized {
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
            suppressed,
        };
        let permit = Permit::grant(Arc::clone(policy), &applicant, &head);
        sanitize(&permit, &head, ProtoReader::new(&bytes), &mut Scratch::default()).unwrap()
    }
}

pub fn request(product: &str, instance: &str, events: Vec<Event>) -> SubmitRequest {
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
pub fn check(policy: &Arc<Policy>, request: &SubmitRequest, terms: &[Terms]) -> usize {
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
pub fn stricter_and_stricter(dice: &mut Dice) -> Vec<Terms> {
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

pub fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

// covers: P6, P1
#[test]
fn lowering_gives_the_bytes_of_the_lower_level_for_every_class_type_shape_and_treatment() {
    let compared = std::cell::Cell::new(0);
    proptest!(config(60), |(seed in any::<u64>())| {
        let mut dice = Dice(seed);
        let policy = Arc::new(made_up::policy(&mut dice));
        for _ in 0..3 {
            let events = (0..1 + dice.roll(6)).map(|_| made_up::event(&mut dice)).collect();
            let instance = *dice.one(&INSTANCES);
            let terms = stricter_and_stricter(&mut dice);
            compared.set(compared.get() + check(&policy, &request(PRODUCT, instance, events), &terms));
        }
    });
    assert!(compared.get() > 300, "{} batches were compared", compared.get());
}

/// What is sent of the shipped dictionaries: examples, and now and then something odd.
fn shipped_request(dice: &mut Dice, product: &Product) -> SubmitRequest {
    let events = (0..1 + dice.roll(6)).map(|_| {
        let declared = dice.one(product.events());
        make(product, declared, |_, field| match dice.roll(8) {
            0 => None,
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
            terms("none", Some("eea"), Purpose::ALL, 1),
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
    proptest!(config(40), |(seed in any::<u64>())| {
        let mut dice = Dice(seed);
        let product = dice.one(policy.products());
        let request = shipped_request(&mut dice, product);
        for terms in &ways {
            compared.set(compared.get() + check(&policy, &request, terms));
        }
    });
    assert!(compared.get() > 500, "{} batches were compared", compared.get());
}

// covers: P1, P6
#[test]
fn an_identifier_of_an_event_that_is_not_stored_is_found_in_the_text_of_its_program_and_of_no_other() {
    let policy = Arc::new(compile(&shipped()).unwrap().0);
    let one = |name: &str, fields: &[(&str, &str)]| Event {
        name: name.into(),
        fields: fields.iter().map(|(path, value)| field(*path, text(*value))).collect(),
        ..Event::default()
    };
    let events = vec![
        one("support.log_line", &[("message", "renamed Prod VM 1, by Rita Book, secret open sesame")]),
        one("vm.inventory", &[("vm", "Prod VM 1")]),
        one("guest.customization", &[("admin_password", "open sesame")]),
        one("entitlement.status", &[("licence", "Rita Book")]),
    ];
    let request = request("vcenter", "", events);
    let full = Terms::full(&["ceip=enhanced", "operational=operational"]);
    let less = Terms { off: vec![Purpose::Improve], ..full.clone() };
    for (terms, stored) in [(&full, 3), (&less, 1)] {
        let batches = terms.sanitize(&policy, &request, &secret());
        let ceip = batches.iter().find(|batch| batch.program().as_str() == "ceip").unwrap();
        assert_eq!(ceip.events(), stored);
        let (_, leaves) = stored_leaves::read(ceip.body());
        let message = leaves.iter().find(|leaf| leaf.path == "message").unwrap();
        let Kind::StringValue(message) = &message.value else { panic!("{message:?}") };
        let rest = message.strip_prefix("renamed p1-object_name-s-").unwrap();
        assert!(rest.ends_with(", by Rita Book, secret [secret]"), "{message}");
    }
    assert_eq!(check(&policy, &request, &[full, less]), 6);
}

/// The time of the event of this place in a request, by which it is told from the others.
pub fn time_of(place: usize) -> i64 {
    NOW.0 - 60_000 + i64::try_from(place).unwrap()
}

/// Gives every event a time of its own.
pub fn timed(mut events: Vec<Event>) -> Vec<Event> {
    for (place, event) in events.iter_mut().enumerate() {
        let millis = time_of(place);
        let nanos = i32::try_from(millis % 1000).unwrap() * 1_000_000;
        event.time = Some(usaged::grpc::client::Timestamp { seconds: millis / 1000, nanos });
    }
    events
}

/// Whether a value says at most what another one of the same field says.
fn says_at_most(low: &Leaf, high: &Leaf) -> bool {
    if low.value == high.value {
        return true;
    }
    match (high.treatment.as_str(), &high.value, &low.value) {
        ("keep", _, _) => true,
        ("pseudonym", Kind::TokenValue(_), Kind::TokenValue(_)) => {
            high.prefix.ends_with("-s-") && low.prefix.ends_with(&format!("-r{EPOCH}-"))
        }
        ("generalise", Kind::StringValue(high), Kind::StringValue(coarse)) => {
            low.treatment == "generalise" && coarse.len() < high.len()
        }
        ("generalise", Kind::IntValue(high), Kind::IntValue(coarse)) => coarse <= high,
        ("generalise", Kind::DoubleValue(high), Kind::DoubleValue(coarse)) => {
            coarse <= high || high.is_nan() && coarse.is_nan()
        }
        ("vocabulary" | "redact", _, Kind::StringValue(word)) if word == "other" => true,
        ("redact", _, Kind::StringValue(_)) => low.treatment == "redact",
        _ => false,
    }
}

// covers: P6, P1
#[test]
fn whatever_plan_a_batch_is_brought_to_it_never_says_more_than_it_did_or_than_the_plan_does() {
    let compared = std::cell::Cell::new(0);
    proptest!(config(60), |(seed in any::<u64>())| {
        let mut dice = Dice(seed);
        // Two policies whose treatments, vocabularies and lengths have nothing to do with each other.
        let policies = [made_up::policy(&mut dice), made_up::policy(&mut dice)].map(Arc::new);
        let secret = secret();
        for _ in 0..4 {
        let events = timed((0..1 + dice.roll(6)).map(|_| made_up::event(&mut dice)).collect());
        let request = request(PRODUCT, INSTANCES[dice.roll(5)], events);
        let program = ProgramName::new(PROGRAM).unwrap();
        let [from, to] = [0, 1].map(|_| stricter_and_stricter(&mut dice).remove(dice.roll(3)));
        let body = |terms: &Terms, policy| {
            let batches = terms.sanitize(policy, &request, &secret);
            batches.first().map_or(Vec::new(), |batch| batch.body().to_vec())
        };
        let stored = body(&from, &policies[0]);
        let Some(plan) = to.plan(&policies[1], PRODUCT, &program) else { continue };
        if stored.is_empty() {
            continue;
        }
        let made = lowered(&stored, &plan, &secret);
        let (stored_events, high) = stored_leaves::read(&stored);
        let (allowed_events, _) = stored_leaves::read(&body(&to, &policies[1]));
        let (events, low) = stored_leaves::read(&made);
        for time in &events {
            prop_assert!(stored_events.contains(time) && allowed_events.contains(time));
        }
        for leaf in &low {
            let same = |other: &&Leaf| other.time_ms == leaf.time_ms && other.path == leaf.path;
            let below = |other: &Leaf| says_at_most(leaf, other) && leaf.purposes.without(other.purposes).is_empty();
            prop_assert!(high.iter().filter(same).any(below), "{leaf:?} of {:?}", high.iter().find(same));
            // Every path of the made-up dictionary stands in one event only.
            let planned = plan.0.fields.iter().find(|field| field.spec.path.as_str() == leaf.path).unwrap();
            let withheld = matches!(&planned.shape, Shape::Scalar { action: Action::Withhold(_), .. });
            prop_assert!(!withheld && leaf.purposes.without(planned.spec.purposes).is_empty(), "{leaf:?}");
            compared.set(compared.get() + 1);
        }
        if !made.is_empty() {
            prop_assert!(lowered(&made, &plan, &secret) == made, "a second time");
        }
        }
    });
    assert!(compared.get() > 200, "{} values were compared", compared.get());
}

// covers: P7
#[test]
fn every_value_goes_to_the_purposes_that_it_has_and_to_no_other() {
    let compared = std::cell::Cell::new(0);
    proptest!(config(50), |(seed in any::<u64>())| {
        let mut dice = Dice(seed);
        let policy = Arc::new(made_up::policy(&mut dice));
        let events = timed((0..1 + dice.roll(8)).map(|_| made_up::event(&mut dice)).collect());
        let request = request(PRODUCT, "vm-17", events);
        let terms = stricter_and_stricter(&mut dice).remove(dice.roll(3));
        for batch in terms.sanitize(&policy, &request, &secret()) {
            let (_, stored) = stored_leaves::read(batch.body());
            let mut seen = 0;
            for purpose in Purpose::ALL {
                let mut out = Vec::new();
                let given = match filter_purpose(batch.body(), *purpose, &mut out).unwrap() {
                    Filtered::Whole => batch.body(),
                    Filtered::Part { .. } => &out,
                    Filtered::Nothing => &[],
                };
                let (_, given) = stored_leaves::read(given);
                let told = |leaf: &Leaf| format!("{} {} {:?} {:?}", leaf.time_ms, leaf.path, leaf.value, leaf.key);
                let expected: Vec<_> = stored.iter().filter(|leaf| leaf.purposes.has(*purpose)).collect();
                // A key goes only where something of its pair goes.
                for key in given.iter().filter(|leaf| leaf.is_key) {
                    prop_assert!(expected.iter().any(|leaf| told(leaf) == told(key)), "{}", purpose);
                }
                let values: Vec<_> = given.iter().filter(|leaf| !leaf.is_key).map(told).collect();
                let expected = expected.into_iter().filter(|leaf| !leaf.is_key).map(told);
                prop_assert_eq!(&values, &expected.collect::<Vec<_>>(), "{}", purpose);
                seen += values.len();
            }
            // Together they see all of it, each value as often as it has purposes. Nothing is stored for nobody, and no pair
            // whose key and value have no purpose in common.
            let values = stored.iter().filter(|leaf| !leaf.is_key);
            let purposes: usize = values.map(|leaf| leaf.purposes.iter().count()).sum();
            prop_assert_eq!(seen, purposes);
            prop_assert_eq!(stored.iter().find(|leaf| leaf.purposes.is_empty()), None);
            compared.set(compared.get() + seen);
        }
    });
    assert!(compared.get() > 500, "{} values were compared", compared.get());
}

// covers: D5
#[test]
fn a_damaged_batch_is_an_error_or_less_of_a_batch_and_never_a_panic() {
    let mut refused = 0;
    let mut dice = Dice(1);
    let policy = Arc::new(made_up::policy(&mut dice));
    let secret = secret();
    let program = ProgramName::new(PROGRAM).unwrap();
    let terms = Terms::full(&["alpha=high"]);
    let (plan, accepted_version) = Terms::full(&["alpha=low"]).plan(&policy, PRODUCT, &program).unwrap();
    let to = LowerTo { plan: &plan, accepted_version, secret: &secret, epoch: EPOCH };
    let events = timed((0..12).map(|_| made_up::event(&mut dice)).collect());
    let batches = terms.sanitize(&policy, &request(PRODUCT, "vm-17", events), &secret);
    let body = batches[0].body();
    let from = StruckFrom { customer: CustomerKey(1), accepted_version, fingerprint: [0; 8] };
    let times = Strike::times(time_of(2)..=time_of(4));
    for case in 0..4000 {
        let mut damaged = body.to_vec();
        match case % 3 {
            0 => damaged.truncate(dice.roll(body.len())),
            1 => damaged[dice.roll(body.len())] ^= 1 << dice.roll(8),
            _ => {
                let at = dice.roll(body.len());
                damaged.splice(at..at, [u8::try_from(dice.roll(256)).unwrap()]);
            }
        }
        let mut scratch = Scratch::default();
        let all = [
            lower(&damaged, &to, &mut scratch).is_err(),
            strike(&damaged, &times, &from, &mut scratch).is_err(),
            filter_purpose(&damaged, Purpose::Improve, &mut Vec::new()).is_err(),
        ];
        refused += usize::from(all.contains(&true));
    }
    assert!(refused > 500, "{refused} were refused");
}
