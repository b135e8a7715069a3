//! Events that are made up from the shipped dictionaries: every field is filled, every identifier is
//! random and its own, and each is remembered for the search.

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Map, Value as Json, json};

use crate::model::IdentifierClass;
use crate::policy::{Event, Field, Kind, Product};

/// Identifiers that were sent: the bytes by which each could be found.
#[derive(Default)]
pub(super) struct Sent {
    pub needles: Vec<Vec<u8>>,
    /// How many identifiers were sent; one can have several forms.
    pub identifiers: u64,
}

/// Classes whose values some level keeps, whole or in part, as the policy says. They are not searched for.
const KEPT: [IdentifierClass; 4] = [
    IdentifierClass::NotIdentifying,
    IdentifierClass::CustomerId,
    IdentifierClass::EntitlementId,
    IdentifierClass::Location,
];

impl Sent {
    /// Remembers a text.
    pub fn text(&mut self, text: &str) {
        self.identifiers += 1;
        self.needles.push(text.as_bytes().to_vec());
    }

    fn number(&mut self, number: i64) {
        self.identifiers += 1;
        self.needles.push(number.to_string().into_bytes());
        self.needles.push(number.to_le_bytes().to_vec());
        self.needles.push(number.to_be_bytes().to_vec());
        self.needles.push(varint(number.unsigned_abs()));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.identifiers += 1;
        self.needles.push(bytes.to_vec());
        self.needles.push(data_encoding::HEXLOWER.encode(bytes).into_bytes());
        self.needles.push(data_encoding::BASE64.encode(bytes).into_bytes());
    }
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap_or(0));
    bytes
}

/// Makes an event of the dictionary, as it would be typed.
pub(super) fn make(product: &Product, event: &Event, random: &mut StdRng, sent: &mut Sent) -> Json {
    let mut fields = Json::Object(Map::new());
    for (_, field) in product.fields(event) {
        let value = value(field, random, sent);
        place(&mut fields, &steps(field.path().as_str()), value);
    }
    json!({ "name": event.name(), "fields": fields })
}

/// One step of a field's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step<'p> {
    /// Into a record.
    Name(&'p str),
    /// Into the one item of a list.
    Item,
    /// Into the one value of a map.
    MapValue,
    /// The key of a map.
    MapKey,
}

fn steps(path: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (name, mut rest) = part.split_at(part.find(['[', '{']).unwrap_or(part.len()));
        steps.push(Step::Name(name));
        for (sign, step) in
            [("[]", Step::Item), ("{key}", Step::MapKey), ("{}", Step::MapValue)].iter().cycle()
        {
            if rest.is_empty() {
                break;
            }
            match rest.strip_prefix(sign) {
                Some(left) => {
                    steps.push(*step);
                    rest = left;
                }
                None if !rest.starts_with(['[', '{']) => break,
                None => {}
            }
        }
    }
    steps
}

/// The key of a map until its own field gives it one.
const NO_KEY: &str = "";

/// Puts a value at its place. Lists have one item and maps one pair.
fn place(into: &mut Json, steps: &[Step<'_>], value: Json) {
    let Some((step, rest)) = steps.split_first() else {
        *into = value;
        return;
    };
    match step {
        Step::Name(name) => {
            if !into.is_object() {
                *into = json!({});
            }
            if let Some(object) = into.as_object_mut() {
                place(object.entry(*name).or_insert(Json::Null), rest, value);
            }
        }
        Step::Item => {
            if !into.is_array() {
                *into = json!([null]);
            }
            if let Some(item) = into.as_array_mut().and_then(|items| items.first_mut()) {
                place(item, rest, value);
            }
        }
        Step::MapValue => {
            let pair = into.as_object().and_then(|map| map.iter().next());
            let (key, mut inner) =
                pair.map_or((NO_KEY.to_owned(), Json::Null), |(key, inner)| (key.clone(), inner.clone()));
            place(&mut inner, rest, value);
            *into = json!({ key: inner });
        }
        Step::MapKey => {
            let inner = into.as_object().and_then(|map| map.values().next()).cloned().unwrap_or(Json::Null);
            let key = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            *into = json!({ key: inner });
        }
    }
}

fn value(field: &Field, random: &mut StdRng, sent: &mut Sent) -> Json {
    let remember = !KEPT.contains(&field.class());
    match field.kind() {
        Kind::Bool => json!(random.random_bool(0.5)),
        Kind::Double => json!(f64::from(random.random_range(0..10_000_u32)) / 8.0),
        Kind::Int if remember => {
            let number = random.random_range(1_i64 << 42..1 << 50);
            sent.number(number);
            json!(number)
        }
        Kind::Int => json!(random.random_range(1..1_000)),
        Kind::Bytes => {
            let mut bytes = vec![0; if field.class() == IdentifierClass::MacAddress { 6 } else { 16 }];
            random.fill(bytes.as_mut_slice());
            if let Some(first) = bytes.first_mut() {
                // A MAC or IP address that is a unicast one, so that it is an identifier.
                *first = 0x24;
            }
            if remember {
                sent.bytes(&bytes);
            }
            crate::cli::batch_text::bytes_json(&bytes)
        }
        Kind::Text => {
            let (text, parts) = text(field, random);
            if remember {
                // Of a text, some levels keep what identifies nobody: what must not stay are its parts.
                for part in &parts {
                    sent.text(part);
                }
                if parts.is_empty() {
                    sent.text(&text);
                }
            }
            json!(text)
        }
    }
}

/// A text, and the identifiers in it if it is not one as a whole.
#[expect(clippy::wildcard_enum_match_arm, reason = "`whole` names every class that is not taken apart here")]
fn text(field: &Field, random: &mut StdRng) -> (String, Vec<String>) {
    let own: u64 = random.random_range(1 << 40..1 << 44);
    match field.class() {
        IdentifierClass::FilePath => {
            let account = format!("jdoe{own:x}");
            (format!("/home/{account}/vm/ledger.vmx"), vec![account])
        }
        IdentifierClass::Url => {
            let (host, user) = (format!("portal-{own:x}.example.com"), own.to_string());
            (format!("https://{host}/desk?user={user}"), vec![host, user])
        }
        IdentifierClass::Query
        | IdentifierClass::Argument
        | IdentifierClass::FreeText
        | IdentifierClass::ProductLog
        | IdentifierClass::CrashText => {
            let [.., high, mid, _, end] = own.to_be_bytes();
            let (email, host) =
                (format!("jane.{own:x}@example.com"), format!("esx-{own:x}.corp.example.com"));
            let (ip, password) =
                (format!("10.{}.{}.{}", high | 128, mid | 128, end | 128), format!("Pw{own:x}"));
            let text = format!("{email} at {host} ({ip}) was refused with password={password}");
            (text, vec![email, host, ip, password])
        }
        class => (whole(class, field, own, random), Vec::new()),
    }
}

/// A text that is an identifier as a whole, or none.
fn whole(class: IdentifierClass, field: &Field, own: u64, random: &mut StdRng) -> String {
    let [_, _, _, top, high, mid, low, end] = own.to_be_bytes();
    match class {
        IdentifierClass::NotIdentifying
        | IdentifierClass::CustomerId
        | IdentifierClass::EntitlementId
        | IdentifierClass::Location => {
            let words = field.vocabulary();
            let word = words.get(random.random_range(0..words.len().max(1)));
            word.cloned().unwrap_or_else(|| field.example().to_owned())
        }
        IdentifierClass::LicenceKey => format!("{own:011X}-{top:05X}-{high:05X}"),
        IdentifierClass::InstanceId
        | IdentifierClass::ClusterId
        | IdentifierClass::VmId
        | IdentifierClass::BiosUuid
        | IdentifierClass::AdvertisingId
        | IdentifierClass::DeviceId => {
            uuid::Builder::from_random_bytes(random.random()).into_uuid().to_string()
        }
        IdentifierClass::HostName => format!("esx-{own:x}.corp.example.com"),
        IdentifierClass::ObjectName => format!("payroll-db-{own:x}"),
        IdentifierClass::IpAddress if low & 1 == 0 => {
            format!("10.{}.{}.{}", high | 128, mid | 128, end | 128)
        }
        IdentifierClass::IpAddress => format!("2001:db8:{top:x}{high:02x}:{mid:x}{low:02x}::{end:x}7"),
        IdentifierClass::MacAddress => format!("00:50:56:{mid:02x}:{low:02x}:{end:02x}"),
        IdentifierClass::SerialNumber => format!("SN{own:X}"),
        IdentifierClass::Email => format!("jane.{own:x}@example.com"),
        IdentifierClass::Phone => format!("+4930{:09}", own % 1_000_000_000),
        IdentifierClass::PersonName => format!("Jane Q. Doe-{own:x}"),
        IdentifierClass::PostalAddress => format!("{own} Example Street, 60311 Frankfurt"),
        IdentifierClass::UserId => format!("CORP\\jdoe{own:x}"),
        IdentifierClass::BrowserId
        | IdentifierClass::Cookie
        | IdentifierClass::PixelId
        | IdentifierClass::Url
        | IdentifierClass::FilePath
        | IdentifierClass::Query
        | IdentifierClass::Argument
        | IdentifierClass::FreeText
        | IdentifierClass::ProductLog
        | IdentifierClass::CrashText
        | IdentifierClass::CustomerContent
        | IdentifierClass::Secret => format!("{class} of jdoe {own:x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_walked_step_by_step() {
        use Step::{Item, MapKey, MapValue, Name};
        assert_eq!(steps("a.b"), [Name("a"), Name("b")]);
        assert_eq!(steps("disks[].serial"), [Name("disks"), Item, Name("serial")]);
        assert_eq!(steps("labels{key}"), [Name("labels"), MapKey]);
        assert_eq!(steps("sites{}.pods[]"), [Name("sites"), MapValue, Name("pods"), Item]);
        assert_eq!(steps("grid[][]"), [Name("grid"), Item, Item]);
    }

    #[test]
    fn parts_of_one_list_or_map_come_together() {
        let mut fields = json!({});
        for (path, value) in [
            ("a.b", json!(1)),
            ("disks[].serial", json!("s")),
            ("disks[].gb", json!(2)),
            ("labels{key}", json!("k")),
            ("labels{}", json!("v")),
            ("sites{}.pods", json!(3)),
            ("sites{key}", json!("here")),
            ("sites{}.place", json!("DE")),
        ] {
            place(&mut fields, &steps(path), value);
        }
        let expected = json!({
            "a": { "b": 1 }, "disks": [{ "serial": "s", "gb": 2 }], "labels": { "k": "v" },
            "sites": { "here": { "pods": 3, "place": "DE" } },
        });
        assert_eq!(fields, expected);
    }
}
