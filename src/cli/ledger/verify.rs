//! `usaged ledger verify`: offline, from the files alone.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::told;
use crate::cli::exit::Failure;
use crate::cli::output::{Output, grouped, pairs};
use crate::cli::with_causes;
use crate::ledger::{Export, ExportFault, SignedCheckpoint, Verification, Verified, VerifierKey};

/// Bytes of the largest export that is read.
const EXPORT_BYTES: u64 = 1 << 30;

#[derive(Debug, Args)]
#[command(after_help = "\
Ends with 0 if all is well and with 8 if something was changed, removed, cut off, inserted or put
in another order; it says which entry. Without --key, the key beside the ledger is used: whoever
can change the ledger can change that as well, so keep your own copy of the key (`usaged serve`
prints it) and of a checkpoint. A collector may be running meanwhile.

Examples:
  usaged ledger verify
  usaged ledger verify /var/lib/usaged/ledger --key ledger.vkey --checkpoint receipt.txt
  usaged ledger verify --export acme.json --key ledger.vkey --json")]
pub(super) struct VerifyArgs {
    /// The directory of the ledger, or the data directory.
    #[arg(default_value = "./usaged-data/ledger")]
    dir: PathBuf,
    /// The key that must have signed it, or a file that holds it: `<name>+<id>+<key>`.
    #[arg(long, value_name = "VKEY", value_parser = super::verifier)]
    key: Option<VerifierKey>,
    /// An older checkpoint that must still hold: a signed note from a receipt or the log, or an export.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Verify an export in place of a ledger.
    #[arg(long, value_name = "FILE", conflicts_with = "dir")]
    export: Option<PathBuf>,
}

impl VerifyArgs {
    pub fn run(self, out: Output) -> Result<(), Failure> {
        let older = self.checkpoint.as_deref().map(super::checkpoint).transpose()?;
        match &self.export {
            Some(path) => verify_export(path, self.key.as_ref(), older.as_ref(), out),
            None => verify_ledger(&self.dir, self.key.as_ref(), older.as_ref(), out),
        }
    }
}

fn verify_ledger(
    dir: &Path,
    key: Option<&VerifierKey>,
    older: Option<&SignedCheckpoint>,
    out: Output,
) -> Result<(), Failure> {
    let inside = dir.join("ledger");
    let dir = if inside.join("entries").exists() { inside.as_path() } else { dir };
    if !dir.is_dir() {
        return Err(Failure::Usage(format!("there is no ledger in {}; name its directory", dir.display())));
    }
    let bar = out.progress(Some(0), "verifying");
    let verified = Verification { dir, key, checkpoint: older }.run(&mut |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let verified = verified.map_err(|error| Failure::Failed(with_causes(&error)))?;
    if out.is_json() {
        let mut told = serde_json::to_value(&verified).unwrap_or_default();
        if let Some(members) = told.as_object_mut() {
            members.insert("ok".to_owned(), json!(verified.findings.is_empty()));
            members.insert("key_is_from_ledger".to_owned(), json!(key.is_none()));
        }
        out.json(&told)?;
    } else {
        show(&verified, key.is_none(), out)?;
    }
    if verified.findings.is_empty() {
        return Ok(());
    }
    let count =
        verified.findings.more.saturating_add(u64::try_from(verified.findings.named.len()).unwrap_or(0));
    let text = format!(
        "the ledger in {} does not add up: {}",
        dir.display(),
        told::count(count, "finding", "findings")
    );
    Err(Failure::Found(text))
}

fn show(verified: &Verified, is_own_key: bool, out: Output) -> Result<(), Failure> {
    let signed = if verified.signed < verified.entries {
        format!(
            "{}; {} wait for the next checkpoint",
            grouped(verified.signed),
            grouped(verified.entries - verified.signed)
        )
    } else {
        "all".to_owned()
    };
    let key =
        if is_own_key { format!("{} (from the ledger itself)", verified.key) } else { verified.key.clone() };
    out.table(&pairs([
        ("ledger", verified.origin.clone()),
        ("entries", grouped(verified.entries)),
        ("signed", signed),
        ("checkpoints", grouped(verified.checkpoints)),
        ("root", verified.root.clone()),
        ("key", key),
    ]))?;
    if verified.is_torn {
        out.line("the end is torn, as after a crash: the next start cuts it off, and nothing is lost")?;
    }
    if verified.findings.is_empty() {
        return out.line("verified: every entry, every signature and every checkpoint");
    }
    for finding in &verified.findings.named {
        out.line(&format!("FOUND  {finding}"))?;
    }
    if verified.findings.more > 0 {
        out.line(&format!("and {} more", grouped(verified.findings.more)))?;
    }
    Ok(())
}

fn verify_export(
    path: &Path,
    key: Option<&VerifierKey>,
    older: Option<&SignedCheckpoint>,
    out: Output,
) -> Result<(), Failure> {
    let name = path.display();
    let length = std::fs::metadata(path).map_err(Failure::io(format!("reading {name}")))?.len();
    if length > EXPORT_BYTES {
        return Err(Failure::Usage(format!("{name} is too large for an export: {} bytes", grouped(length))));
    }
    let text = std::fs::read(path).map_err(Failure::io(format!("reading {name}")))?;
    let export: Export = serde_json::from_slice(&text).map_err(|error| {
        Failure::Found(format!("{name} is not an export, at line {} column {}", error.line(), error.column()))
    })?;
    let verified = export.verify(key, older);
    let faults = verified.as_ref().err().map(Vec::as_slice).unwrap_or_default();
    if out.is_json() {
        let findings: Vec<_> = faults.iter().map(ExportFault::to_string).collect();
        let size = verified.as_ref().map_or(0, |checkpoint| checkpoint.size);
        out.json(&json!({
            "ok": faults.is_empty(), "customer": export.customer, "customer_number": export.customer_number,
            "entries": export.entries.len(), "ledger_entries": size, "key": export.verifier_key,
            "key_is_from_export": key.is_none(), "findings": findings,
        }))?;
    } else {
        let from = if key.is_none() {
            " (from the export itself: compare it with the one you were given)"
        } else {
            ""
        };
        out.table(&pairs([
            ("customer", format!("{} ({})", export.customer, export.customer_number)),
            ("entries", grouped(u64::try_from(export.entries.len()).unwrap_or(u64::MAX))),
            ("key", format!("{}{from}", export.verifier_key)),
        ]))?;
        for fault in faults {
            out.line(&format!("FOUND  {fault}"))?;
        }
        if faults.is_empty() {
            out.line(
                "verified: the signature, and that every entry is in the signed ledger as it stands here",
            )?;
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Failure::Found(format!("{name} does not add up"))) }
}
