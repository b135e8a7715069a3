//! `usaged ledger export`: one customer's record, as JSON that anybody can verify and as a page that a
//! person can read.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::page;
use super::record::Record;
use super::told::count;
use crate::cli::batch_text::millis_text;
use crate::cli::connect::{Server, refused};
use crate::cli::exit::Failure;
use crate::cli::output::{Output, grouped, pairs};
use crate::grpc::proto::admin::{ExportLedgerRequest, ExportLedgerResponse, LedgerEntry};
use crate::ledger::{EXPORT_FORMAT, Export, Exported, Since, proof_text};
use crate::model::CustomerId;

#[derive(Debug, Args)]
#[command(after_help = "\
The JSON has every entry about the customer byte for byte, each with the proof that it is in the
signed ledger: `usaged ledger verify --export FILE` checks it without a collector. The page is the
record of processing (Art. 30 GDPR) in plain words; it loads nothing and prints. That the record
was given out is an entry of it as well.

Examples:
  usaged ledger export --customer acme --html acme.html --controller 'privacy@example.com'
  usaged ledger export --customer acme --json > acme.json
  usaged ledger export --customer acme --out acme.json --since last-year.json
  usaged ledger export --customer-number c17 --out erased.json")]
pub(super) struct ExportArgs {
    /// The customer.
    #[arg(long, required_unless_present = "customer_number")]
    customer: Option<CustomerId>,
    /// The collector's number for a customer that was erased, from the receipt of its erasure.
    #[arg(long, value_name = "NUMBER", conflicts_with = "customer")]
    customer_number: Option<String>,
    /// Write the page to this file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the JSON to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Who is responsible for the processing, and how to reach them: shown on the page.
    #[arg(long, value_name = "TEXT")]
    controller: Option<String>,
    /// An older checkpoint or export: also prove that the ledger goes on from it.
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    #[command(flatten)]
    server: Server,
}

impl ExportArgs {
    pub async fn run(self, out: Output) -> Result<(), Failure> {
        let since = self.since.as_deref().map(super::checkpoint).transpose()?;
        let since_size = since.as_ref().map_or(0, |since| since.checkpoint().size);
        let export = self.fetch(since_size).await?;
        // Whoever gives it on should know that it will stand up.
        if let Err(faults) = export.verify(None, since.as_ref()) {
            let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
            return Err(Failure::Found(format!(
                "what the collector gave does not add up: {}",
                faults.join("; ")
            )));
        }
        if let Some(path) = &self.out {
            write(path, &serde_json::to_vec_pretty(&export).unwrap_or_default())?;
        }
        let record = Record::of(&export);
        if let Some(path) = &self.html {
            write(path, page::page(&export, &record, self.controller.as_deref()).as_bytes())?;
        }
        if out.is_json() {
            return if self.out.is_some() {
                out.json(&json!({ "entries": export.entries.len() }))
            } else {
                out.json(&export)
            };
        }
        show(&export, &record, out)?;
        for path in [&self.out, &self.html].into_iter().flatten() {
            out.line(&format!("written: {}", path.display()))?;
        }
        Ok(())
    }

    /// Asks the collector for the record.
    async fn fetch(&self, since_size: u64) -> Result<Export, Failure> {
        let mut client = self.server.ledger().await?;
        let customer = self.customer.as_ref().map(ToString::to_string).unwrap_or_default();
        let customer_number = self.customer_number.clone().unwrap_or_default();
        let request = ExportLedgerRequest { customer: customer.clone(), customer_number, since_size };
        let mut answers =
            client.export_ledger(request).await.map_err(|status| refused(&status))?.into_inner();
        let mut export = None;
        while let Some(answer) = answers.message().await.map_err(|status| refused(&status))? {
            let ExportLedgerResponse { export: head, entries } = answer;
            if let (None, Some(head)) = (&export, head) {
                let checkpoint = head.checkpoint.unwrap_or_default();
                export = Some(Export {
                    format: EXPORT_FORMAT.to_owned(),
                    customer: customer.clone(),
                    customer_number: head.customer_number,
                    made: head.create_time.map_or(0, |time| time.seconds.saturating_mul(1000)),
                    collector_version: head.version,
                    policy_version: head.policy_version,
                    retention_seconds: head
                        .retention
                        .and_then(|r| u64::try_from(r.seconds).ok())
                        .unwrap_or(0),
                    verifier_key: checkpoint.verifier_key,
                    checkpoint: checkpoint.note,
                    since: (since_size > 0).then(|| Since {
                        size: since_size,
                        proof: proof_text(&checkpoint.consistency_proof),
                    }),
                    entries: Vec::new(),
                });
            }
            if let Some(export) = &mut export {
                export.entries.extend(entries.into_iter().map(exported));
            }
        }
        export.ok_or_else(|| Failure::Failed("the collector gave no record".to_owned()))
    }
}

fn exported(entry: LedgerEntry) -> Exported {
    Exported { index: entry.index, leaf: entry.leaf, proof: proof_text(&entry.inclusion_proof) }
}

/// Writes a file that nobody else may read: it says what was done with a customer's data.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(bytes));
    written.map_err(Failure::io(format!("writing {}", path.display())))
}

fn show(export: &Export, record: &Record, out: Output) -> Result<(), Failure> {
    let customer = if export.customer.is_empty() { "erased".to_owned() } else { export.customer.clone() };
    let mut rows = vec![
        ("customer", format!("{customer} ({})", export.customer_number)),
        ("entries", grouped(u64::try_from(export.entries.len()).unwrap_or(u64::MAX))),
        ("takes part", record.present.as_ref().map_or_else(|| "never did".to_owned(), super::told::terms)),
        ("collected", count(record.collected_events(), "event", "events")),
        ("given out", count(record.sent_events(), "event", "events")),
    ];
    for sent in &record.sent {
        rows.push((
            "recipient",
            format!(
                "{} to {}: {} under {}, {} dictionary {}, {} to {}",
                sent.recipient,
                sent.purpose,
                count(sent.events, "event", "events"),
                super::told::under(&sent.under),
                sent.under.product,
                sent.under.dictionary,
                millis_text(sent.period.from.0),
                millis_text(sent.period.until.0)
            ),
        ));
    }
    rows.push(("erasures", grouped(u64::try_from(record.erasures.len()).unwrap_or(u64::MAX))));
    out.table(&pairs(rows))
}
