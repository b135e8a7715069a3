//! What only shows when keys are seen together, and what the daemon refuses to do at all.

use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};

use super::keys::Settings;
use super::table::Source;

pub(super) fn check(settings: &Settings, source: &mut Source<'_>) {
    listeners(settings, source);
    if !settings.traces.collector.ip().is_loopback() {
        let what = format!("traces would go to {} unencrypted", settings.traces.collector);
        source.report("traces.collector", what, "name an agent on this machine: 127.0.0.1 or [::1]");
    }
    super::check_identity::check(settings, source);
    if settings.grpc.max_connections_per_peer > settings.grpc.max_connections {
        let remedy =
            format!("choose at most grpc.max_connections, which is {}", settings.grpc.max_connections);
        source.report("grpc.max_connections_per_peer", "one peer may have more than all peers", remedy);
    }
    if settings.grpc.request_memory_per_connection > settings.grpc.request_memory {
        let remedy = format!("choose at most grpc.request_memory, which is {}", settings.grpc.request_memory);
        source.report(
            "grpc.request_memory_per_connection",
            "one connection may take more than there is",
            remedy,
        );
    }
    let key_file = root_key_file(settings);
    if is_inside(&key_file, &settings.root.data_dir) {
        let what = "the root key would lie inside the data directory, where every copy and backup of the data \
                    would hold the key to it";
        source.report("root_key_file", what, "name a file outside of data_dir");
    }
    let ledger_key = ledger_key_file(settings);
    if is_inside(&ledger_key, &settings.root.data_dir) {
        let what = "the key of the ledger would lie inside the data directory, where whoever can change the ledger \
                    could sign the change";
        source.report("ledger_key_file", what, "name a file outside of data_dir");
    } else if spelled(&ledger_key) == spelled(&key_file) {
        let remedy = "name another file; a key serves one use";
        source.report("ledger_key_file", "is the file of the root key", remedy);
    }
}

/// The file of the root key: as set, or beside the data directory.
pub(super) fn root_key_file(settings: &Settings) -> PathBuf {
    settings.root.root_key_file.clone().unwrap_or_else(|| beside_data(settings, ".key"))
}

/// The file of the ledger's key: as set, or beside the data directory.
pub(super) fn ledger_key_file(settings: &Settings) -> PathBuf {
    settings.root.ledger_key_file.clone().unwrap_or_else(|| beside_data(settings, ".ledger-key"))
}

/// The name of the data directory with `end` after it.
fn beside_data(settings: &Settings, end: &str) -> PathBuf {
    let plain: PathBuf = settings.root.data_dir.components().collect();
    let mut name = plain.into_os_string();
    name.push(end);
    name.into()
}

fn listeners(settings: &Settings, source: &mut Source<'_>) {
    let (grpc, admin) = (settings.grpc.listen, settings.admin.listen);
    if !admin.ip().is_loopback() {
        let what =
            format!("{admin} can be reached from other machines, and metrics and health are for operators");
        source.report("admin.listen", what, "listen on 127.0.0.1 or [::1]");
    }
    if same(grpc, admin) {
        let remedy = "choose another port for one of them";
        source.report("admin.listen", "grpc.listen has the same address and port", remedy);
    }
    if let Some(metrics) = settings.metrics.listen {
        metrics_listener(metrics, [("grpc.listen", grpc), ("admin.listen", admin)], source);
    }
}

fn metrics_listener(metrics: SocketAddr, others: [(&str, SocketAddr); 2], source: &mut Source<'_>) {
    if metrics.ip().is_unspecified() {
        let what = format!("{metrics} is every interface of this machine, also those that customers reach");
        let remedy = "name the address of the interface that Prometheus scrapes on, or leave the key out";
        source.report("metrics.listen", what, remedy);
    }
    for (name, other) in others {
        if same(metrics, other) {
            let remedy = "choose another port for one of them";
            source.report("metrics.listen", format!("{name} has the same address and port"), remedy);
        }
    }
}

fn same(a: SocketAddr, b: SocketAddr) -> bool {
    a == b && a.port() != 0
}

/// Whether `file` lies in `dir` or below, by the spelling of the paths.
fn is_inside(file: &Path, dir: &Path) -> bool {
    spelled(file).starts_with(spelled(dir))
}

/// The path from the root of the file system, without `.` and `..`. Links are not followed: the
/// directory need not exist yet.
fn spelled(path: &Path) -> PathBuf {
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut plain = PathBuf::new();
    for part in full.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(part),
        }
    }
    plain
}
