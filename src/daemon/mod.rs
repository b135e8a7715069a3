//! The composition root: what a running collector is made of, in the order in which it is put
//! together, and the order in which it is taken apart.

mod begun;
mod configuration;
mod descriptors;
mod end;
mod epochs;
mod error;
mod exposure;
mod gone_keys;
mod guarded;
mod heed;
mod identities;
mod identity_files;
mod identity_rights;
mod journal;
mod key_mode;
mod ledger;
mod ledger_key;
mod logs;
mod next_key;
mod policy_files;
mod process;
mod provider_keys;
mod pulse;
mod pump;
mod reach;
mod readings;
mod regular;
mod reload;
mod root_key;
mod runner;
mod runtime;
mod scraped;
mod start;
mod sums;
mod systemd;
mod traces;
mod watched;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use error::{DaemonError, with_causes};
pub use exposure::{check_files, check_keys, check_places};
pub use identities::check_identities;
pub use journal::{ERROR as JOURNAL_ERROR, is_read_by_journal};
pub use ledger_key::LedgerKeyError;
pub use policy_files::read_dir as read_policy_files;
pub use reach::{check_reach, is_handed_over, keys_out_of_reach};
pub use reload::read_policy;
pub use root_key::{RootKeyError, read_root_key};
pub use runner::Runner;
pub use runtime::most_threads;

use self::begun::Begun;
use self::configuration::ConfigurationSource;
use self::descriptors::Doors;
use self::end::Signals;
use self::identities::Prepared;
use self::ledger::Keeper;
use self::next_key::KeyFiles;
use self::pulse::Pulse;
use self::reload::PolicySource;
use self::scraped::Scraped;
use self::start::{Start, announce, aside};
use self::sums::Sums;
use self::traces::Traces;
use crate::admin::{self, Exposition, Readiness};
use crate::amend::{self, Amend};
use crate::config::Config;
use crate::drain::Drain;
use crate::grpc::{self, Ended, Heart, NotLoopback, Tokens};
use crate::ingest::Intake;
use crate::ledger::{Ledger, Refusals};
use crate::observe::{Clock, Metric};
use crate::store::{Customers, Store};

/// How long tasks that are left over may take after everything was finished or has failed.
const LEFTOVERS: Duration = Duration::from_secs(2);

/// Runs a collector until it is told to end.
///
/// # Errors
/// If it cannot start, or the store fails while it runs. What was acknowledged is on disk either way.
pub fn run(config: Config) -> Result<(), DaemonError> {
    process::make_for_its_owner_only();
    let runtime = runtime::build().map_err(DaemonError::Runtime)?;
    let traces = {
        let _inside = runtime.enter();
        Traces::start(&config.traces).map_err(|error| DaemonError::Runtime(std::io::Error::other(error)))?
    };
    logs::start(&config.log, traces.as_ref());
    process::quiet_panics();
    process::forbid_core_dumps();
    let result = runtime.block_on(async {
        let result = Box::pin(start::serve(config)).await;
        if let Some(traces) = traces {
            traces.end(LEFTOVERS).await;
        }
        result
    });
    runtime.shutdown_timeout(LEFTOVERS);
    if let Err(error) = &result {
        tracing::error!(error = with_causes(error), "ended");
    }
    result
}

async fn serve_until_the_end(mut config: Config, start: Start) -> Result<(), DaemonError> {
    // What can be wrong without touching the store comes first.
    let signals = Signals::listen().map_err(DaemonError::Runtime)?;
    let exposition = Exposition::install(config.ingest.watched.top.clone())?;
    let clock = Clock::system();
    // What is refused anywhere is counted here, and told to the ledger in sums.
    let refusals = Refusals::new(clock.clone());
    let policy = load_policy(&config, &refusals).await?;
    let identities = load_identities(&config, &clock).await?;
    let grpc_listener = listen(config.grpc_listen, config.identities.is_some()).await?;
    let admin_listener = listen(config.admin_listen, false).await?;
    let metrics_listener = scraped::listen(config.metrics_listen).await?;
    let mut addresses = vec![("grpc", local(&grpc_listener)?), ("admin", local(&admin_listener)?)];

    // Liveness and metrics are served while the store opens.
    let (readiness, watched) = watch::channel(Readiness::Starting);
    let explaining = admin::Explaining::default();
    let close_admin = CancellationToken::new();
    let scraped = Scraped::serve(metrics_listener, &exposition, &watched, &close_admin);
    addresses.extend(scraped.address().map(|address| ("metrics", address)));
    let pages = admin::pages(exposition.clone(), watched, explaining.clone());
    let admin_limits = fit_descriptors(&mut config);
    let admin = admin::serve(admin_listener, pages, exposition, admin_limits, close_admin.clone());
    let admin = tokio::spawn(admin);

    // The rooms, each with those below it.
    let key_files = KeyFiles::new(&config);
    config.store.notary = Some(ledger::notary());
    let store = open_store(&config, key_files.clone(), &clock).await?;
    let mut keeper = Keeper::start(&config, &store, &clock, &policy, &refusals).await?;
    let customers = Customers::new(store.clone(), config.cached_customers);
    config.ingest.rotation = store.rotation();
    count_refusals(&mut config, &refusals);
    let intake =
        Intake::new(store.clone(), customers.clone(), policy.handle(), clock.clone(), config.ingest.clone());
    let drain =
        Drain::open(store.clone(), customers.clone(), policy.handle(), clock.clone(), config.drain.clone());
    let drain = drain.await?;
    let amend = open_amend(&config, &store, &customers, &policy, &drain, &keeper.ledger(), &clock).await?;
    let guarded = guarded::Guarded::of(&config);
    let configuration = watch_configuration(&config, &intake).await?;
    keeper.tell_sums(Sums::of(&store, &intake, &refusals, config.totals_every));

    // The doors.
    let tokens = Tokens::open(store.clone(), clock.clone()).map_err(DaemonError::Tokens)?;
    let identities = identities.begin(&tokens, &refusals, &clock);
    let close_doors = CancellationToken::new();
    let pulse = Pulse::begin(&store, &keeper.ledger(), &clock, &close_doors);
    let keys = tokio::spawn(look_after_keys(customers.clone(), clock.clone(), close_doors.clone()));
    let behind = grpc::Behind {
        store: store.clone(),
        customers,
        policy: policy.handle(),
        intake,
        drain: drain.clone(),
        amend: amend.clone(),
        ledger: keeper.ledger(),
        tokens,
        clock: clock.clone(),
    };
    let takes_tokens = identities.takes_tokens();
    let services = services(&config, behind, (&policy, &configuration), (key_files, takes_tokens));
    // Where callers are authenticated, nobody asks about a customer over HTTP, which does not know who they are.
    explaining.open(Arc::clone(&services.admin), config.identities.is_none());
    let (routes, health) = grpc::routes(services);
    let heed = tokio::spawn(heed::heed(policy.watch_version(), amend.clone(), config.grpc.request_deadline));
    let amending = tokio::spawn(amend.run(close_doors.clone().cancelled_owned()));
    let upkeep = tokio::spawn(drain.run(close_doors.clone().cancelled_owned()));
    let follow = tokio::spawn(end::follow_files(policy.clone(), configuration.clone(), guarded.clone()));
    let following = tokio::spawn(identities.clone().follow(close_doors.clone()));
    // Who comes meanwhile waits at the port: nothing is accepted that the end of a start would cut.
    identities.asked_for_keys().await;
    health.set(true).await;
    start.is_over();
    let (limits, gate, heart) = (config.grpc.clone(), identities.gate(), Heart::default());
    let doors = (gate, heart.clone());
    let doors = grpc::serve_guarded(grpc_listener, routes, limits, doors, close_doors.clone());
    let mut doors = tokio::spawn(doors);
    tell_readiness(&readiness, Readiness::Ready);
    announce(&addresses);
    systemd::ready(policy.handle().load().version());
    let watch = tokio::spawn(systemd::watch(store.clone(), heart));

    let (identities, guarded) = (&identities, &guarded);
    let sources = end::Sources { policy: &policy, identities, configuration: &configuration, guarded };
    let end = end::until_the_end(signals, sources, store.fatal(), &mut keeper).await;

    // The end: say so, take nothing new, finish what was accepted, and close what is below last.
    systemd::stopping("finishing what was accepted");
    follow.abort();
    tell_readiness(&readiness, if end.is_err() { Readiness::StoreFailed } else { Readiness::ShuttingDown });
    health.set(false).await;
    let until = close(&close_doors, config.grpc.shutdown_grace);
    if let Err(error) = end {
        doors.abort();
        return Err(error);
    }
    finished(&mut doors).await;
    for task in [upkeep, keys, following, pulse] {
        let _ = task.await;
    }
    heed.abort();
    let _ = amending.await;
    keeper.end(&store, &clock, until).await?;
    watch.abort();
    store.close().await;
    close_admin.cancel();
    let _ = admin.await;
    scraped.closed().await;
    tracing::info!("ended");
    Ok(())
}

async fn load_policy(config: &Config, refusals: &Refusals) -> Result<PolicySource, DaemonError> {
    let (dir, caps) = (config.policy_dir.clone(), config.ingest.level_caps.clone());
    let refusals = refusals.clone();
    let load = move || PolicySource::load(dir, caps, refusals).map_err(DaemonError::Policy);
    aside("reading the policy", load).await
}

async fn load_identities(config: &Config, clock: &Clock) -> Result<Prepared, DaemonError> {
    let (identities, clock) = (config.identities.clone(), clock.clone());
    let load = move || Prepared::load(identities.as_ref(), &clock).map_err(DaemonError::Identities);
    aside("reading identities", load).await
}

async fn watch_configuration(config: &Config, intake: &Intake) -> Result<ConfigurationSource, DaemonError> {
    let (in_force, accounts) = (config.in_force.clone(), intake.accounts().clone());
    aside("watching the configuration", || Ok(ConfigurationSource::begin(in_force, accounts))).await
}

/// Lets each door have as many connections as there are file descriptors for; gives the limits of the admin port.
fn fit_descriptors(config: &mut Config) -> admin::Options {
    let mut admin = admin::Options::default();
    let wanted = Doors { grpc: config.grpc.max_connections, admin: admin.max_connections };
    let fit = Doors::that_fit(wanted);
    (config.grpc.max_connections, admin.max_connections) = (fit.grpc, fit.admin);
    admin
}

/// Has every room count what it refuses in one place.
fn count_refusals(config: &mut Config, refusals: &Refusals) {
    config.ingest.refusals = refusals.clone();
    config.drain.refusals = refusals.clone();
    config.amend.refusals = refusals.clone();
}

/// Looks after key epochs, and after files that hold keys which are gone, until `shutdown`.
async fn look_after_keys(customers: Customers, clock: Clock, shutdown: CancellationToken) {
    let store = customers.store().clone();
    tokio::join!(epochs::run(customers, clock, shutdown.clone()), gone_keys::run(store, shutdown));
}

/// The services, each on the rooms that it opens on.
fn services(
    config: &Config,
    behind: grpc::Behind,
    (policy, configuration): (&PolicySource, &ConfigurationSource),
    (key_files, takes_tokens): (KeyFiles, bool),
) -> grpc::Services {
    let reloads = grpc::Reloads { policy: policy.last_reload(), configuration: configuration.last_reload() };
    let (intake, drain) = (behind.intake.clone(), behind.drain.clone());
    let opening = grpc::Opening {
        options: &config.grpc,
        ingest: &config.ingest,
        reload: policy.on_demand(),
        reloads: Some(reloads),
        root_keys: Arc::new(key_files),
        ledger_dir: &config.ledger.dir,
        takes_tokens,
    };
    let mut services = grpc::Services::open(behind, opening);
    services.ledger = services.ledger.with_retention(config.store.retention_age).with_sums(intake, drain);
    services
}

/// Closes the doors; gives when the grace period is over.
fn close(doors: &CancellationToken, grace: Duration) -> Instant {
    doors.cancel();
    Instant::now() + grace
}

/// Waits until what was accepted is finished, or the grace period is over.
async fn finished(doors: &mut JoinHandle<Ended>) {
    match doors.await {
        Ok(Ended::Drained) => tracing::info!("every request in progress was answered"),
        Ok(Ended::Cut(connections)) => tracing::warn!(connections, "grace period over, connections cut"),
        Err(_) => tracing::error!("the gRPC door panicked"),
    }
}

/// Brings back what changes what is stored.
async fn open_amend(
    config: &Config,
    store: &Store,
    customers: &Customers,
    policy: &PolicySource,
    drain: &Drain,
    ledger: &Ledger,
    clock: &Clock,
) -> Result<Amend, DaemonError> {
    let parts = amend::Parts {
        store: store.clone(),
        customers: customers.clone(),
        policy: policy.handle(),
        drain: drain.clone(),
        ledger: Some(ledger.clone()),
        clock: clock.clone(),
    };
    let options = amend::Options {
        global_caps: config.ingest.level_caps.clone(),
        rotation: store.rotation(),
        ..config.amend.clone()
    };
    let amend = Amend::open(parts, options).await?;
    // What was erased since the backup that the store was restored from never leaves again.
    amend.erase_again().await?;
    Ok(amend)
}

fn tell_readiness(told: &watch::Sender<Readiness>, now: Readiness) {
    told.send_replace(now);
    Metric::Ready.set(&[], if now == Readiness::Ready { 1.0 } else { 0.0 });
}

async fn listen(address: SocketAddr, knows_callers: bool) -> Result<TcpListener, DaemonError> {
    if !knows_callers {
        NotLoopback::check(address)?;
    }
    TcpListener::bind(address).await.map_err(|source| DaemonError::Listen { address, source })
}

fn local(listener: &TcpListener) -> Result<SocketAddr, DaemonError> {
    listener.local_addr().map_err(DaemonError::Runtime)
}

/// Opening makes a key at the first start, and replays the write-ahead log: that is disk work.
async fn open_store(config: &Config, key_files: KeyFiles, clock: &Clock) -> Result<Store, DaemonError> {
    let (source, options, clock) = (config.root_key.clone(), config.store.clone(), clock.clone());
    let begun = Begun::new(config);
    let open = move || {
        let begun = begun.look()?;
        let root_key = root_key::get(&source, &options.dir)?;
        let store = key_files.open(&options, &root_key, &clock)?;
        begun.tell();
        Ok(store)
    };
    aside("opening the store", open).await
}

#[cfg(test)]
mod binding_tests;
#[cfg(test)]
mod counts_tests;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod erasures_crash_tests;
#[cfg(test)]
mod erasures_epochs_tests;
#[cfg(test)]
mod erasures_purge_tests;
#[cfg(test)]
mod erasures_tests;
#[cfg(test)]
mod files_tests;
#[cfg(test)]
mod finished_calls;
#[cfg(test)]
mod finished_tests;
#[cfg(test)]
mod policy_model_tests;
#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod restore_tests;
#[cfg(test)]
mod rooms_tests;
