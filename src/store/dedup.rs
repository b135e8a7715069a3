//! Which batches are stored already: rows by batch id, in families that are dropped whole when
//! they are older than the window.

use super::bytes::{Bytes, length};
use super::fault::StoreError;
use super::layout::{DEDUP_BOUNDS, META, dedup_family, key_number, open_row, row};
use super::rocks::{Db, between};
use crate::model::{CommitNumber, UnixMillis};

/// Names a batch. Both parts are keyed hashes that `sanitize` makes; they say nothing about the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dedup {
    /// Stands for the customer and the batch id.
    pub id: [u8; 16],
    /// Stands for the content, so that another batch under the same id is noticed.
    pub digest: [u8; 16],
}

/// What is remembered of a stored batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remembered {
    /// Stands for its content.
    pub(super) digest: [u8; 16],
    /// Its last commit.
    pub(super) last: CommitNumber,
    /// Its receipt, as the caller gave it.
    pub(super) receipt: Vec<u8>,
}

const VERSION: u8 = 1;
/// Bytes of a row besides the receipt: key, version, digest, commit.
const FIXED: u64 = 16 + 1 + 16 + 8;

impl Remembered {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(25 + self.receipt.len());
        out.push(VERSION);
        out.extend_from_slice(&self.digest);
        out.extend_from_slice(&self.last.0.to_be_bytes());
        out.extend_from_slice(&self.receipt);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Bytes(bytes);
        if input.u8()? != VERSION {
            return None;
        }
        Some(Self { digest: input.array()?, last: CommitNumber(input.u64()?), receipt: input.0.to_vec() })
    }

    /// Bytes that it adds to its family.
    pub(super) fn bytes(&self) -> u64 {
        FIXED + length(&self.receipt)
    }
}

/// One family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Generation {
    /// Its number.
    pub(super) number: u32,
    /// Its column family.
    pub(super) family: String,
    /// When it was begun.
    pub(super) begun: UnixMillis,
    /// Bytes of its rows.
    pub(super) bytes: u64,
}

impl Generation {
    pub(super) fn begin(number: u32, now: UnixMillis) -> Self {
        Self { number, family: dedup_family(number), begun: now, bytes: 0 }
    }

    /// Its row in the metadata family.
    pub(super) fn encode(&self) -> Vec<u8> {
        row(|out| out.extend_from_slice(&self.begun.0.to_be_bytes()))
    }

    /// Reads when it was begun.
    pub(super) fn decode(bytes: &[u8]) -> Option<UnixMillis> {
        open_row(bytes)?.i64().map(UnixMillis)
    }
}

/// The terms of forgetting.
#[derive(Debug, Clone, Copy)]
pub(super) struct DedupTerms {
    /// Milliseconds that a row is kept at least.
    pub(super) window_ms: i64,
    /// Bytes of all rows.
    pub(super) bytes: u64,
}

/// Generations in a window: the more, the less is kept beyond it, and the more are looked at.
const PARTS: u8 = 3;

impl DedupTerms {
    /// Whether the newest generation is old or large enough for a new one. Without a clock that may be believed, only
    /// size counts.
    pub(super) fn is_due(&self, newest: &Generation, settled: Option<UnixMillis>) -> bool {
        let part = self.window_ms / i64::from(PARTS);
        newest.bytes > 0
            && (settled.is_some_and(|now| now.ms_since(newest.begun) >= part)
                || newest.bytes >= self.bytes / u64::from(PARTS + 1))
    }

    /// How many of the oldest may be dropped. A generation ends when the next one begins; it may go
    /// when that is longer ago than the window, by a clock that may be believed, or when the rows outgrow their budget.
    pub(super) fn forgotten(&self, generations: &[Generation], settled: Option<UnixMillis>) -> usize {
        let mut bytes: u64 = generations.iter().map(|generation| generation.bytes).sum();
        let mut drop = 0;
        for pair in generations.windows(2) {
            let [old, next] = pair else { break };
            let is_old = settled.is_some_and(|now| now.ms_since(next.begun) >= self.window_ms);
            if !is_old && bytes <= self.bytes {
                break;
            }
            bytes = bytes.saturating_sub(old.bytes);
            drop += 1;
        }
        drop
    }
}

/// Looks a batch up, in the newest generation first.
pub(super) fn recall(
    db: &Db,
    generations: &[Generation],
    id: &[u8; 16],
) -> Result<Option<Remembered>, StoreError> {
    for generation in generations.iter().rev() {
        if db.cf_handle(&generation.family).is_none() {
            return Err(StoreError::Damaged { what: WHAT });
        }
        if let Some(found) = recall_in(db, &generation.family, id)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

const WHAT: &str = "a deduplication row";

/// The families as their rows name them, oldest first: for who is not the writer.
pub(super) fn generations(db: &Db) -> Result<Vec<String>, StoreError> {
    let meta = db.cf_handle(META).ok_or(StoreError::Damaged { what: "the metadata family" })?;
    let ([lower], [upper]) = DEDUP_BOUNDS;
    let mut rows = db.raw_iterator_cf_opt(&meta, between(vec![lower], vec![upper]));
    rows.seek_to_first();
    let mut found = Vec::new();
    while let Some(number) = rows.key().and_then(key_number) {
        found.push(dedup_family(number));
        rows.next();
    }
    rows.status().map_err(StoreError::database("read the families of batch ids"))?;
    Ok(found)
}

/// Looks a batch up in one family; there is nothing in one that was dropped.
pub(super) fn recall_in(db: &Db, family: &str, id: &[u8; 16]) -> Result<Option<Remembered>, StoreError> {
    let Some(family) = db.cf_handle(family) else { return Ok(None) };
    let found = db.get_pinned_cf(&family, id).map_err(StoreError::database("read a deduplication row"))?;
    found.map(|row| Remembered::decode(&row).ok_or(StoreError::Damaged { what: WHAT })).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: DedupTerms = DedupTerms { window_ms: 300, bytes: 1_000 };

    fn generation(begun: i64, bytes: u64) -> Generation {
        Generation { bytes, ..Generation::begin(0, UnixMillis(begun)) }
    }

    #[test]
    fn a_generation_ends_on_a_third_of_the_window_or_a_quarter_of_the_budget() {
        let table = [
            (0, 99, 1, false),
            (0, 100, 1, true),
            (0, 1_000, 0, false),
            (0, 0, 249, false),
            (0, 0, 250, true),
        ];
        for (begun, now, bytes, due) in table {
            assert_eq!(TERMS.is_due(&generation(begun, bytes), Some(UnixMillis(now))), due, "{now} {bytes}");
        }
    }

    // covers: D3
    #[test]
    fn no_row_is_forgotten_within_the_window_unless_the_rows_outgrow_their_budget() {
        type Case<'a> = (&'a [(i64, u64)], i64, usize, usize);
        // Begun and bytes of each, the time, how many go then, and how many where no clock may be believed.
        let table: [Case<'_>; 6] = [
            (&[(0, 10)], 10_000, 0, 0),
            (&[(0, 10), (100, 10)], 399, 0, 0),
            (&[(0, 10), (100, 10)], 400, 1, 0),
            (&[(0, 10), (100, 10), (200, 10)], 10_000, 2, 0),
            (&[(0, 600), (100, 600)], 100, 1, 1),
            (&[(0, 600), (100, 600), (110, 600)], 110, 2, 2),
        ];
        for (rows, now, expected, outgrown) in table {
            let generations: Vec<_> = rows.iter().map(|(begun, bytes)| generation(*begun, *bytes)).collect();
            assert_eq!(TERMS.forgotten(&generations, Some(UnixMillis(now))), expected, "{rows:?} at {now}");
            assert_eq!(TERMS.forgotten(&generations, None), outgrown, "{rows:?}");
        }
    }

    #[test]
    fn a_row_reads_back() {
        let remembered = Remembered { digest: [4; 16], last: CommitNumber(9), receipt: b"receipt".to_vec() };
        assert_eq!(Remembered::decode(&remembered.encode()), Some(remembered.clone()));
        assert_eq!(Remembered::decode(b"\x02"), None);
    }
}
