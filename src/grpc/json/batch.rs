//! Drained batches as JSON text, one line for each event. A pseudonym is written as its text: the
//! prefix and the 26 characters of its base32hex form.

use serde_json::{Map, Value as Json, json};

use crate::grpc::client::Timestamp;
use crate::grpc::proto::drain::value::Kind;
use crate::grpc::proto::drain::{Batch, Event, Field, FieldSpec, Value};

/// A time as in RFC 3339.
#[must_use]
pub fn time_text(time: &Timestamp) -> String {
    jiff::Timestamp::new(time.seconds, time.nanos).map_or_else(|_| String::new(), |time| time.to_string())
}

/// Milliseconds since the epoch as in RFC 3339.
#[must_use]
pub fn millis_text(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
}

/// Bytes as they are typed.
#[must_use]
pub fn bytes_json(bytes: &[u8]) -> Json {
    json!({ (super::event::BYTES_KEY): data_encoding::BASE64.encode(bytes) })
}

/// The text of a pseudonym.
fn token_text(prefix: &str, token: &[u8]) -> String {
    format!("{prefix}{}", data_encoding::BASE32HEX_NOPAD.encode(token).to_ascii_lowercase())
}

/// What every event of a batch says about the batch.
#[must_use]
pub fn head(batch: &Batch) -> Map<String, Json> {
    let mut head = Map::new();
    let mut put = |name: &str, value: Json| {
        if !value.is_null() && value.as_str() != Some("") {
            head.insert(name.to_owned(), value);
        }
    };
    put("product", json!(batch.product));
    put("program", json!(batch.program));
    put("level", json!(batch.level));
    put("region", json!(batch.region));
    put("policy_version", json!(batch.policy_version));
    put("dictionary_version", json!(batch.dictionary_version));
    put("receive_time", batch.receive_time.as_ref().map_or(Json::Null, |time| json!(time_text(time))));
    put("customer", party(batch.customer.as_ref(), &batch.customer_token_prefix));
    put("instance", party(batch.instance.as_ref(), &batch.instance_token_prefix));
    head
}

fn party(value: Option<&Value>, prefix: &str) -> Json {
    match value.and_then(|value| value.kind.as_ref()) {
        Some(Kind::TokenValue(token)) => json!(token_text(prefix, token)),
        Some(_) => value.map_or(Json::Null, |value| Reader { specs: &[] }.value(value, None)),
        None => Json::Null,
    }
}

/// The events of a batch, each a line of its own with the head of the batch in it.
pub fn lines(batch: &Batch, commit_number: u64) -> impl Iterator<Item = Json> {
    let mut head = head(batch);
    head.insert("commit_number".to_owned(), json!(commit_number));
    batch.events.iter().map(move |event| {
        let mut line = head.clone();
        let name = index(event.name).and_then(|at| batch.event_names.get(at));
        line.insert("name".to_owned(), json!(name));
        line.insert("time".to_owned(), json!(millis_text(event.time_ms)));
        line.insert("fields".to_owned(), fields(batch, event));
        Json::Object(line)
    })
}

/// The fields of an event by name.
#[must_use]
pub fn fields(batch: &Batch, event: &Event) -> Json {
    Reader { specs: &batch.fields }.record(&event.fields)
}

/// Reads values with the table that they refer to.
struct Reader<'a> {
    specs: &'a [FieldSpec],
}

impl<'a> Reader<'a> {
    fn spec(&self, number: u32) -> Option<&'a FieldSpec> {
        self.specs.get(index(number)?)
    }

    fn record(&self, fields: &[Field]) -> Json {
        let named = fields.iter().map(|field| {
            let spec = self.spec(field.field);
            let name = spec.map_or("?", |spec| short_name(&spec.path));
            (name.to_owned(), field.value.as_ref().map_or(Json::Null, |value| self.value(value, spec)))
        });
        Json::Object(named.collect())
    }

    fn value(&self, value: &Value, spec: Option<&FieldSpec>) -> Json {
        match &value.kind {
            None => Json::Null,
            Some(Kind::StringValue(text)) => json!(text),
            Some(Kind::IntValue(number)) => json!(number),
            Some(Kind::DoubleValue(number)) => json!(number),
            Some(Kind::BoolValue(yes)) => json!(yes),
            Some(Kind::BytesValue(bytes)) => bytes_json(bytes),
            Some(Kind::TokenValue(token)) => {
                json!(token_text(spec.map_or("", |spec| &spec.token_prefix), token))
            }
            Some(Kind::RecordValue(record)) => self.record(&record.fields),
            Some(Kind::ListValue(list)) => list.values.iter().map(|item| self.value(item, spec)).collect(),
            Some(Kind::MapValue(map)) => {
                let key_spec = spec.and_then(|spec| self.spec(spec.key_field.checked_sub(1)?));
                // A list, not an object: two keys can be the same after their treatment.
                let pairs = map.pairs.iter().map(|pair| {
                    let key = pair.key.as_ref().map_or(Json::Null, |key| self.value(key, key_spec));
                    let value = pair.value.as_ref().map_or(Json::Null, |value| self.value(value, spec));
                    json!({ "key": key, "value": value })
                });
                pairs.collect()
            }
        }
    }
}

fn index(number: u32) -> Option<usize> {
    usize::try_from(number).ok()
}

/// The name of a field within its record: `disks[].serial` is `serial`, `labels{}` is `labels`.
fn short_name(path: &str) -> &str {
    let last = path.rsplit('.').next().unwrap_or(path);
    last.find(['[', '{']).and_then(|at| last.get(..at)).unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "the fields that it is for are optional")]
    fn value(kind: Kind) -> Option<Value> {
        Some(Value { kind: Some(kind) })
    }

    #[test]
    fn a_field_is_named_as_in_its_record() {
        for (path, name) in [
            ("host", "host"),
            ("cpu.model", "model"),
            ("disks[].serial", "serial"),
            ("labels{}", "labels"),
            ("a[]{}", "a"),
        ] {
            assert_eq!(short_name(path), name);
        }
    }

    #[test]
    fn a_token_is_its_prefix_and_its_base32hex() {
        let spec =
            FieldSpec { path: "host".into(), token_prefix: "p1-host_name-s-".into(), ..FieldSpec::default() };
        let batch = Batch { fields: vec![spec], event_names: vec!["a".into()], ..Batch::default() };
        let field = Field { field: 0, value: value(Kind::TokenValue(vec![0xff; 16])) };
        let event = Event { name: 0, time_ms: 0, fields: vec![field] };
        assert_eq!(fields(&batch, &event), json!({ "host": "p1-host_name-s-vvvvvvvvvvvvvvvvvvvvvvvvvs" }));
        let batch = Batch { events: vec![event], ..batch };
        let lines: Vec<_> = lines(&batch, 7).collect();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines.first().map(|line| line["time"].clone()), Some(json!("1970-01-01T00:00:00Z")));
        assert_eq!(lines.first().map(|line| line["commit_number"].clone()), Some(json!(7)));
    }
}
