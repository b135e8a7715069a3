//! Subscriptions, deliveries and refusals of the drain room, as the API says them.

use std::sync::Arc;
use std::time::Duration;

use crate::drain::{
    AckFailure, DeadLetter, Delivery, DrainError, Notice, NoticeDelivery, Scope, SubscriptionState,
};
use crate::grpc::proto::drain as pb;
use crate::grpc::status::{Cause, Fault};
use crate::grpc::times::{api_duration, duration, timestamp};
use crate::model::{ProductName, ProgramName, Purpose, Subscription, SubscriptionName, UnixMillis};
use crate::observe::Seldom;

/// It can be so of every request.
static NO_STATE: Seldom = Seldom::new();

/// Programs and products that a filter may name.
const FILTERS: usize = 64;

/// Bytes of the recipient.
const RECIPIENT_BYTES: usize = 128;

/// The name of a subscription in `field`.
pub(super) fn name(field: &'static str, given: &str) -> Result<SubscriptionName, Fault> {
    SubscriptionName::new(given).map_err(|invalid| Fault::field(field, invalid.rule))
}

/// The subscription that a caller describes, created `now`.
pub(super) fn subscription(given: &pb::Subscription, now: UnixMillis) -> Result<Subscription, Fault> {
    let recipient = given.recipient.trim();
    if recipient.is_empty() || recipient.len() > RECIPIENT_BYTES || recipient.contains(char::is_control) {
        return Err(Fault::field("subscription.recipient", "name who receives the data, in 1 to 128 bytes"));
    }
    if given.programs.len() > FILTERS || given.products.len() > FILTERS {
        return Err(Fault::field("subscription", "a filter names at most 64 programs and 64 products"));
    }
    let ack_deadline = match given.ack_deadline {
        None => Duration::from_mins(1),
        some => duration("subscription.ack_deadline", some, *Subscription::ACK_DEADLINE.end())?,
    };
    if !Subscription::ACK_DEADLINE.contains(&ack_deadline) {
        return Err(Fault::field("subscription.ack_deadline", "must be from 1 s to 600 s"));
    }
    let max_delivery_attempts = match given.max_delivery_attempts {
        0 => 5,
        n => n,
    };
    if !Subscription::ATTEMPTS.contains(&max_delivery_attempts) {
        return Err(Fault::field("subscription.max_delivery_attempts", "must be from 1 to 100"));
    }
    let programs = given.programs.iter().map(|name| ProgramName::new(name)).collect::<Result<_, _>>();
    let products = given.products.iter().map(|name| ProductName::new(name)).collect::<Result<_, _>>();
    Ok(Subscription {
        name: name("subscription.name", &given.name)?,
        purpose: purpose(given.purpose())?,
        recipient: recipient.to_owned(),
        programs: programs.map_err(|invalid| Fault::field("subscription.programs", invalid.rule))?,
        products: products.map_err(|invalid| Fault::field("subscription.products", invalid.rule))?,
        ack_deadline,
        max_delivery_attempts,
        created: now,
    })
}

fn purpose(given: pb::Purpose) -> Result<Purpose, Fault> {
    match given {
        pb::Purpose::Deliver => Ok(Purpose::Deliver),
        pb::Purpose::Recommend => Ok(Purpose::Recommend),
        pb::Purpose::Improve => Ok(Purpose::Improve),
        pb::Purpose::Unspecified => {
            Err(Fault::field("subscription.purpose", "name one of DELIVER, RECOMMEND and IMPROVE"))
        }
    }
}

const fn api_purpose(purpose: Purpose) -> pb::Purpose {
    match purpose {
        Purpose::Deliver => pb::Purpose::Deliver,
        Purpose::Recommend => pb::Purpose::Recommend,
        Purpose::Improve => pb::Purpose::Improve,
    }
}

/// A subscription and how far it is.
pub(super) fn api_subscription(state: &SubscriptionState) -> pb::Subscription {
    let subscription = &state.subscription;
    pb::Subscription {
        name: subscription.name.to_string(),
        purpose: api_purpose(subscription.purpose).into(),
        recipient: subscription.recipient.clone(),
        programs: subscription.programs.iter().map(ToString::to_string).collect(),
        products: subscription.products.iter().map(ToString::to_string).collect(),
        ack_deadline: Some(api_duration(subscription.ack_deadline)),
        max_delivery_attempts: subscription.max_delivery_attempts,
        from_oldest: false,
        create_time: Some(timestamp(subscription.created)),
        cursor: state.cursor.0,
        waiting_batches: state.waiting,
        leased_batches: state.leased,
        dead_batches: state.dead,
        oldest_age: state.oldest_age.map(api_duration),
        acknowledged_batches: state.acknowledged,
        expired_batches: state.expired,
        skipped_batches: state.skipped,
    }
}

/// A batch under a lease.
pub(super) fn received(delivery: Delivery) -> pb::ReceivedBatch {
    pb::ReceivedBatch {
        ack_id: delivery.ack_id,
        delivery_attempt: delivery.attempt,
        commit_number: delivery.commit.0,
        batch: delivery.body,
    }
}

/// What is to be deleted.
pub(super) fn notice(delivery: NoticeDelivery) -> pb::Notice {
    use pb::notice::Scope as Api;
    let NoticeDelivery { ack_id, notice, .. } = delivery;
    let Notice { erasure, scope, customers, requested, programs: _, kept: _, names: _, leaves: _ } =
        Arc::unwrap_or_clone(notice);
    let told = pb::Notice {
        ack_id,
        erasure_id: erasure.to_string(),
        customers,
        request_time: Some(timestamp(requested)),
        ..pb::Notice::default()
    };
    match scope {
        Scope::Customer => pb::Notice { scope: Api::Customer.into(), ..told },
        Scope::Instance { tokens } => {
            let pseudonyms_only = tokens.iter().all(|text| is_pseudonym(text));
            pb::Notice { scope: Api::Instance.into(), tokens, pseudonyms_only, ..told }
        }
        Scope::Identifier { class, tokens } => {
            let pseudonyms_only = tokens.iter().all(|text| is_pseudonym(text));
            let class = class.to_string();
            pb::Notice { scope: Api::Identifier.into(), class, tokens, pseudonyms_only, ..told }
        }
        Scope::Times { from, until } => {
            let (from, until) = (Some(timestamp(from)), Some(timestamp(until)));
            pb::Notice { scope: Api::Times.into(), from, until, ..told }
        }
        Scope::Everything => pb::Notice { scope: Api::Everything.into(), ..told },
    }
}

/// Whether a text of a notice is a pseudonym, and no value that was kept.
fn is_pseudonym(text: &str) -> bool {
    text.starts_with("p1-")
}

/// A batch that was given up.
pub(super) fn dead_letter(letter: DeadLetter) -> pb::DeadLetter {
    pb::DeadLetter {
        commit_number: letter.commit.0,
        delivery_attempts: letter.attempts,
        dead_time: Some(timestamp(letter.at)),
        reason: letter.reason.as_str().to_owned(),
        batch: letter.body,
    }
}

/// Leases that could not be acknowledged or changed.
pub(super) fn failures(failures: Vec<(String, AckFailure)>) -> Vec<pb::AckFailure> {
    use pb::ack_failure::Reason;
    let reason = |failure| match failure {
        AckFailure::Expired => (Reason::Expired, 0),
        AckFailure::Unknown => (Reason::Unknown, 0),
        AckFailure::Withdrawn(commit) => (Reason::Withdrawn, commit.0),
    };
    let told = failures.into_iter().map(|(ack_id, failure)| {
        let (reason, commit_number) = reason(failure);
        pb::AckFailure { ack_id, reason: reason.into(), commit_number }
    });
    told.collect()
}

impl From<DrainError> for Fault {
    fn from(error: DrainError) -> Self {
        match error {
            DrainError::NotFound { .. } => {
                Self::of(Cause::NoSubscription, "there is no such subscription; create it first")
            }
            DrainError::Exists { .. } => Self::of(
                Cause::SubscriptionExists,
                "there is a subscription of that name; use it, or choose another",
            ),
            DrainError::TooMany { .. } => Self::of(Cause::TooManySubscriptions, error.to_string()),
            DrainError::Invalid { field, rule } => Self::field(format!("subscription.{field}"), rule),
            DrainError::RowVersion { .. } | DrainError::RowDamaged { .. } => {
                if let Some(unsaid) = NO_STATE.due() {
                    tracing::error!(%error, unsaid, "the state of a subscription cannot be read");
                }
                Self::of(
                    Cause::Damaged,
                    "the state of the subscription cannot be read; the operator has to act",
                )
            }
            DrainError::Store(error) => Self::from(error),
            DrainError::Stopped => Self::of(Cause::Closing, "the collector is shutting down; try again")
                .spread(Duration::from_secs(1)),
        }
    }
}
