//! Appending a group of records with one sync: through the store, and as a bare write to RocksDB.

use criterion::{BatchSize, Criterion};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use usaged::observe::Clock;
use usaged::sanitize::{SanitizedBatch, SealKey};
use usaged::store::floor::Floor;
use usaged::store::{Append, Appended, Dedup, Options, SealedRecord, Store, WhenFull};

use crate::desk::{Desk, root_key};
use crate::{EVENTS, elements, requests};

/// Records that are appended together.
const GROUP: usize = 16;

/// A store in a directory of its own.
pub(crate) struct Home {
    pub(crate) runtime: Runtime,
    pub(crate) store: Store,
    _dir: TempDir,
}

impl Home {
    pub(crate) fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = Options::new(&dir.path().join("data"));
        // A benchmark appends without end.
        options.retention_bytes = 512 << 20;
        options.when_full = WhenFull::DropOldest;
        let store = Store::open(options, &root_key(), Clock::system()).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        Self { runtime, store, _dir: dir }
    }
}

/// A record to append, under the batch id `n`.
pub(crate) fn append(n: u64, record: SealedRecord) -> Append {
    let mut id = [0; 16];
    id.last_chunk_mut::<8>().unwrap().copy_from_slice(&n.to_be_bytes());
    Append {
        records: vec![record],
        dedup: Dedup { id, digest: id },
        receipt: vec![0; 64],
        basis: None,
        collected: Vec::new(),
    }
}

fn sealed(batch: &SanitizedBatch, key: &SealKey) -> Vec<SealedRecord> {
    (0..GROUP).map(|_| SealedRecord::seal(batch, 1, key).unwrap()).collect()
}

pub(crate) fn measure(criterion: &mut Criterion) {
    let desk = Desk::new("standard");
    let (batch, key) = (desk.batch(&requests::request(0, EVENTS, requests::standard)), desk.seal_key());
    let mut group = criterion.benchmark_group(format!("append {GROUP} records"));
    group.throughput(elements(GROUP * EVENTS));

    let home = Home::open();
    let mut next = 1;
    group.bench_function("through the store", |bench| {
        bench.iter_batched(
            || {
                let records = sealed(&batch, &key).into_iter();
                records
                    .map(|record| {
                        next += 1;
                        append(next, record)
                    })
                    .collect::<Vec<_>>()
            },
            |appends| home.runtime.block_on(together(&home.store, appends)),
            BatchSize::PerIteration,
        );
    });

    let dir = tempfile::tempdir().unwrap();
    let mut floor = Floor::open(dir.path()).unwrap();
    group.bench_function("bare", |bench| {
        bench.iter_batched(
            || sealed(&batch, &key),
            |records| floor.append(&records).unwrap(),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// As many senders would: all at a time, each waiting for its own answer.
async fn together(store: &Store, appends: Vec<Append>) {
    let mut waiting = JoinSet::new();
    for append in appends {
        let store = store.clone();
        waiting.spawn(async move { store.append(append).await });
    }
    while let Some(answer) = waiting.join_next().await {
        assert!(matches!(answer.unwrap().unwrap(), Appended::Stored { .. }));
    }
}
