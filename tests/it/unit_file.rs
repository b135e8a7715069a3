//! The systemd unit: what it forbids is checked by systemd's own tools, and that the program needs nothing of it by
//! watching the program do its whole job as the unit would run it: another user, a file system that is read-only but
//! for its directory, keys that root hands over, no capabilities, no new privileges.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::process::{Pid, Signal, kill_process};
use usaged::config::{Settings, Span};

use crate::cli_run::usaged_with;
use crate::fault_daemon::{Place, until};
use crate::python_client::repository;

/// The user and group of the test's daemon: nobody's on any machine.
const USER: u32 = 64_055;

fn run(program: &str, args: &[&str]) -> Output {
    let remedy = "deploy/setup.sh installs it";
    Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}; {remedy}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The settings of the unit, each with its values in order.
fn unit() -> BTreeMap<String, Vec<String>> {
    let file = std::fs::read_to_string(repository("deploy/systemd/usaged.service")).unwrap();
    let mut settings: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in file.lines().filter(|line| !line.starts_with('#')) {
        if let Some((key, value)) = line.split_once('=') {
            settings.entry(key.to_owned()).or_default().push(value.to_owned());
        }
    }
    settings
}

fn one(key: &str) -> String {
    let unit = unit();
    let values = unit.get(key).unwrap_or_else(|| panic!("the unit has no {key}"));
    assert_eq!(values.len(), 1, "{key}: {values:?}");
    values[0].clone()
}

/// A copy of the unit whose programs exist here, under the same name.
fn verifiable(dir: &Path) -> PathBuf {
    let text = std::fs::read_to_string(repository("deploy/systemd/usaged.service")).unwrap();
    let unit = dir.join("usaged.service");
    let text =
        text.replace("ExecStart=/usr/bin/usaged", &format!("ExecStart={}", env!("CARGO_BIN_EXE_usaged")));
    // There is no manual page of a program that is not installed.
    std::fs::write(&unit, text.replace("man:usaged(1) ", "")).unwrap();
    unit
}

#[test]
fn systemd_accepts_the_unit_and_rates_it_as_well_confined() {
    let dir = tempfile::tempdir().unwrap();
    let unit = verifiable(dir.path()).display().to_string();
    let verified = run("systemd-analyze", &["verify", "--man=no", &unit]);
    let said = text(&verified.stderr);
    let ours: Vec<_> = said.lines().filter(|line| line.contains("usaged.service")).collect();
    assert!(verified.status.success() && ours.is_empty(), "{said}");

    // 1.0 of 10: what is left is the network, which is its job. A unit without confinement has 9.6.
    let rated =
        run("systemd-analyze", &["security", "--offline=true", "--threshold=12", "--no-pager", &unit]);
    assert!(rated.status.success(), "{}{}", text(&rated.stdout), text(&rated.stderr));
    assert!(
        text(&rated.stdout).contains("Overall exposure level for usaged.service: 1."),
        "{}",
        text(&rated.stdout)
    );
    let strict =
        run("systemd-analyze", &["security", "--offline=true", "--threshold=1", "--no-pager", &unit]);
    assert!(!strict.status.success(), "the threshold is one that can fail");
}

#[test]
fn the_unit_fits_the_program_that_it_starts() {
    let grace = Settings::default().shutdown.grace;
    let stop: Span = one("TimeoutStopSec").parse().unwrap();
    assert!(stop.0 >= grace.0 * 2, "{stop} to end, {grace} of which finish what was accepted");
    let watchdog: Span = one("WatchdogSec").parse().unwrap();
    assert!(watchdog.0.as_secs() >= 10);
    assert_eq!(one("Type"), "notify");
    assert_eq!(one("Restart"), "on-failure");
    // The codes after which a start would only be refused again, as `usaged --help` explains them.
    assert_eq!(one("RestartPreventExitStatus"), "2 3 6");
    let help = usaged_with(["--help"], "").out;
    for (code, word) in
        [("2", "command line is wrong"), ("3", "was refused"), ("6", "store or the ledger was refused")]
    {
        assert!(
            help.lines().any(|line| line.starts_with(&format!("  {code}  ")) && line.contains(word)),
            "{help}"
        );
    }
    // As many threads as there can be, on a machine of any size.
    let most = usaged::daemon::most_threads();
    assert_eq!(one("TasksMax"), most.to_string());
    assert_eq!(one("LimitCORE"), "0");
    assert_eq!(one("MemorySwapMax"), "0");
    assert_eq!((one("CapabilityBoundingSet").as_str(), one("AmbientCapabilities").as_str()), ("", ""));
    // Its command line is one that the program takes, and the keys are not where the data is.
    let start = one("ExecStart");
    let mut words = start.split_whitespace();
    assert_eq!(words.next(), Some("/usr/bin/usaged"));
    let data = one("StateDirectory");
    assert!(
        start.contains("--root-key-file %d/keys_root") && start.contains("ledger_key_file=%d/keys_ledger")
    );
    assert!(!one("LoadCredential").contains(&data) || one("LoadCredential").starts_with("keys:/etc/"));
}

#[test]
fn the_user_and_the_directories_are_made_as_they_are_described() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for (from, to) in [("sysusers", "usr/lib/sysusers.d"), ("tmpfiles", "usr/lib/tmpfiles.d")] {
        std::fs::create_dir_all(root.join(to)).unwrap();
        let file = repository("deploy/systemd").join(format!("usaged.{from}"));
        std::fs::copy(file, root.join(to).join("usaged.conf")).unwrap();
    }
    std::fs::create_dir_all(root.join("etc")).unwrap();
    let at = format!("--root={}", root.display());
    let users = run("systemd-sysusers", &[&at, "usaged.conf"]);
    assert!(users.status.success(), "{}", text(&users.stderr));
    let passwd = std::fs::read_to_string(root.join("etc/passwd")).unwrap();
    let line = passwd.lines().find(|line| line.starts_with("usaged:")).unwrap();
    assert!(line.ends_with(":/var/lib/usaged:/usr/sbin/nologin"), "{line}");
    let files = run("systemd-tmpfiles", &[&at, "--create", "usaged.conf"]);
    assert!(files.status.success(), "{}", text(&files.stderr));
    for place in ["var/lib/usaged", "etc/usaged/keys", "var/backups/usaged"] {
        let mode = std::fs::metadata(root.join(place)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700, "{place} is for its owner only");
    }
}

/// The system calls that the unit's filter lets through.
fn allowed_calls() -> BTreeSet<String> {
    let filter = unit().remove("SystemCallFilter").unwrap();
    let mut allowed = BTreeSet::new();
    for line in filter {
        let (takes_away, sets) = line.strip_prefix('~').map_or((false, line.as_str()), |sets| (true, sets));
        for set in sets.split_whitespace() {
            let calls = calls_of(set);
            assert!(calls.len() > 5, "{set}: {calls:?}");
            if takes_away { allowed.retain(|call| !calls.contains(call)) } else { allowed.extend(calls) }
        }
    }
    allowed
}

/// The calls of a set, and of the sets in it.
fn calls_of(set: &str) -> BTreeSet<String> {
    let listed = run("systemd-analyze", &["syscall-filter", set]);
    assert!(listed.status.success(), "{}", text(&listed.stderr));
    let mut calls = BTreeSet::new();
    for word in text(&listed.stdout).lines().skip(1).map(str::trim).filter(|word| !word.starts_with('#')) {
        if word.starts_with('@') {
            calls.extend(calls_of(word))
        } else if !word.is_empty() {
            calls.insert(word.to_owned());
        }
    }
    calls
}

/// Makes the world of the unit around a command: a mount namespace that is read-only but for `$1`, then another user
/// without any privilege. What it runs is traced into `$2`.
const CONFINE: &str = r#"
set -e
data=$1 trace=$2 user=$3 home=$4; shift 4
mount --make-rprivate /
mount --bind "$home" "$home"
mount --bind "$data" "$data"
mount -o remount,bind,ro "$home"
mount -o remount,bind,ro /
exec strace -f -qq -o "$trace" -s 0 \
  setpriv --reuid="$user" --regid="$user" --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"#;

struct Confined {
    dir: tempfile::TempDir,
    place: Place,
    trace: PathBuf,
}

/// A place whose daemon runs as the unit runs it, with keys that root hands over as systemd does.
fn confined() -> Confined {
    let dir = tempfile::Builder::new().prefix("usaged-unit-").tempdir_in("/var/tmp").unwrap();
    let home = dir.path().to_owned();
    let [state, keys, bin] = ["state", "credentials", "bin"].map(|name| home.join(name));
    for (made, owner, mode) in [(&state, USER, 0o700), (&keys, 0, 0o550), (&bin, 0, 0o755)] {
        std::fs::create_dir(made).unwrap();
        chown(made, Some(owner), Some(USER)).unwrap();
        std::fs::set_permissions(made, Permissions::from_mode(mode)).unwrap();
    }
    std::fs::set_permissions(&home, Permissions::from_mode(0o755)).unwrap();
    // An access list for the unit's user shows as the right of the group, and the owner stays root.
    for (name, digits) in [("keys_root", "0ab1"), ("keys_ledger", "0ab2")] {
        let file = keys.join(name);
        std::fs::write(&file, digits.repeat(16)).unwrap();
        chown(&file, Some(0), Some(USER)).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o440)).unwrap();
    }
    let program = bin.join("usaged");
    std::fs::copy(env!("CARGO_BIN_EXE_usaged"), &program).unwrap();
    let trace = state.join("trace");
    let text = |path: &Path| path.display().to_string();
    let user = USER.to_string();
    let (root_key, ledger_key) =
        (text(&keys.join("keys_root")), format!("ledger_key_file={}", text(&keys.join("keys_ledger"))));
    let place = Place::new(&state)
        .program(&program)
        .with(&["--root-key-file", &root_key, "--set", &ledger_key, "--set", "metrics.listen=127.0.0.1:0"])
        .under(&[
            "unshare",
            "--mount",
            "sh",
            "-c",
            CONFINE,
            "sh",
            &text(&state),
            &text(&trace),
            &user,
            &text(&home),
        ]);
    Confined { dir, place, trace }
}

/// What a client does against a collector: the whole life of a batch, by the program itself.
fn whole_job(server: &str) {
    let client = |args: &[&str], input: &str| {
        let ended = usaged_with(args.iter().chain(&["--server", server]), input);
        assert_eq!(ended.code, 0, "{args:?}: {}", ended.err);
        ended.out
    };
    client(&["participation", "set", "acme", "--level", "ceip=enhanced", "--reason", "test"], "");
    client(&["subscription", "create", "jobs", "--purpose", "improve", "--recipient", "tests"], "");
    let event = "{\"name\":\"vm.inventory\",\"fields\":{\"host\":\"esx-1.example.com\",\"ip\":\"10.1.2.3\",\"vcpus\":8}}\n";
    client(&["send", "--customer", "acme", "--product", "vcenter"], &event.repeat(200));
    client(&["participation", "set", "acme", "--level", "ceip=standard", "--reason", "test"], "");
    client(&["participation", "binding", "acme", "--wait"], "");
    assert_eq!(
        client(&["drain", "jobs"], "").lines().filter(|line| line.contains("vm.inventory")).count(),
        200
    );
    client(&["erase", "--customer", "acme", "--everything", "--reference", "test"], "");
    client(&["keys", "status"], "");
    client(&["ledger", "tail"], "");
}

#[test]
fn the_program_does_its_whole_job_inside_what_the_unit_allows() {
    let Confined { dir, place, trace } = confined();
    let daemon = place.start();
    whole_job(&daemon.grpc);
    assert!(daemon.page("/metrics").contains("usaged_events_stored_total 200"));
    // strace has started it: its process is the first in the trace.
    let traced = std::fs::read_to_string(&trace).unwrap();
    let pid: i32 = traced.split_whitespace().next().unwrap().parse().unwrap();
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let names = threads.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
    let (ours, others): (Vec<_>, Vec<_>) = names.partition(|name| name.trim() == "tokio-rt-worker");
    // What it is made sure of at the start that there is room for.
    assert!(!ours.is_empty() && others.len() <= 32, "{others:?}");
    let signal = |signal| kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    signal(Signal::HUP);
    until("a reload", || place.said().contains("policy unchanged"));
    signal(Signal::TERM);
    assert_eq!(daemon.ended(), 0, "{}", place.said());

    let (mut calls, mut families, mut outside) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    let traced = std::fs::read_to_string(&trace).unwrap();
    let begun =
        traced.lines().position(|line| line.contains("execve(") && line.contains("bin/usaged")).unwrap();
    for line in traced.lines().skip(begun + 1) {
        let call = line.split_once(' ').map_or("", |(_, rest)| rest.trim_start());
        let Some((name, args)) = call.split_once('(') else { continue };
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        calls.insert(name.to_owned());
        if name == "socket" {
            families.insert(args.split(',').next().unwrap().to_owned());
        }
        let is_w_and_x = args.contains("PROT_WRITE") && args.contains("PROT_EXEC");
        if is_w_and_x || (name == "mprotect" && args.contains("PROT_EXEC")) {
            outside.push(format!("memory that is written and executed: {line}"));
        }
        if matches!(name, "execve" | "execveat" | "ptrace" | "mount" | "setuid" | "setns" | "unshare") {
            outside.push(line.to_owned());
        }
    }
    assert!(calls.len() > 40 && calls.contains("fdatasync"), "the trace is of a whole job: {calls:?}");
    assert_eq!(outside, Vec::<String>::new());
    let allowed = allowed_calls();
    let refused: Vec<_> = calls.difference(&allowed).collect();
    assert!(refused.is_empty(), "the unit's filter does not let through {refused:?}");
    let families: Vec<_> = families.iter().map(String::as_str).collect();
    let may = one("RestrictAddressFamilies");
    assert!(
        !families.is_empty() && families.iter().all(|one| may.split(' ').any(|may| may == *one)),
        "{families:?}"
    );
    drop(dir);
}
