//! Pulling and acknowledging a queue in this process: for a purpose that may see every field, and for
//! one for which half of the events and some fields are taken out.

use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion};
use usaged::drain::{self, Drain, SeekTarget};
use usaged::grpc::proto::ingest::Event;
use usaged::ingest::{self, Intake};
use usaged::model::{CustomerId, Purpose, Subscription, SubscriptionName, UnixMillis};
use usaged::observe::Clock;
use usaged::policy;
use usaged::store::{Customers, NewChange};

use crate::desk::{RECEIVED, participation, policy};
use crate::storing::Home;
use crate::{EVENTS, elements, requests};

/// Batches in the queue.
const BATCHES: usize = 100;
/// Batches in one pull.
const PULL: usize = 20;

/// A queue with one subscription to it.
struct Queue {
    home: Home,
    drain: Drain,
    name: SubscriptionName,
}

impl Queue {
    fn fill(event: requests::Make, purpose: Purpose) -> Self {
        let home = Home::open();
        let (store, clock) = (home.store.clone(), Clock::manual(RECEIVED));
        let customers = Customers::new(store.clone(), 16);
        let policy = policy::Handle::new(policy());
        let name = SubscriptionName::new("jobs").unwrap();
        let drain = home.runtime.block_on(async {
            let acme = participation("enhanced");
            let (by, reason) = ("bench".to_owned(), "bench".to_owned());
            let change = NewChange { participation: acme, by, reason, if_revision: None };
            store.set_participation(vec![change]).await.unwrap().remove(0).unwrap();
            let options = ingest::Options::default();
            let intake =
                Intake::new(store.clone(), customers.clone(), policy.clone(), clock.clone(), options);
            let acme = CustomerId::new("acme").unwrap();
            for number in 0..BATCHES {
                let request = requests::request(number, EVENTS, event);
                intake.submit(&acme, Bytes::from(request)).await.unwrap();
            }
            let options = drain::Options::default();
            let drain = Drain::open(store, customers, policy, clock, options).await.unwrap();
            drain.create(subscription(&name, purpose), true).await.unwrap();
            drain
        });
        Self { home, drain, name }
    }

    /// Everything is in the queue again.
    fn rewind(&self) {
        let seek = self.drain.seek(&self.name, SeekTarget::Oldest);
        self.home.runtime.block_on(seek).unwrap();
    }

    /// Pulls and acknowledges everything; gives the batches.
    async fn drain(&self) -> usize {
        let mut batches = 0;
        loop {
            let pulled =
                self.drain.pull(&self.name, PULL, 16 << 20, Duration::ZERO, 0).await.unwrap().deliveries;
            if pulled.is_empty() {
                return batches;
            }
            batches += pulled.len();
            let ack_ids: Vec<_> = pulled.into_iter().map(|delivery| delivery.ack_id).collect();
            let answer = self.drain.acknowledge(&self.name, &ack_ids).await.unwrap();
            assert_eq!(answer.done, ack_ids.len());
        }
    }
}

fn subscription(name: &SubscriptionName, purpose: Purpose) -> Subscription {
    Subscription {
        name: name.clone(),
        purpose,
        recipient: "bench".to_owned(),
        programs: Vec::new(),
        products: Vec::new(),
        ack_deadline: Duration::from_mins(1),
        max_delivery_attempts: 5,
        created: UnixMillis(0),
    }
}

/// Standard events and such as may be used to recommend, in turn.
fn mixed(n: usize) -> Event {
    if n.is_multiple_of(2) { requests::standard(n) } else { requests::feature(n) }
}

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("drain");
    group.throughput(elements(BATCHES * EVENTS));
    let cases: [(_, requests::Make, _); 3] = [
        ("standard events whole", requests::standard, Purpose::Improve),
        ("mixed events whole", mixed, Purpose::Improve),
        ("mixed events filtered", mixed, Purpose::Recommend),
    ];
    for (name, event, purpose) in cases {
        let queue = Queue::fill(event, purpose);
        group.bench_function(name, |bench| {
            bench.iter_batched(
                || queue.rewind(),
                |()| assert_eq!(queue.home.runtime.block_on(queue.drain()), BATCHES),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}
