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
