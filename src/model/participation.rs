//! What a customer chose: data, not policy. Kept in the store, changed while the collector runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::class::{Purpose, words};
use super::{CustomerId, LevelName, ProductName, ProgramName, RegionName, UnixMillis};

words! {
    /// What becomes of what may be stored.
    Delivery {
        /// Stored and drained.
        Deliver = "deliver",
        /// Stored and inspectable, never drained.
        Audit = "audit",
        /// Not accepted: senders are told to stop.
        Paused = "paused",
    }
}

/// A level that holds for one product.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProductLevel {
    /// The product.
    pub product: ProductName,
    /// The program.
    pub program: ProgramName,
    /// The level.
    pub level: LevelName,
}

/// What a customer chose. The default is to take part in nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Participation {
    /// The customer.
    pub customer: CustomerId,
    /// The level per program. What is not named is at `none`.
    #[serde(default)]
    pub levels: BTreeMap<ProgramName, LevelName>,
    /// Levels for single products: they can only be stricter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub product_levels: Vec<ProductLevel>,
    /// The region whose overlay applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionName>,
    /// Purposes that the customer switched off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub purposes_off: Vec<Purpose>,
    /// What becomes of what may be stored.
    #[serde(default = "deliver")]
    pub delivery: Delivery,
    /// The newest dictionary version that was accepted, per product.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accepted_dictionaries: BTreeMap<ProductName, u32>,
}

const fn deliver() -> Delivery {
    Delivery::Deliver
}

impl Participation {
    /// Whether anything of a product may be stored for a program by what the customer chose, whatever the policy.
    #[must_use]
    pub fn takes_part(&self, program: &str, product: &str) -> bool {
        let level = self.levels.iter().find(|(name, _)| name.as_str() == program).map(|(_, level)| level);
        let of_product = self.product_levels.iter().filter(|one| one.product.as_str() == product);
        let mut of_both = of_product.filter(|one| one.program.as_str() == program);
        level.is_some_and(|level| !level.is_none()) && !of_both.any(|one| one.level.is_none())
    }

    /// A customer who takes part in nothing.
    #[must_use]
    pub fn none(customer: CustomerId) -> Self {
        Self {
            customer,
            levels: BTreeMap::new(),
            product_levels: Vec::new(),
            region: None,
            purposes_off: Vec::new(),
            delivery: Delivery::Deliver,
            accepted_dictionaries: BTreeMap::new(),
        }
    }
}

/// One change of a participation: who, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The participation after the change.
    pub participation: Participation,
    /// Grows by one with every change of this customer, from 1.
    pub revision: u64,
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: UnixMillis,
}

/// What a batch was decided under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Under {
    /// The program.
    pub program: ProgramName,
    /// The product.
    pub product: ProductName,
    /// The level that was in force.
    pub level: LevelName,
    /// The region whose overlay applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionName>,
    /// The version of the product's dictionary.
    pub dictionary: u32,
}
