//! The metrics of `observe`, as Prometheus reads them.

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::observe::{Kind, Metric, Top, write_late};

/// Upper bounds of histograms of seconds: from half a millisecond to ten seconds.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Upper bounds of histograms of counts: up to the most records of a group.
const COUNTS: [f64; 13] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0];

/// Upper bounds of histograms of bytes: from 1 KiB to 16 MiB.
const BYTES: [f64; 8] = [1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0];

/// Why metrics cannot be collected.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot collect metrics: they can be set up once in a process; start the collector in a process of its own"
)]
pub struct InstallError(#[from] BuildError);

/// Where the metrics of this process are read. Clones share it.
#[derive(Clone)]
pub struct Exposition {
    recorded: PrometheusHandle,
    top: Top,
}

impl std::fmt::Debug for Exposition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exposition")
    }
}

impl Exposition {
    /// Begins to collect the metrics of this process. Every metric is described; those without
    /// labels are there from the start, with zero. `top` are the customers that are told of by name, if any.
    ///
    /// # Errors
    /// If another recorder was installed in this process.
    pub fn install(top: Top) -> Result<Self, InstallError> {
        let recorded = builder()?.install_recorder()?;
        Metric::describe_all();
        Ok(Self { recorded, top })
    }

    /// An exposition of nothing that is recorded elsewhere in this process.
    #[cfg(test)]
    pub(super) fn detached() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, Metric::describe_all);
        Self { recorded: recorder.handle(), top: Top::default() }
    }

    /// The metrics in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut page = self.recorded.render();
        write_late(&mut page, &self.top);
        page
    }

    /// Folds what was recorded into the buckets, so that memory does not grow between two reads.
    pub fn upkeep(&self) {
        self.recorded.run_upkeep();
    }
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for metric in Metric::ALL.iter().filter(|metric| metric.kind() == Kind::Histogram) {
        let bounds: &[f64] = match metric.name() {
            name if name.ends_with("_seconds") => &SECONDS,
            name if name.ends_with("_bytes") => &BYTES,
            _ => &COUNTS,
        };
        builder = builder.set_buckets_for_metric(Matcher::Full(metric.name().to_owned()), bounds)?;
    }
    Ok(builder)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn every_metric_without_labels_is_there_from_the_start_with_its_help() {
        let recorder = builder().unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, Metric::describe_all);
        let text = handle.render();
        for metric in Metric::ALL.iter().filter(|m| m.labels().is_empty() && !m.is_read_late()) {
            let (name, help) = (metric.name(), metric.help());
            assert!(text.contains(&format!("# HELP {name} {help}")), "{name} in:\n{text}");
            assert!(text.lines().any(|l| l.starts_with(name) && !l.starts_with('#')), "{name} in:\n{text}");
        }
    }

    #[test]
    fn histograms_have_buckets() {
        let recorder = builder().unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            Metric::AckSeconds.record(&[], 0.002);
            Metric::GroupRecords.record(&[], 3.0);
            Metric::GroupBytes.record(&[], 5000.0);
        });
        let text = handle.render();
        assert!(text.contains("usaged_ack_seconds_bucket{le=\"0.0025\"} 1"), "{text}");
        assert!(text.contains("usaged_group_records_bucket{le=\"4\"} 1"), "{text}");
        assert!(text.contains("usaged_group_bytes_bucket{le=\"16384\"} 1"), "{text}");
        assert!(!text.contains("quantile"), "a summary cannot be added up: {text}");
    }
}
