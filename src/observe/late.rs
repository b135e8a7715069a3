//! What is read when the page of metrics is asked for: what the process takes, what is told of each subscription, and the
//! customers who send most. Their number is bounded at every moment and who they are changes, so they are not left to a
//! recorder, which forgets nothing.

use std::fmt::Write as _;

use super::metrics::float;
use super::series::series;
use super::{Kind, Metric, Top, process};

/// Appends it to `page`, in Prometheus' text format.
pub fn write_late(page: &mut String, top: &Top) {
    for (metric, value) in process::samples() {
        begin(page, metric);
        // Writing to a `String` has no error to give.
        _ = writeln!(page, "{} {value}", metric.name());
    }
    {
        let series = series();
        for metric in Metric::ALL.iter().filter(|metric| metric.is_of_subscription()) {
            let mut own = String::new();
            if series.write(&mut own, *metric) {
                begin(page, *metric);
                page.push_str(&own);
            }
        }
    }
    let customers = top.last_minute();
    if !customers.is_empty() {
        begin(page, Metric::TopCustomers);
    }
    for (customer, events) in customers {
        // A customer id has neither quotes nor backslashes.
        _ = writeln!(page, "{}{{customer=\"{customer}\"}} {}", Metric::TopCustomers.name(), float(events));
    }
}

fn begin(page: &mut String, metric: Metric) {
    let (name, help) = (metric.name(), metric.help());
    let kind = match metric.kind() {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    _ = write!(page, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_late_is_all_there_and_nobody_is_named_who_was_not_asked_for() {
        let mut page = String::new();
        write_late(&mut page, &Top::default());
        for metric in Metric::ALL.iter().filter(|metric| metric.is_read_late()) {
            let is_there = page.contains(&format!("# HELP {} {}\n", metric.name(), metric.help()));
            assert_eq!(is_there, *metric != Metric::TopCustomers, "{page}");
        }
    }
}
