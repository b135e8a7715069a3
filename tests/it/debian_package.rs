//! The Debian package: made from the program that is here, installed by dpkg into a root directory of its own,
//! upgraded, removed and purged; what a person changed, the data and the keys stay.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::cli_run::usaged;
use crate::python_client::repository;

fn run(program: impl AsRef<Path>, args: &[&str]) -> String {
    let program = program.as_ref();
    let output = Command::new(program).args(args).env("COMPRESS", "gzip").output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{} {args:?}: {out}{err}", program.display());
    format!("{out}{err}")
}

/// The package of the program, made once for all tests.
fn package() -> String {
    static MADE: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
        let dir = tempfile::tempdir().unwrap();
        let package = build(dir.path());
        (dir, package)
    });
    MADE.1.display().to_string()
}

/// Makes the package in `dir`.
fn build(dir: &Path) -> PathBuf {
    let out = dir.display().to_string();
    let said = run(repository("deploy/debian/build.sh"), &[env!("CARGO_BIN_EXE_usaged"), &out]);
    PathBuf::from(said.trim())
}

/// A root directory with a dpkg database, and what dpkg does there. Scripts of the package run outside of it, and are
/// told where it is (DPKG_ROOT), as when an image is made.
struct Root(tempfile::TempDir);

impl Root {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for made in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "etc"] {
            std::fs::create_dir_all(dir.path().join(made)).unwrap();
        }
        std::fs::write(dir.path().join("var/lib/dpkg/status"), "").unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn dpkg(&self, args: &[&str]) -> String {
        let root = format!("--root={}", self.0.path().display());
        let forces = ["--force-script-chrootless", "--force-depends", "--no-triggers"];
        run("dpkg", &[&[root.as_str()], &forces[..], args].concat())
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn mode(&self, name: &str) -> u32 {
        std::fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o777
    }
}

#[test]
fn the_package_says_what_it_needs_and_has_every_file_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = package();
    let field = |name: &str| run("dpkg-deb", &["--field", &path, name]).trim().to_owned();
    let version = usaged(["--version"]).out;
    assert_eq!(format!("usaged {}", field("Version")), version.trim());
    let needs = field("Depends");
    for computed in ["libc6 (>= ", "libstdc++6 (>= ", "libgcc-s1 (>= "] {
        assert!(needs.contains(computed), "{needs}");
    }
    let files = run("dpkg-deb", &["--contents", &path]);
    for (mode, owner, name) in [
        ("-rwxr-xr-x", "root/root", "./usr/bin/usaged"),
        ("-rw-r--r--", "root/root", "./lib/systemd/system/usaged.service"),
        ("-rw-r--r--", "root/root", "./usr/lib/sysusers.d/usaged.conf"),
        ("-rw-r--r--", "root/root", "./usr/lib/tmpfiles.d/usaged.conf"),
        ("-rw-r--r--", "root/root", "./etc/usaged/usaged.toml"),
        ("-rw-r--r--", "root/root", "./etc/usaged/policy/programs/ceip.toml"),
        ("-rw-r--r--", "root/root", "./usr/share/man/man1/usaged.1.gz"),
        ("-rw-r--r--", "root/root", "./usr/share/bash-completion/completions/usaged"),
        ("-rw-r--r--", "root/root", "./usr/share/doc/usaged/copyright"),
        ("-rw-r--r--", "root/root", "./usr/share/doc/usaged/operations.md"),
        ("-rw-r--r--", "root/root", "./usr/share/doc/usaged/runbook.md"),
        ("-rw-r--r--", "root/root", "./usr/share/usaged/proto/usaged/ingest/v1/ingest.proto"),
    ] {
        let found = files
            .lines()
            .any(|line| line.starts_with(&format!("{mode} {owner} ")) && line.ends_with(&format!(" {name}")));
        assert!(found, "{mode} {owner} {name} is not in:\n{files}");
    }
    assert!(
        !files.contains("etc/usaged/keys") && !files.contains("./var"),
        "a package brings no key and no data:\n{files}"
    );
    let conffiles: BTreeSet<String> =
        run("dpkg-deb", &["--info", &path, "conffiles"]).lines().map(str::to_owned).collect();
    let below_etc = files
        .lines()
        .filter(|line| !line.starts_with('d'))
        .filter_map(|line| line.rsplit_once(" ."))
        .map(|(_, name)| name);
    let below_etc: BTreeSet<_> =
        below_etc.filter(|name| name.starts_with("/etc/")).map(str::to_owned).collect();
    assert_eq!(conffiles, below_etc, "what a person may change is theirs");

    // The manual has every command, and roff can read it.
    let man = dir.path().join("usaged.1");
    let told = run(
        "sh",
        &[
            "-c",
            "dpkg-deb --fsys-tarfile \"$1\" | tar -xO ./usr/share/man/man1/usaged.1.gz | gzip -d >\"$2\"",
            "sh",
            &path,
            &man.display().to_string(),
        ],
    );
    assert_eq!(told, "");
    let text = std::fs::read_to_string(man).unwrap();
    for section in ["USAGED SERVE", "USAGED PARTICIPATION SET", "USAGED KEYS BRIDGE CREATE", "USAGED HEALTH"]
    {
        assert!(text.contains(&format!(".SH \"{section}\"")), "{section}");
    }

    let again = tempfile::tempdir().unwrap();
    let again = std::fs::read(build(again.path())).unwrap();
    assert!(std::fs::read(path).unwrap() == again, "the same program gives the same package, bit for bit");
}

#[test]
fn an_installation_is_upgraded_removed_and_purged_and_data_keys_and_changes_stay() {
    let package = package();
    let root = Root::new();
    let said = root.dpkg(&["--install", &package]);
    assert!(said.contains("made /etc/usaged/keys/root /etc/usaged/keys/ledger: back them up"), "{said}");
    let keys: Vec<String> =
        ["root", "ledger"].map(|key| root.read(&format!("etc/usaged/keys/{key}"))).to_vec();
    for key in &keys {
        assert!(key.trim().len() == 64 && key.trim().bytes().all(|digit| digit.is_ascii_hexdigit()), "a key");
    }
    assert_ne!(keys[0], keys[1]);
    assert_eq!(
        (
            root.mode("etc/usaged/keys"),
            root.mode("etc/usaged/keys/root"),
            root.mode("etc/usaged/keys/ledger")
        ),
        (0o700, 0o600, 0o600)
    );
    assert_eq!(root.mode("var/lib/usaged"), 0o700);
    assert!(root.read("etc/passwd").contains("usaged:"), "its user is there");

    // The installed program takes the installed configuration and policy.
    let program = root.path("usr/bin/usaged");
    assert!(run(&program, &["--version"]).starts_with("usaged "));
    let (config, policy) = (root.path("etc/usaged/usaged.toml"), root.path("etc/usaged/policy"));
    let (config, policy) = (config.display().to_string(), policy.display().to_string());
    let checked = run(&program, &["serve", "--check", "--config", &config, "--policy-dir", &policy]);
    assert!(checked.contains("are good") && checked.contains("/var/lib/usaged/data"), "{checked}");
    assert!(root.read("etc/usaged/usaged.toml").contains("root_key_file = \"/etc/usaged/keys/root\""));

    // What a person has changed, and what the collector has stored.
    let changed = root.read("etc/usaged/usaged.toml").replace("level = \"info\"", "level = \"warn\"");
    std::fs::write(root.path("etc/usaged/usaged.toml"), &changed).unwrap();
    std::fs::create_dir_all(root.path("var/lib/usaged/data/ledger")).unwrap();
    std::fs::write(root.path("var/lib/usaged/data/CURRENT"), "MANIFEST-000005\n").unwrap();
    // Data belongs to the user of the collector, and the check that decides on a restart is root's.
    let passwd = root.read("etc/passwd");
    let user = passwd.lines().find(|line| line.starts_with("usaged:")).unwrap().split(':').nth(2).unwrap();
    let data = root.path("var/lib/usaged/data");
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o700)).unwrap();
    for owned in [root.path("var/lib/usaged"), data.clone()] {
        std::os::unix::fs::chown(owned, Some(user.parse().unwrap()), Some(user.parse().unwrap())).unwrap();
    }
    // The root of a machine is open to everybody.
    let (etc, tmp) = (root.path("etc"), std::env::temp_dir());
    for above in etc.ancestors().skip(1).take_while(|above| *above != tmp && above.starts_with(&tmp)) {
        std::fs::set_permissions(above, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let (data, key) = (data.display().to_string(), root.path("etc/usaged/keys/root").display().to_string());
    let ledger_key = format!("ledger_key_file={}", root.path("etc/usaged/keys/ledger").display());
    let check = ["serve", "--check", "--config", &config, "--policy-dir", &policy];
    let places = ["--data-dir", &data, "--root-key-file", &key, "--set", &ledger_key];
    let checked = run(&program, &[&check[..], &places].concat());
    assert!(checked.contains("are good"), "{checked}");
    let (_, whom) = checked.split_once(", for a collector of the user ").unwrap();
    assert!(whom.contains(&format!("number {user}")), "{checked}");
    let script = std::fs::read_to_string(repository("deploy/debian/postinst")).unwrap();
    assert!(
        script.contains("usaged serve --check --config /etc/usaged/usaged.toml"),
        "it is the one of the script"
    );
    let said = root.dpkg(&["--install", &package]);
    assert!(!said.contains("back them up"), "{said}");
    assert_eq!(root.read("etc/usaged/usaged.toml"), changed, "an upgrade keeps it");
    assert_eq!(["root", "ledger"].map(|key| root.read(&format!("etc/usaged/keys/{key}"))).to_vec(), keys);

    root.dpkg(&["--remove", "usaged"]);
    assert!(!program.exists() && !root.path("lib/systemd/system/usaged.service").exists());
    assert_eq!(root.read("etc/usaged/usaged.toml"), changed, "removing is not purging");

    let said = root.dpkg(&["--purge", "usaged"]);
    assert!(!root.path("etc/usaged/usaged.toml").exists() && !root.path("etc/usaged/policy").exists());
    assert_eq!(root.read("var/lib/usaged/data/CURRENT"), "MANIFEST-000005\n");
    assert_eq!(root.read("etc/usaged/keys/root"), keys[0]);
    assert!(
        said.contains("are left in /var/lib/usaged /etc/usaged/keys")
            && said.contains("to erase them for ever"),
        "{said}"
    );

    // Beside data without its key no new key is made: it could not read what is stored.
    std::fs::remove_file(root.path("etc/usaged/keys/root")).unwrap();
    let said = root.dpkg(&["--install", &package]);
    assert!(said.contains("put it back from your backup"), "{said}");
    assert!(!root.path("etc/usaged/keys/root").exists());
}

#[test]
fn an_installation_that_was_never_used_is_purged_without_a_trace_but_its_user() {
    let package = package();
    let root = Root::new();
    root.dpkg(&["--install", &package]);
    // Whoever is sure says so by name.
    std::fs::remove_dir_all(root.path("etc/usaged/keys")).unwrap();
    let said = root.dpkg(&["--purge", "usaged"]);
    assert!(!said.contains("are left"), "{said}");
    assert!(!root.path("etc/usaged").exists() && !root.path("var/lib/usaged").exists());
}
