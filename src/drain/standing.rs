//! Where one batch stands with each subscription: for an operator who asks what became of it.

use super::Drain;
use super::counts::SkipReason;
use super::lease::DeadReason;
use super::recheck::unwanted;
use super::state::Queue;
use crate::model::{CommitNumber, Purpose, SubscriptionName, UnixMillis};
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
    /// It is not for this subscription.
    NotFor(SkipReason),
    /// It is done with: acknowledged, or passed over because of the customer's participation, or expired. The
    /// cursor does not remember which.
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
    /// Where the batch stands with every subscription, in the order of their names.
    #[must_use]
    pub fn standings(&self, header: &RecordHeader, commit: CommitNumber) -> Vec<StandingOf> {
        let drainers = self.shared.all_drainers();
        let of = drainers.iter().map(|drainer| {
            let subscription = &drainer.subscription;
            let standing =
                match (drainer.look(|queue| queue.standing(commit)), unwanted(header, subscription)) {
                    (Standing::Waiting | Standing::Done, Some(reason)) => Standing::NotFor(reason),
                    (standing, _) => standing,
                };
            StandingOf {
                subscription: subscription.name.clone(),
                purpose: subscription.purpose,
                recipient: subscription.recipient.clone(),
                standing,
            }
        });
        of.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::lease::{Cargo, Terms};
    use super::*;
    use crate::model::CustomerKey;

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
