//! Reads `products/<product>.toml`, and lays its events out as the numbered fields that plans refer to.

use super::dictionary::{Event, EventIndex, Field, Node, Part, Product};
use super::document::{self, Entry, Section, parse_id};
use super::field_path::{Branch, Tree};
use super::pair::other_halves;
use super::problem::{Place, Problems};
use super::program_file::named_as_file;
use super::{NameTable, field_file};
use crate::model::{EventName, FieldPath, ProductName, ProgramName, limits};

/// Events of one dictionary.
const EVENTS: usize = 10_000;

/// A dictionary as its file says it, not checked against the programs yet.
#[derive(Debug)]
pub(super) struct ProductDraft {
    name: ProductName,
    description: String,
    version: u32,
    pub(super) events: Vec<EventDraft>,
}

/// An event as its file says it.
#[derive(Debug)]
pub(super) struct EventDraft {
    name: EventName,
    description: String,
    pub(super) program: ProgramName,
    pub(super) program_place: Place,
    since: u32,
    /// Its fields with their place, in the order of the file.
    pub(super) fields: Vec<(Field, Place)>,
}

/// Reads the file of the product `stem`.
pub(super) fn read(path: &str, stem: &str, text: &str, problems: &mut Problems) -> Option<ProductDraft> {
    document::read(path, text, problems, |top, problems| {
        top.only(&["name", "description", "version", "events"], problems);
        let name = named_as_file(top, stem, problems);
        let description = top.prose("description", problems);
        let version =
            top.require("version", problems).and_then(|entry| entry.number32(1, u32::MAX, problems));
        // Without a version, nothing that follows can be too new.
        let last = version.unwrap_or(u32::MAX);
        let events = top.require("events", problems).and_then(|entry| {
            let events = entry.section(problems)?.entries();
            if events.is_empty() || events.len() > EVENTS {
                let remedy = format!("declare 1 to {EVENTS} events");
                problems.error(&entry.place, "the dictionary has no event, or too many", remedy);
            }
            Some(events.iter().filter_map(|entry| event(entry, last, problems)).collect())
        });
        Some(ProductDraft { name: name?, description, version: version?, events: events? })
    })
}

fn event(entry: &Entry<'_, '_>, last: u32, problems: &mut Problems) -> Option<EventDraft> {
    let name: Option<EventName> = parse_id(entry.name, &entry.place, problems);
    let section = entry.section(problems)?;
    section.only(&["description", "program", "since", "fields"], problems);
    let description = section.prose("description", problems);
    let program = section
        .require("program", problems)
        .and_then(|entry| Some((entry.id::<ProgramName>(problems)?, entry.place)));
    let since = field_file::since(&section, (1, last), problems);
    let fields = fields(&section, (since.unwrap_or(1), last), problems);
    let (program, program_place) = program?;
    Some(EventDraft { name: name?, description, program, program_place, since: since?, fields })
}

fn fields(section: &Section<'_, '_>, versions: (u32, u32), problems: &mut Problems) -> Vec<(Field, Place)> {
    let Some(entry) = section.require("fields", problems) else { return Vec::new() };
    let Some(table) = entry.section(problems) else { return Vec::new() };
    let entries = table.entries();
    if entries.is_empty() || entries.len() > limits::FIELDS_PER_EVENT {
        let remedy = format!(
            "declare 1 to {}: the fields say which category and purposes an event has",
            limits::FIELDS_PER_EVENT
        );
        problems.error(&entry.place, "the event has no field, or too many", remedy);
    }
    let mut tree = Tree::new();
    let mut fields = Vec::new();
    for entry in entries {
        let Some(path) = parse_id::<FieldPath>(entry.name, &entry.place, problems) else { continue };
        tree.add(&path, (), &entry.place, problems);
        let Some(section) = entry.section(problems) else { continue };
        if let Some(field) = field_file::read(&section, &path, versions, problems) {
            fields.push((field, entry.place));
        }
    }
    tree.check_maps(problems);
    fields
}

impl ProductDraft {
    /// The product, with every field numbered. `program_at` finds programs by name; what has no
    /// program has been reported, and is left out.
    pub(super) fn into_product(self, program_at: impl Fn(&str) -> Option<usize>) -> Product {
        let mut nodes = Vec::new();
        let mut events = Vec::new();
        for draft in self.events {
            let Some(program) = program_at(draft.program.as_str()) else { continue };
            let mut layout = Layout { nodes: &mut nodes, leaves: Vec::new() };
            let top = layout.event(draft.fields);
            let mut leaves = layout.leaves;
            leaves.sort_unstable();
            let leaves = leaves.into_iter().map(|(_, at)| at).collect();
            let EventDraft { name, description, since, .. } = draft;
            events.push(Event { name, description, program, since, top, leaves });
        }
        let index = EventIndex::new(&events);
        Product {
            name: self.name,
            description: self.description,
            version: self.version,
            events,
            index,
            other_halves: other_halves(&nodes),
            nodes,
        }
    }
}

/// Lays the trees of events out one after the other.
struct Layout<'n> {
    nodes: &'n mut Vec<Node>,
    /// The order in the file and the number of each field without parts.
    leaves: Vec<(usize, u32)>,
}

impl Layout<'_> {
    fn event(&mut self, fields: Vec<(Field, Place)>) -> NameTable {
        // What clashes has been reported when the file was read.
        let mut ignored = Problems::default();
        let mut tree = Tree::new();
        for (order, (field, place)) in fields.into_iter().enumerate() {
            let path = field.path.clone();
            tree.add(&path, (order, field), &place, &mut ignored);
        }
        let children: Vec<(String, u32)> = tree
            .fields
            .into_iter()
            .filter_map(|(name, branch)| {
                let at = self.branch(&name, branch)?;
                Some((name, at))
            })
            .collect();
        NameTable::new(children.iter().map(|(name, at)| (name.as_str(), *at)))
    }

    /// Gives the branch and all below it their numbers, itself first.
    fn branch(&mut self, path: &str, branch: Branch<(usize, Field)>) -> Option<u32> {
        let at = self.nodes.len();
        let number = u32::try_from(at).ok()?;
        let name = FieldPath::new(path).ok()?;
        let empty = Part::Record { names: NameTable::default(), children: Vec::new() };
        self.nodes.push(Node { path: name, part: empty });
        let part = match branch {
            Branch::Leaf((order, field), _) => {
                self.leaves.push((order, number));
                Part::Field(field)
            }
            Branch::Record(fields) => {
                let mut children = Vec::new();
                for (name, branch) in fields {
                    let child = self.branch(&format!("{path}.{name}"), branch)?;
                    children.push((name, child));
                }
                let names = NameTable::new(children.iter().map(|(name, at)| (name.as_str(), *at)));
                Part::Record { names, children: children.into_iter().map(|(_, at)| at).collect() }
            }
            Branch::List(item) => Part::List { item: self.branch(&format!("{path}[]"), *item)? },
            Branch::Map { key, value } => {
                let key = self.branch(&format!("{path}{{key}}"), *key?)?;
                Part::Map { key, value: self.branch(&format!("{path}{{}}"), *value?)? }
            }
        };
        if let Some(node) = self.nodes.get_mut(at) {
            node.part = part;
        }
        Some(number)
    }
}
