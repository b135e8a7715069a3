//! Opening what is damaged: it is refused by name or set aside; never served, never lost in silence.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use usaged::model::CommitNumber;
use usaged::sanitize::RootKey;
use usaged::store::{AppendError, Entry, Loss, OpenError, ReadLimits, RecordFault, Store};

use crate::store_samples::{Bench, START, append, drain, fill, put, readable, root_key};

/// What is done to a file.
type Damage = Box<dyn Fn(&Path)>;

/// Records in every damaged store.
const ALL: u64 = 120;

async fn filled() -> Bench {
    let bench = Bench::new().with_segments_of(64 * 1024);
    let store = bench.open();
    fill(&store, &bench.clock, 1..=ALL).await;
    let crashed = bench.crashed();
    store.close().await;
    crashed
}

fn refusal(bench: &Bench) -> OpenError {
    match bench.try_open() {
        Ok(store) => panic!("it opened, with {} of {ALL}", store.head()),
        Err(error) => error,
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, to: usize) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..to]).unwrap();
}

fn length(path: &Path) -> usize {
    usize::try_from(fs::metadata(path).unwrap().len()).unwrap()
}

/// The live write-ahead log.
fn log(bench: &Bench) -> PathBuf {
    bench.files(".log").pop().unwrap()
}

fn missing(error: &OpenError) -> Option<(u64, u64)> {
    let OpenError::Amnesia { loss: Loss::Commits { first, last }, .. } = error else { return None };
    Some((first.0, last.0))
}

// covers: D6
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_write_ahead_log_is_amnesia_and_says_what_is_missing() {
    let bench = filled().await;
    for path in bench.files(".log") {
        fs::remove_file(path).unwrap();
    }
    let error = refusal(&bench);
    let (first, last) = missing(&error).unwrap_or_else(|| panic!("{error:?}"));
    assert!(first > 1 && last == ALL, "{first} to {last}");
    let text = error.to_string();
    assert!(text.contains(&format!("commits {first} to {ALL}")), "{text}");
    assert!(text.contains("--accept-data-loss"), "{text}");
}

// covers: D6
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_write_ahead_log_is_amnesia() {
    for parts in [1, 2, 3] {
        let bench = filled().await;
        let log = log(&bench);
        cut(&log, length(&log) / 4 * parts);
        let error = refusal(&bench);
        assert_eq!(missing(&error).map(|(_, last)| last), Some(ALL), "{error:?}");
    }
}

// covers: D6
#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_the_write_ahead_log_is_amnesia_and_looking_changes_nothing() {
    let bench = filled().await;
    let log = log(&bench);
    let middle = length(&log) / 2;
    flip(&log, middle);
    let error = refusal(&bench);
    assert_eq!(missing(&error).map(|(_, last)| last), Some(ALL), "{error:?}");
    // Had the refusal thrown the rest of the log away, putting the bit back would be of no use.
    flip(&log, middle);
    assert_eq!(readable(&bench.open()), (1..=ALL).collect::<Vec<_>>());
}

// covers: D6
#[tokio::test(flavor = "multi_thread")]
async fn groups_behind_the_damage_prove_a_loss_that_the_witness_is_too_old_to_see() {
    let mut bench = Bench::new();
    bench.options.witness_lag = Duration::from_hours(1);
    let store = bench.open();
    fill(&store, &bench.clock, 1..=50).await;
    let crashed = bench.crashed();
    let log = log(&crashed);
    flip(&log, length(&log) / 2);
    let error = refusal(&crashed);
    // The last group cannot be shown to have been acknowledged: a torn write looks the same.
    assert_eq!(missing(&error).map(|(_, last)| last), Some(49), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_that_was_never_acknowledged_is_no_loss() {
    let mut bench = Bench::new();
    bench.options.witness_lag = Duration::from_hours(1);
    let store = bench.open();
    fill(&store, &bench.clock, 1..=10).await;
    let crashed = bench.crashed();
    let log = log(&crashed);
    for back in [3, 200, 1_000] {
        let crashed = crashed.crashed();
        let log = crashed.path.join("db").join(log.file_name().unwrap());
        cut(&log, length(&log) - back);
        let store = crashed.open();
        assert_eq!(readable(&store), (1..=9).collect::<Vec<_>>(), "cut by {back}");
        fill(&store, &crashed.clock, 10..=12).await;
    }
}

// covers: D6
#[tokio::test(flavor = "multi_thread")]
async fn lost_metadata_is_amnesia_too() {
    let bench = Bench::new();
    let store = bench.open();
    fill(&store, &bench.clock, 1..=1).await;
    let before = bench.crashed();
    store.write_meta(vec![put(b"a subscription", b"1")], true).await.unwrap();
    let after = bench.crashed();
    fs::copy(log(&before), log(&after)).unwrap();
    let error = refusal(&after);
    assert!(matches!(error, OpenError::Amnesia { loss: Loss::Metadata { writes: 1 }, .. }), "{error:?}");
}

// covers: D6
#[tokio::test(flavor = "multi_thread")]
async fn with_the_flag_a_store_goes_on_and_never_gives_a_number_twice() {
    let mut bench = filled().await;
    let path = log(&bench);
    cut(&path, length(&path) / 2);
    let recovered = missing(&refusal(&bench)).unwrap().0 - 1;
    bench.options.accept_data_loss = true;
    let store = bench.open();
    assert_eq!(store.head(), CommitNumber(ALL));
    fill(&store, &bench.clock, ALL + 1..=ALL + 5).await;
    let expected: Vec<_> = (1..=recovered).chain(ALL + 1..=ALL + 5).collect();
    assert_eq!(readable(&store), expected);
    store.close().await;
    bench.options.accept_data_loss = false;
    assert_eq!(readable(&bench.open()), expected);
}

// covers: D6
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_damaged_witness_or_database_is_refused_by_name() {
    let witness = |bench: &Bench| bench.path.join("witness");
    let bench = filled().await;
    fs::remove_file(witness(&bench)).unwrap();
    let error = refusal(&bench);
    assert!(matches!(error, OpenError::Amnesia { loss: Loss::WitnessMissing, .. }), "{error:?}");

    let bench = filled().await;
    flip(&witness(&bench), 30);
    assert_eq!(readable(&bench.open()).len() as u64, ALL, "one slot is enough, if it is the newer");

    for damage in [0, 10] {
        let bench = filled().await;
        cut(&witness(&bench), damage);
        let error = refusal(&bench);
        assert!(matches!(error, OpenError::Amnesia { loss: Loss::WitnessDamaged, .. }), "{error:?}");
    }

    let bench = filled().await;
    fs::remove_dir_all(bench.path.join("db")).unwrap();
    let error = refusal(&bench);
    assert!(matches!(error, OpenError::Amnesia { loss: Loss::Database, .. }), "{error:?}");
}

// covers: D6
#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_of_the_database_and_one_of_another_store_are_refused() {
    let bench = Bench::new();
    let store = bench.open();
    fill(&store, &bench.clock, 1..=5).await;
    let older = bench.crashed();
    fill(&store, &bench.clock, 6..=9).await;
    let newer = bench.crashed();
    fs::copy(newer.path.join("witness"), older.path.join("witness")).unwrap();
    assert_eq!(missing(&refusal(&older)), Some((6, 9)));

    let other = Bench::new();
    drop(other.open());
    fs::copy(other.path.join("witness"), newer.path.join("witness")).unwrap();
    let error = refusal(&newer);
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
}

// covers: D5
#[tokio::test(flavor = "multi_thread")]
async fn wherever_a_file_of_records_is_damaged_what_is_served_is_what_was_stored() {
    let whole = filled().await;
    drop(whole.open());
    let records = |bench: &Bench| {
        let mut files = bench.files(".sst");
        files.sort_by_key(|path| length(path));
        files.pop().unwrap()
    };
    let size = length(&records(&whole));
    let (mut opened, mut refused) = (0, 0);
    for part in 0..24 {
        let bench = whole.crashed();
        flip(&records(&bench), size / 24 * part + 5);
        match bench.try_open() {
            Err(OpenError::Damaged { .. } | OpenError::Database { .. } | OpenError::Amnesia { .. }) => {
                refused += 1;
            }
            Err(other) => panic!("{other:?}"),
            Ok(store) => {
                opened += 1;
                check_set_aside(&bench, store).await;
            }
        }
    }
    assert!(opened > 10, "{opened} opened, {refused} refused");
    for to in [0, size / 2, size - 1] {
        let bench = whole.crashed();
        cut(&records(&bench), to);
        let error = refusal(&bench);
        assert!(matches!(error, OpenError::Damaged { .. }), "cut to {to}: {error:?}");
    }
    let bench = whole.crashed();
    fs::remove_file(records(&bench)).unwrap();
    let error = refusal(&bench);
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
}

/// Every place has an entry, none has wrong bytes, and each damaged one is counted once.
async fn check_set_aside(bench: &Bench, store: Store) {
    let entries = drain(&store);
    assert_eq!(entries.len() as u64, ALL);
    let good = readable(&store).len() as u64;
    store.maintain().await.unwrap();
    assert_eq!(store.status().damaged, ALL - good);
    fill(&store, &bench.clock, ALL + 1..=ALL + 1).await;
    store.close().await;
    let store = bench.open();
    assert_eq!(store.status().damaged, ALL - good, "counted again after a restart");
    assert_eq!(readable(&store).len() as u64, good + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_does_not_open_is_set_aside_once() {
    let bench = Bench::new();
    let store = bench.open();
    fill(&store, &bench.clock, 1..=3).await;
    let Some(Entry::Record(record)) = store.read_one(CommitNumber(2)).unwrap() else { panic!("no record") };
    for _ in 0..2 {
        store.set_aside(&record, RecordFault::Seal);
        store.maintain().await.unwrap();
    }
    assert_eq!(store.status().damaged, 1);
    assert_eq!(store.read_one(CommitNumber(2)).unwrap(), Some(Entry::Damaged { commit: CommitNumber(2) }));
    store.close().await;
    assert_eq!(readable(&bench.open()), [1, 3]);
}

// covers: D5
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_manifest_never_loses_anything_in_silence() {
    let whole = filled().await;
    let manifest = |bench: &Bench| {
        let files = fs::read_dir(bench.path.join("db")).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.to_string_lossy().contains("MANIFEST")).max().unwrap()
    };
    let size = length(&manifest(&whole));
    let mut cases: Vec<Damage> = vec![Box::new(|path| fs::remove_file(path).unwrap())];
    for part in 0..12 {
        cases.push(Box::new(move |path| flip(path, size / 12 * part + 3)));
        cases.push(Box::new(move |path| cut(path, size / 12 * part)));
    }
    for (case, damage) in cases.iter().enumerate() {
        let bench = whole.crashed();
        damage(&manifest(&bench));
        match bench.try_open() {
            Ok(store) => assert_eq!(readable(&store), (1..=ALL).collect::<Vec<_>>(), "case {case}"),
            Err(OpenError::Damaged { .. } | OpenError::Amnesia { .. } | OpenError::Database { .. }) => {}
            Err(other) => panic!("case {case}: {other:?}"),
        }
    }
    let bench = whole.crashed();
    fs::remove_file(bench.path.join("db/CURRENT")).unwrap();
    let error = refusal(&bench);
    assert!(matches!(error, OpenError::Amnesia { loss: Loss::Database, .. }), "{error:?}");
}

// covers: D5
#[tokio::test(flavor = "multi_thread")]
async fn another_version_another_key_another_process_and_foreign_files_are_refused_by_name() {
    let bench = filled().await;
    let format = bench.path.join("FORMAT");
    let right = fs::read_to_string(&format).unwrap();
    for (text, found) in [(right.replace("format 1", "format 2"), Some("2")), ("usaged".into(), None)] {
        fs::write(&format, text).unwrap();
        let error = refusal(&bench);
        match (&error, found) {
            (OpenError::UnknownVersion { found, known: 1, .. }, Some(expected)) => {
                assert_eq!(found, expected);
            }
            (OpenError::NotAStore { .. }, None) => {}
            (_, _) => panic!("{error:?}"),
        }
    }
    fs::remove_file(&format).unwrap();
    let error = refusal(&bench);
    assert!(matches!(error, OpenError::NotAStore { .. }), "{error:?}");
    fs::write(&format, right).unwrap();

    let other = RootKey::from_hex(&"fedcba9876543210".repeat(4)).unwrap();
    let wrong_key = Store::open(bench.options.clone(), &other, bench.clock.clone()).unwrap_err();
    assert!(matches!(wrong_key, OpenError::WrongRootKey { .. }), "{wrong_key:?}");

    let store = bench.open();
    let error = refusal(&bench);
    assert!(matches!(error, OpenError::Locked { .. }), "{error:?}");
    assert!(error.to_string().contains("another process"), "{error}");
    assert_eq!(readable(&store).len() as u64, ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_directory_is_refused_by_name() {
    let bench = Bench::new();
    // Even root cannot write here.
    let mut options = bench.options.clone();
    options.dir = PathBuf::from("/proc/usaged-store");
    let error = Store::open(options, &root_key(), bench.clock.clone()).unwrap_err();
    assert!(matches!(error, OpenError::File { .. } | OpenError::ReadOnly { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_write_ends_the_store_and_nothing_more_is_acknowledged() {
    let bench = Bench::new().with_segments_of(64 * 1024);
    let store = bench.open();
    fill(&store, &bench.clock, 1..=2).await;
    let mut fatal = store.fatal();
    assert!(fatal.borrow().is_none());
    let crashed = bench.crashed();
    // RocksDB finds a file where its directory was when it begins the next segment.
    fs::rename(bench.path.join("db"), bench.path.join("moved")).unwrap();
    fs::write(bench.path.join("db"), b"").unwrap();
    let mut n = 3;
    let error = loop {
        match store.append(append(n, START)).await {
            Ok(_) if n < 20_000 => n += 1,
            Ok(_) => panic!("it never noticed"),
            Err(error) => break error,
        }
    };
    assert_eq!(error, AppendError::Failed);
    fatal.wait_for(Option::is_some).await.unwrap();
    assert!(store.status().failed);
    assert_eq!(store.append(append(n, START)).await, Err(AppendError::Failed));
    assert!(store.write_meta(vec![put(b"a", b"b")], false).await.is_err());
    drop(store);
    assert_eq!(readable(&crashed.open()), [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_creation_is_finished_at_the_next_start() {
    let bench = Bench::new();
    drop(bench.open());
    // As a creation before the witness was made first.
    let early = bench.crashed();
    fs::remove_file(early.path.join("witness")).unwrap();
    let store = early.open();
    fill(&store, &early.clock, 1..=1).await;
    assert_eq!(store.read(CommitNumber(1), ReadLimits { records: 9, bytes: 9 }).unwrap().len(), 1);
    // A format file alone is what is left of a store: the witness is made before it.
    let gone = bench.crashed();
    fs::remove_dir_all(gone.path.join("db")).unwrap();
    fs::remove_file(gone.path.join("witness")).unwrap();
    let error = refusal(&gone);
    assert!(matches!(error, OpenError::Amnesia { loss: Loss::Database, .. }), "{error:?}");
}
