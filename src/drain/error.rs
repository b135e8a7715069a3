//! What can go wrong between a drainer and its subscription.

use crate::model::SubscriptionName;
use crate::store::StoreError;

/// Why an operation on a subscription was not done.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// There is no such subscription.
    #[error("there is no subscription `{name}`; create it, or see `usaged subscription list`")]
    NotFound {
        /// Its name.
        name: SubscriptionName,
    },
    /// There is one already.
    #[error("there is a subscription `{name}` already; use it, delete it, or choose another name")]
    Exists {
        /// Its name.
        name: SubscriptionName,
    },
    /// No more subscriptions are allowed.
    #[error("there are {max} subscriptions already; delete one that is not used")]
    TooMany {
        /// The bound.
        max: usize,
    },
    /// A part of a new subscription is not allowed.
    #[error("{field} is not valid: {rule}")]
    Invalid {
        /// The part, as the API names it.
        field: &'static str,
        /// What it has to be.
        rule: &'static str,
    },
    /// A stored row of a subscription is not of a version that this program reads.
    #[error(
        "a row in {table} has version {version}, which this program does not know; start the version that wrote it"
    )]
    RowVersion {
        /// The table.
        table: &'static str,
        /// The version found.
        version: u8,
    },
    /// A stored row of a subscription is damaged.
    #[error(
        "a row in {table} is damaged; restore the data directory from a backup, or delete the subscription in it"
    )]
    RowDamaged {
        /// The table.
        table: &'static str,
    },
    /// The store could not read or write.
    #[error("reading or writing the state of a subscription failed; the store's error says more")]
    Store(#[from] StoreError),
    /// The collector is shutting down.
    #[error("the collector is shutting down; try again in a moment")]
    Stopped,
}
