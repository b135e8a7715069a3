//! What root reads and the user of the service does not: `serve --check` says it before a restart does, with the commands
//! that let the user in, and says nothing of what the service manager hands over.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli_run::{Ended, usaged};
use crate::fault_daemon::Place;
use crate::identity_world::World;
use crate::term::write_policy;

/// The user and group of a service: nobody's on any machine, and no other test's.
const USER: u32 = 64_064;

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn give(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).unwrap();
    let inside = if path.is_dir() { std::fs::read_dir(path).unwrap().collect() } else { Vec::new() };
    inside.into_iter().for_each(|entry| give(&entry.unwrap().path(), user));
}

/// A world whose collector is that user's, with a policy of its own.
struct Service {
    world: World,
    program: tempfile::TempDir,
    policy: PathBuf,
}

impl Service {
    fn new() -> Self {
        let world = World::new();
        let program = tempfile::Builder::new().prefix("usaged-reach-").tempdir_in("/var/tmp").unwrap();
        std::fs::copy(env!("CARGO_BIN_EXE_usaged"), program.path().join("usaged")).unwrap();
        mode(program.path(), 0o755);
        let policy = world.path("policy");
        write_policy(&policy, |file| file.text.clone());
        assert_eq!(world.place().start().end(), 0);
        mode(world.dir.path(), 0o755);
        for own in ["data", "data.key", "data.ledger-key"] {
            give(&world.path(own), USER);
        }
        let key = world.path("pki/server.key");
        chown(&key, Some(0), Some(USER)).unwrap();
        mode(&key, 0o640);
        Self { world, program, policy }
    }

    /// What root is told.
    fn check(&self, more: &[&str]) -> Ended {
        let named = |name: &str| self.world.path(name).display().to_string();
        let (config, data, policy) = (named("usaged.toml"), named("data"), named("policy"));
        let args = ["serve", "--check", "--config", &config, "--data-dir", &data, "--policy-dir", &policy];
        usaged(args.iter().chain(more))
    }

    /// The collector as its user starts it.
    fn place(&self) -> Place {
        self.place_in("--clear-groups")
    }

    /// The same in more groups, as a unit gives them to it.
    fn place_in(&self, groups: &str) -> Place {
        let (user, group) = (format!("--reuid={USER}"), format!("--regid={USER}"));
        let place = self.world.place().with(&["--policy-dir", &self.policy.display().to_string()]);
        let place = place.program(&self.program.path().join("usaged"));
        place.under(&["setpriv", &user, &group, groups])
    }
}

/// The commands that a text has between backticks.
fn commands(said: &str) -> Vec<String> {
    let quoted = said.split('`').skip(1).step_by(2);
    quoted.filter(|part| part.starts_with("ch")).map(ToOwned::to_owned).collect()
}

#[test]
fn what_the_user_of_the_service_cannot_read_is_refused_to_root_with_the_commands_that_let_it_in() {
    let service = Service::new();
    let said = service.check(&[]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(service.place().start().end(), 0, "and so it is");

    for (name, closed) in [
        ("pki/server.key", 0o600),
        ("pki/server.pem", 0o600),
        ("pki/identities.toml", 0o600),
        ("pki", 0o700),
        ("policy", 0o700),
        ("policy/programs", 0o700),
        ("policy/programs/ceip.toml", 0o600),
        ("usaged.toml", 0o600),
        ("", 0o700),
    ] {
        let path = service.world.path(name);
        chown(&path, Some(0), Some(0)).unwrap();
        mode(&path, closed);
        let said = service.check(&[]);
        let told = format!("{name}: {} {} {}", said.code, said.out, said.err);
        assert!(said.code == 3 && said.err.contains("Permission denied"), "{told}");
        assert!(said.err.contains(&format!("the user with the number {USER}")), "{told}");
        let (code, of_a_start) = service.place().refused();
        assert!(code == 3 && of_a_start.contains("Permission denied"), "{name}: {code} {of_a_start}");

        let commands = commands(&said.err);
        assert!(commands.len() >= 2, "{told}");
        for command in &commands {
            let done = Command::new("sh").args(["-c", command]).status().unwrap();
            assert!(done.success(), "{command}");
        }
        let again = service.check(&[]);
        assert_eq!(again.code, 0, "{name}, after {commands:?}: {}", again.err);
    }
    assert_eq!(service.place().start().end(), 0, "after all that it was told to do");
}

/// As `SupplementaryGroups=` of a unit gives it: the key of the certificate is also others', and stays theirs.
#[test]
fn what_a_group_may_read_is_left_to_it_and_a_group_that_the_unit_gives_is_named_to_the_check() {
    const GROUP: u32 = 64_065;
    let service = Service::new();
    let (also, given) = (GROUP.to_string(), format!("--groups={GROUP}"));
    let (key, dir) = (service.world.path("pki/server.key"), service.world.path("pki"));
    for (path, right, shut) in [(&key, 0o640, "read"), (&dir, 0o710, "go through")] {
        let before = std::fs::metadata(path).unwrap();
        chown(path, Some(0), Some(GROUP)).unwrap();
        mode(path, right);
        let said = service.check(&[]);
        assert!(said.code == 3 && said.err.contains("Permission denied"), "{}: {}", said.code, said.err);
        assert_eq!(commands(&said.err), Vec::<String>::new(), "nothing is taken from the group");
        for word in [
            format!("let the user with the number {USER} {shut}"),
            format!("usermod -aG {GROUP}"),
            format!("--supplementary-group {GROUP}"),
        ] {
            assert!(said.err.contains(&word), "{word}: {}", said.err);
        }
        let said = service.check(&["--supplementary-group", &also]);
        assert_eq!(said.code, 0, "{}", said.err);
        assert_eq!(service.place_in(&given).start().end(), 0, "and so it is");
        let (code, of_a_start) = service.place().refused();
        let word = format!("SupplementaryGroups={GROUP}");
        assert!(code == 3 && of_a_start.contains(&word), "{code}: {of_a_start}");
        chown(path, Some(before.uid()), Some(before.gid())).unwrap();
        mode(path, before.mode() & 0o777);
    }
    let said = service.check(&["--supplementary-group", "no such group"]);
    assert!(said.code == 2 && said.err.contains("there is no group"), "{}: {}", said.code, said.err);
}

#[test]
fn a_key_that_only_root_reads_is_good_where_it_is_handed_over_and_said() {
    let service = Service::new();
    let key = service.world.path("data.key");
    give(&key, 0);
    let said = service.check(&[]);
    assert_eq!(said.code, 0, "{}", said.err);
    let told = said.out.lines().nth(1).unwrap_or_default();
    assert!(told.starts_with(&key.display().to_string()) && told.contains("LoadCredential"), "{}", said.out);
    let json = service.check(&["--json"]).json();
    assert_eq!(json["keys_to_hand_over"], serde_json::json!([key]), "{json}");

    // One of its own in a directory that it cannot go through is not handed over by anybody.
    let aside = service.world.path("aside");
    std::fs::create_dir(&aside).unwrap();
    mode(&aside, 0o700);
    std::fs::rename(&key, aside.join("key")).unwrap();
    give(&aside.join("key"), USER);
    let named = aside.join("key").display().to_string();
    let said = service.check(&["--root-key-file", &named]);
    assert!(said.code == 3 && said.err.contains(&named), "{}: {}", said.code, said.err);
    assert!(said.err.contains("Permission denied"), "{}", said.err);
}
