//! From what a person wrote to the options of each room.

use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::again::InForce;
use super::check::{ledger_key_file, root_key_file};
use super::identities::{Identities, identities};
use super::keys::{LogKeys, Settings, TraceKeys};
use super::value::Size;
use super::word::FullChoice;
use crate::ingest::{PlanTtl, Rotation, fair};
use crate::ledger::Refusals;
use crate::observe::Top;
use crate::{amend, drain, grpc, ingest, ledger, store};

/// Where the root key comes from.
#[derive(Clone)]
pub enum RootKeySource {
    /// The environment: 64 hexadecimal digits.
    Given(Zeroizing<String>),
    /// A file, made at the first start.
    File(PathBuf),
}

/// Everything the daemon needs, each room's part as that room takes it.
pub struct Config {
    /// What was written, and where: for when it is read again.
    pub in_force: InForce,
    /// Where the root key comes from.
    pub root_key: RootKeySource,
    /// The file of the root key, also where the key comes from the environment: the next one is read from
    /// beside it.
    pub root_key_file: PathBuf,
    /// The directory of the policy; `None` for the shipped one.
    pub policy_dir: Option<PathBuf>,
    /// The log.
    pub log: LogKeys,
    /// Traces of the collector itself.
    pub traces: TraceKeys,
    /// Who may call; `None` if nobody is asked, on loopback.
    pub identities: Option<Identities>,
    /// The gRPC address.
    pub grpc_listen: std::net::SocketAddr,
    /// The HTTP address, a loopback address.
    pub admin_listen: std::net::SocketAddr,
    /// The HTTP address of metrics alone, where other machines scrape them.
    pub metrics_listen: Option<std::net::SocketAddr>,
    /// The gRPC door.
    pub grpc: grpc::Options,
    /// Admission.
    pub ingest: ingest::Options,
    /// Customers that are kept in memory.
    pub cached_customers: usize,
    /// The store.
    pub store: store::Options,
    /// Subscriptions.
    pub drain: drain::Options,
    /// What changes stored data.
    pub amend: amend::Options,
    /// The ledger.
    pub ledger: ledger::Options,
    /// How often it is told of sums.
    pub totals_every: Duration,
    /// The file of the key that signs it, made with it.
    pub ledger_key: PathBuf,
    /// How long the end may take.
    pub grace: Duration,
}

pub(super) fn resolve(settings: &Settings, root_key: Option<String>) -> Config {
    let root_key = match root_key {
        Some(text) => RootKeySource::Given(Zeroizing::new(text)),
        None => RootKeySource::File(root_key_file(settings)),
    };
    Config {
        in_force: InForce::of(settings.clone()),
        root_key,
        root_key_file: root_key_file(settings),
        policy_dir: settings.root.policy_dir.clone(),
        log: settings.log.clone(),
        traces: settings.traces.clone(),
        identities: identities(settings),
        grpc_listen: settings.grpc.listen,
        admin_listen: settings.admin.listen,
        metrics_listen: settings.metrics.listen,
        grpc: grpc_options(settings),
        ingest: ingest::Options {
            level_caps: settings.ingest.level_caps.clone(),
            rotation: Rotation::every(settings.ingest.pseudonym_rotation.0),
            plan_ttl: PlanTtl(settings.ingest.plan_time_to_live.0),
            fair: fair_options(settings),
            refusals: Refusals::default(),
            watched: ingest::Watched {
                named: settings.metrics.customers.clone().into(),
                top: Top::of(settings.metrics.top_customers),
            },
        },
        cached_customers: settings.ingest.cached_customers,
        store: store_options(settings),
        drain: drain::Options {
            max_subscriptions: settings.drain.max_subscriptions,
            max_outstanding: settings.drain.max_outstanding,
            max_dead: settings.drain.max_dead,
            global_caps: settings.ingest.level_caps.clone(),
            totals_every: settings.ledger.totals_every.0,
            ..drain::Options::default()
        },
        amend: amend::Options { bind_within: settings.amend.bind_within.0, ..amend::Options::default() },
        ledger: ledger_options(settings),
        totals_every: settings.ledger.totals_every.0,
        ledger_key: ledger_key_file(settings),
        grace: settings.shutdown.grace.0,
    }
}

fn ledger_options(settings: &Settings) -> ledger::Options {
    let keys = &settings.ledger;
    ledger::Options {
        dir: settings.root.data_dir.join("ledger"),
        checkpoint_entries: keys.checkpoint_entries,
        checkpoint_every: keys.checkpoint_every.0,
        check_bytes: keys.check_bytes.0,
        accept_break: keys.accept_break,
    }
}

/// The rates of customers.
pub(super) fn limits(settings: &Settings) -> fair::Limits {
    let ingest = &settings.ingest;
    fair::Limits {
        rates: fair::Rates {
            events: fair::Rate::new(ingest.customer_events_per_second),
            bytes: fair::Rate::new(ingest.customer_bytes_per_second.0),
        },
        rates_of: ingest.customer_rates.clone(),
        burst: ingest.customer_burst.0,
        beside_others: fair::Rate::new(ingest.customer_bytes_beside_others.0),
    }
}

fn fair_options(settings: &Settings) -> fair::Options {
    let grpc = &settings.grpc;
    fair::Options {
        limits: limits(settings),
        bytes: grpc.request_memory.as_usize(),
        bytes_per_customer: grpc.request_memory_per_customer.min(grpc.request_memory).as_usize(),
        batches: settings.store.queue_depth,
        calls: grpc.max_requests,
    }
}

fn grpc_options(settings: &Settings) -> grpc::Options {
    let keys = &settings.grpc;
    let bytes = |size: Size| u32::try_from(size.0).unwrap_or(u32::MAX);
    grpc::Options {
        max_connections: keys.max_connections,
        max_connections_per_peer: keys.max_connections_per_peer,
        new_connections_per_peer: keys.new_connections_per_peer,
        max_requests: keys.max_requests,
        max_concurrent_streams: keys.max_streams,
        max_pulls: keys.max_pulls,
        request_bytes: bytes(keys.request_memory),
        request_bytes_per_connection: bytes(keys.request_memory_per_connection),
        request_deadline: keys.request_deadline.0,
        preface_deadline: keys.handshake_deadline.0,
        write_deadline: keys.answer_deadline.0,
        keepalive_interval: keys.keepalive_interval.0,
        keepalive_timeout: keys.keepalive_timeout.0,
        connection_age: keys.connection_age.0,
        connection_age_grace: keys.connection_age_grace.0,
        shutdown_grace: settings.shutdown.grace.0,
        ..grpc::Options::default()
    }
}

fn store_options(settings: &Settings) -> store::Options {
    let keys = &settings.store;
    store::Options {
        dir: settings.root.data_dir.clone(),
        segment_bytes: keys.segment_bytes.0,
        segment_age: keys.segment_age.0,
        retention_age: keys.retention_age.0,
        retention_bytes: keys.retention_bytes.0,
        when_full: match keys.when_full {
            FullChoice::Refuse => store::WhenFull::Refuse,
            FullChoice::DropOldest => store::WhenFull::DropOldest,
        },
        reserve_bytes: keys.reserve_bytes.0,
        dedup_window: keys.dedup_window.0,
        group_bytes: keys.group_bytes.0,
        group_records: keys.group_records,
        witness_lag: keys.witness_lag.0,
        queue_depth: keys.queue_depth,
        must_exist: keys.must_exist,
        accept_data_loss: keys.accept_data_loss,
        // Not a choice: whoever opens the store brings the ledger.
        notary: None,
        rotation: settings.ingest.pseudonym_rotation.0,
        past_epochs: settings.keys.past_epochs,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn without_a_file_every_room_gets_its_own_defaults() {
        let config = resolve(&Settings::default(), None);
        assert_eq!(config.grpc, grpc::Options::default());
        let store = store::Options::new(Path::new("./usaged-data"));
        assert_eq!(format!("{:?}", config.store), format!("{store:?}"));
        assert_eq!(config.ledger, ledger::Options::new(Path::new("./usaged-data/ledger")));
        assert_eq!(config.ledger_key, Path::new("./usaged-data.ledger-key"));
        assert_eq!(format!("{:?}", config.amend), format!("{:?}", amend::Options::default()));
        assert_eq!(config.totals_every, config.drain.totals_every);
        assert_eq!(format!("{:?}", config.drain), format!("{:?}", drain::Options::default()));
        assert_eq!(format!("{:?}", config.ingest), format!("{:?}", ingest::Options::default()));
        assert!(
            matches!(config.root_key, RootKeySource::File(path) if path == Path::new("./usaged-data.key"))
        );
    }
}
