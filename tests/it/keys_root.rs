//! Changing the root key of a real collector: under load, with a crash at any point, and with keys that are not
//! right.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value as Json;
use usaged::observe::Clock;
use usaged::sanitize::RootKey;
use usaged::store::{self, MetaOp};

use crate::cli_run::{Ended, usaged};
use crate::fault_daemon::{Daemon, Place, until};
use crate::fault_load::{Load, drain_all, set_up};

/// A key that differs for every `n`.
fn key(n: u8) -> String {
    format!("{n:02x}a7{n:02x}35c4d9e8f1").repeat(4)
}

fn put(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn files(place: &Place) -> (PathBuf, PathBuf) {
    (place.data.with_extension("key"), place.data.with_extension("key.next"))
}

fn client(daemon: &Daemon, args: &[&str]) -> Ended {
    tokio::task::block_in_place(|| usaged(args.iter().chain(&["--server", &daemon.grpc])))
}

fn rotate(daemon: &Daemon) -> Ended {
    client(daemon, &["keys", "rotate-root", "--reason", "a test", "--by", "tests", "--json"])
}

/// Waits until the collector says that no file of the store holds keys that are gone.
fn until_no_file_holds_gone_keys(daemon: &Daemon) {
    tokio::task::block_in_place(|| {
        until("no file holds keys that are gone", || {
            usaged(["keys", "status", "--json", "--server", &daemon.grpc]).json()["purge_due"] == false
        });
    });
}

/// The pseudonyms of a host and an instance of the customer, in every program and epoch.
fn pseudonyms(daemon: &Daemon) -> Json {
    let told = ["host_name", "instance_id"].map(|class| {
        let args = ["pseudonym", "--customer", "acme", "--class", class, "esx01.example.com", "--json"];
        client(daemon, &args).json()["values"].clone()
    });
    assert!(told[0][0]["pseudonyms"].as_array().unwrap().len() > 4, "{told:?}");
    Json::from(told.to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_root_key_is_changed_under_load_and_nothing_is_refused_lost_or_renamed() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path());
    let (present, next) = files(&place);
    let daemon = place.start();
    set_up(&daemon.grpc, &["acme"], &["verify", "work"]).await;
    let mut load = Load::new();
    load.sender("acme", 0);
    load.pipeliner("acme");
    load.drainer("work");
    load.is_at(&daemon.grpc);
    load.goes_on(20).await;
    let (first, before) = (std::fs::read_to_string(&present).unwrap(), pseudonyms(&daemon));
    let mut id = client(&daemon, &["keys", "status", "--json"]).json()["root_key_id"].clone();
    for n in 1..=4 {
        put(&next, &key(n), 0o600);
        let done = rotate(&daemon);
        assert_eq!(done.code, 0, "{}", done.err);
        let told = done.json();
        assert_eq!((&told["previous_root_key_id"], &told["remaining_step"]), (&id, &Json::Null));
        id = told["root_key_id"].clone();
        assert_eq!(client(&daemon, &["keys", "status", "--json"]).json()["root_key_id"], id);
        assert_eq!(std::fs::read_to_string(&present).unwrap(), key(n));
        assert!(!next.exists());
        load.goes_on(20).await;
        assert_eq!(pseudonyms(&daemon), before, "after change {n}");
    }
    load.stop().await;
    until_no_file_holds_gone_keys(&daemon);
    assert_eq!(load.oracle.duplicates(), 0, "no request had to be sent again");
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);

    // The first key, back from a backup, is refused by name; the last one opens everything.
    let last = std::fs::read_to_string(&present).unwrap();
    put(&present, &first, 0o600);
    let (code, said) = place.refused();
    assert_eq!(code, 6, "{said}");
    assert!(said.contains("written with another root key") && said.contains(id.as_str().unwrap()), "{said}");
    put(&present, &last, 0o600);
    let daemon = place.start();
    assert_eq!(pseudonyms(&daemon), before);
    // Nobody remembers what was left to do, so it is done again after each start.
    until_no_file_holds_gone_keys(&daemon);
    load.oracle.compare(&drain_all(&daemon.grpc, "verify", &load.oracle).await);
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
    let log = place.said();
    for n in 1..=4 {
        assert!(!log.contains(&key(n)[..16]), "a key is in the log");
    }
    assert!(!log.contains(&first[..16]) && !log.contains("esx01"), "a key or a value is in the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_point_of_a_change_leaves_a_key_that_starts() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path());
    let (present, next) = files(&place);
    let mut before = None;
    let (mut kept, mut changed) = (0, 0);
    // The moment of the change is found by halving and doubling.
    let mut delay = Duration::from_millis(16);
    for n in 1..=12 {
        let daemon = place.start();
        if n == 1 {
            set_up(&daemon.grpc, &["acme"], &[]).await;
        }
        assert_eq!(before.get_or_insert_with(|| pseudonyms(&daemon)), &pseudonyms(&daemon), "start {n}");
        put(&next, &key(n), 0o600);
        let grpc = daemon.grpc.clone();
        let asked = std::thread::spawn(move || {
            usaged(["keys", "rotate-root", "--reason", "a test", "--by", "tests", "--server", &grpc])
        });
        tokio::time::sleep(delay).await;
        daemon.kill();
        let _ = tokio::task::block_in_place(|| asked.join().unwrap());
        let daemon = place.start();
        let at_work = std::fs::read_to_string(&present).unwrap();
        if at_work == key(n) {
            changed += 1;
            delay = delay * 2 / 3;
            assert!(!next.exists(), "the next key has moved to its place");
        } else {
            kept += 1;
            delay *= 2;
        }
        assert_eq!(Some(&pseudonyms(&daemon)), before.as_ref());
        assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
    }
    assert!(kept > 0 && changed > 0, "{kept} kills before the change, {changed} after it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_the_store_and_the_file_is_finished_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path());
    let (present, next) = files(&place);
    let daemon = place.start();
    set_up(&daemon.grpc, &["acme"], &[]).await;
    let before = pseudonyms(&daemon);
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
    // What the daemon does up to the renaming.
    let old = std::fs::read_to_string(&present).unwrap();
    let (root, new) = (RootKey::from_hex(&old).unwrap(), RootKey::from_hex(&key(1)).unwrap());
    let options = store::Options::new(&place.data);
    let store = crate::store_samples::reopen(&options, &root, &Clock::system()).unwrap();
    let rewrapped = store.rewrapped(&new).unwrap().unwrap();
    store.write_meta(vec![MetaOp::Root(rewrapped)], true).await.unwrap();
    store.close().await;

    // Without the next key, or with one that is not it, the old one is refused, and nothing is touched.
    for (text, mode) in [(None, 0), (Some(key(2)), 0o600), (Some(key(1)), 0o644), (Some("x".into()), 0o600)] {
        match &text {
            Some(text) => put(&next, text, mode),
            None => assert!(!next.exists()),
        }
        let (code, said) = place.refused();
        assert_eq!(code, 6, "{said}");
        assert!(said.contains("written with another root key"), "{said}");
        assert_eq!(std::fs::read_to_string(&present).unwrap(), old);
        assert_eq!(next.exists(), text.is_some());
    }
    put(&next, &key(1), 0o600);
    let daemon = place.start();
    assert_eq!(std::fs::read_to_string(&present).unwrap(), key(1));
    assert!(!next.exists() && place.said().contains("the next root key is in its place now"));
    assert_eq!(pseudonyms(&daemon), before);
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_next_key_that_is_not_right_is_refused_with_the_remedy_and_the_present_one_stays() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path());
    let (present, next) = files(&place);
    let daemon = place.start();
    let named = next.display().to_string();
    let old = std::fs::read_to_string(&present).unwrap();
    let mut all = String::new();
    let mut refused = |words: &[&str]| {
        let ended = rotate(&daemon);
        assert_eq!(ended.code, 5, "{}", ended.err);
        for word in words.iter().chain(&["ROOT_KEY_REFUSED"]) {
            assert!(ended.err.contains(word), "{word} is not in {}", ended.err);
        }
        assert_eq!(std::fs::read_to_string(&present).unwrap(), old);
        all.push_str(&ended.err);
    };
    refused(&[&named, "openssl rand -hex 32", "umask 077"]);
    for (text, mode, words) in [
        (key(1), 0o644, ["mode 644", "chmod 600"]),
        (key(1), 0o640, ["mode 640", "chmod 600"]),
        (key(1)[..40].to_owned(), 0o600, ["64 hexadecimal digits", "openssl rand"]),
        (String::new(), 0o600, ["64 hexadecimal digits", "openssl rand"]),
        ("00".repeat(32), 0o600, ["placeholder", "openssl rand"]),
        (old.clone(), 0o600, ["that is the root key already", "openssl rand"]),
    ] {
        put(&next, &text, mode);
        refused(&words);
    }
    put(&next, &key(1), 0o600);
    rustix::fs::chown(&next, Some(rustix::fs::Uid::from_raw(12_345)), None).unwrap();
    refused(&["12345", "chown"]);
    let other = client(
        &daemon,
        &["keys", "rotate-root", "--new-key-file", "/etc/passwd", "--reason", "a test", "--by", "tests"],
    );
    assert!(
        other.code == 5 && other.err.contains("no other file") && other.err.contains(&named),
        "{}",
        other.err
    );
    all.push_str(&other.err);
    assert!(!all.contains(&key(1)[..16]) && !all.contains(&old[..16]) && !all.contains("root:"), "{all}");
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
    let daemon = place.start();
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0, "the present key still opens the store");
    assert!(next.exists(), "a key that waits for its change stays where it is");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_another_store_or_a_placeholder_does_not_start() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let places = [&one, &two].map(|dir| Place::new(dir.path()));
    for place in &places {
        let daemon = place.start();
        assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
    }
    let [first, second] = &places;
    let keys =
        places.iter().map(|place| std::fs::read_to_string(files(place).0).unwrap()).collect::<Vec<_>>();
    put(&files(first).0, &keys[1], 0o600);
    let (code, said) = first.refused();
    assert!(code == 6 && said.contains("start with that key"), "{code}: {said}");
    put(&files(second).0, &"42".repeat(32), 0o600);
    let (code, said) = second.refused();
    assert!(
        code == 3 && said.contains("placeholder") && said.contains("openssl rand -hex 32"),
        "{code}: {said}"
    );
}
