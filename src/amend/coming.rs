//! A policy that was taken over and is not brought to what is stored yet: what it will take from it is counted and told,
//! while there is time to put the one before back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::due::{Due, Judge};
use super::settling::Follow;
use super::waiting::Who;
use super::{AmendError, Shared, blocking};
use crate::model::{CommitNumber, CustomerKey};
use crate::policy::Policy;
use crate::store::{HeaderAt, Scan};

/// Places that are looked at in one piece of work, and headers that are judged in it.
const PIECE: (u64, usize) = if cfg!(test) { (16, 4) } else { (16_384, 4_096) };

/// Batches that are opened of those that were made by one plan and that another one holds for: to see whether that leaves
/// less, without opening all of them.
const OPENED: u64 = 16;

/// What a policy will do.
#[derive(Debug, Default)]
struct Coming {
    /// Batches of which it leaves nothing.
    removed: Batches,
    /// The others that another plan holds for, by the plan that they were made by and that one.
    others: BTreeMap<([u8; 8], [u8; 8]), Others>,
}

/// Batches, and whose they are.
#[derive(Debug, Default)]
struct Batches {
    batches: u64,
    customers: BTreeSet<CustomerKey>,
}

/// Batches of a pair of plans.
#[derive(Debug, Default)]
struct Others {
    all: Batches,
    opened: u64,
    is_less: bool,
}

impl Batches {
    fn add(&mut self, customer: CustomerKey) {
        self.batches = self.batches.saturating_add(1);
        self.customers.insert(customer);
    }
}

impl Coming {
    fn add(&mut self, judge: &mut Judge<'_>, at: &HeaderAt) -> Result<(), AmendError> {
        let (customer, made_by) = (at.header.customer, at.header.plan);
        match judge.plan_of(&at.header)? {
            None => self.removed.add(customer),
            Some(plan) if plan == made_by => {}
            Some(plan) => {
                let others = self.others.entry((made_by, plan)).or_default();
                others.all.add(customer);
                if !others.is_less && others.opened < OPENED {
                    others.opened = others.opened.saturating_add(1);
                    others.is_less = matches!(judge.due(at)?, Due::Change(_));
                }
            }
        }
        Ok(())
    }

    /// Batches of which less is left, and how many customers there are of these and of those of which nothing is.
    fn sum(self) -> (u64, usize) {
        let (mut lowered, mut customers) = (0_u64, self.removed.customers);
        for others in self.others.into_values().filter(|others| others.is_less) {
            lowered = lowered.saturating_add(others.all.batches);
            customers.extend(others.all.customers);
        }
        (lowered, customers.len())
    }
}

impl Shared {
    /// The policy in force; takes note of it, if it is another one than before.
    pub(super) fn policy_in_force(&self) -> Arc<Policy> {
        let policy = self.policy.load();
        if self.settling.note(&policy) {
            self.waiting.later(self.clock.steady());
            self.bell.notify_one();
        }
        policy
    }

    /// Has what is stored follow the policy in force, if it is time; tells what is to come if it is not.
    pub(super) async fn follow_policy(self: &Arc<Self>) -> Result<(), AmendError> {
        self.policy_in_force();
        match self.settling.settle() {
            Follow::Whole => {
                self.waiting.now();
                tracing::info!("what is stored follows the policy from now on");
            }
            Follow::Agreed => {
                self.waiting.look();
                tracing::warn!(
                    "the policy changes before it has been in force for long enough: what is stored follows what every \
                     policy of late has in common"
                );
            }
            Follow::Not => {}
        }
        self.settling.has_moved();
        if let Some(row) = self.settling.unwritten() {
            self.store.write_meta(vec![row.put()?], true).await?;
            self.settling.written(&row);
        }
        while let Some(policy) = self.settling.uncounted() {
            let coming = self.count_coming(&policy).await?;
            if self.settling.counted(&policy) {
                self.tell_coming(&policy, coming);
            }
        }
        Ok(())
    }

    /// A look at the records of `who` has come to its end.
    pub(super) fn followed(&self, who: &Who) {
        if *who == Who::Everybody
            && let Some(since) = self.settling.followed()
        {
            self.waiting.later_from(since);
        }
    }

    fn tell_coming(&self, policy: &Policy, coming: Coming) {
        let removed = coming.removed.batches;
        let (lowered, customers) = coming.sum();
        let left = self.settling.left().unwrap_or_default();
        if removed.saturating_add(lowered) == 0 {
            tracing::info!(
                policy = policy.version(),
                "the policy that was taken over takes nothing from what is queued"
            );
        } else {
            tracing::warn!(
                policy = policy.version(),
                removed,
                rewritten = lowered,
                customers,
                in_seconds = left.as_secs(),
                "the policy that was taken over takes from what is queued: what leaves is bound by it now, what is stored \
                 will be; until then, nothing of it is lost if the policy before is put back"
            );
        }
    }

    async fn count_coming(self: &Arc<Self>, policy: &Arc<Policy>) -> Result<Coming, AmendError> {
        let (mut coming, upto) = (Coming::default(), self.store.head());
        let mut from = self.store.oldest();
        while from <= upto {
            let (shared, policy) = (Arc::clone(self), Arc::clone(policy));
            let piece =
                blocking(move || shared.count_piece_of_coming(&policy, (from, upto), coming)).await??;
            let next = piece.0;
            coming = piece.1;
            if next <= from {
                break;
            }
            from = next;
        }
        Ok(coming)
    }

    fn count_piece_of_coming(
        &self,
        policy: &Policy,
        (from, to): (CommitNumber, CommitNumber),
        mut coming: Coming,
    ) -> Result<(CommitNumber, Coming), AmendError> {
        if self.closing.load(Ordering::Acquire) {
            return Err(AmendError::Stopped);
        }
        let (places, headers) = PIECE;
        let scanned = self.store.scan(Scan { customer: None, from, to, places, headers })?;
        let mut judge = self.judge_by(policy);
        for at in &scanned.found {
            coming.add(&mut judge, at)?;
        }
        Ok((scanned.next, coming))
    }
}
