//! Doors for `tests/fuzz`: what this room reads back from the store, given as bytes. What was read is given as it would
//! be written again, so that a target can compare; nothing else can be reached here.

use super::Receipt;
use crate::model::CommitNumber;

/// A name, and what reads a row and gives it as it would be written again; nothing if it is not one.
pub type Again = (&'static str, fn(&[u8]) -> Option<Vec<u8>>);

/// The rows.
pub const ROWS: &[Again] =
    &[("receipt", |bytes| Receipt::from_short(bytes, CommitNumber(1)).map(|receipt| receipt.to_short()))];
