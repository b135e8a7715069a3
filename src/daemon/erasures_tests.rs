//! How many erasures there may be: those under way are bounded, those that are done are remembered and in nobody's way.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use super::rooms_tests::{BATCHES, HOST, NAMED, Rooms, START, acme, jobs};
use crate::amend::{AmendError, ErasureReport, NewErasure, Options, Stage, Target};
use crate::drain::{Scope, SeekTarget};
use crate::model::{
    CommitNumber, CustomerId, ErasureId, IdentifierClass, Participation, ProductName, UnixMillis,
};
use crate::store::{MetaOp, MetaTable, NewChange};

const DAY: i64 = 86_400_000;

fn id(number: u64) -> ErasureId {
    ErasureId::parse(&format!("0198c0de-0000-7000-8000-{number:012x}")).unwrap()
}

/// Of a second of its own.
async fn erase(rooms: &Rooms, number: u64) -> Result<ErasureReport, AmendError> {
    let from = UnixMillis(1_000 * i64::try_from(number).unwrap());
    let target = Target::Times { from, until: from.plus_ms(1_000) };
    let (reference, by) = (String::new(), String::new());
    rooms.amend.erase(NewErasure { id: id(number), customer: acme(), target, reference, by }).await
}

async fn listed(rooms: &Rooms) -> Vec<ErasureId> {
    let mut all = Vec::new();
    loop {
        let page = rooms.amend.erasures(all.len(), 2).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page.iter().map(|report| report.erasure.id));
    }
}

// covers: B1
#[tokio::test(flavor = "multi_thread")]
async fn erasures_that_are_done_take_no_place_of_those_under_way_and_are_remembered_for_a_year() {
    let home = tempfile::tempdir().unwrap();
    let bounds = Options { erasures_under_way: 2, ..Options::default() };
    let rooms = Rooms::open_at(home.path(), START, bounds.clone()).await;
    rooms.participate(acme(), "standard").await;
    for number in 1..=7 {
        erase(&rooms, number).await.unwrap();
        rooms.amend.tick().await.unwrap();
        rooms.clock.advance_ms(1);
    }
    erase(&rooms, 8).await.unwrap();
    rooms.clock.advance_ms(1);
    erase(&rooms, 9).await.unwrap();
    let refused = erase(&rooms, 10).await;
    assert!(matches!(refused, Err(AmendError::TooMany { most: 2, .. })), "{refused:?}");
    rooms.close().await;

    let rooms = Rooms::open_at(home.path(), START.plus_ms(8), bounds.clone()).await;
    assert!(matches!(erase(&rooms, 10).await, Err(AmendError::TooMany { .. })), "after a start, too");
    assert_eq!(listed(&rooms).await, (1..=9).rev().map(id).collect::<Vec<_>>());
    let first = rooms.amend.erasure(id(1)).await.unwrap();
    assert_eq!((first.erasure.stage, first.erasure.done), (Stage::Done, Some(START)));
    // The same id again is the same erasure, also if it is done.
    assert_eq!(erase(&rooms, 1).await.unwrap(), first);
    rooms.amend.tick().await.unwrap();
    erase(&rooms, 10).await.unwrap();
    rooms.amend.tick().await.unwrap();
    assert_eq!(listed(&rooms).await.len(), 10);

    // A year after the first three were done they are forgotten, and no other.
    rooms.clock.advance_ms(365 * DAY - 5);
    rooms.amend.tick().await.unwrap();
    assert_eq!(listed(&rooms).await, (4..=10).rev().map(id).collect::<Vec<_>>());
    assert!(matches!(rooms.amend.erasure(id(3)).await, Err(AmendError::NoErasure { .. })));
    rooms.close().await;

    let bounds = Options { erasures_remembered: 7, ..bounds };
    let rooms = Rooms::open_at(home.path(), START.plus_ms(365 * DAY), bounds).await;
    assert!(matches!(erase(&rooms, 11).await, Err(AmendError::TooMany { most: 7, .. })));
    rooms.close().await;
}

// covers: P8 B1
#[tokio::test(flavor = "multi_thread")]
async fn only_erasures_that_still_withhold_count_against_the_bound_of_a_customer() {
    let home = tempfile::tempdir().unwrap();
    let bounds = Options { erasures_of_customer: 2, ..Options::default() };
    let rooms = Rooms::open_at(home.path(), START, bounds).await;
    rooms.participate(acme(), "standard").await;
    let key = rooms.customers.get(&acme()).unwrap().unwrap().key;
    for round in 0..3_u64 {
        for number in [2 * round + 1, 2 * round + 2] {
            erase(&rooms, number).await.unwrap();
            rooms.amend.tick().await.unwrap();
        }
        let refused = erase(&rooms, 100).await;
        assert!(matches!(refused, Err(AmendError::TooMany { most: 2, .. })), "{round}: {refused:?}");
        // Two are looked for, however many are remembered.
        assert_eq!(rooms.customers.erasures_of(key).unwrap(), 2, "{round}");
        let entry = rooms.customers.get_by_key(key).unwrap().unwrap();
        assert!(entry.suppressed.is_some(), "{round}");
        rooms.clock.advance_ms(32 * DAY);
        assert_eq!(rooms.customers.erasures_of(key).unwrap(), 0, "{round}");
    }
    assert_eq!(listed(&rooms).await.len(), 6);
    rooms.close().await;
}

// covers: P8
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_ahead_for_a_while_lets_in_nothing_that_was_erased() {
    let home = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(home.path()).await;
    let globex = CustomerId::new("globex").unwrap();
    for customer in [acme(), globex.clone()] {
        rooms.participate(customer, "standard").await;
    }
    let target = Target::Identifier { class: IdentifierClass::HostName, value: HOST.to_owned().into() };
    for (number, customer, target) in [(1, acme(), target), (2, globex.clone(), Target::Customer)] {
        let (reference, by) = (String::new(), String::new());
        rooms.amend.erase(NewErasure { id: id(number), customer, target, reference, by }).await.unwrap();
    }
    rooms.amend.tick().await.unwrap();
    rooms.participate(globex.clone(), "standard").await;
    rooms.close().await;

    let withheld = |rooms: &Rooms| {
        [&acme(), &globex].map(|customer| {
            let entry = rooms.customers.get(customer).unwrap().unwrap();
            (entry.suppressed.is_some(), rooms.customers.erasures_of(entry.key).unwrap())
        })
    };
    // The machine starts with a wrong clock, which is put right before it can be believed; and it jumps, hours later.
    let rooms = Rooms::open_at(home.path(), START.plus_ms(40 * DAY), Options::default()).await;
    assert_eq!(withheld(&rooms), [(true, 1); 2], "ahead at the start");
    rooms.clock.set_ahead_ms(-40 * DAY);
    assert_eq!(withheld(&rooms), [(true, 1); 2], "put right");
    rooms.clock.advance_ms(DAY);
    assert_eq!(withheld(&rooms), [(true, 1); 2], "as it is remembered");
    rooms.customers.forget_all();
    rooms.clock.set_ahead_ms(40 * DAY);
    assert_eq!(withheld(&rooms), [(true, 1); 2], "ahead for a while");
    rooms.clock.set_ahead_ms(-40 * DAY);
    assert_eq!(withheld(&rooms), [(true, 1); 2], "and put right");
    // What is sent only now, and happened before, is not let in.
    let head = rooms.store.head();
    rooms.fill_at(1..=1, Some(START.plus_ms(-1_000))).await;
    assert_eq!(rooms.store.head(), head);
    rooms.fill_with(2..=2).await;
    assert!(rooms.store.head() > head, "what happens now is");
    rooms.customers.forget_all();
    rooms.clock.advance_ms(31 * DAY);
    assert_eq!(withheld(&rooms), [(false, 0); 2], "it ends as it was said");
    rooms.close().await;

    // In the first hour of a start nobody knows what time it is: then all of it is looked for, and no longer than that.
    let rooms = Rooms::open_at(home.path(), START.plus_ms(33 * DAY), Options::default()).await;
    assert_eq!(withheld(&rooms), [(true, 1); 2]);
    rooms.clock.advance_ms(DAY / 24);
    assert_eq!(withheld(&rooms), [(false, 0); 2]);
    rooms.close().await;
}

// covers: P8, D1
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_between_the_fence_and_the_first_step_is_delivered_whole_and_stays() {
    let home = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(home.path()).await;
    rooms.participate(acme(), "enhanced").await;
    rooms.participate(CustomerId::new("globex").unwrap(), "enhanced").await;
    rooms.subscribe().await;
    rooms.fill().await;
    let fenced = rooms.store.head();
    let target = Target::Identifier { class: IdentifierClass::HostName, value: HOST.to_owned().into() };
    let (reference, by) = (String::new(), String::new());
    rooms.amend.erase(NewErasure { id: id(1), customer: acme(), target, reference, by }).await.unwrap();
    // As the process leaves it that ends right behind the fence.
    let row = rooms.store.meta(MetaTable::Erasures, id(1).as_bytes()).unwrap().unwrap();
    let (head, json) = row.split_at(9);
    let mut json: serde_json::Value = serde_json::from_slice(json).unwrap();
    assert_eq!(json["upto"], fenced.0);
    json["upto"] = 0.into();
    let value = [head, json.to_string().as_bytes()].concat();
    let key = id(1).as_bytes().to_vec();
    rooms.store.write_meta(vec![MetaOp::Put { table: MetaTable::Erasures, key, value }], true).await.unwrap();
    rooms.close().await;

    // What comes now happened after it was asked for.
    let rooms = Rooms::open_at(home.path(), START.plus_ms(1_000), Options::default()).await;
    rooms.fill_with(BATCHES + 1..=BATCHES + 4).await;
    let newer = || async {
        rooms.drain.seek(&jobs(), SeekTarget::Oldest).await.unwrap();
        let all = rooms.pull().await.into_iter().filter(|one| one.commit > fenced);
        all.map(|one| (one.commit, one.body)).collect::<Vec<_>>()
    };
    let before = newer().await;
    rooms.amend.tick().await.unwrap();
    let done = rooms.amend.erasure(id(1)).await.unwrap().erasure;
    assert_eq!((done.stage, done.upto), (Stage::Done, fenced));
    assert_eq!(done.counts.rewritten, BATCHES / NAMED);
    assert_eq!(newer().await, before);
    let named = before.iter().filter(|(commit, _)| commit.0 == fenced.0 + 1).count();
    assert_eq!((before.len(), named), (8, 1));
    // The one that names the host is as long as the same of the other customer, who erased nothing; their ids are kept.
    let long: Vec<usize> = before.iter().map(|(_, body)| body.len()).collect();
    let longer = "globex".len() - "acme".len();
    assert_eq!(long.first().map(|long| long + longer), long.get(1).copied());
    rooms.close().await;
}

// covers: P8
#[tokio::test(flavor = "multi_thread")]
async fn what_happens_until_the_fence_goes_and_what_happens_later_stays_however_long_it_took_to_fence() {
    let host = || Target::Identifier { class: IdentifierClass::HostName, value: HOST.to_owned().into() };
    for target in [host(), Target::Customer] {
        let home = tempfile::tempdir().unwrap();
        let rooms = Arc::new(Rooms::open(home.path()).await);
        rooms.participate(acme(), "standard").await;
        rooms.subscribe().await;
        // Every batch is of one event that names the host, and happens when it comes.
        rooms.fill_with(1..=1).await;
        let (is_whole, meanwhile) = (matches!(target, Target::Customer), Arc::clone(&rooms));
        let scope = if is_whole { "the customer" } else { "the host" };
        let first = async move {
            meanwhile.clock.advance_ms(10);
            meanwhile.fill_with(5..=5).await;
            meanwhile.clock.advance_ms(10);
            Ok::<(), std::convert::Infallible>(())
        };
        let (reference, by) = (String::new(), String::new());
        let new = NewErasure { id: id(1), customer: acme(), target, reference, by };
        let Ok(begun) = rooms.amend.erase_after(new, first).await.unwrap();
        let fenced = START.plus_ms(20);
        assert_eq!((begun.erasure.requested, begun.erasure.upto), (fenced, CommitNumber(2)), "{scope}");
        assert_eq!(begun.suppress_until, Some(fenced.plus_ms(31 * DAY)), "{scope}");
        if is_whole {
            rooms.participate(acme(), "standard").await;
        }
        // The same time as that of the fence, and the next.
        rooms.fill_with(9..=9).await;
        assert_eq!(rooms.store.head(), CommitNumber(2), "{scope}: it is withheld");
        rooms.clock.advance_ms(1);
        rooms.fill_with(13..=13).await;
        rooms.amend.tick().await.unwrap();
        let done = rooms.amend.erasure(id(1)).await.unwrap().erasure;
        assert_eq!((done.stage, done.counts.events), (Stage::Done, 2), "{scope}");
        let left: Vec<u64> = rooms.pull().await.iter().map(|one| one.commit.0).collect();
        assert_eq!(left, [3], "{scope}: what happened after the fence is there, and nothing else");
        Arc::into_inner(rooms).unwrap().close().await;
    }
}

// covers: P8
#[tokio::test(flavor = "multi_thread")]
async fn a_notice_says_what_was_delivered_of_a_customer_who_changed_its_mind_more_often_than_is_looked_through()
 {
    let home = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(home.path()).await;
    for customer in [acme(), CustomerId::new("globex").unwrap()] {
        rooms.participate(customer, "enhanced").await;
    }
    rooms.subscribe().await;
    rooms.fill_with(1..=1).await;
    assert_eq!(rooms.pull().await.len(), 2);
    let changes = (1..=1_001).map(|version| {
        let mut participation = Participation::none(acme());
        participation.accepted_dictionaries.insert(ProductName::new("vcenter").unwrap(), version);
        let (by, reason) = ("tests".to_owned(), "tests".to_owned());
        NewChange { participation, by, reason, if_revision: None }
    });
    for changed in rooms.store.set_participation(changes.collect()).await.unwrap() {
        changed.unwrap();
    }
    let target = Target::Instance("instance-1".to_owned().into());
    let (reference, by) = (String::new(), String::new());
    rooms.amend.erase(NewErasure { id: id(1), customer: acme(), target, reference, by }).await.unwrap();
    rooms.amend.tick().await.unwrap();
    let notices = rooms.drain.pull(&jobs(), 0, 0, Duration::ZERO, 0).await.unwrap().notices;
    assert_eq!(notices.len(), 1);
    assert_eq!(notices[0].notice.customers, ["acme"]);
    assert!(matches!(&notices[0].notice.scope, Scope::Instance { tokens } if !tokens.is_empty()));
    rooms.close().await;
}

// covers: P8
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_and_a_receipt_tell_how_many_events_have_only_the_short_name() {
    let home = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(home.path()).await;
    rooms.participate(acme(), "standard").await;
    for (batch, host) in
        (1..).zip(["db7.example.com", "db7", "DB7", "db7.example.org", "db8", "db7.example.com."])
    {
        rooms.name_host(batch, batch, host).await;
    }
    let new = |number, value: &str| {
        let target = Target::Identifier { class: IdentifierClass::HostName, value: value.to_owned().into() };
        let (reference, by) = (String::new(), String::new());
        NewErasure { id: id(number), customer: acme(), target, reference, by }
    };
    let full = "db7.example.com";
    let counted = rooms.amend.preview_erasure(new(1, full), Box::new(|_| true)).await.unwrap().erasure.counts;
    assert_eq!((counted.events, counted.short_names), (2, Some(2)));
    let begun = rooms.amend.erase(new(1, full)).await.unwrap();
    assert_eq!(begun.erasure.counts.short_names, None, "not counted yet");
    rooms.amend.tick().await.unwrap();
    let done = rooms.amend.erasure(id(1)).await.unwrap().erasure.counts;
    assert_eq!((done.events, done.short_names), (2, Some(2)));
    // By the short name they are taken, and then there are none.
    rooms.amend.erase(new(2, "db7")).await.unwrap();
    rooms.amend.erase(new(3, full)).await.unwrap();
    rooms.amend.tick().await.unwrap();
    let short = rooms.amend.erasure(id(2)).await.unwrap().erasure.counts;
    let again = rooms.amend.erasure(id(3)).await.unwrap().erasure.counts;
    assert_eq!((short.events, short.short_names), (2, None));
    assert_eq!((again.events, again.short_names), (0, Some(0)));
    rooms.close().await;
}

// covers: B1
#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_to_look_at_is_counted_in_pieces_and_no_more_once_the_collector_ends() {
    let home = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(home.path()).await;
    rooms.participate(acme(), "standard").await;
    for batch in 1..=20 {
        rooms.name_host(batch, batch, "esx-1.example.org").await;
    }
    let key = rooms.customers.get(&acme()).unwrap().unwrap().key;
    let told = rooms.amend.counted(key).await.unwrap();
    assert!(told.len() > 5 && told.is_sorted(), "{told:?}");
    assert!(told.first().is_some_and(|first| *first <= 4), "{told:?}");
    assert_eq!(told.last(), Some(&20));
    rooms.amend.clone().run(std::future::ready(())).await;
    assert!(matches!(rooms.amend.counted(key).await, Err(AmendError::Stopped)));
    rooms.close().await;
}
