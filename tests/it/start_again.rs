//! What the system refuses at a start ends with 1, which systemd tries again, and never with a code that tells it to
//! stop: the disk is full or read-only, files belong to somebody else, threads are not to be had. When that is over,
//! the next start goes on, and everything is there.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use crate::data_directory::{all_is_there, fill};
use crate::fault_daemon::{Disk, Place};
use crate::full_disk::Ballast;
use crate::identity_world::World;
use crate::sync_error::need_strace;
use crate::term::write_policy;

/// Other users of the test's daemons: nobody's on any machine, and no other test's.
const USER: u32 = 64_062;
const FEW: u32 = 64_063;

/// The start fails over the system, and what it says has all of `words`; nothing is called damaged or missing.
fn fails(place: &Place, words: &[&str]) {
    let (code, said) = place.refused();
    assert_eq!(code, 1, "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    for word in ["damaged", "acknowledged data is missing", "restore", "panicked"] {
        assert!(!said.contains(word), "{word:?} is in: {said}");
    }
}

/// covers: D1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_on_a_full_disk_is_tried_again_and_goes_on_when_there_is_room() {
    let (disk, logs) = (Disk::mount("size=64m"), tempfile::tempdir().unwrap());
    let mut place = Place::new(disk.path()).with(&["--set", "store.reserve_bytes=1MiB"]);
    place.log = logs.path().join("log");
    let load = fill(&place).await;
    for left in [0, 4 << 10, 16 << 10, 64 << 10, 256 << 10] {
        let ballast = Ballast::fill(&disk, left);
        for _ in 0..2 {
            match tokio::task::block_in_place(|| place.spawn().ready()) {
                Ok(daemon) => daemon.kill(),
                Err((code, said)) => assert_eq!(code, 1, "{left} bytes: {said}"),
            }
        }
        if left == 0 {
            tokio::task::block_in_place(|| fails(&place, &["No space left on device"]));
        }
        drop(ballast);
        assert_eq!(tokio::task::block_in_place(|| place.start().end()), 0, "{left}");
    }
    all_is_there(&place, &load).await;
    // The first start of all.
    place.data = disk.path().join("new");
    let ballast = Ballast::fill(&disk, 0);
    tokio::task::block_in_place(|| fails(&place, &["No space left on device"]));
    drop(ballast);
    assert_eq!(tokio::task::block_in_place(|| place.start().end()), 0);
}

/// covers: D1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_on_a_read_only_disk_names_the_remedy_and_goes_on_when_it_is_writable() {
    let (disk, logs) = (Disk::mount("size=512m"), tempfile::tempdir().unwrap());
    let mut place = Place::new(disk.path());
    place.log = logs.path().join("log");
    let load = fill(&place).await;
    disk.make_read_only();
    let data = place.data.display().to_string();
    tokio::task::block_in_place(|| fails(&place, &[&data, "read-only file system", "mount it writable"]));
    disk.make_writable();
    all_is_there(&place, &load).await;
    // Nor can a first start make anything there.
    place.data = disk.path().join("new");
    disk.make_read_only();
    tokio::task::block_in_place(|| fails(&place, &["new.key", "Read-only file system"]));
    disk.make_writable();
    assert_eq!(tokio::task::block_in_place(|| place.start().end()), 0);
}

/// A directory of another user, with a program that it may run.
fn of(user: u32) -> (tempfile::TempDir, Place) {
    let dir = tempfile::Builder::new().prefix("usaged-start-").tempdir_in("/var/tmp").unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let home = dir.path().join("home");
    std::fs::create_dir(&home).unwrap();
    chown(&home, Some(user), Some(user)).unwrap();
    let program = dir.path().join("usaged");
    std::fs::copy(env!("CARGO_BIN_EXE_usaged"), &program).unwrap();
    let place = Place::new(&home).program(&program);
    (dir, place)
}

/// The same, whose daemon is that user's, started by `with`.
fn run_by(user: u32, with: &[&str]) -> (tempfile::TempDir, Place) {
    let (dir, place) = of(user);
    let (id, group) = (format!("--reuid={user}"), format!("--regid={user}"));
    let other = ["setpriv", &id, &group, "--clear-groups", "--bounding-set=-all"];
    (dir, place.under(&[&other[..], with].concat()))
}

fn give(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// As after a backup that root made of a collector that was stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_the_store_that_belong_to_root_are_named_and_are_no_damage() {
    let (_dir, place) = run_by(USER, &[]);
    let load = fill(&place).await;
    for name in ["db/CURRENT", "db/IDENTITY", "FORMAT", "witness", "LOCK", "ledger/entries", "ledger/vkey"] {
        let path = place.data.join(name);
        give(&path, 0);
        let began = place.said().len();
        match tokio::task::block_in_place(|| place.spawn().ready()) {
            Ok(daemon) => daemon.kill(),
            Err((code, said)) => {
                let said = &said[began..];
                assert!(code == 1 && said.contains("ermission denied"), "{name}: {code} {said}");
                assert!(!said.contains("damaged") && !said.contains("is missing"), "{name}: {said}");
            }
        }
        if name == "db/CURRENT" {
            tokio::task::block_in_place(|| fails(&place, &["Permission denied", "files of another user"]));
        }
        give(&path, USER);
        assert_eq!(tokio::task::block_in_place(|| place.start().end()), 0, "{name}");
    }
    all_is_there(&place, &load).await;
}

#[test]
fn threads_that_are_not_to_be_had_end_a_start_with_the_reason_and_what_to_raise() {
    let (_dir, place) = run_by(FEW, &["prlimit", "--nproc=8"]);
    fails(&place, &["7 of ", "threads were to be had", "TasksMax", "temporarily unavailable"]);
    let enough = format!("--nproc={}", usaged::daemon::most_threads());
    let (_dir, place) = run_by(FEW, &["prlimit", &enough]);
    assert_eq!(place.start().end(), 0);
}

/// Nothing is known to be wrong with what cannot be read.
#[test]
fn a_disk_that_does_not_give_a_configuration_identities_keys_or_a_policy_is_tried_again_and_no_mistake() {
    need_strace();
    let world = World::new();
    let policy = world.path("policy");
    write_policy(&policy, |file| file.text.clone());
    let named = policy.display().to_string();
    let with_policy = ["--policy-dir", named.as_str()];
    assert_eq!(world.place().with(&with_policy).start().end(), 0);
    for file in [
        "usaged.toml",
        "pki/identities.toml",
        "pki/server.pem",
        "pki/server.key",
        "pki/ca.crl",
        "data.key",
        "data.ledger-key",
        "policy/programs/ceip.toml",
    ] {
        let path = world.path(file).display().to_string();
        let tracer = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-P", &path];
        let fault = ["-e", "trace=read", "-e", "inject=read:error=EIO"];
        let wrapper = [&tracer[..], &fault[..]].concat();
        fails(&world.place().with(&with_policy).under(&wrapper), &[&path, "Input/output error"]);
        let (config, data) = (world.path("usaged.toml"), world.path("data"));
        let check = ["serve", "--check", "--config", config.to_str().unwrap()];
        let check = [&check[..], &["--data-dir", data.to_str().unwrap()], &with_policy[..]].concat();
        let program = [&wrapper[..], &[env!("CARGO_BIN_EXE_usaged")], &check[..]].concat();
        let checked = Command::new(program[0]).args(&program[1..]).output().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert_eq!(checked.status.code(), Some(1), "{file}: {said}");
        assert!(said.contains(&path) && said.contains("Input/output error"), "{file}: {said}");
    }
    assert_eq!(world.place().with(&with_policy).start().end(), 0);
}
