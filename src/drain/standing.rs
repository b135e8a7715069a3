//! Where one batch stands with each subscription: for an operator who asks what became of it.

use std::collections::BTreeSet;

use super::counts::SkipReason;
use super::drainer::Drainer;
use super::lease::DeadReason;
use super::recheck::stored_under;
use super::state::Queue;
use super::{Drain, DrainError, Shared};
use crate::model::{CommitNumber, CustomerKey, Purpose, SubscriptionName, UnixMillis};
use crate::policy::{Bound, Policy};
use crate::store::RecordHeader;

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The subscription began after it.
    Before,
    /// It was not looked at yet.
    Waiting,
    /// It is leased: it has left the collector.
    Leased {
        /// How often it was delivered, this time counted.
        attempts: u32,
        /// When the lease ends.
        until: UnixMillis,
    },
    /// It was delivered, came back, and will be delivered again.
    Returned {
        /// How often it was delivered.
        attempts: u32,
    },
    /// It was given up.
    Dead {
        /// How often it was delivered.
        attempts: u32,
        /// Why.
        reason: DeadReason,
    },
    /// It is not for this subscription: not at all, or not any more by what its customer has chosen since.
    NotFor(SkipReason),
    /// It is done with: acknowledged, or passed over while the customer was paused, or expired. The cursor does not
    /// remember which.
    Done,
}

/// Where a batch stands with one subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingOf {
    /// The subscription.
    pub subscription: SubscriptionName,
    /// Its purpose.
    pub purpose: Purpose,
    /// Who receives the data.
    pub recipient: String,
    /// Where the batch stands.
    pub standing: Standing,
}

impl Queue {
    /// Where a commit stands, whoever the subscription wants.
    #[must_use]
    pub fn standing(&self, commit: CommitNumber) -> Standing {
        if let Some(lease) = self.leases.get(&commit.0) {
            return Standing::Leased { attempts: lease.attempts, until: lease.deadline };
        }
        if let Some(returned) = self.returned.get(&commit.0) {
            return Standing::Returned { attempts: returned.attempts };
        }
        if let Some(dead) = self.dead.get(&commit.0) {
            return Standing::Dead { attempts: dead.attempts, reason: dead.reason };
        }
        if commit >= self.next {
            Standing::Waiting
        } else if commit < self.start {
            Standing::Before
        } else {
            Standing::Done
        }
    }
}

impl Drain {
    /// Where the batch stands with every subscription, in the order of their names. Reads: not for a runtime thread.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn standings(
        &self,
        header: &RecordHeader,
        commit: CommitNumber,
    ) -> Result<Vec<StandingOf>, DrainError> {
        let (drainers, policy) = (self.shared.all_drainers(), self.shared.policy.load());
        let of = drainers.iter().map(|drainer| {
            let subscription = &drainer.subscription;
            Ok(StandingOf {
                subscription: subscription.name.clone(),
                purpose: subscription.purpose,
                recipient: subscription.recipient.clone(),
                standing: self.shared.standing(drainer, header, commit, &policy)?,
            })
        });
        of.collect()
    }

    /// What holds for the batch by everything that its customer has chosen since; `None` if the customer is not known any
    /// more. Reads: not for a runtime thread.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn bound(&self, header: &RecordHeader) -> Result<Option<Bound>, DrainError> {
        let shared = &self.shared;
        let Some(customer) = shared.customers.get_by_key(header.customer)? else { return Ok(None) };
        let since = shared.histories.since(&shared.store, &customer, header.revision)?;
        let caps = &shared.options.global_caps;
        Ok(Some(shared.policy.load().bind(&stored_under(header), &since.choices(), caps)))
    }
}

impl Shared {
    fn standing(
        &self,
        drainer: &Drainer,
        header: &RecordHeader,
        commit: CommitNumber,
        policy: &Policy,
    ) -> Result<Standing, DrainError> {
        let standing = drainer.look(|queue| queue.standing(commit));
        let is_over = match standing {
            // The cursor does not remember what became of it: who never received it was passed over.
            Standing::Done => !self.may_have_received(drainer, header.customer, commit)?,
            Standing::Waiting | Standing::Returned { .. } => true,
            Standing::Before | Standing::Leased { .. } | Standing::Dead { .. } | Standing::NotFor(_) => false,
        };
        if !is_over {
            return Ok(standing);
        }
        let never = match self.recheck(drainer, header, policy)? {
            Some((_, checked)) => checked.never(),
            None => Some(SkipReason::UnknownCustomer),
        };
        Ok(never.map_or(standing, Standing::NotFor))
    }

    /// Whether the subscription received something of the customer from before and from behind the commit, or that commit.
    fn may_have_received(
        &self,
        drainer: &Drainer,
        customer: CustomerKey,
        commit: CommitNumber,
    ) -> Result<bool, DrainError> {
        // What a restore brought back may have been received by whoever is in the row of nobody.
        if self.mark(drainer.nonce, CustomerKey(0))?.is_some() {
            return Ok(true);
        }
        self.learn_marks(drainer, &BTreeSet::from([customer]))?;
        let mark = drainer.look_books(|books| books.marks.get(customer));
        Ok(mark.is_some_and(|mark| (mark.first..=mark.last).contains(&commit)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::lease::{Cargo, Terms};
    use super::*;

    #[test]
    fn a_batch_stands_where_the_queue_has_it() {
        let terms = Terms { max_attempts: 2, max_outstanding: 10, max_dead: 10 };
        let mut queue = Queue::new(CommitNumber(5), terms, 1);
        let cargo = Cargo { events: 1, customer: CustomerKey(1), revision: 1, policy: 1, plan: [1; 8] };
        let now = UnixMillis(0);
        let mut nonces = Vec::new();
        for commit in (5..9).map(CommitNumber) {
            let nonce = queue.lease(commit, cargo, now, 100).map_or(0, |lease| lease.nonce);
            assert_eq!(queue.hand_out(commit, nonce, cargo.plan), Ok(()));
            nonces.push(nonce);
        }
        let [acknowledged, given_back, ..] = nonces.as_slice() else { panic!("{nonces:?}") };
        assert_eq!(queue.hand_out(CommitNumber(6), *given_back, [1; 8]), Ok(()));
        assert_eq!(queue.acknowledge(CommitNumber(5), *acknowledged), Ok(()));
        assert_eq!(queue.extend(CommitNumber(6), *given_back, now, 0), Ok(()));
        assert!(queue.bury(CommitNumber(9), now, DeadReason::Damaged));
        let standing = |commit| queue.standing(CommitNumber(commit));
        assert_eq!(standing(4), Standing::Before);
        assert_eq!(standing(5), Standing::Done);
        assert_eq!(standing(6), Standing::Returned { attempts: 1 });
        assert_eq!(standing(7), Standing::Leased { attempts: 1, until: UnixMillis(100) });
        assert_eq!(standing(9), Standing::Dead { attempts: 0, reason: DeadReason::Damaged });
        assert_eq!(standing(10), Standing::Waiting);
    }
}
