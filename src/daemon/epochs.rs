//! The upkeep of key epochs: bridges end, and ratchets move forward when an epoch has passed. What moved cannot be
//! brought back, so a clock that is wrong for a while must not move anything.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::error::with_causes;
use crate::ledger::{Entry, Fact};
use crate::observe::{Clock, Metric};
use crate::store::{Customers, MetaOp, Place, Ratcheted, StoreError};

/// How often it is looked at.
const ROUND: Duration = Duration::from_mins(1);
/// How long the clock must have shown an epoch, without a break, before ratchets are moved for it. A clock that was
/// wrong at the start of the machine has been put right by then.
const SETTLED: Duration = Duration::from_hours(1);

/// Looks after key epochs until `shutdown`.
pub(super) async fn run(customers: Customers, clock: Clock, shutdown: CancellationToken) {
    let mut rounds = tokio::time::interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watch = Watch::default();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = rounds.tick() => {}
        }
        let round = tokio::select! {
            // What a round has done by then stays; the next start goes on.
            () = shutdown.cancelled() => return,
            round = watch.round(&customers, &clock, Instant::now()) => round,
        };
        match round {
            Ok(()) => Metric::KeyUpkeep.set_time(clock.now()),
            Err(error) => tracing::warn!(%error, "upkeep of key epochs failed; it is tried again"),
        }
    }
}

/// What was seen of the clock, and what was done.
#[derive(Debug, Default)]
struct Watch {
    /// The epoch that the clock shows, and since when.
    seen: Option<(u32, Instant)>,
    /// The epoch that every ratchet was moved for.
    done: Option<u32>,
    /// Whether nothing is in files any more of what was destroyed. At a start that is not known.
    purged: bool,
}

impl Watch {
    /// Whether ratchets are to be moved now that the clock shows `epoch`. Pure but for what it remembers.
    fn is_due(&mut self, epoch: u32, now: Instant) -> bool {
        let since = match self.seen {
            Some((seen, since)) if seen == epoch => since,
            Some(_) | None => {
                self.seen = Some((epoch, now));
                now
            }
        };
        self.done != Some(epoch) && now.saturating_duration_since(since) >= SETTLED
    }

    async fn round(&mut self, customers: &Customers, clock: &Clock, now: Instant) -> Result<(), StoreError> {
        let time = clock.now();
        let entry = |fact| MetaOp::Ledger(Entry { at: time, fact }.to_bytes());
        let erased =
            |customer, epoch: u32| vec![entry(Fact::BridgeErased { customer, from_epoch: epoch.into() })];
        let ended = customers.end_bridges(time, erased).await?;
        self.purged &= ended == 0;
        let epoch = customers.store().rotation().epoch(time);
        if self.is_due(epoch, now) {
            let ratcheted = |moved: &Ratcheted| {
                let Ratcheted { first, last, customers, oldest_epoch } = *moved;
                let oldest_epoch = oldest_epoch.into();
                vec![entry(Fact::RatchetsMoved { first, last, customers, oldest_epoch })]
            };
            let moved = customers.move_ratchets(epoch, ratcheted).await?;
            self.purged &= moved.customers == 0;
            if !moved.more {
                self.done = Some(epoch);
            }
            if moved.customers > 0 {
                tracing::info!(customers = moved.customers, epoch, "keys of past epochs were destroyed");
            }
        }
        // Not before the first round that is due: a start has better things to do.
        if !self.purged && self.done.is_some() {
            self.purged = purge(customers).await;
        }
        Ok(())
    }
}

/// Takes the states and bridges that were destroyed out of every file. What is left is tried again next round.
async fn purge(customers: &Customers) -> bool {
    let store = customers.store().clone();
    let purged = tokio::task::spawn_blocking(move || store.purge(&[Place::Keys], &mut |_| {})).await;
    match purged {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => {
            tracing::warn!(
                error = with_causes(&error),
                "keys of past epochs may still be in files; it is tried again"
            );
            false
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ratchets_move_once_an_epoch_and_only_when_the_clock_has_settled() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let hours = |n: u64| start + Duration::from_hours(n);
        assert!(!watch.is_due(7, start), "just started");
        assert!(watch.is_due(7, hours(1)));
        assert!(watch.is_due(7, hours(2)), "not done yet");
        watch.done = Some(7);
        assert!(!watch.is_due(7, hours(3)));
        // A clock that jumps far ahead for less than an hour, and back.
        assert!(!watch.is_due(900, hours(4)));
        assert!(!watch.is_due(900, hours(4) + Duration::from_mins(59)));
        assert!(!watch.is_due(7, hours(5)));
        assert!(!watch.is_due(8, hours(6)), "the next epoch has just begun");
        assert!(watch.is_due(8, hours(7)));
    }
}
