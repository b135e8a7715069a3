//! A backup that is made while senders write: it restores to a whole store, with all that was acknowledged before it began.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use usaged::grpc::client::connect;

use crate::cli_run::{Ended, usaged};
use crate::fault_daemon::{Place, SOON};
use crate::fault_load::{Load, drain_client, pull, set_up};
use crate::fault_oracle::Oracle;

fn ok(ended: Ended) -> Ended {
    assert_eq!(ended.code, 0, "{} {}", ended.out, ended.err);
    ended
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// What a restored collector gives, each batch as its number and commit number, until all of `acknowledged` has come and
/// nothing more does.
async fn drain(grpc: &str, oracle: &Oracle, acknowledged: &BTreeMap<u64, u64>) -> Vec<(u64, u64)> {
    let mut client = drain_client(connect(grpc).await.unwrap());
    let (begun, mut drained, mut seen) = (Instant::now(), Vec::new(), BTreeSet::new());
    loop {
        let batches = pull(&mut client, "verify", Duration::from_millis(500)).await.unwrap();
        // A lease that has run out comes again, as the same.
        let new = batches.iter().map(|delivery| (oracle.check(delivery), delivery.commit_number));
        drained.extend(new.filter(|&(_, commit)| seen.insert(commit)));
        if batches.is_empty() && acknowledged.values().all(|commit| seen.contains(commit)) {
            return drained;
        }
        assert!(begun.elapsed() < SOON, "{} of {} came", drained.len(), acknowledged.len());
    }
}

/// covers: D1, D2, D3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_restores_whole_with_all_that_was_acknowledged_before_it() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let place = Place::new(home.path()).with(&["--set", "store.segment_bytes=1MiB"]);
    let daemon = tokio::task::block_in_place(|| place.start());
    set_up(&daemon.grpc, &["acme", "globex"], &["verify"]).await;
    let mut load = Load::new();
    load.sender("acme", 0);
    load.sender("globex", 0);
    load.pipeliner("acme");
    load.pipeliner("globex");
    load.is_at(&daemon.grpc);
    load.goes_on(60).await;

    let acknowledged = load.oracle.acknowledged();
    let (backup, personal) = (text(&path("backup")), text(&path("personal")));
    let backing = ["store", "backup", &backup, "--personal", &personal, "--json", "--server", &daemon.grpc];
    ok(tokio::task::block_in_place(|| usaged(backing)));
    let meanwhile = load.oracle.count();
    load.goes_on(30).await;
    load.stop().await;
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
    assert!(acknowledged.len() >= 60 && meanwhile >= acknowledged.len());

    // The directory is lost; what comes back is what the backup has.
    std::fs::rename(path("data"), path("lost")).unwrap();
    let (key, data) = (text(&path("data.key")), text(&path("data")));
    ok(tokio::task::block_in_place(|| {
        usaged(["store", "check", &backup, "--root-key-file", &key, "--json"])
    }));
    let restoring = ["store", "restore", &backup, "--personal", &personal, "--to", &data, "--json"];
    ok(tokio::task::block_in_place(|| usaged(restoring.iter().chain(&["--root-key-file", &key]))));
    let daemon = tokio::task::block_in_place(|| place.start());
    let drained = drain(&daemon.grpc, &load.oracle, &acknowledged).await;
    load.oracle.compare_instant(&drained, &acknowledged);
    assert!(drained.len() < load.oracle.count(), "what came in after it is not in it");
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
    let ledger = text(&path("data").join("ledger"));
    ok(tokio::task::block_in_place(|| usaged(["ledger", "verify", &ledger])));
}
