//! A client that is not Rust: Python's grpcio, with stubs that it makes itself from `proto/`. The
//! program is tests/python/client.py; here is what it has to see.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};
use serde_json::{Value as Json, json};

use crate::fault_daemon::Place;
use crate::fault_load::set_up;

const REMEDY: &str = "this test needs python3 with venv (deploy/setup.sh installs it) and the packages of \
                      tests/python from the Python package index: check the network, or point \
                      PIP_INDEX_URL or PIP_FIND_LINKS at a mirror that has them";

/// The part of the repository that is called `name`.
pub fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Runs `command` to its end; when it fails, `remedy` is what may help.
fn run(command: &mut Command, remedy: &str) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}\n{remedy}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}: {said}\n{remedy}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Python with the packages that the clients need.
pub fn python() -> PathBuf {
    python_of("tests/python/requirements.txt", "python-client")
}

/// Python with the packages of a list, in a virtual environment called `name` under the target
/// directory: made once for each list of packages.
pub fn python_of(list: &str, name: &str) -> PathBuf {
    let list = repository(list);
    let wanted = std::fs::read(&list).unwrap();
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&home).unwrap();
    // Two test runs may share a target directory.
    let lock = File::create(home.join("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let (venv, made_of) = (home.join("venv"), home.join("made-of"));
    let python = venv.join("bin/python");
    if !python.exists() || std::fs::read(&made_of).ok().as_ref() != Some(&wanted) {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv), REMEDY);
        let pip =
            ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"];
        run(Command::new(&python).args(pip).arg("--requirement").arg(&list), REMEDY);
        std::fs::write(&made_of, wanted).unwrap();
    }
    python
}

/// Python stubs of every file in `proto/`, made in `dir`.
pub fn make_stubs(python: &Path, dir: &Path) {
    let files = ["ingest", "drain", "admin"].map(|name| format!("usaged/{name}/v1/{name}.proto"));
    let to = |flag: &str| format!("--{flag}={}", dir.display());
    let mut protoc = Command::new(python);
    protoc.args(["-m", "grpc_tools.protoc", "-I"]).arg(repository("proto"));
    run(protoc.arg(to("python_out")).arg(to("grpc_python_out")).args(files), REMEDY);
}

/// Runs a task of the client; what it saw.
fn client(address: &str, task: &str) -> Json {
    let (python, stubs) = (python(), tempfile::tempdir().unwrap());
    make_stubs(&python, stubs.path());
    let mut client = Command::new(python);
    client.arg("-B").arg(repository("tests/python/client.py")).arg(address).arg(stubs.path()).arg(task);
    serde_json::from_str(&run(&mut client, "the client said why")).unwrap()
}

#[test]
fn a_python_client_sends_and_drains_with_nothing_but_the_proto_files() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Place::new(dir.path()).start();
    let said = client(&daemon.grpc, "everything");

    assert_eq!(said["health"], "SERVING");
    let services = said["services"].as_array().unwrap();
    for service in ["ingest.v1.IngestService", "drain.v1.DrainService", "admin.v1.AdminService"] {
        assert!(services.contains(&json!(format!("usaged.{service}"))), "{services:?}");
    }
    assert_eq!(
        said["reflected"],
        json!(["batch_id", "product", "instance", "region", "level_caps", "events", "plan_version"])
    );
    assert_eq!((&said["revision"], &said["subscription"]), (&json!(1), &json!(["jobs", 60, 5])));

    check_receipts(&said);
    check_refusals(&said);
    check_drained(&said);
    check_compressed(&said);
    assert_eq!(daemon.end(), 0);
}

fn check_compressed(said: &Json) {
    let stored = &said["compressed"];
    assert_eq!((&stored["state"], &stored["accepted_events"]), (&json!("STORED"), &json!(100)));
    let mut first = stored.clone();
    first["state"] = json!("DUPLICATE");
    assert_eq!(said["compressed_again"], first, "the same bytes, however they are sent");
    assert_eq!(said["compressed_stream"], json!([100, 100, 100, 100, 100]));
}

fn check_receipts(said: &Json) {
    let stored = &said["stored"];
    assert_eq!((&stored["state"], &stored["commit"]), (&json!("STORED"), &json!(1)));
    assert_eq!((&stored["accepted_events"], &stored["accepted_fields"]), (&json!(1), &json!(5)));
    assert_eq!(stored["withheld_fields"], json!({"UNKNOWN_FIELD": 1}));
    assert_eq!(stored["withheld"], json!([["events[0].fields[\"made_up\"]", "UNKNOWN_FIELD"]]));
    assert_eq!(stored["levels"]["ceip"], "standard");
    assert_eq!(stored["policy_version"].as_str().unwrap().len(), 16);

    let mut first = stored.clone();
    first["state"] = json!("DUPLICATE");
    assert_eq!(said["again"], first, "the receipt of a retry is the first one");
    let disabled = &said["disabled"];
    assert_eq!((&disabled["state"], &disabled["commit"]), (&json!("DISABLED"), &json!(0)));

    let stream = said["stream"].as_array().unwrap();
    assert_eq!((stream.len(), &said["in_order"]), (20, &json!(true)));
    let bad = json!({"code": 3, "reason": "INVALID_FIELD", "field": "batch_id"});
    let (refused, stored): (Vec<_>, Vec<_>) = stream.iter().partition(|answer| answer["code"].is_number());
    assert_eq!(refused, [&bad]);
    assert!(stored.iter().all(|receipt| receipt["state"] == "STORED"), "{stored:?}");
}

fn check_refusals(said: &Json) {
    let expected = [
        ("bad_request", "INVALID_ARGUMENT", "INVALID_FIELD"),
        ("reused", "INVALID_ARGUMENT", "BATCH_ID_REUSED"),
        ("no_customer", "UNAUTHENTICATED", "CUSTOMER_MISSING"),
        ("too_large", "INVALID_ARGUMENT", "REQUEST_TOO_LARGE"),
        ("absent", "NOT_FOUND", "SUBSCRIPTION_NOT_FOUND"),
        ("deflate", "UNIMPLEMENTED", "COMPRESSION_NOT_SUPPORTED"),
    ];
    for (call, code, reason) in expected {
        let refusal = &said[call];
        assert_eq!(
            (&refusal["code"], &refusal["reason"]),
            (&json!(code), &json!(reason)),
            "{call}: {refusal}"
        );
        assert_eq!((&refusal["domain"], &refusal["retry_ms"]), (&json!("usaged"), &Json::Null), "{call}");
    }
    assert_eq!(said["bad_request"]["fields"], json!(["batch_id"]));
}

fn check_drained(said: &Json) {
    let pulled = &said["pulled"];
    assert_eq!(pulled["commits"], json!([1, 2, 3]));
    assert_eq!((&pulled["level"], &pulled["event"]), (&json!("standard"), &json!(["vm.inventory"])));
    let fields = &pulled["fields"];
    assert_eq!(
        (&fields["vcpus"], &fields["power_state"], &fields["uptime_s"]),
        (&json!(8), &json!("on"), &json!(1))
    );
    for (text, prefix) in [
        (&fields["host"], "p1-host_name-s-"),
        (&fields["mac"], "p1-mac_address-s-"),
        (&pulled["customer"], "p1-customer_id-s-"),
        (&pulled["instance"], "p1-instance_id-"),
    ] {
        let text = text.as_str().unwrap();
        let token = text.rsplit('-').next().unwrap();
        assert!(text.starts_with(prefix) && token.len() == 26, "{text}");
        assert!(token.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'v')), "{text}");
    }
    let treatments = &pulled["treatments"];
    assert_eq!((&treatments["host"], &treatments["vcpus"]), (&json!("pseudonym"), &json!("keep")));

    assert_eq!(said["given_back"], 1);
    assert_eq!(said["acknowledged"], json!({"done": 2, "failed": ["UNKNOWN"]}));
    // The third batch, which was given back, and those after it; the seventh of the stream was bad.
    let rest: Vec<u64> = (101..120).filter(|number| *number != 107).collect();
    assert_eq!(said["streamed"], json!(rest));
    assert_eq!(said["standing"], json!([20, 0]));
}

/// covers: B2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_client_reads_when_to_come_back() {
    let dir = tempfile::tempdir().unwrap();
    // No disk has so much free space.
    let daemon = Place::new(dir.path()).with(&["--set", "store.reserve_bytes=1048576GiB"]).start();
    set_up(&daemon.grpc, &["acme"], &[]).await;
    let refusal = client(&daemon.grpc, "refusal");
    assert_eq!((&refusal["code"], &refusal["reason"]), (&json!("RESOURCE_EXHAUSTED"), &json!("STORE_FULL")));
    let waits = refusal["retry_ms"].as_u64().unwrap();
    assert!((1..=60_000).contains(&waits), "{refusal}");
    assert_eq!((&refusal["stream"][0][0], refusal["stream"][0][1].as_u64().unwrap() > 0), (&json!(8), true));
    assert_eq!(daemon.end(), 0);
}
