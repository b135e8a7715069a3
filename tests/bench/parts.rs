//! The parts of sanitising that cannot be left out: reading every value, and four HMACs for an event.

use std::hint::black_box;

use criterion::Criterion;
use usaged::grpc::proto::ingest::value::Kind;
use usaged::model::{RawFields, RawItems, RawValue, WireReader};
use usaged::sanitize::HmacKey;
use usaged::sanitize::wire::{Head, ProtoReader};

use crate::{EVENTS, elements, requests};

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parts");
    group.throughput(elements(EVENTS));
    for (name, request) in [
        ("read standard events", requests::request(0, EVENTS, requests::standard)),
        ("read nested events", requests::request(0, EVENTS, requests::nested)),
    ] {
        group.bench_function(name, |bench| bench.iter(|| black_box(read(black_box(&request)))));
    }
    let keys = [1, 2, 3, 4].map(|byte| HmacKey::new(&[byte; 32]));
    let values: Vec<_> = (0..EVENTS).map(identifiers).collect();
    group.bench_function("four HMACs", |bench| {
        bench.iter(|| {
            for value in &values {
                for (key, value) in keys.iter().zip(value) {
                    black_box(key.token(black_box(value.as_bytes())));
                }
            }
        });
    });
    group.finish();
}

/// The identifiers of a standard event.
fn identifiers(n: usize) -> Vec<String> {
    let fields = requests::standard(n).fields.into_iter().take(4);
    fields.map(|field| field.value.unwrap().kind.unwrap()).map(text).collect()
}

fn text(kind: Kind) -> String {
    let Kind::StringValue(text) = kind else { panic!("{kind:?} is no text") };
    text
}

/// Walks every value; gives the bytes of names and texts.
fn read(request: &[u8]) -> usize {
    let head = Head::read(request).unwrap();
    let mut events = ProtoReader::new(request);
    let mut bytes = usize::try_from(head.events).unwrap();
    while let Some(event) = events.next_event().unwrap() {
        bytes += event.name.len() + fields(event.fields);
    }
    bytes
}

fn fields<'a>(mut fields_left: impl RawFields<'a>) -> usize {
    let mut bytes = 0;
    while let Some((name, value)) = fields_left.next_field().unwrap() {
        bytes += name.len() + one(value);
    }
    bytes
}

fn one<'a, F: RawFields<'a>>(value: RawValue<'a, F>) -> usize {
    match value {
        RawValue::Empty => 0,
        RawValue::Text(text) | RawValue::Bytes(text) => text.len(),
        RawValue::Int(_) | RawValue::Double(_) | RawValue::Bool(_) => 1,
        RawValue::Record(record) => fields(record),
        RawValue::List(mut items) => {
            let mut bytes = 0;
            while let Some(value) = items.next_item().unwrap() {
                bytes += one(value);
            }
            bytes
        }
    }
}
