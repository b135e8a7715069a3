//! What every request moves: handles of counters, looked up once. A look-up costs as much as reading an event.

use super::receipt::Receipt;
use crate::model::{Fate, Reason};
use crate::observe::{Counter, Histogram, Metric};
use crate::sanitize::Hits;

/// The handles.
pub(super) struct Meters {
    pub(super) request_bytes: Counter,
    pub(super) ack_seconds: Histogram,
    events_received: Counter,
    events_withheld: Vec<Counter>,
    fields_stored: Vec<Counter>,
    fields_withheld: Vec<Counter>,
    detector_hits: Vec<Counter>,
}

impl Meters {
    /// Begins each counter at zero.
    pub(super) fn new() -> Self {
        let by = |metric: Metric, label: &'static str, words: &mut dyn Iterator<Item = &'static str>| {
            words.map(|word| metric.counter(&[(label, word)])).collect()
        };
        let reasons = || Reason::ALL.iter().map(|reason| reason.as_str());
        Self {
            request_bytes: Metric::RequestBytes.counter(&[]),
            ack_seconds: Metric::AckSeconds.histogram(&[]),
            events_received: Metric::EventsReceived.counter(&[]),
            events_withheld: by(Metric::EventsWithheld, "reason", &mut reasons()),
            fields_stored: by(Metric::FieldsStored, "fate", &mut Fate::ALL.iter().map(|fate| fate.as_str())),
            fields_withheld: by(Metric::FieldsWithheld, "reason", &mut reasons()),
            detector_hits: by(Metric::DetectorHits, "class", &mut Hits::classes()),
        }
    }

    /// Counts what became of a request and what detectors found in it.
    pub(super) fn count(&self, receipt: &Receipt, hits: &Hits) {
        let tally = &receipt.tally;
        self.events_received.increment(tally.received.into());
        add(&self.events_withheld, tally.withheld);
        add(&self.fields_stored, tally.fields);
        add(&self.fields_withheld, tally.fields_withheld);
        add(&self.detector_hits, hits.iter().map(|(_, count)| count));
    }
}

fn add(counters: &[Counter], counts: impl IntoIterator<Item = u32>) {
    let moved = counters.iter().zip(counts).filter(|(_, count)| *count > 0);
    moved.for_each(|(counter, count)| counter.increment(count.into()));
}
