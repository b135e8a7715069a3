//! Doors for `tests/fuzz`: each form of row that this room reads back from the store, given as bytes. What was read is
//! given as it would be written again, so that a target can compare; nothing else can be reached here.

use super::{Erasure, bound};

/// A name, and what reads a row and gives it as it would be written again; nothing if it is not one.
pub type Again = (&'static str, fn(&[u8]) -> Option<Vec<u8>>);

/// The rows.
pub const ROWS: &[Again] =
    &[("erasure", |bytes| Erasure::decode(bytes)?.encode().ok()), ("binding", bound::again)];
