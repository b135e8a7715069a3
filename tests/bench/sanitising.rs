//! The one pass, permit and all, at each level of `ceip`.

use std::hint::black_box;

use criterion::Criterion;
use usaged::sanitize::Scratch;

use crate::desk::Desk;
use crate::{EVENTS, elements, requests};

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sanitise");
    group.throughput(elements(EVENTS));
    let cases: [(_, requests::Make); 2] =
        [("standard event", requests::standard), ("nested event", requests::nested)];
    for (name, event) in cases {
        let request = requests::request(0, EVENTS, event);
        for level in ["standard", "enhanced"] {
            let desk = Desk::new(level);
            let stored = desk.batch(&request);
            assert_eq!(usize::try_from(stored.events()).unwrap(), EVENTS);
            let mut scratch = Scratch::default();
            group.bench_function(format!("{name} at {level}"), |bench| {
                bench.iter(|| black_box(desk.sanitise(black_box(&request), &mut scratch)));
            });
        }
    }
    group.finish();
}
