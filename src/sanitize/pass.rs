//! The one pass: every event of a request is read as borrowed bytes, treated field by field and
//! written straight into the stored form. No raw value is copied into anything that outlives the
//! pass, and nothing is allocated for an event.

use std::sync::Arc;

use super::builder::{Buffers, Builder, Origin};
use super::canonical;
use super::permit::Permit;
use super::treat::{Scalar, treat};
use super::wire::Head;
use super::{Sanitized, WithheldPlace, encode};
use crate::model::{
    Raw, RawEvent, RawFields, RawItems, RawText, RawValue, Reason, WireError, WireFault, WireReader, limits,
};
use crate::policy::{Action, EventPlan, Kind, NameTable, Plan, PlanKey, Shape};

/// Buffers that one request after another is sanitised in. One for each thread that sanitises.
#[derive(Debug, Default)]
pub struct Scratch {
    canonical: canonical::Scratch,
    buffers: Vec<Buffers>,
}

/// Sanitises the events of one request as its permit says.
///
/// # Errors
/// If the bytes are not what the format says or pass a bound; then nothing of the request may be stored.
pub fn sanitize<'a, R: WireReader<'a>>(
    permit: &Permit,
    head: &Head<'a>,
    mut reader: R,
    scratch: &mut Scratch,
) -> Result<Sanitized, WireError> {
    if let Some(reason) = permit.refused() {
        return Ok(withheld(head.events, reason));
    }
    let mut pass = Pass {
        permit,
        builders: Vec::with_capacity(2),
        scratch,
        out: Sanitized::default(),
        left: 0,
        event: 0,
    };
    while let Some(event) = reader.next_event()? {
        let kept = pass.event(&event)?;
        pass.out.tally.received += 1;
        match kept {
            Ok(()) => pass.out.tally.accepted += 1,
            Err(reason) => {
                pass.out.tally.withhold_event(reason);
                pass.tell(&[], reason);
            }
        }
        pass.event += 1;
    }
    Ok(pass.finish(head))
}

/// The outcome of a request of which nothing may be stored.
#[must_use]
pub fn withheld(events: u32, reason: Reason) -> Sanitized {
    let mut out = Sanitized::default();
    out.tally.received = events;
    if let Some(count) = out.tally.withheld.get_mut(reason.index()) {
        *count = events;
    }
    out
}

struct Pass<'p> {
    permit: &'p Permit,
    builders: Vec<Builder>,
    scratch: &'p mut Scratch,
    out: Sanitized,
    /// Fields that the event may still have.
    left: usize,
    event: u32,
}

/// The names that lead to a field, in the sender's own words.
#[derive(Clone, Copy)]
struct Path<'a> {
    names: [RawText<'a>; limits::DEPTH + 1],
    depth: usize,
}

impl<'a> Path<'a> {
    fn root() -> Self {
        Self { names: [Raw::default(); limits::DEPTH + 1], depth: 0 }
    }

    fn names(&self) -> &[RawText<'a>] {
        self.names.get(..self.depth).unwrap_or_default()
    }

    /// This path and one more name.
    #[inline]
    fn push(&mut self, name: RawText<'a>) -> bool {
        match self.names.get_mut(self.depth) {
            Some(slot) => {
                *slot = name;
                self.depth += 1;
                true
            }
            None => false,
        }
    }
}

impl Pass<'_> {
    /// Treats one event: the inner result is its outcome.
    fn event<'a, F: RawFields<'a>>(
        &mut self,
        event: &RawEvent<'a, F>,
    ) -> Result<Result<(), Reason>, WireError> {
        let (at, time_ms) = match self.admit(event) {
            Ok(admitted) => admitted,
            Err(reason) => return Ok(Err(reason)),
        };
        let (builder_at, event_index) = at;
        let Some(builder) = self.builders.get_mut(builder_at) else { return Ok(Err(Reason::Level)) };
        let plan = Arc::clone(&builder.plan);
        let Some(EventPlan::Store { name, fields }) = plan.events.get(event_index) else {
            return Ok(Err(Reason::UnknownEvent));
        };
        let number = builder.name_number(event_index, name);
        builder.event_count += 1;
        let record = builder.next_record();
        let out = &mut builder.buffers.events;
        let open = encode::open(out, 12, 2);
        encode::varint_field(out, 1, u64::from(number));
        encode::varint_field(out, 2, time_ms.cast_unsigned());
        self.left = limits::FIELDS_PER_EVENT;
        let mut walk = Walk { pass: self, builder: builder_at, plan: &plan, path: Path::root() };
        walk.fields(event.fields.clone(), fields, record, 3)?;
        if let Some(builder) = self.builders.get_mut(builder_at) {
            encode::close(&mut builder.buffers.events, open);
        }
        Ok(Ok(()))
    }

    /// Whether the event may be stored, and if so in which builder, as which event, at which time.
    fn admit<'a, F: RawFields<'a>>(
        &mut self,
        event: &RawEvent<'a, F>,
    ) -> Result<((usize, usize), i64), Reason> {
        let known = self.permit.event(event.name).ok_or(Reason::UnknownEvent)?;
        let key = self.permit.plan_key(known.program, event.needed_level)?;
        let builder = self.builder(key);
        let plan = self.builders.get(builder).map(|builder| &builder.plan);
        match plan.and_then(|plan| plan.events.get(known.event)) {
            None => return Err(Reason::UnknownEvent),
            Some(EventPlan::Withhold(reason)) => return Err(*reason),
            Some(EventPlan::Store { .. }) => {}
        }
        let now = self.permit.received().0;
        let time = event.time_ms.unwrap_or(now);
        let window = now.saturating_sub(limits::CLOCK_BEHIND_MS)..=now.saturating_add(limits::CLOCK_AHEAD_MS);
        if !window.contains(&time) {
            return Err(Reason::Clock);
        }
        Ok(((builder, known.event), time))
    }

    /// The builder for a plan; made when first needed.
    #[inline]
    fn builder(&mut self, key: PlanKey) -> usize {
        // At most one for each program and level of a request, and nearly always one.
        if let Some(at) = self.builders.iter().position(|builder| builder.key == key) {
            return at;
        }
        let plan = self.permit.plan(key);
        let keys = self.permit.keys(&plan.program);
        let buffers = self.scratch.buffers.pop().unwrap_or_default();
        self.builders.push(Builder::new(key, plan, keys, buffers));
        self.builders.len() - 1
    }

    /// Tells the sender of a place, if it can do something about it and there is room.
    #[cold]
    fn tell(&mut self, path: &[RawText<'_>], reason: Reason) {
        if !reason.is_senders() {
            return;
        }
        if self.out.places.len() < limits::WITHHELD_PLACES {
            self.out.places.push(WithheldPlace::new(self.event, path, reason));
        } else {
            self.out.places_truncated = true;
        }
    }

    fn finish(mut self, head: &Head<'_>) -> Sanitized {
        let origin = Origin {
            customer: self.permit.customer(),
            secret: self.permit.secret(),
            instance: head.instance,
            received: self.permit.received(),
        };
        for builder in self.builders.drain(..) {
            if builder.event_count == 0 {
                self.scratch.buffers.push(builder.buffers);
                continue;
            }
            let (batch, buffers) = builder.finish(&origin, &mut self.scratch.canonical);
            self.scratch.buffers.push(buffers);
            self.out.batches.push(batch);
        }
        self.out
    }
}

/// The walk through one event's fields.
struct Walk<'w, 'p, 'a> {
    pass: &'w mut Pass<'p>,
    builder: usize,
    plan: &'w Plan,
    path: Path<'a>,
}

impl<'a> Walk<'_, '_, 'a> {
    /// Treats the fields of an event (written as field 3) or record (as field 1).
    fn fields<F: RawFields<'a>>(
        &mut self,
        mut fields: F,
        names: &NameTable,
        record: u32,
        number: u8,
    ) -> Result<(), WireError> {
        while let Some((name, value)) = fields.next_field()? {
            self.count()?;
            let depth = self.path.depth;
            if !self.path.push(name) {
                return Err(self.fault(WireFault::Depth));
            }
            let stored = match names.get(name.expose()) {
                None => Err(Reason::UnknownField),
                Some(field) => match self.first(field, record) {
                    false => Err(Reason::Repeated),
                    true => self.field(field, value, number)?,
                },
            };
            if let Err(reason) = stored {
                self.withhold(reason);
            }
            self.path.depth = depth;
        }
        Ok(())
    }

    #[inline]
    fn first(&mut self, field: u32, record: u32) -> bool {
        self.pass.builders.get_mut(self.builder).is_some_and(|builder| builder.is_first(field, record))
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
        let Some(shape) = shape(plan, field) else { return Ok(Err(Reason::UnknownField)) };
        if let Shape::Scalar { kind, action } = shape {
            return Ok(self.scalar_field(field, *kind, action, &value, number));
        }
        let Some(builder) = self.pass.builders.get_mut(self.builder) else { return Ok(Err(Reason::Level)) };
        let start = builder.buffers.events.len();
        let spec = builder.spec_number(field);
        let out = &mut builder.buffers.events;
        let outer = encode::open(out, number, 1);
        encode::varint_field(out, 1, u64::from(spec));
        let stored = self.nested(shape, value, 2)?;
        let Some(builder) = self.pass.builders.get_mut(self.builder) else { return Ok(Err(Reason::Level)) };
        let out = &mut builder.buffers.events;
        match stored {
            Ok(()) => encode::close(out, outer),
            Err(_) => out.truncate(start),
        }
        Ok(stored)
    }

    #[inline]
    fn scalar_field<F: RawFields<'a>>(
        &mut self,
        field: u32,
        kind: Kind,
        action: &Action,
        value: &RawValue<'a, F>,
        number: u8,
    ) -> Result<(), Reason> {
        // A withheld field's value is not looked at.
        if let Action::Withhold(reason) = action {
            return Err(*reason);
        }
        let scalar = Scalar::of(kind, value)?;
        let builder = self.pass.builders.get_mut(self.builder).ok_or(Reason::Level)?;
        let (treated, fate) = treat(action, scalar, &builder.keys, &mut self.pass.scratch.canonical)?;
        let spec = u64::from(builder.spec_number(field));
        let out = &mut builder.buffers.events;
        let value_len = treated.len();
        let len = encode::varint_len(spec) + 2 + encode::varint_len(encode::size(value_len)) + value_len;
        out.push(number << 3 | 2);
        encode::varint(out, encode::size(len));
        encode::varint_field(out, 1, spec);
        treated.write_field(out, 2);
        self.pass.out.tally.store_field(fate);
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
        match shape(self.plan, field) {
            None => Ok(Err(Reason::UnknownField)),
            Some(Shape::Scalar { kind, action }) => {
                Ok(Scalar::of(*kind, &value).and_then(|scalar| self.scalar(action, scalar, number)))
            }
            Some(nested) => self.nested(nested, value, number),
        }
    }

    fn scalar(&mut self, action: &Action, scalar: Scalar<'a>, number: u8) -> Result<(), Reason> {
        let builder = self.pass.builders.get_mut(self.builder).ok_or(Reason::Level)?;
        let (treated, fate) = treat(action, scalar, &builder.keys, &mut self.pass.scratch.canonical)?;
        treated.write_field(&mut builder.buffers.events, number);
        self.pass.out.tally.store_field(fate);
        Ok(())
    }

    /// Treats a record, list or map and writes it as field `number`, which holds a `Value`. Where
    /// the type is wrong, nothing is written.
    fn nested<F: RawFields<'a>>(
        &mut self,
        shape: &Shape,
        value: RawValue<'a, F>,
        number: u8,
    ) -> Result<Result<(), Reason>, WireError> {
        let kind = match (shape, &value) {
            (Shape::Record(_), RawValue::Record(_)) => 7,
            (Shape::List { .. }, RawValue::List(_)) => 8,
            (Shape::Map { .. }, RawValue::Record(_)) => 9,
            (Shape::Record(_) | Shape::List { .. } | Shape::Map { .. } | Shape::Scalar { .. }, _) => {
                return Ok(Err(Reason::WrongType));
            }
        };
        let Some(builder) = self.pass.builders.get_mut(self.builder) else { return Ok(Err(Reason::Level)) };
        let record = builder.next_record();
        let out = &mut builder.buffers.events;
        let (outer, inner) = (encode::open(out, number, 1), encode::open(out, kind, 1));
        match (shape, value) {
            (Shape::Record(names), RawValue::Record(fields)) => self.fields(fields, names, record, 1)?,
            (Shape::List { item }, RawValue::List(items)) => self.items(items, *item)?,
            (Shape::Map { key, value }, RawValue::Record(pairs)) => self.pairs(pairs, *key, *value)?,
            (Shape::Record(_) | Shape::List { .. } | Shape::Map { .. } | Shape::Scalar { .. }, _) => {}
        }
        if let Some(builder) = self.pass.builders.get_mut(self.builder) {
            encode::close(&mut builder.buffers.events, inner);
            encode::close(&mut builder.buffers.events, outer);
        }
        Ok(Ok(()))
    }

    fn items<I: RawItems<'a>>(&mut self, mut items: I, item: u32) -> Result<(), WireError> {
        while let Some(value) = items.next_item()? {
            self.count()?;
            if let Err(reason) = self.value(item, value, 1)? {
                self.withhold(reason);
            }
        }
        Ok(())
    }

    /// The pairs of a map: a key is data and is treated like any value. A pair is stored whole or not at all.
    fn pairs<F: RawFields<'a>>(&mut self, mut pairs: F, key: u32, value: u32) -> Result<(), WireError> {
        while let Some((raw_key, raw_value)) = pairs.next_field()? {
            self.count()?;
            let tally = self.pass.out.tally.fields;
            let Some(builder) = self.pass.builders.get_mut(self.builder) else { return Ok(()) };
            let start = builder.buffers.events.len();
            let pair = encode::open(&mut builder.buffers.events, 1, 1);
            let treated_key = match shape(self.plan, key) {
                Some(Shape::Scalar { action, .. }) => {
                    Scalar::text(raw_key).and_then(|scalar| self.scalar(action, scalar, 1))
                }
                Some(Shape::Record(_) | Shape::List { .. } | Shape::Map { .. }) | None => {
                    Err(Reason::WrongType)
                }
            };
            let stored = match treated_key {
                Ok(()) => self.value(value, raw_value, 2)?,
                Err(reason) => Err(reason),
            };
            let Some(builder) = self.pass.builders.get_mut(self.builder) else { return Ok(()) };
            match stored {
                Ok(()) => encode::close(&mut builder.buffers.events, pair),
                Err(reason) => {
                    builder.buffers.events.truncate(start);
                    self.pass.out.tally.fields = tally;
                    self.withhold(reason);
                }
            }
        }
        Ok(())
    }

    /// Counts one more field against the bound of the event.
    #[inline]
    fn count(&mut self) -> Result<(), WireError> {
        match self.pass.left.checked_sub(1) {
            Some(left) => {
                self.pass.left = left;
                Ok(())
            }
            None => Err(self.fault(WireFault::Fields)),
        }
    }

    #[cold]
    fn fault(&self, fault: WireFault) -> WireError {
        WireError { fault, offset: None, event: Some(self.pass.event) }
    }

    fn withhold(&mut self, reason: Reason) {
        self.pass.out.tally.withhold_field(reason);
        if reason.is_senders() {
            let path = self.path;
            self.pass.tell(path.names(), reason);
        }
    }
}

#[inline]
fn shape(plan: &Plan, field: u32) -> Option<&Shape> {
    usize::try_from(field).ok().and_then(|at| plan.fields.get(at)).map(|field| &field.shape)
}
