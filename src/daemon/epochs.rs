//! The upkeep of key epochs: bridges end, and ratchets move forward when an epoch has passed. What moved cannot be
//! brought back, so a clock that is wrong for a while must not move anything. One that was wrong for long enough to be
//! believed did: its customers get new keys of the epochs before, once the right time has held for as long.

use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::ledger::{Entry, Fact};
use crate::model::UnixMillis;
use crate::observe::{Clock, Metric};
use crate::store::{Customers, MetaOp, Ratcheted, StoreError};

/// How often it is looked at.
const ROUND: Duration = Duration::from_mins(1);
/// How old an epoch is when ratchets are moved for it: what came in before it has been stored by then.
const GRACE_MS: i64 = 5 * 60_000;
/// For how many rounds the clock must not have been put back before it is believed that keys stand ahead of it: an hour.
const HELD: u32 = 60;

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
            round = watch.round(&customers, &clock) => round,
        };
        match round {
            Ok(Round::Looked) => Metric::KeyUpkeep.set_time(clock.now()),
            Ok(Round::Waited) => {}
            Err(error) => tracing::warn!(%error, "upkeep of key epochs failed; it is tried again"),
        }
    }
}

/// What came of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// Everything that is due was done.
    Looked,
    /// Nothing was looked at: the clock may not be believed yet.
    Waited,
}

/// What was done.
#[derive(Debug, Default)]
struct Watch {
    /// The epoch that every ratchet was moved for.
    done: Option<u32>,
    /// The time that was believed in the last round, and for how many rounds it was not put back.
    last: Option<UnixMillis>,
    held: u32,
    /// Whether every customer has keys of what the clock shows since it was put back.
    reached: bool,
}

impl Watch {
    async fn round(&mut self, customers: &Customers, clock: &Clock) -> Result<Round, StoreError> {
        let rotation = customers.store().rotation();
        let Some(settled) = clock.settled(rotation.length()) else { return Ok(Round::Waited) };
        let time = clock.now();
        let entry = |fact| MetaOp::Ledger(Entry { at: time, fact }.to_bytes());
        let erased =
            |customer, epoch: u32| vec![entry(Fact::BridgeErased { customer, from_epoch: epoch.into() })];
        customers.end_bridges(settled, erased).await?;
        self.reach_back(customers, settled).await?;
        let epoch = rotation.epoch(settled.plus_ms(-GRACE_MS));
        if self.done != Some(epoch) {
            let ratcheted = |moved: &Ratcheted| {
                let Ratcheted { first, last, customers, oldest_epoch } = *moved;
                let oldest_epoch = oldest_epoch.into();
                vec![entry(Fact::RatchetsMoved { first, last, customers, oldest_epoch })]
            };
            let moved = customers.move_ratchets(epoch, ratcheted).await?;
            if !moved.more {
                self.done = Some(epoch);
            }
            if moved.customers > 0 {
                tracing::info!(customers = moved.customers, epoch, "keys of past epochs were destroyed");
            }
        }
        Ok(Round::Looked)
    }

    /// Looks once, some time after a start or after the clock was put back, for customers whose keys stand ahead of it.
    async fn reach_back(&mut self, customers: &Customers, settled: UnixMillis) -> Result<(), StoreError> {
        if self.last.is_some_and(|last| settled < last) {
            (self.held, self.reached) = (0, false);
        }
        self.last = Some(settled);
        self.held = self.held.saturating_add(1);
        if self.reached || self.held < HELD {
            return Ok(());
        }
        let epoch = customers.store().rotation().epoch(settled);
        let reached = customers.reach_back(epoch).await?;
        self.reached = true;
        if reached > 0 {
            tracing::warn!(
                customers = reached,
                epoch,
                "keys stood ahead of the clock: there are new ones until then"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use crate::daemon::rooms_tests::{Rooms, START, acme};
    use crate::model::CustomerKey;
    use crate::store::{Bridge, KeyOp};

    const MINUTE: i64 = 60_000;

    /// Lets minutes pass, with a round in each; gives what is left: the bridges, and the oldest epoch with keys.
    async fn minutes(rooms: &Rooms, watch: &mut Watch, customer: CustomerKey, count: i64) -> (usize, u32) {
        for _ in 0..count {
            rooms.clock.advance_ms(MINUTE);
            let is_believed = rooms.clock.settled(rooms.store.rotation().length()).is_some();
            let expected = if is_believed { Round::Looked } else { Round::Waited };
            let round = watch.round(&rooms.customers, &rooms.clock).await.unwrap();
            assert_eq!(round, expected, "only a round that looked is told as one");
        }
        let entry = rooms.customers.get_by_key(customer).unwrap().unwrap();
        (rooms.store.bridges(None).unwrap().len(), entry.secret.ratchet().epoch())
    }

    /// covers: P4 D1
    #[tokio::test(flavor = "multi_thread")]
    async fn keys_are_destroyed_when_their_time_has_passed_and_not_by_a_clock_that_is_wrong_for_a_while() {
        let home = tempfile::tempdir().unwrap();
        let rooms = Rooms::open(home.path()).await;
        rooms.participate(acme(), "standard").await;
        let entry = rooms.customers.get(&acme()).unwrap().unwrap();
        let (customer, first) = (entry.key, entry.secret.ratchet().epoch());
        let rotation = rooms.store.rotation();
        let length = i64::try_from(rotation.length().as_millis()).unwrap();
        let bridge = Bridge {
            customer,
            epoch: first,
            seed: entry.secret.ratchet().seed(first).unwrap(),
            made: START,
            until: START.plus_ms(120 * MINUTE),
            by: "ops".into(),
            reason: "a test".into(),
        };
        drop(entry);
        rooms.store.write_meta(vec![MetaOp::Key(KeyOp::Bridge(bridge))], true).await.unwrap();

        let mut watch = Watch::default();
        assert_eq!(watch.round(&rooms.customers, &rooms.clock).await.unwrap(), Round::Waited, "just started");
        // Just started, with a clock that is a year ahead, for less than an hour.
        rooms.clock.set_ahead_ms(12 * length);
        assert_eq!(minutes(&rooms, &mut watch, customer, 58).await, (1, first));
        rooms.clock.set_ahead_ms(-12 * length);
        assert_eq!(minutes(&rooms, &mut watch, customer, 40).await, (1, first));
        // And again, later on.
        rooms.clock.set_ahead_ms(12 * length);
        assert_eq!(minutes(&rooms, &mut watch, customer, 2).await, (1, first));
        rooms.clock.set_ahead_ms(-12 * length);
        assert_eq!(minutes(&rooms, &mut watch, customer, 19).await, (1, first), "two hours less a minute");
        assert_eq!(minutes(&rooms, &mut watch, customer, 1).await, (0, first), "two hours: the bridge ends");
        // An epoch later, by both clocks.
        let next = rotation.next(rooms.clock.now()).ms_since(rooms.clock.now());
        rooms.clock.advance_ms(next);
        assert_eq!(minutes(&rooms, &mut watch, customer, 4).await, (0, first));
        assert_eq!(minutes(&rooms, &mut watch, customer, 1).await, (0, first + 1), "once an epoch");
        assert_eq!(minutes(&rooms, &mut watch, customer, 90).await, (0, first + 1));
        rooms.close().await;
    }

    /// covers: P4 D1
    #[tokio::test(flavor = "multi_thread")]
    async fn keys_that_a_wrong_clock_moved_ahead_are_kept_and_there_are_others_until_then() {
        let home = tempfile::tempdir().unwrap();
        let rooms = Rooms::open(home.path()).await;
        rooms.participate(acme(), "standard").await;
        let rotation = rooms.store.rotation();
        let length = i64::try_from(rotation.length().as_millis()).unwrap();
        let ratchet = || rooms.customers.get(&acme()).unwrap().unwrap().secret.ratchet().clone();
        let customer = rooms.customers.get(&acme()).unwrap().unwrap().key;
        let mut watch = Watch::default();
        // Ahead for so long that it is believed.
        rooms.clock.set_ahead_ms(12 * length);
        minutes(&rooms, &mut watch, customer, 61).await;
        let ahead = ratchet();
        let now = rotation.epoch(START);
        assert!(ahead.epoch() > now, "{ahead:?} is ahead of {now}");
        // It is put right: for an hour nothing is done, for it might as well be wrong now.
        rooms.clock.set_ahead_ms(-12 * length);
        assert_eq!(minutes(&rooms, &mut watch, customer, 59).await, (0, ahead.epoch()));
        assert!(ratchet().seed(now).is_none());
        assert_eq!(minutes(&rooms, &mut watch, customer, 1).await, (0, now - 2));
        let both = ratchet();
        assert!(both.extends(&ahead) && both.seed(now).is_some());
        assert_eq!(both.seed(ahead.epoch() + 1), ahead.seed(ahead.epoch() + 1), "what was derived stays");
        assert_eq!(minutes(&rooms, &mut watch, customer, 90).await, (0, now - 2));
        assert_eq!(ratchet(), both, "once");
        // An epoch passes, and then the time comes at which they stand.
        rooms.clock.advance_ms(length);
        minutes(&rooms, &mut watch, customer, 6).await;
        assert_eq!((ratchet().epoch(), ratchet().seed(now)), (now - 1, both.seed(now)));
        rooms.clock.advance_ms(13 * length);
        minutes(&rooms, &mut watch, customer, 6).await;
        assert_eq!(ratchet(), ahead.forward(now + 12));
        rooms.close().await;
    }
}
