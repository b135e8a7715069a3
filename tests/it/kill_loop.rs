//! kill -9 in a loop under load: whatever the moment, what was acknowledged is there, once and whole,
//! and what a drainer has acknowledged does not come back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::fault_daemon::Place;
use crate::fault_load::{Load, drain_all, set_up, standing};
use crate::fault_oracle::Oracle;
use crate::ledger_sums::sums;

/// Kills of the short form.
const KILLS: u64 = 8;

/// A number that the person at the keyboard gave.
#[expect(clippy::disallowed_methods, reason = "a test has no command line of its own")]
pub fn given(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, and is {text:?}")))
}

/// The seed of the moments, printed to be able to come back to it.
pub fn seed() -> u64 {
    let seed = given("USAGED_SEED").unwrap_or_else(rand::random);
    println!("USAGED_SEED={seed}");
    seed
}

/// covers: D1, D2, D3, D4, P3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_at_any_moment_loses_nothing_acknowledged_and_stores_nothing_twice() {
    let mut random = StdRng::seed_from_u64(seed());
    let dir = tempfile::tempdir().unwrap();
    // Segments so small that kills meet their closing, too.
    let place = Place::new(dir.path()).with(&[
        "--set",
        "store.segment_bytes=1MiB",
        "--set",
        "store.retention_bytes=1GiB",
        // So often that kills meet the telling, too.
        "--set",
        "ledger.totals_every=1s",
    ]);
    let mut daemon = place.start();
    set_up(&daemon.grpc, &["acme", "globex", "initech"], &["live", "verify"]).await;

    let mut load = Load::new();
    load.sender("acme", 3);
    load.sender("globex", 0);
    load.pipeliner("acme");
    load.pipeliner("initech");
    load.drainer("live");
    load.drainer("live");

    let begun = Instant::now();
    let mut kills = 0;
    let soak = given("USAGED_KILL_SECONDS").map(Duration::from_secs);
    while soak.map_or(kills < KILLS, |soak| begun.elapsed() < soak) {
        load.is_at(&daemon.grpc);
        load.goes_on(1).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(0..500))).await;
        daemon.kill();
        load.is_gone();
        kills += 1;
        while random.random_range(0..3) == 0 {
            // This one dies while it recovers from the death before.
            let starting = place.spawn();
            tokio::time::sleep(Duration::from_millis(random.random_range(0..80))).await;
            starting.kill();
            kills += 1;
        }
        daemon = tokio::task::block_in_place(|| place.start());
    }
    load.is_at(&daemon.grpc);
    load.stop().await;
    let oracle = &load.oracle;
    println!(
        "{kills} kills, {} batches acknowledged ({} by a retry of what was stored), {} drained in between",
        oracle.count(),
        oracle.duplicates(),
        oracle.settled()
    );

    // Once more, in peace: what counts is what is on disk.
    assert_eq!(daemon.end(), 0, "{}", place.said());
    let daemon = place.start();
    let drained = drain_all(&daemon.grpc, "verify", oracle).await;
    oracle.compare(&drained);
    let stored = u64::try_from(drained.len()).unwrap();
    assert_eq!(drained.last().unwrap().1, stored, "commit numbers are dense");

    for &(_, commit) in &drain_all(&daemon.grpc, "live", oracle).await {
        oracle.delivered(commit);
    }
    for name in ["verify", "live"] {
        let at_end = standing(&daemon.grpc, name).await;
        let lost =
            (at_end.waiting_batches, at_end.dead_batches, at_end.expired_batches, at_end.skipped_batches);
        assert_eq!((at_end.acknowledged_batches, lost), (stored, (0, 0, 0, 0)), "{name}");
    }
    assert!(oracle.settled() > 0 && oracle.count() > 100);
    crate::fault_oracle::survived("kill -9 at any moment", kills, oracle.count());
    assert_eq!(daemon.end(), 0);

    // What the ledger says came in, and left, is what is there: once, through every kill.
    let events: u64 = drained.iter().map(|(number, _)| Oracle::events_of(*number)).sum();
    let collected = sums(&place.data.join("ledger"), "collected");
    assert_eq!((collected.batches, collected.events), (stored, events));
    let one = |handling: &str, n| BTreeMap::from([(handling.to_owned(), n)]);
    assert_eq!(collected.fields["host_name"], one("pseudonymised", events), "every event names one host");
    assert_eq!(collected.fields["not_identifying"], one("kept", 3 * events));
    let left = sums(&place.data.join("ledger"), "pulled");
    assert!(left.batches >= 2 * stored, "two subscriptions received all of it");
}
