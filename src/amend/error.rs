//! What can go wrong when stored data is to be changed.

use crate::drain::DrainError;
use crate::model::ErasureId;
use crate::store::{PurgeError, StoreError};

/// Why an erasure or a report was refused, or failed.
#[derive(Debug, thiserror::Error)]
pub enum AmendError {
    /// There is no such customer: it never had a participation, or it was erased.
    #[error(
        "this customer has no participation: it never had one, or it was erased; nothing of it can be stored or read"
    )]
    NoCustomer,
    /// There is no such erasure.
    #[error("there is no erasure {id}; see `usaged erase list`")]
    NoErasure {
        /// Its id.
        id: ErasureId,
    },
    /// The id was used for another erasure.
    #[error("the id {id} belongs to another erasure; make a new id for a new one")]
    OtherErasure {
        /// The id.
        id: ErasureId,
    },
    /// A part of the request is not allowed.
    #[error("{field}: {rule}")]
    Invalid {
        /// The field of the request.
        field: &'static str,
        /// What it has to be.
        rule: String,
    },
    /// More erasures are under way or remembered than there may be.
    #[error("{most} erasures {what}")]
    TooMany {
        /// The bound.
        most: usize,
        /// What of them there may be so many, and what to do.
        what: &'static str,
    },
    /// A row is damaged, or of a version that this program does not read.
    #[error(
        "the state of {what} cannot be read; restore it from a backup, or start the version that wrote it"
    )]
    Damaged {
        /// What it is of.
        what: &'static str,
    },
    /// What was to be gone is still there.
    #[error("reading back found {records} records that should be gone; the erasure goes on")]
    NotGone {
        /// How many.
        records: u64,
    },
    /// The store could not read or write.
    #[error("the store could not do its part; its error says more")]
    Store(#[from] StoreError),
    /// The old bytes could not be taken off the disk.
    #[error("the old bytes could not be taken off the disk")]
    Purge(#[from] PurgeError),
    /// The subscriptions could not be told.
    #[error("the subscriptions could not be told; the error of the drain says more")]
    Drain(#[from] DrainError),
    /// Another count is under way.
    #[error("another dry run is counting, and only one does at a time; try again when it is done")]
    Counting,
    /// Whoever asked for a count does not wait for it any more.
    #[error("the count was given up before its end, because nobody waited that long; nothing was changed")]
    GivenUp,
    /// The collector is shutting down.
    #[error("the collector is shutting down; what has begun goes on after the next start")]
    Stopped,
}
