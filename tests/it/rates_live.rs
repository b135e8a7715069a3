//! Rates of customers that change while a collector runs, and what a customer over its rate of bytes, or over its part of the
//! request memory, is told; the customer beside it is served.

use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use rustix::process::Signal;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tower::Service as _;
use usaged::grpc::CUSTOMER_KEY;
use usaged::grpc::client::{Channel, Code, Status, connect, reason, retry_delay};
use usaged::grpc::proto::ingest::ingest_service_client::IngestServiceClient;

use crate::cli_run::usaged;
use crate::fair_neighbour::fresh;
use crate::fault_daemon::{Daemon, Place, SOON, until};
use crate::fault_load::set_up;
use crate::grpc_collector::from;
use crate::identity_world::write;

async fn submit(channel: &Channel, customer: &str, events: usize) -> Result<(), Status> {
    IngestServiceClient::new(channel.clone()).submit(from(customer, fresh(events))).await.map(drop)
}

/// What a customer that sends too much is told: the reason, and that it may come back.
async fn held(channel: &Channel, customer: &str) -> Option<String> {
    let status = submit(channel, customer, 1).await.err()?;
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(
        retry_delay(&status).is_some_and(|delay| !delay.is_zero()),
        "it is told when to come back: {status:?}"
    );
    reason(&status)
}

/// How often the configuration was read again with this result.
fn loads(daemon: &Daemon, result: &str) -> u64 {
    let line = format!("usaged_configuration_loads_total{{result=\"{result}\"}} ");
    let page = daemon.page("/metrics");
    let count = page.lines().find_map(|one| one.strip_prefix(&line));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or_default()
}

/// What the status says of the last reload of the configuration.
fn last_reload(daemon: &Daemon) -> serde_json::Value {
    let status = usaged(["status", "--server", &daemon.grpc, "--json"]).json();
    status["last_configuration_reload"].clone()
}

fn is_refused(daemon: &Daemon) -> bool {
    let page = daemon.page("/metrics");
    let line = page.lines().find_map(|one| one.strip_prefix("usaged_configuration_refused "));
    line.expect("it is there from the start").trim() == "1"
}

const BURST: &str = "[ingest]\ncustomer_burst = \"100ms\"\n";
const SLOW: &str = "customer_rates = { greedy = { events_per_second = 1, bytes_per_second = \"0B\" } }\n";

// covers: P1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_held_at_its_rate_is_let_go_when_the_file_says_so_and_a_mistake_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("etc")).unwrap();
    let file = dir.path().join("etc/usaged.toml");
    write(&file, &format!("{BURST}{SLOW}"));
    let place = Place::new(dir.path()).with(&["--config", &file.display().to_string()]);
    let daemon = place.start();
    set_up(&daemon.grpc, &["greedy", "honest"], &[]).await;
    let channel = connect(&daemon.grpc).await.unwrap();
    let event_rate = Some("CUSTOMER_EVENT_RATE".to_owned());

    // Hours of its rate at once: no wait of this test is long enough.
    submit(&channel, "greedy", 9_000).await.unwrap();
    assert_eq!(held(&channel, "greedy").await, event_rate);
    submit(&channel, "honest", 100).await.expect("the neighbour is served");

    assert!(last_reload(&daemon).is_null() && !is_refused(&daemon), "{}", last_reload(&daemon));

    // A mistake elsewhere in the file.
    write(&file, &format!("{BURST}greedy = {{ events_per_second = 5 }}\n[store]\nsegment_bytes = 1\n"));
    until("the mistake is told", || loads(&daemon, "refused") > 0);
    assert_eq!(held(&channel, "greedy").await, event_rate, "nothing of it is in force");
    let said = place.said();
    assert!(said.contains("store.segment_bytes") && said.contains("the rates before stay"), "{said}");

    let last = last_reload(&daemon);
    let (outcome, by) = (last["outcome"].as_str(), last["asked_by"].as_str());
    assert_eq!((outcome, by), (Some("refused"), Some("change of a file")), "{last}");
    assert!(is_refused(&daemon), "the alert goes by it");
    let told = usaged(["status", "--server", &daemon.grpc]).out;
    assert!(told.contains("REFUSED  ") && told.contains("store.segment_bytes"), "{told}");
    assert!(!told.contains("greedy"), "a customer is not named: {told}");

    // A higher rate, and a key that takes a restart.
    let raised = SLOW.replace("events_per_second = 1,", "events_per_second = 1000000,");
    write(&file, &format!("{BURST}{raised}cached_customers = 99\n"));
    until("the rates are taken over", || loads(&daemon, "loaded") > 0);
    assert_eq!(held(&channel, "greedy").await, None, "it is let go");
    let said = place.said();
    assert!(said.contains("ingest.cached_customers") && said.contains("take a restart"), "{said}");
    assert!(!said.contains("greedy"), "a customer is not named: {said}");

    let last = last_reload(&daemon);
    assert_eq!(last["outcome"], "taken_over", "{last}");
    assert_eq!(last["need_restart"], serde_json::json!(["ingest.cached_customers"]), "{last}");
    assert!(!is_refused(&daemon));

    // A signal reads it, too, and says so even though nothing has changed.
    daemon.signal(Signal::HUP);
    until("the file is read again", || loads(&daemon, "unchanged") > 0);
    let last = last_reload(&daemon);
    let (outcome, by) = (last["outcome"].as_str(), last["asked_by"].as_str());
    assert_eq!((outcome, by), (Some("unchanged"), Some("signal")), "{last}");

    // And the other way round.
    write(&file, &format!("{BURST}{SLOW}"));
    until("the rates are taken over", || loads(&daemon, "loaded") > 1);
    submit(&channel, "honest", 9_000).await.unwrap();
    let anew = async { while submit(&channel, "greedy", 9_000).await.is_err() {} };
    tokio::time::timeout(SOON, anew).await.expect("what it owed is paid in a second");
    assert_eq!(held(&channel, "greedy").await, event_rate, "the rate holds again");
    assert_eq!(held(&channel, "honest").await, None);
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
}

// covers: B2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_over_its_rate_of_bytes_is_told_when_to_come_back_and_its_neighbour_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let rates = "ingest.customer_rates={ greedy = { events_per_second = 0, bytes_per_second = \"10B\" } }";
    let daemon = Place::new(dir.path()).with(&["--set", rates, "--set", "ingest.customer_burst=1s"]).start();
    set_up(&daemon.grpc, &["greedy", "honest"], &[]).await;
    let channel = connect(&daemon.grpc).await.unwrap();
    submit(&channel, "greedy", 2_000)
        .await
        .expect("who has sent nothing may send what is larger than its rate");
    for _ in 0..20 {
        assert_eq!(held(&channel, "greedy").await.as_deref(), Some("CUSTOMER_BYTE_RATE"));
        submit(&channel, "honest", 2_000).await.expect("the neighbour is served");
    }
    let page = daemon.page("/metrics");
    assert!(page.contains("usaged_requests_refused_total{reason=\"CUSTOMER_BYTE_RATE\"} 20"), "{page}");
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
}

/// A request of almost 4 MiB whose last bytes do not come: it holds the memory that it was given, until it is given up as
/// too slow.
async fn half_of_a_request(
    grpc: &str,
    customer: &'static str,
) -> (mpsc::Sender<Frame<Bytes>>, JoinHandle<()>) {
    const SIZE: u32 = (4 << 20) - 1024;
    let mut channel = connect(grpc).await.unwrap();
    let (send, frames) = mpsc::channel(4);
    let body = StreamBody::new(tokio_stream::StreamExt::map(ReceiverStream::new(frames), Ok::<_, Status>));
    let request = http::Request::post(format!("http://{grpc}/usaged.ingest.v1.IngestService/Submit"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header(CUSTOMER_KEY, customer)
        .body(tonic::body::Body::new(body))
        .unwrap();
    let answered = tokio::spawn(async move {
        std::future::poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
        let _answer = channel.call(request).await;
    });
    let head = [&[0][..], &SIZE.to_be_bytes()].concat();
    for part in [head, vec![0; 3 << 20]] {
        // Who is refused before it has sent everything is no longer read.
        let _refused = send.send(Frame::data(part.into())).await;
    }
    (send, answered)
}

// covers: B1, B2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_that_holds_its_part_of_the_memory_is_told_so_and_its_neighbour_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let memory = [
        ["--set", "grpc.request_memory=16MiB"],
        ["--set", "grpc.request_memory_per_customer=4MiB"],
        ["--set", "grpc.request_memory_per_connection=16MiB"],
    ];
    let daemon = Place::new(dir.path()).with(memory.as_flattened()).start();
    set_up(&daemon.grpc, &["greedy", "honest"], &[]).await;
    let channel = connect(&daemon.grpc).await.unwrap();
    let mut holding = half_of_a_request(&daemon.grpc, "greedy").await;
    let spent = async {
        loop {
            let told = held(&channel, "greedy").await;
            submit(&channel, "honest", 100).await.expect("the neighbour is served");
            match told.as_deref() {
                Some("CUSTOMER_REQUEST_BYTES_SPENT") => break,
                Some(other) => panic!("{other}"),
                // It is still on its way, or was given up on a slow machine.
                None if holding.1.is_finished() => holding = half_of_a_request(&daemon.grpc, "greedy").await,
                None => {}
            }
        }
    };
    tokio::time::timeout(SOON, spent).await.expect("the customer holds all that it may");
    drop(holding);
    let given_back = async { while held(&channel, "greedy").await.is_some() {} };
    tokio::time::timeout(SOON, given_back).await.expect("what it held is given back");
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
}
