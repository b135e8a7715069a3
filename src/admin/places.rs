//! The open connections of a port with few places. Beyond them a new one is not kept waiting: the oldest of the peer that
//! has most of them makes room, so that whoever only holds connections keeps no probe and no scraper out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use crate::grpc::Peer;

/// The places. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Places {
    most: usize,
    open: Arc<Mutex<Open>>,
}

/// By number: the oldest is first.
#[derive(Debug, Default)]
struct Open {
    numbers: u64,
    connections: BTreeMap<u64, (Peer, CancellationToken)>,
}

/// One of them; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    number: u64,
    evicted: CancellationToken,
}

impl Places {
    /// So many, at least one.
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), open: Arc::default() }
    }

    /// Takes a place for a connection from an address; another one may have to go for it. A peer is what it is at the
    /// gRPC door: one host has as many addresses as it likes in its IPv6 network.
    pub(super) fn take(&self, address: IpAddr) -> Place {
        let evicted = CancellationToken::new();
        let mut open = self.open();
        while open.connections.len() >= self.most {
            let Some((_, gone)) = open.first_to_go().and_then(|number| open.connections.remove(&number))
            else {
                break;
            };
            gone.cancel();
        }
        open.numbers = open.numbers.wrapping_add(1);
        let number = open.numbers;
        open.connections.insert(number, (Peer::from(address), evicted.clone()));
        drop(open);
        Place { places: self.clone(), number, evicted }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// The oldest of the peer that has most; of several such peers, the oldest of all.
    fn first_to_go(&self) -> Option<u64> {
        let mut of_peers: BTreeMap<Peer, (usize, u64)> = BTreeMap::new();
        for (number, (peer, _)) in &self.connections {
            of_peers.entry(*peer).or_insert((0, *number)).0 += 1;
        }
        let most = of_peers.values().map(|(count, _)| *count).max()?;
        of_peers.values().filter(|(count, _)| *count == most).map(|(_, oldest)| *oldest).min()
    }
}

impl Place {
    /// Waits until it has to go.
    pub(super) fn evicted(&self) -> WaitForCancellationFuture<'_> {
        self.evicted.cancelled()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.open().connections.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    /// covers: B1
    #[test]
    fn the_oldest_of_the_peer_that_has_most_makes_room_and_there_are_never_more() {
        let places = Places::new(4);
        let mut held: Vec<Place> = [1, 2, 2, 2].map(|n| places.take(ip(n))).into();
        let gone = |held: &[Place]| held.iter().map(|one| one.evicted.is_cancelled()).collect::<Vec<_>>();
        assert_eq!(gone(&held), [false; 4]);
        held.push(places.take(ip(3)));
        assert_eq!(gone(&held), [false, true, false, false, false], "not the oldest of all");
        held.push(places.take(ip(3)));
        assert_eq!(gone(&held), [false, true, true, false, false, false]);
        held.push(places.take(ip(4)));
        assert_eq!(gone(&held), [false, true, true, false, true, false, false]);
        held.push(places.take(ip(5)));
        assert_eq!(gone(&held), [true, true, true, false, true, false, false, false], "one each");
        assert_eq!(places.open().connections.len(), 4);
        held.clear();
        assert_eq!(places.open().connections.len(), 0, "a place is given back once");
    }

    /// covers: B1
    #[test]
    fn the_addresses_of_one_host_are_one_peer() {
        let places = Places::new(3);
        let of_host = |n: u16| IpAddr::from([0x2001, 0xdb8, 1, 2, 0, 0, 0, n]);
        let scraper = places.take(IpAddr::from([0x2001, 0xdb8, 1, 3, 0, 0, 0, 1]));
        let held: Vec<Place> = (0..8).map(|n| places.take(of_host(n))).collect();
        assert!(!scraper.evicted.is_cancelled(), "whatever addresses the others come from");
        assert_eq!(held.iter().filter(|one| !one.evicted.is_cancelled()).count(), 2);
        drop((scraper, held));

        let places = Places::new(3);
        let first = places.take(ip(9));
        let mapped = places.take(IpAddr::from([0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201]));
        let plain = places.take(ip(1));
        let last = places.take(ip(5));
        let gone = [&first, &mapped, &plain, &last].map(|one| one.evicted.is_cancelled());
        assert_eq!(gone, [false, true, false, false], "192.0.2.1 however it is written");
    }
}
