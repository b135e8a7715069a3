//! `usaged send`: events from a file or standard input into a running collector, with durable receipts.

mod input;
mod submit;
mod summary;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

pub(super) use self::input::{Batch, new_batch_id};
use self::input::{Batches, Head, Input};
pub(super) use self::submit::{Outcome, Submitter};
pub(super) use self::summary::Summary;
use super::connect::Server;
use super::event_text;
use super::exit::Failure;
use super::output::Output;
use crate::config::Span;
use crate::grpc::client::Encoding;
use crate::grpc::proto::ingest::{ProgramLevel, Reason, SubmitRequest};
use crate::model::{CustomerId, LevelName, ProductName, ProgramName, RegionName, limits};

#[derive(Debug, Args)]
#[command(after_help = "\
An NDJSON line is one event; bytes are {\"$bytes\":\"<base64>\"}:
  {\"name\":\"vm.inventory\",\"time\":\"2026-01-31T12:00:00Z\",\"fields\":{\"host\":\"esx-1\",\"vcpus\":8}}
A protobuf file is a row of usaged.ingest.v1.SubmitRequest, each behind its length as a varint;
they are sent as they are, so sending the file again stores nothing twice.

Examples:
  usaged send --customer acme --product vcenter events.ndjson
  collect | usaged send --customer acme --product vcenter --batch-size 1000 -
  usaged send --customer acme --product vcenter --compress zstd events.ndjson
  usaged send --customer acme --format protobuf batches.pb --json")]
pub(super) struct SendArgs {
    /// The file, or - for standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
    /// The customer that reports.
    #[arg(long, env = "USAGED_CUSTOMER")]
    customer: CustomerId,
    /// How the file is written.
    #[arg(long, default_value = "ndjson")]
    format: Format,
    /// The product that reports, such as vcenter.
    #[arg(long, required_unless_present_any = ["format"], required_if_eq("format", "ndjson"))]
    product: Option<ProductName>,
    /// The installation that reports.
    #[arg(long, default_value = "", hide_default_value = true)]
    instance: String,
    /// A region whose overlay applies too.
    #[arg(long)]
    region: Option<RegionName>,
    /// The highest level that this installation agrees to. Can be given several times.
    #[arg(long = "level-cap", value_name = "PROGRAM=LEVEL", value_parser = level_cap)]
    level_caps: Vec<ProgramLevel>,
    /// Events in one batch.
    #[arg(long, default_value = "500", value_parser = batch_size)]
    batch_size: usize,
    /// Batches under way at a time.
    #[arg(long, default_value = "8")]
    in_flight: NonZeroUsize,
    /// How long a batch that the collector cannot take now is tried again, with the same batch id.
    #[arg(long, default_value = "60s")]
    retry_for: Span,
    /// Compress what is sent.
    #[arg(long, value_name = "HOW")]
    compress: Option<Compress>,
    #[command(flatten)]
    server: Server,
}

/// How requests are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Compress {
    /// Understood everywhere.
    Gzip,
    /// Cheaper for both sides.
    Zstd,
}

impl From<Compress> for Encoding {
    fn from(compress: Compress) -> Self {
        match compress {
            Compress::Gzip => Self::Gzip,
            Compress::Zstd => Self::Zstd,
        }
    }
}

/// How a file of events is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One event a line.
    Ndjson,
    /// Length-delimited `SubmitRequest` messages.
    Protobuf,
}

fn level_cap(text: &str) -> Result<ProgramLevel, String> {
    let (program, level) = text.split_once('=').ok_or("write it as PROGRAM=LEVEL, such as ceip=standard")?;
    let program = ProgramName::new(program).map_err(|error| error.to_string())?;
    let level = LevelName::new(level).map_err(|error| error.to_string())?;
    Ok(ProgramLevel { program: program.to_string(), level: level.to_string() })
}

fn batch_size(text: &str) -> Result<usize, String> {
    let bound = || format!("choose from 1 to {}", limits::EVENTS);
    text.parse().ok().filter(|size| (1..=limits::EVENTS).contains(size)).ok_or_else(bound)
}

impl SendArgs {
    pub async fn run(self, out: Output) -> Result<(), Failure> {
        let client = self.server.ingest_compressed(self.compress.map(Encoding::from)).await?;
        let submitter = Submitter::new(client, self.customer.clone(), self.retry_for.0);
        let head = Head {
            product: self.product.as_ref().map(ToString::to_string).unwrap_or_default(),
            instance: self.instance.clone(),
            region: self.region.as_ref().map(ToString::to_string).unwrap_or_default(),
            level_caps: self.level_caps.clone(),
        };
        let input = Input::open(&self.file)?;
        let mut batches = read_aside(match self.format {
            Format::Ndjson => input.lines(head, self.batch_size),
            Format::Protobuf => input.messages(),
        });
        let bar = out.progress(input_len(&self.file), "bytes read");
        let mut summary = Summary::default();
        let mut under_way = JoinSet::new();
        let places = Arc::new(Semaphore::new(self.in_flight.get()));
        let ended = loop {
            let batch = match batches.recv().await {
                Some(Ok((batch, bytes_read))) => {
                    bar.set_position(bytes_read);
                    batch
                }
                Some(Err(failure)) => break Err(failure),
                None => break Ok(()),
            };
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { break Ok(()) };
            let submitter = submitter.clone();
            under_way.spawn(async move {
                let outcome = submitter.submit(batch).await;
                drop(place);
                outcome
            });
            while let Some(done) = under_way.try_join_next() {
                summary.add(joined(done));
            }
            if summary.is_hopeless() {
                break Ok(());
            }
        };
        while let Some(done) = under_way.join_next().await {
            summary.add(joined(done));
        }
        bar.finish_and_clear();
        summary.show(out)?;
        ended?;
        if summary.is_unknown_product() {
            return Err(self.unknown_product().await);
        }
        summary.result()
    }

    /// What a sender is told whose product the policy does not know. Who proves who it is, is a sender, and may not read
    /// the policy.
    async fn unknown_product(&self) -> Failure {
        let products = if self.server.credentials.is_empty() {
            super::policy::products(self.server.clone()).await.ok()
        } else {
            None
        };
        let known = match products {
            Some(products) => {
                let names: Vec<String> = products.iter().map(ToString::to_string).collect();
                format!("it has: {}", names.join(", "))
            }
            None => "ask the operator of the collector which it has, and correct the name".to_owned(),
        };
        let product = self.product.as_ref().map_or_else(String::new, |name| format!(" `{name}`"));
        Failure::Server {
            reason: Reason::UnknownProduct.as_str_name().to_owned(),
            message: format!("nothing was stored, because the policy has no such product{product}; {known}"),
        }
    }
}

/// Reads in a thread of its own: standard input can be silent for hours, and the connection must be
/// looked after meanwhile. The thread is not waited for when sending ends early.
fn read_aside(mut batches: Batches) -> mpsc::Receiver<Result<(Batch, u64), Failure>> {
    let (sender, receiver) = mpsc::channel(2);
    std::thread::spawn(move || {
        while let Some(read) = batches.next().transpose() {
            let is_last = read.is_err();
            let sent = sender.blocking_send(read.map(|batch| (batch, batches.bytes_read())));
            if is_last || sent.is_err() {
                break;
            }
        }
    });
    receiver
}

fn joined(done: Result<Outcome, tokio::task::JoinError>) -> Outcome {
    done.unwrap_or_else(|_| Outcome::lost("a task of the sender panicked"))
}

fn input_len(file: &std::path::Path) -> Option<u64> {
    std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file).map(|meta| meta.len())
}

/// Reads events for `policy explain`: one request of every event in the file.
pub(super) fn read_request(file: &std::path::Path, product: &ProductName) -> Result<SubmitRequest, Failure> {
    let head =
        Head { product: product.to_string(), instance: "example-instance".to_owned(), ..Head::default() };
    let nothing = || Failure::Usage("there is no event in the input".to_owned());
    Input::open(file)?.lines(head, limits::EVENTS).request()?.ok_or_else(nothing)
}

/// Reads one event, for a command that makes its own events.
pub(super) fn parse_event(line: &str) -> Result<crate::grpc::proto::ingest::Event, Failure> {
    event_text::parse(line).map_err(Failure::Failed)
}
