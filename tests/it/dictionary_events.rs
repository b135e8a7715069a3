//! Events made from the dictionaries: every declared field at its place, as deep as its path goes,
//! with the value that a test wants there.

use usaged::grpc::proto::ingest::{self, Event, List, Record, Value, value::Kind};
use usaged::policy::{self, Field, Product};

/// A value of the API.
pub fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

pub fn text(text: impl Into<String>) -> Value {
    value(Kind::StringValue(text.into()))
}

/// A field of the API.
pub fn field(name: impl Into<String>, value: Value) -> ingest::Field {
    ingest::Field { name: name.into(), value: Some(value) }
}

/// An event of the dictionary with what `make` gives for each field; a field for which it gives
/// nothing is left out. Lists have one item and maps one pair.
pub fn make(
    product: &Product,
    event: &policy::Event,
    mut make: impl FnMut(u32, &Field) -> Option<Value>,
) -> Event {
    let mut tree = Tree::default();
    for (number, field) in product.fields(event) {
        if let Some(value) = make(number, field) {
            tree.put(&steps(field.path().as_str()), value);
        }
    }
    let fields = match tree.value().kind {
        Some(Kind::RecordValue(record)) => record.fields,
        _ => Vec::new(),
    };
    Event { name: event.name().to_string(), fields, ..Event::default() }
}

/// Whether a field is the key of a map, or in a map: a pair is stored whole or not at all.
pub fn is_in_map(field: &Field) -> bool {
    field.path().as_str().contains('{')
}

#[derive(Debug, Clone, Copy)]
enum Step<'p> {
    Name(&'p str),
    Item,
    MapValue,
    MapKey,
}

fn steps(path: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        rest = if let Some(after) = rest.strip_prefix("[]") {
            steps.push(Step::Item);
            after
        } else if let Some(after) = rest.strip_prefix("{key}") {
            steps.push(Step::MapKey);
            after
        } else if let Some(after) = rest.strip_prefix("{}") {
            steps.push(Step::MapValue);
            after
        } else {
            let from = rest.strip_prefix('.').unwrap_or(rest);
            let (name, after) = from.split_at(from.find(['.', '[', '{']).unwrap_or(from.len()));
            steps.push(Step::Name(name));
            after
        };
    }
    steps
}

/// An event as it grows, field by field.
#[derive(Debug, Default)]
enum Tree {
    #[default]
    Nothing,
    Leaf(Value),
    Record(Vec<(String, Tree)>),
    List(Box<Tree>),
    Map {
        key: Option<String>,
        value: Box<Tree>,
    },
}

impl Tree {
    fn put(&mut self, steps: &[Step<'_>], leaf: Value) {
        let Some((step, rest)) = steps.split_first() else {
            *self = Self::Leaf(leaf);
            return;
        };
        if matches!(self, Self::Nothing) {
            *self = match step {
                Step::Name(_) => Self::Record(Vec::new()),
                Step::Item => Self::List(Box::default()),
                Step::MapValue | Step::MapKey => Self::Map { key: None, value: Box::default() },
            };
        }
        match (self, step) {
            (Self::Record(fields), Step::Name(name)) => {
                let at = fields.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
                    fields.push(((*name).to_owned(), Self::Nothing));
                    fields.len() - 1
                });
                fields[at].1.put(rest, leaf);
            }
            (Self::List(item), Step::Item) => item.put(rest, leaf),
            (Self::Map { value, .. }, Step::MapValue) => value.put(rest, leaf),
            (Self::Map { key, .. }, Step::MapKey) => match leaf.kind {
                Some(Kind::StringValue(text)) => *key = Some(text),
                other => panic!("a key is text, not {other:?}"),
            },
            (tree, step) => panic!("{step:?} does not fit {tree:?}"),
        }
    }

    fn value(self) -> Value {
        let kind = match self {
            Self::Nothing => return Value::default(),
            Self::Leaf(value) => return value,
            Self::Record(fields) => {
                let fields = fields.into_iter().map(|(name, tree)| field(name, tree.value())).collect();
                Kind::RecordValue(Record { fields })
            }
            Self::List(item) => Kind::ListValue(List { values: vec![item.value()] }),
            Self::Map { key, value } => {
                let pair = field(key.unwrap_or_else(|| "some-key".to_owned()), value.value());
                Kind::RecordValue(Record { fields: vec![pair] })
            }
        };
        value(kind)
    }
}
