//! Backups with the real program: made while it runs and while it does not, restored, checked, and without anything
//! that was erased since.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::cli_flow::page;
use crate::cli_run::{Collector, usaged};

/// What is erased of one customer after the backup, and must not come back; and what stays.
const GONE_HOST: &str = "esx-gone.corp.example.com";
const KEPT_HOST: &str = "esx-kept.corp.example.com";
const CUSTOMERS: [&str; 4] = ["gone-customer", "host-customer", "instance-customer", "other-customer"];

/// A home directory with data, its backup, and the file of personal rows of that time.
struct World {
    home: tempfile::TempDir,
}

impl World {
    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn start(&self) -> Collector {
        Collector::start(self.home.path(), &[])
    }

    /// Restores into `data`; gives the exit code and what was said.
    fn restore(&self, personal: &str, more: &[&str]) -> (i32, Json, String) {
        let words =
            ["store", "restore", &self.text("backup"), "--personal", &self.text(personal)].map(str::to_owned);
        let more = more.iter().map(|&word| word.to_owned());
        let to = ["--to".to_owned(), self.text("data"), "--json".to_owned()];
        let key = ["--root-key-file".to_owned(), self.text("data.key")];
        let ended = usaged(words.into_iter().chain(to).chain(key).chain(more));
        let json = serde_json::from_str(&ended.out).unwrap_or(Json::Null);
        (ended.code, json, ended.err)
    }

    /// The data directory is lost; what is left of it is beside.
    fn lose(&self) {
        std::fs::rename(self.path("data"), self.path("lost")).unwrap();
    }
}

fn event(name: &str, fields: &str) -> String {
    format!("{{\"name\":\"{name}\",\"fields\":{{{fields}}}}}\n")
}

fn send(collector: &Collector, customer: &str, instance: &str, events: &str) {
    let send = ["send", "--customer", customer, "--product", "vcenter", "--instance", instance, "--json"];
    let sent = collector.client(&send, events).json();
    assert_eq!(sent["received_events"], sent["accepted_events"], "{sent}");
}

/// Drains everything of a subscription.
fn drained(collector: &Collector, name: &str) -> Vec<Json> {
    let ended = collector.client(&["drain", name], "");
    assert_eq!(ended.code, 0, "{}", ended.err);
    ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The words that the service's log lines begin with: each customer and kind of event has its own.
fn marks(lines: &[Json]) -> Vec<String> {
    let mut marks: Vec<String> = lines
        .iter()
        .filter_map(|line| line["fields"]["occurrences"].as_u64().or(line["fields"]["vcpus"].as_u64()))
        .map(|number| number.to_string())
        .collect();
    marks.sort();
    marks
}

/// A collector with four customers, a backup of it, and erasures after the backup.
fn world() -> (World, Collector) {
    let world = World { home: tempfile::tempdir().unwrap() };
    let collector = world.start();
    for customer in CUSTOMERS {
        let set = ["participation", "set", customer, "--level", "ceip=enhanced", "--reason", "test"];
        assert_eq!(collector.client(&set, "").code, 0);
    }
    let create = ["subscription", "create", "team", "--purpose", "improve", "--recipient", "tests"];
    assert_eq!(collector.client(&create, "").code, 0);
    send(&collector, CUSTOMERS[0], "i-1", &event("vm.inventory", "\"vcpus\":1"));
    // Of the host: as a pseudonym of its own, and within text that is redacted.
    let of_host = event("vm.inventory", &format!("\"host\":\"{GONE_HOST}\",\"vcpus\":21"))
        + &event("support.log_line", &format!("\"message\":\"lost {GONE_HOST} again\",\"occurrences\":22"))
        + &event("vm.inventory", &format!("\"host\":\"{KEPT_HOST}\",\"vcpus\":23"));
    send(&collector, CUSTOMERS[1], "i-2", &of_host);
    send(&collector, CUSTOMERS[2], "i-gone", &event("vm.inventory", "\"vcpus\":31"));
    send(&collector, CUSTOMERS[2], "i-kept", &event("vm.inventory", "\"vcpus\":32"));
    send(&collector, CUSTOMERS[3], "i-4", &event("vm.inventory", "\"vcpus\":4"));

    // One names the customer who is erased; one is revoked later.
    for (name, customer) in [("gone", CUSTOMERS[0]), ("revoked", CUSTOMERS[3]), ("kept", CUSTOMERS[3])] {
        let issue = ["token", "issue", "--name", name, "--role", "sender", "--customer", customer];
        let ended = collector.client(&issue, "");
        assert_eq!(ended.code, 0, "{}", ended.err);
    }

    let (backup, personal) = (world.text("backup"), world.text("personal-then"));
    let made = collector.client(&["store", "backup", &backup, "--personal", &personal, "--json"], "").json();
    assert!(
        made["bytes"].as_u64().unwrap() > 1_000 && made["personal_rows"].as_u64().unwrap() >= 12,
        "{made}"
    );
    assert!(made["ledger_entries"].as_u64().unwrap() >= 5, "{made}");

    // What comes in later is not in the backup, and its number is not given again.
    send(&collector, CUSTOMERS[3], "i-4", &event("vm.inventory", "\"vcpus\":5"));
    for what in [
        &["--customer", CUSTOMERS[0], "--everything"][..],
        &["--customer", CUSTOMERS[1], "--class", "host_name", "--value", GONE_HOST],
        &["--customer", CUSTOMERS[2], "--instance", "i-gone"],
    ] {
        let ended = collector.client(&[&["erase", "--json"], what].concat(), "");
        assert_eq!(ended.code, 0, "{}", ended.err);
    }
    let tokens = collector.client(&["token", "list", "--json"], "").out;
    let tokens: Json = serde_json::from_str(&tokens).unwrap();
    let revoked =
        tokens["tokens"].as_array().unwrap().iter().find(|token| token["name"] == "revoked").unwrap();
    let id = revoked["id"].as_str().unwrap();
    assert_eq!(collector.client(&["token", "revoke", id], "").code, 0);
    let personal = world.text("personal-now");
    let times = || {
        ["usaged_backup_timestamp_seconds ", "usaged_personal_rows_timestamp_seconds "].map(|name| {
            let page = page(&collector, "/metrics");
            let time = page.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            time.parse::<f64>().unwrap()
        })
    };
    let [backup, with_it] = times();
    assert!(backup > 0.0 && (with_it - backup).abs() < f64::EPSILON);
    assert_eq!(collector.client(&["store", "personal", &personal], "").code, 0);
    let [still, rows] = times();
    assert!((still - backup).abs() < f64::EPSILON && rows > backup, "rows alone are no backup");
    (world, collector)
}

fn is_whole(dir: &Path, key: &Path) -> Json {
    let dir = dir.display().to_string();
    let ended = usaged(["store", "check", &dir, "--root-key-file", &key.display().to_string(), "--json"]);
    assert_eq!(ended.code, 0, "{} {}", ended.out, ended.err);
    ended.json()
}

/// How many files below a directory hold some bytes.
fn holding(dir: &Path, needle: &str) -> usize {
    let mut found = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        found += if path.is_dir() {
            holding(&path, needle)
        } else {
            let bytes = std::fs::read(&path).unwrap();
            usize::from(memchr::memmem::find(&bytes, needle.as_bytes()).is_some())
        };
    }
    found
}

/// covers: P8, D1
#[test]
fn what_was_erased_after_a_backup_does_not_come_back_through_a_restore() {
    let (world, collector) = world();
    let before = drained(&collector, "team");
    let highest = before.iter().filter_map(|line| line["commit_number"].as_u64()).max().unwrap();
    assert_eq!(marks(&before), ["23", "32", "4", "5"]);
    assert_eq!(collector.end(), 0);
    let checked = is_whole(&world.path("backup"), &world.path("data.key"));
    assert_eq!((&checked["backup"]["usaged_backup"], &checked["store"]["opened"]), (&1.into(), &0.into()));
    for customer in CUSTOMERS {
        assert_eq!(holding(&world.path("backup"), customer), 0, "the backup names {customer}");
    }

    world.lose();
    let (code, told, err) = world.restore("personal-now", &["--ledger", &world.text("lost/ledger")]);
    assert_eq!(code, 0, "{err}");
    assert_eq!((&told["erasures_again"], &told["customers_left_out"]), (&3.into(), &0.into()), "{told}");
    assert_eq!(told["faults"]["named"].as_array().unwrap().len(), 0);
    let checked = is_whole(&world.path("data"), &world.path("data.key"));
    // Of the erased customer there is a record and no key to it.
    assert_eq!(
        (&checked["store"]["opened"], &checked["store"]["sealed"]),
        (&4.into(), &1.into()),
        "{checked}"
    );
    assert_eq!(holding(&world.path("data"), CUSTOMERS[0]), 0, "the erased customer is named");

    let collector = world.start();
    let tokens: Json = serde_json::from_str(&collector.client(&["token", "list", "--json"], "").out).unwrap();
    let mut tokens: Vec<(&str, bool)> = tokens["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| (token["name"].as_str().unwrap(), token["revoke_time"].is_string()))
        .collect();
    tokens.sort_unstable();
    assert_eq!(tokens, [("kept", false), ("revoked", true)], "as when the personal rows were written");
    // Acknowledged after the backup was made, so it comes again; what was erased does not.
    assert_eq!(marks(&drained(&collector, "team")), ["23", "32", "4"]);
    let create =
        ["subscription", "create", "all", "--purpose", "improve", "--recipient", "tests", "--from-oldest"];
    assert_eq!(collector.client(&create, "").code, 0);
    assert_eq!(marks(&drained(&collector, "all")), ["23", "32", "4"]);
    send(&collector, CUSTOMERS[3], "i-4", &event("vm.inventory", "\"vcpus\":6"));
    let after = drained(&collector, "all");
    assert_eq!(marks(&after), ["6"]);
    assert!(after[0]["commit_number"].as_u64().unwrap() > highest, "{after:?} after {highest}");
    let audit = collector.client(&["participation", "list", "--json"], "");
    assert!(!audit.out.contains(CUSTOMERS[0]) && audit.out.contains(CUSTOMERS[1]), "{}", audit.out);
    assert_eq!(collector.end(), 0);
    let ledger = usaged(["ledger", "verify", &world.text("data/ledger"), "--json"]);
    assert_eq!(ledger.code, 0, "{} {}", ledger.out, ledger.err);
    let entries = std::fs::read_to_string(world.path("data/ledger/entries")).unwrap_or_else(|_| {
        String::from_utf8_lossy(&std::fs::read(world.path("data/ledger/entries")).unwrap()).into_owned()
    });
    assert!(entries.contains("\"kind\":\"backup_made\"") && entries.contains("\"kind\":\"store_restored\""));
    is_whole(&world.path("data"), &world.path("data.key"));
}

/// covers: P8
#[test]
fn an_older_file_of_personal_rows_is_refused_or_goes_on_without_those_whom_the_ledger_knows_better() {
    let (world, collector) = world();
    let lowered = ["participation", "set", CUSTOMERS[3], "--level", "ceip=standard", "--reason", "test"];
    assert_eq!(collector.client(&lowered, "").code, 0);
    assert_eq!(collector.end(), 0);
    world.lose();
    let ledger = world.text("lost/ledger");
    let (code, _, err) = world.restore("personal-then", &["--ledger", &ledger]);
    assert_eq!(code, 6, "{err}");
    assert!(err.contains("too old") && err.contains("--leave-out") && err.contains("--personal"), "{err}");
    assert!(!world.path("data").exists() && !world.path("data.restoring").exists());

    let (code, told, err) = world.restore("personal-then", &["--ledger", &ledger, "--leave-out"]);
    assert_eq!((code, &told["customers_left_out"]), (0, &4.into()), "{told} {err}");
    for customer in CUSTOMERS {
        assert_eq!(holding(&world.path("data"), customer), 0, "{customer} came back");
    }
    let collector = world.start();
    assert_eq!(drained(&collector, "team").len(), 0);
    // They are nobody, and can become somebody again.
    let set =
        ["participation", "set", CUSTOMERS[3], "--level", "ceip=standard", "--reason", "test", "--json"];
    assert_eq!(collector.client(&set, "").json()["revision"], 1);
    assert_eq!(collector.end(), 0);
}

#[test]
fn a_backup_of_a_store_that_does_not_run_is_the_same_and_nothing_goes_over_what_is_there() {
    let (world, collector) = world();
    assert_eq!(collector.end(), 0);
    let offline = |dir: &str, personal: &str| {
        let (dir, personal, data) = (world.text(dir), world.text(personal), world.text("data"));
        usaged(["store", "backup", &dir, "--personal", &personal, "--data-dir", &data])
    };
    let made = offline("cold", "personal-cold");
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(made.err.contains("copying the ledger"), "plain lines where there is no terminal: {}", made.err);
    assert!(made.out.contains("opens with root key"), "{}", made.out);
    is_whole(&world.path("cold"), &world.path("data.key"));
    let again = offline("cold", "personal-cold-2");
    // The command line is right; what is there already is in the way.
    assert!(again.code == 1 && again.err.contains("exists already"), "{}", again.err);
    assert!(!world.path("personal-cold-2").exists());
    let inside = offline("data/inside", "personal-inside");
    assert_eq!(inside.code, 2, "{}", inside.err);
    // Nor is a store made in a backup, whose directory is copied on and has no keys in it.
    let [cold, rows, to] = ["cold", "personal-cold", "cold/x"].map(|name| world.text(name));
    let into = usaged(["store", "restore", &cold, "--personal", &rows, "--to", &to]);
    assert!(into.code == 2 && into.err.contains("must not lie in each other"), "{} {}", into.code, into.err);
    assert!(!world.path("cold/x").exists() && !world.path("cold/x.restoring").exists());
    // A file that is no file of personal rows is never replaced.
    let notes = world.path("notes");
    std::fs::write(&notes, b"mine").unwrap();
    let over = usaged(["store", "personal", &world.text("notes"), "--data-dir", &world.text("data")]);
    assert_eq!((over.code, std::fs::read(&notes).unwrap()), (1, b"mine".to_vec()), "{}", over.err);
    let (code, _, err) = world.restore("personal-now", &[]);
    assert!(code == 1 && err.contains("exists already"), "{err}");

    // Without the newest ledger it goes by that of the backup; the erasures are in the personal rows.
    world.lose();
    let (code, told, err) = world.restore("personal-now", &[]);
    assert_eq!((code, &told["erasures_again"]), (0, &3.into()), "{told} {err}");
    assert!(err.contains("without --ledger it cannot be checked"), "{err}");
    let collector = world.start();
    assert_eq!(marks(&drained(&collector, "team")), ["23", "32", "4"]);
    assert_eq!(collector.end(), 0);
}

/// covers: D5
#[test]
fn a_backup_with_one_changed_byte_is_found_and_nothing_of_it_is_put_in_place() {
    let (world, collector) = world();
    assert_eq!(collector.end(), 0);
    world.lose();
    let mut files: Vec<PathBuf> = ["db", "ledger"]
        .iter()
        .flat_map(|dir| std::fs::read_dir(world.path("backup").join(dir)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.file_name().unwrap().to_string_lossy().starts_with("LOG"))
        .filter(|path| path.metadata().unwrap().len() > 0)
        .collect();
    files.extend(["FORMAT", "witness"].map(|name| world.path("backup").join(name)));
    assert!(files.len() >= 8, "{files:?}");
    let backup = world.text("backup");
    for path in files {
        let whole = std::fs::read(&path).unwrap();
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        let checked = usaged(["store", "check", &backup]);
        assert!([6, 8].contains(&checked.code), "{}: {} {}", path.display(), checked.code, checked.out);
        let (code, _, err) = world.restore("personal-now", &[]);
        assert_eq!(code, 6, "{}: {err}", path.display());
        assert!(!world.path("data").exists() && !world.path("data.restoring").exists());
        std::fs::write(&path, &whole).unwrap();
    }
    std::fs::remove_file(world.path("backup/BACKUP")).unwrap();
    let (code, _, err) = world.restore("personal-now", &[]);
    assert!(code == 6 && err.contains("not a finished backup"), "{code} {err}");
}
