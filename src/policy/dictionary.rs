//! A product's dictionary: every event and field that may exist. What is not here is not stored.

use std::sync::Arc;

use super::raw_index::RawIndex;
use super::{Kind, NameTable};
use crate::model::{Category, EventName, FieldPath, IdentifierClass, ProductName, Purposes, RawText};

/// What a product's events and fields are.
#[derive(Debug)]
pub struct Product {
    pub(super) name: ProductName,
    pub(super) description: String,
    pub(super) version: u32,
    pub(super) events: Vec<Event>,
    pub(super) index: EventIndex,
    /// Every field and container of all events. The fields of a plan have the same positions.
    pub(super) nodes: Vec<Node>,
    /// For each of them, the other halves of the pairs of maps that it is in, with the fields that each of them has.
    pub(super) other_halves: Vec<Vec<Vec<u32>>>,
}

impl Product {
    /// The name.
    #[must_use]
    pub const fn name(&self) -> &ProductName {
        &self.name
    }

    /// What it is, in plain words.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The version of the dictionary, from 1.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The events, in the order of the file: an event's position is its number in plans.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Finds events by name.
    #[must_use]
    pub const fn event_index(&self) -> &EventIndex {
        &self.index
    }

    /// The event of this name, if the dictionary has it.
    #[inline]
    #[must_use]
    pub fn event(&self, name: RawText<'_>) -> Option<EventRef> {
        self.index.get(name)
    }

    /// The fields of an event in the order of the file, each with its number in plans.
    pub fn fields(&self, event: &Event) -> impl Iterator<Item = (u32, &Field)> {
        event.leaves.iter().filter_map(|at| Some((*at, self.field(*at)?)))
    }

    /// The field of this number in plans, if it is one.
    pub(super) fn field(&self, number: u32) -> Option<&Field> {
        match &self.nodes.get(usize::try_from(number).ok()?)?.part {
            Part::Field(field) => Some(field),
            Part::Record { .. } | Part::List { .. } | Part::Map { .. } => None,
        }
    }

    /// The other halves of the pairs of maps that a field is in: the fields of each.
    pub(super) fn other_halves(&self, number: u32) -> &[Vec<u32>] {
        let halves = usize::try_from(number).ok().and_then(|at| self.other_halves.get(at));
        halves.map(Vec::as_slice).unwrap_or_default()
    }
}

/// An event that may exist.
#[derive(Debug)]
pub struct Event {
    pub(super) name: EventName,
    pub(super) description: String,
    pub(super) program: usize,
    pub(super) since: u32,
    /// The fields at its top, by number.
    pub(super) top: NameTable,
    /// Its fields without parts, in the order of the file.
    pub(super) leaves: Vec<u32>,
}

impl Event {
    /// The name.
    #[must_use]
    pub const fn name(&self) -> &EventName {
        &self.name
    }

    /// The fields at its top, by their number in plans.
    #[must_use]
    pub const fn field_numbers(&self) -> &NameTable {
        &self.top
    }

    /// What it tells, in plain words.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The position of its program in the policy.
    #[must_use]
    pub const fn program(&self) -> usize {
        self.program
    }

    /// The dictionary version that introduced it.
    #[must_use]
    pub const fn since(&self) -> u32 {
        self.since
    }
}

/// A field without parts that may exist.
#[derive(Debug)]
pub struct Field {
    pub(super) path: FieldPath,
    pub(super) kind: Kind,
    pub(super) category: Category,
    pub(super) class: IdentifierClass,
    pub(super) purposes: Purposes,
    pub(super) description: String,
    pub(super) example: String,
    pub(super) since: u32,
    pub(super) pseudonym: bool,
    pub(super) words: Vec<String>,
    pub(super) vocabulary: Option<Arc<NameTable>>,
    pub(super) form: DeclaredForm,
    pub(super) max_bytes: u32,
}

/// The form that the dictionary declares for what identifies nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeclaredForm {
    /// Numbers, booleans and identifiers.
    Any,
    /// A version.
    Version,
    /// One of the listed words.
    Vocabulary,
    /// A number, rounded down to a multiple of this.
    Bucket(u64),
}

impl Field {
    /// The path in the event.
    #[must_use]
    pub const fn path(&self) -> &FieldPath {
        &self.path
    }

    /// The type.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The category of data.
    #[must_use]
    pub const fn category(&self) -> Category {
        self.category
    }

    /// The identifier class.
    #[must_use]
    pub const fn class(&self) -> IdentifierClass {
        self.class
    }

    /// Why it may be used.
    #[must_use]
    pub const fn purposes(&self) -> Purposes {
        self.purposes
    }

    /// What it tells, in plain words.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// A made-up value; bytes in hexadecimal.
    #[must_use]
    pub fn example(&self) -> &str {
        &self.example
    }

    /// The dictionary version that introduced it.
    #[must_use]
    pub const fn since(&self) -> u32 {
        self.since
    }

    /// Whether it asks for a pseudonym where a level drops its class unless asked.
    #[must_use]
    pub const fn asks_for_pseudonym(&self) -> bool {
        self.pseudonym
    }

    /// The values that a vocabulary keeps; others become `other`. Empty where there is none.
    #[must_use]
    pub fn vocabulary(&self) -> &[String] {
        &self.words
    }
}

/// A field or a container of fields.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) path: FieldPath,
    pub(super) part: Part,
}

/// What a node is. Numbers are positions in [`Product::nodes`]; what a container holds comes after it.
#[derive(Debug)]
pub(super) enum Part {
    Field(Field),
    Record { names: NameTable, children: Vec<u32> },
    List { item: u32 },
    Map { key: u32, value: u32 },
}

/// Finds an event of a product by name, in one probe and without allocation.
#[derive(Debug, Default)]
pub struct EventIndex {
    names: RawIndex,
    programs: Vec<usize>,
}

/// An event that was found by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRef {
    /// Its position in the dictionary, and in [`super::Plan::events`].
    pub event: usize,
    /// The position of its program in the policy.
    pub program: usize,
}

impl EventIndex {
    pub(super) fn new(events: &[Event]) -> Self {
        let names = RawIndex::new(events.iter().map(|event| event.name.as_str()));
        Self { names, programs: events.iter().map(|event| event.program).collect() }
    }

    /// The event of this name, if the dictionary has it.
    #[inline]
    #[must_use]
    pub fn get(&self, name: RawText<'_>) -> Option<EventRef> {
        let event = self.names.get(name)?;
        Some(EventRef { event, program: *self.programs.get(event)? })
    }
}
