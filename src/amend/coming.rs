//! A policy that was taken over and is not brought to what is stored yet: what it will take from it is counted and told,
//! while there is time to put the one before back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{AmendError, Shared, blocking};
use crate::model::{CommitNumber, CustomerKey};
use crate::policy::Policy;
use crate::store::Scan;

/// Places that are looked at in one piece of work, and headers that are judged in it.
const PIECE: (u64, usize) = if cfg!(test) { (16, 4) } else { (16_384, 4_096) };

/// What a policy will do.
#[derive(Debug, Default, PartialEq, Eq)]
struct Coming {
    /// Batches of which it leaves nothing.
    removed: u64,
    /// Batches that another plan holds for. Whether less is left of them is not known before they are opened.
    lowered: u64,
    /// Whose they are.
    customers: BTreeSet<CustomerKey>,
}

impl Shared {
    /// The policy in force; takes note of it, if it is another one than before.
    pub(super) fn policy_in_force(&self) -> Arc<Policy> {
        let (policy, now) = (self.policy.load(), self.clock.now());
        if self.settling.note(&policy, now) {
            self.waiting.later(now);
            self.bell.notify_one();
        }
        policy
    }

    /// Has what is stored follow the policy in force, if it is time; tells what is to come if it is not.
    pub(super) async fn follow_policy(self: &Arc<Self>) -> Result<(), AmendError> {
        self.policy_in_force();
        if self.settling.settle(self.clock.now()) {
            self.waiting.now();
            tracing::info!("what is stored follows the policy from now on");
        }
        if let Some(row) = self.settling.unwritten() {
            self.store.write_meta(vec![row.put()?], true).await?;
            self.settling.written(&row);
        }
        while let Some(policy) = self.settling.uncounted() {
            let coming = self.count_coming(&policy).await?;
            if self.settling.counted(&policy) {
                self.tell_coming(&policy, &coming);
            }
        }
        Ok(())
    }

    fn tell_coming(&self, policy: &Policy, coming: &Coming) {
        let Coming { removed, lowered, customers } = coming;
        let Some((_, left)) = self.settling.waits(self.clock.now()) else { return };
        if removed.saturating_add(*lowered) > 0 {
            tracing::warn!(
                policy = policy.version(),
                removed,
                rewritten = lowered,
                customers = customers.len(),
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
            let Some(is_removed) = judge.comes_to_less(&at.header)? else { continue };
            coming.removed = coming.removed.saturating_add(u64::from(is_removed));
            coming.lowered = coming.lowered.saturating_add(u64::from(!is_removed));
            coming.customers.insert(at.header.customer);
        }
        Ok((scanned.next, coming))
    }
}
