//! What the collector goes by and keeps, and who else could change or read it: its configuration, which names who may
//! call; its policy, which says what is kept; its data directory, which holds the ids and keys of customers. Keys are
//! looked at where they are read, and so is the policy, at each reload.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::error::DaemonError;
use super::runner::Runner;
use super::{begun, ledger_key, root_key};
use crate::config::{Config, Problem};
use crate::store;

/// Looks at everything that only the collector may change or read, as `runner` would start it, and makes nothing.
///
/// # Errors
/// Every file or directory that others can change or look into; or a key that others can read, that is none, or is
/// missing beside data that needs it.
pub fn check_files(config: &Config, runner: &Runner) -> Result<(), DaemonError> {
    check_places(config, runner)?;
    check_keys(config, runner)
}

/// Looks at the configuration and the data directory.
///
/// # Errors
/// If others can change or look into them, or there is no store where there has to be one.
pub fn check_places(config: &Config, runner: &Runner) -> Result<(), DaemonError> {
    // What is not there is made, unless it has to be there.
    store::expect_store(&config.store)?;
    begun::check_ledger(config)?;
    let problems = problems(config, runner);
    if problems.is_empty() { Ok(()) } else { Err(DaemonError::Exposed(problems)) }
}

/// Looks at the keys, and makes none.
///
/// # Errors
/// If others can read a key, it is none, or it is missing beside data that needs it.
pub fn check_keys(config: &Config, runner: &Runner) -> Result<(), DaemonError> {
    root_key::look(&config.root_key, &config.store.dir, runner)?;
    ledger_key::look(&config.ledger_key, &config.ledger.dir, config.ledger.accept_break, runner)?;
    Ok(())
}

fn problems(config: &Config, runner: &Runner) -> Vec<Problem> {
    let configuration = config.in_force.file().map(Place::Configuration);
    let places = configuration.into_iter().chain([Place::Data(&config.store.dir)]);
    places.filter_map(|place| of(place, runner)).collect()
}

/// What is looked at.
#[derive(Clone, Copy)]
pub(super) enum Place<'p> {
    /// The file of the configuration: nobody else may change it.
    Configuration(&'p Path),
    /// The data directory: nobody else has any right in it.
    Data(&'p Path),
}

/// What is wrong with who can change or read something. What is not there is made with the right permissions, or is
/// missed by whoever reads it.
pub(super) fn of(place: Place<'_>, runner: &Runner) -> Option<Problem> {
    let (path, key, judge): (_, _, Judge) = match place {
        Place::Configuration(path) => (path, "", changeable),
        Place::Data(path) => (path, "data_dir", open),
    };
    let (what, remedy) = judge(&std::fs::metadata(path).ok()?, runner)?;
    let (place, key, remedy) = (path.display().to_string(), key.to_owned(), remedy.to_owned());
    Some(Problem { place, line: 0, key, what, remedy, is_of_the_system: false })
}

/// What is wrong with a file or directory, and what to do.
type Fault = Option<(String, &'static str)>;
type Judge = fn(&Metadata, &Runner) -> Fault;

/// What is wrong if somebody else than root and the collector can change a file or directory. Its own groups may: so
/// Kubernetes hands a volume over (`fsGroup`).
pub(super) fn changeable(metadata: &Metadata, runner: &Runner) -> Fault {
    who_changes(metadata.uid(), metadata.gid(), metadata.mode() & 0o777, runner)
}

/// What is wrong if somebody else than root, the collector and its own groups can do anything in a directory.
fn open(metadata: &Metadata, runner: &Runner) -> Fault {
    who_looks(metadata.uid(), metadata.gid(), metadata.mode() & 0o777, runner)
}

fn who_changes(owner: u32, group: u32, mode: u32, runner: &Runner) -> Fault {
    if !runner.trusts(owner) {
        let what =
            format!("belongs to the user with the number {owner}, who can change what the collector does");
        return Some((what, "run `chown` on it, so that it belongs to root or to the user of the collector"));
    }
    let others = if runner.is_in(group) { 0o002 } else { 0o022 };
    (mode & others != 0).then(|| {
        let what =
            format!("can be changed by others (mode {mode:03o}), who could change what the collector does");
        (what, "run `chmod go-w` on it")
    })
}

fn who_looks(owner: u32, group: u32, mode: u32, runner: &Runner) -> Fault {
    if !runner.trusts(owner) {
        return who_changes(owner, group, mode, runner);
    }
    let (others, remedy) = if runner.is_in(group) {
        (0o007, "run `chmod o-rwx` on it")
    } else {
        (0o077, "run `chmod go-rwx` on it")
    };
    (mode & others != 0).then(|| {
        let what = format!("is open to others (mode {mode:03o}), who could read or change what is stored");
        (what, remedy)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_collector_and_its_own_group_may_change_what_it_goes_by_and_nobody_else() {
        let me = Runner::with(64_055, 64_055);
        for (owner, group, mode) in
            [(64_055, 64_055, 0o770), (0, 64_055, 0o664), (0, 0, 0o755), (64_055, 7, 0o700)]
        {
            assert_eq!(who_changes(owner, group, mode, &me), None, "{owner} {group} {mode:o}");
        }
        for (owner, group, mode) in [
            (1_000, 64_055, 0o700),
            (64_055, 64_055, 0o702),
            (0, 0, 0o664),
            (64_055, 7, 0o720),
            (0, 0, 0o666),
        ] {
            assert!(who_changes(owner, group, mode, &me).is_some(), "{owner} {group} {mode:o}");
        }
    }

    #[test]
    fn nobody_but_root_and_the_collector_and_its_own_group_has_any_right_in_the_data() {
        let me = Runner::with(64_055, 64_055);
        for (owner, group, mode) in
            [(64_055, 64_055, 0o770), (0, 64_055, 0o770), (64_055, 7, 0o700), (64_055, 64_055, 0o750)]
        {
            assert_eq!(who_looks(owner, group, mode, &me), None, "{owner} {group} {mode:o}");
        }
        for bit in [0o1, 0o2, 0o4, 0o10, 0o20, 0o40] {
            let (_, remedy) = who_looks(64_055, 7, 0o700 | bit, &me).unwrap_or_default();
            assert!(remedy.contains("go-rwx"), "{bit:o}");
            let own = who_looks(64_055, 64_055, 0o700 | bit, &me);
            assert_eq!(own.is_some(), bit < 0o10, "{bit:o}");
        }
        assert!(who_looks(1_000, 64_055, 0o700, &me).is_some(), "it is somebody else's");
    }
}
