//! A reload that hangs, because a disk of its files does not answer, holds up nothing else: the collector ends when it is
//! asked to, and when its store fails.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::fault_daemon::{Daemon, Place, until};
use crate::identity_world::World;

/// A collector whose policy is read through a link, which now leads to a file that nobody ever finishes writing. The
/// reload that a signal has asked for hangs in it as long as the file is held.
fn hung(dir: &Path) -> (Place, Daemon, File) {
    let (good, stuck, link) = (dir.join("good"), dir.join("stuck"), dir.join("policy"));
    for file in usaged::policy::shipped() {
        let path = good.join(&file.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &file.text).unwrap();
    }
    std::fs::create_dir(&stuck).unwrap();
    let fifo = stuck.join("slow.toml");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    std::os::unix::fs::symlink(&good, &link).unwrap();
    let place = Place::new(dir).with(&["--policy-dir", &link.display().to_string()]);
    let daemon = place.start();

    let new = dir.join("policy.new");
    std::os::unix::fs::symlink(&stuck, &new).unwrap();
    std::fs::rename(new, link).unwrap();
    daemon.signal(Signal::HUP);
    let held = read_from(&fifo);
    (place, daemon, held)
}

/// Waits until somebody reads from a pipe; the end that holds whoever does.
fn read_from(fifo: &Path) -> File {
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
    let mut held = None;
    // It can be opened so only once somebody reads it.
    until("the reload reads the file", || {
        held = OpenOptions::new().write(true).custom_flags(nonblock).open(fifo).ok();
        held.is_some()
    });
    held.unwrap()
}

// covers: S1
#[test]
fn a_reload_that_hangs_does_not_keep_the_collector_from_ending() {
    let dir = tempfile::tempdir().unwrap();
    let (place, daemon, held) = hung(dir.path());
    // It serves meanwhile, and one more signal changes nothing.
    daemon.signal(Signal::HUP);
    assert!(daemon.page("/readyz").starts_with("HTTP/1.1 200"));
    assert_eq!(daemon.end(), 0);
    let said = place.said();
    assert!(said.contains("asked to end") && !said.contains("reload done"), "{said}");
    drop(held);
}

// covers: S1
#[test]
fn a_reload_that_hangs_does_not_hide_that_the_store_has_failed() {
    crate::sync_error::need_strace();
    let dir = tempfile::tempdir().unwrap();
    let (place, daemon, held) = hung(dir.path());
    let mut tracer = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"])
        .args(["-p", &daemon.pid().to_string()])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    crate::sync_error::until_traced(daemon.pid());
    let set = ["participation", "set", "acme", "--level", "ceip=standard", "--reason", "t", "--server"];
    let refused = crate::cli_run::usaged(set.iter().copied().chain([daemon.grpc.as_str()]));
    assert_ne!(refused.code, 0, "{}", refused.out);
    assert_eq!(daemon.ended(), 1, "{}", place.said());
    tracer.wait().unwrap();
    let said = place.said();
    // The sync that fails first can be one of the ledger.
    let is_told = ["the store failed, ending", "the ledger failed"].iter().any(|what| said.contains(what));
    assert!(is_told && !said.contains("reload done"), "{said}");
    drop(held);
}

fn gauge(daemon: &Daemon, name: &str) -> String {
    let page = daemon.page("/metrics");
    page.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
}

// covers: S1
#[test]
fn identities_on_a_disk_that_does_not_answer_hold_up_nothing_and_are_told_of() {
    let world = World::new();
    let place = world.place();
    let daemon = place.start();
    let fifo = world.path("pki/beside.toml");
    assert!(Command::new("mkfifo").args(["-m", "600"]).arg(&fifo).status().unwrap().success());
    std::fs::rename(&fifo, world.path("pki/identities.toml")).unwrap();
    daemon.signal(Signal::HUP);
    let held = read_from(&world.path("pki/identities.toml"));

    // What is told at regular intervals is told on, for all that is held.
    let left = || gauge(&daemon, "usaged_certificate_expiry_seconds{file=\"certificate\"}");
    let before = left();
    assert!(!before.is_empty());
    until("how long the certificate still holds is told again", || left() != before);
    until("it is told", || gauge(&daemon, "usaged_identities_refused") == "1");
    assert!(place.said().contains("their disk does not answer"), "{}", place.said());
    assert!(daemon.page("/livez").starts_with("HTTP/1.1 200"));
    world.done(&daemon.grpc, &["token", "list"]);
    assert_eq!(daemon.end(), 0);
    let said = place.said();
    assert!(said.contains("asked to end") && !said.contains("taken over"), "{said}");
    drop(held);
}
