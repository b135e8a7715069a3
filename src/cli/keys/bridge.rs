//! `usaged keys bridge`: the keys of older epochs that are kept for longer.

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use crate::cli::batch_text::time_text;
use crate::cli::connect::{KeyClient, refused};
use crate::cli::exit::Failure;
use crate::cli::output::{Output, right, table};
use crate::cli::participation::ChangeReason;
use crate::grpc::client::Timestamp;
use crate::grpc::proto::admin::{Bridge, CreateBridgeRequest, EraseBridgeRequest, ListBridgesRequest};
use crate::model::CustomerId;

#[derive(Debug, Args)]
#[command(after_help = "\
A bridge opens its one epoch, for `usaged pseudonym` and for nothing else. It ends by itself.

Examples:
  usaged keys bridge create acme --from 688 --until 2026-12-31T00:00:00Z --reason 'ticket 4711'
  usaged keys bridge list
  usaged keys bridge erase acme 688 --reason 'the join is done'")]
pub(super) struct BridgeArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Keep the keys of an epoch that are still there.
    #[command(
        after_help = "Example:\n  usaged keys bridge create acme --from 688 --until 2026-12-31T00:00:00Z --reason 'ticket 4711'"
    )]
    Create {
        /// The customer.
        customer: CustomerId,
        /// The epoch; `usaged keys status` tells which there are.
        #[arg(long = "from", value_name = "EPOCH")]
        epoch: u32,
        /// When the bridge ends (RFC 3339), at most 400 days from now.
        #[arg(long, value_name = "TIME")]
        until: jiff::Timestamp,
        #[command(flatten)]
        reason: ChangeReason,
    },
    /// List the bridges that have not ended.
    #[command(after_help = "Example:\n  usaged keys bridge list --customer acme --json")]
    List {
        /// Only those of this customer.
        #[arg(long)]
        customer: Option<CustomerId>,
    },
    /// Erase a bridge before it ends.
    #[command(after_help = "Example:\n  usaged keys bridge erase acme 688 --reason 'the join is done'")]
    Erase {
        /// The customer.
        customer: CustomerId,
        /// The epoch.
        epoch: u32,
        #[command(flatten)]
        reason: ChangeReason,
    },
}

impl BridgeArgs {
    pub(super) async fn run(self, keys: &mut KeyClient, out: Output) -> Result<(), Failure> {
        match self.action {
            Action::Create { customer, epoch, until, reason } => {
                let (created_by, create_reason) = reason.told();
                let expire_time = Timestamp { seconds: until.as_second(), nanos: until.subsec_nanosecond() };
                let request = CreateBridgeRequest {
                    customer: customer.to_string(),
                    epoch,
                    expire_time: Some(expire_time),
                    created_by,
                    create_reason,
                };
                let made = keys.create_bridge(request).await.map_err(|status| refused(&status))?;
                show(&[made.into_inner()], out)
            }
            Action::List { customer } => {
                let customer = customer.map(|id| id.to_string()).unwrap_or_default();
                let listed = keys
                    .list_bridges(ListBridgesRequest { customer })
                    .await
                    .map_err(|status| refused(&status))?;
                show(&listed.into_inner().bridges, out)
            }
            Action::Erase { customer, epoch, reason } => {
                let (erased_by, erase_reason) = reason.told();
                let request =
                    EraseBridgeRequest { customer: customer.to_string(), epoch, erased_by, erase_reason };
                let erased = keys.erase_bridge(request).await.map_err(|status| refused(&status))?;
                let due = erased.into_inner().purge_due;
                if out.is_json() {
                    return out.json(&json!({
                        "erased": { "customer": customer, "epoch": epoch },
                        "purge_due": due,
                    }));
                }
                let due = if due {
                    "; files of the store may still hold its keys, and are being rewritten: `usaged keys status` says when none does"
                } else {
                    ""
                };
                out.line(&format!("erased the bridge of epoch {epoch} of {customer}{due}"))
            }
        }
    }
}

fn show(bridges: &[Bridge], out: Output) -> Result<(), Failure> {
    let time = |time: &Option<Timestamp>| time.as_ref().map(time_text).unwrap_or_default();
    if out.is_json() {
        let all: Vec<Json> = bridges
            .iter()
            .map(|one| {
                json!({
                    "customer": one.customer,
                    "epoch": one.epoch,
                    "create_time": time(&one.create_time),
                    "expire_time": time(&one.expire_time),
                    "created_by": one.created_by,
                    "create_reason": one.create_reason,
                })
            })
            .collect();
        return out.json(&json!({ "bridges": all }));
    }
    let mut shown = table(&["customer", "epoch", "made", "ends", "who", "why"]);
    for one in bridges {
        let (made, ends) = (time(&one.create_time), time(&one.expire_time));
        shown.add_row([
            &one.customer,
            &one.epoch.to_string(),
            &made,
            &ends,
            &one.created_by,
            &one.create_reason,
        ]);
    }
    right(&mut shown, [1]);
    out.table(&shown)
}
