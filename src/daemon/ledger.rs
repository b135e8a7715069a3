//! The ledger of a running collector: opened behind the store whose outbox fills it, and what the
//! composition root itself has to tell.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error::DaemonError;
use super::ledger_key;
use super::pump::Pump;
use super::reload::PolicySource;
use super::start::aside;
use super::sums::Sums;
use crate::config::Config;
use crate::ledger::{
    Entry, Fact, Ledger, LedgerError, OpenError, Period, Refusal, Refusals, Report, Source, Terms,
};
use crate::model::{LevelName, ProgramName};
use crate::observe::{Clock, Metric, Seldom};
use crate::policy::{Handle, Policy};
use crate::store::{AcceptedLoss, Collected, CollectedKey, MetaOp, Notary, Store, StoreError};

/// It is tried again every few seconds.
static NOT_TOLD: Seldom = Seldom::new();

/// Levels that the configuration caps all customers at.
type Caps = BTreeMap<ProgramName, LevelName>;

/// How long to wait before telling again what could not be told.
const AGAIN: Duration = Duration::from_secs(5);

/// Makes the entries of changes of participations, and of sums of what came in.
pub(super) fn notary() -> Notary {
    let changed = Notary::new(|before, after, customer| {
        let fact = Fact::ParticipationChanged {
            customer,
            revision: after.revision,
            before: before.map(|change| Terms::from(&change.participation)),
            after: Terms::from(&after.participation),
        };
        Entry { at: after.at, fact }.to_bytes()
    });
    changed.with_collected(|CollectedKey { customer, under }, (from, until), collected| {
        let Collected { batches, events, withheld, fields } = collected.clone();
        let (customer, under, period) = (*customer, under.clone(), Period { from, until });
        let fact = Fact::Collected { customer, period, under, batches, events, withheld, fields };
        Entry { at: until, fact }.to_bytes()
    })
}

/// Keeps the ledger while the collector serves: the pump that fills it, and what tells of policies.
pub(super) struct Keeper {
    ledger: Ledger,
    pump: JoinHandle<Result<(), LedgerError>>,
    teller: JoinHandle<()>,
    sums: Option<JoinHandle<()>>,
    /// Tells that the end has come, and until when sums may be tried.
    last_sums: watch::Sender<Option<Instant>>,
    close: CancellationToken,
}

impl Keeper {
    /// Opens the ledger and begins to fill it.
    pub async fn start(
        config: &Config,
        store: &Store,
        clock: &Clock,
        policy: &PolicySource,
        refusals: &Refusals,
    ) -> Result<Self, DaemonError> {
        let ledger = open(config, store, clock, refusals).await?;
        let (close, last_sums) = (CancellationToken::new(), watch::Sender::new(None));
        let pump = tokio::spawn(Pump::new(store.clone(), ledger.clone()).run(close.clone()));
        let in_force = (policy.handle(), config.ingest.level_caps.clone());
        let teller = tell_all(store.clone(), clock.clone(), in_force, policy.watch_version());
        Ok(Self { ledger, pump, teller: tokio::spawn(teller), sums: None, last_sums, close })
    }

    /// Begins to tell of sums.
    pub fn tell_sums(&mut self, sums: Sums) {
        self.sums = Some(tokio::spawn(sums.run(self.last_sums.subscribe())));
    }

    /// The ledger.
    pub fn ledger(&self) -> Ledger {
        self.ledger.clone()
    }

    /// Waits until the ledger takes nothing any more.
    pub async fn failed(&mut self) -> DaemonError {
        let ended = (&mut self.pump).await.unwrap_or(Err(LedgerError::Failed));
        DaemonError::LedgerFailed(ended.err().unwrap_or(LedgerError::Failed))
    }

    /// Tells what is left, which is tried until the grace period is over, and of the end; moves what waits, and has it
    /// all signed.
    pub async fn end(self, store: &Store, clock: &Clock, until: Instant) -> Result<(), DaemonError> {
        self.teller.abort();
        self.last_sums.send_replace(Some(until));
        if let Some(sums) = self.sums {
            let _ = sums.await;
        }
        tell_end(store, clock).await;
        self.close.cancel();
        self.pump.await.unwrap_or(Err(LedgerError::Failed)).map_err(DaemonError::LedgerFailed)
    }
}

/// Opens the ledger, or begins it.
async fn open(
    config: &Config,
    store: &Store,
    clock: &Clock,
    refusals: &Refusals,
) -> Result<Ledger, DaemonError> {
    let (options, path) = (config.ledger.clone(), config.ledger_key.clone());
    let accepts_loss = config.store.accept_data_loss;
    let (outbox, began) = (store.clone(), clock.clone());
    let clock = clock.clone();
    let opening = aside("opening the ledger", move || {
        let key = ledger_key::get(&path, &options.dir, options.accept_break)?;
        let source = source(&outbox, accepts_loss)?;
        Ok(Ledger::open(options, key, &source, clock)?)
    });
    let (ledger, report) = opening.await?;
    tell(&ledger, &report);
    if report.broken.is_some() {
        refusals.count(Refusal::LedgerBroken);
    }
    let number = ledger.head().number;
    if number > *store.watch_outbox().borrow() {
        // The store was set back, and that was accepted: its numbers go on behind those of the ledger.
        store.forget_outbox(number).await.map_err(DaemonError::Outbox)?;
    }
    if let Some(AcceptedLoss { last, acknowledged }) = store.accepted_loss() {
        let accepted = Fact::DataLossAccepted { last: last.0, acknowledged: acknowledged.0 };
        note(store, &began, vec![accepted]).await.map_err(DaemonError::Outbox)?;
    }
    Ok(ledger)
}

/// The outbox as it is now.
fn source(store: &Store, accepts_loss: bool) -> Result<Source, DaemonError> {
    let made = *store.watch_outbox().borrow();
    let first = store.outbox(1).map_err(DaemonError::Outbox)?;
    let forgotten = first.first().map_or(made, |(number, _)| number.saturating_sub(1));
    Ok(Source { store: store.id(), forgotten, made: if accepts_loss { u64::MAX } else { made } })
}

fn tell(ledger: &Ledger, report: &Report) {
    let head = ledger.head();
    let signed = ledger.last_checkpoint();
    Metric::LedgerEntries.set_count(&[], head.size);
    if let Some(findings) = &report.broken {
        tracing::error!(%findings, "the ledger did not add up, and that was accepted: a new one begins");
    }
    if report.begun {
        tracing::info!(key = %ledger.verifier(), "ledger begun: give this key to whoever verifies it");
    }
    if report.cut > 0 {
        tracing::warn!(
            bytes = report.cut,
            "the torn end of the ledger was cut off; the store still has what it was"
        );
    }
    if report.rebuilt {
        tracing::warn!("hashes of the ledger were made again from its entries");
    }
    tracing::info!(
        entries = head.size,
        signed = signed.checkpoint().size,
        whole = report.whole,
        key = %ledger.verifier(),
        "ledger open"
    );
}

/// Puts entries of the composition root into the outbox.
async fn note(store: &Store, clock: &Clock, facts: Vec<Fact>) -> Result<(), StoreError> {
    let at = clock.now();
    let ops = facts.into_iter().map(|fact| MetaOp::Ledger(Entry { at, fact }.to_bytes())).collect();
    store.write_meta(ops, true).await
}

/// Tells that the collector ends.
async fn tell_end(store: &Store, clock: &Clock) {
    let fact = Fact::CollectorStopped { version: env!("CARGO_PKG_VERSION").to_owned() };
    let stopped = Entry { at: clock.now(), fact }.to_bytes();
    if let Err(error) = store.tell_last(vec![stopped]).await {
        tracing::warn!(%error, "the ledger was not told of the end");
    }
}

fn in_force(policy: &Policy, caps: &Caps) -> Fact {
    let dictionaries =
        policy.products().iter().map(|product| (product.name().clone(), product.version())).collect();
    Fact::PolicyInForce { version: policy.version().to_owned(), dictionaries, level_caps: caps.clone() }
}

/// Tells of the start and of every policy that comes into force, until the source of `changed` is
/// gone. What cannot be told now, because the disk is full, is told later.
async fn tell_all(
    store: Store,
    clock: Clock,
    (policy, caps): (Handle, Caps),
    mut changed: watch::Receiver<Arc<str>>,
) {
    changed.borrow_and_update();
    let started = Fact::CollectorStarted { version: env!("CARGO_PKG_VERSION").to_owned() };
    let mut facts = vec![started, in_force(&policy.load(), &caps)];
    loop {
        while let Err(error) = note(&store, &clock, facts.clone()).await {
            if let Some(unsaid) = NOT_TOLD.due() {
                tracing::warn!(%error, unsaid, "the ledger cannot be told now, trying again");
            }
            tokio::time::sleep(AGAIN).await;
        }
        if changed.changed().await.is_err() {
            return;
        }
        changed.borrow_and_update();
        facts = vec![in_force(&policy.load(), &caps)];
    }
}

impl From<OpenError> for DaemonError {
    fn from(error: OpenError) -> Self {
        Self::Ledger(error)
    }
}
