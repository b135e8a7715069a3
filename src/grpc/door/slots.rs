//! Places for requests: in all, for streams, and for the streams of one connection. Streams stay as
//! long as their callers like, so they get half of each at most: a unary call finds the other half.
//! Callers that have proved nothing get a part of their own ([`super::anyone`]).

use std::sync::Arc;
use std::time::Duration;

use super::anyone::{self, Anyone, Kind};
use super::finish::Finishing;
use super::peer::Peer;
use super::unread::Unread;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::observe::Metric;

/// Places for callers that have proved nothing, on one connection: a client that asks for health needs one.
const STRANGERS: usize = 8;

/// Places that all connections share. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    all: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    anyone: Anyone,
    most: usize,
    finishing: Finishing,
}

/// The places of one connection.
#[derive(Debug)]
pub(super) struct OwnSlots {
    shared: Slots,
    streams: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    peer: Peer,
    calls: TaskTracker,
    unread: Unread,
}

/// A place; free again when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    _all: OwnedSemaphorePermit,
    _stream: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
    _stranger: Option<(OwnedSemaphorePermit, anyone::Place)>,
    _call: TaskTrackerToken,
}

fn part(most: usize, parts: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new((most / parts.max(1)).clamp(1, Semaphore::MAX_PERMITS)))
}

/// Takes a place if one is free now.
fn take(places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(places).try_acquire_owned().ok()
}

impl Slots {
    pub(super) fn new(most: usize) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        let (streams, anyone) = (part(most, 2), Anyone::new(most));
        let finishing = Finishing::default();
        Self { all: Arc::new(Semaphore::new(most)), streams, anyone, most, finishing }
    }

    /// The calls that go on without their callers.
    pub(super) const fn finishing(&self) -> &Finishing {
        &self.finishing
    }

    /// Says how many are taken.
    pub(super) fn tell(&self) {
        let taken = self.most.saturating_sub(self.all.available_permits());
        Metric::RequestsInFlight.set_count(&[], u64::try_from(taken).unwrap_or(u64::MAX));
    }

    /// The places of one new connection of `peer`, which may have `most` requests in flight.
    pub(super) fn of_connection(&self, most: u32, peer: Peer) -> OwnSlots {
        let streams = part(usize::try_from(most).unwrap_or(usize::MAX), 2);
        let (strangers, calls) = (Arc::new(Semaphore::new(STRANGERS)), TaskTracker::new());
        OwnSlots { shared: self.clone(), streams, strangers, peer, calls, unread: Unread::default() }
    }
}

impl OwnSlots {
    /// Takes a place if one is free now.
    pub(super) fn take(&self, is_stream: bool) -> Option<Slot> {
        let stream = if is_stream { Some((take(&self.streams)?, take(&self.shared.streams)?)) } else { None };
        let all = take(&self.shared.all)?;
        Some(Slot { _all: all, _stream: stream, _stranger: None, _call: self.calls.token() })
    }

    /// The same, for a caller that has proved nothing.
    pub(super) fn take_for_stranger(&self, is_stream: bool) -> Option<Slot> {
        let kind = if is_stream { Kind::Watch } else { Kind::Check };
        let stranger = (take(&self.strangers)?, self.shared.anyone.take(kind, self.peer)?);
        self.take(is_stream).map(|slot| Slot { _stranger: Some(stranger), ..slot })
    }

    /// The answers of this connection that its client has not read.
    pub(super) const fn unread(&self) -> &Unread {
        &self.unread
    }

    /// The calls that go on without their callers.
    pub(super) const fn finishing(&self) -> &Finishing {
        &self.shared.finishing
    }

    /// Waits until no request of this connection was in flight at the beginning and the end of `long`.
    pub(super) async fn quiet(&self, long: Duration) {
        self.calls.close();
        loop {
            self.calls.wait().await;
            tokio::time::sleep(long).await;
            if self.calls.is_empty() {
                return;
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    fn peer(n: u8) -> Peer {
        Peer::from(std::net::IpAddr::from([192, 0, 2, n]))
    }

    #[test]
    fn streams_leave_half_of_the_places_to_unary_calls() {
        let slots = Slots::new(8);
        let (greedy, other) = (slots.of_connection(6, peer(1)), slots.of_connection(6, peer(1)));
        let held: Vec<Slot> = (0..3).map(|_| greedy.take(true).unwrap()).collect();
        assert!(greedy.take(true).is_none(), "one connection has half of what it may have");
        let last = other.take(true).unwrap();
        assert!(other.take(true).is_none(), "all streams have half of all places");
        let _unary: Vec<Slot> = (0..4).map(|_| other.take(false).unwrap()).collect();
        assert!(other.take(false).is_none());
        drop((held, last));
        assert!(greedy.take(true).is_some());
    }

    /// covers: B1
    #[test]
    fn those_who_prove_nothing_leave_the_places_to_others() {
        let slots = Slots::new(160);
        let connections: Vec<OwnSlots> = (1..=20).map(|n| slots.of_connection(128, peer(n))).collect();
        let mut held = Vec::new();
        for own in &connections {
            let taken = (0..128).filter_map(|n| own.take_for_stranger(n % 2 == 0));
            held.push(taken.collect::<Vec<Slot>>());
        }
        assert_eq!(held.first().unwrap().len(), 3, "two checks, and one that watches");
        assert_eq!(held.iter().flatten().count(), 30, "an eighth in all, and a sixteenth");
        let known = (0..160).map_while(|_| slots.of_connection(128, peer(1)).take(false));
        assert_eq!(known.collect::<Vec<Slot>>().len(), 130);
        drop(held);
        assert!(connections.iter().all(|own| own.take_for_stranger(true).is_some()));
    }

    #[tokio::test]
    async fn a_connection_is_quiet_when_its_last_call_is_over() {
        let slots = Slots::new(8).of_connection(8, peer(1));
        let held = slots.take(false).unwrap();
        let short = Duration::from_millis(5);
        assert!(tokio::time::timeout(short * 4, slots.quiet(short)).await.is_err());
        drop(held);
        slots.quiet(short).await;
    }
}
