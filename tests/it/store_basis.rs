//! A batch is stored under the participation that it was decided under, or not at all.

use usaged::model::{CommitNumber, CustomerId, Delivery, LevelName, Participation, ProgramName};
use usaged::store::{Append, AppendError, Appended, Basis, Customers, MetaOp, MetaTable, NewChange, Store};

use super::store_samples::{Bench, START, append};

fn change(level: &str, delivery: Delivery) -> Vec<NewChange> {
    let mut participation = Participation::none(CustomerId::new("acme").unwrap());
    for product in ["vcenter", "horizon", "tanzu-cli"] {
        participation.accepted_dictionaries.insert(usaged::model::ProductName::new(product).unwrap(), 2);
    }
    participation.delivery = delivery;
    participation.levels.insert(ProgramName::new("ceip").unwrap(), LevelName::new(level).unwrap());
    vec![NewChange { participation, by: "ops".into(), reason: "asked".into(), if_revision: None }]
}

fn under(n: u64, basis: Basis) -> Append {
    Append { basis: Some(basis), ..append(n, START) }
}

struct World {
    store: Store,
    customers: Customers,
    _bench: Bench,
}

impl World {
    async fn new() -> Self {
        let bench = Bench::new();
        let store = bench.open();
        store.set_participation(change("standard", Delivery::Deliver)).await.unwrap().remove(0).unwrap();
        let customers = Customers::new(store.clone(), 8);
        Self { store, customers, _bench: bench }
    }

    fn basis(&self) -> Basis {
        self.customers.get(&CustomerId::new("acme").unwrap()).unwrap().unwrap().basis()
    }
}

// covers: P6
#[tokio::test]
async fn nothing_is_stored_under_a_participation_that_was_changed_and_answered() {
    let world = World::new().await;
    let old = world.basis();
    let stored = Ok(Appended::Stored { last: CommitNumber(1) });
    assert_eq!(world.store.append(under(1, old)).await, stored);
    world.store.set_participation(change("none", Delivery::Deliver)).await.unwrap().remove(0).unwrap();
    assert_eq!(world.store.append(under(2, old)).await, Err(AppendError::Stale));
    assert_eq!(world.store.head(), CommitNumber(1));
    // What was stored before is still known, and what is decided anew is stored.
    let again = world.store.append(under(1, old)).await;
    assert!(matches!(again, Ok(Appended::Duplicate { last: CommitNumber(1), .. })), "{again:?}");
    let stored = Ok(Appended::Stored { last: CommitNumber(2) });
    assert_eq!(world.store.append(under(2, world.basis())).await, stored);
}

// covers: P6
#[tokio::test]
async fn nothing_is_stored_behind_a_change_of_the_same_group() {
    let world = World::new().await;
    for round in 1..=20_u64 {
        let old = world.basis();
        let delivery = if round % 2 == 0 { Delivery::Deliver } else { Delivery::Paused };
        let (set, appended) = tokio::join!(
            world.store.set_participation(change("standard", delivery)),
            world.store.append(under(round, old)),
        );
        assert!(set.unwrap().remove(0).unwrap().changed);
        assert_eq!(appended, Err(AppendError::Stale), "round {round}");
    }
    assert_eq!(world.store.head(), CommitNumber(0));
}

// covers: P8
#[tokio::test]
async fn nothing_is_stored_that_was_decided_before_an_erasure_was_fenced() {
    let world = World::new().await;
    let key = world.store.customer_key(&CustomerId::new("acme").unwrap()).unwrap().unwrap();
    let fence = || {
        let row = MetaOp::Put { table: MetaTable::Totals, key: b"a".to_vec(), value: b"b".to_vec() };
        world.store.write_meta(vec![row, MetaOp::Touch(key)], true)
    };
    // The revision stays as it is: a group before, and the same group.
    let old = world.basis();
    fence().await.unwrap();
    assert_eq!(world.store.append(under(1, old)).await, Err(AppendError::Stale));
    for round in 2..=20 {
        let old = world.basis();
        let (fenced, appended) = tokio::join!(fence(), world.store.append(under(round, old)));
        fenced.unwrap();
        assert_eq!(appended, Err(AppendError::Stale), "round {round}");
    }
    let stored = Ok(Appended::Stored { last: CommitNumber(1) });
    assert_eq!(world.store.append(under(1, world.basis())).await, stored);
}

#[tokio::test]
async fn a_setting_that_changes_nothing_makes_no_batch_stale() {
    let world = World::new().await;
    let old = world.basis();
    world.store.set_participation(change("standard", Delivery::Deliver)).await.unwrap().remove(0).unwrap();
    let stored = Ok(Appended::Stored { last: CommitNumber(1) });
    assert_eq!(world.store.append(under(1, old)).await, stored);
}

// covers: P8
#[tokio::test]
async fn a_fence_knows_what_was_stored_before_it_also_in_its_own_group() {
    let world = World::new().await;
    let key = world.store.customer_key(&CustomerId::new("acme").unwrap()).unwrap().unwrap();
    for round in 1..=20_u64 {
        let value = [&[7][..], &[0; 8], b"rest"].concat();
        let fence = MetaOp::Fence { table: MetaTable::Totals, key: b"a".to_vec(), value, at: 1 };
        let batch = under(round, world.basis());
        // Whichever comes first.
        let (appended, fenced) = if round % 2 == 0 {
            let fenced = world.store.write_meta(vec![fence, MetaOp::Touch(key)], true);
            let (fenced, appended) = tokio::join!(fenced, world.store.append(batch));
            (appended, fenced)
        } else {
            tokio::join!(
                world.store.append(batch),
                world.store.write_meta(vec![fence, MetaOp::Touch(key)], true)
            )
        };
        fenced.unwrap();
        let row = world.store.meta(MetaTable::Totals, b"a").unwrap().unwrap();
        let (head, rest) = row[1..].split_first_chunk::<8>().unwrap();
        assert_eq!((row[0], rest), (7, &b"rest"[..]));
        assert_eq!(
            CommitNumber(u64::from_be_bytes(*head)),
            world.store.head(),
            "round {round}: {appended:?}"
        );
        let is_first = round % 2 == 1;
        assert_eq!(matches!(appended, Ok(Appended::Stored { .. })), is_first, "round {round}: {appended:?}");
    }
}
