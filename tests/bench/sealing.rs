//! Compressing and sealing a sanitised batch, and opening it again.

use std::hint::black_box;

use criterion::Criterion;
use usaged::model::CommitNumber;
use usaged::store::{Entry, SealedRecord};

use crate::desk::Desk;
use crate::storing::{Home, append};
use crate::{EVENTS, elements, requests};

pub(crate) fn measure(criterion: &mut Criterion) {
    let desk = Desk::new("standard");
    let (batch, key) = (desk.batch(&requests::request(0, EVENTS, requests::standard)), desk.seal_key());
    let home = Home::open();
    home.runtime
        .block_on(home.store.append(append(1, SealedRecord::seal(&batch, 1, &key).unwrap())))
        .unwrap();
    let Some(Entry::Record(stored)) = home.store.read_one(CommitNumber(1)).unwrap() else {
        panic!("the record is not in its place")
    };

    let mut group = criterion.benchmark_group("seal");
    group.throughput(elements(EVENTS));
    group.bench_function("compress and seal", |bench| {
        bench.iter(|| black_box(SealedRecord::seal(black_box(&batch), 1, &key).unwrap()));
    });
    group.bench_function("open and decompress", |bench| {
        bench.iter(|| black_box(stored.open(&key).unwrap()));
    });
    group.finish();
}
