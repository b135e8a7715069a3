//! What a start would be refused for, because others can change or read it, is told while the collector runs, which goes on;
//! and files that were refused are read again without anybody's asking.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::process::Signal;

use crate::cli_run::usaged;
use crate::fault_daemon::{Daemon, Place, until};
use crate::identity_world::{IDENTITIES, World, write};
use crate::term::write_policy;

/// Nobody on any machine.
const USER: u32 = 64_066;

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// The value of a metric without labels, or of one series.
fn metric(daemon: &Daemon, name: &str) -> String {
    let (page, start) = (daemon.page("/metrics"), format!("{name} "));
    page.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or("none").trim().to_owned()
}

#[test]
fn what_others_can_change_or_read_is_told_while_the_collector_runs_and_it_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (file, policy) = (dir.path().join("usaged.toml"), dir.path().join("policy"));
    write(&file, "[ingest]\ncustomer_events_per_second = 10\n");
    write_policy(&policy, |file| file.text.clone());
    let named = [file.display().to_string(), policy.display().to_string()];
    let place = Place::new(dir.path()).with(&["--config", &named[0], "--policy-dir", &named[1]]);
    let daemon = place.start();
    until("it is looked at", || metric(&daemon, "usaged_exposed_files") == "0");
    let faults = [
        (file, 0o666, "can be changed by others (mode 666)"),
        (place.data.clone(), 0o755, "is open to others (mode 755)"),
        (dir.path().join("data.key"), 0o644, "can be read by others (mode 644)"),
        (dir.path().join("data.ledger-key"), 0o640, "can be read by others (mode 640)"),
        (policy.join("products"), 0o777, "can be changed by others (mode 777)"),
    ];
    for (number, (path, wrong, said)) in faults.iter().enumerate() {
        let right = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let before = place.said().len();
        mode(path, *wrong);
        // A reload says it at once; otherwise it is looked at now and then.
        if number != 1 {
            daemon.signal(Signal::HUP);
        }
        until("it is told", || metric(&daemon, "usaged_exposed_files") == "1");
        let told = place.said().split_off(before);
        let what = "others can change what the collector goes by, or read what it keeps";
        let line = told.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{told}"));
        assert!(line.contains(path.to_str().unwrap()) && line.contains(said), "{line}");
        assert!(daemon.page("/readyz").starts_with("HTTP/1.1 200"), "it goes on");
        mode(path, right);
        daemon.signal(Signal::HUP);
        until("it is over", || metric(&daemon, "usaged_exposed_files") == "0");
    }
    // Whoever owns a key can read and replace it, whatever its mode.
    for key in ["data.key", "data.ledger-key"] {
        let key = dir.path().join(key);
        let give = |user| std::os::unix::fs::chown(&key, Some(user), None).unwrap();
        let before = place.said().len();
        give(USER);
        daemon.signal(Signal::HUP);
        until("it is told", || metric(&daemon, "usaged_exposed_files") == "1");
        let told = place.said().split_off(before);
        let said = format!("{} belongs to the user with the number {USER}", key.display());
        assert!(told.contains(&said), "{told}");
        give(0);
        daemon.signal(Signal::HUP);
        until("it is over", || metric(&daemon, "usaged_exposed_files") == "0");
        give(USER);
        let (code, refused) = Place::new(dir.path()).refused();
        assert!(code == 3 && refused.contains(&said), "{code}: {refused}");
        give(0);
        daemon.signal(Signal::HUP);
        until("it is over again", || metric(&daemon, "usaged_exposed_files") == "0");
    }
    assert_eq!(daemon.end(), 0);
}

#[test]
fn a_configuration_that_others_could_have_written_is_not_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("usaged.toml");
    write(&file, "[ingest]\ncustomer_events_per_second = 10\n");
    let place = Place::new(dir.path()).with(&["--config", &file.display().to_string()]);
    let daemon = place.start();
    let is_refused = |yes: &str| metric(&daemon, "usaged_configuration_refused") == yes;
    let problems = || {
        let status = usaged(["status", "--server", &daemon.grpc, "--json"]).json();
        status["last_configuration_reload"].to_string()
    };
    until("it is there from the start", || is_refused("0"));
    mode(&file, 0o666);
    std::fs::write(&file, "[ingest]\ncustomer_events_per_second = 20\n").unwrap();
    until("it is refused", || is_refused("1"));
    assert!(problems().contains("can be changed by others (mode 666)"), "{}", problems());
    daemon.signal(Signal::HUP);
    let refusals = "usaged_configuration_loads_total{result=\"refused\"}";
    until("it is refused to who asks", || metric(&daemon, refusals) == "2");
    assert!(!place.said().contains("rates of customers taken over"), "{}", place.said());
    // The same text is good once it is known who wrote it.
    mode(&file, 0o644);
    until("it is taken over", || place.said().contains("rates of customers taken over") && is_refused("0"));
    assert_eq!(daemon.end(), 0);
}

#[test]
fn a_policy_that_was_refused_is_read_again_without_a_signal_and_without_a_change_that_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let (policy, elsewhere) = (dir.path().join("policy"), dir.path().join("elsewhere.toml"));
    write_policy(&policy, |file| file.text.clone());
    let file = policy.join("products/vcenter.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::rename(&file, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
    let daemon = Place::new(dir.path()).with(&["--policy-dir", policy.to_str().unwrap()]).start();
    let is_refused = |yes: &str| metric(&daemon, "usaged_policy_refused") == yes;
    std::fs::write(&elsewhere, "nonsense").unwrap();
    daemon.signal(Signal::HUP);
    until("a refusal", || is_refused("1"));
    std::fs::write(&elsewhere, text).unwrap();
    until("it is read again", || is_refused("0"));
    let refusals = "usaged_policy_loads_total{result=\"refused\"}";
    assert_eq!(metric(&daemon, refusals), "1", "a try in vain is no news");
    assert_eq!(daemon.end(), 0);
}

/// Nothing in a directory that is watched changes: as with a disk that was away, or a name that is resolved elsewhere.
#[test]
fn identities_that_were_refused_are_read_again_without_a_signal_and_without_a_change_that_is_seen() {
    let world = World::new();
    let elsewhere = world.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let file = elsewhere.join("identities.toml");
    write(&file, IDENTITIES);
    std::fs::remove_file(world.path("pki/identities.toml")).unwrap();
    std::os::unix::fs::symlink(&file, world.path("pki/identities.toml")).unwrap();
    let place = world.place();
    let daemon = place.start();
    let is_refused = |yes: &str| metric(&daemon, "usaged_identities_refused") == yes;
    until("nothing is refused", || !is_refused("1"));

    write(&file, "nonsense");
    daemon.signal(Signal::HUP);
    until("a refusal", || is_refused("1"));
    write(&file, IDENTITIES);
    until("they are read again", || is_refused("0"));
    let refusals = "usaged_identity_loads_total{result=\"refused\"}";
    assert_eq!(metric(&daemon, refusals), "1", "a try in vain is no news");

    // Nor is it seen that others can change them.
    mode(&file, 0o664);
    until("it is refused", || is_refused("1"));
    assert!(place.said().contains("can be changed by others (mode 664)"), "{}", place.said());
    mode(&file, 0o644);
    until("it is over", || is_refused("0"));

    // Nor that they can put another file there.
    mode(&elsewhere, 0o777);
    until("it is refused", || is_refused("1"));
    let what = format!("{}: can be changed by others (mode 777)", elsewhere.display());
    assert!(place.said().contains(&what), "{}", place.said());
    mode(&elsewhere, 0o755);
    until("it is over", || is_refused("0"));
    assert_eq!(daemon.end(), 0);
}
