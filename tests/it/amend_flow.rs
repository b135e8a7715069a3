//! What changes stored data, with the real program: a lowered level reaches the disk, erasure takes out what it names
//! and nothing else, and both survive being killed at any moment.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::cli_run::{Collector, Ended};

fn ok(ended: Ended) -> Ended {
    assert_eq!(ended.code, 0, "{} {}", ended.out, ended.err);
    ended
}

fn set(collector: &Collector, level: &str) {
    let level = format!("ceip={level}");
    ok(collector.client(&["participation", "set", "acme", "--level", &level, "--reason", "test"], ""));
}

fn subscribe(collector: &Collector) {
    let create =
        ["subscription", "create", "team", "--purpose", "improve", "--recipient", "tests", "--from-oldest"];
    ok(collector.client(&create, ""));
}

fn send(collector: &Collector, instance: &str, hosts: impl IntoIterator<Item = usize>) -> Json {
    let event = |n: usize| {
        format!(
            "{{\"name\":\"vm.inventory\",\"fields\":{{\"host\":\"esx-{n}.example.com\",\"vcpus\":{n}}}}}\n"
        )
    };
    let events: String = hosts.into_iter().map(event).collect();
    let args = [
        "send",
        "--customer",
        "acme",
        "--product",
        "vcenter",
        "--instance",
        instance,
        "--batch-size",
        "5",
        "--json",
    ];
    collector.client(&args, &events).json()
}

/// Every event that a drainer gets.
fn drain(collector: &Collector) -> Vec<Json> {
    let drained = ok(collector.client(&["drain", "team"], ""));
    drained.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn rewind(collector: &Collector) {
    ok(collector.client(&["subscription", "seek", "team", "--oldest"], ""));
}

fn vcpus(events: &[Json]) -> Vec<u64> {
    let mut numbers: Vec<u64> =
        events.iter().map(|event| event["fields"]["vcpus"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

fn bound(collector: &Collector) -> Json {
    let begun = Instant::now();
    loop {
        let report = ok(collector.client(&["participation", "binding", "acme", "--json"], "")).json();
        if report["state"] == "DONE" {
            return report;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{report}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn erase(collector: &Collector, what: &[&str]) -> Json {
    let args = ["erase", "--customer", "acme", "--reference", "ticket-1", "--json"];
    ok(collector.client(&[&args, what].concat(), "")).json()
}

fn ledger_adds_up(dir: &Path) {
    let ledger = dir.join("data/ledger").display().to_string();
    let verified = crate::cli_run::usaged(["ledger", "verify", &ledger, "--json"]);
    assert_eq!(verified.code, 0, "{} {}", verified.out, verified.err);
}

/// covers: P6
#[test]
fn a_lowered_level_is_counted_before_reaches_the_disk_and_nothing_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    set(&collector, "enhanced");
    subscribe(&collector);
    send(&collector, "one", 0..20);

    let dry =
        ["participation", "set", "acme", "--level", "ceip=standard", "--reason", "x", "--dry-run", "--json"];
    let preview = ok(collector.client(&dry, "")).json();
    assert_eq!((&preview["state"], &preview["batches"]), (&"PREVIEW".into(), &4.into()), "{preview}");
    let line = &preview["lines"][0];
    assert_eq!((&line["from_level"], &line["to_level"]), (&"enhanced".into(), &"standard".into()));
    assert_eq!((&line["rewritten_batches"], &line["kept_events"]), (&4.into(), &20.into()));
    let present = ok(collector.client(&["participation", "get", "acme", "--json"], "")).json();
    assert_eq!(present["revision"], 1, "a dry run changes nothing");
    // Every setting that changes is shown, before and after, and the change itself reports the same.
    let level = serde_json::json!([{ "setting": "level of ceip", "from": "enhanced", "to": "standard" }]);
    assert_eq!(preview["changes"], level, "{preview}");
    let globex = ["participation", "set", "globex", "--level", "ceip=enhanced", "--reason", "x", "--json"];
    let first = ok(collector.client(&[&globex[..], &["--accept", "vcenter=2"]].concat(), "")).json();
    assert!(first["changes"].as_array().unwrap().len() > 2, "{first}");
    let audit = [
        &globex[..],
        &["--region", "eea", "--delivery", "audit", "--purpose-off", "recommend", "--accept", "vcenter=1"],
        &["--product-level", "horizon:ceip=standard"],
    ]
    .concat();
    let announced = ok(collector.client(&[&audit[..], &["--dry-run"]].concat(), "")).json();
    let done = ok(collector.client(&audit, "")).json();
    let names: Vec<_> =
        done["changes"].as_array().unwrap().iter().map(|one| one["setting"].as_str().unwrap()).collect();
    let accepted = "accepted dictionary of vcenter";
    assert_eq!(names, [accepted, "delivery", "level of ceip, product horizon", "purposes off", "region"]);
    assert_eq!(announced["changes"], done["changes"]);

    set(&collector, "standard");
    let report = bound(&collector);
    assert_eq!(report["lines"], preview["lines"], "what was announced was done");
    let events = drain(&collector);
    assert_eq!(vcpus(&events), (0..20).collect::<Vec<_>>());
    for event in &events {
        assert_eq!(event["level"], "standard");
        assert!(event["customer"].as_str().unwrap().starts_with("p1-customer_id-"), "{event}");
    }
    // Raised again: what is stored is what was left.
    set(&collector, "enhanced");
    rewind(&collector);
    assert!(drain(&collector).iter().all(|event| event["level"] == "standard"));
    // Off and on again: nothing of before is left.
    set(&collector, "none");
    assert_eq!(bound(&collector)["lines"][0]["to_level"], "none");
    set(&collector, "enhanced");
    rewind(&collector);
    assert_eq!(drain(&collector).len(), 0);
    send(&collector, "one", 50..51);
    assert_eq!(vcpus(&drain(&collector)), [50]);
    assert_eq!(collector.end(), 0);
    ledger_adds_up(dir.path());
}

/// covers: P8
#[test]
fn an_identifier_is_erased_from_what_is_stored_and_from_what_arrives_late() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    set(&collector, "standard");
    subscribe(&collector);
    send(&collector, "one", 0..20);
    assert_eq!(drain(&collector).len(), 20);

    let host = ["--class", "host_name", "--value", "ESX-7.Example.COM."];
    let dry = erase(&collector, &[&host[..], &["--dry-run"]].concat());
    assert_eq!((&dry["state"], &dry["removed_events"]), (&"DRY_RUN".into(), &1.into()), "{dry}");
    let id = "0198c0de-0000-7000-8000-000000000001";
    let done = erase(&collector, &[&host[..], &["--id", id]].concat());
    assert_eq!((&done["state"], &done["removed_events"]), (&"DONE".into(), &1.into()), "{done}");
    assert_eq!((&done["rewritten_batches"], &done["notified_subscriptions"]), (&1.into(), &1.into()));
    assert!(done["checkpoint"].as_str().unwrap().starts_with("usaged"), "{done}");
    // Twice is once.
    assert_eq!(erase(&collector, &[&host[..], &["--id", id]].concat())["request_time"], done["request_time"]);
    rewind(&collector);
    let expected: Vec<u64> = (0..20).filter(|n| *n != 7).collect();
    let said = ok(collector.client(&["drain", "team"], ""));
    let events: Vec<Json> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(vcpus(&events), expected);
    assert!(said.err.contains(id), "the drainer is told to delete what it has: {}", said.err);

    // The notice names the customer as it was named in what was delivered, and in no other way.
    let waiting = ok(collector.client(&["drain", "team", "--notices", "--json"], "")).out;
    let notice =
        waiting.lines().find_map(|line| serde_json::from_str::<Json>(line).ok()?.get("notice").cloned());
    let customers = notice.unwrap()["customers"].as_array().unwrap().clone();
    assert_eq!(customers.len(), 1, "{customers:?}");
    assert!(customers[0].as_str().unwrap().starts_with("p1-customer_id-s-"), "{customers:?}");

    // What happened before the erasure and arrives late is withheld; what happens now is new.
    let late = "{\"name\":\"vm.inventory\",\"time\":\"2026-01-01T00:00:00Z\",\"fields\":{\"host\":\"esx-7.example.com\",\"vcpus\":7}}";
    let at = jiff::Timestamp::now().checked_sub(jiff::SignedDuration::from_hours(1)).unwrap();
    let late = late.replace("2026-01-01T00:00:00Z", &at.to_string());
    let args = ["send", "--customer", "acme", "--product", "vcenter", "--json"];
    let answer = collector.client(&args, &late).json();
    assert_eq!(answer["accepted_events"], 0, "{answer}");
    assert_eq!(send(&collector, "one", 7..8)["accepted_events"], 1);
    // A value that is none, and one that nobody ever sent.
    let bad = ["erase", "--customer", "acme", "--class", "ip_address", "--value", "not an address"];
    let refused = collector.client(&bad, "");
    assert_eq!(refused.code, 5);
    assert!(!refused.err.contains("not an address"), "{}", refused.err);
    let nobody = erase(&collector, &["--class", "host_name", "--value", "nobody.example.com"]);
    assert_eq!((&nobody["state"], &nobody["removed_events"]), (&"DONE".into(), &0.into()));
    let unknown = ["erase", "--customer", "nobody", "--everything"];
    assert_eq!(collector.client(&unknown, "").code, 5);
    assert_eq!(collector.end(), 0);
    ledger_adds_up(dir.path());
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(!log.contains("esx-7") && !log.contains("not an address"), "{log}");
}

/// covers: P8
#[test]
fn instances_times_and_customers_are_erased_whole() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    set(&collector, "enhanced");
    subscribe(&collector);
    send(&collector, "one", 0..5);
    send(&collector, "two", 5..10);
    assert_eq!(drain(&collector).len(), 10);
    let done = erase(&collector, &["--instance", "one"]);
    assert_eq!((&done["removed_batches"], &done["removed_events"]), (&1.into(), &5.into()), "{done}");
    rewind(&collector);
    assert_eq!(vcpus(&drain(&collector)), (5..10).collect::<Vec<_>>());

    let done = erase(&collector, &["--from", "2020-01-01T00:00:00Z", "--until", "2021-01-01T00:00:00Z"]);
    assert_eq!(done["removed_events"], 0, "{done}");

    let done = erase(&collector, &["--everything"]);
    assert_eq!((&done["state"], &done["removed_batches"]), (&"DONE".into(), &1.into()), "{done}");
    assert_eq!(send(&collector, "two", 20..21)["states"]["disabled"], 1, "an erased customer is unknown");
    rewind(&collector);
    assert_eq!(drain(&collector).len(), 0);
    // It may come back, as somebody new: what happened before stays out.
    set(&collector, "enhanced");
    assert_eq!(send(&collector, "two", 30..31)["accepted_events"], 1);
    assert_eq!(vcpus(&drain(&collector)), [30]);
    assert_eq!(collector.end(), 0);
    ledger_adds_up(dir.path());
}

/// covers: P8 D1
#[test]
fn an_erasure_goes_on_after_the_collector_was_killed_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    set(&collector, "standard");
    subscribe(&collector);
    let mut collector = collector;
    for round in 0..8_u64 {
        send(&collector, "one", 0..60);
        let id = format!("0198c0de-0000-7000-8000-{round:012x}");
        let host = format!("esx-{round}.example.com");
        let args = [
            "erase",
            "--customer",
            "acme",
            "--class",
            "host_name",
            "--value",
            &host,
            "--id",
            &id,
            "--no-wait",
            "--json",
        ];
        ok(collector.client(&args, ""));
        std::thread::sleep(Duration::from_millis(7 * round));
        // Dropped is killed.
        drop(collector);
        collector = Collector::start(dir.path(), &[]);
        let done = ok(collector.client(&["erase", "status", &id, "--wait", "--json"], "")).json();
        assert_eq!(done["state"], "DONE", "{done}");
        rewind(&collector);
        let left = vcpus(&drain(&collector));
        // Those of earlier rounds were sent again since, and are new.
        assert!(!left.contains(&round), "{round}: {left:?}");
        assert_eq!(
            left.iter().filter(|n| **n == 59).count() as u64,
            round + 1,
            "what was not erased is there"
        );
    }
    assert_eq!(collector.end(), 0);
    ledger_adds_up(dir.path());
}
