//! Starting up in front of a long queue: what is read and what is held does not depend on its length.

use usaged::grpc::client::connect;
use usaged::grpc::proto::ingest::ingest_service_client::IngestServiceClient;
use usaged::grpc::proto::ingest::{Event, Field, SubmitRequest, Value, value::Kind};

use crate::fault_daemon::{Daemon, Place};
use crate::fault_load::set_up;
use crate::grpc_collector::from;

/// Events of one batch.
const BATCH: u64 = 500;

fn batch(number: u64) -> SubmitRequest {
    let field = |name: &str, n: u64| Field {
        name: name.to_owned(),
        value: Some(Value { kind: Some(Kind::IntValue(i64::try_from(n).unwrap())) }),
    };
    let event = |place: u64| Event {
        name: "vm.inventory".to_owned(),
        fields: vec![
            field("memory_mb", (number * BATCH + place).wrapping_mul(7_919) % 1_000_003),
            field("uptime_s", number * BATCH + place),
        ],
        ..Event::default()
    };
    SubmitRequest {
        batch_id: format!("00000000-0000-4000-8000-{number:012x}"),
        product: "vcenter".to_owned(),
        events: (0..BATCH).map(event).collect(),
        ..SubmitRequest::default()
    }
}

/// A number of `/proc/PID/FILE`.
fn number(daemon: &Daemon, file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/{file}", daemon.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_end_matches("kB").trim().parse().unwrap()
}

/// covers: B3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_before_two_hundred_thousand_events_reads_and_holds_no_more_than_before_ten_thousand() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path()).with(&[
        "--set",
        "store.segment_bytes=1MiB",
        "--set",
        "store.retention_bytes=1GiB",
    ]);
    let daemon = place.start();
    set_up(&daemon.grpc, &["acme"], &["verify"]).await;
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
    let (mut sent, mut measured) = (0, Vec::new());
    for events in [10_000, 200_000] {
        let daemon = tokio::task::block_in_place(|| place.start());
        let mut client = IngestServiceClient::new(connect(&daemon.grpc).await.unwrap());
        while sent * BATCH < events {
            let receipt = client.submit(from("acme", batch(sent))).await.unwrap().into_inner();
            assert_eq!(u64::from(receipt.accepted_events), BATCH);
            sent += 1;
        }
        // As after a crash, too: the log is read again.
        tokio::task::block_in_place(|| daemon.kill());
        let daemon = tokio::task::block_in_place(|| place.start());
        assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
        let daemon = tokio::task::block_in_place(|| place.start());
        measured.push((number(&daemon, "status", "VmHWM:"), number(&daemon, "io", "rchar:") / 1024));
        assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
    }
    let [(small_rss, small_read), (rss, read)] = measured[..] else { panic!("{measured:?}") };
    println!(
        "RESTART events=10000 rss_kb={small_rss} read_kb={small_read} events=200000 rss_kb={rss} read_kb={read}"
    );
    assert!(rss * 10 < small_rss * 13, "memory at start grew with the backlog: {small_rss} to {rss} kB");
    assert!(
        read < small_read + 8 * 1024,
        "what is read at start grew with the backlog: {small_read} to {read} kB"
    );
}
