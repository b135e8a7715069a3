//! Policies that come and go, on a clock that somebody sets now and then, with starts in between, against a model that is
//! plainly right: what is on the disk loses nothing but what no policy of late leaves and what its customer took back, and
//! loses that in time.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::rooms_tests::{Rooms, START, acme, root};
use crate::amend;
use crate::model::{CommitNumber, CustomerId, ProgramName, UnixMillis};
use crate::policy::{Policy, compile, shipped};
use crate::store::Entry;

/// How long a policy is in force before what is stored follows it.
const HALF: i64 = 5 * 60 * 1_000;
/// What no policy left for so long is gone, although it is not looked at all the time.
const AT_LAST: i64 = 3 * HALF;
const YEAR: i64 = 365 * 86_400_000;

/// What is looked for in a record: that there is one, the host of one event, the text of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Record,
    Host,
    Text,
}

type Parts = BTreeSet<Part>;

/// Fields that a policy does not know, and what it leaves of a batch; the last one does not know the product.
const POLICIES: [(&[&str], &[Part]); 6] = [
    (&[], &[Part::Record, Part::Host, Part::Text]),
    (&["vm.inventory\".fields.host"], &[Part::Record, Part::Text]),
    (&["vm.inventory\".fields.host", "vm.inventory\".fields.vcpus"], &[Part::Record, Part::Text]),
    (&["support.log_line\".fields.message"], &[Part::Record, Part::Host]),
    (&["vm.inventory\".fields.host", "support.log_line\".fields.message"], &[Part::Record]),
    (&[], &[]),
];
const AWAY: usize = POLICIES.len() - 1;

/// Each of them as it is, and with a comment.
static COMPILED: LazyLock<Vec<[Arc<Policy>; 2]>> = LazyLock::new(|| {
    let made = |number: usize, comment: &str| {
        let mut files = shipped();
        for file in &mut files {
            for field in POLICIES[number].0 {
                let known = format!("{field}]");
                file.text = file.text.replace(&known, &format!("{field}_once]"));
            }
            file.text.push_str(comment);
        }
        files.retain(|file| number != AWAY || !file.path.ends_with("vcenter.toml"));
        Arc::new(compile(&files).unwrap().0)
    };
    (0..POLICIES.len()).map(|number| [made(number, ""), made(number, "\n# comment\n")]).collect()
});

fn leaves(policy: usize) -> Parts {
    POLICIES[policy].1.iter().copied().collect()
}

const LEVELS: [(&str, &[Part]); 3] = [
    ("none", &[]),
    ("standard", &[Part::Record, Part::Host]),
    ("enhanced", &[Part::Record, Part::Host, Part::Text]),
];

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The policy, and whether it comes with the comment.
    Policy(usize, bool),
    /// Milliseconds.
    Advance(i64),
    /// The clock is so much ahead from now on.
    Ahead(i64),
    /// Who, and the level.
    Level(usize, usize),
    Store,
    /// The clock is ahead while it starts.
    Start(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let ahead =
        || prop_oneof![3 => Just(0), 1 => Just(YEAR), 1 => Just(-YEAR), 1 => Just(HALF), 1 => Just(2 * HALF)];
    prop_oneof![
        8 => (0..POLICIES.len(), any::<bool>()).prop_map(|(policy, comment)| Step::Policy(policy, comment)),
        6 => (1..HALF * 7 / 10).prop_map(Step::Advance),
        3 => ahead().prop_map(Step::Ahead),
        1 => (0..2_usize, prop_oneof![1 => Just(0_usize), 2 => Just(1), 1 => Just(2)])
            .prop_map(|(who, level)| Step::Level(who, level)),
        2 => Just(Step::Store),
        1 => ahead().prop_map(Step::Start),
    ]
}

/// A record: whose, and what may be and is left of it.
struct Kept {
    commit: u64,
    who: usize,
    /// What the levels since leave.
    agreed: Parts,
    is: Parts,
}

struct Model {
    rooms: Option<Rooms>,
    /// The real time, in milliseconds since the beginning.
    now: i64,
    ahead: i64,
    policy: (usize, bool),
    /// Which policy was in force until when, but for the present one.
    past: Vec<(usize, i64)>,
    started: i64,
    levels: [usize; 2],
    kept: Vec<Kept>,
    number: u64,
}

fn customer(who: usize) -> CustomerId {
    if who == 0 { acme() } else { CustomerId::new("globex").unwrap() }
}

async fn open(home: &Path, wall: i64, (policy, comment): (usize, bool)) -> Rooms {
    let bounds = (amend::Options::default(), |_: &mut crate::store::Options| ());
    let policy = Arc::clone(&COMPILED[policy][usize::from(comment)]);
    Rooms::open_by(home, UnixMillis(START.0 + wall), bounds, (&root(), policy)).await
}

impl Model {
    async fn new(home: &Path) -> Self {
        let rooms = open(home, 0, (0, false)).await;
        for who in 0..2 {
            rooms.participate(customer(who), "enhanced").await;
        }
        let (past, kept) = (Vec::new(), Vec::new());
        let (now, ahead, policy, levels) = (0, 0, (0, false), [2; 2]);
        let mut model =
            Self { rooms: Some(rooms), now, ahead, policy, past, started: -AT_LAST, levels, kept, number: 0 };
        model.store().await;
        model.rooms().amend.tick().await.unwrap();
        model
    }

    fn set_ahead(&mut self, ahead: i64) {
        self.rooms().clock.set_ahead_ms(ahead - self.ahead);
        self.ahead = ahead;
    }

    /// What is left of a record on the disk.
    fn on_disk(&self, commit: u64) -> Parts {
        let Some(Entry::Record(record)) = self.rooms().store.read_one(CommitNumber(commit)).unwrap() else {
            return Parts::new();
        };
        let entry = self.rooms().customers.get_by_key(record.header.customer).unwrap().unwrap();
        let program = ProgramName::new(&record.header.program).unwrap();
        let body = record.open(&entry.secret.seal_key(&program, record.header.received)).unwrap();
        let holds = |text: &str| memchr::memmem::find(&body, text.as_bytes()).is_some();
        let parts = [(Part::Record, true), (Part::Host, holds("host_name")), (Part::Text, holds("message"))];
        parts.into_iter().filter(|(_, is)| *is).map(|(part, _)| part).collect()
    }

    async fn store(&mut self) {
        let before = self.rooms().store.head().0;
        self.number += 1;
        if self.policy.0 == AWAY || self.levels.contains(&0) {
            return;
        }
        self.rooms().fill_with(self.number..=self.number).await;
        for (who, commit) in (before + 1..=self.rooms().store.head().0).enumerate() {
            let agreed: Parts = LEVELS[self.levels[who]].1.iter().copied().collect();
            let is = self.on_disk(commit);
            assert_eq!(is, &agreed & &leaves(self.policy.0), "what is stored is what policy and level leave");
            self.kept.push(Kept { commit, who, agreed, is });
        }
    }

    async fn apply(&mut self, step: Step, home: &Path) {
        match step {
            Step::Policy(policy, comment) => {
                if policy != self.policy.0 {
                    self.past.push((self.policy.0, self.now));
                }
                self.policy = (policy, comment);
                self.rooms().policy.swap(Arc::clone(&COMPILED[policy][usize::from(comment)]));
                self.rooms().amend.policy_changed();
            }
            Step::Advance(ms) => {
                self.rooms().clock.advance_ms(ms);
                self.now += ms;
            }
            Step::Ahead(ahead) => self.set_ahead(ahead),
            Step::Level(who, level) => {
                self.levels[who] = level;
                let (name, parts) = LEVELS[level];
                self.rooms().participate(customer(who), name).await;
                let parts: Parts = parts.iter().copied().collect();
                for kept in self.kept.iter_mut().filter(|kept| kept.who == who) {
                    kept.agreed = &kept.agreed & &parts;
                }
            }
            Step::Store => self.store().await,
            Step::Start(_) => {}
        }
        if let Step::Start(ahead) = step {
            // What was written by now is right, whatever the clock shows at the start.
            self.set_ahead(0);
            self.rooms().amend.tick().await.unwrap();
            self.rooms.take().unwrap().close().await;
            self.rooms = Some(open(home, self.now + ahead, self.policy).await);
            (self.started, self.ahead) = (self.now, ahead);
            self.rooms().amend.tick().await.unwrap();
            self.set_ahead(0);
        }
        self.rooms().amend.tick().await.unwrap();
        self.agree();
    }

    const fn rooms(&self) -> &Rooms {
        self.rooms.as_ref().unwrap()
    }

    /// What the policies leave that were in force within so long.
    fn left_within(&self, ms: i64) -> Parts {
        let past = self.past.iter().filter(|(_, until)| self.now - until < ms);
        past.map(|(policy, _)| *policy).chain([self.policy.0]).flat_map(leaves).collect()
    }

    fn agree(&mut self) {
        let (of_late, at_last) = (self.left_within(HALF), self.left_within(AT_LAST));
        let is_long_up = self.now - self.started >= AT_LAST;
        for at in 0..self.kept.len() {
            let is = self.on_disk(self.kept[at].commit);
            let kept = &self.kept[at];
            assert!(is.is_subset(&kept.is), "nothing comes back");
            let lost: Parts = &kept.is - &is;
            let unjust = &(&lost & &kept.agreed) & &of_late;
            // Of the record, nothing is left if none of the rest is agreed to any more.
            assert!(unjust.is_empty(), "{unjust:?} of {} was lost at {}", kept.commit, self.now);
            if is_long_up {
                assert!(
                    is.is_subset(&at_last),
                    "{is:?} of {} is left at {}, and no policy has it",
                    kept.commit,
                    self.now
                );
                assert!(is.is_subset(&kept.agreed), "{is:?} of {} is left, and nobody agrees", kept.commit);
            }
            if kept.agreed.is_empty() {
                assert!(is.is_empty(), "what a customer takes back does not wait, whatever the policy");
            }
            self.kept[at].is = is;
        }
    }

    /// Once nothing changes any more, all is as the policy in force has it.
    async fn settle(&mut self, home: &Path) {
        self.set_ahead(0);
        for _ in 0..5 {
            self.apply(Step::Advance(HALF / 2), home).await;
        }
        for kept in &self.kept {
            assert!(kept.is.is_subset(&(&kept.agreed & &leaves(self.policy.0))), "{:?} is left", kept.is);
        }
    }
}

async fn run(steps: Vec<Step>) {
    let home = tempfile::tempdir().unwrap();
    let mut model = Model::new(home.path()).await;
    for step in steps {
        model.apply(step, home.path()).await;
    }
    model.settle(home.path()).await;
    model.rooms.take().unwrap().close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    // covers: P6
    #[test]
    fn what_is_stored_follows_policies_and_levels_in_time_and_no_sooner(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
