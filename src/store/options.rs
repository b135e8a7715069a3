//! What can be chosen about a store, and the sizes that follow from it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::group::GroupBounds;
use super::outbox::Notary;
use crate::sanitize::Rotation;

/// What happens when the disk budget is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Appends are refused with a hint when to come back.
    Refuse,
    /// The oldest segment is dropped, drained or not.
    DropOldest,
}

/// How a store is opened. [`Options::new`] gives the defaults.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data directory. Made if it does not exist.
    pub dir: PathBuf,
    /// Bytes of records after which a segment is closed; it is raised or lowered so that the
    /// disk budget is between 8 and 48 segments. Default 64 MiB.
    pub segment_bytes: u64,
    /// Age at which a segment that holds something is closed; it is raised so that
    /// `retention_age` is at most 48 segments. Default 1 h.
    pub segment_age: Duration,
    /// Segments whose newest record is older are dropped, drained or not. Default 30 d.
    pub retention_age: Duration,
    /// The budget for queued records, in bytes. Write-ahead log (at most 64 MiB), deduplication rows
    /// (at most an eighth of this, at least 64 MiB) and the registry come on top. Default 10 GiB.
    pub retention_bytes: u64,
    /// What happens when the budget is spent. Default: refuse.
    pub when_full: WhenFull,
    /// Free bytes of the file system below which appends are refused, while metadata can still be
    /// written. Segments that every subscription has drained give way first. Default 256 MiB.
    pub reserve_bytes: u64,
    /// How long a batch id is remembered at least, unless its rows outgrow their budget. A batch that comes
    /// again later is stored again: a sender that keeps what it could not send for longer than this must
    /// not assume that what it sent without hearing the answer is recognised. Default 24 h.
    pub dedup_window: Duration,
    /// Bytes of records after which a group is closed. Default 8 MiB.
    pub group_bytes: u64,
    /// Records after which a group is closed. Default 4,096.
    pub group_records: usize,
    /// How far, in time, the witness file may be behind the last acknowledged commit. Zero: it is
    /// written before every answer. Default 250 ms.
    pub witness_lag: Duration,
    /// Commands that may wait for the writer. Default 1,024.
    pub queue_depth: usize,
    /// Makes the entry of the ledger for each change of a participation; it is written together with the change.
    /// Default: none.
    pub notary: Option<Notary>,
    /// Refuse to begin a new store: there is one. Default false.
    pub must_exist: bool,
    /// Go on although data that was acknowledged is missing. For one start. Default false.
    pub accept_data_loss: bool,
    /// How long a rotating pseudonym stays the same, at least an hour. Default 30 d.
    pub rotation: Duration,
    /// Rotation epochs before the present one whose keys are kept. Default 2.
    pub past_epochs: u32,
}

impl Options {
    /// The bytes of sealed records that may wait for the writer, whatever `queue_depth` says.
    pub const QUEUE_BYTES: usize = 64 * 1024 * 1024;
    /// Most segments that the budget, or the retention age, is divided into.
    const SEGMENTS: u32 = 48;
    /// Fewest segments that the budget is divided into, so that dropping one frees a small part.
    const FEWEST: u64 = 8;
    /// No segment is smaller, so that a small budget does not mean a new column family per group.
    const SMALLEST: u64 = 64 * 1024;

    /// The defaults, for the data directory `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            dir: dir.to_owned(),
            segment_bytes: 64 * MIB,
            segment_age: Duration::from_hours(1),
            retention_age: Duration::from_hours(30 * 24),
            retention_bytes: 10 * 1024 * MIB,
            when_full: WhenFull::Refuse,
            reserve_bytes: 256 * MIB,
            dedup_window: Duration::from_hours(24),
            group_bytes: 8 * MIB,
            group_records: 4_096,
            witness_lag: Duration::from_millis(250),
            queue_depth: 1_024,
            notary: None,
            must_exist: false,
            accept_data_loss: false,
            rotation: Rotation::default().length(),
            past_epochs: 2,
        }
    }

    /// Bytes at which a segment is closed.
    pub(super) fn segment_limit(&self) -> u64 {
        let low = self.retention_bytes / u64::from(Self::SEGMENTS);
        let high = self.retention_bytes / Self::FEWEST;
        self.segment_bytes.max(low).min(high).max(Self::SMALLEST)
    }

    /// Age in milliseconds at which a segment is closed.
    pub(super) fn segment_age_limit(&self) -> i64 {
        millis(self.segment_age.max(self.retention_age / Self::SEGMENTS))
    }

    /// Bytes that deduplication rows may take.
    pub(super) fn dedup_limit(&self) -> u64 {
        (self.retention_bytes / 8).max(64 * 1024 * 1024)
    }

    /// When a group is closed.
    pub(super) fn group(&self) -> GroupBounds {
        GroupBounds { bytes: self.group_bytes.max(1), records: self.group_records.max(1) }
    }
}

/// A duration in whole milliseconds.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_between_8_and_48_segments() {
        const MIB: u64 = 1024 * 1024;
        let table = [
            (64 * MIB, 10 * 1024 * MIB, 10 * 1024 * MIB / 48),
            (64 * MIB, 64 * MIB, 8 * MIB),
            (64 * MIB, 1024 * MIB, 64 * MIB),
            (64 * MIB, 0, 64 * 1024),
        ];
        for (segment_bytes, retention_bytes, limit) in table {
            let options = Options { segment_bytes, retention_bytes, ..Options::new(Path::new("/")) };
            assert_eq!(options.segment_limit(), limit, "{segment_bytes} of {retention_bytes}");
        }
    }

    #[test]
    fn a_retention_age_is_at_most_48_segments() {
        let options = Options::new(Path::new("/"));
        assert_eq!(options.segment_age_limit(), 15 * 3_600_000);
        let short = Options { retention_age: Duration::from_hours(2), ..options };
        assert_eq!(short.segment_age_limit(), 3_600_000);
    }
}
