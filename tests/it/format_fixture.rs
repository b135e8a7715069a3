//! A store of format 1 as the first release wrote it: every later version opens it and drains it to the same lines.
//! `make fixture` makes it anew, which is right only as long as format 1 is not released.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli_run::{Collector, usaged};
use crate::fault_daemon::Place;

/// Where it is.
fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1")
}

fn tar(args: &[&str]) {
    let output = Command::new("tar").args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// How it is served: by the policy of its time, and without regard to how old it is.
fn options(home: &Path) -> Vec<String> {
    let policy = home.join("policy").display().to_string();
    ["--policy-dir", &policy, "--set", "store.retention_age=3650d"].map(str::to_owned).to_vec()
}

fn start(home: &Path) -> Collector {
    let options = options(home);
    Collector::start(home, &options.iter().map(String::as_str).collect::<Vec<_>>())
}

fn event(name: &str, fields: &str) -> String {
    format!("{{\"name\":\"{name}\",\"time\":\"2026-11-27T00:00:00Z\",\"fields\":{{{fields}}}}}\n")
}

/// Makes a store with something of everything in it.
fn make(home: &Path) {
    for file in usaged::policy::shipped() {
        let path = home.join("policy").join(&file.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &file.text).unwrap();
    }
    for life in 0..2 {
        let collector = start(home);
        let run = |args: &[&str], input: &str| {
            let ended = collector.client(args, input);
            assert_eq!(ended.code, 0, "{args:?}: {}", ended.err);
        };
        if life == 0 {
            for (customer, levels) in [
                ("acme", &["ceip=standard", "operational=operational"][..]),
                ("globex", &["ceip=enhanced"]),
                ("initech", &["ceip=enhanced"]),
                ("gone", &["ceip=standard"]),
            ] {
                let levels: Vec<&str> = levels.iter().flat_map(|level| ["--level", *level]).collect();
                run(&[&["participation", "set", customer, "--reason", "fixture"][..], &levels].concat(), "");
            }
            run(&["subscription", "create", "team", "--purpose", "improve", "--recipient", "tests"], "");
        }
        for customer in ["acme", "globex", "initech", "gone"].iter().take(if life == 0 { 4 } else { 3 }) {
            let events = (0..6).map(|n| {
                event(
                    "vm.inventory",
                    &format!("\"host\":\"esx-{n}.example.com\",\"vcpus\":{n},\"ip\":\"10.1.2.{n}\""),
                ) + &event(
                    "support.log_line",
                    &format!("\"message\":\"lost esx-{n}.example.com\",\"occurrences\":{life}"),
                )
            });
            let send = [
                "send",
                "--customer",
                customer,
                "--product",
                "vcenter",
                "--instance",
                "i-1",
                "--batch-size",
                "4",
            ];
            run(&send, &events.collect::<String>());
        }
        if life == 0 {
            run(&["erase", "--customer", "gone", "--everything"], "");
            run(
                &["erase", "--customer", "globex", "--class", "host_name", "--value", "esx-3.example.com"],
                "",
            );
        } else {
            run(&["participation", "set", "initech", "--level", "ceip=standard", "--reason", "fixture"], "");
            run(&["participation", "binding", "initech", "--wait"], "");
        }
        assert_eq!(collector.end(), 0);
    }
}

/// What the subscription of the fixture receives, one line for each event, in order.
fn drained(home: &Path) -> String {
    let collector = start(home);
    let ended = collector.client(&["drain", "team"], "");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(collector.end(), 0);
    let mut lines: Vec<&str> = ended.out.lines().collect();
    lines.sort_by_key(|line| {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["commit_number"].as_u64()
    });
    lines.join("\n") + "\n"
}

#[expect(clippy::disallowed_methods, reason = "a test has no command line of its own")]
fn is_to_be_made() -> bool {
    std::env::var("USAGED_MAKE_FIXTURE").is_ok_and(|value| value == "1")
}

/// covers: D5, D1
#[test]
fn a_store_of_format_1_is_opened_drained_to_the_same_lines_checked_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    if is_to_be_made() {
        make(home);
        let kept = kept();
        std::fs::create_dir_all(&kept).unwrap();
        let (archive, from) = (kept.join("store.tar.gz").display().to_string(), home.display().to_string());
        let what = ["data", "data.key", "data.ledger-key", "policy"];
        let plain = ["--owner=0", "--group=0", "--sort=name", "--exclude=LOG*", "--exclude=LOCK"];
        tar(&[&["-czf", &archive, "-C", &from][..], &plain, &what].concat());
        std::fs::write(kept.join("drained.ndjson"), drained(home)).unwrap();
        let bytes = std::fs::metadata(&archive).unwrap().len();
        assert!(bytes < 200 * 1024, "the fixture takes {bytes} bytes");
    }
    let unpacked = home.join("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    let (archive, to) = (kept().join("store.tar.gz").display().to_string(), unpacked.display().to_string());
    tar(&["-xzf", &archive, "-C", &to, "--no-same-owner"]);
    let check = |dir: &Path| {
        let (data, key) =
            (dir.join("data").display().to_string(), dir.join("data.key").display().to_string());
        let ended = usaged(["store", "check", &data, "--root-key-file", &key, "--json"]);
        assert_eq!(ended.code, 0, "{} {}", ended.out, ended.err);
        ended.json()
    };
    std::fs::write(unpacked.join("data/LOCK"), b"").unwrap();
    let found = check(&unpacked);
    assert_eq!(found["store"]["format"], 1);
    assert!(
        found["store"]["opened"].as_u64().unwrap() > 10 && found["store"]["gone"].as_u64().unwrap() > 0,
        "{found}"
    );
    let expected = std::fs::read_to_string(kept().join("drained.ndjson")).unwrap();
    assert!(expected.lines().count() > 40, "the fixture holds something");
    assert_eq!(drained(&unpacked), expected);
    // It goes on: what comes now is stored behind it.
    let collector = start(&unpacked);
    let send = ["send", "--customer", "acme", "--product", "vcenter", "--json"];
    assert_eq!(
        collector
            .client(&send, &event("vm.inventory", "\"vcpus\":8").replace("2026-11-27T00:00:00Z", &now()))
            .code,
        0
    );
    assert_eq!(collector.end(), 0);
    check(&unpacked);
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// covers: D5
#[test]
fn a_newer_format_is_refused_by_name_with_what_to_do_and_nothing_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path());
    assert_eq!(place.start().end(), 0);
    let format = dir.path().join("data/FORMAT");
    let text = std::fs::read_to_string(&format).unwrap();
    let newer = text.replace("format 1", "format 2");
    assert_ne!(text, newer);
    std::fs::write(&format, &newer).unwrap();
    let (code, said) = place.refused();
    assert_eq!(code, 6, "{said}");
    assert!(said.contains("format version 2") && said.contains("use the program that wrote it"), "{said}");
    assert_eq!(std::fs::read_to_string(&format).unwrap(), newer);
    let data = dir.path().join("data").display().to_string();
    for command in ["inspect", "check"] {
        let ended = usaged(["store", command, &data]);
        assert!([6, 8].contains(&ended.code), "{command}: {} {}", ended.code, ended.err);
        assert!(
            format!("{}{}", ended.out, ended.err).contains("format version 2"),
            "{command}: {}{}",
            ended.out,
            ended.err
        );
    }
    std::fs::write(&format, &text).unwrap();
    assert_eq!(place.start().end(), 0);
}
