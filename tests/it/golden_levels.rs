//! Golden samples: what is stored of a rich event of every product, at every level, in and out of `eea`,
//! under what was sent. Keys, salt and time are fixed, so a changed line is a changed promise.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use data_encoding::{BASE32HEX_NOPAD, HEXLOWER};
use prost::Message as _;
use usaged::grpc::client::Timestamp;
use usaged::grpc::proto::drain::{self, Batch, FieldSpec, value::Kind as Out};
use usaged::grpc::proto::ingest::{SubmitRequest, Value, value::Kind as Wire};
use usaged::model::{CustomerId, CustomerKey, Participation, RegionName, UnixMillis};
use usaged::policy::{Field, Kind, Policy, Product, compile, shipped};
use usaged::sanitize::wire::{Head, ProtoReader};
use usaged::sanitize::{
    Applicant, CustomerSalt, CustomerSecret, DataRoot, Permit, Ratchet, Scratch, sanitize,
};

use crate::dictionary_events::{make, text, value};

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

/// The example of the dictionary, as it is sent.
pub fn example(field: &Field) -> Value {
    let example = field.example();
    value(match field.kind() {
        Kind::Text => return text(example),
        Kind::Int => Wire::IntValue(example.parse().unwrap()),
        Kind::Double => Wire::DoubleValue(example.parse().unwrap()),
        Kind::Bool => Wire::BoolValue(example.parse().unwrap()),
        Kind::Bytes => Wire::BytesValue(HEXLOWER.decode(example.as_bytes()).unwrap()),
    })
}

/// The events of a program's richest kind in this product: the one with the most classes.
fn richest(product: &Product, program: usize) -> &usaged::policy::Event {
    let classes = |event: &usaged::policy::Event| {
        let mut classes: Vec<_> = product.fields(event).map(|(_, field)| field.class()).collect();
        classes.sort_unstable();
        classes.dedup();
        (classes.len(), product.fields(event).count())
    };
    let own = product.events().iter().filter(|event| event.program() == program);
    own.max_by_key(|event| classes(event)).unwrap()
}

/// The batch that is stored of `request` when the customer takes part at one level of one program.
fn stored(policy: &Arc<Policy>, request: &SubmitRequest, level: (&str, &str), region: Option<&str>) -> Batch {
    let root = std::array::from_fn(|at| [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef][at % 8]);
    let (root, salt) = (DataRoot::new(root), CustomerSalt::new([7; 32]));
    let secret = CustomerSecret::derive(&root, &salt, Ratchet::new(0, [6; 32]), CustomerKey(1));
    let mut participation = Participation::none(CustomerId::new("acme").unwrap());
    for product in ["vcenter", "horizon", "tanzu-cli"] {
        participation.accepted_dictionaries.insert(usaged::model::ProductName::new(product).unwrap(), 2);
    }
    participation.levels.insert(level.0.parse().unwrap(), level.1.parse().unwrap());
    participation.region = region.map(|name| RegionName::new(name).unwrap());
    policy.accept_current(&mut participation);
    let applicant = Applicant {
        participation: &participation,
        secret: &Arc::new(secret),
        caps: &BTreeMap::new(),
        received: NOW,
        epoch: 690,
        suppressed: None,
    };
    let bytes = request.encode_to_vec();
    let head = Head::read(&bytes).unwrap();
    let permit = Permit::grant(Arc::clone(policy), &applicant, &head);
    let sanitized = sanitize(&permit, &head, ProtoReader::new(&bytes), &mut Scratch::default()).unwrap();
    assert!(sanitized.tally.adds_up());
    let [batch] = sanitized.batches.as_slice() else { panic!("{level:?} stores one batch") };
    Batch::decode(batch.body()).unwrap()
}

/// What a batch holds of each path.
fn by_path(batch: &Batch) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for event in &batch.events {
        put_fields(batch, &event.fields, &mut out);
    }
    out
}

fn put_fields(batch: &Batch, fields: &[drain::Field], out: &mut BTreeMap<String, String>) {
    for field in fields {
        put(batch, field.value.as_ref().unwrap(), spec(batch, field.field), out);
    }
}

fn spec(batch: &Batch, number: u32) -> &FieldSpec {
    &batch.fields[usize::try_from(number).unwrap()]
}

fn put(batch: &Batch, value: &drain::Value, of: &FieldSpec, out: &mut BTreeMap<String, String>) {
    match value.kind.as_ref().unwrap() {
        Out::RecordValue(record) => put_fields(batch, &record.fields, out),
        Out::ListValue(list) => list.values.iter().for_each(|item| put(batch, item, of, out)),
        Out::MapValue(map) => {
            for pair in &map.pairs {
                put(batch, pair.key.as_ref().unwrap(), spec(batch, of.key_field - 1), out);
                put(batch, pair.value.as_ref().unwrap(), of, out);
            }
        }
        leaf => {
            let told = format!("{}  [{}]", shown(leaf, &of.token_prefix), of.treatment);
            assert_eq!(out.insert(of.path.clone(), told), None, "{} is stored once", of.path);
        }
    }
}

fn shown(kind: &Out, prefix: &str) -> String {
    match kind {
        Out::StringValue(text) => text.clone(),
        Out::IntValue(number) => number.to_string(),
        Out::DoubleValue(number) => number.to_string(),
        Out::BoolValue(yes) => yes.to_string(),
        Out::BytesValue(bytes) => HEXLOWER.encode(bytes),
        Out::TokenValue(token) => format!("{prefix}{}", BASE32HEX_NOPAD.encode(token).to_ascii_lowercase()),
        Out::RecordValue(_) | Out::ListValue(_) | Out::MapValue(_) => panic!("{kind:?} has parts"),
    }
}

fn party(value: Option<&drain::Value>, prefix: &str) -> String {
    value.and_then(|value| value.kind.as_ref()).map_or_else(|| "-".to_owned(), |kind| shown(kind, prefix))
}

/// Every field of the richest event of each program, as sent and as each level stores it.
fn sample(policy: &Arc<Policy>, product: &Product) -> String {
    let mut told = String::new();
    for (at, program) in policy.programs().iter().enumerate() {
        let declared = richest(product, at);
        let mut event = make(product, declared, |_, field| Some(example(field)));
        event.time = Some(Timestamp { seconds: NOW.0 / 1000 - 60, nanos: 0 });
        event.fields.push(crate::dictionary_events::field("made_up", text("jane.doe@example.com")));
        let request = SubmitRequest {
            batch_id: "0190a3c2-7b1e-7c55-9d2f-0123456789ab".into(),
            product: product.name().to_string(),
            instance: "6f9619ff-8b86-4d01-b42d-00cf4fc964ff".into(),
            events: vec![event],
            ..SubmitRequest::default()
        };
        let mut columns = Vec::new();
        for level in program.levels().iter().map(usaged::policy::Level::name) {
            for region in [None, Some("eea")] {
                let name = format!("{level}{}", region.map_or(String::new(), |name| format!(" {name}")));
                let batch = stored(policy, &request, (program.name().as_str(), level.as_str()), region);
                columns.push((name, batch));
            }
        }
        writeln!(told, "== {} {} ({})", product.name(), declared.name(), program.name()).unwrap();
        let mut row = |path: &str, sent: &str, of: &dyn Fn(&Batch) -> String| {
            writeln!(told, "{path}\n  {:16} {sent}", "sent").unwrap();
            for (name, batch) in &columns {
                writeln!(told, "  {name:16} {}", of(batch)).unwrap();
            }
        };
        row("(customer)", "acme", &|batch| party(batch.customer.as_ref(), &batch.customer_token_prefix));
        row("(instance)", &request.instance, &|batch| {
            party(batch.instance.as_ref(), &batch.instance_token_prefix)
        });
        for (_, field) in product.fields(declared) {
            let path = field.path().as_str();
            let sent = format!("{}  ({})", field.example(), field.class());
            row(path, &sent, &|batch| by_path(batch).remove(path).unwrap_or_else(|| "-".to_owned()));
        }
        row("made_up", "jane.doe@example.com  (undeclared)", &|batch| {
            by_path(batch).remove("made_up").unwrap_or_else(|| "-".to_owned())
        });
    }
    told
}

// covers: P1, P2
#[test]
fn what_every_level_stores_of_a_rich_event_is_as_it_was_agreed() {
    let policy = Arc::new(compile(&shipped()).unwrap().0);
    for product in policy.products() {
        insta::assert_snapshot!(product.name().as_str(), sample(&policy, product));
    }
}
