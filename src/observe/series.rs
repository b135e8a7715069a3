//! The series of subscriptions. Operators make subscriptions and delete them, so their series have to go, too; a recorder
//! forgets nothing. There are as many as there are subscriptions, some twenty for each.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Metric;

/// Those of this process.
static SERIES: Mutex<Series> = Mutex::new(Series(BTreeMap::new()));

/// By subscription; then by metric and by the value of the label besides it, if there is one.
#[derive(Debug, Default)]
pub(super) struct Series(BTreeMap<String, BTreeMap<(&'static str, String), Value>>);

#[derive(Debug, Clone, Copy)]
enum Value {
    Count(u64),
    Level(f64),
}

/// Those of this process.
pub(super) fn series() -> MutexGuard<'static, Series> {
    SERIES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Series {
    /// Begins those of a subscription, with this one at zero.
    pub(super) fn begin(&mut self, metric: Metric, labels: &[(&'static str, &str)]) {
        if let Some((subscription, other)) = split(labels) {
            let own = self.0.entry(subscription.to_owned()).or_default();
            own.entry((metric.name(), other.to_owned())).or_insert(Value::Count(0));
        }
    }

    /// Adds to one; not if the subscription has none: it was deleted meanwhile.
    pub(super) fn add(&mut self, metric: Metric, labels: &[(&'static str, &str)], n: u64) {
        if let Some(Value::Count(count)) = self.value(metric, labels, Value::Count(0)) {
            *count = count.saturating_add(n);
        }
    }

    /// Sets one; not if the subscription has none.
    pub(super) fn set(&mut self, metric: Metric, labels: &[(&'static str, &str)], level: f64) {
        if let Some(value) = self.value(metric, labels, Value::Level(level)) {
            *value = Value::Level(level);
        }
    }

    fn value(&mut self, metric: Metric, labels: &[(&'static str, &str)], new: Value) -> Option<&mut Value> {
        let (subscription, other) = split(labels)?;
        Some(self.0.get_mut(subscription)?.entry((metric.name(), other.to_owned())).or_insert(new))
    }

    /// Forgets those of a subscription.
    pub(super) fn forget(&mut self, subscription: &str) {
        self.0.remove(subscription);
    }

    /// Writes those of `metric`, in Prometheus' text format; whether there are any.
    pub(super) fn write(&self, page: &mut String, metric: Metric) -> bool {
        let before = page.len();
        for (subscription, own) in &self.0 {
            for ((_, other), value) in own.iter().filter(|((name, _), _)| *name == metric.name()) {
                // Names of subscriptions and words of closed lists have neither quotes nor backslashes.
                _ = write!(page, "{}{{subscription=\"{subscription}\"", metric.name());
                if let Some(label) = metric.labels().get(1) {
                    _ = write!(page, ",{label}=\"{other}\"");
                }
                _ = match value {
                    Value::Count(count) => writeln!(page, "}} {count}"),
                    Value::Level(level) => writeln!(page, "}} {level}"),
                };
            }
        }
        page.len() > before
    }
}

/// The subscription and the value of the other label.
fn split<'a>(labels: &[(&'static str, &'a str)]) -> Option<(&'a str, &'a str)> {
    let ((_, subscription), others) = labels.split_first()?;
    Some((subscription, others.first().map_or("", |(_, value)| value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Kind;

    #[test]
    fn they_are_the_metrics_that_name_a_subscription_first() {
        for metric in Metric::ALL {
            let names_one = metric.labels().first() == Some(&"subscription");
            assert_eq!(metric.is_of_subscription(), names_one, "{}", metric.name());
            assert!(!names_one || (metric.labels().len() < 3 && metric.kind() != Kind::Histogram));
        }
    }

    /// covers: B1
    #[test]
    fn what_is_told_of_a_subscription_goes_with_it_and_does_not_come_back() {
        let mut series = Series::default();
        let (jobs, other) = ([("subscription", "jobs")], [("subscription", "other")]);
        let dead = [("subscription", "jobs"), ("outcome", "dead")];
        series.add(Metric::SubscriptionBatches, &dead, 7);
        for of in [&jobs, &other] {
            series.begin(Metric::SubscriptionDelivered, of);
        }
        series.begin(Metric::SubscriptionBatches, &dead);
        series.add(Metric::SubscriptionBatches, &dead, 2);
        series.begin(Metric::SubscriptionBatches, &dead);
        series.set(Metric::SubscriptionOldestSeconds, &jobs, 1.5);
        series.set(Metric::SubscriptionOldestSeconds, &jobs, 0.25);
        let page = |series: &Series| {
            let mut page = String::new();
            for metric in Metric::ALL.iter().filter(|metric| metric.is_of_subscription()) {
                series.write(&mut page, *metric);
            }
            page
        };
        let of_other = "usaged_subscription_delivered_batches_total{subscription=\"other\"} 0\n";
        let whole = [
            "usaged_subscription_batches_total{subscription=\"jobs\",outcome=\"dead\"} 2\n",
            "usaged_subscription_delivered_batches_total{subscription=\"jobs\"} 0\n",
            of_other,
            "usaged_subscription_oldest_seconds{subscription=\"jobs\"} 0.25\n",
        ];
        assert_eq!(page(&series), whole.concat());
        series.forget("jobs");
        assert_eq!(page(&series), of_other);
        // Who still held it tells what it did last.
        series.add(Metric::SubscriptionBatches, &dead, 1);
        series.set(Metric::SubscriptionOldestSeconds, &jobs, 9.0);
        assert_eq!(page(&series), of_other);
    }
}
