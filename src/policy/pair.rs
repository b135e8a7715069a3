//! What a field is held in keeps it from being stored: a pair of a map is stored whole or not at all.

use super::dictionary::{Part, Product};
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
