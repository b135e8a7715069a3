//! Subscriptions over a real store against a model that is plainly right: one fate for each batch.
//! The process ends without a shutdown now and then; nothing of what was answered may be forgotten.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use proptest::prelude::*;
use usaged::drain::{AckFailure, Options, SeekTarget};
use usaged::ingest::State;
use usaged::model::{CommitNumber, Delivery as Mode, Participation, Purpose};
use usaged::policy::{Policy, compile, shipped};
use usaged::store::{Amended, Amendment, Entry};

use crate::drain_world::{LEASE, MAX_ATTEMPTS, World, at_level, event_of_both, jobs, subscription};

const MAX_OUTSTANDING: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    New,
    Returned(u32),
    /// Attempts, deadline, number of the lease.
    Leased(u32, i64, usize),
    Acknowledged,
    Skipped,
    Dead(u32),
    Expired,
}

impl Fate {
    fn waits(self) -> bool {
        matches!(self, Self::New | Self::Returned(_) | Self::Leased(..))
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Store(u8),
    Duplicate,
    Pull(usize),
    Acknowledge(usize),
    Return(usize),
    Extend(usize, u8),
    /// Seconds.
    Advance(u8),
    /// Retention: time passes until segments go.
    Retire,
    Seek(u64),
    Replay,
    /// The customer takes part at this level: 0 is `none`.
    Level(u8),
    Mode(Mode),
    /// A policy comes into force: the strict one does not know a field of every batch.
    Policy(bool),
    /// A batch is erased on disk.
    Erase(u64),
    Crash,
}

/// Levels by their number.
const LEVELS: [&str; 3] = ["none", "standard", "enhanced"];

/// The field that the strict policy does not know.
const DROPPED: &str = "vcpus";

/// The policy that knows everything, and the strict one.
static POLICIES: LazyLock<[Arc<Policy>; 2]> = LazyLock::new(|| {
    let mut files = shipped();
    let whole = Arc::new(compile(&files).unwrap().0);
    for file in &mut files {
        file.text = file.text.replace("\"vm.inventory\".fields.vcpus]", "\"vm.inventory\".fields.cores]");
    }
    [whole, Arc::new(compile(&files).unwrap().0)]
});

/// What a batch was made by: the strict policy or not, and a level.
type MadeBy = (bool, u8);

/// What is true of a stored batch, whatever becomes of it.
#[derive(Debug, Clone, Copy)]
struct Bound {
    stored: MadeBy,
    /// The lowest level since it was stored.
    level: u8,
    /// It was for looking at only at some time since.
    audited: bool,
    erased: bool,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..4u8).prop_map(Step::Store),
        1 => Just(Step::Duplicate),
        10 => (1..4usize).prop_map(Step::Pull),
        8 => (0..20usize).prop_map(Step::Acknowledge),
        3 => (0..20usize).prop_map(Step::Return),
        1 => (0..20usize, 1..20u8).prop_map(|(pick, seconds)| Step::Extend(pick, seconds)),
        4 => (1..12u8).prop_map(Step::Advance),
        1 => Just(Step::Retire),
        1 => (0..30u64).prop_map(Step::Seek),
        1 => Just(Step::Replay),
        3 => prop_oneof![1 => Just(0), 3 => Just(1), 4 => Just(2_u8)].prop_map(Step::Level),
        2 => prop_oneof![6 => Just(Mode::Deliver), 1 => Just(Mode::Audit), 2 => Just(Mode::Paused)]
            .prop_map(Step::Mode),
        2 => any::<bool>().prop_map(Step::Policy),
        1 => (1..30u64).prop_map(Step::Erase),
        2 => Just(Step::Crash),
    ]
}

struct Pair {
    world: World,
    fates: Vec<Fate>,
    last: Option<u8>,
    oldest: u64,
    bounds: Vec<Bound>,
    level: u8,
    mode: Mode,
    is_strict: bool,
    /// Every lease ever given: batch, name, and what it was delivered as.
    given: Vec<(u64, String, MadeBy)>,
    /// Leases of what was erased since.
    revoked: BTreeSet<usize>,
}

impl Pair {
    async fn new() -> Self {
        let world =
            World::new(Options { max_outstanding: MAX_OUTSTANDING, ..Options::default() }, |options| {
                options.retention_age = Duration::from_hours(2);
                options.segment_age = Duration::from_mins(10);
            })
            .await;
        world.drain().create(subscription(&jobs(), Purpose::Improve), true).await.unwrap();
        let (fates, bounds, given, revoked) = (Vec::new(), Vec::new(), Vec::new(), BTreeSet::new());
        let (last, oldest, level, mode, is_strict) = (None, 1, 2, Mode::Deliver, false);
        Self { world, fates, last, oldest, bounds, level, mode, is_strict, given, revoked }
    }

    fn fate(&mut self, commit: u64) -> &mut Fate {
        &mut self.fates[usize::try_from(commit - 1).unwrap()]
    }

    fn find(&self, wanted: impl Fn(Fate) -> bool) -> Vec<u64> {
        (1..).zip(&self.fates).filter(|(_, fate)| wanted(**fate)).map(|(commit, _)| commit).collect()
    }

    fn head(&self) -> u64 {
        u64::try_from(self.fates.len()).unwrap()
    }

    fn now(&self) -> i64 {
        self.world.clock.now().0
    }

    fn end(&mut self, commit: u64, attempts: u32) {
        let dead = attempts >= MAX_ATTEMPTS;
        *self.fate(commit) = if dead { Fate::Dead(attempts) } else { Fate::Returned(attempts) };
    }

    fn expire(&mut self) {
        for commit in 1..=self.head() {
            if let Fate::Leased(attempts, deadline, _) = *self.fate(commit)
                && deadline <= self.now()
            {
                self.end(commit, attempts);
            }
        }
    }

    /// Whether anything is stored now.
    fn stores(&self) -> bool {
        self.level > 0 && self.mode != Mode::Paused
    }

    async fn store(&mut self, batches: u8) {
        for number in 0..batches {
            let event = event_of_both("vm.inventory", [DROPPED, "memory_mb"], number);
            let receipt = self.world.send(&[event]).await;
            self.last = self.stores().then_some(number);
            if self.stores() {
                self.fates.push(Fate::New);
                let (level, audited) = (self.level, self.mode == Mode::Audit);
                let stored = (self.is_strict, level);
                self.bounds.push(Bound { stored, level, audited, erased: false });
                assert_eq!(receipt.commit.0, self.head());
            }
        }
    }

    async fn duplicate(&mut self) {
        if let (Some(number), true) = (self.last, self.stores()) {
            let event = event_of_both("vm.inventory", [DROPPED, "memory_mb"], number);
            let receipt = self.world.send_again(&[event]).await;
            assert_eq!((receipt.state, receipt.commit.0), (State::Duplicate, self.head()));
        }
    }

    async fn participate(&mut self) {
        let participation = at_level(LEVELS[usize::from(self.level)]);
        self.world.participate(Participation { delivery: self.mode, ..participation }).await;
        for bound in &mut self.bounds {
            bound.level = bound.level.min(self.level);
            bound.audited |= self.mode == Mode::Audit;
        }
    }

    async fn erase(&mut self, commit: u64) {
        let store = &self.world.live.store;
        let number = CommitNumber(commit);
        let Some(Entry::Record(record)) = store.read_one(number).unwrap() else { return };
        let amendment = Amendment { commit: number, with: None, expect: record.tag() };
        assert_eq!(store.amend(vec![amendment]).await.unwrap(), [Amended::Done]);
        self.expire();
        // Leases that have ended are ended before anything is looked at.
        self.world.drain().tick().await.unwrap();
        let revoked = self.world.drain().revoke(&BTreeSet::from([number])).await.unwrap();
        self.bounds[usize::try_from(commit - 1).unwrap()].erased = true;
        if let Fate::Leased(_, _, lease) = *self.fate(commit) {
            self.revoked.insert(lease);
            assert_eq!(revoked, 1);
        } else {
            assert_eq!(revoked, 0);
        }
    }

    fn bound(&self, commit: u64) -> Bound {
        self.bounds[usize::try_from(commit - 1).unwrap()]
    }

    /// Whether a batch can be delivered now.
    fn is_deliverable(&self, commit: u64) -> bool {
        let Bound { level, audited, erased, .. } = self.bound(commit);
        level > 0 && !audited && !erased && self.mode == Mode::Deliver
    }

    /// What a batch is brought down to now, and whether that leaves it as it was stored.
    fn brought_to(&self, commit: u64) -> (MadeBy, bool) {
        let Bound { stored, level, .. } = self.bound(commit);
        ((self.is_strict, level), level == stored.1 && (stored.0 || !self.is_strict))
    }

    fn put_policy(&self) {
        self.world.live.policy.swap(Arc::clone(&POLICIES[usize::from(self.is_strict)]));
    }

    fn out(&self) -> usize {
        self.find(|fate| matches!(fate, Fate::Returned(_) | Fate::Leased(..))).len()
    }

    /// Passes over a candidate or gives it to the pull; `false` when the pull can take no more.
    fn settle(&mut self, commit: u64, max: usize, expected: &mut Vec<u64>) -> bool {
        if !self.is_deliverable(commit) {
            *self.fate(commit) = Fate::Skipped;
            return true;
        }
        let is_new = *self.fate(commit) == Fate::New;
        if expected.len() >= max || (is_new && self.out() >= MAX_OUTSTANDING) {
            return false;
        }
        let attempts = match *self.fate(commit) {
            Fate::Returned(attempts) => attempts + 1,
            _ => 1,
        };
        let deadline = self.now() + i64::try_from(LEASE.as_millis()).unwrap();
        *self.fate(commit) = Fate::Leased(attempts, deadline, self.given.len() + expected.len());
        expected.push(commit);
        true
    }

    /// One round of a pull, as the queue does it: what came back first, then new ones in runs.
    fn round(&mut self, max: usize) -> (Vec<u64>, bool) {
        let mut expected = Vec::new();
        let returned: Vec<u64> =
            self.find(|fate| matches!(fate, Fate::Returned(_))).into_iter().take(max).collect();
        let mut looked = !returned.is_empty();
        for commit in returned {
            self.settle(commit, max, &mut expected);
        }
        let mut run = max - expected.len();
        while expected.len() < max && self.out() < MAX_OUTSTANDING {
            let new: Vec<u64> = self.find(|fate| fate == Fate::New).into_iter().take(run).collect();
            looked |= !new.is_empty();
            let settled = new.iter().all(|commit| self.settle(*commit, max, &mut expected));
            if new.is_empty() || !settled {
                break;
            }
            let left = max - expected.len();
            run = if expected.is_empty() { (run * 2).clamp(left, 256) } else { left };
        }
        (expected, looked)
    }

    async fn pull(&mut self, max: usize) {
        self.expire();
        let mut expected = Vec::new();
        let mut looked = true;
        while expected.is_empty() && looked {
            (expected, looked) = self.round(max);
        }
        let pulled =
            self.world.drain().pull(&jobs(), max, u64::MAX, Duration::ZERO, 0).await.unwrap().deliveries;
        assert_eq!(pulled.iter().map(|delivery| delivery.commit.0).collect::<Vec<_>>(), expected);
        for delivery in pulled {
            let commit = delivery.commit.0;
            let Fate::Leased(attempts, ..) = *self.fate(commit) else { panic!("{commit} is leased") };
            assert_eq!(delivery.attempt, attempts);
            let Bound { stored, level, .. } = self.bound(commit);
            let named = format!("\u{1a}\u{8}{}", LEVELS[usize::from(level)]);
            let holds = |text: &str| delivery.body.windows(text.len()).any(|some| some == text.as_bytes());
            assert!(holds(&named), "{commit} is at {level}");
            assert_eq!(holds(DROPPED), !stored.0 && !self.is_strict, "{commit} is by the policy in force");
            let (target, is_as_stored) = self.brought_to(commit);
            self.given.push((commit, delivery.ack_id, if is_as_stored { stored } else { target }));
        }
    }

    /// A lease ever given: its batch, its name, and its attempts if it is live.
    fn pick(&mut self, pick: usize) -> Option<(usize, u64, String, Option<u32>)> {
        self.expire();
        let number = pick.checked_rem(self.given.len())?;
        // The newest ones are the most likely to be live.
        let number = self.given.len() - 1 - number;
        let (commit, id, _) = self.given[number].clone();
        let live = match *self.fate(commit) {
            Fate::Leased(attempts, _, current) if current == number => Some(attempts),
            _ => None,
        };
        Some((number, commit, id, live))
    }

    async fn acknowledge(&mut self, pick: usize) {
        let Some((number, commit, id, live)) = self.pick(pick) else { return };
        let result = self.world.drain().acknowledge(&jobs(), std::slice::from_ref(&id)).await.unwrap();
        let (bound, given) = (self.bound(commit), self.given[number].2);
        let (target, is_as_stored) = self.brought_to(commit);
        let withdrawn = Some(AckFailure::Withdrawn(CommitNumber(commit)));
        let (fate, failure) = match live {
            None => (*self.fate(commit), Some(AckFailure::Expired)),
            Some(_) if self.revoked.contains(&number) => (Fate::Returned(0), withdrawn),
            Some(_) if bound.level == 0 => (Fate::Skipped, withdrawn),
            Some(_) if target == given || (is_as_stored && bound.stored == given) => {
                (Fate::Acknowledged, None)
            }
            Some(_) => (Fate::Returned(0), withdrawn),
        };
        *self.fate(commit) = fate;
        assert_eq!(result.failures, failure.map(|why| (id, why)).into_iter().collect::<Vec<_>>());
        assert_eq!(result.done, usize::from(failure.is_none()));
    }

    async fn extend(&mut self, pick: usize, seconds: u8) {
        let Some((number, commit, id, live)) = self.pick(pick) else { return };
        let lasting = Duration::from_secs(seconds.into());
        let result = self.world.drain().modify_deadline(&jobs(), &[id], lasting).await.unwrap();
        assert_eq!(result.done, usize::from(live.is_some()));
        let Some(attempts) = live else { return };
        if seconds == 0 {
            self.end(commit, attempts);
        } else {
            let deadline = self.now() + i64::from(seconds) * 1_000;
            *self.fate(commit) = Fate::Leased(attempts, deadline, number);
        }
    }

    async fn retire(&mut self) {
        for _ in 0..4 {
            self.world.clock.advance_ms(2_500_000);
            self.world.live.store.maintain().await.unwrap();
        }
        self.oldest = self.world.live.store.oldest().0;
        self.world.drain().tick().await.unwrap();
        for commit in self.find(Fate::waits) {
            if commit < self.oldest {
                *self.fate(commit) = Fate::Expired;
            }
        }
        self.expire();
    }

    async fn seek(&mut self, to: u64) {
        let to = to.max(self.oldest).min(self.head() + 1);
        let target = SeekTarget::Commit(CommitNumber(to));
        assert_eq!(self.world.drain().seek(&jobs(), target).await.unwrap().0, to);
        for commit in 1..=self.head() {
            let fate = self.fate(commit);
            if commit >= to {
                *fate = Fate::New;
            } else if fate.waits() {
                *fate = Fate::Skipped;
            }
        }
    }

    async fn replay(&mut self) {
        let mut expected = 0;
        for commit in self.find(|fate| matches!(fate, Fate::Dead(_))) {
            let out = self.find(|fate| matches!(fate, Fate::Returned(_) | Fate::Leased(..))).len();
            if commit < self.oldest {
                *self.fate(commit) = Fate::Expired;
            } else if out < MAX_OUTSTANDING {
                *self.fate(commit) = Fate::Returned(0);
                expected += 1;
            } else {
                break;
            }
        }
        assert_eq!(self.world.drain().replay(&jobs(), &[]).await.unwrap(), expected);
    }

    async fn apply(mut self, step: Step) -> Self {
        match step {
            Step::Store(batches) => self.store(batches).await,
            Step::Duplicate => self.duplicate().await,
            Step::Pull(max) => self.pull(max).await,
            Step::Acknowledge(pick) => self.acknowledge(pick).await,
            Step::Return(pick) => self.extend(pick, 0).await,
            Step::Extend(pick, seconds) => self.extend(pick, seconds).await,
            Step::Advance(seconds) => self.world.clock.advance_ms(i64::from(seconds) * 1_000),
            Step::Retire => self.retire().await,
            Step::Seek(to) => self.seek(to).await,
            Step::Replay => self.replay().await,
            Step::Level(level) => {
                self.level = level;
                self.participate().await;
            }
            Step::Mode(mode) => {
                self.mode = mode;
                self.participate().await;
            }
            Step::Policy(is_strict) => {
                self.is_strict = is_strict;
                self.put_policy();
            }
            Step::Erase(commit) => self.erase(commit).await,
            Step::Crash => {
                self.world = self.world.restart().await;
                self.put_policy();
            }
        }
        self
    }

    async fn agree(&self) {
        let state = self.world.drain().get(&jobs()).await.unwrap();
        let waiting = self.find(Fate::waits);
        assert_eq!(state.cursor.0, waiting.first().copied().unwrap_or(self.head() + 1));
        assert_eq!(state.waiting, u64::try_from(waiting.len()).unwrap());
        let sum = state.acknowledged + state.waiting + state.dead + state.expired + state.skipped;
        assert_eq!(state.stored, sum, "{state:?}");
        assert_eq!(state.stored, self.head() + state.repeated);
        let letters = self.world.drain().dead_letters(&jobs(), None, 99, None).await.unwrap();
        let letters: Vec<(u64, u32)> = letters.iter().map(|one| (one.commit.0, one.attempts)).collect();
        let dead = (1..).zip(&self.fates).filter_map(|(commit, fate)| match fate {
            Fate::Dead(attempts) => Some((commit, *attempts)),
            _ => None,
        });
        assert_eq!(letters, dead.collect::<Vec<_>>());
    }
}

async fn run(steps: Vec<Step>) {
    let mut pair = Pair::new().await;
    for step in steps {
        pair = pair.apply(step).await;
        pair.agree().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    // covers: D4, D3, P6
    #[test]
    fn a_subscription_agrees_with_the_model_through_crashes(steps in prop::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
