//! The collector's own histograms, read from its admin port: how many records share a sync, and how
//! long a sync takes.

use std::time::Duration;

use crate::cli::admin_page;
use crate::observe::Metric;

/// A histogram without labels, as `/metrics` shows it.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram {
    sum: f64,
    count: f64,
    /// Upper bounds and how many values are not above them; the last bound is infinite.
    buckets: Vec<(f64, f64)>,
}

/// The text of `/metrics`.
pub(super) struct Scrape(String);

impl Scrape {
    /// Reads the metrics; `None` if they cannot be had.
    pub fn read(admin: &str) -> Option<Self> {
        let page = admin_page::read(admin, "/metrics", Duration::from_secs(5)).ok()?;
        Some(Self(page.body))
    }

    pub fn histogram(&self, metric: Metric) -> Histogram {
        let mut found = Histogram::default();
        let number = |text: &str| match text {
            "+Inf" => Some(f64::INFINITY),
            text => text.parse().ok(),
        };
        for line in self.0.lines() {
            let Some((name, value)) = line.strip_prefix(metric.name()).and_then(|rest| rest.rsplit_once(' '))
            else {
                continue;
            };
            let Some(value) = number(value.trim()) else { continue };
            match name {
                "_sum" => found.sum = value,
                "_count" => found.count = value,
                name => {
                    let bound = name.strip_prefix("_bucket{le=\"").and_then(|rest| rest.strip_suffix("\"}"));
                    found.buckets.extend(bound.and_then(number).map(|bound| (bound, value)));
                }
            }
        }
        found
    }
}

impl Histogram {
    /// What came after `before`, a reading of the same metric.
    pub fn since(mut self, before: &Self) -> Self {
        self.sum -= before.sum;
        self.count -= before.count;
        for (now, then) in self.buckets.iter_mut().zip(&before.buckets) {
            now.1 -= then.1;
        }
        self
    }

    /// The mean of the values; `None` if there are none.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }

    /// The value below which this part of the values lies, as Prometheus estimates it: spread evenly
    /// over the bucket it falls into. `None` if there are none, or it lies above the last bound.
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let rank = self.count * part;
        let (mut low, mut below) = (0.0, 0.0);
        for (bound, count) in &self.buckets {
            if *count >= rank && *count > below {
                let inside =
                    bound.is_finite().then(|| low + (bound - low) * (rank - below) / (count - below));
                return inside;
            }
            (low, below) = (*bound, *count);
        }
        None
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn syncs(below_1: u32, below_5: u32, all: u32) -> Histogram {
        let name = Metric::SyncSeconds.name();
        let text = format!(
            "# HELP {name} what\n{name}_bucket{{le=\"0.001\"}} {below_1}\n{name}_bucket{{le=\"0.005\"}} {below_5}\n\
             {name}_bucket{{le=\"+Inf\"}} {all}\n{name}_sum 1.5\n{name}_count {all}\n"
        );
        Scrape(text).histogram(Metric::SyncSeconds)
    }

    #[test]
    fn a_quantile_lies_inside_its_bucket() {
        let all = syncs(50, 100, 100);
        assert!((all.quantile(0.25).unwrap() - 0.000_5).abs() < 1e-9);
        assert!((all.quantile(0.75).unwrap() - 0.003).abs() < 1e-9);
        assert!((all.mean().unwrap() - 0.015).abs() < 1e-9);
        assert_eq!(syncs(0, 0, 10).quantile(0.5), None);
        assert_eq!(syncs(0, 0, 0).mean(), None);
    }

    #[test]
    fn what_came_before_is_left_out() {
        let later = syncs(50, 150, 150).since(&syncs(50, 50, 50));
        assert!((later.quantile(0.5).unwrap() - 0.003).abs() < 1e-9);
    }
}
