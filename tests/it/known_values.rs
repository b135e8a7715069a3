//! What a field identifies is found in the text beside it: whatever the type of the value, and if the field is a URL, a
//! path or an address, what these name.

use std::sync::Arc;

use usaged::grpc::proto::drain::Batch;
use usaged::grpc::proto::ingest::{Event, Value, value::Kind as Wire};
use usaged::model::IdentifierClass as Class;
use usaged::policy::{Field, Policy, Product, compile, shipped};
use usaged::sanitize::canonical::{Canonical, Scratch, canonical_bytes};

use prost::Message as _;

use crate::collection_nest::nest;
use crate::composition::{Terms, check, request, secret};
use crate::dictionary_events::{field, make, text, value};
use crate::golden_levels::example;

fn policy() -> Arc<Policy> {
    let mut files = shipped();
    files.push(nest());
    Arc::new(compile(&files).unwrap_or_else(|problems| panic!("{problems:#?}")).0)
}

/// How a value stands in text; `None` if it is nobody's, or too short to be looked for.
fn in_text(class: Class, value: &Value) -> Option<String> {
    let text = match value.kind.as_ref()? {
        Wire::StringValue(text) => text.clone(),
        Wire::IntValue(number) => Some(number.to_string()).filter(|digits| digits.len() > 4)?,
        Wire::BytesValue(bytes) => match canonical_bytes(class, bytes, &mut Scratch::default()) {
            Canonical::Identifier(form) => match std::str::from_utf8(form) {
                Ok(text) => text.to_owned(),
                Err(_) => data_encoding::HEXLOWER.encode(form),
            },
            Canonical::Malformed => data_encoding::HEXLOWER.encode(bytes),
            Canonical::Known(_) => return None,
        },
        _ => return None,
    };
    (text.len() > 3).then_some(text)
}

/// What is stored of the texts of a batch that begin with `seen`.
fn seen(batch: &[u8]) -> Vec<String> {
    let batch = Batch::decode(batch).unwrap();
    let values = batch.events.into_iter().flat_map(|event| event.fields).filter_map(|field| field.value);
    let texts = values.filter_map(|value| match value.kind {
        Some(usaged::grpc::proto::drain::value::Kind::StringValue(text)) => Some(text),
        _ => None,
    });
    texts.filter(|text| text.starts_with("seen ")).collect()
}

/// A value to look for: the example of the dictionary, or another one where that says nothing.
fn sample(field: &Field) -> Value {
    match example(field) {
        Value { kind: Some(Wire::IntValue(_)) } => value(Wire::IntValue(471_100_713)),
        example => example,
    }
}

/// The fields of a product that are lines of text, each with its event.
fn text_fields(product: &Product) -> Vec<(&usaged::policy::Event, &Field)> {
    let texts = [Class::ProductLog, Class::FreeText, Class::CrashText];
    let of = |event| product.fields(event).map(move |(_, field)| (event, field));
    let fields = product.events().iter().flat_map(of);
    let is_line = |field: &Field| texts.contains(&field.class()) && outer(field) == field.path().as_str();
    fields.filter(|(_, field)| is_line(field)).collect()
}

/// The first name in the path of a field.
fn outer(field: &Field) -> &str {
    field.path().as_str().split(['.', '[', '{']).next().unwrap_or_default()
}

// covers: P1
#[test]
fn whatever_a_field_identifies_is_not_left_in_text_beside_it() {
    let (policy, secret) = (policy(), secret());
    let terms = Terms::full(&["ceip=enhanced", "operational=operational"]);
    let mut looked = std::collections::BTreeSet::new();
    for product in policy.products() {
        for (log, message) in text_fields(product) {
            let own = product.events().iter().filter(|event| event.program() == log.program());
            let fields = own.flat_map(|event| product.fields(event).map(move |(_, field)| (event, field)));
            for (event, of) in fields.filter(|(_, field)| field.class().is_found_in_text()) {
                let sent = sample(of);
                let Some(form) = in_text(of.class(), &sent) else { continue };
                // A map has pairs, so what else is in this field is sent, too.
                let holder = make(product, event, |_, one| (outer(one) == outer(of)).then(|| sample(one)));
                let said = format!("seen {form} and {} and no more", form.to_uppercase());
                let note =
                    make(product, log, |_, one| (one.path() == message.path()).then(|| text(said.clone())));
                let stored = terms.sanitize(
                    &policy,
                    &request(product.name().as_str(), "", vec![note, holder]),
                    &secret,
                );
                for said in stored.iter().flat_map(|batch| seen(batch.body())) {
                    let left = said.to_lowercase().contains(&form.to_lowercase());
                    assert!(!left, "{} {} {}: {said}", product.name(), event.name(), of.path());
                    looked.insert((of.class(), of.kind() as u8));
                }
            }
        }
    }
    for (class, kind) in
        [(Class::UserId, 1), (Class::MacAddress, 4), (Class::DeviceId, 4), (Class::Secret, 1)]
    {
        assert!(looked.contains(&(class, kind)), "{class} {kind} in {looked:?}");
    }
    assert!(looked.len() > 20, "{looked:?}");
}

// covers: P1, P6
#[test]
fn hosts_and_accounts_in_urls_and_paths_and_the_account_of_an_address_are_found_in_text() {
    let (policy, secret) = (policy(), secret());
    let terms = [Terms::full(&["ceip=enhanced"]), Terms::full(&["ceip=enhanced"]).within("eea")];
    let fields = [
        ("address", text("https://nas7/ui")),
        ("file", text("/home/jdoe/x")),
        (
            "users",
            value(Wire::ListValue(usaged::grpc::proto::ingest::List {
                values: vec![value(Wire::RecordValue(usaged::grpc::proto::ingest::Record {
                    fields: vec![field("mail", text("jane.roe@example.com"))],
                }))],
            })),
        ),
        // Whoever is reached by it, it is nobody's name.
        (
            "part",
            value(Wire::RecordValue(usaged::grpc::proto::ingest::Record {
                fields: vec![field(
                    "deep",
                    value(Wire::RecordValue(usaged::grpc::proto::ingest::Record {
                        fields: vec![field("owner", text("info@example.com"))],
                    })),
                )],
            })),
        ),
        ("note", text("seen nas7 down, jdoe told, user Jane.Roe gone; info: done")),
    ];
    let event = Event {
        name: "all".into(),
        fields: fields.map(|(name, value)| field(name, value)).to_vec(),
        ..Event::default()
    };
    let sent = request("nest", "", vec![event]);
    for terms in &terms {
        let stored = terms.sanitize(&policy, &sent, &secret);
        let said = seen(stored.first().unwrap().body());
        let said = said.first().unwrap();
        for name in ["nas7", "jdoe", "Roe"] {
            assert!(!said.contains(name), "{said}");
        }
        assert!(said.ends_with("; info: done"), "{said}");
    }
    check(&policy, &sent, &terms);
}

// covers: P4
#[test]
fn a_name_in_a_url_has_the_class_that_a_field_says_it_has() {
    let (policy, secret) = (policy(), secret());
    let pair = value(Wire::RecordValue(usaged::grpc::proto::ingest::Record {
        fields: vec![field("nas7", value(Wire::IntValue(8)))],
    }));
    let event = |fields: Vec<_>| Event { name: "all".into(), fields, ..Event::default() };
    let sent = request(
        "nest",
        "",
        vec![
            event(vec![field("address", text("https://nas7/ui")), field("note", text("seen nas7"))]),
            event(vec![field("ports", pair)]),
        ],
    );
    let stored = Terms::full(&["ceip=enhanced"]).sanitize(&policy, &sent, &secret);
    let said = seen(stored.first().unwrap().body());
    assert!(said.first().unwrap().starts_with("seen p1-object_name-s-"), "{said:?}");
}
