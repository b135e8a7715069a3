//! Lowering: from the stored form of a batch to what a stricter plan would have stored at once, without the raw
//! values (DESIGN section 3, "treatments compose"). Every field is looked up in the plan by the name of its event
//! and its path, and gets the stricter of what was done to it and what the plan does: [`super::lower_step`]. What the
//! plan does not know is dropped. Tables are laid out as the one pass lays them out.

use std::sync::Arc;

use super::builder::{Buffers, CUSTOMER, Growth, Head, INSTANCE};
use super::lower_counts::LowerCounts;
use super::lower_fields::Lookup;
use super::lower_walk::Walk;
use super::stored::{StoredBatch, StoredEvent};
use super::{CustomerSecret, SanitizedBatch, Scratch, encode};
use crate::model::{IdentifierClass, Purposes, WireFault};
use crate::policy::{EventPlan, NameTable, Plan};

/// What a stored batch is brought down to.
#[derive(Debug, Clone, Copy)]
pub struct LowerTo<'a> {
    /// The plan that holds now, such as [`crate::policy::Policy::bind`] names.
    pub plan: &'a Arc<Plan>,
    /// The dictionary version up to which data may be stored.
    pub accepted_version: u32,
    /// The customer's keys.
    pub secret: &'a CustomerSecret,
    /// The rotation epoch of the time when the batch was received.
    pub epoch: u32,
}

/// What is left of a stored batch.
#[derive(Debug, Clone)]
pub enum Lowered {
    /// All of it. Only the versions of policy and dictionary that its head names may be others.
    Same,
    /// This.
    Less {
        /// What is to be stored in its place.
        batch: SanitizedBatch,
        /// What became of its events and values.
        counts: LowerCounts,
    },
    /// Nothing.
    Nothing(LowerCounts),
}

/// Brings `body`, a stored `usaged.drain.v1.Batch`, down. What comes out never says more than `body` does, whatever
/// the plan would allow; under a plan that is stricter in everything, it is byte for byte what the plan would have
/// stored at once.
///
/// # Errors
/// If `body` is not what [`SanitizedBatch::body`] gives: a damaged record.
pub fn lower(body: &[u8], to: &LowerTo<'_>, scratch: &mut Scratch) -> Result<Lowered, WireFault> {
    let stored = StoredBatch::read(body)?;
    let plan: &Plan = to.plan;
    let keys = to.secret.program(&plan.program, to.epoch);
    let growth = Growth::new(scratch.take_buffers(), plan);
    let lookup = Lookup::new(plan, &stored, to.epoch);
    let mut walk = Walk::new(lookup, &keys, growth, scratch.work());
    let names = Names::new(plan, &stored);
    let (mut kept, mut dropped) = (0_u32, 0_u32);
    let mut events = stored.events;
    while let Some(event) = events.next()? {
        if names.event(&event, &mut walk)? {
            kept = kept.saturating_add(1);
        } else {
            dropped = dropped.saturating_add(1);
        }
    }
    walk.counts.events_kept = kept;
    walk.counts.events_dropped = dropped;
    let (counts, made) = if kept == 0 { walk.nothing() } else { finish(&stored, to, walk)? };
    let (batch, buffers) = made;
    scratch.give_buffers(buffers);
    let Some(batch) = batch else { return Ok(Lowered::Nothing(counts)) };
    if stored.says_the_same_as(&StoredBatch::read(batch.body())?) {
        return Ok(Lowered::Same);
    }
    Ok(Lowered::Less { batch, counts })
}

/// Whether two stored batches say the same, whatever versions of policy and dictionary they name.
#[must_use]
pub fn say_the_same(a: &[u8], b: &[u8]) -> bool {
    let (a, b) = (StoredBatch::read(a), StoredBatch::read(b));
    a.is_ok_and(|a| b.is_ok_and(|b| a.says_the_same_as(&b)))
}

type Finished = (LowerCounts, (Option<SanitizedBatch>, Buffers));

fn finish<'a>(
    stored: &StoredBatch<'a>,
    to: &LowerTo<'_>,
    mut walk: Walk<'_, 'a>,
) -> Result<Finished, WireFault> {
    let plan: &Plan = to.plan;
    let head = Head {
        customer: to.secret.customer(),
        plan,
        accepted_version: to.accepted_version,
        received: stored.received()?,
    };
    let mut parties = Vec::with_capacity(128);
    walk.party(&mut parties, CUSTOMER, &stored.customer, (IdentifierClass::CustomerId, &plan.customer))?;
    walk.party(&mut parties, INSTANCE, &stored.instance, (IdentifierClass::InstanceId, &plan.instance))?;
    let (batch, buffers) = walk.growth.finish(&head, |body| body.extend_from_slice(&parties));
    Ok((walk.counts, (Some(batch), buffers)))
}

/// What the plan says of the events of a batch, by the numbers of their names.
struct Names<'w> {
    plan: &'w Plan,
    known: Vec<Option<Known<'w>>>,
}

/// An event that the plan stores.
#[derive(Clone, Copy)]
struct Known<'w> {
    /// Its position in the plan.
    event: usize,
    fields: &'w NameTable,
    /// The purposes that both the plan and the batch have for it.
    purposes: Purposes,
}

impl<'w> Names<'w> {
    fn new(plan: &'w Plan, stored: &StoredBatch<'_>) -> Self {
        // A batch of another product or program has nothing that this plan knows.
        let is_own = stored.product == plan.product.as_str().as_bytes()
            && stored.program == plan.program.as_str().as_bytes();
        let known = stored.names.iter().enumerate().map(|(number, name)| {
            let find = |(event, planned): (usize, &'w EventPlan)| match planned {
                EventPlan::Store { name: own, fields, purposes, redacts: _ }
                    if own.as_str().as_bytes() == *name =>
                {
                    let purposes = purposes.and(stored.purposes_of(number));
                    Some(Known { event, fields, purposes })
                }
                EventPlan::Store { .. } | EventPlan::Withhold(_) => None,
            };
            let found = plan.events.iter().enumerate().find_map(find);
            found.filter(|known| is_own && !known.purposes.is_empty())
        });
        Self { plan, known: known.collect() }
    }

    /// Writes what is left of an event; `false` if the plan does not store it.
    fn event<'a>(&self, stored: &StoredEvent<'a>, walk: &mut Walk<'w, 'a>) -> Result<bool, WireFault> {
        let Some(known) = self.known.get(stored.name).copied().flatten() else { return Ok(false) };
        let Some(EventPlan::Store { name, .. }) = self.plan.events.get(known.event) else { return Ok(false) };
        let number = walk.growth.name_number(known.event, name, known.purposes);
        walk.growth.event_count += 1;
        let out = &mut walk.growth.buffers.events;
        let open = encode::open(out, 12, 2);
        encode::varint_field(out, 1, u64::from(number));
        encode::varint_field(out, 2, stored.time_ms.cast_unsigned());
        walk.fields(stored.fields, (known.event, known.fields), 3)?;
        encode::close(&mut walk.growth.buffers.events, open);
        Ok(true)
    }
}
