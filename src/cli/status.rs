//! `usaged status`: how a running collector is.

use clap::Args;
use serde_json::json;

use super::batch_text::time_text;
use super::connect::{Server, refused};
use super::exit::Failure;
use super::output::{Output, grouped, pairs};
use crate::grpc::client::Timestamp;
use crate::grpc::proto::admin::{GetStatusRequest, Status};

#[derive(Debug, Args)]
#[command(after_help = "\
The policy is read again on SIGHUP, on a change of its files, and when it is asked for; a refused one
leaves the one before in force. So it is with the rates of customers in the configuration; its other keys
take a restart. What the last reload of each did is shown here, and is in the log.

Examples:
  usaged status
  usaged status --server 127.0.0.1:7171 --json")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    server: Server,
}

impl StatusArgs {
    pub async fn run(self, out: Output) -> Result<(), Failure> {
        let mut admin = self.server.admin().await?;
        let got =
            admin.get_status(GetStatusRequest {}).await.map_err(|status| refused(&status))?.into_inner();
        if out.is_json() { out.json(&told(&got)) } else { show(&got, out) }
    }
}

fn when(time: Option<&Timestamp>) -> String {
    time.map(time_text).unwrap_or_default()
}

fn told(status: &Status) -> serde_json::Value {
    json!({
        "version": status.version, "policy_version": status.policy_version,
        "start_time": when(status.start_time.as_ref()), "last_commit": status.commit_number,
        "oldest_commit": status.oldest_commit_number, "store_bytes": status.store_bytes,
        "segments": status.segments, "damaged_records": status.damaged_records, "customers": status.customers,
        "last_reload": status.last_reload.as_ref().map(|reload| json!({
            "time": when(reload.time.as_ref()), "asked_by": reload.asked_by, "outcome": reload.outcome,
            "policy_version": reload.policy_version, "problems": reload.problems,
        })),
        "last_configuration_reload": status.last_configuration_reload.as_ref().map(|reload| json!({
            "time": when(reload.time.as_ref()), "asked_by": reload.asked_by, "outcome": reload.outcome,
            "problems": reload.problems, "need_restart": reload.need_restart,
        })),
    })
}

fn show(status: &Status, out: Output) -> Result<(), Failure> {
    let (policy, configuration) = (status.last_reload.as_ref(), status.last_configuration_reload.as_ref());
    let last = |outcome: &str, time: Option<&Timestamp>, asked_by: &str| {
        format!("{} at {}, asked for by {asked_by}", outcome.replace('_', " "), when(time))
    };
    let of_policy = policy.map(|one| last(&one.outcome, one.time.as_ref(), &one.asked_by));
    let of_configuration = configuration.map(|one| last(&one.outcome, one.time.as_ref(), &one.asked_by));
    let none = || "none".to_owned();
    out.table(&pairs([
        ("version", status.version.clone()),
        ("started", when(status.start_time.as_ref())),
        ("policy in force", status.policy_version.clone()),
        ("last reload", of_policy.unwrap_or_else(none)),
        ("configuration, last reload", of_configuration.unwrap_or_else(none)),
        ("last commit", status.commit_number.to_string()),
        ("oldest commit", status.oldest_commit_number.to_string()),
        ("segments", status.segments.to_string()),
        ("bytes on disk", grouped(status.store_bytes)),
        ("damaged records set aside", grouped(status.damaged_records)),
        ("customers", grouped(status.customers)),
    ]))?;
    let refused = policy.iter().flat_map(|one| &one.problems);
    for problem in refused.chain(configuration.iter().flat_map(|one| &one.problems)) {
        out.line(&format!("REFUSED  {problem}"))?;
    }
    for key in configuration.iter().flat_map(|one| &one.need_restart) {
        out.line(&format!("TAKES A RESTART  {key}"))?;
    }
    Ok(())
}
