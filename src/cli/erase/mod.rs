//! `usaged erase`: erasing what was collected, and following it to its receipt.

mod text;

use std::io::Read as _;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use uuid::Uuid;

use super::connect::{ErasureClient, Server, refused};
use super::counting;
use super::exit::Failure;
use super::output::Output;
use super::participation::who;
use crate::grpc::client::Timestamp;
use crate::grpc::proto::admin::count_erasure_response::Told;
use crate::grpc::proto::admin::erase_request::Scope;
use crate::grpc::proto::admin::erasure::State;
use crate::grpc::proto::admin::{
    CountErasureResponse, EraseRequest, Erasure, GetErasureRequest, ListErasuresRequest, OriginalIdentifier,
    TimeRange,
};
use crate::model::{CustomerId, IdentifierClass};

/// How often a running erasure is asked how far it is.
const ASK: Duration = Duration::from_millis(200);
/// How often it is asked, once it is done, whether the ledger holds the entry that says so: half a minute in all. A ledger
/// that is not written holds up nobody who wants to know that the data is gone.
const ASKED_FOR_RECEIPT: usize = 150;

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    group = ArgGroup::new("scope").args(["everything", "instance", "class", "from"]),
    after_help = "\
Examples:
  usaged erase --customer acme --everything --reference ticket-4711
  usaged erase --customer acme --class host_name --value esx-1.example.com --dry-run
  echo esx-1.example.com | usaged erase --customer acme --class host_name --value -
  usaged erase --customer acme --from 2026-01-01T00:00:00Z --until 2026-02-01T00:00:00Z
  usaged erase status 0198c0de-0000-7000-8000-000000000001
  usaged erase list"
)]
pub(super) struct EraseArgs {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show how far an erasure is, or its receipt.
    #[command(after_help = "Example:\n  usaged erase status 0198c0de-0000-7000-8000-000000000001 --json")]
    Status {
        /// The id of the erasure.
        id: Uuid,
        /// Wait until it is done.
        #[arg(long)]
        wait: bool,
    },
    /// List erasures, newest first.
    #[command(after_help = "Example:\n  usaged erase list")]
    List,
}

/// What to erase.
#[derive(Debug, Args)]
struct What {
    /// The customer.
    #[arg(long)]
    customer: Option<CustomerId>,
    /// Everything of the customer. Its keys are destroyed, so that copies and backups of its data cannot be read
    /// either.
    #[arg(long)]
    everything: bool,
    /// Everything of one installation, by the id that its senders use.
    #[arg(long, value_name = "ID")]
    instance: Option<String>,
    /// Every event that holds an identifier of this class, such as `host_name`: the one in --value.
    #[arg(long, requires = "value")]
    class: Option<IdentifierClass>,
    /// The identifier as it was before it was treated, in any of its forms; `-` reads it from standard input, so
    /// that it does not show in the list of processes.
    #[arg(long, requires = "class")]
    value: Option<String>,
    /// Every event that happened from this time on (RFC 3339) …
    #[arg(long, requires = "until", value_name = "TIME", value_parser = time)]
    from: Option<jiff::Timestamp>,
    /// … until this one, excluded.
    #[arg(long, requires = "from", value_name = "TIME", value_parser = time)]
    until: Option<jiff::Timestamp>,
    /// A reference for the record, such as a ticket: letters, digits, `.`, `_` and `-`. It must not name anybody.
    #[arg(long, default_value = "")]
    reference: String,
    /// Who asks for it, for the ledger; when not given, who you are on this machine.
    #[arg(long, env = "USAGED_BY", hide_env_values = true)]
    by: Option<String>,
    /// The id of this erasure, a UUID; made up when not given. The same id again is the same erasure.
    #[arg(long)]
    id: Option<Uuid>,
    /// Only count what would be erased: the queue is looked through, which takes a while if it is large.
    #[arg(long)]
    dry_run: bool,
    /// Do not wait until the disk is rewritten. The data is out of reach either way.
    #[arg(long)]
    no_wait: bool,
}

impl EraseArgs {
    pub async fn run(self, out: Output) -> Result<(), Failure> {
        let Self { action, what, server } = self;
        match action {
            None => {
                // Whoever types it wrong learns that before anybody is asked, also when the collector cannot be reached.
                let request = what.request()?;
                erase(&mut server.erasure().await?, request, !what.no_wait, out).await
            }
            Some(Action::Status { id, wait }) => {
                let mut erasures = server.erasure().await?;
                let request = GetErasureRequest { erasure_id: id.to_string() };
                let got =
                    erasures.get_erasure(request).await.map_err(|status| refused(&status))?.into_inner();
                let got = if wait { follow(&mut erasures, got, out).await? } else { got };
                text::show(&got, out)
            }
            Some(Action::List) => list(&mut server.erasure().await?, out).await,
        }
    }
}

async fn erase(
    erasures: &mut ErasureClient,
    request: EraseRequest,
    waits: bool,
    out: Output,
) -> Result<(), Failure> {
    if request.dry_run {
        return text::show(&count(erasures, request, out).await?, out);
    }
    let begun = erasures.erase(request).await.map_err(|status| refused(&status))?.into_inner();
    let erasure = if waits { follow(erasures, begun, out).await? } else { begun };
    text::show(&erasure, out)
}

/// Has it counted.
async fn count(erasures: &mut ErasureClient, request: EraseRequest, out: Output) -> Result<Erasure, Failure> {
    let answers = erasures.count_erasure(request).await.map_err(|status| refused(&status))?.into_inner();
    let read = |answer: CountErasureResponse| {
        answer.told.map(|told| match told {
            Told::Progress(at) => counting::Told::Progress(at),
            Told::Counted(counted) => counting::Told::Counted(counted),
        })
    };
    counting::counted(answers, out, read).await
}

impl What {
    /// What the collector is asked. Reads the value from standard input, if it is there.
    fn request(&self) -> Result<EraseRequest, Failure> {
        let customer = self.customer.as_ref().ok_or_else(|| {
            Failure::Usage("name the customer with --customer; see `usaged erase --help`".to_owned())
        })?;
        let id = self.id.unwrap_or_else(Uuid::now_v7);
        Ok(EraseRequest {
            erasure_id: id.to_string(),
            customer: customer.to_string(),
            scope: Some(self.scope()?),
            reference: self.reference.clone(),
            dry_run: self.dry_run,
            requested_by: who(self.by.clone()),
        })
    }

    fn scope(&self) -> Result<Scope, Failure> {
        let stamp =
            |time: jiff::Timestamp| Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() };
        if self.everything {
            return Ok(Scope::WholeCustomer(true));
        }
        if let Some(instance) = &self.instance {
            return Ok(Scope::Instance(instance.clone()));
        }
        if let (Some(class), Some(value)) = (self.class, &self.value) {
            let value = if value == "-" { read_value()? } else { value.clone() };
            return Ok(Scope::Identifier(OriginalIdentifier { class: class.as_str().to_owned(), value }));
        }
        if let (Some(from), Some(until)) = (self.from, self.until) {
            return Ok(Scope::Times(TimeRange { from: Some(stamp(from)), until: Some(stamp(until)) }));
        }
        let what = "say what to erase: --everything, --instance ID, --class CLASS --value VALUE, or --from TIME --until TIME";
        Err(Failure::Usage(what.to_owned()))
    }
}

/// Bytes of standard input: more than any value has.
const INPUT_BYTES: u64 = 64 * 1024;

/// The one line of standard input. With several, somebody would believe that all of them were erased.
fn read_value() -> Result<String, Failure> {
    let mut text = String::new();
    let input = std::io::stdin().lock();
    let read = input.take(INPUT_BYTES).read_to_string(&mut text);
    read.map_err(Failure::io("reading the value from standard input"))?;
    the_line(&text).map(str::to_owned).map_err(|what| {
        Failure::Usage(format!("standard input {what}: give it one value, alone on its line"))
    })
}

fn the_line(text: &str) -> Result<&str, &'static str> {
    let mut lines = text.lines().filter(|line| !line.is_empty());
    match (lines.next(), lines.next()) {
        (None, _) => Err("has no value"),
        (Some(value), None) => Ok(value),
        (Some(_), Some(_)) => Err("has several lines, and one erasure is of one value"),
    }
}

/// Asks until it is done and has its receipt, with a bar over the batches.
async fn follow(erasures: &mut ErasureClient, begun: Erasure, out: Output) -> Result<Erasure, Failure> {
    let bar = out.progress(Some(begun.total_batches), "rewriting");
    let mut now = begun;
    while !matches!(now.state(), State::Done | State::DryRun) {
        bar.set_length(now.total_batches);
        bar.set_position(now.scanned_batches);
        bar.set_message(match now.state() {
            State::Purging => "taking old bytes off the disk",
            State::Verifying => "reading the disk back",
            State::Unspecified | State::DryRun | State::Fenced | State::Done => "rewriting",
        });
        now = ask_again(erasures, now).await?;
    }
    bar.set_message("waiting for the ledger");
    for _ in 0..ASKED_FOR_RECEIPT {
        if now.state() == State::DryRun || !now.checkpoint.is_empty() {
            break;
        }
        now = ask_again(erasures, now).await?;
    }
    bar.finish_and_clear();
    Ok(now)
}

/// How far it is a moment later.
async fn ask_again(erasures: &mut ErasureClient, now: Erasure) -> Result<Erasure, Failure> {
    tokio::time::sleep(ASK).await;
    let request = GetErasureRequest { erasure_id: now.erasure_id };
    Ok(erasures.get_erasure(request).await.map_err(|status| refused(&status))?.into_inner())
}

/// A time as it is given.
fn time(text: &str) -> Result<jiff::Timestamp, String> {
    text.parse().map_err(|_| "it is no time in the form of RFC 3339, such as 2026-11-27T09:30:00Z".to_owned())
}

async fn list(erasures: &mut ErasureClient, out: Output) -> Result<(), Failure> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListErasuresRequest { page_size: 1_000, page_token };
        let page = erasures.list_erasures(request).await.map_err(|status| refused(&status))?.into_inner();
        all.extend(page.erasures);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return text::show_all(&all, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::the_line;

    #[test]
    fn standard_input_gives_one_value_and_never_the_first_of_several() {
        for one in ["esx01", "esx01\n", "esx01\r\n", "\nesx01\n\n"] {
            assert_eq!(the_line(one), Ok("esx01"), "{one:?}");
        }
        assert!(the_line("").is_err() && the_line("\n\r\n").is_err());
        assert!(the_line("esx01\nesx02\n").is_err_and(|what| what.contains("several lines")));
    }
}
