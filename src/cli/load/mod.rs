//! `usaged load`: drives a collector in a process of its own with requests that were encoded before,
//! reads what it costs from /proc, and measures the floor on the same bytes in the same run.

mod backlog;
mod drained;
mod drive;
mod events;
mod fill;
mod floor;
mod gauge;
mod register;
mod report;
mod scrape;

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::backlog::Plan;
use self::drive::{Drive, Measured};
use self::events::Prepared;
use self::floor::Floor;
use self::report::Report;
use self::scrape::Scrape;
use super::child::Collector;
use super::connect::Server;
use super::credentials::Credentials;
use super::exit::Failure;
use super::output::Output;
use crate::config::Span;
use crate::grpc;
use crate::model::{CustomerId, LevelName, limits};
use crate::observe::Metric;

#[derive(Debug, Args)]
#[command(after_help = "\
Without --attach it starts a collector as a separate process, in a directory of its own. The
standard event is vcenter's vm.inventory: 10 fields, about 300 bytes, 4 identifiers that `ceip`
standard hashes. The floor is what the same bytes cost with no decision made: receiving with a
handler that does nothing, four HMACs, compressing and sealing, and a bare append to RocksDB.

With --drain another collector is filled and drained twice: almost empty, and with that many
events queued.

Examples:
  usaged load
  usaged load --clients 64 --batch-size 10
  usaged load --customers 1000000 --duration 30s --json
  usaged load --rate 200000
  usaged load --drain 10000000
  usaged load --attach 127.0.0.1:7171 --pid $(pidof usaged)")]
pub(super) struct LoadArgs {
    /// Requests under way at a time, each by a client of its own.
    #[arg(long, default_value = "16")]
    clients: NonZeroUsize,
    /// Events in one request.
    #[arg(long, default_value = "500", value_parser = batch_size)]
    batch_size: usize,
    /// Customers that are registered and take part in the load.
    #[arg(long, default_value = "100")]
    customers: NonZeroUsize,
    /// Their level in `ceip`: standard or enhanced.
    #[arg(long, default_value = "standard")]
    level: LevelName,
    /// Events per second to send at most, spread evenly; without it, as many as are answered.
    #[arg(long, value_name = "EVENTS_PER_SECOND")]
    rate: Option<NonZeroU32>,
    /// Afterwards fill a queue with so many events, drain it, and restart with it: measured beside an
    /// almost empty one.
    #[arg(long, value_name = "EVENTS", conflicts_with = "attach")]
    drain: Option<NonZeroU64>,
    /// How long to measure.
    #[arg(long, default_value = "10s")]
    duration: Span,
    /// How long to run before that.
    #[arg(long, default_value = "2s")]
    warm_up: Span,
    /// The same seed gives the same values.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Drive a collector that is running; its customers `load-0` and so on are set.
    #[arg(long, value_name = "ADDRESS")]
    attach: Option<String>,
    #[command(flatten)]
    credentials: Credentials,
    /// Its customers take part already: nothing is set, which takes no operator.
    #[arg(long, requires = "attach")]
    registered: bool,
    /// The process id of that collector, for its CPU time and memory.
    #[arg(long, requires = "attach")]
    pid: Option<u32>,
    /// Connections; when not given, one for a hundred clients and at least two.
    #[arg(long)]
    connections: Option<usize>,
    /// The directory for the collector's data; a new one below it is made and removed.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Leave the floor out.
    #[arg(long)]
    no_floor: bool,
    /// An option for the collector's `serve --set`, such as `store.group_records=64`. Can be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE", conflicts_with = "attach")]
    sets: Vec<String>,
}

fn batch_size(text: &str) -> Result<usize, String> {
    let bound = || format!("choose from 1 to {}", limits::EVENTS);
    text.parse().ok().filter(|size| (1..=limits::EVENTS).contains(size)).ok_or_else(bound)
}

/// What is driven: a collector of our own, or one that runs already.
struct Target {
    own: Option<Collector>,
    server: Server,
    pid: Option<u32>,
}

impl Target {
    fn scrape(&self) -> Option<Scrape> {
        Scrape::read(&self.own.as_ref()?.admin)
    }
}

impl LoadArgs {
    pub fn run(self, out: Output) -> Result<(), Failure> {
        let dir = self.scratch()?;
        let target = self.target(dir.path())?;
        let now = jiff::Timestamp::now();
        let prepared = Arc::new(Prepared::new(self.batch_size, self.seed, now));
        let customers = customers(self.customers.get())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Failure::io("starting the runtime"))?;
        if !self.registered {
            runtime.block_on(register::register(&target.server, &customers, &self.level, out))?;
        }

        let bar = out.progress(None, "measuring");
        let drive = |server: &Server, pid, customers, duration, period| {
            let (clients, connections) = (self.clients.get(), self.connections);
            let (prepared, warm_up) = (Arc::clone(&prepared), self.warm_up.0);
            let drive =
                Drive { server, pid, customers, clients, connections, prepared, period, warm_up, duration };
            runtime.block_on(drive.run())
        };
        let before = target.scrape();
        let measured =
            drive(&target.server, target.pid, Arc::clone(&customers), self.duration.0, self.period())?;
        let peak_rss = target.pid.map(gauge::peak_rss).transpose()?;
        let after = target.scrape();
        let during = |metric| {
            let (before, after) = (before.as_ref()?, after.as_ref()?);
            Some(after.histogram(metric).since(&before.histogram(metric)))
        };
        let records_per_sync = during(Metric::GroupRecords).and_then(|records| records.mean());
        let syncs = during(Metric::SyncSeconds);
        if let Some(own) = target.own {
            runtime.block_on(own.end())?;
        }

        let floor = if self.no_floor {
            None
        } else {
            bar.set_message("measuring the floor");
            let group = records_per_sync.map_or(1, |records| format!("{records:.0}").parse().unwrap_or(1));
            let floor = floor::measure(&prepared, &self.level, &dir.path().join("floor"), group)?;
            let door = Collector::start(["floor-door"], &dir.path().join("floor.log"))?;
            let nothing = drive(
                &Server::local(&door.grpc),
                Some(door.pid()),
                Arc::clone(&customers),
                floor_duration(self.duration.0),
                Duration::ZERO,
            )?;
            runtime.block_on(door.end())?;
            Some(Floor { receive: receive(&nothing), ..floor })
        };
        bar.finish_and_clear();
        let backlog = self.drain.map(|events| {
            let (level, prepared) = (&self.level, Arc::clone(&prepared));
            let plan = Plan { events: events.get(), customers: &customers, level, prepared };
            plan.measure(&runtime, out, |sets| self.collector(dir.path(), "backlog", sets))
        });
        let report = Report {
            machine: gauge::machine(),
            clients: self.clients.get(),
            batch_size: self.batch_size,
            customers: self.customers.get(),
            level: self.level.to_string(),
            seed: self.seed,
            event_bytes: prepared.event_bytes(),
            measured,
            backlog: backlog.transpose()?,
            peak_rss,
            records_per_sync,
            syncs,
            floor,
        };
        report.show(out)
    }

    /// How long one client takes for one request at the wanted rate.
    fn period(&self) -> Duration {
        let Some(rate) = self.rate else { return Duration::ZERO };
        let events = self.clients.get().saturating_mul(self.batch_size);
        Duration::from_secs(1).mul_f64(u32::try_from(events).map_or(1.0, f64::from)) / rate.get()
    }

    fn scratch(&self) -> Result<tempfile::TempDir, Failure> {
        let made = match &self.dir {
            Some(dir) => tempfile::Builder::new().prefix("usaged-load-").tempdir_in(dir),
            None => tempfile::Builder::new().prefix("usaged-load-").tempdir(),
        };
        made.map_err(Failure::io("making a directory for the collector's data"))
    }

    fn target(&self, dir: &Path) -> Result<Target, Failure> {
        if let Some(address) = &self.attach {
            let server = Server { server: address.clone(), credentials: self.credentials.clone() };
            return Ok(Target { own: None, server, pid: self.pid });
        }
        let own = self.collector(dir, "data", &[])?;
        Ok(Target { server: Server::local(&own.grpc), pid: Some(own.pid()), own: Some(own) })
    }

    /// Starts a collector whose data and log are called `name`. What a person set goes before `sets`.
    fn collector(&self, dir: &Path, name: &str, sets: &[String]) -> Result<Collector, Failure> {
        let data = dir.join(name).display().to_string();
        let mut args =
            vec!["serve", "--data-dir", &data, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        for set in sets.iter().chain(&self.sets) {
            args.extend(["--set", set]);
        }
        Collector::start(args, &dir.join(format!("{name}.log")))
    }
}

fn customers(count: usize) -> Result<Arc<[CustomerId]>, Failure> {
    let ids = (0..count).map(|number| CustomerId::new(&format!("load-{number}")));
    ids.collect::<Result<_, _>>().map_err(|error| Failure::Failed(error.to_string()))
}

/// The floor's door is measured for a third of the time.
fn floor_duration(duration: Duration) -> Duration {
    (duration / 3).max(Duration::from_secs(2)).min(duration.max(Duration::from_secs(1)))
}

fn receive(nothing: &Measured) -> f64 {
    nothing.cpu.map_or(0.0, |cpu| floor::per_event(cpu, nothing.events))
}

/// `usaged floor-door`: the door of the collector with a handler that does nothing.
pub(super) fn floor_door() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(Failure::io("starting the runtime"))?.block_on(async {
        let failed = Failure::io("opening a door");
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = listener.local_addr().map_err(Failure::io("opening a door"))?;
        let shutdown = CancellationToken::new();
        let door = grpc::serve_null(listener, grpc::Options::default(), shutdown.clone());
        let door = tokio::spawn(door);
        Output::new(false).line(&format!("usaged ready grpc={address}"))?;
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
            .map_err(Failure::io("listening to signals"))?;
        terminate.recv().await;
        shutdown.cancel();
        let _ = door.await;
        Ok(())
    })
}
