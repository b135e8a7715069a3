//! What is in a stored batch for one purpose, and what the ledger is told of it.

use bytes::Bytes;

use super::totals::TotalKey;
use crate::model::{
    ClassCounts, Handling, IdentifierClass, LevelName, ProductName, ProgramName, Purpose, RegionName,
};
use crate::sanitize::{Filtered, count_fields, filter_purpose};
use crate::store::{CustomerEntry, RecordFault, StoredRecord};

/// A batch that can go out.
#[derive(Debug)]
pub(super) struct Opened {
    /// The wire bytes of a `usaged.drain.v1.Batch`.
    pub(super) body: Bytes,
    /// Under which sum of the ledger it comes.
    pub(super) key: TotalKey,
    /// Events in it.
    pub(super) events: u64,
    /// Its fields; those that were taken out on the way are dropped.
    pub(super) fields: ClassCounts,
}

/// The part of a record that a purpose may see; `None` if there is none.
pub(super) fn open(
    record: &StoredRecord,
    customer: &CustomerEntry,
    purpose: Purpose,
) -> Result<Option<Opened>, RecordFault> {
    let header = &record.header;
    let key = total_key(record, customer).ok_or(RecordFault::Header)?;
    let stored = record.open(&customer.secret.seal_key(&key.program, record.header.received))?;
    let damaged = |_| RecordFault::Compression;
    let mut part = Vec::new();
    let (body, events) = match filter_purpose(&stored, purpose, &mut part).map_err(damaged)? {
        Filtered::Whole => (None, header.events),
        Filtered::Part { events } => (Some(part), events),
        Filtered::Nothing => return Ok(None),
    };
    let (fields, body) = match body {
        None => (count_fields(&stored).map_err(damaged)?, stored),
        Some(body) => {
            let mut fields = count_fields(&body).map_err(damaged)?;
            drop_the_rest(&count_fields(&stored).map_err(damaged)?, &mut fields);
            (fields, body)
        }
    };
    Ok(Some(Opened { body: Bytes::from(body), key, events: u64::from(events), fields }))
}

/// Counts as dropped what is in `before` and in no form in `after`.
fn drop_the_rest(before: &ClassCounts, after: &mut ClassCounts) {
    for class in IdentifierClass::ALL {
        let of = |counts: &ClassCounts| {
            Handling::ALL.iter().map(|handling| counts.get(*class, *handling)).sum::<u64>()
        };
        let gone = of(before).saturating_sub(of(after));
        after.add(*class, Handling::Dropped, gone);
    }
}

fn total_key(record: &StoredRecord, customer: &CustomerEntry) -> Option<TotalKey> {
    let header = &record.header;
    let region = match header.region.as_str() {
        "" => None,
        region => Some(RegionName::new(region).ok()?),
    };
    Some(TotalKey {
        customer: customer.key,
        program: ProgramName::new(&header.program).ok()?,
        product: ProductName::new(&header.product).ok()?,
        level: LevelName::new(&header.level).ok()?,
        region,
        dictionary: header.dictionary_version,
    })
}
