//! The collection plan as a sender asks for it, and what every receipt says about it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::fair::Account;
use super::intake::{Intake, Options};
use super::refusal::Refusal;
use crate::model::{CustomerId, LevelName, Participation, ProgramName, RawText};
use crate::policy::{Ask, Collection, CollectionState, CollectionVersion, Policy};
use crate::sanitize::Permit;
use crate::sanitize::wire::Head;
use crate::store::CustomerEntry;

/// How long a collection plan is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanTtl(pub Duration);

impl Default for PlanTtl {
    fn default() -> Self {
        Self(Duration::from_hours(1))
    }
}

/// What a sender names when it asks for a plan: the same as in the head of a batch.
#[derive(Debug, Clone)]
pub struct PlanAsk<'a> {
    /// The product.
    pub product: RawText<'a>,
    /// The region of the source; may be empty.
    pub region: RawText<'a>,
    /// What the installation agrees to at most: program and level.
    pub level_caps: Vec<(RawText<'a>, RawText<'a>)>,
}

/// What of a product is wanted, and for how long that is good.
#[derive(Debug, Clone)]
pub struct CollectionPlan {
    /// What is wanted.
    pub wanted: Collection,
    /// How long a sender may go by it before it asks again.
    pub time_to_live: Duration,
    /// The policy that was asked.
    pub policy_version: Arc<str>,
}

impl Intake {
    /// The plan, in turn with what else is done for the customer: it is a walk over a whole dictionary, for a request
    /// of a few bytes that no rate counts.
    ///
    /// # Errors
    /// As for [`Intake::plan`].
    pub async fn plan_on(
        &self,
        account: &Account,
        customer: &CustomerId,
        ask: &PlanAsk<'_>,
    ) -> Result<CollectionPlan, Refusal> {
        let _turn_of_customer = account.turn(account.is_in_a_crowd(), true).await;
        self.plan(customer, ask)
    }
}

impl PlanAsk<'_> {
    pub(super) fn answer(
        &self,
        policy: &Policy,
        participation: Option<&Participation>,
        options: &Options,
    ) -> CollectionPlan {
        let decision = policy.decide(&Ask {
            participation,
            global_caps: &options.level_caps,
            product: self.product,
            region: self.region,
            level_caps: &self.level_caps,
        });
        CollectionPlan {
            wanted: policy.collection(participation, &decision),
            time_to_live: options.plan_ttl.0,
            policy_version: policy.version().into(),
        }
    }
}

/// What a receipt says about the collection plan that holds for a batch like this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Its version.
    pub version: CollectionVersion,
    /// Whether the sender named another one.
    pub changed: bool,
    /// Whether anything is collected.
    pub state: CollectionState,
    /// How long it is good for; also when a sender that was told to stop may ask again.
    pub time_to_live: Duration,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            version: CollectionVersion::default(),
            changed: false,
            state: CollectionState::Disabled,
            time_to_live: Duration::ZERO,
        }
    }
}

impl Told {
    /// For a batch that was decided.
    pub(super) fn new(permit: &Permit, entry: &CustomerEntry, head: &Head<'_>, ttl: PlanTtl) -> Self {
        let (policy, decision) = (permit.policy(), permit.decision());
        let state = policy.collection_state(Some(&entry.change.participation), decision);
        Self::of(policy.collection_version(state, decision), state, head, ttl)
    }

    /// For a batch of a customer who is not known, or is paused.
    pub(super) fn nothing(
        policy: &Policy,
        entry: Option<&CustomerEntry>,
        head: &Head<'_>,
        ttl: PlanTtl,
    ) -> Self {
        let participation = entry.map(|entry| &entry.change.participation);
        let decision = policy.decide(&Ask {
            participation,
            global_caps: &NO_CAPS,
            product: head.product,
            region: head.region,
            level_caps: &head.level_caps,
        });
        let state = policy.collection_state(participation, &decision);
        Self::of(policy.collection_version(state, &decision), state, head, ttl)
    }

    fn of(version: CollectionVersion, state: CollectionState, head: &Head<'_>, ttl: PlanTtl) -> Self {
        let held = head.plan_version;
        let changed = !held.is_empty() && !version.is(held);
        Self { version, changed, state, time_to_live: ttl.0 }
    }
}

/// A customer who is not known or paused gets nothing stored, whatever the collector's caps.
static NO_CAPS: BTreeMap<ProgramName, LevelName> = BTreeMap::new();
