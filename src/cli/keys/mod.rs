//! `usaged keys`: the root key, key epochs and bridges of a running collector.

mod bridge;

use clap::{Args, Subcommand};
use serde_json::json;

use super::batch_text::time_text;
use super::connect::{KeyClient, Server, refused};
use super::exit::Failure;
use super::output::{Output, pairs};
use super::participation::ChangeReason;
use crate::config::Span;
use crate::grpc::proto::admin::{GetKeyStatusRequest, RotateRootKeyRequest};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  usaged keys status
  usaged keys rotate-root --reason 'yearly change'
  usaged keys bridge create acme --from 688 --until 2026-12-31T00:00:00Z --reason 'ticket 4711'")]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show which root key opens the store, and of which epochs there are keys.
    #[command(after_help = "Example:\n  usaged keys status --json")]
    Status,
    /// Change the root key while the collector runs. No pseudonym and no stored batch changes.
    RotateRoot(RotateArgs),
    /// Keep the keys of an older epoch of a customer, so that its rotating pseudonyms can be looked up.
    Bridge(bridge::BridgeArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
The new key is read by the collector, on its own host, from the file of the root key with .next
after its name; it goes over no wire. The collector then renames that file over the old one. Keep
the old key with the backups that were made under it: they open with no other.

Examples:
  (umask 077; openssl rand -hex 32 > /var/lib/usaged.key.next)
  usaged keys rotate-root --reason 'yearly change'
  usaged keys rotate-root --new-key-file /var/lib/usaged.key.next --reason 'ticket 4711'")]
struct RotateArgs {
    /// The file with the new key, on the collector's host, as a check that it is the one you mean.
    #[arg(long, value_name = "FILE", default_value = "", hide_default_value = true)]
    new_key_file: String,
    #[command(flatten)]
    reason: ChangeReason,
}

impl KeysArgs {
    pub async fn run(self, out: Output) -> Result<(), Failure> {
        let mut keys = self.server.keys().await?;
        match self.action {
            Action::Status => status(&mut keys, out).await,
            Action::RotateRoot(args) => rotate(&mut keys, args, out).await,
            Action::Bridge(args) => args.run(&mut keys, out).await,
        }
    }
}

async fn status(keys: &mut KeyClient, out: Output) -> Result<(), Failure> {
    let told =
        keys.get_key_status(GetKeyStatusRequest {}).await.map_err(|status| refused(&status))?.into_inner();
    let next = told.next_epoch_time.as_ref().map(time_text).unwrap_or_default();
    let length = told.epoch_length.and_then(|length| std::time::Duration::try_from(length).ok());
    let length = Span(length.unwrap_or_default()).to_string();
    if out.is_json() {
        return out.json(&json!({
            "root_key_id": told.root_key_id,
            "epoch": told.epoch,
            "oldest_epoch": told.oldest_epoch,
            "next_epoch_time": next,
            "epoch_length": length,
            "bridges": told.bridges,
            "purge_due": told.purge_due,
        }));
    }
    out.table(&pairs([
        ("root key", told.root_key_id),
        ("epoch", told.epoch.to_string()),
        ("oldest epoch with keys", told.oldest_epoch.to_string()),
        ("next epoch", next),
        ("an epoch lasts", length),
        ("bridges", told.bridges.to_string()),
        (
            "keys that are gone",
            if told.purge_due { "some may still be in files" } else { "in no file" }.to_owned(),
        ),
    ]))
}

async fn rotate(keys: &mut KeyClient, args: RotateArgs, out: Output) -> Result<(), Failure> {
    let (changed_by, change_reason) = args.reason.told();
    // The collector compares names, and has another working directory than this command.
    let new_key_file = if args.new_key_file.is_empty() {
        args.new_key_file
    } else {
        let path =
            std::path::absolute(&args.new_key_file).map_err(Failure::io("finding the new key file"))?;
        path.display().to_string()
    };
    let request = RotateRootKeyRequest { new_key_file, changed_by, change_reason };
    let done = keys.rotate_root_key(request).await.map_err(|status| refused(&status))?.into_inner();
    if out.is_json() {
        let rest = Some(&done.remaining_step).filter(|step| !step.is_empty());
        let (id, before) = (&done.root_key_id, &done.previous_root_key_id);
        let due = done.purge_due;
        out.json(&json!({
            "root_key_id": id,
            "previous_root_key_id": before,
            "remaining_step": rest,
            "purge_due": due,
        }))?;
    } else {
        let (id, before) = (&done.root_key_id, &done.previous_root_key_id);
        out.line(&if done.purge_due {
            format!(
                "the root key is {id} now; files of the store may still hold what {before} opens, and are being rewritten: \
                 `usaged keys status` says when none does"
            )
        } else {
            format!("the root key is {id} now, {before} opens no store any more")
        })?;
    }
    match done.remaining_step {
        step if step.is_empty() => Ok(()),
        step => Err(Failure::Partly(format!("the key is changed; one step is left: {step}"))),
    }
}
