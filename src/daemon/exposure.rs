//! What the collector goes by and keeps, and who else could change it: its configuration, which names who may call, and its
//! data directory, which holds the hashes of tokens. Keys are looked at where they are read.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::error::DaemonError;
use super::{ledger_key, root_key};
use crate::config::{Config, Problem};

/// Looks at everything that only the collector may change or read, and makes nothing.
///
/// # Errors
/// Every file or directory that others can change; or a key that others can read, that is none, or is missing beside data
/// that needs it.
pub fn check_files(config: &Config) -> Result<(), DaemonError> {
    let problems = problems(config);
    if !problems.is_empty() {
        return Err(DaemonError::Exposed(problems));
    }
    root_key::look(&config.root_key, &config.store.dir)?;
    ledger_key::look(&config.ledger_key, &config.ledger.dir, config.ledger.accept_break)?;
    Ok(())
}

fn problems(config: &Config) -> Vec<Problem> {
    let of = |key: &str, path: &Path| {
        // What is not there is made with the right permissions, or is missed by whoever reads it.
        let (what, remedy) = changeable(&std::fs::metadata(path).ok()?, &Me::now())?;
        let place = path.display().to_string();
        Some(Problem { place, line: 0, key: key.to_owned(), what, remedy: remedy.to_owned() })
    };
    let file = config.in_force.file().and_then(|file| of("", file));
    file.into_iter().chain(of("data_dir", &config.store.dir)).collect()
}

/// Who runs the collector.
struct Me {
    user: u32,
    group: u32,
}

impl Me {
    fn now() -> Self {
        let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Self { user, group }
    }
}

/// What is wrong, and what to do, if somebody else than root and the collector can change a file or directory. Its own
/// group may: so Kubernetes hands a volume over (`fsGroup`).
fn changeable(metadata: &Metadata, me: &Me) -> Option<(String, &'static str)> {
    who(metadata.uid(), metadata.gid(), metadata.mode() & 0o777, me)
}

fn who(owner: u32, group: u32, mode: u32, me: &Me) -> Option<(String, &'static str)> {
    if ![0, me.user].contains(&owner) {
        let what =
            format!("belongs to the user with the number {owner}, who can change what the collector does");
        return Some((what, "run `chown` on it, so that it belongs to root or to the user of the collector"));
    }
    let others = if group == me.group { 0o002 } else { 0o022 };
    (mode & others != 0).then(|| {
        let what =
            format!("can be changed by others (mode {mode:03o}), who could change what the collector does");
        (what, "run `chmod go-w` on it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_collector_and_its_own_group_may_change_what_it_goes_by_and_nobody_else() {
        let me = Me { user: 64_055, group: 64_055 };
        for (owner, group, mode) in
            [(64_055, 64_055, 0o770), (0, 64_055, 0o664), (0, 0, 0o755), (64_055, 7, 0o700)]
        {
            assert_eq!(who(owner, group, mode, &me), None, "{owner} {group} {mode:o}");
        }
        for (owner, group, mode) in [
            (1_000, 64_055, 0o700),
            (64_055, 64_055, 0o702),
            (0, 0, 0o664),
            (64_055, 7, 0o720),
            (0, 0, 0o666),
        ] {
            assert!(who(owner, group, mode, &me).is_some(), "{owner} {group} {mode:o}");
        }
    }
}
