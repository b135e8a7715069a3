//! A policy that is taken over binds what is stored when it has been in force for a while, and no sooner.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::files_tests::holding;
use super::rooms_tests::{Rooms, START, acme, jobs, root};
use crate::amend::{self, BindingStage};
use crate::drain::SeekTarget;
use crate::ledger::Fact;
use crate::model::{CustomerId, UnixMillis};
use crate::policy::{Policy, PolicyFile, compile, shipped};

/// Batches of each of two customers.
const FEW: u64 = 6;
/// Half of the time within which a policy is on the disk.
const HALF: i64 = 5 * 60 * 1_000;

fn policy(edit: impl Fn(&mut PolicyFile)) -> Arc<Policy> {
    let mut files = shipped();
    files.iter_mut().for_each(edit);
    files.retain(|file| !file.text.is_empty());
    Arc::new(compile(&files).unwrap().0)
}

/// The policy while the file of a product is away.
fn without_product() -> Arc<Policy> {
    policy(|file| {
        if file.path.ends_with("vcenter.toml") {
            file.text.clear();
        }
    })
}

/// A policy that does not know a field any more.
fn without_host() -> Arc<Policy> {
    policy(|file| {
        file.text = file.text.replace("\"vm.inventory\".fields.host]", "\"vm.inventory\".fields.machine]");
    })
}

fn globex() -> CustomerId {
    CustomerId::new("globex").unwrap()
}

async fn filled(home: &Path) -> Rooms {
    let rooms = Rooms::open(home).await;
    rooms.participate(acme(), "enhanced").await;
    rooms.participate(globex(), "enhanced").await;
    rooms.fill_with(1..=FEW).await;
    rooms.subscribe().await;
    rooms.amend.tick().await.unwrap();
    rooms
}

async fn put(rooms: &Rooms, policy: Arc<Policy>) {
    rooms.policy.swap(policy);
    rooms.amend.policy_changed();
    rooms.amend.tick().await.unwrap();
}

/// Batches that were lowered and removed, as the ledger is told of it.
fn told(rooms: &Rooms) -> (u64, u64) {
    let of = |fact| {
        let Fact::LevelBound { lowered, removed, .. } = fact else { return None };
        Some((lowered, removed))
    };
    rooms.facts().into_iter().filter_map(of).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

fn is_on_disk(home: &Path, sealed: &BTreeMap<u64, [Vec<u8>; 2]>) -> bool {
    sealed.values().any(|pieces| !holding(home, pieces.iter().map(Vec::as_slice)).is_empty())
}

// covers: P6
#[tokio::test]
async fn a_policy_that_is_put_back_in_time_has_taken_nothing_but_what_a_customer_took_itself() {
    let home = tempfile::tempdir().unwrap();
    let rooms = filled(home.path()).await;
    let whole = rooms.policy.load();
    let [mine, others] = [acme(), globex()].map(|customer| rooms.sealed(&customer));
    put(&rooms, without_product()).await;
    assert_eq!(rooms.pull().await, [], "nothing leaves that the policy does not know");
    // A round over everything, and over one customer, takes nothing either.
    rooms.clock.advance_ms(HALF - 1);
    rooms.amend.tick().await.unwrap();
    assert_eq!([acme(), globex()].map(|customer| rooms.sealed(&customer)), [mine.clone(), others]);
    // What a customer chooses itself does not wait: one leaves, the other agrees to less.
    rooms.participate(globex(), "none").await;
    rooms.participate(acme(), "standard").await;
    rooms.amend.tick().await.unwrap();
    assert_eq!(rooms.sealed(&globex()), BTreeMap::new());
    assert_eq!(told(&rooms), (FEW, FEW));
    for customer in [acme(), globex()] {
        let report = rooms.amend.binding(&customer).await.unwrap();
        assert_eq!((report.stage, report.revision), (BindingStage::Done, 2));
    }
    assert!(!is_on_disk(home.path(), &mine));

    put(&rooms, whole).await;
    rooms.clock.advance_ms(HALF);
    rooms.amend.tick().await.unwrap();
    rooms.drain.seek(&jobs(), SeekTarget::Oldest).await.unwrap();
    let delivered = rooms.pull().await;
    assert_eq!(u64::try_from(delivered.len()).unwrap(), FEW);
    let names_host = |body: &[u8]| memchr::memmem::find(body, b"vm.inventory").is_some();
    assert!(delivered.iter().all(|one| names_host(&one.body)));
    assert_eq!(told(&rooms), (FEW, FEW), "nothing more");
    rooms.close().await;
}

// covers: P6
#[tokio::test]
async fn a_policy_that_stays_is_on_the_disk_after_half_of_the_time_and_not_before() {
    for (policy, expected) in [(without_host(), (2 * FEW, 0)), (without_product(), (0, 2 * FEW))] {
        let home = tempfile::tempdir().unwrap();
        let rooms = filled(home.path()).await;
        let [mine, others] = [acme(), globex()].map(|customer| rooms.sealed(&customer));
        put(&rooms, policy).await;
        rooms.clock.advance_ms(HALF - 1);
        rooms.amend.policy_changed();
        rooms.amend.tick().await.unwrap();
        assert_eq!(told(&rooms), (0, 0));
        rooms.clock.advance_ms(1);
        rooms.amend.tick().await.unwrap();
        assert_eq!(told(&rooms), expected);
        assert!(!is_on_disk(home.path(), &mine) && !is_on_disk(home.path(), &others));
        // What was decided under the policy before and came late follows when it is said again.
        let strict = rooms.policy.load();
        rooms.policy.swap(compile(&shipped()).map(|(policy, _)| Arc::new(policy)).unwrap());
        rooms.fill_with(FEW + 1..=FEW + 1).await;
        rooms.policy.swap(strict);
        rooms.amend.policy_changed();
        rooms.amend.tick().await.unwrap();
        assert_eq!(told(&rooms), (expected.0 / FEW * (FEW + 1), expected.1 / FEW * (FEW + 1)));
        rooms.close().await;
    }
}

// covers: P6
#[tokio::test]
async fn a_start_with_another_policy_waits_as_a_reload_does_and_who_leaves_does_not() {
    let home = tempfile::tempdir().unwrap();
    let rooms = filled(home.path()).await;
    let mine = rooms.sealed(&acme());
    rooms.close().await;

    let at = |ms: i64| UnixMillis(START.0 + ms);
    let open = async |now: UnixMillis| {
        let bounds = (amend::Options::default(), |_: &mut crate::store::Options| ());
        Rooms::open_by(home.path(), now, bounds, (&root(), without_product())).await
    };
    let rooms = open(at(1_000)).await;
    // Who leaves takes everything along, whatever the policies. Who agrees to less waits for the one in force, because
    // nobody has the one that it was stored under.
    rooms.participate(globex(), "none").await;
    rooms.participate(acme(), "standard").await;
    rooms.amend.tick().await.unwrap();
    assert_eq!(rooms.sealed(&globex()), BTreeMap::new());
    assert_eq!(rooms.sealed(&acme()), mine);
    let stage = async |customer| {
        let report = rooms.amend.binding(&customer).await.unwrap();
        (report.stage, report.done.is_some())
    };
    assert_eq!(stage(globex()).await, (BindingStage::Done, true));
    assert_eq!(stage(acme()).await, (BindingStage::Rewriting, false), "not done, and not said to be");
    rooms.close().await;
    // One more start does not begin anew; what the clock says of the time before is believed a tenth of that later.
    let rooms = open(at(HALF)).await;
    rooms.amend.tick().await.unwrap();
    rooms.clock.advance_ms(HALF / 10 - 1);
    rooms.amend.tick().await.unwrap();
    assert_eq!(rooms.sealed(&acme()), mine);
    rooms.clock.advance_ms(1);
    rooms.amend.tick().await.unwrap();
    assert_eq!(rooms.sealed(&acme()).len(), 0);
    let report = rooms.amend.binding(&acme()).await.unwrap();
    assert_eq!(report.stage, BindingStage::Done);
    rooms.close().await;
}

// covers: P6
#[tokio::test]
async fn what_was_stored_under_a_policy_of_a_moment_is_judged_by_that_one_until_the_next_has_settled() {
    let home = tempfile::tempdir().unwrap();
    let rooms = filled(home.path()).await;
    // In force: one that lacks a field; then it is whole again; each for less than its time.
    let whole = rooms.policy.load();
    put(&rooms, without_host()).await;
    rooms.clock.advance_ms(HALF);
    rooms.amend.tick().await.unwrap();
    assert_eq!(told(&rooms), (2 * FEW, 0));
    put(&rooms, Arc::clone(&whole)).await;
    rooms.fill_with(FEW + 1..=FEW + 1).await;
    let fresh = rooms.sealed(&acme()).pop_last().unwrap();
    put(&rooms, without_product()).await;
    // The customer agrees to less than before: the field that only the policy of a moment had stays.
    rooms.participate(acme(), "standard").await;
    rooms.amend.tick().await.unwrap();
    assert_ne!(rooms.sealed(&acme()).pop_last().unwrap(), fresh);
    put(&rooms, whole).await;
    rooms.clock.advance_ms(HALF);
    rooms.amend.tick().await.unwrap();
    let delivered = rooms.pull().await;
    let names_host = |body: &[u8]| memchr::memmem::find(body, b"host_name").is_some();
    let named = delivered.iter().filter(|one| names_host(&one.body)).count();
    assert_eq!((delivered.len(), named), (usize::try_from(2 * FEW + 2).unwrap(), 2), "of each customer one");
    rooms.close().await;
}

// covers: P6
#[tokio::test]
async fn leases_that_are_told_to_be_withdrawn_are_those_that_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let rooms = filled(home.path()).await;
    let leased = rooms.pull().await;
    assert_eq!(leased.len(), usize::try_from(2 * FEW).unwrap());
    let preview = async |edit: fn(&mut crate::model::Participation)| {
        let mut proposed = rooms.customers.get(&acme()).unwrap().unwrap().change.participation.clone();
        edit(&mut proposed);
        rooms.amend.preview_binding(proposed, Box::new(|_| true)).await.unwrap().withdrawn
    };
    assert_eq!(preview(|proposed| proposed.delivery = crate::model::Delivery::Paused).await, 0);
    assert_eq!(preview(|proposed| proposed.levels.clear()).await, FEW);
    rooms.participate(acme(), "standard").await;
    rooms.amend.tick().await.unwrap();
    assert_eq!(rooms.amend.binding(&acme()).await.unwrap().withdrawn, FEW);
    let ids: Vec<String> = leased.into_iter().map(|one| one.ack_id).collect();
    let result = rooms.drain.acknowledge(&jobs(), &ids).await.unwrap();
    assert_eq!((result.done, result.failures.len()), (6, 6));
    // What is out as it is now is not refused, and not told to be.
    let again = rooms.pull().await;
    assert_eq!(again.len(), 6);
    assert_eq!(preview(|proposed| proposed.delivery = crate::model::Delivery::Paused).await, 0);
    rooms.close().await;
}
