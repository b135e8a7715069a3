//! Subscriptions over a real store: what is delivered, to whom, how often, and what is counted.

use std::time::{Duration, Instant};

use usaged::drain::{
    AckFailure, Delivery, Drain, DrainError, Options, SeekTarget, SkipReason, SubscriptionState,
};
use usaged::model::{CommitNumber, Purpose, Subscription, SubscriptionName};
use usaged::store::{Entry, RecordFault};

use crate::drain_world::{LEASE, World, event, jobs, subscription};

const ALL: u64 = u64::MAX;
const NOW: Duration = Duration::ZERO;

async fn world() -> World {
    World::new(Options::default(), |_| ()).await
}

async fn with_subscription() -> World {
    let world = world().await;
    world.drain().create(subscription(&jobs(), Purpose::Improve), false).await.unwrap();
    world
}

async fn store(world: &mut World, batches: u8) {
    for number in 0..batches {
        world.send(&[event("vm.inventory", "vcpus", number)]).await;
    }
}

async fn pull(world: &World, max: usize) -> Vec<Delivery> {
    world.drain().pull(&jobs(), max, ALL, NOW, 0).await.unwrap().deliveries
}

fn commits(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries.iter().map(|delivery| delivery.commit.0).collect()
}

fn ids(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| delivery.ack_id.clone()).collect()
}

async fn state(drain: &Drain) -> SubscriptionState {
    let state = drain.get(&jobs()).await.unwrap();
    let sum = state.acknowledged + state.waiting + state.dead + state.expired + state.skipped;
    assert_eq!(state.stored, sum, "every stored batch is in one place: {state:?}");
    state
}

fn skipped(state: &SubscriptionState, reason: SkipReason) -> u64 {
    state.skipped_by.iter().find(|(one, _)| *one == reason).unwrap().1
}

fn holds(delivery: &Delivery, text: &str) -> bool {
    delivery.body.windows(text.len()).any(|window| window == text.as_bytes())
}

// covers: D6
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_batches_whose_loss_was_accepted() {
    let mut world = World::new(Options::default(), |at| {
        at.accept_data_loss = true;
        at.witness_lag = NOW;
    })
    .await;
    world.drain().create(subscription(&jobs(), Purpose::Improve), false).await.unwrap();
    store(&mut world, 3).await;
    // What a start finds in the log goes into tables; what comes after it is in the log only.
    world = world.restart().await;
    store(&mut world, 4).await;
    let before = state(world.drain()).await;
    assert_eq!((before.stored, before.waiting, before.expired), (7, 7, 0));

    let mut world = world.restart_without_log().await;
    let left = state(world.drain()).await;
    assert_eq!((left.stored, left.waiting, left.expired), (7, 3, 4), "before anything new comes");
    store(&mut world, 2).await;
    let more = state(world.drain()).await;
    assert_eq!((more.stored, more.waiting, more.expired), (9, 5, 4), "nor once something new came");
    let pulled = pull(&world, 100).await;
    assert_eq!(commits(&pulled), [1, 2, 3, 8, 9]);
    let leased = state(world.drain()).await;
    assert_eq!((leased.stored, leased.waiting, leased.expired), (9, 5, 4), "nor once they were passed over");
    world.drain().acknowledge(&jobs(), &ids(&pulled)).await.unwrap();
    let done = state(world.drain()).await;
    assert_eq!((done.acknowledged, done.waiting, done.expired), (5, 0, 4));
}

// covers: D4
#[tokio::test]
async fn what_was_acknowledged_is_never_delivered_again_and_the_rest_is() {
    let mut world = with_subscription().await;
    store(&mut world, 5).await;
    let first = pull(&world, 4).await;
    assert_eq!(commits(&first), [1, 2, 3, 4]);
    let done = world.drain().acknowledge(&jobs(), &ids(&first[1..3])).await.unwrap();
    assert_eq!((done.done, done.failures), (2, vec![]));
    assert_eq!(state(world.drain()).await.cursor, CommitNumber(1));

    let mut world = world.restart().await;
    assert_eq!(commits(&pull(&world, 9).await), [5], "leases survive a restart");
    world.clock.advance_ms(i64::try_from(LEASE.as_millis()).unwrap());
    let again = pull(&world, 9).await;
    assert_eq!(commits(&again), [1, 4, 5], "oldest first");
    assert_eq!(again.iter().map(|d| d.attempt).collect::<Vec<_>>(), [2, 2, 2], "attempts survive");
    world.drain().acknowledge(&jobs(), &ids(&again)).await.unwrap();
    store(&mut world, 1).await;
    let state = state(world.drain()).await;
    assert_eq!((state.cursor.0, state.acknowledged, state.waiting), (6, 5, 1));
}

#[tokio::test]
async fn an_acknowledgement_is_durable_when_it_is_answered() {
    let mut world = with_subscription().await;
    store(&mut world, 3).await;
    for _ in 0..3 {
        let next = pull(&world, 1).await;
        assert_eq!(world.drain().acknowledge(&jobs(), &ids(&next)).await.unwrap().done, 1);
        world = world.restart().await;
    }
    assert_eq!(pull(&world, 9).await, []);
    assert_eq!(state(world.drain()).await.acknowledged, 3);
}

// covers: P7
#[tokio::test]
async fn a_drainer_sees_only_what_its_purpose_allows() {
    let mut world = world().await;
    let names = ["improve", "recommend", "deliver"].map(|name| SubscriptionName::new(name).unwrap());
    for (name, purpose) in names.iter().zip([Purpose::Improve, Purpose::Recommend, Purpose::Deliver]) {
        world.drain().create(subscription(name, purpose), false).await.unwrap();
    }
    let both = [event("vm.inventory", "vcpus", 4), event("client.feature_used", "uses", 3)];
    world.send(&both).await;
    world.send(&both[..1]).await;
    let [improve, recommend, deliver] = &names;
    let whole = world.drain().pull(improve, 9, ALL, NOW, 0).await.unwrap().deliveries;
    assert_eq!(commits(&whole), [1, 2]);
    assert!(
        ["vcpus", "vm.inventory", "uses", "client.feature_used"].iter().all(|name| holds(&whole[0], name))
    );
    let part = world.drain().pull(recommend, 9, ALL, NOW, 0).await.unwrap().deliveries;
    assert_eq!(commits(&part), [1], "nothing is left of the other");
    assert!(holds(&part[0], "uses") && holds(&part[0], "client.feature_used"));
    assert!(!holds(&part[0], "vcpus") && !holds(&part[0], "vm.inventory"));
    assert_eq!(world.drain().pull(deliver, 9, ALL, NOW, 0).await.unwrap().deliveries, []);
    for (name, expected) in [(improve, 0), (recommend, 1), (deliver, 2)] {
        let state = world.drain().get(name).await.unwrap();
        assert_eq!((state.skipped, skipped(&state, SkipReason::Purpose)), (expected, expected), "{name}");
    }
}

#[tokio::test]
async fn an_ended_lease_is_expired_and_a_foreign_one_unknown() {
    let mut world = with_subscription().await;
    let other = SubscriptionName::new("other").unwrap();
    world.drain().create(subscription(&other, Purpose::Improve), false).await.unwrap();
    store(&mut world, 1).await;
    let foreign = world.drain().pull(&other, 1, ALL, NOW, 0).await.unwrap().deliveries.remove(0).ack_id;
    let ended = pull(&world, 1).await.remove(0).ack_id;
    world.drain().modify_deadline(&jobs(), std::slice::from_ref(&ended), NOW).await.unwrap();
    let live = pull(&world, 1).await.remove(0).ack_id;
    let request = [foreign.clone(), "nonsense".to_owned(), ended.clone(), live.clone(), live.clone()];
    let result = world.drain().acknowledge(&jobs(), &request).await.unwrap();
    assert_eq!(result.done, 1);
    let unknown = AckFailure::Unknown;
    let expected = [(foreign, unknown), ("nonsense".to_owned(), unknown), (ended, AckFailure::Expired)];
    assert_eq!(result.failures, expected);
    let twice = world.drain().acknowledge(&jobs(), std::slice::from_ref(&live)).await.unwrap();
    assert_eq!(twice.failures, [(live, AckFailure::Expired)]);
}

#[tokio::test]
async fn a_batch_that_nobody_acknowledges_becomes_a_dead_letter_that_can_be_replayed() {
    let mut world = with_subscription().await;
    store(&mut world, 2).await;
    for attempt in 1..=3 {
        let given = pull(&world, 1).await;
        assert_eq!((given[0].commit.0, given[0].attempt), (1, attempt));
        world.drain().modify_deadline(&jobs(), &ids(&given), NOW).await.unwrap();
    }
    let world = world.restart().await;
    let dead = world.drain().dead_letters(&jobs(), None, 9, Some(usize::MAX)).await.unwrap();
    assert_eq!(
        (dead.len(), dead[0].commit.0, dead[0].attempts, dead[0].reason.as_str()),
        (1, 1, 3, "attempts")
    );
    assert!(dead[0].body.is_some());
    assert_eq!(world.drain().dead_letters(&jobs(), Some(CommitNumber(1)), 9, None).await.unwrap(), []);
    let before = state(world.drain()).await;
    assert_eq!((before.dead, before.cursor.0), (1, 2));
    assert_eq!(world.drain().replay(&jobs(), &[CommitNumber(1), CommitNumber(2)]).await.unwrap(), 1);
    let given = pull(&world, 9).await;
    assert_eq!((commits(&given), given[0].attempt), (vec![1, 2], 1));
    world.drain().acknowledge(&jobs(), &ids(&given)).await.unwrap();
    assert_eq!(state(world.drain()).await.acknowledged, 2);
}

// covers: D5
#[tokio::test]
async fn a_damaged_record_is_passed_over_with_a_dead_letter() {
    let mut world = with_subscription().await;
    store(&mut world, 3).await;
    let Some(Entry::Record(record)) = world.live.store.read_one(CommitNumber(2)).unwrap() else {
        panic!("commit 2 is there")
    };
    world.live.store.set_aside(&record, RecordFault::Seal);
    world.live.store.maintain().await.unwrap();
    assert_eq!(commits(&pull(&world, 9).await), [1, 3]);
    let dead = world.drain().dead_letters(&jobs(), None, 9, Some(usize::MAX)).await.unwrap();
    assert_eq!((dead[0].commit.0, dead[0].attempts, dead[0].reason.as_str()), (2, 0, "damaged"));
    assert_eq!(dead[0].body, None);
    assert_eq!(state(world.drain()).await.dead, 1);
}

#[tokio::test]
async fn only_listed_programs_and_products_are_delivered() {
    let mut world = world().await;
    let products = vec![usaged::model::ProductName::new("horizon").unwrap()];
    let listed = Subscription { products, ..subscription(&jobs(), Purpose::Improve) };
    world.drain().create(listed, false).await.unwrap();
    store(&mut world, 40).await;
    assert_eq!(pull(&world, 1).await, []);
    let state = state(world.drain()).await;
    assert_eq!((state.skipped, skipped(&state, SkipReason::Filter), state.waiting), (40, 40, 0));
}

#[tokio::test]
async fn a_seek_repeats_or_passes_over_and_ends_leases() {
    let mut world = with_subscription().await;
    store(&mut world, 2).await;
    world.clock.advance_ms(60_000);
    let later = world.clock.now();
    store(&mut world, 2).await;
    let given = pull(&world, 9).await;
    world.drain().acknowledge(&jobs(), &ids(&given[..3])).await.unwrap();
    for (target, cursor, expected) in [
        (SeekTarget::Oldest, 1, vec![1, 2, 3, 4]),
        (SeekTarget::Time(later), 3, vec![3, 4]),
        (SeekTarget::Commit(CommitNumber(2)), 2, vec![2, 3, 4]),
        (SeekTarget::Commit(CommitNumber(99)), 5, vec![]),
        (SeekTarget::Newest, 5, vec![]),
    ] {
        assert_eq!(world.drain().seek(&jobs(), target).await.unwrap().0, cursor, "{target:?}");
        assert_eq!(state(world.drain()).await.cursor.0, cursor);
        assert_eq!(commits(&pull(&world, 9).await), expected, "{target:?}");
    }
    let late = world.drain().acknowledge(&jobs(), &ids(&given[3..])).await.unwrap();
    assert_eq!(late.failures, [(given[3].ack_id.clone(), AckFailure::Expired)]);
}

// covers: B3
#[tokio::test]
async fn a_pull_is_bounded_in_batches_bytes_and_what_is_outstanding() {
    let options = Options { max_outstanding: 5, ..Options::default() };
    let mut world = World::new(options, |_| ()).await;
    world.drain().create(subscription(&jobs(), Purpose::Improve), false).await.unwrap();
    store(&mut world, 9).await;
    let two = pull(&world, 2).await;
    assert_eq!(commits(&two), [1, 2]);
    let one = world.drain().pull(&jobs(), 9, 1, NOW, 0).await.unwrap().deliveries;
    assert_eq!(commits(&one), [3], "one comes however few bytes are wanted");
    let bytes = u64::try_from(two[0].body.len()).unwrap() * 3 / 2;
    assert_eq!(commits(&world.drain().pull(&jobs(), 9, bytes, NOW, 0).await.unwrap().deliveries), [4]);
    assert_eq!(commits(&pull(&world, 9).await), [5]);
    assert_eq!(pull(&world, 9).await, [], "five are out");
    world.drain().acknowledge(&jobs(), &ids(&two)).await.unwrap();
    assert_eq!(commits(&pull(&world, 9).await), [6, 7]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_pull_is_woken_by_a_new_batch_by_room_and_by_a_return() {
    let mut world = World::new(Options { max_outstanding: 1, ..Options::default() }, |_| ()).await;
    world.drain().create(subscription(&jobs(), Purpose::Improve), false).await.unwrap();
    let waiting = |drain: Drain| {
        tokio::spawn(async move {
            drain.pull(&jobs(), 1, ALL, Duration::from_secs(30), 0).await.unwrap().deliveries
        })
    };
    let start = Instant::now();
    let pulled = waiting(world.drain().clone());
    store(&mut world, 2).await;
    let first = pulled.await.unwrap();
    assert_eq!(commits(&first), [1], "a new batch");
    let pulled = waiting(world.drain().clone());
    world.drain().acknowledge(&jobs(), &ids(&first)).await.unwrap();
    let second = pulled.await.unwrap();
    assert_eq!(commits(&second), [2], "room");
    let pulled = waiting(world.drain().clone());
    world.drain().modify_deadline(&jobs(), &ids(&second), NOW).await.unwrap();
    let third = pulled.await.unwrap();
    assert_eq!((commits(&third), third[0].attempt), (vec![2], 2), "a return");
    let pulled = waiting(world.drain().clone());
    world.clock.advance_ms(i64::try_from(LEASE.as_millis()).unwrap());
    world.drain().tick().await.unwrap();
    assert_eq!(pulled.await.unwrap()[0].attempt, 3, "a lease that ended");
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_subscription_that_is_deleted_is_gone_and_its_name_is_free() {
    let mut world = with_subscription().await;
    store(&mut world, 2).await;
    let given = pull(&world, 2).await;
    let waiter = world.drain().clone();
    let other = tokio::spawn(async move { waiter.pull(&jobs(), 1, ALL, Duration::from_secs(30), 0).await });
    tokio::task::yield_now().await;
    world.drain().delete(&jobs()).await.unwrap();
    assert!(matches!(other.await, Ok(Err(DrainError::NotFound { .. }))));
    assert!(matches!(world.drain().get(&jobs()).await, Err(DrainError::NotFound { .. })));
    world.drain().create(subscription(&jobs(), Purpose::Improve), true).await.unwrap();
    let result = world.drain().acknowledge(&jobs(), &ids(&given)).await.unwrap();
    assert_eq!(result.failures[0].1, AckFailure::Unknown, "the lease is of another subscription");
    let world = world.restart().await;
    assert_eq!(commits(&pull(&world, 9).await), [1, 2], "from the oldest");
}

// covers: B1
#[tokio::test]
async fn what_is_told_of_subscriptions_that_are_made_and_deleted_does_not_pile_up() {
    let told = || {
        let mut page = String::new();
        usaged::observe::write_late(&mut page, &usaged::observe::Top::default());
        page.lines().filter(|line| line.contains("subscription=\"passing-")).count()
    };
    let world = World::new(Options::default(), |_| ()).await;
    for round in 0..30 {
        let name = SubscriptionName::new(&format!("passing-{round}")).unwrap();
        world.drain().create(subscription(&name, Purpose::Improve), true).await.unwrap();
        world.drain().tick().await.unwrap();
        let now = told();
        assert!((11..=21).contains(&now), "{now} series in round {round}");
        world.drain().delete(&name).await.unwrap();
        world.drain().tick().await.unwrap();
        assert_eq!(told(), 0, "in round {round}");
    }
}

#[tokio::test]
async fn subscriptions_are_checked_counted_and_listed_in_order() {
    let world = World::new(Options { max_subscriptions: 3, ..Options::default() }, |_| ()).await;
    let make = |name: &str| subscription(&SubscriptionName::new(name).unwrap(), Purpose::Improve);
    for name in ["c", "a", "b"] {
        world.drain().create(make(name), false).await.unwrap();
    }
    let exists = world.drain().create(make("a"), false).await;
    assert!(matches!(exists, Err(DrainError::Exists { .. })));
    assert!(matches!(world.drain().create(make("d"), false).await, Err(DrainError::TooMany { max: 3 })));
    for (field, wrong) in [
        ("recipient", Subscription { recipient: String::new(), ..make("d") }),
        ("ack_deadline", Subscription { ack_deadline: Duration::from_millis(999), ..make("d") }),
        ("max_delivery_attempts", Subscription { max_delivery_attempts: 101, ..make("d") }),
    ] {
        let result = world.drain().create(wrong, false).await;
        assert!(matches!(result, Err(DrainError::Invalid { field: named, .. }) if named == field), "{field}");
    }
    let world = world.restart().await;
    let names = |states: Vec<SubscriptionState>| -> Vec<String> {
        states.into_iter().map(|state| state.subscription.name.to_string()).collect()
    };
    assert_eq!(names(world.drain().list(None, 2).await.unwrap()), ["a", "b"]);
    let b = SubscriptionName::new("b").unwrap();
    assert_eq!(names(world.drain().list(Some(&b), 2).await.unwrap()), ["c"]);
}

#[tokio::test]
async fn what_retention_dropped_is_counted_as_expired() {
    let mut world = World::new(Options::default(), |options| {
        options.retention_age = Duration::from_hours(1);
        options.segment_age = Duration::from_mins(10);
    })
    .await;
    world.drain().create(subscription(&jobs(), Purpose::Improve), false).await.unwrap();
    store(&mut world, 3).await;
    let given = pull(&world, 1).await;
    for _ in 0..4 {
        world.clock.advance_ms(3_000_000);
        world.live.store.maintain().await.unwrap();
    }
    store(&mut world, 1).await;
    world.drain().tick().await.unwrap();
    let state = state(world.drain()).await;
    assert_eq!((state.expired, state.waiting, state.cursor.0), (3, 1, 4));
    let late = world.drain().acknowledge(&jobs(), &ids(&given)).await.unwrap();
    assert_eq!(late.failures[0].1, AckFailure::Expired);
}

// covers: S1
#[tokio::test]
async fn a_shutdown_ends_waiting_pulls_and_still_takes_acknowledgements() {
    let mut world = with_subscription().await;
    store(&mut world, 2).await;
    let given = pull(&world, 1).await;
    pull(&world, 1).await;
    let waiter = world.drain().clone();
    let waiting = tokio::spawn(async move { waiter.pull(&jobs(), 1, ALL, Duration::from_secs(30), 0).await });
    tokio::task::yield_now().await;
    world.drain().clone().run(async {}).await;
    assert!(matches!(waiting.await, Ok(Err(DrainError::Stopped))));
    assert!(matches!(world.drain().pull(&jobs(), 1, ALL, NOW, 0).await, Err(DrainError::Stopped)));
    assert_eq!(world.drain().acknowledge(&jobs(), &ids(&given)).await.unwrap().done, 1);
}
