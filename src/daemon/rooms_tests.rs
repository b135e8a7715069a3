//! The rooms as the collector has them, without its doors, on a clock that stands still: what the crash tests have open.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::amend::{self, Amend};
use crate::drain::{Delivery, Drain};
use crate::ingest::{self, Intake};
use crate::ledger::{Entry as Told, Fact};
use crate::model::{
    CommitNumber, CustomerId, LevelName, Participation, ProductName, ProgramName, Purpose, Subscription,
    SubscriptionName, UnixMillis,
};
use crate::observe::Clock;
use crate::policy::{Handle, Policy, compile, shipped};
use crate::sanitize::RootKey;
use crate::store::{self, Customers, Entry, NewChange, Store};

/// Where the clock stands: some day in 2026.
pub(super) const START: UnixMillis = UnixMillis(1_790_000_000_000);
/// Batches of each of two customers.
pub(super) const BATCHES: u64 = 80;
/// Every so many batches name the host that is erased.
pub(super) const NAMED: u64 = 4;
pub(super) const HOST: &str = "esx-7.corp.example.com";

pub(super) fn acme() -> CustomerId {
    CustomerId::new("acme").unwrap()
}

pub(super) fn jobs() -> SubscriptionName {
    SubscriptionName::new("jobs").unwrap()
}

/// The root key of all of them that have no other.
pub(super) fn root() -> RootKey {
    RootKey::from_hex(&"0123456789abcdef".repeat(4)).unwrap()
}

/// What a process has open.
pub(super) struct Rooms {
    pub(super) store: Store,
    pub(super) customers: Customers,
    pub(super) policy: Handle,
    pub(super) intake: Intake,
    pub(super) drain: Drain,
    pub(super) amend: Amend,
    pub(super) clock: Clock,
}

impl Rooms {
    pub(super) async fn open(dir: &Path) -> Self {
        Self::open_at(dir, START, amend::Options::default()).await
    }

    /// The same, at another time and with other bounds of erasures.
    pub(super) async fn open_at(dir: &Path, time: UnixMillis, bounds: amend::Options) -> Self {
        Self::open_with(dir, time, bounds, |_| ()).await
    }

    /// The same, with other options of the store.
    pub(super) async fn open_with(
        dir: &Path,
        time: UnixMillis,
        bounds: amend::Options,
        options_of: impl FnOnce(&mut store::Options),
    ) -> Self {
        Self::open_under(dir, time, (bounds, options_of), &root()).await
    }

    /// The same, under another root key.
    pub(super) async fn open_under(
        dir: &Path,
        time: UnixMillis,
        bounds: (amend::Options, impl FnOnce(&mut store::Options)),
        root: &RootKey,
    ) -> Self {
        Self::open_by(dir, time, bounds, (root, Arc::new(compile(&shipped()).unwrap().0))).await
    }

    /// The same, by another policy.
    pub(super) async fn open_by(
        dir: &Path,
        time: UnixMillis,
        (bounds, options_of): (amend::Options, impl FnOnce(&mut store::Options)),
        (root, policy): (&RootKey, Arc<Policy>),
    ) -> Self {
        let clock = Clock::manual(time);
        let mut options = store::Options::new(&dir.join("data"));
        options.witness_lag = Duration::ZERO;
        options.reserve_bytes = 0;
        options.segment_bytes = 16 * 1024;
        options.notary = Some(super::ledger::notary());
        options_of(&mut options);
        let until = std::time::Instant::now() + Duration::from_secs(30);
        let store = loop {
            // A test that starts a process has a copy of the lock between fork and exec.
            match Store::open(options.clone(), root, clock.clone()) {
                Err(store::OpenError::Locked { .. }) if std::time::Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                opened => break opened.unwrap(),
            }
        };
        let customers = Customers::new(store.clone(), 16);
        let policy = Handle::new(policy);
        let rotation = store.rotation();
        let options = ingest::Options { rotation, ..ingest::Options::default() };
        let intake = Intake::new(store.clone(), customers.clone(), policy.clone(), clock.clone(), options);
        let drain = Drain::open(
            store.clone(),
            customers.clone(),
            policy.clone(),
            clock.clone(),
            crate::drain::Options::default(),
        );
        let drain = drain.await.unwrap();
        let parts = amend::Parts {
            store: store.clone(),
            customers: customers.clone(),
            policy: policy.clone(),
            drain: drain.clone(),
            ledger: None,
            clock: clock.clone(),
        };
        let options = amend::Options { rotation, ..bounds };
        let amend = Amend::open(parts, options).await.unwrap();
        Self { store, customers, policy, intake, drain, amend, clock }
    }

    pub(super) async fn close(self) {
        let Self { store, customers, policy: _, intake, drain, amend, clock: _ } = self;
        drop((customers, intake, drain, amend));
        store.close().await;
    }

    pub(super) async fn participate(&self, id: CustomerId, level: &str) {
        let mut participation = Participation::none(id);
        for product in ["vcenter", "horizon", "tanzu-cli"] {
            participation.accepted_dictionaries.insert(ProductName::new(product).unwrap(), 2);
        }
        participation.levels.insert(ProgramName::new("ceip").unwrap(), LevelName::new(level).unwrap());
        let (by, reason) = ("tests".to_owned(), "tests".to_owned());
        let change = NewChange { participation, by, reason, if_revision: None };
        let outcome = self.store.set_participation(vec![change]).await.unwrap().remove(0).unwrap();
        self.amend.participation_changed(outcome.key);
    }

    /// Stores batches of two events: one that every level has, with a host, and one of a log, which only `enhanced` has.
    pub(super) async fn fill(&self) {
        self.fill_with(1..=BATCHES).await;
    }

    /// The same, of batches with these numbers.
    pub(super) async fn fill_with(&self, numbers: std::ops::RangeInclusive<u64>) {
        self.fill_at(numbers, None).await;
    }

    /// A batch of an installation of acme, whose event names a host.
    pub(super) async fn name_host(&self, batch: u64, instance: u64, host: &str) {
        let mut request = Vec::new();
        field(&mut request, 1, format!("00000000-0000-4000-8000-{batch:012x}").as_bytes());
        field(&mut request, 2, b"vcenter");
        field(&mut request, 3, format!("instance-{instance}").as_bytes());
        field(&mut request, 6, &event("vm.inventory", "host", host));
        self.intake.submit(&acme(), Bytes::from(request)).await.unwrap();
    }

    /// The same, of events that happened in this second.
    pub(super) async fn fill_at(&self, numbers: std::ops::RangeInclusive<u64>, time: Option<UnixMillis>) {
        for number in numbers {
            let id = format!("00000000-0000-4000-8000-{number:012x}");
            let host =
                if number % NAMED == 1 { HOST.to_owned() } else { format!("esx-{number}.example.org") };
            let events = [
                event("vm.inventory", "host", &host),
                event("support.log_line", "message", &format!("state {}", "of the disk ".repeat(12))),
            ];
            let mut request = Vec::new();
            field(&mut request, 1, id.as_bytes());
            field(&mut request, 2, b"vcenter");
            field(&mut request, 3, format!("instance-{number}").as_bytes());
            for mut event in events {
                if let Some(time) = time {
                    let mut seconds = vec![1 << 3];
                    varint(&mut seconds, usize::try_from(time.0 / 1_000).unwrap());
                    field(&mut event, 2, &seconds);
                }
                field(&mut request, 6, &event);
            }
            for customer in [acme(), CustomerId::new("globex").unwrap()] {
                self.intake.submit(&customer, Bytes::from(request.clone())).await.unwrap();
            }
        }
    }

    /// Makes the subscription of [`jobs`], from the beginning on.
    pub(super) async fn subscribe(&self) {
        self.subscribe_as(&jobs()).await;
    }

    /// The same, under another name.
    pub(super) async fn subscribe_as(&self, name: &SubscriptionName) {
        let (programs, products) = (Vec::new(), Vec::new());
        let subscription = Subscription {
            name: name.clone(),
            purpose: Purpose::Improve,
            recipient: "tests".to_owned(),
            programs,
            products,
            ack_deadline: Duration::from_mins(10),
            max_delivery_attempts: 3,
            created: START,
        };
        self.drain.create(subscription, true).await.unwrap();
    }

    pub(super) async fn pull(&self) -> Vec<Delivery> {
        let mut all = Vec::new();
        loop {
            let some = self.drain.pull(&jobs(), 1_000, u64::MAX, Duration::ZERO, 0).await.unwrap().deliveries;
            if some.is_empty() {
                return all;
            }
            all.extend(some);
        }
    }

    /// The facts that wait for the ledger.
    pub(super) fn facts(&self) -> Vec<Fact> {
        let waiting = self.store.outbox(100_000).unwrap();
        waiting.iter().map(|(_, entry)| Told::from_bytes(entry).unwrap().fact).collect()
    }

    /// Of the ciphertexts of all records of a customer, by commit, two pieces: a whole one is cut up in the log.
    pub(super) fn sealed(&self, customer: &CustomerId) -> BTreeMap<u64, [Vec<u8>; 2]> {
        let key = self.customers.get(customer).unwrap().unwrap().key;
        let mut sealed = BTreeMap::new();
        for commit in 1..=self.store.head().0 {
            if let Some(Entry::Record(record)) = self.store.read_one(CommitNumber(commit)).unwrap()
                && record.header.customer == key
            {
                let bytes = record.ciphertext();
                let piece = |at: usize| bytes[at..at + 24].to_vec();
                sealed.insert(commit, [piece(0), piece(bytes.len() / 2)]);
            }
        }
        sealed
    }
}

fn event(name: &str, text_field: &str, text: &str) -> Vec<u8> {
    let (mut value, mut pair, mut event) = (Vec::new(), Vec::new(), Vec::new());
    field(&mut value, 1, text.as_bytes());
    field(&mut pair, 1, text_field.as_bytes());
    field(&mut pair, 2, &value);
    field(&mut event, 1, name.as_bytes());
    field(&mut event, 4, &pair);
    event
}

/// Writes a length-delimited protobuf field.
fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, mut number: usize) {
    while number > 127 {
        out.push(u8::try_from(number & 127).unwrap() | 128);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap());
}
