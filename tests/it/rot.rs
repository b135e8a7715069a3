//! Bytes that change, files that are cut and files that vanish, of every kind of file: the collector refuses by name and
//! says what to do, or sets records aside and counts them. It never serves a damaged byte, and never lacks something
//! that it had acknowledged without saying so.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use tokio::time::timeout;
use usaged::grpc::client::{ProtoDuration, connect};
use usaged::grpc::proto::admin::GetStatusRequest;
use usaged::grpc::proto::admin::admin_service_client::AdminServiceClient;
use usaged::grpc::proto::drain::drain_service_client::DrainServiceClient;
use usaged::grpc::proto::drain::{AcknowledgeRequest, GetSubscriptionRequest, PullRequest};

use crate::fault_daemon::{Daemon, Place, SOON};
use crate::fault_load::{Load, set_up};
use crate::fault_oracle::{Oracle, is_long, survived};

/// What happens to a file.
#[derive(Debug, Clone, Copy)]
enum Rot {
    /// One bit at this part of it, in thousandths, changes.
    Flip(u64),
    /// It ends at this part of it, in thousandths.
    Cut(u64),
    Delete,
}

impl Rot {
    fn apply(self, path: &Path) {
        let mut bytes = std::fs::read(path).unwrap();
        let at = |part: u64| bytes.len() * usize::try_from(part).unwrap() / 1_000;
        match self {
            Self::Flip(part) => {
                let at = at(part).min(bytes.len() - 1);
                bytes[at] ^= 0x10;
                std::fs::write(path, bytes).unwrap();
            }
            Self::Cut(part) => {
                let at = at(part);
                bytes.truncate(at);
                std::fs::write(path, bytes).unwrap();
            }
            Self::Delete => std::fs::remove_file(path).unwrap(),
        }
    }
}

fn rots() -> Vec<Rot> {
    let (flips, cuts): (&[u64], &[u64]) = if is_long() {
        (&[0, 20, 100, 250, 400, 500, 650, 800, 900, 980, 999], &[0, 250, 500, 750, 999])
    } else {
        (&[300, 700], &[500])
    };
    let flips = flips.iter().copied().map(Rot::Flip);
    flips.chain(cuts.iter().copied().map(Rot::Cut)).chain([Rot::Delete]).collect()
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Refused to start, by name.
    Refused,
    /// Served all of it.
    Whole,
    /// Served the rest, and counted what it set aside.
    SetAside,
    /// Answered by name that something cannot be read, or ended by itself.
    Told,
}

/// The kind of a file of a data directory.
fn kind(path: &Path) -> &'static str {
    let name = path.file_name().unwrap().to_str().unwrap();
    match name {
        "FORMAT" => "FORMAT",
        "witness" => "witness",
        "CURRENT" => "CURRENT",
        "entries" => "ledger entries",
        "checkpoints" => "ledger checkpoints",
        "vkey" => "ledger vkey",
        "tree" | "offsets" => "ledger hashes",
        _ if name.starts_with("MANIFEST") => "MANIFEST",
        _ if name.starts_with("OPTIONS") => "OPTIONS",
        _ if name.ends_with(".log") => "write-ahead log",
        _ if name.ends_with(".sst") => "table file",
        _ => "",
    }
}

fn files(data: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for dir in ["", "db", "ledger"] {
        for entry in std::fs::read_dir(data.join(dir)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && !kind(&path).is_empty() && path.metadata().unwrap().len() > 0 {
                found.push(path);
            }
        }
    }
    found.sort();
    if !is_long() {
        // Of table files, the largest hold records, the smallest rows; of logs only the newest has something in it.
        let (mut tables, rest): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|path| kind(path) == "table file");
        tables.sort_by_key(|path| std::cmp::Reverse(path.metadata().unwrap().len()));
        let last = tables.pop();
        tables.truncate(2);
        found = rest.into_iter().chain(tables).chain(last).collect();
    }
    found
}

fn copy(from: &Path, to: &Path) {
    std::fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Drains and acknowledges everything; what the collector says if it cannot.
async fn drain(daemon: &Daemon, oracle: &Oracle) -> Result<BTreeMap<u64, u64>, String> {
    let text = |status: usaged::grpc::client::Status| format!("{:?}: {}", status.code(), status.message());
    let channel = connect(&daemon.grpc).await.map_err(|error| error.to_string())?;
    let mut client = DrainServiceClient::new(channel).max_decoding_message_size(64 << 20);
    let (mut drained, mut empty) = (BTreeMap::new(), 0);
    // Nobody else holds a lease. After a loss that was accepted, places of which nothing is left count as waiting until
    // something new comes behind them.
    while empty < 5 {
        let request = GetSubscriptionRequest { name: "verify".to_owned() };
        let standing = client.get_subscription(request).await.map_err(text)?.into_inner();
        if standing.waiting_batches == 0 {
            break;
        }
        let max_wait = Some(ProtoDuration { seconds: 0, nanos: 100_000_000 });
        let request = PullRequest {
            subscription: "verify".to_owned(),
            max_batches: 100,
            max_wait,
            ..PullRequest::default()
        };
        let batches = client.pull(request).await.map_err(text)?.into_inner().batches;
        // Every value of it is what was sent.
        for delivery in &batches {
            let number = oracle.check(delivery);
            assert_eq!(drained.insert(number, delivery.commit_number), None, "batch {number} came twice");
        }
        empty = if batches.is_empty() { empty + 1 } else { 0 };
        if batches.is_empty() {
            continue;
        }
        let ack_ids = batches.into_iter().map(|delivery| delivery.ack_id).collect();
        let request = AcknowledgeRequest { subscription: "verify".to_owned(), ack_ids };
        client.acknowledge(request).await.map_err(text)?;
    }
    Ok(drained)
}

async fn damaged(daemon: &Daemon) -> u64 {
    let mut admin = AdminServiceClient::new(connect(&daemon.grpc).await.unwrap());
    admin.get_status(GetStatusRequest {}).await.unwrap().into_inner().damaged_records
}

/// A data directory of some acknowledged batches, in table files and in a log, as a kill left it.
async fn base(home: &Path) -> std::sync::Arc<Oracle> {
    let place = Place::new(home).with(&["--set", "store.witness_lag=0ms"]);
    let mut load = Load::new();
    load.sender("acme", 0);
    load.pipeliner("acme");
    for life in 0..2 {
        let daemon = tokio::task::block_in_place(|| place.start());
        if life == 0 {
            set_up(&daemon.grpc, &["acme"], &["verify"]).await;
        }
        load.is_at(&daemon.grpc);
        load.goes_on(150).await;
        if life == 0 {
            load.is_gone();
            assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
        } else {
            load.stop().await;
            tokio::task::block_in_place(|| daemon.kill());
        }
    }
    load.oracle
}

/// Starts what is left, drains it, and says what became of it.
async fn judge(place: &Place, oracle: &Oracle, what: &str) -> Outcome {
    let mut daemon = match tokio::task::block_in_place(|| place.spawn().ready()) {
        Err((code, said)) => {
            assert_eq!(code, 6, "{what}: {said}");
            let remedy = ["restore", "put back", "backup", "--accept", "use the program"];
            assert!(remedy.iter().any(|word| said.contains(word)), "{what}: no remedy in {said}");
            return Outcome::Refused;
        }
        Ok(daemon) => daemon,
    };
    let drained =
        timeout(SOON, drain(&daemon, oracle)).await.unwrap_or_else(|_| panic!("{what}: draining hangs"));
    let outcome = match drained {
        Err(why) => {
            // What cannot be read is said, by name, or the process has ended.
            let is_told = ["DataLoss", "Unavailable", "Internal", "Unknown", "Cancelled"];
            assert!(daemon.has_ended() || is_told.iter().any(|code| why.starts_with(code)), "{what}: {why}");
            return Outcome::Told;
        }
        Ok(drained) => {
            let acknowledged = oracle.acknowledged();
            for (number, commit) in &drained {
                assert_eq!(
                    acknowledged.get(number),
                    Some(commit),
                    "{what}: batch {number} is not where it was"
                );
            }
            let missing = u64::try_from(acknowledged.len() - drained.len()).unwrap();
            let counted = damaged(&daemon).await;
            assert!(missing <= counted, "{what}: {missing} batches are missing and {counted} are counted");
            if missing == 0 { Outcome::Whole } else { Outcome::SetAside }
        }
    };
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0, "{what}: {}", place.said());
    outcome
}

/// covers: D5, D6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rot_in_any_file_is_refused_by_name_or_set_aside_and_counted_and_never_served() {
    let home = tempfile::tempdir().unwrap();
    let oracle = base(home.path()).await;
    let data = home.path().join("data");
    let mut outcomes: BTreeMap<(&str, Outcome), u64> = BTreeMap::new();
    let (mut injected, mut accepted) = (0, 0);
    for path in files(&data) {
        for rot in rots() {
            let case = tempfile::tempdir().unwrap();
            copy(&data, &case.path().join("data"));
            for key in ["data.key", "data.ledger-key"] {
                std::fs::copy(home.path().join(key), case.path().join(key)).unwrap();
            }
            let inside = path.strip_prefix(&data).unwrap();
            let what = format!("{rot:?} of {}", inside.display());
            rot.apply(&case.path().join("data").join(inside));
            let place = Place::new(case.path());
            let outcome = judge(&place, &oracle, &what).await;
            *outcomes.entry((kind(&path), outcome)).or_default() += 1;
            injected += 1;
            if outcome == Outcome::Refused && place.said().contains("--accept-data-loss") {
                // By the operator's word it goes on, and that is on the ledger.
                let daring = Place::new(case.path()).with(&["--accept-data-loss"]);
                if let Ok(daemon) = tokio::task::block_in_place(|| daring.spawn().ready()) {
                    accepted += 1;
                    let drained = timeout(SOON, drain(&daemon, &oracle)).await;
                    let drained = drained.unwrap_or_else(|_| panic!("{what}, accepted: draining hangs"));
                    let acknowledged = oracle.acknowledged();
                    for (number, commit) in drained.unwrap_or_default() {
                        assert_eq!(acknowledged.get(&number), Some(&commit), "{what}, accepted");
                    }
                    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0, "{what}, accepted");
                    let entries = std::fs::read(case.path().join("data/ledger/entries")).unwrap();
                    let told = memchr::memmem::find(&entries, b"\"kind\":\"data_loss_accepted\"").is_some();
                    assert!(told, "{what}: the ledger was not told");
                }
            }
        }
    }
    for ((kind, outcome), times) in &outcomes {
        println!("ROT|{kind}|{outcome:?}|{times}");
    }
    let kinds: BTreeSet<&str> = outcomes.keys().map(|(kind, _)| *kind).collect();
    assert!(kinds.len() >= 10, "{kinds:?}");
    let refused =
        |of: &str| outcomes.keys().any(|(kind, outcome)| *kind == of && *outcome == Outcome::Refused);
    for kind in
        ["FORMAT", "witness", "CURRENT", "MANIFEST", "write-ahead log", "ledger entries", "ledger vkey"]
    {
        assert!(refused(kind), "nothing of {kind} was refused: {outcomes:?}");
    }
    assert!(accepted > 0, "no refusal could be overridden");
    survived("rot: flip, cut, delete of every kind of file", injected, oracle.count());
}
