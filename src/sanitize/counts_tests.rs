//! What is counted of a batch, in every form that a value can have.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::count_fields;
use crate::model::{Handling, IdentifierClass};
use crate::sanitize::encode;

fn message(number: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    encode::bytes_field(&mut out, number, &parts.concat());
    out
}

fn number(number: u8, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    encode::varint_field(&mut out, number, value);
    out
}

fn spec(class: IdentifierClass, treatment: &str, key: u64) -> Vec<u8> {
    let (mut out, key) = (Vec::new(), if key > 0 { number(7, key) } else { Vec::new() });
    encode::text_field(&mut out, 2, class.as_str());
    encode::text_field(&mut out, 3, treatment);
    message(10, &[&out, &key])
}

fn field(to: u8, spec: u64, value: &[u8]) -> Vec<u8> {
    message(to, &[&number(1, spec), &message(2, &[value])])
}

#[test]
fn every_value_without_parts_is_one_field_of_its_class() {
    use IdentifierClass::{Email, FreeText, HostName, NotIdentifying, ObjectName, Url};
    let token = message(6, &[&[7; 16]]);
    let long = message(1, &[&[b'x'; 300]]);
    let pair = message(1, &[&message(1, &[&token]), &message(2, &[&number(2, 5)])]);
    let map = message(9, &[&pair, &pair]);
    let list = message(8, &[&message(1, &[&token]), &message(1, &[&message(1, &[b"localhost"])])]);
    let record = message(7, &[&field(1, 0, &number(2, 1)), &field(1, 5, &message(1, &[b"[email] x"]))]);
    let fields = [
        field(3, 0, &number(2, u64::MAX)),
        field(3, 0, &long),
        field(3, 0, &[0x19, 0, 0, 0, 0, 0, 0, 0, 0]),
        field(3, 1, &token),
        field(3, 1, &list),
        field(3, 3, &map),
        field(3, 4, &message(1, &[b"other"])),
        field(3, 4, &message(1, &[b"listed"])),
        field(3, 7, &message(1, &[b"other"])),
        field(3, 7, &message(1, &[b"listed"])),
        field(3, 0, &record),
        field(3, 6, &message(1, &[b"example.com"])),
        // Of a field that the table does not have.
        field(3, 99, &number(2, 1)),
    ];
    let event = message(12, &[&number(1, 0), &number(2, 9), &fields.concat()]);
    let specs = [
        spec(NotIdentifying, "keep", 0),
        spec(HostName, "pseudonym", 0),
        spec(ObjectName, "pseudonym", 0),
        spec(NotIdentifying, "keep", 3),
        spec(Url, "vocabulary", 0),
        spec(FreeText, "redact", 0),
        spec(Email, "generalise", 0),
        spec(NotIdentifying, "vocabulary", 0),
    ];
    let body = [specs.concat(), event.clone(), event].concat();
    let counts = count_fields(&body).unwrap();
    let expected = [
        (NotIdentifying, Handling::Kept, 7),
        (NotIdentifying, Handling::Coarsened, 1),
        (HostName, Handling::Pseudonymised, 2),
        (HostName, Handling::Coarsened, 1),
        (ObjectName, Handling::Pseudonymised, 2),
        (Email, Handling::Coarsened, 1),
        (Url, Handling::Coarsened, 2),
        (FreeText, Handling::Redacted, 1),
    ];
    assert_eq!(counts.iter().collect::<Vec<_>>(), expected.map(|(class, what, n)| (class, what, 2 * n)));
    for cut in 1..body.len() {
        // A damaged batch is an error or fewer fields, never a panic.
        let _ = count_fields(body.get(..cut).unwrap());
    }
}
