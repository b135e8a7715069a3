//! Explain and ingest are the same code: for whatever is sent, the batch that explain shows is, byte
//! for byte, the one in the store. And every event that is received has one outcome, and costs no
//! allocation.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use usaged::drain::{self, Drain};
use usaged::grpc::proto::ingest::{Event, List, Record, SubmitRequest, Value, value::Kind as Wire};
use usaged::ingest::{self, Explain, Intake, Receipt, Rotation};
use usaged::model::{
    ClassCounts, CommitNumber, Delivery, Fate, Handling, Participation, ProductName, ProgramName, Purpose,
    RegionName, SubscriptionName, limits,
};
use usaged::observe::Clock;
use usaged::policy::{Field, Handle, Kind, Policy, Product, compile, shipped};
use usaged::sanitize::wire::{Head, ProtoReader};
use usaged::sanitize::{
    Applicant, CustomerSecret, DataRoot, Filtered, Permit, Ratchet, RootKey, Scratch, count_fields,
    filter_purpose, sanitize,
};
use usaged::store::{self, Customers, Entry, NewChange, ReadLimits, Store};

use crate::dictionary_events::{field, make, text, value};
use crate::drain_world::{START, acme, subscription};
use crate::golden_levels::example;

/// One customer, an intake and a drain in this process, on a clock that stands still.
struct Room {
    policy: Arc<Policy>,
    clock: Clock,
    store: Store,
    customers: Customers,
    intake: Intake,
    drain: Drain,
    batches: u64,
    /// Events that were stored, over all cases.
    stored: u32,
    redacted: u32,
    _dir: TempDir,
}

impl Room {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let root = RootKey::from_hex(&"0123456789abcdef".repeat(4)).unwrap();
        let clock = Clock::manual(START);
        let store = Store::open(store::Options::new(dir.path()), &root, clock.clone()).unwrap();
        let customers = Customers::new(store.clone(), 10);
        let policy = Arc::new(compile(&shipped()).unwrap().0);
        let handle = Handle::new(Arc::clone(&policy));
        let (own, options) = (customers.clone(), ingest::Options::default());
        let intake = Intake::new(store.clone(), own.clone(), handle.clone(), clock.clone(), options);
        let options = drain::Options::default();
        let drain = Drain::open(store.clone(), own, handle, clock.clone(), options).await.unwrap();
        for purpose in Purpose::ALL {
            drain.create(subscription(&named(*purpose), *purpose), true).await.unwrap();
        }
        Self { policy, clock, store, customers, intake, drain, batches: 0, stored: 0, redacted: 0, _dir: dir }
    }

    async fn participate(&self, participation: Participation) {
        let (by, reason) = ("tests".to_owned(), "tests".to_owned());
        let change = NewChange { participation, by, reason, if_revision: None };
        self.store.set_participation(vec![change]).await.unwrap().remove(0).unwrap();
    }

    /// Submits, and gives the receipt with the opened records that this has stored.
    async fn submit(&mut self, mut request: SubmitRequest) -> (Bytes, Receipt, Vec<Stored>) {
        self.batches += 1;
        request.batch_id = format!("00000000-0000-4000-8000-{:012x}", self.batches);
        let bytes = Bytes::from(request.encode_to_vec());
        let head = self.store.head();
        let receipt = self.intake.submit(&acme(), bytes.clone()).await.unwrap();
        let next = CommitNumber(head.0 + 1);
        let entries = self.store.read(next, ReadLimits { records: 100, bytes: u64::MAX }).unwrap();
        let secret = Arc::clone(&self.customers.get(&acme()).unwrap().unwrap().secret);
        let stored = entries.into_iter().map(|entry| {
            let Entry::Record(record) = entry else { panic!("a damaged record") };
            let program = ProgramName::new(&record.header.program).unwrap();
            let body = record.open(&secret.seal_key(&program, record.header.received)).unwrap();
            let level = record.header.level.clone();
            Stored { program: record.header.program.clone(), level, events: record.header.events, body }
        });
        let stored = stored.collect();
        (bytes, receipt, stored)
    }

    fn explain(&self, participation: &Participation, request: &[u8]) -> BTreeMap<(String, String), Vec<u8>> {
        let secret = Arc::clone(&self.customers.get(&acme()).unwrap().unwrap().secret);
        let explain = Explain::for_customer(
            Arc::clone(&self.policy),
            participation,
            secret,
            self.clock.now(),
            Rotation::default(),
        );
        let levels = explain.explain(request).unwrap().into_iter();
        levels.map(|one| ((one.program.to_string(), one.level.to_string()), one.batch)).collect()
    }

    /// What each subscription is given now.
    async fn drained(&self, purpose: Purpose) -> Vec<Bytes> {
        let name = named(purpose);
        let given =
            self.drain.pull(&name, 100, u64::MAX, std::time::Duration::ZERO, 0).await.unwrap().deliveries;
        let ids: Vec<_> = given.iter().map(|delivery| delivery.ack_id.clone()).collect();
        self.drain.acknowledge(&name, &ids).await.unwrap();
        given.into_iter().map(|delivery| delivery.body).collect()
    }
}

struct Stored {
    program: String,
    level: String,
    events: u32,
    body: Vec<u8>,
}

fn named(purpose: Purpose) -> SubscriptionName {
    SubscriptionName::new(purpose.as_str()).unwrap()
}

/// One event of a request: which of the dictionary's, and a choice for each of its fields.
type Choice = (usize, Vec<u8>, u8);

/// The value of a field: most often the example of the dictionary, else missing, odd or of another type.
pub fn chosen(declared: &Field, choice: u8) -> Option<Value> {
    let is_text = declared.kind() == Kind::Text;
    Some(match choice {
        0..=119 => example(declared),
        120..=139 => return None,
        140..=199 if is_text => {
            let odd = ["", "localhost", "00:00:00:00:00:00", "Ünïcode\u{301} ", "10.0.0.1", "a@b.example"];
            text(odd[usize::from(choice) % odd.len()])
        }
        200..=209 if is_text => text("x".repeat(5000)),
        140..=209 => value(Wire::IntValue(i64::from(choice) - 170)),
        _ if declared.path().as_str().ends_with("{key}") => text(""),
        210..=224 => value(Wire::BytesValue(vec![choice; usize::from(choice % 20)])),
        225..=234 => value(Wire::ListValue(List { values: vec![text("in a list"), Value::default()] })),
        235..=244 => value(Wire::RecordValue(Record { fields: vec![field("x", text("in a record"))] })),
        245..=255 => Value::default(),
    })
}

fn event(product: &Product, (which, choices, extra): &Choice) -> Event {
    let declared = &product.events()[which % product.events().len()];
    let mut choices = choices.iter().cycle();
    let mut event = make(product, declared, |_, field| chosen(field, *choices.next().unwrap()));
    match extra % 12 {
        0 => event.fields.push(field("made_up", text("undeclared"))),
        1 => event.fields.extend(event.fields.clone()),
        2 => event.name.push_str(".made_up"),
        3 => event.time = Some(usaged::grpc::client::Timestamp { seconds: 1, nanos: 0 }),
        4 => event.needed_level = "standard".into(),
        5 => event.needed_level = "made_up".into(),
        _ => {}
    }
    event
}

fn participation(policy: &Policy, (levels, region, accepts, off): (u8, bool, bool, bool)) -> Participation {
    let mut participation = Participation::none(acme());
    for product in ["vcenter", "horizon", "tanzu-cli"] {
        participation.accepted_dictionaries.insert(ProductName::new(product).unwrap(), 2);
    }
    let ceip = ["none", "standard", "enhanced"][usize::from(levels % 3)];
    let operational = ["none", "operational"][usize::from(levels / 3 % 2)];
    for (program, level) in [("ceip", ceip), ("operational", operational)] {
        participation.levels.insert(program.parse().unwrap(), level.parse().unwrap());
    }
    participation.region = region.then(|| RegionName::new("eea").unwrap());
    participation.delivery = Delivery::Deliver;
    if !accepts {
        participation.accepted_dictionaries.insert(ProductName::new("vcenter").unwrap(), 1);
    }
    if off {
        participation.purposes_off = vec![Purpose::Recommend];
    }
    policy.accept_current(&mut participation);
    participation
}

fn check(room: &mut Room, runtime: &Runtime, participation: &Participation, request: SubmitRequest) {
    let is_capped = request.events.iter().any(|event| !event.needed_level.is_empty());
    let sent = u32::try_from(request.events.len()).unwrap();
    runtime.block_on(room.participate(participation.clone()));
    let (bytes, receipt, stored) = runtime.block_on(room.submit(request));

    // P3: one outcome each, and the numbers add up.
    let tally = &receipt.tally;
    assert_eq!(tally.received, sent);
    assert!(tally.adds_up(), "{tally:?}");
    assert_eq!(stored.iter().map(|record| record.events).sum::<u32>(), tally.accepted);
    let mut counts = ClassCounts::default();
    stored.iter().for_each(|record| counts.merge(&count_fields(&record.body).unwrap()));
    // A text that the dictionary lists is kept where others are redacted; of a stored batch that cannot be told.
    let told = |counts: &dyn Fn(Fate) -> u64| {
        [counts(Fate::Kept) + counts(Fate::Redacted), counts(Fate::Pseudonymised), counts(Fate::Coarsened)]
    };
    assert_eq!(
        told(&|fate| counts.total(Handling::from(fate))),
        told(&|fate| u64::from(tally.fields[fate.index()])),
        "what is counted of a batch is what its receipt tells"
    );
    room.redacted += tally.fields[Fate::Redacted.index()];
    room.stored += tally.accepted;

    // Byte for byte what explain says of that level; of an event that needs less, explain tells at the level asked.
    let mut explained = room.explain(participation, &bytes);
    for record in &stored {
        let level = (record.program.clone(), record.level.clone());
        let is_own = participation.levels[record.program.as_str()].as_str() == record.level;
        if is_own {
            let said = explained.remove(&level).unwrap();
            assert_eq!(said, record.body, "explain and ingest differ at {level:?}");
        } else {
            assert!(is_capped, "{level:?}");
        }
    }
    for (program, level) in &participation.levels {
        let rest = explained.remove(&(program.to_string(), level.to_string())).unwrap_or_default();
        assert!(rest.is_empty(), "explain says that {program} {level} stores something, and nothing was");
    }

    // What is drained is what is stored, less what the purpose does not allow.
    for purpose in Purpose::ALL {
        let mut expected = Vec::new();
        for record in &stored {
            let mut out = Vec::new();
            match filter_purpose(&record.body, *purpose, &mut out).unwrap() {
                Filtered::Whole => expected.push(Bytes::from(record.body.clone())),
                Filtered::Part { .. } => expected.push(Bytes::from(out)),
                Filtered::Nothing => {}
            }
        }
        assert_eq!(runtime.block_on(room.drained(*purpose)), expected, "{purpose}");
    }
}

// covers: P3, P7
#[test]
fn explain_gives_byte_for_byte_what_ingest_stores_and_outcomes_add_up() {
    let runtime = Runtime::new().unwrap();
    let room = std::cell::RefCell::new(runtime.block_on(Room::new()));
    let choice = (any::<usize>(), prop::collection::vec(any::<u8>(), 1..40), any::<u8>());
    let events = prop::collection::vec(choice, 1..6);
    let config = ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() };
    let who = (0..6_u8, any::<bool>(), any::<bool>(), any::<bool>());
    proptest!(config, |(product in 0..3_usize, events in events, who in who)| {
        let mut room = room.borrow_mut();
        let policy = Arc::clone(&room.policy);
        let product = &policy.products()[product];
        let request = SubmitRequest {
            product: product.name().to_string(),
            instance: "6f9619ff-8b86-4d01-b42d-00cf4fc964ff".into(),
            events: events.iter().map(|choice| event(product, choice)).collect(),
            ..SubmitRequest::default()
        };
        check(&mut room, &runtime, &participation(&policy, who), request);
    });
    assert!(room.borrow().redacted > 20, "of all cases, {} texts were redacted", room.borrow().redacted);
    assert!(room.borrow().stored > 100, "of all cases, {} events were stored", room.borrow().stored);
}

/// A request of so many events, going round the whole dictionary.
fn request_of(product: &Product, events: usize) -> Vec<u8> {
    let declared = product.events().iter().cycle().take(events);
    let request = SubmitRequest {
        batch_id: "0190a3c2-7b1e-7c55-9d2f-0123456789ab".into(),
        product: product.name().to_string(),
        events: declared.map(|event| make(product, event, |_, field| Some(example(field)))).collect(),
        ..SubmitRequest::default()
    };
    let bytes = request.encode_to_vec();
    assert!(bytes.len() < limits::REQUEST_BYTES);
    bytes
}

#[test]
fn a_thousand_events_are_sanitised_with_as_few_allocations_as_ten() {
    let policy = Arc::new(compile(&shipped()).unwrap().0);
    let (root, ratchet) = (DataRoot::new([5; 32]), Ratchet::new(690, [6; 32]));
    let salt = usaged::sanitize::CustomerSalt::new([7; 32]);
    let secret = CustomerSecret::derive(&root, &salt, ratchet, usaged::model::CustomerKey(1));
    let secret = Arc::new(secret);
    let participation = participation(&policy, (5, false, true, false));
    let applicant = Applicant {
        participation: &participation,
        secret: &secret,
        caps: &BTreeMap::new(),
        received: START,
        epoch: 690,
        suppressed: None,
    };
    for product in policy.products() {
        let mut scratch = Scratch::default();
        let mut allocations = |events: usize| {
            let bytes = request_of(product, events);
            let head = Head::read(&bytes).unwrap();
            let permit = Permit::grant(Arc::clone(&policy), &applicant, &head);
            let mut sanitized = None;
            let counted = allocation_counter::measure(|| {
                sanitized = Some(sanitize(&permit, &head, ProtoReader::new(&bytes), &mut scratch).unwrap());
            });
            let sanitized = sanitized.unwrap();
            assert_eq!(sanitized.tally.accepted, u32::try_from(events).unwrap());
            let wrong: Vec<_> =
                sanitized.places.iter().map(usaged::sanitize::WithheldPlace::for_sender).collect();
            assert!(wrong.is_empty(), "{}: an example is not of its own form: {wrong:?}", product.name());
            counted.count_total
        };
        // The first pass makes the plans, the keys and room in the buffers.
        allocations(1000);
        let (few, many) = (allocations(10), allocations(1000));
        assert!(many <= few + 8, "{}: {few} allocations for 10 events, {many} for 1000", product.name());
    }
}
