//! What holds for a batch that is queued: the strictest of everything that its customer has chosen since it was
//! decided, so that lowering binds and raising brings nothing back (P6). Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::compiled::{PlanKey, Policy, REGION_JOINT};
use super::decide::{Ask, level};
use crate::model::{
    Delivery, LevelName, Participation, ProductName, ProgramName, Purposes, RawText, Reason, RegionName,
};

/// What a batch was stored under: what the header of its record says.
#[derive(Debug, Clone, Copy)]
pub struct StoredUnder<'a> {
    /// The product that reported.
    pub product: &'a str,
    /// The program of its events.
    pub program: &'a str,
    /// The level at which it was stored.
    pub level: &'a str,
    /// The regions whose overlays were applied, joined by [`REGION_JOINT`]; empty for none. That of the sender is
    /// one of them, and stays.
    pub region: &'a str,
    /// The dictionary version that the customer had accepted.
    pub accepted_version: u32,
}

/// What holds for a stored batch now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// What may be left of it.
    pub left: Binding,
    /// Whether what is left may be handed out.
    pub drain: Drainable,
}

/// What may be left of a stored batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// At most what this plan stores, of the dictionary up to this version.
    Plan {
        /// Names the plan in the policy that was asked.
        key: PlanKey,
        /// The dictionary version up to which data may be stored.
        accepted_version: u32,
    },
    /// Nothing: [`Reason::NotParticipating`], or something that it was stored under is not known (any more).
    Nothing(Reason),
}

/// Whether a stored batch may be handed out. Less is what is stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drainable {
    /// Never: at some time since it was decided, the customer wanted what is stored to be looked at only.
    Never,
    /// Not now: the customer is paused.
    Held,
    /// Yes.
    Now,
}

impl Policy {
    /// What holds for a stored batch. `participations` are the customer's, from the one that it was decided under to
    /// the present one, oldest first; `caps` are the collector's own.
    ///
    /// What the policy does not know is treated as if nobody had agreed to it.
    #[must_use]
    pub fn bind(
        &self,
        stored: &StoredUnder<'_>,
        participations: &[&Participation],
        caps: &BTreeMap<ProgramName, LevelName>,
    ) -> Bound {
        let drain = drainable(participations);
        let left = self.left(stored, participations, caps);
        Bound { left: left.unwrap_or_else(Binding::Nothing), drain }
    }

    fn left(
        &self,
        stored: &StoredUnder<'_>,
        participations: &[&Participation],
        caps: &BTreeMap<ProgramName, LevelName>,
    ) -> Result<Binding, Reason> {
        if participations.is_empty() {
            return Err(Reason::NotParticipating);
        }
        let at = self.product_index(raw(stored.product)).ok_or(Reason::UnknownProduct)?;
        let product = self.product_at(at).ok_or(Reason::UnknownProduct)?;
        let program_at = self.program_index(stored.program).ok_or(Reason::UnknownLevel)?;
        let program = self.programs().get(program_at).ok_or(Reason::UnknownLevel)?;
        // As when it was decided: a cap on a program that does not exist was meant for one that does.
        if !caps.keys().all(|program| self.program_index(program).is_some()) {
            return Err(Reason::UnknownLevel);
        }
        let mut rank = program.rank(stored.level).ok_or(Reason::UnknownLevel)?;
        let mut accepted_version = stored.accepted_version.min(product.version());
        let mut purposes_off = Purposes::NONE;
        for participation in participations {
            let ask = Ask {
                participation: Some(participation),
                global_caps: caps,
                product: raw(stored.product),
                region: RawText::default(),
                level_caps: &[],
            };
            rank = rank.min(level(program, product, participation, &ask)?);
            accepted_version = accepted_version.min(accepted(participation, product.name()));
            purposes_off = purposes_off.or(participation.purposes_off.iter().copied().collect());
        }
        if rank == 0 {
            return Err(Reason::NotParticipating);
        }
        let key = PlanKey {
            product: at,
            program: program_at,
            rank,
            region: self.regions_since(stored.region, participations)?,
            accepted: (accepted_version < product.version()).then_some(accepted_version),
            purposes_off,
        };
        Ok(Binding::Plan { key, accepted_version })
    }

    /// The overlay of every region that was applied, and that the customer has had since.
    fn regions_since(
        &self,
        applied: &str,
        participations: &[&Participation],
    ) -> Result<Option<usize>, Reason> {
        let applied = applied.split(REGION_JOINT).filter(|name| !name.is_empty());
        let chosen = participations.iter().filter_map(|one| one.region.as_ref()).map(RegionName::as_str);
        let at = |name: &str| self.regions().iter().position(|region| region.as_str() == name);
        let regions: Option<BTreeSet<usize>> = applied.chain(chosen).map(at).collect();
        let regions = regions.ok_or(Reason::UnknownLevel)?;
        if regions.is_empty() {
            return Ok(None);
        }
        // More regions than can apply together: what they leave cannot be said, so it is nothing.
        self.overlay_of(regions).map(Some).ok_or(Reason::UnknownLevel)
    }
}

fn raw(text: &str) -> RawText<'_> {
    RawText::new(text.as_bytes())
}

/// What was never accepted is version 0, of which there is nothing.
fn accepted(participation: &Participation, product: &ProductName) -> u32 {
    participation.accepted_dictionaries.get(product).copied().unwrap_or(0)
}

fn drainable(participations: &[&Participation]) -> Drainable {
    if participations.iter().any(|one| one.delivery == Delivery::Audit) {
        return Drainable::Never;
    }
    match participations.last().map(|now| now.delivery) {
        Some(Delivery::Deliver) => Drainable::Now,
        Some(Delivery::Paused | Delivery::Audit) | None => Drainable::Held,
    }
}

#[cfg(test)]
#[path = "bind_tests.rs"]
mod tests;
