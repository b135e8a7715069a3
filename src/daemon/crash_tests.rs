//! The process ends at every step of a level change, or of an erasure (`erasures_crash_tests`), one after the other:
//! what was begun goes on, is told once, and leaves nothing of what was above. The process is this test binary, started
//! again, with the rooms as the collector has them.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;

use super::files_tests::{copy, holding};
use super::rooms_tests::{BATCHES, HOST, NAMED, Rooms, START, acme, jobs};
use crate::amend::{BindingStage, NewErasure, Target};
use crate::drain::AckFailure;
use crate::ledger::Fact;
use crate::model::{ClassCounts, CustomerId, ErasureId, Handling, IdentifierClass};
use crate::sanitize::count_fields;
use crate::store::step;

pub(super) const ERASURE: &str = "0198c0de-0000-7000-8000-000000000001";

/// The number of the batch whose installation is erased; it is leased when that begins.
pub(super) const INSTANCE: u64 = 3;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Lower,
    /// To `none`: nothing is left.
    Leave,
    EraseHost,
    EraseInstance,
    EraseTimes,
    EraseCustomer,
}

impl Act {
    const ALL: [Self; 6] = [
        Self::Lower,
        Self::Leave,
        Self::EraseHost,
        Self::EraseInstance,
        Self::EraseTimes,
        Self::EraseCustomer,
    ];

    /// Does it, also if some of it was done before.
    async fn run(self, rooms: &Rooms) {
        match self {
            Self::Lower => rooms.participate(acme(), "standard").await,
            Self::Leave => rooms.participate(acme(), "none").await,
            Self::EraseHost => {
                // Any form of it.
                let value = HOST.to_uppercase().into();
                erase(rooms, Target::Identifier { class: IdentifierClass::HostName, value }).await;
            }
            Self::EraseInstance => {
                erase(rooms, Target::Instance(format!("instance-{INSTANCE}").into())).await;
            }
            // The clock stands still: everything happened then.
            Self::EraseTimes => {
                erase(rooms, Target::Times { from: START, until: START.plus_ms(1) }).await;
            }
            Self::EraseCustomer => erase(rooms, Target::Customer).await,
        }
        rooms.amend.tick().await.unwrap();
    }
}

async fn erase(rooms: &Rooms, target: Target) {
    let id = ErasureId::parse(ERASURE).unwrap();
    let (reference, by) = ("ticket-1".to_owned(), "ann".to_owned());
    let new = NewErasure { id, customer: acme(), target, reference, by };
    rooms.amend.erase(new).await.unwrap();
}

/// The other process. Does nothing when the tests are run as usual.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let word = |name: &str| env::var_os(name).map(|word| word.into_string().unwrap());
    let (Some(home), Some(act), Some(nth)) = (word("CRASH_HOME"), word("CRASH_ACT"), word("CRASH_NTH"))
    else {
        return;
    };
    let home = PathBuf::from(home);
    let act = Act::ALL.into_iter().find(|known| format!("{known:?}") == act).unwrap();
    let rooms = Rooms::open(&home).await;
    // What a start does, before anything is asked for.
    rooms.amend.tick().await.unwrap();
    step::arm_any(nth.parse().unwrap());
    act.run(&rooms).await;
    step::arm_any(u32::MAX);
    fs::write(home.join("survived"), b"").unwrap();
}

/// Has the other process end at its `nth` step. `None` if it has fewer.
fn crash(from: &Path, act: Act, nth: u32) -> Option<(tempfile::TempDir, String)> {
    let home = tempfile::tempdir().unwrap();
    copy(from, home.path());
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "daemon::crash_tests::child", "--nocapture"])
        .env("CRASH_HOME", home.path())
        .env("CRASH_ACT", format!("{act:?}"))
        .env("CRASH_NTH", nth.to_string())
        .stdout(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let step = said.lines().find_map(|line| line.strip_prefix("ended at: ")).map(str::to_owned);
    if step.is_none() && home.path().join("survived").exists() {
        return None;
    }
    // 6 is SIGABRT: it ended where it was told to.
    assert_eq!(output.status.signal(), Some(6), "{act:?} {nth}: {said}");
    Some((home, step.unwrap()))
}

/// A stopped collector with its queue, and what is known of it.
pub(super) struct Before {
    home: tempfile::TempDir,
    /// The ciphertexts of acme.
    pub(super) sealed: BTreeMap<u64, [Vec<u8>; 2]>,
    /// What opens them.
    secrets: Vec<Vec<u8>>,
    /// Leases that are out.
    pub(super) leased: Vec<(u64, String)>,
    /// What a drainer would get of it at each level, had it been sanitised there at once.
    pub(super) fresh: BTreeMap<&'static str, BTreeMap<u64, Bytes>>,
}

async fn before() -> Before {
    let (home, base) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // The same keys, the same requests, at every level.
    let rooms = Rooms::open(base.path()).await;
    rooms.participate(acme(), "enhanced").await;
    rooms.participate(CustomerId::new("globex").unwrap(), "enhanced").await;
    rooms.subscribe().await;
    let salt = rooms.store.customer(&acme()).unwrap().unwrap().salt;
    rooms.close().await;

    let mut fresh = BTreeMap::new();
    for level in ["enhanced", "standard"] {
        let twin = tempfile::tempdir().unwrap();
        copy(base.path(), twin.path());
        let rooms = Rooms::open(twin.path()).await;
        rooms.participate(acme(), level).await;
        rooms.fill().await;
        let pulled = rooms.pull().await;
        fresh.insert(level, pulled.into_iter().map(|one| (one.commit.0, one.body)).collect());
        rooms.close().await;
    }

    copy(base.path(), home.path());
    let rooms = Rooms::open(home.path()).await;
    rooms.fill().await;
    let sealed = rooms.sealed(&acme());
    assert_eq!(sealed.len(), usize::try_from(BATCHES).unwrap());
    let leased = rooms.drain.pull(&jobs(), 12, u64::MAX, Duration::ZERO, 0).await.unwrap().deliveries;
    let leased = leased.into_iter().map(|one| (one.commit.0, one.ack_id)).collect();
    rooms.close().await;
    let secrets = vec![salt.expose().to_vec()];
    // The search finds what there is to find.
    for pieces in sealed.values().map(<[_; 2]>::as_slice).chain([secrets.as_slice()]) {
        assert!(!holding(home.path(), pieces.iter().map(Vec::as_slice)).is_empty());
    }
    Before { home, sealed, secrets, leased, fresh }
}

/// The commits of acme come first of each pair; those that name the host.
pub(super) fn names_host(commit: u64) -> bool {
    commit % 2 == 1 && (commit / 2 + 1) % NAMED == 1
}

/// The one batch of the installation.
pub(super) fn is_of_instance(commit: u64) -> bool {
    commit == 2 * INSTANCE - 1
}

pub(super) fn is_acme(commit: u64) -> bool {
    commit % 2 == 1
}

pub(super) async fn crash_at_every_step(
    act: Act,
    check: impl AsyncFn(&Before, &Rooms, &str),
) -> BTreeSet<String> {
    let before = before().await;
    let mut steps = BTreeSet::new();
    for nth in 1.. {
        let Some((home, step)) = crash(before.home.path(), act, nth) else { break };
        let rooms = Rooms::open(home.path()).await;
        // What was asked for may not have been written: who asked was not answered, and asks again.
        act.run(&rooms).await;
        let at = format!("{act:?} at step {nth}, {step}");
        check(&before, &rooms, &at).await;
        rooms.close().await;
        let (changed, secrets) = gone(act, &before);
        let left = holding(home.path(), changed.into_iter().chain(secrets));
        assert!(left.is_empty(), "{at}: {left:?}");
        steps.insert(step);
    }
    steps
}

/// What may be in no file after an act.
fn gone(act: Act, before: &Before) -> (Vec<&[u8]>, Vec<&[u8]>) {
    let is_changed = |commit: &u64| match act {
        Act::EraseHost => names_host(*commit),
        Act::EraseInstance => is_of_instance(*commit),
        Act::Lower | Act::Leave | Act::EraseTimes | Act::EraseCustomer => true,
    };
    let changed = before.sealed.iter().filter(|(commit, _)| is_changed(commit));
    let secrets = if act == Act::EraseCustomer {
        before.secrets.iter().map(Vec::as_slice).collect()
    } else {
        Vec::new()
    };
    (changed.flat_map(|(_, pieces)| pieces).map(Vec::as_slice).collect(), secrets)
}

/// Everything that a drainer gets from the beginning on.
pub(super) async fn all_of(rooms: &Rooms) -> BTreeMap<u64, Bytes> {
    rooms.drain.seek(&jobs(), crate::drain::SeekTarget::Oldest).await.unwrap();
    rooms.pull().await.into_iter().map(|one| (one.commit.0, one.body)).collect()
}

/// Acknowledges what was out when it began. Gives which commits were refused as withdrawn.
pub(super) async fn withdrawn(before: &Before, rooms: &Rooms) -> BTreeSet<u64> {
    let ids: Vec<String> = before.leased.iter().map(|(_, id)| id.clone()).collect();
    let result = rooms.drain.acknowledge(&jobs(), &ids).await.unwrap();
    assert_eq!(result.done + result.failures.len(), ids.len());
    let of = |failure: &(String, AckFailure)| match failure.1 {
        AckFailure::Withdrawn(commit) => commit.0,
        AckFailure::Expired | AckFailure::Unknown => panic!("{failure:?}"),
    };
    result.failures.iter().map(of).collect()
}

pub(super) async fn adds_up(rooms: &Rooms, at: &str) {
    let state = rooms.drain.get(&jobs()).await.unwrap();
    let sum = state.acknowledged + state.waiting + state.dead + state.expired + state.skipped;
    assert_eq!(state.stored, sum, "{at}: {state:?}");
    assert_eq!(rooms.store.status().damaged, 0, "{at}");
}

/// What became of the fields of acme, which are all for the purpose of the subscription.
fn became(before: &Before, level: Option<&str>) -> ClassCounts {
    let of = |level: &str| {
        let mut all = ClassCounts::default();
        for (_, body) in before.fresh[level].iter().filter(|(commit, _)| is_acme(**commit)) {
            all.merge(&count_fields(body).unwrap());
        }
        all
    };
    let mut left = level.map(of).unwrap_or_default();
    left.drop_the_rest_of(&of("enhanced"));
    assert!(left.total(Handling::Dropped) >= BATCHES, "{left:?}");
    left
}

// covers: P6 P8 D1
#[tokio::test(flavor = "multi_thread")]
async fn a_lowered_level_reaches_the_disk_whole_after_a_crash_at_any_step() {
    let steps = crash_at_every_step(Act::Lower, async |before: &Before, rooms: &Rooms, at: &str| {
        let report = rooms.amend.binding(&acme()).await.unwrap();
        let sum = report.tally.sum();
        assert_eq!((report.stage, report.revision), (BindingStage::Done, 2), "{at}: {report:?}");
        assert_eq!((report.tally.batches, report.tally.unchanged), (BATCHES, 0), "{at}: {report:?}");
        assert_eq!((sum.rewritten, sum.removed), (BATCHES, 0), "{at}: {sum:?}");
        assert_eq!((sum.kept_events, sum.removed_events), (BATCHES, BATCHES), "{at}: {sum:?}");
        let told: Vec<Fact> =
            rooms.facts().into_iter().filter(|fact| matches!(fact, Fact::LevelBound { .. })).collect();
        let [
            Fact::LevelBound {
                revision: 2,
                records,
                lowered,
                removed: 0,
                events_before,
                events_after,
                fields,
                ..
            },
        ] = told.as_slice()
        else {
            panic!("{at}: {told:?}")
        };
        let counts = [*records, *lowered, events_before / 2, *events_after];
        assert_eq!(counts, [BATCHES; 4], "{at}");
        assert_eq!(*fields, became(before, Some("standard")), "{at}");
        assert_eq!(fields.get(IdentifierClass::HostName, Handling::Pseudonymised), BATCHES, "{at}");

        let out = withdrawn(before, rooms).await;
        let expected = before.leased.iter().map(|(commit, _)| *commit).filter(|commit| is_acme(*commit));
        assert_eq!(out, expected.collect(), "{at}");
        let (given, fresh, full) =
            (all_of(rooms).await, &before.fresh["standard"], &before.fresh["enhanced"]);
        assert_eq!(given.len(), full.len(), "{at}");
        for (commit, body) in &given {
            let expected = if is_acme(*commit) { &fresh[commit] } else { &full[commit] };
            assert!(body == expected, "{at}: {commit} is not as if it had been sanitised there at once");
        }
        adds_up(rooms, at).await;
    });
    let steps = steps.await;
    for step in
        ["write", "written", "purge: log", "purge: range", "bind: rewritten", "bind: purged", "bind: noted"]
    {
        assert!(steps.contains(step), "{step} is not in {steps:?}");
    }
}

// covers: P6 P8 D1
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_who_left_after_a_crash_at_any_step() {
    let steps = crash_at_every_step(Act::Leave, async |before: &Before, rooms: &Rooms, at: &str| {
        let report = rooms.amend.binding(&acme()).await.unwrap();
        let sum = report.tally.sum();
        assert_eq!((report.stage, report.revision), (BindingStage::Done, 2), "{at}: {report:?}");
        assert_eq!((report.tally.batches, sum.removed), (BATCHES, BATCHES), "{at}: {report:?}");
        assert_eq!((sum.kept_events, sum.removed_events), (0, 2 * BATCHES), "{at}: {sum:?}");
        let mut told = Vec::new();
        for fact in rooms.facts() {
            if let Fact::LevelBound { fields, .. } = fact {
                told.push(fields);
            }
        }
        assert_eq!(told, [became(before, None)], "{at}");
        let given = all_of(rooms).await;
        let others = before.fresh["enhanced"].iter().filter(|(commit, _)| !is_acme(**commit));
        assert!(given.iter().eq(others), "{at}");
        adds_up(rooms, at).await;
    });
    assert!(steps.await.len() >= 5);
}
