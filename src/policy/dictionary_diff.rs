//! What differs between two policies in what they declare: programs, levels, regions and products
//! that only one of them has, and what the dictionaries say of an event or field.

use std::collections::{BTreeMap, BTreeSet};

use super::dictionary::{DeclaredForm, Event, Field, Product};
use super::diff::Direction;
use super::{Level, Policy, field_type};
use crate::model::{Category, EventName, FieldPath, LevelName, ProductName, Purpose, Purposes, RegionName};

/// A part of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// A program.
    Program,
    /// A level, as `program level`.
    Level,
    /// A region.
    Region,
    /// A product.
    Product,
}

impl Part {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Level => "level",
            Self::Region => "region",
            Self::Product => "product",
        }
    }
}

/// A part that only one of two policies has, or that says something else of itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StructureChange {
    /// Which part.
    pub part: Part,
    /// Its name.
    pub name: String,
    /// What was, in words; empty if it was not there.
    pub before: String,
    /// What is; empty if it is no more.
    pub after: String,
    /// Added lets more be seen, as soon as somebody chooses it; removed lets less be seen. `None` where
    /// what changed shows in the fields, or nowhere.
    pub direction: Option<Direction>,
}

/// Something that a dictionary says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DictionaryChange {
    /// The product.
    pub product: ProductName,
    /// The event.
    pub event: EventName,
    /// The field; `None` if it is about the event itself.
    pub field: Option<FieldPath>,
    /// What is said otherwise: `event`, `field` (there or not), `category`, `class`, `purposes`, and so on.
    pub what: &'static str,
    /// What was said; empty if it was not there.
    pub before: String,
    /// What is said; empty if it is no more.
    pub after: String,
}

/// The programs, levels, regions and products that differ.
#[must_use]
pub fn structure(old: &Policy, new: &Policy) -> Vec<StructureChange> {
    let mut changes = Vec::new();
    let parts = [
        (Part::Program, programs(old), programs(new)),
        (Part::Level, levels(old), levels(new)),
        (Part::Region, regions(old), regions(new)),
        (Part::Product, products(old), products(new)),
    ];
    for (part, old, new) in parts {
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            let (before, after) = (old.get(name), new.get(name));
            let direction = match (before, after) {
                (before, after) if before == after => continue,
                (None, _) => Some(Direction::More),
                (_, None) => Some(Direction::Less),
                (_, _) => None,
            };
            let told = |told: Option<&String>| told.cloned().unwrap_or_default();
            let (before, after) = (told(before), told(after));
            changes.push(StructureChange { part, name: name.clone(), before, after, direction });
        }
    }
    changes
}

fn programs(policy: &Policy) -> BTreeMap<String, String> {
    let ladder =
        |levels: Vec<LevelName>| levels.iter().map(LevelName::as_str).collect::<Vec<_>>().join(" < ");
    policy.ladders().map(|(name, levels)| (name.to_string(), ladder(levels))).collect()
}

fn levels(policy: &Policy) -> BTreeMap<String, String> {
    let of = |level: &Level| {
        let mut categories: Vec<&str> = level.categories.iter().map(|c| Category::as_str(*c)).collect();
        categories.sort_unstable();
        format!("{} for {}", categories.join(", "), purposes(level.purposes))
    };
    let programs = policy.programs().iter();
    programs
        .flat_map(|program| {
            program
                .levels()
                .iter()
                .map(move |level| (format!("{} {}", program.name(), level.name()), of(level)))
        })
        .collect()
}

fn regions(policy: &Policy) -> BTreeMap<String, String> {
    policy.regions().iter().map(|region| (region.to_string(), RegionName::to_string(region))).collect()
}

fn products(policy: &Policy) -> BTreeMap<String, String> {
    let version = |product: &Product| format!("version {}", product.version());
    policy.products().iter().map(|product| (product.name().to_string(), version(product))).collect()
}

fn purposes(purposes: Purposes) -> String {
    purposes.iter().map(Purpose::as_str).collect::<Vec<_>>().join(", ")
}

/// What the dictionaries say otherwise, of the products that both policies have. Whole products are
/// told by [`structure`].
#[must_use]
pub fn dictionaries(old: &Policy, new: &Policy) -> Vec<DictionaryChange> {
    let mut changes = Vec::new();
    for product in new.products() {
        let Some(before) = old.product(product.name()) else { continue };
        let (old_said, new_said) = (said(old, before), said(new, product));
        let keys: BTreeSet<&Key<'_>> = old_said.keys().chain(new_said.keys()).collect();
        for key in keys {
            let (before, after) = (old_said.get(key), new_said.get(key));
            let owner = Key { what: key.exists(), ..*key };
            let is_new_or_gone = |said: &BTreeMap<Key<'_>, String>| !said.contains_key(&owner);
            // Of what is new or gone, one line is enough.
            let is_there = !is_new_or_gone(&old_said) && !is_new_or_gone(&new_said);
            if before == after || is_there == (key.what == owner.what) {
                continue;
            }
            changes.push(DictionaryChange {
                product: product.name().clone(),
                event: key.event.clone(),
                field: key.field.cloned(),
                what: key.what,
                before: before.cloned().unwrap_or_default(),
                after: after.cloned().unwrap_or_default(),
            });
        }
    }
    changes
}

/// What one thing is said of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'p> {
    event: &'p EventName,
    field: Option<&'p FieldPath>,
    what: &'static str,
}

impl Key<'_> {
    /// The word under which its event or field says that it is there.
    const fn exists(&self) -> &'static str {
        if self.field.is_some() { "field" } else { "event" }
    }
}

fn said<'p>(policy: &'p Policy, product: &'p Product) -> BTreeMap<Key<'p>, String> {
    let mut said = BTreeMap::new();
    for event in product.events() {
        let mut put = |field, what, text: String| {
            said.insert(Key { event: event.name(), field, what }, text);
        };
        put(None, "event", since(event.since()));
        put(None, "program", program(policy, event));
        put(None, "since", since(event.since()));
        put(None, "description", event.description().to_owned());
        for (_, field) in product.fields(event) {
            for (what, text) in of_field(field) {
                put(Some(field.path()), what, text);
            }
        }
    }
    said
}

fn program(policy: &Policy, event: &Event) -> String {
    policy.programs().get(event.program()).map(|program| program.name().to_string()).unwrap_or_default()
}

fn since(version: u32) -> String {
    format!("since version {version}")
}

fn of_field(field: &Field) -> Vec<(&'static str, String)> {
    vec![
        ("field", since(field.since)),
        ("type", field_type::type_word(field.kind).to_owned()),
        ("category", field.category.to_string()),
        ("class", field.class.to_string()),
        ("purposes", purposes(field.purposes)),
        ("since", since(field.since)),
        ("pseudonym", if field.pseudonym { "asked for" } else { "not asked for" }.to_owned()),
        ("vocabulary", field.words.join(", ")),
        ("form", form(field)),
        ("longest", format!("{} bytes", field.max_bytes)),
        ("description", field.description.clone()),
    ]
}

fn form(field: &Field) -> String {
    match field.form {
        DeclaredForm::Any => "any".to_owned(),
        DeclaredForm::Version => "a version".to_owned(),
        DeclaredForm::Vocabulary => "a listed word".to_owned(),
        DeclaredForm::Bucket(width) => format!("a multiple of {width}"),
    }
}
