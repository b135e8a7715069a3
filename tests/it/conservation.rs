//! What a running collector counts adds up: every event and every batch is somewhere, and what
//! `/metrics` says is what receipts, acknowledgements and a real drain say.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;
use usaged::grpc::client::{Channel, EncodedIngest, connect, of_customer};
use usaged::grpc::proto::admin::admin_service_client::AdminServiceClient;
use usaged::grpc::proto::admin::{Participation, ProgramLevel};
use usaged::grpc::proto::drain::drain_service_client::DrainServiceClient;
use usaged::grpc::proto::drain::{
    AcknowledgeRequest, CreateSubscriptionRequest, GetSubscriptionRequest, ModifyAckDeadlineRequest,
    PullRequest, Purpose, ReceivedBatch, Subscription,
};
use usaged::grpc::proto::ingest::{Event, SubmitRequest, SubmitResponse, value::Kind};
use usaged::model::CustomerId;
use usaged::observe::Metric;

use crate::cli_flow::page;
use crate::cli_run::Collector;
use crate::dictionary_events::{field, text, value};
use crate::grpc_collector::set;
use crate::ledger_sums::sums;

#[test]
fn the_metrics_are_those_that_were_agreed() {
    let mut list = String::new();
    for metric in Metric::ALL {
        let (name, kind, labels) = (metric.name(), metric.kind(), metric.labels().join(","));
        writeln!(list, "{name} {kind:?} [{labels}]\n  {}", metric.help()).unwrap();
    }
    insta::assert_snapshot!(list);
}

/// Counters and gauges of one reading of `/metrics`, by name with labels.
struct Reading(BTreeMap<String, u64>);

impl Reading {
    fn of(collector: &Collector) -> Self {
        let text = page(collector, "/metrics");
        let lines = text.lines().filter(|line| line.starts_with("usaged_"));
        let numbers = lines.filter_map(|line| {
            let (name, number) = line.rsplit_once(' ')?;
            // Sums of seconds have a fraction and are not looked at.
            Some((name.to_owned(), number.parse().ok()?))
        });
        Self(numbers.collect())
    }

    /// The sum of a metric over the lines that have all of these labels.
    fn sum(&self, metric: Metric, labels: &[(&str, &str)]) -> u64 {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let own = |key: &str| key.split('{').next() == Some(metric.name());
        let lines = self.0.iter().filter(|(key, _)| own(key) && labels.iter().all(|l| key.contains(l)));
        lines.map(|(_, number)| number).sum()
    }

    fn outcome(&self, subscription: &str, outcome: &str) -> u64 {
        let labels = [("subscription", subscription), ("outcome", outcome)];
        self.sum(Metric::SubscriptionBatches, &labels)
    }

    fn waiting(&self, subscription: &str) -> u64 {
        self.sum(Metric::SubscriptionWaiting, &[("subscription", subscription)])
    }

    /// Acknowledged, waiting, dead, expired and skipped together.
    fn everywhere(&self, subscription: &str) -> u64 {
        let ended = ["acknowledged", "dead", "expired", "skipped"];
        let ended: u64 = ended.iter().map(|outcome| self.outcome(subscription, outcome)).sum();
        ended + self.waiting(subscription)
    }
}

/// Reads until `done`: gauges follow within a second.
async fn reading(collector: &Collector, what: &str, done: impl Fn(&Reading) -> bool) -> Reading {
    let begun = Instant::now();
    loop {
        let reading = Reading::of(collector);
        if done(&reading) {
            return reading;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}: {:#?}", reading.0);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What the receipts said, added up.
#[derive(Debug, Default)]
struct Told {
    received: u64,
    accepted: u64,
    withheld: u64,
    fields: u64,
    duplicates: u64,
    records: u64,
}

struct Sender {
    ingest: EncodedIngest,
    told: Told,
    next: u64,
}

impl Sender {
    async fn send(&mut self, customer: &str, mut request: SubmitRequest) {
        self.next += 1;
        request.batch_id = format!("00000000-0000-4000-8000-{:012x}", self.next);
        let bytes = Bytes::from(request.encode_to_vec());
        let receipt = self.submit(customer, bytes.clone()).await;
        let withheld: u32 = receipt.withheld_events.iter().map(|count| count.count).sum();
        assert_eq!(receipt.received_events, receipt.accepted_events + withheld, "{receipt:?}");
        self.told.received += u64::from(receipt.received_events);
        self.told.accepted += u64::from(receipt.accepted_events);
        self.told.withheld += u64::from(withheld);
        self.told.fields += u64::from(receipt.accepted_fields);
        // Every seventh is sent again, and is the same batch.
        if self.next.is_multiple_of(7) && receipt.accepted_events > 0 {
            let again = self.submit(customer, bytes).await;
            assert_eq!(again.commit_number, receipt.commit_number);
            self.told.duplicates += 1;
        }
        self.told.records = self.told.records.max(receipt.commit_number);
    }

    async fn submit(&mut self, customer: &str, bytes: Bytes) -> SubmitResponse {
        let request = of_customer(bytes, &CustomerId::new(customer).unwrap()).unwrap();
        self.ingest.submit(request).await.unwrap()
    }
}

fn event(name: &str, field_name: &str, kind: Kind) -> Event {
    let fields = vec![field(field_name, value(kind)), field("made_up", text("x"))];
    Event { name: name.to_owned(), fields, ..Event::default() }
}

fn batch(product: &str, events: Vec<Event>) -> SubmitRequest {
    SubmitRequest { product: product.to_owned(), events, ..SubmitRequest::default() }
}

fn mixed() -> SubmitRequest {
    let events = vec![
        event("vm.inventory", "vcpus", Kind::IntValue(4)),
        event("client.feature_used", "uses", Kind::IntValue(3)),
        event("entitlement.status", "cores_used", Kind::IntValue(9)),
        event("made.up", "vcpus", Kind::IntValue(4)),
        Event {
            time: Some(usaged::grpc::client::Timestamp { seconds: 1, nanos: 0 }),
            ..event("vm.inventory", "vcpus", Kind::IntValue(4))
        },
    ];
    batch("vcenter", events)
}

/// About a megabyte on disk: pseudonyms cannot be compressed.
fn heavy() -> SubmitRequest {
    let host = |n: u32| Kind::StringValue(format!("esx-{n}.example.com"));
    let name = |n: u32| field("vm", text(format!("vm-{n}")));
    let events = (0..9_000_u32).map(|n| {
        let mut event = event("vm.inventory", "host", host(n));
        event.fields.push(name(n));
        event.fields.push(field("mac", text(format!("00:50:56:01:{:02x}:{:02x}", n / 256, n % 256))));
        event
    });
    batch("vcenter", events.collect())
}

async fn participate(channel: &Channel, customer: &str, levels: &[(&str, &str)]) {
    let levels = levels
        .iter()
        .map(|(program, level)| ProgramLevel { program: (*program).to_owned(), level: (*level).to_owned() });
    let participation =
        Participation { customer: customer.into(), levels: levels.collect(), ..Participation::default() };
    AdminServiceClient::new(channel.clone()).set_participation(set(participation)).await.unwrap();
}

#[derive(Clone)]
struct Drainer {
    drain: DrainServiceClient<Channel>,
    name: &'static str,
}

impl Drainer {
    async fn open(channel: &Channel, name: &'static str, purpose: Purpose, product: &str) -> Self {
        let subscription = Subscription {
            name: name.to_owned(),
            purpose: purpose.into(),
            recipient: "tests".into(),
            products: Some(product.to_owned()).filter(|name| !name.is_empty()).into_iter().collect(),
            max_delivery_attempts: 2,
            from_oldest: true,
            ..Subscription::default()
        };
        let mut drain = DrainServiceClient::new(channel.clone());
        let request = CreateSubscriptionRequest { subscription: Some(subscription) };
        drain.create_subscription(request).await.unwrap();
        Self { drain, name }
    }

    async fn pull(&mut self, max_batches: u32) -> Vec<ReceivedBatch> {
        let subscription = self.name.to_owned();
        let request = PullRequest { subscription, max_batches, ..PullRequest::default() };
        self.drain
            .clone()
            .max_decoding_message_size(1 << 28)
            .pull(request)
            .await
            .unwrap()
            .into_inner()
            .batches
    }

    async fn waiting(&mut self) -> u64 {
        let request = GetSubscriptionRequest { name: self.name.to_owned() };
        self.drain.get_subscription(request).await.unwrap().into_inner().waiting_batches
    }

    async fn acknowledge(&mut self, batches: &[ReceivedBatch]) {
        let ack_ids: Vec<_> = batches.iter().map(|batch| batch.ack_id.clone()).collect();
        let request = AcknowledgeRequest { subscription: self.name.to_owned(), ack_ids };
        let done = self.drain.acknowledge(request).await.unwrap().into_inner().acknowledged;
        assert_eq!(usize::try_from(done).unwrap(), batches.len());
    }

    async fn give_back(&mut self, batches: &[ReceivedBatch]) {
        let ack_ids = batches.iter().map(|batch| batch.ack_id.clone()).collect();
        let subscription = self.name.to_owned();
        let request = ModifyAckDeadlineRequest { subscription, ack_ids, ack_deadline: None };
        self.drain.modify_ack_deadline(request).await.unwrap();
    }
}

// covers: P3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_and_every_batch_is_counted_in_exactly_one_place() {
    let dir = tempfile::tempdir().unwrap();
    let small = ["store.retention_bytes=16MiB", "store.segment_bytes=1MiB", "store.when_full=drop-oldest"];
    let small: Vec<&str> = small.iter().flat_map(|key| ["--set", key]).collect();
    let collector = Collector::start(dir.path(), &small);
    let channel = connect(&collector.grpc).await.unwrap();
    participate(&channel, "acme", &[("ceip", "enhanced"), ("operational", "operational")]).await;
    participate(&channel, "bob", &[("ceip", "standard")]).await;
    participate(&channel, "carl", &[]).await;
    let mut improve = Drainer::open(&channel, "improve", Purpose::Improve, "").await;
    let mut recommend = Drainer::open(&channel, "recommend", Purpose::Recommend, "").await;
    let mut deliver = Drainer::open(&channel, "deliver", Purpose::Deliver, "").await;
    let mut horizon = Drainer::open(&channel, "horizon", Purpose::Improve, "horizon").await;

    // More than the budget holds, so that retention drops batches that nobody has drained.
    let mut sender = Sender { ingest: EncodedIngest::new(channel.clone()), told: Told::default(), next: 0 };
    let heavy = heavy();
    for _ in 0..36 {
        sender.send("acme", heavy.clone()).await;
    }
    for customer in ["acme", "bob", "carl", "dora"].iter().cycle().take(80) {
        sender.send(customer, mixed()).await;
        sender.send(customer, batch("horizon", vec![event("made.up", "x", Kind::BoolValue(true))])).await;
        sender.send(customer, batch("made-up", vec![event("x", "x", Kind::BoolValue(true))])).await;
    }

    // Some are acknowledged, some become dead letters, some stay leased, the rest waits.
    let mut first = Vec::new();
    while first.len() < 12 {
        first.extend(improve.pull(1).await);
    }
    improve.acknowledge(&first[..9]).await;
    improve.give_back(&first[9..]).await;
    for _ in 0..3 {
        let again = improve.pull(1).await;
        assert_eq!(again[0].delivery_attempt, 2);
        improve.give_back(&again).await;
    }
    let leased = improve.pull(5).await;
    while recommend.waiting().await > 50 {
        let some = recommend.pull(7).await;
        recommend.acknowledge(&some).await;
    }
    assert_eq!(horizon.pull(10).await, [], "nothing of horizon was stored");

    // Events: what came is stored or withheld, and receipts said so.
    let told = &sender.told;
    let names = ["improve", "recommend", "deliver", "horizon"];
    let read = reading(&collector, "what is stored is everywhere once", |read| {
        let stored = read.sum(Metric::RecordsStored, &[]);
        names.iter().all(|name| read.everywhere(name) == stored)
    });
    let read = read.await;
    let of = |metric| read.sum(metric, &[]);
    assert_eq!(of(Metric::EventsReceived), told.received);
    assert_eq!(of(Metric::EventsAccepted), told.accepted);
    assert_eq!(of(Metric::EventsWithheld), told.withheld);
    assert_eq!(of(Metric::EventsReceived), of(Metric::EventsAccepted) + of(Metric::EventsWithheld));
    assert_eq!(of(Metric::EventsStored), of(Metric::EventsAccepted));
    assert_eq!(of(Metric::FieldsStored), told.fields);
    assert_eq!(of(Metric::Duplicates), told.duplicates);
    assert_eq!((of(Metric::RecordsStored), of(Metric::CommitNumber)), (told.records, told.records));
    assert!(told.withheld > 100 && told.duplicates > 3, "{told:?}");

    // Batches: each outcome happened, and what waits is what can still be drained.
    assert_eq!(read.outcome("improve", "acknowledged"), 9);
    assert_eq!(read.outcome("improve", "dead"), 3);
    for (name, outcome) in [("improve", "expired"), ("recommend", "skipped"), ("horizon", "skipped")] {
        assert!(read.outcome(name, outcome) > 0, "{name} {outcome}: {:#?}", read.0);
    }
    for drainer in [&mut improve, &mut recommend, &mut deliver, &mut horizon] {
        let name = drainer.name;
        let mut drained = 0;
        if name == "improve" {
            drainer.give_back(&leased).await;
        }
        loop {
            let batches = drainer.pull(10).await;
            // A pull gives up for now after it has passed over many batches that are not wanted.
            if batches.is_empty() && drainer.waiting().await == 0 {
                break;
            }
            drained += batches.len() as u64;
            drainer.acknowledge(&batches).await;
        }
        let after = reading(&collector, "nothing waits any more", |read| {
            read.waiting(name) == 0 && read.everywhere(name) == told.records
        });
        let after = after.await;
        let more = |outcome| after.outcome(name, outcome) - read.outcome(name, outcome);
        assert_eq!(more("acknowledged"), drained, "{name}");
        assert_eq!(read.waiting(name), drained + more("skipped") + more("dead") + more("expired"), "{name}");
    }
    assert_eq!(collector.end(), 0);

    // The ledger says the same. Who is not known has no number there: what was refused to it is counted by itself.
    let ledger = dir.path().join("data/ledger");
    let collected = sums(&ledger, "collected");
    let unknown = 20 * 7;
    assert_eq!(collected.events, told.accepted);
    assert_eq!(collected.withheld.values().sum::<u64>() + unknown, told.withheld);
    assert_eq!(collected.stored_fields(), told.fields);
    assert!(collected.fields["host_name"]["pseudonymised"] >= 36 * 9_000);
    // Carl takes part in nothing, and is not told which products there are.
    let refused = sums(&ledger, "refused").refused;
    assert_eq!((refused["unknown_customer"], refused["unknown_product"]), (20 * 3, 20 * 2));
}

// covers: B2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_that_every_subscription_has_drained_make_room_and_are_not_counted_as_lost() {
    let dir = tempfile::tempdir().unwrap();
    let small = ["store.retention_bytes=16MiB", "store.segment_bytes=1MiB"];
    let small: Vec<&str> = small.iter().flat_map(|key| ["--set", key]).collect();
    let collector = Collector::start(dir.path(), &small);
    let channel = connect(&collector.grpc).await.unwrap();
    participate(&channel, "acme", &[("ceip", "enhanced")]).await;
    let mut improve = Drainer::open(&channel, "improve", Purpose::Improve, "").await;
    let mut sender = Sender { ingest: EncodedIngest::new(channel.clone()), told: Told::default(), next: 0 };
    let heavy = heavy();
    for _ in 0..36 {
        sender.send("acme", heavy.clone()).await;
        while improve.waiting().await > 0 {
            let batches = improve.pull(10).await;
            improve.acknowledge(&batches).await;
        }
    }
    let dropped = |read: &Reading, reason| read.sum(Metric::SegmentsDropped, &[("reason", reason)]);
    let read = reading(&collector, "the budget is spent", |read| dropped(read, "drained") > 0).await;
    assert_eq!((dropped(&read, "size"), read.outcome("improve", "expired")), (0, 0));
    assert_eq!(collector.end(), 0);
}

// covers: P3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_is_counted_also_when_its_sender_hangs_up_before_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    let channel = connect(&collector.grpc).await.unwrap();
    participate(&channel, "acme", &[("ceip", "enhanced")]).await;
    let mut sender = Sender { ingest: EncodedIngest::new(channel.clone()), told: Told::default(), next: 0 };
    let one = || batch("vcenter", vec![event("vm.inventory", "vcpus", Kind::IntValue(4))]);
    // Some hang up before their batch is read, some while it is written: until enough of it was stored.
    let (mut answered, mut wait) = (0, Duration::ZERO);
    let stored = || Reading::of(&collector).sum(Metric::RecordsStored, &[]);
    for _ in 0..400 {
        let hung_up = tokio::time::timeout(wait, sender.send("acme", one())).await.is_err();
        answered += u64::from(!hung_up);
        sender.send("acme", one()).await;
        answered += 1;
        // A little later each time, until one is answered in time.
        wait = if hung_up { wait + Duration::from_micros(100) } else { Duration::ZERO };
        if stored() >= answered + 5 {
            break;
        }
    }
    assert!(stored() >= answered + 5, "of those that hung up, some are stored");
    reading(&collector, "what is stored is counted", |read| {
        let of = |metric| read.sum(metric, &[]);
        of(Metric::EventsStored) == of(Metric::RecordsStored)
            && of(Metric::EventsAccepted) == of(Metric::EventsStored)
            && of(Metric::EventsReceived) == of(Metric::EventsAccepted)
    })
    .await;
    assert_eq!(collector.end(), 0);
    let ledger = dir.path().join("data/ledger");
    assert!(sums(&ledger, "collected").events >= answered + 5, "and told to the ledger");
}
