//! What is in a stored batch for one purpose, brought down to what its customer agrees to now, and what the ledger
//! is told of it.

use bytes::Bytes;

use super::counts::SkipReason;
use super::programs::Forms;
use super::recheck::Left;
use super::totals::TotalKey;
use crate::ledger::Under;
use crate::model::{ClassCounts, LevelName, ProductName, ProgramName, Purpose, RegionName};
use crate::sanitize::{
    Filtered, LowerCounts, LowerTo, Lowered, Rotation, SanitizedBatch, Scratch, Struck, StruckFrom,
    count_fields, filter_purpose, lower, named, strike,
};
use crate::store::{CustomerEntry, RecordFault, RecordHeader, StoredRecord};

/// A batch that can go out.
#[derive(Debug)]
pub(super) struct Opened {
    /// The wire bytes of a `usaged.drain.v1.Batch`.
    pub(super) body: Bytes,
    /// The print of the plan that they are as.
    pub(super) plan: [u8; 8],
    /// Under which sum of the ledger it comes.
    pub(super) key: TotalKey,
    /// Events in it.
    pub(super) events: u64,
    /// Its fields; those that were taken out on the way are dropped.
    pub(super) fields: ClassCounts,
    /// In which form it names its customer.
    pub(super) forms: Forms,
}

/// Opens batches, one after another.
#[derive(Debug)]
pub(super) struct Opener {
    rotation: Rotation,
    scratch: Scratch,
}

/// What became of a record that is to be opened.
type Outcome = Result<Result<Opened, SkipReason>, RecordFault>;

impl Opener {
    pub(super) fn new(rotation: Rotation) -> Self {
        Self { rotation, scratch: Scratch::default() }
    }

    /// The stored body, and what is left of it if that is less.
    ///
    /// # Errors
    /// If the record is damaged.
    pub(super) fn bring_down(
        &mut self,
        record: &StoredRecord,
        customer: &CustomerEntry,
        left: &Left,
    ) -> Result<(Vec<u8>, Lowered), RecordFault> {
        let header = &record.header;
        let program = ProgramName::new(&header.program).map_err(|_| RecordFault::Header)?;
        let stored = record.open(&customer.secret.seal_key(&program, header.received))?;
        let Some(stored) = self.without_erased(record, customer, stored)? else {
            return Ok((Vec::new(), Lowered::Nothing(LowerCounts::default())));
        };
        if left.is_as_stored(header) {
            return Ok((stored, Lowered::Same));
        }
        let to = LowerTo {
            plan: &left.plan,
            accepted_version: left.accepted_version,
            secret: &customer.secret,
            epoch: self.rotation.epoch(header.received),
        };
        let lowered = lower(&stored, &to, &mut self.scratch).map_err(|_| RecordFault::Compression)?;
        Ok((stored, lowered))
    }

    /// A stored body without what was erased and is not rewritten yet; `None` if nothing is left.
    fn without_erased(
        &mut self,
        record: &StoredRecord,
        customer: &CustomerEntry,
        mut body: Vec<u8>,
    ) -> Result<Option<Vec<u8>>, RecordFault> {
        let header = &record.header;
        let from = StruckFrom {
            customer: customer.key,
            accepted_version: header.accepted_version,
            fingerprint: header.plan,
        };
        for erased in customer.erased.iter().filter(|erased| record.commit <= erased.upto) {
            // What cannot be looked for any more cannot be shown to be gone either.
            let Ok(wanted) = erased.strike(&customer.secret) else { return Ok(None) };
            match strike(&body, &wanted, &from, &mut self.scratch).map_err(|_| RecordFault::Compression)? {
                Struck::Untouched => {}
                Struck::Part { batch, .. } => body = batch.body().to_vec(),
                Struck::All { .. } => return Ok(None),
            }
        }
        Ok(Some(body))
    }

    /// What of a record may be seen for `purpose`, or why there is nothing.
    ///
    /// # Errors
    /// If the record is damaged.
    pub(super) fn open(
        &mut self,
        record: &StoredRecord,
        customer: &CustomerEntry,
        purpose: Purpose,
        left: &Left,
    ) -> Outcome {
        let header = &record.header;
        let (stored, lowered) = self.bring_down(record, customer, left)?;
        let batch = match lowered {
            Lowered::Nothing(_) => return Ok(Err(SkipReason::Lowered)),
            Lowered::Same => None,
            Lowered::Less { batch, .. } => Some(batch),
        };
        let damaged = |_| RecordFault::Compression;
        let body = batch.as_ref().map_or(stored.as_slice(), SanitizedBatch::body);
        let mut part = Vec::new();
        let (part, events) = match filter_purpose(body, purpose, &mut part).map_err(damaged)? {
            Filtered::Whole => (None, batch.as_ref().map_or(header.events, SanitizedBatch::events)),
            Filtered::Part { events } => (Some(part), events),
            Filtered::Nothing => return Ok(Err(SkipReason::Purpose)),
        };
        let is_less = part.is_some() || batch.is_some();
        let key = total_key(header, batch.as_ref()).ok_or(RecordFault::Header)?;
        let plan = batch.as_ref().map_or(header.plan, SanitizedBatch::fingerprint);
        let out = part.as_deref().unwrap_or(body);
        let mut fields = count_fields(out).map_err(damaged)?;
        // The plan is not asked: what was stored under another policy may be named as that one wanted it.
        let forms = Forms::from(named(out, &customer.change.participation.customer).map_err(damaged)?);
        if is_less {
            fields.drop_the_rest_of(&count_fields(&stored).map_err(damaged)?);
        }
        // What is copied was lowered for every reader, or is the whole of what was stored.
        let body = match (part, &batch) {
            (Some(part), _) => part,
            (None, Some(batch)) => batch.body().to_vec(),
            (None, None) => stored,
        };
        Ok(Ok(Opened { body: Bytes::from(body), plan, key, events: u64::from(events), fields, forms }))
    }
}

/// Under what a batch left: as it was stored, or as it was brought down.
fn total_key(header: &RecordHeader, lowered: Option<&SanitizedBatch>) -> Option<TotalKey> {
    let (level, region) = match lowered {
        Some(batch) => (batch.level().clone(), batch.region().cloned()),
        None if header.region.is_empty() => (LevelName::new(&header.level).ok()?, None),
        None => (LevelName::new(&header.level).ok()?, Some(RegionName::new(&header.region).ok()?)),
    };
    let under = Under {
        program: ProgramName::new(&header.program).ok()?,
        product: ProductName::new(&header.product).ok()?,
        level,
        region,
        dictionary: lowered.map_or(header.dictionary_version, SanitizedBatch::dictionary_version),
    };
    Some(TotalKey { customer: header.customer, under })
}
