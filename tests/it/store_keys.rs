//! Keys in the store: the data root under its root key, ratchets over epochs and restarts, bridges, destruction.

use std::time::Duration;

use bytes::Bytes;
use usaged::grpc::client::Message as _;
use usaged::grpc::proto::ingest::SubmitRequest;
use usaged::ingest::{self, Intake};
use usaged::model::{
    CustomerId, CustomerKey, IdentifierClass, LevelName, Participation, ProductName, ProgramName, Reason,
    UnixMillis,
};
use usaged::policy::{Epoch, Handle, compile, shipped};
use usaged::sanitize::{Ratchet, RootKey, Rotation};
use usaged::store::{Bridge, Customers, KeyOp, MetaOp, NewChange, OpenError, Options, Ratcheted, Store};

use crate::grpc_collector::batch;
use crate::store_samples::{Bench, START, reopen, root_key};

const EPOCH_MS: i64 = 720 * 3_600_000;
const CLASS: IdentifierClass = IdentifierClass::InstanceId;

/// Nobody is told.
fn unsaid(_: &Ratcheted) -> Vec<MetaOp> {
    Vec::new()
}

/// What nobody is told.
fn nothing(_: CustomerKey, _: u32) -> Vec<MetaOp> {
    Vec::new()
}

fn ceip() -> ProgramName {
    ProgramName::new("ceip").unwrap()
}

fn id(n: usize) -> CustomerId {
    CustomerId::new(&format!("customer-{n}")).unwrap()
}

async fn register(store: &Store, customers: std::ops::Range<usize>) {
    let change = |n| {
        let mut participation = Participation::none(id(n));
        participation.levels.insert(ceip(), LevelName::new("standard").unwrap());
        for product in ["vcenter", "horizon", "tanzu-cli"] {
            participation.accepted_dictionaries.insert(ProductName::new(product).unwrap(), 2);
        }
        NewChange { participation, by: "ops".into(), reason: "a test".into(), if_revision: None }
    };
    for outcome in store.set_participation(customers.map(change).collect()).await.unwrap() {
        outcome.unwrap();
    }
}

/// The rotating pseudonym of one instance of a customer.
fn token(customers: &Customers, n: usize, epoch: u32) -> Option<[u8; 16]> {
    let entry = customers.get(&id(n)).unwrap().unwrap();
    entry.secret.program(&ceip(), epoch).token(CLASS, Epoch::Rotating, b"vc-1")
}

fn stable(customers: &Customers, n: usize) -> [u8; 16] {
    let entry = customers.get(&id(n)).unwrap().unwrap();
    entry.secret.program(&ceip(), 0).token(CLASS, Epoch::Stable, b"vc-1").unwrap()
}

// covers: P4
#[tokio::test(flavor = "multi_thread")]
async fn pseudonyms_of_kept_epochs_outlive_restarts_and_moves_and_older_ones_do_not() {
    let bench = Bench::new();
    let store = bench.open();
    let customers = Customers::new(store.clone(), 100);
    register(&store, 0..3).await;
    let first = store.rotation().epoch(bench.clock.now());
    let (mut was, always) = (Vec::new(), stable(&customers, 1));
    for passed in 0..6 {
        let now = first + passed;
        assert_eq!(store.rotation().epoch(bench.clock.now()), now);
        was.push(token(&customers, 1, now).unwrap());
        customers.move_ratchets(now, unsaid).await.unwrap();
        for (epoch, was) in (first..=now).zip(&was) {
            let kept = epoch + 2 >= now;
            assert_eq!(token(&customers, 1, epoch), kept.then_some(*was), "epoch {epoch} at {now}");
            assert!(token(&customers, 2, epoch) != Some(*was), "another customer");
        }
        bench.clock.advance_ms(EPOCH_MS);
    }
    assert_eq!(stable(&customers, 1), always);
    let gone = first + 2;
    assert_eq!(token(&customers, 1, gone), None);
    drop(customers);
    store.close().await;
    let store = bench.open();
    let customers = Customers::new(store.clone(), 100);
    assert_eq!(token(&customers, 1, first + 5).as_ref(), was.last(), "after a restart");
    assert_eq!(token(&customers, 1, gone), None);
    assert_eq!(stable(&customers, 1), always);
    assert_eq!(store.customer(&id(1)).unwrap().unwrap().ratchet.epoch(), first + 3);
}

// covers: P6
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_brought_down_with_the_keys_of_the_epoch_in_which_it_came() {
    let bench = Bench::new();
    let store = bench.open();
    let customers = Customers::new(store.clone(), 100);
    register(&store, 0..1).await;
    let received = bench.clock.now();
    let at_once = token(&customers, 0, store.rotation().epoch(received)).unwrap();
    let stored = stable(&customers, 0);
    for (epochs, expected) in [(1, Some(at_once)), (1, Some(at_once)), (1, None)] {
        bench.clock.advance_ms(epochs * EPOCH_MS);
        customers.move_ratchets(store.rotation().epoch(bench.clock.now()), unsaid).await.unwrap();
        let entry = customers.get(&id(0)).unwrap().unwrap();
        let keys = entry.secret.program(&ceip(), store.rotation().epoch(received));
        assert_eq!(keys.rotate(CLASS, &stored), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_ratchets_are_moved_in_chunks_and_a_second_round_finds_nothing() {
    let bench = Bench::new();
    let store = bench.open();
    let customers = Customers::new(store.clone(), 100);
    register(&store, 0..2_345).await;
    let now = store.rotation().epoch(bench.clock.now());
    assert_eq!(
        customers.move_ratchets(now, unsaid).await.unwrap().customers,
        2_345,
        "no clock was believed when they came"
    );
    register(&store, 2_345..2_346).await;
    bench.clock.advance_ms(3_600_000);
    register(&store, 2_346..2_347).await;
    assert_eq!(
        customers.move_ratchets(now, unsaid).await.unwrap().customers,
        1,
        "new ones stand where they should, by a clock that may be believed"
    );
    let told = |moved: &Ratcheted| {
        let Ratcheted { first, last, customers, oldest_epoch } = moved;
        vec![MetaOp::Ledger(format!("{customers}, {} to {}: {oldest_epoch}", first.0, last.0).into_bytes())]
    };
    let moved = customers.move_ratchets(now + 7, told).await.unwrap();
    assert_eq!((moved.customers, moved.more), (2_347, false));
    let entries = store.outbox(5_000).unwrap();
    let entries: Vec<_> = entries.into_iter().map(|(_, entry)| String::from_utf8(entry).unwrap()).collect();
    let expected = ["1000, 1 to 1000", "1000, 1001 to 2000", "347, 2001 to 2347"];
    assert_eq!(
        entries,
        expected.map(|told| format!("{told}: {}", now + 5)),
        "an entry a chunk, and each once"
    );
    assert_eq!(customers.move_ratchets(now + 7, unsaid).await.unwrap().customers, 0);
    assert_eq!(customers.move_ratchets(now, unsaid).await.unwrap().customers, 0, "nothing moves back");
    for n in [0, 999, 1_000, 2_344] {
        assert_eq!(store.customer(&id(n)).unwrap().unwrap().ratchet.epoch(), now + 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_long_absence_ratchets_are_moved_in_bounded_steps() {
    let bench = Bench::new();
    let store = bench.open();
    let customers = Customers::new(store.clone(), 100);
    register(&store, 0..3).await;
    let far = store.rotation().epoch(bench.clock.now()) + Ratchet::STEPS + 3;
    let mut rounds = Vec::new();
    for _ in 0..3 {
        let moved = customers.move_ratchets(far, unsaid).await.unwrap();
        rounds.push((moved.customers, moved.more));
    }
    assert_eq!(rounds, [(3, true), (3, false), (0, false)]);
    assert_eq!(store.customer(&id(2)).unwrap().unwrap().ratchet.epoch(), far - 2);
}

/// covers: P8
#[tokio::test(flavor = "multi_thread")]
async fn what_is_destroyed_is_not_brought_back_by_what_comes_in_the_same_write() {
    let bench = Bench::new();
    let store = bench.open();
    let customers = Customers::new(store.clone(), 100);
    register(&store, 0..2).await;
    let entry = customers.get(&id(0)).unwrap().unwrap();
    let other = customers.get(&id(1)).unwrap().unwrap().key;
    let (customer, epoch) = (entry.key, entry.secret.ratchet().epoch());
    let bridge = |customer, epoch| Bridge {
        customer,
        epoch,
        seed: entry.secret.ratchet().seed(epoch).unwrap(),
        made: START,
        until: UnixMillis(START.0 + 1_000),
        by: "ops".into(),
        reason: "a test".into(),
    };
    let put = |bridge| MetaOp::Key(KeyOp::Bridge(bridge));
    store.write_meta(vec![put(bridge(customer, epoch)), put(bridge(other, epoch))], true).await.unwrap();
    assert_eq!(store.bridges(None).unwrap().len(), 2);
    assert_eq!(store.bridges(Some(customer)).unwrap(), [bridge(customer, epoch)]);

    let to = entry.secret.ratchet().forward(epoch + 9);
    // Handed over at once, so that they are likely to share a write.
    let late = vec![MetaOp::Key(KeyOp::Ratchet { customer, to }), put(bridge(customer, epoch + 1))];
    let (destroyed, written) = tokio::join!(
        store.destroy_customer(customer, |_| Ok(Vec::new())),
        store.write_meta(late.clone(), true),
    );
    assert!(destroyed.unwrap().0.is_some());
    written.unwrap();
    store.write_meta(late, true).await.unwrap();
    assert!(store.customer(&id(0)).unwrap().is_none());
    assert!(customers.get(&id(0)).unwrap().is_none(), "not from the cache either");
    assert_eq!(store.bridges(None).unwrap(), [bridge(other, epoch)]);
    assert!(store.customer(&id(1)).unwrap().is_some());
    // Bridges end by themselves.
    assert_eq!(customers.end_bridges(UnixMillis(START.0 + 999), nothing).await.unwrap(), 0);
    assert_eq!(customers.end_bridges(UnixMillis(START.0 + 1_000), nothing).await.unwrap(), 1);
    assert!(store.bridges(None).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_length_of_epochs_begins_a_new_epoch_and_keeps_every_pseudonym() {
    let bench = Bench::new();
    let store = bench.open();
    let customers = Customers::new(store.clone(), 100);
    register(&store, 0..1).await;
    let now = bench.clock.now();
    let before = store.rotation().epoch(now);
    let was = token(&customers, 0, before).unwrap();
    store.append(crate::store_samples::append(1, now)).await.unwrap();
    drop(customers);
    store.close().await;
    // Four times as long: counted from 1970, the number would fall to a quarter.
    let options = Options { rotation: Duration::from_hours(4 * 720), ..bench.options.clone() };
    // The clock is ahead at the first start, right at the second, and behind at the third.
    for ahead in [24 * EPOCH_MS, 0, -24 * EPOCH_MS] {
        let clock = usaged::observe::Clock::manual(UnixMillis(now.0 + ahead));
        let store = reopen(&options, &root_key(), &clock).unwrap();
        assert_eq!(store.rotation().epoch(UnixMillis(now.0 + 1)), before + 1);
        assert_eq!(store.rotation().epoch(now), before, "of what is stored the number stays");
        let customers = Customers::new(store.clone(), 100);
        assert_eq!(token(&customers, 0, before), Some(was));
        assert!(token(&customers, 0, before + 1).is_some_and(|token| token != was));
        drop(customers);
        store.close().await;
    }
}

/// covers: P4 D1
#[tokio::test(flavor = "multi_thread")]
async fn another_length_begins_behind_the_epochs_that_keys_were_moved_to_and_a_wrong_clock_puts_it_off_for_no_time()
 {
    let bench = Bench::new();
    let store = bench.open();
    let customers = Customers::new(store.clone(), 100);
    register(&store, 0..2).await;
    let (now, rotation) = (bench.clock.now(), store.rotation());
    let before = rotation.epoch(now);
    // Nothing is stored, and the keys were moved as a clock that may be believed had it; those of one by a wrong clock.
    customers.move_ratchets(before, unsaid).await.unwrap();
    let ahead = customers.get(&id(1)).unwrap().unwrap();
    let to = ahead.secret.ratchet().forward(before + 30);
    store.write_meta(vec![MetaOp::Key(KeyOp::Ratchet { customer: ahead.key, to })], true).await.unwrap();
    drop((customers, ahead));
    store.close().await;
    let options = Options { rotation: Duration::from_hours(4 * 720), ..bench.options.clone() };
    let store = reopen(&options, &root_key(), &bench.clock).unwrap();
    assert_eq!(store.rotation().epoch(rotation.start(before)), before);
    assert_eq!(store.rotation().epoch(now), before + 1);
    store.close().await;
}

/// covers: P4
#[tokio::test(flavor = "multi_thread")]
async fn a_customer_that_comes_while_the_clock_is_ahead_has_keys_when_it_is_right() {
    for believed in [false, true] {
        let bench = Bench::new();
        let store = bench.open();
        let customers = Customers::new(store.clone(), 100);
        if believed {
            bench.clock.advance_ms(3_600_000);
        }
        let now = store.rotation().epoch(bench.clock.now());
        // So also with epochs of an hour, for ever so long.
        bench.clock.set_ahead_ms(24 * EPOCH_MS);
        register(&store, 0..1).await;
        assert!(token(&customers, 0, now + 24).is_some(), "while it is ahead");
        bench.clock.set_ahead_ms(-24 * EPOCH_MS);
        assert!(token(&customers, 0, now).is_some(), "when it is right, {believed}");
        let oldest = customers.get(&id(0)).unwrap().unwrap().secret.ratchet().epoch();
        assert_eq!(store.oldest_keys(bench.clock.now()).unwrap(), oldest);
        assert!(oldest <= now - 2 && (!believed || oldest == now - 2), "{oldest}");
        let moved = customers.move_ratchets(now, unsaid).await.unwrap();
        assert_eq!(moved.customers, u64::from(!believed), "it is moved on with the others");
        assert_eq!(store.oldest_keys(bench.clock.now()).unwrap(), now - 2);
    }
}

/// covers: P4
#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_keys_that_are_told_are_those_that_are_there() {
    let bench = Bench::new();
    let store = bench.open();
    assert_eq!(store.oldest_keys(START).unwrap(), store.oldest_epoch(START), "without customers");
    let customers = Customers::new(store.clone(), 100);
    register(&store, 0..3).await;
    let now = store.rotation().epoch(START);
    customers.move_ratchets(now, unsaid).await.unwrap();
    drop(customers);
    store.close().await;
    // Fewer are to be kept: as long as nothing was moved they are there, and that is what is told.
    let options = Options { past_epochs: 0, ..bench.options.clone() };
    let store = reopen(&options, &root_key(), &bench.clock).unwrap();
    let customers = Customers::new(store.clone(), 100);
    assert_eq!((store.oldest_keys(START).unwrap(), store.oldest_epoch(START)), (now - 2, now));
    assert!(token(&customers, 0, now - 2).is_some());
    customers.move_ratchets(now, unsaid).await.unwrap();
    assert_eq!(store.oldest_keys(START).unwrap(), now);
    assert!(token(&customers, 0, now - 1).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_root_key_opens_the_store_from_then_on_and_the_one_before_does_not() {
    let bench = Bench::new();
    let store = bench.open();
    let customers = Customers::new(store.clone(), 100);
    register(&store, 0..1).await;
    let was = (stable(&customers, 0), token(&customers, 0, store.rotation().epoch(START)));
    let next = RootKey::from_hex(&"fedcba9876543210".repeat(4)).unwrap();
    assert_eq!(store.rewrapped(&root_key()).unwrap(), None, "that is the key already");
    let before = store.root_key_id().unwrap();
    let rewrapped = store.rewrapped(&next).unwrap().unwrap();
    let earlier = bench.crashed();
    store.write_meta(vec![MetaOp::Root(rewrapped)], true).await.unwrap();
    let later = bench.crashed();
    let after = store.root_key_id().unwrap();
    assert_ne!(before, after);
    // A crash before, and a crash now: each has one key, and names the other.
    for (crashed, right, wrong, ids) in [
        (&earlier, root_key(), &next, (&after, &before)),
        (&later, next.clone(), &root_key(), (&before, &after)),
    ] {
        let refused = reopen(&crashed.options, wrong, &bench.clock).unwrap_err();
        let OpenError::WrongRootKey { given, wanted, .. } = &refused else { panic!("{refused:?}") };
        assert_eq!((given, wanted), ids);
        assert!(refused.to_string().contains("written with another root key"), "{refused}");
        let store = reopen(&crashed.options, &right, &bench.clock).unwrap();
        let customers = Customers::new(store.clone(), 100);
        assert_eq!((stable(&customers, 0), token(&customers, 0, store.rotation().epoch(START))), was);
    }
    assert_eq!((stable(&customers, 0), token(&customers, 0, store.rotation().epoch(START))), was);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_falls_behind_the_keys_withholds_rotating_pseudonyms_and_nothing_else() {
    let bench = Bench::new();
    let store = bench.open();
    let customers = Customers::new(store.clone(), 100);
    register(&store, 0..1).await;
    let policy = Handle::new(std::sync::Arc::new(compile(&shipped()).unwrap().0));
    let options = ingest::Options { rotation: store.rotation(), ..ingest::Options::default() };
    let intake = Intake::new(store.clone(), customers.clone(), policy, bench.clock.clone(), options);
    let request = |number: u64| -> Bytes {
        let mut request: SubmitRequest = batch(number, "esx01.example.com");
        request.instance = "vc-1".to_owned();
        request.events[0].name = "vm.power_on".to_owned();
        request.events[0].fields.truncate(1);
        request.events[0].fields[0].name = "vm_id".to_owned();
        Bytes::from(request.encode_to_vec())
    };
    let submit = |number| {
        let (intake, request) = (intake.clone(), request(number));
        async move { intake.submit(&id(0), request).await.unwrap() }
    };
    let before = submit(1).await;
    assert_eq!(before.tally.accepted, 1, "{:?}", before.tally);
    assert_eq!(before.tally.fields_withheld, [0; Reason::COUNT], "{:?}", before.tally);
    assert_eq!(rotation_of_instance(&store, 1), Some(store.rotation().epoch(START)));
    // The ratchets move far ahead, as a clock of another year would have it; then the clock is put right.
    customers.move_ratchets(store.rotation().epoch(START) + 12, unsaid).await.unwrap();
    let after = submit(2).await;
    assert_eq!(after.tally.accepted, 1, "what does not rotate is stored: {:?}", after.tally);
    assert_eq!(after.tally.fields_withheld[Reason::NoKey.index()], 1, "{:?}", after.tally);
    assert_eq!(rotation_of_instance(&store, 2), None, "the instance is not stored, in no form");
    assert_eq!(Rotation::default(), store.rotation());
}

/// The epoch of the instance's pseudonym in a stored batch; `None` if there is no instance.
fn rotation_of_instance(store: &Store, commit: u64) -> Option<u32> {
    let limits = usaged::store::ReadLimits { records: 1, bytes: u64::MAX };
    let entries = store.read(usaged::model::CommitNumber(commit), limits).unwrap();
    let usaged::store::Entry::Record(record) = entries.into_iter().next().unwrap() else { panic!("damaged") };
    let customers = Customers::new(store.clone(), 10);
    let entry = customers.get(&id(0)).unwrap().unwrap();
    let body = record.open(&entry.secret.seal_key(&ceip(), record.header.received)).unwrap();
    let batch = usaged::grpc::proto::drain::Batch::decode(&*body).unwrap();
    assert_eq!(batch.events.len(), 1);
    let prefix = batch.instance_token_prefix;
    prefix.strip_prefix("p1-instance_id-r").map(|rest| rest.trim_end_matches('-').parse().unwrap())
}
