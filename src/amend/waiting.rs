//! Who waits to be bound, who is being bound just now, since when, and what of that is overdue. Pure but for locks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::{CustomerKey, UnixMillis};

/// Customers that wait to be bound one by one; if there are more, everything is looked at.
const WAITING: usize = 10_000;

/// Whose records are to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    /// Everybody's: the policy changed, or the collector was started.
    Everybody,
    /// Those of some.
    Some(BTreeSet<CustomerKey>),
}

impl Who {
    fn has(&self, customer: CustomerKey) -> bool {
        match self {
            Self::Everybody => true,
            Self::Some(customers) => customers.contains(&customer),
        }
    }
}

/// When changes were made that the disk does not follow yet: of a customer, or of what holds for everybody. By the steady
/// clock: what is overdue must not be forgotten because somebody sets the other one.
type Since = BTreeMap<Option<CustomerKey>, Duration>;

/// What is to be done, or being done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) who: Who,
    since: Since,
}

impl Wanted {
    const fn nothing() -> Self {
        Self { who: Who::Some(BTreeSet::new()), since: Since::new() }
    }
}

/// Who waits to be bound, and who is being bound.
#[derive(Debug)]
pub(super) struct Waiting(Mutex<State>);

#[derive(Debug)]
struct State {
    waiting: Wanted,
    /// What is being done, and since when.
    busy: Option<(Wanted, UnixMillis)>,
    /// When the last look at everything began that came to its end.
    looked: Option<UnixMillis>,
    /// How many changes were overdue when that was looked at last.
    overdue: usize,
    /// Since when a policy is in force that everybody will wait for when it is time.
    later: Option<Duration>,
}

impl State {
    /// When each change was made that the disk does not follow yet.
    fn since(&self) -> impl Iterator<Item = &Duration> {
        let busy = self.busy.iter().flat_map(|(busy, _)| busy.since.values());
        self.waiting.since.values().chain(busy).chain(&self.later)
    }
}

/// What is new about what is overdue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// Something is overdue that was not.
    Overdue,
    /// Nothing is any more.
    CaughtUp,
    /// As before.
    Same,
}

impl Waiting {
    /// Everybody waits from `now` on: nobody knows what was left to do when the collector ended.
    pub(super) fn everybody_since(now: Duration) -> Self {
        let waiting = Wanted { who: Who::Everybody, since: Since::from([(None, now)]) };
        Self(Mutex::new(State { waiting, busy: None, looked: None, overdue: 0, later: None }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A customer's participation was changed.
    pub(super) fn add(&self, customer: CustomerKey, now: Duration) {
        let waiting = &mut self.state().waiting;
        waiting.since.entry(Some(customer)).or_insert(now);
        if let Who::Some(customers) = &mut waiting.who {
            customers.insert(customer);
        }
        waiting.bound();
    }

    /// What holds for everybody was changed.
    pub(super) fn everybody(&self, now: Duration) {
        let waiting = &mut self.state().waiting;
        waiting.who = Who::Everybody;
        waiting.since.entry(None).or_insert(now);
    }

    /// A policy came into force that is not brought to the disk yet. One that came before it waits for longer.
    pub(super) fn later(&self, since: Duration) {
        self.state().later.get_or_insert(since);
    }

    /// What waits for its time came into force no sooner than this: what came before is on the disk.
    pub(super) fn later_from(&self, since: Duration) {
        if let Some(later) = &mut self.state().later {
            *later = since;
        }
    }

    /// It is time for that.
    pub(super) fn now(&self) {
        let later = self.state().later.take();
        if let Some(since) = later {
            self.everybody(since);
        }
    }

    /// Has everything looked at although nothing was changed.
    pub(super) fn look(&self) {
        self.state().waiting.who = Who::Everybody;
    }

    /// Takes what waits: it is being done from `now` on. `None` if nobody waits.
    pub(super) fn take(&self, now: UnixMillis) -> Option<Who> {
        let mut state = self.state();
        let taken = std::mem::replace(&mut state.waiting, Wanted::nothing());
        if taken.who == Wanted::nothing().who {
            return None;
        }
        let who = taken.who.clone();
        state.busy = Some((taken, now));
        Some(who)
    }

    /// What was taken is done.
    pub(super) fn done(&self) {
        let mut state = self.state();
        if let Some((Wanted { who: Who::Everybody, .. }, begun)) = state.busy.take() {
            state.looked = Some(begun);
        }
    }

    /// Whether everything was looked at, from after `at` on and to the end.
    pub(super) fn has_looked_since(&self, at: UnixMillis) -> bool {
        self.state().looked.is_some_and(|looked| looked > at)
    }

    /// What was taken could not be done: it waits again.
    pub(super) fn put_back(&self) {
        let mut state = self.state();
        let Some((Wanted { who, since }, _)) = state.busy.take() else { return };
        let waiting = &mut state.waiting;
        match (who, &mut waiting.who) {
            (Who::Everybody, _) => waiting.who = Who::Everybody,
            (Who::Some(_), Who::Everybody) => {}
            (Who::Some(customers), Who::Some(all)) => all.extend(customers),
        }
        for (customer, at) in since {
            let first = waiting.since.entry(customer).or_insert(at);
            *first = (*first).min(at);
        }
        waiting.bound();
    }

    /// Whether a customer waits to be bound, or is being bound.
    pub(super) fn has(&self, customer: CustomerKey) -> bool {
        let state = self.state();
        state.waiting.who.has(customer) || state.busy.as_ref().is_some_and(|(busy, _)| busy.who.has(customer))
    }

    /// How many changes the disk does not follow yet, and how long ago the first of them was made; a change for everybody
    /// counts as one.
    pub(super) fn due(&self, now: Duration) -> (usize, Duration) {
        let state = self.state();
        let (count, first) = state.since().fold((0, now), |(count, first), at| (count + 1, first.min(*at)));
        (count, now.saturating_sub(first))
    }

    /// How many changes the disk does not follow yet although it should, `within` after they were made; a change for
    /// everybody counts as one.
    pub(super) fn overdue(&self, now: Duration, within: Duration) -> (usize, News) {
        let mut state = self.state();
        let is_late = |at: &&Duration| now > at.saturating_add(within);
        let overdue = state.since().filter(is_late).count();
        let news = match (std::mem::replace(&mut state.overdue, overdue), overdue) {
            (0, 1..) => News::Overdue,
            (1.., 0) => News::CaughtUp,
            (_, _) => News::Same,
        };
        (overdue, news)
    }
}

impl Wanted {
    /// With too many customers, everybody is looked at.
    fn bound(&mut self) {
        let many = matches!(&self.who, Who::Some(customers) if customers.len() > WAITING);
        if many {
            self.who = Who::Everybody;
        }
        if self.since.len() > WAITING {
            let first = self.since.values().min().copied();
            self.since = first.into_iter().map(|first| (None, first)).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = ms(100);

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_change_is_overdue_from_its_time_on_until_it_is_done_and_that_is_news_once() {
        let waiting = Waiting::everybody_since(ms(0));
        assert_eq!(waiting.take(UnixMillis(0)), Some(Who::Everybody));
        assert_eq!(waiting.overdue(ms(100), WITHIN), (0, News::Same));
        assert_eq!(waiting.overdue(ms(101), WITHIN), (1, News::Overdue), "also while it is being done");
        assert_eq!(waiting.due(ms(101)), (1, Duration::from_millis(101)));
        waiting.done();
        assert_eq!(waiting.overdue(ms(102), WITHIN), (0, News::CaughtUp));
        assert_eq!(waiting.due(ms(102)), (0, Duration::ZERO));
        waiting.add(CustomerKey(1), ms(200));
        waiting.add(CustomerKey(2), ms(250));
        waiting.add(CustomerKey(1), ms(290));
        assert_eq!(waiting.overdue(ms(301), WITHIN), (1, News::Overdue), "from the first change on");
        assert_eq!(waiting.take(UnixMillis(0)), Some(Who::Some([CustomerKey(1), CustomerKey(2)].into())));
        waiting.add(CustomerKey(3), ms(300));
        waiting.put_back();
        assert!(waiting.has(CustomerKey(1)) && waiting.has(CustomerKey(3)) && !waiting.has(CustomerKey(4)));
        assert_eq!(waiting.overdue(ms(351), WITHIN), (2, News::Same));
        let all = [CustomerKey(1), CustomerKey(2), CustomerKey(3)];
        assert_eq!(waiting.take(UnixMillis(0)), Some(Who::Some(all.into())));
        waiting.done();
        assert_eq!(
            (waiting.take(UnixMillis(0)), waiting.overdue(ms(999), WITHIN)),
            (None, (0, News::CaughtUp))
        );
        // A policy that waits for its time is counted like any other change.
        waiting.later_from(ms(0));
        waiting.later(ms(1_000));
        waiting.later(ms(1_040));
        assert_eq!(waiting.take(UnixMillis(1_010)), None);
        assert_eq!(waiting.due(ms(1_050)), (1, Duration::from_millis(50)));
        waiting.now();
        assert_eq!(waiting.take(UnixMillis(1_050)), Some(Who::Everybody));
        assert_eq!(waiting.overdue(ms(1_101), WITHIN), (1, News::Overdue), "from its beginning on");
        waiting.done();
        assert_eq!(waiting.overdue(ms(1_102), WITHIN), (0, News::CaughtUp));
        // Once what came first is on the disk, it is the next one that counts.
        waiting.later(ms(2_000));
        waiting.later_from(ms(2_090));
        assert_eq!(waiting.overdue(ms(2_101), WITHIN), (0, News::Same));
        assert_eq!(waiting.due(ms(2_101)), (1, ms(11)));
        waiting.now();
        waiting.take(UnixMillis(2_101));
        waiting.done();
        // A look without a change has no time by which it is to be done.
        waiting.look();
        assert_eq!(waiting.take(UnixMillis(0)), Some(Who::Everybody));
        assert_eq!(waiting.overdue(ms(9_999), WITHIN), (0, News::Same));
    }

    #[test]
    fn a_look_at_everything_counts_from_its_beginning_and_only_once_it_is_at_its_end() {
        let waiting = Waiting::everybody_since(ms(0));
        waiting.take(UnixMillis(10));
        assert!(!waiting.has_looked_since(UnixMillis(5)), "under way");
        waiting.put_back();
        assert!(!waiting.has_looked_since(UnixMillis(5)), "it failed");
        waiting.take(UnixMillis(20));
        waiting.done();
        assert!(waiting.has_looked_since(UnixMillis(19)));
        assert!(!waiting.has_looked_since(UnixMillis(20)), "what was changed then may not have been seen");
        waiting.add(CustomerKey(1), ms(30));
        waiting.take(UnixMillis(40));
        waiting.done();
        assert!(!waiting.has_looked_since(UnixMillis(20)), "a look at one is none at the others");
    }

    /// covers: B1
    #[test]
    fn with_too_many_customers_everybody_is_looked_at_and_the_first_time_holds() {
        let waiting = Waiting::everybody_since(ms(0));
        waiting.take(UnixMillis(0));
        waiting.done();
        let many = u64::try_from(WAITING).unwrap_or(u64::MAX) + 1;
        for customer in 0..many {
            waiting.add(CustomerKey(customer), ms(customer));
        }
        assert_eq!(waiting.overdue(ms(101), WITHIN), (1, News::Overdue));
        assert_eq!(waiting.take(UnixMillis(0)), Some(Who::Everybody));
    }
}
