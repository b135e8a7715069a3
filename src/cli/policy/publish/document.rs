//! The published dictionary as data. It is what `dictionary.json` holds, and what the pages are made
//! of, so that they cannot tell different things.
//!
//! The JSON is stable: `format` is 1, members may be added, none is renamed or removed without another
//! `format`. Names and words are those of the policy files and of `usaged.admin.v1`:
//!
//! - `format`, `title`, `policy_version`; `regions`: the names of the regions that are told;
//! - `programs[]`: `name`, `description`, `levels[]` above `none`, which stores nothing: `name`,
//!   `description`, `categories[]`, `purposes[]`;
//! - `classes[]`, one for each identifier class: `class`, `means` in plain words, `levels[]`: `program`,
//!   `level`, `treatment`, `label` in plain words, and `regions[]` where a region is stricter:
//!   `region`, `treatment`, `label`;
//! - `never_stored[]`: `what`, `means`;
//! - `products[]`: `name`, `description`, `version` of the dictionary, `events[]`: `name`,
//!   `description`, `program`, `since`, `levels[]`: `level`, `stored` (whether a trace of the event
//!   itself is), `why`; and `fields[]`: `path`, `type`, `description`, `category`, `class`,
//!   `purposes[]`, `since`, `vocabulary[]`, `example` (as sent; bytes in hexadecimal), and `levels[]`:
//!   `level`, `treatment`, `label`, `example` (as stored of the example; `null` if nothing is), `why`,
//!   and `regions[]` where a region makes a difference: `region`, `treatment`, `label`, `example`, `why`.

use std::sync::Arc;

use indicatif::ProgressBar;
use serde::Serialize;

use super::example::{self, After, RECEIVED};
use super::words::{self, Deed};
use crate::cli::exit::Failure;
use crate::ingest::Explain;
use crate::model::{Category, IdentifierClass, Purpose, Purposes, RegionName};
use crate::policy::{self, Kind, Plan, PlanKey, Policy, Shape, Treatment};

#[derive(Debug, Serialize)]
pub(super) struct Document {
    pub format: u32,
    pub title: String,
    pub policy_version: String,
    pub regions: Vec<String>,
    pub programs: Vec<Program>,
    pub classes: Vec<Class>,
    pub never_stored: Vec<Never>,
    pub products: Vec<Product>,
}

#[derive(Debug, Serialize)]
pub(super) struct Program {
    pub name: String,
    pub description: String,
    pub levels: Vec<Level>,
}

#[derive(Debug, Serialize)]
pub(super) struct Level {
    pub name: String,
    pub description: String,
    pub categories: Vec<Category>,
    pub purposes: Vec<Purpose>,
}

#[derive(Debug, Serialize)]
pub(super) struct Class {
    #[serde(rename = "class")]
    pub of: IdentifierClass,
    pub means: &'static str,
    pub levels: Vec<ClassLevel>,
}

#[derive(Debug, Serialize)]
pub(super) struct ClassLevel {
    pub program: String,
    pub level: String,
    #[serde(flatten)]
    pub deed: Deed,
    pub regions: Vec<ClassRegion>,
}

#[derive(Debug, Serialize)]
pub(super) struct ClassRegion {
    pub region: String,
    #[serde(flatten)]
    pub deed: Deed,
}

#[derive(Debug, Serialize)]
pub(super) struct Never {
    pub what: &'static str,
    pub means: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct Product {
    pub name: String,
    pub description: String,
    pub version: u32,
    pub events: Vec<Event>,
}

#[derive(Debug, Serialize)]
pub(super) struct Event {
    pub name: String,
    pub description: String,
    pub program: String,
    pub since: u32,
    pub levels: Vec<EventLevel>,
    pub fields: Vec<Field>,
}

#[derive(Debug, Serialize)]
pub(super) struct EventLevel {
    pub level: String,
    pub stored: bool,
    pub why: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Field {
    pub path: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub description: String,
    pub category: Category,
    pub class: IdentifierClass,
    pub purposes: Vec<Purpose>,
    pub since: u32,
    pub vocabulary: Vec<String>,
    pub example: String,
    pub levels: Vec<FieldLevel>,
}

#[derive(Debug, Serialize)]
pub(super) struct FieldLevel {
    pub level: String,
    #[serde(flatten)]
    pub at: Treated,
    pub regions: Vec<FieldRegion>,
}

#[derive(Debug, Serialize)]
pub(super) struct FieldRegion {
    pub region: String,
    #[serde(flatten)]
    pub at: Treated,
}

/// What becomes of a field at one level.
#[derive(Debug, Serialize)]
pub(super) struct Treated {
    #[serde(flatten)]
    pub deed: Deed,
    pub example: Option<String>,
    pub why: String,
}

impl Document {
    /// Makes the document; `bar` moves with every event. Which regions are told is the caller's choice.
    pub fn new(
        policy: &Arc<Policy>,
        title: String,
        regions: &[RegionName],
        bar: &ProgressBar,
    ) -> Result<Self, Failure> {
        let views = Views::new(policy, regions)?;
        let products = policy.products().iter().enumerate();
        let products: Result<Vec<_>, _> =
            products.map(|(at, product)| views.product(at, product, bar)).collect();
        let never = words::NEVER.iter().map(|(what, means)| Never { what, means });
        Ok(Self {
            format: 1,
            title,
            policy_version: policy.version().to_owned(),
            regions: regions.iter().map(ToString::to_string).collect(),
            programs: policy.programs().iter().map(program).collect(),
            classes: views.classes(),
            never_stored: never.collect(),
            products: products?,
        })
    }

    /// How many events and fields there are.
    pub fn size(&self) -> (usize, usize) {
        let events = || self.products.iter().flat_map(|product| &product.events);
        (events().count(), events().map(|event| event.fields.len()).sum())
    }
}

fn program(program: &policy::Program) -> Program {
    let level = |level: &policy::Level| Level {
        name: level.name().to_string(),
        description: level.description().to_owned(),
        categories: level.categories().to_vec(),
        purposes: level.purposes().iter().collect(),
    };
    Program {
        name: program.name().to_string(),
        description: program.description().to_owned(),
        levels: program.levels().iter().map(level).collect(),
    }
}

/// The policy as it is without a region, and in each that is told.
struct Views<'p> {
    policy: &'p Policy,
    /// The region's name and its position in the policy; first none.
    views: Vec<(Option<(String, usize)>, Explain)>,
}

impl<'p> Views<'p> {
    fn new(policy: &'p Arc<Policy>, regions: &[RegionName]) -> Result<Self, Failure> {
        let explain = |region: Option<RegionName>| {
            Explain::for_anyone(Arc::clone(policy), region, RECEIVED)
                .map_err(|error| Failure::Failed(format!("the policy cannot be explained: {error}")))
        };
        let mut views = vec![(None, explain(None)?)];
        for region in regions {
            let at = policy.regions().iter().position(|known| known == region);
            let at = at.ok_or_else(|| Failure::Usage(format!("the policy has no region `{region}`")))?;
            views.push((Some((region.to_string(), at)), explain(Some(region.clone()))?));
        }
        Ok(Self { policy, views })
    }

    fn classes(&self) -> Vec<Class> {
        let classes = IdentifierClass::ALL.iter().filter(|class| !class.is_forbidden());
        classes
            .map(|class| Class { of: *class, means: words::class(*class), levels: self.class(*class) })
            .collect()
    }

    fn class(&self, class: IdentifierClass) -> Vec<ClassLevel> {
        let mut levels = Vec::new();
        for program in self.policy.programs() {
            for (rank, level) in (1_u8..).zip(program.levels()) {
                let deed = |regions: &[usize]| {
                    let treatment = |asked| program.treatment(rank, regions, class, asked);
                    Deed::of_rule(treatment(false), treatment(true))
                };
                let plain = deed(&[]);
                let regions = self.views.iter().filter_map(|(region, _)| region.as_ref());
                let regions = regions
                    .map(|(name, at)| ClassRegion { region: name.clone(), deed: deed(&[*at]) })
                    .filter(|region| region.deed != plain);
                levels.push(ClassLevel {
                    program: program.name().to_string(),
                    level: level.name().to_string(),
                    regions: regions.collect(),
                    deed: plain,
                });
            }
        }
        levels
    }

    fn product(&self, at: usize, product: &policy::Product, bar: &ProgressBar) -> Result<Product, Failure> {
        let events = product.events().iter().enumerate().map(|(number, event)| {
            bar.inc(1);
            self.event((at, product), (number, event))
        });
        Ok(Product {
            name: product.name().to_string(),
            description: product.description().to_owned(),
            version: product.version(),
            events: events.collect::<Result<_, _>>()?,
        })
    }

    fn event(
        &self,
        (at, product): (usize, &policy::Product),
        (number, event): (usize, &policy::Event),
    ) -> Result<Event, Failure> {
        let program = self.policy.programs().get(event.program());
        let levels = program.map(policy::Program::levels).unwrap_or_default();
        // By view, then by level.
        let mut seen: Vec<Vec<Seen>> = Vec::new();
        for (region, explain) in &self.views {
            let after = example::stored(explain, product, event)?;
            let of_level = |(rank, level): (u8, &policy::Level)| {
                let after = after.iter().find(|(of, name, _)| {
                    Some(of) == program.map(policy::Program::name) && name == level.name()
                });
                let key = PlanKey {
                    product: at,
                    program: event.program(),
                    rank,
                    region: region.as_ref().map(|(_, at)| *at),
                    accepted: None,
                    purposes_off: Purposes::NONE,
                };
                self.seen(key, number, after.map(|(_, _, after)| after))
            };
            seen.push((1_u8..).zip(levels).filter_map(of_level).collect());
        }
        let plain = seen.first().map(Vec::as_slice).unwrap_or_default();
        let told = levels.iter().zip(plain);
        let told = told.map(|(level, seen)| EventLevel {
            level: level.name().to_string(),
            stored: seen.stored,
            why: seen.why.clone(),
        });
        let fields = product.fields(event).enumerate();
        Ok(Event {
            name: event.name().to_string(),
            description: event.description().to_owned(),
            program: program.map(|program| program.name().to_string()).unwrap_or_default(),
            since: event.since(),
            levels: told.collect(),
            fields: fields.map(|(nth, (_, of))| field(of, self.levels(levels, &seen, nth))).collect(),
        })
    }

    /// What one level in one region does to an event.
    fn seen(&self, key: PlanKey, event: usize, after: Option<&After>) -> Option<Seen> {
        let told = self.policy.explain(key, event)?;
        let plan = self.policy.plan(key);
        let fields = told.fields.into_iter().map(|field| {
            let example = after.and_then(|after| after.get(field.path.as_str())).cloned();
            let deed =
                if field.treatment == "drop" { Deed::of(Treatment::Drop) } else { deed(&plan, field.field) };
            (deed, example, field.why)
        });
        Some(Seen { stored: told.withheld.is_none(), why: told.why, fields: fields.collect() })
    }

    /// What every level does to the nth field of an event.
    fn levels(&self, levels: &[policy::Level], seen: &[Vec<Seen>], nth: usize) -> Vec<FieldLevel> {
        let treated = |view: usize, level: usize| {
            let (deed, example, why) = seen.get(view)?.get(level)?.fields.get(nth)?.clone();
            Some(Treated { deed, example, why })
        };
        let mut told = Vec::with_capacity(levels.len());
        for (rank, level) in levels.iter().enumerate() {
            let Some(plain) = treated(0, rank) else { continue };
            let regions = self.views.iter().enumerate().filter_map(|(view, (region, _))| {
                let at = treated(view, rank)?;
                let differs = at.deed != plain.deed || at.example != plain.example;
                differs.then_some(FieldRegion { region: region.as_ref()?.0.clone(), at })
            });
            told.push(FieldLevel { level: level.name().to_string(), regions: regions.collect(), at: plain });
        }
        told
    }
}

/// What becomes of an event.
struct Seen {
    stored: bool,
    why: String,
    fields: Vec<(Deed, Option<String>, String)>,
}

fn deed(plan: &Plan, field: u32) -> Deed {
    let planned = usize::try_from(field).ok().and_then(|at| plan.fields.get(at));
    match planned.map(|field| &field.shape) {
        Some(Shape::Scalar { action, .. }) => Deed::of_action(action),
        Some(Shape::Record(_) | Shape::List { .. } | Shape::Map { .. }) | None => Deed::of(Treatment::Drop),
    }
}

fn field(field: &policy::Field, levels: Vec<FieldLevel>) -> Field {
    Field {
        path: field.path().to_string(),
        kind: match field.kind() {
            Kind::Text => "string",
            Kind::Int => "int",
            Kind::Double => "double",
            Kind::Bool => "bool",
            Kind::Bytes => "bytes",
        },
        description: field.description().to_owned(),
        category: field.category(),
        class: field.class(),
        purposes: field.purposes().iter().collect(),
        since: field.since(),
        vocabulary: field.vocabulary().to_vec(),
        example: field.example().to_owned(),
        levels,
    }
}
