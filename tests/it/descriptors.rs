//! A process without file descriptors: it backs off, what is connected goes on, and it recovers.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use usaged::grpc::client::connect;

use crate::fault_daemon::{Daemon, Place, until};
use crate::fault_load::{Load, drain_all, set_up};

/// CPU time that the process has used.
fn cpu(daemon: &Daemon) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).unwrap();
    // After the name, which is in parentheses: user and system time are the 12th and 13th field.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second())
}

/// Open descriptors of the process.
fn open(daemon: &Daemon) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count()
}

/// covers: B1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_descriptors_it_backs_off_keeps_storing_and_lets_clients_in_again() {
    const LIMIT: usize = 64;
    let dir = tempfile::tempdir().unwrap();
    let shell = format!("ulimit -n {LIMIT}; exec \"$@\"");
    // Segments so small that the store needs new files meanwhile.
    let place = Place::new(dir.path()).under(&["sh", "-c", &shell, "sh"]).with(&[
        "--set",
        "store.segment_age=1s",
        "--set",
        "store.retention_age=60s",
    ]);
    let daemon = place.start();
    set_up(&daemon.grpc, &["acme"], &["verify"]).await;
    let mut load = Load::new();
    load.sender("acme", 0);
    load.is_at(&daemon.grpc);
    load.goes_on(10).await;

    let mut crowd = Vec::new();
    for _ in 0..200 {
        let stream = TcpStream::connect(&daemon.grpc);
        crowd.push(stream.unwrap_or_else(|error| panic!("{error}: {}", place.said())));
    }
    until("a refusal of connections", || {
        daemon.page("/metrics").contains("usaged_connections_refused_total")
    });
    assert!(open(&daemon) < LIMIT, "the store has descriptors left");
    // Segments begin and end in the meantime: each takes files.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(4) {
        load.goes_on(1).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(daemon.page("/metrics").contains("usaged_store_segments"), "the admin port keeps a place");
    load.stop().await;
    let before = cpu(&daemon);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let used = cpu(&daemon).saturating_sub(before);
    assert!(used < Duration::from_millis(200), "it spins: {used:?} of CPU in a second");

    drop(crowd);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while connect(&daemon.grpc).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "an honest client is let in again");
    }
    load.sender("acme", 0);
    load.goes_on(10).await;
    load.stop().await;
    load.oracle.compare(&drain_all(&daemon.grpc, "verify", &load.oracle).await);
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0, "{}", place.said());
}
