//! What one customer may take while others want it, too: memory, places, turns at the processors, and
//! a rate. What is shared is bounded elsewhere; here is who gets how much of it. A customer that asks
//! for more than its part is refused before its request is read, and told when to come back; what
//! others have is not touched.

mod account;
mod bucket;
mod crowd;
mod portion;
mod pressure;

pub use self::account::{Account, Accounts, Held, OverPart};
pub use self::bucket::Rate;
pub use self::portion::Kind;
pub use self::pressure::{Pressure, spread};

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::CustomerId;

/// What customers may send in a while; `None` for as much as they like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// Events a second.
    pub events: Option<Rate>,
    /// Bytes of requests a second, as they are when expanded.
    pub bytes: Option<Rate>,
}

/// The rates of all customers: what can change while the collector runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The rates of each customer ...
    pub rates: Rates,
    /// ... except of these.
    pub rates_of: BTreeMap<CustomerId, Rates>,
    /// How long a customer that was silent may send as fast as it likes.
    pub burst: Duration,
    /// Bytes of requests a second of one customer that go to the disk while others send, too; its further ones wait. `None`
    /// for as many as it likes.
    pub beside_others: Option<Rate>,
}

impl Limits {
    /// The rates of `customer`.
    fn of(&self, customer: &CustomerId) -> Rates {
        self.rates_of.get(customer).copied().unwrap_or(self.rates)
    }
}

impl Default for Limits {
    fn default() -> Self {
        let (rates, rates_of, burst) = (Rates::default(), BTreeMap::new(), Duration::from_secs(10));
        Self { rates, rates_of, burst, beside_others: Rate::new(16 * 1024 * 1024) }
    }
}

/// How what is shared is parted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The rates at the start.
    pub limits: Limits,
    /// Bytes of requests that are in memory.
    pub bytes: usize,
    /// Of which one customer may have so many at most.
    pub bytes_per_customer: usize,
    /// Batches that are being read, decided or stored.
    pub batches: usize,
    /// Calls in progress, streams counted.
    pub calls: usize,
}

impl Default for Options {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            limits: Limits::default(),
            bytes: 64 * MIB,
            bytes_per_customer: 32 * MIB,
            batches: 1_024,
            calls: 4_096,
        }
    }
}
