//! The registry of customers: revisions, history, keys and salts, and the cache in front of it.

use std::sync::Arc;

use usaged::model::{CustomerId, CustomerKey, Delivery, LevelName, Participation, ProgramName};
use usaged::store::{Customers, NewChange, SetError, Store};

use crate::store_samples::{Bench, START};

fn id(n: usize) -> CustomerId {
    CustomerId::new(&format!("customer-{n:07}")).unwrap()
}

fn change(n: usize, level: &str) -> NewChange {
    let mut participation = Participation::none(id(n));
    participation.levels.insert(ProgramName::new("ceip").unwrap(), LevelName::new(level).unwrap());
    NewChange { participation, by: "ops".into(), reason: "a test".into(), if_revision: None }
}

async fn set(store: &Store, new: NewChange) -> Result<(u64, bool, CustomerKey), SetError> {
    let mut outcomes = store.set_participation(vec![new]).await.unwrap();
    outcomes.remove(0).map(|outcome| (outcome.change.revision, outcome.changed, outcome.key))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participation_keeps_its_key_salt_and_history_through_changes_and_restarts() {
    let bench = Bench::new();
    let store = bench.open();
    let (_, _, key) = set(&store, change(1, "standard")).await.unwrap();
    let salt = store.customer(&id(1)).unwrap().unwrap().salt;
    bench.clock.advance_ms(10);
    assert_eq!(set(&store, change(1, "enhanced")).await, Ok((2, true, key)));
    assert_eq!(set(&store, change(1, "enhanced")).await, Ok((2, false, key)));
    let (_, _, other) = set(&store, change(2, "standard")).await.unwrap();
    assert!(other != key);
    store.close().await;
    let store = bench.open();
    assert_eq!(set(&store, change(1, "none")).await, Ok((3, true, key)));
    let customer = store.customer(&id(1)).unwrap().unwrap();
    assert!(customer.salt == salt && customer.key == key && customer.change.revision == 3);
    assert!(store.customer_by_key(other).unwrap().unwrap().salt != salt);
    let revisions = |before, limit| -> Vec<u64> {
        store.history(&id(1), before, limit).unwrap().iter().map(|change| change.revision).collect()
    };
    assert_eq!(revisions(None, 10), [3, 2, 1]);
    assert_eq!(revisions(Some(3), 1), [2]);
    assert_eq!(store.history(&id(1), None, 9).unwrap()[2].at, START);
    assert!(store.history(&id(9), None, 9).unwrap().is_empty());
    assert_eq!(store.customers_count(), 2);
    assert!(store.customer(&id(9)).unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_one_call_build_on_each_other_and_fail_one_by_one() {
    let bench = Bench::new();
    let store = bench.open();
    let stale = NewChange { if_revision: Some(0), ..change(1, "none") };
    let fresh = NewChange { if_revision: Some(1), ..change(1, "none") };
    let outcomes =
        store.set_participation(vec![change(1, "standard"), stale, fresh, change(2, "none")]).await.unwrap();
    let revisions: Vec<_> =
        outcomes.iter().map(|o| o.as_ref().map(|o| o.change.revision).map_err(Clone::clone)).collect();
    assert_eq!(revisions, [Ok(1), Err(SetError::Revision { expected: 0, present: 1 }), Ok(2), Ok(1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_are_listed_in_order_a_page_at_a_time() {
    let bench = Bench::new();
    let store = bench.open();
    store.set_participation((0..25).rev().map(|n| change(n, "standard")).collect()).await.unwrap();
    let mut seen = Vec::new();
    loop {
        let page = store.list_customers(seen.last(), 10).unwrap();
        if page.is_empty() {
            break;
        }
        seen.extend(page.into_iter().map(|change| change.participation.customer));
    }
    assert_eq!(seen, (0..25).map(id).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_seen_through_the_cache_as_soon_as_it_is_answered() {
    let bench = Bench::new();
    let store = bench.open();
    let customers = Customers::new(store.clone(), 100);
    assert!(customers.get(&id(1)).unwrap().is_none());
    for n in 1..=50 {
        let mut new = change(1, "standard");
        new.participation.delivery = if n % 2 == 0 { Delivery::Paused } else { Delivery::Deliver };
        let (_, _, key) = set(&store, new.clone()).await.unwrap();
        for _ in 0..2 {
            let entry = customers.get(&id(1)).unwrap().unwrap();
            assert_eq!(
                (entry.change.revision, entry.change.participation.clone()),
                (n, new.participation.clone())
            );
            assert!(Arc::ptr_eq(&entry, &customers.get_by_key(key).unwrap().unwrap()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_import_is_a_matter_of_seconds_and_does_not_slow_the_next_start() {
    let bench = Bench::new();
    let store = bench.open();
    let begun = std::time::Instant::now();
    for group in 0..10 {
        let changes = (group * 2_000..(group + 1) * 2_000).map(|n| change(n, "standard")).collect();
        let outcomes = store.set_participation(changes).await.unwrap();
        assert!(outcomes.iter().all(|outcome| outcome.as_ref().is_ok_and(|outcome| outcome.changed)));
    }
    let import = begun.elapsed();
    store.close().await;
    let begun = std::time::Instant::now();
    let store = bench.open();
    println!("20,000 customers: import {import:?}, open {:?}", begun.elapsed());
    assert_eq!(store.customers_count(), 20_000);
    assert!(import.as_secs() < 20 && begun.elapsed().as_secs() < 5);
}
