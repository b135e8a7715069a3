//! Admission: one request in, one receipt out, in the order head, customer, permit, pass, seal,
//! commit. Everything before the commit is CPU work on borrowed bytes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::fair::{self, Account, Accounts};
use super::meters::Meters;
use super::plan::{CollectionPlan, PlanAsk, PlanTtl, Told};
use super::prepared::Prepared;
use super::queued::{Queued, refused};
use super::receipt::Receipt;
use super::refusal::{RETRY, Refusal, UNAVAILABLE};
use super::told::{Reckoning, Watched, unknown};
use super::untold::Untold;
use crate::ledger::{Refusal as Refused, Refusals};
use crate::model::{CustomerId, Delivery, LevelName, ProgramName, limits};
use crate::observe::{Clock, trace};
use crate::policy::Handle;
use crate::sanitize::wire::{Head, HeadError, ProtoReader};
use crate::sanitize::{Applicant, Permit, Rotation, Scratch, sanitize};
use crate::store::{CustomerEntry, Customers, Store, StoreError};

/// Requests of at most so many bytes are sanitised on the thread that received them: about a millisecond of
/// work, and some if all of it is tiny identifiers. Larger ones go to a thread that may block, so that they do
/// not hold up others; as many at a time as there are processors.
const INLINE_BYTES: usize = 256 << 10;
/// How many times a batch is decided anew because the customer's participation was changed meanwhile, something of it
/// was erased, or its keys were moved on; or those of another customer who shares its stamp.
const DECISIONS: usize = 5;

/// What an operator can set about admission.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Levels that no customer's can exceed here, per program.
    pub level_caps: BTreeMap<ProgramName, LevelName>,
    /// How long a rotating pseudonym stays the same.
    pub rotation: Rotation,
    /// How long senders may go by a collection plan before they ask again.
    pub plan_ttl: PlanTtl,
    /// How what customers share is parted between them.
    pub fair: fair::Options,
    /// Where refusals are counted for the ledger. Not a choice: whoever opens the intake brings it.
    pub refusals: Refusals,
    /// Whose events are counted by customer.
    pub watched: Watched,
}

/// Takes requests.
#[derive(Clone)]
pub struct Intake(Arc<Inner>);

struct Inner {
    store: Store,
    customers: Customers,
    policy: Handle,
    clock: Clock,
    options: Options,
    accounts: Accounts,
    /// Turns at sanitising large requests.
    turns: Arc<Semaphore>,
    /// Whether it was said that the clock is behind the keys.
    said_behind: AtomicBool,
    /// Requests of which nothing is stored, for the ledger.
    untold: Untold,
    meters: Arc<Meters>,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Intake")
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Intake {
    /// An intake into `store`, under the policy that `policy` holds at each moment.
    #[must_use]
    pub fn new(store: Store, customers: Customers, policy: Handle, clock: Clock, options: Options) -> Self {
        options.watched.begin();
        let turns = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let turns = Arc::new(Semaphore::new(turns));
        let said_behind = AtomicBool::new(false);
        let (accounts, untold) = (Accounts::new(options.fair.clone()), Untold::default());
        let meters = Arc::new(Meters::new());
        let inner =
            Inner { store, customers, policy, clock, options, accounts, turns, said_behind, untold, meters };
        Self(Arc::new(inner))
    }

    /// What each customer may have of what they share.
    #[must_use]
    pub fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }

    /// Takes one request of `customer` and answers when what may be kept of it is on disk.
    ///
    /// # Errors
    /// If it was not taken; then nothing of it was stored, and other requests are not touched.
    ///
    /// If the future is dropped, the batch is stored and counted, or neither.
    pub async fn submit(&self, customer: &CustomerId, request: Bytes) -> Result<Receipt, Refusal> {
        self.submit_on(&self.0.accounts.of(customer), customer, request).await
    }

    /// The same, for a caller that has the customer's account in hand.
    ///
    /// # Errors
    /// As for [`Intake::submit`].
    pub async fn submit_on(
        &self,
        account: &Account,
        customer: &CustomerId,
        request: Bytes,
    ) -> Result<Receipt, Refusal> {
        let started = Instant::now();
        if request.len() > limits::REQUEST_BYTES {
            return Err(Refusal::TooLarge { bytes: request.len() });
        }
        let in_a_crowd = account.is_in_a_crowd();
        let _on_its_way = account.way(in_a_crowd, request.len()).await;
        let mut is_paid = false;
        self.0.meters.request_bytes.increment(u64::try_from(request.len()).unwrap_or(u64::MAX));
        for _ in 0..DECISIONS {
            // A customer that is not in the cache costs two point reads here, from the block cache or the disk.
            // That is less than a change of threads for every request would cost.
            let entry = self.0.customers.get(customer).map_err(|_| UNAVAILABLE)?;
            let prepared = self.prepare((account, in_a_crowd), entry, &request).await;
            // What was read until it went wrong was work, too.
            let prepared = prepared.inspect_err(|refusal| account.pay(refusal.events_read(), 0))?;
            trace::sized(
                u64::try_from(request.len()).unwrap_or(u64::MAX),
                prepared.receipt.tally.received.into(),
            );
            if !std::mem::replace(&mut is_paid, true) {
                account.pay(prepared.receipt.tally.received.into(), 0);
            }
            if let Some(receipt) = self.0.commit(prepared).await? {
                self.0.meters.ack_seconds.record(started.elapsed().as_secs_f64());
                return Ok(receipt);
            }
        }
        Err(Refusal::Busy { retry_after: RETRY })
    }

    /// What of a product is wanted of `customer` now. Unlike a batch, a product that is not known is no mistake
    /// here: nothing is wanted of it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn plan(&self, customer: &CustomerId, ask: &PlanAsk<'_>) -> Result<CollectionPlan, Refusal> {
        let entry = self.0.customers.get(customer).map_err(|_| UNAVAILABLE)?;
        let participation = entry.as_ref().map(|entry| &entry.change.participation);
        Ok(ask.answer(&self.0.policy.load(), participation, &self.0.options))
    }

    /// Has the ledger told of everything that came in until now.
    ///
    /// # Errors
    /// If the store cannot be written, or too many entries wait for the ledger. What was not told is told later.
    pub async fn tell(&self) -> Result<(), StoreError> {
        // Both are tried: what the ledger is told of makes room for what is handed over the next time.
        let handed = self.0.untold.hand_over(&self.0.store, 1).await;
        self.0.store.tell_collected().await.and(handed)
    }

    /// Whether there is something of which the ledger would never be told if the process ended now.
    #[must_use]
    pub fn holds_untold(&self) -> bool {
        !self.0.untold.is_empty()
    }

    async fn prepare(
        &self,
        (account, in_a_crowd): (&Account, bool),
        entry: Option<Arc<CustomerEntry>>,
        request: &Bytes,
    ) -> Result<Prepared, Refusal> {
        let is_small = request.len() <= INLINE_BYTES;
        let _turn_of_customer = account.turn(in_a_crowd, !is_small).await;
        if is_small {
            return self.0.prepare(entry.as_deref(), request);
        }
        let turn = Arc::clone(&self.0.turns).acquire_owned().await.map_err(|_| UNAVAILABLE)?;
        let (inner, request) = (Arc::clone(&self.0), request.clone());
        let work = tokio::task::spawn_blocking(move || {
            let prepared = inner.prepare(entry.as_deref(), &request);
            drop(turn);
            prepared
        });
        work.await.map_err(|_| UNAVAILABLE)?
    }
}

impl Inner {
    fn prepare(&self, entry: Option<&CustomerEntry>, request: &[u8]) -> Result<Prepared, Refusal> {
        let head = Head::read(request).map_err(|error| match error {
            HeadError::Wire(wire) => Refusal::Malformed(wire),
            HeadError::Field { field, rule } => Refusal::Head { field, rule },
        })?;
        // One snapshot decides the whole batch.
        let policy = self.policy.load();
        if entry.is_none() {
            self.options.refusals.count(Refused::UnknownCustomer);
        }
        let Some(entry) = entry.filter(|entry| entry.change.participation.delivery != Delivery::Paused)
        else {
            let customer = entry.map(|entry| entry.key);
            let plan = Told::nothing(&policy, entry, &head, self.options.plan_ttl);
            let reckoning =
                entry.map(|entry| Reckoning::of(&entry.change.participation.customer, &self.options.watched));
            return Ok(Prepared::disabled(&policy, (customer, &head), plan, reckoning.unwrap_or_default()));
        };
        let now = self.clock.now();
        let epoch = self.options.rotation.epoch(now);
        self.check_epoch(epoch, entry.secret.ratchet().epoch());
        let applicant = Applicant {
            participation: &entry.change.participation,
            secret: &entry.secret,
            caps: &self.options.level_caps,
            received: now,
            epoch,
            suppressed: entry.suppressed.as_ref(),
        };
        let permit = Permit::grant(Arc::clone(&policy), &applicant, &head);
        if let Some(what) = permit.refused().and_then(unknown) {
            self.options.refusals.count_of(what, entry.key);
        }
        let sanitized = SCRATCH
            .with_borrow_mut(|scratch| sanitize(&permit, &head, ProtoReader::new(request), scratch))
            .map_err(Refusal::Malformed)?;
        let plan = Told::new(&permit, entry, &head, self.options.plan_ttl);
        let reckoning = Reckoning::of(&entry.change.participation.customer, &self.options.watched);
        Prepared::new(&permit, entry, (&head, request), sanitized, (plan, reckoning))
    }

    /// Says once that the clock shows an epoch whose keys were destroyed, or that is before those that a clock that was ahead
    /// left: until it is put right, or has been right for a while, fields with rotating pseudonyms are withheld.
    fn check_epoch(&self, present: u32, oldest: u32) {
        if present < oldest && !self.said_behind.swap(true, Ordering::Relaxed) {
            tracing::error!(
                present,
                oldest,
                "a customer has no keys of the epoch that the clock shows: rotating pseudonyms are withheld; put the clock right"
            );
        }
    }

    /// `None` if the customer's participation was changed since the request was prepared.
    async fn commit(&self, prepared: Prepared) -> Result<Option<Receipt>, Refusal> {
        let Prepared { customer, append, receipt, reckoning } = prepared;
        let Some(append) = append else {
            if let Some(customer) = customer {
                let counted = self.untold.add(&self.store, customer, &receipt.tally).await;
                counted.map_err(|_| UNAVAILABLE)?;
            }
            reckoning.count(&receipt, &self.meters);
            return Ok(Some(receipt));
        };
        let answer = match self.store.enqueue(append).await {
            Ok(answer) => answer,
            Err(error) => return refused(error).map_or(Ok(None), Err),
        };
        let meters = Arc::clone(&self.meters);
        Queued { answer, receipt, reckoning, meters }.settled().await
    }
}
