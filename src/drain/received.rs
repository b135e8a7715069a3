//! Who received what: for each subscription and customer, the first and the last commit that was delivered, and of which
//! programs, with how they named the customer. It tells whom an erasure concerns and what to tell it, whatever the policy
//! says by then, so it stays until the subscription is deleted.
//!
//! After a restore a subscription has one row more, for no customer (0): it may have received data of every customer
//! whose number is below that of its last commit. Its programs are those of which data ever left for the
//! subscription's purpose, of whichever customer, as the ledger tells.
//!
//! A row of `received`: key subscription number (8), customer (8); value version byte 2, first commit (8), last
//! commit (8), programs ([`Programs::write`]). It is written together with the leases of the delivery, and what is new in
//! it but the commits is synced before the delivery goes out: what left is never forgotten. A row of version 1 ends
//! behind the commits: it may be of any program.

use std::collections::{HashMap, HashSet};

use super::programs::{Forms, Programs};
use super::rows::{Row, RowFault};
use crate::model::{CommitNumber, CustomerKey, ProgramName};

const VERSION: u8 = 2;
/// The version before, without programs.
const WITHOUT_PROGRAMS: u8 = 1;
/// Customers of one subscription that are remembered without a look into the store.
const CACHED: usize = 4_096;

/// What a subscription received of one customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) first: CommitNumber,
    pub(super) last: CommitNumber,
    pub(super) programs: Programs,
}

impl Mark {
    /// The key of the row.
    pub(super) fn key(subscription: u64, customer: CustomerKey) -> Vec<u8> {
        [subscription.to_be_bytes(), customer.0.to_be_bytes()].concat()
    }

    /// The row.
    pub(super) fn row(&self) -> Vec<u8> {
        let mut row = vec![VERSION];
        row.extend(self.first.0.to_be_bytes());
        row.extend(self.last.0.to_be_bytes());
        self.programs.write(&mut row);
        row
    }

    /// Reads the row.
    pub(super) fn read(row: &[u8]) -> Result<Self, RowFault> {
        let (version, mut row) = Row::of_some_version(row)?;
        if version != VERSION && version != WITHOUT_PROGRAMS {
            return Err(RowFault::Version(version));
        }
        let (first, last) = (CommitNumber(row.u64()?), CommitNumber(row.u64()?));
        let programs = if version == WITHOUT_PROGRAMS { Programs::any() } else { Programs::read(&mut row)? };
        row.end()?;
        Ok(Self { first, last, programs })
    }

    /// Both together.
    pub(super) fn and(&self, other: &Self) -> Self {
        let (first, last) = (self.first.min(other.first), self.last.max(other.last));
        Self { first, last, programs: self.programs.and(&other.programs) }
    }
}

/// The marks of one subscription that were needed lately.
#[derive(Debug, Default)]
pub(super) struct Marks {
    cached: HashMap<CustomerKey, Mark>,
    /// The programs of those marks: most are of the same, which are kept once.
    programs: HashSet<Programs>,
    /// Grows when marks are forgotten: what was read from the store before may be older than what they were.
    generation: u64,
}

impl Marks {
    /// That of a customer, if it is at hand.
    pub(super) fn get(&self, customer: CustomerKey) -> Option<Mark> {
        self.cached.get(&customer).cloned()
    }

    /// Which of `customers` have to be read, and the generation to say with what was found.
    pub(super) fn unknown(&self, customers: impl Iterator<Item = CustomerKey>) -> (Vec<CustomerKey>, u64) {
        (customers.filter(|customer| !self.cached.contains_key(customer)).collect(), self.generation)
    }

    /// Takes in what was found in the store. `false` if it has to be read again.
    pub(super) fn learn(&mut self, found: &[(CustomerKey, Mark)], generation: u64) -> bool {
        if generation != self.generation {
            return false;
        }
        for (customer, mark) in found {
            if !self.cached.contains_key(customer) {
                let programs = self.once(mark.programs.clone());
                self.cached.insert(*customer, Mark { programs, ..*mark });
            }
        }
        true
    }

    /// Takes note of a delivery of a program that named the customer in these forms. Gives the mark to write, if it
    /// changed, and whether more changed than the commits.
    pub(super) fn mark(
        &mut self,
        (customer, commit): (CustomerKey, CommitNumber),
        (program, forms): (&ProgramName, Forms),
    ) -> Option<(&Mark, bool)> {
        let more = match self.cached.get(&customer) {
            Some(known) => known.programs.with(program, forms),
            None => Programs::default().with(program, forms),
        };
        let more = more.map(|programs| self.once(programs));
        let is_new = more.is_some();
        let first = Mark { first: commit, last: commit, programs: Programs::default() };
        let mark = self.cached.entry(customer).or_insert(first);
        let is_changed = is_new || commit < mark.first || commit > mark.last;
        mark.first = mark.first.min(commit);
        mark.last = mark.last.max(commit);
        mark.programs = more.unwrap_or_else(|| mark.programs.clone());
        is_changed.then_some((mark, is_new))
    }

    /// The same programs, kept once.
    fn once(&mut self, programs: Programs) -> Programs {
        if let Some(known) = self.programs.get(&programs) {
            return known.clone();
        }
        self.programs.insert(programs.clone());
        programs
    }

    /// Forgets marks that take too much room. Only while all of them are in the store.
    pub(super) fn shrink(&mut self) {
        if self.cached.len() > CACHED {
            self.cached.clear();
            self.programs.clear();
            self.generation = self.generation.wrapping_add(1);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::sanitize::Named;

    const ACME: CustomerKey = CustomerKey(7);

    fn program(name: &str) -> ProgramName {
        ProgramName::new(name).unwrap()
    }

    fn stable() -> Forms {
        Forms::from(Some(Named::Stable))
    }

    #[test]
    fn a_mark_spans_what_was_delivered_and_is_written_when_it_changes() {
        let (mut marks, ceip) = (Marks::default(), program("ceip"));
        let commits =
            [(5, Some((5, 5, true))), (7, Some((5, 7, false))), (6, None), (2, Some((2, 7, false)))];
        for (commit, expected) in commits {
            let changed = marks.mark((ACME, CommitNumber(commit)), (&ceip, stable()));
            assert_eq!(changed.map(|(mark, new)| (mark.first.0, mark.last.0, new)), expected, "{commit}");
        }
        // Another program, and another form of the same, are new whatever the commit.
        let id = Forms::from(Some(Named::Id));
        for (name, forms, expected) in
            [("operational", id, true), ("ceip", stable(), false), ("ceip", id, true)]
        {
            let changed = marks.mark((ACME, CommitNumber(6)), (&program(name), forms));
            assert_eq!(changed.is_some_and(|(_, new)| new), expected, "{name}");
        }
        let mark = marks.get(ACME).unwrap();
        assert_eq!(mark.programs.forms(&program("ceip")), Some(stable().and(id)));
        assert_eq!(mark.programs.forms(&program("operational")), Some(id));
        assert_eq!(Mark::read(&mark.row()), Ok(mark.clone()));
        assert_eq!(Mark::read(mark.row().split_last().unwrap().1), Err(RowFault::Damaged));
        assert_eq!(Mark::read(&[3]), Err(RowFault::Version(3)));
    }

    #[test]
    fn a_row_of_before_programs_were_noted_may_be_of_any_also_when_more_comes() {
        let row = [&[1][..], &2_u64.to_be_bytes(), &9_u64.to_be_bytes()].concat();
        let before = Mark { first: CommitNumber(2), last: CommitNumber(9), programs: Programs::any() };
        assert_eq!(Mark::read(&row), Ok(before.clone()));
        let mut marks = Marks::default();
        assert!(marks.learn(&[(ACME, before)], 0));
        let (mark, is_new) = marks.mark((ACME, CommitNumber(10)), (&program("ceip"), stable())).unwrap();
        assert!(is_new && mark.programs.or_others);
        assert_eq!(mark.programs.forms(&program("ceip")), Some(stable()));
        assert_eq!(Mark::read(&mark.row()).as_ref(), Ok(mark));
    }

    #[test]
    fn what_was_read_before_marks_were_forgotten_is_read_again() {
        let (mut marks, ceip) = (Marks::default(), program("ceip"));
        let (unknown, generation) = marks.unknown([ACME].into_iter());
        assert_eq!(unknown, [ACME]);
        for customer in 0..=u64::try_from(CACHED).unwrap() {
            marks.mark((CustomerKey(customer), CommitNumber(1)), (&ceip, stable()));
        }
        assert_eq!(marks.programs.len(), 1, "what is the same is kept once");
        marks.shrink();
        assert!(!marks.learn(&[], generation));
        let (unknown, generation) = marks.unknown([ACME].into_iter());
        assert_eq!(unknown, [ACME]);
        let found = Mark { first: CommitNumber(1), last: CommitNumber(1), programs: Programs::any() };
        assert!(marks.learn(&[(ACME, found)], generation));
        assert_eq!(marks.unknown([ACME].into_iter()).0, []);
    }
}
