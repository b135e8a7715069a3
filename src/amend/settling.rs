//! When a changed policy is brought to what is stored: once it has been in force for half of
//! [`super::Options::bind_within`]. What leaves is bound by it at once. But what is taken off the disk does not come back, and
//! a file that is away or half-written for a moment is a policy, too: whoever puts the one before back in that time has
//! lost nothing. What a customer itself has chosen does not wait. Pure but for a lock.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::AmendError;
use super::bound::{decode, put};
use crate::model::{CustomerKey, UnixMillis};
use crate::policy::Policy;
use crate::store::{MetaOp, MetaTable, Store};

/// The key of the row. No customer has a number of this length.
const POLICY: &[u8] = b"policy";
/// Policies of so short a time that are remembered. What was stored under an older one waits.
const RECENT: usize = 8;
/// Customers of whom it is remembered that something waits. Beyond it, something of everybody does.
const HELD: usize = 10_000;

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
    /// Those that were in force for a short time since, the newest first.
    pub(super) recent: Vec<Arc<Policy>>,
    /// The one that what is stored follows; `None` if it was another one before the start.
    pub(super) follows: Option<Arc<Policy>>,
}

#[derive(Debug)]
pub(super) struct Settling {
    /// How long a policy is in force before what is stored follows it.
    after: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    in_force: Arc<Policy>,
    since: UnixMillis,
    /// The version of the policy that what is stored follows.
    follows: String,
    /// That policy, if it is not the one in force and there was no start since.
    policy: Option<Arc<Policy>>,
    is_settled: bool,
    recent: VecDeque<Arc<Policy>>,
    held: BTreeSet<CustomerKey>,
    is_written: bool,
    is_counted: bool,
}

impl Settling {
    /// As it was left, with `policy` in force now. Where nobody knows, what is stored follows it.
    pub(super) fn begin(row: Option<Row>, policy: Arc<Policy>, now: UnixMillis, within: Duration) -> Self {
        let version = policy.version().to_owned();
        let is_written = row.as_ref().is_some_and(|row| row.in_force == version);
        let row =
            row.unwrap_or_else(|| Row { follows: version.clone(), in_force: version.clone(), since: now });
        let is_settled = row.follows == version && row.in_force == version;
        // A clock that was set back is no reason to wait for longer.
        let since = if row.in_force == version { row.since.min(now) } else { now };
        let before = (row.follows == version).then(|| Arc::clone(&policy));
        let state = State {
            in_force: policy,
            since,
            follows: row.follows,
            policy: before.filter(|_| !is_settled),
            is_settled,
            recent: VecDeque::new(),
            held: BTreeSet::new(),
            is_written,
            is_counted: is_settled,
        };
        Self { after: within / 2, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of the policy in force. Gives whether it is another one.
    pub(super) fn note(&self, policy: &Arc<Policy>, now: UnixMillis) -> bool {
        let mut state = self.state();
        if state.in_force.version() == policy.version() {
            return false;
        }
        let old = std::mem::replace(&mut state.in_force, Arc::clone(policy));
        if state.is_settled {
            state.policy = Some(old);
        } else {
            state.recent.push_front(old);
            state.recent.truncate(RECENT);
        }
        (state.since, state.is_settled) = (now, false);
        (state.is_written, state.is_counted) = (false, false);
        true
    }

    /// Has what is stored follow the policy in force, if it has been in force for long enough. Gives whether that begins
    /// now.
    pub(super) fn settle(&self, now: UnixMillis) -> bool {
        let mut state = self.state();
        if state.is_settled || !self.left_of(&state, now).is_zero() {
            return false;
        }
        let in_force = Arc::clone(&state.in_force);
        in_force.version().clone_into(&mut state.follows);
        state.policy = None;
        state.recent.clear();
        state.held.clear();
        (state.is_settled, state.is_counted, state.is_written) = (true, true, false);
        true
    }

    fn left_of(&self, state: &State, now: UnixMillis) -> Duration {
        let been = u64::try_from(now.ms_since(state.since)).unwrap_or(0);
        self.after.saturating_sub(Duration::from_millis(been))
    }

    /// Since when a policy is in force that what is stored does not follow yet, and how long it does not; `None` if it does.
    pub(super) fn waits(&self, now: UnixMillis) -> Option<(UnixMillis, Duration)> {
        let state = self.state();
        (!state.is_settled).then(|| (state.since, self.left_of(&state, now)))
    }

    /// What is judged by besides the policy in force; `None` if that is alone.
    pub(super) fn before(&self) -> Option<Before> {
        let state = self.state();
        let recent = || state.recent.iter().cloned().collect();
        (!state.is_settled).then(|| Before { recent: recent(), follows: state.policy.clone() })
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

    /// The row, if it is to be written.
    pub(super) fn unwritten(&self) -> Option<Row> {
        let state = self.state();
        let in_force = state.in_force.version().to_owned();
        (!state.is_written).then(|| Row { follows: state.follows.clone(), in_force, since: state.since })
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
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::policy::{compile, shipped};

    const WITHIN: Duration = Duration::from_millis(200);

    /// The shipped policy with a comment: of another version.
    fn policy(comment: usize) -> Arc<Policy> {
        let mut files = shipped();
        files[0].text.push_str(&"# other\n".repeat(comment));
        Arc::new(compile(&files).unwrap().0)
    }

    fn at(ms: i64) -> UnixMillis {
        UnixMillis(ms)
    }

    // covers: P6
    #[test]
    fn what_is_stored_follows_a_policy_that_was_in_force_for_half_of_the_time_and_no_other() {
        let all = [0, 1, 2].map(policy);
        let settling = Settling::begin(None, Arc::clone(&all[0]), at(0), WITHIN);
        assert!(
            settling.before().is_none() && settling.waits(at(0)).is_none(),
            "where nobody knows, it does"
        );
        assert!(!settling.note(&all[0], at(1)) && !settling.settle(at(1_000)));
        assert!(settling.note(&all[1], at(1_000)));
        assert_eq!(settling.waits(at(1_010)), Some((at(1_000), Duration::from_millis(90))));
        assert!(!settling.settle(at(1_099)));
        assert!(settling.note(&all[2], at(1_050)), "each begins anew");
        let before = settling.before().unwrap();
        assert_eq!(before.follows.unwrap().version(), all[0].version());
        assert_eq!(before.recent.iter().map(|one| one.version()).collect::<Vec<_>>(), [all[1].version()]);
        assert!(
            settling.note(&all[0], at(1_060)),
            "also the one that it follows: there is what came meanwhile"
        );
        assert!(!settling.settle(at(1_159)) && settling.settle(at(1_160)) && !settling.settle(at(1_161)));
        assert!(settling.before().is_none());
    }

    // covers: P6
    #[test]
    fn a_start_is_no_way_around_the_time_that_a_policy_has_to_be_in_force() {
        let all = [0, 1, 2].map(policy);
        let first = Settling::begin(None, Arc::clone(&all[0]), at(0), WITHIN);
        let row = first.unwritten();
        first.written(row.as_ref().unwrap());
        assert_eq!(first.unwritten(), None);
        let begin = |row: &Option<Row>, policy: usize, now| {
            Settling::begin(row.clone(), Arc::clone(&all[policy]), at(now), WITHIN)
        };
        assert!(begin(&row, 0, 500).before().is_none(), "as it was");
        let other = begin(&row, 1, 500);
        assert!(other.before().unwrap().follows.is_none(), "nobody has that policy any more");
        assert!(!other.settle(at(599)));
        let row = other.unwritten();
        assert_eq!(begin(&row, 1, 550).waits(at(550)), Some((at(500), Duration::from_millis(50))));
        assert_eq!(begin(&row, 1, 400).waits(at(400)), Some((at(400), Duration::from_millis(100))));
        assert_eq!(begin(&row, 2, 550).waits(at(550)), Some((at(550), Duration::from_millis(100))));
        let back = begin(&row, 0, 550);
        assert_eq!(back.before().unwrap().follows.unwrap().version(), all[0].version());
        assert!(other.settle(at(600)));
        assert!(begin(&other.unwritten(), 1, 601).before().is_none());
    }

    #[test]
    fn who_has_something_that_waits_is_known_until_nothing_does() {
        let settling = Settling::begin(None, policy(0), at(0), WITHIN);
        settling.hold(CustomerKey(1));
        assert!(!settling.holds(CustomerKey(1)), "nothing waits");
        settling.note(&policy(1), at(0));
        settling.hold(CustomerKey(1));
        assert!(settling.holds(CustomerKey(1)) && !settling.holds(CustomerKey(2)));
        let many = u64::try_from(HELD).unwrap() + 2;
        (0..many).for_each(|customer| settling.hold(CustomerKey(customer)));
        assert!(settling.holds(CustomerKey(many + 9)), "of many, nobody knows");
        assert!(settling.settle(at(100)));
        assert!(!settling.holds(CustomerKey(1)));
    }
}
