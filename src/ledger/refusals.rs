//! Refusals on their way to the ledger. They are counted in memory and told as sums, so that a flood of them makes
//! no more entries than an interval may have. Pure but for the clock and a lock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::entry::{Entry, Fact};
use super::parts::{Period, Refusal};
use crate::model::{CustomerKey, UnixMillis};
use crate::observe::Clock;

/// Sums of named customers that wait. With more, a refusal is counted without the customer.
const MOST: usize = 256;

/// Counts what was refused, for the ledger. Cheap to clone; clones share the counts.
///
/// Each kind of refusal becomes at most one entry in an interval, and one for each customer, of at most 256 customers
/// and kinds in all. What was counted and not told yet is lost if the process is killed, or if at its end
/// the store takes nothing.
#[derive(Clone)]
pub struct Refusals(Arc<Inner>);

struct Inner {
    clock: Clock,
    sums: Mutex<Sums>,
}

/// By what was refused, and to whom.
type Sums = BTreeMap<(Refusal, Option<CustomerKey>), Sum>;

#[derive(Debug, Clone, Copy)]
struct Sum {
    period: Period,
    times: u64,
}

impl std::fmt::Debug for Refusals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Refusals").field("sums", &self.sums().len()).finish_non_exhaustive()
    }
}

impl Default for Refusals {
    fn default() -> Self {
        Self::new(Clock::system())
    }
}

impl Refusals {
    /// Nothing was refused yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self(Arc::new(Inner { clock, sums: Mutex::default() }))
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.0.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was refused to somebody who is no known customer.
    pub fn count(&self, what: Refusal) {
        self.add(what, None);
    }

    /// Something was refused to this customer.
    pub fn count_of(&self, what: Refusal, customer: CustomerKey) {
        self.add(what, Some(customer));
    }

    fn add(&self, what: Refusal, customer: Option<CustomerKey>) {
        let now = self.0.clock.now();
        let sum = Sum { period: Period { from: now, until: now }, times: 1 };
        merge(&mut self.sums(), (what, customer), sum);
    }

    /// Takes the entries for all that was counted since the last time. If they cannot be told, give them back with
    /// [`Self::put_back`].
    #[must_use]
    pub fn take(&self) -> Vec<Entry> {
        let sums = std::mem::take(&mut *self.sums());
        let entry = |((what, customer), Sum { period, times })| {
            let fact = Fact::Refused { what, customer, period, times };
            Entry { at: period.until, fact }
        };
        sums.into_iter().map(entry).collect()
    }

    /// Counts again what [`Self::take`] gave.
    pub fn put_back(&self, entries: Vec<Entry>) {
        let mut sums = self.sums();
        for entry in entries {
            if let Fact::Refused { what, customer, period, times } = entry.fact {
                merge(&mut sums, (what, customer), Sum { period, times });
            }
        }
    }
}

fn merge(sums: &mut Sums, key: (Refusal, Option<CustomerKey>), sum: Sum) {
    let fits = sums.len() < MOST || key.1.is_none() || sums.contains_key(&key);
    let key = if fits { key } else { (key.0, None) };
    let known = sums.entry(key).or_insert(Sum { times: 0, ..sum });
    known.times = known.times.saturating_add(sum.times);
    known.period = joined(known.period, sum.period);
}

/// The period that holds both.
fn joined(a: Period, b: Period) -> Period {
    let (from, until) = (a.from.0.min(b.from.0), a.until.0.max(b.until.0));
    Period { from: UnixMillis(from), until: UnixMillis(until) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(entries: &[Entry]) -> Vec<(Refusal, Option<u64>, u64)> {
        let of = |entry: &Entry| {
            let Fact::Refused { what, customer, times, .. } = &entry.fact else { return None };
            Some((*what, customer.map(|customer| customer.0), *times))
        };
        entries.iter().filter_map(of).collect()
    }

    #[test]
    fn refusals_are_summed_by_kind_and_customer_and_taken_once() {
        let clock = Clock::manual(UnixMillis(5));
        let refusals = Refusals::new(clock.clone());
        refusals.count(Refusal::Unauthenticated);
        refusals.count_of(Refusal::NotPermitted, CustomerKey(7));
        clock.advance_ms(4);
        refusals.clone().count(Refusal::Unauthenticated);
        let taken = refusals.take();
        let expected = [(Refusal::Unauthenticated, None, 2), (Refusal::NotPermitted, Some(7), 1)];
        assert_eq!(times(&taken), expected);
        assert!(taken.iter().any(|entry| matches!(
            entry.fact,
            Fact::Refused {
                what: Refusal::Unauthenticated,
                period: Period { from: UnixMillis(5), until: UnixMillis(9) },
                ..
            }
        )));
        assert_eq!(refusals.take(), []);
        // What could not be told is told together with what came meanwhile.
        refusals.count(Refusal::Unauthenticated);
        refusals.put_back(taken);
        let expected = [(Refusal::Unauthenticated, None, 3), (Refusal::NotPermitted, Some(7), 1)];
        assert_eq!(times(&refusals.take()), expected);
    }

    /// covers: B1
    #[test]
    fn a_flood_of_refusals_makes_a_bounded_number_of_entries_and_loses_no_count() {
        let refusals = Refusals::new(Clock::manual(UnixMillis(5)));
        for customer in 0..100_000 {
            refusals.count_of(Refusal::NotPermitted, CustomerKey(customer));
            refusals.count_of(Refusal::OtherCustomer, CustomerKey(customer));
            refusals.count(Refusal::Unauthenticated);
        }
        let taken = times(&refusals.take());
        assert!(taken.len() <= MOST + Refusal::ALL.len(), "{}", taken.len());
        for what in [Refusal::NotPermitted, Refusal::OtherCustomer, Refusal::Unauthenticated] {
            let sum: u64 = taken.iter().filter(|(kind, ..)| *kind == what).map(|(.., n)| n).sum();
            assert_eq!(sum, 100_000, "{what}");
        }
    }
}
