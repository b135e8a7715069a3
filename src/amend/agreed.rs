//! What several policies have in common that were in force one after the other, each for too short a time: of a record,
//! what is left by the one that leaves everything that any of them leaves.

use std::sync::Arc;

use super::AmendError;
use super::due::{Judge, Left};
use crate::policy::Plan;
use crate::sanitize::{LowerTo, Lowered, lower, say_the_same};
use crate::store::{CustomerEntry, HeaderAt};

/// What is taken by all of these, as far as that can be told without the record.
pub(super) fn common(lefts: Vec<Left>) -> Left {
    let mut plans: Vec<(Arc<Plan>, u32)> = Vec::new();
    for left in lefts {
        // What leaves nothing takes from no other one what that leaves.
        let Left::Plan(plan, accepted_version) = left else { continue };
        if !plans.iter().any(|(other, _)| other.fingerprint == plan.fingerprint) {
            plans.push((plan, accepted_version));
        }
    }
    match plans.pop() {
        None => Left::Nothing,
        Some((plan, accepted_version)) if plans.is_empty() => Left::Plan(plan, accepted_version),
        Some(last) => {
            plans.push(last);
            Left::Common(plans)
        }
    }
}

impl Judge<'_> {
    /// Of several plans the one that leaves everything that any of them leaves of a record, if there is one.
    pub(super) fn least_strict<'p>(
        &mut self,
        at: &HeaderAt,
        entry: &CustomerEntry,
        plans: &'p [(Arc<Plan>, u32)],
    ) -> Result<Option<&'p (Arc<Plan>, u32)>, AmendError> {
        let Some((record, body)) = self.opened(at, entry)? else { return Ok(None) };
        let (secret, epoch) = (&entry.secret, self.rotation.epoch(record.header.received));
        let mut lowered = |body: &[u8], (plan, accepted_version): &(Arc<Plan>, u32)| {
            let to = LowerTo { plan, accepted_version: *accepted_version, secret, epoch };
            match lower(body, &to, &mut self.scratch).ok()? {
                Lowered::Same => Some(body.to_vec()),
                Lowered::Less { batch, counts: _ } => Some(batch.body().to_vec()),
                Lowered::Nothing(_) => Some(Vec::new()),
            }
        };
        for one in plans {
            let Some(left) = lowered(&body, one).filter(|left| !left.is_empty()) else { continue };
            let mut has_all_of = |other: &(Arc<Plan>, u32)| {
                // What is left by both is what is left by the other one: nothing else is in that.
                let (Some(of_both), Some(of_other)) = (lowered(&left, other), lowered(&body, other)) else {
                    return false;
                };
                of_other.is_empty() || !of_both.is_empty() && say_the_same(&of_both, &of_other)
            };
            if plans.iter().filter(|other| other.0.fingerprint != one.0.fingerprint).all(&mut has_all_of) {
                return Ok(Some(one));
            }
        }
        Ok(None)
    }
}
