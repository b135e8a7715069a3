//! What is stored of a customer, opened for an operator: a batch by its id, with its receipt, and page by
//! page whatever there is. Nothing is changed by looking.

use super::receipt::Receipt;
use crate::model::{BatchId, CommitNumber, Participation, ProgramName, RawText};
use crate::policy::{EventExplanation, PlanKey, Policy};
use crate::store::{CustomerEntry, Entry, ReadLimits, RecordHeader, Store, StoreError, StoredRecord};

/// What one step of a page reads, and how many steps a page takes at most: records of other customers are
/// passed over, and a page must end.
const STEP: ReadLimits = ReadLimits { records: 512, bytes: 4 << 20 };
const STEPS: usize = 16;
/// Bytes of opened records on a page; one is always given.
const PAGE_BYTES: usize = 4 << 20;

/// A record, opened.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Its place.
    pub commit: CommitNumber,
    /// What is left of it.
    pub content: Content,
}

/// What is left of a record.
#[derive(Debug, Clone)]
pub enum Content {
    /// All that was stored: the plaintext part, and the wire bytes of a `usaged.drain.v1.Batch`.
    Whole(Box<RecordHeader>, Vec<u8>),
    /// It failed its checks, or does not open.
    Damaged,
    /// Nothing is left of it: it was erased, or a lowered level left nothing.
    Reduced,
    /// It is not in the store any more: retention dropped it.
    Gone,
}

/// A batch that was found by its id.
#[derive(Debug, Clone)]
pub struct FoundBatch {
    /// Its receipt.
    pub receipt: Receipt,
    /// The records that it became, oldest first.
    pub records: Vec<Opened>,
}

/// Some of what is stored of a customer.
#[derive(Debug, Clone)]
pub struct Page {
    /// The records, oldest first.
    pub records: Vec<Opened>,
    /// Where to go on; `None` at the end.
    pub next: Option<CommitNumber>,
}

/// Finds a batch of a customer. `None` if no batch is remembered under this id. Reads: not for a runtime thread.
///
/// # Errors
/// If the store cannot be read, or what it remembers is damaged.
pub fn find_batch(
    store: &Store,
    customer: &CustomerEntry,
    id: &BatchId,
) -> Result<Option<FoundBatch>, StoreError> {
    let Some(found) = store.find(&customer.secret.batch_token(id))? else { return Ok(None) };
    let receipt = Receipt::from_short(&found.receipt, found.last)
        .ok_or(StoreError::Damaged { what: "a deduplication row" })?;
    let first = found.last.0.saturating_add(1).saturating_sub(u64::from(receipt.records));
    let records = (first..=found.last.0).map(|commit| {
        let commit = CommitNumber(commit);
        let content = match store.read_one(commit)? {
            Some(Entry::Record(record)) => open(&record, customer),
            Some(Entry::Damaged { .. }) => Content::Damaged,
            Some(Entry::Gone { .. }) => Content::Reduced,
            None => Content::Gone,
        };
        Ok(Opened { commit, content })
    });
    let records = records.collect::<Result<_, StoreError>>()?;
    Ok(Some(FoundBatch { receipt, records }))
}

/// What is stored of a customer from `from` on, at most `most` records. Looks through a bounded part of the
/// queue, so a page can be empty and not the last. Reads: not for a runtime thread.
///
/// # Errors
/// If the store cannot be read.
pub fn list_stored(
    store: &Store,
    customer: &CustomerEntry,
    from: CommitNumber,
    most: usize,
) -> Result<Page, StoreError> {
    let (mut records, mut bytes, mut next) = (Vec::new(), 0_usize, from);
    for _ in 0..STEPS {
        let entries = store.read(next, STEP)?;
        if entries.is_empty() {
            return Ok(Page { records, next: None });
        }
        for entry in entries {
            next = entry.commit().next();
            let Entry::Record(record) = entry else { continue };
            if record.header.customer != customer.key {
                continue;
            }
            let content = open(&record, customer);
            if let Content::Whole(_, body) = &content {
                bytes = bytes.saturating_add(body.len());
            }
            records.push(Opened { commit: record.commit, content });
            if records.len() >= most || bytes >= PAGE_BYTES {
                return Ok(Page { records, next: Some(next) });
            }
        }
    }
    Ok(Page { records, next: Some(next) })
}

fn open(record: &StoredRecord, customer: &CustomerEntry) -> Content {
    let Ok(program) = ProgramName::new(&record.header.program) else { return Content::Damaged };
    match record.open(&customer.secret.seal_key(&program, record.header.received)) {
        Ok(body) => Content::Whole(Box::new(record.header.clone()), body),
        Err(_) => Content::Damaged,
    }
}

/// Why a stored record is as it is, by the policy in force.
#[derive(Debug)]
pub struct WhyStored<'p> {
    policy: &'p Policy,
    key: Option<PlanKey>,
    product: Option<usize>,
}

impl<'p> WhyStored<'p> {
    /// The rules of the level, the region and the dictionary version that the record was stored under.
    #[must_use]
    pub fn new(policy: &'p Policy, header: &RecordHeader, participation: &Participation) -> Self {
        let product = policy.product_index(RawText::new(header.product.as_bytes()));
        let key = || {
            let program = policy.program_index(&header.program)?;
            let region = if header.region.is_empty() {
                None
            } else {
                let named = |overlay: &crate::policy::Overlay| overlay.name().as_str() == header.region;
                Some(policy.overlays().iter().position(named)?)
            };
            let version = policy.product_at(product?)?.version();
            Some(PlanKey {
                product: product?,
                program,
                rank: policy.rank(program, RawText::new(header.level.as_bytes()))?,
                region,
                accepted: (header.accepted_version < version).then_some(header.accepted_version),
                purposes_off: participation.purposes_off.iter().copied().collect(),
            })
        };
        Self { policy, key: key(), product }
    }

    /// What becomes of the fields of an event; `None` if the policy does not have the event or the level any
    /// more.
    #[must_use]
    pub fn event(&self, name: &str) -> Option<EventExplanation> {
        let product = self.policy.product_at(self.product?)?;
        let event = product.event(RawText::new(name.as_bytes()))?;
        self.policy.explain(self.key?, event.event)
    }
}
