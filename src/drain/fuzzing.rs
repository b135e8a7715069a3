//! Doors for `tests/fuzz`: each form of row that this room reads back from the store, given as bytes. What was read is
//! given as it would be written again, so that a target can compare; nothing else can be reached here.

use super::notices::Notices;
use super::received::Mark;
use super::table;
use super::totals::Totals;

/// A name, and what reads a row and gives it as it would be written again; nothing if it is not one.
pub type Again = (&'static str, fn(&[u8]) -> Option<Vec<u8>>);

/// The rows. Those of a queue are read by [`super::state::Queue::recover`].
pub const ROWS: &[Again] = &[
    ("definition", table::again),
    ("received", |bytes| Mark::read(bytes).ok().map(|mark| mark.row())),
    ("notice", |bytes| Notices::recover(8, &[(1, bytes.to_vec())]).ok()?.again()),
    ("total", |bytes| Totals::recover(&[(1, bytes.to_vec())]).ok()?.again()),
];
