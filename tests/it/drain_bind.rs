//! A changed participation binds what is queued, what is leased and what was given up; a pause holds it back; what
//! was erased is withdrawn.

use std::collections::BTreeSet;
use std::time::Duration;

use usaged::drain::{AckFailure, Delivery, Options, SeekTarget, SkipReason};
use usaged::model::{
    CommitNumber, Delivery as Mode, Participation, ProductLevel, ProductName, Purpose, RegionName,
};
use usaged::store::{Amended, Amendment, Entry};

use crate::drain_world::{LEASE, MAX_ATTEMPTS, World, at_level, event, jobs, subscription, text_event};

const NOW: Duration = Duration::ZERO;

/// A world with a subscription to improve, that began before anything was stored.
async fn world() -> World {
    let world = World::new(Options::default(), |_| ()).await;
    world.drain().create(subscription(&jobs(), Purpose::Improve), false).await.unwrap();
    world
}

/// Sends batches of one event that standard has, and one that it has not.
async fn store(world: &mut World, batches: u8) {
    for number in 0..batches {
        world.send(&[event("vm.inventory", "vcpus", number), log_event()]).await;
    }
}

/// An event of `ceip` that only `enhanced` includes.
fn log_event() -> Vec<u8> {
    text_event("support.log_line", "severity", "error")
}

async fn pull(world: &World, max: usize) -> Vec<Delivery> {
    world.drain().pull(&jobs(), max, u64::MAX, NOW, 0).await.unwrap().deliveries
}

fn ids(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|delivery| delivery.ack_id.clone()).collect()
}

fn commits(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries.iter().map(|delivery| delivery.commit.0).collect()
}

fn holds(delivery: &Delivery, text: &str) -> bool {
    delivery.body.windows(text.len()).any(|window| window == text.as_bytes())
}

fn levels(deliveries: &[Delivery]) -> Vec<&'static str> {
    let names = ["standard", "enhanced"];
    let of = |delivery| names.into_iter().find(|name| holds(delivery, &format!("\u{1a}\u{8}{name}")));
    deliveries.iter().map(|delivery| of(delivery).expect("a level of ceip")).collect()
}

async fn skipped(world: &World, reason: SkipReason) -> u64 {
    let state = world.drain().get(&jobs()).await.unwrap();
    let sum = state.acknowledged + state.waiting + state.dead + state.expired + state.skipped;
    assert_eq!(state.stored, sum, "every stored batch is in one place: {state:?}");
    state.skipped_by.iter().find(|(one, _)| *one == reason).unwrap().1
}

// covers: P6
#[tokio::test]
async fn a_lowered_level_binds_what_is_queued_and_raising_brings_nothing_back() {
    let mut world = world().await;
    store(&mut world, 2).await;
    assert_eq!(levels(&pull(&world, 1).await), ["enhanced"]);
    world.participate(at_level("standard")).await;
    let lowered = pull(&world, 1).await;
    assert_eq!((commits(&lowered), levels(&lowered)), (vec![2], vec!["standard"]));
    world.participate(at_level("enhanced")).await;
    store(&mut world, 1).await;
    world.drain().seek(&jobs(), SeekTarget::Oldest).await.unwrap();
    let world = world.restart().await;
    let again = pull(&world, 9).await;
    assert_eq!(
        levels(&again),
        ["standard", "standard", "enhanced"],
        "what came after it is as it was agreed to"
    );
    assert_eq!(world.drain().acknowledge(&jobs(), &ids(&again)).await.unwrap().done, 3);
    world.participate(at_level("none")).await;
    world.participate(at_level("enhanced")).await;
    world.drain().seek(&jobs(), SeekTarget::Oldest).await.unwrap();
    assert_eq!(pull(&world, 9).await, [], "off and on again gives nothing back");
    assert_eq!(skipped(&world, SkipReason::Lowered).await, 3);
}

// covers: P6
#[tokio::test]
async fn what_is_lowered_is_byte_for_byte_what_would_have_been_stored_at_the_lower_level() {
    let mut world = world().await;
    world.participate(at_level("standard")).await;
    store(&mut world, 1).await;
    world.participate(at_level("enhanced")).await;
    store(&mut world, 1).await;
    let mut european = at_level("enhanced");
    european.region = Some(RegionName::new("eea").unwrap());
    world.participate(at_level("standard")).await;
    let given = pull(&world, 9).await;
    assert_eq!(levels(&given), ["standard", "standard"]);
    assert_eq!(given[0].body, given[1].body, "but for the place in the order");
    world.participate(european).await;
    assert!(world.drain().acknowledge(&jobs(), &ids(&given)).await.unwrap().failures.len() == 2);
    let given = pull(&world, 9).await;
    assert!(given.iter().all(|one| holds(one, "\u{22}\u{3}eea")), "an overlay binds what is queued too");
}

// covers: P6
#[tokio::test]
async fn a_lease_of_what_was_lowered_since_is_withdrawn_and_what_is_left_comes_again() {
    let mut world = world().await;
    store(&mut world, 3).await;
    let leased = pull(&world, 3).await;
    assert_eq!(world.drain().acknowledge(&jobs(), &ids(&leased[..1])).await.unwrap().done, 1);
    world.participate(at_level("standard")).await;
    let out: Vec<usize> =
        (1..=3).map(|commit| world.drain().leased_unlike(CommitNumber(commit), None)).collect();
    assert_eq!(out, [0, 1, 1]);
    let world = world.restart().await;
    let result = world.drain().acknowledge(&jobs(), &ids(&leased)).await.unwrap();
    let withdrawn = |one: &Delivery| (one.ack_id.clone(), AckFailure::Withdrawn(one.commit));
    assert!(
        result.failures.contains(&withdrawn(&leased[1])) && result.failures.contains(&withdrawn(&leased[2]))
    );
    assert!(result.failures.contains(&(leased[0].ack_id.clone(), AckFailure::Expired)), "done with before");
    let again = pull(&world, 9).await;
    assert_eq!((commits(&again), levels(&again)), (vec![2, 3], vec!["standard"; 2]));
    assert_eq!(again[0].attempt, 1, "with a fresh count of attempts");
    assert_eq!(world.drain().acknowledge(&jobs(), &ids(&again)).await.unwrap().done, 2);
}

// covers: P6
#[tokio::test]
async fn a_cap_of_the_collector_that_was_lowered_withdraws_leases_that_are_out() {
    let mut world = world().await;
    store(&mut world, 4).await;
    let leased = pull(&world, 2).await;
    let capped = |level: &str| Options {
        global_caps: [("ceip".parse().unwrap(), level.parse().unwrap())].into(),
        ..Options::default()
    };
    let refused = async |world: &World, leased: &[Delivery]| {
        let result = world.drain().acknowledge(&jobs(), &ids(leased)).await.unwrap();
        result.failures.into_iter().map(|(_, why)| why).collect::<Vec<_>>()
    };
    let withdrawn = |commits: [u64; 2]| commits.map(|commit| AckFailure::Withdrawn(CommitNumber(commit)));
    let world = world.restart_with(capped("standard")).await;
    assert_eq!(refused(&world, &leased).await, withdrawn([1, 2]));
    let leased = pull(&world, 2).await;
    assert_eq!((commits(&leased), levels(&leased)), (vec![1, 2], vec!["standard"; 2]));
    let world = world.restart_with(capped("none")).await;
    assert_eq!(refused(&world, &leased).await, withdrawn([1, 2]));
    assert_eq!(pull(&world, 9).await, []);
    // Under the same caps, a lease is what it was.
    let world = world.restart_with(capped("standard")).await;
    world.drain().seek(&jobs(), SeekTarget::Oldest).await.unwrap();
    let leased = pull(&world, 2).await;
    let world = world.restart_with(capped("standard")).await;
    assert_eq!(refused(&world, &leased).await, []);
}

#[tokio::test]
async fn a_change_that_does_not_touch_a_batch_withdraws_no_lease() {
    let mut world = world().await;
    store(&mut world, 2).await;
    let leased = pull(&world, 2).await;
    let mut other = at_level("enhanced");
    let (product, program) = (ProductName::new("horizon").unwrap(), "ceip".parse().unwrap());
    let level = "none".parse().unwrap();
    other.product_levels.push(ProductLevel { product, program, level });
    other.purposes_off.push(Purpose::Deliver);
    world.participate(other).await;
    assert_eq!(world.drain().acknowledge(&jobs(), &ids(&leased)).await.unwrap().done, 2);
}

// covers: P6
#[tokio::test]
async fn what_nothing_is_left_of_is_passed_over_and_dead_letters_show_what_is_left() {
    let mut world = world().await;
    store(&mut world, 1).await;
    world.send(&[log_event()]).await;
    for _ in 0..MAX_ATTEMPTS {
        let given = pull(&world, 9).await;
        assert_eq!(commits(&given), [1, 2]);
        world.drain().modify_deadline(&jobs(), &ids(&given), NOW).await.unwrap();
    }
    world.participate(at_level("standard")).await;
    let dead = world.drain().dead_letters(&jobs(), None, 9, Some(usize::MAX)).await.unwrap();
    let text = |at: usize| dead[at].body.as_ref().map(|body| String::from_utf8_lossy(body).into_owned());
    assert!(text(0).is_some_and(|text| text.contains("vcpus") && !text.contains("severity")));
    assert_eq!(text(1), None, "nothing of it is left");
    assert_eq!(world.drain().replay(&jobs(), &[]).await.unwrap(), 2);
    let given = pull(&world, 9).await;
    assert_eq!((commits(&given), levels(&given)), (vec![1], vec!["standard"]));
    assert_eq!(skipped(&world, SkipReason::Lowered).await, 1);
}

// covers: P6, P7
#[tokio::test]
async fn a_purpose_that_is_switched_off_binds_what_is_queued_and_leased() {
    let mut world = world().await;
    store(&mut world, 2).await;
    let leased = pull(&world, 1).await;
    let off = Participation { purposes_off: vec![Purpose::Improve], ..at_level("enhanced") };
    world.participate(off).await;
    let failures = world.drain().acknowledge(&jobs(), &ids(&leased)).await.unwrap().failures;
    assert_eq!(failures[0].1, AckFailure::Withdrawn(CommitNumber(1)));
    world.participate(at_level("enhanced")).await;
    assert_eq!(pull(&world, 9).await, [], "switched on again gives nothing back");
    assert_eq!(skipped(&world, SkipReason::Purpose).await, 2);
}

#[tokio::test]
async fn a_pause_holds_back_does_not_undo_what_was_delivered_and_a_seek_brings_it_back() {
    let mut world = world().await;
    store(&mut world, 2).await;
    let leased = pull(&world, 1).await;
    world.participate(Participation { delivery: Mode::Paused, ..at_level("enhanced") }).await;
    assert_eq!(world.drain().acknowledge(&jobs(), &ids(&leased)).await.unwrap().done, 1);
    assert_eq!(pull(&world, 9).await, []);
    assert_eq!(skipped(&world, SkipReason::Held).await, 1);
    world.participate(at_level("enhanced")).await;
    world.drain().seek(&jobs(), SeekTarget::Commit(CommitNumber(2))).await.unwrap();
    assert_eq!(commits(&pull(&world, 9).await), [2]);
}

#[tokio::test]
async fn what_was_for_looking_at_only_is_never_drained() {
    let mut world = world().await;
    store(&mut world, 1).await;
    world.participate(Participation { delivery: Mode::Audit, ..at_level("enhanced") }).await;
    store(&mut world, 1).await;
    world.participate(at_level("enhanced")).await;
    store(&mut world, 1).await;
    assert_eq!(commits(&pull(&world, 9).await), [3]);
    world.drain().seek(&jobs(), SeekTarget::Oldest).await.unwrap();
    assert_eq!(commits(&pull(&world, 9).await), [3], "also not after a seek");
    assert_eq!(skipped(&world, SkipReason::Held).await, 4);
}

#[tokio::test]
async fn a_lease_of_what_was_erased_is_withdrawn_and_its_batch_is_passed_over() {
    let mut world = world().await;
    store(&mut world, 3).await;
    let leased = pull(&world, 2).await;
    let erased: BTreeSet<_> = [1, 3].map(CommitNumber).into();
    for commit in &erased {
        let Some(Entry::Record(record)) = world.live.store.read_one(*commit).unwrap() else {
            panic!("{commit} is there")
        };
        let amendment = Amendment { commit: *commit, with: None, expect: record.tag() };
        assert_eq!(world.live.store.amend(vec![amendment]).await.unwrap(), [Amended::Done]);
    }
    assert_eq!(world.drain().revoke(&erased).await.unwrap(), 1);
    let world = world.restart().await;
    let result = world.drain().acknowledge(&jobs(), &ids(&leased)).await.unwrap();
    let withdrawn = AckFailure::Withdrawn(CommitNumber(1));
    assert_eq!((result.done, result.failures), (1, vec![(leased[0].ack_id.clone(), withdrawn)]));
    assert_eq!(pull(&world, 9).await, []);
    assert_eq!(skipped(&world, SkipReason::Gone).await, 2);
    world.clock.advance_ms(i64::try_from(LEASE.as_millis()).unwrap());
    assert_eq!(pull(&world, 9).await, []);
}
