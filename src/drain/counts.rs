//! What became of the batches of one subscription, as numbers that add up.

use crate::model::CommitNumber;

/// Why a batch was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SkipReason {
    /// The subscription does not ask for its program or product.
    Filter,
    /// Nothing in it may be used for the purpose of the subscription.
    Purpose,
    /// The customer lowered the level, went to a stricter region, or took back an acceptance.
    Lowered,
    /// The customer's data is kept for audit, or paused.
    Held,
    /// The registry does not know the customer.
    UnknownCustomer,
    /// The cursor was moved forward over it.
    Seek,
    /// It was reduced to nothing in the store: erased, or nothing of it may be left.
    Gone,
}

impl SkipReason {
    /// Every reason, in the order of the stored counts. New ones go to the end.
    pub const ALL: [Self; 7] = [
        Self::Filter,
        Self::Purpose,
        Self::Lowered,
        Self::Held,
        Self::UnknownCustomer,
        Self::Seek,
        Self::Gone,
    ];

    /// The word for it, as metrics and logs use it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Purpose => "purpose",
            Self::Lowered => "lowered",
            Self::Held => "held",
            Self::UnknownCustomer => "unknown_customer",
            Self::Seek => "seek",
            Self::Gone => "gone",
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Filter => 0,
            Self::Purpose => 1,
            Self::Lowered => 2,
            Self::Held => 3,
            Self::UnknownCustomer => 4,
            Self::Seek => 5,
            Self::Gone => 6,
        }
    }
}

/// Batches, and the events in those of them that were read: what retention drops and a seek
/// passes over unread is counted in batches only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    /// Batches.
    pub batches: u64,
    /// Events, as far as known.
    pub events: u64,
}

impl Sum {
    pub(super) const fn add(&mut self, batches: u64, events: u64) {
        self.batches = self.batches.saturating_add(batches);
        self.events = self.events.saturating_add(events);
    }

    /// What came on top of `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            batches: self.batches.saturating_sub(earlier.batches),
            events: self.events.saturating_sub(earlier.events),
        }
    }
}

/// What went on since the start of the process: told by metrics, and not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turnover {
    /// Batches that went out, repeated ones counted again.
    pub delivered: u64,
    /// Leases of batches that had gone out which ended without an acknowledgement.
    pub leases_ended: u64,
}

/// Outcomes since the subscription was created. Each only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Acknowledged.
    pub acknowledged: Sum,
    /// Became dead letters. How many there are now is [`Balance::dead`].
    pub buried: Sum,
    /// Gone from the store, or pushed out of the dead letters, before they were acknowledged.
    pub expired: Sum,
    /// Passed over, by [`SkipReason::ALL`].
    pub skipped: [Sum; SkipReason::ALL.len()],
    /// Batches that were finished and wait again, because the cursor was moved back.
    pub repeated: u64,
}

impl Counts {
    /// Batches passed over, for whatever reason.
    #[must_use]
    pub fn skipped_total(&self) -> u64 {
        self.skipped.iter().fold(0, |sum, one| sum.saturating_add(one.batches))
    }

    /// Batches passed over for `reason`.
    #[must_use]
    pub fn skipped_for(&self, reason: SkipReason) -> Sum {
        self.skipped.get(reason.index()).copied().unwrap_or_default()
    }

    pub(super) fn skip(&mut self, reason: SkipReason, batches: u64, events: u64) {
        if let Some(sum) = self.skipped.get_mut(reason.index()) {
            sum.add(batches, events);
        }
    }
}

/// Conservation: every batch stored since the start is in exactly one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// The first commit that the subscription was to see.
    pub start: CommitNumber,
    /// Stored from the start on, and once more for each that was put back by a seek.
    pub stored: u64,
    /// Acknowledged.
    pub acknowledged: u64,
    /// Waiting for delivery or acknowledgement, leased ones counted.
    pub waiting: u64,
    /// Dead letters now.
    pub dead: u64,
    /// Gone before they were acknowledged.
    pub expired: u64,
    /// Passed over.
    pub skipped: u64,
}

impl Balance {
    /// Whether `stored = acknowledged + waiting + dead + expired + skipped`.
    #[must_use]
    pub const fn adds_up(&self) -> bool {
        self.stored == self.acknowledged + self.waiting + self.dead + self.expired + self.skipped
    }
}
