//! A bounded thing that customers share: while others hold some of it, too, each may hold at most as much
//! as it leaves free. Two get a third each, five a sixth, and what is left is there for whoever comes
//! next, without anybody counting how many there are (the dynamic threshold of shared switch buffers,
//! Choudhury and Hahne 1998). One customer alone has a bound of its own.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What is shared so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of requests.
    Bytes,
    /// Batches that are being read, decided or stored.
    Batches,
    /// Calls that end by themselves.
    Calls,
    /// Streams.
    Streams,
}

impl Kind {
    /// How many there are.
    pub(super) const COUNT: usize = 4;

    /// Its place in a list of them.
    pub(super) const fn index(self) -> usize {
        match self {
            Self::Bytes => 0,
            Self::Batches => 1,
            Self::Calls => 2,
            Self::Streams => 3,
        }
    }
}

/// Whether a customer that holds `own` may have `more`, of which `free` are free now and `others` hold the
/// rest. `least` is given to everybody as long as there is any, more than `most` to nobody.
const fn fits(own: usize, more: usize, free: usize, others: usize, (least, most): (usize, usize)) -> bool {
    let wanted = own.saturating_add(more);
    let Some(left) = free.checked_sub(more) else { return false };
    wanted <= most && (others == 0 || wanted <= left || wanted <= least)
}

/// The thing, and how much of it is held.
#[derive(Debug)]
pub(super) struct Portion {
    whole: usize,
    bounds: (usize, usize),
    held: AtomicUsize,
}

impl Portion {
    /// `whole` in all; `least` for everybody, `most` for one.
    pub(super) const fn new(whole: usize, least: usize, most: usize) -> Self {
        Self { whole, bounds: (least, most), held: AtomicUsize::new(0) }
    }

    /// Takes `more` for the customer that holds `own`. Two of one customer at the same moment may both get
    /// the last of its part; the whole is never passed.
    pub(super) fn take(&self, own: &AtomicUsize, more: usize) -> bool {
        let before = self.held.fetch_add(more, Ordering::AcqRel);
        let (free, present) = (self.whole.saturating_sub(before), own.load(Ordering::Acquire));
        if fits(present, more, free, before.saturating_sub(present), self.bounds) {
            own.fetch_add(more, Ordering::AcqRel);
            return true;
        }
        self.held.fetch_sub(more, Ordering::AcqRel);
        false
    }

    /// Gives `back` what the customer held.
    pub(super) fn give(&self, own: &AtomicUsize, back: usize) {
        own.fetch_sub(back, Ordering::AcqRel);
        self.held.fetch_sub(back, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(portion: &Portion, own: &AtomicUsize) -> usize {
        while portion.take(own, 1) {}
        own.load(Ordering::Relaxed)
    }

    // covers: B1
    #[test]
    fn one_customer_gets_half_and_leaves_the_other_half_to_whoever_comes() {
        let portion = Portion::new(1200, 0, 600);
        let customers: Vec<AtomicUsize> = (0..4).map(|_| AtomicUsize::new(0)).collect();
        let got: Vec<usize> = customers.iter().map(|own| take_all(&portion, own)).collect();
        assert_eq!(got, [600, 300, 150, 75]);
        let held: usize = got.iter().sum();
        assert!(held < 1200, "a newcomer finds something");
    }

    #[test]
    fn customers_that_take_turns_end_with_equal_parts() {
        let portion = Portion::new(1200, 0, 600);
        let customers: Vec<AtomicUsize> = (0..5).map(|_| AtomicUsize::new(0)).collect();
        while customers.iter().filter(|own| portion.take(own, 1)).count() > 0 {}
        assert!(customers.iter().all(|own| own.load(Ordering::Relaxed) == 200), "{customers:?}");
    }

    #[test]
    fn everybody_gets_a_little_until_nothing_is_left_and_nobody_more_than_the_most() {
        let portion = Portion::new(100, 10, 30);
        let (greedy, late) = (AtomicUsize::new(0), AtomicUsize::new(0));
        assert_eq!(take_all(&portion, &greedy), 30, "alone");
        let crowd: Vec<AtomicUsize> = (0..20).map(|_| AtomicUsize::new(0)).collect();
        for own in &crowd {
            take_all(&portion, own);
        }
        assert_eq!(take_all(&portion, &late), 0, "all of it is held");
        portion.give(&greedy, 30);
        assert!(take_all(&portion, &late) >= 10);
    }

    #[test]
    fn what_is_asked_for_is_had_whole_or_not_at_all() {
        let portion = Portion::new(100, 0, 90);
        let (own, other) = (AtomicUsize::new(0), AtomicUsize::new(0));
        assert!(!portion.take(&own, 91) && !portion.take(&own, 101) && portion.take(&own, 90));
        portion.give(&own, 90);
        assert!(portion.take(&other, 10) && !portion.take(&own, 46) && portion.take(&own, 45));
        portion.give(&own, 45);
        assert!(portion.take(&own, 45), "what is given back can be had again");
    }
}
