//! Looking at what was given up, and trying it again.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::drainer::{Drainer, Ticket};
use super::lease::{Dead, DeadReason};
use super::opened::{Opened, Opener};
use super::{Drain, DrainError, Shared, blocking};
use crate::model::{CommitNumber, SubscriptionName, UnixMillis};
use crate::store::Entry;

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
            let mut marking = None;
            for (commit, Dead { attempts, at, reason, .. }) in dead {
                let body = if bodies.is_some() { reading.body(&of, commit, &mut marking)? } else { None };
                bytes = bytes.saturating_add(body.as_ref().map_or(0, Bytes::len));
                letters.push(DeadLetter { commit, attempts, at, reason, body });
                if letters.len() > 1 && bodies.is_some_and(|most| bytes > most) {
                    break;
                }
            }
            Ok::<_, DrainError>((letters, marking))
        });
        let (letters, marking) = read.await??;
        if let Some(ticket) = marking {
            drainer.write(&shared.store, ticket, false).await?;
        }
        Ok(letters)
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

impl Shared {
    /// The body of a dead letter. It leaves, as in a pull: who receives it is noted, and `marking` is to be written.
    fn body(
        &self,
        drainer: &Drainer,
        commit: CommitNumber,
        marking: &mut Option<Ticket>,
    ) -> Result<Option<Bytes>, DrainError> {
        let Some(Entry::Record(record)) = self.store.read_one(commit)? else { return Ok(None) };
        let Some((customer, checked)) = self.recheck(drainer, &record, &self.policy.load())? else {
            return Ok(None);
        };
        let Ok(left) = checked.now() else { return Ok(None) };
        let mut opener = Opener::new(self.store.rotation());
        let opened = opener.open(&record, &customer, drainer.subscription.purpose, &left);
        let Ok(Ok(Opened { body, key, forms, .. })) = opened else { return Ok(None) };
        self.learn_marks(drainer, &BTreeSet::from([customer.key]))?;
        let of = (&key.under.program, forms);
        let ((), ticket) = drainer.change_books(|books| books.mark((customer.key, commit), of))?;
        *marking = Some(ticket);
        Ok(Some(body))
    }
}
