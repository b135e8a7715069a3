//! The process ends at a step of an amendment, a destruction, a purge or a backup: what was answered holds, each
//! step is done or not, and doing it all again leaves no byte. The process is this test binary, started again.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::samples::{amendments, at, bridge, fill, holding, id, noise, open, queue, register, seal_key};
use super::step::arm;
use super::{BackupError, Entry, MetaOp, MetaTable, Place, Store};
use crate::model::{CommitNumber, CustomerKey};
use crate::sanitize::SealKey;

const ACME: CustomerKey = CustomerKey(1);
const GLOBEX: CustomerKey = CustomerKey(2);
const NAME: &str = "acme-gmbh-and-co";
const RECORDS: u64 = 80;
/// Where the tests look: the store, a backup of it from before, and the rows of that.
const PLACES: [&str; 3] = ["data", "backup", "rows"];

fn places(home: &Path) -> [PathBuf; 3] {
    PLACES.map(|name| home.join(name))
}

/// What is done to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Amend,
    Destroy,
    Backup,
}

impl Act {
    const ALL: [Self; 3] = [Self::Amend, Self::Destroy, Self::Backup];

    /// Does it from where it is.
    async fn run(self, store: &Store, home: &Path) {
        match self {
            Self::Amend => {
                // Records of the one customer: half of them lower, half of them gone.
                let mine = |n: &u64| n % 2 == 1;
                let open: Vec<u64> =
                    queue(store).iter().filter(|entry| is_first(entry)).map(commit).collect();
                let (lower, gone): (Vec<u64>, Vec<u64>) =
                    open.into_iter().filter(mine).partition(|n| n % 4 == 1);
                store.amend(amendments(store, lower, true)).await.unwrap();
                store.amend(amendments(store, gone, false)).await.unwrap();
                let all = Place::Commits { first: CommitNumber(1), last: CommitNumber(RECORDS) };
                purge(store, vec![all]).await;
            }
            Self::Destroy => {
                let progress = |word: &[u8]| MetaOp::Put {
                    table: MetaTable::Erasures,
                    key: b"1".to_vec(),
                    value: word.to_vec(),
                };
                let ops = vec![progress(b"destroyed"), MetaOp::Ledger(b"erased c1".to_vec())];
                if store.meta(MetaTable::Erasures, b"1").unwrap().is_none() {
                    store.destroy_customer(ACME, |_| Ok(ops)).await.unwrap();
                }
                purge(store, vec![Place::Customer(ACME)]).await;
                store.write_meta(vec![progress(b"done")], true).await.unwrap();
            }
            Self::Backup => {
                let [_, dir, rows] = places(home).map(|place| place.with_extension("again"));
                let store = store.clone();
                let copy = move || store.backup(&dir, &rows, &mut |_| {}).unwrap();
                tokio::task::spawn_blocking(copy).await.unwrap();
            }
        }
    }
}

fn is_first(entry: &Entry) -> bool {
    matches!(entry, Entry::Record(record) if !record.is_amended())
}

fn commit(entry: &Entry) -> u64 {
    entry.commit().0
}

async fn purge(store: &Store, places: Vec<Place>) {
    let store = store.clone();
    tokio::task::spawn_blocking(move || store.purge(&places, &mut |_| {}).unwrap()).await.unwrap();
}

/// What the tests search for, written down beside the store by who made it.
fn notes(home: &Path, kind: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<_> =
        fs::read_dir(home.join(kind)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn note<'a>(home: &Path, kind: &str, all: impl IntoIterator<Item = (u64, &'a [u8])>) {
    fs::create_dir_all(home.join(kind)).unwrap();
    for (n, bytes) in all {
        fs::write(home.join(kind).join(format!("{n:06}")), bytes).unwrap();
    }
}

/// The other process. Does nothing when the tests are run as usual.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let word = |name: &str| env::var_os(name).map(|word| word.into_string().unwrap());
    let (Some(home), Some(act), Some(step)) = (word("CRASH_HOME"), word("CRASH_ACT"), word("CRASH_STEP"))
    else {
        return;
    };
    let nth = word("CRASH_NTH").unwrap().parse().unwrap();
    let home = PathBuf::from(home);
    let act = Act::ALL.into_iter().find(|known| format!("{known:?}") == act).unwrap();
    let [data, dir, rows] = places(&home);
    let store = open(&data);
    let customers = [register(&store, NAME, "enhanced").await, register(&store, "globex", "enhanced").await];
    register(&store, NAME, "standard").await;
    store.write_meta(vec![bridge(ACME, &noise(9)[..32])], true).await.unwrap();
    let sealed: BTreeMap<u64, Vec<u8>> = fill(&store, customers, 1..=RECORDS).await;
    let mine = sealed.iter().filter(|(n, _)| *n % 2 == 1);
    note(&home, "sealed", mine.map(|(n, bytes)| (*n, bytes.as_slice())));
    let salt = store.customer_by_key(ACME).unwrap().unwrap().salt;
    note(&home, "secret", [(1, salt.expose().as_slice()), (2, &noise(9)[..32]), (3, NAME.as_bytes())]);
    let copied = store.clone();
    tokio::task::spawn_blocking(move || copied.backup(&dir, &rows, &mut |_| {}).unwrap()).await.unwrap();
    arm(&step, nth);
    act.run(&store, &home).await;
    fs::write(home.join("survived"), b"").unwrap();
}

/// Has the other process end at the `nth` passing of a step.
fn crash(act: Act, step: &str, nth: u32) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", "store::crash_tests::child", "--nocapture"])
        .env("CRASH_HOME", home.path())
        .env("CRASH_ACT", format!("{act:?}"))
        .env("CRASH_STEP", step)
        .env("CRASH_NTH", nth.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    // 6 is SIGABRT: it ended where it was told to, and not before or never.
    assert_eq!(status.signal(), Some(6), "{act:?} at {step} {nth}: {status}");
    assert!(!home.path().join("survived").exists() && home.path().join("secret").exists());
    home
}

fn body(store: &Store, n: u64, key: &SealKey) -> Vec<u8> {
    at(store, n).unwrap().open(key).unwrap()
}

// covers: P6 P8 D1 D2
#[tokio::test(flavor = "multi_thread")]
async fn amending_and_purging_resume_after_a_crash_at_any_step() {
    // 20 records are replaced in one write, 20 reduced in another.
    let steps =
        [("write", 1), ("written", 1), ("write", 2), ("written", 2), ("purge: log", 1), ("purge: range", 2)];
    for (step, nth) in steps {
        let home = crash(Act::Amend, step, nth);
        let [data, ..] = places(home.path());
        let store = open(&data);
        let found = queue(&store);
        assert_eq!(found.iter().map(commit).collect::<Vec<_>>(), (1..=RECORDS).collect::<Vec<_>>());
        let amended =
            found.iter().filter(|entry| matches!(entry, Entry::Record(record) if record.is_amended()));
        let gone = found.iter().filter(|entry| matches!(entry, Entry::Gone { .. })).count();
        let expected = match (step, nth) {
            ("write", 1) => (0, 0),
            ("written", 1) | ("write", 2) => (20, 0),
            _ => (20, 20),
        };
        assert_eq!((amended.count(), gone), expected, "{step} {nth}");
        let (mine, others) = (seal_key(&store, ACME).unwrap(), seal_key(&store, GLOBEX).unwrap());
        Act::Amend.run(&store, home.path()).await;
        for n in 1..=RECORDS {
            match n % 4 {
                1 => assert!(body(&store, n, &mine) == noise(n + 10_000)),
                3 => assert!(at(&store, n).is_none()),
                _ => assert!(body(&store, n, &others) == noise(n)),
            }
        }
        assert_eq!(store.status().damaged, 0);
        let old = notes(home.path(), "sealed");
        assert_eq!(old.len(), 40);
        let left = holding(&data, old.iter().map(Vec::as_slice));
        assert!(left.is_empty(), "{step} {nth}: {left:?}");
        store.close().await;
        assert_eq!(queue(&open(&data)).len(), 80);
    }
}

// covers: P8 D1
#[tokio::test(flavor = "multi_thread")]
async fn destroying_resumes_after_a_crash_at_any_step_and_leaves_no_byte_here_or_in_an_earlier_backup() {
    // The mark of the purge and the word that it is done are writes too; the customer has five ranges.
    let steps = [
        ("write", 1),
        ("written", 1),
        ("write", 2),
        ("purge: log", 1),
        ("purge: range", 1),
        ("purge: range", 3),
        ("purge: range", 5),
        ("written", 3),
    ];
    for (step, nth) in steps {
        let home = crash(Act::Destroy, step, nth);
        let [data, dir, rows] = places(home.path());
        let secret = notes(home.path(), "secret");
        let store = open(&data);
        // All of it or nothing of it.
        let there = (step, nth) == ("write", 1);
        assert_eq!(store.customer_key(&id(NAME)).unwrap().is_some(), there);
        assert_eq!(store.customer_by_key(ACME).unwrap().is_some(), there);
        assert_eq!(store.bridges(Some(ACME)).unwrap().len(), usize::from(there));
        assert_eq!(store.customers_count(), 1 + u64::from(there));
        assert_eq!(store.meta(MetaTable::Erasures, b"1").unwrap().is_none(), there);
        assert_eq!(store.outbox(9).unwrap().len(), usize::from(!there));
        assert_eq!(queue(&store).len(), 80);
        Act::Destroy.run(&store, home.path()).await;
        assert_eq!(store.meta(MetaTable::Erasures, b"1").unwrap(), Some(b"done".to_vec()));
        assert_eq!(store.outbox(9).unwrap(), [(1, b"erased c1".to_vec())]);
        for place in [&data, &dir] {
            let left = holding(place, secret.iter().map(Vec::as_slice));
            assert!(left.is_empty(), "{step} {nth}: {left:?}");
        }
        // The file of personal rows is what has to be thrown away.
        let kept = fs::read(&rows).unwrap();
        assert!(secret.iter().all(|secret| memchr::memmem::find(&kept, secret).is_some()));
        // What is left of it in the queue, here and in the backup, opens with no key that can still be derived.
        let others = seal_key(&store, GLOBEX).unwrap();
        store.close().await;
        for place in [&data, &dir] {
            let store = open(place);
            assert!(seal_key(&store, ACME).is_none());
            for n in 1..=RECORDS {
                let opened = at(&store, n).unwrap().open(&others);
                assert_eq!(opened.is_ok(), n % 2 == 0, "{n}");
            }
        }
    }
}

// covers: P8
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_backup_is_no_store_and_the_next_one_is_whole() {
    for step in ["backup: marked", "backup: copied", "backup: separated", "backup: searched"] {
        let home = crash(Act::Backup, step, 1);
        let [data, dir, rows] = places(home.path());
        let (again, rows_again) = (dir.with_extension("again"), rows.with_extension("again"));
        assert!(!again.join("FORMAT").exists() && again.join("UNFINISHED").exists(), "{step}");
        assert!(super::put_back(&again, &rows).is_err());
        let store = open(&data);
        assert_eq!(queue(&store).len(), 80);
        refused_where_not_all_is_its_own(&store, &again, &rows_again).await;
        if step == "backup: marked" {
            // As a crash leaves it while it is written.
            let mark = fs::read(again.join("UNFINISHED")).unwrap();
            fs::write(again.join("UNFINISHED"), &mark[..mark.len() / 2]).unwrap();
        }
        // The next one clears what is left, and goes on.
        Act::Backup.run(&store, home.path()).await;
        assert!(!again.join("unfinished").exists());
        assert!(holding(&again, notes(home.path(), "secret").iter().map(Vec::as_slice)).is_empty());
        super::put_back(&again, &rows_again).unwrap();
        let copy = open(&again);
        let key = seal_key(&copy, ACME).unwrap();
        assert!(body(&copy, 1, &key) == noise(1));
    }
}

/// Into what an interrupted backup left, with something else in it, none is made, and nothing of it is removed.
async fn refused_where_not_all_is_its_own(store: &Store, dir: &Path, rows: &Path) {
    let refused = async || {
        let before = listed(dir);
        let (copied, to, personal) = (store.clone(), dir.to_owned(), rows.to_owned());
        let copy = move || copied.backup(&to, &personal, &mut |_| {});
        let made = tokio::task::spawn_blocking(copy).await.unwrap();
        assert!(matches!(made, Err(BackupError::Exists { .. })), "{made:?}");
        assert_eq!(listed(dir), before);
    };
    fs::write(dir.join("notes"), b"mine").unwrap();
    refused().await;
    fs::remove_file(dir.join("notes")).unwrap();
    let mark = fs::read(dir.join("UNFINISHED")).unwrap();
    // As another store would have it, and a finished backup.
    let other = String::from_utf8(mark.clone()).unwrap().replace("store ", "store 0");
    fs::write(dir.join("UNFINISHED"), other).unwrap();
    refused().await;
    fs::write(dir.join("UNFINISHED"), &mark).unwrap();
    fs::write(dir.join("BACKUP"), b"{}").unwrap();
    refused().await;
    fs::remove_file(dir.join("BACKUP")).unwrap();
}

fn listed(dir: &Path) -> std::collections::BTreeSet<PathBuf> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}
