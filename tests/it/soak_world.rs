//! What a batch of the soak is, and what each level stores of it, byte for byte: made in this process by the one pass,
//! with the keys that the collector made for its customers.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, LazyLock, RwLock};

use prost::Message as _;
use usaged::grpc::client::Timestamp;
use usaged::grpc::proto::ingest::{Event, Field, SubmitRequest, Value, value::Kind};
use usaged::model::{CustomerId, Participation, Purpose, RegionName, UnixMillis};
use usaged::observe::Clock;
use usaged::policy::{Policy, PolicyFile, compile, shipped};
use usaged::sanitize::wire::{Head, ProtoReader};
use usaged::sanitize::{
    Applicant, CustomerSecret, Filtered, Permit, RootKey, Rotation, Scratch, filter_purpose, sanitize,
};
use usaged::store::{self, Customers};

/// Hosts and installations that batches name. Each of these words is nowhere but in what is sent.
pub const HOSTS: u64 = 60;
pub const INSTANCES: u64 = 6;
pub const CANARY: &str = "cnry7f3a";
/// A stored event's `uptime_s` is the number of its batch times this, plus its place.
pub const STRIDE: u64 = 100;

/// The levels that customers go through, each stricter than the one after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    None,
    StandardEea,
    Standard,
    Enhanced,
}

impl Level {
    pub const ALL: [Self; 4] = [Self::None, Self::StandardEea, Self::Standard, Self::Enhanced];

    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::StandardEea | Self::Standard => "standard",
            Self::Enhanced => "enhanced",
        }
    }

    pub const fn region(self) -> &'static str {
        if matches!(self, Self::StandardEea) { "eea" } else { "" }
    }
}

pub fn events(number: u64) -> u64 {
    1 + number % 5
}

pub fn host(n: u64) -> String {
    format!("esx-{n}.{CANARY}.example.com")
}

pub fn instance(n: u64) -> String {
    format!("vc-{n}-{CANARY}")
}

/// The host that the event at `place` of the batch names.
pub fn host_of(number: u64, place: u64) -> u64 {
    (number.wrapping_mul(7) + place * 11) % HOSTS
}

pub fn instance_of(number: u64) -> u64 {
    number % INSTANCES
}

/// The batch `number`, whose events happened at `created`, without those that `gone` names.
pub fn batch(number: u64, created: i64, gone: impl Fn(u64) -> bool) -> SubmitRequest {
    let field = |name: &str, kind| Field { name: name.to_owned(), value: Some(Value { kind: Some(kind) }) };
    let int = |n: u64| Kind::IntValue(i64::try_from(n).unwrap());
    let text = |text: String| Kind::StringValue(text);
    let time = Timestamp {
        seconds: created.div_euclid(1000),
        nanos: i32::try_from(created.rem_euclid(1000)).unwrap() * 1_000_000,
    };
    let event = |place| Event {
        name: "vm.inventory".to_owned(),
        time: Some(time),
        fields: vec![
            field("host", text(host(host_of(number, place)))),
            field("vm", text(format!("vm {} {CANARY}", number % 97))),
            field("ip", text(format!("10.{}.{}.{}", number % 200, place, 1 + number % 250))),
            field("vcpus", int(number % 61)),
            field("uptime_s", int(number * STRIDE + place)),
        ],
        ..Event::default()
    };
    SubmitRequest {
        batch_id: format!("00000000-0000-4000-8000-{number:012x}"),
        product: "vcenter".to_owned(),
        instance: instance(instance_of(number)),
        events: (0..events(number)).filter(|place| !gone(*place)).map(event).collect(),
        ..SubmitRequest::default()
    }
}

/// The policies that are in force in turn: they differ in a comment, so in their version and in nothing else.
pub fn policy_files(turn: u64) -> Vec<PolicyFile> {
    let mut files = shipped();
    for file in &mut files {
        if file.path == "programs/ceip.toml" {
            file.text.push_str(&format!("# turn {turn}\n"));
        }
    }
    files
}

/// What is needed to tell what a level stores.
#[derive(Default)]
pub struct World {
    secrets: HashMap<String, Arc<CustomerSecret>>,
    rotation: Rotation,
    policies: RwLock<HashMap<String, Arc<Policy>>>,
}

impl World {
    /// Takes the keys of every one of `customers` out of a store that nobody has open.
    pub async fn learn(&mut self, data: &Path, customers: &[String]) {
        let key = std::fs::read_to_string(data.with_extension("key")).unwrap();
        let root = RootKey::from_hex(key.trim()).unwrap();
        let options = store::Options::new(data);
        let store = crate::store_samples::reopen(&options, &root, &Clock::system()).unwrap();
        let entries = Customers::new(store.clone(), 16);
        for customer in customers {
            let entry = entries.get(&CustomerId::new(customer).unwrap()).unwrap().unwrap();
            self.secrets.insert(customer.clone(), Arc::clone(&entry.secret));
        }
        self.rotation = store.rotation();
        drop(entries);
        store.close().await;
    }

    /// The policy of a turn can be in force from now on. Its version.
    pub fn may_have(&self, turn: u64) -> String {
        let policy = Arc::new(compile(&policy_files(turn)).unwrap_or_else(|wrong| panic!("{wrong:#?}")).0);
        let version = policy.version().to_owned();
        self.policies.write().unwrap().insert(version.clone(), policy);
        version
    }

    /// What a drainer for `improve` gets of `request` of a customer at a level, if it was received at `received` and
    /// decided under the policy of this version; nothing if that is nothing.
    pub fn stored(
        &self,
        customer: &str,
        level: Level,
        request: &SubmitRequest,
        (received, version): (UnixMillis, &str),
    ) -> Vec<u8> {
        static NO_CAPS: LazyLock<BTreeMap<usaged::model::ProgramName, usaged::model::LevelName>> =
            LazyLock::new(BTreeMap::new);
        if level == Level::None || request.events.is_empty() {
            return Vec::new();
        }
        let policy = self.policies.read().unwrap().get(version).cloned();
        let policy = policy.unwrap_or_else(|| panic!("the policy {version} was never in force"));
        let mut participation = Participation::none(CustomerId::new(customer).unwrap());
        participation.levels.insert("ceip".parse().unwrap(), level.word().parse().unwrap());
        participation.region = (!level.region().is_empty()).then(|| RegionName::new(level.region()).unwrap());
        policy.accept_current(&mut participation);
        let bytes = request.encode_to_vec();
        let head = Head::read(&bytes).unwrap();
        let applicant = Applicant {
            participation: &participation,
            secret: &self.secrets[customer],
            caps: &NO_CAPS,
            received,
            epoch: self.rotation.epoch(received),
            suppressed: None,
        };
        let permit = Permit::grant(policy, &applicant, &head);
        let made = sanitize(&permit, &head, ProtoReader::new(&bytes), &mut Scratch::default()).unwrap();
        let Some(batch) = made.batches.first() else { return Vec::new() };
        let mut part = Vec::new();
        match filter_purpose(batch.body(), Purpose::Improve, &mut part).unwrap() {
            Filtered::Whole => batch.body().to_vec(),
            Filtered::Part { .. } => part,
            Filtered::Nothing => Vec::new(),
        }
    }
}
