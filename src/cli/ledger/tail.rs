//! `usaged ledger tail`: the last entries, newest last.

use clap::Args;
use serde_json::{Value as Json, json};

use super::told;
use crate::cli::batch_text::time_text;
use crate::cli::connect::{Server, refused};
use crate::cli::exit::Failure;
use crate::cli::output::{Output, table};
use crate::grpc::proto::admin::{LedgerEntry, ListLedgerEntriesRequest};
use crate::ledger::Leaf;

/// The most that one page may hold.
const PAGE: u64 = 1_000;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  usaged ledger tail
  usaged ledger tail --limit 500 --json")]
pub(super) struct TailArgs {
    /// Show at most so many.
    #[arg(long, default_value_t = 20)]
    limit: u64,
    #[command(flatten)]
    server: Server,
}

impl TailArgs {
    pub async fn run(self, out: Output) -> Result<(), Failure> {
        let mut client = self.server.ledger().await?;
        let mut found: Vec<LedgerEntry> = Vec::new();
        let (mut left, mut page_token) = (self.limit, String::new());
        while left > 0 {
            let page_size = i32::try_from(left.min(PAGE)).unwrap_or(1);
            let request = ListLedgerEntriesRequest { page_size, page_token };
            let page =
                client.list_ledger_entries(request).await.map_err(|status| refused(&status))?.into_inner();
            left = left.saturating_sub(u64::try_from(page.entries.len()).unwrap_or(left));
            found.extend(page.entries);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        found.reverse();
        if out.is_json() {
            let all: Vec<_> = found.iter().map(entry_json).collect();
            return out.json(&json!({ "entries": all }));
        }
        let mut shown = table(&["entry", "when", "what"]);
        for entry in &found {
            let when = entry.time.as_ref().map(time_text).unwrap_or_default();
            let leaf = Leaf::read(entry.index, entry.leaf.clone().into_bytes());
            shown.add_row([
                entry.index.to_string(),
                when,
                leaf.map(|leaf| told::line(&leaf)).unwrap_or_default(),
            ]);
        }
        out.table(&shown)
    }
}

fn entry_json(entry: &LedgerEntry) -> Json {
    let leaf: Json = serde_json::from_str(&entry.leaf).unwrap_or_default();
    json!({ "index": entry.index, "entry": leaf })
}
