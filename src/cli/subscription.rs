//! `usaged subscription`: named drainers of a running collector.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use super::batch_text::{head, time_text};
use super::connect::{DrainClient, Server, refused};
use super::exit::Failure;
use super::output::{Output, grouped, pairs, right, table};
use crate::config::Span;
use crate::grpc::client::{Message as _, ProtoDuration, Timestamp};
use crate::grpc::proto::drain::seek_request::Target;
use crate::grpc::proto::drain::{
    Batch, CreateSubscriptionRequest, DeadLetter, DeleteSubscriptionRequest, GetSubscriptionRequest,
    ListDeadLettersRequest, ListSubscriptionsRequest, Purpose as WirePurpose, ReplayDeadLettersRequest,
    SeekRequest, Subscription,
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
    List,
    /// Show one subscription.
    Get {
        /// Its name.
        name: SubscriptionName,
    },
    /// Delete a subscription with its cursor, leases and dead letters. Stored batches stay.
    Delete {
        /// Its name.
        name: SubscriptionName,
    },
    /// Move the cursor, back for a replay or forward to skip. Leases end.
    Seek(SeekArgs),
    /// List batches that were given up after too many attempts.
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
#[group(id = "target", required = true, multiple = false, args = ["time", "commit", "oldest", "newest"])]
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

/// A length of time on the wire.
pub(super) fn wire_duration(duration: Duration) -> ProtoDuration {
    ProtoDuration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}

/// A purpose on the wire.
pub(super) const fn wire_purpose(purpose: Purpose) -> WirePurpose {
    match purpose {
        Purpose::Deliver => WirePurpose::Deliver,
        Purpose::Recommend => WirePurpose::Recommend,
        Purpose::Improve => WirePurpose::Improve,
    }
}

fn purpose_word(purpose: i32) -> &'static str {
    match WirePurpose::try_from(purpose) {
        Ok(WirePurpose::Deliver) => "deliver",
        Ok(WirePurpose::Recommend) => "recommend",
        Ok(WirePurpose::Improve) => "improve",
        Ok(WirePurpose::Unspecified) | Err(_) => "?",
    }
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

fn dead_letter_json(letter: &DeadLetter) -> Json {
    let batch = letter.batch.as_ref().and_then(|bytes| Batch::decode(bytes.clone()).ok());
    let batch = batch.map(|batch| {
        let mut shown = head(&batch);
        let events: Vec<_> = super::batch_text::lines(&batch, letter.commit_number).collect();
        shown.insert("events".to_owned(), json!(events));
        shown
    });
    json!({
        "commit_number": letter.commit_number,
        "delivery_attempts": letter.delivery_attempts,
        "dead_time": letter.dead_time.as_ref().map(time_text),
        "reason": letter.reason,
        "batch": batch,
    })
}

fn json_of(one: &Subscription) -> Json {
    json!({
        "name": one.name,
        "purpose": purpose_word(one.purpose),
        "recipient": one.recipient,
        "programs": one.programs,
        "products": one.products,
        "ack_deadline_seconds": one.ack_deadline.as_ref().map(|deadline| deadline.seconds),
        "max_delivery_attempts": one.max_delivery_attempts,
        "create_time": one.create_time.as_ref().map(time_text),
        "cursor": one.cursor,
        "waiting_batches": one.waiting_batches,
        "leased_batches": one.leased_batches,
        "dead_batches": one.dead_batches,
        "oldest_age_seconds": one.oldest_age.as_ref().map(|age| age.seconds),
        "acknowledged_batches": one.acknowledged_batches,
        "expired_batches": one.expired_batches,
        "skipped_batches": one.skipped_batches,
    })
}

fn show(one: &Subscription, out: Output) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(&json_of(one));
    }
    let all_or = |names: &[String]| if names.is_empty() { "all".to_owned() } else { names.join(" ") };
    out.table(&pairs([
        ("name", one.name.clone()),
        ("purpose", purpose_word(one.purpose).to_owned()),
        ("recipient", one.recipient.clone()),
        ("programs", all_or(&one.programs)),
        ("products", all_or(&one.products)),
        (
            "ack deadline",
            one.ack_deadline.as_ref().map_or(String::new(), |deadline| format!("{} s", deadline.seconds)),
        ),
        ("attempts", one.max_delivery_attempts.to_string()),
        ("cursor", one.cursor.to_string()),
        ("waiting", grouped(one.waiting_batches)),
        ("leased", grouped(one.leased_batches)),
        ("dead", grouped(one.dead_batches)),
        ("acknowledged", grouped(one.acknowledged_batches)),
        ("expired", grouped(one.expired_batches)),
        ("skipped", grouped(one.skipped_batches)),
    ]))
}
