//! What a drainer says about its leases: done, more time, not now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::ack_id::AckId;
use super::counts::SkipReason;
use super::drainer::{Drainer, Ticket};
use super::lease::{Cargo, Lease};
use super::notice::NoticeId;
use super::opened::Opener;
use super::recheck::{Rechecked, recheck};
use super::{Drain, DrainError, Shared, blocking, millis};
use crate::ledger::Refusal;
use crate::model::{CommitNumber, Subscription, SubscriptionName};
use crate::policy::Policy;
use crate::sanitize::{Filtered, Lowered, filter_purpose};
use crate::store::{CustomerEntry, Entry, RecordHeader};

/// Why a lease could not be acknowledged or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckFailure {
    /// It has ended: its batch will be delivered again, or was done with before.
    Expired,
    /// Not the name of a lease of this subscription.
    Unknown,
    /// The customer's level was lowered, the policy or a cap became stricter, or the data was erased, since: what was received of this batch under the
    /// lease is to be deleted. What is left of it is delivered again.
    Withdrawn(CommitNumber),
}

/// What became of acknowledgements or changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AckResult {
    /// How many leases and notices were acknowledged, or leases changed.
    pub done: usize,
    /// The others.
    pub failures: Vec<(String, AckFailure)>,
}

/// What of a delivered batch may still be with its drainer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remainder {
    /// All of it.
    Whole,
    /// Less: it is delivered again.
    Less,
    /// Nothing.
    Nothing(SkipReason),
}

/// The leases and notices of a request: a name that comes twice counts once.
struct Named<'a> {
    live: Vec<(&'a str, AckId, Lease)>,
    notices: Vec<(&'a str, u64)>,
    failures: Vec<(String, AckFailure)>,
}

impl Drain {
    /// Acknowledges leases and notices: durable when it answers.
    ///
    /// # Errors
    /// If there is no such subscription, or the store fails. Then nothing is promised, and the same
    /// names may be sent again.
    pub async fn acknowledge(
        &self,
        name: &SubscriptionName,
        ack_ids: &[String],
    ) -> Result<AckResult, DrainError> {
        let drainer = self.shared.drainer(name)?;
        let (shared, one, ids) = (Arc::clone(&self.shared), Arc::clone(&drainer), ack_ids.to_vec());
        let (result, ticket) = blocking(move || shared.acknowledge(&one, &ids)).await??;
        drainer.write(&self.shared.store, ticket, true).await?;
        if ack_ids.iter().any(|id| NoticeId::parse(id).is_some()) {
            self.shared.notices_purge.is_due();
        }
        // Where the budget is spent, senders wait for just this.
        self.shared.release();
        drainer.publish();
        drainer.bell.notify_waiters();
        Ok(result)
    }

    /// Lets leases last `lasting` from now, at most 600 s; 0 gives their batches back at once.
    ///
    /// # Errors
    /// If there is no such subscription, `lasting` is too long, or the store fails.
    pub async fn modify_deadline(
        &self,
        name: &SubscriptionName,
        ack_ids: &[String],
        lasting: Duration,
    ) -> Result<AckResult, DrainError> {
        if lasting > *Subscription::ACK_DEADLINE.end() {
            return Err(DrainError::Invalid { field: "ack_deadline", rule: "a lease lasts at most 600 s" });
        }
        let drainer = self.shared.drainer(name)?;
        let now = self.shared.clock.now();
        let (result, ticket) = drainer.change(|queue| {
            queue.expire(now);
            let named =
                name_leases(ack_ids, drainer.nonce, |commit, nonce| queue.lease_of(commit, nonce).ok());
            for (_, id, _) in &named.live {
                // Cannot fail: the lease was there a moment ago, under the same lock.
                let _lives = queue.extend(id.commit, id.nonce, now, millis(lasting));
            }
            let notices = named.notices.into_iter().map(|(text, _)| (text.to_owned(), AckFailure::Unknown));
            AckResult {
                done: named.live.len(),
                failures: named.failures.into_iter().chain(notices).collect(),
            }
        })?;
        drainer.write(&self.shared.store, ticket, false).await?;
        drainer.publish();
        if lasting.is_zero() {
            drainer.bell.notify_waiters();
        }
        Ok(result)
    }
}

fn name_leases(
    ack_ids: &[String],
    subscription: u64,
    find: impl Fn(CommitNumber, u64) -> Option<Lease>,
) -> Named<'_> {
    let live = Vec::with_capacity(ack_ids.len());
    let mut named = Named { live, notices: Vec::new(), failures: Vec::new() };
    let mut seen = BTreeSet::new();
    for text in ack_ids {
        if !seen.insert(text.as_str()) {
            continue;
        }
        if let Some(id) = NoticeId::parse(text).filter(|id| id.subscription == subscription) {
            named.notices.push((text, id.number));
            continue;
        }
        let failure = match AckId::parse(text).filter(|id| id.subscription == subscription) {
            None => AckFailure::Unknown,
            Some(id) => match find(id.commit, id.nonce) {
                None => AckFailure::Expired,
                Some(lease) => {
                    named.live.push((text, id, lease));
                    continue;
                }
            },
        };
        named.failures.push((text.clone(), failure));
    }
    named
}

impl Shared {
    /// Reads the registry and, for customers who changed something, the store: not for a runtime thread.
    fn acknowledge(&self, drainer: &Drainer, ids: &[String]) -> Result<(AckResult, Ticket), DrainError> {
        let now = self.clock.now();
        let (named, _) = drainer.change(|queue| {
            queue.expire(now);
            name_leases(ids, drainer.nonce, |commit, nonce| queue.lease_of(commit, nonce).ok())
        })?;
        let mut remainders = Vec::with_capacity(named.live.len());
        let mut unchanged = BTreeMap::new();
        let mut opener = Opener::new(self.store.rotation());
        for (_, id, lease) in &named.live {
            let Cargo { customer, revision, policy, .. } = lease.cargo;
            let known = unchanged.get(&(customer, revision, policy)).copied();
            let same = known.map_or_else(|| self.is_unchanged(&lease.cargo), Ok)?;
            unchanged.insert((customer, revision, policy), same);
            remainders.push(if lease.revoked {
                Remainder::Less
            } else if same {
                Remainder::Whole
            } else {
                self.remainder(drainer, id.commit, &lease.cargo, &mut opener)?
            });
        }
        let (result, ticket) = drainer.change_books(|books| {
            let mut result = AckResult { done: 0, failures: named.failures };
            for (text, number) in named.notices {
                let acknowledged = books.change_notices(|notices| {
                    let changed = notices.acknowledge(number);
                    (changed.is_some(), changed.unwrap_or_default())
                });
                if acknowledged {
                    result.done += 1;
                } else {
                    result.failures.push((text.to_owned(), AckFailure::Expired));
                }
            }
            let queue = &mut books.queue;
            for ((text, AckId { commit, nonce, .. }, lease), remainder) in
                named.live.into_iter().zip(remainders)
            {
                let withdrawn = Some(AckFailure::Withdrawn(commit));
                let (ended, failure) = match remainder {
                    Remainder::Whole => (queue.acknowledge(commit, nonce), None),
                    Remainder::Less => (queue.take_back(commit, nonce), withdrawn),
                    Remainder::Nothing(reason) => (queue.withdraw(commit, nonce, reason), withdrawn),
                };
                // The lease can have ended since it was looked up: a seek, or another acknowledgement.
                match ended.err().map(|_| AckFailure::Expired).or(failure) {
                    None => result.done += 1,
                    Some(failure) => {
                        if matches!(failure, AckFailure::Withdrawn(_)) {
                            self.options.refusals.count_of(Refusal::Withdrawn, lease.cargo.customer);
                        }
                        result.failures.push((text.to_owned(), failure));
                    }
                }
            }
            result
        })?;
        Ok((result, ticket))
    }

    /// Whether nothing that a re-check would look at has changed since the delivery.
    fn is_unchanged(&self, cargo: &Cargo) -> Result<bool, DrainError> {
        if self.policy_number(&self.policy.load()) != cargo.policy {
            return Ok(false);
        }
        let customer = self.customers.get_by_key(cargo.customer)?;
        Ok(customer.is_some_and(|customer| customer.change.revision == cargo.revision))
    }

    /// What of a delivered batch may still be with its drainer. A pause or an audit that began since the delivery
    /// is no reason to give it up: it was rightly received.
    fn remainder(
        &self,
        drainer: &Drainer,
        commit: CommitNumber,
        cargo: &Cargo,
        opener: &mut Opener,
    ) -> Result<Remainder, DrainError> {
        let record = match self.store.read_one(commit)? {
            Some(Entry::Record(record)) => record,
            Some(Entry::Gone { .. }) => return Ok(Remainder::Nothing(SkipReason::Gone)),
            // What cannot be read any more cannot be compared; it will not come again.
            Some(Entry::Damaged { .. }) | None => return Ok(Remainder::Whole),
        };
        let Some((customer, checked)) = self.recheck(drainer, &record.header, &self.policy.load())? else {
            return Ok(Remainder::Nothing(SkipReason::UnknownCustomer));
        };
        let left = match checked.left {
            Ok(left) => left,
            Err(reason) => return Ok(Remainder::Nothing(reason)),
        };
        if left.plan.fingerprint == cargo.plan {
            return Ok(Remainder::Whole);
        }
        let Ok((stored, lowered)) = opener.bring_down(&record, &customer, &left) else {
            return Ok(Remainder::Whole);
        };
        let batch = match &lowered {
            // Another plan, and the same bytes: as they were delivered, if they were delivered as they are.
            Lowered::Same if record.header.plan == cargo.plan => return Ok(Remainder::Whole),
            Lowered::Same => stored.as_slice(),
            Lowered::Less { batch, .. } => batch.body(),
            Lowered::Nothing(_) => return Ok(Remainder::Nothing(SkipReason::Lowered)),
        };
        let some = filter_purpose(batch, drainer.subscription.purpose, &mut Vec::new());
        let is_nothing = some.is_ok_and(|filtered| filtered == Filtered::Nothing);
        Ok(if is_nothing { Remainder::Nothing(SkipReason::Purpose) } else { Remainder::Less })
    }

    /// What holds for a record now, with its customer; `None` if that is not known any more.
    pub(super) fn recheck(
        &self,
        drainer: &Drainer,
        header: &RecordHeader,
        policy: &Policy,
    ) -> Result<Option<(Arc<CustomerEntry>, Rechecked)>, DrainError> {
        let Some(customer) = self.customers.get_by_key(header.customer)? else { return Ok(None) };
        let since = self.histories.since(&self.store, &customer, header.revision)?;
        let (subscription, caps) = (&drainer.subscription, &self.options.global_caps);
        let checked = recheck(header, subscription, &since.choices(), policy, caps);
        Ok(Some((customer, checked)))
    }
}
