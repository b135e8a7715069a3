//! Making a store: a crash at any step leaves what the next start makes whole, and a store of which much is gone is never
//! taken for one that is being made.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use super::samples::{RECEIVED, open, register, root_key};
use super::{Loss, OpenError, Options, Store, step};
use crate::observe::Clock;

/// Every step of the first opening.
const STEPS: [&str; 5] = ["open: witness", "open: format", "open: database", "open: rows", "open: segment"];

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() { copy(&path, &to) } else { assert!(fs::copy(path, to).is_ok()) }
    }
}

fn refusal(dir: &Path) -> Option<OpenError> {
    Store::open(Options::new(dir), &root_key(0), Clock::manual(RECEIVED)).err()
}

fn is_without_database(dir: &Path) -> bool {
    matches!(refusal(dir), Some(OpenError::Amnesia { loss: Loss::Database, .. }))
}

/// covers: D5, D6
#[tokio::test]
async fn a_crash_at_any_step_of_the_first_opening_leaves_what_the_next_makes_whole() {
    for step in STEPS {
        let home = tempfile::tempdir().unwrap();
        let [data, crashed] = ["data", "crashed"].map(|name| home.path().join(name));
        let passed = Rc::new(Cell::new(false));
        let (from, to, told) = (data.clone(), crashed.clone(), Rc::clone(&passed));
        step::meanwhile(step, move || {
            copy(&from, &to);
            told.set(true);
        });
        open(&data).close().await;
        assert!(passed.get(), "{step} is not passed");
        // What was being written when the crash came.
        for draft in ["witness.new", "FORMAT.new"] {
            fs::write(crashed.join(draft), "usg").unwrap();
        }
        if step == "open: format" {
            // RocksDB makes a database without families and without a log first.
            let mut options = rocksdb::Options::default();
            options.create_if_missing(true);
            drop(rocksdb::DB::open(&options, crashed.join("db")).unwrap());
            for entry in fs::read_dir(crashed.join("db")).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|end| end == "log") {
                    fs::remove_file(path).unwrap();
                }
            }
        }
        let store = open(&crashed);
        register(&store, "acme", "standard").await;
        store.close().await;
        let store = open(&crashed);
        assert_eq!(store.customers_count(), 1, "{step}");
        store.close().await;
    }
}

/// covers: D6
#[tokio::test]
async fn a_store_without_its_database_is_a_loss_with_or_without_its_witness_and_from_its_first_opening() {
    let home = tempfile::tempdir().unwrap();
    for (name, is_used) in [("used", true), ("opened", false)] {
        let data = home.path().join(name);
        let store = open(&data);
        if is_used {
            register(&store, "acme", "standard").await;
        }
        store.close().await;
        fs::remove_dir_all(data.join("db")).unwrap();
        assert!(is_without_database(&data), "{name}: {:?}", refusal(&data));
        let witness = fs::read(data.join("witness")).unwrap();
        fs::write(data.join("witness"), "").unwrap();
        assert!(is_without_database(&data), "{name}: {:?}", refusal(&data));
        fs::remove_file(data.join("witness")).unwrap();
        assert!(is_without_database(&data), "{name}: {:?}", refusal(&data));
        assert!(!data.join("db").exists(), "nothing was begun");

        // The format file is gone, too: that is no store that is being made.
        fs::write(data.join("witness"), witness).unwrap();
        fs::rename(data.join("FORMAT"), data.join("format")).unwrap();
        let told = refusal(&data);
        assert!(matches!(told, Some(OpenError::NotAStore { .. })), "{name}: {told:?}");
        fs::rename(data.join("format"), data.join("FORMAT")).unwrap();
        fs::remove_file(data.join("witness")).unwrap();

        // Whoever has read what is missing goes on, and the loss is told.
        let options = Options { accept_data_loss: true, ..Options::new(&data) };
        let store = Store::open(options, &root_key(0), Clock::manual(RECEIVED)).unwrap();
        assert!(store.accepted_loss().is_some(), "{name}");
        store.close().await;
    }
}
