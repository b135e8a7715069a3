//! Erasing while others press: under heavy ingest, on a full disk, with the id of another erasure, by a caller who goes
//! away, and with batches out that hold what is erased.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value as Json;
use usaged::grpc::client::{Timestamp, connect};
use usaged::grpc::proto::admin::EraseRequest;
use usaged::grpc::proto::admin::erase_request::Scope;
use usaged::grpc::proto::admin::erasure_service_client::ErasureServiceClient;
use usaged::grpc::proto::ingest::ingest_service_client::IngestServiceClient;
use usaged::grpc::proto::ingest::{Event, Field, SubmitRequest, Value, value::Kind};

use crate::cli_run::{Collector, Ended, usaged, usaged_with};
use crate::fault_daemon::{Disk, until};
use crate::full_disk::{Ballast, place};
use crate::grpc_collector::from;

const EVENTS: u64 = 5;
const HOSTS: u64 = 8;
const ID: &str = "0198c0de-0000-7000-8000-000000000001";

fn ok(ended: Ended) -> Ended {
    assert_eq!(ended.code, 0, "{} {}", ended.out, ended.err);
    ended
}

fn set_up(grpc: &str) {
    let client = |args: &[&str]| ok(usaged(args.iter().chain(&["--server", grpc])));
    client(&["participation", "set", "acme", "--level", "ceip=standard", "--reason", "x"]);
    client(&["subscription", "create", "team", "--purpose", "improve", "--recipient", "x", "--from-oldest"]);
}

/// A batch whose events all name one host, and happen now.
fn batch(number: u64) -> (SubmitRequest, i64) {
    let now = jiff::Timestamp::now();
    let field = |name: &str, kind| Field { name: name.to_owned(), value: Some(Value { kind: Some(kind) }) };
    let event = |place| Event {
        name: "vm.inventory".to_owned(),
        time: Some(Timestamp { seconds: now.as_second(), nanos: now.subsec_nanosecond() }),
        fields: vec![
            field("host", Kind::StringValue(format!("esx-{}.example.com", number % HOSTS))),
            field("uptime_s", Kind::IntValue(i64::try_from(number * EVENTS + place).unwrap())),
        ],
        ..Event::default()
    };
    let request = SubmitRequest {
        batch_id: format!("00000000-0000-4000-8000-{number:012x}"),
        product: "vcenter".to_owned(),
        events: (0..EVENTS).map(event).collect(),
        ..SubmitRequest::default()
    };
    (request, now.as_millisecond())
}

/// What a sender knows of a batch that was taken.
struct Acknowledged {
    /// When its events happened, in Unix milliseconds.
    at: i64,
    accepted: u32,
    commit: u64,
}

fn lines(out: &str) -> Vec<Json> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

// covers: P3, P8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_under_heavy_ingest_takes_out_all_of_it_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Arc::new(Collector::start(dir.path(), &[]));
    tokio::task::block_in_place(|| set_up(&collector.grpc));
    let (next, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    // What was acknowledged, by its number.
    let acknowledged: Arc<Mutex<BTreeMap<u64, Acknowledged>>> = Arc::default();
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (next, stop, acknowledged) = (Arc::clone(&next), Arc::clone(&stop), Arc::clone(&acknowledged));
        let mut client = IngestServiceClient::new(connect(&collector.grpc).await.unwrap());
        senders.spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                let number = next.fetch_add(1, Ordering::SeqCst);
                let (request, at) = batch(number);
                let receipt = client.submit(from("acme", request)).await.unwrap().into_inner();
                let answer =
                    Acknowledged { at, accepted: receipt.accepted_events, commit: receipt.commit_number };
                acknowledged.lock().unwrap().insert(number, answer);
            }
        });
    }
    let more = |batches: usize| {
        let target = acknowledged.lock().unwrap().len() + batches;
        until("more batches", || acknowledged.lock().unwrap().len() >= target);
    };
    let args =
        ["erase", "--customer", "acme", "--class", "host_name", "--value", "esx-3.example.com", "--json"];
    let done = tokio::task::block_in_place(|| {
        more(200);
        let done = ok(collector.client(&args, "")).json();
        more(200);
        done
    });
    stop.store(true, Ordering::SeqCst);
    while senders.join_next().await.is_some() {}
    assert_eq!(done["state"], "DONE", "{done}");
    let requested: jiff::Timestamp = done["request_time"].as_str().unwrap().parse().unwrap();
    let requested = requested.as_millisecond();

    let drained = tokio::task::block_in_place(|| lines(&ok(collector.client(&["drain", "team"], "")).out));
    let number = |event: &Json| event["fields"]["uptime_s"].as_u64().unwrap();
    let drained: Vec<u64> = drained.iter().map(number).collect();
    let unique: BTreeSet<u64> = drained.iter().copied().collect();
    assert_eq!(unique.len(), drained.len(), "nothing comes twice");
    let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
    let (mut erased, mut kept, mut withheld) = (0, 0, 0);
    for (batch, Acknowledged { at, accepted, commit }) in acknowledged {
        let there = (0..EVENTS).filter(|place| unique.contains(&(batch * EVENTS + place))).count();
        let is_named = batch % HOSTS == 3;
        let what = format!(
            "batch {batch}, named {is_named}: happened {} ms after the erasure (at most 0: until it), {accepted} accepted \
             as commit {commit}, {there} left; {done}",
            at - requested
        );
        if !is_named || at > requested {
            assert_eq!((there, accepted), (5, 5), "nobody erased {what}");
            kept += u64::from(is_named);
        } else {
            assert_eq!(there, 0, "erased was {what}");
            erased += u64::from(accepted);
            withheld += 5 - u64::from(accepted);
        }
    }
    // What was accepted of it before is what the receipt counts; what came late was withheld.
    assert_eq!(done["removed_events"].as_u64().unwrap(), erased, "{done}, withheld {withheld}");
    assert!(erased >= 100 && kept >= 10, "{erased} {kept}");
    let collector = Arc::into_inner(collector).unwrap();
    assert_eq!(tokio::task::block_in_place(|| collector.end()), 0);
}

// covers: P8, B2
#[test]
fn on_a_full_disk_an_erasure_is_refused_with_a_hint_or_fenced_at_once_and_done_when_there_is_room() {
    let (disk, logs) = (Disk::mount("size=64m"), tempfile::tempdir().unwrap());
    let place = place(&disk, &logs);
    let daemon = place.start();
    set_up(&daemon.grpc);
    let client = |args: &[&str], input: &str| {
        usaged_with(args.iter().chain(&["--server", daemon.grpc.as_str()]), input)
    };
    let line = |n: u32| {
        format!(
            "{{\"name\":\"vm.inventory\",\"fields\":{{\"host\":\"esx-{n}.example.com\",\"vcpus\":{n}}}}}\n"
        )
    };
    let input: String = (0..40).map(line).collect();
    ok(client(&["send", "--customer", "acme", "--product", "vcenter", "--batch-size", "4"], &input));

    // Near the end there is no room for new data, and for erasing there is; rewriting whole files has to wait.
    let ballast = Ballast::fill(&disk, 1 << 20);
    let erase = |host: &str, id: &str| {
        let args = [
            "erase",
            "--customer",
            "acme",
            "--class",
            "host_name",
            "--value",
            host,
            "--id",
            id,
            "--no-wait",
            "--json",
        ];
        client(&args, "")
    };
    let begun = ok(erase("esx-7.example.com", ID)).json();
    assert_ne!(begun["state"], "DONE", "{begun}");
    let drained = lines(&ok(client(&["drain", "team"], "")).out);
    assert_eq!(drained.len(), 39, "it is fenced, and the rest is not");
    assert!(drained.iter().all(|event| event["fields"]["vcpus"] != 7));
    drop(ballast);

    // Without a free byte it is begun whole or refused whole, with a hint; never half, never a crash.
    let other = "0198c0de-0000-7000-8000-000000000002";
    let ballast = Ballast::fill(&disk, 0);
    let answer = erase("esx-8.example.com", other);
    assert!([0, 4, 5].contains(&answer.code), "{} {}", answer.code, answer.err);
    assert!(!answer.err.contains("esx-8"), "{}", answer.err);
    drop(ballast);
    until("the erasure can be asked for", || erase("esx-8.example.com", other).code == 0);
    for id in [ID, other] {
        let done = ok(client(&["erase", "status", id, "--wait", "--json"], "")).json();
        assert_eq!((&done["state"], &done["removed_events"]), (&"DONE".into(), &1.into()), "{done}");
    }
    ok(client(&["subscription", "seek", "team", "--oldest"], ""));
    let drained = lines(&ok(client(&["drain", "team"], "")).out);
    assert_eq!(drained.len(), 38);
    assert!(drained.iter().all(|event| event["fields"]["vcpus"] != 7 && event["fields"]["vcpus"] != 8));
    assert_eq!(daemon.end(), 0);
    let ledger = place.data.join("ledger").display().to_string();
    ok(usaged(["ledger", "verify", &ledger]));
}

#[test]
fn the_id_of_an_erasure_stands_for_one_value_only() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    set_up(&collector.grpc);
    let erase = |scope: &[&str], id: &str| {
        let args = [&["erase", "--customer", "acme", "--id", id, "--json"][..], scope].concat();
        collector.client(&args, "")
    };
    let (one, again) = ("esx-1.example.com", "ESX-1.example.com.");
    let host = |value| ["--class", "host_name", "--value", value];
    let done = ok(erase(&host(one), ID)).json();
    assert_eq!(ok(erase(&host(again), ID)).json()["request_time"], done["request_time"], "in any spelling");
    for other in [&host("esx-2.example.com")[..], &["--class", "vm_id", "--value", "17"], &["--everything"]] {
        let refused = erase(other, ID);
        assert_eq!(refused.code, 5, "{}", refused.out);
        assert!(
            refused.err.contains("belongs to another erasure") && !refused.err.contains("esx-2"),
            "{}",
            refused.err
        );
    }
    let instance = "0198c0de-0000-7000-8000-000000000003";
    ok(erase(&["--instance", "one"], instance));
    assert_eq!(erase(&["--instance", "two"], instance).code, 5);
    ok(erase(&["--instance", "one"], instance));
    assert_eq!(collector.end(), 0);
}

// covers: P8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_goes_on_when_who_asked_for_it_goes_away() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    tokio::task::block_in_place(|| set_up(&collector.grpc));
    let channel = connect(&collector.grpc).await.unwrap();
    let mut begun = 0;
    for number in 0..60_u64 {
        let id = format!("0198c0de-0000-7000-8000-{number:012x}");
        let request = EraseRequest {
            erasure_id: id.clone(),
            customer: "acme".to_owned(),
            scope: Some(Scope::Instance(format!("instance-{number}"))),
            ..EraseRequest::default()
        };
        let mut client = ErasureServiceClient::new(channel.clone());
        let asked = tokio::time::timeout(Duration::from_micros(100 * number), client.erase(request)).await;
        // Of those that were given up some had begun: they end like the others, without another word.
        let told = tokio::task::block_in_place(|| {
            collector.client(&["erase", "status", &id, "--wait", "--json"], "")
        });
        match told.code {
            0 => assert_eq!(told.json()["state"], "DONE"),
            code => assert_eq!((code, asked.is_err()), (5, true), "{}", told.err),
        }
        begun += u64::from(told.code == 0 && asked.is_err());
    }
    println!("{begun} of 60 were begun and given up");
    assert_eq!(tokio::task::block_in_place(|| collector.end()), 0);
}

// covers: P8, D4
#[test]
fn a_batch_that_was_out_when_it_was_erased_is_refused_and_one_that_held_nothing_of_it_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    set_up(&collector.grpc);
    let line = |n: u32| {
        format!(
            "{{\"name\":\"vm.inventory\",\"fields\":{{\"host\":\"esx-{n}.example.com\",\"vcpus\":{n}}}}}\n"
        )
    };
    for pair in [0, 2, 4] {
        let send = ["send", "--customer", "acme", "--product", "vcenter"];
        ok(collector.client(&send, &[line(pair), line(pair + 1)].concat()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    use usaged::grpc::proto::drain::drain_service_client::DrainServiceClient;
    use usaged::grpc::proto::drain::{AcknowledgeRequest, PullRequest, ack_failure::Reason};
    runtime.block_on(async {
        let channel = connect(&collector.grpc).await.unwrap();
        let mut drain = DrainServiceClient::new(channel.clone());
        let pull = || PullRequest { subscription: "team".into(), max_batches: 9, ..PullRequest::default() };
        let out = drain.pull(pull()).await.unwrap().into_inner().batches;
        assert_eq!(out.len(), 3);
        let request = EraseRequest {
            erasure_id: ID.to_owned(),
            customer: "acme".to_owned(),
            scope: Some(Scope::Identifier(usaged::grpc::proto::admin::OriginalIdentifier {
                class: "host_name".to_owned(),
                value: "esx-2.example.com".to_owned(),
            })),
            ..EraseRequest::default()
        };
        ErasureServiceClient::new(channel).erase(request).await.unwrap();
        // From the moment of the answer on, wherever the rewriting is.
        let ack_ids = out.iter().map(|one| one.ack_id.clone()).collect();
        let request = AcknowledgeRequest { subscription: "team".into(), ack_ids };
        let failures = drain.acknowledge(request).await.unwrap().into_inner().failures;
        let [failure] = failures.as_slice() else { panic!("{failures:?}") };
        assert_eq!((failure.reason(), failure.commit_number), (Reason::Withdrawn, out[1].commit_number));
        let rest = drain.pull(pull()).await.unwrap().into_inner().batches;
        assert_eq!(rest.len(), 1, "what is left of it comes again");
        assert_eq!((rest[0].commit_number, rest[0].delivery_attempt), (out[1].commit_number, 1));
        assert!(rest[0].batch.len() < out[1].batch.len());
        let request =
            AcknowledgeRequest { subscription: "team".into(), ack_ids: vec![rest[0].ack_id.clone()] };
        assert_eq!(drain.acknowledge(request).await.unwrap().into_inner().failures, []);
    });
    assert_eq!(collector.end(), 0);
}
