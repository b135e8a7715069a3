//! A disk that answers a sync with an error: nothing more is acknowledged, the process ends, and
//! after a restart everything that was acknowledged is there.

use std::process::Command;
use std::time::Duration;

use crate::fault_daemon::{Place, SOON};
use crate::fault_load::{Load, drain_all, set_up};
use crate::fault_oracle::{is_long, survived};

/// The Nth sync of a thread that fails.
const SYNCS: [u32; 6] = [1, 2, 3, 5, 20, 60];

/// Reads of the program's loader, about.
const LOADER_READS: u32 = 24;

pub fn need_strace() {
    let found = Command::new("strace").arg("--version").output();
    assert!(
        found.is_ok(),
        "this test makes syncs fail with strace: run deploy/setup.sh, or apt-get install strace"
    );
}

/// Waits until a tracer holds every thread of a process: what was injected holds from then on.
pub fn until_traced(pid: u32) {
    let is_traced = |status: String| {
        let tracer =
            status.lines().find_map(|line| line.strip_prefix("TracerPid:").map(str::trim).map(str::to_owned));
        tracer.is_some_and(|tracer| tracer != "0")
    };
    crate::fault_daemon::until("the tracer holds every thread", || {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let statuses = threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("status")));
        // A thread that has ended meanwhile needs no tracer.
        statuses.filter_map(Result::ok).all(is_traced)
    });
}

/// covers: D1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_ends_the_process_and_nothing_acknowledged_is_lost() {
    need_strace();
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path());
    let daemon = place.start();
    set_up(&daemon.grpc, &["acme", "globex"], &["verify"]).await;
    assert_eq!(daemon.end(), 0);

    let mut load = Load::new();
    load.sender("acme", 0);
    load.sender("acme", 0);
    load.pipeliner("globex");
    let mut under_load = 0;
    let syncs: Vec<u32> = if is_long() { (1..=40).chain([60, 100]).collect() } else { SYNCS.to_vec() };
    for &sync in &syncs {
        let inject = format!("inject=fdatasync:error=EIO:when={sync}");
        // The tracer is a grandchild (-D), so that the child is the collector itself.
        let tracer = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", &inject];
        let failing = Place::new(dir.path()).under(&tracer);
        let before = failing.said().len();
        match tokio::task::block_in_place(|| failing.spawn().ready()) {
            Err((code, said)) => assert_ne!(code, 0, "{said}"),
            Ok(daemon) => {
                under_load += 1;
                load.is_at(&daemon.grpc);
                let code = tokio::task::block_in_place(|| daemon.ended());
                load.is_gone();
                let said = failing.said().split_off(before);
                assert_eq!(code, 1, "sync {sync}: {said}");
                // The Nth sync can be one of the ledger.
                let is_told =
                    ["the store failed, ending", "the ledger failed"].iter().any(|what| said.contains(what));
                assert!(is_told, "{said}");
                assert!(said.contains("look at the disk, then start again"), "{said}");
            }
        }
        // In peace for a moment: what was not answered is sent again, under the same ids.
        let daemon = place.start();
        load.is_at(&daemon.grpc);
        load.goes_on(20).await;
        load.is_gone();
        assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
    }
    assert!(under_load >= 2, "only {under_load} of {syncs:?} failed after the start");

    let daemon = place.start();
    load.is_at(&daemon.grpc);
    load.stop().await;
    load.oracle.compare(&drain_all(&daemon.grpc, "verify", &load.oracle).await);
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
    survived("EIO on the Nth sync", syncs.len().try_into().unwrap(), load.oracle.count());
}

/// Writes of the witness and the ledger (`pwrite64`), and reads of table files (`pread64`): the Nth one of a thread
/// fails. Whatever the collector does then, it does not lose or damage anything, and does not take what it could not
/// read for damaged.
///
/// covers: D1, D5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_write_or_read_ends_the_process_or_is_told_and_nothing_acknowledged_is_lost() {
    need_strace();
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path());
    let daemon = place.start();
    set_up(&daemon.grpc, &["acme", "globex"], &["verify"]).await;
    let mut load = Load::new();
    load.sender("acme", 0);
    load.pipeliner("globex");
    load.is_at(&daemon.grpc);
    load.goes_on(50).await;
    load.is_gone();
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
    let numbers: Vec<u32> = if is_long() { (1..=30).collect() } else { vec![1, 2, 3, 8] };
    let (mut injected, mut ended) = (0, 0);
    for call in ["pwrite64", "pread64"] {
        for &number in &numbers {
            injected += 1;
            // The first reads are those of the loader, which ends the program before it begins.
            let nth = if call == "pread64" { number + LOADER_READS } else { number };
            let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error=EIO:when={nth}"));
            let tracer = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            let failing = Place::new(dir.path()).under(&tracer);
            match tokio::task::block_in_place(|| failing.spawn().ready()) {
                Err((code, said)) => {
                    ended += 1;
                    assert!([1, 6].contains(&code), "{call} {number}: {code} {said}");
                }
                Ok(mut daemon) => {
                    load.is_at(&daemon.grpc);
                    let (begun, before) = (std::time::Instant::now(), load.oracle.count());
                    // It ends, or what failed was not needed and it goes on.
                    while !daemon.has_ended() && load.oracle.count() < before + 30 {
                        assert!(begun.elapsed() < SOON, "{call} {number}: it neither ends nor goes on");
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    load.is_gone();
                    if daemon.has_ended() {
                        ended += 1;
                        assert_eq!(daemon.ended(), 1, "{call} {number}: {}", failing.said());
                    } else {
                        daemon.kill();
                    }
                }
            }
            let daemon = tokio::task::block_in_place(|| place.start());
            load.is_at(&daemon.grpc);
            load.goes_on(10).await;
            load.is_gone();
            assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
        }
    }
    assert!(ended >= 2, "only {ended} of {injected} failures ended it");
    let daemon = place.start();
    load.is_at(&daemon.grpc);
    load.stop().await;
    load.oracle.compare(&drain_all(&daemon.grpc, "verify", &load.oracle).await);
    let metrics = daemon.page("/metrics");
    assert!(
        !metrics
            .lines()
            .any(|line| line.starts_with("usaged_damaged_records_total ") && !line.ends_with(" 0"))
    );
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
    survived("EIO on the Nth write or read", injected, load.oracle.count());
}
