//! Erasure proved with the whole program: a customer is erased, and what is left in the data directory, its log, the
//! ledger and a backup from before opens with nothing that can still be had, says nothing of who it was, and derives none
//! of the pseudonyms that went out.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use usaged::drain::{Drain, Options as DrainOptions, SeekTarget, SkipReason};
use usaged::model::{CommitNumber, CustomerId, CustomerKey, ProgramName, SubscriptionName};
use usaged::observe::Clock;
use usaged::policy::{self, compile, shipped};
use usaged::sanitize::RootKey;
use usaged::store::{self, Customers, Entry, Options, Store, StoredRecord, put_back};

use crate::cli_run::{Collector, Ended, usaged};
use crate::hunt_search::files;

const ERASED: &str = "acme-gmbh-and-co-4711";
const OTHER: &str = "globex";

fn ok(ended: Ended) -> Ended {
    assert_eq!(ended.code, 0, "{} {}", ended.out, ended.err);
    ended
}

fn set(collector: &Collector, customer: &str) {
    ok(collector
        .client(&["participation", "set", customer, "--level", "ceip=standard", "--reason", "x"], ""));
}

fn send(collector: &Collector, customer: &str, hosts: std::ops::Range<u32>) {
    let line = |n: u32| {
        format!(
            "{{\"name\":\"vm.inventory\",\"fields\":{{\"host\":\"esx-{n}.example.com\",\"vcpus\":{n}}}}}\n"
        )
    };
    let args = ["send", "--customer", customer, "--product", "vcenter", "--batch-size", "3"];
    ok(collector.client(&args, &hosts.map(line).collect::<String>()));
}

/// What a drainer gets: the pseudonyms of customers and hosts, with the numbers that came with them.
fn drain(collector: &Collector) -> Vec<(String, String, u64)> {
    let lines = ok(collector.client(&["drain", "team"], "")).out;
    let read = |line: &str| {
        let event: Json = serde_json::from_str(line).unwrap();
        let text = |value: &Json| value.as_str().unwrap().to_owned();
        let number = event["fields"]["vcpus"].as_u64().unwrap();
        (text(&event["customer"]), text(&event["fields"]["host"]), number)
    };
    lines.lines().map(read).collect()
}

/// Every pseudonym of a host that an administrator is told.
fn looked_up(collector: &Collector, host: &str) -> Ended {
    collector.client(&["pseudonym", "--customer", ERASED, "--class", "host_name", host], "")
}

fn open(dir: &Path, key: &Path) -> Store {
    let root = RootKey::from_hex(std::fs::read_to_string(key).unwrap().trim()).unwrap();
    crate::store_samples::reopen(&Options::new(dir), &root, &Clock::system()).unwrap()
}

fn records(store: &Store, of: CustomerKey) -> Vec<StoredRecord> {
    let read = |commit| match store.read_one(CommitNumber(commit)).unwrap() {
        Some(Entry::Record(record)) if record.header.customer == of => Some(record),
        _ => None,
    };
    (1..=store.head().0).filter_map(read).collect()
}

/// The files that hold these bytes.
fn holding(places: &[&Path], needle: &[u8]) -> Vec<String> {
    let all = places
        .iter()
        .flat_map(|place| if place.is_file() { vec![place.to_path_buf()] } else { files(place) });
    let has = |path: &Path| memchr::memmem::find(&std::fs::read(path).unwrap(), needle).is_some();
    all.filter(|path| has(path)).map(|path| path.display().to_string()).collect()
}

/// Whether any of these records opens with a key of any customer that the store knows.
fn opens(records: &[StoredRecord], customers: &Customers, known: &[&str]) -> bool {
    let ceip = ProgramName::new("ceip").unwrap();
    known.iter().any(|id| {
        let Some(entry) = customers.get(&CustomerId::new(id).unwrap()).unwrap() else { return false };
        records
            .iter()
            .any(|record| record.open(&entry.secret.seal_key(&ceip, record.header.received)).is_ok())
    })
}

fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let to = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(path, to).unwrap();
    }
}

// covers: P4, P8
#[test]
fn after_an_erasure_nothing_opens_here_or_in_a_backup_from_before() {
    let dir = tempfile::tempdir().unwrap();
    let (data, key) = (dir.path().join("data"), dir.path().join("data.key"));
    let (backup, rows, rows_now) =
        (dir.path().join("backup"), dir.path().join("rows"), dir.path().join("rows-now"));
    let collector = Collector::start(dir.path(), &["--log-level", "debug"]);
    set(&collector, ERASED);
    set(&collector, OTHER);
    let create =
        ["subscription", "create", "team", "--purpose", "improve", "--recipient", "x", "--from-oldest"];
    ok(collector.client(&create, ""));
    send(&collector, ERASED, 0..30);
    send(&collector, OTHER, 0..30);
    let seen = drain(&collector);
    assert_eq!(seen.len(), 60);
    // The customer that comes first in the queue is the one that will go.
    let named: String = seen[0].0.clone();
    // The notices that wait for drainers name the customer as it was named to them, and no host.
    let mine = seen.iter().filter(|event| event.0 == named);
    let tokens: BTreeSet<String> = mine.map(|event| event.1.clone()).collect();
    assert_eq!(tokens.len(), 30);
    let told = ok(looked_up(&collector, "esx-3.example.com")).out;
    assert!(tokens.iter().any(|token| told.contains(token.as_str())), "{told}");
    send(&collector, ERASED, 30..40);
    assert_eq!(collector.end(), 0);

    // Everything that could open it, and a backup.
    let store = open(&data, &key);
    let before = store.customer(&CustomerId::new(ERASED).unwrap()).unwrap().unwrap();
    let secrets = [before.salt.expose().to_vec(), before.ratchet.expose().to_vec()];
    let mine = records(&store, before.key);
    assert!(mine.len() >= 14, "{}", mine.len());
    assert!(opens(&mine, &Customers::new(store.clone(), 9), &[ERASED]), "before, they open");
    store.backup(&backup, &rows, &mut |_| {}).unwrap();
    drop(store);
    for secret in secrets.iter().map(Vec::as_slice).chain([ERASED.as_bytes()]) {
        assert!(!holding(&[&data], secret).is_empty(), "the search finds it while it is there");
        assert!(holding(&[&backup], secret).is_empty(), "not without the file of rows");
        assert!(!holding(&[&rows], secret).is_empty());
    }
    let pieces: Vec<&[u8]> = mine.iter().map(|record| &record.ciphertext()[..24]).collect();
    let there = pieces.iter().filter(|piece| !holding(&[&backup], piece).is_empty()).count();
    assert!(there > pieces.len() / 2, "the sealed records are in the backup: {there}");

    let collector = Collector::start(dir.path(), &["--log-level", "debug"]);
    let done = ok(collector.client(&["erase", "--customer", ERASED, "--everything", "--json"], "")).json();
    assert_eq!(done["state"], "DONE", "{done}");
    assert_eq!(looked_up(&collector, "esx-3.example.com").code, 5, "no pseudonym can be looked up any more");
    assert_eq!(collector.end(), 0);
    // The file of rows goes with the erasure; that is the rule of backups. The rows of now take its place.
    std::fs::remove_file(&rows).unwrap();
    let store = open(&data, &key);
    assert_eq!(records(&store, before.key).len(), 0);
    store.backup(&dir.path().join("backup-now"), &rows_now, &mut |_| {}).unwrap();
    drop(store);

    let log = dir.path().join("log");
    let spoken = [ERASED.to_owned(), "esx-3.example.com".to_owned(), "esx-33.example.com".to_owned()];
    let hidden = secrets.iter().cloned().chain(spoken.iter().map(|text| text.as_bytes().to_vec()));
    for needle in hidden.chain(tokens.iter().map(|token| token.as_bytes().to_vec())) {
        let left = holding(&[&data, &backup, &dir.path().join("backup-now")], &needle);
        assert!(left.is_empty(), "{} is in {left:?}", String::from_utf8_lossy(&needle));
        let said = std::fs::read(&log).unwrap();
        assert!(memchr::memmem::find(&said, &needle).is_none());
        let rows = std::fs::read(&rows_now).unwrap();
        assert!(memchr::memmem::find(&rows, &needle).is_none());
    }
    for piece in &pieces {
        assert_eq!(holding(&[&data], piece), [""; 0], "an old record is in a file");
    }

    // The backup comes back with the rows of now: what was erased does not.
    let restored = dir.path().join("restored");
    copy(&backup, &restored);
    put_back(&restored, &rows_now).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let drained = runtime.block_on(drain_restored(&restored, &key, &mine));
    assert_eq!(drained, 10, "ten batches of the other one");

    // Who comes back is somebody new.
    let collector = Collector::start(dir.path(), &[]);
    set(&collector, ERASED);
    send(&collector, ERASED, 0..30);
    let again = drain(&collector);
    assert_eq!(again.len(), 30);
    assert!(again.iter().all(|event| event.0 != named && !tokens.contains(&event.1)), "{again:?}");
    let told = ok(looked_up(&collector, "esx-3.example.com")).out;
    assert!(!tokens.iter().any(|token| told.contains(token.as_str())), "{told}");
    assert_eq!(collector.end(), 0);
    let ledger = data.join("ledger").display().to_string();
    ok(usaged(["ledger", "verify", &ledger]));
}

/// Drains a restored backup from the beginning: how many batches there are. None of `erased` opens with anything.
async fn drain_restored(dir: &Path, key: &Path, erased: &[StoredRecord]) -> usize {
    let store = open(dir, key);
    let customers = Customers::new(store.clone(), 9);
    assert!(customers.get(&CustomerId::new(ERASED).unwrap()).unwrap().is_none());
    let policy = policy::Handle::new(Arc::new(compile(&shipped()).unwrap().0));
    let clock = Clock::system();
    let drain =
        Drain::open(store.clone(), customers.clone(), policy, clock, DrainOptions::default()).await.unwrap();
    let team = SubscriptionName::new("team").unwrap();
    drain.seek(&team, SeekTarget::Oldest).await.unwrap();
    let pulled = drain.pull(&team, 1_000, u64::MAX, Duration::ZERO, 0).await.unwrap().deliveries;
    let state = drain.get(&team).await.unwrap();
    let skipped =
        state.skipped_by.iter().find(|(reason, _)| *reason == SkipReason::UnknownCustomer).unwrap().1;
    assert_eq!(usize::try_from(skipped).unwrap(), erased.len(), "passed over, and counted");
    assert!(!opens(erased, &customers, &[ERASED, OTHER]));
    // Nor with the keys of a new customer of the same name.
    let participation = usaged::model::Participation::none(CustomerId::new(ERASED).unwrap());
    let (by, reason) = ("x".to_owned(), "x".to_owned());
    let change = store::NewChange { participation, by, reason, if_revision: None };
    store.set_participation(vec![change]).await.unwrap().remove(0).unwrap();
    assert!(!opens(erased, &customers, &[ERASED, OTHER]));
    pulled.len()
}
