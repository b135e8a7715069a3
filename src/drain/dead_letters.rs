//! Looking at what was given up, and trying it again.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::books::Books;
use super::drainer::{Drainer, Ticket};
use super::lease::{Dead, DeadReason};
use super::opened::{Opened, Opener};
use super::totals::{Delivered, Round};
use super::{Drain, DrainError, Shared, blocking};
use crate::model::{CommitNumber, CustomerKey, SubscriptionName, UnixMillis};
use crate::store::{Basis, Entry};

/// A batch that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its place in the order.
    pub commit: CommitNumber,
    /// How many times it was delivered.
    pub attempts: u32,
    /// When it was given up.
    pub at: UnixMillis,
    /// Why.
    pub reason: DeadReason,
    /// The batch as far as the purpose allows, if it was asked for, is still there, can be read, and
    /// may still go to this drainer.
    pub body: Option<Bytes>,
}

impl Drain {
    /// Dead letters after `after`, in the order of their commits, at most `limit`. With `bodies`, also their
    /// bodies, until they are longer than so many bytes together: the letter with which that happens (the
    /// second, if the first is longer by itself) is the last one.
    ///
    /// # Errors
    /// If there is no such subscription, or the store cannot be read.
    pub async fn dead_letters(
        &self,
        name: &SubscriptionName,
        after: Option<CommitNumber>,
        limit: usize,
        bodies: Option<usize>,
    ) -> Result<Vec<DeadLetter>, DrainError> {
        let (shared, drainer) = (Arc::clone(&self.shared), self.shared.drainer(name)?);
        let (reading, of) = (Arc::clone(&shared), Arc::clone(&drainer));
        let read = blocking(move || {
            let dead = of.look(|queue| queue.dead_letters(after, limit));
            let (mut letters, mut bytes) = (Vec::with_capacity(dead.len()), 0_usize);
            let mut writing = None;
            for (commit, dead) in dead {
                let leaving =
                    if bodies.is_some() { reading.leaving(&of, (commit, dead), &mut writing)? } else { None };
                bytes = bytes.saturating_add(leaving.as_ref().map_or(0, |leaving| leaving.body.len()));
                letters.push((commit, dead, leaving));
                if letters.len() > 1 && bodies.is_some_and(|most| bytes > most) {
                    break;
                }
            }
            Ok::<_, DrainError>((letters, writing))
        });
        let (letters, writing) = read.await??;
        if let Some(ticket) = writing {
            drainer.write(&shared.store, ticket, false).await?;
        }
        shared.last_look(&drainer, letters).await
    }

    /// Puts the dead letters `commits` (all, if there are none) back into delivery with a fresh count
    /// of attempts; at most as many as may be outstanding. Those that retention has dropped meanwhile
    /// expire. Durable when it answers; gives how many will be delivered again.
    ///
    /// # Errors
    /// If there is no such subscription, or the store fails.
    pub async fn replay(
        &self,
        name: &SubscriptionName,
        commits: &[CommitNumber],
    ) -> Result<usize, DrainError> {
        let drainer = self.shared.drainer(name)?;
        let oldest = self.shared.store.oldest();
        let chosen = (!commits.is_empty()).then_some(commits);
        let (replayed, ticket) = drainer.change(|queue| queue.replay(chosen, oldest))?;
        self.shared.release();
        drainer.write(&self.shared.store, ticket, true).await?;
        drainer.publish();
        drainer.bell.notify_waiters();
        tracing::info!(subscription = %name, batches = replayed, "dead letters put back");
        Ok(replayed)
    }
}

/// A body on its way out.
struct Leaving {
    body: Bytes,
    /// What its customer had chosen, and had had erased, when it was opened, and under which policy.
    basis: (CustomerKey, Basis, u64),
    /// What the ledger is to be told of it, and in which sums that is.
    delivered: (Arc<Delivered>, Round),
}

impl Shared {
    /// The body of a dead letter. It leaves, as in a pull: who receives it is noted, the ledger is told, and `writing` is to
    /// be written before.
    fn leaving(
        &self,
        drainer: &Drainer,
        (commit, dead): (CommitNumber, Dead),
        writing: &mut Option<Ticket>,
    ) -> Result<Option<Leaving>, DrainError> {
        let Some(Entry::Record(record)) = self.store.read_one(commit)? else { return Ok(None) };
        let policy = self.policy.load();
        let Some((customer, checked)) = self.recheck(drainer, &record.header, &policy)? else {
            return Ok(None);
        };
        let Ok(left) = checked.now() else { return Ok(None) };
        let mut opener = Opener::new(self.store.rotation());
        let opened = opener.open(&record, &customer, drainer.subscription.purpose, &left);
        let Ok(Ok(Opened { body, key, events, fields, forms, .. })) = opened else { return Ok(None) };
        self.learn_marks(drainer, &BTreeSet::from([customer.key]))?;
        let now = self.clock.now();
        let delivered = Arc::new(Delivered { key, events, fields, again: dead.attempts > 0 });
        let (round, ticket) = drainer.change_books(|books| {
            let round = books.totals.round();
            books.mark((customer.key, commit), (&delivered.key.under.program, forms));
            books.count(&drainer.subscription, &[Arc::clone(&delivered)], now);
            round
        })?;
        *writing = Some(ticket);
        let basis = (customer.key, customer.basis(), self.policy_number(&policy));
        Ok(Some(Leaving { body, basis, delivered: (delivered, round) }))
    }

    /// Takes out what may not leave any more, because its customer, or the policy, has changed since it was opened; whoever
    /// asks again gets what is left. What was counted of it is taken back.
    async fn last_look(
        &self,
        drainer: &Arc<Drainer>,
        read: Vec<(CommitNumber, Dead, Option<Leaving>)>,
    ) -> Result<Vec<DeadLetter>, DrainError> {
        let (policy, mut stale) = (self.policy_number(&self.policy.load()), Vec::new());
        let mut letters = Vec::with_capacity(read.len());
        for (commit, Dead { attempts, at, reason, .. }, leaving) in read {
            let mut body = None;
            if let Some(Leaving { body: opened, basis: (customer, basis, of), delivered }) = leaving {
                let now = self.customers.get_by_key(customer)?.map(|entry| entry.basis());
                if of == policy && now == Some(basis) {
                    body = Some(opened);
                } else {
                    stale.push(delivered);
                }
            }
            letters.push(DeadLetter { commit, attempts, at, reason, body });
        }
        if !stale.is_empty() {
            let take = |books: &mut Books| {
                for (delivered, round) in &stale {
                    books.take_back(delivered, *round);
                }
            };
            let ((), ticket) = drainer.change_books(take)?;
            drainer.write(&self.store, ticket, false).await?;
        }
        Ok(letters)
    }
}
