//! Telling drainers to delete what they have received: to whom it goes, and who has done it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::drainer::Drainer;
use super::notice::Notice;
use super::received::Mark;
use super::{Drain, DrainError, Shared, blocking, table};
use crate::model::{CommitNumber, CustomerKey, ErasureId, ProgramName, Subscription};
use crate::policy::{Level, Policy};
use crate::store::{MetaRow, MetaTable};

impl Drain {
    /// Gives a notice to every subscription that had received data of the customer: durable when it answers. To
    /// ask twice for the same erasure tells nobody twice. Gives how many subscriptions were told, now or before.
    ///
    /// Whoever calls has fenced the erasure before: what is delivered while this works is not told of.
    ///
    /// # Errors
    /// If the notice is too long, or the store fails; then it is to be asked for again.
    pub async fn notify(&self, customer: CustomerKey, notice: Notice) -> Result<usize, DrainError> {
        if let Some((field, rule)) = notice.fault() {
            return Err(DrainError::Invalid { field, rule });
        }
        let (shared, policy) = (&self.shared, self.shared.policy.load());
        let mut told = 0;
        for drainer in shared.all_drainers() {
            let of = &drainer.subscription;
            let notice = match shared.has_received(&drainer, customer).await? {
                Had::Something => notice.addressed(|program| may_receive(&policy, of, program)),
                // It is told what it can have received, and no more: it may have received nothing.
                Had::Perhaps
                    if notice.leaves.keys().any(|program| may_have(&policy, of, program, &notice)) =>
                {
                    notice.addressed(|program| may_have(&policy, of, program, &notice))
                }
                Had::Perhaps | Had::Nothing => continue,
            };
            let notice = Arc::new(notice);
            let changed = drainer.change_books(|books| {
                books.change_notices(|notices| ((), notices.add(customer, Arc::clone(&notice))));
            });
            // Deleted meanwhile: nobody is left to tell.
            let Ok(((), ticket)) = changed else { continue };
            drainer.write(&shared.store, ticket, true).await?;
            drainer.bell.notify_waiters();
            told += 1;
        }
        Ok(told)
    }

    /// How many subscriptions were told of an erasure, and how many of them have acknowledged it. Those that were
    /// deleted since do not count, nor what was acknowledged so long ago that it is forgotten
    /// ([`super::Options::max_notices`]).
    #[must_use]
    pub fn notices_acknowledged(&self, erasure: ErasureId) -> (usize, usize) {
        let fates = self.shared.all_drainers();
        let fates =
            fates.iter().filter_map(|drainer| drainer.look_books(|books| books.notices.fate(erasure)));
        fates.fold((0, 0), |(told, acknowledged), fate| (told + 1, acknowledged + usize::from(fate)))
    }

    /// Takes note that stored batches were erased, whole or in part: whoever holds a lease of one is told to delete
    /// what was delivered when it acknowledges, and what is left is delivered again. Durable when it answers. Gives
    /// how many leases that concerns.
    ///
    /// # Errors
    /// If the store fails; then it is to be asked for again.
    pub async fn revoke(&self, commits: &BTreeSet<CommitNumber>) -> Result<usize, DrainError> {
        let mut leases = 0;
        for drainer in self.shared.all_drainers() {
            // Deleted meanwhile: its leases went with it.
            let Ok((revoked, ticket)) = drainer.change(|queue| queue.revoke(commits)) else { continue };
            if revoked > 0 {
                drainer.write(&self.shared.store, ticket, true).await?;
            }
            leases += revoked;
        }
        Ok(leases)
    }

    /// The batches of a customer that some subscription has leased. Bounded as leases are.
    #[must_use]
    pub fn leased_of(&self, customer: CustomerKey) -> BTreeSet<CommitNumber> {
        let mut leased = BTreeSet::new();
        for drainer in self.shared.all_drainers() {
            drainer.look(|queue| leased.extend(queue.leased_of(customer)));
        }
        leased
    }

    /// How many leases there are of what was delivered of a customer before `revision` of its participation. Those
    /// of them that the revision lowers are refused at their acknowledgement.
    #[must_use]
    pub fn leased_before(&self, customer: CustomerKey, revision: u64) -> usize {
        let drainers = self.shared.all_drainers();
        drainers.iter().map(|drainer| drainer.look(|queue| queue.leased_before(customer, revision))).sum()
    }
}

/// Whether a subscription may have received data of a program. Of a program that the policy does not have any more,
/// nobody knows.
fn may_receive(policy: &Policy, subscription: &Subscription, program: &ProgramName) -> bool {
    let is_wanted = subscription.programs.is_empty() || subscription.programs.contains(program);
    let allows = |level: &Level| level.purposes().has(subscription.purpose);
    is_wanted && policy.program(program.as_str()).is_none_or(|known| known.levels().iter().any(allows))
}

/// Whether a subscription may have received data of a program of the customer of a notice, as the levels that it ever
/// chose allow.
fn may_have(policy: &Policy, subscription: &Subscription, program: &ProgramName, notice: &Notice) -> bool {
    let leaves = notice.leaves.get(program);
    leaves.is_some_and(|purposes| purposes.contains(&subscription.purpose))
        && may_receive(policy, subscription, program)
}

/// The number that stands for every customer of before a restore.
const EVERYBODY: CustomerKey = CustomerKey(0);

/// The row that says that a subscription may have received data of every customer below a number.
pub(super) fn perhaps(subscription: u64, below: CustomerKey) -> MetaRow {
    let mark = Mark { first: CommitNumber(0), last: CommitNumber(below.0) };
    (Mark::key(subscription, EVERYBODY), mark.row())
}

/// What a subscription has received of a customer.
enum Had {
    Something,
    /// A backup was put back, and nobody knows.
    Perhaps,
    Nothing,
}

impl Shared {
    /// Whether a batch of the customer was ever delivered to a subscription.
    async fn has_received(
        self: &Arc<Self>,
        drainer: &Arc<Drainer>,
        customer: CustomerKey,
    ) -> Result<Had, DrainError> {
        // After this, every delivery that was chosen before is either marked or not handed out yet.
        if drainer.look_settled(|books| books.marks.unknown([customer].into_iter()).0.is_empty()).await {
            return Ok(Had::Something);
        }
        let (store, number) = (self.store.clone(), drainer.nonce);
        let read = blocking(move || {
            let read = |customer| -> Result<Option<Mark>, DrainError> {
                let row = store.meta(MetaTable::Received, &Mark::key(number, customer))?;
                row.map(|row| Mark::read(&row).map_err(table::fault)).transpose()
            };
            Ok::<_, DrainError>((read(customer)?, read(EVERYBODY)?))
        });
        Ok(match read.await?? {
            (Some(_), _) => Had::Something,
            (None, Some(below)) if customer.0 < below.last.0 => Had::Perhaps,
            (None, _) => Had::Nothing,
        })
    }
}
