//! `usaged store check`: everything is read, nothing is changed.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::lines::Lines;
use super::{KeyPlace, failure};
use crate::backup::{self, Inspected};
use crate::cli::batch_text::millis_text;
use crate::cli::exit::Failure;
use crate::cli::output::{Output, grouped, pairs};

#[derive(Debug, Args)]
#[command(after_help = "\
Reads the data directory of a collector that is stopped, or a backup: every row and its checksum,
every record and its place in the running hash, the witness, the ledger with its signatures, and
of a backup the sum of every file. With the root key every record is opened as well. Ends with 0
if all is whole and with 8 if something is not; it says what, and what to do. A collector that
runs checks each record when it leaves.

Examples:
  usaged store check
  usaged store check /var/lib/usaged --root-key-file /etc/usaged/root.key
  usaged store check /backup/2026-11-27 --json")]
pub(super) struct CheckArgs {
    /// The data directory, or the directory of a backup.
    #[arg(default_value = "./usaged-data")]
    dir: PathBuf,
    #[command(flatten)]
    key: KeyPlace,
}

impl CheckArgs {
    pub fn run(&self, out: Output) -> Result<(), Failure> {
        let key = self.key.read()?;
        let mut lines = Lines::new(out);
        let found = backup::check(&self.dir, key.as_ref(), &mut |at| lines.show(at));
        lines.end();
        let found = found.map_err(|fault| failure(&fault))?;
        if out.is_json() {
            let is_whole = found.store.faults.is_empty();
            out.json(&json!({
                "ok": is_whole, "store": found.store, "backup": found.backup,
                "ledger_entries": found.entries, "seals_checked": key.is_some(),
            }))?;
        } else {
            show(&found, key.is_some(), out)?;
        }
        let faults = &found.store.faults;
        if faults.is_empty() {
            return Ok(());
        }
        let count = faults.more.saturating_add(u64::try_from(faults.named.len()).unwrap_or(u64::MAX));
        Err(Failure::Found(format!(
            "{} is not whole: {} {}",
            self.dir.display(),
            grouped(count),
            if count == 1 { "finding" } else { "findings" }
        )))
    }
}

fn show(found: &Inspected, has_key: bool, out: Output) -> Result<(), Failure> {
    let store = &found.store;
    let witness = store.witness.map_or_else(|| "cannot be read".to_owned(), |commit| commit.to_string());
    let opened = if has_key {
        format!("{}; {} have no key here", grouped(store.opened), grouped(store.sealed))
    } else {
        "not tried: name the root key with --root-key-file".to_owned()
    };
    let made = found.backup.as_ref().map(|backup| {
        let text = format!("{}, under root key {}", millis_text(backup.made.0), backup.root_key);
        ("backup of", text)
    });
    out.table(&pairs(made.into_iter().chain([
        ("store", store.store.clone()),
        ("last commit", store.head.to_string()),
        ("witnessed commit", witness),
        ("records", format!("{}; {} erased", grouped(store.records), grouped(store.gone))),
        ("records opened", opened),
        ("damaged records set aside", grouped(store.set_aside)),
        (
            "rows",
            grouped(store.meta_rows.saturating_add(store.personal_rows).saturating_add(store.dedup_rows)),
        ),
        ("entries of the ledger", grouped(found.entries)),
        ("bytes", grouped(store.bytes)),
    ])))?;
    for fault in &store.faults.named {
        out.line(&format!("FOUND  {fault}"))?;
    }
    if store.faults.more > 0 {
        out.line(&format!("and {} more", grouped(store.faults.more)))?;
    }
    if store.faults.is_empty() {
        out.line("whole: every row, every record, the witness and the ledger")?;
    }
    Ok(())
}
