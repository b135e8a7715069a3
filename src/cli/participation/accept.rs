//! `usaged participation accept`: new data needs a new consent. Shows what a version of a dictionary
//! brings at the customer's levels, and records that it was accepted or withdrawn.

use clap::Args;
use serde_json::json;

use super::{AdminClient, ChangeReason, text};
use crate::cli::connect::refused;
use crate::cli::exit::Failure;
use crate::cli::output::{Output, grouped, right, table};
use crate::grpc::proto::admin::{AcceptDictionaryRequest, AcceptDictionaryResponse};
use crate::model::{CustomerId, ProductName};

#[derive(Debug, Args)]
#[command(after_help = "\
Events and fields that are newer than the version a customer has accepted are withheld. A lower
version than the one before withdraws what was accepted since; what was withheld before an
acceptance never comes back.

Examples:
  usaged participation accept acme --dry-run
  usaged participation accept acme --product vcenter --reason 'mail of the data protection officer'
  usaged participation accept acme --product vcenter --version 1 --reason 'withdrawn, ticket 4711'")]
pub(super) struct AcceptArgs {
    /// The customer.
    customer: CustomerId,
    /// The product whose dictionary is accepted; when not given, every product.
    #[arg(long)]
    product: Option<ProductName>,
    /// The version up to which data may be stored; when not given, the present one. 0 accepts nothing.
    #[arg(long, requires = "product")]
    version: Option<u32>,
    /// Show what would become visible, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Who asks for the change; when not given, who you are on this machine.
    #[arg(long, env = "USAGED_BY", hide_env_values = true)]
    by: Option<String>,
    /// Why: a ticket, a contract, a decision.
    #[arg(long, required_unless_present = "dry_run")]
    reason: Option<String>,
    /// Change only if the present revision is this one.
    #[arg(long, value_name = "REVISION", default_value_t = 0, hide_default_value = true)]
    if_revision: u64,
}

pub(super) async fn accept(admin: &mut AdminClient, args: AcceptArgs, out: Output) -> Result<(), Failure> {
    let dry_run = args.dry_run;
    let warrant = ChangeReason { by: args.by, reason: args.reason.unwrap_or_default() };
    let (changed_by, change_reason) = warrant.told();
    let request = AcceptDictionaryRequest {
        customer: args.customer.to_string(),
        product: args.product.map(|product| product.to_string()).unwrap_or_default(),
        version: args.version,
        changed_by,
        change_reason,
        if_revision: args.if_revision,
        validate_only: dry_run,
    };
    let answer = admin.accept_dictionary(request).await.map_err(|status| refused(&status))?.into_inner();
    if out.is_json() {
        return out.json(&as_json(&answer, dry_run));
    }
    show(&answer, dry_run, out)
}

fn as_json(answer: &AcceptDictionaryResponse, dry_run: bool) -> serde_json::Value {
    let steps: Vec<_> = answer
        .steps
        .iter()
        .map(|step| json!({ "product": step.product, "before": step.before, "after": step.after }))
        .collect();
    let changes: Vec<_> = answer
        .changes
        .iter()
        .map(|change| {
            json!({
                "product": change.product, "event": change.event,
                "field": Some(&change.field).filter(|field| !field.is_empty()),
                "program": change.program, "level": change.level, "description": change.description,
                "before": change.before, "after": change.after, "direction": change.direction,
                "since": change.since,
            })
        })
        .collect();
    json!({
        "dry_run": dry_run,
        "changed": answer.changed,
        "dictionaries": steps,
        "changes": changes,
        "total_changes": answer.total_changes,
        "policy_version": answer.policy_version,
        "participation": answer.participation.as_ref().map(text::json),
    })
}

fn show(answer: &AcceptDictionaryResponse, dry_run: bool, out: Output) -> Result<(), Failure> {
    if answer.steps.is_empty() {
        return out.line("nothing to do: these versions were accepted already");
    }
    let mut steps = table(&["product", "accepted before", "accepted after"]);
    for step in &answer.steps {
        steps.add_row([step.product.clone(), step.before.to_string(), step.after.to_string()]);
    }
    right(&mut steps, [1, 2]);
    out.table(&steps)?;
    if answer.changes.is_empty() {
        out.line("at the levels of this customer, nothing becomes more or less visible")?;
    } else {
        let mut changes = table(&["visible", "what", "at", "before", "after", "it tells"]);
        for change in &answer.changes {
            let what = [&change.product, &change.event, &change.field].map(String::as_str);
            let at = format!("{} {}", change.program, change.level);
            changes.add_row([
                &change.direction,
                what.join(" ").trim_end(),
                &at,
                &change.before,
                &change.after,
                &change.description,
            ]);
        }
        out.table(&changes)?;
    }
    let shown = u64::try_from(answer.changes.len()).unwrap_or(u64::MAX);
    if answer.total_changes > shown {
        out.line(&format!("{} more are not shown", grouped(answer.total_changes.saturating_sub(shown))))?;
    }
    let revision = answer.participation.as_ref().map_or(0, |participation| participation.revision);
    if dry_run {
        out.line("this was a dry run: nothing was changed")
    } else {
        out.line(&format!("recorded as revision {revision}; it holds from the next batch on"))
    }
}
