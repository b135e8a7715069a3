//! A stored batch as a flat list of its values, each with where it stands and what its table says of it.

use prost::Message as _;
use usaged::grpc::proto::drain::{Batch, Field, FieldSpec, Value, value::Kind};
use usaged::model::{Purpose, Purposes};

/// A value without parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    /// The time of its event, by which a test tells events apart.
    pub time_ms: i64,
    pub path: String,
    pub treatment: String,
    pub prefix: String,
    pub value: Kind,
    /// The purposes that it, all that it stands in, and its map's keys have in common.
    pub purposes: Purposes,
    /// For the value of a pair, its key.
    pub key: Option<Kind>,
    /// Whether it is the key of a pair.
    pub is_key: bool,
}

/// The times of the events of a stored batch, and its values.
pub fn read(body: &[u8]) -> (Vec<i64>, Vec<Leaf>) {
    if body.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let batch = Batch::decode(body).unwrap();
    let mut leaves = Vec::new();
    for event in &batch.events {
        let bits = batch.event_purposes[event.name as usize];
        let purposes = Purposes::from_bits(u8::try_from(bits).unwrap());
        let mut walk = Walk { batch: &batch, time_ms: event.time_ms, leaves: &mut leaves };
        walk.fields(&event.fields, purposes);
    }
    (batch.events.iter().map(|event| event.time_ms).collect(), leaves)
}

fn purposes(spec: &FieldSpec) -> Purposes {
    let all = [Purpose::Deliver, Purpose::Recommend, Purpose::Improve];
    spec.purposes.iter().map(|number| all[usize::try_from(*number).unwrap() - 1]).collect()
}

struct Walk<'w> {
    batch: &'w Batch,
    time_ms: i64,
    leaves: &'w mut Vec<Leaf>,
}

impl Walk<'_> {
    fn fields(&mut self, fields: &[Field], around: Purposes) {
        for field in fields {
            let spec = &self.batch.fields[field.field as usize];
            self.value(field.value.as_ref().unwrap(), spec, around.and(purposes(spec)), None);
        }
    }

    fn value(&mut self, value: &Value, spec: &FieldSpec, around: Purposes, key: Option<&Kind>) {
        match value.kind.as_ref().unwrap() {
            Kind::RecordValue(record) => self.fields(&record.fields, around),
            Kind::ListValue(list) => list.values.iter().for_each(|item| self.value(item, spec, around, key)),
            Kind::MapValue(map) => {
                let keys = &self.batch.fields[spec.key_field as usize - 1];
                let both = around.and(purposes(keys));
                for pair in &map.pairs {
                    let key = pair.key.as_ref().unwrap();
                    let first = self.leaves.len();
                    self.value(key, keys, both, None);
                    self.leaves[first].is_key = true;
                    self.value(pair.value.as_ref().unwrap(), spec, both, key.kind.as_ref());
                }
            }
            leaf => self.leaves.push(Leaf {
                time_ms: self.time_ms,
                path: spec.path.clone(),
                treatment: spec.treatment.clone(),
                prefix: spec.token_prefix.clone(),
                value: leaf.clone(),
                purposes: around,
                key: key.cloned(),
                is_key: false,
            }),
        }
    }
}
