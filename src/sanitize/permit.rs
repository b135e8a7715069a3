//! The permit: who may have what stored, under which policy. One permit decides one batch, so a
//! policy that is swapped in the middle changes nothing (P5). Its fields are private and its only
//! maker asks the policy, so no caller can grant more than the customer chose.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::wire::Head;
use super::{CustomerSecret, ProgramKeys, Suppressions};
use crate::model::{CustomerId, LevelName, Participation, ProgramName, RawText, Reason, UnixMillis};
use crate::policy::{Ask, Decision, EventRef, NameTable, Plan, PlanKey, Policy};

/// A decision for one batch. Only [`Permit::grant`] makes one:
///
/// ```compile_fail,E0451
/// # use usaged::sanitize::Permit;
/// fn forge(permit: Permit) -> Permit {
///     Permit { epoch: 0, ..permit }
/// }
/// ```
///
/// What it decided can be looked at:
///
/// ```
/// # use usaged::sanitize::Permit;
/// fn look(permit: &Permit) -> Option<usaged::model::Reason> {
///     permit.refused()
/// }
/// ```
#[derive(Debug)]
pub struct Permit {
    policy: Arc<Policy>,
    decision: Decision,
    customer: CustomerId,
    secret: Arc<CustomerSecret>,
    received: UnixMillis,
    epoch: u32,
    suppressed: Option<Arc<Suppressions>>,
}

/// Who asks, and when: what a permit is granted on, beside the head of the request.
#[derive(Debug, Clone)]
pub struct Applicant<'a> {
    /// What the customer chose.
    pub participation: &'a Participation,
    /// The customer's keys.
    pub secret: &'a Arc<CustomerSecret>,
    /// The collector's own caps, per program.
    pub caps: &'a BTreeMap<ProgramName, LevelName>,
    /// When the request was received.
    pub received: UnixMillis,
    /// The rotation epoch of pseudonyms at that time.
    pub epoch: u32,
    /// What was erased of the customer lately, if anything was.
    pub suppressed: Option<&'a Arc<Suppressions>>,
}

impl Permit {
    /// Decides for one request: the strictest of everything that DESIGN section 2 names.
    #[must_use]
    pub fn grant(policy: Arc<Policy>, applicant: &Applicant<'_>, head: &Head<'_>) -> Self {
        let decision = policy.decide(&Ask {
            participation: Some(applicant.participation),
            global_caps: applicant.caps,
            product: head.product,
            region: head.region,
            level_caps: &head.level_caps,
        });
        Self {
            policy,
            decision,
            customer: applicant.participation.customer.clone(),
            secret: Arc::clone(applicant.secret),
            received: applicant.received,
            epoch: applicant.epoch,
            suppressed: applicant.suppressed.filter(|suppressed| !suppressed.is_empty()).cloned(),
        }
    }

    /// Why nothing of the batch may be stored, if that is so.
    #[must_use]
    pub const fn refused(&self) -> Option<Reason> {
        self.decision.refused
    }

    /// The policy that decided.
    #[must_use]
    pub const fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The decision.
    #[must_use]
    pub const fn decision(&self) -> &Decision {
        &self.decision
    }

    /// The level in force, for each program that the product's dictionary has events of.
    #[must_use]
    pub fn effective(&self) -> Vec<(ProgramName, LevelName)> {
        self.policy.effective(&self.decision)
    }

    /// The customer.
    #[must_use]
    pub const fn customer(&self) -> &CustomerId {
        &self.customer
    }

    /// The customer's keys.
    #[must_use]
    pub fn secret(&self) -> &CustomerSecret {
        &self.secret
    }

    /// What was erased of the customer lately, if anything was.
    #[must_use]
    pub fn suppressed(&self) -> Option<&Suppressions> {
        self.suppressed.as_deref()
    }

    /// When the request was received.
    #[must_use]
    pub const fn received(&self) -> UnixMillis {
        self.received
    }

    /// The keys of a program, at the rotation epoch of this batch.
    #[must_use]
    pub fn keys(&self, program: &ProgramName) -> Arc<ProgramKeys> {
        self.secret.program(program, self.epoch)
    }

    /// Where an event belongs: its index in the dictionary and its program, if the dictionary has it.
    #[inline]
    #[must_use]
    pub fn event(&self, name: RawText<'_>) -> Option<EventRef> {
        self.policy.product_at(self.decision.product?)?.event(name)
    }

    /// The fields of an event that the dictionary has, by number, whatever becomes of them.
    #[must_use]
    pub(super) fn event_fields(&self, name: RawText<'_>) -> Option<&NameTable> {
        let product = self.policy.product_at(self.decision.product?)?;
        let event = product.events().get(product.event(name)?.event)?;
        Some(event.field_numbers())
    }

    /// The plan of an event of a program: the effective one, or that of the level which the event
    /// needs if it is lower.
    ///
    /// # Errors
    /// [`Reason::NotParticipating`] if the program is at `none`, [`Reason::UnknownLevel`] if the
    /// program has no such level, [`Reason::Level`] if the event asks for `none`.
    #[inline]
    pub fn plan_key(&self, program: usize, needed: RawText<'_>) -> Result<PlanKey, Reason> {
        let decided = self.decision.programs.get(program).ok_or(Reason::NotParticipating)?;
        let mut rank = decided.rank;
        if rank == 0 {
            return Err(decided.withheld.unwrap_or(Reason::NotParticipating));
        }
        if !needed.is_empty() {
            rank = rank.min(self.policy.rank(program, needed).ok_or(Reason::UnknownLevel)?);
        }
        self.decision.plan_key(program, rank).ok_or(Reason::Level)
    }

    /// The plan for a key that this permit gave.
    #[must_use]
    pub fn plan(&self, key: PlanKey) -> Arc<Plan> {
        self.policy.plan(key)
    }
}
