//! Which field of the plan an entry of a stored batch's table is, what becomes of its values, and the entry of the
//! table that is written for it.

use super::builder::{Growth, SpecText};
use super::lower_step::{Done, Says, Step, step};
use super::stored::StoredBatch;
use crate::model::{IdentifierClass, limits};
use crate::policy::{FieldPlan, NameTable, Plan, Shape};

/// The entries of a stored batch's table of fields, found in a plan when they are met first.
pub(super) struct Lookup<'w, 'a> {
    plan: &'w Plan,
    stored: &'w StoredBatch<'a>,
    epoch: u32,
    /// For each entry.
    slots: Vec<Slot<'w>>,
}

#[derive(Clone, Copy)]
enum Slot<'w> {
    Unmet,
    Met {
        /// The event that it was met in: no entry serves two.
        event: usize,
        entry: Option<Entry<'w>>,
        /// Its number in the table that is written, once it is there.
        number: Option<u32>,
    },
}

/// A field that the plan has.
#[derive(Clone, Copy)]
pub(super) struct Entry<'w> {
    /// The field as its event or record names it.
    pub(super) field: &'w FieldPlan,
    /// What becomes of the values that it holds in the end.
    pub(super) value: Leaf<'w>,
    /// For a map, what becomes of its keys.
    pub(super) key: Option<Leaf<'w>>,
}

/// What lists and maps hold in the end, and what becomes of it.
#[derive(Clone, Copy)]
pub(super) struct Leaf<'w> {
    pub(super) planned: &'w FieldPlan,
    pub(super) step: Step,
    /// Bytes of the longest value that the plan takes. What was treated was raw when it was measured, and can be
    /// longer now.
    pub(super) max_bytes: u32,
    says: Says,
    /// Its position in the stored table.
    stored: usize,
}

impl<'w, 'a> Lookup<'w, 'a> {
    pub(super) fn new(plan: &'w Plan, stored: &'w StoredBatch<'a>, epoch: u32) -> Self {
        Self { plan, stored, epoch, slots: vec![Slot::Unmet; stored.specs.len()] }
    }

    pub(super) const fn plan(&self) -> &'w Plan {
        self.plan
    }

    /// The identifier class that the batch names for an entry; for one that it does not have, none.
    pub(super) fn class(&self, spec: usize) -> IdentifierClass {
        let word = self.stored.specs.get(spec).and_then(|spec| std::str::from_utf8(spec.class).ok());
        word.and_then(|word| word.parse().ok()).unwrap_or(IdentifierClass::NotIdentifying)
    }

    /// What an entry is in the plan of an event, where `names` are the fields of the record that it stands in.
    #[inline]
    pub(super) fn entry(&mut self, spec: usize, event: usize, names: &NameTable) -> Option<Entry<'w>> {
        match *self.slots.get(spec)? {
            Slot::Met { event: met, entry, .. } => entry.filter(|_| met == event),
            Slot::Unmet => {
                let entry = self.find(spec, names);
                if let Some(slot) = self.slots.get_mut(spec) {
                    *slot = Slot::Met { event, entry, number: None };
                }
                entry
            }
        }
    }

    fn find(&self, at: usize, names: &NameTable) -> Option<Entry<'w>> {
        let spec = self.stored.specs.get(at)?;
        let field = self.planned(names.get(name(spec.path))?)?;
        let mut leaf = field;
        let mut key = None;
        // A dictionary's paths are bounded, so this ends well before.
        for _ in 0..limits::DEPTH {
            match &leaf.shape {
                Shape::Scalar { .. } | Shape::Record(_) => break,
                Shape::List { item } => leaf = self.planned(*item)?,
                Shape::Map { key: map_key, value } => {
                    key = Some(self.planned(*map_key)?);
                    leaf = self.planned(*value)?;
                }
            }
        }
        let key = match (key, self.stored.key_of(spec)) {
            (Some(key), Some(at)) => Some(self.leaf(at, key)?),
            (None, None) => None,
            // One of the two is a map, and the other is not.
            (Some(_), None) | (None, Some(_)) => return None,
        };
        Some(Entry { field, value: self.leaf(at, leaf)?, key })
    }

    /// What becomes of a value; `None` if the entry is of another path.
    fn leaf(&self, at: usize, planned: &'w FieldPlan) -> Option<Leaf<'w>> {
        let spec = self.stored.specs.get(at)?;
        if spec.path != planned.spec.path.as_str().as_bytes() {
            return None;
        }
        let same_class = spec.class == planned.spec.class.as_str().as_bytes();
        let done = Done::of(spec);
        let (step, says) = match &planned.shape {
            // Without a purpose that both have, there is nothing that it could be stored for.
            Shape::Scalar { .. } if planned.spec.purposes.and(spec.purposes).is_empty() => {
                (Step::Drop, Says::Plan)
            }
            Shape::Scalar { action, .. } => step(done, same_class, action, self.epoch),
            Shape::Record(_) | Shape::List { .. } | Shape::Map { .. } => (Step::Drop, Says::Plan),
        };
        let max_bytes = if done == Done::Kept { planned.max_bytes } else { u32::MAX };
        Some(Leaf { planned, step, max_bytes, says, stored: at })
    }

    fn planned(&self, field: u32) -> Option<&'w FieldPlan> {
        usize::try_from(field).ok().and_then(|at| self.plan.fields.get(at))
    }

    /// The number of an entry in the table that is written. Keys come before their map.
    #[inline]
    pub(super) fn number(&mut self, spec: usize, entry: &Entry<'w>, growth: &mut Growth) -> u32 {
        if let Some(Slot::Met { number: Some(number), .. }) = self.slots.get(spec) {
            return *number;
        }
        let key = entry.key.map_or(0, |key| growth.push_spec(Some(&self.text(&key)), 0) + 1);
        let made = growth.push_spec(Some(&self.text(&entry.value)), key);
        if let Some(Slot::Met { number, .. }) = self.slots.get_mut(spec) {
            *number = Some(made);
        }
        made
    }

    fn text(&self, leaf: &Leaf<'w>) -> SpecText<'w>
    where
        'a: 'w,
    {
        let mut text = SpecText::of(leaf.planned, self.epoch);
        let Some(spec) = self.stored.specs.get(leaf.stored) else { return text };
        text.purposes = text.purposes.and(spec.purposes);
        if leaf.says == Says::Stored {
            text.treatment = String::from_utf8_lossy(spec.treatment);
            text.prefix = String::from_utf8_lossy(spec.prefix);
            text.bucket = spec.bucket;
        }
        text
    }
}

/// The name that a path ends in, without what says that it is a list or a map.
fn name(path: &[u8]) -> &[u8] {
    let last = path.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    last.split(|byte| matches!(byte, b'[' | b'{')).next().unwrap_or_default()
}
