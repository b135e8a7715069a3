//! The stored form of one batch while it grows: its events in one buffer, and beside them the
//! tables of names and fields that the events refer to by number.

use std::sync::Arc;

use super::redact::Workspace;
use super::treat::{Scalar, token_prefix, treat};
use super::value::Treated;
use super::{CustomerSecret, ProgramKeys, SanitizedBatch, encode};
use crate::model::{CustomerId, EventName, Purpose, Purposes, Raw, RawText, UnixMillis};
use crate::policy::{Action, FieldPlan, FieldSpec, Plan, PlanKey, Shape};

/// Buffers that one batch after another is built in.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub(super) events: Vec<u8>,
    specs: Vec<u8>,
    names: Vec<u8>,
    /// For each name of the table, the bits of its purposes: a packed `event_purposes`.
    event_purposes: Vec<u8>,
    /// For each field of the plan: its number in the table plus one, or 0.
    spec_numbers: Vec<u32>,
    /// For each event of the dictionary: its number in the table plus one, or 0.
    name_numbers: Vec<u32>,
    /// For each field of the plan: the serial of the record in which it was seen last.
    seen: Vec<u32>,
}

/// A batch that grows, with the plan and the keys that it grows by.
pub(super) struct Builder {
    pub(super) key: PlanKey,
    pub(super) plan: Arc<Plan>,
    pub(super) keys: Arc<ProgramKeys>,
    pub(super) growth: Growth,
}

/// The part of a batch that grows.
pub(super) struct Growth {
    pub(super) buffers: Buffers,
    spec_count: u32,
    name_count: u32,
    pub(super) event_count: u32,
    record_serial: u32,
    purposes: Purposes,
}

/// Who and when, for the head of a batch.
pub(super) struct Origin<'a> {
    pub(super) customer: &'a CustomerId,
    pub(super) secret: &'a CustomerSecret,
    pub(super) instance: RawText<'a>,
    pub(super) received: UnixMillis,
}

impl Builder {
    pub(super) fn new(key: PlanKey, plan: Arc<Plan>, keys: Arc<ProgramKeys>, mut buffers: Buffers) -> Self {
        buffers.events.clear();
        buffers.specs.clear();
        buffers.names.clear();
        buffers.event_purposes.clear();
        for (numbers, len) in [
            (&mut buffers.spec_numbers, plan.fields.len()),
            (&mut buffers.name_numbers, plan.events.len()),
            (&mut buffers.seen, plan.fields.len()),
        ] {
            numbers.clear();
            numbers.resize(len, 0);
        }
        let growth = Growth {
            buffers,
            spec_count: 0,
            name_count: 0,
            event_count: 0,
            record_serial: 0,
            purposes: Purposes::NONE,
        };
        Self { key, plan, keys, growth }
    }

    /// The finished batch, and the buffers for the next one.
    pub(super) fn finish(self, origin: &Origin<'_>, work: &mut Workspace) -> (SanitizedBatch, Buffers) {
        let plan = &self.plan;
        let buffers = &self.growth.buffers;
        let mut body =
            Vec::with_capacity(256 + buffers.specs.len() + buffers.names.len() + buffers.events.len());
        encode::text_field(&mut body, 1, plan.product.as_str());
        encode::text_field(&mut body, 2, plan.program.as_str());
        encode::text_field(&mut body, 3, plan.level.as_str());
        encode::text_field(&mut body, 4, plan.region.as_ref().map_or("", |region| region.as_str()));
        encode::text_field(&mut body, 5, &plan.policy_version);
        encode::varint_field(&mut body, 6, u64::from(plan.dictionary_version));
        write_timestamp(&mut body, 7, origin.received);
        self.write_party(&mut body, (8, 14), &plan.customer, origin.customer.as_str().as_bytes(), work);
        self.write_party(&mut body, (9, 15), &plan.instance, origin.instance.expose(), work);
        encode::bytes_field(&mut body, 13, &buffers.event_purposes);
        body.extend_from_slice(&buffers.specs);
        body.extend_from_slice(&buffers.names);
        body.extend_from_slice(&buffers.events);
        let batch = SanitizedBatch {
            customer: origin.secret.customer(),
            product: plan.product.clone(),
            program: plan.program.clone(),
            level: plan.level.clone(),
            region: plan.region.clone(),
            policy_version: Arc::clone(&plan.policy_version),
            dictionary_version: plan.dictionary_version,
            accepted_version: self.key.accepted.unwrap_or(plan.dictionary_version),
            purposes: self.growth.purposes,
            received: origin.received,
            events: self.growth.event_count,
            body,
        };
        (batch, self.growth.buffers)
    }

    /// Writes the customer or the instance, as the level treats it.
    fn write_party(
        &self,
        body: &mut Vec<u8>,
        (value, prefix): (u8, u8),
        action: &Action,
        raw: &[u8],
        work: &mut Workspace,
    ) {
        if raw.is_empty() {
            return;
        }
        if let Ok((treated, _)) = treat(action, Scalar::text(Raw::new(raw)), &self.keys, work) {
            treated.write_field(body, value);
            if let Treated::Token(_) = treated {
                encode::text_field(body, prefix, &token_prefix(action, self.keys.epoch()));
            }
        }
    }
}

impl Growth {
    /// A number for a record that begins, to tell a repeated field from one of another record.
    pub(super) const fn next_record(&mut self) -> u32 {
        self.record_serial = self.record_serial.wrapping_add(1);
        self.record_serial
    }

    /// Whether the field comes for the first time in this record.
    #[inline]
    pub(super) fn is_first(&mut self, field: u32, record: u32) -> bool {
        let slot = usize::try_from(field).ok().and_then(|at| self.buffers.seen.get_mut(at));
        slot.is_some_and(|seen| std::mem::replace(seen, record) != record)
    }

    /// The number of an event's name in the table of this batch.
    pub(super) fn name_number(&mut self, event: usize, name: &EventName, purposes: Purposes) -> u32 {
        match self.buffers.name_numbers.get_mut(event) {
            Some(number) if *number > 0 => *number - 1,
            slot => {
                encode::bytes_field(&mut self.buffers.names, 11, name.as_str().as_bytes());
                self.buffers.event_purposes.push(purposes.bits());
                self.purposes = self.purposes.or(purposes);
                self.name_count += 1;
                if let Some(number) = slot {
                    *number = self.name_count;
                }
                self.name_count - 1
            }
        }
    }

    /// The number of a field in the table of this batch. Lists and maps go by what they hold.
    #[inline]
    pub(super) fn spec_number(&mut self, plan: &Plan, epoch: u32, field: u32) -> u32 {
        let slot = usize::try_from(field).ok().and_then(|at| self.buffers.spec_numbers.get(at));
        match slot {
            Some(number) if *number > 0 => *number - 1,
            _ => self.add_spec(plan, epoch, field),
        }
    }

    #[cold]
    fn add_spec(&mut self, plan: &Plan, epoch: u32, field: u32) -> u32 {
        let (leaf, key) = describe(plan, field);
        let key_number = key.map_or(0, |key| self.spec_number(plan, epoch, key) + 1);
        let mut spec = Vec::with_capacity(96);
        if let Some(leaf) = leaf {
            write_spec(&mut spec, &leaf.spec, &leaf.shape, key_number, epoch);
        }
        encode::bytes_field(&mut self.buffers.specs, 10, &spec);
        self.spec_count += 1;
        if let Some(number) = usize::try_from(field).ok().and_then(|at| self.buffers.spec_numbers.get_mut(at))
        {
            *number = self.spec_count;
        }
        self.spec_count - 1
    }
}

/// The plan of what a field holds in the end (items of items of lists, values of maps), and the
/// keys of the outermost map on the way.
fn describe(plan: &Plan, field: u32) -> (Option<&FieldPlan>, Option<u32>) {
    let mut key = None;
    let mut at = field;
    // A dictionary's paths are bounded, so this ends well before.
    for _ in 0..crate::model::limits::DEPTH {
        let found = usize::try_from(at).ok().and_then(|at| plan.fields.get(at));
        match found.map(|field| &field.shape) {
            Some(Shape::List { item }) => at = *item,
            Some(Shape::Map { key: map_key, value }) => {
                key = key.or(Some(*map_key));
                at = *value;
            }
            Some(Shape::Scalar { .. } | Shape::Record(_)) | None => return (found, key),
        }
    }
    (None, key)
}

fn write_spec(out: &mut Vec<u8>, spec: &FieldSpec, shape: &Shape, key_number: u32, epoch: u32) {
    encode::text_field(out, 1, spec.path.as_str());
    encode::text_field(out, 2, spec.class.as_str());
    match shape {
        Shape::Scalar { action, .. } => {
            encode::text_field(out, 3, action.treatment());
            encode::text_field(out, 4, &token_prefix(action, epoch));
        }
        Shape::Record(_) | Shape::List { .. } | Shape::Map { .. } => encode::text_field(out, 3, "keep"),
    }
    write_purposes(out, 5, spec.purposes);
    encode::text_field(out, 6, spec.category.as_str());
    if key_number > 0 {
        encode::varint_field(out, 7, u64::from(key_number));
    }
}

/// A packed list of `usaged.drain.v1.Purpose`.
pub(super) fn write_purposes(out: &mut Vec<u8>, number: u8, purposes: Purposes) {
    let at = encode::open(out, number, 1);
    for purpose in purposes.iter() {
        out.push(purpose_number(purpose));
    }
    encode::close(out, at);
}

/// The number of a purpose in `usaged.drain.v1.Purpose`.
pub(super) const fn purpose_number(purpose: Purpose) -> u8 {
    match purpose {
        Purpose::Deliver => 1,
        Purpose::Recommend => 2,
        Purpose::Improve => 3,
    }
}

fn write_timestamp(out: &mut Vec<u8>, number: u8, time: UnixMillis) {
    let at = encode::open(out, number, 1);
    encode::varint_field(out, 1, time.0.div_euclid(1000).cast_unsigned());
    let nanos = time.0.rem_euclid(1000) * 1_000_000;
    if nanos > 0 {
        encode::varint_field(out, 2, nanos.cast_unsigned());
    }
    encode::close(out, at);
}
