//! When a group of commands that share one sync is closed. Pure.

/// The bounds of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GroupBounds {
    /// Bytes of records.
    pub(super) bytes: u64,
    /// Records and rows.
    pub(super) records: usize,
}

/// What a group holds so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct GroupSize {
    /// Bytes of records.
    pub(super) bytes: u64,
    /// Records and rows. A command without any counts as one.
    pub(super) records: usize,
}

impl GroupSize {
    /// Takes in one more command.
    pub(super) const fn add(&mut self, bytes: u64, records: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.records = self.records.saturating_add(if records == 0 { 1 } else { records });
    }

    /// Whether no further command may join. A group also closes when no command waits: a lone
    /// request is never delayed for company.
    pub(super) const fn is_closed(self, bounds: GroupBounds) -> bool {
        self.bytes >= bounds.bytes || self.records >= bounds.records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_closes_on_bytes_or_on_records() {
        let bounds = GroupBounds { bytes: 100, records: 3 };
        let table: [(&[(u64, usize)], bool); 6] = [
            (&[], false),
            (&[(99, 1)], false),
            (&[(100, 1)], true),
            (&[(1, 1), (1, 1)], false),
            (&[(1, 1), (1, 2)], true),
            (&[(0, 0), (0, 0), (0, 0)], true),
        ];
        for (commands, closed) in table {
            let mut size = GroupSize::default();
            for (bytes, records) in commands {
                size.add(*bytes, *records);
            }
            assert_eq!(size.is_closed(bounds), closed, "{commands:?}");
        }
    }
}
