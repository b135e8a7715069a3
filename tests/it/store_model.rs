//! The store against a model that fits on a page: random appends, repeats, conflicts, changes of
//! metadata and participation, crashes, restarts and retention. What this cannot see: a power cut that
//! loses unsynced pages (a crash here is a copy of the files as they are), and damage.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use usaged::model::{CommitNumber, CustomerId, Delivery, Participation};
use usaged::store::{Append, Appended, Dedup, MetaOp, MetaTable, NewChange, Store};

use crate::store_samples::{Bench, append, dedup, put, readable, record};

#[derive(Debug, Clone)]
enum Op {
    /// Batches of so many records, all at once.
    Append(Vec<u8>),
    Repeat(prop::sample::Index),
    Conflict(prop::sample::Index),
    Put(u8, u8),
    Delete(u8),
    Participate(u8, bool),
    Crash,
    Restart,
    /// Lets minutes pass.
    Wait(u16),
    /// The clock is so many days ahead, for so many minutes.
    WrongClock(u16, u8),
}

/// How long batches are kept, in milliseconds. A tenth of it, a clock is not believed.
const KEPT_MS: i64 = 3_600_000;

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => prop::collection::vec(0_u8..4, 1..6).prop_map(Op::Append),
        2 => any::<prop::sample::Index>().prop_map(Op::Repeat),
        1 => any::<prop::sample::Index>().prop_map(Op::Conflict),
        2 => (0_u8..4, any::<u8>()).prop_map(|(key, value)| Op::Put(key, value)),
        1 => (0_u8..4).prop_map(Op::Delete),
        2 => (0_u8..3, any::<bool>()).prop_map(|(customer, paused)| Op::Participate(customer, paused)),
        1 => Just(Op::Crash),
        1 => Just(Op::Restart),
        1 => (1_u16..40).prop_map(Op::Wait),
        1 => (1_u16..400, 0_u8..6).prop_map(|(days, minutes)| Op::WrongClock(days, minutes)),
    ]
}

/// What must be true.
#[derive(Default)]
struct Model {
    head: u64,
    /// The right time, in milliseconds since the start.
    now: i64,
    /// When each commit was made, by the right time.
    made: Vec<i64>,
    /// The last commit of each batch, by its number.
    batches: Vec<u64>,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    revisions: BTreeMap<u8, (u64, bool)>,
}

impl Model {
    fn check(&self, store: &Store) {
        let oldest = store.oldest().0;
        assert_eq!(store.head(), CommitNumber(self.head));
        assert!(oldest >= 1 && oldest <= self.head + 1);
        let gone = &self.made[..usize::try_from(oldest).unwrap() - 1];
        assert!(
            gone.iter().all(|made| self.now - made >= KEPT_MS),
            "{oldest} at {}: {:?}",
            self.now,
            self.made
        );
        assert_eq!(readable(store), (oldest..=self.head).collect::<Vec<_>>());
        let rows: BTreeMap<_, _> = store.load_meta(MetaTable::Subscriptions).unwrap().into_iter().collect();
        assert_eq!(rows, self.rows);
        assert_eq!(store.customers_count(), self.revisions.len() as u64);
        for (customer, (revision, _)) in &self.revisions {
            let history = store.history(&id(*customer), None, 1_000).unwrap();
            let seen: Vec<_> = history.iter().map(|change| change.revision).collect();
            assert_eq!(seen, (1..=*revision).rev().collect::<Vec<_>>());
        }
    }

    async fn append(&mut self, store: &Store, bench: &Bench, sizes: &[u8]) {
        for size in sizes {
            let number = self.batches.len() as u64;
            let records =
                (0..u64::from(*size)).map(|n| record(self.head + 1 + n, bench.clock.now())).collect();
            let receipt = number.to_string().into_bytes();
            let batch = Append { records, dedup: dedup(number), receipt, basis: None, collected: Vec::new() };
            self.head += u64::from(*size);
            self.made.resize(usize::try_from(self.head).unwrap(), self.now);
            let stored = Appended::Stored { last: CommitNumber(self.head) };
            assert_eq!(store.append(batch).await.unwrap(), stored);
            self.batches.push(self.head);
        }
    }

    async fn step(&mut self, bench: &mut Bench, store: Store, op: Op) -> Store {
        match op {
            Op::Append(sizes) => self.append(&store, bench, &sizes).await,
            Op::Repeat(index) if !self.batches.is_empty() => {
                let n = index.index(self.batches.len());
                let receipt = n.to_string().into_bytes();
                let expected = Appended::Duplicate { last: CommitNumber(self.batches[n]), receipt };
                assert_eq!(store.append(append(n as u64, bench.clock.now())).await.unwrap(), expected);
            }
            Op::Conflict(index) if !self.batches.is_empty() => {
                let n = index.index(self.batches.len()) as u64;
                let other = Append {
                    dedup: Dedup { digest: [0xee; 16], ..dedup(n) },
                    ..append(n, bench.clock.now())
                };
                assert_eq!(store.append(other).await.unwrap(), Appended::Conflict);
            }
            Op::Repeat(_) | Op::Conflict(_) => {}
            Op::Put(key, value) => {
                store.write_meta(vec![put(&[key], &[value])], value % 2 == 0).await.unwrap();
                self.rows.insert(vec![key], vec![value]);
            }
            Op::Delete(key) => {
                let gone = MetaOp::Delete { table: MetaTable::Subscriptions, key: vec![key] };
                store.write_meta(vec![gone], true).await.unwrap();
                self.rows.remove(&vec![key]);
            }
            Op::Participate(customer, paused) => {
                let delivery = if paused { Delivery::Paused } else { Delivery::Deliver };
                let participation = Participation { delivery, ..Participation::none(id(customer)) };
                let new =
                    NewChange { participation, by: "m".into(), reason: String::new(), if_revision: None };
                let outcome = store.set_participation(vec![new]).await.unwrap().remove(0).unwrap();
                let known = self.revisions.entry(customer).or_insert((0, !paused));
                assert_eq!(outcome.changed, known.1 != paused);
                *known = (known.0 + u64::from(outcome.changed), paused);
                assert_eq!(outcome.change.revision, known.0);
            }
            Op::Crash => {
                *bench = bench.crashed();
                drop(store);
                return bench.open();
            }
            Op::Restart => {
                store.close().await;
                return bench.open();
            }
            Op::Wait(minutes) => self.wait(&store, bench, minutes).await,
            Op::WrongClock(days, minutes) => {
                let ahead = i64::from(days) * 86_400_000;
                bench.clock.set_ahead_ms(ahead);
                store.maintain().await.unwrap();
                self.append(&store, bench, &[1]).await;
                self.wait(&store, bench, minutes.into()).await;
                self.check(&store);
                bench.clock.set_ahead_ms(-ahead);
                store.maintain().await.unwrap();
            }
        }
        store
    }
}

impl Model {
    async fn wait(&mut self, store: &Store, bench: &Bench, minutes: u16) {
        let long = i64::from(minutes) * 60_000;
        self.now += long;
        bench.clock.advance_ms(long);
        store.maintain().await.unwrap();
    }
}

fn id(customer: u8) -> CustomerId {
    CustomerId::new(&format!("customer-{customer}")).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 40, ..ProptestConfig::default() })]

    // covers: D1 D2 D3
    #[test]
    fn the_store_does_what_the_model_does(ops in prop::collection::vec(op(), 1..40)) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let mut bench = Bench::new().with_segments_of(64 * 1024);
            bench.options.retention_age = Duration::from_millis(KEPT_MS.unsigned_abs());
            bench.options.segment_age = Duration::from_mins(5);
            let mut model = Model::default();
            let mut store = bench.open();
            for op in ops {
                let reopened = matches!(op, Op::Crash | Op::Restart | Op::Wait(_) | Op::WrongClock(..));
                store = model.step(&mut bench, store, op).await;
                if reopened {
                    model.check(&store);
                }
            }
            model.check(&store);
        });
    }
}
