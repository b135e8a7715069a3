//! A data directory, key, policy or configuration that is not right: the process ends with the
//! documented code, and says which place and which remedy.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::cli_run::usaged;
use crate::fault_daemon::Place;
use crate::fault_load::{Load, drain_all, set_up};

/// A directory whose collector has run, stored a few batches and ended well.
async fn used() -> (TempDir, Place, Load) {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path());
    let load = fill(&place).await;
    (dir, place, load)
}

pub async fn fill(place: &Place) -> Load {
    let daemon = place.start();
    set_up(&daemon.grpc, &["acme"], &["verify"]).await;
    let mut load = Load::new();
    load.sender("acme", 0);
    load.is_at(&daemon.grpc);
    load.goes_on(20).await;
    load.stop().await;
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
    load
}

/// Starts again in peace; everything is there.
pub async fn all_is_there(place: &Place, load: &Load) {
    let daemon = place.start();
    load.oracle.compare(&drain_all(&daemon.grpc, "verify", &load.oracle).await);
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
}

/// The start is refused with `code`, and what it says has all of `words`.
fn refused(place: &Place, code: i32, words: &[&str]) -> String {
    let (ended, said) = place.refused();
    assert_eq!(ended, code, "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    said
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// covers: D5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_of_another_version_or_in_use_is_refused_and_left_as_it_was() {
    let (_dir, place, load) = used().await;
    let data = place.data.display().to_string();
    let format = place.data.join("FORMAT");
    let text = std::fs::read_to_string(&format).unwrap();
    std::fs::write(&format, text.replace("format 1", "format 9")).unwrap();
    refused(&place, 6, &[&data, "format version 9", "reads version 1", "use the program that wrote it"]);
    std::fs::write(&format, "something else\n").unwrap();
    refused(&place, 6, &["FORMAT", "cannot be read as the format file", "restore it from a backup"]);
    std::fs::write(&format, text).unwrap();

    let daemon = place.start();
    // It may be just ending: that is worth another try.
    refused(&place, 1, &[&data, "in use by another process", "stop that process first"]);
    assert!(daemon.page("/readyz").starts_with("HTTP/1.1 200"), "the one that runs is not disturbed");
    assert_eq!(daemon.end(), 0);
    let entries = std::fs::File::open(place.data.join("ledger/entries")).unwrap();
    rustix::fs::flock(&entries, rustix::fs::FlockOperation::LockExclusive).unwrap();
    refused(&place, 1, &["the ledger in", "in use by another process"]);
    drop(entries);
    all_is_there(&place, &load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wrong_root_key_or_none_or_one_that_others_can_read_is_refused_and_never_shown() {
    let (_dir, place, load) = used().await;
    let file = place.data.with_extension("key");
    let key = std::fs::read_to_string(&file).unwrap();
    let named = file.display().to_string();
    let put = |text: &str, mode| {
        std::fs::write(&file, text).unwrap();
        set_mode(&file, mode);
    };
    let other: String = key.trim().chars().rev().collect();
    let mut said = String::new();
    put(&other, 0o600);
    said += &refused(&place, 6, &["written with another root key", "start with that key"]);
    put(&key, 0o644);
    said += &refused(&place, 3, &[&named, "mode 644", "chmod 600"]);
    put(&key, 0o640);
    said += &refused(&place, 3, &[&named, "mode 640", "chmod 600"]);
    put(&key[..40], 0o600);
    said += &refused(&place, 3, &[&named, "does not hold a root key", "backup"]);
    put("", 0o600);
    said += &refused(&place, 3, &[&named, "does not hold a root key"]);
    std::fs::remove_file(&file).unwrap();
    said += &refused(&place, 3, &[&named, "is missing", "put it back from your backup", "root_key_file"]);
    assert!(!file.exists(), "no new key is made beside old data");
    assert!(!said.contains(&key[..16]) && !said.contains(&other[..16]), "{said}");
    put(&key, 0o600);
    all_is_there(&place, &load).await;
}

/// The write-ahead logs of a store.
fn logs(data: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(data.join("db")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|end| end == "log")).collect()
}

/// covers: D6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_that_was_acknowledged_and_is_gone_is_named_and_only_the_flag_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path());
    let daemon = place.start();
    set_up(&daemon.grpc, &["acme"], &["verify"]).await;
    let mut load = Load::new();
    load.sender("acme", 0);
    load.is_at(&daemon.grpc);
    load.goes_on(20).await;
    load.stop().await;
    let stored = load.oracle.highest();
    // What is older than the lag of the witness is always noticed.
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    daemon.kill();
    assert!(!logs(&place.data).is_empty());
    for log in logs(&place.data) {
        std::fs::remove_file(log).unwrap();
    }
    let data = place.data.display().to_string();
    for _ in 0..2 {
        let said =
            refused(&place, 6, &["acknowledged data is missing", &data, "backup", "--accept-data-loss"]);
        let missing = format!("commits 1 to {stored} ({stored} records) are missing");
        assert!(said.contains(&missing) || said.contains("database is missing"), "{said}");
    }

    let accepting = Place::new(dir.path()).with(&["--accept-data-loss"]);
    let daemon = accepting.start();
    set_up(&daemon.grpc, &["acme"], &["again"]).await;
    let mut load = Load::new();
    load.sender("acme", 0);
    load.is_at(&daemon.grpc);
    load.goes_on(5).await;
    load.stop().await;
    let drained = drain_all(&daemon.grpc, "again", &load.oracle).await;
    load.oracle.compare(&drained);
    assert!(drained[0].1 > stored, "no number is given twice: {} after {stored}", drained[0].1);
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
    let daemon = place.start();
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0, "the flag is needed once");

    // The ledger goes on, says what was done, and mixes up nobody.
    let ledger = place.data.join("ledger");
    let ended = usaged(["ledger", "verify", &ledger.display().to_string()]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    let entries = std::fs::read(ledger.join("entries")).unwrap();
    let entries = String::from_utf8_lossy(&entries);
    let accepted = format!("\"acknowledged\":{stored}}}");
    assert_eq!(entries.matches("\"data_loss_accepted\"").count(), 1, "{entries}");
    assert!(entries.contains(&accepted), "{accepted} is not in {entries}");
    let customer = |fact: &str| {
        fact.split("\"customer\":\"").nth(1).and_then(|rest| rest.split('"').next().map(str::to_owned))
    };
    let chosen: Vec<_> = entries.split("participation_changed").skip(1).filter_map(customer).collect();
    assert_eq!((chosen.len(), chosen.first().map(String::as_str)), (2, Some("c1")), "{chosen:?}");
    assert_ne!(chosen[1], "c1", "a number is not given twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_directory_that_is_not_mounted_is_told_of_and_refused_where_there_has_to_be_one() {
    const TOLD: &str = "a new store is begun, and its keys were there before";
    let (dir, place, load) = used().await;
    assert!(!place.said().contains(TOLD), "the first start of all: {}", place.said());
    let away = dir.path().join("away");
    std::fs::rename(&place.data, &away).unwrap();
    let firm = Place::new(dir.path()).with(&["--set", "store.must_exist=true"]);
    let data = place.data.display().to_string();
    // The directory that the volume is mounted on may be there.
    for is_there in [false, true] {
        if is_there {
            std::fs::create_dir(&place.data).unwrap();
            set_mode(&place.data, 0o700);
        }
        refused(&firm, 6, &["there is no store in", &data, "not mounted", "--set store.must_exist=false"]);
        let checked = usaged(["serve", "--check", "--data-dir", &data, "--set", "store.must_exist=true"]);
        assert!(checked.code == 6 && checked.err.contains("not mounted"), "{} {}", checked.code, checked.err);
        assert_eq!(place.data.exists(), is_there);
        let left = std::fs::read_dir(&place.data).map_or(0, std::iter::Iterator::count);
        assert_eq!(left, 0, "nothing is made");
    }
    assert_eq!(place.start().end(), 0);
    assert_eq!(place.said().matches(TOLD).count(), 1, "{}", place.said());
    std::fs::remove_dir_all(&place.data).unwrap();
    std::fs::rename(&away, &place.data).unwrap();
    all_is_there(&firm, &load).await;
    assert_eq!(place.said().matches(TOLD).count(), 1, "{}", place.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_store_is_begun_beside_the_ledger_of_one_that_is_gone_unless_that_is_accepted() {
    let (dir, place, load) = used().await;
    let data = place.data.display().to_string();
    let ledger = place.data.join("ledger").display().to_string();
    let (away, parts) = (dir.path().join("away"), ["db", "FORMAT", "witness"]);
    std::fs::create_dir(&away).unwrap();
    for part in parts {
        std::fs::rename(place.data.join(part), away.join(part)).unwrap();
    }
    for _ in 0..2 {
        let said = refused(&place, 6, &[&data, &ledger, "restore a backup", "--accept-ledger-break"]);
        assert!(!said.contains("belongs to another store"), "{said}");
        assert!(parts.iter().all(|part| !place.data.join(part).exists()), "nothing is made");
    }
    let checked = usaged(["serve", "--check", "--data-dir", &data]);
    assert!(checked.code == 6 && checked.err.contains(&ledger), "{} {}", checked.code, checked.err);
    for part in parts {
        std::fs::rename(away.join(part), place.data.join(part)).unwrap();
    }
    all_is_there(&place, &load).await;
    std::fs::remove_dir_all(place.data.join("db")).unwrap();
    for part in &parts[1..] {
        std::fs::remove_file(place.data.join(part)).unwrap();
    }
    let accepting = Place::new(dir.path()).with(&["--accept-ledger-break"]);
    assert_eq!(accepting.start().end(), 0);
    assert_eq!(place.start().end(), 0, "the flag is needed once");
}

#[test]
fn a_policy_or_configuration_with_mistakes_names_each_by_line_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("policy");
    for file in usaged::policy::shipped() {
        let path = policy.join(&file.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = file.text.replacen("class = \"host_name\"", "class = \"hostname\"", 1);
        std::fs::write(path, text.replacen("since = 1", "sinse = 1", 1)).unwrap();
    }
    let place = Place::new(dir.path()).with(&["--policy-dir", &policy.display().to_string()]);
    let said = refused(&place, 3, &["products/vcenter.toml:16: ", "host_name", "sinse"]);
    assert!(said.contains("products/horizon.toml:"), "every file is named: {said}");
    refused(&Place::new(dir.path()).with(&["--policy-dir", "/nonexistent"]), 3, &["cannot be read"]);

    let config = dir.path().join("usaged.toml");
    let mistakes = "data_dri = \"x\"\n[grpc]\nlisten = \"0.0.0.0:7171\"\nmax_streams = \"many\"\n[store]\nwitness_lag = \"1 year\"\n";
    std::fs::write(&config, mistakes).unwrap();
    let named = config.display().to_string();
    let place = Place::new(dir.path()).with(&["--config", &named]);
    // The address is given by a flag here, which goes before the file.
    let said = refused(&place, 3, &[]);
    for (line, key) in [(1, "data_dri"), (4, "grpc.max_streams"), (6, "store.witness_lag")] {
        assert!(said.contains(&format!("{named}:{line}: {key}")), "{line} {key}: {said}");
    }
    assert!(said.contains("data_dir"), "the key that was meant is named: {said}");
    assert!(!dir.path().join("data").exists() && !dir.path().join("data.key").exists());
}

#[test]
fn an_address_that_others_can_reach_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        for (flag, why) in [("--listen", "nobody is asked who they are"), ("--admin-listen", "for operators")]
        {
            let ended = usaged(["serve", flag, address, "--data-dir", &data]);
            assert_eq!(ended.code, 3, "{}", ended.err);
            let reason = ["can be reached from other machines", why, address, "127.0.0.1"];
            assert!(reason.iter().all(|word| ended.err.contains(word)), "{flag} {address}: {}", ended.err);
        }
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let ended = usaged(["serve", "--listen", &taken, "--data-dir", &data]);
    assert_eq!(ended.code, 1, "{}", ended.err);
    assert!(ended.err.contains(&taken) && ended.err.contains("choose another address"), "{}", ended.err);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was made");
}
