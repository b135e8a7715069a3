//! Draining from an almost empty queue and from a full one, in the same run and over the same
//! sockets, and starting up with the full one.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value as Json, json};
use tokio::runtime::Runtime;

use super::drained::{Drained, Queue, Way};
use super::events::Prepared;
use super::fill::Fill;
use super::gauge;
use super::register::register;
use super::report::{rounded, whole};
use crate::cli::child::Collector;
use crate::cli::connect::Server;
use crate::cli::exit::Failure;
use crate::cli::output::{Output, grouped};
use crate::model::{CustomerId, LevelName};

/// What counts as almost empty: so many events, or a tenth of the backlog.
const ALMOST_EMPTY: u64 = 500_000;
/// Events that are drained from the almost empty queue each way, at least, however often it takes.
const ENOUGH: u64 = 3_000_000;
/// Customers that take part: enough that batches of one lie between those of others.
const CUSTOMERS: usize = 100;
/// Bytes that an event can take in the store, at most.
const STORED_BYTES: u64 = 1_024;

/// What to fill the queue with.
pub(super) struct Plan<'a> {
    /// Events in the full queue.
    pub events: u64,
    pub customers: &'a [CustomerId],
    pub level: &'a LevelName,
    pub prepared: Arc<Prepared>,
}

/// One way of draining, from both queues.
#[derive(Debug, Clone, Copy)]
struct Pair {
    almost_empty: Drained,
    full: Drained,
}

/// What was found.
pub(super) struct Backlog {
    /// Events in the almost empty and in the full queue.
    events: (u64, u64),
    streaming: Pair,
    pull: Pair,
    restart_ms: f64,
    /// The most memory while filling and, after the restart, while draining.
    peak_rss: (u64, u64),
}

impl Plan<'_> {
    /// Runs a collector that `start` starts (with the options given, and again on the same data).
    pub fn measure(
        &self,
        runtime: &Runtime,
        out: Output,
        start: impl Fn(&[String]) -> Result<Collector, Failure>,
    ) -> Result<Backlog, Failure> {
        let size = u64::try_from(self.prepared.batch_size.max(1)).unwrap_or(1);
        let full = self.events.div_ceil(size).max(1);
        let few = (ALMOST_EMPTY.min(self.events / 10) / size).clamp(1, full);
        let room = (full * size).saturating_mul(STORED_BYTES).max(10 << 30);
        let sets = [format!("store.retention_bytes={}MiB", room >> 20)];
        let customers: Arc<[CustomerId]> = self.customers.iter().take(CUSTOMERS).cloned().collect();

        let collector = start(&sets)?;
        runtime.block_on(register(&Server::local(&collector.grpc), &customers, self.level, out))?;
        let bar = out.progress(Some(full * size), "queue filled");
        let filling = Fill::new(customers, Arc::clone(&self.prepared), bar.clone());
        runtime.block_on(filling.upto(&collector.grpc, few))?;
        let rounds = ENOUGH.min(self.events).div_ceil(few * size).max(1);
        let again = out.progress(Some(2 * rounds * few * size), "drained, almost empty");
        let queue = Queue { address: &collector.grpc, pid: collector.pid(), batches: few, bar: &again };
        let drain = |way| {
            (0..rounds).try_fold(Drained::default(), |sum, _| {
                runtime.block_on(queue.drain(way)).map(|drained| sum.and(drained))
            })
        };
        let (streaming, pull) = (drain(Way::StreamingPull)?, drain(Way::Pull)?);
        again.finish_and_clear();

        runtime.block_on(filling.upto(&collector.grpc, full))?;
        bar.finish_and_clear();
        let filling_rss = gauge::peak_rss(collector.pid())?;
        runtime.block_on(collector.end())?;

        let started = Instant::now();
        let collector = start(&sets)?;
        let restart_ms = started.elapsed().as_secs_f64() * 1e3;
        let bar = out.progress(Some(2 * full * size), "drained, full");
        let queue = Queue { address: &collector.grpc, pid: collector.pid(), batches: full, bar: &bar };
        let streaming =
            Pair { almost_empty: streaming, full: runtime.block_on(queue.drain(Way::StreamingPull))? };
        let pull = Pair { almost_empty: pull, full: runtime.block_on(queue.drain(Way::Pull))? };
        bar.finish_and_clear();
        let peak_rss = (filling_rss, gauge::peak_rss(collector.pid())?);
        runtime.block_on(collector.end())?;
        Ok(Backlog { events: (few * size, full * size), streaming, pull, restart_ms, peak_rss })
    }
}

impl Pair {
    /// The rate from the full queue as a part of that from the almost empty one.
    fn ratio(&self) -> f64 {
        self.full.per_second() / self.almost_empty.per_second().max(1e-9)
    }

    /// The same of the events per CPU-second, which other work on the machine does not disturb.
    fn cpu_ratio(&self) -> Option<f64> {
        Some(self.full.per_cpu_second()? / self.almost_empty.per_cpu_second()?)
    }

    fn json(&self) -> Json {
        let one = |drained: &Drained| {
            json!({
                "events": drained.events,
                "events_per_second": rounded(drained.per_second()),
                "events_per_cpu_second": drained.per_cpu_second().map(rounded),
            })
        };
        json!({
            "almost_empty": one(&self.almost_empty),
            "full": one(&self.full),
            "ratio": rounded(self.ratio()),
            "cpu_ratio": self.cpu_ratio().map(rounded),
        })
    }
}

impl Backlog {
    /// The keys of the report's JSON object.
    pub fn json(&self) -> Map<String, Json> {
        let Pair { full, .. } = &self.streaming;
        let keys = [
            ("drain_backlog_events", json!(self.events.1)),
            ("drain_almost_empty_events", json!(self.events.0)),
            ("drain_events_per_second", json!(rounded(full.per_second()))),
            ("drain_events_per_cpu_second", json!(full.per_cpu_second().map(rounded))),
            ("drain_backlog_ratio", json!(rounded(self.streaming.ratio()))),
            ("drain_backlog_cpu_ratio", json!(self.streaming.cpu_ratio().map(rounded))),
            ("drain_streaming_pull", self.streaming.json()),
            ("drain_pull", self.pull.json()),
            ("drain_peak_rss_bytes", json!(self.peak_rss.1)),
            ("fill_peak_rss_bytes", json!(self.peak_rss.0)),
            ("restart_ms", json!(rounded(self.restart_ms))),
        ];
        keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// The rows of the report's table.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let both = |pair: &Pair, number: fn(&Drained) -> Option<f64>| {
            let text = |drained| number(drained).map_or_else(|| "-".to_owned(), whole);
            format!("{} → {}", text(&pair.almost_empty), text(&pair.full))
        };
        let per_second = |drained: &Drained| Some(drained.per_second());
        let ratios = |pair: &Pair| {
            let cpu = pair.cpu_ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
            format!("{:.2} and {cpu}", pair.ratio())
        };
        vec![
            ("events queued: almost empty → full", {
                format!("{} → {}", grouped(self.events.0), grouped(self.events.1))
            }),
            ("streamed per second", both(&self.streaming, per_second)),
            ("streamed per CPU-second of the daemon", both(&self.streaming, Drained::per_cpu_second)),
            ("full / almost empty, per second and CPU-second", ratios(&self.streaming)),
            ("pulled per second", both(&self.pull, per_second)),
            ("pulled per CPU-second of the daemon", both(&self.pull, Drained::per_cpu_second)),
            ("full / almost empty, per second and CPU-second ", ratios(&self.pull)),
            ("peak memory, filling and draining", {
                format!("{} and {} MiB", self.peak_rss.0 >> 20, self.peak_rss.1 >> 20)
            }),
            ("start with the full queue", format!("{:.0} ms", self.restart_ms)),
        ]
    }
}
