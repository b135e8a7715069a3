//! `usaged participation audit`: what is stored of one customer, opened, as it would leave.

use clap::Args;

use crate::cli::batch_text;
use crate::cli::connect::{AdminClient, refused};
use crate::cli::exit::Failure;
use crate::cli::output::Output;
use crate::cli::policy::explain_batch::{headline, record_json};
use crate::grpc::client::Message as _;
use crate::grpc::proto::admin::{ListStoredBatchesRequest, StoredRecord};
use crate::grpc::proto::drain::Batch;
use crate::model::CustomerId;

/// Records of one page.
const PAGE: u64 = 100;

#[derive(Debug, Args)]
#[command(after_help = "\
It looks through the whole queue of a running collector, oldest first. Nothing is changed by
looking.

Examples:
  usaged participation set acme --level ceip=enhanced --delivery audit --reason 'trial of a month'
  usaged participation audit acme --limit 10
  usaged participation audit acme --json | jq -r '.events[].name'")]
pub(super) struct AuditArgs {
    /// The customer.
    customer: CustomerId,
    /// Show at most so many records.
    #[arg(long, default_value_t = 100)]
    limit: u64,
    /// Go on where another list ended.
    #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
    page_token: String,
}

/// Shows a record at a time: the queue may be long.
pub(super) async fn audit(admin: &mut AdminClient, args: AuditArgs, out: Output) -> Result<(), Failure> {
    let AuditArgs { customer, limit, mut page_token } = args;
    let mut left = limit;
    while left > 0 {
        let page_size = i32::try_from(left.min(PAGE)).unwrap_or(1);
        let request = ListStoredBatchesRequest { customer: customer.to_string(), page_size, page_token };
        let page = admin.list_stored_batches(request).await.map_err(|status| refused(&status))?.into_inner();
        left = left.saturating_sub(u64::try_from(page.records.len()).unwrap_or(left));
        page.records.iter().try_for_each(|record| show(record, out))?;
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if page_token.is_empty() || out.is_json() {
        return Ok(());
    }
    out.line(&format!("there may be more: usaged participation audit {customer} --page-token {page_token}"))
}

/// As JSON, a record a line; for people, its head and an event a line.
fn show(record: &StoredRecord, out: Output) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(&record_json(record));
    }
    out.line(&headline(record))?;
    let batch = Batch::decode(&*record.batch).unwrap_or_default();
    for line in batch_text::lines(&batch, record.commit_number) {
        out.line(&format!("  {} {} {}", text(&line, "time"), text(&line, "name"), field(&line, "fields")))?;
    }
    Ok(())
}

fn text(line: &serde_json::Value, name: &str) -> String {
    line.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
}

fn field(line: &serde_json::Value, name: &str) -> String {
    line.get(name).map(ToString::to_string).unwrap_or_default()
}
