//! Bad requests of the leak hunt, made from a good one whose canaries they carry.

use bytes::Bytes;
use prost::Message as _;
use usaged::grpc::client::Timestamp;
use usaged::grpc::proto::ingest::{Event, Field, ProgramLevel, Record, SubmitRequest, Value, value::Kind};
use usaged::model::IdentifierClass as Class;

use crate::hunt_canary::{Canary, Sent};

/// Writes a length-delimited protobuf field.
pub fn delimited(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    prost::encoding::encode_varint(u64::try_from(bytes.len()).unwrap(), &mut out);
    out.extend_from_slice(bytes);
    out
}

/// A request with the head of `good` and these bytes as its only event.
pub fn with_event(good: &SubmitRequest, event: &[u8]) -> Bytes {
    let head = SubmitRequest { events: Vec::new(), ..good.clone() };
    [head.encode_to_vec(), delimited(6, event)].concat().into()
}

/// An event of this name with one entry of fields.
pub fn event_of(name: &str, entry: &[u8]) -> Vec<u8> {
    [delimited(1, name.as_bytes()), delimited(4, entry)].concat()
}

/// Requests that cannot be read, or of which no field may be stored.
pub fn bad_requests(good: &SubmitRequest) -> Vec<Bytes> {
    let whole = good.encode_to_vec();
    let mut all: Vec<Bytes> = (1..120).map(|n| whole[..whole.len() * n / 120].to_vec().into()).collect();
    all.retain(|cut: &Bytes| SubmitRequest::decode(cut.clone()).is_err());
    for garbage in [&[0xff_u8; 12][..], &[6 << 3], &[6 << 3 | 3], &[6 << 3 | 5, 1, 2], &[0, 0]] {
        all.push([whole.as_slice(), garbage].concat().into());
        all.push([garbage, whole.as_slice()].concat().into());
    }
    for event in &good.events {
        // The last field is not declared: its name may be told to its sender.
        let made_up = &event.fields[event.fields.len() - 1].name;
        for (name, text) in texts(&event.fields) {
            all.extend(spoilt_field(good, &event.name, name, text, made_up));
        }
    }
    all
}

fn texts(fields: &[Field]) -> impl Iterator<Item = (&str, &str)> {
    fields.iter().filter_map(|field| match field.value.as_ref()?.kind.as_ref()? {
        Kind::StringValue(text) => Some((field.name.as_str(), text.as_str())),
        _ => None,
    })
}

fn spoilt_field(good: &SubmitRequest, event: &str, name: &str, text: &str, made_up: &str) -> Vec<Bytes> {
    let entry = |name: &[u8], value: &[u8]| [delimited(1, name), delimited(2, value)].concat();
    let not_utf8 = [text.as_bytes(), b"\xff\xfe"].concat();
    let odd_name = [made_up.as_bytes(), b"\xff\xfe"].concat();
    let too_long = text.repeat(70_000 / text.len());
    let mut deep = Value { kind: Some(Kind::StringValue(text.to_owned())) };
    for _ in 0..40 {
        let fields = vec![Field { name: name.to_owned(), value: Some(deep) }];
        deep = Value { kind: Some(Kind::RecordValue(Record { fields })) };
    }
    let many = delimited(4, &entry(b"made_up", &delimited(1, text.as_bytes()))).repeat(300);
    vec![
        with_event(good, &event_of(event, &entry(name.as_bytes(), &delimited(1, &not_utf8)))),
        with_event(good, &event_of(event, &entry(&odd_name, &delimited(1, text.as_bytes())))),
        with_event(good, &event_of(event, &entry(name.as_bytes(), &delimited(1, too_long.as_bytes())))),
        with_event(good, &event_of(event, &entry(name.as_bytes(), &deep.encode_to_vec()))),
        // A text where a number is to be, and the other way round.
        with_event(good, &event_of(event, &entry(name.as_bytes(), &delimited(2, text.as_bytes())))),
        with_event(good, &event_of(event, &entry(name.as_bytes(), &delimited(3, text.as_bytes())))),
        with_event(good, &event_of(event, &[delimited(1, text.as_bytes()), vec![2 << 3, 1]].concat())),
        with_event(good, &[delimited(1, event.as_bytes()), many].concat()),
        with_event(good, &[delimited(1, &odd_name), delimited(3, &not_utf8)].concat()),
    ]
}

/// Spoils the head or the events of a request with canaries.
pub type Spoil = fn(&mut SubmitRequest, &mut Sent);

/// Ways to name what does not exist: nothing of such a request may be stored.
pub fn odd_heads() -> Vec<Spoil> {
    vec![
        |batch, sent| batch.product = name(sent, "an unknown product"),
        |batch, sent| batch.product = format!("vcenter\u{0}{}", name(sent, "a product with a zero")),
        |batch, sent| batch.region = name(sent, "an unknown region"),
        |batch, sent| batch.level_caps = vec![cap(&name(sent, "an unknown program"), "standard")],
        |batch, sent| {
            let level = name(sent, "an unknown level");
            batch.level_caps = vec![cap("ceip", &level), cap("operational", &level)];
        },
        |batch, sent| {
            every(batch, |event| event.needed_level = name(sent, "an unknown needed level"));
        },
        |batch, sent| every(batch, |event| event.name = told_name(sent, "an unknown event")),
        |batch, sent| every(batch, |event| event.name += &told_name(sent, "the end of an event's name")),
        |batch, sent| batch.batch_id = name(sent, "a batch id that is none"),
        |batch, sent| batch.instance = name(sent, "too long an instance").repeat(20),
        |batch, sent| batch.product = name(sent, "too long a product").repeat(20),
        |batch, sent| {
            let seconds = sent.int(Canary { what: "a time far off".into(), ..Canary::default() });
            every(batch, |event| event.time = Some(Timestamp { seconds, nanos: 0 }));
        },
    ]
}

fn every(batch: &mut SubmitRequest, change: impl FnMut(&mut Event)) {
    batch.events.iter_mut().for_each(change);
}

fn name(sent: &mut Sent, what: &str) -> String {
    sent.text(Canary { what: what.to_owned(), ..Canary::default() }, Class::UserId)
}

/// A name that the answer to the same request may say.
fn told_name(sent: &mut Sent, what: &str) -> String {
    let told_to = sent.canaries.iter().rev().find_map(|canary| canary.told_to);
    sent.text(Canary { what: what.to_owned(), told_to, ..Canary::default() }, Class::UserId)
}

fn cap(program: &str, level: &str) -> ProgramLevel {
    ProgramLevel { program: program.to_owned(), level: level.to_owned() }
}
