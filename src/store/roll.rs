//! When the segment that is written to is closed and the next one begun. Pure.

/// What the decision rests on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Active {
    /// Bytes in the segment.
    pub(super) bytes: u64,
    /// Records in it.
    pub(super) records: u64,
    /// Its age in milliseconds.
    pub(super) age_ms: i64,
    /// Live segments, this one counted.
    pub(super) live: usize,
}

/// Bounds of a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct RollBounds {
    /// Bytes at which it is closed.
    pub(super) bytes: u64,
    /// Age in milliseconds at which it is closed.
    pub(super) age_ms: i64,
}

/// Beyond so many live segments, only a segment that is four times as large or old is closed:
/// column families cost memory.
const MANY: usize = 64;

/// Whether to close the segment before the next group.
pub(super) fn is_due(active: Active, bounds: RollBounds) -> bool {
    let slack: u32 = if active.live > MANY { 4 } else { 1 };
    active.records > 0
        && (active.bytes >= bounds.bytes.saturating_mul(u64::from(slack))
            || active.age_ms >= bounds.age_ms.saturating_mul(i64::from(slack)))
}

/// Whether to close the segment at a restart. A small one is written to further, so that a crash
/// loop does not leave a chain of tiny segments.
pub(super) fn is_due_at_open(active: Active, bounds: RollBounds) -> bool {
    is_due(active, bounds) || (active.live <= MANY && active.records > 0 && active.bytes >= bounds.bytes / 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: RollBounds = RollBounds { bytes: 1_600, age_ms: 1_000 };

    #[test]
    fn a_segment_closes_on_size_age_and_restart_but_never_empty() {
        let table = [
            // bytes, records, age, live, due, due at open
            (0, 0, 5_000, 1, false, false),
            (1_599, 1, 999, 1, false, true),
            (1_600, 1, 0, 1, true, true),
            (1, 1, 1_000, 1, true, true),
            (99, 1, 0, 1, false, false),
            (100, 1, 0, 1, false, true),
            (1_600, 1, 1_000, 65, false, false),
            (6_400, 1, 0, 65, true, true),
            (1, 1, 4_000, 65, true, true),
        ];
        for (bytes, records, age_ms, live, due, at_open) in table {
            let active = Active { bytes, records, age_ms, live };
            assert_eq!(is_due(active, BOUNDS), due, "{active:?}");
            assert_eq!(is_due_at_open(active, BOUNDS), at_open, "{active:?}");
        }
    }
}
