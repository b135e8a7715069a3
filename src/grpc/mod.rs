//! The only room that knows tonic and prost: the door, and the services behind it. Requests
//! are checked and passed on here; nothing is decided.

mod admin;
mod amend;
pub mod carrier;
pub mod client;
mod client_channel;
pub mod codec;
pub mod compression;
mod counted;
mod door;
mod drain;
mod identity;
mod ingest;
pub mod json;
mod keys;
mod ledger;
mod page;
mod pick;
pub mod proto;
mod services;
mod status;
mod store;
mod times;
mod tokens;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};

pub use self::admin::{
    AdminDoor, EventsAsk, LastConfiguration, LastReload, NotReloaded, Reload, ReloadOutcome, Reloading,
    Reloads,
};
pub use self::amend::AmendDoor;
#[cfg(test)]
pub(crate) use self::door::Inside;
pub(crate) use self::door::Peer;
pub use self::door::{Budget, Caller, Ended, Heart, Options, Reservation, Share, serve, serve_guarded};
pub use self::drain::DrainDoor;
pub use self::identity::{
    Access, Authority, CUSTOMER_KEY, ClientNarrowing, FetchError, Gate, KeyFetch, Narrowing, NewToken,
    NotLoopback, Provider, Standing, TlsError, TlsMaterial, TlsTexts, Tokens, build_tls,
};
pub use self::ingest::IngestDoor;
pub use self::keys::{KeyDoor, RootKeyPlace};
pub use self::ledger::LedgerDoor;
pub use self::services::{Behind, Opening, Services};
pub use self::status::{Cause, DOMAIN, Fault};
pub use self::store::StoreDoor;
pub use self::tokens::TokenDoor;

use self::pick::Pick;
use self::proto::admin::admin_service_server::AdminServiceServer;
use self::proto::admin::binding_service_server::BindingServiceServer;
use self::proto::admin::erasure_service_server::ErasureServiceServer;
use self::proto::admin::key_service_server::KeyServiceServer;
use self::proto::admin::ledger_service_server::LedgerServiceServer;
use self::proto::admin::store_service_server::StoreServiceServer;
use self::proto::admin::token_service_server::TokenServiceServer;
use self::proto::drain::drain_service_server::DrainServiceServer;

/// Bytes of one request to a drainer's or operator's method.
const TYPED_REQUEST_BYTES: usize = 128 * 1024;

/// Bytes of one request for health, which names a service. Whoever reaches the port may ask: nobody is known yet.
const HEALTH_REQUEST_BYTES: usize = 1024;

/// Bytes of one request to the methods that take lists or events, of which few are served at a time.
const LARGE_REQUEST_BYTES: usize = 1024 * 1024;
const LARGE: [&str; 3] = ["StreamingPull", "ImportParticipations", "ExplainEvent"];

/// The names under which health is told; the empty one is the collector as a whole.
const SERVICES: [&str; 10] = [
    "",
    "usaged.ingest.v1.IngestService",
    "usaged.drain.v1.DrainService",
    "usaged.admin.v1.AdminService",
    "usaged.admin.v1.LedgerService",
    "usaged.admin.v1.KeyService",
    "usaged.admin.v1.ErasureService",
    "usaged.admin.v1.BindingService",
    "usaged.admin.v1.StoreService",
    "usaged.admin.v1.TokenService",
];

/// The health that `grpc.health.v1` tells. Clones share it.
#[derive(Clone, Debug)]
pub struct Health(HealthReporter);

impl Health {
    /// Says whether the collector serves.
    pub async fn set(&self, serves: bool) {
        let status = if serves { ServingStatus::Serving } else { ServingStatus::NotServing };
        for service in SERVICES {
            self.0.set_service_status(service, status).await;
        }
    }
}

/// The routes of a collector: its services, health and reflection. Health is "not serving"
/// until it is set. The counts of what will be refused begin here, so that they are there before the collector says that it
/// is ready.
#[must_use]
pub fn routes(services: Services) -> (Routes, Health) {
    Cause::begin_counts();
    let Services { ingest, drain, admin, keys, ledger, amend, store, tokens } = services;
    let (reporter, health) = health_reporter();
    let health = health.max_decoding_message_size(HEALTH_REQUEST_BYTES);
    let (drain, admin) = (DrainServiceServer::new(drain), AdminServiceServer::new(admin));
    let drain = Pick {
        usual: drain.clone().max_decoding_message_size(TYPED_REQUEST_BYTES),
        large: drain.max_decoding_message_size(LARGE_REQUEST_BYTES),
        names: &LARGE,
    };
    let admin = Pick {
        usual: admin.clone().max_decoding_message_size(TYPED_REQUEST_BYTES),
        large: admin.max_decoding_message_size(LARGE_REQUEST_BYTES),
        names: &LARGE,
    };
    let keys = KeyServiceServer::new(Arc::new(keys)).max_decoding_message_size(TYPED_REQUEST_BYTES);
    let ledger = LedgerServiceServer::new(ledger).max_decoding_message_size(TYPED_REQUEST_BYTES);
    let mut routes = Routes::new(ingest).add_service(drain).add_service(admin).add_service(keys);
    let erasure = ErasureServiceServer::new(amend.clone()).max_decoding_message_size(TYPED_REQUEST_BYTES);
    let binding = BindingServiceServer::new(amend).max_decoding_message_size(TYPED_REQUEST_BYTES);
    let store = StoreServiceServer::new(store).max_decoding_message_size(TYPED_REQUEST_BYTES);
    routes = routes.add_service(store);
    let tokens = TokenServiceServer::new(tokens).max_decoding_message_size(TYPED_REQUEST_BYTES);
    routes = routes.add_service(tokens);
    routes = routes.add_service(ledger).add_service(erasure).add_service(binding).add_service(health);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // The descriptors are made by `build.rs` and a test reads them, so this does not fail. Python's
    // library and older grpcurls know only v1alpha.
    if let (Ok(v1), Ok(v1alpha)) = (reflection().build_v1(), reflection().build_v1alpha()) {
        routes = routes
            .add_service(v1.max_decoding_message_size(TYPED_REQUEST_BYTES))
            .add_service(v1alpha.max_decoding_message_size(TYPED_REQUEST_BYTES));
    }
    (routes, Health(reporter))
}

/// Serves `Submit` and `SubmitStream` as [`serve`] does, and drops what comes: the floor that
/// `usaged load` measures against.
pub async fn serve_null(listener: TcpListener, options: Options, shutdown: CancellationToken) -> Ended {
    let routes = Routes::new(IngestDoor::to_nowhere(&options));
    serve(listener, routes, options, shutdown).await
}
