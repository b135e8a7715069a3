//! The stored form of one batch while it grows: its events in one buffer, and beside them the
//! tables of names and fields that the events refer to by number.

use std::borrow::Cow;
use std::sync::Arc;

use super::redact::Workspace;
use super::treat::{Scalar, token_prefix, treat};
use super::value::Treated;
use super::{CustomerSecret, ProgramKeys, SanitizedBatch, encode};
use crate::model::{
    ClassTally, CustomerId, CustomerKey, EventName, Purpose, Purposes, Raw, RawText, Reason, UnixMillis,
};
use crate::policy::{Action, FieldPlan, Form, Generalise, Plan, PlanKey, Shape};

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
    /// Fields by class and handling, those that are not stored counted.
    pub(super) fields: ClassTally,
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
    /// Events that were withheld, by [`Reason::index`].
    withheld: [u32; Reason::COUNT],
}

/// Who and when, for the head of a batch.
pub(super) struct Origin<'a> {
    pub(super) customer: &'a CustomerId,
    pub(super) secret: &'a CustomerSecret,
    pub(super) instance: RawText<'a>,
    pub(super) received: UnixMillis,
}

impl Builder {
    pub(super) fn new(key: PlanKey, plan: Arc<Plan>, keys: Arc<ProgramKeys>, buffers: Buffers) -> Self {
        let growth = Growth::new(buffers, &plan);
        Self { key, plan, keys, growth }
    }

    /// The finished batch, and the buffers for the next one.
    pub(super) fn finish(self, origin: &Origin<'_>, work: &mut Workspace) -> (SanitizedBatch, Buffers) {
        let Self { key, plan, keys, growth } = self;
        let head = Head {
            customer: origin.secret.customer(),
            plan: &plan,
            accepted_version: key.accepted.unwrap_or(plan.dictionary_version),
            received: origin.received,
        };
        let mut write = |body: &mut Vec<u8>, numbers, action: &Action, raw: &[u8]| {
            if let Ok((treated, _)) = treat(action, Scalar::text(Raw::new(raw)), &keys, work) {
                write_party(body, numbers, &treated, &token_prefix(action, keys.epoch()));
            }
        };
        growth.finish(&head, |body| {
            write(body, CUSTOMER, &plan.customer, origin.customer.as_str().as_bytes());
            if !origin.instance.is_empty() {
                write(body, INSTANCE, &plan.instance, origin.instance.expose());
            }
        })
    }
}

/// The numbers of the customer and of the prefix of its tokens in a `Batch`.
pub(super) const CUSTOMER: (u8, u8) = (8, 14);
/// The same of the instance.
pub(super) const INSTANCE: (u8, u8) = (9, 15);

/// Writes the customer or the instance after its treatment. The prefix is there for a word that stands in the place
/// of a pseudonym too: it tells the word from a kept value.
pub(super) fn write_party(body: &mut Vec<u8>, (value, prefix): (u8, u8), treated: &Treated<'_>, text: &str) {
    treated.write_field(body, value);
    encode::text_field(body, prefix, text);
}

/// What the head of a batch says, beside the customer and the instance.
pub(super) struct Head<'a> {
    pub(super) customer: CustomerKey,
    pub(super) plan: &'a Plan,
    pub(super) accepted_version: u32,
    pub(super) received: UnixMillis,
}

impl Growth {
    /// Nothing yet; `fields` and `events` are those of the plan.
    pub(super) fn new(mut buffers: Buffers, plan: &Plan) -> Self {
        buffers.events.clear();
        buffers.specs.clear();
        buffers.names.clear();
        buffers.event_purposes.clear();
        // What was given back unfinished was counted in vain.
        drop(buffers.fields.take());
        for (numbers, len) in [
            (&mut buffers.spec_numbers, plan.fields.len()),
            (&mut buffers.name_numbers, plan.events.len()),
            (&mut buffers.seen, plan.fields.len()),
        ] {
            numbers.clear();
            numbers.resize(len, 0);
        }
        Self {
            buffers,
            spec_count: 0,
            name_count: 0,
            event_count: 0,
            record_serial: 0,
            purposes: Purposes::NONE,
            withheld: [0; Reason::COUNT],
        }
    }

    /// The finished batch, and the buffers for the next one. `parties` writes the customer and the instance.
    pub(super) fn finish(
        mut self,
        head: &Head<'_>,
        parties: impl FnOnce(&mut Vec<u8>),
    ) -> (SanitizedBatch, Buffers) {
        let fields = self.buffers.fields.take();
        let (plan, buffers) = (head.plan, &self.buffers);
        let mut body =
            Vec::with_capacity(256 + buffers.specs.len() + buffers.names.len() + buffers.events.len());
        encode::text_field(&mut body, 1, plan.product.as_str());
        encode::text_field(&mut body, 2, plan.program.as_str());
        encode::text_field(&mut body, 3, plan.level.as_str());
        encode::text_field(&mut body, 4, plan.region.as_ref().map_or("", |region| region.as_str()));
        encode::text_field(&mut body, 5, &plan.policy_version);
        encode::varint_field(&mut body, 6, u64::from(plan.dictionary_version));
        write_timestamp(&mut body, 7, head.received);
        parties(&mut body);
        encode::bytes_field(&mut body, 13, &buffers.event_purposes);
        body.extend_from_slice(&buffers.specs);
        body.extend_from_slice(&buffers.names);
        body.extend_from_slice(&buffers.events);
        let batch = SanitizedBatch {
            customer: head.customer,
            product: plan.product.clone(),
            program: plan.program.clone(),
            level: plan.level.clone(),
            region: plan.region.clone(),
            policy_version: Arc::clone(&plan.policy_version),
            dictionary_version: plan.dictionary_version,
            accepted_version: head.accepted_version,
            purposes: self.purposes,
            received: head.received,
            events: self.event_count,
            fingerprint: plan.fingerprint,
            fields,
            withheld: Reason::named(self.withheld),
            body,
        };
        (batch, self.buffers)
    }

    /// Counts an event that belongs here and is withheld.
    pub(super) fn withhold_event(&mut self, reason: Reason) {
        if let Some(count) = self.withheld.get_mut(reason.index()) {
            *count = count.saturating_add(1);
        }
    }

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
        let number = self.push_spec(leaf.map(|leaf| SpecText::of(leaf, epoch)).as_ref(), key_number);
        if let Some(slot) = usize::try_from(field).ok().and_then(|at| self.buffers.spec_numbers.get_mut(at)) {
            *slot = number + 1;
        }
        number
    }

    /// Adds an entry to the table of fields, and gives its number.
    pub(super) fn push_spec(&mut self, spec: Option<&SpecText<'_>>, key_number: u32) -> u32 {
        let at = encode::open(&mut self.buffers.specs, 10, 1);
        if let Some(spec) = spec {
            spec.write(&mut self.buffers.specs, key_number);
        }
        encode::close(&mut self.buffers.specs, at);
        self.spec_count += 1;
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

/// An entry of the table of fields.
pub(super) struct SpecText<'a> {
    pub(super) path: &'a str,
    pub(super) class: &'a str,
    pub(super) treatment: Cow<'a, str>,
    pub(super) prefix: Cow<'a, str>,
    pub(super) purposes: Purposes,
    pub(super) category: &'a str,
    /// 0 if numbers are not rounded.
    pub(super) bucket: u64,
}

impl<'a> SpecText<'a> {
    /// What a plan says of a field.
    pub(super) fn of(field: &'a FieldPlan, epoch: u32) -> Self {
        let (treatment, prefix, bucket) = match &field.shape {
            Shape::Scalar { action, .. } => (action.treatment(), token_prefix(action, epoch), bucket(action)),
            Shape::Record(_) | Shape::List { .. } | Shape::Map { .. } => ("keep", String::new(), 0),
        };
        Self {
            path: field.spec.path.as_str(),
            class: field.spec.class.as_str(),
            treatment: treatment.into(),
            prefix: prefix.into(),
            purposes: field.spec.purposes,
            category: field.spec.category.as_str(),
            bucket,
        }
    }

    fn write(&self, out: &mut Vec<u8>, key_number: u32) {
        encode::text_field(out, 1, self.path);
        encode::text_field(out, 2, self.class);
        encode::text_field(out, 3, &self.treatment);
        encode::text_field(out, 4, &self.prefix);
        write_purposes(out, 5, self.purposes);
        encode::text_field(out, 6, self.category);
        if key_number > 0 {
            encode::varint_field(out, 7, u64::from(key_number));
        }
        if self.bucket > 0 {
            encode::varint_field(out, 8, self.bucket);
        }
    }
}

/// The width that an action rounds numbers down to; 0 if it does not.
const fn bucket(action: &Action) -> u64 {
    match action {
        Action::Keep(Form::Bucket(width)) | Action::Generalise(Generalise::Bucket(width)) => *width,
        Action::Keep(Form::Any { .. } | Form::Version | Form::Vocabulary(_))
        | Action::Generalise(_)
        | Action::Withhold(_)
        | Action::Pseudonym { .. }
        | Action::Vocabulary(_)
        | Action::Redact(_) => 0,
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
