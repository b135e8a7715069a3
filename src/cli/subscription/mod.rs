//! `usaged subscription`: named drainers of a running collector.

mod text;

use clap::{ArgGroup, Args, Subcommand};
use serde_json::json;

use self::text::{dead_letter_json, json_of, purpose_word, show};
pub(super) use self::text::{wire_duration, wire_purpose};
use super::batch_text::time_text;
use super::connect::{DrainClient, Server, refused};
use super::exit::Failure;
use super::output::{Output, grouped, right, table};
use crate::config::Span;
use crate::grpc::client::Timestamp;
use crate::grpc::proto::drain::seek_request::Target;
use crate::grpc::proto::drain::{
    CreateSubscriptionRequest, DeleteSubscriptionRequest, GetSubscriptionRequest, ListDeadLettersRequest,
    ListSubscriptionsRequest, ReplayDeadLettersRequest, SeekRequest, Subscription,
};
use crate::model::{ProductName, ProgramName, Purpose, SubscriptionName};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  usaged subscription create improve-team --purpose improve --recipient 'product analytics' --from-oldest
  usaged subscription list
  usaged subscription seek improve-team --time 2026-01-31T00:00:00Z
  usaged subscription dead-letters improve-team
  usaged subscription replay improve-team --all")]
pub(super) struct SubscriptionArgs {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create a subscription.
    Create(CreateArgs),
    /// List the subscriptions, with their backlogs.
    #[command(after_help = "Example:\n  usaged subscription list")]
    List,
    /// Show one subscription.
    #[command(after_help = "Example:\n  usaged subscription get improve-team --json")]
    Get {
        /// Its name.
        name: SubscriptionName,
    },
    /// Delete a subscription with its cursor, leases and dead letters. Stored batches stay.
    #[command(after_help = "Example:\n  usaged subscription delete improve-team")]
    Delete {
        /// Its name.
        name: SubscriptionName,
    },
    /// Move the cursor, back for a replay or forward to skip. Leases end.
    Seek(SeekArgs),
    /// List batches that were given up after too many attempts.
    #[command(after_help = "Example:\n  usaged subscription dead-letters improve-team --batches --json")]
    DeadLetters {
        /// The subscription.
        name: SubscriptionName,
        /// Show at most so many.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i32).range(1..=1000))]
        limit: i32,
        /// Show the batches themselves, as far as the purpose allows.
        #[arg(long)]
        batches: bool,
    },
    /// Put dead letters back into delivery.
    #[command(
        after_help = "Example:\n  usaged subscription replay improve-team 17 23\n  usaged subscription replay improve-team --all"
    )]
    Replay {
        /// The subscription.
        name: SubscriptionName,
        /// The commit numbers of the dead letters.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        commits: Vec<u64>,
        /// Every dead letter.
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  usaged subscription create improve-team --purpose improve --recipient 'product analytics' --from-oldest
  usaged subscription create vcenter-health --purpose deliver --recipient support --product vcenter")]
struct CreateArgs {
    /// The name: a-z, 0-9 and -.
    name: SubscriptionName,
    /// The one purpose: deliver, recommend or improve. Only fields that may be used for it are delivered.
    #[arg(long)]
    purpose: Purpose,
    /// Who receives the data, for the record of processing.
    #[arg(long)]
    recipient: String,
    /// Only batches of this program. Can be given several times.
    #[arg(long = "program", value_name = "PROGRAM")]
    programs: Vec<ProgramName>,
    /// Only batches of this product. Can be given several times.
    #[arg(long = "product", value_name = "PRODUCT")]
    products: Vec<ProductName>,
    /// How long a lease lasts, 1s to 600s.
    #[arg(long, default_value = "60s")]
    ack_deadline: Span,
    /// Deliveries before a batch becomes a dead letter, 1 to 100.
    #[arg(long, default_value_t = 5)]
    max_attempts: u32,
    /// Begin with the oldest batch that is stored, not with the next one.
    #[arg(long)]
    from_oldest: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  usaged subscription seek improve-team --time 2026-01-31T00:00:00Z
  usaged subscription seek improve-team --newest")]
#[command(group = ArgGroup::new("target").required(true).args(["time", "commit", "oldest", "newest"]))]
struct SeekArgs {
    /// The subscription.
    name: SubscriptionName,
    /// To the first batch received at this time (RFC 3339) or later.
    #[arg(long)]
    time: Option<jiff::Timestamp>,
    /// To this commit number.
    #[arg(long)]
    commit: Option<u64>,
    /// To the oldest batch that is stored.
    #[arg(long)]
    oldest: bool,
    /// Past the newest batch.
    #[arg(long)]
    newest: bool,
}

impl SubscriptionArgs {
    pub async fn run(self, out: Output) -> Result<(), Failure> {
        let mut drain = self.server.drain().await?;
        match self.action {
            Action::Create(args) => create(&mut drain, args, out).await,
            Action::List => list(&mut drain, out).await,
            Action::Get { name } => {
                let request = GetSubscriptionRequest { name: name.to_string() };
                let got = drain.get_subscription(request).await.map_err(|status| refused(&status))?;
                show(&got.into_inner(), out)
            }
            Action::Delete { name } => {
                let request = DeleteSubscriptionRequest { name: name.to_string() };
                drain.delete_subscription(request).await.map_err(|status| refused(&status))?;
                if out.is_json() {
                    out.json(&json!({ "deleted": name }))
                } else {
                    out.line(&format!("deleted {name}"))
                }
            }
            Action::Seek(args) => seek(&mut drain, args, out).await,
            Action::DeadLetters { name, limit, batches } => {
                dead_letters(&mut drain, &name, limit, batches, out).await
            }
            Action::Replay { name, commits, all: _ } => {
                let request =
                    ReplayDeadLettersRequest { subscription: name.to_string(), commit_numbers: commits };
                let done = drain.replay_dead_letters(request).await.map_err(|status| refused(&status))?;
                let replayed = done.into_inner().replayed;
                let line = format!("{replayed} batches will be delivered again");
                if out.is_json() { out.json(&json!({ "replayed": replayed })) } else { out.line(&line) }
            }
        }
    }
}

async fn create(drain: &mut DrainClient, args: CreateArgs, out: Output) -> Result<(), Failure> {
    let subscription = Subscription {
        name: args.name.to_string(),
        purpose: wire_purpose(args.purpose).into(),
        recipient: args.recipient,
        programs: args.programs.iter().map(ToString::to_string).collect(),
        products: args.products.iter().map(ToString::to_string).collect(),
        ack_deadline: Some(wire_duration(args.ack_deadline.0)),
        max_delivery_attempts: args.max_attempts,
        from_oldest: args.from_oldest,
        ..Subscription::default()
    };
    let request = CreateSubscriptionRequest { subscription: Some(subscription) };
    let made = drain.create_subscription(request).await.map_err(|status| refused(&status))?;
    show(&made.into_inner(), out)
}

async fn list(drain: &mut DrainClient, out: Output) -> Result<(), Failure> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListSubscriptionsRequest { page_size: 1_000, page_token };
        let page = drain.list_subscriptions(request).await.map_err(|status| refused(&status))?.into_inner();
        all.extend(page.subscriptions);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if out.is_json() {
        return out.json(&json!({ "subscriptions": all.iter().map(json_of).collect::<Vec<_>>() }));
    }
    let mut shown = table(&["name", "purpose", "recipient", "cursor", "waiting", "leased", "dead", "oldest"]);
    for one in &all {
        let oldest = one.oldest_age.as_ref().map_or(String::new(), |age| format!("{} s", age.seconds));
        shown.add_row([
            one.name.clone(),
            purpose_word(one.purpose).to_owned(),
            one.recipient.clone(),
            one.cursor.to_string(),
            grouped(one.waiting_batches),
            grouped(one.leased_batches),
            grouped(one.dead_batches),
            oldest,
        ]);
    }
    right(&mut shown, 3..8);
    out.table(&shown)
}

async fn seek(drain: &mut DrainClient, args: SeekArgs, out: Output) -> Result<(), Failure> {
    let target = match (args.time, args.commit) {
        (Some(time), _) => {
            Target::Time(Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() })
        }
        (None, Some(commit)) => Target::CommitNumber(commit),
        (None, None) => Target::Oldest(args.oldest),
    };
    let request = SeekRequest { subscription: args.name.to_string(), target: Some(target) };
    let cursor = drain.seek(request).await.map_err(|status| refused(&status))?.into_inner().cursor;
    if out.is_json() {
        out.json(&json!({ "cursor": cursor }))
    } else {
        out.line(&format!("{} continues with commit {cursor}", args.name))
    }
}

async fn dead_letters(
    drain: &mut DrainClient,
    name: &SubscriptionName,
    page_size: i32,
    include_batches: bool,
    out: Output,
) -> Result<(), Failure> {
    let (subscription, page_token) = (name.to_string(), String::new());
    let request = ListDeadLettersRequest { subscription, page_size, page_token, include_batches };
    let page = drain.list_dead_letters(request).await.map_err(|status| refused(&status))?.into_inner();
    if out.is_json() {
        let all: Vec<_> = page.dead_letters.iter().map(dead_letter_json).collect();
        return out.json(&json!({ "dead_letters": all, "more": !page.next_page_token.is_empty() }));
    }
    let mut shown = table(&["commit", "attempts", "since", "reason", "batch"]);
    for letter in &page.dead_letters {
        let batch = letter.batch.as_ref().map_or(String::new(), |bytes| format!("{} bytes", bytes.len()));
        shown.add_row([
            letter.commit_number.to_string(),
            letter.delivery_attempts.to_string(),
            letter.dead_time.as_ref().map(time_text).unwrap_or_default(),
            letter.reason.clone(),
            batch,
        ]);
    }
    out.table(&shown)
}
