//! Doors for `tests/fuzz`: each form of row and record that this room reads back from the disk, given as bytes. What
//! was read is given as it would be written again, so that a target can compare; nothing else can be reached here.

use super::bytes::Bytes;
use super::catalogue::Segment;
use super::dedup::{Generation, Remembered};
use super::increment::Increment;
use super::layout::{Head, OutboxRow, RegistryRow, StoreRow, family, open_row, row};
use super::stored::Stored;
use super::{registry, salts, witness};

/// A name, and what reads a row and gives it as it would be written again; nothing if it is not one.
pub type Again = (&'static str, fn(&[u8]) -> Option<Vec<u8>>);

/// The rows.
pub const ROWS: &[Again] = &[
    ("store", |bytes| Some(StoreRow::decode(bytes)?.encode())),
    ("head", |bytes| Some(Head::decode(bytes)?.encode())),
    ("registry", |bytes| Some(RegistryRow::decode(bytes)?.encode())),
    ("outbox", |bytes| Some(OutboxRow::decode(bytes)?.encode())),
    ("segment", |bytes| Some(Segment::decode(bytes)?.encode())),
    ("generation", |bytes| {
        let begun = Generation::decode(bytes)?;
        Some(row(|out| out.extend_from_slice(&begun.0.to_be_bytes())))
    }),
    ("remembered", |bytes| Some(Remembered::decode(bytes)?.encode())),
    ("increment", |bytes| Some(Increment::decode(bytes)?.encode())),
    ("change", registry::again),
    ("ratchet", salts::ratchet_again),
    ("bridge", salts::bridge_again),
    ("witness", witness::again),
    ("family", |bytes| family(std::str::from_utf8(bytes).ok()?).map(|_| bytes.to_vec())),
    ("aside", |bytes| {
        let Bytes(rest) = open_row(bytes)?;
        Some(row(|out| out.extend_from_slice(rest)))
    }),
];

/// How many bytes the record at `commit` takes, if these are one or what stands in the place of one.
#[must_use]
pub fn record_len(commit: u64, bytes: &[u8]) -> Option<usize> {
    Stored::read(commit, bytes).ok().map(|stored| stored.stored_len())
}
