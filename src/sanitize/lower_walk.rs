//! The walk through one stored event while it is brought down: the mirror of the one pass's walk, with stored
//! values in place of raw ones.

use super::builder::{Buffers, Growth, write_party};
use super::lower_counts::LowerCounts;
use super::lower_fields::{Leaf, Lookup};
use super::lower_step::{Done, Says, Step, step};
use super::redact::Workspace;
use super::stored::{Parts, Party, StoredField, StoredValue};
use super::treat::{Scalar, listed, token_prefix, treat};
use super::value::Treated;
use super::wire::Cursor;
use super::{ProgramKeys, SanitizedBatch, encode, redact};
use crate::model::{IdentifierClass, WireFault};
use crate::policy::{Action, FieldPlan, Kind, NameTable, Shape};

/// A batch that is brought down, event by event.
pub(super) struct Walk<'w, 'a> {
    lookup: Lookup<'w, 'a>,
    pub(super) growth: Growth,
    pub(super) counts: LowerCounts,
    desk: Desk<'w>,
}

/// What a stored value is treated with.
struct Desk<'w> {
    keys: &'w ProgramKeys,
    work: &'w mut Workspace,
    /// Redacted text.
    text: Vec<u8>,
}

/// Where a field stands: the position of its event, and the names beside it.
type Place<'n> = (usize, &'n NameTable);

impl<'w, 'a: 'w> Walk<'w, 'a> {
    pub(super) fn new(
        lookup: Lookup<'w, 'a>,
        keys: &'w ProgramKeys,
        growth: Growth,
        work: &'w mut Workspace,
    ) -> Self {
        let desk = Desk { keys, work, text: Vec::new() };
        Self { lookup, growth, counts: LowerCounts::default(), desk }
    }

    /// Gives up: nothing is left.
    pub(super) fn nothing(self) -> (LowerCounts, (Option<SanitizedBatch>, Buffers)) {
        (self.counts, (None, self.growth.buffers))
    }

    /// Writes what is left of the fields of an event (as field 3) or record (as field 1).
    pub(super) fn fields(
        &mut self,
        mut fields: Parts<'a>,
        place: Place<'w>,
        number: u8,
    ) -> Result<(), WireFault> {
        while let Some(field) = fields.next_field()? {
            if !self.field(&field, place, number)? {
                let class = self.lookup.class(field.spec);
                self.dropped(class);
            }
        }
        Ok(())
    }

    /// Writes what is left of a field; `false` if nothing is.
    #[inline]
    fn field(&mut self, field: &StoredField<'a>, place: Place<'w>, number: u8) -> Result<bool, WireFault> {
        let (event, names) = place;
        let Some(entry) = self.lookup.entry(field.spec, event, names) else { return Ok(false) };
        let value = StoredValue::read(field.value)?;
        if let Shape::Scalar { kind, action } = &entry.field.shape {
            let Some(treated) = self.desk.treat(&entry.value, (*kind, action), &value) else {
                return Ok(false);
            };
            let spec = u64::from(self.lookup.number(field.spec, &entry, &mut self.growth));
            let out = &mut self.growth.buffers.events;
            let value_len = treated.len();
            let len = 2 + encode::varint_len(spec) + encode::varint_len(encode::size(value_len)) + value_len;
            out.push(number << 3 | 2);
            encode::varint(out, encode::size(len));
            encode::varint_field(out, 1, spec);
            treated.write_field(out, 2);
            let same = out.ends_with(field.value.rest());
            self.kept(entry.value.planned, same);
            return Ok(true);
        }
        // Of a record, list or map of which the plan stores no part, not even that it was there.
        if entry.field.spec.purposes.is_empty() || container(&entry.field.shape, &value).is_none() {
            return Ok(false);
        }
        let spec = self.lookup.number(field.spec, &entry, &mut self.growth);
        let out = &mut self.growth.buffers.events;
        let outer = encode::open(out, number, 1);
        encode::varint_field(out, 1, u64::from(spec));
        let held = Held { event, value: entry.value, key: entry.key };
        self.nested(entry.field, value, &held, 2)?;
        encode::close(&mut self.growth.buffers.events, outer);
        Ok(true)
    }

    /// Writes what is left of a value as field `number`, which holds a `Value`; `false` if nothing is.
    fn value(
        &mut self,
        planned: &'w FieldPlan,
        stored: Cursor<'a>,
        held: &Held<'w>,
        number: u8,
    ) -> Result<bool, WireFault> {
        let value = StoredValue::read(stored)?;
        match &planned.shape {
            Shape::Scalar { kind, action } => {
                Ok(self.scalar(&held.value, (*kind, action), &value, stored, number))
            }
            Shape::Record(_) | Shape::List { .. } | Shape::Map { .. } => {
                self.nested(planned, value, held, number)
            }
        }
    }

    fn scalar(
        &mut self,
        leaf: &Leaf<'w>,
        planned: (Kind, &Action),
        value: &StoredValue<'a>,
        stored: Cursor<'a>,
        number: u8,
    ) -> bool {
        let Some(treated) = self.desk.treat(leaf, planned, value) else { return false };
        let out = &mut self.growth.buffers.events;
        treated.write_field(out, number);
        let same = out.ends_with(stored.rest());
        self.kept(leaf.planned, same);
        true
    }

    /// Writes what is left of a record, list or map; `false` if it is another thing in the plan.
    fn nested(
        &mut self,
        planned: &'w FieldPlan,
        value: StoredValue<'a>,
        held: &Held<'w>,
        number: u8,
    ) -> Result<bool, WireFault> {
        let Some((kind, parts)) = container(&planned.shape, &value) else { return Ok(false) };
        let out = &mut self.growth.buffers.events;
        let (outer, inner) = (encode::open(out, number, 1), encode::open(out, kind, 1));
        match &planned.shape {
            Shape::Record(names) => self.fields(parts, (held.event, names), 1)?,
            Shape::List { item } => self.items(parts, *item, held)?,
            Shape::Map { value, .. } => self.pairs(parts, *value, held)?,
            Shape::Scalar { .. } => {}
        }
        let out = &mut self.growth.buffers.events;
        encode::close(out, inner);
        encode::close(out, outer);
        Ok(true)
    }

    fn items(&mut self, mut items: Parts<'a>, item: u32, held: &Held<'w>) -> Result<(), WireFault> {
        while let Some(stored) = items.next()? {
            let kept = match self.planned(item) {
                Some(planned) => self.value(planned, stored, held, 1)?,
                None => false,
            };
            if !kept {
                self.dropped(held.value.planned.spec.class);
            }
        }
        Ok(())
    }

    /// A pair is left whole or not at all.
    fn pairs(&mut self, mut pairs: Parts<'a>, value: u32, held: &Held<'w>) -> Result<(), WireFault> {
        let planned = self.planned(value);
        while let Some((stored_key, stored_value)) = pairs.next_pair()? {
            let counts = self.counts.clone();
            let start = self.growth.buffers.events.len();
            let pair = encode::open(&mut self.growth.buffers.events, 1, 1);
            let mut kept = false;
            if let (Some(key), Some(planned)) = (&held.key, planned)
                && let Shape::Scalar { kind, action } = &key.planned.shape
            {
                let raw_key = StoredValue::read(stored_key)?;
                kept = self.scalar(key, (*kind, action), &raw_key, stored_key, 1)
                    && self.value(planned, stored_value, held, 2)?;
            }
            if kept {
                encode::close(&mut self.growth.buffers.events, pair);
            } else {
                self.growth.buffers.events.truncate(start);
                self.counts = counts;
                self.dropped(held.value.planned.spec.class);
            }
        }
        Ok(())
    }

    /// Writes what is left of the customer or the instance.
    pub(super) fn party(
        &mut self,
        body: &mut Vec<u8>,
        numbers: (u8, u8),
        party: &Party<'a>,
        (class, action): (IdentifierClass, &Action),
    ) -> Result<(), WireFault> {
        let Some(stored) = party.value else { return Ok(()) };
        let value = StoredValue::read(stored)?;
        let epoch = self.desk.keys.epoch();
        let (step, says) = step(Done::of_party(party.prefix, class), true, action, epoch);
        let Some(treated) = self.desk.step(step, (Kind::Text, u32::MAX, action), &value) else {
            return Ok(());
        };
        match says {
            Says::Plan => write_party(body, numbers, &treated, &token_prefix(action, epoch)),
            Says::Stored => write_party(body, numbers, &treated, &String::from_utf8_lossy(party.prefix)),
        }
        Ok(())
    }

    fn planned(&self, field: u32) -> Option<&'w FieldPlan> {
        usize::try_from(field).ok().and_then(|at| self.lookup.plan().fields.get(at))
    }

    #[inline]
    fn kept(&mut self, planned: &FieldPlan, same: bool) {
        let counts = self.counts.of(planned.spec.class);
        let count = if same { &mut counts.unchanged } else { &mut counts.lowered };
        *count = count.saturating_add(1);
    }

    fn dropped(&mut self, class: IdentifierClass) {
        let count = &mut self.counts.of(class).dropped;
        *count = count.saturating_add(1);
    }
}

/// What a list or map holds in the end, and the event that it is in.
struct Held<'w> {
    event: usize,
    value: Leaf<'w>,
    key: Option<Leaf<'w>>,
}

impl Desk<'_> {
    #[inline]
    fn treat<'t>(
        &'t mut self,
        leaf: &Leaf<'_>,
        (kind, action): (Kind, &Action),
        value: &StoredValue<'t>,
    ) -> Option<Treated<'t>> {
        self.step(leaf.step, (kind, leaf.max_bytes, action), value)
    }

    #[inline]
    fn step<'t>(
        &'t mut self,
        step: Step,
        (kind, max_bytes, action): (Kind, u32, &Action),
        value: &StoredValue<'t>,
    ) -> Option<Treated<'t>> {
        match step {
            Step::Drop => None,
            Step::Same => as_stored(value),
            Step::Treat => {
                let scalar = scalar(kind, action, value)?.within(max_bytes).ok()?;
                treat(action, scalar, self.keys, self.work).ok().map(|(treated, _)| treated)
            }
            Step::Rotate => match (action, value) {
                (Action::Pseudonym { class, .. }, StoredValue::Token(stable)) => {
                    // Without the key of its epoch there is no pseudonym.
                    self.keys.rotate(*class, stable).map(Treated::Token)
                }
                // A word that is nobody's own.
                (_, StoredValue::Text(word)) => Some(Treated::Text(word)),
                _ => None,
            },
            Step::Redact => match (action, value) {
                (Action::Redact(rules), StoredValue::Text(text)) => {
                    self.text.clear();
                    redact::lower(rules, self.keys, text, &mut self.text);
                    (text.is_empty() || !self.text.is_empty()).then_some(Treated::Text(&self.text))
                }
                _ => None,
            },
            Step::List => match (action, value) {
                (Action::Redact(rules), StoredValue::Text(text)) => {
                    let words = rules.vocabulary.as_deref()?;
                    listed(words, text).ok().map(|(treated, _)| treated)
                }
                _ => None,
            },
        }
    }
}

/// The value as the plan's action would take it raw; `None` if it is of another type.
#[inline]
fn scalar<'t>(kind: Kind, action: &Action, value: &StoredValue<'t>) -> Option<Scalar<'t>> {
    match (kind, value) {
        // What bytes are coarsened to is text.
        (Kind::Text, StoredValue::Text(text)) => Some(Scalar::Text(text)),
        (Kind::Bytes, StoredValue::Text(text)) if matches!(action, Action::Generalise(_)) => {
            Some(Scalar::Text(text))
        }
        (Kind::Int, StoredValue::Int(number)) => Some(Scalar::Int(*number)),
        (Kind::Double, StoredValue::Double(number)) => Some(Scalar::Double(*number)),
        (Kind::Bool, StoredValue::Bool(flag)) => Some(Scalar::Bool(*flag)),
        (Kind::Bytes, StoredValue::Bytes(bytes)) => Some(Scalar::Bytes(bytes)),
        _ => None,
    }
}

const fn as_stored<'t>(value: &StoredValue<'t>) -> Option<Treated<'t>> {
    match *value {
        StoredValue::Text(text) => Some(Treated::Text(text)),
        StoredValue::Int(number) => Some(Treated::Int(number)),
        StoredValue::Double(number) => Some(Treated::Double(number)),
        StoredValue::Bool(flag) => Some(Treated::Bool(flag)),
        StoredValue::Bytes(bytes) => Some(Treated::Bytes(bytes)),
        StoredValue::Token(token) => Some(Treated::Token(token)),
        StoredValue::Empty | StoredValue::Record(_) | StoredValue::List(_) | StoredValue::Map(_) => None,
    }
}

/// The field of a `Value` that holds a record, list or map, and its parts, if that is what the plan has there.
const fn container<'a>(shape: &Shape, value: &StoredValue<'a>) -> Option<(u8, Parts<'a>)> {
    match (shape, value) {
        (Shape::Record(_), StoredValue::Record(parts)) => Some((7, *parts)),
        (Shape::List { .. }, StoredValue::List(parts)) => Some((8, *parts)),
        (Shape::Map { .. }, StoredValue::Map(parts)) => Some((9, *parts)),
        _ => None,
    }
}
