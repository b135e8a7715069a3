//! What the ledger is told of drainers: each delivery once, through crashes, with its fields by class.

use std::collections::BTreeMap;
use std::future::Future as _;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use usaged::drain::{Options, SeekTarget};
use usaged::ledger::{Entry, Fact};
use usaged::model::{
    ClassCounts, CustomerKey, Fate, Handling, IdentifierClass, LevelName, ProductName, ProgramName, Purpose,
    SubscriptionName,
};

use crate::drain_world::{START, World, at_level, event, jobs, subscription, text_event};

const NOW: Duration = Duration::ZERO;

/// What the outbox holds, oldest first.
fn told(world: &World) -> Vec<Entry> {
    let entries = world.live.store.outbox(1_000).unwrap();
    let numbers: Vec<u64> = entries.iter().map(|(number, _)| *number).collect();
    assert!(numbers.is_sorted());
    entries.iter().map(|(_, bytes)| Entry::from_bytes(bytes).expect("an entry")).collect()
}

/// The sums of what was pulled, by subscription, level and purpose: batches, events, deliveries and fields.
fn pulled(world: &World) -> BTreeMap<(String, LevelName), (u64, u64, u64, ClassCounts)> {
    let mut sums: BTreeMap<_, (u64, u64, u64, ClassCounts)> = BTreeMap::new();
    for entry in told(world) {
        let Fact::Pulled { subscription, under, batches, events, deliveries, fields, customer, .. } =
            entry.fact
        else {
            continue;
        };
        assert_eq!(customer, CustomerKey(1));
        assert_eq!(under.program, ProgramName::new("ceip").unwrap());
        assert_eq!(under.product, ProductName::new("vcenter").unwrap());
        let sum = sums.entry((subscription.to_string(), under.level)).or_default();
        *sum = (sum.0 + batches, sum.1 + events, sum.2 + deliveries, sum.3.clone());
        sum.3.merge(&fields);
    }
    sums
}

fn level(name: &str) -> LevelName {
    LevelName::new(name).unwrap()
}

fn events() -> [Vec<u8>; 3] {
    [
        text_event("vm.inventory", "host", "esx01.example.com"),
        event("client.feature_used", "uses", 3),
        text_event("support.log_line", "severity", "error"),
    ]
}

async fn world(options: Options) -> World {
    let world = World::new(options, |_| ()).await;
    world.drain().create(subscription(&jobs(), Purpose::Improve), true).await.unwrap();
    world
}

#[tokio::test]
async fn a_subscription_is_on_the_ledger_from_its_creation_to_its_deletion() {
    let mut world = world(Options::default()).await;
    let made = told(&world);
    let Fact::SubscriptionCreated { subscription: name, purpose, recipient, programs, products } =
        &made[0].fact
    else {
        panic!("{made:?}")
    };
    assert_eq!((name, *purpose, recipient.as_str()), (&jobs(), Purpose::Improve, "tests"));
    assert_eq!((made.len(), made[0].at, programs.len(), products.len()), (1, START, 0, 0));
    world.send(&events()).await;
    world.drain().pull(&jobs(), 9, 1, NOW, 0).await.unwrap();
    world.clock.advance_ms(5);
    world.drain().delete(&jobs()).await.unwrap();
    let told = told(&world);
    assert!(matches!(&told[1].fact, Fact::Pulled { batches: 1, events: 3, deliveries: 1, .. }), "{told:?}");
    assert!(matches!(&told[2].fact, Fact::SubscriptionDeleted { recipient, .. } if recipient == "tests"));
    assert_eq!((told.len(), told[2].at), (3, START.plus_ms(5)));
    let world = world.restart().await;
    world.drain().tick().await.unwrap();
    assert_eq!(pulled(&world).len(), 1, "nothing is told twice");
}

#[tokio::test]
async fn each_delivery_is_told_once_through_crashes() {
    let mut world = world(Options::default()).await;
    for _ in 0..4 {
        world.send(&events()).await;
    }
    let mut deliveries = 0;
    for round in 0..6_u64 {
        let given = world.drain().pull(&jobs(), 2, u64::MAX, NOW, 0).await.unwrap().deliveries;
        deliveries += u64::try_from(given.len()).unwrap();
        let ids: Vec<_> = given.into_iter().map(|one| one.ack_id).collect();
        if round % 2 == 0 {
            world.drain().modify_deadline(&jobs(), &ids, NOW).await.unwrap();
        } else {
            world.drain().acknowledge(&jobs(), &ids).await.unwrap();
        }
        // The ledger is told now and then; the process ends in between and right after.
        match round % 3 {
            0 => world = world.restart().await,
            1 => {
                world.clock.advance_ms(60_000);
                world.drain().tick().await.unwrap();
                world = world.restart().await;
            }
            _ => {}
        }
    }
    world.clock.advance_ms(60_000);
    world.drain().tick().await.unwrap();
    let sums = pulled(&world);
    let (batches, events, times, _) = &sums[&("jobs".to_owned(), level("enhanced"))];
    assert_eq!((*batches, *events, *times), (4, 12, deliveries));
    world.drain().seek(&jobs(), SeekTarget::Oldest).await.unwrap();
    world.drain().pull(&jobs(), 1, u64::MAX, NOW, 0).await.unwrap();
    world.drain().clone().run(async {}).await;
    let sums = pulled(&world);
    assert_eq!(sums[&("jobs".to_owned(), level("enhanced"))].0, 5, "a shutdown tells it too");
}

// covers: P6
#[tokio::test(flavor = "multi_thread")]
async fn what_was_opened_and_did_not_go_out_is_told_as_it_leaves_and_only_then() {
    for (tells, restarts) in [(false, false), (false, true), (true, false)] {
        let mut world = world(Options::default()).await;
        for _ in 0..3 {
            world.send(&events()).await;
        }
        let mut opened = world.drain().pull(&jobs(), 9, u64::MAX, NOW, 0).await.unwrap().deliveries;
        let first = opened.split_off(2);
        assert_eq!((opened.len(), first.len()), (2, 1));
        world.participate(at_level("standard")).await;
        if tells {
            world.drain().tell().await.unwrap();
        }
        // One went out before; two wait for a client that reads slowly.
        world.drain().keep_fresh(&jobs(), &mut opened);
        assert_eq!(opened, []);
        // What was taken back comes again, as if it had never been opened.
        let again = world.drain().pull(&jobs(), 9, u64::MAX, Duration::from_secs(30), 0).await.unwrap();
        let ids: Vec<_> = again.deliveries.iter().map(|one| one.ack_id.clone()).collect();
        assert_eq!((ids.len(), again.deliveries[0].attempt), (2, 1));
        world.drain().acknowledge(&jobs(), &ids).await.unwrap();
        if restarts {
            world = world.restart().await;
        }
        world.drain().tell().await.unwrap();
        let sums = pulled(&world);
        let sum = |name: &str| {
            let (batches, events, deliveries, _) = &sums[&("jobs".to_owned(), level(name))];
            (*batches, *events, *deliveries)
        };
        // Where the ledger was told in between, it says of what was opened that it left.
        let rest = if tells { 2 } else { 0 };
        assert_eq!(sum("enhanced"), (1 + rest, 3 * (1 + rest), 1 + rest), "{tells} {restarts}");
        assert_eq!(sum("standard"), (2, 4, 2), "{tells} {restarts}");
    }
}

/// Has two batches delivered until they are given up; how often that was.
async fn give_up_two(world: &mut World) -> u64 {
    world.send(&events()).await;
    world.send(&events()).await;
    for _ in 0..crate::drain_world::MAX_ATTEMPTS {
        let given = world.drain().pull(&jobs(), 9, u64::MAX, NOW, 0).await.unwrap().deliveries;
        let ids: Vec<_> = given.into_iter().map(|one| one.ack_id).collect();
        assert_eq!(ids.len(), 2);
        world.drain().modify_deadline(&jobs(), &ids, NOW).await.unwrap();
    }
    world.drain().tell().await.unwrap();
    u64::from(crate::drain_world::MAX_ATTEMPTS) * 2
}

/// Batches, events and deliveries that the ledger was told of at a level.
fn sum(world: &World, name: &str) -> Option<(u64, u64, u64)> {
    pulled(world).get(&("jobs".to_owned(), level(name))).map(|sum| (sum.0, sum.1, sum.2))
}

// covers: P6 P7
#[tokio::test]
async fn dead_letters_that_are_read_with_their_bodies_are_told_each_time_and_those_without_are_not() {
    let mut world = world(Options::default()).await;
    let times = give_up_two(&mut world).await;
    assert_eq!(sum(&world, "enhanced"), Some((2, 6, times)));
    let read = async |world: &World, bodies| {
        let letters = world.drain().dead_letters(&jobs(), None, 9, bodies).await.unwrap();
        letters.iter().filter(|letter| letter.body.is_some()).count()
    };
    assert_eq!(read(&world, None).await, 0);
    for _ in 0..3 {
        assert_eq!(read(&world, Some(usize::MAX)).await, 2);
    }
    // As with a delivery, it is on disk before it leaves.
    world = world.restart().await;
    world.drain().tell().await.unwrap();
    assert_eq!(sum(&world, "enhanced"), Some((2, 6, times + 6)), "the same batches, delivered again");
    // What is left of them after a lower level is told as that.
    world.participate(at_level("standard")).await;
    assert_eq!(read(&world, Some(usize::MAX)).await, 2);
    world.drain().tell().await.unwrap();
    assert_eq!(sum(&world, "enhanced"), Some((2, 6, times + 6)));
    assert_eq!(sum(&world, "standard"), Some((0, 0, 2)));
}

/// Rings when it would be polled again.
struct Rung(Notify);

impl Wake for Rung {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

/// covers: P6
#[tokio::test]
async fn a_dead_letter_whose_customer_chooses_less_while_it_is_opened_does_not_leave_as_it_was() {
    let mut world = world(Options::default()).await;
    let mut times = give_up_two(&mut world).await;
    let rung = Arc::new(Rung(Notify::new()));
    let mut reading = loop {
        let (drain, waker) = (world.drain().clone(), Waker::from(Arc::clone(&rung)));
        let mut reading =
            Box::pin(async move { drain.dead_letters(&jobs(), None, 9, Some(usize::MAX)).await.unwrap() });
        // One that is through at once leaves no time to choose in.
        if reading.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            break reading;
        }
        times += 2;
    };
    rung.0.notified().await;
    // Both are opened, and the answer is not there yet.
    world.participate(at_level("standard")).await;
    let letters = reading.as_mut().await;
    assert!(letters.len() == 2 && letters.iter().all(|letter| letter.body.is_none()), "{letters:?}");
    world.drain().tell().await.unwrap();
    assert_eq!(sum(&world, "enhanced").map(|sum| sum.2), Some(times), "what did not leave is not told");
    let again = world.drain().dead_letters(&jobs(), None, 9, Some(usize::MAX)).await.unwrap();
    assert!(again.iter().all(|letter| letter.body.is_some()), "{again:?}");
    world.drain().tell().await.unwrap();
    assert_eq!(sum(&world, "standard"), Some((0, 0, 2)), "what is left of them does");
}

#[tokio::test]
async fn nothing_is_told_before_it_is_time_and_much_is_told_at_once() {
    let every = Duration::from_secs(10);
    let mut world = world(Options { totals_every: every, ..Options::default() }).await;
    world.drain().tick().await.unwrap();
    world.send(&events()).await;
    world.drain().pull(&jobs(), 1, u64::MAX, NOW, 0).await.unwrap();
    world.clock.advance_ms(9_999);
    world.drain().tick().await.unwrap();
    assert_eq!(pulled(&world).len(), 0);
    world.clock.advance_ms(1);
    world.drain().tick().await.unwrap();
    assert_eq!(pulled(&world).len(), 1);
}

// covers: P7
#[tokio::test]
async fn fields_that_leave_are_counted_by_class_and_those_that_do_not_are_dropped() {
    let mut world = world(Options::default()).await;
    let recommend = SubscriptionName::new("recommend").unwrap();
    world.drain().create(subscription(&recommend, Purpose::Recommend), true).await.unwrap();
    let receipt = world.send(&events()).await;
    assert_eq!(receipt.tally.fields[Fate::Pseudonymised.index()], 1);
    for name in [jobs(), recommend.clone()] {
        assert_eq!(world.drain().pull(&name, 9, u64::MAX, NOW, 0).await.unwrap().deliveries.len(), 1);
    }
    world.participate(at_level("standard")).await;
    world.drain().seek(&jobs(), SeekTarget::Oldest).await.unwrap();
    world.drain().pull(&jobs(), 9, u64::MAX, NOW, 0).await.unwrap();
    world.drain().tick().await.unwrap();
    let sums = pulled(&world);
    let of = |name: &str, at: &str| {
        let (_, events, _, fields) = &sums[&(name.to_owned(), level(at))];
        let get = |class, handling| fields.get(class, handling);
        let host =
            [Handling::Pseudonymised, Handling::Dropped].map(|how| get(IdentifierClass::HostName, how));
        let other = [Handling::Kept, Handling::Dropped].map(|how| get(IdentifierClass::NotIdentifying, how));
        (*events, host, other)
    };
    assert_eq!(of("jobs", "enhanced"), (3, [1, 0], [2, 0]));
    assert_eq!(of("recommend", "enhanced"), (2, [0, 1], [2, 0]), "a host name is not for recommendations");
    assert_eq!(of("jobs", "standard"), (2, [1, 0], [1, 1]), "the level took a line of a log");
}
