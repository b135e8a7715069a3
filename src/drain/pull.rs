//! From the queue to a drainer: choose batches, lease them, open them, take out what the purpose
//! does not allow. Choosing is one at a time for each subscription; opening, which is what costs,
//! is not.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::ack_id::AckId;
use super::choice::{Chosen, Want};
use super::counts::SkipReason;
use super::drainer::{Drainer, Ticket};
use super::state::Queue;
use super::{Drain, DrainError, Shared, blocking};
use crate::model::{CommitNumber, ProgramName, Purpose, SubscriptionName, UnixMillis};
use crate::sanitize::{Filtered, filter_purpose};
use crate::store::{CustomerEntry, RecordFault, StoredRecord};

/// Batches that one pull may lease.
const MAX_BATCHES: usize = 1_000;
/// The longest that a pull waits.
const MAX_WAIT: Duration = Duration::from_mins(1);
/// How long a pull goes on passing over unwanted batches after its wait is over, before it answers
/// that there was none. What was passed over stays so.
const SCAN_GRACE: Duration = Duration::from_secs(2);

/// A batch under a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Names the lease.
    pub ack_id: String,
    /// Deliveries of this batch to this subscription, this one counted.
    pub attempt: u32,
    /// The batch's place in the order.
    pub commit: CommitNumber,
    /// The wire bytes of a `usaged.drain.v1.Batch`, as far as the purpose allows.
    pub body: Bytes,
}

/// What one round of a pull came to.
struct Round {
    deliveries: Vec<Delivery>,
    /// Nothing to deliver was found yet, and not everything was looked at.
    more: bool,
    writing: Option<JoinHandle<Result<(), DrainError>>>,
    after: Option<Ticket>,
}

impl Drain {
    /// Leases up to `max` batches (at most 1,000) whose bodies are together at most `max_bytes`
    /// long; one is always delivered, however long. Waits up to `wait` (at most 60 s) for the first.
    /// Batches that came back are delivered before new ones, oldest first.
    ///
    /// If the future is dropped, what it leased comes back when the leases end.
    ///
    /// # Errors
    /// If there is no such subscription, the store fails, or the collector is shutting down.
    pub async fn pull(
        &self,
        name: &SubscriptionName,
        max: usize,
        max_bytes: u64,
        wait: Duration,
    ) -> Result<Vec<Delivery>, DrainError> {
        let shared = &self.shared;
        let drainer = shared.drainer(name)?;
        let order = Want { batches: max.clamp(1, MAX_BATCHES), bytes: max_bytes };
        let until = Instant::now() + wait.min(MAX_WAIT);
        let mut head = shared.store.watch_head();
        loop {
            // Armed before the queue is looked at, so that nothing falls between.
            let mut bell = std::pin::pin!(drainer.bell.notified());
            bell.as_mut().enable();
            if shared.stopping.load(Ordering::SeqCst) {
                return Err(DrainError::Stopped);
            }
            head.borrow_and_update();
            let (now, oldest) = (shared.clock.now(), shared.store.oldest());
            let mut more = false;
            if drainer.look(|queue| queue.is_ready(now, oldest, shared.store.head())) {
                let round = shared.round(&drainer, order).await?;
                if !round.deliveries.is_empty() {
                    return Ok(round.deliveries);
                }
                more = round.more;
            } else {
                // A subscription that was deleted while this waited.
                shared.drainer(name)?;
            }
            let late = Instant::now();
            if more && late < until + SCAN_GRACE {
                continue;
            }
            if late >= until {
                return Ok(Vec::new());
            }
            let lease_ends = drainer.look(Queue::first_deadline).map(|deadline| pause(deadline, now));
            let pause = lease_ends.unwrap_or(MAX_WAIT).min(until - late);
            tokio::select! {
                () = bell => {}
                () = tokio::time::sleep(pause) => {}
                changed = head.changed() => if changed.is_err() { return Err(DrainError::Stopped) },
            }
        }
    }
}

/// How long to sleep until a lease ends: not so short that a clock that stands still keeps a
/// processor busy.
fn pause(deadline: UnixMillis, now: UnixMillis) -> Duration {
    Duration::from_millis(u64::try_from(deadline.ms_since(now)).unwrap_or(0).max(5))
}

impl Shared {
    /// Chooses, writes the leases, and opens while they are being written.
    async fn round(self: &Arc<Self>, drainer: &Arc<Drainer>, want: Want) -> Result<Round, DrainError> {
        let choosing = Arc::clone(&drainer.choosing).lock_owned().await;
        let (shared, one) = (Arc::clone(self), Arc::clone(drainer));
        let runtime = tokio::runtime::Handle::current();
        let mut round = blocking(move || {
            let choice = shared.choose(&one, want)?;
            drop(choosing);
            let writing = choice.ticket.map(|ticket| {
                let (one, store) = (Arc::clone(&one), shared.store.clone());
                runtime.spawn(async move { one.write(&store, ticket, false).await })
            });
            let (deliveries, after) = shared.open_all(&one, choice.chosen)?;
            Ok::<_, DrainError>(Round { deliveries, more: choice.more, writing, after })
        })
        .await??;
        if let Some(writing) = round.writing.take() {
            writing.await.map_err(|_| DrainError::Stopped)??;
        }
        if let Some(ticket) = round.after.take() {
            drainer.write(&self.store, ticket, false).await?;
        }
        drainer.publish();
        Ok(round)
    }

    /// Opens what was leased. What turns out to be damaged, or to hold nothing for the purpose, ends
    /// its lease. Not for a runtime thread.
    fn open_all(
        &self,
        drainer: &Drainer,
        chosen: Vec<Chosen>,
    ) -> Result<(Vec<Delivery>, Option<Ticket>), DrainError> {
        let purpose = drainer.subscription.purpose;
        let (mut deliveries, mut after) = (Vec::with_capacity(chosen.len()), None);
        for Chosen { lease, record, customer } in chosen {
            let (commit, nonce) = (record.commit, lease.nonce);
            let opened = open(&record, &customer, purpose);
            let ended = match opened {
                Ok(Some(body)) => {
                    let ack_id = AckId { subscription: drainer.nonce, commit, nonce }.text();
                    deliveries.push(Delivery { ack_id, attempt: lease.attempts, commit, body });
                    continue;
                }
                Ok(None) => drainer.change(|queue| queue.withdraw(commit, nonce, SkipReason::Purpose))?,
                Err(fault) => {
                    self.store.set_aside(&record, fault);
                    let now = self.clock.now();
                    drainer.change(|queue| queue.condemn(commit, nonce, now))?
                }
            };
            after = Some(ended.1);
        }
        Ok((deliveries, after))
    }
}

/// The part of a record that a purpose may see; `None` if there is none.
pub(super) fn open(
    record: &StoredRecord,
    customer: &CustomerEntry,
    purpose: Purpose,
) -> Result<Option<Bytes>, RecordFault> {
    let program = ProgramName::new(&record.header.program).map_err(|_| RecordFault::Header)?;
    let body = record.open(&customer.secret.seal_key(&program, record.header.received))?;
    let mut part = Vec::new();
    Ok(match filter_purpose(&body, purpose, &mut part).map_err(|_| RecordFault::Compression)? {
        Filtered::Whole => Some(Bytes::from(body)),
        Filtered::Part { .. } => Some(Bytes::from(part)),
        Filtered::Nothing => None,
    })
}
