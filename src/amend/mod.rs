//! What changes what is stored already: lowered levels that are brought to the disk, and erasure.
//!
//! Both are done by one task, one thing at a time, in pieces between which ingest has its turn: look at headers, judge,
//! write over the records that change, and in the end take the old bytes off the disk. What leaves is bound by the
//! drain from the moment of the change or the erasure; this room makes the bytes follow. Every step can be done again,
//! so a crash costs no more than doing it again.

mod again;
mod agreed;
mod binding;
mod bound;
mod coming;
mod counting;
mod due;
mod erase;
mod erasing;
mod erasure;
mod error;
mod fence;
mod forgetting;
#[doc(hidden)]
pub mod fuzzing;
mod pass;
mod purging;
mod record;
mod remembered;
mod report;
mod request;
mod settling;
mod sweep;
mod telling;
mod touched;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::MissedTickBehavior;

pub use counting::{Counting, Heed};
pub use erase::ErasureReport;
pub use erasure::{Counts, Erasure, Scope, Stage};
pub use error::AmendError;
pub use report::{BindingReport, BindingStage, Line, LineKey, Tally};
pub use request::{NewErasure, Target};

use remembered::Remembered;
use settling::{Row, Settling};
use waiting::Waiting;

use crate::drain::{Drain, Histories};
use crate::ledger::{Ledger, Refusals};
use crate::model::{LevelName, ProgramName, UnixMillis};
use crate::observe::{Clock, Metric, Seldom};
use crate::policy;
use crate::sanitize::Rotation;
use crate::store::{Customers, Store};

/// It is tried again every five seconds.
static NO_CHANGE: Seldom = Seldom::new();

/// How often everything is looked at, whether or not anybody asked: what an earlier round could not do.
const ROUND: Duration = Duration::from_hours(1);
/// How often it is looked whether something is overdue.
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait after a failure before the next attempt.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// The shortest sleep until it is time for a policy.
const SHORTEST: Duration = Duration::from_millis(10);

/// The bounds of this room.
#[derive(Debug, Clone)]
pub struct Options {
    /// By when the disk follows a lowered level or a stricter policy. The work begins at once for a level, and for a
    /// policy when that has been in force for half of this time; what is late is told in the log and in a metric.
    /// Default 10 min.
    pub bind_within: Duration,
    /// Erasures that may be under way at a time. Those that are done do not count.
    pub erasures_under_way: usize,
    /// Erasures that may be done and remembered, which each is for a year.
    pub erasures_remembered: usize,
    /// Erasures of a part of one customer's data that may be under way or still withhold what arrives late: so many are
    /// looked for in what it sends.
    pub erasures_of_customer: usize,
    /// The highest level per program that the collector allows; the same as at ingest.
    pub global_caps: BTreeMap<ProgramName, LevelName>,
    /// Which epoch of rotating pseudonyms a time belongs to; the same as at ingest.
    pub rotation: Rotation,
    /// Where refusals are counted for the ledger. Not a choice: whoever opens this room brings it.
    pub refusals: Refusals,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bind_within: Duration::from_mins(10),
            erasures_under_way: 10_000,
            erasures_remembered: 1_000_000,
            erasures_of_customer: 10_000,
            global_caps: BTreeMap::new(),
            rotation: Rotation::default(),
            refusals: Refusals::default(),
        }
    }
}

/// Changes what is stored. Clones share it.
#[derive(Clone)]
pub struct Amend {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Amend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Amend").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

struct Shared {
    store: Store,
    customers: Customers,
    policy: policy::Handle,
    drain: Drain,
    ledger: Option<Ledger>,
    clock: Clock,
    options: Options,
    histories: Histories,
    waiting: Waiting,
    settling: Settling,
    erasures: Mutex<Remembered>,
    /// When it was last looked what need not be remembered any more.
    forgotten: Mutex<Option<UnixMillis>>,
    /// Held while an erasure is begun.
    beginning: tokio::sync::Mutex<()>,
    /// Rung when there is something to do.
    bell: Notify,
    /// The place of the one count that is made at a time.
    counting: Arc<Semaphore>,
    /// Whether the collector ends: then nothing is counted any more.
    closing: AtomicBool,
}

/// What this room works with.
#[derive(Debug)]
pub struct Parts {
    /// The store.
    pub store: Store,
    /// Its customers.
    pub customers: Customers,
    /// The policy in force.
    pub policy: policy::Handle,
    /// Who is told.
    pub drain: Drain,
    /// Where receipts are certified; without one they have no checkpoint.
    pub ledger: Option<Ledger>,
    /// The time.
    pub clock: Clock,
}

impl Amend {
    /// Brings back the erasures that are under way.
    ///
    /// # Errors
    /// If the store cannot read their rows, or a row is damaged.
    pub async fn open(parts: Parts, options: Options) -> Result<Self, AmendError> {
        let Parts { store, customers, policy, drain, ledger, clock } = parts;
        let reader = store.clone();
        let loaded = blocking(move || Ok::<_, AmendError>((Remembered::load(&reader)?, Row::read(&reader)?)));
        let (erasures, row) = loaded.await??;
        let now = clock.steady();
        let waiting = Waiting::everybody_since(now);
        let settling = Settling::begin(row, policy.load(), clock.clone(), options.bind_within);
        if settling.left().is_some() {
            waiting.later(now);
        }
        let shared = Shared {
            store,
            customers,
            policy,
            drain,
            ledger,
            clock,
            options,
            histories: Histories::new(),
            waiting,
            settling,
            erasures: Mutex::new(erasures),
            forgotten: Mutex::default(),
            beginning: tokio::sync::Mutex::default(),
            bell: Notify::new(),
            counting: Arc::new(Semaphore::new(1)),
            closing: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Does what has to be done, until `shutdown`. What is then under way goes on after the next start; a count ends.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        tokio::select! {
            () = self.work(shutdown) => {}
            () = self.watch() => {}
        }
        self.shared.closing.store(true, Ordering::Release);
    }

    /// Looks at what is overdue, also while something is being done. Never returns.
    async fn watch(&self) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            self.shared.tell_overdue();
            if self.shared.settling.has_moved() {
                self.shared.bell.notify_one();
            }
            let (due, oldest) = self.shared.remembered().due(self.shared.clock.now());
            Metric::ErasuresDue.set_count(&[], due);
            Metric::ErasureOldest.set(&[], oldest.as_secs_f64());
        }
    }

    async fn work(&self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let pause = tokio::select! {
                () = &mut shutdown => return,
                done = self.tick() => match done {
                    Ok(()) => ROUND,
                    Err(error) => {
                        let cause = std::error::Error::source(&error).map(tracing::field::display);
                        if let Some(unsaid) = NO_CHANGE.due() {
                            tracing::warn!(
                                %error,
                                cause,
                                unsaid,
                                "changing what is stored failed; it is tried again"
                            );
                        }
                        AFTER_FAILURE
                    }
                },
            };
            let policy = self.shared.settling.next();
            // Not so short that a clock that stands still keeps a processor busy.
            let sleep = policy.map_or(pause, |left| pause.min(left.max(SHORTEST)));
            tokio::select! {
                () = &mut shutdown => return,
                () = self.shared.bell.notified() => {}
                () = tokio::time::sleep(sleep) => if sleep == ROUND {
                    self.shared.waiting.look();
                },
            }
        }
    }

    /// Does everything that waits: erasures first. What cannot be done does not keep the rest from being done.
    ///
    /// # Errors
    /// If something could not be done; it still waits.
    pub async fn tick(&self) -> Result<(), AmendError> {
        let shared = &self.shared;
        let (mut result, mut tried) = (shared.forget_old().await, BTreeSet::new());
        while let Some(erasure) = shared.next_erasure(&tried) {
            tried.insert(erasure.id);
            result = result.and(shared.go_on(erasure).await);
        }
        result = result.and(shared.follow_policy().await);
        while let Some(who) = shared.waiting.take(shared.clock.now()) {
            if let Err(error) = shared.bind(&who).await {
                shared.waiting.put_back();
                return result.and(Err(error));
            }
            shared.waiting.done();
            shared.followed(&who);
        }
        result
    }
}

impl Shared {
    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.erasures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `work`, which reads the store or opens records, beside the runtime's own threads.
async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Result<R, AmendError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| AmendError::Stopped)
}
