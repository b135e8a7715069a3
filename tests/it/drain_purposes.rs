//! Two subscriptions of different purposes: each sees exactly the fields that the dictionary and the level allow for
//! its purpose, and together they see all that is stored.

use std::collections::{BTreeMap, BTreeSet};

use usaged::grpc::client::Message as _;
use usaged::grpc::proto::drain as pb;
use usaged::grpc::proto::drain::value::Kind;
use usaged::grpc::proto::ingest::SubmitRequest;
use usaged::model::{ProductName, Purpose, Purposes};
use usaged::policy::{Policy, compile, shipped};

use crate::dictionary_events::make;
use crate::golden_levels::example;
use crate::grpc_collector::{Collector, from, participation, set};

/// Event and path of a field.
type Place = (String, String);

const PURPOSES: [(&str, pb::Purpose, Purpose); 3] = [
    ("deliver", pb::Purpose::Deliver, Purpose::Deliver),
    ("recommend", pb::Purpose::Recommend, Purpose::Recommend),
    ("improve", pb::Purpose::Improve, Purpose::Improve),
];

/// The fields with a value in a batch.
fn places(batch: &pb::Batch) -> BTreeSet<Place> {
    let mut found = BTreeSet::new();
    for event in &batch.events {
        let name = &batch.event_names[event.name as usize];
        found.insert((name.clone(), String::new()));
        for field in &event.fields {
            walk(batch, name, field.field, field.value.as_ref().unwrap(), &mut found);
        }
    }
    found
}

fn walk(batch: &pb::Batch, event: &str, field: u32, value: &pb::Value, found: &mut BTreeSet<Place>) {
    let spec = &batch.fields[field as usize];
    match value.kind.as_ref().unwrap() {
        Kind::RecordValue(record) => {
            for inner in &record.fields {
                walk(batch, event, inner.field, inner.value.as_ref().unwrap(), found);
            }
        }
        Kind::ListValue(list) => list.values.iter().for_each(|item| walk(batch, event, field, item, found)),
        Kind::MapValue(map) => {
            for pair in &map.pairs {
                walk(batch, event, spec.key_field - 1, pair.key.as_ref().unwrap(), found);
                walk(batch, event, field, pair.value.as_ref().unwrap(), found);
            }
        }
        _ => {
            found.insert((event.to_owned(), spec.path.clone()));
        }
    }
}

/// The purposes of every field of a product, by the dictionary alone.
fn declared(policy: &Policy, product: &ProductName) -> BTreeMap<Place, Purposes> {
    let product = policy.product(product).unwrap();
    let mut declared = BTreeMap::new();
    for event in product.events() {
        for (_, field) in product.fields(event) {
            declared.insert((event.name().to_string(), field.path().to_string()), field.purposes());
        }
    }
    declared
}

/// What each subscription sees of `product`.
async fn seen(collector: &Collector, policy: &Policy, product: &ProductName) -> [BTreeSet<Place>; 3] {
    let declared = policy.product(product).unwrap();
    let events = declared.events().iter().map(|event| make(declared, event, |_, field| Some(example(field))));
    let request = SubmitRequest {
        batch_id: uuid::Uuid::new_v4().to_string(),
        product: product.to_string(),
        events: events.collect(),
        ..SubmitRequest::default()
    };
    collector.ingest().submit(from("acme", request)).await.unwrap();
    let mut seen = [BTreeSet::new(), BTreeSet::new(), BTreeSet::new()];
    for ((name, ..), seen) in PURPOSES.iter().zip(&mut seen) {
        let pull = pb::PullRequest { subscription: (*name).to_owned(), ..pb::PullRequest::default() };
        for received in collector.drain().pull(pull).await.unwrap().into_inner().batches {
            seen.extend(places(&pb::Batch::decode(&*received.batch).unwrap()));
        }
    }
    seen
}

// covers: P7
#[tokio::test]
async fn purposes_partition_the_fields_as_the_dictionary_and_the_level_say() {
    let policy = compile(&shipped()).unwrap().0;
    let collector = Collector::open().await;
    for level in ["standard", "enhanced"] {
        let mut taking_part = participation("acme", level);
        let operational = ("operational".to_owned(), "operational".to_owned());
        let (program, level_name) = operational;
        taking_part.levels.push(usaged::grpc::proto::admin::ProgramLevel { program, level: level_name });
        collector.admin().set_participation(set(taking_part)).await.unwrap();
        for (name, purpose, _) in PURPOSES {
            let subscription =
                pb::Subscription { purpose: purpose.into(), ..crate::grpc_collector::subscription(name) };
            let request = pb::CreateSubscriptionRequest {
                subscription: Some(pb::Subscription { from_oldest: false, ..subscription }),
            };
            collector.drain().create_subscription(request).await.unwrap();
        }
        for product in policy.products() {
            let seen = seen(&collector, &policy, product.name()).await;
            let declared = declared(&policy, product.name());
            let all: BTreeSet<_> =
                seen.iter().flatten().filter(|(_, path)| !path.is_empty()).cloned().collect();
            for ((name, _, purpose), seen) in PURPOSES.iter().zip(&seen) {
                // `recommend` is for enhanced only, and `deliver` for the operational program only.
                let expected: BTreeSet<_> = all
                    .iter()
                    .filter(|place| declared[*place].has(*purpose))
                    .filter(|place| {
                        *purpose != Purpose::Recommend || (level == "enhanced" && is_ceip(product, place))
                    })
                    .filter(|place| (*purpose == Purpose::Deliver) != is_ceip(product, place))
                    .cloned()
                    .collect();
                let fields: BTreeSet<_> = seen.iter().filter(|(_, path)| !path.is_empty()).cloned().collect();
                assert_eq!(fields, expected, "{name} at {level} of {}", product.name());
            }
            assert!(!all.is_empty());
        }
        for (name, ..) in PURPOSES {
            let delete = pb::DeleteSubscriptionRequest { name: name.to_owned() };
            collector.drain().delete_subscription(delete).await.unwrap();
        }
    }
}

fn is_ceip(product: &usaged::policy::Product, (event, _): &Place) -> bool {
    let declared = product.events().iter().find(|one| one.name().as_str() == event).unwrap();
    // Programs are in the order of their names.
    declared.program() == 0
}
