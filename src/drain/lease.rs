//! What a batch can be to a subscription while it is not done with, and the terms of it.

use crate::model::{CustomerKey, UnixMillis};

/// The bounds of one subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Deliveries before a batch becomes a dead letter.
    pub max_attempts: u32,
    /// Batches that may be leased or returned at a time. When it is reached, nothing new is delivered.
    pub max_outstanding: usize,
    /// Dead letters that are kept. Beyond it the oldest one gives way and counts as expired.
    pub max_dead: usize,
}

/// What a lease has to remember of its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cargo {
    /// Events in the batch.
    pub events: u32,
    /// Whose batch it is.
    pub customer: CustomerKey,
    /// The revision of the customer's participation under which it was delivered.
    pub revision: u64,
    /// The policy and the caps under which it was delivered, as a number.
    pub policy: u64,
    /// The print of the plan that what was delivered is as.
    pub plan: [u8; 8],
}

/// A batch that a drainer has until the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Deliveries so far, this one counted.
    pub attempts: u32,
    /// When it ends.
    pub deadline: UnixMillis,
    /// Tells this lease from earlier ones of the same batch.
    pub nonce: u64,
    /// What it is of.
    pub cargo: Cargo,
    /// Whether the batch was handed out. Until then the attempt does not count, and the lease is not stored.
    pub handed: bool,
    /// Whether the batch was erased, whole or in part, since it was handed out.
    pub revoked: bool,
}

impl Lease {
    /// The batch as it waits if it was not handed out.
    pub(super) const fn unhanded(&self) -> Returned {
        Returned { attempts: self.attempts.saturating_sub(1), events: self.cargo.events }
    }
}

/// A batch that waits to be delivered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Returned {
    /// Deliveries so far.
    pub attempts: u32,
    /// Events in the batch.
    pub events: u32,
}

/// Why a batch was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadReason {
    /// Delivered too often without an acknowledgement.
    Attempts,
    /// The stored record failed its checks.
    Damaged,
}

impl DeadReason {
    /// The word for it, as the API uses it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attempts => "attempts",
            Self::Damaged => "damaged",
        }
    }
}

/// A batch that was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dead {
    /// Deliveries.
    pub attempts: u32,
    /// When it was given up.
    pub at: UnixMillis,
    /// Why.
    pub reason: DeadReason,
    /// Events in the batch, as far as known.
    pub events: u32,
}

/// The lease named has ended, or there never was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseEnded;
