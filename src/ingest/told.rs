//! What the metrics and the ledger are told of a request.

use super::receipt::Receipt;
use crate::ledger::Refusal;
use crate::model::{Fate, ProgramName, Reason};
use crate::observe::Metric;

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

/// Counts what became of a batch, once that is certain.
pub(super) fn count(receipt: &Receipt, programs: &[(ProgramName, u32)]) {
    let tally = &receipt.tally;
    Metric::EventsReceived.add(&[], tally.received.into());
    for (program, events) in programs {
        Metric::EventsAccepted.add(&[("program", program.as_str())], (*events).into());
    }
    for (reason, count) in Reason::ALL.iter().zip(tally.withheld) {
        Metric::EventsWithheld.add(&[("reason", reason.as_str())], count.into());
    }
    for (fate, count) in Fate::ALL.iter().zip(tally.fields) {
        Metric::FieldsStored.add(&[("fate", fate.as_str())], count.into());
    }
    for (reason, count) in Reason::ALL.iter().zip(tally.fields_withheld) {
        Metric::FieldsWithheld.add(&[("reason", reason.as_str())], count.into());
    }
}
