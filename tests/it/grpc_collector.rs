//! A whole collector behind its door, in this process: real store, shipped policy, real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use usaged::amend::{self, Amend};
use usaged::drain::{self, Drain};
use usaged::grpc::client::{Channel, Request, connect, of_customer};
use usaged::grpc::proto::admin::admin_service_client::AdminServiceClient;
use usaged::grpc::proto::admin::{self, Participation, ProgramLevel, SetParticipationRequest};
use usaged::grpc::proto::drain::drain_service_client::DrainServiceClient;
use usaged::grpc::proto::drain::{CreateSubscriptionRequest, Purpose, Subscription};
use usaged::grpc::proto::ingest::ingest_service_client::IngestServiceClient;
use usaged::grpc::proto::ingest::{Event, Field, SubmitRequest, Value, value::Kind};
use usaged::grpc::{
    Behind, Ended, Health, NotReloaded, Opening, Options, Reload, RootKeyPlace, Services, Tokens, routes,
    serve,
};
use usaged::ingest::{self, Intake};
use usaged::model::CustomerId;
use usaged::observe::Clock;
use usaged::policy::{Handle, compile, shipped};
use usaged::sanitize::RootKey;
use usaged::store::{self, Customers, Store};

use crate::door_raw::SOON;

/// A host without a next root key.
struct NoPlace;

impl RootKeyPlace for NoPlace {
    fn next(&self, _: &str) -> Result<RootKey, String> {
        Err("there is no next root key here".to_owned())
    }

    fn settle(&self, _: &RootKey) -> Result<(), String> {
        Ok(())
    }
}

pub struct Collector {
    /// The policy in force.
    pub policy: Handle,
    /// What is under everything. Nobody takes entries out of its outbox.
    pub store: Store,
    /// The room behind the drainers' door.
    pub room: Drain,
    pub address: std::net::SocketAddr,
    pub channel: Channel,
    pub health: Health,
    /// Whether a reload of the policy finds a mistake.
    pub policy_is_bad: Arc<AtomicBool>,
    shutdown: CancellationToken,
    ended: JoinHandle<Ended>,
    _dir: TempDir,
}

impl Collector {
    pub async fn open() -> Self {
        let dir = TempDir::new().unwrap();
        let root = RootKey::from_hex(&"0123456789abcdef".repeat(4)).unwrap();
        let clock = Clock::system();
        let store = Store::open(store::Options::new(dir.path()), &root, clock.clone()).unwrap();
        let customers = Customers::new(store.clone(), 100);
        let policy = Handle::new(Arc::new(compile(&shipped()).unwrap().0));
        let settings = ingest::Options::default();
        let intake =
            Intake::new(store.clone(), customers.clone(), policy.clone(), clock.clone(), settings.clone());
        let drain = Drain::open(
            store.clone(),
            customers.clone(),
            policy.clone(),
            clock.clone(),
            drain::Options::default(),
        );
        let drain = drain.await.unwrap();
        let room = drain.clone();
        let policy_is_bad = Arc::new(AtomicBool::new(false));
        let reload: Reload = {
            let (policy, is_bad) = (policy.clone(), Arc::clone(&policy_is_bad));
            Arc::new(move || {
                let problem = "programs/ceip.toml:3: levels: there are none; add one";
                let reloaded = match is_bad.load(Ordering::Relaxed) {
                    true => Err(NotReloaded::Refused(problem.to_owned())),
                    false => Ok((policy.load().version().to_owned(), false)),
                };
                Box::pin(std::future::ready(reloaded))
            })
        };
        let options = Options::default();
        let ledger = crate::ledger_world::open(dir.path(), 0, 0);
        let parts = amend::Parts {
            store: store.clone(),
            customers: customers.clone(),
            policy: policy.clone(),
            drain: drain.clone(),
            ledger: Some(ledger.clone()),
            clock: clock.clone(),
        };
        let amend = Amend::open(parts, amend::Options::default()).await.unwrap();
        let tokens = Tokens::open(store.clone(), clock.clone()).unwrap();
        let opening = Opening {
            options: &options,
            ingest: &settings,
            reload,
            reloads: None,
            root_keys: Arc::new(NoPlace),
            ledger_dir: &dir.path().join("ledger"),
            takes_tokens: true,
        };
        let in_force = policy.clone();
        let behind =
            Behind { store: store.clone(), customers, policy, intake, drain, amend, ledger, tokens, clock };
        let (routes, health) = routes(Services::open(behind, opening));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let ended = tokio::spawn(serve(listener, routes, options, shutdown.clone()));
        health.set(true).await;
        let channel = connect(&address.to_string()).await.unwrap();
        Self {
            policy: in_force,
            store,
            room,
            address,
            channel,
            health,
            policy_is_bad,
            shutdown,
            ended,
            _dir: dir,
        }
    }

    pub fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone())
    }

    pub fn drain(&self) -> DrainServiceClient<Channel> {
        DrainServiceClient::new(self.channel.clone())
    }

    pub fn ingest(&self) -> IngestServiceClient<Channel> {
        IngestServiceClient::new(self.channel.clone())
    }

    /// Sets `customer` to take part in `ceip` at `level`.
    pub async fn participate(&self, customer: &str, level: &str) -> Participation {
        let request = set(participation(customer, level));
        self.admin().set_participation(request).await.unwrap().into_inner()
    }

    /// Creates a subscription to improve, from the oldest batch on.
    pub async fn subscribe(&self, name: &str) -> Subscription {
        let subscription = subscription(name);
        let request = CreateSubscriptionRequest { subscription: Some(subscription) };
        self.drain().create_subscription(request).await.unwrap().into_inner()
    }

    /// Tells the door to close.
    pub fn shut_down(&self) {
        self.shutdown.cancel();
    }

    pub async fn close(self) -> Ended {
        let Self { shutdown, ended, channel, .. } = self;
        drop(channel);
        shutdown.cancel();
        timeout(SOON, ended).await.expect("the door closes").unwrap()
    }
}

pub fn participation(customer: &str, level: &str) -> Participation {
    Participation {
        customer: customer.to_owned(),
        levels: vec![ProgramLevel { program: "ceip".into(), level: level.to_owned() }],
        ..Participation::default()
    }
}

pub fn set(participation: Participation) -> SetParticipationRequest {
    SetParticipationRequest {
        participation: Some(participation),
        changed_by: "ann".into(),
        change_reason: "contract 7".into(),
        if_revision: 0,
    }
}

pub fn subscription(name: &str) -> Subscription {
    Subscription {
        name: name.to_owned(),
        purpose: Purpose::Improve.into(),
        recipient: "analytics".into(),
        from_oldest: true,
        ..Subscription::default()
    }
}

pub fn import(participations: Vec<Participation>) -> admin::ImportParticipationsRequest {
    admin::ImportParticipationsRequest {
        participations,
        changed_by: "ann".into(),
        change_reason: "contract 7".into(),
    }
}

/// A batch of one `vm.inventory` with a host name and a number of processors.
pub fn batch(number: u64, host: &str) -> SubmitRequest {
    let field = |name: &str, kind| Field { name: name.to_owned(), value: Some(Value { kind: Some(kind) }) };
    let fields = [
        field("host", Kind::StringValue(host.to_owned())),
        field("vcpus", Kind::IntValue(4)),
        field("made_up", Kind::BoolValue(true)),
    ];
    SubmitRequest {
        batch_id: format!("00000000-0000-4000-8000-{number:012x}"),
        product: "vcenter".into(),
        events: vec![Event { name: "vm.inventory".into(), fields: fields.into(), ..Event::default() }],
        ..SubmitRequest::default()
    }
}

/// `message` in the name of `customer`.
pub fn from<T>(customer: &str, message: T) -> Request<T> {
    of_customer(message, &CustomerId::new(customer).unwrap()).unwrap()
}
