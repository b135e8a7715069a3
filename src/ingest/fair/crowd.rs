//! Whether more than one customer is sending now.

use std::sync::atomic::{AtomicU64, Ordering};

/// Nanoseconds for which two customers that sent one after the other count as sending both. A product that sends every
/// few seconds must not find the disk behind another at full blast because it was silent in between.
const RECENT: u64 = 10_000_000_000;

/// Who sent last, and until when there are several. Two numbers that all requests share: they are
/// written only when the sender changes.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    last: AtomicU64,
    until: AtomicU64,
}

impl Crowd {
    /// Takes note of a request of the customer `number` (from 1) at `now`; whether there are several.
    pub(super) fn note(&self, number: u64, now: u64) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        if last == number {
            return now < self.until.load(Ordering::Relaxed);
        }
        self.last.store(number, Ordering::Relaxed);
        // The first one ever is not a second one.
        if last != 0 {
            self.until.store(now.saturating_add(RECENT), Ordering::Relaxed);
        }
        last != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_customer_is_no_crowd_and_two_are_for_a_while() {
        let crowd = Crowd::default();
        assert!(!crowd.note(1, 0) && !crowd.note(1, 10));
        assert!(crowd.note(2, 20));
        assert!(crowd.note(2, 30) && crowd.note(2, RECENT));
        assert!(!crowd.note(2, 20 + RECENT), "the first has not come for a while");
        assert!(crowd.note(1, 2 * RECENT));
    }
}
