//! The requests that are measured: encoded once, with values that vary as real ones do.

use usaged::grpc::client::Message as _;
use usaged::grpc::proto::ingest::value::Kind;
use usaged::grpc::proto::ingest::{Event, Field, List, Record, SubmitRequest, Value};

/// Makes the event with this number.
pub(crate) type Make = fn(usize) -> Event;

fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

fn text(text: impl Into<String>) -> Value {
    value(Kind::StringValue(text.into()))
}

fn int(number: usize) -> Value {
    value(Kind::IntValue(i64::try_from(number).unwrap()))
}

fn list(values: impl IntoIterator<Item = Value>) -> Value {
    value(Kind::ListValue(List { values: values.into_iter().collect() }))
}

fn record<const N: usize>(fields: [(&str, Value); N]) -> Value {
    value(Kind::RecordValue(Record { fields: named(fields) }))
}

fn named<const N: usize>(fields: [(&str, Value); N]) -> Vec<Field> {
    let fields = fields.into_iter();
    fields.map(|(name, value)| Field { name: name.to_owned(), value: Some(value) }).collect()
}

fn event<const N: usize>(name: &str, fields: [(&str, Value); N]) -> Event {
    Event { name: name.to_owned(), fields: named(fields), ..Event::default() }
}

fn address(n: usize) -> String {
    format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255)
}

fn hardware_address(n: usize) -> String {
    format!("00:50:56:{:02x}:{:02x}:{:02x}", n >> 16 & 255, n >> 8 & 255, n & 255)
}

/// The standard event: ten fields, about 300 bytes, four identifiers.
pub(crate) fn standard(n: usize) -> Event {
    let n = n.wrapping_mul(7_919);
    let guests = ["windows-server-2022", "windows-11", "rhel-9", "ubuntu-22.04"];
    event(
        "vm.inventory",
        [
            ("host", text(format!("esx-{:05}.rack-{:02}.dc-{:02}.example.com", n % 20_000, n % 97, n % 40))),
            ("vm", text(format!("app-server-{n:010}-production"))),
            ("ip", text(address(n))),
            ("mac", text(hardware_address(n))),
            ("vcpus", int(n % 63 + 1)),
            ("memory_mb", int((n % 511 + 1) * 1_024)),
            ("guest_os", text(*guests.get(n % guests.len()).unwrap())),
            ("tools_version", text(format!("12.{}.{}", n % 5, n % 10))),
            ("power_state", text(if n.is_multiple_of(5) { "off" } else { "on" })),
            ("uptime_s", int(n % 10_000_000)),
        ],
    )
}

/// An event of records, lists and a map with identifiers for keys: 24 values, 4 deep.
pub(crate) fn nested(n: usize) -> Event {
    let n = n.wrapping_mul(7_919);
    let nic = |at: usize| {
        let low = u32::try_from(n.wrapping_add(at) & 0xff_ffff).unwrap().to_be_bytes();
        let mac = [&[0, 0x50, 0x56], low.get(1..).unwrap()].concat();
        record([
            ("mac", value(Kind::BytesValue(mac))),
            ("driver", text("nmlx5_core")),
            ("speed_mbit", int(25_000)),
            ("addresses", list([text(address(n + at)), text(format!("2001:db8:{:x}::{at:x}", n & 0xffff))])),
        ])
    };
    let network = |at: usize| {
        let network = record([("vlan", int(at * 10)), ("ports", int(24))]);
        Field { name: format!("vlan-{at}-{}", n % 100), value: Some(network) }
    };
    event(
        "host.inventory",
        [
            ("host", text(format!("esx-{:05}.example.com", n % 20_000))),
            ("esx_version", text("8.0.3-24022510")),
            (
                "hardware",
                record([
                    ("vendor", text("Dell Inc.")),
                    ("serial", text(format!("7XK{:04}", n % 10_000))),
                    ("cpu", record([("vendor", text("intel")), ("sockets", int(2)), ("cores", int(64))])),
                    ("memory_gb", int(768)),
                ]),
            ),
            ("nics", list((0..2).map(nic))),
            ("networks", value(Kind::RecordValue(Record { fields: (1..3).map(network).collect() }))),
            ("site", text("DE-HE")),
            ("tpm", record([("version", text("2.0")), ("attested", value(Kind::BoolValue(true)))])),
        ],
    )
}

/// A line of a product's log.
pub(crate) fn log_line(message: &str) -> Event {
    event("support.log_line", [("message", text(message))])
}

/// A command and its failure by turns: the one with a URL, the other with a path and a line of text.
pub(crate) fn command(n: usize, endpoint: &str, file: &str, message: &str) -> Event {
    if n.is_multiple_of(2) {
        event("command.run", [("command", text("apps create")), ("endpoint", text(endpoint))])
    } else {
        event(
            "command.failed",
            [("error", text(message)), ("config_file", text(file)), ("retries", int(n % 4))],
        )
    }
}

/// An event of which a part may be used to recommend too.
pub(crate) fn feature(n: usize) -> Event {
    let uses = n % 50 + 1;
    event("client.feature_used", [("feature", text("vsan_health")), ("uses", int(uses))])
}

/// A request of `events` events, the bytes of which differ with `number`.
pub(crate) fn request(number: usize, events: usize, event: impl Fn(usize) -> Event) -> Vec<u8> {
    request_of("vcenter", number, events, event)
}

/// The same of another product.
pub(crate) fn request_of(
    product: &str,
    number: usize,
    events: usize,
    event: impl Fn(usize) -> Event,
) -> Vec<u8> {
    let first = number * events;
    let request = SubmitRequest {
        batch_id: format!("00000000-0000-4000-8000-{number:012x}"),
        product: product.to_owned(),
        instance: "vc-01".to_owned(),
        events: (first..first + events).map(event).collect(),
        ..SubmitRequest::default()
    };
    request.encode_to_vec()
}
