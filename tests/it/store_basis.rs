//! A batch is stored under the participation that it was decided under, or not at all.

use usaged::model::{CommitNumber, CustomerId, CustomerKey, Delivery, LevelName, Participation, ProgramName};
use usaged::store::{
    Append, AppendError, Appended, Basis, Customers, Fenced, MetaOp, MetaTable, NewChange, Store, StoreError,
};

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
    bench: Bench,
}

impl World {
    async fn new() -> Self {
        let bench = Bench::new();
        let store = bench.open();
        store.set_participation(change("standard", Delivery::Deliver)).await.unwrap().remove(0).unwrap();
        let customers = Customers::new(store.clone(), 8);
        Self { store, customers, bench }
    }

    fn key(&self) -> CustomerKey {
        self.store.customer_key(&CustomerId::new("acme").unwrap()).unwrap().unwrap()
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
    let key = world.key();
    let fence = || fence(&world, key);
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

/// A fence that writes where it stands, and when.
async fn fence(world: &World, key: CustomerKey) -> Result<Fenced, StoreError> {
    let rows = |fenced: Fenced| {
        let value = format!("{} {}", fenced.upto.0, fenced.at.0).into_bytes();
        Ok(vec![MetaOp::Put { table: MetaTable::Totals, key: b"a".to_vec(), value }])
    };
    let fenced = world.store.fence(key, rows).await?;
    let row = world.store.meta(MetaTable::Totals, b"a").unwrap().unwrap();
    assert_eq!(
        row,
        format!("{} {}", fenced.upto.0, fenced.at.0).into_bytes(),
        "the row has what is answered"
    );
    Ok(fenced)
}

// covers: P8
#[tokio::test]
async fn a_fence_knows_what_was_stored_before_it_also_in_its_own_group() {
    let world = World::new().await;
    let key = world.key();
    for round in 1..=20_u64 {
        let batch = under(round, world.basis());
        // Whichever comes first.
        let (appended, fenced) = if round % 2 == 0 {
            let (fenced, appended) = tokio::join!(fence(&world, key), world.store.append(batch));
            (appended, fenced)
        } else {
            tokio::join!(world.store.append(batch), fence(&world, key))
        };
        assert_eq!(fenced.unwrap().upto, world.store.head(), "round {round}: {appended:?}");
        let is_first = round % 2 == 1;
        assert_eq!(matches!(appended, Ok(Appended::Stored { .. })), is_first, "round {round}: {appended:?}");
    }
}

// covers: P8
#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_a_fence_is_when_it_is_written_so_nothing_before_it_happened_after_it() {
    let world = World::new().await;
    let key = world.key();
    // The writer is kept at the first fence, while a batch and another fence wait for it and time passes.
    let (begun, is_begun) = std::sync::mpsc::sync_channel(1);
    let (go_on, may_go_on) = std::sync::mpsc::sync_channel(1);
    let rows = move |_| {
        begun.send(()).unwrap();
        may_go_on.recv().unwrap();
        Ok(Vec::new())
    };
    let store = world.store.clone();
    let first = tokio::spawn(async move { store.fence(key, rows).await.unwrap() });
    tokio::task::block_in_place(|| is_begun.recv().unwrap());
    let time_passes = async {
        world.bench.clock.advance_ms(7);
        go_on.send(()).unwrap();
    };
    // Each is asked once before anything of this is: then the first two wait in the queue of the writer.
    let (appended, second, ()) =
        tokio::join!(biased; world.store.append(append(1, START)), fence(&world, key), time_passes);
    assert!(matches!(appended, Ok(Appended::Stored { .. })), "{appended:?}");
    let fenced = |upto, at| Fenced { upto: CommitNumber(upto), at, newest: START };
    let expected = [fenced(0, START), fenced(1, START.plus_ms(7))];
    assert_eq!([first.await.unwrap(), second.unwrap()], expected);
}

// covers: P8
#[tokio::test]
async fn a_fence_whose_rows_cannot_be_made_changes_nothing() {
    let world = World::new().await;
    let old = world.basis();
    let damaged = || StoreError::Damaged { what: "a row of a test" };
    let refused = world.store.fence(world.key(), move |_| Err(damaged())).await;
    assert!(matches!(refused, Err(StoreError::Damaged { what: "a row of a test" })), "{refused:?}");
    let stored = Ok(Appended::Stored { last: CommitNumber(1) });
    assert_eq!(world.store.append(under(1, old)).await, stored, "what was decided holds");
    let refused = world.store.destroy_customer(world.key(), move |_| Err(damaged())).await;
    assert!(matches!(refused, Err(StoreError::Damaged { .. })), "{refused:?}");
    assert_eq!(world.store.append(under(2, old)).await, Ok(Appended::Stored { last: CommitNumber(2) }));
}
