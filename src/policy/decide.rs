//! Which level is in force: the strictest of everything that has a say. Pure, and asked once per
//! request. What is unknown lowers to `none`.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use super::compiled::{PlanKey, Policy};
use super::dictionary::Product;
use super::program::Program;
use crate::model::{Delivery, LevelName, Participation, ProgramName, Purposes, RawText, Reason};

/// Everything that has a say in the level of one batch.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// What the customer chose; `None` for a customer that is not known.
    pub participation: Option<&'a Participation>,
    /// The caps that hold for all customers, by program.
    pub global_caps: &'a BTreeMap<ProgramName, LevelName>,
    /// The product that the request names.
    pub product: RawText<'a>,
    /// The region that the request names; empty for none.
    pub region: RawText<'a>,
    /// The program and level of every cap that the instance asks for itself.
    pub level_caps: &'a [(RawText<'a>, RawText<'a>)],
}

/// What is in force for one batch. Its positions are those of the policy that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The position of the product, if the policy has it.
    pub product: Option<usize>,
    /// The level per program of the policy, in its order.
    pub programs: Vec<ProgramDecision>,
    /// The position in [`Policy::overlays`] of what applies: the customer's region, the sender's, or both.
    pub region: Option<usize>,
    /// The version of the product's dictionary up to which data may be stored: the one that the
    /// customer accepted, or the present one. 0 if nothing is stored.
    pub accepted_version: u32,
    /// The purposes that the customer switched off.
    pub purposes_off: Purposes,
    /// Why nothing of the batch is stored, whatever its events.
    pub refused: Option<Reason>,
    /// Whether the dictionary has something that is newer than the accepted version.
    limited: bool,
}

/// What is in force for one program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgramDecision {
    /// The position of the program.
    pub program: usize,
    /// The rank of the level; 0 is `none`, at which nothing is stored.
    pub rank: u8,
    /// Why the rank is 0, if it is.
    pub withheld: Option<Reason>,
}

impl Decision {
    /// The rank in force for the program at this position; 0 if there is none.
    #[must_use]
    pub fn rank(&self, program: usize) -> u8 {
        self.programs.get(program).map_or(0, |decision| decision.rank)
    }

    /// The plan of a program at a rank, which may be lower than the one in force (an event can
    /// need less). `None` for `none`, and for a rank that is higher than the one in force.
    #[must_use]
    pub fn plan_key(&self, program: usize, rank: u8) -> Option<PlanKey> {
        let allowed = (1..=self.rank(program)).contains(&rank);
        allowed.then_some(PlanKey {
            product: self.product?,
            program,
            rank,
            region: self.region,
            accepted: self.limited.then_some(self.accepted_version),
            purposes_off: self.purposes_off,
        })
    }

    fn refuse(policy: &Policy, product: Option<usize>, reason: Reason) -> Self {
        let none = |program| ProgramDecision { program, rank: 0, withheld: Some(reason) };
        Self {
            product,
            programs: (0..policy.programs().len()).map(none).collect(),
            region: None,
            accepted_version: 0,
            purposes_off: Purposes::NONE,
            refused: Some(reason),
            limited: false,
        }
    }
}

impl Policy {
    /// Decides the level of every program for one batch.
    #[must_use]
    pub fn decide(&self, ask: &Ask<'_>) -> Decision {
        let index = self.product_index(ask.product);
        let Some(participation) = ask.participation.filter(|p| p.delivery != Delivery::Paused) else {
            return Decision::refuse(self, index, Reason::NotParticipating);
        };
        let Some(product) = index.and_then(|at| self.product_at(at)) else {
            // Who takes part in nothing is told to stop, and not whether there is such a product.
            let takes_part = self.takes_part(participation);
            let reason = if takes_part { Reason::UnknownProduct } else { Reason::NotParticipating };
            return Decision::refuse(self, None, reason);
        };
        let region = match self.region(participation, ask.region) {
            Ok(region) => region,
            Err(reason) => return Decision::refuse(self, index, reason),
        };
        // A cap on a program that does not exist was meant for one that does: nothing is stored
        // until it is corrected.
        let exists = |name: RawText<'_>| self.programs().iter().any(|program| named(&program.name, name));
        let known = |program: &ProgramName| self.program_index(program).is_some();
        if !ask.level_caps.iter().all(|(program, _)| exists(*program)) || !ask.global_caps.keys().all(known) {
            return Decision::refuse(self, index, Reason::UnknownLevel);
        }
        let programs: Vec<_> = self
            .programs()
            .iter()
            .enumerate()
            .map(|(at, program)| ProgramDecision::new(at, level(program, product, participation, ask)))
            .collect();
        let refused = refused(&programs);
        // A version that is not older withholds nothing, and all of those share one plan.
        // What the customer never accepted anything of, such as a product that the policy got later, is
        // withheld as a whole: new data, new consent.
        let accepted = participation.accepted_dictionaries.get(product.name()).copied();
        let accepted_version = accepted.unwrap_or(0).min(product.version());
        Decision {
            product: index,
            programs,
            region,
            accepted_version,
            purposes_off: participation.purposes_off.iter().copied().collect(),
            refused,
            limited: accepted_version < product.version(),
        }
    }

    /// Whether the customer chose a level other than `none` anywhere.
    fn takes_part(&self, participation: &Participation) -> bool {
        let chosen = |program: &Program| participation.levels.get(&program.name);
        self.programs()
            .iter()
            .any(|program| chosen(program).is_some_and(|level| program.rank(level.as_str()) != Some(0)))
    }

    /// The overlay that applies, if any.
    fn region(&self, participation: &Participation, senders: RawText<'_>) -> Result<Option<usize>, Reason> {
        let at = |name: RawText<'_>| {
            self.regions().iter().position(|region| named(region, name)).ok_or(Reason::UnknownLevel)
        };
        let customers = match &participation.region {
            Some(region) => Some(at(RawText::new(region.as_str().as_bytes()))?),
            None => None,
        };
        let senders = if senders.is_empty() { None } else { Some(at(senders)?) };
        match (customers, senders) {
            (Some(a), Some(b)) => self.overlay_of([a, b]).map(Some).ok_or(Reason::UnknownLevel),
            // An overlay of one region has the position of the region.
            (one, other) => Ok(one.or(other)),
        }
    }
}

impl ProgramDecision {
    const fn new(program: usize, level: Result<u8, Reason>) -> Self {
        match level {
            Ok(0) => Self { program, rank: 0, withheld: Some(Reason::NotParticipating) },
            Ok(rank) => Self { program, rank, withheld: None },
            Err(reason) => Self { program, rank: 0, withheld: Some(reason) },
        }
    }
}

/// Every program at `none` is the customer's choice, unless a level was named that does not exist.
fn refused(programs: &[ProgramDecision]) -> Option<Reason> {
    if programs.iter().any(|program| program.rank > 0) {
        return None;
    }
    let unknown = programs.iter().find(|program| program.withheld == Some(Reason::UnknownLevel));
    Some(if unknown.is_some() { Reason::UnknownLevel } else { Reason::NotParticipating })
}

/// The rank in force for one program: the lowest that anyone named.
pub(super) fn level(
    program: &Program,
    product: &Product,
    participation: &Participation,
    ask: &Ask<'_>,
) -> Result<u8, Reason> {
    let Some(chosen) = participation.levels.get(&program.name) else { return Ok(0) };
    let overrides = participation
        .product_levels
        .iter()
        .filter(|one| one.product == *product.name() && one.program == program.name)
        .map(|one| &one.level);
    let named_by_operators = ask.global_caps.get(&program.name).into_iter().chain(overrides);
    let named_by_sender =
        ask.level_caps.iter().filter(|(capped, _)| named(&program.name, *capped)).map(|(_, level)| *level);
    let raw = |level: &LevelName| program.rank(level.as_str());
    let ranks = named_by_operators.map(raw).chain(named_by_sender.map(|level| program.rank_of(level)));
    std::iter::once(raw(chosen))
        .chain(ranks)
        .try_fold(u8::MAX, |lowest, rank| rank.map(|rank| lowest.min(rank)))
        .ok_or(Reason::UnknownLevel)
}

/// Whether a raw name is this one. Raw values are compared, never exposed.
fn named(name: &impl Borrow<str>, raw: RawText<'_>) -> bool {
    RawText::new(name.borrow().as_bytes()) == raw
}
