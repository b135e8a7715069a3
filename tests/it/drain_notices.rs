//! Notices of erasures: who gets them, for how long, by every way that a drainer has.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_stream::StreamExt as _;
use usaged::drain::{AckFailure, Notice, NoticeDelivery, Options, Scope};
use usaged::grpc::proto::drain as pb;
use usaged::model::{CustomerKey, ErasureId, IdentifierClass, Purpose, SubscriptionName};

use crate::cli_run::usaged;
use crate::drain_world::{START, World, event, jobs, subscription};
use crate::grpc_collector::{Collector, batch, from};

const NOW: Duration = Duration::ZERO;

fn erasure(number: u64) -> ErasureId {
    ErasureId::parse(&format!("00000000-0000-4000-8000-{number:012x}")).unwrap()
}

/// A notice that is of no program.
pub fn notice(number: u64) -> Notice {
    let tokens = vec!["p1-host_name-s-abc".to_owned()];
    let scope = Scope::Identifier { class: IdentifierClass::HostName, tokens };
    let (customers, programs, names) = (vec!["acme".to_owned()], BTreeMap::new(), BTreeMap::new());
    let (erasure, kept, leaves) = (erasure(number), BTreeMap::new(), BTreeMap::new());
    Notice { erasure, scope, customers, requested: START, programs, kept, names, leaves }
}

pub fn key(world: &World) -> CustomerKey {
    world.live.store.customer_key(&crate::drain_world::acme()).unwrap().unwrap()
}

pub fn other() -> SubscriptionName {
    SubscriptionName::new("other").unwrap()
}

pub async fn notices(world: &World, name: &SubscriptionName) -> Vec<NoticeDelivery> {
    world.drain().pull(name, 0, 0, NOW, 0).await.unwrap().notices
}

/// A world with two subscriptions, of which `jobs` has received one batch.
async fn world() -> World {
    let mut world = World::new(Options::default(), |_| ()).await;
    for name in [jobs(), other()] {
        world.drain().create(subscription(&name, Purpose::Improve), true).await.unwrap();
    }
    world.send(&[event("vm.inventory", "vcpus", 4)]).await;
    assert_eq!(world.drain().pull(&jobs(), 1, 1, NOW, 0).await.unwrap().deliveries.len(), 1);
    world
}

#[tokio::test]
async fn a_notice_reaches_those_that_received_data_until_they_acknowledge_it() {
    let world = world().await;
    assert_eq!(world.drain().notify(key(&world), notice(1)).await.unwrap(), 1);
    assert_eq!(world.drain().notify(CustomerKey(99), notice(2)).await.unwrap(), 0, "of nobody known");
    assert_eq!(notices(&world, &other()).await, []);
    let given = notices(&world, &jobs()).await;
    assert_eq!((given.len(), &*given[0].notice), (1, &notice(1)));
    // What was leased before comes with it, and it comes again, also after a crash.
    let world = world.restart().await;
    assert_eq!(notices(&world, &jobs()).await, given);
    assert_eq!(world.drain().notify(key(&world), notice(1)).await.unwrap(), 1, "told before");
    assert_eq!(notices(&world, &jobs()).await.len(), 1);
    assert_eq!(world.drain().notices_acknowledged(erasure(1)), (1, 0));
    let id = given[0].ack_id.clone();
    let wrong = world.drain().acknowledge(&other(), std::slice::from_ref(&id)).await.unwrap();
    assert_eq!(wrong.failures, [(id.clone(), AckFailure::Unknown)], "it is of another subscription");
    let modified = world.drain().modify_deadline(&jobs(), std::slice::from_ref(&id), NOW).await.unwrap();
    assert_eq!(modified.failures, [(id.clone(), AckFailure::Unknown)], "it is no lease");
    let done = world.drain().acknowledge(&jobs(), &[id.clone(), id.clone()]).await.unwrap();
    assert_eq!((done.done, done.failures.len()), (1, 0));
    let world = world.restart().await;
    assert_eq!(notices(&world, &jobs()).await, []);
    assert_eq!(world.drain().notices_acknowledged(erasure(1)), (1, 1));
    assert_eq!(world.drain().notices_acknowledged(erasure(2)), (0, 0));
    let twice = world.drain().acknowledge(&jobs(), std::slice::from_ref(&id)).await.unwrap();
    assert_eq!(twice.failures, [(id, AckFailure::Expired)]);
}

#[tokio::test]
async fn who_received_what_is_remembered_through_a_crash_and_goes_with_the_subscription() {
    let world = world().await.restart().await;
    let customer = key(&world);
    assert_eq!(world.drain().notify(customer, notice(1)).await.unwrap(), 1);
    world.drain().delete(&jobs()).await.unwrap();
    assert_eq!(world.drain().notices_acknowledged(erasure(1)), (0, 0));
    world.drain().create(subscription(&jobs(), Purpose::Improve), true).await.unwrap();
    assert_eq!(notices(&world, &jobs()).await, []);
    assert_eq!(world.drain().notify(customer, notice(2)).await.unwrap(), 0, "it has received nothing yet");
    let world = world.restart().await;
    assert_eq!(world.drain().notify(customer, notice(2)).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notice_ends_the_wait_of_a_pull_and_comes_with_batches() {
    let mut world = world().await;
    let waiter = world.drain().clone();
    let waiting = tokio::spawn(async move { waiter.pull(&jobs(), 1, 1, Duration::from_secs(30), 0).await });
    world.drain().notify(key(&world), notice(1)).await.unwrap();
    let pulled = waiting.await.unwrap().unwrap();
    assert_eq!((pulled.deliveries.len(), pulled.notices.len()), (0, 1));
    world.send(&[event("vm.inventory", "vcpus", 5)]).await;
    let both = world.drain().pull(&jobs(), 9, 1, NOW, 0).await.unwrap();
    assert_eq!((both.deliveries.len(), both.notices), (1, pulled.notices.clone()));
    let after = world.drain().pull(&jobs(), 9, 1, NOW, pulled.notices[0].number).await.unwrap();
    assert!(after.is_empty(), "it was given to this caller before");
    let long = Notice { customers: vec!["x".repeat(257)], ..notice(3) };
    assert!(world.drain().notify(key(&world), long).await.is_err());
}

/// A collector with a subscription `jobs` that holds one of two batches.
async fn collector() -> (Collector, pb::ReceivedBatch) {
    let collector = Collector::open().await;
    collector.participate("acme", "standard").await;
    collector.subscribe("jobs").await;
    for number in 1..=2 {
        collector.ingest().submit(from("acme", batch(number, "esx01.example.com"))).await.unwrap();
    }
    let pull = pb::PullRequest { subscription: "jobs".into(), max_batches: 1, ..pb::PullRequest::default() };
    let pulled = collector.drain().pull(pull).await.unwrap().into_inner();
    assert_eq!(collector.room.notify(CustomerKey(1), notice(1)).await.unwrap(), 1);
    (collector, pulled.batches[0].clone())
}

#[tokio::test]
async fn a_stream_gives_each_notice_once_also_when_its_limits_are_reached() {
    let (collector, _) = collector().await;
    for again in [false, true] {
        let (send, sent) = tokio::sync::mpsc::channel(16);
        let first = pb::StreamingPullRequest {
            subscription: "jobs".into(),
            max_outstanding_batches: 1,
            ..pb::StreamingPullRequest::default()
        };
        send.send(first).await.unwrap();
        let requests = tokio_stream::wrappers::ReceiverStream::new(sent);
        let mut answers = collector.drain().streaming_pull(requests).await.unwrap().into_inner();
        let answer = answers.next().await.unwrap().unwrap();
        assert_eq!(answer.notices.len(), 1, "a new stream gives it again");
        let told = &answer.notices[0];
        assert_eq!((told.scope(), told.class.as_str()), (pb::notice::Scope::Identifier, "host_name"));
        assert_eq!(
            (&told.customers, &told.tokens),
            (&vec!["acme".to_owned()], &vec!["p1-host_name-s-abc".to_owned()])
        );
        assert_eq!(told.request_time.unwrap().seconds * 1_000, START.0);
        if !again {
            // The one batch that may be out is out: only notices can come.
            assert_eq!(answer.batches.len(), 1);
            assert_eq!(collector.room.notify(CustomerKey(1), notice(2)).await.unwrap(), 1);
            let next = answers.next().await.unwrap().unwrap();
            assert_eq!((next.batches.len(), next.notices.len()), (0, 1));
            let ids = [&answer.notices[0], &next.notices[0]].map(|told| told.ack_id.clone());
            let ack_ids = ids[1..].to_vec();
            send.send(pb::StreamingPullRequest { ack_ids, ..pb::StreamingPullRequest::default() })
                .await
                .unwrap();
            let settled = answers.next().await.unwrap().unwrap();
            assert_eq!((settled.acknowledged_ids.as_slice(), settled.notices.len()), (&ids[1..], 0));
        }
    }
    assert_eq!(collector.room.notices_acknowledged(erasure(1)), (1, 0));
    assert_eq!(collector.room.notices_acknowledged(erasure(2)), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_and_a_pipe_read_notices_and_acknowledge_them_when_they_say_so() {
    let (collector, _) = collector().await;
    let server = collector.address.to_string();
    let drain = async |more: &'static [&'static str]| {
        let args: Vec<String> =
            ["drain", "jobs", "--server", &server].iter().chain(more).map(ToString::to_string).collect();
        tokio::task::spawn_blocking(move || usaged(args)).await.unwrap()
    };
    let shown = drain(&["--notices"]).await;
    assert_eq!((shown.code, shown.out.as_str()), (0, ""), "{}", shown.err);
    assert!(
        shown.err.contains(
            "notice: delete every event with the host_name p1-host_name-s-abc (named by pseudonyms only), of the customer acme"
        ),
        "{}",
        shown.err
    );
    assert!(
        shown.err.contains("1 notice waits: delete what is named there, then acknowledge"),
        "{}",
        shown.err
    );
    let lines = drain(&["--json"]).await;
    assert_eq!(lines.code, 0, "{}", lines.err);
    let parsed: Vec<serde_json::Value> =
        lines.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(parsed.len(), 2, "the other batch, and the notice once");
    assert_eq!(parsed[0]["notice"]["erasure_id"], erasure(1).to_string());
    assert_eq!(parsed[0]["notice"]["scope"], "identifier");
    assert_eq!(collector.room.notices_acknowledged(erasure(1)), (1, 0), "nobody said that it is deleted");
    let done = drain(&["--notices", "--ack-notices"]).await;
    assert_eq!(done.code, 0);
    assert!(done.err.contains("1 notice acknowledged"), "{}", done.err);
    assert_eq!(collector.room.notices_acknowledged(erasure(1)), (1, 1));
    assert!(!drain(&["--notices"]).await.err.contains("notice: "));
}

#[test]
fn an_erasure_is_named_by_a_uuid_and_nothing_else() {
    assert_eq!(erasure(7).to_string(), "00000000-0000-4000-8000-000000000007");
    for bad in ["", "7", "00000000-0000-0000-0000-000000000000", "{00000000-0000-4000-8000-000000000007}"] {
        assert!(ErasureId::parse(bad).is_err(), "{bad}");
    }
}
