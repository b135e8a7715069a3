//! When a changed policy is brought to what is stored: once it has been in force for half of
//! [`super::Options::bind_within`]. What leaves is bound by it at once. But what is taken off the disk does not come back, and
//! a file that is away or half-written for a moment is a policy, too: whoever puts the one before back in that time has
//! lost nothing. What a customer itself has chosen does not wait. Pure but for a lock and a clock.
//!
//! How long a policy has been in force is counted by the steady clock: the other one may be wrong for a moment, and for
//! that nothing is taken. What was before a start can be told by the other one only; it is believed if it says so still
//! some time later.
//!
//! Where policies change before they have been in force for so long, what is stored follows what all of them have in
//! common that were in force of late: nothing is taken that one of them would have left in that time.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::AmendError;
use super::bound::{decode, put};
use crate::model::{CustomerKey, UnixMillis};
use crate::observe::Clock;
use crate::policy::Policy;
use crate::store::{MetaOp, MetaTable, Store};

/// The key of the row. No customer has a number of this length.
const POLICY: &[u8] = b"policy";
/// Policies that are remembered of those that were in force for too short a time. One that says the same as another
/// counts once. What was stored under an older one waits.
const RECENT: usize = 8;
/// Customers of whom it is remembered that something waits. Beyond it, something of everybody does.
const HELD: usize = 10_000;
/// Of the time that a policy has to be in force, the part that it has to be after a start, whatever it was before.
const AFTER_START: u32 = 10;
/// By what the wall clock may have gone another way than the steady one before the row is written again, in milliseconds.
const ASTRAY: i64 = 1_000;

/// Which policy what is stored follows, and which one is in force since when: a row, so that a start is no way around.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    follows: String,
    in_force: String,
    since: UnixMillis,
}

impl Row {
    pub(super) fn read(store: &Store) -> Result<Option<Self>, AmendError> {
        store.meta(MetaTable::Bindings, POLICY)?.map(|row| decode(&row)).transpose()
    }

    pub(super) fn put(&self) -> Result<MetaOp, AmendError> {
        put(POLICY.to_vec(), self)
    }
}

/// What is judged by while the policy in force is too new.
#[derive(Debug, Clone)]
pub(super) struct Before {
    /// Those that were in force of late, the newest first: what one of them leaves is not taken.
    pub(super) recent: Vec<Arc<Policy>>,
    /// Those that were in force before: something may be stored under them.
    pub(super) older: Vec<Arc<Policy>>,
    /// The one that what is stored follows; `None` if it was another one before the start.
    pub(super) follows: Option<Arc<Policy>>,
    /// Whether there was one of late that nobody has any more.
    pub(super) is_unknown: bool,
}

/// What is stored follows from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follow {
    /// Nothing else than before.
    Not,
    /// What every policy of late has in common.
    Agreed,
    /// The policy in force.
    Whole,
}

#[derive(Debug)]
pub(super) struct Settling {
    /// How long a policy is in force before what is stored follows it.
    after: Duration,
    clock: Clock,
    state: Mutex<State>,
}

/// All times but one are those of the steady clock.
#[derive(Debug)]
struct State {
    in_force: Arc<Policy>,
    since: Duration,
    /// How long it was in force before the start.
    before_start: Duration,
    /// Since when it is in force, as the wall clock tells it: for the row.
    since_wall: UnixMillis,
    /// The version of the policy that what is stored follows.
    follows: String,
    /// That policy, if it is not the one in force and there was no start since.
    policy: Option<Arc<Policy>>,
    is_settled: bool,
    /// What else was in force since what is stored followed the policy in force, that policy among it. The newest first.
    past: VecDeque<Past>,
    /// When the last one ended that nobody has any more.
    unknown: Option<Duration>,
    /// Since when there are policies that what is stored does not follow.
    first: Duration,
    /// When what they have in common was looked for.
    looked: Option<Duration>,
    /// The first one that is newer than what is being looked at just now.
    next_first: Option<Duration>,
    held: BTreeSet<CustomerKey>,
    is_written: bool,
    is_counted: bool,
}

/// A policy that was in force until a time.
#[derive(Debug)]
struct Past {
    policy: Arc<Policy>,
    until: Duration,
}

impl State {
    /// How long the policy in force is. What the wall clock says of the time before the start holds while it says so.
    fn been(&mut self, clock: &Clock, now: Duration) -> Duration {
        let elapsed = now.saturating_sub(self.since);
        if !self.before_start.is_zero() {
            let by_wall = u64::try_from(clock.now().ms_since(self.since_wall)).unwrap_or(0);
            let before = Duration::from_millis(by_wall).saturating_sub(elapsed);
            self.before_start = self.before_start.min(before);
        }
        elapsed.saturating_add(self.before_start)
    }

    fn remember(&mut self, policy: Arc<Policy>, until: Duration) {
        self.past.retain(|past| !past.policy.says_the_same_as(&policy));
        self.past.push_front(Past { policy, until });
        if self.past.len() > RECENT {
            let oldest = self.past.pop_back().map(|past| past.until);
            self.unknown = self.unknown.max(oldest);
        }
    }
}

impl Settling {
    /// As it was left, with `policy` in force now. Where nobody knows, what is stored follows it.
    pub(super) fn begin(row: Option<Row>, policy: Arc<Policy>, clock: Clock, within: Duration) -> Self {
        let version = policy.version().to_owned();
        let (now, since) = (clock.now(), clock.steady());
        let is_written = row.as_ref().is_some_and(|row| row.in_force == version);
        let row =
            row.unwrap_or_else(|| Row { follows: version.clone(), in_force: version.clone(), since: now });
        let is_settled = row.follows == version && row.in_force == version;
        let since_wall = if row.in_force == version { row.since } else { now };
        let before_start = Duration::from_millis(u64::try_from(now.ms_since(since_wall)).unwrap_or(0));
        let before = (row.follows == version).then(|| Arc::clone(&policy));
        let state = State {
            in_force: policy,
            since,
            before_start,
            since_wall,
            follows: row.follows,
            policy: before.filter(|_| !is_settled),
            is_settled,
            past: VecDeque::new(),
            unknown: (!is_settled).then_some(since),
            first: since,
            looked: None,
            next_first: None,
            held: BTreeSet::new(),
            is_written,
            is_counted: is_settled,
        };
        Self { after: within / 2, clock, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of the policy in force. Gives whether it is another one.
    pub(super) fn note(&self, policy: &Arc<Policy>) -> bool {
        let mut guard = self.state();
        let state = &mut *guard;
        if state.in_force.version() == policy.version() {
            return false;
        }
        let now = self.clock.steady();
        let old = std::mem::replace(&mut state.in_force, Arc::clone(policy));
        (state.is_written, state.is_counted) = (false, false);
        if policy.says_the_same_as(&old) {
            // A comment takes nothing, and does not begin anew.
            if state.is_settled {
                policy.version().clone_into(&mut state.follows);
            }
            return false;
        }
        if state.is_settled {
            (state.policy, state.first) = (Some(Arc::clone(&old)), now);
            (state.looked, state.next_first, state.unknown) = (None, None, None);
        }
        state.remember(old, now);
        state.past.retain(|past| !past.policy.says_the_same_as(policy));
        (state.since, state.since_wall, state.before_start) = (now, self.clock.now(), Duration::ZERO);
        state.is_settled = false;
        true
    }

    /// Says what is stored follows from now on, if it is time for something else than before.
    pub(super) fn settle(&self) -> Follow {
        let mut guard = self.state();
        let state = &mut *guard;
        if state.is_settled {
            return Follow::Not;
        }
        let now = self.clock.steady();
        if self.left_of(state, now).is_zero() {
            state.in_force.version().clone_into(&mut state.follows);
            (state.policy, state.next_first, state.unknown) = (None, None, None);
            state.past.clear();
            state.held.clear();
            (state.is_settled, state.is_counted, state.is_written) = (true, true, false);
            return Follow::Whole;
        }
        if !self.left_of_look(state, now).is_zero() {
            return Follow::Not;
        }
        // What was in force until then is on the disk once all records were looked at; this is the next.
        let newer = state.past.iter().map(|past| past.until).filter(|until| self.is_of_late(*until, now));
        (state.looked, state.next_first) = (Some(now), newer.min());
        state.held.clear();
        Follow::Agreed
    }

    /// A look at all records has come to its end. Gives since when there is a policy that they do not follow yet, if that
    /// is another time than before.
    pub(super) fn followed(&self) -> Option<Duration> {
        let mut state = self.state();
        let next = state.next_first.take().filter(|_| state.held.is_empty())?;
        state.first = next;
        Some(next)
    }

    fn is_of_late(&self, until: Duration, now: Duration) -> bool {
        now.saturating_sub(until) < self.after
    }

    /// How long it is until what is stored follows the policy in force.
    fn left_of(&self, state: &mut State, now: Duration) -> Duration {
        let left = self.after.saturating_sub(state.been(&self.clock, now));
        if state.before_start.is_zero() {
            return left;
        }
        left.max((self.after / AFTER_START).saturating_sub(now.saturating_sub(state.since)))
    }

    /// How long it is until it follows what the policies of late have in common.
    fn left_of_look(&self, state: &State, now: Duration) -> Duration {
        let last = state.looked.unwrap_or(state.first).max(state.first);
        self.after.saturating_sub(now.saturating_sub(last))
    }

    /// How long what is stored does not follow the policy in force yet; `None` if it does.
    pub(super) fn left(&self) -> Option<Duration> {
        let mut state = self.state();
        (!state.is_settled).then(|| self.left_of(&mut state, self.clock.steady()))
    }

    /// How long it is until [`Self::settle`] is to be asked again; `None` if what is stored follows the policy in force.
    pub(super) fn next(&self) -> Option<Duration> {
        let (mut state, now) = (self.state(), self.clock.steady());
        (!state.is_settled).then(|| self.left_of(&mut state, now).min(self.left_of_look(&state, now)))
    }

    /// What is judged by besides the policy in force; `None` if that is alone.
    pub(super) fn before(&self) -> Option<Before> {
        let (state, now) = (self.state(), self.clock.steady());
        let of_late = |past: &&Past| self.is_of_late(past.until, now);
        let policy = |past: &Past| Arc::clone(&past.policy);
        // One that ended when this one began was of late until this one has settled.
        let is_unknown = state.unknown.is_some_and(|end| end >= state.since || self.is_of_late(end, now));
        (!state.is_settled).then(|| Before {
            recent: state.past.iter().filter(of_late).map(policy).collect(),
            older: state.past.iter().filter(|past| !of_late(past)).map(policy).collect(),
            follows: state.policy.clone(),
            is_unknown,
        })
    }

    /// Something of a customer waits.
    pub(super) fn hold(&self, customer: CustomerKey) {
        let mut state = self.state();
        if !state.is_settled && state.held.len() <= HELD {
            state.held.insert(customer);
        }
    }

    /// Whether something of a customer waits, for all that is known.
    pub(super) fn holds(&self, customer: CustomerKey) -> bool {
        let state = self.state();
        state.held.len() > HELD || state.held.contains(&customer)
    }

    /// Whether somebody has set the wall clock, so that the row says another time than it should. Told once.
    pub(super) fn has_moved(&self) -> bool {
        let mut guard = self.state();
        let state = &mut *guard;
        let been = state.been(&self.clock, self.clock.steady());
        let since = self.clock.now().plus_ms(-i64::try_from(been.as_millis()).unwrap_or(i64::MAX));
        let has_moved = !state.is_settled && since.ms_since(state.since_wall).abs() > ASTRAY;
        if has_moved {
            (state.since_wall, state.is_written) = (since, false);
        }
        has_moved
    }

    /// The row, if it is to be written.
    pub(super) fn unwritten(&self) -> Option<Row> {
        let state = self.state();
        let in_force = state.in_force.version().to_owned();
        (!state.is_written).then(|| Row { follows: state.follows.clone(), in_force, since: state.since_wall })
    }

    /// The row was written.
    pub(super) fn written(&self, row: &Row) {
        if self.unwritten().as_ref() == Some(row) {
            self.state().is_written = true;
        }
    }

    /// A policy of which nobody has counted yet what it will do.
    pub(super) fn uncounted(&self) -> Option<Arc<Policy>> {
        let state = self.state();
        (!state.is_counted).then(|| Arc::clone(&state.in_force))
    }

    /// What `policy` will do was counted. Gives whether it is in force still.
    pub(super) fn counted(&self, policy: &Policy) -> bool {
        let mut state = self.state();
        let is_same = state.in_force.version() == policy.version();
        state.is_counted |= is_same;
        is_same
    }
}

#[cfg(test)]
#[path = "settling_tests.rs"]
mod tests;
