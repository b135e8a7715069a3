//! What a field is held in keeps it from being stored: a pair of a map is stored whole or not at all.

use super::dictionary::{Field, Node, Part, Product};
use super::problem::{Place, Problems};
use super::{Action, Plan, Shape};
use crate::model::Reason;

/// For each node of a product, the one that holds it.
pub(super) struct Holders(Vec<Option<u32>>);

/// Why a field is not stored that could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hindrance {
    /// The field that is withheld, and with which this one is stored or not.
    pub field: u32,
    /// Why that one is.
    pub reason: Reason,
}

/// For each node, the other halves of the pairs that it is in, with the fields that each of them has. That of a key is
/// the value of its map; that of everything in a value, the key.
pub(super) fn other_halves(nodes: &[Node]) -> Vec<Vec<Vec<u32>>> {
    let mut halves = vec![Vec::new(); nodes.len()];
    let mut put = |at: u32, half: Vec<u32>| {
        if let Some(slot) = usize::try_from(at).ok().and_then(|at| halves.get_mut(at)) {
            slot.push(half);
        }
    };
    for node in nodes {
        if let Part::Map { key, value } = &node.part {
            let inside = fields_in(nodes, *value);
            for field in &inside {
                put(*field, vec![*key]);
            }
            put(*key, inside);
        }
    }
    halves
}

fn fields_in(nodes: &[Node], top: u32) -> Vec<u32> {
    let (mut fields, mut open) = (Vec::new(), vec![top]);
    while let Some(at) = open.pop() {
        match usize::try_from(at).ok().and_then(|at| nodes.get(at)).map(|node| &node.part) {
            Some(Part::Field(_)) => fields.push(at),
            Some(Part::Record { children, .. }) => open.extend(children),
            Some(Part::List { item }) => open.push(*item),
            Some(Part::Map { key, value }) => open.extend([key, value]),
            None => {}
        }
    }
    fields
}

/// Tells of a value of a map that shares no purpose with its key: nobody can have the two.
pub(super) fn note_for_nobody(fields: &[(Field, Place)], problems: &mut Problems) {
    let key_of = |map: &str| {
        let path = format!("{map}{{key}}");
        fields.iter().map(|(field, _)| field).find(|field| field.path().as_str() == path)
    };
    for (field, place) in fields {
        let path = field.path().as_str();
        let keys = path.match_indices("{}").filter_map(|(at, _)| key_of(path.get(..at)?));
        if let Some(key) = keys.into_iter().find(|key| key.purposes().and(field.purposes()).is_empty()) {
            problems.note(
                &place.below("purposes"),
                format!("the key `{}` of its map has none of these purposes", key.path()),
                "nothing is stored of this field, because nobody could have it with its key: correct one of the two",
            );
        }
    }
}

impl Holders {
    pub fn new(product: &Product) -> Self {
        let mut holders = vec![None; product.nodes.len()];
        for (at, node) in (0_u32..).zip(&product.nodes) {
            let (record, pair);
            let held: &[u32] = match &node.part {
                Part::Field(_) => &[],
                Part::Record { children, .. } => {
                    record = children;
                    record
                }
                Part::List { item } => std::slice::from_ref(item),
                Part::Map { key, value } => {
                    pair = [*key, *value];
                    &pair
                }
            };
            for inner in held {
                if let Some(holder) = usize::try_from(*inner).ok().and_then(|inner| holders.get_mut(inner)) {
                    *holder = Some(at);
                }
            }
        }
        Self(holders)
    }

    /// What keeps a field from being stored that could be; `None` if nothing does.
    pub fn hindrance(&self, plan: &Plan, number: u32) -> Option<Hindrance> {
        let mut at = number;
        while let Some(holder) = self.of(at) {
            let field = plan.fields.get(usize::try_from(holder).ok()?)?;
            if field.spec.purposes.is_empty() {
                let other = match &field.shape {
                    Shape::Map { key, value } if *key == at => *value,
                    Shape::Map { key, .. } => *key,
                    Shape::Record(_) | Shape::List { .. } | Shape::Scalar { .. } => at,
                };
                let first = self.withheld_in(plan, other);
                return Some(first.unwrap_or(Hindrance { field: other, reason: Reason::Level }));
            }
            at = holder;
        }
        None
    }

    fn of(&self, number: u32) -> Option<u32> {
        usize::try_from(number).ok().and_then(|at| self.0.get(at)).copied().flatten()
    }

    /// The first field that is withheld in a node.
    fn withheld_in(&self, plan: &Plan, node: u32) -> Option<Hindrance> {
        let is_inside = |at: u32| std::iter::successors(Some(at), |at| self.of(*at)).any(|at| at == node);
        (0_u32..).zip(&plan.fields).find_map(|(at, field)| match &field.shape {
            Shape::Scalar { action: Action::Withhold(reason), .. } if is_inside(at) => {
                Some(Hindrance { field: at, reason: *reason })
            }
            Shape::Scalar { .. } | Shape::Record(_) | Shape::List { .. } | Shape::Map { .. } => None,
        })
    }
}
