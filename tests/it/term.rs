//! TERM on the real process: what was accepted is finished and answered, nothing new is taken, and
//! it says so while it ends. HUP: the policy is read again, and taken over whole or not at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use usaged::grpc::client::{Code, Status, connect, retry_delay};
use usaged::grpc::proto::ingest::ingest_service_client::IngestServiceClient;
use usaged::grpc::proto::ingest::submit_stream_response::Result as Answer;
use usaged::policy::PolicyFile;

use crate::fault_daemon::{Place, until};
use crate::fault_load::{drain_all, set_up};
use crate::fault_oracle::{Oracle, batch};
use crate::grpc_collector::from;

/// Whether this is the client library's word for a request that it did not send any more, or that
/// was beyond the last one that the collector said it takes (which others retry by themselves).
fn is_untaken(status: &Status) -> bool {
    let source = std::error::Error::source(status).map(|source| format!("{source:?}")).unwrap_or_default();
    (status.code() == Code::Cancelled && source.contains("Canceled, \"connection closed\""))
        || (status.code() == Code::Internal && source.contains("GoAway(b\"\", NO_ERROR, Remote)"))
}

/// Sends batches until it is refused; the refusal must be one that says "again, elsewhere".
async fn send_until_refused(grpc: String, oracle: Arc<Oracle>, warm: Arc<Barrier>) {
    let mut client = IngestServiceClient::new(connect(&grpc).await.unwrap());
    for sent in 0.. {
        let (number, before) = (oracle.next(), oracle.highest());
        match client.submit(from("acme", batch(number))).await {
            Ok(receipt) => oracle.acknowledge(number, receipt.get_ref(), before),
            Err(status) => {
                assert!(status.code() == Code::Unavailable || is_untaken(&status), "{status:?}");
                return oracle.refuse(number);
            }
        }
        if sent == 5 {
            warm.wait().await;
        }
    }
}

/// The same over a stream with many batches under way: each is stored and answered, or refused.
async fn stream_until_refused(grpc: String, oracle: Arc<Oracle>, warm: Arc<Barrier>) {
    let mut client = IngestServiceClient::new(connect(&grpc).await.unwrap());
    let (requests, receiver) = tokio::sync::mpsc::channel(1);
    let mut answers =
        client.submit_stream(from("acme", ReceiverStream::new(receiver))).await.unwrap().into_inner();
    let (numbers, mut in_order) = tokio::sync::mpsc::channel(64);
    let sending = tokio::spawn({
        let oracle = Arc::clone(&oracle);
        async move {
            loop {
                let (number, before) = (oracle.next(), oracle.highest());
                if numbers.send((number, before)).await.is_err()
                    || requests.send(batch(number)).await.is_err()
                {
                    return;
                }
            }
        }
    });
    let mut answered = 0;
    let last = loop {
        match answers.message().await {
            Ok(Some(answer)) => {
                let (number, before) = in_order.recv().await.unwrap();
                let Some(Answer::Receipt(receipt)) = answer.result else { panic!("{answer:?}") };
                oracle.acknowledge(number, &receipt, before);
            }
            Ok(None) => panic!("the stream ended without saying why"),
            Err(status) => break status,
        }
        answered += 1;
        if answered == 5 {
            warm.wait().await;
        }
    };
    assert_eq!(last.code(), Code::Unavailable, "{last:?}");
    in_order.close();
    while let Some((number, _)) = in_order.recv().await {
        oracle.refuse(number);
    }
    let _ = sending.await;
}

/// covers: S1, D1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn term_under_load_stores_exactly_what_it_answers() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path());
    let oracle = Arc::new(Oracle::default());
    for life in 0..3 {
        let daemon = place.start();
        if life == 0 {
            set_up(&daemon.grpc, &["acme"], &["verify"]).await;
        }
        let (mut load, warm) = (JoinSet::new(), Arc::new(Barrier::new(7)));
        for _ in 0..4 {
            load.spawn(send_until_refused(daemon.grpc.clone(), Arc::clone(&oracle), Arc::clone(&warm)));
        }
        for _ in 0..2 {
            load.spawn(stream_until_refused(daemon.grpc.clone(), Arc::clone(&oracle), Arc::clone(&warm)));
        }
        warm.wait().await;
        let begun = Instant::now();
        assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
        assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
        while let Some(ended) = load.join_next().await {
            ended.unwrap();
        }
        assert!(place.said().contains("every request in progress was answered"), "{}", place.said());
        assert!(!place.said().contains("grace period over"), "{}", place.said());
    }
    let daemon = place.start();
    oracle.compare(&drain_all(&daemon.grpc, "verify", &oracle).await);
    assert!(oracle.count() > 30 * 3);
    assert_eq!(daemon.end(), 0);
}

/// An HTTP/2 connection with a request that has begun and does not go on: the collector has to wait
/// for it.
pub async fn half_sent_request(grpc: &str) -> tokio::net::TcpStream {
    let mut stream = tokio::net::TcpStream::connect(grpc).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let path = "/usaged.ingest.v1.IngestService/Submit";
    // Headers as literals without indexing: their names and values as they are.
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "x"),
        ("content-type", "application/grpc"),
        ("usaged-customer", "acme"),
    ] {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    let length = u8::try_from(block.len()).unwrap();
    stream.write_all(&[0, 0, length, 1, 4, 0, 0, 0, 1]).await.unwrap();
    stream.write_all(&block).await.unwrap();
    // The beginning of a message of 100 bytes, and no more.
    stream.write_all(&[0, 0, 6, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 100, 0x0a]).await.unwrap();
    // A PING, whose answer says that all before it was read.
    stream.write_all(&[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]).await.unwrap();
    let mut read = Vec::new();
    while !read.windows(9).any(|frame| frame == [0, 0, 8, 6, 1, 0, 0, 0, 0]) {
        assert!(stream.read_buf(&mut read).await.unwrap() > 0, "the connection was closed: {read:?}");
    }
    stream
}

/// covers: S1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_it_ends_it_says_that_it_does_not_serve_and_the_grace_period_has_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path()).with(&["--set", "shutdown.grace=2s"]);
    let daemon = place.start();
    assert!(daemon.page("/readyz").starts_with("HTTP/1.1 200"));
    let mut health = HealthClient::new(connect(&daemon.grpc).await.unwrap());
    let mut watch = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let _held = half_sent_request(&daemon.grpc).await;

    let begun = Instant::now();
    daemon.signal(Signal::TERM);
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    tokio::task::block_in_place(|| {
        until("not ready", || daemon.page("/readyz").starts_with("HTTP/1.1 503"));
    });
    assert!(daemon.page("/readyz").contains("shutting down"));
    assert!(daemon.page("/livez").starts_with("HTTP/1.1 200"), "it still lives");
    while connect(&daemon.grpc).await.is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(2), "new connections are taken");
    }
    assert_eq!(tokio::task::block_in_place(|| daemon.ended()), 0);
    assert!(begun.elapsed() < Duration::from_secs(6), "it took {:?}", begun.elapsed());
    assert!(place.said().contains("grace period over, connections cut"), "{}", place.said());
}

/// covers: S1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_only_watch_do_not_keep_it_from_ending() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path());
    let daemon = place.start();
    set_up(&daemon.grpc, &["acme"], &[]).await;
    let channel = connect(&daemon.grpc).await.unwrap();
    let watch = HealthClient::new(channel.clone()).watch(HealthCheckRequest::default()).await.unwrap();
    // A sender whose stream is open and idle.
    let (requests, receiver) = tokio::sync::mpsc::channel(1);
    requests.send(batch(1)).await.unwrap();
    let mut sender = IngestServiceClient::new(channel);
    let mut answers =
        sender.submit_stream(from("acme", ReceiverStream::new(receiver))).await.unwrap().into_inner();
    answers.message().await.unwrap().unwrap();

    let begun = Instant::now();
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}: {}", begun.elapsed(), place.said());
    let closing = answers.message().await.unwrap_err();
    assert_eq!(closing.code(), Code::Unavailable, "{closing:?}");
    assert!(retry_delay(&closing).is_some(), "{closing:?}");
    drop(watch);
}

pub fn write_policy(dir: &Path, change: impl Fn(&PolicyFile) -> String) {
    for file in usaged::policy::shipped() {
        let path = dir.join(&file.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, change(&file)).unwrap();
    }
}

/// Two policies, and the place that a collector reads its policy from: the shipped one, until it goes on to the second.
pub struct Policies {
    /// One that does not know the field `vcpus` of `vm.inventory` any more.
    second: PathBuf,
    link: PathBuf,
}

impl Policies {
    pub fn write(dir: &Path) -> Self {
        let [first, second, link] = ["first", "second", "policy"].map(|name| dir.join(name));
        write_policy(&first, |file| file.text.clone());
        write_policy(&second, |file| {
            file.text.replace("\"vm.inventory\".fields.vcpus]", "\"vm.inventory\".fields.cores]")
        });
        point(&link, &first);
        Self { second, link }
    }

    /// A collector in `dir` that goes by it.
    pub fn place(&self, dir: &Path) -> Place {
        Place::new(dir).with(&["--policy-dir", &self.link.display().to_string()])
    }

    /// Puts the second in the place of the first.
    pub fn go_on(&self) {
        point(&self.link, &self.second);
    }
}

/// Puts `dir` in the place of the policy at once. The watch on the old directory sees nothing of it.
pub fn point(link: &Path, dir: &Path) {
    let new = link.with_extension("new");
    std::os::unix::fs::symlink(dir, &new).unwrap();
    std::fs::rename(new, link).unwrap();
}

/// covers: P5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hup_takes_over_a_good_policy_at_once_and_refuses_a_bad_one_by_line() {
    let dir = tempfile::tempdir().unwrap();
    let (policies, bad) = (Policies::write(dir.path()), dir.path().join("bad"));
    write_policy(&bad, |file| file.text.replace("class = \"host_name\"", "class = \"hostname\""));
    let place = policies.place(dir.path());
    let daemon = place.start();
    set_up(&daemon.grpc, &["acme"], &[]).await;

    // One sender all the time: each batch is decided by the one policy or the other, never by both.
    let mut client = IngestServiceClient::new(connect(&daemon.grpc).await.unwrap());
    let mut number = 0;
    let mut send = async || {
        number += 1;
        let receipt = client.submit(from("acme", batch(number))).await.unwrap().into_inner();
        let of_each = receipt.accepted_fields / receipt.accepted_events;
        assert_eq!(receipt.accepted_fields % receipt.accepted_events, 0, "{receipt:?}");
        (receipt.policy_version, of_each)
    };
    let before = send().await;
    assert_eq!(before.1, 4);

    point(&policies.link, &bad);
    daemon.signal(Signal::HUP);
    tokio::task::block_in_place(|| {
        until("a refusal", || place.said().contains("policy refused as a whole, the one before stays"));
    });
    assert!(place.said().contains("products/vcenter.toml:16: "), "{}", place.said());
    assert_eq!(send().await, before, "the policy before is still in force");

    policies.go_on();
    daemon.signal(Signal::HUP);
    let mut after = send().await;
    while after == before {
        after = send().await;
    }
    assert_eq!(after.1, 3);
    assert_ne!(after.0, before.0);
    for _ in 0..20 {
        assert_eq!(send().await, after, "there is no way back");
    }
    assert!(place.said().contains("policy taken over"));
    assert_eq!(daemon.end(), 0);
}
