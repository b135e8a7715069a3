//! One subscription at work: its queue behind a lock, and the order in which its changes reach the store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::DrainError;
use super::books::Books;
use super::counts::{Counts, SkipReason, Sum, Turnover};
use super::lease::Terms;
use super::rows::Changes;
use super::state::Queue;
use super::table;
use crate::model::{CommitNumber, Subscription, UnixMillis};
use crate::observe::Metric;
use crate::store::{MetaOp, Store};

/// The number of a change: changes of one subscription are written in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// One subscription.
#[derive(Debug)]
pub(super) struct Drainer {
    /// What it is.
    pub(super) subscription: Subscription,
    /// Tells it from an earlier subscription of the same name.
    pub(super) nonce: u64,
    held: Mutex<Held>,
    /// Only one pull at a time chooses batches; opening them is not under it.
    pub(super) choosing: Arc<tokio::sync::Mutex<()>>,
    written: tokio::sync::Mutex<Written>,
    /// Rung when batches came back, room was made, the cursor moved, or it was deleted.
    pub(super) bell: Notify,
}

#[derive(Debug)]
struct Held {
    books: Books,
    changes: u64,
    /// The last change with a mark that says something new: what leaves after it waits until that is on disk, also
    /// where another pull made the mark.
    marked: u64,
    deleted: bool,
    published: (Counts, Turnover),
    /// When the batch at the cursor was received.
    oldest: Option<(CommitNumber, UnixMillis)>,
}

/// Up to which change the store has the rows.
#[derive(Debug, Default)]
struct Written {
    upto: u64,
    synced: u64,
}

impl Drainer {
    pub(super) fn new(subscription: Subscription, nonce: u64, books: Books) -> Arc<Self> {
        let published = (*books.queue.counts(), books.queue.turnover);
        begin_counters(subscription.name.as_str());
        Arc::new(Self {
            subscription,
            nonce,
            held: Mutex::new(Held { books, changes: 0, marked: 0, deleted: false, published, oldest: None }),
            choosing: Arc::default(),
            written: tokio::sync::Mutex::default(),
            bell: Notify::new(),
        })
    }

    pub(super) fn terms(subscription: &Subscription, options: &super::Options) -> Terms {
        Terms {
            max_attempts: subscription.max_delivery_attempts,
            max_outstanding: options.max_outstanding,
            max_dead: options.max_dead,
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // A panic under this lock is a bug in the pure queue; its state is then as good as any.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the queue.
    pub(super) fn look<R>(&self, look: impl FnOnce(&Queue) -> R) -> R {
        look(&self.held().books.queue)
    }

    /// Looks at everything that is kept of it.
    pub(super) fn look_books<R>(&self, look: impl FnOnce(&Books) -> R) -> R {
        look(&self.held().books)
    }

    /// Changes the queue. The change is not on disk before [`Self::write`] with the ticket returned.
    ///
    /// # Errors
    /// If the subscription was deleted.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut Queue) -> R) -> Result<(R, Ticket), DrainError> {
        self.change_books(|books| change(&mut books.queue))
    }

    /// As [`Self::change`], of everything that is kept of it.
    ///
    /// # Errors
    /// If the subscription was deleted.
    pub(super) fn change_books<R>(
        &self,
        change: impl FnOnce(&mut Books) -> R,
    ) -> Result<(R, Ticket), DrainError> {
        let mut held = self.held();
        if held.deleted {
            return Err(self.not_found());
        }
        let result = change(&mut held.books);
        held.changes = held.changes.saturating_add(1);
        if std::mem::take(&mut held.books.has_new_mark) {
            held.marked = held.changes;
        }
        Ok((result, Ticket(held.changes)))
    }

    pub(super) fn not_found(&self) -> DrainError {
        DrainError::NotFound { name: self.subscription.name.clone() }
    }

    /// Writes every change up to `ticket` and later ones that are ready, in one piece; `synced`
    /// waits until they are on disk, and so does every write behind a new mark that is not. Not cancelled with its
    /// caller: a half-done write would leave memory ahead of the store.
    pub(super) async fn write(
        self: &Arc<Self>,
        store: &Store,
        ticket: Ticket,
        synced: bool,
    ) -> Result<(), DrainError> {
        let (drainer, store) = (Arc::clone(self), store.clone());
        let task = tokio::spawn(async move { drainer.write_now(&store, ticket, synced).await });
        task.await.map_err(|_| DrainError::Stopped)?
    }

    async fn write_now(&self, store: &Store, ticket: Ticket, synced: bool) -> Result<(), DrainError> {
        let mut written = self.written.lock().await;
        let synced = synced || self.held().marked > written.synced;
        let done = if synced { written.synced } else { written.upto };
        if done >= ticket.0 {
            return Ok(());
        }
        let (changes, others, upto) = {
            let mut held = self.held();
            if held.deleted {
                return Err(self.not_found());
            }
            if synced {
                // Changes that were written without a sync become durable with any synced write.
                held.books.queue.touch();
            }
            (held.books.queue.take_changes(), held.books.unwritten.take(), held.changes)
        };
        if !changes.is_empty() || !others.is_empty() {
            let commits = changes.commits();
            let mut operations = table::operations(self.nonce, changes);
            operations.extend(others.operations());
            if let Err(error) = store.write_meta(operations, synced).await {
                // The disk may be full for a while: the next write tries these rows again.
                let mut held = self.held();
                held.books.queue.put_back(commits);
                held.books.unwritten.put_back(others);
                return Err(error.into());
            }
        }
        self.held().books.written();
        written.upto = upto;
        if synced {
            written.synced = upto;
        }
        Ok(())
    }

    /// Looks at everything that is kept of it, once no write is under way: what is not among the unwritten rows
    /// is in the store.
    pub(super) async fn look_settled<R>(&self, look: impl FnOnce(&Books) -> R) -> R {
        let _written = self.written.lock().await;
        look(&self.held().books)
    }

    /// Ends the subscription: no change after this is accepted. Gives the rows of its queue to delete, once no
    /// write is under way, and what the ledger was not told yet.
    pub(super) async fn delete(&self) -> Result<(Changes, Vec<MetaOp>), DrainError> {
        let _written = self.written.lock().await;
        let mut held = self.held();
        if std::mem::replace(&mut held.deleted, true) {
            return Err(self.not_found());
        }
        self.bell.notify_waiters();
        Ok((held.books.queue.deletion(), held.books.untold(&self.subscription)))
    }

    /// Goes on with the subscription: its deletion could not be written.
    pub(super) fn keep(&self) {
        self.held().deleted = false;
    }

    /// Brings the counters up to the counts of the queue.
    pub(super) fn publish(&self) {
        let mut held = self.held();
        let (now, turnover) = (*held.books.queue.counts(), held.books.queue.turnover);
        let (then, before) = std::mem::replace(&mut held.published, (now, turnover));
        drop(held);
        let name = self.subscription.name.as_str();
        let label = [("subscription", name)];
        Metric::SubscriptionDelivered.add(&label, turnover.delivered.saturating_sub(before.delivered));
        let ended = turnover.leases_ended.saturating_sub(before.leases_ended);
        Metric::SubscriptionLeasesEnded.add(&label, ended);
        let add = |outcome: &'static str, sum: Sum| {
            let labels = [("subscription", name), ("outcome", outcome)];
            Metric::SubscriptionBatches.add(&labels, sum.batches);
            Metric::SubscriptionEvents.add(&labels, sum.events);
        };
        add("acknowledged", now.acknowledged.since(then.acknowledged));
        add("dead", now.buried.since(then.buried));
        add("expired", now.expired.since(then.expired));
        for reason in SkipReason::ALL {
            let sum = now.skipped_for(reason).since(then.skipped_for(reason));
            add("skipped", sum);
            Metric::SubscriptionSkips
                .add(&[("subscription", name), ("reason", reason.as_str())], sum.batches);
        }
    }

    /// When the batch at `cursor` was received, if that was noted.
    pub(super) fn received_at(&self, cursor: CommitNumber) -> Option<UnixMillis> {
        self.held().oldest.filter(|(commit, _)| *commit == cursor).map(|(_, received)| received)
    }

    /// Notes when the batch at `cursor` was received.
    pub(super) fn note_received(&self, cursor: CommitNumber, received: UnixMillis) {
        self.held().oldest = Some((cursor, received));
    }
}

/// Begins what alerts look at with zero.
fn begin_counters(name: &str) {
    for outcome in ["acknowledged", "dead", "expired", "skipped"] {
        Metric::SubscriptionBatches.begin(&[("subscription", name), ("outcome", outcome)]);
    }
    Metric::SubscriptionDelivered.begin(&[("subscription", name)]);
    Metric::SubscriptionLeasesEnded.begin(&[("subscription", name)]);
}
