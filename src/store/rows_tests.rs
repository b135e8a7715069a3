//! Rows for other rooms: tables, the outbox of the ledger, secrets and the data root.

use super::samples::{
    at, blocking, bridge, fill, holding, id, noise, open, open_with, register, root_key, seal_key,
};
use super::{Customers, MetaOp, MetaTable, Notary, OpenError, Options, Place, Store, StoreError};
use crate::observe::Clock;

fn put(table: MetaTable, key: &[u8], value: &[u8]) -> MetaOp {
    MetaOp::Put { table, key: key.to_vec(), value: value.to_vec() }
}

#[tokio::test]
async fn rows_are_found_by_key_and_by_prefix_a_page_at_a_time() {
    let home = tempfile::tempdir().unwrap();
    let store = open(&home.path().join("data"));
    let mut rows = vec![put(MetaTable::Totals, b"a1", b"other"), put(MetaTable::Erasures, b"", b"empty")];
    for n in 0..20_u8 {
        rows.push(put(MetaTable::Received, &[7, n], &[n]));
        rows.push(put(MetaTable::Received, &[0xff, n], &[n]));
    }
    store.write_meta(rows, true).await.unwrap();
    assert_eq!(store.meta(MetaTable::Received, &[7, 3]).unwrap(), Some(vec![3]));
    assert_eq!(store.meta(MetaTable::Received, &[7]).unwrap(), None);
    assert_eq!(store.meta(MetaTable::Erasures, b"").unwrap(), Some(b"empty".to_vec()));
    assert_eq!(store.load_meta(MetaTable::Received).unwrap().len(), 40);
    let mut seen: Vec<Vec<u8>> = Vec::new();
    loop {
        let after = seen.last().map(Vec::as_slice);
        let page = store.scan_meta(MetaTable::Received, &[7], after, 6).unwrap();
        if page.is_empty() {
            break;
        }
        seen.extend(page.into_iter().map(|(key, _)| key));
    }
    assert_eq!(seen, (0..20).map(|n| vec![7, n]).collect::<Vec<_>>());
    assert_eq!(store.scan_meta(MetaTable::Received, &[0xff], None, 99).unwrap().len(), 20);
    assert!(store.scan_meta(MetaTable::Received, &[7], Some(&[9]), 99).unwrap().is_empty());
    let gone = MetaOp::Delete { table: MetaTable::Received, key: vec![7, 3] };
    store.write_meta(vec![gone], false).await.unwrap();
    assert_eq!(store.meta(MetaTable::Received, &[7, 3]).unwrap(), None);
}

fn with_notary(dir: &std::path::Path) -> Store {
    let mut options = Options::new(dir);
    options.reserve_bytes = 0;
    options.notary = Some(Notary::new(|before, after, key| {
        format!("{key:?} {:?} to {}", before.map(|change| change.revision), after.revision).into_bytes()
    }));
    open_with(&options)
}

fn texts(store: &Store) -> Vec<(u64, String)> {
    let waiting = store.outbox(100).unwrap();
    waiting.into_iter().map(|(number, entry)| (number, String::from_utf8(entry).unwrap())).collect()
}

#[tokio::test]
async fn entries_of_the_ledger_are_numbered_without_a_gap_and_wait_until_they_are_forgotten() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let store = with_notary(&dir);
    let bell = store.watch_outbox();
    assert_eq!((*bell.borrow(), store.outbox(9).unwrap().len()), (0, 0));
    let key = register(&store, "acme", "standard").await;
    register(&store, "acme", "standard").await;
    register(&store, "acme", "enhanced").await;
    let ops =
        vec![MetaOp::Ledger(b"one".to_vec()), put(MetaTable::Totals, b"a", b"b"), MetaOp::Ledger(Vec::new())];
    store.write_meta(ops, false).await.unwrap();
    store.destroy_customer(key, |_| Ok(vec![MetaOp::Ledger(b"gone".to_vec())])).await.unwrap();
    let made = [
        format!("{key:?} None to 1"),
        format!("{key:?} Some(1) to 2"),
        "one".into(),
        String::new(),
        "gone".into(),
    ];
    let expected: Vec<(u64, String)> = (1..).zip(made).collect();
    assert_eq!((texts(&store), *bell.borrow()), (expected.clone(), 5));
    assert_eq!(store.outbox(2).unwrap().len(), 2);
    store.forget_outbox(3).await.unwrap();
    assert_eq!(texts(&store), expected[3..]);
    store.forget_outbox(2).await.unwrap();
    store.close().await;
    let store = with_notary(&dir);
    assert_eq!((texts(&store), *store.watch_outbox().borrow()), (expected[3..].to_vec(), 5));
    store.forget_outbox(5).await.unwrap();
    store.close().await;
    // The numbers go on although nothing waits.
    let store = with_notary(&dir);
    assert!(texts(&store).is_empty());
    register(&store, "globex", "standard").await;
    assert_eq!(texts(&store)[0].0, 6);
    // A ledger that knows of more: the store came back with less than it had.
    store.forget_outbox(40).await.unwrap();
    store.write_meta(vec![MetaOp::Ledger(b"new".to_vec())], true).await.unwrap();
    assert_eq!(texts(&store), [(41, "new".to_owned())]);
}

// covers: B1
#[tokio::test]
async fn what_would_add_to_a_full_outbox_is_refused_and_does_not_happen() {
    let home = tempfile::tempdir().unwrap();
    let store = with_notary(&home.path().join("data"));
    let many = |n| (0..n).map(|_| MetaOp::Ledger(vec![1])).collect::<Vec<_>>();
    store.write_meta(many(99_999), true).await.unwrap();
    let two = [many(2), vec![put(MetaTable::Totals, b"a", b"b")]].concat();
    assert!(matches!(store.write_meta(two, true).await, Err(StoreError::Busy)));
    assert_eq!(store.meta(MetaTable::Totals, b"a").unwrap(), None);
    let key = register(&store, "acme", "standard").await;
    let change = store.customer(&id("acme")).unwrap().unwrap().change;
    let mut participation = change.participation;
    participation.levels.clear();
    let new = super::NewChange { participation, by: String::new(), reason: String::new(), if_revision: None };
    assert!(matches!(store.set_participation(vec![new.clone()]).await, Err(StoreError::Busy)));
    let told = store.destroy_customer(key, move |_| Ok(many(1))).await;
    assert!(matches!(told, Err(StoreError::Busy)) && store.customer_by_key(key).unwrap().is_some());
    // What adds nothing is done.
    store.write_meta(vec![put(MetaTable::Totals, b"a", b"b")], true).await.unwrap();
    // What a process tells at its end has room of its own, and that is bounded, too.
    store.tell_last(vec![vec![2]; 1_000]).await.unwrap();
    assert!(matches!(store.write_meta(many(1), true).await, Err(StoreError::Busy)));
    assert!(matches!(store.tell_last(vec![vec![3]; 1_000]).await, Err(StoreError::Busy)));
    assert_eq!(*store.watch_outbox().borrow(), 99_999 + 1 + 1_000, "all of them or none");
    store.forget_outbox(60_000).await.unwrap();
    assert_eq!(store.outbox(1).unwrap()[0].0, 60_001);
    assert!(store.set_participation(vec![new]).await.unwrap()[0].is_ok());
}

// covers: P8
#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_was_erased_is_in_no_file_and_a_destroyed_customer_gets_none() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let store = open(&dir);
    let key = register(&store, "acme", "standard").await;
    let customers = Customers::new(store.clone(), 8);
    store.write_meta(vec![bridge(key, &[7; 32])], true).await.unwrap();
    store.write_meta(vec![bridge(key, &[8; 32])], true).await.unwrap();
    assert_eq!(store.bridges(Some(key)).unwrap()[0].seed.expose(), &[8; 32]);
    let purge = || {
        let purged = store.clone();
        blocking(move || purged.purge(&[Place::Customer(key)], &mut |_| {}).unwrap())
    };
    purge().await;
    assert!(
        holding(&dir, [[7; 32].as_slice()]).is_empty() && !holding(&dir, [[8; 32].as_slice()]).is_empty()
    );
    store.destroy_customer(key, |_| Ok(Vec::new())).await.unwrap();
    store.write_meta(vec![bridge(key, &[9; 32])], true).await.unwrap();
    assert!(store.bridges(Some(key)).unwrap().is_empty() && customers.get(&id("acme")).unwrap().is_none());
    purge().await;
    assert!(holding(&dir, [[8; 32].as_slice(), &[9; 32]]).is_empty());
    let other = register(&store, "acme", "standard").await;
    assert_eq!(customers.get(&id("acme")).unwrap().unwrap().key, other);
}

// covers: P8
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_gone_are_due_to_be_purged_until_no_file_holds_them_also_after_a_crash() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let store = open(&dir);
    let key = register(&store, "acme", "standard").await;
    let purge = |store: &Store| {
        let store = store.clone();
        blocking(move || store.purge_keys())
    };
    let held = store.gone_keys_held();
    assert!(store.holds_gone_keys() && held.is_some(), "nobody knows what the process before left");
    assert!(store.gone_keys_held() >= held, "it grows while nothing is done");
    purge(&store).await.unwrap();
    assert!(!store.holds_gone_keys() && store.gone_keys_held().is_none());
    let made = bridge(key, &[7; 32]);
    store.write_meta(vec![made], true).await.unwrap();
    assert!(!store.holds_gone_keys(), "one that is made is not gone");

    // A bridge is erased and the root key changed; then the process ends before anything is purged.
    let erase = |bridge: &super::Bridge| {
        let (customer, epoch) = (bridge.customer, bridge.epoch);
        MetaOp::Key(super::KeyOp::EraseBridge { customer, epoch })
    };
    let bridges = store.bridges(Some(key)).unwrap();
    let wrapped = [wrapping(&store)];
    store.write_meta(bridges.iter().map(erase).collect(), true).await.unwrap();
    let rewrapped = store.rewrapped(&root_key(1)).unwrap().unwrap();
    store.write_meta(vec![MetaOp::Root(rewrapped)], true).await.unwrap();
    assert!(store.holds_gone_keys());
    let closed = store.clone();
    store.close().await;
    assert!(purge(&closed).await.is_err() && closed.holds_gone_keys(), "what fails stays due");
    drop(closed);
    let left = || (holding(&dir, [[7; 32].as_slice()]), holding(&dir, wrapped.iter().map(Vec::as_slice)));
    let (seeds, roots) = left();
    assert!(!seeds.is_empty() && !roots.is_empty(), "or the test shows nothing");

    let store = Store::open(Options::new(&dir), &root_key(1), Clock::system()).unwrap();
    assert!(store.holds_gone_keys());
    purge(&store).await.unwrap();
    assert!(!store.holds_gone_keys());
    let (seeds, roots) = left();
    assert!(seeds.is_empty() && roots.is_empty(), "{seeds:?} {roots:?}");
}

/// The data root as the root key wraps it, or a piece of it.
fn wrapping(store: &Store) -> Vec<u8> {
    let db = &store.shared().db;
    let meta = db.cf_handle(super::layout::META).unwrap();
    let row = db.get_cf(&meta, super::layout::KEY_DATA_ROOT).unwrap().unwrap();
    row[row.len() - 24..].to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_wrapping_of_the_data_root_comes_with_its_root_key_and_the_old_one_goes() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("data");
    let store = open(&dir);
    let key = register(&store, "acme", "standard").await;
    fill(&store, [key, key], 1..=3).await;
    assert!(store.rewrapped(&root_key(0)).unwrap().is_none());
    let rewrapped = store.rewrapped(&root_key(1)).unwrap().unwrap();
    store.write_meta(vec![MetaOp::Root(rewrapped)], true).await.unwrap();
    let purged = store.clone();
    blocking(move || purged.purge(&[Place::DataRoot], &mut |_| {}).unwrap()).await;
    store.close().await;
    let old = Store::open(Options::new(&dir), &root_key(0), Clock::system());
    assert!(matches!(old, Err(OpenError::WrongRootKey { .. })), "{old:?}");
    let store = Store::open(Options::new(&dir), &root_key(1), Clock::system()).unwrap();
    let key = seal_key(&store, key).unwrap();
    assert!(at(&store, 2).unwrap().open(&key).unwrap() == noise(2), "no key of a record changes");
}
