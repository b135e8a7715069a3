//! Subscriptions: named drainers with one purpose each, a cursor, leases and dead letters.
//!
//! [`state`] decides what happens, purely; [`rows`] says how it is written; `pull` and
//! `acknowledge` move batches; `upkeep` notices what time and retention do. A batch leaves only
//! after its customer's participation was looked at again ([`recheck`]) and after every field that the purpose
//! does not allow was taken out. With its leases it is written who received what (`received`) and how much
//! (`totals`), so that an erasure finds everybody to tell (`addressee`, `notices`) and the ledger has each delivery once.

pub mod ack_id;
pub mod counts;
#[doc(hidden)]
pub mod fuzzing;
pub mod lease;
pub mod recheck;
pub mod rows;
mod seek;
pub mod state;

mod acknowledge;
mod addressee;
mod books;
mod choice;
mod dead_letters;
mod drainer;
mod error;
mod history;
mod notice;
mod notices;
mod notices_purge;
mod notify;
mod opened;
mod programs;
mod pull;
mod received;
mod recover;
mod restored;
mod standing;
mod subscriptions;
mod table;
mod told;
mod totals;
mod unwritten;
mod upkeep;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it is wrong")]
mod drainer_tests;
#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where it is wrong"
)]
mod model_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops where it is wrong")]
mod notices_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops where it is wrong")]
mod recheck_tests;
#[cfg(test)]
#[expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test stops where it is wrong")]
mod state_tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

pub use acknowledge::{AckFailure, AckResult};
pub use counts::{Balance, SkipReason};
pub use dead_letters::DeadLetter;
pub use error::DrainError;
pub use history::{Histories, Since};
pub use lease::DeadReason;
pub use notice::{CustomerName, Notice, NoticeDelivery, Scope};
pub use pull::{Delivery, Pulled};
pub use restored::{Addition, Redelivery};
pub use standing::{Standing, StandingOf};
pub use subscriptions::{SeekTarget, SubscriptionState};

use drainer::Drainer;
use notices_purge::NoticesPurge;
use state::Queue;

use crate::ledger::Refusals;
use crate::model::{LevelName, ProgramName, SubscriptionName};
use crate::observe::Clock;
use crate::policy;
use crate::store::{Customers, Store};

/// The bounds of the drain.
#[derive(Debug, Clone)]
pub struct Options {
    /// Subscriptions that there may be. Default 100.
    pub max_subscriptions: usize,
    /// Batches of one subscription that may be leased or wait to be delivered again. Default 10,000.
    pub max_outstanding: usize,
    /// Dead letters of one subscription that are kept; beyond it the oldest gives way and counts as
    /// expired. Default 10,000.
    pub max_dead: usize,
    /// Notices of one subscription that wait; with more, several become one that asks for more to be deleted.
    /// Of as many it is remembered that they were acknowledged. Default 10,000.
    pub max_notices: usize,
    /// How often the ledger is told what was delivered. Default 60 s.
    pub totals_every: Duration,
    /// The highest level per program that the collector allows, whatever a customer chose; the same
    /// as at ingest. Default none.
    pub global_caps: BTreeMap<ProgramName, LevelName>,
    /// Where refusals are counted for the ledger. Not a choice: whoever opens the drain brings it.
    pub refusals: Refusals,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_subscriptions: 100,
            max_outstanding: 10_000,
            max_dead: 10_000,
            max_notices: 10_000,
            totals_every: Duration::from_mins(1),
            global_caps: BTreeMap::new(),
            refusals: Refusals::default(),
        }
    }
}

/// Every subscription of the collector. Clones share them.
#[derive(Clone)]
pub struct Drain {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Drain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drain").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

struct Shared {
    store: Store,
    customers: Customers,
    policy: policy::Handle,
    /// A print of what the collector caps levels at.
    caps: u64,
    clock: Clock,
    options: Options,
    drainers: RwLock<BTreeMap<SubscriptionName, Arc<Drainer>>>,
    histories: Histories,
    /// Held while a subscription is created or deleted.
    naming: tokio::sync::Mutex<()>,
    /// Nothing more is leased: the collector is shutting down.
    stopping: AtomicBool,
    /// When the ledger was told last what was delivered; 0 before the first time.
    told_at: AtomicI64,
    notices_purge: NoticesPurge,
}

impl Drain {
    /// Brings every subscription back as it was: cursors, leases, attempts and dead letters.
    ///
    /// # Errors
    /// If the store cannot read its rows, or a row is damaged or of another version.
    pub async fn open(
        store: Store,
        customers: Customers,
        policy: policy::Handle,
        clock: Clock,
        options: Options,
    ) -> Result<Self, DrainError> {
        let drainers = recover::recover(&store, &options).await?;
        let naming = tokio::sync::Mutex::default();
        let (stopping, told_at) = (AtomicBool::new(false), AtomicI64::new(0));
        let histories = Histories::new();
        let has_ended = |drainer: &Arc<Drainer>| drainer.look_books(|books| books.notices.have_ended());
        let notices_purge = NoticesPurge::new(drainers.values().any(has_ended));
        let drainers = RwLock::new(drainers);
        let caps = policy::caps_print(&options.global_caps);
        let shared = Shared {
            store,
            customers,
            policy,
            caps,
            clock,
            options,
            drainers,
            histories,
            naming,
            stopping,
            told_at,
            notices_purge,
        };
        shared.release();
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl Shared {
    fn drainer(&self, name: &SubscriptionName) -> Result<Arc<Drainer>, DrainError> {
        let drainers = self.drainers.read().unwrap_or_else(PoisonError::into_inner);
        drainers.get(name).cloned().ok_or_else(|| DrainError::NotFound { name: name.clone() })
    }

    /// Tells the store up to where every subscription is done: what it may drop first when it has to. A dead
    /// letter that can be replayed is not done with: only age, or `drop_oldest`, takes it.
    fn release(&self) {
        let drainers = self.all_drainers();
        let lowest = drainers.iter().map(|drainer| drainer.look(Queue::needed)).min();
        self.store.release(lowest.unwrap_or_default());
    }

    /// Ends every pull that waits, and refuses new ones. Acknowledgements are still taken.
    fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        for drainer in self.all_drainers() {
            drainer.bell.notify_waiters();
        }
    }

    fn all_drainers(&self) -> Vec<Arc<Drainer>> {
        self.drainers.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// Runs `work`, which reads the store or opens records, beside the runtime's own threads.
async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Result<R, DrainError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| DrainError::Stopped)
}

/// A duration as milliseconds; beyond the range, the longest.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
