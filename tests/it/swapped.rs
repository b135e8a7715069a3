//! Directories of policy, identities and configuration that are swapped as a whole, by renames or by a link: each swap is
//! taken over, and so is every edit in what is there then.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fault_daemon::{Daemon, Place, until};
use crate::identity_world::World;
use crate::term::{point, write_policy};

/// One of the three: what counts that it was taken over, and the file in it that is edited.
struct Kind {
    name: &'static str,
    metric: &'static str,
    file: &'static str,
}

const KINDS: [Kind; 3] = [
    Kind { name: "policy", metric: "usaged_policy_loads_total", file: "programs/ceip.toml" },
    Kind { name: "pki", metric: "usaged_identity_loads_total", file: "identities.toml" },
    Kind { name: "conf", metric: "usaged_configuration_loads_total", file: "usaged.toml" },
];

impl Kind {
    fn taken_over(&self, daemon: &Daemon) -> u64 {
        let series = format!("{}{{result=\"loaded\"}} ", self.metric);
        let page = daemon.page("/metrics");
        page.lines().find_map(|line| line.strip_prefix(&series)).map_or(0, |n| n.trim().parse().unwrap())
    }

    /// Changes the file in `dir`, each time to something else that is good.
    fn edit(&self, dir: &Path, number: u32) {
        let path = dir.join(self.file);
        let text = std::fs::read_to_string(&path).unwrap();
        let text = match self.name {
            "policy" => format!("{text}\n# {number}\n"),
            "pki" => text.replace("name = \"relay", &format!("name = \"relay-{number}")),
            _ => {
                let (before, _) = text.split_once("[ingest]").unwrap_or((&text, ""));
                format!("{before}[ingest]\ncustomer_events_per_second = {}\n", 100 + number)
            }
        };
        crate::identity_world::write(&path, &text);
    }
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-rL").args([from, to]).status().unwrap();
    assert!(done.success(), "{} to {}", from.display(), to.display());
}

/// A world with the three directories, and its collector.
fn world() -> (World, Place) {
    let world = World::new();
    write_policy(&world.path("policy"), |file| file.text.clone());
    std::fs::create_dir(world.path("conf")).unwrap();
    std::fs::rename(world.path("usaged.toml"), world.path("conf/usaged.toml")).unwrap();
    let [config, policy] = ["conf/usaged.toml", "policy"].map(|name| world.path(name).display().to_string());
    let place = Place::new(world.dir.path()).with(&["--config", &config, "--policy-dir", &policy]);
    (world, place)
}

/// Waits until each has taken something over since it was counted.
fn all_taken_over(what: &str, daemon: &Daemon, before: &[u64; 3]) {
    for (kind, before) in KINDS.iter().zip(before) {
        until(&format!("{what}: {}", kind.name), || kind.taken_over(daemon) > *before);
    }
}

fn counted(daemon: &Daemon) -> [u64; 3] {
    KINDS.map(|kind| kind.taken_over(daemon))
}

// covers: P5
#[test]
fn a_directory_that_is_renamed_into_the_place_of_another_is_followed_from_then_on() {
    let (world, place) = world();
    let daemon = place.start();
    for round in 0..2 {
        let before = counted(&daemon);
        for kind in &KINDS {
            let live = world.path(kind.name);
            let [new, old] = ["new", "old"].map(|end| world.path(&format!("{}.{end}.{round}", kind.name)));
            copy(&live, &new);
            kind.edit(&new, 10 * round + 1);
            std::fs::rename(&live, old).unwrap();
            std::fs::rename(new, live).unwrap();
        }
        all_taken_over("the swap", &daemon, &before);
        for edit in 2..4 {
            let before = counted(&daemon);
            KINDS.iter().for_each(|kind| kind.edit(&world.path(kind.name), 10 * round + edit));
            all_taken_over("an edit after it", &daemon, &before);
        }
    }
    assert_eq!(daemon.end(), 0);
}

// covers: P5
#[test]
fn a_link_that_is_switched_is_followed_from_then_on_though_nothing_tells_of_it() {
    let (world, place) = world();
    let target = |kind: &Kind, name: &str| -> PathBuf { world.path(&format!("{}.{name}", kind.name)) };
    for kind in &KINDS {
        std::fs::rename(world.path(kind.name), target(kind, "a")).unwrap();
        copy(&target(kind, "a"), &target(kind, "b"));
        kind.edit(&target(kind, "b"), 1);
        point(&world.path(kind.name), &target(kind, "a"));
    }
    let daemon = place.start();
    let before = counted(&daemon);
    KINDS.iter().for_each(|kind| point(&world.path(kind.name), &target(kind, "b")));
    all_taken_over("the switch", &daemon, &before);
    let before = counted(&daemon);
    KINDS.iter().for_each(|kind| kind.edit(&target(kind, "b"), 2));
    all_taken_over("an edit after it", &daemon, &before);
    assert_eq!(daemon.end(), 0);
}
