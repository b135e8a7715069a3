//! The standard event and requests full of it, encoded once before the clock runs: ten fields, about
//! 300 bytes, four identifiers that `ceip` standard hashes (vcenter's `vm.inventory`).

use bytes::{Bytes, BytesMut};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::grpc::client::{Message as _, Timestamp};
use crate::grpc::proto::ingest::value::Kind;
use crate::grpc::proto::ingest::{Event, Field, SubmitRequest, Value};

/// Requests that are prepared; clients take them in turn, so that values vary.
const VARIANTS: usize = 32;
/// Where the batch id stands in an encoded request: behind its tag and length.
const ID_AT: std::ops::Range<usize> = 2..38;
/// Operating systems of the dictionary's vocabulary.
const GUESTS: [&str; 4] = ["windows-server-2022", "windows-11", "rhel-9", "ubuntu-22.04"];

/// The four identifiers of one event, as they are sent.
pub(super) struct Identifiers {
    pub host: String,
    pub vm: String,
    pub ip: String,
    pub mac: String,
}

/// Encoded requests and what the floor needs to know about them.
pub(super) struct Prepared {
    requests: Vec<Bytes>,
    /// Events in each request.
    pub batch_size: usize,
    /// The identifiers of the first request, for the floor's HMACs.
    pub identifiers: Vec<Identifiers>,
}

impl Prepared {
    /// Makes the requests of a run; the same `seed` gives the same values.
    pub fn new(batch_size: usize, seed: u64, now: jiff::Timestamp) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut identifiers = Vec::new();
        let requests = (0..VARIANTS).map(|variant| {
            let instance = format!("vc-{:08x}", random.random::<u32>());
            let mut events = Vec::with_capacity(batch_size);
            for _ in 0..batch_size {
                let (event, named) = event(&mut random, now);
                events.push(event);
                if variant == 0 {
                    identifiers.push(named);
                }
            }
            let request = SubmitRequest {
                batch_id: "00000000-0000-7000-8000-000000000000".to_owned(),
                product: "vcenter".to_owned(),
                instance,
                events,
                ..SubmitRequest::default()
            };
            Bytes::from(request.encode_to_vec())
        });
        let requests = requests.collect();
        Self { requests, batch_size, identifiers }
    }

    /// The bytes of the request with this number, under a batch id of its own.
    pub fn request(&self, number: usize, batch: u128) -> Bytes {
        let Some(request) = self.requests.get(number % self.requests.len().max(1)) else {
            return Bytes::new();
        };
        let mut bytes = BytesMut::from(request.as_ref());
        let id = uuid::Builder::from_random_bytes(batch.to_be_bytes()).into_uuid();
        if let Some(slot) = bytes.get_mut(ID_AT) {
            id.hyphenated().encode_lower(slot);
        }
        bytes.freeze()
    }

    /// Bytes of one event, on the wire, on average.
    pub fn event_bytes(&self) -> usize {
        let all: usize = self.requests.iter().map(Bytes::len).sum();
        all / self.requests.len().max(1) / self.batch_size.max(1)
    }

    /// How many different requests there are.
    pub fn variants(&self) -> usize {
        self.requests.len()
    }
}

fn event(random: &mut StdRng, now: jiff::Timestamp) -> (Event, Identifiers) {
    let number = random.random::<u32>();
    let named = Identifiers {
        host: format!("esx-{:05}.rack-{:02}.dc-{:02}.example.com", number % 20_000, number % 97, number % 40),
        vm: format!("app-server-{number:010}-production"),
        ip: format!("10.{}.{}.{}", number >> 16 & 255, number >> 8 & 255, number & 255),
        mac: format!("00:50:56:{:02x}:{:02x}:{:02x}", number >> 16 & 255, number >> 8 & 255, number & 255),
    };
    let guest = GUESTS.get(random.random_range(0..GUESTS.len())).copied().unwrap_or("rhel-9");
    let text = |text: &str| Kind::StringValue(text.to_owned());
    let fields = [
        ("host", text(&named.host)),
        ("vm", text(&named.vm)),
        ("ip", text(&named.ip)),
        ("mac", text(&named.mac)),
        ("vcpus", Kind::IntValue(random.random_range(1..64))),
        ("memory_mb", Kind::IntValue(random.random_range(1..512) * 1_024)),
        ("guest_os", text(guest)),
        ("tools_version", text(&format!("12.{}.{}", random.random_range(0..5), random.random_range(0..10)))),
        ("power_state", text(if random.random_bool(0.8) { "on" } else { "off" })),
        ("uptime_s", Kind::IntValue(random.random_range(0..10_000_000))),
    ];
    let fields = fields
        .into_iter()
        .map(|(name, kind)| Field { name: name.to_owned(), value: Some(Value { kind: Some(kind) }) })
        .collect();
    let time = Timestamp { seconds: now.as_second(), nanos: 0 };
    let event =
        Event { name: "vm.inventory".to_owned(), time: Some(time), needed_level: String::new(), fields };
    (event, named)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_request_carries_the_batch_id_that_was_patched_in() {
        let prepared = Prepared::new(10, 1, jiff::Timestamp::UNIX_EPOCH);
        let (a, b) = (prepared.request(0, 1), prepared.request(0, 2));
        let (a, b) = (SubmitRequest::decode(a).unwrap(), SubmitRequest::decode(b).unwrap());
        assert_ne!(a.batch_id, b.batch_id);
        assert!(uuid::Uuid::parse_str(&a.batch_id).is_ok());
        assert_eq!((a.events.len(), a.product.as_str()), (10, "vcenter"));
    }

    #[test]
    fn the_standard_event_has_ten_fields_and_about_300_bytes() {
        let prepared = Prepared::new(500, 1, jiff::Timestamp::UNIX_EPOCH);
        assert!((280..360).contains(&prepared.event_bytes()), "{}", prepared.event_bytes());
        let request = SubmitRequest::decode(prepared.request(3, 9)).unwrap();
        assert!(request.events.iter().all(|event| event.fields.len() == 10));
    }
}
