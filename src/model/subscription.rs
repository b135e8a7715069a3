//! What a drainer is: a name, one purpose, filters and the terms of its leases.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ProductName, ProgramName, Purpose, SubscriptionName, UnixMillis};

/// A named drainer. Its cursor and leases are the store's and `drain`'s business.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// The name.
    pub name: SubscriptionName,
    /// The one purpose.
    pub purpose: Purpose,
    /// Who receives the data, 1 to 128 bytes.
    pub recipient: String,
    /// Only batches of these programs; all when empty.
    pub programs: Vec<ProgramName>,
    /// Only batches of these products; all when empty.
    pub products: Vec<ProductName>,
    /// How long a lease lasts: 1 s to 600 s.
    pub ack_deadline: Duration,
    /// Deliveries before a batch becomes a dead letter: 1 to 100.
    pub max_delivery_attempts: u32,
    /// When it was created.
    pub created: UnixMillis,
}

impl Subscription {
    /// The shortest and the longest lease.
    pub const ACK_DEADLINE: std::ops::RangeInclusive<Duration> =
        Duration::from_secs(1)..=Duration::from_mins(10);
    /// The fewest and the most deliveries before a dead letter.
    pub const ATTEMPTS: std::ops::RangeInclusive<u32> = 1..=100;

    /// Whether a batch of this program is wanted, of some product.
    #[must_use]
    pub fn wants_program(&self, program: &str) -> bool {
        allows_any(self.programs.iter().map(ProgramName::as_str), program)
    }

    /// Whether a batch of this program and product is wanted at all.
    #[must_use]
    pub fn wants(&self, program: &str, product: &str) -> bool {
        self.wants_program(program) && allows_any(self.products.iter().map(ProductName::as_str), product)
    }
}

/// Whether a filter lets `name` through; an empty one lets everything through.
fn allows_any<'n>(filter: impl ExactSizeIterator<Item = &'n str>, name: &str) -> bool {
    filter.len() == 0 || filter.into_iter().any(|listed| listed == name)
}
