//! What the user of a collector cannot reach although whoever checks for it can: root reads everything.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::error::DaemonError;
use super::ledger_key::LedgerKeyError;
use super::root_key::RootKeyError;
use super::runner::Runner;
use super::{ledger_key, root_key};
use crate::config::{Config, Problem};

/// Looks whether `runner`, with whose rights this is called, can read the configuration and get into the data directory.
/// What is read besides is refused where it is read.
///
/// # Errors
/// Whatever is out of reach, with the commands that let the user in.
pub fn check_reach(config: &Config, runner: &Runner) -> Result<(), Vec<Problem>> {
    let file = config.in_force.file().map(|path| ("", path, File::open(path).map(drop)));
    let dir = config.store.dir.as_path();
    // What is not there is made.
    let data = ("data_dir", dir, std::fs::metadata(dir).map(drop));
    let problems: Vec<Problem> = file
        .into_iter()
        .chain([data])
        .filter_map(|(key, path, reached)| {
            let error = reached.err().filter(is_closed)?;
            let (place, what) = (path.display().to_string(), format!("cannot be read: {error}"));
            let (key, remedy) = (key.to_owned(), let_in(path, runner));
            Some(Problem { place, line: 0, key, what, remedy, is_of_the_system: false })
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The files of keys that `runner`, with whose rights this is called, is not let at, each with what a start would say.
#[must_use]
pub fn keys_out_of_reach(config: &Config, runner: &Runner) -> Vec<(PathBuf, DaemonError)> {
    let of_root = |error: RootKeyError| {
        let RootKeyError::File { path, source, .. } = &error else { return None };
        let path = is_closed(source).then(|| path.clone())?;
        Some((path, DaemonError::RootKey(error)))
    };
    let of_ledger = |error: LedgerKeyError| {
        let LedgerKeyError::File { path, source, .. } = &error else { return None };
        let path = is_closed(source).then(|| path.clone())?;
        Some((path, DaemonError::LedgerKey(error)))
    };
    let root_key = root_key::look(&config.root_key, &config.store.dir, runner).err().and_then(of_root);
    let (path, ledger) = (&config.ledger_key, &config.ledger.dir);
    let ledger_key = ledger_key::look(path, ledger, config.ledger.accept_break, runner).err();
    let ledger_key = ledger_key.and_then(of_ledger);
    root_key.into_iter().chain(ledger_key).collect()
}

fn is_closed(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::PermissionDenied
}

/// Whether a file is one that a service manager hands over: it belongs to root, who alone reads it.
#[must_use]
pub fn is_handed_over(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.uid() == 0)
}

/// The commands that let `runner` at `path`, of which it was not let at all or a directory on the way.
pub(super) fn let_in(path: &Path, runner: &Runner) -> String {
    let group = runner.group();
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let way: Vec<&Path> = whole.ancestors().collect();
    let is_hidden = |part: &Path| std::fs::symlink_metadata(part).is_err_and(|error| is_closed(&error));
    // What cannot even be looked at lies in a directory that is closed.
    let closed = way.iter().rev().find(|part| is_hidden(part)).and_then(|part| part.parent());
    let user = runner.other().map_or_else(|| "the collector".to_owned(), |name| format!("the user {name}"));
    if let Some(dir) = closed {
        let remedy = join(dir, 0o010, runner);
        let dir = dir.display();
        if let Some(remedy) = remedy {
            return format!("let {user} go through {dir}: {remedy}");
        }
        return format!("let {user} go through {dir}: run `chgrp {group} {dir}` and `chmod g+x {dir}`");
    }
    if let Some(remedy) = join(&whole, 0o040, runner) {
        return format!("let {user} read it: {remedy}");
    }
    let path = path.display();
    if whole.is_dir() {
        format!("let {user} read it: run `chgrp {group} {path}` and `chmod g+rx {path}`")
    } else {
        format!("let {user} read it: run `chown root:{group} {path}` and `chmod 640 {path}`")
    }
}

/// How `runner` comes by what a group may do already, which would be taken from it by handing the file or directory over.
/// The group of root is joined by nobody.
fn join(path: &Path, right: u32, runner: &Runner) -> Option<String> {
    let found = std::fs::metadata(path).ok()?;
    let (group, mode) = (found.gid(), found.mode());
    if group == 0 || mode & right == 0 || runner.is_in(group) {
        return None;
    }
    let user = runner.name().map_or_else(|| "USER".to_owned(), ToOwned::to_owned);
    let joined = format!("the group {group} may already; run `usermod -aG {group} {user}`");
    Some(if runner.other().is_some() {
        format!(
            "{joined}, or, if the unit gives it that group (`SupplementaryGroups=`), check with `--supplementary-group {group}`"
        )
    } else {
        format!("{joined}, or give it that group in the unit (`SupplementaryGroups={group}`)")
    })
}
