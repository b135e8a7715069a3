//! Micro-benchmarks of what every event goes through: read, treated, sealed, appended, drained. One
//! core, one room at a time; `usaged load` measures the whole, over sockets. Run with `make bench`;
//! `cargo bench --profile release --bench rooms -- sanitise` runs some.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on should stop")]

mod desk;
mod draining;
mod parts;
mod redacting;
mod requests;
mod sanitising;
mod sealing;
mod storing;

use std::time::Duration;

use criterion::Criterion;

/// Events in a request, as senders are advised to send them.
const EVENTS: usize = 500;

/// A count of events, as criterion wants it.
fn elements(events: usize) -> criterion::Throughput {
    criterion::Throughput::Elements(u64::try_from(events).unwrap())
}

fn main() {
    let criterion = Criterion::default().sample_size(20).warm_up_time(Duration::from_secs(1));
    let mut criterion = criterion.measurement_time(Duration::from_secs(3)).configure_from_args();
    parts::measure(&mut criterion);
    sanitising::measure(&mut criterion);
    redacting::measure(&mut criterion);
    sealing::measure(&mut criterion);
    storing::measure(&mut criterion);
    draining::measure(&mut criterion);
    criterion.final_summary();
}
