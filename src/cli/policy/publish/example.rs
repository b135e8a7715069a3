//! The examples of the dictionary, before and after: an event is made of the example of every field,
//! and goes through the code of ingest in the name of a made-up customer.

use std::collections::BTreeMap;

use data_encoding::{BASE32HEX_NOPAD, HEXLOWER};

use crate::cli::exit::Failure;
use crate::grpc::client::{Message as _, Timestamp};
use crate::grpc::proto::drain::{self, Batch, FieldSpec, value::Kind as Stored};
use crate::grpc::proto::ingest::{Event, Field, List, Record, SubmitRequest, Value, value::Kind as Sent};
use crate::ingest::Explain;
use crate::model::{LevelName, ProgramName, UnixMillis};
use crate::policy::{self, Kind, Product};

/// When the examples are received, 2026-01-01T00:00:00Z: always the same, so that what is published of one
/// policy never differs.
pub(super) const RECEIVED: UnixMillis = UnixMillis(1_767_225_600_000);

/// What a level stores of the example of each field, by its path; nothing of an event that it withholds.
pub(super) type After = BTreeMap<String, String>;

/// What every level stores of the example of an event.
pub(super) fn stored(
    explain: &Explain,
    product: &Product,
    event: &policy::Event,
) -> Result<Vec<(ProgramName, LevelName, After)>, Failure> {
    let request = SubmitRequest {
        batch_id: "00000000-0000-4000-8000-000000000000".to_owned(),
        product: product.name().to_string(),
        instance: "example-instance".to_owned(),
        events: vec![sent(product, event)],
        ..SubmitRequest::default()
    };
    let failed = |what: &str| {
        Failure::Failed(format!("the example of {} {} cannot be made: {what}", product.name(), event.name()))
    };
    let levels = explain.explain(&request.encode_to_vec()).map_err(|refusal| failed(&refusal.to_string()))?;
    let mut found = Vec::with_capacity(levels.len());
    for level in levels {
        let batch = Batch::decode(&*level.batch).map_err(|_| failed("the stored form cannot be read"))?;
        let mut after = After::new();
        for event in &batch.events {
            Reader { specs: &batch.fields }.record(&event.fields, &mut after);
        }
        found.push((level.program, level.level, after));
    }
    Ok(found)
}

/// Reads a stored event with the table that it refers to.
struct Reader<'b> {
    specs: &'b [FieldSpec],
}

impl Reader<'_> {
    fn spec(&self, number: u32) -> Option<&FieldSpec> {
        self.specs.get(usize::try_from(number).ok()?)
    }

    fn record(&self, fields: &[drain::Field], after: &mut After) {
        for field in fields {
            if let (Some(value), Some(spec)) = (&field.value, self.spec(field.field)) {
                self.value(value, spec, after);
            }
        }
    }

    fn value(&self, value: &drain::Value, spec: &FieldSpec, after: &mut After) {
        let Some(kind) = &value.kind else { return };
        let text = match kind {
            Stored::RecordValue(record) => return self.record(&record.fields, after),
            Stored::ListValue(list) => {
                return list.values.iter().for_each(|item| self.value(item, spec, after));
            }
            Stored::MapValue(map) => {
                for pair in &map.pairs {
                    let key_spec = spec.key_field.checked_sub(1).and_then(|at| self.spec(at));
                    if let (Some(key), Some(key_spec)) = (&pair.key, key_spec) {
                        self.value(key, key_spec, after);
                    }
                    if let Some(value) = &pair.value {
                        self.value(value, spec, after);
                    }
                }
                return;
            }
            Stored::StringValue(text) => text.clone(),
            Stored::IntValue(number) => number.to_string(),
            Stored::DoubleValue(number) => number.to_string(),
            Stored::BoolValue(yes) => yes.to_string(),
            Stored::BytesValue(bytes) => HEXLOWER.encode(bytes),
            Stored::TokenValue(token) => {
                format!("{}{}", spec.token_prefix, BASE32HEX_NOPAD.encode(token).to_ascii_lowercase())
            }
        };
        after.insert(spec.path.clone(), text);
    }
}

/// The event as it is sent: every field at its place; lists have one item, and maps one pair.
fn sent(product: &Product, event: &policy::Event) -> Event {
    let mut tree = Tree::default();
    for (_, field) in product.fields(event) {
        if let Some(value) = example(field) {
            tree.put(field.path().as_str(), value);
        }
    }
    let fields = match tree.value() {
        Some(Sent::RecordValue(record)) => record.fields,
        Some(_) | None => Vec::new(),
    };
    let time = Timestamp { seconds: RECEIVED.0 / 1000 - 60, nanos: 0 };
    Event { name: event.name().to_string(), time: Some(time), fields, ..Event::default() }
}

/// The example of a field as a value. The compiler of the policy has read it before.
fn example(field: &policy::Field) -> Option<Sent> {
    let text = field.example();
    Some(match field.kind() {
        Kind::Text => Sent::StringValue(text.to_owned()),
        Kind::Int => Sent::IntValue(text.parse().ok()?),
        Kind::Double => Sent::DoubleValue(text.parse().ok()?),
        Kind::Bool => Sent::BoolValue(text.parse().ok()?),
        Kind::Bytes => Sent::BytesValue(HEXLOWER.decode(text.to_ascii_lowercase().as_bytes()).ok()?),
    })
}

/// An event as it grows, field by field.
#[derive(Debug, Default)]
enum Tree {
    #[default]
    Nothing,
    Leaf(Sent),
    Record(Vec<(String, Tree)>),
    List(Box<Tree>),
    Map {
        key: Option<String>,
        value: Box<Tree>,
    },
}

impl Tree {
    /// Puts a value at the end of a path. What does not fit is not put: the compiler has refused such paths.
    fn put(&mut self, path: &str, leaf: Sent) {
        if path.is_empty() {
            *self = Self::Leaf(leaf);
        } else if path == "{key}" {
            let (Self::Map { key, .. }, Sent::StringValue(text)) = (self.map(), leaf) else { return };
            *key = Some(text);
        } else if let Some(rest) = path.strip_prefix("{}") {
            if let Self::Map { value, .. } = self.map() {
                value.put(rest, leaf);
            }
        } else if let Some(rest) = path.strip_prefix("[]") {
            if matches!(self, Self::Nothing) {
                *self = Self::List(Box::default());
            }
            if let Self::List(item) = self {
                item.put(rest, leaf);
            }
        } else {
            self.name(path.strip_prefix('.').unwrap_or(path), leaf);
        }
    }

    fn map(&mut self) -> &mut Self {
        if matches!(self, Self::Nothing) {
            *self = Self::Map { key: None, value: Box::default() };
        }
        self
    }

    fn name(&mut self, path: &str, leaf: Sent) {
        let (name, rest) = path.split_at(path.find(['.', '[', '{']).unwrap_or(path.len()));
        if matches!(self, Self::Nothing) {
            *self = Self::Record(Vec::new());
        }
        let Self::Record(fields) = self else { return };
        if let Some((_, known)) = fields.iter_mut().find(|(known, _)| known == name) {
            known.put(rest, leaf);
        } else {
            let mut tree = Self::Nothing;
            tree.put(rest, leaf);
            fields.push((name.to_owned(), tree));
        }
    }

    fn value(self) -> Option<Sent> {
        let field = |(name, tree): (String, Self)| Field { name, value: Some(Value { kind: tree.value() }) };
        Some(match self {
            Self::Nothing => return None,
            Self::Leaf(value) => value,
            Self::Record(fields) => {
                Sent::RecordValue(Record { fields: fields.into_iter().map(field).collect() })
            }
            Self::List(item) => Sent::ListValue(List { values: vec![Value { kind: item.value() }] }),
            Self::Map { key, value } => {
                let pair = field((key.unwrap_or_default(), *value));
                Sent::RecordValue(Record { fields: vec![pair] })
            }
        })
    }
}
