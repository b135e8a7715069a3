//! What entries are made of: terms of a participation, what a batch was decided under, periods, and
//! the closed lists of words.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::model::Under;
use crate::model::{
    Delivery, LevelName, Participation, ProductLevel, ProductName, ProgramName, Purpose, RegionName,
    UnixMillis,
};

/// From when until when, both counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// The first moment.
    pub from: UnixMillis,
    /// The last one.
    pub until: UnixMillis,
}

/// What a customer chose: a [`Participation`] without its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The level per program. What is not named is at `none`.
    pub levels: BTreeMap<ProgramName, LevelName>,
    /// Stricter levels of single products.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub product_levels: Vec<ProductLevel>,
    /// The region whose overlay applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionName>,
    /// Purposes that are switched off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub purposes_off: Vec<Purpose>,
    /// What becomes of what may be stored.
    pub delivery: Delivery,
    /// The newest dictionary version that was accepted, per product.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accepted: BTreeMap<ProductName, u32>,
}

impl From<&Participation> for Terms {
    fn from(participation: &Participation) -> Self {
        Self {
            levels: participation.levels.clone(),
            product_levels: participation.product_levels.clone(),
            region: participation.region.clone(),
            purposes_off: participation.purposes_off.clone(),
            delivery: participation.delivery,
            accepted: participation.accepted_dictionaries.clone(),
        }
    }
}

/// A ledger that was found broken, as its successor remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OldLedger {
    /// Its name; empty if it was gone.
    pub origin: String,
    /// Its last checkpoint that could be read, as a signed note; empty if there was none.
    pub checkpoint: String,
    /// What was wrong with it.
    pub fault: String,
    /// The directory beside the ledger that it was put into; empty if it was gone.
    pub kept_in: String,
}

/// Defines a closed list of words.
macro_rules! list {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$doc])* #[serde(rename = $text)] $variant,)+ }

        impl $name {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

list! {
    /// What an erasure is asked by.
    ErasureScope {
        /// A customer, whole.
        Customer = "customer",
        /// One installation of a product.
        Instance = "instance",
        /// An original identifier of some class.
        Identifier = "identifier",
        /// A range of time.
        TimeRange = "time_range",
    }
}

list! {
    /// A step of an erasure.
    ErasureStep {
        /// The intent is on disk; nothing of it is taken in or given out any more.
        Fenced = "fenced",
        /// The keys are destroyed.
        KeysDestroyed = "keys_destroyed",
        /// Stored batches are rewritten.
        Rewritten = "rewritten",
        /// The bytes from before are gone from every file.
        Purged = "purged",
        /// It was read back, and nothing was found.
        Verified = "verified",
    }
}

list! {
    /// What a bearer token lets its holder do.
    TokenRole {
        /// Sends the data of one customer.
        Sender = "sender",
        /// Sends the data of several customers.
        Relay = "relay",
        /// Drains subscriptions.
        Drainer = "drainer",
        /// Administers.
        Operator = "operator",
        /// Reads the ledger and the dictionary.
        Auditor = "auditor",
    }
}

list! {
    /// What was refused.
    Refusal {
        /// A payload named another customer than its sender is.
        OtherCustomer = "other_customer",
        /// A caller did not say who it is, or could not show it.
        Unauthenticated = "unauthenticated",
        /// A caller asked for what it may not have.
        NotPermitted = "not_permitted",
        /// A customer that has no participation.
        UnknownCustomer = "unknown_customer",
        /// A product that the policy does not have, named by a customer that takes part in something. What others name
        /// is not looked at.
        UnknownProduct = "unknown_product",
        /// A level or region that the policy does not have.
        UnknownLevel = "unknown_level",
        /// A drainer acknowledged what was withdrawn meanwhile.
        Withdrawn = "withdrawn",
        /// An erasure that could not be begun.
        Erasure = "erasure",
        /// A policy with mistakes.
        Policy = "policy",
        /// A ledger that does not add up.
        LedgerBroken = "ledger_broken",
    }
}
