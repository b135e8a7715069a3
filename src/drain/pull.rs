//! From the queue to a drainer: choose batches, lease them, open them, take out what the purpose
//! does not allow, and write who received what. Choosing is one at a time for each subscription; opening, which
//! is what costs, is not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::ack_id::AckId;
use super::choice::{Chosen, Want};
use super::counts::SkipReason;
use super::drainer::{Drainer, Ticket};
use super::notice::{NoticeDelivery, NoticeId};
use super::opened::{Opened, Opener};
use super::state::Queue;
use super::totals::{Delivered, Round as Counted};
use super::{Drain, DrainError, Shared, blocking};
use crate::model::{CommitNumber, CustomerKey, SubscriptionName, UnixMillis};
use crate::observe::trace;
use crate::store::{Basis, RecordFault};

/// Batches that one pull may lease.
const MAX_BATCHES: usize = 1_000;
/// Notices in one answer, and about how many bytes of them.
const NOTICES: (usize, usize) = (100, 256 * 1024);
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
    /// The lease.
    nonce: u64,
    /// Whose it is.
    customer: CustomerKey,
    /// What its customer had chosen, and had had erased, when it was opened.
    basis: Basis,
    /// The policy that it was opened under, as a number.
    policy: u64,
    /// What the ledger is to be told of it, and in which sums that is.
    delivered: (Arc<Delivered>, Counted),
}

/// What a pull gives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pulled {
    /// Batches, oldest first.
    pub deliveries: Vec<Delivery>,
    /// What is to be deleted, oldest first: at most 100, the next ones come when these are acknowledged.
    pub notices: Vec<NoticeDelivery>,
}

impl Pulled {
    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.deliveries.is_empty() && self.notices.is_empty()
    }
}

/// What one round of a pull came to.
struct Round {
    deliveries: Vec<Delivery>,
    /// Nothing to deliver was found yet, and not everything was looked at.
    more: bool,
    /// The change to write before anything leaves, if there is one. It is synced if it says of somebody what was not
    /// known before.
    writing: Option<Ticket>,
}

impl Drain {
    /// Leases up to `max` batches (at most 1,000) whose bodies are together at most `max_bytes`
    /// long; one is always delivered, however long. Waits up to `wait` (at most 60 s) for the first.
    /// Batches that came back are delivered before new ones, oldest first. Notices that wait come with every
    /// answer until they are acknowledged, and at once if there is nothing else.
    ///
    /// With a `max` of 0 there are only notices. Of these, only those come whose number is above `seen`: 0, or
    /// the number of the last one that was given before.
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
        seen: u64,
    ) -> Result<Pulled, DrainError> {
        let shared = &self.shared;
        let drainer = shared.drainer(name)?;
        let order = Want { batches: max.min(MAX_BATCHES), bytes: max_bytes };
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
            let mut deliveries = Vec::new();
            if order.batches > 0 && drainer.look(|queue| queue.is_ready(now, oldest, shared.store.head())) {
                let span = trace::pull();
                let round = shared.round(&drainer, order).instrument(span.clone()).await?;
                trace::pulled(&span, super::state::wide(round.deliveries.len()));
                (deliveries, more) = (round.deliveries, round.more);
            } else {
                // A subscription that was deleted while this waited.
                shared.drainer(name)?;
            }
            let pulled = Pulled { deliveries, notices: notices(&drainer, seen) };
            if !pulled.is_empty() {
                return Ok(pulled);
            }
            let late = Instant::now();
            if more && late < until + SCAN_GRACE {
                continue;
            }
            if late >= until {
                return Ok(Pulled::default());
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

impl Drain {
    /// Takes out what may not go out any more, because its customer changed its participation or had something erased, or
    /// because another policy is in force, since the pull: to be asked right before the batches leave. It is given back, and comes again as far as it may.
    pub fn keep_fresh(&self, name: &SubscriptionName, deliveries: &mut Vec<Delivery>) {
        let (fresh, stale) = self.shared.sort_out(std::mem::take(deliveries));
        *deliveries = fresh;
        let Ok(drainer) = self.shared.drainer(name) else { return };
        if !stale.is_empty() {
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move {
                if let Err(error) = shared.give_back(&drainer, &stale).await {
                    tracing::warn!(%error, "batches that did not go out come back when their leases end");
                }
            });
        }
    }
}

/// The notices above `seen` that wait.
fn notices(drainer: &Drainer, seen: u64) -> Vec<NoticeDelivery> {
    let waiting = drainer.look_books(|books| books.notices.after(seen, NOTICES.0, NOTICES.1));
    let named = waiting.into_iter().map(|(number, notice)| {
        let ack_id = NoticeId { subscription: drainer.nonce, number }.text();
        NoticeDelivery { ack_id, number, notice }
    });
    named.collect()
}

/// How long to sleep until a lease ends: not so short that a clock that stands still keeps a
/// processor busy.
fn pause(deadline: UnixMillis, now: UnixMillis) -> Duration {
    Duration::from_millis(u64::try_from(deadline.ms_since(now)).unwrap_or(0).max(5))
}

/// A batch that was leased and looked into.
type Looked = (Chosen, Result<Result<Opened, SkipReason>, RecordFault>);

impl Shared {
    /// Chooses, opens, and writes the leases with what they deliver.
    async fn round(self: &Arc<Self>, drainer: &Arc<Drainer>, want: Want) -> Result<Round, DrainError> {
        let choosing = Arc::clone(&drainer.choosing).lock_owned().await;
        let (shared, one) = (Arc::clone(self), Arc::clone(drainer));
        let mut round = blocking(move || {
            let choice = shared.choose(&one, want)?;
            drop(choosing);
            let purpose = one.subscription.purpose;
            let mut opener = Opener::new(shared.store.rotation());
            let looked = choice.chosen.into_iter().map(|chosen| {
                let opened = opener.open(&chosen.record, &chosen.customer, purpose, &chosen.left);
                (chosen, opened)
            });
            let (deliveries, handed) = shared.hand_out(&one, looked.collect())?;
            let writing = handed.or(choice.ticket);
            Ok::<_, DrainError>(Round { deliveries, more: choice.more, writing })
        })
        .await??;
        if let Some(ticket) = round.writing.take() {
            drainer.write(&self.store, ticket, false).await?;
        }
        let (fresh, stale) = self.sort_out(std::mem::take(&mut round.deliveries));
        // The next round brings what is left of those.
        round.more |= !stale.is_empty();
        round.deliveries = fresh;
        self.give_back(drainer, &stale).await?;
        drainer.publish();
        Ok(round)
    }

    /// Tells what may go out from what was opened before its customer changed its participation or had something
    /// erased, or before another policy came into force. A customer of whom nothing is known any more has changed too, and so, now and then, has one who shares
    /// a stamp with another: its batches come with the next pull. Mostly without a look into the store.
    fn sort_out(&self, deliveries: Vec<Delivery>) -> (Vec<Delivery>, Vec<Delivery>) {
        let mut known: BTreeMap<CustomerKey, Option<Basis>> = BTreeMap::new();
        let policy = self.policy_number(&self.policy.load());
        deliveries.into_iter().partition(|delivery| {
            if delivery.policy != policy {
                return false;
            }
            let now = *known.entry(delivery.customer).or_insert_with(|| {
                let entry = self.customers.get_by_key(delivery.customer).ok().flatten();
                entry.map(|entry| entry.basis())
            });
            now == Some(delivery.basis)
        })
    }

    /// Takes leases back that did not go out, and what was counted of them: it is counted again as it leaves.
    async fn give_back(&self, drainer: &Arc<Drainer>, deliveries: &[Delivery]) -> Result<(), DrainError> {
        if deliveries.is_empty() {
            return Ok(());
        }
        let ((), ticket) = drainer.change_books(|books| {
            for Delivery { commit, nonce, delivered: (delivered, counted), .. } in deliveries {
                // One that has ended meanwhile is back already, as a delivery that comes again: then it has to be counted.
                if books.queue.release(*commit, *nonce).is_ok() {
                    books.take_back(delivered, *counted);
                }
            }
        })?;
        drainer.write(&self.store, ticket, false).await?;
        drainer.bell.notify_waiters();
        Ok(())
    }

    /// Hands out what was leased and opened, and takes note of who receives what. What turned out to be damaged,
    /// or to hold nothing for the purpose, ends its lease. Not for a runtime thread.
    fn hand_out(
        &self,
        drainer: &Drainer,
        looked: Vec<Looked>,
    ) -> Result<(Vec<Delivery>, Option<Ticket>), DrainError> {
        if looked.is_empty() {
            return Ok((Vec::new(), None));
        }
        for (chosen, opened) in &looked {
            if let Err(fault) = opened {
                self.store.set_aside(&chosen.record, *fault);
            }
        }
        let customers: BTreeSet<CustomerKey> = looked.iter().map(|(chosen, _)| chosen.customer.key).collect();
        self.learn_marks(drainer, &customers)?;
        let now = self.clock.now();
        let mut deliveries = Vec::with_capacity(looked.len());
        let ((), ticket) = drainer.change_books(|books| {
            let (mut all, counted) = (Vec::with_capacity(looked.len()), books.totals.round());
            for (Chosen { lease, record, customer, .. }, opened) in looked {
                let (commit, nonce) = (record.commit, lease.nonce);
                // Any of these fails only if the lease has ended meanwhile, by a seek: then nothing goes out.
                let handed = match opened {
                    Ok(Ok(opened)) => books.queue.hand_out(commit, nonce, opened.plan).map(|()| Some(opened)),
                    Ok(Err(reason)) => books.queue.withdraw(commit, nonce, reason).map(|()| None),
                    Err(_) => books.queue.condemn(commit, nonce, now).map(|()| None),
                };
                let Ok(Some(Opened { body, key, events, fields, forms, .. })) = handed else { continue };
                books.mark((customer.key, commit), (&key.under.program, forms));
                let delivered = Arc::new(Delivered { key, events, fields, again: lease.attempts > 1 });
                all.push(Arc::clone(&delivered));
                let ack_id = AckId { subscription: drainer.nonce, commit, nonce }.text();
                let (attempt, basis, policy) = (lease.attempts, customer.basis(), lease.cargo.policy);
                let (customer, delivered) = (customer.key, (delivered, counted));
                deliveries.push(Delivery {
                    ack_id,
                    attempt,
                    commit,
                    body,
                    nonce,
                    customer,
                    basis,
                    policy,
                    delivered,
                });
            }
            books.count(&drainer.subscription, &all, now);
        })?;
        Ok((deliveries, Some(ticket)))
    }
}
