//! What the metrics and the ledger are told of a request.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::meters::Meters;
use super::receipt::Receipt;
use crate::ledger::Refusal;
use crate::model::{CustomerId, ProgramName, Reason};
use crate::observe::{Metric, Top};
use crate::sanitize::Hits;

/// What the ledger is told of a request that is withheld whole, if it named what there is not.
pub(super) const fn unknown(reason: Reason) -> Option<Refusal> {
    match reason {
        Reason::UnknownProduct => Some(Refusal::UnknownProduct),
        Reason::UnknownLevel => Some(Refusal::UnknownLevel),
        Reason::NotParticipating
        | Reason::Level
        | Reason::Purpose
        | Reason::UnknownEvent
        | Reason::UnknownField
        | Reason::NotYetAccepted
        | Reason::Forbidden
        | Reason::WrongType
        | Reason::Malformed
        | Reason::Clock
        | Reason::Repeated
        | Reason::NoKey
        | Reason::Erased => None,
    }
}

/// Whose events are counted by customer: off unless the configuration asks for it.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// Customers that an operator named.
    pub named: Arc<BTreeSet<CustomerId>>,
    /// Those who send most.
    pub top: Top,
}

impl Watched {
    /// Begins what is counted with zero.
    pub(super) fn begin(&self) {
        for customer in self.named.iter() {
            for outcome in ["accepted", "withheld"] {
                Metric::CustomerEvents.begin(&[("customer", customer.as_str()), ("outcome", outcome)]);
            }
        }
    }
}

/// What is counted of a batch beside its receipt.
#[derive(Debug, Clone, Default)]
pub(super) struct Reckoning {
    /// Events that are to be stored, by program.
    pub(super) programs: Vec<(ProgramName, u32)>,
    /// What detectors found.
    pub(super) hits: Hits,
    /// Whose it is, if that is counted.
    customer: Option<(CustomerId, Watched)>,
}

impl Reckoning {
    /// Of a customer that has a participation.
    pub(super) fn of(customer: &CustomerId, watched: &Watched) -> Self {
        let is_watched = watched.top.is_on() || watched.named.contains(customer);
        let customer = is_watched.then(|| (customer.clone(), watched.clone()));
        Self { customer, ..Self::default() }
    }

    /// Counts what became of the batch, once that is certain.
    pub(super) fn count(&self, receipt: &Receipt, meters: &Meters) {
        let tally = &receipt.tally;
        meters.count(receipt, &self.hits);
        for (program, events) in &self.programs {
            Metric::EventsAccepted.add(&[("program", program.as_str())], (*events).into());
        }
        let Some((customer, watched)) = &self.customer else { return };
        watched.top.note(customer, tally.received.into());
        if watched.named.contains(customer) {
            let withheld = tally.received.saturating_sub(tally.accepted);
            for (outcome, events) in [("accepted", tally.accepted), ("withheld", withheld)] {
                let labels = [("customer", customer.as_str()), ("outcome", outcome)];
                Metric::CustomerEvents.add(&labels, events.into());
            }
        }
    }
}
