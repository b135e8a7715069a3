//! One customer sends as much as it can, another as usual: the one is held back and told when to come
//! back, the other does not notice.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_stream::StreamExt as _;
use usaged::grpc::client::{Channel, Code, Status, connect, reason, retry_delay};
use usaged::grpc::proto::ingest::ingest_service_client::IngestServiceClient;
use usaged::grpc::proto::ingest::submit_stream_response::Result as Answer;
use usaged::grpc::proto::ingest::{Event, Field, SubmitRequest, Value, value::Kind};

use crate::fault_daemon::Place;
use crate::fault_load::set_up;
use crate::grpc_collector::from;

/// A batch of `events` that has never been sent.
pub fn fresh(events: usize) -> SubmitRequest {
    let field = |n: usize| Field {
        name: "vcpus".into(),
        value: Some(Value { kind: Some(Kind::IntValue(i64::try_from(n).unwrap())) }),
    };
    SubmitRequest {
        batch_id: uuid::Uuid::now_v7().to_string(),
        product: "vcenter".into(),
        events: (0..events)
            .map(|n| Event { name: "vm.inventory".into(), fields: vec![field(n)], ..Event::default() })
            .collect(),
        ..SubmitRequest::default()
    }
}

async fn submit(channel: &Channel, customer: &str, events: usize) -> Result<(), Status> {
    let mut client = IngestServiceClient::new(channel.clone());
    client.submit(from(customer, fresh(events))).await.map(drop)
}

/// Sends `count` batches at a time, and again without a pause: the refusals.
async fn flood(grpc: String, customer: &'static str, at_a_time: usize, count: usize) -> Vec<Status> {
    let mut senders = JoinSet::new();
    for _ in 0..at_a_time {
        let channel = connect(&grpc).await.unwrap();
        senders.spawn(async move {
            let mut refused = Vec::new();
            for _ in 0..count {
                refused.extend(submit(&channel, customer, 100).await.err());
            }
            refused
        });
    }
    senders.join_all().await.concat()
}

/// covers: B1, B2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_over_its_rate_is_told_when_to_come_back_and_its_neighbour_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let rates =
        "ingest.customer_rates={ greedy = { events_per_second = 500, bytes_per_second = \"10MiB\" } }";
    let daemon = Place::new(dir.path()).with(&["--set", rates, "--set", "ingest.customer_burst=1s"]).start();
    set_up(&daemon.grpc, &["greedy", "honest"], &[]).await;
    let flooding = tokio::spawn(flood(daemon.grpc.clone(), "greedy", 8, 60));
    let honest = connect(&daemon.grpc).await.unwrap();
    let mut served = 0;
    while !flooding.is_finished() || served < 50 {
        submit(&honest, "honest", 10).await.expect("the neighbour is served");
        served += 1;
    }
    let refused = flooding.await.unwrap();
    assert!(refused.len() > 300, "{} of 480 were refused", refused.len());
    let mut delays = BTreeSet::new();
    for status in &refused {
        assert_eq!(
            (status.code(), reason(status).as_deref()),
            (Code::ResourceExhausted, Some("CUSTOMER_EVENT_RATE"))
        );
        delays.insert(retry_delay(status).expect("it is told when to come back"));
    }
    assert!(delays.len() * 10 > refused.len() * 9, "retries spread: {} moments", delays.len());
    assert!(delays.last().unwrap() <= &Duration::from_secs(120));
    let page = daemon.page("/metrics");
    let counted =
        format!("usaged_requests_refused_total{{reason=\"CUSTOMER_EVENT_RATE\"}} {}", refused.len());
    assert!(page.contains(&counted), "{counted}");
    assert!(!page.contains("greedy") && !page.contains("honest"), "no customer is named");

    // A stream is slowed down before it is refused.
    let mut client = IngestServiceClient::new(honest);
    let batches = tokio_stream::iter((0..8).map(|_| fresh(100)));
    let mut answers = client.submit_stream(from("greedy", batches)).await.unwrap().into_inner();
    let mut of_stream = Vec::new();
    while let Some(answer) = answers.next().await {
        of_stream.push(answer.unwrap().result.unwrap());
    }
    assert_eq!(of_stream.len(), 8);
    for answer in of_stream {
        let Answer::Error(error) = answer else { continue };
        assert_eq!((error.reason.as_str(), error.retry_delay_ms > 0), ("CUSTOMER_EVENT_RATE", true));
    }
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
}

/// covers: B1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_that_fills_every_place_it_can_get_leaves_some_to_its_neighbour() {
    let dir = tempfile::tempdir().unwrap();
    let few = ["--set", "store.queue_depth=16", "--set", "grpc.max_requests=64"];
    let many = ["--set", "grpc.max_connections_per_peer=200"];
    let daemon = Place::new(dir.path()).with(&few).with(&many).start();
    set_up(&daemon.grpc, &["greedy", "honest"], &[]).await;
    // More at a time than there are places in all.
    let flooding = tokio::spawn(flood(daemon.grpc.clone(), "greedy", 80, 20));
    let honest = connect(&daemon.grpc).await.unwrap();
    let mut served = 0;
    while !flooding.is_finished() {
        submit(&honest, "honest", 10).await.expect("the neighbour is served");
        served += 1;
    }
    let refused = flooding.await.unwrap();
    assert!(served > 0 && !refused.is_empty(), "{served} served, {} refused", refused.len());
    for status in &refused {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
        assert!(retry_delay(status).is_some(), "{status:?}");
    }
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
}
