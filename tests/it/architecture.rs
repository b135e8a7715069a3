//! The tidy test: which room may name which, who owns which package, what stays pure, how long a
//! file may be, and that every invariant of the design is covered by a test.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room with the rooms that it may name (DESIGN section 7).
const DOORS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("policy", &["model"]),
    ("sanitize", &["model", "policy"]),
    ("observe", &["model"]),
    ("identity", &["model"]),
    ("ledger", &["model", "observe"]),
    ("store", &["model", "sanitize", "observe"]),
    ("ingest", &["model", "policy", "sanitize", "store", "observe", "ledger"]),
    ("drain", &["model", "policy", "sanitize", "store", "observe", "ledger"]),
    ("amend", &["model", "policy", "sanitize", "store", "observe", "ledger", "drain"]),
    ("backup", &["model", "sanitize", "store", "observe", "ledger", "drain"]),
    (
        "grpc",
        &[
            "model", "policy", "sanitize", "store", "observe", "ledger", "ingest", "drain", "amend",
            "backup", "identity",
        ],
    ),
    (
        "admin",
        &[
            "model", "policy", "sanitize", "store", "observe", "ledger", "ingest", "drain", "amend",
            "backup", "grpc",
        ],
    ),
    (
        "config",
        &[
            "model", "policy", "sanitize", "store", "observe", "ledger", "ingest", "drain", "amend",
            "backup", "grpc", "admin", "identity",
        ],
    ),
    (
        "daemon",
        &[
            "model", "policy", "sanitize", "store", "observe", "ledger", "ingest", "drain", "amend",
            "backup", "grpc", "admin", "identity", "config",
        ],
    ),
    (
        "cli",
        &[
            "model", "policy", "sanitize", "store", "observe", "ledger", "ingest", "drain", "amend",
            "backup", "grpc", "admin", "identity", "config", "daemon",
        ],
    ),
];

/// Packages that only these rooms may name.
const OWNERS: &[(&str, &[&str])] = &[
    ("rocksdb", &["store"]),
    ("tonic", &["grpc"]),
    ("prost", &["grpc"]),
    ("hyper", &["grpc"]),
    ("axum", &["admin"]),
    ("metrics_exporter_prometheus", &["admin"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("comfy_table", &["cli"]),
    ("notify", &["daemon"]),
    ("sd_notify", &["daemon"]),
    ("tracing_subscriber", &["daemon"]),
    ("opentelemetry_sdk", &["daemon"]),
    ("opentelemetry_otlp", &["daemon"]),
    ("tracing_opentelemetry", &["daemon"]),
    ("aes_gcm", &["sanitize"]),
    ("hkdf", &["sanitize"]),
    ("sha2", &["sanitize", "policy", "store", "ledger", "identity"]),
    ("x509_parser", &["identity"]),
    ("jsonwebtoken", &["identity"]),
    ("rustls", &["grpc"]),
    ("tokio_rustls", &["grpc"]),
    ("hyper_rustls", &["grpc"]),
    ("ed25519_dalek", &["ledger"]),
    ("idna", &["sanitize"]),
    ("flate2", &["grpc"]),
    ("zstd", &["grpc"]),
];

/// What pure rooms do not name: I/O, clocks, threads of control, randomness.
const IMPURE: &[&str] = &[
    "std::fs",
    "net::Tcp",
    "net::Udp",
    "std::env",
    "std::process",
    "std::thread",
    "tokio",
    "SystemTime",
    "Instant",
    "rand::",
];
const PURE: &[&str] = &["model", "policy", "sanitize", "identity"];

/// Lines that a file may have. Most have far fewer.
const LINES: usize = 400;

fn sources(dir: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
    let mut found = Vec::new();
    let mut todo = vec![root];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no sources in {dir}");
    found
}

/// A file without the unit tests at its end. That it declares a file of tests further up does not end it.
pub fn without_tests(text: &str) -> &str {
    let mut at = 0;
    while let Some(found) = text[at..].find("#[cfg(test)]\n") {
        at += found;
        let declared = text[at..].lines().find(|line| !line.starts_with('#')).unwrap_or_default();
        if declared.starts_with("mod ") && declared.ends_with('{') {
            return &text[..at];
        }
        at += 1;
    }
    text
}

/// The code of a file: no comments, no unit tests at its end.
fn code(text: &str) -> String {
    without_tests(text)
        .lines()
        .map(|line| line.split("//").next().unwrap_or(""))
        .collect::<Vec<_>>()
        .join("\n")
}

fn room_of(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let mut parts = inside.components();
    let first = parts.next().unwrap().as_os_str().to_str().unwrap().to_owned();
    parts.next().map(|_| first)
}

fn is_test_file(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "tests" || stem.to_string_lossy().ends_with("_tests"))
}

#[test]
fn a_room_names_only_the_rooms_that_its_doors_lead_to() {
    let doors: BTreeMap<_, _> = DOORS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let Some(room) = room_of(&path) else { continue };
        let allowed = doors.get(room.as_str()).unwrap_or_else(|| panic!("no door for the room {room}"));
        let code = code(&text);
        for (other, _) in DOORS {
            let names =
                code.contains(&format!("crate::{other}::")) || code.contains(&format!("crate::{{{other}"));
            if names && *other != room && !allowed.contains(other) && !is_test_file(&path) {
                wrong.push(format!("{} names {other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_package_is_known_to_its_owners_only() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let Some(room) = room_of(&path) else { continue };
        let code = code(&text);
        for (package, owners) in OWNERS {
            let named = code.contains(&format!("{package}::")) && !code.contains(&format!("::{package}::"))
                || code.contains(&format!("use {package}::"));
            if named && !owners.contains(&room.as_str()) && !is_test_file(&path) {
                wrong.push(format!("{} names {package}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn pure_rooms_do_no_input_or_output() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let Some(room) = room_of(&path) else { continue };
        if PURE.contains(&room.as_str()) && !is_test_file(&path) {
            let code = code(&text);
            wrong.extend(
                IMPURE
                    .iter()
                    .filter(|word| code.contains(**word))
                    .map(|word| format!("{} names {word}", path.display())),
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// covers: P1
#[test]
fn raw_bytes_are_exposed_only_where_they_are_sanitised() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let Some(room) = room_of(&path).filter(|_| !is_test_file(&path)) else { continue };
        // The policy looks up names and levels that a sender wrote; it keeps none of them. The
        // store writes a customer's salt, whose door has the same name.
        if !["model", "policy", "sanitize", "store"].contains(&room.as_str())
            && code(&text).contains(".expose()")
        {
            wrong.push(path.display().to_string());
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What many are told at the same moment is another time for each; a customer's account spreads its own.
#[test]
fn no_refusal_says_the_same_time_to_everybody() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let spreads_its_own = path.ends_with("src/grpc/ingest/purse.rs");
        if !is_test_file(&path) && !spreads_its_own && code(&text).contains(".retry_after(") {
            wrong.push(path.display().to_string());
        }
    }
    assert_eq!(wrong.len(), 1, "only `Fault::spread` itself says a time: {wrong:#?}");
}

#[test]
fn files_are_short_and_say_what_belongs_in_them() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let lines = text.lines().count();
        if lines > LINES {
            wrong.push(format!("{} has {lines} lines", path.display()));
        }
        if !text.starts_with("//!") {
            wrong.push(format!("{} does not begin with //!", path.display()));
        }
        for banned in ["utils", "common", "types", "errors", "helpers"] {
            if path.components().any(|part| part.as_os_str() == banned)
                || path.file_stem().is_some_and(|stem| stem == banned)
            {
                wrong.push(format!("{}: a name that says nothing", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_invariant_of_the_design_is_covered() {
    let mut covered = Vec::new();
    for (_, text) in sources("src").into_iter().chain(sources("tests")) {
        for line in text.lines() {
            if let Some((_, ids)) = line.split_once("covers: ") {
                covered.extend(ids.split([',', ' ', ';']).map(|id| id.trim().to_owned()));
            }
        }
    }
    let invariants = [
        "P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "D1", "D2", "D3", "D4", "D5", "D6", "B1", "B2", "B3",
        "S1",
    ];
    let missing: Vec<_> = invariants.iter().filter(|id| !covered.iter().any(|c| c == *id)).collect();
    assert!(missing.is_empty(), "no test covers {missing:?}");
}
