//! The walk through one event's fields, as deep as the dictionary declares: each is looked up in
//! the plan, treated, and written to the end of the batch, or counted as withheld.

use super::builder::Growth;
use super::pass::Told;
use super::redact::Workspace;
use super::treat::{Scalar, treat};
use super::{ProgramKeys, encode};
use crate::model::{
    Fate, Handling, Raw, RawFields, RawItems, RawText, RawValue, Reason, WireError, WireFault, limits,
};
use crate::policy::{Action, FieldPlan, Kind, NameTable, Plan, Shape};

/// One event on its way.
pub(super) struct Walk<'w, 'a> {
    plan: &'w Plan,
    keys: &'w ProgramKeys,
    growth: &'w mut Growth,
    work: &'w mut Workspace,
    told: &'w mut Told,
    /// The names that lead to the field at hand, in the sender's own words.
    path: [RawText<'a>; limits::DEPTH + 1],
    depth: usize,
    /// Fields that the event may still have.
    left: usize,
    /// Whether nothing of what is walked through is stored.
    passes_over: bool,
}

impl<'w, 'a> Walk<'w, 'a> {
    pub(super) fn new(
        plan: &'w Plan,
        keys: &'w ProgramKeys,
        growth: &'w mut Growth,
        work: &'w mut Workspace,
        told: &'w mut Told,
    ) -> Self {
        let path = [Raw::default(); limits::DEPTH + 1];
        Self {
            plan,
            keys,
            growth,
            work,
            told,
            path,
            depth: 0,
            left: limits::FIELDS_PER_EVENT,
            passes_over: false,
        }
    }

    /// Treats the fields of an event (written as field 3) or record (as field 1).
    pub(super) fn fields<F: RawFields<'a>>(
        &mut self,
        mut fields: F,
        names: &NameTable,
        record: u32,
        number: u8,
    ) -> Result<(), WireError> {
        let depth = self.depth;
        while let Some((name, value)) = fields.next_field()? {
            self.count()?;
            match self.path.get_mut(depth) {
                Some(slot) => *slot = name,
                None => return Err(self.fault(WireFault::Depth)),
            }
            self.depth = depth + 1;
            let found = names.get(name.expose());
            let stored = match found {
                None => Err(Reason::UnknownField),
                Some(field) if self.growth.is_first(field, record) => self.field(field, value, number)?,
                Some(_) => Err(Reason::Repeated),
            };
            if let Err(reason) = stored {
                self.withhold(reason, found);
            }
        }
        self.depth = depth;
        Ok(())
    }

    /// Treats one field and writes it as field `number` of the message around it.
    #[inline]
    fn field<F: RawFields<'a>>(
        &mut self,
        field: u32,
        value: RawValue<'a, F>,
        number: u8,
    ) -> Result<Result<(), Reason>, WireError> {
        let plan = self.plan;
        let Some(planned) = planned(plan, field) else { return Ok(Err(Reason::UnknownField)) };
        match &planned.shape {
            Shape::Scalar { kind, action } => {
                Ok(self.scalar_field(field, planned, (*kind, action), &value, number))
            }
            nested @ (Shape::Record(_) | Shape::List { .. } | Shape::Map { .. }) => {
                if planned.spec.purposes.is_empty() {
                    return self.pass_over(nested, value);
                }
                // What has the wrong type takes no place in the table of fields either.
                if container(nested, &value).is_none() {
                    return Ok(Err(Reason::WrongType));
                }
                let start = self.growth.buffers.events.len();
                let spec = self.growth.spec_number(plan, self.keys.epoch(), field);
                let out = &mut self.growth.buffers.events;
                let outer = encode::open(out, number, 1);
                encode::varint_field(out, 1, u64::from(spec));
                let stored = self.nested(nested, value, 2)?;
                let out = &mut self.growth.buffers.events;
                match stored {
                    Ok(()) => encode::close(out, outer),
                    Err(_) => out.truncate(start),
                }
                Ok(stored)
            }
        }
    }

    /// Counts what is in a record, list or map of which the plan stores no part, and leaves nothing of it:
    /// who never collected it has the same bytes stored.
    #[cold]
    fn pass_over<F: RawFields<'a>>(
        &mut self,
        nested: &Shape,
        value: RawValue<'a, F>,
    ) -> Result<Result<(), Reason>, WireError> {
        let start = self.growth.buffers.events.len();
        // The keys of a map whose values are withheld are not stored either.
        let passes_over = std::mem::replace(&mut self.passes_over, true);
        let outcome = self.nested(nested, value, 2)?;
        self.growth.buffers.events.truncate(start);
        self.passes_over = passes_over;
        Ok(outcome)
    }

    #[inline]
    fn scalar_field<F: RawFields<'a>>(
        &mut self,
        field: u32,
        planned: &FieldPlan,
        (kind, action): (Kind, &Action),
        value: &RawValue<'a, F>,
        number: u8,
    ) -> Result<(), Reason> {
        // A withheld field's value is not looked at.
        if let Action::Withhold(reason) = action {
            return Err(*reason);
        }
        let scalar = Scalar::of(kind, value)?.within(planned.max_bytes)?;
        let (treated, fate) = treat(action, scalar, self.keys, self.work)?;
        let spec = u64::from(self.growth.spec_number(self.plan, self.keys.epoch(), field));
        let out = &mut self.growth.buffers.events;
        let value_len = treated.len();
        let len = 2 + encode::varint_len(spec) + encode::varint_len(encode::size(value_len)) + value_len;
        out.push(number << 3 | 2);
        encode::varint(out, encode::size(len));
        encode::varint_field(out, 1, spec);
        treated.write_field(out, 2);
        self.stored(planned, fate);
        Ok(())
    }

    /// Treats a value that is not a field by name (an item, or a map's value) and writes it as
    /// field `number`, which holds a `Value`.
    fn value<F: RawFields<'a>>(
        &mut self,
        field: u32,
        value: RawValue<'a, F>,
        number: u8,
    ) -> Result<Result<(), Reason>, WireError> {
        let plan = self.plan;
        let Some(planned) = planned(plan, field) else { return Ok(Err(Reason::UnknownField)) };
        match &planned.shape {
            Shape::Scalar { action: Action::Withhold(reason), .. } => Ok(Err(*reason)),
            Shape::Scalar { kind, action } => Ok(Scalar::of(*kind, &value)
                .and_then(|scalar| self.scalar(action, scalar.within(planned.max_bytes)?, number))
                .map(|fate| self.stored(planned, fate))),
            nested @ (Shape::Record(_) | Shape::List { .. } | Shape::Map { .. }) => {
                self.nested(nested, value, number)
            }
        }
    }

    /// Writes a treated scalar, and leaves it to the caller to count it.
    fn scalar(&mut self, action: &Action, scalar: Scalar<'a>, number: u8) -> Result<Fate, Reason> {
        let (treated, fate) = treat(action, scalar, self.keys, self.work)?;
        treated.write_field(&mut self.growth.buffers.events, number);
        Ok(fate)
    }

    /// Counts a field that is stored.
    #[inline]
    fn stored(&mut self, planned: &FieldPlan, fate: Fate) {
        if !self.passes_over {
            self.growth.buffers.fields.add(planned.spec.class, fate.into());
        }
    }

    /// Treats a record, list or map and writes it as field `number`, which holds a `Value`. Where
    /// the type is wrong, nothing is written.
    fn nested<F: RawFields<'a>>(
        &mut self,
        shape: &Shape,
        value: RawValue<'a, F>,
        number: u8,
    ) -> Result<Result<(), Reason>, WireError> {
        let Some(kind) = container(shape, &value) else { return Ok(Err(Reason::WrongType)) };
        let record = self.growth.next_record();
        let out = &mut self.growth.buffers.events;
        let (outer, inner) = (encode::open(out, number, 1), encode::open(out, kind, 1));
        match (shape, value) {
            (Shape::Record(names), RawValue::Record(fields)) => self.fields(fields, names, record, 1)?,
            (Shape::List { item }, RawValue::List(items)) => self.items(items, *item)?,
            (Shape::Map { key, value }, RawValue::Record(pairs)) => self.pairs(pairs, *key, *value)?,
            (Shape::Record(_) | Shape::List { .. } | Shape::Map { .. } | Shape::Scalar { .. }, _) => {}
        }
        let out = &mut self.growth.buffers.events;
        encode::close(out, inner);
        encode::close(out, outer);
        Ok(Ok(()))
    }

    fn items<I: RawItems<'a>>(&mut self, mut items: I, item: u32) -> Result<(), WireError> {
        while let Some(value) = items.next_item()? {
            self.count()?;
            if let Err(reason) = self.value(item, value, 1)? {
                self.withhold(reason, Some(item));
            }
        }
        Ok(())
    }

    /// The pairs of a map: a key is data and is treated like any value. A pair is stored whole or not at all.
    fn pairs<F: RawFields<'a>>(&mut self, mut pairs: F, key: u32, value: u32) -> Result<(), WireError> {
        while let Some((raw_key, raw_value)) = pairs.next_field()? {
            self.count()?;
            let start = self.growth.buffers.events.len();
            let pair = encode::open(&mut self.growth.buffers.events, 1, 1);
            let treated_key = match planned(self.plan, key).map(|key| (&key.shape, key.max_bytes)) {
                Some((Shape::Scalar { action: Action::Withhold(reason), .. }, _)) => Err(*reason),
                Some((Shape::Scalar { action, .. }, max_bytes)) => Scalar::text(raw_key)
                    .within(max_bytes)
                    .and_then(|raw_key| self.scalar(action, raw_key, 1)),
                Some((Shape::Record(_) | Shape::List { .. } | Shape::Map { .. }, _)) | None => {
                    Err(Reason::WrongType)
                }
            };
            // Nothing of a value that is not stored was counted.
            let stored = match treated_key {
                Ok(fate) => self.value(value, raw_value, 2)?.map(|()| fate).map_err(|reason| (reason, value)),
                Err(reason) => Err((reason, key)),
            };
            match stored {
                Ok(fate) => {
                    encode::close(&mut self.growth.buffers.events, pair);
                    if let Some(planned) = planned(self.plan, key) {
                        self.stored(planned, fate);
                    }
                }
                Err((reason, field)) => {
                    self.growth.buffers.events.truncate(start);
                    self.withhold(reason, Some(field));
                }
            }
        }
        Ok(())
    }

    /// Counts one more field against the bound of the event.
    #[inline]
    fn count(&mut self) -> Result<(), WireError> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(self.fault(WireFault::Fields)),
        }
    }

    #[cold]
    fn fault(&self, fault: WireFault) -> WireError {
        WireError { fault, offset: None, event: Some(self.told.event) }
    }

    #[inline]
    fn withhold(&mut self, reason: Reason, field: Option<u32>) {
        // What the dictionary does not have has no class.
        if let Some(planned) = field.and_then(|field| planned(self.plan, field)) {
            self.growth.buffers.fields.add(planned.spec.class, Handling::Dropped);
        }
        self.told.withhold(self.path.get(..self.depth).unwrap_or_default(), reason);
    }
}

#[inline]
fn planned(plan: &Plan, field: u32) -> Option<&FieldPlan> {
    usize::try_from(field).ok().and_then(|at| plan.fields.get(at))
}

/// The field of the stored `Value` that holds a record, list or map, if the value is what is declared.
fn container<'a, F: RawFields<'a>>(shape: &Shape, value: &RawValue<'a, F>) -> Option<u8> {
    match (shape, value) {
        (Shape::Record(_), RawValue::Record(_)) => Some(7),
        (Shape::List { .. }, RawValue::List(_)) => Some(8),
        (Shape::Map { .. }, RawValue::Record(_)) => Some(9),
        (Shape::Record(_) | Shape::List { .. } | Shape::Map { .. } | Shape::Scalar { .. }, _) => None,
    }
}
