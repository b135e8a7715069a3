//! Receipts and refusals of the ingest room, as the API says them.

use super::super::proto::ingest::{
    self as pb, ProgramLevel, ReasonCount, SubmitResponse, Withheld, submit_response::State,
};
use super::plan::plan_state;
use crate::grpc::status::{Cause, Fault};
use crate::grpc::times::api_duration;
use crate::ingest::{Receipt, Refusal, State as Became};
use crate::model::Reason;

/// The answer to a batch that was taken.
pub(super) fn response(receipt: &Receipt) -> SubmitResponse {
    let tally = &receipt.tally;
    SubmitResponse {
        state: state(receipt.state).into(),
        commit_number: receipt.commit.0,
        received_events: tally.received,
        accepted_events: tally.accepted,
        withheld_events: counts(&tally.withheld),
        accepted_fields: tally.fields.iter().copied().fold(0, u32::saturating_add),
        withheld_fields: counts(&tally.fields_withheld),
        effective_levels: receipt
            .effective
            .iter()
            .map(|(program, level)| ProgramLevel { program: program.to_string(), level: level.to_string() })
            .collect(),
        policy_version: receipt.policy_version.to_string(),
        withheld: receipt
            .places
            .iter()
            .map(|place| Withheld {
                place: place.for_sender().to_owned(),
                reason: reason(place.reason()).into(),
                remedy: place.reason().remedy().to_owned(),
            })
            .collect(),
        withheld_truncated: receipt.places_truncated,
        plan_version: receipt.plan.version.to_string(),
        plan_changed: receipt.plan.changed,
        plan_state: plan_state(receipt.plan.state).into(),
        plan_time_to_live: Some(api_duration(receipt.plan.time_to_live)),
    }
}

const fn state(state: Became) -> State {
    match state {
        Became::Stored => State::Stored,
        Became::Duplicate => State::Duplicate,
        Became::Disabled => State::Disabled,
        Became::NothingStored => State::NothingStored,
    }
}

fn counts(by_reason: &[u32; Reason::COUNT]) -> Vec<ReasonCount> {
    Reason::ALL
        .iter()
        .zip(by_reason)
        .filter(|(_, count)| **count > 0)
        .map(|(r, count)| ReasonCount { reason: reason(*r).into(), count: *count })
        .collect()
}

pub(super) const fn reason(reason: Reason) -> pb::Reason {
    match reason {
        Reason::NotParticipating => pb::Reason::NotParticipating,
        Reason::Level => pb::Reason::Level,
        Reason::Purpose => pb::Reason::Purpose,
        Reason::UnknownProduct => pb::Reason::UnknownProduct,
        Reason::UnknownEvent => pb::Reason::UnknownEvent,
        Reason::UnknownField => pb::Reason::UnknownField,
        Reason::UnknownLevel => pb::Reason::UnknownLevel,
        Reason::NotYetAccepted => pb::Reason::NotYetAccepted,
        Reason::Forbidden => pb::Reason::Forbidden,
        Reason::WrongType => pb::Reason::WrongType,
        Reason::Malformed => pb::Reason::Malformed,
        Reason::Clock => pb::Reason::Clock,
        Reason::Repeated => pb::Reason::Repeated,
        Reason::NoKey => pb::Reason::NoKey,
        Reason::Erased => pb::Reason::Erased,
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::TooLarge { .. } => Self::of(Cause::TooLarge, text),
            Refusal::Malformed(error) => {
                let fault = Self::of(Cause::Malformed, text);
                match error.event {
                    Some(event) => fault.at(format!("events[{event}]")),
                    None => fault,
                }
            }
            Refusal::Head { field, rule } => Self::field(field, rule),
            Refusal::Conflict => Self::of(
                Cause::BatchIdReused,
                "another batch was stored under this id; make a new id for new data",
            )
            .at("batch_id"),
            Refusal::Full { retry_after } => Self::of(Cause::StoreFull, text).spread(retry_after),
            Refusal::Busy { retry_after } => Self::of(Cause::Busy, text).spread(retry_after),
            Refusal::Unavailable { retry_after } => Self::of(Cause::Unavailable, text).spread(retry_after),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_of_the_api_are_those_of_the_model_in_the_same_order() {
        for (ours, number) in Reason::ALL.iter().zip(1_i32..) {
            assert_eq!(i32::from(reason(*ours)), number);
            assert_eq!(reason(*ours).as_str_name(), ours.as_str().to_ascii_uppercase());
        }
    }
}
