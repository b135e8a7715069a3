//! Creating, listing, moving and deleting subscriptions.

use std::ops::Bound;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::books::Books;
use super::counts::SkipReason;
use super::drainer::Drainer;
use super::notices::Notices;
use super::state::Queue;
use super::totals::Totals;
use super::{Drain, DrainError, Shared, blocking, table, told};
use crate::model::{CommitNumber, Subscription, SubscriptionName, UnixMillis};
use crate::observe::Metric;
use crate::store::Entry;

/// Programs or products that one subscription may list.
const FILTERS: usize = 64;

/// Where a cursor is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeekTarget {
    /// The first batch received at this time or later.
    Time(UnixMillis),
    /// This commit, held within what is stored.
    Commit(CommitNumber),
    /// The oldest batch stored.
    Oldest,
    /// Past the newest batch.
    Newest,
}

/// A subscription and where its batches are.
/// `stored = acknowledged + waiting + dead + expired + skipped`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionState {
    /// What it is.
    pub subscription: Subscription,
    /// The first commit that is not done with.
    pub cursor: CommitNumber,
    /// Batches stored since its start, and once more for each that was put back by a seek.
    pub stored: u64,
    /// Batches that wait for delivery or acknowledgement, leased ones counted.
    pub waiting: u64,
    /// Batches under a lease.
    pub leased: u64,
    /// Dead letters.
    pub dead: u64,
    /// The age of the oldest waiting batch, if one waits.
    pub oldest_age: Option<Duration>,
    /// Batches acknowledged.
    pub acknowledged: u64,
    /// Batches that retention dropped before they were acknowledged.
    pub expired: u64,
    /// Batches passed over.
    pub skipped: u64,
    /// The same by reason.
    pub skipped_by: Vec<(SkipReason, u64)>,
    /// Batches that were done with and wait again, because the cursor was moved back.
    pub repeated: u64,
}

impl Drain {
    /// Creates a subscription: durable when it answers. `created` is set here.
    ///
    /// # Errors
    /// If there is one of that name, there are too many, a part is not valid, or the store fails.
    pub async fn create(
        &self,
        subscription: Subscription,
        from_oldest: bool,
    ) -> Result<SubscriptionState, DrainError> {
        check(&subscription)?;
        let shared = &self.shared;
        let _naming = shared.naming.lock().await;
        let max = shared.options.max_subscriptions;
        {
            let drainers = shared.drainers.read().unwrap_or_else(PoisonError::into_inner);
            if drainers.contains_key(&subscription.name) {
                return Err(DrainError::Exists { name: subscription.name });
            }
            if drainers.len() >= max {
                return Err(DrainError::TooMany { max });
            }
        }
        let subscription = Subscription { created: shared.clock.now(), ..subscription };
        let newest = shared.store.head().next();
        let start = if from_oldest { shared.store.oldest().min(newest) } else { newest };
        let nonce = rand::random();
        let mut queue = Queue::new(start, Drainer::terms(&subscription, &shared.options), rand::random());
        let definition = table::Definition { subscription: subscription.clone(), nonce };
        let mut operations = table::operations(nonce, queue.take_changes());
        operations.extend(table::define(&definition));
        operations.push(told::created(&subscription));
        shared.store.write_meta(operations, true).await?;
        let books = Books::new(nonce, queue, Notices::new(shared.options.max_notices), Totals::default());
        let drainer = Drainer::new(subscription, nonce, books);
        {
            let mut drainers = shared.drainers.write().unwrap_or_else(PoisonError::into_inner);
            drainers.insert(drainer.subscription.name.clone(), Arc::clone(&drainer));
        }
        shared.release();
        tracing::info!(subscription = %drainer.subscription.name, start = start.0, "subscription created");
        let shared = Arc::clone(shared);
        blocking(move || shared.state(&drainer)).await?
    }

    /// The subscriptions after `after`, in the order of their names, at most `limit`.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn list(
        &self,
        after: Option<&SubscriptionName>,
        limit: usize,
    ) -> Result<Vec<SubscriptionState>, DrainError> {
        let chosen: Vec<Arc<Drainer>> = {
            let drainers = self.shared.drainers.read().unwrap_or_else(PoisonError::into_inner);
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            drainers
                .range::<SubscriptionName, _>((from, Bound::Unbounded))
                .take(limit)
                .map(|(_, one)| Arc::clone(one))
                .collect()
        };
        let shared = Arc::clone(&self.shared);
        blocking(move || chosen.iter().map(|drainer| shared.state(drainer)).collect()).await?
    }

    /// One subscription.
    ///
    /// # Errors
    /// If there is none, or the store cannot be read.
    pub async fn get(&self, name: &SubscriptionName) -> Result<SubscriptionState, DrainError> {
        let (shared, drainer) = (Arc::clone(&self.shared), self.shared.drainer(name)?);
        blocking(move || shared.state(&drainer)).await?
    }

    /// Deletes a subscription with its cursor, leases and dead letters: durable when it answers.
    ///
    /// # Errors
    /// If there is none, or the store fails.
    pub async fn delete(&self, name: &SubscriptionName) -> Result<(), DrainError> {
        let shared = &self.shared;
        let _naming = shared.naming.lock().await;
        let drainer = shared.drainer(name)?;
        let (rows, untold) = drainer.delete().await?;
        let mut operations = table::undefine(name, drainer.nonce, rows);
        operations.extend(untold);
        operations.push(told::deleted(&drainer.subscription, shared.clock.now()));
        shared.store.write_meta(operations, true).await.inspect_err(|_| drainer.keep())?;
        shared.notices_purge.is_due();
        {
            let mut drainers = shared.drainers.write().unwrap_or_else(PoisonError::into_inner);
            drainers.remove(name);
        }
        Metric::forget_subscription(name.as_str());
        tracing::info!(subscription = %name, "subscription deleted");
        Ok(())
    }

    /// Moves the cursor: durable when it answers. Leases end, and counts of attempts begin anew.
    /// Gives the new cursor.
    ///
    /// # Errors
    /// If there is no such subscription, or the store fails.
    pub async fn seek(
        &self,
        name: &SubscriptionName,
        target: SeekTarget,
    ) -> Result<CommitNumber, DrainError> {
        let drainer = self.shared.drainer(name)?;
        let store = self.shared.store.clone();
        let (oldest, head) = (store.oldest(), store.head());
        let to = match target {
            SeekTarget::Commit(commit) => commit,
            SeekTarget::Oldest => oldest,
            SeekTarget::Newest => head.next(),
            SeekTarget::Time(time) => blocking(move || store.seek_time(time)).await??,
        };
        let (cursor, ticket) = drainer.change(|queue| queue.seek(to, oldest, head))?;
        self.shared.release();
        drainer.write(&self.shared.store, ticket, true).await?;
        drainer.publish();
        drainer.bell.notify_waiters();
        tracing::info!(subscription = %name, cursor = cursor.0, "cursor moved");
        Ok(cursor)
    }
}

impl Shared {
    /// Reads the store: not for a runtime thread.
    pub(super) fn state(&self, drainer: &Drainer) -> Result<SubscriptionState, DrainError> {
        let head = self.store.head();
        let (balance, cursor, leased, counts) = drainer.look(|queue| {
            let lost = self.store.lost_from(queue.next());
            (queue.balance(head, lost), queue.cursor(), queue.leased(), *queue.counts())
        });
        let oldest_age = if balance.waiting > 0 { self.oldest_age(drainer, cursor)? } else { None };
        Ok(SubscriptionState {
            subscription: drainer.subscription.clone(),
            cursor,
            stored: balance.stored,
            waiting: balance.waiting,
            leased: super::state::wide(leased),
            dead: balance.dead,
            oldest_age,
            acknowledged: balance.acknowledged,
            expired: balance.expired,
            skipped: balance.skipped,
            skipped_by: SkipReason::ALL.map(|reason| (reason, counts.skipped_for(reason).batches)).to_vec(),
            repeated: counts.repeated,
        })
    }

    /// The age of the batch at the cursor. Reads it once.
    fn oldest_age(&self, drainer: &Drainer, cursor: CommitNumber) -> Result<Option<Duration>, DrainError> {
        let received = match drainer.received_at(cursor) {
            Some(received) => received,
            None => match self.store.read_one(cursor)? {
                Some(Entry::Record(record)) => {
                    drainer.note_received(cursor, record.header.received);
                    record.header.received
                }
                Some(Entry::Gone { received, .. }) => received,
                Some(Entry::Damaged { .. }) | None => return Ok(None),
            },
        };
        let age = self.clock.now().ms_since(received);
        Ok(Some(Duration::from_millis(u64::try_from(age).unwrap_or(0))))
    }
}

fn check(subscription: &Subscription) -> Result<(), DrainError> {
    let invalid = |field, rule| Err(DrainError::Invalid { field, rule });
    if !(1..=128).contains(&subscription.recipient.len()) {
        return invalid("recipient", "name who receives the data, in 1 to 128 bytes");
    }
    if !Subscription::ACK_DEADLINE.contains(&subscription.ack_deadline) {
        return invalid("ack_deadline", "a lease lasts 1 s to 600 s");
    }
    if !Subscription::ATTEMPTS.contains(&subscription.max_delivery_attempts) {
        return invalid("max_delivery_attempts", "a batch is delivered 1 to 100 times");
    }
    if subscription.programs.len() > FILTERS {
        return invalid("programs", "list at most 64 programs");
    }
    if subscription.products.len() > FILTERS {
        return invalid("products", "list at most 64 products");
    }
    Ok(())
}
