//! Which notices a subscription gets, also when there are more than are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::notice::{Notice, Scope};
use super::notices::{Changed, Notices};
use crate::model::{CustomerKey, ErasureId, UnixMillis};

const MOST: usize = 4;

fn erasure(number: u64) -> ErasureId {
    ErasureId::parse(&format!("00000000-0000-4000-8000-{number:012x}")).unwrap()
}

fn notice(number: u64, customer: u64) -> Arc<Notice> {
    let (from, until) = (UnixMillis(0), UnixMillis(i64::try_from(number).unwrap()));
    let (scope, customers) = (Scope::Times { from, until }, vec![format!("c{customer}")]);
    Arc::new(Notice {
        erasure: erasure(number),
        scope,
        customers,
        requested: until,
        programs: BTreeMap::new(),
        kept: BTreeMap::new(),
        names: BTreeMap::new(),
        leaves: BTreeMap::new(),
    })
}

/// The notices of one subscription, and their rows.
struct Kept {
    notices: Notices,
    rows: BTreeMap<u64, Vec<u8>>,
}

impl Kept {
    fn new() -> Self {
        Self { notices: Notices::new(MOST), rows: BTreeMap::new() }
    }

    fn write(&mut self, changed: Vec<Changed>) {
        for (number, row) in changed {
            match row {
                Some(row) => self.rows.insert(number, row),
                None => self.rows.remove(&number),
            };
        }
    }

    fn add(&mut self, number: u64, customer: u64) {
        let changed = self.notices.add(CustomerKey(customer), notice(number, customer));
        self.write(changed);
    }

    fn acknowledge(&mut self, number: u64) -> bool {
        let changed = self.notices.acknowledge(number);
        let done = changed.is_some();
        self.write(changed.unwrap_or_default());
        done
    }

    fn recover(&mut self) {
        let rows: Vec<_> = self.rows.iter().map(|(number, row)| (*number, row.clone())).collect();
        self.notices = Notices::recover(MOST, &rows).unwrap();
    }

    fn waiting(&self) -> Vec<(u64, Arc<Notice>)> {
        self.notices.after(0, usize::MAX, usize::MAX)
    }
}

#[test]
fn a_notice_comes_until_it_is_acknowledged_and_an_erasure_is_told_once() {
    let mut kept = Kept::new();
    kept.add(1, 7);
    kept.add(1, 7);
    kept.add(2, 7);
    assert_eq!(kept.waiting().len(), 2);
    assert_eq!(kept.notices.after(1, 9, 9).len(), 1, "one comes, however few bytes are wanted");
    assert_eq!(kept.notices.after(0, 1, usize::MAX).len(), 1);
    assert_eq!(kept.notices.after(2, 9, 9).len(), 0);
    assert!(kept.acknowledge(1));
    assert!(!kept.acknowledge(1), "once");
    assert!(!kept.acknowledge(99));
    kept.add(1, 7);
    kept.recover();
    assert_eq!(kept.waiting(), [(2, notice(2, 7))]);
    let fates = [1, 2, 3].map(|number| kept.notices.fate(erasure(number)));
    assert_eq!(fates, [Some(true), Some(false), None]);
}

#[test]
fn too_many_of_one_customer_become_one_for_everything_of_it() {
    let mut kept = Kept::new();
    for number in 1..=9 {
        kept.add(number, 7);
    }
    let waiting = kept.waiting();
    let (_, merged) = waiting.iter().find(|(_, notice)| notice.scope == Scope::Customer).unwrap();
    assert_eq!(merged.customers, ["c7"]);
    assert!(waiting.len() <= MOST);
    assert!((1..=9).all(|number| kept.notices.fate(erasure(number)) == Some(false)));
    for (number, _) in waiting {
        assert!(kept.acknowledge(number));
    }
    assert!((1..=9).all(|number| kept.notices.fate(erasure(number)) == Some(true)), "all at once");
}

#[test]
fn too_many_customers_become_one_notice_for_everything() {
    let mut kept = Kept::new();
    for number in 1..=5 {
        kept.add(number, number);
    }
    let waiting = kept.waiting();
    assert_eq!(waiting.len(), 1);
    assert_eq!((&waiting[0].1.scope, waiting[0].1.requested), (&Scope::Everything, UnixMillis(5)));
    kept.add(6, 1);
    assert_eq!(kept.waiting().len(), 2, "what comes after is told by itself as long as there is room");
}

#[derive(Debug, Clone)]
enum Step {
    Add(u64),
    Acknowledge(usize),
    Recover,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..6_u64).prop_map(Step::Add),
        2 => (0..5_usize).prop_map(Step::Acknowledge),
        1 => Just(Step::Recover),
    ]
}

/// Whether `notice` asks for what the erasure `number` of `customer` took.
fn covers(notice: &Notice, number: u64, customer: u64) -> bool {
    let at = UnixMillis(i64::try_from(number).unwrap());
    let named = notice.customers.contains(&format!("c{customer}"));
    match notice.scope {
        Scope::Everything => notice.requested >= at,
        Scope::Customer => named,
        Scope::Times { until, .. } => named && until == at,
        Scope::Instance { .. } | Scope::Identifier { .. } => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    // covers: B1
    #[test]
    fn what_was_told_and_not_acknowledged_is_always_asked_for(steps in prop::collection::vec(step(), 1..60)) {
        let mut kept = Kept::new();
        // Erasures that are not acknowledged, with their customers.
        let mut open: BTreeSet<(u64, u64)> = BTreeSet::new();
        let mut erasures = 0;
        for step in steps {
            match step {
                Step::Add(customer) => {
                    erasures += 1;
                    open.insert((erasures, customer));
                    kept.add(erasures, customer);
                }
                Step::Acknowledge(pick) => {
                    let waiting = kept.waiting();
                    if let Some((number, notice)) = waiting.get(pick) {
                        prop_assert!(kept.acknowledge(*number));
                        // What another notice still asks for stays open.
                        let left = kept.waiting();
                        open.retain(|(number, customer)| {
                            !covers(notice, *number, *customer)
                                || left.iter().any(|(_, other)| covers(other, *number, *customer))
                        });
                    }
                }
                Step::Recover => kept.recover(),
            }
            let waiting = kept.waiting();
            prop_assert!(waiting.len() <= MOST);
            prop_assert!(kept.rows.len() <= 2 * MOST);
            for (number, customer) in &open {
                prop_assert!(waiting.iter().any(|(_, notice)| covers(notice, *number, *customer)), "{number}");
            }
        }
    }
}
