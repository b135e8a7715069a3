//! What `explain` shows is what is stored: byte for byte, from the same code as ingest.

use usaged::grpc::client::{self, Channel, Message as _, ProtoDuration, Timestamp};
use usaged::grpc::proto::admin::ExplainEventRequest;
use usaged::grpc::proto::admin::admin_service_client::AdminServiceClient;
use usaged::grpc::proto::drain::drain_service_client::DrainServiceClient;
use usaged::grpc::proto::drain::{Batch, CreateSubscriptionRequest, PullRequest, Purpose, Subscription};
use usaged::grpc::proto::ingest::ingest_service_client::IngestServiceClient;
use usaged::grpc::proto::ingest::{Event, Field, SubmitRequest, Value, value::Kind};
use usaged::model::CustomerId;

use crate::cli_run::Collector;
use crate::ledger_world::leaves;

fn field(name: &str, kind: Kind) -> Field {
    Field { name: name.to_owned(), value: Some(Value { kind: Some(kind) }) }
}

fn request() -> SubmitRequest {
    let text = |text: &str| Kind::StringValue(text.to_owned());
    let event = Event {
        name: "vm.inventory".to_owned(),
        time: Some(Timestamp { seconds: jiff::Timestamp::now().as_second(), nanos: 0 }),
        fields: vec![
            field("host", text("esx-07.example.com")),
            field("ip", text("192.0.2.77")),
            field("mac", text("00:50:56:AA:BB:CC")),
            field("guest_os", text("an operating system of our own")),
            field("vcpus", Kind::IntValue(8)),
            field("not_in_the_dictionary", Kind::BoolValue(true)),
        ],
        ..Event::default()
    };
    SubmitRequest {
        batch_id: uuid::Uuid::new_v4().to_string(),
        product: "vcenter".to_owned(),
        instance: "vc-1".to_owned(),
        events: vec![event],
        ..SubmitRequest::default()
    }
}

async fn stored(channel: &Channel, customer: &CustomerId, request: &SubmitRequest) -> Batch {
    let mut drain = DrainServiceClient::new(channel.clone());
    let subscription = Subscription {
        name: "explain".to_owned(),
        purpose: Purpose::Improve.into(),
        recipient: "tests".to_owned(),
        ack_deadline: Some(ProtoDuration { seconds: 60, nanos: 0 }),
        ..Subscription::default()
    };
    drain.create_subscription(CreateSubscriptionRequest { subscription: Some(subscription) }).await.unwrap();
    let submit = client::of_customer(request.clone(), customer).unwrap();
    IngestServiceClient::new(channel.clone()).submit(submit).await.unwrap();
    let max_wait = Some(ProtoDuration { seconds: 10, nanos: 0 });
    let pull = PullRequest {
        subscription: "explain".to_owned(),
        max_batches: 1,
        max_wait,
        ..PullRequest::default()
    };
    let pulled = drain.pull(pull).await.unwrap().into_inner().batches;
    Batch::decode(pulled.first().unwrap().batch.clone()).unwrap()
}

/// Everything but the moment at which it was received.
fn timeless(batch: Batch) -> Vec<u8> {
    Batch { receive_time: None, ..batch }.encode_to_vec()
}

#[test]
fn explain_shows_byte_for_byte_what_ingest_stores() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for level in ["standard", "enhanced"] {
        let (program, name) = (format!("ceip={level}"), format!("customer-{level}"));
        let set = ["participation", "set", &name, "--level", &program, "--reason", "test"];
        assert_eq!(collector.client(&set, "").code, 0);
        let customer = CustomerId::new(&name).unwrap();
        let request = request();
        runtime.block_on(async {
            let channel = client::connect(&collector.grpc).await.unwrap();
            let explain = ExplainEventRequest {
                submit_request: request.encode_to_vec().into(),
                customer: name.clone(),
                region: String::new(),
            };
            let told =
                AdminServiceClient::new(channel.clone()).explain_event(explain).await.unwrap().into_inner();
            let explained =
                told.levels.iter().find(|one| one.program == "ceip" && one.level == level).unwrap();
            let explained = Batch::decode(explained.batch.clone()).unwrap();
            assert_eq!(explained.events.first().unwrap().fields.len(), 5);
            assert_eq!(timeless(stored(&channel, &customer, &request).await), timeless(explained), "{level}");
            let delete = usaged::grpc::proto::drain::DeleteSubscriptionRequest { name: "explain".to_owned() };
            DrainServiceClient::new(channel).delete_subscription(delete).await.unwrap();
        });
    }
    // The connections end with it, so that the collector need not wait for them.
    drop(runtime);
    assert_eq!(collector.end(), 0);
}

/// What explain tells of the one event of `request` at the level in force: the bytes to store, and why each field is not.
async fn in_force(channel: &Channel, customer: &str, request: &SubmitRequest) -> (usize, Vec<String>) {
    let explain = ExplainEventRequest {
        submit_request: request.encode_to_vec().into(),
        customer: customer.to_owned(),
        region: String::new(),
    };
    let told = AdminServiceClient::new(channel.clone()).explain_event(explain).await.unwrap().into_inner();
    let level = told.levels.into_iter().find(|one| one.in_force).expect("a level in force");
    let dropped = level.fields.into_iter().filter(|field| field.treatment == "drop").map(|field| field.why);
    (level.batch.len(), dropped.collect())
}

/// How many explanations are on the ledger.
fn explained(dir: &std::path::Path) -> usize {
    let leaves = leaves(&dir.join("data/ledger"));
    leaves.iter().filter(|leaf| String::from_utf8_lossy(leaf).contains("events_explained")).count()
}

// covers: P3, P8
#[test]
fn what_ingest_withholds_whole_explain_withholds_with_its_reason_and_the_ledger_is_told_who_was_asked_about()
{
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ok = |args: &[&str]| {
        let ended = collector.client(args, "");
        assert_eq!(ended.code, 0, "{args:?}: {}", ended.err);
    };
    ok(&["participation", "set", "acme", "--level", "ceip=enhanced", "--reason", "test"]);
    let channel = runtime.block_on(client::connect(&collector.grpc)).unwrap();
    let ask = |request: &SubmitRequest| runtime.block_on(in_force(&channel, "acme", request));
    let (good, mut late) = (request(), request());
    late.events[0].time = Some(Timestamp { seconds: 1_577_836_800, nanos: 0 });
    let all_for = |(bytes, why): (usize, Vec<String>), said: &str| {
        assert_eq!(bytes, 0, "{said}");
        assert!(why.len() == 6 && why.iter().all(|why| why.contains(said)), "{said}: {why:?}");
    };

    let (bytes, why) = ask(&good);
    assert!(bytes > 0 && why.len() < 6, "{why:?}");
    all_for(ask(&late), "set the clock");
    ok(&[
        "erase",
        "--customer",
        "acme",
        "--class",
        "ip_address",
        "--value",
        "192.0.2.77",
        "--reference",
        "t",
    ]);
    all_for(ask(&good), "erased on request");
    let paused = ["--level", "ceip=enhanced", "--delivery", "paused", "--reason", "test"];
    ok(&[&["participation", "set", "acme"][..], &paused].concat());
    all_for(ask(&good), "paused");
    let anybody = ExplainEventRequest { submit_request: good.encode_to_vec().into(), ..Default::default() };
    runtime.block_on(AdminServiceClient::new(channel.clone()).explain_event(anybody)).unwrap();

    drop((channel, runtime));
    assert_eq!(collector.end(), 0);
    assert_eq!(explained(dir.path()), 4, "each of a customer, and none of nobody");
}
