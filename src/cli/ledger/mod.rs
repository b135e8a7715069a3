//! `usaged ledger`: what was done with whose data. Verifying needs no collector; giving out a
//! customer's part asks one.

mod export;
mod page;
mod page_parts;
#[cfg(test)]
mod page_tests;
mod record;
mod tail;
mod told;
mod verify;

use std::path::Path;

use clap::{Args, Subcommand};

use super::exit::Failure;
use super::output::Output;
use crate::ledger::{SignedCheckpoint, VerifierKey};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  usaged ledger verify ./usaged-data/ledger
  usaged ledger export --customer acme --html acme.html
  usaged ledger tail")]
pub(super) struct LedgerArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Verify a ledger or an export offline: every entry, every signature, every checkpoint.
    Verify(verify::VerifyArgs),
    /// Give one customer's record: what was collected and what left, when, for whom and what for.
    Export(export::ExportArgs),
    /// Show the last entries.
    Tail(tail::TailArgs),
}

impl LedgerArgs {
    pub fn run(self, out: Output) -> Result<(), Failure> {
        match self.action {
            Action::Verify(args) => args.run(out),
            Action::Export(args) => super::block_on(args.run(out)),
            Action::Tail(args) => super::block_on(args.run(out)),
        }
    }
}

/// A verifier key as it is typed: itself, or a file that holds it.
fn verifier(text: &str) -> Result<VerifierKey, String> {
    let given = if text.contains('+') && !Path::new(text).exists() {
        text.to_owned()
    } else {
        std::fs::read_to_string(text).map_err(|error| format!("{text}: {error}"))?
    };
    given.trim().parse::<VerifierKey>().map_err(|error| error.to_string())
}

/// A checkpoint in a file: a signed note, or an export that has one.
fn checkpoint(path: &Path) -> Result<SignedCheckpoint, Failure> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(Failure::io(format!("reading {name}")))?;
    let export = serde_json::from_str::<crate::ledger::Export>(&text).ok();
    let note = export.map_or(text, |export| export.checkpoint);
    SignedCheckpoint::read(&note).map_err(|fault| Failure::Usage(format!("{name}: {fault}")))
}
