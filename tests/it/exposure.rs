//! Who else could change what the collector decides by, or read what it keeps: that is refused by name with the command
//! that repairs it, at the start and while it runs. Root checks for the user whose data it is.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::cli_run::{Ended, usaged};
use crate::fault_daemon::{Disk, Place, until};
use crate::identity_world::World;
use crate::term::write_policy;

/// The user and group of a service: nobody's on any machine.
const USER: u32 = 64_061;

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Everything in a directory, and the directory.
fn all(dir: &Path) -> Vec<PathBuf> {
    let inside = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let inside = inside.flat_map(|path| if path.is_dir() { all(&path) } else { vec![path] });
    std::iter::once(dir.to_owned()).chain(inside).collect()
}

fn check(world: &World, more: &[&str]) -> Ended {
    let (file, data) = (world.path("usaged.toml"), world.path("data"));
    let args = ["serve", "--check", "--config", file.to_str().unwrap(), "--data-dir", data.to_str().unwrap()];
    usaged(args.iter().chain(more))
}

#[test]
fn root_checks_for_the_user_whose_data_it_is_and_says_so() {
    let world = World::new();
    mode(world.dir.path(), 0o755);
    let key = world.path("pki/server.key");
    // As the documents have it: the key is root's, and the group of the service may read it.
    chown(&key, Some(0), Some(USER)).unwrap();
    mode(&key, 0o640);
    let said = check(&world, &[]);
    assert!(said.code == 3 && said.err.contains("mode 640"), "root would not start it so: {}", said.err);

    // Before the first start the directory for the data is all that there is of that user.
    chown(world.dir.path(), Some(USER), Some(USER)).unwrap();
    let said = check(&world, &[]);
    assert_eq!(said.code, 0, "{}", said.err);
    chown(world.dir.path(), Some(0), Some(0)).unwrap();

    mode(&key, 0o600);
    assert_eq!(world.place().start().end(), 0);
    mode(&key, 0o640);
    for path in all(&world.path("data")) {
        chown(path, Some(USER), Some(USER)).unwrap();
    }
    let said = check(&world, &[]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(
        said.out.contains(&format!("for a collector of the user with the number {USER}")),
        "{}",
        said.out
    );
    assert_eq!(check(&world, &["--json"]).json()["user"], USER);

    // What would be refused to that user is refused to root, in its name.
    let policy = world.path("policy");
    write_policy(&policy, |file| file.text.clone());
    let with_policy = ["--policy-dir", policy.to_str().unwrap()];
    assert_eq!(check(&world, &with_policy).code, 0);
    let (root_key, ledger_key) = (world.path("data.key"), world.path("data.ledger-key"));
    type Fault<'f> = (&'f Path, u32, u32, u32, &'f str);
    let faults: [Fault<'_>; 7] = [
        (&key, 0, USER, 0o644, "can be read by others (mode 644)"),
        (&key, 0, USER, 0o660, "can be read by others (mode 660)"),
        (&key, USER + 1, USER, 0o600, "belongs to the user with the number"),
        (&root_key, USER + 1, USER, 0o600, "belongs to the user with the number"),
        (&ledger_key, USER + 1, USER, 0o600, "belongs to the user with the number"),
        (&policy, USER + 1, USER, 0o755, "belongs to the user with the number"),
        (&world.path("data"), USER, USER, 0o755, "is open to others (mode 755)"),
    ];
    for (path, user, group, wrong, word) in faults {
        let before = std::fs::metadata(path).unwrap();
        chown(path, Some(user), Some(group)).unwrap();
        mode(path, wrong);
        let said = check(&world, &with_policy);
        let place = path.display();
        assert!(said.code == 3 && said.err.contains(word), "{place}: {} {}", said.code, said.err);
        let whom = format!("checked for a collector of the user with the number {USER}");
        assert!(said.err.contains(&whom), "{place}: {}", said.err);
        let (user, group) = {
            use std::os::unix::fs::MetadataExt as _;
            (before.uid(), before.gid())
        };
        chown(path, Some(user), Some(group)).unwrap();
        mode(path, before.permissions().mode() & 0o777);
    }
    assert_eq!(check(&world, &with_policy).code, 0);

    // A start by root is another thing: the data is not its own.
    mode(&key, 0o600);
    let (code, said) = world.place().refused();
    assert!(code == 3 && said.contains(&format!("belongs to the user with the number {USER}")), "{said}");
}

#[test]
fn nobody_else_gets_a_right_in_the_data_whatever_the_umask_and_what_is_open_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(dir.path()).under(&["sh", "-c", "umask 000; exec \"$@\"", "sh"]);
    let daemon = place.start();
    let set = ["participation", "set", "acme", "--level", "ceip=standard", "--reason", "t", "--server"];
    assert_eq!(usaged(set.iter().chain(&[daemon.grpc.as_str()])).code, 0);
    assert_eq!(daemon.end(), 0);
    assert_eq!(place.start().end(), 0, "with another log");
    let made = all(&place.data);
    assert!(made.len() > 10, "{made:?}");
    for path in made.iter().chain(&[dir.path().join("data.key"), dir.path().join("data.ledger-key")]) {
        let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
    }

    for (group, wrong, remedy, right) in [
        (0, 0o755, "chmod o-rwx", 0o750),
        (0, 0o701, "chmod o-rwx", 0o700),
        (USER, 0o750, "chmod go-rwx", 0o700),
        (USER, 0o710, "chmod go-rwx", 0o700),
    ] {
        chown(&place.data, Some(0), Some(group)).unwrap();
        mode(&place.data, wrong);
        let (code, said) = place.refused();
        let words = [remedy, &format!("mode {wrong:03o}"), place.data.to_str().unwrap()];
        assert!(code == 3 && words.iter().all(|word| said.contains(word)), "{code}: {said}");
        mode(&place.data, right);
        assert_eq!(place.start().end(), 0, "{group} {right:o}");
    }
}

// covers: P5
#[test]
fn a_policy_that_others_can_change_is_refused_at_the_start_and_never_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("policy");
    write_policy(&policy, |file| file.text.clone());
    let named = policy.display().to_string();
    let place = Place::new(dir.path()).with(&["--policy-dir", &named]);
    let refused = |path: &Path, wrong: u32| {
        let before = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        mode(path, wrong);
        let checked = usaged(["serve", "--check", "--policy-dir", &named]);
        let (code, said) = place.refused();
        for (code, said) in [(checked.code, checked.err), (code, said)] {
            let what = format!("{}: can be changed by others (mode {wrong:o})", path.display());
            let words = [what, "chmod go-w".to_owned()];
            assert!(code == 3 && words.iter().all(|word| said.contains(word)), "{code}: {said}");
        }
        mode(path, before);
    };
    let file = policy.join("products/vcenter.toml");
    refused(&policy, 0o777);
    refused(&policy.join("programs"), 0o757);
    refused(&file, 0o666);
    chown(&file, Some(USER), Some(USER)).unwrap();
    let (code, said) = place.refused();
    assert!(code == 3 && said.contains(&format!("{}: belongs to", file.display())), "{code}: {said}");
    chown(&file, Some(0), Some(0)).unwrap();

    let daemon = place.start();
    let text = std::fs::read_to_string(&file).unwrap();
    mode(&file, 0o666);
    std::fs::write(&file, text.replace("\"vm.inventory\".fields.vcpus]", "\"vm.inventory\".fields.cores]"))
        .unwrap();
    daemon.signal(Signal::HUP);
    let stays = || place.said().matches("policy refused as a whole, the one before stays").count();
    until("a refusal", || stays() > 0);
    assert!(place.said().contains("can be changed by others (mode 666)"), "{}", place.said());
    assert!(daemon.page("/metrics").contains("usaged_policy_refused 1"));
    assert!(!place.said().contains("policy taken over"));
    // The same text is good once it is known who wrote it.
    mode(&file, 0o644);
    daemon.signal(Signal::HUP);
    until("the next policy", || place.said().contains("policy taken over"));
    assert_eq!(daemon.end(), 0);
}

/// As Kubernetes mounts a ConfigMap: the directory has mode 777, and nobody who sees it can change it.
#[test]
fn the_directory_of_a_policy_that_is_mounted_read_only_may_have_any_mode() {
    let disk = Disk::mount("size=8m,mode=0777");
    write_policy(disk.path(), |file| file.text.clone());
    let named = disk.path().display().to_string();
    let check = || usaged(["serve", "--check", "--policy-dir", &named]);
    let said = check();
    assert!(said.code == 3 && said.err.contains("mode 777"), "{}", said.err);
    disk.make_read_only();
    let said = check();
    assert_eq!(said.code, 0, "{}", said.err);
    disk.make_writable();
    mode(&disk.path().join("products/vcenter.toml"), 0o666);
    disk.make_read_only();
    assert_eq!(check().code, 3, "its files are judged as ever");
}
