//! What a stored record should hold by now: the one judgement behind the preview, the rewriting and its report.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::AmendError;
use super::agreed::common;
use super::report::{Line, LineKey};
use super::settling::Before;
use crate::drain::Histories;
use crate::model::{ClassCounts, CommitNumber, LevelName, Participation, ProgramName, Reason};
use crate::policy::{Binding, Plan, Policy, StoredUnder};
use crate::sanitize::{LowerCounts, LowerTo, Lowered, Rotation, Scratch, count_fields, lower};
use crate::store::{
    Amendment, CustomerEntry, Customers, Entry, HeaderAt, RecordHeader, SealedRecord, StoredRecord,
};

/// What becomes of a record.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is taken apart at once")]
pub(super) enum Due {
    /// Nothing: it holds what it should.
    Same,
    /// It is rewritten, or nothing is left of it.
    Change(Change),
    /// Nothing yet: the policy in force does not know it, and is too new to take anything from the disk.
    Waits,
    /// It cannot be read, or is gone: drainers and the store look after that.
    Unreadable,
}

/// What becomes of a record that changes.
pub(super) struct Change {
    pub(super) amendment: Amendment,
    pub(super) key: LineKey,
    pub(super) line: Line,
    /// The print of the plan that what is left is as; `None` if that is nothing.
    pub(super) plan: Option<[u8; 8]>,
}

/// Judges records under one policy.
pub(super) struct Judge<'j> {
    pub(super) customers: &'j Customers,
    pub(super) policy: &'j Policy,
    pub(super) caps: &'j BTreeMap<ProgramName, LevelName>,
    pub(super) rotation: Rotation,
    /// A participation that is not set, and is asked about.
    pub(super) proposed: Option<&'j Participation>,
    /// What is judged by besides the policy, while that is too new.
    pub(super) before: Option<Before>,
    histories: &'j Histories,
    pub(super) scratch: Scratch,
}

/// What may be left of a record.
pub(super) enum Left {
    Plan(Arc<Plan>, u32),
    /// What all of these leave: those of policies that change too often.
    Common(Vec<(Arc<Plan>, u32)>),
    Nothing,
    /// It is not known (any more) what it was stored under.
    Unknown,
}

impl Left {
    fn is_as_stored(&self, header: &RecordHeader) -> bool {
        matches!(self, Self::Plan(plan, _) if plan.fingerprint == header.plan)
    }
}

impl<'j> Judge<'j> {
    pub(super) fn new(
        customers: &'j Customers,
        policy: &'j Policy,
        caps: &'j BTreeMap<ProgramName, LevelName>,
        rotation: Rotation,
        histories: &'j Histories,
    ) -> Self {
        let scratch = Scratch::default();
        Self { customers, policy, caps, rotation, proposed: None, before: None, histories, scratch }
    }

    /// Judges one record. Most are done with their header.
    pub(super) fn due(&mut self, at: &HeaderAt) -> Result<Due, AmendError> {
        let header = &at.header;
        let Some((entry, left)) = self.left(header)? else {
            // The registry does not know the customer: it was erased, and so is this.
            return Ok(gone(at, removed(header)));
        };
        match left {
            Left::Unknown if self.before.is_some() => Ok(Due::Waits),
            Left::Nothing | Left::Unknown => {
                let fields = self.fields_of(at, &entry);
                Ok(gone(at, Line { fields, ..removed(header) }))
            }
            Left::Plan(plan, _) if plan.fingerprint == header.plan => Ok(Due::Same),
            Left::Plan(plan, accepted_version) => self.lowered(at, &entry, &plan, accepted_version),
            Left::Common(plans) => match self.least_strict(at, &entry, &plans)? {
                Some((plan, accepted_version)) => self.lowered(at, &entry, plan, *accepted_version),
                None => Ok(Due::Waits),
            },
        }
    }

    /// The print of the plan that holds for a record, as its header tells; `None` if nothing will be left of it.
    pub(super) fn plan_of(&mut self, header: &RecordHeader) -> Result<Option<[u8; 8]>, AmendError> {
        Ok(match self.left(header)? {
            Some((_, Left::Plan(plan, _))) => Some(plan.fingerprint),
            Some((_, Left::Common(_) | Left::Nothing | Left::Unknown)) | None => None,
        })
    }

    fn lowered(
        &mut self,
        at: &HeaderAt,
        entry: &CustomerEntry,
        plan: &Arc<Plan>,
        accepted_version: u32,
    ) -> Result<Due, AmendError> {
        let Some((record, body)) = self.opened(at, entry)? else { return Ok(Due::Unreadable) };
        let (header, tag) = (&record.header, record.tag());
        let epoch = self.rotation.epoch(header.received);
        let to = LowerTo { plan, accepted_version, secret: &entry.secret, epoch };
        let Ok(lowered) = lower(&body, &to, &mut self.scratch) else { return Ok(Due::Unreadable) };
        let (with, line) = match lowered {
            // Another plan, and the same bytes.
            Lowered::Same => return Ok(Due::Same),
            Lowered::Less { batch, counts } => {
                let key = entry.secret.seal_key(batch.program(), batch.received());
                let sealed = SealedRecord::seal(&batch, header.revision, &key);
                let fields = self.fields(&body, Some(batch.body()));
                let line = Line { fields, ..line(&counts, true) };
                (Some(sealed.map_err(|_| AmendError::Damaged { what: "a batch" })?), line)
            }
            Lowered::Nothing(counts) => {
                (None, Line { fields: self.fields(&body, None), ..line(&counts, false) })
            }
        };
        let is_left = with.is_some();
        let key = key(header, is_left.then_some(&plan.level));
        let amendment = Amendment { commit: at.commit, with, expect: tag };
        Ok(Due::Change(Change { amendment, key, line, plan: is_left.then_some(plan.fingerprint) }))
    }

    /// A record and what is in it, if it can be read.
    pub(super) fn opened(
        &self,
        at: &HeaderAt,
        entry: &CustomerEntry,
    ) -> Result<Option<(StoredRecord, Vec<u8>)>, AmendError> {
        let Some(record) = read(self.customers, at.commit)? else { return Ok(None) };
        let Ok(program) = ProgramName::new(&record.header.program) else { return Ok(None) };
        let body = record.open(&entry.secret.seal_key(&program, record.header.received)).ok();
        Ok(body.map(|body| (record, body)))
    }

    /// The fields of a record of which nothing is left. What cannot be read is removed all the same.
    fn fields_of(&self, at: &HeaderAt, entry: &CustomerEntry) -> ClassCounts {
        // A question is answered by headers alone: that is as quick as it can be.
        let opened = if self.proposed.is_some() { Ok(None) } else { self.opened(at, entry) };
        opened.ok().flatten().map(|(_, body)| self.fields(&body, None)).unwrap_or_default()
    }

    /// What becomes of the fields of a record, for the ledger.
    fn fields(&self, before: &[u8], after: Option<&[u8]>) -> ClassCounts {
        if self.proposed.is_some() {
            return ClassCounts::default();
        }
        let of = |body: &[u8]| count_fields(body).unwrap_or_default();
        let mut fields = after.map(of).unwrap_or_default();
        fields.drop_the_rest_of(&of(before));
        fields
    }

    /// What may be left of a record; `None` if its customer is not known.
    fn left(&mut self, header: &RecordHeader) -> Result<Option<(Arc<CustomerEntry>, Left)>, AmendError> {
        let Some(entry) = self.customers.get_by_key(header.customer)? else { return Ok(None) };
        let since = self.histories.since(self.customers.store(), &entry, header.revision)?;
        let stored = StoredUnder {
            product: &header.product,
            program: &header.program,
            level: &header.level,
            region: &header.region,
            accepted_version: header.accepted_version,
        };
        let mut participations = since.choices();
        participations.extend(self.proposed);
        let left = self.left_by(self.policy, &stored, &participations);
        let left = match &self.before {
            Some(before) if !left.is_as_stored(header) => {
                self.meanwhile(before, header, &stored, &participations)
            }
            Some(_) | None => left,
        };
        Ok(Some((entry, left)))
    }

    fn left_by(&self, policy: &Policy, stored: &StoredUnder<'_>, participations: &[&Participation]) -> Left {
        match policy.bind(stored, participations, self.caps).left {
            Binding::Nothing(Reason::NotParticipating) => Left::Nothing,
            Binding::Nothing(_) => Left::Unknown,
            Binding::Plan { key, accepted_version } => Left::Plan(policy.plan(key), accepted_version),
        }
    }

    /// What may be left of a record by what its customer has chosen, and by what the policies of late have in common,
    /// while the policy in force is too new to take anything by itself.
    fn meanwhile(
        &self,
        before: &Before,
        header: &RecordHeader,
        stored: &StoredUnder<'_>,
        participations: &[&Participation],
    ) -> Left {
        // Whoever takes part no more takes everything along, whatever the policy.
        if participations.iter().any(|one| !one.takes_part(stored.program, stored.product)) {
            return Left::Nothing;
        }
        let by = |policy: &Policy, chosen: &[&Participation]| self.left_by(policy, stored, chosen);
        let of_late = || std::iter::once(self.policy).chain(before.recent.iter().map(Arc::as_ref));
        // As one of them wants it: it is the policy that changed.
        let lefts: Vec<Left> = of_late().map(|policy| by(policy, participations)).collect();
        if let Some(at) = lefts.iter().position(|left| left.is_as_stored(header)) {
            return lefts.into_iter().nth(at).unwrap_or(Left::Unknown);
        }
        // The customer has changed something: it goes by the policy that it was stored under.
        let first = participations.get(..1).unwrap_or_default();
        let older = || before.older.iter().chain(&before.follows).map(Arc::as_ref);
        let own = of_late().chain(older()).find(|policy| by(policy, first).is_as_stored(header));
        match own.map(|policy| by(policy, participations)) {
            Some(left) if !left.is_as_stored(header) => return left,
            Some(_) => {}
            None if before.is_unknown => return Left::Unknown,
            None => {
                if let Some(follows) = &before.follows {
                    return by(follows, participations);
                }
            }
        }
        if before.is_unknown { Left::Unknown } else { common(lefts) }
    }
}

/// The record of a commit, if it can be read.
pub(super) fn read(customers: &Customers, commit: CommitNumber) -> Result<Option<StoredRecord>, AmendError> {
    Ok(match customers.store().read_one(commit)? {
        Some(Entry::Record(record)) => Some(record),
        Some(Entry::Gone { .. } | Entry::Damaged { .. }) | None => None,
    })
}

/// The amendment that leaves nothing of a record.
pub(super) const fn removal(at: &HeaderAt) -> Amendment {
    Amendment { commit: at.commit, with: None, expect: at.tag }
}

/// Nothing is left of a record.
fn gone(at: &HeaderAt, line: Line) -> Due {
    Due::Change(Change { amendment: removal(at), key: key(&at.header, None), line, plan: None })
}

fn key(header: &RecordHeader, to: Option<&LevelName>) -> LineKey {
    LineKey {
        program: header.program.clone(),
        product: header.product.clone(),
        from: header.level.clone(),
        to: to.map_or_else(|| LevelName::none().to_string(), ToString::to_string),
    }
}

fn removed(header: &RecordHeader) -> Line {
    Line { removed: 1, removed_events: u64::from(header.events), ..Line::default() }
}

fn line(counts: &LowerCounts, is_left: bool) -> Line {
    let fields = counts.fields();
    Line {
        rewritten: u64::from(is_left),
        removed: u64::from(!is_left),
        kept_events: u64::from(counts.events_kept),
        removed_events: u64::from(counts.events_dropped),
        kept_fields: u64::from(fields.unchanged),
        lowered_fields: u64::from(fields.lowered),
        removed_fields: u64::from(fields.dropped),
        fields: ClassCounts::default(),
    }
}
