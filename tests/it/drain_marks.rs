//! What of a notice each subscription is told: what it has received, as that was noted when it left, and not as the policy
//! allows it today.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use usaged::drain::{CustomerName, Notice, NoticeDelivery, Options, Scope, SeekTarget};
use usaged::model::{LevelName, Participation, ProgramName, Purpose, Subscription, SubscriptionName};
use usaged::policy;
use usaged::sanitize::Named;
use usaged::store::{MetaOp, MetaTable};

use crate::drain_notices::{key, notice, notices, other};
use crate::drain_world::{MAX_ATTEMPTS, World, at_level, event, jobs, subscription, text_event};

const NOW: Duration = Duration::ZERO;

/// Puts a policy in force whose two programs may both be used to improve.
fn widen(world: &World) {
    let mut files = policy::shipped();
    for file in &mut files {
        file.text = file.text.replace("purposes = [\"deliver\"]", "purposes = [\"deliver\", \"improve\"]");
    }
    world.live.policy.swap(Arc::new(policy::compile(&files).unwrap().0));
}

/// Everything of a customer who ever chose both programs, which name it by its id and by a pseudonym, and of an
/// identifier with a token in each.
fn of_two_programs(number: u64) -> Notice {
    let programs = ["ceip", "operational"].map(|name| ProgramName::new(name).unwrap());
    let mut notice = Notice {
        scope: Scope::Instance { tokens: vec!["t-ceip".to_owned(), "t-operational".to_owned()] },
        customers: Vec::new(),
        ..notice(number)
    };
    for program in programs {
        notice.programs.insert(format!("t-{program}"), BTreeSet::from([program.clone()]));
        for (text, named, is_likely) in [
            (format!("id-{program}"), Named::Id, false),
            (format!("stable-{program}"), Named::Stable, true),
            (format!("rotating-{program}"), Named::Rotating, false),
        ] {
            let program = program.clone();
            notice.names.insert(text, vec![CustomerName { program, named, is_likely }]);
        }
        notice.leaves.insert(program, BTreeSet::new());
    }
    notice.customers.extend(notice.names.keys().cloned());
    notice
}

/// What the one notice that waits for a subscription says; it is acknowledged.
async fn said(world: &World, name: &SubscriptionName) -> (Vec<String>, Vec<String>) {
    let mut given = notices(world, name).await;
    assert_eq!(given.len(), 1);
    let NoticeDelivery { ack_id, notice, .. } = given.remove(0);
    assert_eq!(world.drain().acknowledge(name, &[ack_id]).await.unwrap().done, 1);
    let Scope::Instance { tokens } = &notice.scope else { panic!("{notice:?}") };
    (notice.customers.clone(), tokens.clone())
}

/// A participation in both programs, at the levels that name the customer by its id.
fn in_both() -> Participation {
    let mut both = at_level("enhanced");
    both.levels.insert(ProgramName::new("operational").unwrap(), LevelName::new("operational").unwrap());
    both
}

// covers: P7 P8
#[tokio::test]
async fn a_notice_says_what_was_delivered_through_crashes_whatever_the_policy_allows_by_then() {
    let mut world = World::new(Options::default(), |_| ()).await;
    world.participate(in_both()).await;
    widen(&world);
    world.drain().create(subscription(&jobs(), Purpose::Improve), true).await.unwrap();
    world.send(&[event("vm.inventory", "vcpus", 4)]).await;
    world.send(&[text_event("service.health", "instance", "i-1")]).await;
    let pull = async |world: &World| {
        let given = world.drain().pull(&jobs(), 1, u64::MAX, NOW, 0).await.unwrap().deliveries;
        assert_eq!(given.len(), 1);
    };
    let texts = |names: &[&str], tokens: &[&str]| {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        (owned(names), owned(tokens))
    };
    pull(&world).await;
    // The process ends as soon as the batch has left. What comes up has a policy without any purpose of this one, and
    // one in which the subscription may have both programs, of which it has received one.
    world = world.restart().await;
    let customer = key(&world);
    let narrow = policy::shipped().into_iter().map(|mut file| {
        file.text =
            file.text.replace("purposes = [\"improve\", \"recommend\"]", "purposes = [\"recommend\"]");
        file.text = file.text.replace("purposes = [\"improve\"]", "purposes = [\"recommend\"]");
        file
    });
    let narrow: Vec<_> = narrow.collect();
    world.live.policy.swap(Arc::new(policy::compile(&narrow).unwrap().0));
    assert_eq!(world.drain().notify(customer, of_two_programs(1)).await.unwrap(), 1);
    assert_eq!(said(&world, &jobs()).await, texts(&["id-ceip"], &["t-ceip"]));
    widen(&world);
    assert_eq!(world.drain().notify(customer, of_two_programs(2)).await.unwrap(), 1);
    assert_eq!(said(&world, &jobs()).await, texts(&["id-ceip"], &["t-ceip"]));

    // Another program, and the same one with the customer's name in another form: both are remembered.
    pull(&world).await;
    world = world.restart().await;
    widen(&world);
    assert_eq!(world.drain().notify(customer, of_two_programs(3)).await.unwrap(), 1);
    let both = texts(&["id-ceip", "id-operational"], &["t-ceip", "t-operational"]);
    assert_eq!(said(&world, &jobs()).await, both);
    world.participate(at_level("standard")).await;
    world.drain().seek(&jobs(), SeekTarget::Oldest).await.unwrap();
    pull(&world).await;
    world = world.restart().await;
    assert_eq!(world.drain().notify(customer, of_two_programs(4)).await.unwrap(), 1);
    let three = ["id-ceip", "id-operational", "stable-ceip"];
    assert_eq!(said(&world, &jobs()).await, texts(&three, &["t-ceip", "t-operational"]));
}

// covers: P8
#[tokio::test]
async fn a_subscription_whose_mark_was_written_before_programs_were_noted_is_told_all_that_it_wants() {
    let mut world = World::new(Options::default(), |_| ()).await;
    let ceip = Subscription {
        programs: vec![ProgramName::new("ceip").unwrap()],
        ..subscription(&other(), Purpose::Improve)
    };
    for subscription in [subscription(&jobs(), Purpose::Improve), ceip] {
        world.drain().create(subscription, true).await.unwrap();
    }
    world.send(&[event("vm.inventory", "vcpus", 4)]).await;
    for name in [jobs(), other()] {
        assert_eq!(world.drain().pull(&name, 1, 1, NOW, 0).await.unwrap().deliveries.len(), 1);
    }
    let customer = key(&world);
    for (key, row) in world.live.store.scan_meta(MetaTable::Received, &[], None, 10).unwrap() {
        // Version, first and last commit: what a row of version 1 is.
        let value = [&[1][..], &row[1..17]].concat();
        let put = MetaOp::Put { table: MetaTable::Received, key, value };
        world.live.store.write_meta(vec![put], true).await.unwrap();
    }
    world = world.restart().await;
    assert_eq!(world.drain().notify(customer, of_two_programs(1)).await.unwrap(), 2);
    // In which form it was named is not known, so it is told the likely ones.
    let (names, tokens) = said(&world, &jobs()).await;
    assert_eq!((names.len(), tokens.len()), (2, 2), "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("stable-")));
    assert_eq!(said(&world, &other()).await, (vec!["stable-ceip".to_owned()], vec!["t-ceip".to_owned()]));
    // What comes now is noted beside it.
    world.send(&[event("vm.inventory", "vcpus", 5)]).await;
    assert_eq!(world.drain().pull(&jobs(), 1, 1, NOW, 0).await.unwrap().deliveries.len(), 1);
    world = world.restart().await;
    assert_eq!(world.drain().notify(customer, of_two_programs(2)).await.unwrap(), 2);
    let (names, _) = said(&world, &jobs()).await;
    assert_eq!(names, ["id-ceip", "stable-ceip", "stable-operational"]);
    let rows = world.live.store.scan_meta(MetaTable::Received, &[], None, 10).unwrap();
    assert_eq!(rows.iter().map(|(_, row)| row[0]).collect::<BTreeSet<_>>(), BTreeSet::from([1, 2]));
}

// covers: P7 P8
#[tokio::test]
async fn who_reads_the_body_of_a_dead_letter_has_received_it() {
    let mut world = World::new(Options::default(), |_| ()).await;
    world.drain().create(subscription(&jobs(), Purpose::Improve), true).await.unwrap();
    world.send(&[event("vm.inventory", "vcpus", 4)]).await;
    for _ in 0..MAX_ATTEMPTS {
        let given = world.drain().pull(&jobs(), 1, 1, NOW, 0).await.unwrap().deliveries;
        let ids: Vec<_> = given.into_iter().map(|one| one.ack_id).collect();
        assert_eq!(world.drain().modify_deadline(&jobs(), &ids, NOW).await.unwrap().done, 1);
    }
    // By now the batch names its customer in another form.
    world.participate(at_level("standard")).await;
    let letters = world.drain().dead_letters(&jobs(), None, 10, Some(usize::MAX)).await.unwrap();
    assert!(letters[0].body.is_some());
    world = world.restart().await;
    let customer = key(&world);
    assert_eq!(world.drain().notify(customer, of_two_programs(1)).await.unwrap(), 1);
    assert_eq!(said(&world, &jobs()).await.0, ["id-ceip", "stable-ceip"]);
}
