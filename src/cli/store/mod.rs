//! `usaged store`: what a store holds, whether it is whole, and its backups.

mod backup;
mod check;
mod inspect;
mod lines;
mod restore;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::exit::Failure;
use super::output::Output;
use super::with_causes;
use crate::backup::BackupFault;
use crate::config;
use crate::daemon::{self, DaemonError};
use crate::sanitize::RootKey;
use crate::store::{self, BackupError, OpenError};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  usaged store inspect
  usaged store check /var/lib/usaged --root-key-file /etc/usaged/root.key
  usaged store backup /backup/2026-11-27 --personal /safe/usaged.personal
  usaged store restore /backup/2026-11-27 --personal /safe/usaged.personal --to /var/lib/usaged")]
pub(super) struct StoreArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show format, commits, segments and sizes of a store that no collector has open.
    Inspect(inspect::InspectArgs),
    /// Read everything that a store or a backup holds, and say what is wrong and what to do.
    Check(check::CheckArgs),
    /// Make a backup, of a collector that runs or of a data directory that none has open.
    Backup(backup::BackupArgs),
    /// Write the file of personal rows anew, in the place of the one before.
    Personal(backup::PersonalArgs),
    /// Make a data directory of a backup, without anything that was erased since.
    Restore(restore::RestoreArgs),
}

impl StoreArgs {
    pub fn run(self, out: Output) -> Result<(), Failure> {
        match self.action {
            Action::Inspect(args) => args.run(out),
            Action::Check(args) => args.run(out),
            Action::Backup(args) => args.run(out),
            Action::Personal(args) => args.run(out),
            Action::Restore(args) => args.run(out),
        }
    }
}

/// Where the root key is, for commands that can do without.
#[derive(Debug, Args)]
struct KeyPlace {
    /// The file of the root key, or the environment variable `USAGED_ROOT_KEY`: opens every record.
    #[arg(long, value_name = "FILE")]
    root_key_file: Option<PathBuf>,
}

impl KeyPlace {
    fn read(&self) -> Result<Option<RootKey>, Failure> {
        let Some(source) = config::root_key_source(self.root_key_file.as_deref()) else { return Ok(None) };
        daemon::read_root_key(&source).map(Some).map_err(|error| {
            let told = vec![with_causes(&error)];
            Failure::mistakes("the root key:", told, DaemonError::from(error).is_of_the_system())
        })
    }
}

/// What went wrong, to the person who asked.
fn failure(fault: &BackupFault) -> Failure {
    let text = with_causes(fault);
    match fault {
        // What was asked for makes no sense, whatever is on the disk.
        BackupFault::Store(BackupError::Inside) => Failure::Usage(text),
        BackupFault::Store(BackupError::Open(error)) | BackupFault::Open(error) => refused(error, text),
        BackupFault::Store(
            BackupError::Damaged | BackupError::Foreign | BackupError::Changed { .. } | BackupError::Present,
        )
        | BackupFault::NotABackup { .. }
        | BackupFault::LedgerBroken { .. }
        | BackupFault::OtherLedger { .. }
        | BackupFault::Version { .. }
        | BackupFault::Behind(_)
        | BackupFault::Faults(_) => Failure::Store(text),
        // The command line is right; a file that is there already is in the way.
        BackupFault::Store(
            BackupError::Exists { .. }
            | BackupError::File { .. }
            | BackupError::Database(_)
            | BackupError::Secrets { .. },
        )
        | BackupFault::Exists { .. }
        | BackupFault::Ledger(_)
        | BackupFault::File { .. } => Failure::Failed(text),
    }
}

/// A store that does not open: there is none, it was refused, the system did not do its part, or another process has it.
fn refused(error: &OpenError, text: String) -> Failure {
    if matches!(error, OpenError::Absent { path } if matches!(store::is_begun(path), Ok(false))) {
        Failure::Usage(text)
    } else if error.is_of_the_system() {
        Failure::Failed(text)
    } else {
        Failure::Store(text)
    }
}

/// A path that a collector on this host finds too.
fn absolute(path: &Path) -> Result<String, Failure> {
    let path = std::path::absolute(path).map_err(Failure::io(format!("finding {}", path.display())))?;
    path.into_os_string()
        .into_string()
        .map_err(|_| Failure::Usage("the path is not UTF-8; name one that is".to_owned()))
}
