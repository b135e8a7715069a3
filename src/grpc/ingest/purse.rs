//! What pays for a request: the budget of the connection that it came over, and the part that its
//! customer has in what all share. Nothing is read that was not paid for.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::grpc::door::{Reservation, Share};
use crate::grpc::status::{Cause, Fault};
use crate::ingest::fair::{Account, Held, Kind, OverPart};

/// When a refused sender is asked to come back at the soonest.
const RETRY: Duration = Duration::from_millis(200);

/// The least that a message is charged: what handling a small one takes besides its bytes.
const LEAST: usize = 4 * 1024;

/// How often one who waits for its part looks again: what others give back counts, too.
const LOOK: Duration = Duration::from_millis(25);

/// What to do while there is no room.
#[derive(Debug, Clone, Copy)]
pub(super) enum WhenSpent {
    /// Refuse at once: the sender comes again.
    Refuse,
    /// Wait so long and let flow control hold the sender, then refuse.
    Wait(Duration),
}

/// Pays for the requests of one call.
#[derive(Debug, Clone)]
pub(super) struct Purse {
    share: Share,
    account: Option<Arc<Account>>,
}

/// What was paid; given back when dropped.
#[derive(Debug)]
pub(super) struct Paid {
    reservation: Reservation,
    held: Option<Held>,
}

impl Paid {
    /// Takes over what `more` holds, which must be of the same purse.
    pub(super) fn add(&mut self, more: Self) {
        self.reservation.add(more.reservation);
        match (self.held.as_mut(), more.held) {
            (Some(held), Some(more)) => held.add(more),
            (_, more) => self.held = self.held.take().or(more),
        }
    }

    /// Gives back what is more than `bytes`.
    pub(super) fn keep(&mut self, bytes: usize) {
        self.reservation.keep(bytes);
        if let Some(held) = self.held.as_mut() {
            held.keep(bytes);
        }
    }
}

impl Purse {
    /// Pays from `share` and from the part of the customer, if it has one.
    pub(super) const fn new(share: Share, account: Option<Arc<Account>>) -> Self {
        Self { share, account }
    }

    /// The least that a message costs.
    pub(super) fn least(&self) -> usize {
        LEAST.min(self.share.whole())
    }

    /// Pays for `bytes` of memory.
    pub(super) async fn bytes(&self, bytes: usize, when_spent: WhenSpent) -> Result<Paid, Fault> {
        let held = match &self.account {
            Some(account) => Some(take(account, Kind::Bytes, bytes, when_spent).await?),
            None => None,
        };
        let bytes = u32::try_from(bytes).map_err(|_| spent())?;
        let reservation = match when_spent {
            WhenSpent::Refuse => self.share.take(bytes),
            WhenSpent::Wait(patience) => timeout(patience, self.share.wait(bytes)).await.ok().flatten(),
        };
        Ok(Paid { reservation: reservation.ok_or_else(spent)?, held })
    }

    /// A place for one more batch, if the customer has not sent more than it may.
    pub(super) async fn place(&self, when_spent: WhenSpent) -> Result<Option<Held>, Fault> {
        let Some(account) = &self.account else { return Ok(None) };
        let begun = Instant::now();
        while let Some(wait) = account.wait() {
            match when_spent {
                WhenSpent::Wait(patience) if begun.elapsed().saturating_add(wait) <= patience => {
                    sleep(wait).await;
                }
                WhenSpent::Wait(_) | WhenSpent::Refuse => return Err(account.sends_too_much().into()),
            }
        }
        take(account, Kind::Batches, 1, when_spent).await.map(Some)
    }

    /// Notes that a message has become `bytes`.
    pub(super) fn received(&self, bytes: usize) {
        if let Some(account) = &self.account {
            account.pay(0, bytes);
        }
    }
}

async fn take(
    account: &Arc<Account>,
    kind: Kind,
    count: usize,
    when_spent: WhenSpent,
) -> Result<Held, Fault> {
    if let Some(held) = account.take(kind, count) {
        return Ok(held);
    }
    if let WhenSpent::Wait(patience) = when_spent {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            let _looks_again = timeout(LOOK, account.freed()).await;
            if let Some(held) = account.take(kind, count) {
                return Ok(held);
            }
        }
    }
    Err(account.holds(kind).into())
}

fn spent() -> Fault {
    Fault::of(Cause::NoBytes, "the collector is reading as much as it can hold; try again").spread(RETRY)
}

impl From<OverPart> for Fault {
    fn from(over: OverPart) -> Self {
        let text = over.to_string();
        match over {
            OverPart::Holds { kind: Kind::Bytes, retry_after } => {
                Self::of(Cause::CustomerBytes, text).retry_after(retry_after)
            }
            OverPart::Holds { kind: Kind::Batches | Kind::Calls | Kind::Streams, retry_after } => {
                Self::of(Cause::CustomerRequests, text).retry_after(retry_after)
            }
            OverPart::Events { retry_after } => Self::of(Cause::CustomerEventRate, text)
                .over_quota("events per second")
                .retry_after(retry_after),
            OverPart::Bytes { retry_after } => Self::of(Cause::CustomerByteRate, text)
                .over_quota("bytes per second")
                .retry_after(retry_after),
        }
    }
}
