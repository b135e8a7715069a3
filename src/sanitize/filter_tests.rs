//! What a purpose sees of a batch, and what it does not even see the name of.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::{Filtered, filter_purpose};
use crate::model::{Purpose, Purposes};
use crate::sanitize::{builder, encode};

fn message(number: u8, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let (mut inner, mut out) = (Vec::new(), Vec::new());
    write(&mut inner);
    encode::bytes_field(&mut out, number, &inner);
    out
}

fn spec(path: &str, purpose: Purpose) -> Vec<u8> {
    message(10, |out| {
        encode::text_field(out, 1, path);
        builder::write_purposes(out, 5, Purposes::only(purpose));
    })
}

fn event(name: u64, fields: &[u64]) -> Vec<u8> {
    message(12, |out| {
        encode::varint_field(out, 1, name);
        encode::varint_field(out, 2, 7);
        for field in fields {
            let value = message(2, |out| encode::varint_field(out, 2, *field));
            let written = message(3, |out| {
                encode::varint_field(out, 1, *field);
                out.extend_from_slice(&value);
            });
            out.extend_from_slice(&written);
        }
    })
}

/// A batch of two events: `a` for `improve` alone, `b` for both, each once without fields.
fn batch() -> Vec<u8> {
    let improve = Purposes::only(Purpose::Improve);
    let mut body = Vec::new();
    encode::bytes_field(&mut body, 13, &[improve.bits(), improve.with(Purpose::Recommend).bits()]);
    let specs = [spec("for_improve", Purpose::Improve), spec("for_recommend", Purpose::Recommend)];
    let names = [message(11, |out| out.push(b'a')), message(11, |out| out.push(b'b'))];
    let events = [event(0, &[]), event(0, &[0]), event(1, &[]), event(1, &[0, 1]), event(1, &[0])];
    body.extend(specs.into_iter().chain(names).chain(events).flatten());
    body
}

/// covers: P7
#[test]
fn a_purpose_sees_its_own_events_and_fields_and_no_name_of_another() {
    let mut out = Vec::new();
    assert_eq!(filter_purpose(&batch(), Purpose::Recommend, &mut out), Ok(Filtered::Part { events: 2 }));
    let mut expected = Vec::new();
    encode::bytes_field(&mut expected, 13, &[Purposes::only(Purpose::Recommend).bits()]);
    assert!(!out.windows(11).any(|bytes| bytes == b"for_improve"), "a field of another purpose is named");
    let last = out.rsplitn(2, |byte| *byte == 0x62).next().unwrap();
    assert!(
        last.get(1..).unwrap().starts_with(&[0x08, 0x00]),
        "what is left goes by the one name that is left"
    );
    assert!(out.windows(expected.len()).any(|bytes| bytes == expected));
    assert!(!out.windows(3).any(|bytes| bytes == [0x5a, 1, b'a']), "an event of another purpose is named");

    assert_eq!(filter_purpose(&batch(), Purpose::Improve, &mut out), Ok(Filtered::Part { events: 5 }));
    assert_eq!(filter_purpose(&batch(), Purpose::Deliver, &mut out), Ok(Filtered::Nothing));
    assert!(out.is_empty());
}

#[test]
fn what_is_left_of_a_batch_is_a_batch_that_is_left_whole() {
    let (mut once, mut again) = (Vec::new(), Vec::new());
    for purpose in [Purpose::Improve, Purpose::Recommend] {
        filter_purpose(&batch(), purpose, &mut once).unwrap();
        assert_eq!(filter_purpose(&once, purpose, &mut again), Ok(Filtered::Whole));
    }
    for cut in 1..once.len() {
        // A damaged batch is an error or less of a batch, never a panic.
        let _ = filter_purpose(once.get(..cut).unwrap(), Purpose::Improve, &mut again);
    }
}
