//! Why a request was not taken.

use std::time::Duration;

use crate::model::{WireError, limits};

/// How long a sender waits before it retries what failed for a reason that has no better answer.
pub(super) const RETRY: Duration = Duration::from_secs(1);
/// The store does not answer as it should.
pub(super) const UNAVAILABLE: Refusal = Refusal::Unavailable { retry_after: RETRY };

/// Why a batch was not taken. Nothing of it was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// More bytes than a request may have.
    #[error(
        "the request has {bytes} bytes; at most {} are taken, send smaller batches",
        limits::REQUEST_BYTES
    )]
    TooLarge {
        /// How many it had.
        bytes: usize,
    },
    /// The bytes are not a `SubmitRequest`, or pass a bound.
    #[error("the request cannot be read: {0}")]
    Malformed(WireError),
    /// A field of the head is missing or wrong.
    #[error("{field}: {rule}")]
    Head {
        /// The field of `SubmitRequest`.
        field: &'static str,
        /// What it has to be.
        rule: &'static str,
    },
    /// The batch id was used before, for other bytes.
    #[error("batch_id: another batch was stored under this id; make a new id for new data")]
    Conflict,
    /// The disk budget is spent.
    #[error("the disk budget of the collector is spent; retry later")]
    Full {
        /// When to try again.
        retry_after: Duration,
    },
    /// Too much is on its way already.
    #[error("the collector is busy; retry later")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The store has failed or is closing.
    #[error("the collector cannot store now; retry later")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
}

impl Refusal {
    /// How many events of the batch were read before it was refused, as far as that is known.
    pub(super) fn events_read(&self) -> u64 {
        match self {
            Self::Malformed(error) => error.event.map_or(0, |event| u64::from(event).saturating_add(1)),
            Self::TooLarge { .. }
            | Self::Head { .. }
            | Self::Conflict
            | Self::Full { .. }
            | Self::Busy { .. }
            | Self::Unavailable { .. } => 0,
        }
    }
}
