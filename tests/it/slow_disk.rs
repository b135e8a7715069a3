//! A disk whose syncs take seconds: what waits has a bound, what is too much is sent away with the time to come back, and
//! when the disk is quick again all goes on.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use usaged::grpc::client::{Code, connect, retry_delay};
use usaged::grpc::proto::ingest::ingest_service_client::IngestServiceClient;

use crate::fault_daemon::{Daemon, Place, SOON};
use crate::fault_load::{Load, drain_all, set_up};
use crate::fault_oracle::{batch, survived};
use crate::grpc_collector::from;
use crate::sync_error::{need_strace, until_traced};

fn memory(daemon: &Daemon) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// covers: B1, B2, D1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_takes_seconds_for_a_sync_is_not_waited_for_without_bound() {
    need_strace();
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path()).with(&["--set", "store.queue_depth=2"]);
    let daemon = tokio::task::block_in_place(|| place.start());
    set_up(&daemon.grpc, &["acme", "globex"], &["verify"]).await;
    let mut load = Load::new();
    for _ in 0..24 {
        load.sender("acme", 0);
    }
    load.is_at(&daemon.grpc);
    load.goes_on(200).await;
    let calm = memory(&daemon);

    let mut tracer = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync"])
        .args(["-e", "inject=fdatasync:delay_enter=8s", "-p", &daemon.pid().to_string()])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    tokio::task::block_in_place(|| until_traced(daemon.pid()));
    // One of many senders that is told to come back, and when.
    let mut client = IngestServiceClient::new(connect(&daemon.grpc).await.unwrap());
    let begun = Instant::now();
    let refused = loop {
        assert!(begun.elapsed() < SOON, "nobody is sent away");
        match client.submit(from("globex", batch(load.oracle.next()))).await {
            // It had its turn.
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    assert!([Code::ResourceExhausted, Code::Unavailable].contains(&refused.code()), "{refused:?}");
    assert!(retry_delay(&refused).is_some_and(|wait| wait > Duration::ZERO), "{refused:?}");
    assert!(daemon.page("/livez").starts_with("HTTP/1.1 200"), "it answers while it waits for the disk");
    let slow = memory(&daemon);
    kill_process(Pid::from_raw(i32::try_from(tracer.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
    let _ = tracer.wait();
    assert!(slow * 10 < calm * 13, "memory grew from {calm} to {slow} kB while the disk was slow");

    load.goes_on(100).await;
    load.stop().await;
    // What the probe sent was for another customer and is not the oracle's.
    let drained = drain_all(&daemon.grpc, "verify", &load.oracle).await;
    load.oracle.compare_instant(&drained, &load.oracle.acknowledged());
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
    survived("syncs of 8 s", 1, load.oracle.count());
}
