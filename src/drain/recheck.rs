//! Whether a stored batch may still go to a drainer. Participation is looked at again before a
//! batch leaves and when it is acknowledged, so that a lowered level binds what is queued. Pure.

use std::collections::BTreeMap;

use super::counts::SkipReason;
use crate::model::{Delivery, LevelName, Participation, ProgramName, Purpose, RawText, Subscription};
use crate::policy::{Ask, Policy, REGION_JOINT};
use crate::store::RecordHeader;

/// What becomes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to the drainer.
    Deliver,
    /// It is passed over.
    Skip(SkipReason),
}

/// Whether the subscription does not want the batch at all, whoever it is of.
#[must_use]
pub fn unwanted(header: &RecordHeader, subscription: &Subscription) -> Option<SkipReason> {
    if !subscription.wants(&header.program, &header.product) {
        return Some(SkipReason::Filter);
    }
    (!header.purposes.has(subscription.purpose)).then_some(SkipReason::Purpose)
}

/// Decides for one batch of one subscription. `now` is the customer's participation at present;
/// `None` if the registry does not know the customer (any more).
#[must_use]
pub fn recheck(
    header: &RecordHeader,
    subscription: &Subscription,
    now: Option<&Participation>,
    policy: &Policy,
    caps: &BTreeMap<ProgramName, LevelName>,
) -> Verdict {
    if let Some(reason) = unwanted(header, subscription) {
        return Verdict::Skip(reason);
    }
    let Some(participation) = now else { return Verdict::Skip(SkipReason::UnknownCustomer) };
    match participation.delivery {
        Delivery::Deliver => {}
        Delivery::Audit | Delivery::Paused => return Verdict::Skip(SkipReason::Held),
    }
    if participation.purposes_off.contains(&subscription.purpose) {
        return Verdict::Skip(SkipReason::Purpose);
    }
    if is_lowered(header, participation, policy, caps) {
        return Verdict::Skip(SkipReason::Lowered);
    }
    if !level_allows(header, subscription.purpose, policy) {
        return Verdict::Skip(SkipReason::Purpose);
    }
    Verdict::Deliver
}

/// Whether the level that the batch was stored at is for this purpose by the policy as it is now. What else a
/// stricter policy does to the level, such as treating a class more strictly, does not reach what is queued.
fn level_allows(header: &RecordHeader, purpose: Purpose, policy: &Policy) -> bool {
    let level = policy.program_index(&header.program).and_then(|at| {
        let rank = policy.rank(at, RawText::new(header.level.as_bytes()))?;
        policy.programs().get(at)?.level(rank)
    });
    level.is_some_and(|level| level.purposes().has(purpose))
}

/// Whether the customer now takes part less than when the batch was stored: a lower level, an
/// overlay that was not applied, or an acceptance taken back. What the policy does not know any
/// more counts as lower.
fn is_lowered(
    header: &RecordHeader,
    participation: &Participation,
    policy: &Policy,
    caps: &BTreeMap<ProgramName, LevelName>,
) -> bool {
    let text = |text| RawText::new(str::as_bytes(text));
    let decision = policy.decide(&Ask {
        participation: Some(participation),
        global_caps: caps,
        product: text(&header.product),
        region: RawText::default(),
        level_caps: &[],
    });
    let Some(program) = policy.program_index(&header.program) else { return true };
    let Some(then) = policy.rank(program, text(&header.level)) else { return true };
    if decision.refused.is_some() || decision.rank(program) < then {
        return true;
    }
    if decision.accepted_version < header.accepted_version {
        return true;
    }
    // A region that applies now, and did not when the batch was stored.
    let region = decision.region.and_then(|at| policy.overlay_name(at));
    let was_applied = |name: &str| header.region.split(REGION_JOINT).any(|applied| applied == name);
    region.is_some_and(|region| !region.as_str().split(REGION_JOINT).all(was_applied))
}
