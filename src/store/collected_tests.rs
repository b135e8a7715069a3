//! Sums of what came in: written with the batches, told once, bounded.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::collected::{Collected, CollectedKey};
use super::layout::{INCREMENT_BOUNDS, INCREMENTS, META};
use super::rocks::between;
use super::samples::{blocking, open_with, record, register};
use super::{Append, AppendError, Appended, Dedup, Notary, Options, Store};
use crate::model::{ClassCounts, CustomerKey, Handling, IdentifierClass, Reason, Under};

/// An entry in the tests: the key, and what was counted, as JSON.
type Told = (CollectedKey, Collected);

fn options(dir: &Path) -> Options {
    let mut options = Options::new(dir);
    options.reserve_bytes = 0;
    let notary = Notary::new(|_, _, _| b"{}".to_vec());
    options.notary =
        Some(notary.with_collected(|key, _, collected| serde_json::to_vec(&(key, collected)).unwrap()));
    options
}

fn key(customer: u64, level: Option<&str>) -> CollectedKey {
    let under = level.map(|level| Under {
        program: "ceip".parse().unwrap(),
        product: "vcenter".parse().unwrap(),
        level: level.parse().unwrap(),
        region: None,
        dictionary: 1,
    });
    CollectedKey { customer: CustomerKey(customer), under }
}

fn one(events: u64) -> Collected {
    let mut fields = ClassCounts::default();
    fields.add(IdentifierClass::HostName, Handling::Pseudonymised, events);
    fields.add(IdentifierClass::Email, Handling::Dropped, 1);
    Collected { batches: 1, events, withheld: BTreeMap::from([(Reason::Level, 2)]), fields }
}

fn dedup(n: u64) -> Dedup {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&n.to_be_bytes());
    Dedup { id, digest: [7; 16] }
}

async fn append(store: &Store, n: u64, key: CollectedKey) -> Result<Appended, AppendError> {
    let record = record(store, CustomerKey(1), "standard", b"a body");
    let (dedup, collected) = (dedup(n), vec![(key, one(3))]);
    store.append(Append { records: vec![record], dedup, receipt: Vec::new(), basis: None, collected }).await
}

/// What the ledger was told, summed by key.
fn told(store: &Store) -> BTreeMap<String, (u64, u64, u64)> {
    let mut sums = BTreeMap::new();
    for (_, entry) in store.outbox(usize::MAX).unwrap() {
        let Ok((key, collected)) = serde_json::from_slice::<Told>(&entry) else { continue };
        let sum: &mut (u64, u64, u64) = sums.entry(format!("{key:?}")).or_default();
        sum.0 += collected.batches;
        sum.1 += collected.events;
        sum.2 += collected.fields.get(IdentifierClass::HostName, Handling::Pseudonymised);
    }
    sums
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() { copy_all(&path, &to) } else { assert!(fs::copy(path, to).is_ok()) }
    }
}

/// covers: D1, D3
#[tokio::test]
async fn a_sum_is_written_with_its_batch_comes_back_after_a_crash_and_is_told_once() {
    let home = tempfile::tempdir().unwrap();
    let (data, copy) = (home.path().join("data"), home.path().join("copy"));
    let store = open_with(&options(&data));
    let customer = register(&store, "acme", "standard").await.0;
    for n in 0..5 {
        append(&store, n, key(customer, Some("standard"))).await.unwrap();
    }
    append(&store, 9, key(customer, Some("enhanced"))).await.unwrap();
    // The same batch again counts once.
    assert!(matches!(
        append(&store, 3, key(customer, Some("standard"))).await,
        Ok(Appended::Duplicate { .. })
    ));
    store.count_collected(vec![(key(customer, None), one(0))]).await.unwrap();
    // A crash: what is on disk now is all that is left.
    let (from, to) = (data.clone(), copy.clone());
    blocking(move || copy_all(&from, &to)).await;
    let expected = |store: &Store| {
        let sums = told(store);
        assert_eq!(sums.get(&format!("{:?}", key(customer, Some("standard")))), Some(&(5, 15, 15)));
        assert_eq!(sums.get(&format!("{:?}", key(customer, Some("enhanced")))), Some(&(1, 3, 3)));
        assert_eq!(sums.get(&format!("{:?}", key(customer, None))), Some(&(1, 0, 0)));
    };
    let after = open_with(&options(&copy));
    for store in [&store, &after] {
        store.tell_collected().await.unwrap();
        expected(store);
        // Nothing is left to tell, now and after a restart.
        store.tell_collected().await.unwrap();
        expected(store);
    }
    after.close().await;
    let again = open_with(&options(&copy));
    again.tell_collected().await.unwrap();
    expected(&again);
    append(&again, 20, key(customer, Some("standard"))).await.unwrap();
    again.tell_collected().await.unwrap();
    assert_eq!(
        told(&again).get(&format!("{:?}", key(customer, Some("standard")))),
        Some(&(6, 18, 18)),
        "a new sum begins after one was told"
    );
}

/// covers: B1, B2
#[tokio::test]
async fn a_million_customers_make_no_more_sums_than_there_may_be_and_none_is_lost() {
    let home = tempfile::tempdir().unwrap();
    let store = open_with(&options(&home.path().join("data")));
    let many = |from: u64, n: u64| (from..from + n).map(|customer| (key(customer, None), one(1))).collect();
    for from in (0..20_000).step_by(1_000) {
        store.count_collected(many(from, 1_000)).await.unwrap();
    }
    let early: u64 = told(&store).values().map(|sum| sum.0).sum();
    assert!(early > 0, "with many of them, the ledger is told before it is asked for");
    store.tell_collected().await.unwrap();
    let sums = told(&store);
    assert_eq!((sums.len(), sums.values().map(|sum| sum.0).sum()), (20_000, 20_000_u64));
    // An outbox that takes nothing more: sums that are there go on, what would begin one is refused.
    let fill = |n: usize| std::iter::repeat_n(super::MetaOp::Ledger(b"{}".to_vec()), n).collect::<Vec<_>>();
    store.write_meta(fill(100_000 - 20_001), true).await.unwrap();
    let mut from = 100_000;
    while store.count_collected(many(from, 1_000)).await.is_ok() {
        from += 1_000;
        assert!(from < 120_000, "there is a bound");
    }
    assert!(store.count_collected(many(100_000, 10)).await.is_ok(), "what is counted already goes on");
}

/// How many increments are on disk.
fn increments(store: &Store) -> usize {
    let (meta, (lower, upper)) = (store.shared().db.cf_handle(META).unwrap(), INCREMENT_BOUNDS);
    let mut rows = store.shared().db.raw_iterator_cf_opt(&meta, between(lower.to_vec(), upper.to_vec()));
    rows.seek_to_first();
    let mut found = 0;
    while rows.valid() {
        found += 1;
        rows.next();
    }
    found
}

/// covers: D1, D3
#[tokio::test]
async fn however_many_groups_add_to_sums_each_batch_is_told_once_after_a_crash_anywhere() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let store = open_with(&options(&data));
    register(&store, "acme", "standard").await;
    // Some customers send with every group, some seldom, some once.
    let of = |n: u64| [n % 3, 10 + n % 7, 20 + n / 50, 100 + n];
    let mut expected: BTreeMap<String, (u64, u64, u64)> = BTreeMap::new();
    let mut most = 0;
    for n in 0..300_u64 {
        let collected = of(n).map(|customer| (key(customer, Some("standard")), one(customer + 1)));
        for (key, one) in &collected {
            let sum = expected.entry(format!("{key:?}")).or_default();
            *sum = (sum.0 + 1, sum.1 + one.events, sum.2 + one.events);
        }
        store.count_collected(collected.to_vec()).await.unwrap();
        if n == 130 {
            store.tell_collected().await.unwrap();
        }
        most = most.max(increments(&store));
        if n % 41 == 40 {
            let copy = home.path().join(format!("copy-{n}"));
            let (from, to) = (data.clone(), copy.clone());
            blocking(move || copy_all(&from, &to)).await;
            let after = open_with(&options(&copy));
            // What comes after it is counted on top, also to a sum with the number of one that was told.
            after.count_collected(vec![(key(0, Some("standard")), one(1))]).await.unwrap();
            after.tell_collected().await.unwrap();
            let mut with = expected.clone();
            let sum = with.entry(format!("{:?}", key(0, Some("standard")))).or_default();
            *sum = (sum.0 + 1, sum.1 + 1, sum.2 + 1);
            assert_eq!(told(&after), with, "after {n}");
            after.close().await;
            let again = open_with(&options(&copy));
            again.count_collected(vec![(key(7_777, None), one(2))]).await.unwrap();
            again.tell_collected().await.unwrap();
            with.insert(format!("{:?}", key(7_777, None)), (1, 2, 2));
            assert_eq!(told(&again), with, "after {n} and once more");
        }
    }
    assert_eq!(most, usize::from(INCREMENTS), "the next takes the place of the oldest when there are many");
    store.tell_collected().await.unwrap();
    assert_eq!(told(&store), expected);
}
