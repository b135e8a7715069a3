//! Whom a fact is about.

use super::entry::Fact;
use crate::model::CustomerKey;

impl Fact {
    /// Whether it is about this customer, alone or with others.
    #[must_use]
    pub fn is_about(&self, customer: CustomerKey) -> bool {
        if let Self::RatchetsMoved { first, last, .. } = self {
            return (*first..=*last).contains(&customer);
        }
        self.customer() == Some(customer)
    }

    /// The one customer that it is about.
    #[must_use]
    pub const fn customer(&self) -> Option<CustomerKey> {
        match self {
            Self::ParticipationChanged { customer, .. }
            | Self::CustomerErased { customer, .. }
            | Self::Collected { customer, .. }
            | Self::Pulled { customer, .. }
            | Self::LevelBound { customer, .. }
            | Self::PseudonymLookedUp { customer, .. }
            | Self::EventsExplained { customer, .. }
            | Self::KeysRatcheted { customer, .. }
            | Self::BridgeMade { customer, .. }
            | Self::BridgeErased { customer, .. }
            | Self::Exported { customer } => Some(*customer),
            Self::ErasureStepped { customer, .. }
            | Self::ErasureDone { customer, .. }
            | Self::Refused { customer, .. } => *customer,
            Self::LedgerBegun { .. }
            | Self::CollectorStarted { .. }
            | Self::CollectorStopped { .. }
            | Self::PolicyInForce { .. }
            | Self::SubscriptionCreated { .. }
            | Self::SubscriptionDeleted { .. }
            | Self::RootKeyRotated { .. }
            | Self::RatchetsMoved { .. }
            | Self::DataLossAccepted { .. }
            | Self::BackupMade { .. }
            | Self::StoreRestored { .. }
            | Self::TokenIssued { .. }
            | Self::TokenRevoked { .. } => None,
        }
    }
}
