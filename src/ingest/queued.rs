//! A batch that is in the store's queue, until the store has answered: what its sender is told then, and what is counted.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::meters::Meters;
use super::receipt::Receipt;
use super::refusal::{Refusal, UNAVAILABLE};
use super::told::Reckoning;
use crate::observe::Metric;
use crate::store::{self, AppendError, Appended};

/// A batch that will be stored or refused, and what is told and counted of it then.
pub(super) struct Queued {
    pub answer: store::Queued,
    pub receipt: Receipt,
    pub reckoning: Reckoning,
    pub meters: Arc<Meters>,
}

impl Queued {
    /// Waits for the store. What is queued will be stored, so it is counted also when the caller goes away: only then by a
    /// task of its own, because a task and a change of tasks cost every small request. There are never more of them than
    /// commands in the queue and in the group that is being written.
    ///
    /// `None` if the batch is to be decided anew.
    pub(super) async fn settled(self) -> Result<Option<Receipt>, Refusal> {
        Heeded(Some(self)).settled().await
    }

    fn settle(self, answer: Result<Appended, AppendError>) -> Result<Option<Receipt>, Refusal> {
        settle(answer, self.receipt, (&self.reckoning, &self.meters))
    }
}

/// One whose caller waits for it, as far as that is known.
struct Heeded(Option<Queued>);

impl Heeded {
    async fn settled(mut self) -> Result<Option<Receipt>, Refusal> {
        let answer = match &mut self.0 {
            Some(queued) => queued.answer.answer().await,
            None => Err(AppendError::Closed),
        };
        self.0.take().ok_or(UNAVAILABLE)?.settle(answer)
    }
}

impl Drop for Heeded {
    fn drop(&mut self) {
        let Some(mut queued) = self.0.take() else { return };
        // Without a runtime the process is at its end, and nothing is counted any more.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let answer = queued.answer.answer().await;
                queued.settle(answer)
            });
        }
    }
}

/// What the sender is told when the store has answered. Counts what was stored.
fn settle(
    answer: Result<Appended, AppendError>,
    mut receipt: Receipt,
    (reckoning, meters): (&Reckoning, &Meters),
) -> Result<Option<Receipt>, Refusal> {
    match answer {
        Ok(Appended::Stored { last }) => receipt.commit = last,
        Ok(Appended::Duplicate { last, receipt: short }) => {
            Metric::Duplicates.add(&[], 1);
            let first = Receipt::from_short(&short, last).ok_or(UNAVAILABLE)?;
            let Receipt { places, places_truncated, plan, .. } = receipt;
            return Ok(Some(Receipt { places, places_truncated, plan, ..first }));
        }
        Ok(Appended::Conflict) => return Err(Refusal::Conflict),
        Err(error) => return refused(error).map_or(Ok(None), Err),
    }
    reckoning.count(&receipt, meters);
    Ok(Some(receipt))
}

/// `None` if the batch is to be decided anew.
pub(super) const fn refused(error: AppendError) -> Option<Refusal> {
    match error {
        AppendError::Stale => None,
        AppendError::Full { retry_after } => Some(Refusal::Full { retry_after }),
        AppendError::Busy { retry_after } => Some(Refusal::Busy { retry_after }),
        AppendError::Failed | AppendError::Closed => Some(UNAVAILABLE),
    }
}
