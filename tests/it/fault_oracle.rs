//! The oracle: remembers what was acknowledged to whom, and knows what a stored batch must look like.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use usaged::grpc::client::Message as _;
use usaged::grpc::proto::drain::{Batch, ReceivedBatch, value::Kind as Stored};
use usaged::grpc::proto::ingest::submit_response::State;
use usaged::grpc::proto::ingest::{Event, Field, SubmitRequest, SubmitResponse, Value, value::Kind};

/// Hosts that events name.
const HOSTS: u64 = 40;
/// A stored event's `uptime_s` is the number of its batch times this, plus its place.
const STRIDE: u64 = 100;

/// How many events the batch `number` has.
fn events(number: u64) -> u64 {
    1 + number % 7
}

/// The batch `number`: unique by the counter that its events keep, and always the same bytes.
pub fn batch(number: u64) -> SubmitRequest {
    let field = |name: &str, kind| Field { name: name.to_owned(), value: Some(Value { kind: Some(kind) }) };
    let int = |n: u64| Kind::IntValue(i64::try_from(n).unwrap());
    let event = |place| Event {
        name: "vm.inventory".to_owned(),
        fields: vec![
            field("host", Kind::StringValue(format!("esx-{}.example.com", number % HOSTS))),
            field("vcpus", int(number % 61)),
            field("memory_mb", int(number.wrapping_mul(7_919) % 1_000_003)),
            field("uptime_s", int(number * STRIDE + place)),
        ],
        ..Event::default()
    };
    SubmitRequest {
        batch_id: format!("00000000-0000-4000-8000-{number:012x}"),
        product: "vcenter".to_owned(),
        events: (0..events(number)).map(event).collect(),
        ..SubmitRequest::default()
    }
}

/// What is known about all batches of a test, over all lives of its collector.
#[derive(Default)]
pub struct Oracle {
    next: AtomicU64,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The commit number of each batch that was acknowledged to its sender.
    acknowledged: BTreeMap<u64, u64>,
    /// Batches that were sent, not answered, and given up: there once or not at all.
    abandoned: BTreeSet<u64>,
    /// Batches that were sent and refused for good: not there.
    refused: BTreeSet<u64>,
    /// The highest commit number that anybody was told.
    highest: u64,
    /// Commit numbers that a drainer has settled.
    settled: BTreeSet<u64>,
    /// The pseudonym of each host, for each customer.
    tokens: HashMap<(Vec<u8>, u64), Vec<u8>>,
    /// How many answers said that the batch was there already.
    duplicates: u64,
}

/// Tells what was injected and survived; that nothing acknowledged was lost, and nothing is there twice, was
/// asserted before. `make faults` gathers these lines.
pub fn survived(kind: &str, injected: u64, acknowledged: usize) {
    println!("FAULTS|{kind}|{injected}|{injected}|{acknowledged}|0|0");
}

/// Whether the long forms are asked for.
#[expect(clippy::disallowed_methods, reason = "a test has no command line of its own")]
pub fn is_long() -> bool {
    std::env::var("USAGED_FAULTS").is_ok_and(|value| value == "1")
}

impl Oracle {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that no batch has yet.
    pub fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The highest commit number that anybody was told so far.
    pub fn highest(&self) -> u64 {
        self.known().highest
    }

    /// How many batches are acknowledged.
    pub fn count(&self) -> usize {
        self.known().acknowledged.len()
    }

    /// How many events the batch `number` has.
    pub fn events_of(number: u64) -> u64 {
        events(number)
    }

    /// What is acknowledged by now: the commit number of each batch.
    pub fn acknowledged(&self) -> BTreeMap<u64, u64> {
        self.known().acknowledged.clone()
    }

    /// Checks what was drained of a copy that was made at an instant: all that was `acknowledged` before that is there,
    /// once, in its place; the rest was under way then.
    pub fn compare_instant(&self, drained: &[(u64, u64)], acknowledged: &BTreeMap<u64, u64>) {
        let mut seen = BTreeMap::new();
        for &(number, commit) in drained {
            assert_eq!(seen.insert(number, commit), None, "batch {number} is stored twice");
            assert!(number < self.next.load(Ordering::Relaxed), "batch {number} was never sent");
        }
        let lost: Vec<_> =
            acknowledged.iter().filter(|(number, commit)| seen.get(number) != Some(commit)).collect();
        assert!(lost.is_empty(), "{} acknowledged batches are lost: {lost:?}", lost.len());
    }

    /// How many batches were stored before the retry that was answered.
    pub fn duplicates(&self) -> u64 {
        self.known().duplicates
    }

    /// `number` was answered; `before` is what was the highest when it was sent first.
    pub fn acknowledge(&self, number: u64, receipt: &SubmitResponse, before: u64) {
        let expected = (events(number), events(number));
        assert_eq!((receipt.received_events.into(), receipt.accepted_events.into()), expected, "{receipt:?}");
        assert!(matches!(receipt.state(), State::Stored | State::Duplicate), "{receipt:?}");
        let commit = receipt.commit_number;
        assert!(commit > before, "commit numbers shrank: {commit} was given after {before}");
        let mut known = self.known();
        known.duplicates += u64::from(receipt.state() == State::Duplicate);
        known.highest = known.highest.max(commit);
        assert_eq!(known.acknowledged.insert(number, commit), None);
    }

    /// `number` was not answered and will not be sent again.
    pub fn abandon(&self, number: u64) {
        self.known().abandoned.insert(number);
    }

    /// `number` was refused for good.
    pub fn refuse(&self, number: u64) {
        self.known().refused.insert(number);
    }

    /// Checks every value of a delivered batch; gives its number.
    pub fn check(&self, delivery: &ReceivedBatch) -> u64 {
        let batch = Batch::decode(delivery.batch.clone()).unwrap();
        let path = |field: u32| batch.fields[usize::try_from(field).unwrap()].path.as_str();
        let customer = batch.customer.clone().and_then(|value| value.kind);
        let Some(Stored::TokenValue(customer)) = customer else { panic!("the customer is {customer:?}") };
        let mut number = None;
        for (place, event) in (0..).zip(&batch.events) {
            let values: HashMap<&str, &Stored> = event
                .fields
                .iter()
                .map(|field| (path(field.field), field.value.as_ref().unwrap().kind.as_ref().unwrap()))
                .collect();
            let int = |name: &str| match values.get(name) {
                Some(Stored::IntValue(n)) => u64::try_from(*n).unwrap(),
                other => panic!("{name} is {other:?}"),
            };
            let of = int("uptime_s") / STRIDE;
            assert_eq!(*number.get_or_insert(of), of, "events of two batches are mixed");
            assert_eq!(int("uptime_s") % STRIDE, place, "an event is out of place in {of}");
            assert_eq!((int("vcpus"), int("memory_mb")), (of % 61, of.wrapping_mul(7_919) % 1_000_003));
            let Some(Stored::TokenValue(token)) = values.get("host") else { panic!("no token in {of}") };
            let mut known = self.known();
            let first = known.tokens.entry((customer.clone(), of % HOSTS)).or_insert_with(|| token.clone());
            assert_eq!(first, token, "the pseudonym of a host changed");
        }
        let number = number.expect("a batch has events");
        assert_eq!(u64::try_from(batch.events.len()).unwrap(), events(number), "{number} is not whole");
        number
    }

    /// A drainer received `commit`: it must not be one that was settled.
    pub fn delivered(&self, commit: u64) {
        assert!(!self.known().settled.contains(&commit), "{commit} came back after it was acknowledged");
    }

    /// The collector confirmed the acknowledgement of `commits`.
    pub fn settle(&self, commits: impl IntoIterator<Item = u64>) {
        self.known().settled.extend(commits);
    }

    /// How many batches a drainer has settled.
    pub fn settled(&self) -> usize {
        self.known().settled.len()
    }

    /// Checks all that was drained, as (number, commit), against what is known: every acknowledged
    /// batch once, under its commit number; abandoned ones at most once; nothing else.
    pub fn compare(&self, drained: &[(u64, u64)]) {
        let known = self.known();
        let mut seen = BTreeMap::new();
        for &(number, commit) in drained {
            assert_eq!(seen.insert(number, commit), None, "batch {number} is stored twice");
            match known.acknowledged.get(&number) {
                Some(told) => assert_eq!(commit, *told, "batch {number} is not where its receipt says"),
                None => assert!(known.abandoned.contains(&number), "batch {number} was never accepted"),
            }
            assert!(!known.refused.contains(&number), "batch {number} was refused and is stored");
        }
        let lost: Vec<_> =
            known.acknowledged.iter().filter(|(number, _)| !seen.contains_key(number)).collect();
        assert!(lost.is_empty(), "{} acknowledged batches are lost: {lost:?}", lost.len());
        assert!(drained.windows(2).all(|pair| pair[0].1 < pair[1].1), "the queue is out of order");
    }
}
