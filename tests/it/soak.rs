//! The soak: load, kill -9, levels up and down, erasures of every kind, policies and root keys that change, drainers
//! that acknowledge and that forget, all at once and for as long as `USAGED_SOAK_SECONDS` says. An oracle knows at every
//! moment what may be delivered, byte for byte; the end shows that everything that must be there is there once, that
//! nothing else is, that the ledger adds up, and that no file holds a value that was sent.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::watch;
use usaged::grpc::client::connect;
use usaged::grpc::proto::admin::ListErasuresRequest;
use usaged::grpc::proto::admin::erasure::State;
use usaged::grpc::proto::admin::erasure_service_client::ErasureServiceClient;
use usaged::grpc::proto::drain::AcknowledgeRequest;

use crate::cli_run::usaged;
use crate::fault_daemon::{Daemon, Place, SOON, until};
use crate::fault_load::{drain_client, how_it_stands, pull, set_up, standing};
use crate::kill_loop::{given, seed};
use crate::soak_cast::{Cast, Deeds, Stage, choose, drain, live, operate, put_policy, send};
use crate::soak_oracle::Oracle;
use crate::soak_world::{CANARY, Level, World};

/// The short form, in seconds.
const SHORT: u64 = 20;
/// Places that customers take, one after another.
const PLACES: usize = 4;
/// Resident memory at most (DESIGN section 9).
const MEMORY: u64 = 256 << 20;

/// What the collector had resident at most, in bytes.
fn peak(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(dir) else { return found };
    for entry in entries.map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Files of a running collector come and go.
fn size(dir: &Path) -> u64 {
    files(dir).iter().filter_map(|path| path.metadata().ok()).map(|file| file.len()).sum()
}

// covers: P1, P6, P8, D1, D2, D3, D4, B3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_whatever_happens_at_once_nothing_is_lost_doubled_or_said_too_much() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let seconds = given("USAGED_SOAK_SECONDS").unwrap_or(SHORT);
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("policy");
    std::fs::create_dir(&policy).unwrap();
    put_policy(&policy, 0);
    let policy_dir = policy.display().to_string();
    let place = Place::new(dir.path()).with(&[
        "--policy-dir",
        &policy_dir,
        "--set",
        "store.segment_bytes=1MiB",
        "--set",
        "store.segment_age=20s",
        "--set",
        "ledger.checkpoint_every=5s",
    ]);

    // Everybody who will ever take part is there from the start, at none: so their keys are known.
    let newcomers = PLACES + 4 + usize::try_from(seconds / 16).unwrap();
    let customers: Vec<String> = (0..newcomers).map(|n| format!("customer-{n}")).collect();
    let daemon = place.start();
    let names: Vec<&str> = customers.iter().map(String::as_str).collect();
    set_up(&daemon.grpc, &names, &["live", "other", "verify"]).await;
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
    let mut world = World::default();
    world.learn(&place.data, &customers).await;
    world.may_have(0);
    let oracle = Arc::new(Oracle::new(world, customers));

    let mut daemon = tokio::task::block_in_place(|| place.start());
    let (address, listening) = watch::channel(Some(daemon.grpc.clone()));
    let (stop, stopped) = watch::channel(false);
    let mut stage = Stage {
        oracle: Arc::clone(&oracle),
        address: listening,
        stop: stopped,
        places: Arc::new((0..PLACES).map(AtomicUsize::new).collect()),
        done: Arc::new(Deeds::default()),
    };
    // `set_up` had everybody at standard.
    for customer in 0..newcomers {
        let level = if customer < PLACES { Level::Enhanced } else { Level::None };
        choose(&mut stage, customer, level).await;
    }
    let next = Arc::new(AtomicUsize::new(PLACES));
    let mut cast = Cast::new();
    for at in 0..PLACES {
        cast.enters(send(stage.clone(), at));
        cast.enters(send(stage.clone(), at));
        cast.enters(live(stage.clone(), at, random.random(), Arc::clone(&next)));
    }
    for name in ["live", "live", "other"] {
        cast.enters(drain(stage.clone(), name, random.random()));
    }
    cast.enters(operate(stage.clone(), policy, place.data.clone(), random.random()));

    let begun = Instant::now();
    let (mut kills, mut starts, mut backups) = (0_u64, 2_u64, 0_u64);
    let (mut most_memory, mut most_disk, mut told) = (0, 0, Instant::now());
    while begun.elapsed() < Duration::from_secs(seconds) {
        tokio::time::sleep(Duration::from_millis(random.random_range(0..4_000))).await;
        cast.look();
        most_memory = most_memory.max(peak(&daemon));
        assert!(most_memory < MEMORY, "the collector had {most_memory} bytes resident");
        most_disk = most_disk.max(size(&place.data));
        let most = (192 << 20) + oracle.sums().acknowledged * 4_096;
        assert!(most_disk < most, "{most_disk} bytes of files for {} batches", oracle.sums().acknowledged);
        if kills % 6 == 2 {
            tokio::task::block_in_place(|| backed_up(&daemon, dir.path()));
            backups += 1;
        }
        address.send_replace(None);
        if random.random_range(0..8) == 0 {
            assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0, "{}", place.said());
        } else {
            daemon.kill();
            kills += 1;
        }
        while random.random_range(0..4) == 0 {
            // This one dies while it recovers from the death before.
            let starting = place.spawn();
            tokio::time::sleep(Duration::from_millis(random.random_range(0..150))).await;
            starting.kill();
            kills += 1;
            starts += 1;
        }
        daemon = tokio::task::block_in_place(|| place.start());
        starts += 1;
        address.send_replace(Some(daemon.grpc.clone()));
        if told.elapsed() > Duration::from_secs(60) {
            told = Instant::now();
            println!("{:5} s: {kills} kills, {:?}", begun.elapsed().as_secs(), oracle.sums());
        }
    }
    stop.send_replace(true);
    cast.leaves().await;

    // In peace: erasures come to their end, and everything that is left is drained.
    let erasures = finished_erasures(&daemon).await;
    assert_eq!(erasures, oracle.sums().erased, "every erasure is there once and is done");
    for name in ["live", "other"] {
        drain_rest(&daemon, name, &oracle).await;
    }
    let drained = drain_rest(&daemon, "verify", &oracle).await;
    let must = oracle.conserved(&drained);
    for name in ["live", "other", "verify"] {
        let at_end = standing(&daemon.grpc, name).await;
        let left = (at_end.waiting_batches, at_end.dead_batches, at_end.expired_batches);
        assert_eq!(left, (0, 0, 0), "{name}: {at_end:?}");
    }
    let pulled = u64::try_from(drained.len()).unwrap();
    assert_eq!(standing(&daemon.grpc, "verify").await.acknowledged_batches, pulled);
    most_memory = most_memory.max(peak(&daemon));
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0, "{}", place.said());
    whole(&place.data, &["--root-key-file", &place.data.with_extension("key").display().to_string()]);
    let told = ledger(&place.data);
    assert_eq!(told, (erasures, pulled), "erasures and deliveries to `verify` on the ledger");
    canaries(dir.path());

    let (sums, deeds) = (oracle.sums(), &stage.done);
    println!(
        "soak of {seconds} s, USAGED_SEED={seed}: {kills} kills, {starts} starts, {backups} backups; {sums:?}; {} reloads, {} root keys, \
         {} leases left to run out, {} given back; at the end {pulled} drained, {must} of them owed, 0 lost, 0 doubled; \
         at most {} MiB resident, {} MiB on disk",
        deeds.reloads.load(Ordering::Relaxed),
        deeds.root_keys.load(Ordering::Relaxed),
        deeds.expiries.load(Ordering::Relaxed),
        deeds.given_back.load(Ordering::Relaxed),
        most_memory >> 20,
        most_disk >> 20,
    );
    assert!(
        kills > 0 && sums.acknowledged > 50 && sums.settled > 0 && sums.lowered > 0 && sums.erased > 0,
        "{sums:?}"
    );
}

/// Has a backup made while everything goes on, in the place of the one before, and reads it back.
fn backed_up(daemon: &Daemon, dir: &Path) {
    let (backup, personal) = (dir.join("backup"), dir.join("personal"));
    let _ = std::fs::remove_dir_all(&backup);
    let _ = std::fs::remove_file(&personal);
    let (backup_text, personal) = (backup.display().to_string(), personal.display().to_string());
    let made = usaged([
        "store",
        "backup",
        &backup_text,
        "--personal",
        &personal,
        "--server",
        &daemon.grpc,
        "--json",
    ]);
    assert_eq!(made.code, 0, "{} {}", made.out, made.err);
    whole(&backup, &[]);
}

/// Reads all of a store that nobody has open.
fn whole(dir: &Path, more: &[&str]) {
    let dir = dir.display().to_string();
    let read = usaged(["store", "check", &dir, "--json"].iter().chain(more));
    assert_eq!(read.code, 0, "{} {}", read.out, read.err);
}

/// Waits until every erasure is done; how many there are.
async fn finished_erasures(daemon: &Daemon) -> u64 {
    let mut client = ErasureServiceClient::new(connect(&daemon.grpc).await.unwrap());
    let begun = Instant::now();
    loop {
        let (mut all, mut open, mut token) = (0, 0, String::new());
        loop {
            let request = ListErasuresRequest { page_size: 500, page_token: token };
            let page = client.list_erasures(request).await.unwrap().into_inner();
            all += page.erasures.len();
            open += page.erasures.iter().filter(|erasure| erasure.state() != State::Done).count();
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        if open == 0 {
            return u64::try_from(all).unwrap();
        }
        assert!(begun.elapsed() < 10 * SOON, "{open} of {all} erasures do not end");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Drains and acknowledges everything that waits; each batch as its number and commit.
async fn drain_rest(daemon: &Daemon, name: &str, oracle: &Oracle) -> Vec<(u64, u64)> {
    let mut client = drain_client(connect(&daemon.grpc).await.unwrap());
    let (mut drained, mut waited) = (Vec::new(), Instant::now());
    while how_it_stands(&mut client, name).await.waiting_batches > 0 {
        let asked = oracle.tick();
        let batches = pull(&mut client, name, Duration::from_millis(500)).await.unwrap();
        if batches.is_empty() {
            assert!(waited.elapsed() < SOON, "{name} does not give what waits");
            continue;
        }
        waited = Instant::now();
        let mut commits = Vec::new();
        for delivery in &batches {
            drained.push((oracle.delivered(name, delivery, asked), delivery.commit_number));
            commits.push(delivery.commit_number);
        }
        let ack_ids: Vec<_> = batches.into_iter().map(|delivery| delivery.ack_id).collect();
        let request = AcknowledgeRequest { subscription: name.to_owned(), ack_ids };
        let answer = client.acknowledge(request).await.unwrap().into_inner();
        assert!(answer.failures.is_empty(), "{answer:?}");
        oracle.settle(name, &commits, 0);
    }
    drained.sort_unstable_by_key(|&(_, commit)| commit);
    drained
}

/// Verifies the ledger offline. Its finished erasures, and the batches that it says left for `verify`.
fn ledger(data: &Path) -> (u64, u64) {
    let dir = data.join("ledger");
    let verified = usaged(["ledger", "verify", &dir.display().to_string(), "--json"]);
    assert_eq!(verified.code, 0, "{} {}", verified.out, verified.err);
    let entries = std::fs::read(dir.join("entries")).unwrap();
    let (mut erasures, mut pulled) = (0, 0);
    let mut rest = &entries[crate::ledger_world::HEADER.len()..];
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap();
        let leaf: serde_json::Value = serde_json::from_slice(&after[4..4 + length]).unwrap();
        let fact = &leaf["fact"];
        erasures += u64::from(fact["kind"] == "erasure_done");
        if fact["kind"] == "pulled" && fact["subscription"] == "verify" {
            pulled += fact["batches"].as_u64().unwrap();
        }
        rest = &after[4 + length..];
    }
    (erasures, pulled)
}

/// No file holds a word that was sent, and the search would find one.
fn canaries(dir: &Path) {
    let finds =
        |path: &Path| memchr::memmem::find(&std::fs::read(path).unwrap(), CANARY.as_bytes()).is_some();
    let found: Vec<_> = files(dir).into_iter().filter(|path| finds(path)).collect();
    assert!(found.is_empty(), "{found:?} hold what was sent");
    let planted = dir.join("data/planted");
    std::fs::write(&planted, format!("x{CANARY}x")).unwrap();
    until("a planted word is found", || files(dir).iter().any(|path| finds(path)));
    std::fs::remove_file(planted).unwrap();
}
