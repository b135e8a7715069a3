//! Whether a stored batch may still go to a drainer, and what of it. What the customer has chosen since it was decided
//! is looked at before a batch leaves and when it is acknowledged, so that a lowered level binds what is queued.
//! Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::counts::SkipReason;
use crate::model::{LevelName, Participation, ProgramName, Subscription};
use crate::policy::{Binding, Drainable, Plan, Policy, StoredUnder};
use crate::store::RecordHeader;

/// What may be left of a batch for one subscription.
#[derive(Debug, Clone)]
pub struct Left {
    /// At most what this plan stores.
    pub plan: Arc<Plan>,
    /// Of the dictionary up to this version.
    pub accepted_version: u32,
}

impl Left {
    /// Whether the batch was made by a plan that does the same, so that its bytes are as they should be.
    #[must_use]
    pub fn is_as_stored(&self, header: &RecordHeader) -> bool {
        self.plan.fingerprint == header.plan
    }
}

/// What holds for one batch of one subscription.
#[derive(Debug, Clone)]
pub struct Rechecked {
    /// Whether it may be delivered at all.
    pub drain: Drainable,
    /// What may be left of it, or why nothing may.
    pub left: Result<Left, SkipReason>,
}

impl Rechecked {
    /// Why nothing of the batch goes to the drainer ever (again), if that is so. A pause ends.
    #[must_use]
    pub fn never(&self) -> Option<SkipReason> {
        match (self.drain, &self.left) {
            (Drainable::Never, _) => Some(SkipReason::Held),
            (Drainable::Held | Drainable::Now, left) => left.as_ref().err().copied(),
        }
    }

    /// What may go to the drainer now, or why the batch is passed over.
    ///
    /// # Errors
    /// The reason.
    pub fn now(self) -> Result<Left, SkipReason> {
        match self.drain {
            Drainable::Now => self.left,
            Drainable::Never | Drainable::Held => Err(SkipReason::Held),
        }
    }
}

/// Whether the subscription does not want the batch at all, whoever it is of.
#[must_use]
pub fn unwanted(header: &RecordHeader, subscription: &Subscription) -> Option<SkipReason> {
    if !subscription.wants(&header.program, &header.product) {
        return Some(SkipReason::Filter);
    }
    (!header.purposes.has(subscription.purpose)).then_some(SkipReason::Purpose)
}

/// What a batch was stored under.
#[must_use]
pub fn stored_under(header: &RecordHeader) -> StoredUnder<'_> {
    StoredUnder {
        product: &header.product,
        program: &header.program,
        level: &header.level,
        region: &header.region,
        accepted_version: header.accepted_version,
    }
}

/// Decides for one batch of one subscription. `since` is what the customer has chosen from the revision that the
/// batch was decided under until now, the present choice last; nothing if the registry does not know the customer
/// (any more).
#[must_use]
pub fn recheck(
    header: &RecordHeader,
    subscription: &Subscription,
    since: &[&Participation],
    policy: &Policy,
    caps: &BTreeMap<ProgramName, LevelName>,
) -> Rechecked {
    let nothing = |reason| Rechecked { drain: Drainable::Now, left: Err(reason) };
    if let Some(reason) = unwanted(header, subscription) {
        return nothing(reason);
    }
    if since.is_empty() {
        return nothing(SkipReason::UnknownCustomer);
    }
    let bound = policy.bind(&stored_under(header), since, caps);
    let left = match bound.left {
        Binding::Nothing(_) => Err(SkipReason::Lowered),
        Binding::Plan { key, accepted_version } => {
            let level = policy.programs().get(key.program).and_then(|program| program.level(key.rank));
            let allowed = level.is_some_and(|level| level.purposes().has(subscription.purpose));
            if allowed && !key.purposes_off.has(subscription.purpose) {
                Ok(Left { plan: policy.plan(key), accepted_version })
            } else {
                Err(SkipReason::Purpose)
            }
        }
    };
    Rechecked { drain: bound.drain, left }
}
