//! The rows of bindings: what was done for each customer, and where old bytes may still be on the disk. They are written
//! together with the amendments that they tell of, so that a crash loses neither.

use serde::{Deserialize, Serialize};

use super::AmendError;
use super::report::{BindingStage, Tally};
use crate::model::{CommitNumber, CustomerKey, UnixMillis};
use crate::store::{MetaOp, MetaTable, Store};

/// The version of a row.
const VERSION: u8 = 1;
/// The key of the row that says where old bytes may be. No customer has a number of this length.
const SPAN: &[u8] = b"span";
/// Rows that are read at a time; few in a test.
const ROWS: usize = if cfg!(test) { 1 } else { 1_000 };

/// What was done for a customer: its row, under its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bound {
    pub(super) revision: u64,
    pub(super) stage: BindingStage,
    pub(super) tally: Tally,
    pub(super) withdrawn: u64,
    pub(super) done: Option<UnixMillis>,
}

pub(super) fn put<T: Serialize>(key: Vec<u8>, row: &T) -> Result<MetaOp, AmendError> {
    let mut value = vec![VERSION];
    serde_json::to_writer(&mut value, row).map_err(|_| AmendError::Damaged { what: "a binding" })?;
    Ok(MetaOp::Put { table: MetaTable::Bindings, key, value })
}

pub(super) fn decode<T: for<'de> Deserialize<'de>>(row: &[u8]) -> Result<T, AmendError> {
    let row = row.strip_prefix(&[VERSION]).and_then(|row| serde_json::from_slice(row).ok());
    row.ok_or(AmendError::Damaged { what: "a binding" })
}

impl Bound {
    pub(super) fn row(&self, customer: CustomerKey) -> Result<MetaOp, AmendError> {
        put(customer.0.to_be_bytes().to_vec(), self)
    }

    pub(super) fn removal(customer: CustomerKey) -> MetaOp {
        MetaOp::Delete { table: MetaTable::Bindings, key: customer.0.to_be_bytes().to_vec() }
    }

    pub(super) fn read(store: &Store, customer: CustomerKey) -> Result<Option<Self>, AmendError> {
        let row = store.meta(MetaTable::Bindings, &customer.0.to_be_bytes())?;
        row.map(|row| decode(&row)).transpose()
    }

    /// What was begun for customers and is not done, of the next rows behind `after`, and the key of the last of these.
    /// `None` behind all of them. Blocks.
    pub(super) fn open(store: &Store, after: Option<&[u8]>) -> Result<Option<Page>, AmendError> {
        let rows = store.scan_meta(MetaTable::Bindings, &[], after, ROWS)?;
        let Some((last, _)) = rows.last() else { return Ok(None) };
        let mut open = Vec::new();
        for (key, row) in &rows {
            let Ok(key) = <[u8; 8]>::try_from(key.as_slice()) else { continue };
            let bound: Self = decode(row)?;
            if bound.stage != BindingStage::Done {
                open.push((CustomerKey(u64::from_be_bytes(key)), bound));
            }
        }
        Ok(Some((open, last.clone())))
    }
}

/// Some rows of customers, and the key of the last row that was looked at.
pub(super) type Page = (Vec<(CustomerKey, Bound)>, Vec<u8>);

/// A row as it would be written again.
pub(super) fn again(row: &[u8]) -> Option<Vec<u8>> {
    let MetaOp::Put { value, .. } = decode::<Bound>(row).ok()?.row(CustomerKey(1)).ok()? else { return None };
    Some(value)
}

/// The commits between which there may be old bytes on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Span {
    pub(super) first: CommitNumber,
    pub(super) last: CommitNumber,
}

impl Span {
    /// Both, and what is between them.
    pub(super) fn with(this: Option<Self>, other: Self) -> Self {
        let this = this.unwrap_or(other);
        Self { first: this.first.min(other.first), last: this.last.max(other.last) }
    }

    pub(super) fn row(&self) -> Result<MetaOp, AmendError> {
        put(SPAN.to_vec(), self)
    }

    pub(super) fn removal() -> MetaOp {
        MetaOp::Delete { table: MetaTable::Bindings, key: SPAN.to_vec() }
    }

    pub(super) fn read(store: &Store) -> Result<Option<Self>, AmendError> {
        let row = store.meta(MetaTable::Bindings, SPAN)?;
        row.map(|row| decode(&row)).transpose()
    }
}
