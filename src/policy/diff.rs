//! What differs between two policies, or between what a customer lets be seen before and after a
//! choice: per event and field, whether more or less of it becomes visible.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::compiled::{PlanKey, Policy};
use super::decide::Ask;
use super::dictionary::{Event, Product};
use super::planner::Terms;
use super::sight::Sight;
use crate::model::{
    EventName, FieldPath, IdentifierClass, LevelName, Participation, ProductName, ProgramName, Purposes,
    RawText, RegionName,
};

/// What becomes of how much can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// More is stored, or for more purposes.
    More,
    /// Something else is stored, of which nobody can say that it is less.
    Incomparable,
    /// Less is stored, or for fewer purposes.
    Less,
}

impl Direction {
    /// Every direction, from what deserves the closest look.
    pub const ALL: &'static [Self] = &[Self::More, Self::Incomparable, Self::Less];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::More => "more",
            Self::Incomparable => "incomparable",
            Self::Less => "less",
        }
    }

    /// Whether something may become visible that was not.
    #[must_use]
    pub const fn exposes(self) -> bool {
        matches!(self, Self::More | Self::Incomparable)
    }

    /// The direction of the way back.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::More => Self::Less,
            Self::Incomparable => Self::Incomparable,
            Self::Less => Self::More,
        }
    }
}

/// What becomes more or less visible.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The id of the customer, in every batch.
    Customer,
    /// The id of the instance, in every batch.
    Instance,
    /// That an event happened, and when.
    Event(EventName),
    /// A field of an event.
    Field(EventName, FieldPath),
}

/// Where something becomes more or less visible.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    /// The product.
    pub product: ProductName,
    /// What.
    pub subject: Subject,
    /// The program.
    pub program: ProgramName,
    /// The rank of the level in the newer policy that has it, so that spots stand in its order.
    pub rank: u8,
    /// The level.
    pub level: LevelName,
    /// The region whose overlay applies; `None` where none does.
    pub region: Option<RegionName>,
}

/// Something that becomes more or less visible at one level.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Where.
    pub spot: Spot,
    /// What is stored before, in words.
    pub before: String,
    /// What is stored after.
    pub after: String,
    /// Which of them lets more be seen.
    pub direction: Direction,
    /// The dictionary version that introduced it, after the change or else before it; 0 for ids.
    pub since: u32,
    /// Whether it holds for customers who have accepted no newer dictionary than the one before. What
    /// exposes and does not is withheld until they accept it.
    pub at_once: bool,
}

/// What a customer chose, under a policy.
#[derive(Debug, Clone, Copy)]
pub struct Chosen<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// The choice.
    pub participation: &'a Participation,
    /// The caps that hold for all customers, by program.
    pub caps: &'a BTreeMap<ProgramName, LevelName>,
}

/// One thing that differs between two plans.
#[derive(Debug, Clone)]
pub(super) struct Delta {
    pub(super) subject: Subject,
    before: String,
    after: String,
    pub(super) direction: Direction,
    since: u32,
}

/// A side of a comparison: what stands in for `None` stores nothing.
pub(super) type Side<'p> = Option<Terms<'p>>;

/// What becomes of the events and fields of one product of one program.
pub(super) fn compare(before: &Side<'_>, after: &Side<'_>) -> Vec<Delta> {
    let mut deltas = Vec::new();
    let (old, new) = (events(before), events(after));
    for (class, subject) in
        [(IdentifierClass::CustomerId, Subject::Customer), (IdentifierClass::InstanceId, Subject::Instance)]
    {
        // Where a side has no event, nothing goes out under an id.
        if let ((Some(before), Some(after)), (false, false)) =
            ((before, after), (old.is_empty(), new.is_empty()))
        {
            let (one, other) = (Sight::of_id(before, class), Sight::of_id(after, class));
            deltas.extend(delta(subject, &one, &other, 0));
        }
    }
    let names: BTreeSet<&EventName> = old.keys().chain(new.keys()).copied().collect();
    for name in names {
        compare_event(name, (before, old.get(name).copied()), (after, new.get(name).copied()), &mut deltas);
    }
    deltas
}

fn events<'p>(side: &Side<'p>) -> BTreeMap<&'p EventName, &'p Event> {
    let of_program = |terms: &Terms<'p>| {
        let (product, program) = (terms.product, terms.program_index);
        product.events().iter().filter(move |event| event.program() == program)
    };
    side.iter().flat_map(of_program).map(|event| (event.name(), event)).collect()
}

/// An event on one side of a comparison.
type At<'s, 'p> = (&'s Side<'p>, Option<&'p Event>);

fn compare_event(name: &EventName, before: At<'_, '_>, after: At<'_, '_>, deltas: &mut Vec<Delta>) {
    let since = after.1.or(before.1).map_or(0, Event::since);
    deltas.extend(delta(Subject::Event(name.clone()), &happened(before), &happened(after), since));
    let (old, new) = (fields(before), fields(after));
    let paths: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    for path in paths {
        let (one, other) = (old.get(path), new.get(path));
        let Some((field, _)) = other.or(one) else { continue };
        let absent = Sight::absent();
        let (seen, sees) = (one.map_or(&absent, |(_, s)| s), other.map_or(&absent, |(_, s)| s));
        deltas.extend(delta(Subject::Field(name.clone(), field.path.clone()), seen, sees, field.since));
    }
}

fn happened<'p>(at: At<'_, 'p>) -> Sight<'p> {
    match at {
        (Some(terms), Some(event)) => Sight::of_event(terms, event),
        (_, _) => Sight::absent(),
    }
}

fn fields<'p>(at: At<'_, 'p>) -> BTreeMap<&'p str, (&'p super::Field, Sight<'p>)> {
    match at {
        (Some(terms), Some(event)) => Sight::of_fields(terms, event),
        (_, _) => BTreeMap::new(),
    }
}

fn delta(subject: Subject, before: &Sight<'_>, after: &Sight<'_>, since: u32) -> Option<Delta> {
    let direction = match before.partial_cmp(after) {
        Some(Ordering::Equal) => return None,
        Some(Ordering::Less) => Direction::More,
        Some(Ordering::Greater) => Direction::Less,
        None => Direction::Incomparable,
    };
    Some(Delta { subject, before: before.told(after), after: after.told(before), direction, since })
}

/// What of a policy's products, programs and levels a comparison is about.
struct Cell<'a> {
    product: &'a ProductName,
    program: &'a ProgramName,
    level: &'a LevelName,
    region: Option<&'a RegionName>,
}

impl Cell<'_> {
    /// The terms of a policy; `None` if it has no such product.
    fn terms<'p>(&self, policy: &'p Policy, accepted: Option<u32>) -> Side<'p> {
        let program = policy.program_index(self.program.as_str())?;
        let region = match self.region {
            Some(region) => Some(policy.regions().iter().position(|known| known == region)?),
            None => None,
        };
        let key = PlanKey {
            product: policy.product_index(RawText::new(self.product.as_str().as_bytes()))?,
            program,
            rank: policy.programs().get(program)?.rank(self.level.as_str())?,
            region,
            accepted,
            purposes_off: Purposes::NONE,
        };
        Terms::new(policy, key)
    }

    fn changes(&self, old: &Policy, new: &Policy, changes: &mut Vec<Change>) {
        let (before, after) = (self.terms(old, None), self.terms(new, None));
        let rank = after.as_ref().or(before.as_ref()).map_or(0, |terms| terms.rank);
        let mut deltas = compare(&before, &after);
        let accepted = old.product(self.product).map_or(0, Product::version);
        let limited = compare(&before, &self.terms(new, Some(accepted)));
        let mut at_once: BTreeSet<Subject> = limited.into_iter().map(|delta| delta.subject).collect();
        // What became older or newer than it was changes nothing for who has accepted everything, and
        // something for who has accepted a version in between.
        for version in moved(&before, &after) {
            let told: BTreeSet<Subject> = deltas.iter().map(|delta| delta.subject.clone()).collect();
            let more = compare(&self.terms(old, Some(version)), &self.terms(new, Some(version)));
            for delta in more.into_iter().filter(|delta| !told.contains(&delta.subject)) {
                at_once.insert(delta.subject.clone());
                deltas.push(delta);
            }
        }
        changes.extend(
            deltas.into_iter().map(|delta| self.change(rank, at_once.contains(&delta.subject), delta)),
        );
    }

    fn change(&self, rank: u8, at_once: bool, delta: Delta) -> Change {
        Change {
            spot: Spot {
                product: self.product.clone(),
                subject: delta.subject,
                program: self.program.clone(),
                rank,
                level: self.level.clone(),
                region: self.region.cloned(),
            },
            before: delta.before,
            after: delta.after,
            direction: delta.direction,
            since: delta.since,
            at_once,
        }
    }
}

/// Versions that are looked at for what became older or newer than it was.
const MOVED: usize = 64;

/// The versions that separate those who see something of one side from those who see it of the other,
/// because it is said to be of another version.
fn moved(before: &Side<'_>, after: &Side<'_>) -> BTreeSet<u32> {
    let (old, new) = (ages(before), ages(after));
    let moved = old.iter().filter_map(|(name, since)| {
        let other = new.get(name)?;
        (since != other).then(|| *since.min(other))
    });
    moved.take(MOVED).collect()
}

/// The version of every event and field.
fn ages<'p>(side: &Side<'p>) -> BTreeMap<(&'p EventName, Option<&'p FieldPath>), u32> {
    let mut ages = BTreeMap::new();
    for (name, event) in events(side) {
        ages.insert((name, None), event.since());
        let fields = side.iter().flat_map(|terms| terms.product.fields(event));
        ages.extend(fields.map(|(_, field)| ((name, Some(&field.path)), field.since)));
    }
    ages
}

/// Everything that becomes more or less visible when `new` takes the place of `old`, for customers who
/// have accepted all of it and switched nothing off, at each level and in each region that both have.
/// What two regions do together follows from what each does.
#[must_use]
pub fn diff(old: &Policy, new: &Policy) -> Vec<Change> {
    let mut changes = Vec::new();
    let names = |policy: &Policy| policy.products().iter().map(Product::name).cloned().collect::<Vec<_>>();
    let products: BTreeSet<ProductName> = names(old).into_iter().chain(names(new)).collect();
    let common = old.regions().iter().filter(|region| new.regions().contains(region));
    let regions: Vec<Option<&RegionName>> = std::iter::once(None).chain(common.map(Some)).collect();
    for program in new.programs() {
        let Some(before) = old.program(program.name().as_str()) else { continue };
        let levels = program.levels().iter().map(super::Level::name);
        for level in levels.filter(|level| before.rank(level.as_str()).is_some()) {
            for region in &regions {
                for product in &products {
                    let cell = Cell { product, program: program.name(), level, region: *region };
                    cell.changes(old, new, &mut changes);
                }
            }
        }
    }
    changes.sort();
    changes
}

/// Everything that becomes visible when a customer who has accepted this version of a product's
/// dictionary, and no newer one, accepts the present one, at each level and in each region. `None` is
/// every product.
#[must_use]
pub fn since(policy: &Policy, product: Option<&ProductName>, version: u32) -> Vec<Change> {
    let mut changes = Vec::new();
    let regions: Vec<Option<&RegionName>> =
        std::iter::once(None).chain(policy.regions().iter().map(Some)).collect();
    let products = policy.products().iter().map(Product::name);
    let products: Vec<&ProductName> =
        products.filter(|name| product.is_none_or(|wanted| wanted == *name)).collect();
    for program in policy.programs() {
        for level in program.levels().iter().map(super::Level::name) {
            for region in &regions {
                for product in &products {
                    let cell = Cell { product, program: program.name(), level, region: *region };
                    let (before, after) = (cell.terms(policy, Some(version)), cell.terms(policy, None));
                    let rank = after.as_ref().map_or(0, |terms| terms.rank);
                    let deltas = compare(&before, &after).into_iter();
                    changes.extend(deltas.map(|delta| cell.change(rank, false, delta)));
                }
            }
        }
    }
    changes.sort();
    changes
}

/// Everything that becomes more or less visible of one customer, of the products that either policy has.
#[must_use]
pub fn between(before: Chosen<'_>, after: Chosen<'_>) -> Vec<Change> {
    let mut changes = Vec::new();
    for (product, program) in pairs(before.policy, after.policy) {
        let sides = (before.side(product, program), after.side(product, program));
        let Some(terms) = sides.1.as_ref().or(sides.0.as_ref()) else { continue };
        let (rank, level, region) = (terms.rank, terms.level.name(), after.participation.region.as_ref());
        let cell = Cell { product, program, level, region };
        let deltas = compare(&sides.0, &sides.1).into_iter();
        changes.extend(deltas.map(|delta| cell.change(rank, true, delta)));
    }
    changes.sort();
    changes
}

/// Every product with every program that either policy has.
pub(super) fn pairs<'p>(old: &'p Policy, new: &'p Policy) -> BTreeSet<(&'p ProductName, &'p ProgramName)> {
    let both = || [old, new].into_iter();
    let products: BTreeSet<&ProductName> =
        both().flat_map(|policy| policy.products().iter().map(Product::name)).collect();
    let programs: BTreeSet<&ProgramName> =
        both().flat_map(|policy| policy.programs().iter().map(super::Program::name)).collect();
    products.iter().flat_map(|product| programs.iter().map(|program| (*product, *program))).collect()
}

impl<'a> Chosen<'a> {
    /// The plan that holds for a product in a program, if any does.
    pub(super) fn key(&self, product: &ProductName, program: &ProgramName) -> Option<PlanKey> {
        let decision = self.policy.decide(&Ask {
            participation: Some(self.participation),
            global_caps: self.caps,
            product: RawText::new(product.as_str().as_bytes()),
            region: RawText::default(),
            level_caps: &[],
        });
        let program = self.policy.program_index(program.as_str())?;
        decision.plan_key(program, decision.rank(program))
    }

    pub(super) fn side(&self, product: &ProductName, program: &ProgramName) -> Side<'a> {
        Terms::new(self.policy, self.key(product, program)?)
    }
}
