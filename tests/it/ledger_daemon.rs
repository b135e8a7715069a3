//! The ledger of the real process: what it is told, through kill -9; exports that verify; a tampered
//! ledger and a lost key at start.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::cli_run::{Collector, Ended, usaged};
use crate::fault_daemon::Place;
use crate::ledger_world::{leaves, write_leaves};

fn ok(ended: Ended) -> Ended {
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    ended
}

fn participate(collector: &Collector, customer: &str, level: &str) {
    let level = format!("ceip={level}");
    ok(collector.client(&["participation", "set", customer, "--level", &level, "--reason", "test"], ""));
}

fn kinds(ledger: &Path) -> Vec<String> {
    let kind = |leaf: &Vec<u8>| serde_json::from_slice::<Json>(leaf).unwrap()["fact"]["kind"].clone();
    leaves(ledger).iter().map(|leaf| kind(leaf).as_str().unwrap().to_owned()).collect()
}

/// Waits until the last entry is of this kind.
fn until(ledger: &Path, kind: &str) {
    let begun = Instant::now();
    while kinds(ledger).last().is_none_or(|last| last != kind) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", kinds(ledger));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_ledger_is_told_of_changes_and_exports_and_verifies_through_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = dir.path().join("data/ledger");
    let collector = Collector::start(dir.path(), &[]);
    participate(&collector, "acme", "standard");
    participate(&collector, "globex", "standard");
    until(&ledger, "participation_changed");
    collector.signal(rustix::process::Signal::KILL);
    drop(collector);
    let collector = Collector::start(dir.path(), &[]);
    participate(&collector, "acme", "enhanced");
    let (json, html) = (dir.path().join("acme.json"), dir.path().join("acme.html"));
    let (json_text, html_text) = (json.display().to_string(), html.display().to_string());
    ok(collector
        .client(&["ledger", "export", "--customer", "acme", "--out", &json_text, "--html", &html_text], ""));
    let export: Json = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(export["customer_number"], "c1");
    let told: Vec<_> =
        export["entries"].as_array().unwrap().iter().map(|entry| entry["leaf"].to_string()).collect();
    assert_eq!(told.len(), 3, "two changes and the export itself: {told:?}");
    assert!(
        told.iter().all(|leaf| leaf.contains("c1") && !leaf.contains("acme") && !leaf.contains("globex"))
    );
    let page = fs::read_to_string(&html).unwrap();
    assert!(
        page.contains("ceip enhanced") && page.contains("Record of processing") && !page.contains("globex")
    );

    // Offline, with a key and a checkpoint that were kept apart; the collector runs meanwhile.
    let key = dir.path().join("kept.vkey");
    fs::copy(ledger.join("vkey"), &key).unwrap();
    let key = key.display().to_string();
    ok(usaged(["ledger", "verify", "--export", &json_text, "--key", &key, "--json"]));
    let data = dir.path().join("data").display().to_string();
    let verified =
        ok(usaged(["ledger", "verify", &data, "--key", &key, "--checkpoint", &json_text, "--json"]));
    assert_eq!(
        (&verified.json()["ok"], &verified.json()["is_torn"]),
        (&Json::Bool(true), &Json::Bool(false))
    );
    // A later export proves that the ledger goes on from the earlier one.
    let later = dir.path().join("later.json").display().to_string();
    ok(collector.client(
        &["ledger", "export", "--customer-number", "c1", "--out", &later, "--since", &json_text],
        "",
    ));
    ok(usaged(["ledger", "verify", "--export", &later, "--checkpoint", &json_text]));
    let tail = ok(collector.client(&["ledger", "tail", "--limit", "2", "--json"], "")).json();
    assert_eq!(tail["entries"][1]["entry"]["fact"]["kind"], "exported");
    assert_eq!(collector.client(&["ledger", "export", "--customer", "nobody"], "").code, 5);
    assert_eq!(collector.client(&["ledger", "export", "--customer-number", "17"], "").code, 5);

    assert_eq!(collector.end(), 0);
    let said = kinds(&ledger);
    let expected = [
        "ledger_begun",
        "collector_started",
        "policy_in_force",
        "participation_changed",
        "participation_changed",
        "collector_started",
        "policy_in_force",
        "participation_changed",
        "exported",
        "exported",
        "collector_stopped",
    ];
    assert_eq!(said, expected);

    // A changed export is found.
    fs::write(&json, fs::read_to_string(&json).unwrap().replace("enhanced", "standard")).unwrap();
    let found = usaged(["ledger", "verify", "--export", &json_text]);
    assert_eq!(found.code, 8, "{}", found.out);
    assert!(found.out.contains("is not what was signed"), "{}", found.out);
}

#[test]
fn a_tampered_ledger_is_refused_at_start_until_its_break_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path());
    let ledger = place.data.join("ledger");
    place.start().end();
    let mut all = leaves(&ledger);
    let forged = String::from_utf8(all[1].clone()).unwrap().replace("\"0.1.0\"", "\"0.2.0\"");
    all[1] = forged.into_bytes();
    write_leaves(&ledger, &all);
    let (code, said) = place.refused();
    assert_eq!(code, 6, "{said}");
    for word in ["entry 1 was changed", "--accept-ledger-break", "usaged ledger verify"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let path = ledger.display().to_string();
    let found = usaged(["ledger", "verify", &path, "--json"]);
    assert_eq!(found.code, 8, "{}", found.err);
    assert_eq!(found.json()["findings"]["named"][0]["kind"], "changed");
    assert_eq!(found.json()["findings"]["named"][0]["first"], 1);

    let accept = Place::new(dir.path()).with(&["--accept-ledger-break"]);
    assert_eq!(accept.start().end(), 0);
    assert!(place.said().contains("a new one begins"), "{}", place.said());
    let first = String::from_utf8(leaves(&ledger).remove(0)).unwrap();
    assert!(first.contains("entry 1 was changed"), "{first}");
    assert_eq!(place.start().end(), 0, "the new one needs no flag");
    assert_eq!(usaged(["ledger", "verify", &path]).code, 0);
}

#[test]
fn a_lost_exposed_or_foreign_ledger_key_is_refused_by_name() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path());
    place.start().end();
    let key = dir.path().join("data.ledger-key");
    let good = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    let (code, said) = place.refused();
    assert!(code == 3 && said.contains("data.ledger-key is missing"), "{code} {said}");
    assert!(!key.exists(), "no key is made beside a ledger that needs another");
    fs::write(&key, &good).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, said) = place.refused();
    assert!(code == 3 && said.contains("can be read by others (mode 644)"), "{code} {said}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, "ab".repeat(32)).unwrap();
    let (code, said) = place.refused();
    assert!(code == 6 && said.contains("signed with another key"), "{code} {said}");
    fs::write(&key, "short").unwrap();
    let (code, said) = place.refused();
    assert!(
        code == 3 && said.contains("does not hold a ledger key") && !said.contains("short"),
        "{code} {said}"
    );
    fs::write(&key, &good).unwrap();
    assert_eq!(place.start().end(), 0);
}
