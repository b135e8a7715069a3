//! `usaged demo`: the whole of it in seconds. A real collector in a process and a directory of its
//! own, over real sockets; what is shown is what came back.

mod cast;
mod events;
mod hunt;
mod search;
mod show;
mod stage;

use std::time::Instant;

use clap::Args;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value as Json, json};

use self::cast::CAST;
use self::events::Sent;
use self::hunt::{Hunt, hunt, write_drained};
use self::show::Showcase;
use super::child::Collector;
use super::connect::Server;
use super::exit::Failure;
use super::output::{Output, grouped};
use super::send::{Batch as Sending, Summary, new_batch_id, parse_event};
use crate::grpc::proto::drain::Batch;
use crate::grpc::proto::ingest::SubmitRequest;
use crate::model::Purpose;
use crate::policy::{Policy, Product, compile, shipped};

/// Events in one batch.
const BATCH: u64 = 100;
/// The events that are shown side by side: one of the improvement program, one of the operational.
const SHOWN: [(&str, &str, &str); 2] =
    [("vcenter", "vm.inventory", "ceip"), ("horizon", "licence.usage", "operational")];

#[derive(Debug, Args)]
#[command(after_help = "\
It needs no set-up, touches nothing outside of a temporary directory and ends within 15 seconds.

Examples:
  usaged demo
  usaged demo --events 20000 --json")]
pub(super) struct DemoArgs {
    /// How many events are sent, in all.
    #[arg(long, default_value_t = 6_000, value_parser = clap::value_parser!(u64).range(1_500..=200_000))]
    events: u64,
    /// The same seed makes the same events.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep the directory, and say where it is.
    #[arg(long)]
    keep: bool,
}

/// What is to be sent, and what to look for afterwards.
struct Script<'p> {
    batches: Vec<(usize, Sending)>,
    sent: Sent,
    showcases: Vec<Showcase<'p>>,
}

/// What came back.
struct Played {
    sums: [Summary; CAST.len()],
    drained: Vec<(u64, Batch)>,
    send_seconds: f64,
    drain_seconds: f64,
    commits: u64,
    balanced: bool,
    balances: Vec<String>,
}

impl DemoArgs {
    pub async fn run(self, out: Output) -> Result<(), Failure> {
        let started = Instant::now();
        let dir = tempfile::Builder::new()
            .prefix("usaged-demo-")
            .tempdir()
            .map_err(Failure::io("making a directory"))?;
        let say = |text: &str| if out.is_json() { Ok(()) } else { out.line(text) };
        let policy = compile(&shipped());
        let (policy, _) =
            policy.map_err(|_| Failure::Failed("the shipped policy does not compile".to_owned()))?;
        let script = self.script(&policy)?;

        let data = dir.path().join("data").display().to_string();
        let args = [
            "serve",
            "--data-dir",
            &data,
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
            "--log-level",
            "debug",
        ];
        let collector = Collector::start(args, &dir.path().join("usaged.log"))?;
        say(&format!(
            "A collector is running: gRPC on {}, HTTP on {}, data in {data}\n",
            collector.grpc, collector.admin
        ))?;
        let server = Server::local(&collector.grpc);
        let Script { batches, sent, showcases } = script;
        let played = self.play(&server, batches, out).await?;
        collector.end().await?;

        write_drained(&dir.path().join("drained.ndjson"), &played.drained)?;
        if !out.is_json() {
            for showcase in &showcases {
                showcase.show(&played.drained, out)?;
            }
            show::outcomes(&played.sums, out)?;
        }
        let adds_up = played.sums.iter().all(Summary::adds_up);
        for balance in &played.balances {
            say(balance)?;
        }
        say(if adds_up && played.balanced {
            "Every event and every batch has one outcome.\n"
        } else {
            "The outcomes do NOT add up.\n"
        })?;

        let hunt = hunt(dir.path(), &sent, out)?;
        let seconds = started.elapsed().as_secs_f64();
        if out.is_json() {
            let shown: Vec<_> = showcases.iter().map(|showcase| showcase.json(&played.drained)).collect();
            out.json(&played.json(&shown, adds_up, &hunt, seconds))?;
        } else {
            played.rates(out, seconds)?;
        }
        if self.keep {
            say(&format!("kept: {}", dir.keep().display()))?;
        }
        verdict(adds_up && played.balanced, &hunt)
    }

    /// Makes the batches: for each customer and product, events of every kind in turn. The first batch
    /// of each holds the events that are shown, the same for every customer.
    fn script<'p>(&self, policy: &'p Policy) -> Result<Script<'p>, Failure> {
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut script = Script { batches: Vec::new(), sent: Sent::default(), showcases: Vec::new() };
        for (product, event, program) in SHOWN {
            let found = policy.products().iter().find(|known| known.name().as_str() == product);
            let known =
                found.and_then(|found| found.events().iter().find(|known| known.name().as_str() == event));
            let (Some(product), Some(known)) = (found, known) else { continue };
            let made = events::make(product, known, &mut random, &mut script.sent);
            let sent = made.get("fields").cloned().unwrap_or_default();
            script.showcases.push(Showcase { product, event, program, sent });
        }
        let products = policy.products();
        let pairs = u64::try_from(CAST.len() * products.len()).unwrap_or(1).max(1);
        let each = self.events.div_ceil(pairs);
        // Showcases go first, so that their commits are the first of their level.
        for round in 0..each.div_ceil(BATCH) {
            for player in 0..CAST.len() {
                for product in products {
                    let size = BATCH.min(each - round * BATCH);
                    let batch = script.batch(product, round, size, &mut random)?;
                    script.batches.push((player, batch));
                }
            }
        }
        Ok(script)
    }

    async fn play(
        &self,
        server: &Server,
        batches: Vec<(usize, Sending)>,
        out: Output,
    ) -> Result<Played, Failure> {
        stage::import(server).await?;
        let mut drain = server.drain().await?;
        let names = [
            stage::subscribe(&mut drain, Purpose::Improve).await?,
            stage::subscribe(&mut drain, Purpose::Deliver).await?,
        ];

        let events: u64 = batches.iter().map(|(_, batch)| u64::try_from(batch.events).unwrap_or(0)).sum();
        let bar = out.progress(Some(events), "sending, until the receipts are here");
        let begun = Instant::now();
        let sums = stage::send(server, batches, &bar).await?;
        let send_seconds = begun.elapsed().as_secs_f64();
        bar.finish_and_clear();

        let bar = out.progress(None, "draining");
        let begun = Instant::now();
        let mut drained = Vec::new();
        for name in &names {
            drained.extend(stage::drain(&mut drain, name, &bar).await?);
        }
        let drain_seconds = begun.elapsed().as_secs_f64();
        bar.finish_and_clear();

        let commits = server.admin().await?.get_status(crate::grpc::proto::admin::GetStatusRequest {}).await;
        let commits = commits.map_err(|status| super::connect::refused(&status))?.into_inner().commit_number;
        let (mut told, mut balanced) = (Vec::new(), true);
        for name in &names {
            let (even, text) = show::balance(commits, &stage::standing(&mut drain, name).await?);
            balanced &= even;
            told.push(text);
        }
        Ok(Played { sums, drained, send_seconds, drain_seconds, commits, balanced, balances: told })
    }
}

impl Script<'_> {
    fn batch(
        &mut self,
        product: &Product,
        round: u64,
        size: u64,
        random: &mut StdRng,
    ) -> Result<Sending, Failure> {
        let (batch_id, instance) = (new_batch_id(), uuid::Uuid::new_v4().to_string());
        self.sent.text(&batch_id);
        self.sent.text(&instance);
        let mut events = Vec::new();
        for showcase in
            self.showcases.iter().filter(|shown| round == 0 && shown.product.name() == product.name())
        {
            events
                .push(parse_event(&json!({ "name": showcase.event, "fields": showcase.sent }).to_string())?);
        }
        for event in product.events().iter().cycle() {
            if u64::try_from(events.len()).is_ok_and(|len| len >= size) {
                break;
            }
            let made = events::make(product, event, random, &mut self.sent);
            events.push(parse_event(&made.to_string())?);
        }
        let product = product.name().to_string();
        Ok(Sending::encode(&SubmitRequest {
            batch_id,
            product,
            instance,
            events,
            ..SubmitRequest::default()
        }))
    }
}

impl Played {
    fn events(&self) -> (u64, u64, u64) {
        let received = self.sums.iter().map(|sum| sum.received).sum();
        let stored = self.sums.iter().map(|sum| sum.accepted).sum();
        let drained =
            self.drained.iter().map(|(_, batch)| u64::try_from(batch.events.len()).unwrap_or(0)).sum();
        (received, stored, drained)
    }

    fn rates(&self, out: Output, seconds: f64) -> Result<(), Failure> {
        let (received, _, drained) = self.events();
        let rate = |events: u64, seconds: f64| {
            let events = u32::try_from(events).map_or(0.0, f64::from);
            grouped(format!("{:.0}", events / seconds.max(1e-3)).parse().unwrap_or(0))
        };
        out.line(&format!(
            "{} events were sent and durably answered at {} a second, {} drained and acknowledged at {} a second (one \
             sender, one drainer, batches of {BATCH}; `usaged load` measures what the collector can do). {seconds:.1} s in all.",
            grouped(received),
            rate(received, self.send_seconds),
            grouped(drained),
            rate(drained, self.drain_seconds),
        ))
    }

    fn json(&self, shown: &[Json], adds_up: bool, hunt: &Hunt, seconds: f64) -> Json {
        let (received, stored, drained) = self.events();
        let customers = CAST.iter().zip(&self.sums).map(|(player, sum)| {
            json!({
                "customer": player.customer, "takes_part_in": player.choice, "received_events": sum.received,
                "accepted_events": sum.accepted, "withheld_events": sum.withheld_events,
            })
        });
        json!({
            "customers": customers.collect::<Vec<_>>(),
            "side_by_side": shown,
            "received_events": received, "accepted_events": stored, "drained_events": drained,
            "commits": self.commits, "adds_up": adds_up && self.balanced,
            "search": hunt.json(),
            "send_seconds": self.send_seconds, "drain_seconds": self.drain_seconds, "seconds": seconds,
        })
    }
}

fn verdict(adds_up: bool, hunt: &Hunt) -> Result<(), Failure> {
    let failed = |what: &str| Err(Failure::Failed(what.to_owned()));
    match (adds_up, hunt.hits.is_empty(), hunt.finds_planted && hunt.finds_kept) {
        (false, ..) => failed("the outcomes do not add up"),
        (_, false, _) => failed("an identifier was found that should not be there"),
        (.., false) => failed("the search does not find what is there, so it proves nothing"),
        (true, true, true) => Ok(()),
    }
}
