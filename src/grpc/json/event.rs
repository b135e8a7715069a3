//! Events as JSON text, one a line: `{"name":"vm.power_on","time":"2026-01-31T12:00:00Z",
//! "fields":{"host":"esx-1","cpus":8}}`. Bytes are `{"$bytes":"<base64>"}`. A mistake is reported by
//! its place; the value is not repeated.

use serde_json::Value as Json;

use crate::grpc::client::Timestamp;
use crate::grpc::proto::ingest::value::Kind;
use crate::grpc::proto::ingest::{Event, Field, List, Record, Value};

/// The key that marks bytes.
pub const BYTES_KEY: &str = "$bytes";

/// Reads one line.
///
/// # Errors
/// If it is no event: what is wrong, by its place.
pub fn parse(line: &str) -> Result<Event, String> {
    let json: Json = serde_json::from_str(line)
        .map_err(|error| format!("column {}: not JSON ({:?} error)", error.column(), error.classify()))?;
    let Json::Object(object) = json else { return Err("not an object".to_owned()) };
    let mut event = Event::default();
    for (key, value) in object {
        match (key.as_str(), value) {
            ("name", Json::String(name)) => event.name = name,
            ("needed_level", Json::String(level)) => event.needed_level = level,
            ("time", Json::String(time)) => event.time = Some(timestamp(&time)?),
            ("fields", Json::Object(fields)) => event.fields = record(fields, "fields")?,
            ("name" | "needed_level" | "time", _) => return Err(format!("{key}: must be a text")),
            ("fields", _) => return Err("fields: must be an object".to_owned()),
            _ => return Err("a key is none of name, time, needed_level, fields".to_owned()),
        }
    }
    if event.name.is_empty() { Err("name: is missing".to_owned()) } else { Ok(event) }
}

fn timestamp(text: &str) -> Result<Timestamp, String> {
    let time: jiff::Timestamp =
        text.parse().map_err(|_| "time: must be as in RFC 3339, such as 2026-01-31T12:00:00Z".to_owned())?;
    Ok(Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() })
}

fn record(fields: serde_json::Map<String, Json>, place: &str) -> Result<Vec<Field>, String> {
    fields.into_iter().map(|(name, json)| Ok(Field { name, value: Some(value(json, place)?) })).collect()
}

fn value(json: Json, place: &str) -> Result<Value, String> {
    let kind = match json {
        Json::Null => return Err(format!("{place}: null is no value; leave the field out")),
        Json::Bool(yes) => Kind::BoolValue(yes),
        Json::String(text) => Kind::StringValue(text),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Kind::IntValue(whole),
            (None, Some(double)) if number.is_f64() => Kind::DoubleValue(double),
            (None, _) => return Err(format!("{place}: a whole number is beyond 64 bits with a sign")),
        },
        Json::Array(items) => {
            let values: Result<_, _> = items.into_iter().map(|item| value(item, place)).collect();
            Kind::ListValue(List { values: values? })
        }
        Json::Object(fields) => match fields.get(BYTES_KEY).filter(|_| fields.len() == 1) {
            Some(bytes) => {
                let bytes =
                    bytes.as_str().and_then(|text| data_encoding::BASE64.decode(text.as_bytes()).ok());
                Kind::BytesValue(
                    bytes.ok_or_else(|| format!("{place}: {BYTES_KEY} must be a text in base64"))?,
                )
            }
            None => Kind::RecordValue(Record { fields: record(fields, place)? }),
        },
    };
    Ok(Value { kind: Some(kind) })
}

/// Shows a value of a request as JSON, the way it would be typed.
#[must_use]
pub fn show(value: &Value) -> Json {
    match &value.kind {
        None => Json::Null,
        Some(Kind::StringValue(text)) => Json::from(text.as_str()),
        Some(Kind::IntValue(number)) => Json::from(*number),
        Some(Kind::DoubleValue(number)) => Json::from(*number),
        Some(Kind::BoolValue(yes)) => Json::from(*yes),
        Some(Kind::BytesValue(bytes)) => super::batch::bytes_json(bytes),
        Some(Kind::RecordValue(record)) => show_fields(&record.fields),
        Some(Kind::ListValue(list)) => list.values.iter().map(show).collect(),
    }
}

/// Shows named values as JSON, in the order of their names.
#[must_use]
pub fn show_fields(fields: &[Field]) -> Json {
    let shown: serde_json::Map<_, _> = fields
        .iter()
        .map(|field| (field.name.clone(), field.value.as_ref().map_or(Json::Null, show)))
        .collect();
    Json::Object(shown)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_typed_is_what_is_shown() {
        let fields = json!({
            "host": "esx-1", "cpus": 8, "load": 0.5, "on": true, "mac": { "$bytes": "AAECAwQF" },
            "disks": [{ "serial": "x" }, { "serial": "y" }], "labels": { "a b": 1 }, "ratio": 1.0,
        });
        let line = json!({ "name": "a.b", "time": "2026-01-31T12:00:00.25Z", "fields": fields }).to_string();
        let event = parse(&line).unwrap();
        assert_eq!(event.name, "a.b");
        assert_eq!(event.time, Some(Timestamp { seconds: 1_769_860_800, nanos: 250_000_000 }));
        assert_eq!(show_fields(&event.fields), fields);
    }

    #[test]
    fn a_mistake_is_named_by_place_and_never_by_value() {
        for (line, place) in [
            (r#"{"name":"a","fields":{"x":"hunter2""#, "column 35"),
            (r#"["hunter2"]"#, "not an object"),
            (r#"{"fields":{"x":"hunter2"}}"#, "name"),
            (r#"{"name":"a","time":"hunter2"}"#, "time"),
            (r#"{"name":"a","time":7}"#, "time"),
            (r#"{"name":"a","fields":"hunter2"}"#, "fields"),
            (r#"{"name":"a","fields":{"x":null}}"#, "null"),
            (r#"{"name":"a","fields":{"x":18446744073709551615}}"#, "64 bits"),
            (r#"{"name":"a","fields":{"x":{"$bytes":"hunter2!"}}}"#, "base64"),
            (r#"{"name":"a","hunter2":1}"#, "none of"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(place), "{line}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
