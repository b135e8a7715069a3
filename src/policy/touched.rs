//! How many customers the change of a policy touches. Customers who chose the same are counted
//! together, so that a million of them cost no more than the choices there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::compiled::{PlanKey, Policy};
use super::diff::{self, Chosen, Direction, Spot, Subject, compare};
use super::planner::Terms;
use crate::model::{LevelName, Participation, ProductName, ProgramName, RegionName};

/// Customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Those for whom it holds as soon as the new policy does.
    pub at_once: u64,
    /// Those for whom it holds once they have accepted the dictionaries of the new policy.
    pub when_accepted: u64,
}

/// What of a product's events becomes visible otherwise, and in which direction.
type Effects = BTreeMap<Subject, Direction>;

/// The plans on both sides.
type Keys = (Option<PlanKey>, Option<PlanKey>);

/// Where customers see a change: all of a [`Spot`] but the rank.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place {
    product: ProductName,
    subject: Subject,
    program: ProgramName,
    level: LevelName,
    region: Option<RegionName>,
}

/// Counts the customers that a change touches.
#[derive(Debug)]
pub struct Touched<'p> {
    old: &'p Policy,
    new: &'p Policy,
    caps: &'p BTreeMap<ProgramName, LevelName>,
    /// What is known of the plans that were compared: bounded by the plans of both policies.
    known: HashMap<Keys, Effects>,
    places: HashMap<Place, Tally>,
    totals: BTreeMap<Direction, Tally>,
    customers: u64,
}

impl<'p> Touched<'p> {
    /// Begins to count. The caps are those of the collector whose customers are counted.
    #[must_use]
    pub fn new(old: &'p Policy, new: &'p Policy, caps: &'p BTreeMap<ProgramName, LevelName>) -> Self {
        Self {
            old,
            new,
            caps,
            known: HashMap::new(),
            places: HashMap::new(),
            totals: BTreeMap::new(),
            customers: 0,
        }
    }

    /// Counts so many customers who chose this.
    pub fn add(&mut self, participation: &Participation, customers: u64) {
        self.customers = self.customers.saturating_add(customers);
        let mut accepting = participation.clone();
        for product in self.new.products() {
            accepting.accepted_dictionaries.insert(product.name().clone(), product.version());
        }
        self.count(participation, participation, customers, |tally| &mut tally.at_once);
        self.count(participation, &accepting, customers, |tally| &mut tally.when_accepted);
    }

    fn count(
        &mut self,
        before: &Participation,
        after: &Participation,
        customers: u64,
        slot: fn(&mut Tally) -> &mut u64,
    ) {
        let (old, new, caps) = (self.old, self.new, self.caps);
        let before = Chosen { policy: old, participation: before, caps };
        let after = Chosen { policy: new, participation: after, caps };
        let mut directions = BTreeSet::new();
        for (product, program) in diff::pairs(old, new) {
            let keys = (before.key(product, program), after.key(product, program));
            let Some(level) = level(old, keys.0).or_else(|| level(new, keys.1)) else { continue };
            for (subject, direction) in self.known.entry(keys).or_insert_with(|| effects(old, new, keys)) {
                directions.insert(*direction);
                let place = Place {
                    product: product.clone(),
                    subject: subject.clone(),
                    program: program.clone(),
                    level: level.clone(),
                    region: before.participation.region.clone(),
                };
                let counted = slot(self.places.entry(place).or_default());
                *counted = counted.saturating_add(customers);
            }
        }
        for direction in directions {
            let counted = slot(self.totals.entry(direction).or_default());
            *counted = counted.saturating_add(customers);
        }
    }

    /// The customers for whom something changes there.
    #[must_use]
    pub fn at(&self, spot: &Spot) -> Tally {
        let place = Place {
            product: spot.product.clone(),
            subject: spot.subject.clone(),
            program: spot.program.clone(),
            level: spot.level.clone(),
            region: spot.region.clone(),
        };
        self.places.get(&place).copied().unwrap_or_default()
    }

    /// The customers for whom anything goes in this direction, each counted once.
    #[must_use]
    pub fn total(&self, direction: Direction) -> Tally {
        self.totals.get(&direction).copied().unwrap_or_default()
    }

    /// The customers that were counted.
    #[must_use]
    pub const fn customers(&self) -> u64 {
        self.customers
    }
}

fn level(policy: &Policy, key: Option<PlanKey>) -> Option<LevelName> {
    let key = key?;
    Some(policy.programs().get(key.program)?.level(key.rank)?.name().clone())
}

fn effects(old: &Policy, new: &Policy, (before, after): Keys) -> Effects {
    let sides = (before.and_then(|key| Terms::new(old, key)), after.and_then(|key| Terms::new(new, key)));
    compare(&sides.0, &sides.1).into_iter().map(|delta| (delta.subject, delta.direction)).collect()
}
