//! The one table of which role may call which method, and on whose data. A method that is not in it is
//! for nobody.

use super::principal::Principal;
use super::role::{Role, RoleKind};
use crate::model::{CustomerId, SubscriptionName};

/// On whose data a method works, which says what else has to be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// One customer's: senders reach their own, relays those of their set, operators each.
    Customer,
    /// One subscription's: drainers reach their own, operators each.
    Subscription,
    /// The collector's.
    Whole,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The path of the method, as a request names it.
    pub path: &'static str,
    /// The roles that may call it.
    pub roles: &'static [RoleKind],
    /// On whose data it works.
    pub reach: Reach,
}

/// What is asked of a caller before a method is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Nothing: whether the collector is well.
    Open,
    /// That it is known, whatever its role: which methods there are.
    Known,
    /// That its role is in a row of the table.
    Granted(&'static Grant),
    /// Nobody may: there is no such method, or it is in no row.
    Nobody,
}

/// Defines the table.
macro_rules! grants {
    ($($path:literal [$($role:ident)+] $reach:ident,)+) => {
        /// Every row.
        pub const GRANTS: &[Grant] = &[$(Grant {
            path: $path,
            roles: &[$(RoleKind::$role),+],
            reach: Reach::$reach,
        },)+];

        fn granted(path: &str) -> Option<&'static Grant> {
            match path {
                $($path => {
                    const ROW: &Grant = &Grant {
                        path: $path,
                        roles: &[$(RoleKind::$role),+],
                        reach: Reach::$reach,
                    };
                    Some(ROW)
                })+
                _ => None,
            }
        }
    };
}

grants! {
    "/usaged.ingest.v1.IngestService/Submit" [Sender Relay] Customer,
    "/usaged.ingest.v1.IngestService/SubmitStream" [Sender Relay] Customer,
    "/usaged.ingest.v1.IngestService/GetCollectionPlan" [Sender Relay Operator] Customer,
    // To receive data takes a purpose, which a subscription has and an operator has not.
    "/usaged.drain.v1.DrainService/Pull" [Drainer] Subscription,
    "/usaged.drain.v1.DrainService/StreamingPull" [Drainer] Subscription,
    "/usaged.drain.v1.DrainService/Acknowledge" [Drainer] Subscription,
    "/usaged.drain.v1.DrainService/ModifyAckDeadline" [Drainer] Subscription,
    "/usaged.drain.v1.DrainService/GetSubscription" [Drainer Operator] Subscription,
    "/usaged.drain.v1.DrainService/ListDeadLetters" [Drainer Operator] Subscription,
    "/usaged.drain.v1.DrainService/CreateSubscription" [Operator] Whole,
    "/usaged.drain.v1.DrainService/ListSubscriptions" [Operator] Whole,
    "/usaged.drain.v1.DrainService/DeleteSubscription" [Operator] Subscription,
    "/usaged.drain.v1.DrainService/Seek" [Operator] Subscription,
    "/usaged.drain.v1.DrainService/ReplayDeadLetters" [Operator] Subscription,
    "/usaged.admin.v1.AdminService/SetParticipation" [Operator] Whole,
    "/usaged.admin.v1.AdminService/GetParticipation" [Operator] Whole,
    "/usaged.admin.v1.AdminService/ListParticipations" [Operator] Whole,
    "/usaged.admin.v1.AdminService/ImportParticipations" [Operator] Whole,
    "/usaged.admin.v1.AdminService/ListParticipationChanges" [Operator] Whole,
    "/usaged.admin.v1.AdminService/AcceptDictionary" [Operator] Whole,
    "/usaged.admin.v1.AdminService/CountParticipations" [Operator] Whole,
    "/usaged.admin.v1.AdminService/ReadPolicy" [Operator Auditor] Whole,
    "/usaged.admin.v1.AdminService/ReloadPolicy" [Operator] Whole,
    "/usaged.admin.v1.AdminService/ExplainEvent" [Operator] Whole,
    "/usaged.admin.v1.AdminService/ExplainBatch" [Operator] Whole,
    "/usaged.admin.v1.AdminService/ListStoredBatches" [Operator] Whole,
    "/usaged.admin.v1.AdminService/GetStatus" [Operator] Whole,
    "/usaged.admin.v1.LedgerService/GetLedgerCheckpoint" [Operator Auditor] Whole,
    "/usaged.admin.v1.LedgerService/ListLedgerEntries" [Operator Auditor] Whole,
    "/usaged.admin.v1.LedgerService/ExportLedger" [Operator Auditor] Whole,
    "/usaged.admin.v1.KeyService/GetKeyStatus" [Operator] Whole,
    "/usaged.admin.v1.KeyService/RotateRootKey" [Operator] Whole,
    "/usaged.admin.v1.KeyService/LookUpPseudonym" [Operator] Whole,
    "/usaged.admin.v1.KeyService/CreateBridge" [Operator] Whole,
    "/usaged.admin.v1.KeyService/ListBridges" [Operator] Whole,
    "/usaged.admin.v1.KeyService/EraseBridge" [Operator] Whole,
    "/usaged.admin.v1.ErasureService/Erase" [Operator] Whole,
    "/usaged.admin.v1.ErasureService/CountErasure" [Operator] Whole,
    "/usaged.admin.v1.ErasureService/GetErasure" [Operator] Whole,
    "/usaged.admin.v1.ErasureService/ListErasures" [Operator] Whole,
    "/usaged.admin.v1.BindingService/PreviewBinding" [Operator] Whole,
    "/usaged.admin.v1.BindingService/CountBinding" [Operator] Whole,
    "/usaged.admin.v1.BindingService/GetBinding" [Operator] Whole,
    "/usaged.admin.v1.StoreService/Backup" [Operator] Whole,
    "/usaged.admin.v1.TokenService/IssueToken" [Operator] Whole,
    "/usaged.admin.v1.TokenService/ListTokens" [Operator] Whole,
    "/usaged.admin.v1.TokenService/RevokeToken" [Operator] Whole,
}

/// What is asked of whoever calls `path`.
#[must_use]
pub fn entry(path: &str) -> Entry {
    if path.starts_with("/grpc.health.v1.Health/") {
        Entry::Open
    } else if path.starts_with("/grpc.reflection.v1.ServerReflection/")
        || path.starts_with("/grpc.reflection.v1alpha.ServerReflection/")
    {
        Entry::Known
    } else {
        granted(path).map_or(Entry::Nobody, Entry::Granted)
    }
}

/// The customer that a call names beside its credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// It names none.
    Nobody,
    /// It names one.
    One(CustomerId),
    /// It names several, or what it names is no customer id.
    Wrong,
}

/// Why a caller that is known may not do what it asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Its role may not call the method.
    #[error("this identity's role may not call this method")]
    Method,
    /// It names a customer that is not its own.
    #[error("this identity may not act for the customer that the call names")]
    OtherCustomer,
    /// It has to name a customer and does not.
    #[error("name the customer in the request metadata `usaged-customer`")]
    NoCustomer,
    /// It names several customers, or what it names is no customer id.
    #[error("the request metadata `usaged-customer` must be given once, as a customer id")]
    BadCustomer,
    /// It names a subscription that is not its own.
    #[error("this identity may not use the subscription that the call names")]
    OtherSubscription,
}

/// Decides a call by the caller and what it names: the customer that the call works for, where it works for one.
///
/// # Errors
/// Why it is refused.
pub fn decide(grant: &Grant, role: &Role, named: Named) -> Result<Option<CustomerId>, Denied> {
    if !grant.roles.contains(&role.kind()) {
        return Err(Denied::Method);
    }
    if grant.reach != Reach::Customer {
        return Ok(None);
    }
    match (role, named) {
        (Role::Sender(own), Named::Nobody) => Ok(Some(own.clone())),
        (Role::Sender(own), Named::One(named)) if *own == named => Ok(Some(named)),
        (Role::Sender(_), Named::One(_) | Named::Wrong) => Err(Denied::OtherCustomer),
        (Role::Relay(own), Named::One(named)) if !own.contains(&named) => Err(Denied::OtherCustomer),
        (Role::Relay(_) | Role::Operator, Named::One(named)) => Ok(Some(named)),
        (Role::Relay(_) | Role::Operator, Named::Nobody) => Err(Denied::NoCustomer),
        (Role::Relay(_) | Role::Operator, Named::Wrong) => Err(Denied::BadCustomer),
        (Role::Drainer(_) | Role::Auditor, _) => Err(Denied::Method),
    }
}

impl Principal {
    /// Whether it may use a subscription with a method that its role may call.
    ///
    /// # Errors
    /// If the subscription is not its own.
    pub fn may_use(&self, subscription: &SubscriptionName) -> Result<(), Denied> {
        match &*self.role {
            Role::Drainer(own) if own.contains(subscription) => Ok(()),
            Role::Operator => Ok(()),
            Role::Drainer(_) | Role::Sender(_) | Role::Relay(_) | Role::Auditor => {
                Err(Denied::OtherSubscription)
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
#[path = "grants_tests.rs"]
mod tests;
