//! A level that is lowered while drainers are at work, with the real services: whoever asks after the change was
//! answered gets nothing above the new level, and what was on its way is withdrawn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use usaged::grpc::client::{Message as _, Streaming};
use usaged::grpc::proto::drain as pb;
use usaged::grpc::proto::drain::ack_failure::Reason;
use usaged::grpc::proto::ingest::{Event, Field, SubmitRequest, Value, value::Kind};
use usaged::policy::{compile, shipped};

use crate::door_raw::SOON;
use crate::grpc_collector::{Collector, batch, from};

const SENDERS: u64 = 2;

/// A batch of an event that standard has, and one that only enhanced has.
fn request(number: u64) -> SubmitRequest {
    let mut request = batch(number, "esx01.example.com");
    let value = Value { kind: Some(Kind::StringValue("critical".to_owned())) };
    let fields = vec![Field { name: "severity".to_owned(), value: Some(value) }];
    request.events.push(Event { name: "support.log_line".into(), fields, ..Event::default() });
    request
}

fn decoded(received: &pb::ReceivedBatch) -> pb::Batch {
    let batch = pb::Batch::decode(&*received.batch).unwrap();
    let named = batch.event_names.iter().any(|name| name == "support.log_line");
    assert_eq!(named, batch.level == "enhanced", "{}", batch.level);
    batch
}

fn is_enhanced(received: &pb::ReceivedBatch) -> bool {
    decoded(received).level == "enhanced"
}

/// What everybody in the test knows.
#[derive(Default)]
struct Told {
    /// The change was answered.
    lowered: AtomicBool,
    stop: AtomicBool,
    /// Batches at each level that were delivered to whoever pulls, and to whoever streams.
    enhanced: [AtomicUsize; 2],
    standard: [AtomicUsize; 2],
    sent: AtomicU64,
}

impl Told {
    fn count(&self, who: usize, received: &pb::ReceivedBatch) -> bool {
        let is_enhanced = is_enhanced(received);
        let counts = if is_enhanced { &self.enhanced } else { &self.standard };
        counts[who].fetch_add(1, Ordering::SeqCst);
        is_enhanced
    }

    async fn wait_for(&self, counts: &[AtomicUsize; 2], least: usize) {
        let start = Instant::now();
        while counts.iter().any(|count| count.load(Ordering::SeqCst) < least) {
            assert!(start.elapsed() < SOON, "nothing comes any more");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn send(collector: Arc<Collector>, told: Arc<Told>, sender: u64) {
    let mut ingest = collector.ingest();
    let mut number = sender;
    while !told.stop.load(Ordering::SeqCst) {
        number += SENDERS;
        ingest.submit(from("acme", request(number))).await.unwrap();
        told.sent.fetch_add(1, Ordering::SeqCst);
    }
}

/// Pulls and acknowledges. What is asked for after the change is at the new level.
async fn pull(collector: Arc<Collector>, told: Arc<Told>) {
    let mut drain = collector.drain();
    while !told.stop.load(Ordering::SeqCst) {
        let is_after = told.lowered.load(Ordering::SeqCst);
        let wait = usaged::grpc::client::ProtoDuration { seconds: 0, nanos: 100_000_000 };
        let (subscription, max_batches) = ("pull".to_owned(), 7);
        let request =
            pb::PullRequest { subscription, max_batches, max_wait: Some(wait), notices_only: false };
        let batches = drain.pull(request).await.unwrap().into_inner().batches;
        let is_enhanced: Vec<bool> = batches.iter().map(|received| told.count(0, received)).collect();
        assert!(!is_after || !is_enhanced.contains(&true), "a pull after the change gave what was before it");
        let ack_ids: Vec<_> = batches.iter().map(|received| received.ack_id.clone()).collect();
        let is_late = told.lowered.load(Ordering::SeqCst);
        let request = pb::AcknowledgeRequest { subscription: "pull".to_owned(), ack_ids };
        let failures = drain.acknowledge(request).await.unwrap().into_inner().failures;
        for (received, is_enhanced) in batches.iter().zip(is_enhanced) {
            let failure = failures.iter().find(|failure| failure.ack_id == received.ack_id);
            check(received, is_enhanced, is_late, failure);
        }
    }
}

/// An acknowledgement of what is above the level is refused once the change was answered (`is_late`), and no other
/// one is.
fn check(received: &pb::ReceivedBatch, is_enhanced: bool, is_late: bool, failure: Option<&pb::AckFailure>) {
    match failure {
        Some(failure) => {
            assert!(is_enhanced, "what is at the level was refused: {failure:?}");
            assert_eq!(
                (failure.reason(), failure.commit_number),
                (Reason::Withdrawn, received.commit_number)
            );
        }
        None => assert!(!(is_enhanced && is_late), "what is above the level was acknowledged"),
    }
}

type Answers = Streaming<pb::StreamingPullResponse>;

async fn open(
    collector: &Collector,
    name: &str,
    batches: u32,
) -> (mpsc::Sender<pb::StreamingPullRequest>, Answers) {
    let (send, sent) = mpsc::channel(16);
    let first = pb::StreamingPullRequest {
        subscription: name.to_owned(),
        max_outstanding_batches: batches,
        ..pb::StreamingPullRequest::default()
    };
    send.send(first).await.unwrap();
    let answers = collector.drain().streaming_pull(ReceiverStream::new(sent)).await.unwrap().into_inner();
    (send, answers)
}

/// Streams and acknowledges.
async fn stream(collector: Arc<Collector>, told: Arc<Told>) {
    let (send, mut answers) = open(&collector, "stream", 50).await;
    let mut out = std::collections::HashMap::new();
    while !told.stop.load(Ordering::SeqCst) {
        let Ok(answer) = tokio::time::timeout(Duration::from_millis(100), answers.next()).await else {
            continue;
        };
        let answer = answer.unwrap().unwrap();
        for id in &answer.acknowledged_ids {
            let (received, is_enhanced, is_late) = out.remove(id).unwrap();
            check(&received, is_enhanced, is_late, None);
        }
        for failure in &answer.failures {
            let (received, is_enhanced, is_late) = out.remove(&failure.ack_id).unwrap();
            check(&received, is_enhanced, is_late, Some(failure));
        }
        let ack_ids: Vec<_> = answer.batches.iter().map(|received| received.ack_id.clone()).collect();
        let is_late = told.lowered.load(Ordering::SeqCst);
        for received in answer.batches {
            let is_enhanced = told.count(1, &received);
            out.insert(received.ack_id.clone(), (received, is_enhanced, is_late));
        }
        if !ack_ids.is_empty() {
            send.send(pb::StreamingPullRequest { ack_ids, ..Default::default() }).await.unwrap();
        }
    }
}

// covers: P6
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_above_a_lowered_level_goes_out_after_the_change_was_answered() {
    let collector = Arc::new(Collector::open().await);
    collector.participate("acme", "enhanced").await;
    for name in ["pull", "stream"] {
        collector.subscribe(name).await;
    }
    let told = Arc::new(Told::default());
    let mut tasks = Vec::new();
    for sender in 0..SENDERS {
        tasks.push(tokio::spawn(send(Arc::clone(&collector), Arc::clone(&told), sender)));
    }
    tasks.push(tokio::spawn(pull(Arc::clone(&collector), Arc::clone(&told))));
    tasks.push(tokio::spawn(stream(Arc::clone(&collector), Arc::clone(&told))));
    told.wait_for(&told.enhanced, 60).await;
    collector.participate("acme", "standard").await;
    told.lowered.store(true, Ordering::SeqCst);
    told.wait_for(&told.standard, 60).await;
    told.stop.store(true, Ordering::SeqCst);
    for task in tasks {
        task.await.unwrap();
    }
    for name in ["pull", "stream"] {
        let get = pb::GetSubscriptionRequest { name: name.to_owned() };
        let state = collector.drain().get_subscription(get).await.unwrap().into_inner();
        let sum = state.acknowledged_batches
            + state.waiting_batches
            + state.dead_batches
            + state.expired_batches
            + state.skipped_batches;
        assert_eq!(sum, told.sent.load(Ordering::SeqCst), "every stored batch is in one place: {state:?}");
        assert_eq!(state.skipped_batches, 0, "something is left of each");
    }
}

/// Events of a large batch, and how many of those there are: so many that a stream that nobody reads holds only a part
/// of them.
const LARGE: (usize, u64) = (1_500, 150);
/// Bytes that can be on their way to a client that does not read: its window, and the answers of 1 MiB that the
/// transport has taken beyond it. Twice as much waits behind the transport.
const ON_ITS_WAY: usize = 4 << 20;

async fn state_of(collector: &Collector, name: &str) -> pb::Subscription {
    let get = pb::GetSubscriptionRequest { name: name.to_owned() };
    collector.drain().get_subscription(get).await.unwrap().into_inner()
}

// covers: P6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_client_that_does_not_read_is_bound_by_a_lowered_level_too() {
    bind_what_waits(is_enhanced, async |collector| {
        collector.participate("acme", "standard").await;
    })
    .await;
}

fn names_vcpus(received: &pb::ReceivedBatch) -> bool {
    let batch = pb::Batch::decode(&*received.batch).unwrap();
    assert_eq!(batch.level, "enhanced");
    batch.fields.iter().any(|field| field.path.contains("vcpus"))
}

// covers: P6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_client_that_does_not_read_is_bound_by_a_stricter_policy_too() {
    bind_what_waits(names_vcpus, async |collector| {
        let mut files = shipped();
        for file in &mut files {
            file.text = file.text.replace("\"vm.inventory\".fields.vcpus]", "\"vm.inventory\".fields.cores]");
        }
        collector.policy.swap(Arc::new(compile(&files).unwrap().0));
    })
    .await;
}

/// Fills a stream that nobody reads, makes a change, and looks at what comes: nothing that `is_above` comes behind what
/// is not, no more of it than can be on its way, and none of it can be acknowledged.
async fn bind_what_waits(is_above: fn(&pb::ReceivedBatch) -> bool, change: impl AsyncFn(&Collector)) {
    let collector = Collector::open().await;
    collector.participate("acme", "enhanced").await;
    collector.subscribe("slow").await;
    let mut ingest = collector.ingest();
    for number in 0..LARGE.1 {
        let mut large = request(number);
        let event = large.events[0].clone();
        large.events.resize(LARGE.0, event);
        ingest.submit(from("acme", large)).await.unwrap();
    }
    let (_send, mut answers) = open(&collector, "slow", 10_000).await;
    // The stream leases until nothing more fits between it and its client.
    let (mut leased, mut same) = (0, 0);
    while same < 10 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = state_of(&collector, "slow").await.leased_batches;
        same = if now == leased && now > 0 { same + 1 } else { 0 };
        leased = now;
    }
    assert!(leased < LARGE.1, "a part still waits in the queue");
    change(&collector).await;

    let (mut above, mut bytes, mut at) = (Vec::new(), 0, 0);
    while at == 0 {
        let answer = tokio::time::timeout(SOON, answers.next()).await.unwrap().unwrap().unwrap();
        for received in answer.batches {
            if is_above(&received) {
                assert_eq!(at, 0, "what is above the level comes behind what is not");
                bytes += received.batch.len();
                above.push(received.ack_id);
            } else {
                at += 1;
            }
        }
    }
    assert!(bytes <= ON_ITS_WAY, "{bytes} bytes that are above the level went out");
    let (count, subscription) = (above.len(), "slow".to_owned());
    let request = pb::AcknowledgeRequest { subscription, ack_ids: above };
    let answer = collector.drain().acknowledge(request).await.unwrap().into_inner();
    assert_eq!((answer.acknowledged, answer.failures.len()), (0, count));
    assert!(answer.failures.iter().all(|failure| failure.reason() == Reason::Withdrawn));
    assert!(u64::try_from(count).unwrap() < leased, "some of what was leased did not go out");
}
