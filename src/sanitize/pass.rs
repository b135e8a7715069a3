//! The one pass: every event of a request is read as borrowed bytes, treated field by field and
//! written straight into the stored form. No raw value is copied into anything that outlives the
//! pass, and nothing is allocated for an event.

use super::builder::{Buffers, Builder, Origin};
use super::permit::Permit;
use super::redact::Workspace;
use super::walk::Walk;
use super::wire::Head;
use super::{Sanitized, WithheldPlace, canonical, encode};
use crate::model::{
    Fate, Handling, RawEvent, RawFields, RawText, Reason, Tally, WireError, WireReader, limits,
};
use crate::policy::{EventPlan, EventRef};

/// Buffers that one request after another is sanitised in. One for each thread that sanitises.
#[derive(Debug, Default)]
pub struct Scratch {
    work: Workspace,
    buffers: Vec<Buffers>,
}

impl Scratch {
    pub(super) const fn canonical(&mut self) -> &mut canonical::Scratch {
        &mut self.work.canonical
    }

    pub(super) const fn work(&mut self) -> &mut Workspace {
        &mut self.work
    }

    /// Buffers for a batch, to be given back with [`Self::give_buffers`].
    pub(super) fn take_buffers(&mut self) -> Buffers {
        self.buffers.pop().unwrap_or_default()
    }

    pub(super) fn give_buffers(&mut self, buffers: Buffers) {
        self.buffers.push(buffers);
    }
}

/// Sanitises the events of one request as its permit says.
///
/// # Errors
/// If the bytes are not what the format says or pass a bound; then nothing of the request may be stored.
pub fn sanitize<'a, R: WireReader<'a> + Clone>(
    permit: &Permit,
    head: &Head<'a>,
    reader: R,
    scratch: &mut Scratch,
) -> Result<Sanitized, WireError> {
    if let Some(reason) = permit.refused() {
        return Ok(withheld(head.events, reason));
    }
    let sanitized = pass(permit, head, reader, scratch);
    scratch.work.forget();
    sanitized
}

fn pass<'a, R: WireReader<'a> + Clone>(
    permit: &Permit,
    head: &Head<'a>,
    mut reader: R,
    scratch: &mut Scratch,
) -> Result<Sanitized, WireError> {
    let now = permit.received().0;
    let window = now.saturating_sub(limits::CLOCK_BEHIND_MS)..=now.saturating_add(limits::CLOCK_AHEAD_MS);
    let mut pass = Pass {
        permit,
        instance_before: instance_before(permit, head, &mut scratch.work.canonical),
        all: reader.clone(),
        instance: head.instance,
        builders: Vec::with_capacity(2),
        scratch,
        told: Told::default(),
        window,
        latest: None,
    };
    while let Some(event) = reader.next_event()? {
        let kept = pass.event(&event)?;
        pass.told.tally.received += 1;
        match kept {
            Ok(()) => pass.told.tally.accepted += 1,
            Err(reason) => {
                pass.told.tally.withhold_event(reason);
                pass.told.event_place(event.name, reason);
            }
        }
        pass.told.event += 1;
    }
    Ok(pass.finish(head))
}

/// Until when events of the request's instance are late; `None` if it was not erased.
fn instance_before(permit: &Permit, head: &Head<'_>, scratch: &mut canonical::Scratch) -> Option<i64> {
    let suppressed = permit.suppressed().filter(|_| !head.instance.is_empty())?;
    let programs = permit.policy().programs().iter();
    let before = |name| suppressed.instance_before(head.instance, &permit.keys(name), scratch);
    programs.map(crate::policy::Program::name).filter_map(before).max()
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

/// What the sender will be told of a request.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) tally: Tally,
    places: Vec<WithheldPlace>,
    places_truncated: bool,
    /// The event that is being treated, counted from 0.
    pub(super) event: u32,
}

impl Told {
    /// Tells the sender of a place, if it can do something about it and there is room.
    #[cold]
    fn place(&mut self, path: &[RawText<'_>], reason: Reason) {
        if !reason.is_senders() {
            return;
        }
        if self.places.len() < limits::WITHHELD_PLACES {
            self.places.push(WithheldPlace::new(self.event, path, reason));
        } else {
            self.places_truncated = true;
        }
    }

    /// Tells the sender of an event that is withheld, by the name that it gave the event.
    #[cold]
    fn event_place(&mut self, name: RawText<'_>, reason: Reason) {
        if !reason.is_senders() {
            return;
        }
        if self.places.len() < limits::WITHHELD_PLACES {
            self.places.push(WithheldPlace::event(self.event, name, reason));
        } else {
            self.places_truncated = true;
        }
    }

    /// Counts a field that is withheld, and tells the sender if it can do something about it.
    #[inline]
    pub(super) fn withhold(&mut self, path: &[RawText<'_>], reason: Reason) {
        self.tally.withhold_field(reason);
        if reason.is_senders() {
            self.place(path, reason);
        }
    }
}

struct Pass<'p, 'a, R> {
    permit: &'p Permit,
    /// The whole request, which is read once more for each program that has text to redact in it.
    all: R,
    instance: RawText<'a>,
    /// Until when events of the instance are late, because it was erased.
    instance_before: Option<i64>,
    builders: Vec<Builder>,
    scratch: &'p mut Scratch,
    told: Told,
    /// The times that an event may have, in milliseconds.
    window: std::ops::RangeInclusive<i64>,
    /// The program and the builder of the latest event that did not ask for less: most often also the next one's.
    latest: Option<(usize, usize)>,
}

impl<'a, R: WireReader<'a> + Clone> Pass<'_, 'a, R> {
    /// Treats one event: the inner result is its outcome.
    fn event<F: RawFields<'a>>(&mut self, event: &RawEvent<'a, F>) -> Result<Result<(), Reason>, WireError> {
        let known = match self.permit.event(event.name).ok_or(Reason::UnknownEvent) {
            Ok(known) => known,
            Err(reason) => return Ok(Err(reason)),
        };
        let at = match self.builder(known, event.needed_level) {
            Ok(at) => at,
            Err(reason) => return Ok(Err(reason)),
        };
        let kept = self.event_of(at, known.event, event)?;
        if let (Err(reason), Some(builder)) = (kept, self.builders.get_mut(at)) {
            builder.growth.withhold_event(reason);
        }
        Ok(kept)
    }

    /// Treats an event that belongs to the builder at `at`.
    #[inline]
    fn event_of<F: RawFields<'a>>(
        &mut self,
        at: usize,
        known: usize,
        event: &RawEvent<'a, F>,
    ) -> Result<Result<(), Reason>, WireError> {
        let Some(builder) = self.builders.get_mut(at) else { return Ok(Err(Reason::Level)) };
        let (name, fields, purposes, redacts) = match builder.plan.events.get(known) {
            None => return Ok(Err(Reason::UnknownEvent)),
            Some(EventPlan::Withhold(reason)) => return Ok(Err(*reason)),
            Some(EventPlan::Store { name, fields, purposes, redacts }) => (name, fields, *purposes, *redacts),
        };
        let time_ms = event.time_ms.unwrap_or_else(|| self.permit.received().0);
        if !self.window.contains(&time_ms) {
            return Ok(Err(Reason::Clock));
        }
        let suppressed = self.permit.suppressed();
        if suppressed.is_some_and(|suppressed| suppressed.is_at(time_ms))
            || self.instance_before.is_some_and(|before| time_ms <= before)
        {
            return Ok(Err(Reason::Erased));
        }
        let late = suppressed.filter(|suppressed| suppressed.is_late(time_ms));
        if redacts || late.is_some() {
            let request = (self.instance.expose(), &self.all);
            self.scratch.work.gather(self.permit, &builder.plan, request)?;
        }
        let work = &mut self.scratch.work;
        if let Some(suppressed) = late {
            let keys = suppressed.keys(&builder.keys, |program| self.permit.keys(program));
            if suppressed.are_in((event.fields.clone(), time_ms), fields, (&builder.plan, &keys), work)? {
                return Ok(Err(Reason::Erased));
            }
        }
        let growth = &mut builder.growth;
        let number = growth.name_number(known, name, purposes);
        growth.event_count += 1;
        let record = growth.next_record();
        let out = &mut growth.buffers.events;
        let open = encode::open(out, 12, 2);
        encode::varint_field(out, 1, u64::from(number));
        encode::varint_field(out, 2, time_ms.cast_unsigned());
        let mut walk = Walk::new(&builder.plan, &builder.keys, growth, work, &mut self.told);
        walk.fields(event.fields.clone(), fields, record, 3)?;
        encode::close(&mut builder.growth.buffers.events, open);
        Ok(Ok(()))
    }

    /// The builder that an event goes to; made when first needed. At most one for each program and
    /// level of a request, and nearly always one.
    #[inline]
    fn builder(&mut self, event: EventRef, needed: RawText<'_>) -> Result<usize, Reason> {
        if let (Some((program, at)), true) = (self.latest, needed.is_empty())
            && program == event.program
        {
            return Ok(at);
        }
        let key = self.permit.plan_key(event.program, needed)?;
        let found = self.builders.iter().position(|builder| builder.key == key);
        let at = found.unwrap_or_else(|| {
            let plan = self.permit.plan(key);
            let keys = self.permit.keys(&plan.program);
            let buffers = self.scratch.buffers.pop().unwrap_or_default();
            self.builders.push(Builder::new(key, plan, keys, buffers));
            self.builders.len() - 1
        });
        if needed.is_empty() {
            self.latest = Some((event.program, at));
        }
        Ok(at)
    }

    fn finish(self, head: &Head<'_>) -> Sanitized {
        let Self { permit, mut builders, scratch, mut told, .. } = self;
        // Not in the order of the first events: some of those may be withheld.
        builders.sort_unstable_by_key(|builder| (builder.key.program, builder.key.rank));
        let origin = Origin {
            customer: permit.customer(),
            secret: permit.secret(),
            instance: head.instance,
            received: permit.received(),
        };
        let mut batches = Vec::with_capacity(builders.len());
        for builder in builders {
            if builder.growth.event_count == 0 {
                scratch.buffers.push(builder.growth.buffers);
                continue;
            }
            let (batch, buffers) = builder.finish(&origin, &mut scratch.work);
            for (fate, stored) in Fate::ALL.iter().zip(&mut told.tally.fields) {
                let of_batch = batch.fields().total(Handling::from(*fate));
                *stored = stored.saturating_add(u32::try_from(of_batch).unwrap_or(u32::MAX));
            }
            scratch.buffers.push(buffers);
            batches.push(batch);
        }
        let Told { tally, places, places_truncated, .. } = told;
        Sanitized { batches, tally, places, places_truncated, hits: scratch.work.hits }
    }
}
