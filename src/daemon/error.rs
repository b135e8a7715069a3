//! Why a collector does not start, or ends before it is told to.

use std::net::SocketAddr;

use super::ledger_key::LedgerKeyError;
use super::root_key::RootKeyError;
use crate::admin::InstallError;
use crate::amend::AmendError;
use crate::config::is_of_the_system;
use crate::drain::DrainError;
use crate::grpc::NotLoopback;
use crate::ledger::{self, LedgerError};
use crate::policy::Problem;
use crate::store::{OpenError, StoreError};

/// Why a collector does not start, or ends before it is told to.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The policy has mistakes.
    #[error("the policy has {} mistakes; `usaged policy check` names each", .0.len())]
    Policy(Vec<Problem>),
    /// What says who may call has mistakes.
    #[error("certificates or identities have {} mistakes; `usaged serve --check` names each", .0.len())]
    Identities(Vec<crate::config::Problem>),
    /// Others can change what the collector goes by, or read what it keeps.
    #[error("others can change or read {} files or directories of the collector; `usaged serve --check` names each", .0.len())]
    Exposed(Vec<crate::config::Problem>),
    /// The root key cannot be had.
    #[error("the root key cannot be used")]
    RootKey(#[from] RootKeyError),
    /// The store does not open.
    #[error("the store does not open")]
    Store(#[from] OpenError),
    /// The key of the ledger cannot be had.
    #[error("the ledger key cannot be used")]
    LedgerKey(#[from] LedgerKeyError),
    /// The ledger does not open.
    #[error("the ledger does not open")]
    Ledger(#[source] ledger::OpenError),
    /// The ledger takes nothing any more.
    #[error("the ledger failed; what it does not have yet is in the store")]
    LedgerFailed(#[source] LedgerError),
    /// What waits for the ledger cannot be read or written.
    #[error("the outbox of the ledger cannot be used")]
    Outbox(#[source] StoreError),
    /// The subscriptions cannot be read.
    #[error("the subscriptions cannot be read")]
    Drain(#[from] DrainError),
    /// The tokens cannot be read.
    #[error("the bearer tokens cannot be read")]
    Tokens(#[source] StoreError),
    /// What changes stored data cannot begin.
    #[error("erasures that are under way cannot be read")]
    Amend(#[from] AmendError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}; stop what uses it, or choose another address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The address may not be listened on.
    #[error("the address may not be used")]
    NotLoopback(#[from] NotLoopback),
    /// Metrics cannot be recorded.
    #[error("metrics cannot be recorded")]
    Metrics(#[from] InstallError),
    /// The system refused threads, signals or sockets.
    #[error("the system refused what the program needs to run")]
    Runtime(#[source] std::io::Error),
    /// A write to the store failed.
    #[error(
        "a write to the store failed; look at the disk, then start again: what was acknowledged is there"
    )]
    StoreFailed,
}

impl DaemonError {
    /// Whether the system did not do what a start asked of it. Nothing is refused then, and a later start goes on by
    /// itself: when a disk has space again, say.
    #[must_use]
    pub fn is_of_the_system(&self) -> bool {
        match self {
            Self::Store(fault) => fault.is_of_the_system(),
            Self::Ledger(fault) => match fault {
                // Whoever has it open may be the collector before, which is just ending.
                ledger::OpenError::File(_)
                | ledger::OpenError::Entropy
                | ledger::OpenError::Locked { .. } => true,
                ledger::OpenError::Broken { .. } => false,
            },
            Self::RootKey(RootKeyError::File { source, .. })
            | Self::LedgerKey(LedgerKeyError::File { source, .. }) => is_of_the_system(source),
            Self::RootKey(fault) => matches!(fault, RootKeyError::Entropy),
            Self::LedgerKey(fault) => matches!(fault, LedgerKeyError::Entropy),
            Self::LedgerFailed(_)
            | Self::Outbox(_)
            | Self::Drain(_)
            | Self::Tokens(_)
            | Self::Amend(_)
            | Self::Listen { .. }
            | Self::Metrics(_)
            | Self::Runtime(_)
            | Self::StoreFailed => true,
            Self::Policy(problems) => problems.iter().any(|problem| problem.is_of_the_system),
            Self::Identities(problems) => problems.iter().any(|problem| problem.is_of_the_system),
            Self::Exposed(_) | Self::NotLoopback(_) => false,
        }
    }
}

/// An error with all that led to it, on one line.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
