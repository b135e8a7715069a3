//! Accepts a version of a dictionary for a customer: what was brought since becomes visible, and what
//! was withdrawn becomes hidden. Tells field by field what that is.

use std::collections::BTreeMap;

use super::convert::{api_participation, customer};
use super::registry::{ATTEMPTS, Registry, Warrant};
use super::{aside, no_participation};
use crate::grpc::proto::admin as pb;
use crate::grpc::status::{Cause, Fault};
use crate::model::{Change, CustomerId, LevelName, Participation, ProductName, ProgramName};
use crate::policy::{self, Chosen, Policy, Subject, between};
use crate::store::{SetError, Store};

/// The caps that hold for all customers, by program.
type Caps = BTreeMap<ProgramName, LevelName>;

/// Changes of one answer.
const CHANGES: usize = 1_000;

/// What is to be accepted.
#[derive(Clone)]
struct Wish {
    customer: CustomerId,
    product: Option<ProductName>,
    version: Option<u32>,
    if_revision: Option<u64>,
}

impl Wish {
    fn read(request: &pb::AcceptDictionaryRequest) -> Result<Self, Fault> {
        let product = match request.product.as_str() {
            "" => None,
            name => Some(ProductName::new(name).map_err(|invalid| Fault::field("product", invalid.rule))?),
        };
        if product.is_none() && request.version.is_some() {
            return Err(Fault::field("version", "name the product whose version it is"));
        }
        Ok(Self {
            customer: customer("customer", &request.customer)?,
            product,
            version: request.version,
            if_revision: Some(request.if_revision).filter(|revision| *revision != 0),
        })
    }

    /// The participation with the wish in it. Pure.
    fn grant(&self, policy: &Policy, before: &Participation) -> Result<Participation, Fault> {
        let mut wished = Participation::none(before.customer.clone());
        match &self.product {
            Some(product) => {
                let present = policy.product(product).map_or(0, policy::Product::version);
                wished.accepted_dictionaries.insert(product.clone(), self.version.unwrap_or(present));
            }
            None => policy.accept_current(&mut wished),
        }
        policy.check_participation(&wished).map_err(|faults| {
            Fault::field(if self.version.is_some() { "version" } else { "product" }, faults.join("; "))
        })?;
        let mut after = before.clone();
        for (product, version) in wished.accepted_dictionaries {
            let accepted = after.accepted_dictionaries.entry(product).or_insert(0);
            // Only who names a version withdraws.
            *accepted = self.version.unwrap_or_else(|| version.max(*accepted));
        }
        Ok(after)
    }
}

/// Accepts, or only tells what that would do.
pub(super) async fn accept(
    registry: &Registry,
    caps: &Caps,
    request: pb::AcceptDictionaryRequest,
) -> Result<pb::AcceptDictionaryResponse, Fault> {
    let wish = Wish::read(&request)?;
    let warrant = if request.validate_only {
        None
    } else {
        Some(Warrant::new(&request.changed_by, &request.change_reason)?)
    };
    for attempt in 1..=ATTEMPTS {
        let (store, policy, wished, caps) =
            (registry.store.clone(), registry.policy.load(), wish.clone(), caps.clone());
        let weighing = aside(move || weigh(&store, &policy, &caps, &wished));
        let (present, after, mut told) = weighing.await??;
        let Some(warrant) = warrant.as_ref().filter(|_| after != present.participation) else {
            told.participation = Some(api_participation(&Change { participation: after, ..present }));
            return Ok(told);
        };
        let change = warrant.change(after, Some(present.revision));
        match registry.store.set_participation(vec![change]).await?.pop() {
            Some(Ok(outcome)) => {
                registry.follow(&outcome);
                told.participation = Some(api_participation(&outcome.change));
                told.changed = outcome.changed;
                return Ok(told);
            }
            // Another change came between: what is taken over is that one's.
            Some(Err(SetError::Revision { .. })) if wish.if_revision.is_none() && attempt < ATTEMPTS => {}
            Some(Err(refused)) => return Err(Fault::from(refused)),
            None => break,
        }
    }
    Err(Fault::of(Cause::Internal, "the store did not say what became of the change"))
}

/// The present participation, the one that is wished for, and what becomes visible by it. Blocks.
fn weigh(
    store: &Store,
    policy: &Policy,
    caps: &Caps,
    wish: &Wish,
) -> Result<(Change, Participation, pb::AcceptDictionaryResponse), Fault> {
    let present = store.history(&wish.customer, None, 1)?.pop().ok_or_else(no_participation)?;
    if let Some(expected) = wish.if_revision.filter(|expected| *expected != present.revision) {
        return Err(Fault::from(SetError::Revision { expected, present: present.revision }));
    }
    let after = wish.grant(policy, &present.participation)?;
    let told = tell(policy, caps, &present.participation, &after);
    Ok((present, after, told))
}

/// What becomes visible otherwise when the one participation takes the place of the other. Pure.
fn tell(
    policy: &Policy,
    caps: &Caps,
    before: &Participation,
    after: &Participation,
) -> pb::AcceptDictionaryResponse {
    let chosen = |participation| Chosen { policy, participation, caps };
    let changes = between(chosen(before), chosen(after));
    let version = |participation: &Participation, product| {
        participation.accepted_dictionaries.get(product).copied().unwrap_or(0)
    };
    let steps = after.accepted_dictionaries.iter().map(|(product, after)| pb::AcceptanceStep {
        product: product.to_string(),
        before: version(before, product),
        after: *after,
    });
    pb::AcceptDictionaryResponse {
        participation: None,
        changed: false,
        steps: steps.filter(|step| step.before != step.after).collect(),
        total_changes: u64::try_from(changes.len()).unwrap_or(u64::MAX),
        changes: changes.iter().take(CHANGES).map(|change| api_change(policy, change)).collect(),
        policy_version: policy.version().to_owned(),
    }
}

fn api_change(policy: &Policy, change: &policy::Change) -> pb::VisibilityChange {
    let spot = &change.spot;
    let (event, field) = match &spot.subject {
        Subject::Customer | Subject::Instance => (String::new(), String::new()),
        Subject::Event(event) => (event.to_string(), String::new()),
        Subject::Field(event, path) => (event.to_string(), path.to_string()),
    };
    pb::VisibilityChange {
        product: spot.product.to_string(),
        event,
        field,
        program: spot.program.to_string(),
        level: spot.level.to_string(),
        description: description(policy, spot).unwrap_or_default().to_owned(),
        before: change.before.clone(),
        after: change.after.clone(),
        direction: change.direction.as_str().to_owned(),
        since: change.since,
    }
}

/// What the dictionary says of it.
fn description<'p>(policy: &'p Policy, spot: &policy::Spot) -> Option<&'p str> {
    let product = policy.product(&spot.product)?;
    let (name, path) = match &spot.subject {
        Subject::Customer | Subject::Instance => return None,
        Subject::Event(event) => (event, None),
        Subject::Field(event, path) => (event, Some(path)),
    };
    let event = product.events().iter().find(|event| event.name() == name)?;
    let Some(path) = path else { return Some(event.description()) };
    product.fields(event).find(|(_, field)| field.path() == path).map(|(_, field)| field.description())
}
