//! Bad input over a real socket into a real collector: each is answered with a code, a reason, the place
//! and the remedy, and never with the value; what came before and what comes after is stored.

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio_stream::StreamExt as _;
use tonic_types::StatusExt as _;
use usaged::grpc::client::{Channel, Code, EncodedIngest, Status, Timestamp, connect, of_customer};
use usaged::grpc::proto::admin::admin_service_client::AdminServiceClient;
use usaged::grpc::proto::drain::drain_service_client::DrainServiceClient;
use usaged::grpc::proto::drain::{
    CreateSubscriptionRequest, DeleteSubscriptionRequest, GetSubscriptionRequest, PullRequest, SeekRequest,
};
use usaged::grpc::proto::ingest::submit_response::State;
use usaged::grpc::proto::ingest::submit_stream_response::Result as Outcome;
use usaged::grpc::proto::ingest::{
    Event, List, ProgramLevel, Reason, Record, SubmitRequest, SubmitResponse, Value, value::Kind,
};
use usaged::model::{CustomerId, limits};

use crate::cli_run::Collector;
use crate::dictionary_events::{field, text, value};
use crate::grpc_collector::{self, participation, set};
use crate::hunt_bad::{delimited, event_of, with_event};

/// What is in every bad input, and in no answer.
const SECRET: &str = "canary-80";

struct Room {
    collector: Collector,
    channel: Channel,
    ingest: EncodedIngest,
    good: u64,
    dir: tempfile::TempDir,
}

impl Room {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let collector = Collector::start(dir.path(), &["--log-level", "debug"]);
        let channel = connect(&collector.grpc).await.unwrap();
        let ingest = EncodedIngest::new(channel.clone());
        let request = set(participation("acme", "standard"));
        AdminServiceClient::new(channel.clone()).set_participation(request).await.unwrap();
        let subscription = Some(grpc_collector::subscription("all"));
        let request = CreateSubscriptionRequest { subscription };
        DrainServiceClient::new(channel.clone()).create_subscription(request).await.unwrap();
        Self { collector, channel, ingest, good: 0, dir }
    }

    async fn submit(&mut self, bytes: impl Into<Bytes>) -> Result<SubmitResponse, Status> {
        let request = of_customer(bytes.into(), &CustomerId::new("acme").unwrap()).unwrap();
        self.ingest.submit(request).await
    }

    /// A good batch is stored.
    async fn good(&mut self) {
        self.good += 1;
        let stored = self.submit(good(self.good).encode_to_vec()).await.unwrap();
        assert_eq!((stored.state(), stored.accepted_events), (State::Stored, 1));
    }

    /// A bad request is refused with this code, reason and field, alone and between two good ones of a stream.
    async fn refused(&mut self, what: &str, bytes: impl Into<Bytes>, reason: &str, place: &str) {
        let bytes = bytes.into();
        self.good().await;
        let status = self.submit(bytes.clone()).await.expect_err(what);
        check(what, &status, Code::InvalidArgument, reason, place);
        self.good += 2;
        let [before, after] = [self.good - 1, self.good].map(|n| Bytes::from(good(n).encode_to_vec()));
        let stream = tokio_stream::iter([before, bytes, after]);
        let stream = of_customer(stream, &CustomerId::new("acme").unwrap()).unwrap();
        let answers: Vec<_> = self.ingest.submit_stream(stream).await.unwrap().collect().await;
        let answers: Vec<_> = answers.into_iter().map(|one| one.unwrap().result.unwrap()).collect();
        let [Outcome::Receipt(before), Outcome::Error(error), Outcome::Receipt(after)] = answers.as_slice()
        else {
            panic!("{what}: {answers:?}");
        };
        assert_eq!((before.state(), after.state()), (State::Stored, State::Stored), "{what}");
        assert_eq!((error.code, error.reason.as_str(), error.field.as_str()), (3, reason, place), "{what}");
        assert_eq!((error.message.as_str(), error.retry_delay_ms), (status.message(), 0), "{what}");
    }

    /// Every good batch, and none but those, is drained; the collector goes on and ends as it should.
    async fn close(self) {
        let mut drain = DrainServiceClient::new(self.channel.clone());
        let mut drained = 0;
        loop {
            let request =
                PullRequest { subscription: "all".into(), max_batches: 1000, ..PullRequest::default() };
            let batches = drain.pull(request).await.unwrap().into_inner().batches;
            if batches.is_empty() {
                break;
            }
            drained += batches.len() as u64;
        }
        assert_eq!(drained, self.good, "every good batch is drained once, and nothing else");
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap();
        assert!(!log.contains(SECRET) && !log.contains("panicked"), "{log}");
        assert_eq!(self.collector.end(), 0);
    }
}

fn check(what: &str, status: &Status, code: Code, reason: &str, place: &str) {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("{what}: {status:?}"));
    assert_eq!((status.code(), info.reason.as_str()), (code, reason), "{what}: {status:?}");
    assert_eq!(info.domain, "usaged");
    let violations = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
    let places: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
    let expected: Vec<_> = Some(place).filter(|place| !place.is_empty()).into_iter().collect();
    assert_eq!(places, expected, "{what}: {status:?}");
    assert!(violations.iter().all(|violation| violation.description.len() > 5), "{what}: {status:?}");
    assert!(details.retry_info().is_none(), "{what} is final: {status:?}");
    assert!(status.message().len() > 10 && !format!("{status:?}").contains(SECRET), "{what}: {status:?}");
    let raw = String::from_utf8_lossy(status.details()).into_owned();
    assert!(!raw.contains(SECRET), "{what}: {raw}");
}

fn good(number: u64) -> SubmitRequest {
    let mut good = grpc_collector::batch(number, "esx-1.example.com");
    good.events[0].fields.truncate(2);
    good
}

/// A request of its own id with something wrong in it.
fn bad(spoil: impl FnOnce(&mut SubmitRequest)) -> SubmitRequest {
    let mut bad = good(0xbad);
    bad.events[0].fields[0] = field("host", text(SECRET));
    spoil(&mut bad);
    bad
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(text(SECRET), |inner, at| match at % 2 {
        0 => value(Kind::RecordValue(Record { fields: vec![field("host", inner)] })),
        _ => value(Kind::ListValue(List { values: vec![inner] })),
    })
}

// covers: P1, B1, D3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_cannot_be_taken_is_refused_by_place_and_the_ones_around_it_are_stored() {
    let mut room = Room::open().await;
    let (malformed, field_wrong) = ("MALFORMED_REQUEST", "INVALID_FIELD");
    let whole = bad(|_| ()).encode_to_vec();
    room.refused("empty", Vec::new(), field_wrong, "batch_id").await;
    room.refused("truncated", whole[..whole.len() - 3].to_vec(), malformed, "").await;
    let long = SECRET.repeat(8_000);
    let long_name = SECRET.repeat(9_000);
    let too_many = [delimited(1, b"vm.inventory"), delimited(4, &delimited(1, b"x")).repeat(257)].concat();
    for (what, event) in [
        ("truncated inside an event", delimited(1, b"vm.inventory")[..5].to_vec()),
        ("a wrong wire type", event_of("vm.inventory", &[2 << 3, 7])),
        ("a value too long", event_of("vm.inventory", &delimited(2, &delimited(1, long.as_bytes())))),
        ("a name too long", event_of("vm.inventory", &delimited(1, long_name.as_bytes()))),
        ("too many fields", too_many),
    ] {
        room.refused(what, with_event(&bad(|_| ()), &event), malformed, "events[0]").await;
    }
    let large = bad(|bad| bad.events[0].fields[0] = field("x", text("y".repeat(limits::REQUEST_BYTES))));
    room.refused("oversized", large.encode_to_vec(), "REQUEST_TOO_LARGE", "").await;
    let cap = || ProgramLevel { program: "ceip".into(), level: SECRET.into() };
    let many = bad(|bad| bad.events = vec![Event::default(); limits::EVENTS + 1]);
    for (what, place, bad) in [
        ("no batch id", "batch_id", bad(|bad| bad.batch_id.clear())),
        ("a batch id that is none", "batch_id", bad(|bad| bad.batch_id = SECRET.into())),
        ("no product", "product", bad(|bad| bad.product.clear())),
        ("too long a product", "product", bad(|bad| bad.product = SECRET.repeat(20))),
        ("too long an instance", "instance", bad(|bad| bad.instance = SECRET.repeat(40))),
        ("too many caps", "level_caps", bad(|bad| bad.level_caps = (0..17).map(|_| cap()).collect())),
        ("no events", "events", bad(|bad| bad.events.clear())),
        ("too many events", "events", many),
    ] {
        room.refused(what, bad.encode_to_vec(), field_wrong, place).await;
    }
    let not_utf8 = [bad(|_| ()).encode_to_vec(), delimited(3, b"canary-80\xff")].concat();
    room.refused("an instance that is not UTF-8", not_utf8, field_wrong, "instance").await;
    let reused = SubmitRequest { batch_id: good(1).batch_id, ..bad(|_| ()) };
    room.refused("a batch id with another body", reused.encode_to_vec(), "BATCH_ID_REUSED", "batch_id").await;
    room.close().await;
}

// covers: P2, P3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unknown_is_withheld_with_its_reason_and_nothing_of_it_is_stored() {
    let mut room = Room::open().await;
    let cap = |level: &str| vec![ProgramLevel { program: "ceip".into(), level: level.into() }];
    let named = |program: &str| vec![ProgramLevel { program: program.into(), level: "none".into() }];
    let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
    let (nothing, disabled) = (State::NothingStored, State::Disabled);
    for (what, state, reason, bad) in [
        ("product", nothing, Reason::UnknownProduct, bad(|bad| bad.product = SECRET.into())),
        ("event", nothing, Reason::UnknownEvent, bad(|bad| bad.events[0].name = SECRET.into())),
        ("event without a name", nothing, Reason::UnknownEvent, bad(|bad| bad.events[0].name.clear())),
        ("level", nothing, Reason::UnknownLevel, bad(|bad| bad.level_caps = cap(SECRET))),
        ("program", nothing, Reason::UnknownLevel, bad(|bad| bad.level_caps = named(SECRET))),
        ("needed level", nothing, Reason::UnknownLevel, bad(|b| b.events[0].needed_level = SECRET.into())),
        ("region", nothing, Reason::UnknownLevel, bad(|bad| bad.region = SECRET.into())),
        ("capped at none", disabled, Reason::NotParticipating, bad(|bad| bad.level_caps = cap("none"))),
        ("long ago", nothing, Reason::Clock, bad(|bad| bad.events[0].time = at(-62_000_000_000))),
        ("before time", nothing, Reason::Clock, bad(|bad| bad.events[0].time = at(i64::MIN))),
        ("far ahead", nothing, Reason::Clock, bad(|bad| bad.events[0].time = at(i64::MAX))),
    ] {
        room.good().await;
        let receipt = room.submit(bad.encode_to_vec()).await.unwrap();
        assert_eq!((receipt.state(), receipt.commit_number), (state, 0), "{what}: {receipt:?}");
        assert_eq!((receipt.received_events, receipt.accepted_events), (1, 0), "{what}");
        let withheld: Vec<_> = receipt.withheld_events.iter().map(|w| (w.reason(), w.count)).collect();
        assert_eq!(withheld, [(reason, 1)], "{what}");
        // The dictionary's gap is named to the sender, in this one answer.
        let is_told = what == "event";
        assert_eq!(format!("{receipt:?}").contains(SECRET), is_told, "{what}: {receipt:?}");
    }

    // A customer that nobody registered is told to stop, and is not refused; nor does it learn which products there are.
    for product in [bad(|_| ()), bad(|bad| bad.product = SECRET.into())] {
        let request = of_customer(Bytes::from(product.encode_to_vec()), &CustomerId::new(SECRET).unwrap());
        let receipt = room.ingest.submit(request.unwrap()).await.unwrap();
        assert_eq!((receipt.state(), receipt.commit_number), (State::Disabled, 0));
        assert_eq!(receipt.withheld_events.len(), 1);
        assert_eq!(receipt.withheld_events[0].reason(), Reason::NotParticipating);
    }
    room.close().await;
}

// covers: P3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_field_is_withheld_with_its_place_and_the_rest_of_its_event_is_stored() {
    let mut room = Room::open().await;
    let not_utf8 = [delimited(1, b"host"), delimited(2, &delimited(1, b"canary-80\xff"))].concat();
    let cases = [
        (Reason::UnknownField, "made_up", field("made_up", text(SECRET)).encode_to_vec()),
        (Reason::WrongType, "vcpus", field("vcpus", text(SECRET)).encode_to_vec()),
        // However deep: what the dictionary does not have there is not walked.
        (Reason::WrongType, "host", field("host", nested(3)).encode_to_vec()),
        (Reason::WrongType, "host", field("host", nested(2000)).encode_to_vec()),
        (Reason::UnknownField, "deep", field("deep", nested(2000)).encode_to_vec()),
        (Reason::Malformed, "mac", field("mac", text(SECRET)).encode_to_vec()),
        (Reason::Malformed, "tools_version", field("tools_version", text("canary-80 x")).encode_to_vec()),
        (Reason::Malformed, "host", not_utf8),
        (Reason::WrongType, "vcpus", delimited(1, b"vcpus")),
        (Reason::Repeated, "memory_mb", field("memory_mb", text(SECRET)).encode_to_vec()),
    ];
    for (number, (reason, name, entry)) in cases.into_iter().enumerate() {
        let memory = field("memory_mb", value(Kind::IntValue(1024))).encode_to_vec();
        let event = [delimited(1, b"vm.inventory"), delimited(4, &memory), delimited(4, &entry)].concat();
        let head = SubmitRequest { batch_id: good(1000 + number as u64).batch_id, ..bad(|_| ()) };
        let receipt = room.submit(with_event(&head, &event)).await.unwrap();
        room.good += 1;
        assert_eq!((receipt.state(), receipt.accepted_events), (State::Stored, 1), "{name} {reason:?}");
        assert_eq!(receipt.accepted_fields, 1, "{name} {reason:?}");
        let withheld: Vec<_> = receipt.withheld.iter().map(|w| (w.place.as_str(), w.reason())).collect();
        assert_eq!(withheld, [(format!("events[0].fields[\"{name}\"]").as_str(), reason)]);
        assert!(receipt.withheld[0].remedy.len() > 10 && !format!("{receipt:?}").contains(SECRET));
    }
    room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_is_not_there_is_not_found_whatever_is_asked_of_it() {
    let room = Room::open().await;
    let mut drain = DrainServiceClient::new(room.channel.clone());
    let name = "nothing-here".to_owned();
    let seek = SeekRequest { subscription: name.clone(), ..SeekRequest::default() };
    let pull = PullRequest { subscription: name.clone(), ..PullRequest::default() };
    let missing = [
        drain.pull(pull).await.map(drop).unwrap_err(),
        drain.get_subscription(GetSubscriptionRequest { name: name.clone() }).await.map(drop).unwrap_err(),
        drain.delete_subscription(DeleteSubscriptionRequest { name }).await.map(drop).unwrap_err(),
    ];
    for status in missing {
        check("unknown subscription", &status, Code::NotFound, "SUBSCRIPTION_NOT_FOUND", "");
    }
    let status = drain.seek(seek).await.map(drop).unwrap_err();
    check("a seek to nowhere", &status, Code::InvalidArgument, "INVALID_FIELD", "target");
    let odd = PullRequest { subscription: format!("{SECRET}/../x"), ..PullRequest::default() };
    let status = drain.pull(odd).await.map(drop).unwrap_err();
    check("no name at all", &status, Code::InvalidArgument, "INVALID_FIELD", "subscription");
    drop(drain);
    room.close().await;
}

// covers: P1, B1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_random_requests_are_each_answered_and_hurt_nobody() {
    let mut room = Room::open().await;
    let mut random = StdRng::seed_from_u64(80);
    // What happens to be well-formed comes from a stranger, so that it is answered and not stored; of
    // what comes from the customer only so much is sent that it cannot be a whole batch.
    let whole = bad(|_| ()).encode_to_vec();
    let stranger = CustomerId::new("stranger").unwrap();
    for round in 0..3000 {
        let mut bytes = whole.clone();
        match round % 3 {
            0 => {
                bytes = (0..random.random_range(0..300)).map(|_| random.random()).collect();
            }
            1 => {
                let at = random.random_range(0..bytes.len());
                bytes[at] = random.random();
            }
            _ => {
                let (from, to) = (random.random_range(0..bytes.len()), random.random_range(0..bytes.len()));
                bytes.rotate_left(from);
                bytes.truncate(to);
            }
        }
        let who = if round % 2 == 0 { &stranger } else { &CustomerId::new("acme").unwrap() };
        let bytes = if round % 2 == 0 { bytes } else { bytes[..bytes.len().min(40)].to_vec() };
        let answer = tokio::time::timeout(
            Duration::from_secs(20),
            room.ingest.submit(of_customer(Bytes::from(bytes), who).unwrap()),
        );
        match answer.await.expect("an answer") {
            Ok(receipt) => assert_eq!(receipt.state(), State::Disabled),
            Err(status) => {
                let details = status.get_error_details();
                let reason = details.error_info().map(|info| info.reason.as_str());
                assert!(matches!(reason, Some("MALFORMED_REQUEST" | "INVALID_FIELD")), "{status:?}");
                assert_eq!(status.code(), Code::InvalidArgument);
                assert!(!format!("{status:?}").contains(SECRET));
            }
        }
        if round % 300 == 0 {
            room.good().await;
        }
    }
    room.close().await;
}
