//! A disk that answers a sync with an error: nothing more is acknowledged, the process ends, and
//! after a restart everything that was acknowledged is there.

use std::process::Command;

use crate::fault_daemon::Place;
use crate::fault_load::{Load, drain_all, set_up};

/// The Nth sync of a thread that fails.
const SYNCS: [u32; 6] = [1, 2, 3, 5, 20, 60];

fn need_strace() {
    let found = Command::new("strace").arg("--version").output();
    assert!(
        found.is_ok(),
        "this test makes syncs fail with strace: run deploy/setup.sh, or apt-get install strace"
    );
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
    for sync in SYNCS {
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
                assert!(said.contains("the store failed, ending"), "{said}");
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
    assert!(under_load >= 2, "only {under_load} of {SYNCS:?} failed after the start");

    let daemon = place.start();
    load.is_at(&daemon.grpc);
    load.stop().await;
    load.oracle.compare(&drain_all(&daemon.grpc, "verify", &load.oracle).await);
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
}
