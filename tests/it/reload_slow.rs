//! A reload that hangs, because a disk of its files does not answer, holds up nothing else: the collector ends when it is
//! asked to, and when its store fails; it says that it cannot read them; and what else changes comes into force.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use usaged::grpc::client::{Code, connect, reason, retry_delay};
use usaged::grpc::proto::admin::ReloadPolicyRequest;
use usaged::grpc::proto::admin::admin_service_client::AdminServiceClient;

use crate::cli_run::usaged;
use crate::fault_daemon::{Daemon, Place, until};
use crate::identity_live::loads;
use crate::identity_world::{IDENTITIES, World, write};
use crate::slow_file::{Slow, until_only_held};
use crate::term::write_policy;

/// A collector with a policy of its own, and one file of that: without it the policy is another, and good.
fn with_policy(dir: &Path) -> (Place, Daemon, PathBuf) {
    let policy = dir.join("policy");
    write_policy(&policy, |file| file.text.clone());
    let place = Place::new(dir).with(&["--policy-dir", &policy.display().to_string()]);
    let daemon = place.start();
    (place, daemon, policy.join("products/vcenter.toml"))
}

/// The same, with a reload that a signal has asked for, and that hangs as long as the file is held.
fn hung(dir: &Path, more: &[String]) -> (Place, Daemon, Slow) {
    let (place, daemon, file) = with_policy(dir);
    let slow = Slow::hold(&daemon, &file, dir, more);
    daemon.signal(Signal::HUP);
    slow.is_opened();
    (place, daemon, slow)
}

// covers: S1
#[test]
fn a_reload_that_hangs_does_not_keep_the_collector_from_ending() {
    let dir = tempfile::tempdir().unwrap();
    let (place, daemon, slow) = hung(dir.path(), &[]);
    // It serves meanwhile, and one more signal changes nothing.
    daemon.signal(Signal::HUP);
    assert!(daemon.page("/readyz").starts_with("HTTP/1.1 200"));
    daemon.signal(Signal::TERM);
    until_only_held(daemon.pid());
    assert_eq!(daemon.ended(), 0);
    let said = place.said();
    assert!(said.contains("asked to end") && !said.contains("policy taken over"), "{said}");
    drop(slow);
}

/// Every file in a directory and in those in it.
fn files_in(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] }).collect()
}

// covers: S1
#[test]
fn a_reload_that_hangs_does_not_hide_that_the_store_has_failed() {
    let dir = tempfile::tempdir().unwrap();
    let (place, daemon, file) = with_policy(dir.path());
    // A process has one tracer: the same one has the syncs of the store and the ledger fail.
    let synced =
        files_in(&place.data).into_iter().flat_map(|file| ["-P".to_owned(), file.display().to_string()]);
    let fails = ["-e", "inject=fdatasync:error=EIO"].map(str::to_owned);
    let slow = Slow::hold(&daemon, &file, dir.path(), &synced.chain(fails).collect::<Vec<_>>());
    daemon.signal(Signal::HUP);
    slow.is_opened();
    let set = ["participation", "set", "acme", "--level", "ceip=standard", "--reason", "t", "--server"];
    let refused = usaged(set.iter().copied().chain([daemon.grpc.as_str()]));
    assert_ne!(refused.code, 0, "{}", refused.out);
    until_only_held(daemon.pid());
    assert_eq!(daemon.ended(), 1, "{}", place.said());
    let said = place.said();
    // The sync that fails first can be one of the ledger.
    let is_told = ["the store failed, ending", "the ledger failed"].iter().any(|what| said.contains(what));
    assert!(is_told && !said.contains("policy taken over"), "{said}");
    drop(slow);
}

const POLICY_UNREAD: &str = "policy cannot be read: its disk does not answer; the one before stays";

// covers: P5, S1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reading_of_the_policy_that_hangs_is_told_to_everybody_and_a_stricter_one_comes_into_force_beside_it()
 {
    let dir = tempfile::tempdir().unwrap();
    let (place, daemon, file) = with_policy(dir.path());
    let slow = Slow::hold(&daemon, &file, dir.path(), &[]);
    daemon.signal(Signal::HUP);
    slow.is_opened();
    let mut admin = AdminServiceClient::new(connect(&daemon.grpc).await.unwrap());
    let status = admin.reload_policy(ReloadPolicyRequest {}).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_deref()),
        (Code::Unavailable, Some("POLICY_UNREADABLE")),
        "{status:?}"
    );
    assert!(retry_delay(&status).is_some_and(|delay| !delay.is_zero()), "{status:?}");
    until("it is told", || gauge(&daemon, "usaged_policy_refused") == "1");
    assert!(place.said().contains(POLICY_UNREAD), "{}", place.said());
    let told = usaged(["status", "--server", &daemon.grpc, "--json"]).json()["last_reload"].clone();
    assert_eq!(told["outcome"], "refused", "{told}");
    assert!(told["problems"][0].as_str().unwrap().contains("its disk does not answer"), "{told}");

    // What waits for the file goes on waiting; the policy without it knows less.
    std::fs::remove_file(&file).unwrap();
    until("the stricter policy", || place.said().contains("policy taken over"));
    until("all is well", || gauge(&daemon, "usaged_policy_refused") == "0");
    drop(slow);
    assert_eq!(daemon.end(), 0);
}

// covers: P5, S1
#[test]
fn a_policy_that_came_while_its_disk_did_not_answer_is_in_force_when_it_answers() {
    let dir = tempfile::tempdir().unwrap();
    let (place, daemon, slow) = hung(dir.path(), &[]);
    let file = dir.path().join("policy/products/vcenter.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let stricter = text.replace("\"vm.inventory\".fields.vcpus]", "\"vm.inventory\".fields.cores]");
    assert_ne!(stricter, text);
    let beside = dir.path().join("beside.toml");
    std::fs::write(&beside, stricter).unwrap();
    std::fs::rename(&beside, &file).unwrap();
    until("it is told", || gauge(&daemon, "usaged_policy_refused") == "1");
    assert!(place.said().contains(POLICY_UNREAD), "{}", place.said());
    assert!(!place.said().contains("policy taken over"), "{}", place.said());
    drop(slow);
    until("the stricter policy", || place.said().contains("policy taken over"));
    until("all is well", || gauge(&daemon, "usaged_policy_refused") == "0");
    assert_eq!(daemon.end(), 0);
}

// covers: S1
#[test]
fn a_signal_reaches_identities_and_configuration_although_the_policy_cannot_be_read() {
    let world = World::new();
    write_policy(&world.path("policy"), |file| file.text.clone());
    let place = world.place().with(&["--policy-dir", &world.path("policy").display().to_string()]);
    let daemon = place.start();
    let file = world.path("policy/products/vcenter.toml");
    let slow = Slow::hold(&daemon, &file, &world.path(""), &[]);
    let asked = || {
        let counts = ["usaged_identity_loads_total", "usaged_configuration_loads_total"];
        counts.map(|name| gauge(&daemon, &format!("{name}{{result=\"unchanged\"}}")).parse().unwrap_or(0))
    };
    let before: [u32; 2] = asked();
    daemon.signal(Signal::HUP);
    slow.is_opened();
    until("both were asked", || asked().iter().zip(before).all(|(now, before)| *now > before));
    assert_ne!(gauge(&daemon, "usaged_policy_refused"), "1", "they have waited for the policy");
    until("and the policy is told of", || place.said().contains(POLICY_UNREAD));
    // The next signal is heeded as well.
    let before = asked();
    daemon.signal(Signal::HUP);
    until("both were asked again", || asked().iter().zip(before).all(|(now, before)| *now > before));
    drop(slow);
    assert_eq!(daemon.end(), 0);
}

// covers: S1
#[test]
fn a_configuration_on_a_disk_that_does_not_answer_is_told_of_and_in_force_when_it_answers() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("usaged.toml");
    write(&file, "[ingest]\ncustomer_events_per_second = 10\n");
    let place = Place::new(dir.path()).with(&["--config", &file.display().to_string()]);
    let daemon = place.start();
    let slow = Slow::hold(&daemon, &file, dir.path(), &[]);
    write(&file, "[ingest]\ncustomer_events_per_second = 20\n");
    slow.is_opened();
    until("it is told", || gauge(&daemon, "usaged_configuration_refused") == "1");
    let said = place.said();
    assert!(said.contains("configuration cannot be read: its disk does not answer"), "{said}");
    assert!(!said.contains("rates of customers taken over"), "{said}");
    drop(slow);
    until("it is taken over", || place.said().contains("rates of customers taken over"));
    until("all is well", || gauge(&daemon, "usaged_configuration_refused") == "0");
    assert_eq!(daemon.end(), 0);
}

#[test]
fn a_pipe_in_a_policy_is_refused_by_name_and_nobody_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let (place, daemon, file) = with_policy(dir.path());
    let pipe = file.with_file_name("zz.toml");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let what = format!("{}: is a pipe and no regular file", pipe.display());
    until("it is refused", || gauge(&daemon, "usaged_policy_refused") == "1");
    assert!(place.said().contains(&what), "{}", place.said());
    let named = dir.path().join("policy").display().to_string();
    let out = dir.path().join("site").display().to_string();
    for args in [
        &["serve", "--check", "--policy-dir", &named][..],
        &["policy", "check", &named],
        &["policy", "publish", &named, "--out", &out],
        &["policy", "diff", "--live", &named, "--server", &daemon.grpc],
    ] {
        let ended = usaged(args);
        let said = format!("{}{}", ended.out, ended.err);
        assert!(ended.code == 3 && said.contains(&what), "{args:?}: {}: {said}", ended.code);
    }
    std::fs::remove_file(&pipe).unwrap();
    until("all is well", || gauge(&daemon, "usaged_policy_refused") == "0");
    assert_eq!(daemon.end(), 0);

    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (code, said) = place.refused();
    assert!(code == 3 && said.contains(&what), "{code}: {said}");
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
    let file = world.path("pki/identities.toml");
    let slow = Slow::hold(&daemon, &file, &world.path(""), &[]);
    daemon.signal(Signal::HUP);
    slow.is_opened();

    // What is told at regular intervals is told on, for all that is held.
    let left = || gauge(&daemon, "usaged_certificate_expiry_seconds{file=\"certificate\"}");
    let before = left();
    assert!(!before.is_empty());
    until("how long the certificate still holds is told again", || left() != before);
    until("it is told", || gauge(&daemon, "usaged_identities_refused") == "1");
    assert!(place.said().contains("their disk does not answer"), "{}", place.said());
    assert!(daemon.page("/livez").starts_with("HTTP/1.1 200"));
    world.done(&daemon.grpc, &["token", "list"]);
    daemon.signal(Signal::TERM);
    until_only_held(daemon.pid());
    assert_eq!(daemon.ended(), 0);
    let said = place.said();
    assert!(said.contains("asked to end") && !said.contains("taken over"), "{said}");
    drop(slow);
}

/// Another good file of identities: with one more.
const ONE_MORE: &str = "[[identity]]\nname = \"x\"\nrole = \"auditor\"\nsan_dns = \"x.example\"\n";
const IDENTITIES_UNREAD: &str = "certificates and identities cannot be read: their disk does not answer";

// covers: S1
#[test]
fn a_reading_of_identities_that_hangs_keeps_no_later_one_back_and_what_came_is_in_force_when_the_disk_answers()
 {
    let world = World::new();
    let place = world.place();
    let daemon = place.start();
    let file = world.path("pki/identities.toml");
    let slow = Slow::hold(&daemon, &file, &world.path(""), &[]);
    let one_more = format!("{IDENTITIES}\n{ONE_MORE}");
    // All of it is noticed without a signal.
    world.put("pki/identities.toml", &one_more);
    slow.is_opened();
    until("it is told", || gauge(&daemon, "usaged_identities_refused") == "1");
    assert!(place.said().contains(IDENTITIES_UNREAD), "{}", place.said());
    // What waits for the file goes on waiting; that it is gone is found out beside.
    let refused = loads(&daemon, "refused");
    std::fs::remove_file(&file).unwrap();
    until("the next is read", || loads(&daemon, "refused") > refused);
    assert!(!place.said().contains("identities taken over"), "{}", place.said());
    world.put("pki/identities.toml", &one_more);
    drop(slow);
    until("they are in force", || place.said().contains("identities taken over"));
    until("all is well", || gauge(&daemon, "usaged_identities_refused") == "0");
    world.put("pki/identities.toml", IDENTITIES);
    until("so are the next", || place.said().matches("identities taken over").count() == 2);
    assert_eq!(daemon.end(), 0);
}

#[test]
fn a_pipe_in_the_place_of_a_file_of_identities_is_refused_by_name_and_nobody_waits_for_it() {
    let world = World::new();
    let place = world.place();
    let daemon = place.start();
    let config = world.path("usaged.toml").display().to_string();
    for name in ["identities.toml", "ca.crl", "server.key"] {
        let (file, pipe) = (world.path(&format!("pki/{name}")), world.path("pipe"));
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(Command::new("mkfifo").args(["-m", "600"]).arg(&pipe).status().unwrap().success());
        std::fs::rename(&pipe, &file).unwrap();
        let what = format!("{}: ", file.display());
        let is_told = |said: &str| {
            said.lines().any(|line| line.contains(&what) && line.contains("is a pipe and no regular file"))
        };
        until("it is refused", || gauge(&daemon, "usaged_identities_refused") == "1");
        assert!(is_told(&place.said()), "{name}: {}", place.said());
        let checked = usaged(["serve", "--check", "--config", &config]);
        let said = format!("{}{}", checked.out, checked.err);
        assert!(checked.code == 3 && is_told(&said), "{name}: {}: {said}", checked.code);
        write(&file, &text);
        until("all is well", || gauge(&daemon, "usaged_identities_refused") == "0");
    }
    assert!(!place.said().contains(IDENTITIES_UNREAD), "{}", place.said());
    assert_eq!(daemon.end(), 0);
}
