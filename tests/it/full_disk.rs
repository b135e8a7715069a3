//! A disk that fills up under load, for real: on a small file system that something else fills.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use usaged::grpc::client::{Code, connect, retry_delay};
use usaged::grpc::proto::admin::admin_service_client::AdminServiceClient;
use usaged::grpc::proto::ingest::ingest_service_client::IngestServiceClient;
use usaged::model::CommitNumber;
use usaged::observe::Clock;
use usaged::store::{
    Amended, Amendment, AppendError, Appended, Entry, Options, Place as Where, PurgeError, ReadLimits,
    WhenFull,
};

use crate::cli_run::usaged;
use crate::fault_daemon::{Daemon, Disk, Place, until};
use crate::fault_load::{Load, drain_all, set_up, standing};
use crate::fault_oracle::{batch, survived};
use crate::grpc_collector::{from, participation, set};
use crate::store_samples::{START, append, root_key};

/// Free bytes that a store leaves alone, as far as a test needs some.
const RESERVE: u64 = 16 << 20;

/// The file that something else fills the disk with.
pub struct Ballast<'a> {
    disk: &'a Disk,
    path: PathBuf,
}

impl<'a> Ballast<'a> {
    /// Fills the disk so that `left` bytes stay free.
    pub fn fill(disk: &'a Disk, left: u64) -> Self {
        Self::file(disk, "ballast", left)
    }

    /// The same beside another.
    fn beside(disk: &'a Disk, left: u64) -> Self {
        Self::file(disk, "more", left)
    }

    fn file(disk: &'a Disk, name: &str, left: u64) -> Self {
        let ballast = Self { disk, path: disk.path().join(name) };
        let mut file = File::create(&ballast.path).unwrap();
        let block = vec![0xA5; 64 * 1024];
        while ballast.free() >= left + 64 * 1024 {
            file.write_all(&block).unwrap();
        }
        // The last bytes, as far as they go.
        while ballast.free() > left && file.write_all(&block[..4096]).is_ok() {}
        ballast
    }

    fn free(&self) -> u64 {
        let stat = rustix::fs::statvfs(self.disk.path()).unwrap();
        stat.f_bavail * stat.f_frsize
    }
}

impl Drop for Ballast<'_> {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).unwrap();
    }
}

/// A collector on `disk` that keeps its hands off the last 16 MiB, with its log elsewhere.
pub fn place(disk: &Disk, logs: &tempfile::TempDir) -> Place {
    let mut place = Place::new(disk.path());
    place.log = logs.path().join("log");
    place.with(&["--set", "store.reserve_bytes=16MiB"])
}

/// Sends one batch that must be refused for want of room, with the time to come back.
async fn is_refused(daemon: &Daemon) {
    let mut client = IngestServiceClient::new(connect(&daemon.grpc).await.unwrap());
    let begun = Instant::now();
    let refused = client.submit(from("globex", batch(u64::MAX >> 24))).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    let wait = retry_delay(&refused).expect("it says when to come back");
    assert!(wait > Duration::ZERO && wait <= Duration::from_mins(1), "{wait:?}");
    assert!(begun.elapsed() < Duration::from_secs(2), "a refusal is quick: {:?}", begun.elapsed());
}

/// covers: B2, D1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn near_a_full_disk_ingest_is_refused_while_draining_goes_on_and_it_recovers_by_itself() {
    let (disk, logs) = (Disk::mount("size=64m"), tempfile::tempdir().unwrap());
    let place = place(&disk, &logs);
    let daemon = place.start();
    set_up(&daemon.grpc, &["acme", "globex"], &["live", "verify"]).await;
    let mut load = Load::new();
    load.sender("acme", 0);
    load.pipeliner("acme");
    load.is_at(&daemon.grpc);
    load.goes_on(100).await;

    // The senders go on meanwhile, and come back as they are told.
    let ballast = Ballast::fill(&disk, 12 << 20);
    is_refused(&daemon).await;
    let stored = load.oracle.count();
    let live = drain_all(&daemon.grpc, "live", &load.oracle).await;
    assert!(live.len() >= 100, "what was stored can be drained and acknowledged");
    let request = set(participation("initech", "enhanced"));
    let mut admin = AdminServiceClient::new(connect(&daemon.grpc).await.unwrap());
    admin.set_participation(request).await.unwrap();
    // Erasing goes on as well: the keys of a customer go at once, whatever room there is.
    let erase =
        ["erase", "--customer", "initech", "--everything", "--no-wait", "--json", "--server", &daemon.grpc];
    let erased = tokio::task::block_in_place(|| usaged(erase));
    assert_eq!(erased.code, 0, "{}", erased.err);
    let erasure = erased.json()["erasure_id"].as_str().unwrap().to_owned();
    is_refused(&daemon).await;
    assert!(load.oracle.count() <= stored + 1, "nothing is taken in below the reserve");
    assert!(daemon.page("/livez").starts_with("HTTP/1.1 200"));

    drop(ballast);
    load.goes_on(100).await;
    let done = ["erase", "status", &erasure, "--wait", "--json", "--server", &daemon.grpc];
    let done = tokio::task::block_in_place(|| usaged(done));
    assert_eq!((done.code, &done.json()["state"]), (0, &"DONE".into()), "{} {}", done.out, done.err);
    load.stop().await;
    let oracle = &load.oracle;
    oracle.compare(&drain_all(&daemon.grpc, "verify", oracle).await);
    survived("a full disk, down to the last byte", 2, oracle.count());
    let rest = drain_all(&daemon.grpc, "live", oracle).await;
    assert_eq!(live.len() + rest.len(), oracle.count(), "what was acknowledged does not come back");
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
    let daemon = place.start();
    assert_eq!(standing(&daemon.grpc, "live").await.waiting_batches, 0);
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
}

/// covers: B2, D1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_without_a_free_byte_loses_nothing_and_the_process_lives_through_it() {
    let (disk, logs) = (Disk::mount("size=64m"), tempfile::tempdir().unwrap());
    // Segments close by age meanwhile, which takes space that is not there.
    let place =
        place(&disk, &logs).with(&["--set", "store.segment_age=1s", "--set", "store.retention_age=60s"]);
    let daemon = place.start();
    set_up(&daemon.grpc, &["acme", "globex"], &["live", "verify"]).await;
    let mut load = Load::new();
    load.sender("acme", 0);
    load.pipeliner("acme");
    load.drainer("live");
    load.is_at(&daemon.grpc);
    load.goes_on(100).await;

    let ballast = Ballast::fill(&disk, 0);
    is_refused(&daemon).await;
    // Metadata is written as long as it fits, then it is refused in the same way; never a crash.
    let mut admin = AdminServiceClient::new(connect(&daemon.grpc).await.unwrap());
    for number in 0..200 {
        match admin.set_participation(set(participation(&format!("customer-{number}"), "standard"))).await {
            Ok(_) => {}
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                assert!(retry_delay(&status).is_some(), "{status:?}");
            }
        }
    }
    is_refused(&daemon).await;
    assert!(daemon.page("/livez").starts_with("HTTP/1.1 200"), "it ended: {}", place.said());
    let segments = |daemon: &Daemon| {
        let metrics = daemon.page("/metrics");
        let line = metrics.lines().find_map(|line| line.strip_prefix("usaged_store_segments "));
        line.unwrap().parse::<f64>().unwrap()
    };
    let before = segments(&daemon);

    drop(ballast);
    load.goes_on(100).await;
    // At full speed the load itself would fill a disk of this size within seconds.
    load.stop().await;
    tokio::task::block_in_place(|| until("a new segment", || segments(&daemon) > before));
    let request = set(participation("initech", "enhanced"));
    admin.set_participation(request).await.unwrap();
    let oracle = &load.oracle;
    oracle.compare(&drain_all(&daemon.grpc, "verify", oracle).await);
    for &(_, commit) in &drain_all(&daemon.grpc, "live", oracle).await {
        oracle.delivered(commit);
    }
    // And kill -9 right after it: what was acknowledged on the way is on disk.
    daemon.kill();
    let daemon = place.start();
    assert_eq!(standing(&daemon.grpc, "verify").await.waiting_batches, 0);
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
}

/// covers: D1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_could_not_be_begun_for_want_of_space_is_begun_later() {
    let disk = Disk::mount("size=64m");
    let clock = Clock::manual(START);
    let mut options = Options::new(&disk.path().join("data"));
    // No reserve: the full disk is met in the middle of the work, as when something else fills it at once.
    options.reserve_bytes = 0;
    let open = || crate::store_samples::reopen(&options, &root_key(), &clock).unwrap();
    let store = open();
    store.append(append(1, START)).await.unwrap();
    let segments = store.status().segments;

    let ballast = Ballast::fill(&disk, 0);
    clock.advance_ms(24 * 3_600_000);
    for _ in 0..3 {
        store.maintain().await.unwrap();
    }
    assert_eq!((store.status().segments, store.fatal().borrow().clone()), (segments, None));

    drop(ballast);
    store.maintain().await.unwrap();
    assert_eq!(store.status().segments, segments + 1);
    store.append(append(2, START)).await.unwrap();
    store.close().await;
    let store = open();
    let limits = ReadLimits { records: 10, bytes: 1 << 20 };
    let found = store.read(CommitNumber(1), limits).unwrap();
    assert!(found.iter().all(|entry| matches!(entry, Entry::Record(_))) && found.len() == 2, "{found:?}");
}

/// covers: P8, B2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_records_are_still_reduced_to_nothing_and_purging_waits_for_space() {
    let disk = Disk::mount("size=64m");
    let clock = Clock::manual(START);
    let mut options = Options::new(&disk.path().join("data"));
    options.reserve_bytes = 4 << 20;
    let store = crate::store_samples::reopen(&options, &root_key(), &clock).unwrap();
    for n in 1..=40 {
        store.append(append(n, START)).await.unwrap();
    }
    let head = store.head();
    let ballast = Ballast::fill(&disk, 1 << 20);
    let refused = store.append(append(99, START)).await;
    assert!(refused.is_err(), "{refused:?}");
    let Some(Entry::Record(record)) = store.read_one(CommitNumber(3)).unwrap() else { panic!("no record") };
    let amendment = Amendment { commit: record.commit, with: None, expect: record.tag() };
    assert_eq!(store.amend(vec![amendment]).await.unwrap(), [Amended::Done]);
    let purge = || {
        let store = store.clone();
        let place = Where::Commits { first: CommitNumber(1), last: CommitNumber(40) };
        tokio::task::spawn_blocking(move || store.purge(&[place], &mut |_| {}))
    };
    let waits = purge().await.unwrap();
    assert!(matches!(waits, Err(PurgeError::Full { bytes }) if bytes > 1 << 20), "{waits:?}");
    assert_eq!(store.fatal().borrow().clone(), None);
    drop(ballast);
    let purged = purge().await.unwrap().unwrap();
    assert!(purged.files > 0 && purged.logs > 0, "{purged:?}");
    assert!(matches!(store.read_one(CommitNumber(3)).unwrap(), Some(Entry::Gone { .. })));
    assert_eq!(store.head(), head);
}

/// Whoever fills the disk: what is kept though it is drained makes room first, as if the budget were spent.
///
/// covers: B2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_something_else_fills_the_disk_what_is_drained_goes_before_anything_is_refused() {
    let disk = Disk::mount("size=64m");
    let clock = Clock::manual(START);
    let mut options = Options::new(&disk.path().join("data"));
    (options.reserve_bytes, options.segment_bytes) = (RESERVE, 64 << 10);
    // Far from spent.
    (options.retention_bytes, options.when_full) = (3 << 20, WhenFull::DropOldest);
    let store = crate::store_samples::reopen(&options, &root_key(), &clock).unwrap();
    let mut n = 0;
    let mut fill = async |segments: usize| {
        while store.status().segments < segments {
            n += 1;
            store.append(append(n, START)).await.unwrap();
        }
        n
    };
    fill(12).await;
    store.release(store.head().next());
    let drained = store.head();
    let n = fill(16).await;
    let queued = store.status().queued_bytes;
    assert!(queued < options.retention_bytes / 2, "{queued}");

    let short = 256 << 10;
    let ballast = Ballast::fill(&disk, RESERVE - short);
    store.append(append(n + 1, START)).await.expect("there is room, if what is drained gives way");
    let oldest = store.oldest();
    assert!(oldest > CommitNumber(1) && oldest <= drained, "no more goes than is needed: {oldest}");

    // It is filled further, and nothing is left that is drained: now it is refused, and nothing else goes.
    let more = Ballast::beside(&disk, RESERVE - 8 * short);
    for _ in 0..3 {
        assert!(matches!(store.append(append(n + 2, START)).await, Err(AppendError::Full { .. })));
        store.maintain().await.unwrap();
    }
    let left = store.oldest();
    assert!(left > oldest && left <= drained.next(), "{left} of {drained}");
    drop((ballast, more));
    store.append(append(n + 2, START)).await.unwrap();
    assert_eq!((store.oldest(), store.fatal().borrow().clone()), (left, None));
}

/// The segment that is written to is closed by size and age, which may take hours; what is drained of it is not kept for that.
///
/// covers: B2, D1, D3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_drained_of_the_segment_that_is_written_to_gives_way_to_a_disk_that_others_fill() {
    let disk = Disk::mount("size=64m");
    let clock = Clock::manual(START);
    let mut options = Options::new(&disk.path().join("data"));
    (options.reserve_bytes, options.retention_bytes) = (RESERVE, 512 << 20);
    let open = || crate::store_samples::reopen(&options, &root_key(), &clock).unwrap();
    let store = open();
    let mut n = 0;
    while store.status().queued_bytes < 2 << 20 {
        n += 1;
        store.append(append(n, START)).await.unwrap();
    }
    // From now on it is in a file.
    store.close().await;
    let store = open();
    let standing = || (store.status().segments, store.oldest());
    assert_eq!(standing(), (1, CommitNumber(1)));

    let ballast = Ballast::fill(&disk, RESERVE - (512 << 10));
    // One batch of it is not drained.
    store.release(store.head());
    for _ in 0..3 {
        assert!(matches!(store.append(append(n + 1, START)).await, Err(AppendError::Full { .. })));
        store.maintain().await.unwrap();
    }
    assert_eq!(standing(), (1, CommitNumber(1)), "what is not drained does not give way");
    store.release(store.head().next());
    store.append(append(n + 1, START)).await.expect("there is room, if what is drained gives way");
    assert_eq!(standing(), (1, CommitNumber(n + 1)));

    // What was stored once is known to have been, and a small segment that gives nothing back is written to further.
    drop(ballast);
    let again = store.append(append(n, START)).await.unwrap();
    assert!(matches!(again, Appended::Duplicate { last: CommitNumber(last), .. } if last == n), "{again:?}");
    store.release(store.head().next());
    let ballast = Ballast::fill(&disk, RESERVE - (512 << 10));
    for _ in 0..3 {
        assert!(matches!(store.append(append(n + 2, START)).await, Err(AppendError::Full { .. })));
    }
    assert_eq!(standing(), (1, CommitNumber(n + 1)));
    drop(ballast);
    assert_eq!(store.fatal().borrow().clone(), None);
    store.close().await;
    let store = open();
    assert_eq!(store.head(), CommitNumber(n + 1));
    let found = store.read(CommitNumber(1), ReadLimits { records: 10, bytes: 1 << 20 }).unwrap();
    assert!(
        matches!(&found[..], [Entry::Record(record)] if record.commit == CommitNumber(n + 1)),
        "{found:?}"
    );
}
