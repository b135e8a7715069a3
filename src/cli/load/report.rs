//! What a run of `load` found: one JSON object, or a table.

use serde_json::{Value as Json, json};

use super::backlog::Backlog;
use super::drive::Measured;
use super::floor::{Floor, per_event};
use super::scrape::Histogram;
use crate::cli::exit::Failure;
use crate::cli::output::{Output, grouped, pairs, right};

/// Everything that was measured.
pub(super) struct Report {
    pub machine: String,
    pub clients: usize,
    pub batch_size: usize,
    pub customers: usize,
    pub level: String,
    pub seed: u64,
    pub event_bytes: usize,
    pub measured: Measured,
    pub peak_rss: Option<u64>,
    pub records_per_sync: Option<f64>,
    /// How long the collector's syncs took, in seconds.
    pub syncs: Option<Histogram>,
    pub floor: Option<Floor>,
    pub backlog: Option<Backlog>,
}

/// A count as a number that can be divided. Exact up to 2^53.
pub(super) fn float(number: u64) -> f64 {
    let (high, low) = (number >> 32, number & 0xffff_ffff);
    let part = |half: u64| u32::try_from(half).map_or(0.0, f64::from);
    part(high).mul_add(4_294_967_296.0, part(low))
}

pub(super) fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// A rate, for people.
pub(super) fn whole(number: f64) -> String {
    format!("{number:.0}").parse().map_or_else(|_| "-".to_owned(), grouped)
}

impl Report {
    fn rate(&self, count: u64) -> f64 {
        float(count) / self.measured.elapsed.as_secs_f64().max(1e-9)
    }

    fn events_per_cpu_second(&self) -> Option<f64> {
        let cpu = self.measured.cpu?.as_secs_f64();
        (cpu > 0.0).then(|| float(self.measured.events) / cpu)
    }

    fn cpu_ns_per_event(&self) -> Option<f64> {
        self.measured.cpu.map(|cpu| per_event(cpu, self.measured.events))
    }

    fn floor_ratio(&self) -> Option<f64> {
        Some(self.cpu_ns_per_event()? / self.floor?.total())
    }

    fn quantile_ms(&self, quantile: f64) -> f64 {
        float(self.measured.latency.value_at_quantile(quantile)) / 1_000.0
    }

    fn sync_ms(&self, quantile: f64) -> Option<f64> {
        self.syncs.as_ref()?.quantile(quantile).map(|seconds| seconds * 1e3)
    }

    pub fn show(&self, out: Output) -> Result<(), Failure> {
        if out.is_json() { out.json(&self.json()) } else { self.table(out) }
    }

    fn json(&self) -> Json {
        let measured = &self.measured;
        let floor = self.floor;
        let mut report = json!({
            "machine": self.machine,
            "clients": self.clients,
            "batch_size": self.batch_size,
            "customers": self.customers,
            "level": self.level,
            "seed": self.seed,
            "event_bytes": self.event_bytes,
            "duration_seconds": rounded(measured.elapsed.as_secs_f64()),
            "events": measured.events,
            "requests": measured.requests,
            "requests_refused": measured.refused,
            "requests_not_stored": measured.not_stored,
            "events_per_second": rounded(self.rate(measured.events)),
            "events_per_cpu_second": self.events_per_cpu_second().map(rounded),
            "requests_per_second": rounded(self.rate(measured.requests)),
            "ack_ms_p50": self.quantile_ms(0.5),
            "ack_ms_p99": self.quantile_ms(0.99),
            "ack_ms_max": self.quantile_ms(1.0),
            "sync_ms_p50": self.sync_ms(0.5).map(rounded),
            "sync_ms_p99": self.sync_ms(0.99).map(rounded),
            "records_per_sync": self.records_per_sync.map(rounded),
            "daemon_cpu_seconds": measured.cpu.map(|cpu| rounded(cpu.as_secs_f64())),
            "daemon_cpu_ns_per_event": self.cpu_ns_per_event().map(rounded),
            "daemon_peak_rss_bytes": self.peak_rss,
            "floor_cpu_ns_per_event": floor.map(|floor| rounded(floor.total())),
            "floor_parts_cpu_ns_per_event": floor.map(|floor| json!({
                "receive": rounded(floor.receive),
                "hmacs": rounded(floor.hmacs),
                "compress_and_seal": rounded(floor.compress_and_seal),
                "append": rounded(floor.append),
            })),
            "floor_ratio": self.floor_ratio().map(rounded),
        });
        if let (Json::Object(keys), Some(backlog)) = (&mut report, &self.backlog) {
            keys.extend(backlog.json());
        }
        report
    }

    fn table(&self, out: Output) -> Result<(), Failure> {
        let measured = &self.measured;
        let unknown = || "-".to_owned();
        let ns = |number: f64| format!("{number:.0} ns");
        let mut rows = vec![
            ("machine", self.machine.clone()),
            (
                "load",
                format!(
                    "{} clients × {} events of {} bytes",
                    self.clients, self.batch_size, self.event_bytes
                ),
            ),
            (
                "customers",
                format!("{} at ceip {}", grouped(u64::try_from(self.customers).unwrap_or(0)), self.level),
            ),
            ("measured", format!("{:.1} s", measured.elapsed.as_secs_f64())),
            ("events", grouped(measured.events)),
            ("events per second", whole(self.rate(measured.events))),
            ("events per CPU-second of the daemon", self.events_per_cpu_second().map_or_else(unknown, whole)),
            ("requests per second", whole(self.rate(measured.requests))),
            ("acknowledged after, p50", format!("{:.2} ms", self.quantile_ms(0.5))),
            ("acknowledged after, p99", format!("{:.2} ms", self.quantile_ms(0.99))),
            ("a sync, p50 and p99", {
                let ms = |quantile| self.sync_ms(quantile).map_or_else(unknown, |ms| format!("{ms:.2} ms"));
                format!("{} and {}", ms(0.5), ms(0.99))
            }),
            (
                "records per sync",
                self.records_per_sync.map_or_else(unknown, |records| format!("{records:.1}")),
            ),
            (
                "peak memory of the daemon",
                self.peak_rss.map_or_else(unknown, |rss| format!("{} MiB", rss >> 20)),
            ),
            ("CPU per event", self.cpu_ns_per_event().map_or_else(unknown, ns)),
        ];
        if let Some(floor) = self.floor {
            rows.push(("floor: receive and do nothing", ns(floor.receive)));
            rows.push(("floor: four HMACs", ns(floor.hmacs)));
            rows.push(("floor: compress and seal", ns(floor.compress_and_seal)));
            rows.push(("floor: append to RocksDB", ns(floor.append)));
            rows.push(("floor in all", ns(floor.total())));
            let ratio = self.floor_ratio().map_or_else(unknown, |ratio| format!("{ratio:.2}"));
            rows.push(("CPU per event / floor", ratio));
        }
        if measured.refused > 0 {
            rows.push(("requests refused with a hint", grouped(measured.refused)));
        }
        if measured.not_stored > 0 {
            rows.push(("requests not stored", grouped(measured.not_stored)));
        }
        rows.extend(self.backlog.iter().flat_map(Backlog::rows));
        let mut table = pairs(rows);
        right(&mut table, [1]);
        out.table(&table)
    }
}

#[cfg(test)]
mod tests {
    use super::float;

    #[test]
    fn counts_become_numbers_without_loss() {
        for (count, number) in [(0, 0.0), (4_294_967_295, 4_294_967_295.0), (1 << 40, 1_099_511_627_776.0)] {
            assert!((float(count) - number).abs() < 0.5);
        }
    }
}
