//! The program as people use it, from participation to drained files; reload, the end, the demo and
//! the load generator.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::cli_run::{Collector, usaged};
use crate::fault_daemon::until;

pub fn page(collector: &Collector, path: &str) -> String {
    let mut stream = TcpStream::connect(&collector.admin).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn events(count: usize) -> String {
    (0..count).map(|n| format!("{{\"name\":\"vm.inventory\",\"fields\":{{\"host\":\"esx-{n}.example.com\",\"vcpus\":{n}}}}}\n")).collect()
}

fn lines_of(dir: &Path) -> Vec<Json> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(
            path.extension().and_then(|end| end.to_str()),
            Some("ndjson"),
            "no file is left unfinished"
        );
        let text = std::fs::read_to_string(path).unwrap();
        lines.extend(text.lines().map(|line| serde_json::from_str::<Json>(line).unwrap()));
    }
    lines
}

#[test]
fn what_is_sent_is_drained_once_as_the_level_says() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    let set = ["participation", "set", "acme", "--level", "ceip=standard", "--reason", "test", "--json"];
    assert_eq!(collector.client(&set, "").json()["changed_by"], "tester");
    let create = ["subscription", "create", "team", "--purpose", "improve", "--recipient", "tests"];
    assert_eq!(collector.client(&create, "").code, 0);

    let send = ["send", "--customer", "acme", "--product", "vcenter", "--batch-size", "10", "--json"];
    let compressed = [&send[..], &["--compress", "zstd"]].concat();
    let sent = collector.client(&compressed, &events(95)).json();
    assert_eq!((&sent["batches"], &sent["accepted_events"]), (&10.into(), &95.into()));

    let out = dir.path().join("out").display().to_string();
    let drain = ["drain", "team", "--out", &out, "--file-size", "4KiB", "--max-batches", "2", "--json"];
    let drained = collector.client(&drain, "").json();
    assert_eq!((&drained["events"], &drained["acknowledged"]), (&95.into(), &10.into()));
    let lines = lines_of(&dir.path().join("out"));
    assert_eq!(lines.len(), 95);
    let mut vcpus: Vec<_> = lines.iter().map(|line| line["fields"]["vcpus"].as_u64().unwrap()).collect();
    vcpus.sort_unstable();
    assert_eq!(vcpus, (0..95).collect::<Vec<_>>());
    for line in &lines {
        assert!(line["fields"]["host"].as_str().unwrap().starts_with("p1-host_name-s-"), "{line}");
        assert!(line["customer"].as_str().unwrap().starts_with("p1-customer_id-s-"), "{line}");
    }
    let again = collector.client(&["drain", "team"], "");
    assert_eq!((again.code, again.out.as_str()), (0, ""));
    let standing = collector.client(&["subscription", "get", "team", "--json"], "").json();
    assert_eq!((&standing["acknowledged_batches"], &standing["waiting_batches"]), (&10.into(), &0.into()));
    assert_eq!(collector.end(), 0);
}

#[test]
fn a_file_of_requests_can_be_sent_twice_and_is_stored_once() {
    use usaged::grpc::client::Message as _;
    use usaged::grpc::proto::ingest::{Event, Field, SubmitRequest, Value, value::Kind};

    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    let set = ["participation", "set", "acme", "--level", "ceip=standard", "--reason", "test"];
    assert_eq!(collector.client(&set, "").code, 0);
    let mut file = Vec::new();
    for number in 0..5 {
        let field = |n: i64| Value { kind: Some(Kind::IntValue(n)) };
        let fields = [("vcpus", 8), ("memory_mb", 1024), ("uptime_s", number)];
        let fields = fields
            .into_iter()
            .map(|(name, n)| Field { name: name.to_owned(), value: Some(field(n)) })
            .collect();
        let event = Event { name: "vm.inventory".to_owned(), fields, ..Event::default() };
        let request = SubmitRequest {
            batch_id: uuid::Uuid::new_v4().to_string(),
            product: "vcenter".to_owned(),
            events: vec![event],
            ..SubmitRequest::default()
        };
        file.extend(request.encode_length_delimited_to_vec());
    }
    let path = dir.path().join("batches.pb");
    std::fs::write(&path, file).unwrap();
    let path = path.display().to_string();
    let send = ["send", "--customer", "acme", "--format", "protobuf", &path, "--json"];
    assert_eq!(collector.client(&send, "").json()["states"]["stored"], 5);
    assert_eq!(collector.client(&send, "").json()["states"]["duplicate"], 5);
    let compressed = [&send[..], &["--compress", "gzip"]].concat();
    assert_eq!(collector.client(&compressed, "").json()["states"]["duplicate"], 5);
    assert_eq!(collector.end(), 0);
}

#[test]
fn a_changed_policy_is_taken_over_and_a_bad_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("policy");
    for file in usaged::policy::shipped() {
        let path = policy.join(&file.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, file.text).unwrap();
    }
    let collector = Collector::start(dir.path(), &["--policy-dir", &policy.display().to_string()]);
    let log = || std::fs::read_to_string(dir.path().join("log")).unwrap();

    let vcenter = policy.join("products/vcenter.toml");
    let good = std::fs::read_to_string(&vcenter).unwrap();
    std::fs::write(&vcenter, format!("{good}\n# changed\n")).unwrap();
    until("a reload by file change", || log().contains("policy taken over"));

    std::fs::write(&vcenter, good.replace("class = \"host_name\"", "class = \"hostname\"")).unwrap();
    // A file that is only half written may have been refused before.
    until("a refusal with the line of the mistake", || log().contains("products/vcenter.toml:16: "));
    until("a refusal", || log().contains("policy refused as a whole, the one before stays"));
    let metrics = page(&collector, "/metrics");
    assert!(metrics.contains("usaged_policy_loads_total{result=\"refused\"}"), "{metrics}");

    let before = log().matches("policy refused as a whole").count();
    collector.signal(rustix::process::Signal::HUP);
    until("a reload by signal", || log().matches("policy refused as a whole").count() > before);
    std::fs::write(&vcenter, good).unwrap();
    until("the first policy again", || log().matches("policy taken over").count() == 2);
    assert_eq!(collector.end(), 0);
}

#[test]
fn the_pages_say_how_the_collector_is() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &["--log-format", "json"]);
    assert!(page(&collector, "/livez").starts_with("HTTP/1.1 200"));
    assert!(page(&collector, "/readyz").starts_with("HTTP/1.1 200"));
    assert!(page(&collector, "/metrics").contains("usaged_events_received_total 0"));
    assert_eq!(collector.end(), 0);
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    for line in log.lines() {
        serde_json::from_str::<Json>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    assert!(log.contains("back this file up"), "{log}");
}

#[test]
fn the_demo_shows_everything_and_finds_nothing_that_should_not_be_there() {
    let begun = Instant::now();
    let told = usaged(["demo", "--events", "1500", "--json"]);
    assert_eq!(told.code, 0, "{}", told.err);
    let told = told.json();
    assert_eq!((&told["adds_up"], &told["search"]["found_in"]), (&true.into(), &Json::Array(Vec::new())));
    assert_eq!(told["search"]["finds_what_is_planted"], true);
    assert!(told["search"]["identifiers"].as_u64().unwrap() > 5_000);
    assert_eq!(told["customers"][0]["accepted_events"], 0);
    assert!(begun.elapsed() < Duration::from_secs(15));
}

#[test]
fn load_measures_every_figure() {
    let told = usaged([
        "load",
        "--duration",
        "300ms",
        "--warm-up",
        "100ms",
        "--clients",
        "4",
        "--batch-size",
        "50",
        "--json",
    ]);
    assert_eq!(told.code, 0, "{}", told.err);
    let told = told.json();
    for key in [
        "events",
        "events_per_second",
        "events_per_cpu_second",
        "requests_per_second",
        "ack_ms_p50",
        "ack_ms_p99",
        "daemon_peak_rss_bytes",
        "floor_cpu_ns_per_event",
        "floor_ratio",
    ] {
        assert!(told[key].as_f64().is_some_and(|value| value > 0.0), "{key}: {told}");
    }
    for part in ["receive", "hmacs", "compress_and_seal", "append"] {
        assert!(told["floor_parts_cpu_ns_per_event"][part].as_f64().is_some(), "{part}: {told}");
    }
    assert_eq!(told["requests_not_stored"], 0);
}
