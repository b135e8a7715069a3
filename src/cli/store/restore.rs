//! `usaged store restore`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::lines::Lines;
use super::{KeyPlace, failure};
use crate::backup::{self, Report, Request};
use crate::cli::batch_text::millis_text;
use crate::cli::exit::{Failure, say};
use crate::cli::output::{Output, grouped, pairs};
use crate::observe::Clock;

/// What is said when no ledger newer than that of the backup was given.
const UNCHECKED: &str = "warning: without --ledger it cannot be checked whether the file of personal rows is the newest: \
erasures and changed participations that came after it would not be known; and the ledger goes on from the backup, \
without what it was told since";

#[derive(Debug, Args)]
#[command(after_help = "\
Everything is compared, joined and read aside; only when all of it is whole is the new data
directory put in place, in one step. Give the newest file of personal rows and, if it is left, the
newest ledger (the directory `ledger` of the lost data directory): what they know to be erased does
not come back, and is erased again before the collector serves. If the ledger tells of an erasure or
of a changed participation that the file does not know, the restore is refused; `--leave-out` goes on
without the customers that it concerns. Then start the collector with the root key and the ledger
key of that time. Drainers receive again what they had acknowledged after the backup was made, and
data that came in after it is lost.

Examples:
  usaged store restore /backup/2026-11-27 --personal /safe/usaged.personal --to /var/lib/usaged
  usaged store restore /backup/2026-11-27 --personal /safe/usaged.personal --to /var/lib/usaged \\
    --ledger /var/lib/usaged.lost/ledger --root-key-file /etc/usaged/root.key")]
pub(super) struct RestoreArgs {
    /// The directory of the backup.
    backup: PathBuf,
    /// The newest file of personal rows.
    #[arg(long, value_name = "FILE")]
    personal: PathBuf,
    /// The new data directory: it does not exist, or is empty.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The newest ledger, in place of the one in the backup.
    #[arg(long, value_name = "DIR")]
    ledger: Option<PathBuf>,
    /// Go on without the customers of whom the ledger knows more than the file of personal rows: as if they were
    /// erased.
    #[arg(long)]
    leave_out: bool,
    /// Put it in place although records in it are damaged; they are set aside and never served.
    #[arg(long)]
    accept_damage: bool,
    #[command(flatten)]
    key: KeyPlace,
}

impl RestoreArgs {
    pub fn run(&self, out: Output) -> Result<(), Failure> {
        let key = self.key.read()?;
        let mut lines = Lines::new(out);
        let request = Request {
            backup: &self.backup,
            personal: &self.personal,
            ledger: self.ledger.as_deref(),
            to: &self.to,
            leave_out: self.leave_out,
            accept_damage: self.accept_damage,
            key: key.as_ref(),
            now: Clock::system().now(),
        };
        let report = backup::restore(&request, &mut |at| lines.show(at));
        lines.end();
        let report = report.map_err(|fault| failure(&fault))?;
        if self.ledger.is_none() {
            say(UNCHECKED);
        }
        if out.is_json() { json(&report, out) } else { self.show(&report, out) }
    }

    fn show(&self, report: &Report, out: Output) -> Result<(), Failure> {
        out.table(&pairs([
            ("restored", self.to.display().to_string()),
            ("backup of", millis_text(report.manifest.made.0)),
            ("personal rows of", millis_text(report.personal_made.0)),
            ("last commit", report.manifest.head.to_string()),
            ("numbers go on with", report.next.to_string()),
            ("records read", grouped(report.checked.records)),
            ("customers left out", grouped(report.left_out)),
            ("erasures to carry out again", grouped(report.again)),
            ("entries of the ledger", grouped(report.entries)),
        ]))?;
        let key = &report.manifest.root_key;
        out.line(&format!("Start it with the root key {key} and the ledger key of that time."))
    }
}

fn json(report: &Report, out: Output) -> Result<(), Failure> {
    out.json(&json!({
        "store": report.manifest.store, "made_ms": report.manifest.made.0,
        "personal_made_ms": report.personal_made.0, "last_commit": report.manifest.head,
        "next_commit": report.next, "records": report.checked.records, "customers_left_out": report.left_out,
        "erasures_again": report.again, "ledger_entries": report.entries,
        "root_key_id": report.manifest.root_key, "faults": report.checked.faults,
    }))
}
