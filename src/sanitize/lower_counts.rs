//! What became of a stored batch that was brought down: counts, by identifier class.

use crate::model::IdentifierClass;

const CLASSES: usize = IdentifierClass::ALL.len();

/// Counts of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FieldCounts {
    /// Stored as before.
    pub unchanged: u32,
    /// Stored in a form that says less.
    pub lowered: u32,
    /// Not stored any more.
    pub dropped: u32,
}

/// What became of the events and values of a batch. Values are counted only in events that are left, each item of
/// a list and each value of a map by itself; a record, list or map that goes as a whole counts once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LowerCounts {
    /// Events that are left.
    pub events_kept: u32,
    /// Events that are gone.
    pub events_dropped: u32,
    by_class: [FieldCounts; CLASSES],
}

impl Default for LowerCounts {
    fn default() -> Self {
        Self { events_kept: 0, events_dropped: 0, by_class: [FieldCounts::default(); CLASSES] }
    }
}

impl LowerCounts {
    /// The values of a class.
    #[must_use]
    pub fn class(&self, class: IdentifierClass) -> FieldCounts {
        self.by_class.get(class.index()).copied().unwrap_or_default()
    }

    /// The classes of which there was any value, with their counts.
    pub fn classes(&self) -> impl Iterator<Item = (IdentifierClass, FieldCounts)> + '_ {
        let counts = IdentifierClass::ALL.iter().map(|class| (*class, self.class(*class)));
        counts.filter(|(_, counts)| *counts != FieldCounts::default())
    }

    /// The values of all classes together.
    #[must_use]
    pub fn fields(&self) -> FieldCounts {
        self.by_class.iter().fold(FieldCounts::default(), |sum, counts| FieldCounts {
            unchanged: sum.unchanged.saturating_add(counts.unchanged),
            lowered: sum.lowered.saturating_add(counts.lowered),
            dropped: sum.dropped.saturating_add(counts.dropped),
        })
    }

    pub(super) fn of(&mut self, class: IdentifierClass) -> &mut FieldCounts {
        match self.by_class.get_mut(class.index()) {
            Some(counts) => counts,
            None => unreachable!("a place for every identifier class"),
        }
    }
}
