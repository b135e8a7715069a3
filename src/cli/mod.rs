//! What a person types. Each command is a file or folder of its own; what they share is how they
//! end (`exit`), what they show (`output`) and the way to a collector (`connect`). The text forms of events and
//! batches are those of `grpc::json`.

mod admin_page;
mod child;
mod connect;
mod counting;
mod credentials;
mod demo;
mod drain;
mod erase;
mod exit;
mod health;
mod keys;
mod ledger;
mod load;
mod output;
mod participation;
mod plan;
mod policy;
mod pseudonym;
mod send;
mod serve;
mod status;
mod store;
mod subscription;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::Failure;
use output::Output;

use crate::daemon::with_causes;
use crate::grpc::json::{batch as batch_text, event as event_text};

const EXAMPLES: &str = "\
Examples:
  usaged demo
  usaged serve
  usaged participation set acme --level ceip=standard --reason 'ticket 4711'
  usaged send --customer acme --product vcenter events.ndjson
  usaged subscription create improve-team --purpose improve --recipient analytics --from-oldest
  usaged drain improve-team";

/// Usage-data collector: keeps, hashes, coarsens or drops every field as the customer's
/// participation level demands, then queues it durably until analytics jobs drain it.
#[derive(Debug, Parser)]
#[command(name = "usaged", bin_name = "usaged", version, max_term_width = 100, after_help = after_help())]
struct Cli {
    /// Results and errors as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

fn after_help() -> String {
    format!("{EXAMPLES}\n\n{}", exit::EXIT_CODES)
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the collector.
    Serve(serve::ServeArgs),
    /// Show how a running collector is, and what its last reloads did.
    Status(status::StatusArgs),
    /// Show the whole of it in seconds: a real collector, five customers, three products.
    Demo(demo::DemoArgs),
    /// Send events from a file or standard input.
    Send(send::SendArgs),
    /// Drain a subscription to standard output or files.
    Drain(drain::DrainArgs),
    /// Generate load, and measure throughput, latency, memory and the distance from the floor.
    Load(load::LoadArgs),
    /// Check a policy, or see what it does to an event.
    Policy(policy::PolicyArgs),
    /// Set, show and import what customers chose.
    Participation(participation::ParticipationArgs),
    /// Show what of a product is wanted of a customer, as its senders are told.
    Plan(plan::PlanArgs),
    /// Erase what was collected, and follow it to its receipt.
    Erase(erase::EraseArgs),
    /// Create and steer named drainers.
    Subscription(subscription::SubscriptionArgs),
    /// Find the pseudonyms of a host name or another identifier of a customer.
    Pseudonym(pseudonym::PseudonymArgs),
    /// Change the root key, and see and keep key epochs.
    Keys(keys::KeysArgs),
    /// Issue, list and revoke the bearer tokens that callers prove themselves with.
    Token(token::TokenArgs),
    /// Verify the record of what was done with whose data, and give a customer its part.
    Ledger(ledger::LedgerArgs),
    /// Look into a store, check it, back it up and restore it.
    Store(store::StoreArgs),
    /// Ask whether a collector lives and is ready: the probe of a container.
    Health(health::HealthArgs),
    /// A door whose handler does nothing: what `load` measures the floor with.
    #[command(hide = true)]
    FloorDoor,
}

/// Runs the command that was typed.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command, Output::new(cli.json)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report(cli.json);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(command: Command, out: Output) -> Result<(), Failure> {
    match command {
        Command::Serve(args) => args.run(out),
        Command::Policy(args) => args.run(out),
        Command::Store(args) => args.run(out),
        Command::Health(args) => args.run(out),
        Command::Ledger(args) => args.run(out),
        Command::Load(args) => args.run(out),
        Command::FloorDoor => load::floor_door(),
        Command::Demo(args) => block_on(args.run(out)),
        Command::Status(args) => block_on(args.run(out)),
        Command::Send(args) => block_on(args.run(out)),
        Command::Drain(args) => block_on(args.run(out)),
        Command::Participation(args) => block_on(args.run(out)),
        Command::Plan(args) => block_on(args.run(out)),
        Command::Subscription(args) => block_on(args.run(out)),
        Command::Erase(args) => block_on(args.run(out)),
        Command::Pseudonym(args) => block_on(args.run(out)),
        Command::Keys(args) => block_on(args.run(out)),
        Command::Token(args) => block_on(args.run(out)),
    }
}

/// Runs a client on this thread: what it waits for is the collector.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::io("starting the runtime"))?.block_on(work)
}
