//! A real store in a directory of its own, with the shipped policy, one customer, an intake and a
//! drain on a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use usaged::drain::{Drain, Options};
use usaged::ingest::{self, Intake, Receipt};
use usaged::model::{
    CustomerId, LevelName, Participation, ProgramName, Purpose, Subscription, SubscriptionName, UnixMillis,
};
use usaged::observe::Clock;
use usaged::policy::{self, compile, shipped};
use usaged::sanitize::RootKey;
use usaged::store::{self, Customers, NewChange, Store};

/// Where the clock starts: some day in 2026.
pub const START: UnixMillis = UnixMillis(1_790_000_000_000);
/// How long a lease lasts.
pub const LEASE: Duration = Duration::from_secs(10);
pub const MAX_ATTEMPTS: u32 = 3;

/// Everything that stays when the process ends.
pub struct World {
    pub clock: Clock,
    pub live: Live,
    dir: TempDir,
    options: Options,
    tune: fn(&mut store::Options),
    batches: u64,
}

/// Everything that a process holds.
pub struct Live {
    pub store: Store,
    pub policy: policy::Handle,
    pub drain: Drain,
    intake: Intake,
}

pub fn acme() -> CustomerId {
    CustomerId::new("acme").unwrap()
}

pub fn jobs() -> SubscriptionName {
    SubscriptionName::new("jobs").unwrap()
}

pub fn subscription(name: &SubscriptionName, purpose: Purpose) -> Subscription {
    Subscription {
        name: name.clone(),
        purpose,
        recipient: "tests".to_owned(),
        programs: Vec::new(),
        products: Vec::new(),
        ack_deadline: LEASE,
        max_delivery_attempts: MAX_ATTEMPTS,
        created: UnixMillis(0),
    }
}

/// A participation in `ceip` at `level`.
pub fn at_level(level: &str) -> Participation {
    let mut participation = Participation::none(acme());
    for product in ["vcenter", "horizon", "tanzu-cli"] {
        participation.accepted_dictionaries.insert(usaged::model::ProductName::new(product).unwrap(), 2);
    }
    participation.levels.insert(ProgramName::new("ceip").unwrap(), LevelName::new(level).unwrap());
    participation
}

async fn live(dir: &TempDir, clock: &Clock, options: &Options, tune: fn(&mut store::Options)) -> Live {
    let root = RootKey::from_hex(&"0123456789abcdef".repeat(4)).unwrap();
    let mut at = store::Options::new(dir.path());
    tune(&mut at);
    let store = crate::store_samples::reopen(&at, &root, clock).unwrap();
    let customers = Customers::new(store.clone(), 100);
    let policy = policy::Handle::new(Arc::new(compile(&shipped()).unwrap().0));
    let intake = Intake::new(
        store.clone(),
        customers.clone(),
        policy.clone(),
        clock.clone(),
        ingest::Options::default(),
    );
    let drain = Drain::open(store.clone(), customers, policy.clone(), clock.clone(), options.clone());
    let drain = drain.await.unwrap();
    Live { store, policy, drain, intake }
}

impl World {
    /// A world in which `acme` takes part in `ceip` at the level `enhanced`.
    pub async fn new(options: Options, tune: fn(&mut store::Options)) -> Self {
        let (dir, clock) = (TempDir::new().unwrap(), Clock::manual(START));
        let live = live(&dir, &clock, &options, tune).await;
        let world = Self { clock, live, dir, options, tune, batches: 0 };
        world.participate(at_level("enhanced")).await;
        world
    }

    pub fn drain(&self) -> &Drain {
        &self.live.drain
    }

    pub async fn participate(&self, participation: Participation) {
        let (by, reason) = ("tests".to_owned(), "tests".to_owned());
        let change = NewChange { participation, by, reason, if_revision: None };
        self.live.store.set_participation(vec![change]).await.unwrap().remove(0).unwrap();
    }

    /// Sends a batch of its own id with these events.
    pub async fn send(&mut self, events: &[Vec<u8>]) -> Receipt {
        self.batches += 1;
        self.send_again(events).await
    }

    /// Sends the batch that was sent last once more.
    pub async fn send_again(&self, events: &[Vec<u8>]) -> Receipt {
        let id = format!("00000000-0000-4000-8000-{:012x}", self.batches);
        let mut request = Vec::new();
        field(&mut request, 1, id.as_bytes());
        field(&mut request, 2, b"vcenter");
        for event in events {
            field(&mut request, 6, event);
        }
        self.live.intake.submit(&acme(), Bytes::from(request)).await.unwrap()
    }

    /// Ends the process without any shutdown, and starts it again.
    pub async fn restart(self) -> Self {
        let options = self.options.clone();
        self.restart_with(options).await
    }

    /// The same, with other options.
    pub async fn restart_with(self, options: Options) -> Self {
        let Self { clock, live: old, dir, options: _, tune, batches } = self;
        drop(old);
        let live = live(&dir, &clock, &options, tune).await;
        Self { clock, live, dir, options, tune, batches }
    }
}

impl World {
    /// Starts again from what is on the disk now, without what is only in the log of the database.
    pub async fn restart_without_log(self) -> Self {
        let Self { clock, live: old, dir, options, tune, batches } = self;
        let copy = crate::store_samples::copy_of(dir.path());
        drop((old, dir));
        for entry in std::fs::read_dir(copy.path().join("db")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "log") {
                std::fs::remove_file(path).unwrap();
            }
        }
        let live = live(&copy, &clock, &options, tune).await;
        Self { clock, live, dir: copy, options, tune, batches }
    }
}

/// An event of one whole number: `vm.inventory` with `vcpus` may be used to improve only,
/// `client.feature_used` with `uses` also to recommend.
pub fn event(name: &str, number_field: &str, number: u8) -> Vec<u8> {
    event_of(name, number_field, &[2 << 3, number])
}

/// An event of two whole numbers that are the same.
pub fn event_of_both(name: &str, fields: [&str; 2], number: u8) -> Vec<u8> {
    let mut both = event(name, fields[0], number);
    let mut pair = Vec::new();
    field(&mut pair, 1, fields[1].as_bytes());
    field(&mut pair, 2, &[2 << 3, number]);
    field(&mut both, 4, &pair);
    both
}

/// An event of one text.
pub fn text_event(name: &str, text_field: &str, text: &str) -> Vec<u8> {
    let mut value = Vec::new();
    field(&mut value, 1, text.as_bytes());
    event_of(name, text_field, &value)
}

fn event_of(name: &str, named: &str, value: &[u8]) -> Vec<u8> {
    let mut pair = Vec::new();
    field(&mut pair, 1, named.as_bytes());
    field(&mut pair, 2, value);
    let mut event = Vec::new();
    field(&mut event, 1, name.as_bytes());
    field(&mut event, 4, &pair);
    event
}

/// Writes a length-delimited protobuf field.
fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    let mut length = bytes.len();
    while length > 127 {
        out.push(u8::try_from(length & 127).unwrap() | 128);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap());
    out.extend_from_slice(bytes);
}
