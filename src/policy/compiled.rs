//! The policy itself: immutable, shared, and asked once per request.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use foldhash::fast::FixedState;
use quick_cache::sync::Cache;

use super::decide::Decision;
use super::dictionary::Product;
use super::planner;
use super::program::Program;
use super::raw_index::RawIndex;
use super::{Action, Plan, PolicyFile};
use crate::model::{LevelName, ProductName, ProgramName, Purposes, Raw, RawText, Reason, RegionName};

/// Plans that are kept compiled. A plan of a dictionary of 100 fields takes some tens of KiB, and making
/// one some 40 µs, so a policy with more combinations in use than this still works.
const PLANS: usize = 512;

/// Regions that can apply together: the customer's of now and before, and the sender's.
pub(super) const REGIONS_TOGETHER: usize = 4;

/// What joins the names of regions that apply together. No region of a policy has it in its name.
pub const REGION_JOINT: char = '-';

/// Which plan: positions in one policy. Made by [`Decision::plan_key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlanKey {
    /// The position of the product.
    pub product: usize,
    /// The position of the program.
    pub program: usize,
    /// The rank of the level, from 1.
    pub rank: u8,
    /// The position of the overlay in [`Policy::overlays`], if one applies.
    pub region: Option<usize>,
    /// The dictionary version that the customer accepted, if it is older than the dictionary.
    pub accepted: Option<u32>,
    /// The purposes that the customer switched off.
    pub purposes_off: Purposes,
}

/// One region, or up to four that apply together.
#[derive(Debug)]
pub struct Overlay {
    pub(super) name: RegionName,
    /// Positions in [`Policy::regions`], in rising order.
    pub(super) members: Vec<usize>,
}

impl Overlay {
    /// The name of the region, or of all of them in their order, joined by [`REGION_JOINT`].
    #[must_use]
    pub const fn name(&self) -> &RegionName {
        &self.name
    }
}

/// A policy: programs, dictionaries and regions, proved, and the plans compiled from them.
pub struct Policy {
    version: Arc<str>,
    files: Vec<PolicyFile>,
    programs: Vec<Program>,
    products: Vec<Product>,
    product_index: RawIndex,
    regions: Vec<RegionName>,
    overlays: Vec<Overlay>,
    /// For each product, the positions of the programs that its dictionary has events of.
    concerned: Vec<Vec<usize>>,
    plans: Cache<PlanKey, Arc<Plan>, quick_cache::UnitWeighter, FixedState>,
    /// The plan of every key that this policy did not make: nothing is stored.
    nothing: Arc<Plan>,
    none: LevelName,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Policy {
    /// `None` if there is no program or no product, which the compiler has refused before.
    pub(super) fn new(
        (version, files): (String, Vec<PolicyFile>),
        programs: Vec<Program>,
        products: Vec<Product>,
        regions: Vec<RegionName>,
    ) -> Option<Self> {
        let version: Arc<str> = version.into();
        let none = LevelName::new("none").ok()?;
        let nothing = nothing(&version, programs.first()?, products.first()?, &none);
        let overlays = overlays(&regions)?;
        let product_index = RawIndex::new(products.iter().map(|product| product.name().as_str()));
        let of = |product: &Product, at: &usize| product.events().iter().any(|event| event.program() == *at);
        let concerned = |product| (0..programs.len()).filter(|at| of(product, at)).collect();
        let concerned = products.iter().map(concerned).collect();
        let plans = Cache::with(
            PLANS,
            u64::try_from(PLANS).unwrap_or(u64::MAX),
            quick_cache::UnitWeighter,
            FixedState::default(),
            quick_cache::sync::DefaultLifecycle::default(),
        );
        Some(Self {
            version,
            files,
            programs,
            products,
            product_index,
            regions,
            overlays,
            concerned,
            plans,
            nothing: Arc::new(nothing),
            none,
        })
    }

    /// A digest of the files it was compiled from: 16 hexadecimal digits.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The files that it was compiled from, in the order of their paths.
    #[must_use]
    pub fn files(&self) -> &[PolicyFile] {
        &self.files
    }

    pub(super) const fn shared_version(&self) -> &Arc<str> {
        &self.version
    }

    /// The programs, in the order of their names.
    #[must_use]
    pub fn programs(&self) -> &[Program] {
        &self.programs
    }

    /// The position of a program.
    #[must_use]
    pub fn program_index<N: Borrow<str> + ?Sized>(&self, name: &N) -> Option<usize> {
        self.programs.iter().position(|program| program.name.as_str() == name.borrow())
    }

    /// The program of this name.
    #[must_use]
    pub fn program<N: Borrow<str> + ?Sized>(&self, name: &N) -> Option<&Program> {
        self.programs.get(self.program_index(name)?)
    }

    /// The rank of a level of the program at this position: 0 for `none`, and `None` if it has no such level.
    #[must_use]
    pub fn rank(&self, program: usize, level: RawText<'_>) -> Option<u8> {
        self.programs.get(program)?.rank_of(level)
    }

    /// Every program with its levels, `none` first.
    pub fn ladders(&self) -> impl Iterator<Item = (ProgramName, Vec<LevelName>)> + '_ {
        self.programs.iter().map(|program| {
            let levels = program.levels().iter().map(|level| level.name.clone());
            (program.name.clone(), std::iter::once(self.none.clone()).chain(levels).collect())
        })
    }

    /// The level in force for each program that the product's dictionary has events of; of no
    /// program if the product is not known.
    #[must_use]
    pub fn effective(&self, decision: &Decision) -> Vec<(ProgramName, LevelName)> {
        let in_force = |at: &usize| {
            let program = self.programs.get(*at)?;
            let level = program.level(decision.rank(*at)).map_or(&self.none, |level| &level.name);
            Some((program.name.clone(), level.clone()))
        };
        self.concerned(decision.product).iter().filter_map(in_force).collect()
    }

    /// The positions of the programs that a product has events of; none if there is no such product.
    pub(super) fn concerned(&self, product: Option<usize>) -> &[usize] {
        product.and_then(|at| self.concerned.get(at)).map_or(&[], Vec::as_slice)
    }

    /// The products, in the order of their names.
    #[must_use]
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// The position of a product.
    #[must_use]
    pub fn product_index(&self, name: RawText<'_>) -> Option<usize> {
        self.product_index.get(name)
    }

    /// The product at this position.
    #[must_use]
    pub fn product_at(&self, position: usize) -> Option<&Product> {
        self.products.get(position)
    }

    /// The product of this name.
    #[must_use]
    pub fn product(&self, name: &ProductName) -> Option<&Product> {
        self.products.get(self.product_index(Raw::new(name.as_str().as_bytes()))?)
    }

    /// The regions, in the order of their names.
    #[must_use]
    pub fn regions(&self) -> &[RegionName] {
        &self.regions
    }

    /// The regions, and then every two of them together, every three and every four.
    #[must_use]
    pub fn overlays(&self) -> &[Overlay] {
        &self.overlays
    }

    /// The name of an overlay.
    #[must_use]
    pub fn overlay_name(&self, region: usize) -> Option<&RegionName> {
        self.overlays.get(region).map(Overlay::name)
    }

    /// The overlay of regions together, given by their positions in any order. `None` if there are more
    /// [`REGIONS_TOGETHER`] of them, or none.
    pub(super) fn overlay_of(&self, regions: impl IntoIterator<Item = usize>) -> Option<usize> {
        let members: BTreeSet<usize> = regions.into_iter().collect();
        self.overlays.iter().position(|overlay| overlay.members.iter().eq(&members))
    }

    /// The compiled plan: from the cache, or made now. A key that this policy did not make gets a
    /// plan without events, by which nothing is stored.
    #[must_use]
    pub fn plan(&self, key: PlanKey) -> Arc<Plan> {
        if let Some(plan) = self.plans.get(&key) {
            return plan;
        }
        // Two threads may make the same plan at once: both are the same, and the last one stays.
        let Some(plan) = planner::plan(self, key) else { return Arc::clone(&self.nothing) };
        let plan = Arc::new(plan);
        self.plans.insert(key, Arc::clone(&plan));
        plan
    }
}

fn nothing(version: &Arc<str>, program: &Program, product: &Product, none: &LevelName) -> Plan {
    Plan {
        policy_version: Arc::clone(version),
        product: product.name().clone(),
        dictionary_version: product.version(),
        program: program.name.clone(),
        program_index: 0,
        level: none.clone(),
        rank: 0,
        region: None,
        customer: Action::Withhold(Reason::NotParticipating),
        instance: Action::Withhold(Reason::NotParticipating),
        events: Vec::new(),
        fields: Vec::new(),
        fingerprint: [0; 8],
    }
}

/// Every set of up to [`REGIONS_TOGETHER`] regions, the small ones first. A policy has at most 16 regions, so there
/// are at most 2,516.
fn overlays(regions: &[RegionName]) -> Option<Vec<Overlay>> {
    let mut sets: Vec<Vec<usize>> = vec![Vec::new()];
    let mut from = 0;
    for _ in 0..REGIONS_TOGETHER {
        let until = sets.len();
        for at in from..until {
            let smaller = sets.get(at)?.clone();
            let next = smaller.last().map_or(0, |last| last + 1);
            sets.extend(
                (next..regions.len()).map(|region| smaller.iter().copied().chain([region]).collect()),
            );
        }
        from = until;
    }
    let overlays = sets.into_iter().skip(1).map(|members| {
        let names: Vec<&str> =
            members.iter().filter_map(|at| regions.get(*at)).map(RegionName::as_str).collect();
        // The compiler has bounded and checked the names so that this is one too.
        let name = RegionName::new(&names.join(&String::from(REGION_JOINT))).ok()?;
        Some(Overlay { name, members })
    });
    overlays.collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::program_file::REGION_BYTES;
    use super::{REGIONS_TOGETHER, overlays};
    use crate::model::RegionName;

    #[test]
    fn every_set_of_regions_that_can_apply_together_has_an_overlay_with_a_name() {
        let name = |at: u8| char::from(b'a' + at).to_string().repeat(REGION_BYTES);
        let regions: Vec<RegionName> = (0..16).map(|at| RegionName::new(&name(at)).unwrap()).collect();
        let all = overlays(&regions).unwrap();
        let of = |members: usize| all.iter().filter(|overlay| overlay.members.len() == members).count();
        assert_eq!((1..=REGIONS_TOGETHER).map(of).collect::<Vec<_>>(), [16, 120, 560, 1820]);
        for (at, region) in regions.iter().enumerate() {
            // One region has the position of the region itself.
            assert_eq!(
                all.get(at).map(|overlay| (&overlay.name, &*overlay.members)),
                Some((region, &[at][..]))
            );
        }
        assert!(all.iter().all(|overlay| overlay.members.is_sorted()));
        assert_eq!(overlays(&[]).unwrap().len(), 0);
    }
}
