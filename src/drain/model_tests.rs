//! The queue against a model so small that it is plainly right: one fate for each commit. After
//! every step the two agree, and so does a queue recovered from the rows written so far.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::counts::SkipReason;
use super::lease::{Cargo, DeadReason, Terms};
use super::rows::Rows;
use super::state::Queue;
use crate::model::{CommitNumber, CustomerKey, UnixMillis};

const TERMS: Terms = Terms { max_attempts: 3, max_outstanding: 5, max_dead: 4 };
const LEASE_MS: i64 = 1_000;
const CARGO: Cargo = Cargo { events: 1, customer: CustomerKey(1), revision: 1, policy: 1, plan: [1; 8] };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    New,
    Returned(u32),
    Leased { attempts: u32, deadline: i64, nonce: u64 },
    Acknowledged,
    Skipped,
    Dead(u32),
    Expired,
}

#[derive(Debug, Clone)]
enum Step {
    Store(u8),
    Pull {
        max: usize,
        skip: bool,
        damaged: bool,
    },
    /// A pull that ends with the process, before it hands anything out.
    Vain(usize),
    Acknowledge(usize),
    Return(usize),
    Extend(usize, i64),
    Release(usize),
    Condemn(usize),
    Withdraw(usize),
    TakeBack(usize),
    Advance(i64),
    Seek(u64),
    Drop(u64),
    Replay {
        all: bool,
        pick: u64,
    },
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..4u8).prop_map(Step::Store),
        8 => (1..4usize, prop::bool::weighted(0.15), prop::bool::weighted(0.1))
            .prop_map(|(max, skip, damaged)| Step::Pull { max, skip, damaged }),
        1 => (1..4usize).prop_map(Step::Vain),
        6 => (0..40usize).prop_map(Step::Acknowledge),
        2 => (0..40usize).prop_map(Step::Return),
        1 => (0..40usize, 1..2_000i64).prop_map(|(pick, ms)| Step::Extend(pick, ms)),
        1 => (0..40usize).prop_map(Step::Release),
        1 => (0..40usize).prop_map(Step::Condemn),
        1 => (0..40usize).prop_map(Step::Withdraw),
        1 => (0..40usize).prop_map(Step::TakeBack),
        3 => (1..1_500i64).prop_map(Step::Advance),
        1 => (0..30u64).prop_map(Step::Seek),
        1 => (0..4u64).prop_map(Step::Drop),
        1 => (any::<bool>(), 0..30u64).prop_map(|(all, pick)| Step::Replay { all, pick }),
        2 => Just(Step::Crash),
    ]
}

/// The model, the queue, and the rows that the queue has written.
struct Pair {
    fates: Vec<Fate>,
    oldest: u64,
    now: i64,
    queue: Queue,
    head_row: Vec<u8>,
    rows: [BTreeMap<u64, Vec<u8>>; 2],
    /// Every lease ever given, also those that have ended.
    given: Vec<(u64, u64)>,
    seed: u64,
    expired_dead: u64,
}

impl Pair {
    fn new() -> Self {
        let queue = Queue::new(CommitNumber(1), TERMS, 0);
        let rows = Default::default();
        let (fates, given) = (Vec::new(), Vec::new());
        let mut pair =
            Self { fates, oldest: 1, now: 0, queue, head_row: vec![], rows, given, seed: 0, expired_dead: 0 };
        pair.write();
        pair
    }

    fn fate(&mut self, commit: u64) -> &mut Fate {
        &mut self.fates[usize::try_from(commit - 1).unwrap()]
    }

    fn head(&self) -> u64 {
        self.fates.len().try_into().unwrap()
    }

    fn write(&mut self) {
        let changes = self.queue.take_changes();
        if let Some(head) = changes.head {
            self.head_row = head;
        }
        for (table, rows) in self.rows.iter_mut().zip([changes.outstanding, changes.dead]) {
            for (commit, row) in rows {
                match row {
                    Some(row) => table.insert(commit.0, row),
                    None => table.remove(&commit.0),
                };
            }
        }
    }

    fn recovered(&self, seed: u64) -> Queue {
        let [outstanding, dead] = self
            .rows
            .each_ref()
            .map(|table| table.iter().map(|(commit, row)| (CommitNumber(*commit), row.clone())).collect());
        let rows = Rows { head: self.head_row.clone(), outstanding, dead };
        Queue::recover(&rows, TERMS, seed, CommitNumber(self.head())).unwrap()
    }

    fn find(&self, wanted: impl Fn(&Fate) -> bool) -> Vec<u64> {
        (1..).zip(&self.fates).filter(|(_, fate)| wanted(fate)).map(|(commit, _)| commit).collect()
    }

    fn give_up(&mut self, commit: u64, attempts: u32) {
        *self.fate(commit) = Fate::Dead(attempts);
        let dead = self.find(|fate| matches!(fate, Fate::Dead(_)));
        if dead.len() > TERMS.max_dead {
            *self.fate(dead[0]) = Fate::Expired;
            self.expired_dead += 1;
        }
    }

    fn end(&mut self, commit: u64, attempts: u32) {
        if attempts >= TERMS.max_attempts {
            self.give_up(commit, attempts);
        } else {
            *self.fate(commit) = Fate::Returned(attempts);
        }
    }

    /// Ends leases in the order of their deadlines, as the queue does.
    fn expire(&mut self) {
        let mut due: Vec<(i64, u64, u32)> = Vec::new();
        for (commit, fate) in (1..).zip(&self.fates) {
            if let Fate::Leased { attempts, deadline, .. } = *fate
                && deadline <= self.now
            {
                due.push((deadline, commit, attempts));
            }
        }
        due.sort_unstable();
        for (_, commit, attempts) in due {
            self.end(commit, attempts);
        }
        self.queue.expire(UnixMillis(self.now));
    }

    fn pull(&mut self, max: usize, skip: bool, damaged: bool) {
        self.expire();
        for _ in 0..max {
            let again = self.find(|fate| matches!(fate, Fate::Returned(_)));
            let outstanding = again.len() + self.find(|fate| matches!(fate, Fate::Leased { .. })).len();
            let new = self.find(|fate| *fate == Fate::New);
            let fits = outstanding < TERMS.max_outstanding;
            let expected = again.first().or(new.first().filter(|_| fits)).copied();
            let new =
                (self.queue.room() > 0 && self.queue.next().0 <= self.head()).then(|| self.queue.next());
            let offered = self.queue.returned(1).first().copied().or(new);
            assert_eq!(offered.map(|commit| commit.0), expected, "redelivered first, oldest first");
            let Some(commit) = offered else { break };
            let attempts = match *self.fate(commit.0) {
                Fate::Returned(attempts) => attempts,
                _ => 0,
            };
            if skip {
                assert!(self.queue.skip(commit, 1, SkipReason::Filter));
                *self.fate(commit.0) = Fate::Skipped;
            } else if damaged {
                assert!(self.queue.bury(commit, UnixMillis(self.now), DeadReason::Damaged));
                self.give_up(commit.0, attempts);
            } else {
                let lease = self.queue.lease(commit, CARGO, UnixMillis(self.now), LEASE_MS).unwrap();
                if self.queue.is_dirty() && lease.nonce.is_multiple_of(2) {
                    // Another pull writes what is not handed out yet.
                    self.write();
                }
                self.queue.hand_out(commit, lease.nonce, CARGO.plan).unwrap();
                assert_eq!(lease.attempts, attempts + 1, "attempts survive");
                let (attempts, deadline, nonce) = (lease.attempts, lease.deadline.0, lease.nonce);
                assert!(self.given.iter().all(|(_, earlier)| *earlier != nonce), "a nonce comes once");
                *self.fate(commit.0) = Fate::Leased { attempts, deadline, nonce };
                self.given.push((commit.0, nonce));
            }
        }
    }

    fn vain(&mut self, max: usize) {
        self.expire();
        let mut candidates = self.queue.returned(max);
        let is_new = candidates.len() < max && self.queue.room() > 0 && self.queue.next().0 <= self.head();
        candidates.extend(is_new.then(|| self.queue.next()));
        for commit in candidates {
            let lease = self.queue.lease(commit, CARGO, UnixMillis(self.now), LEASE_MS).unwrap();
            // It waits to be delivered again, and the attempt does not count.
            *self.fate(commit.0) = Fate::Returned(lease.attempts - 1);
        }
        self.write();
        self.apply(&Step::Crash);
    }

    /// Does `step` to one lease ever given, in both; a lease that has ended refuses.
    fn on_lease(&mut self, step: &Step, pick: usize) {
        if self.given.is_empty() {
            return;
        }
        self.expire();
        let (commit, nonce) = self.given[pick % self.given.len()];
        let (number, now) = (CommitNumber(commit), UnixMillis(self.now));
        let live = match *self.fate(commit) {
            Fate::Leased { nonce: current, attempts, .. } if current == nonce => Some(attempts),
            _ => None,
        };
        let result = match step {
            Step::Acknowledge(_) => self.queue.acknowledge(number, nonce),
            Step::Return(_) => self.queue.extend(number, nonce, now, 0),
            Step::Extend(_, ms) => self.queue.extend(number, nonce, now, *ms),
            Step::Release(_) => self.queue.release(number, nonce),
            Step::Condemn(_) => self.queue.condemn(number, nonce, now),
            Step::TakeBack(_) => self.queue.take_back(number, nonce),
            _ => self.queue.withdraw(number, nonce, SkipReason::Lowered),
        };
        assert_eq!(result.is_ok(), live.is_some(), "{step:?} of {commit}");
        let Some(attempts) = live else { return };
        match step {
            Step::Acknowledge(_) => *self.fate(commit) = Fate::Acknowledged,
            Step::Return(_) => self.end(commit, attempts),
            Step::Extend(_, ms) => {
                *self.fate(commit) = Fate::Leased { attempts, nonce, deadline: self.now + ms };
            }
            Step::Release(_) => *self.fate(commit) = Fate::Returned(attempts - 1),
            Step::Condemn(_) => self.give_up(commit, attempts - 1),
            Step::TakeBack(_) => *self.fate(commit) = Fate::Returned(0),
            _ => *self.fate(commit) = Fate::Skipped,
        }
    }

    fn seek(&mut self, to: u64) {
        let to = to.max(self.oldest).min(self.head() + 1);
        let cursor = self.queue.seek(CommitNumber(to), CommitNumber(self.oldest), CommitNumber(self.head()));
        assert_eq!(cursor.0, to);
        for (commit, fate) in (1..).zip(&mut self.fates) {
            let waiting = matches!(fate, Fate::New | Fate::Returned(_) | Fate::Leased { .. });
            if commit >= to {
                *fate = Fate::New;
            } else if waiting {
                *fate = Fate::Skipped;
            }
        }
    }

    fn drop(&mut self, by: u64) {
        self.oldest = (self.oldest + by).min(self.head() + 1);
        let oldest = self.oldest;
        self.queue.drop_below(CommitNumber(oldest));
        for (commit, fate) in (1..).zip(&mut self.fates) {
            if commit < oldest && matches!(fate, Fate::New | Fate::Returned(_) | Fate::Leased { .. }) {
                *fate = Fate::Expired;
            }
        }
    }

    fn replay(&mut self, all: bool, pick: u64) {
        let mut expected = 0;
        for commit in self.find(|fate| matches!(fate, Fate::Dead(_))) {
            let outstanding = self.find(|fate| matches!(fate, Fate::Returned(_) | Fate::Leased { .. })).len();
            if !all && commit != pick {
                continue;
            }
            if commit < self.oldest {
                *self.fate(commit) = Fate::Expired;
            } else if outstanding < TERMS.max_outstanding {
                *self.fate(commit) = Fate::Returned(0);
                expected += 1;
            } else {
                break;
            }
        }
        let chosen = [CommitNumber(pick)];
        assert_eq!(self.queue.replay((!all).then_some(&chosen), CommitNumber(self.oldest)), expected);
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Store(n) => self.fates.extend((0..n).map(|_| Fate::New)),
            Step::Pull { max, skip, damaged } => self.pull(max, skip, damaged),
            Step::Vain(max) => self.vain(max),
            Step::Acknowledge(pick)
            | Step::Return(pick)
            | Step::Extend(pick, _)
            | Step::Release(pick)
            | Step::Condemn(pick)
            | Step::Withdraw(pick)
            | Step::TakeBack(pick) => self.on_lease(step, pick),
            Step::Advance(ms) => self.now += ms,
            Step::Seek(to) => self.seek(to),
            Step::Drop(by) => self.drop(by),
            Step::Replay { all, pick } => self.replay(all, pick),
            Step::Crash => {
                self.seed += 1_000_000;
                self.queue = self.recovered(self.seed);
            }
        }
    }

    fn agree(&self, queue: &Queue) {
        let unfinished = |fate: &Fate| matches!(fate, Fate::New | Fate::Returned(_) | Fate::Leased { .. });
        let waiting = self.find(unfinished);
        let cursor = waiting.first().copied().unwrap_or(self.head() + 1);
        assert_eq!(queue.cursor().0, cursor, "the first that is not done with");
        let balance = queue.balance(CommitNumber(self.head()), 0);
        assert!(balance.adds_up(), "{balance:?}");
        assert_eq!(balance.waiting, u64::try_from(waiting.len()).unwrap());
        let dead: Vec<(u64, u32)> = queue
            .dead_letters(None, 99)
            .into_iter()
            .map(|(commit, dead)| (commit.0, dead.attempts))
            .collect();
        let mut expected = Vec::new();
        for (commit, fate) in (1..).zip(&self.fates) {
            match *fate {
                Fate::Dead(attempts) => expected.push((commit, attempts)),
                Fate::Leased { attempts, deadline, nonce } => {
                    let lease = queue.lease_of(CommitNumber(commit), nonce).expect("still leased");
                    assert_eq!((lease.attempts, lease.deadline.0), (attempts, deadline));
                }
                _ => {}
            }
        }
        assert_eq!(dead, expected);
        let returned: Vec<u64> = queue.returned(99).into_iter().map(|commit| commit.0).collect();
        assert_eq!(returned, self.find(|fate| matches!(fate, Fate::Returned(_))));
        assert!(queue.leased() + returned.len() <= TERMS.max_outstanding);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    // covers: D4, B1
    #[test]
    fn the_queue_and_its_rows_agree_with_the_model(steps in prop::collection::vec(step(), 1..120)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.apply(step);
            pair.write();
            pair.agree(&pair.queue);
            pair.agree(&pair.recovered(0));
        }
        // In the end everything is delivered: nothing is stuck.
        for round in 0..200 {
            pair.apply(&Step::Pull { max: 3, skip: false, damaged: false });
            for pick in 0..pair.given.len() {
                pair.apply(&Step::Acknowledge(pick));
            }
            if pair.queue.cursor().0 > pair.head() {
                break;
            }
            prop_assert!(round < 199, "stuck at {}", pair.queue.cursor());
        }
    }
}
