//! The container: what its file says, and its final stage run for real: the same file system, put together by the
//! same script, as a root directory of its own that is read-only, with another user and no privileges.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli_run::usaged_with;
use crate::fault_daemon::{Place, until};
use crate::python_client::repository;

const USER: u32 = 65_532;

/// The instructions of the file, with their continued lines.
fn instructions() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(repository("deploy/container/Containerfile")).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let whole = lines.join("\n").replace("\\\n", " ");
    let pairs = whole.lines().filter_map(|line| line.split_once(' '));
    pairs.map(|(word, rest)| (word.to_owned(), rest.trim().to_owned())).collect()
}

#[test]
fn the_file_starts_from_a_pinned_base_and_ends_as_nobody_with_nothing_but_the_program() {
    let all = instructions();
    let last_from = all.iter().rposition(|(word, _)| word == "FROM").unwrap();
    let (build, last) = all.split_at(last_from);
    let of = |part: &[(String, String)], word: &str| -> Vec<String> {
        part.iter().filter(|(name, _)| name == word).map(|(_, rest)| rest.clone()).collect()
    };
    assert_eq!(of(last, "FROM"), ["scratch"]);
    assert_eq!(of(build, "FROM"), ["${BUILD} AS build"]);
    let base = of(build, "ARG");
    let cargo = std::fs::read_to_string(repository("Cargo.toml")).unwrap();
    let rust = cargo
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .unwrap()
        .trim_matches('"')
        .to_owned();
    assert_eq!(base.len(), 1);
    assert!(
        base[0].starts_with(&format!("BUILD=docker.io/library/rust:{rust}.")),
        "{base:?} is not Rust {rust}, pinned"
    );
    assert!(all.iter().all(|(word, _)| word != "ADD"), "nothing is fetched by address");
    assert!(of(last, "RUN").is_empty(), "the last stage has nothing to run");
    assert_eq!(of(last, "USER"), [format!("{USER}:{USER}")]);
    assert_eq!(of(last, "STOPSIGNAL"), ["SIGTERM"]);
    assert_eq!(of(last, "ENTRYPOINT"), ["[\"/usr/bin/usaged\"]"]);
    assert!(of(last, "HEALTHCHECK")[0].ends_with("CMD [\"/usr/bin/usaged\", \"health\"]"));
    assert_eq!(of(last, "COPY"), ["--from=build /rootfs/ /"]);
    // What is copied is there, and all that Cargo needs is copied.
    let mut copied = BTreeSet::new();
    for copy in of(build, "COPY") {
        let mut words: Vec<_> = copy.split_whitespace().collect();
        words.pop();
        for word in words {
            assert!(repository(word).exists(), "{word}");
            copied.insert(word.to_owned());
        }
    }
    for needed in ["Cargo.toml", "Cargo.lock", "build.rs", "proto", "src", "tests", "deploy"] {
        assert!(copied.contains(needed), "{needed}");
    }
}

/// The root directory that `COPY` brings into the last stage.
fn rootfs(root: &Path) {
    let made = Command::new(repository("deploy/container/rootfs.sh"))
        .arg(env!("CARGO_BIN_EXE_usaged"))
        .arg(root)
        .output();
    let made = made.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

const ENTER: &str = r#"
set -e
root=$1 state=$2; shift 2
mount --make-rprivate /
mount --bind "$root" "$root"
mount --bind "$state" "$root/var/lib/usaged"
mount -o remount,bind,ro "$root"
exec setpriv --no-new-privs --bounding-set=-all,+setuid,+setgid,+sys_chroot chroot --userspec=65532:65532 --groups= "$root" "$@"
"#;

#[test]
fn the_last_stage_runs_as_nobody_on_a_read_only_root_and_probes_itself() {
    let dir = tempfile::tempdir().unwrap();
    let [root, state] = ["root", "state"].map(|name| dir.path().join(name));
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    std::fs::create_dir(&state).unwrap();
    chown(&state, Some(USER), Some(USER)).unwrap();
    rootfs(&root);

    // Nothing can be run in it but the program and the libraries that it is linked with.
    let executables: Vec<_> = files(&root)
        .into_iter()
        .filter(|path| path.metadata().unwrap().permissions().mode() & 0o111 != 0)
        .map(|path| path.strip_prefix(&root).unwrap().display().to_string())
        .collect();
    let others: Vec<_> = executables.iter().filter(|path| !path.contains(".so")).collect();
    assert_eq!(others, ["usr/bin/usaged"], "{executables:?}");
    assert!(executables.len() < 12, "{executables:?}");

    // Keys as Kubernetes mounts them: root's, readable by the pod's group.
    let keys = root.join("etc/usaged/keys");
    std::fs::create_dir(&keys).unwrap();
    for (name, digits) in [("root", "0ab1"), ("ledger", "0ab2")] {
        std::fs::write(keys.join(name), digits.repeat(16)).unwrap();
        chown(keys.join(name), Some(0), Some(USER)).unwrap();
        std::fs::set_permissions(keys.join(name), Permissions::from_mode(0o440)).unwrap();
    }
    let (root, state) = (root.display().to_string(), state.display().to_string());
    let enter = ["unshare", "--mount", "sh", "-c", ENTER, "sh", &root, &state];
    let mut place = Place::new(dir.path())
        .program(Path::new("/usr/bin/usaged"))
        .with(&["--config", "/etc/usaged/usaged.toml"])
        .under(&enter);
    place.data = "/var/lib/usaged/data".into();
    let daemon = place.start();

    let inside = |args: &[&str]| {
        let ended =
            Command::new(enter[0]).args(&enter[1..]).arg("/usr/bin/usaged").args(args).output().unwrap();
        (ended.status.code().unwrap(), String::from_utf8_lossy(&ended.stdout).into_owned())
    };
    assert_eq!(inside(&["health", "--admin", &daemon.admin]), (0, "ready\n".to_owned()));
    let args = [
        "participation",
        "set",
        "acme",
        "--level",
        "ceip=standard",
        "--reason",
        "test",
        "--server",
        &daemon.grpc,
    ];
    assert_eq!(usaged_with(args, "").code, 0);
    let event = "{\"name\":\"vm.inventory\",\"fields\":{\"host\":\"esx-1.example.com\",\"vcpus\":8}}";
    let sent =
        usaged_with(["send", "--customer", "acme", "--product", "vcenter", "--server", &daemon.grpc], event);
    assert_eq!(sent.code, 0, "{}", sent.err);
    until("a count", || daemon.page("/metrics").contains("usaged_events_stored_total 1"));
    let admin = daemon.admin.clone();
    assert_eq!(daemon.end(), 0, "{}", place.said());
    assert_eq!(inside(&["health", "--admin", &admin]).0, 4);
    assert!(Path::new(&state).join("data/FORMAT").exists());
    assert_eq!(inside(&["serve", "--check", "--config", "/etc/usaged/usaged.toml"]).0, 0);
}
