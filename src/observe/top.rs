//! The customers who send most, by the minute: off unless the configuration asks for a number of them. Only customers
//! that an operator registered are counted, and the memory for it is bounded whoever sends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::CustomerId;

/// How long is counted before it is told.
const WINDOW: Duration = Duration::from_mins(1);
/// Customers that are counted for each that is told. The more, the less one that sends little and often is mistaken for
/// one that sends much.
const COUNTED: usize = 8;

/// Counts of customers. Clones share them. The default counts nobody.
#[derive(Debug, Clone, Default)]
pub struct Top(Option<Arc<Counts>>);

#[derive(Debug)]
struct Counts {
    most: usize,
    windows: Mutex<Windows>,
}

#[derive(Debug)]
struct Windows {
    begun: Instant,
    now: BTreeMap<CustomerId, u64>,
    last: Vec<(CustomerId, u64)>,
}

impl Top {
    /// Counts, to tell of the `most` who send most; of nobody if that is 0.
    #[must_use]
    pub fn of(most: usize) -> Self {
        if most == 0 {
            return Self(None);
        }
        let windows = Windows { begun: Instant::now(), now: BTreeMap::new(), last: Vec::new() };
        Self(Some(Arc::new(Counts { most, windows: Mutex::new(windows) })))
    }

    /// Whether anybody is counted.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Counts events of a customer.
    pub fn note(&self, customer: &CustomerId, events: u64) {
        if let Some(counts) = &self.0 {
            counts.note(customer, events, Instant::now());
        }
    }

    /// Who sent most within the last full minute, and how many events.
    #[must_use]
    pub fn last_minute(&self) -> Vec<(CustomerId, u64)> {
        self.0.as_ref().map(|counts| counts.last(Instant::now())).unwrap_or_default()
    }
}

impl Counts {
    fn note(&self, customer: &CustomerId, events: u64, now: Instant) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.turn(self.most, now);
        if let Some(count) = windows.now.get_mut(customer) {
            *count = count.saturating_add(events);
            return;
        }
        let mut before = 0;
        if windows.now.len() >= self.most.saturating_mul(COUNTED) {
            // The least gives way, and its count is taken over: who is told is never too few, and the counts of those who
            // send much are right (the space-saving algorithm).
            let least =
                windows.now.iter().min_by_key(|(_, count)| **count).map(|(id, count)| (id.clone(), *count));
            if let Some((least, count)) = least {
                windows.now.remove(&least);
                before = count;
            }
        }
        windows.now.insert(customer.clone(), events.saturating_add(before));
    }

    fn last(&self, now: Instant) -> Vec<(CustomerId, u64)> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.turn(self.most, now);
        windows.last.clone()
    }
}

impl Windows {
    /// Begins the next window if this one is over.
    fn turn(&mut self, most: usize, now: Instant) {
        let since = now.saturating_duration_since(self.begun);
        if since < WINDOW {
            return;
        }
        let mut counted: Vec<_> = std::mem::take(&mut self.now).into_iter().collect();
        counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counted.truncate(most);
        // Of a minute in which nobody looked nothing is known.
        self.last = if since < WINDOW * 2 { counted } else { Vec::new() };
        self.begun = now;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    fn id(number: usize) -> CustomerId {
        CustomerId::new(&format!("customer-{number}")).unwrap()
    }

    #[test]
    fn those_who_send_most_are_told_after_a_minute_and_never_more_than_were_asked_for() {
        let top = Top::of(2);
        let counts = top.0.unwrap();
        let start = Instant::now();
        // Many send a little; two send much, in the middle of it.
        for number in 0..10_000 {
            counts.note(&id(number), 1, start);
            counts.note(&id(7), 50, start);
            counts.note(&id(5), 40, start);
            assert!(counts.windows.lock().unwrap().now.len() <= 2 * COUNTED);
        }
        assert!(counts.last(start + WINDOW / 2).is_empty(), "the minute is not over");
        let told: Vec<CustomerId> = counts.last(start + WINDOW).into_iter().map(|(id, _)| id).collect();
        assert_eq!(told, [id(7), id(5)]);
        assert!(counts.last(start + WINDOW * 2).is_empty(), "nobody sent in the next one");
    }

    #[test]
    fn nobody_is_counted_unless_it_is_asked_for() {
        let top = Top::default();
        top.note(&id(1), 1);
        assert!(top.last_minute().is_empty() && Top::of(0).0.is_none());
    }
}
