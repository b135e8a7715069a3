//! Telling drainers to delete what they have received: to whom it goes, and who has done it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::notice::Notice;
use super::{Drain, DrainError};
use crate::model::{CommitNumber, CustomerKey, ErasureId};

impl Drain {
    /// Gives a notice to every subscription that had received data of the customer, with the texts of what it had
    /// received: durable when it answers. To
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
        let (shared, mut told) = (&self.shared, 0);
        for drainer in shared.all_drainers() {
            let had = shared.had(&drainer, customer).await?;
            let Some(notice) = had.address(&notice, &drainer.subscription) else { continue };
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

    /// How many subscriptions hold a lease of what was delivered of a batch in another form than the plan of this print
    /// leaves it in (`None`: it leaves nothing). Where that is less, they are refused at their acknowledgement.
    #[must_use]
    pub fn leased_unlike(&self, commit: CommitNumber, plan: Option<[u8; 8]>) -> usize {
        let drainers = self.shared.all_drainers();
        drainers.iter().filter(|drainer| drainer.look(|queue| queue.is_leased_unlike(commit, plan))).count()
    }
}
