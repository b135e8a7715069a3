//! Amended records as drainers see them: what was reduced to nothing is passed over, counted by its reason, and
//! never delivered again.

use std::time::Duration;

use usaged::drain::{AckFailure, Delivery, Options, SkipReason, SubscriptionState};
use usaged::model::{CommitNumber, ErasureId, Purpose, UnixMillis};
use usaged::sanitize::Erased;
use usaged::store::{Amended, Amendment, Entry, MetaOp, MetaTable, Place, suppression_of};

use crate::drain_world::{LEASE, World, acme, at_level, event, jobs, subscription};

async fn world(batches: u8) -> World {
    let mut world = World::new(Options::default(), |_| ()).await;
    world.drain().create(subscription(&jobs(), Purpose::Improve), false).await.unwrap();
    for number in 0..batches {
        world.send(&[event("vm.inventory", "vcpus", number), event("vm.inventory", "vcpus", 1)]).await;
    }
    world
}

/// Reduces records to nothing, and has the old ones out of every file.
async fn reduce(world: &World, commits: &[u64]) {
    let store = world.live.store.clone();
    let amend = |commit: &u64| {
        let Some(Entry::Record(record)) = store.read_one(CommitNumber(*commit)).unwrap() else {
            panic!("no record at {commit}")
        };
        Amendment { commit: record.commit, with: None, expect: record.tag() }
    };
    let outcomes = store.amend(commits.iter().map(amend).collect()).await.unwrap();
    assert!(outcomes.iter().all(|outcome| *outcome == Amended::Done), "{outcomes:?}");
    let all = Place::Commits { first: CommitNumber(1), last: store.head() };
    tokio::task::spawn_blocking(move || store.purge(&[all], &mut |_| {})).await.unwrap().unwrap();
}

async fn pull(world: &World) -> Vec<Delivery> {
    world.drain().pull(&jobs(), 99, u64::MAX, Duration::ZERO, 0).await.unwrap().deliveries
}

fn commits(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries.iter().map(|delivery| delivery.commit.0).collect()
}

async fn state(world: &World) -> SubscriptionState {
    let state = world.drain().get(&jobs()).await.unwrap();
    let sum = state.acknowledged + state.waiting + state.dead + state.expired + state.skipped;
    assert_eq!(state.stored, sum, "every stored batch is in one place: {state:?}");
    state
}

fn gone(state: &SubscriptionState) -> u64 {
    state.skipped_by.iter().find(|(reason, _)| *reason == SkipReason::Gone).unwrap().1
}

// covers: P6 P8
#[tokio::test(flavor = "multi_thread")]
async fn what_was_reduced_to_nothing_is_passed_over_and_counted_also_after_a_restart() {
    let world = world(6).await;
    reduce(&world, &[1, 3, 4]).await;
    assert_eq!(commits(&pull(&world).await), [2, 5, 6]);
    assert_eq!(gone(&state(&world).await), 3);
    let world = world.restart().await;
    let state = state(&world).await;
    assert_eq!((gone(&state), state.dead, state.skipped), (3, 0, 3));
    assert_eq!(world.live.store.status().damaged, 0);
}

// covers: P6 P8
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_was_leased_or_buried_when_it_was_reduced_does_not_come_back() {
    let world = world(4).await;
    let leased = pull(&world).await;
    assert_eq!(commits(&leased), [1, 2, 3, 4]);
    reduce(&world, &[1, 2]).await;
    // Its customer lowered the level at once with it: the drainer is told.
    world.participate(at_level("standard")).await;
    let ids = vec![leased[0].ack_id.clone()];
    let result = world.drain().acknowledge(&jobs(), &ids).await.unwrap();
    assert_eq!(result.failures, [(ids[0].clone(), AckFailure::Withdrawn(CommitNumber(1)))]);
    world.participate(at_level("enhanced")).await;
    // The lease of the other ends.
    world.clock.advance_ms(i64::try_from(LEASE.as_millis()).unwrap() + 1);
    let again = commits(&pull(&world).await);
    assert!(!again.contains(&1) && !again.contains(&2), "{again:?}");
    assert_eq!(gone(&state(&world).await), 2);
}

// covers: P6
#[tokio::test(flavor = "multi_thread")]
async fn what_was_opened_before_an_erasure_began_does_not_leave_after_it() {
    let world = world(3).await;
    let mut opened = pull(&world).await;
    world.drain().keep_fresh(&jobs(), &mut opened);
    assert_eq!(commits(&opened), [1, 2, 3], "nothing has changed");
    // A part of the customer's data: its participation stays as it is.
    let (store, id) = (&world.live.store, ErasureId::parse("6f1c8f0e-3f5e-4c55-9d57-0c1f2f6f7a11").unwrap());
    let customer = store.customer_key(&acme()).unwrap().unwrap();
    let erased = Erased::times(UnixMillis(0), UnixMillis(1), (world.clock.now(), UnixMillis(i64::MAX)));
    let (key, value) = (suppression_of(customer, &id), erased.encode());
    let row = MetaOp::Put { table: MetaTable::Suppressions, key, value };
    store.write_meta(vec![row, MetaOp::Touch(customer)], true).await.unwrap();
    world.drain().keep_fresh(&jobs(), &mut opened);
    assert!(commits(&opened).is_empty(), "{:?}", commits(&opened));
    // What is left of them comes with a later pull, as if it had never been leased.
    let again =
        world.drain().pull(&jobs(), 99, u64::MAX, Duration::from_secs(30), 0).await.unwrap().deliveries;
    assert!(!again.is_empty() && again.iter().all(|delivery| delivery.attempt == 1), "{again:?}");
}
