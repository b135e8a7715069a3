//! Places of callers that have proved nothing, who may ask for health only. They get a part of all places, and one peer
//! gets a part of that: nobody at one address keeps the probes of others out. What is answered at once ([`Kind::Check`])
//! and what stays for as long as its caller likes ([`Kind::Watch`]) have places apart.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::peer::Peer;

/// Of all places, so many parts make the places of each kind: an eighth, and a sixteenth.
const CHECKS: usize = 8;
const WATCHES: usize = 16;
/// Places of each kind for one peer: a client that asks for health needs one, and several may be behind one address.
const OF_PEER: usize = 16;
/// No peer gets more than one of so many parts, however few there are.
const PEERS: usize = 8;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// How it is now.
    Check,
    /// How it is from now on.
    Watch,
}

/// The places that all connections share. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Anyone {
    checks: Arc<Places>,
    watches: Arc<Places>,
}

#[derive(Debug)]
struct Places {
    most: usize,
    of_peer: usize,
    taken: Mutex<Taken>,
}

/// How many are taken, and by whom: nothing is kept of a peer that has none.
#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_peer: HashMap<Peer, usize>,
}

/// A place; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    peer: Peer,
}

impl Anyone {
    /// Parts of `all` places.
    pub(super) fn new(all: usize) -> Self {
        Self { checks: Places::new(all / CHECKS), watches: Places::new(all / WATCHES) }
    }

    /// Takes a place for `peer`, if there is one now.
    pub(super) fn take(&self, kind: Kind, peer: Peer) -> Option<Place> {
        let places = match kind {
            Kind::Check => &self.checks,
            Kind::Watch => &self.watches,
        };
        let mut taken = places.taken();
        if taken.all >= places.most {
            return None;
        }
        let own = taken.by_peer.get(&peer).copied().unwrap_or(0);
        if own >= places.of_peer {
            return None;
        }
        taken.all += 1;
        taken.by_peer.insert(peer, own + 1);
        Some(Place { places: Arc::clone(places), peer })
    }
}

impl Places {
    fn new(most: usize) -> Arc<Self> {
        let most = most.max(1);
        let of_peer = (most / PEERS).clamp(1, OF_PEER);
        Arc::new(Self { most, of_peer, taken: Mutex::default() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all = taken.all.saturating_sub(1);
        let left = taken.by_peer.get(&self.peer).map_or(0, |own| own.saturating_sub(1));
        if left == 0 {
            taken.by_peer.remove(&self.peer);
        } else {
            taken.by_peer.insert(self.peer, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn peer(ip: impl Into<IpAddr>) -> Peer {
        Peer::from(ip.into())
    }

    fn fill(places: &Anyone, kind: Kind, peer: Peer) -> Vec<Place> {
        (0..1_000).map_while(|_| places.take(kind, peer)).collect()
    }

    /// covers: B1
    #[test]
    fn one_peer_takes_a_few_of_each_kind_and_leaves_the_others_to_others() {
        let places = Anyone::new(4_096);
        let greedy = peer([192, 0, 2, 1]);
        let watches = fill(&places, Kind::Watch, greedy);
        assert_eq!(watches.len(), 16);
        let checks = fill(&places, Kind::Check, greedy);
        assert_eq!(checks.len(), 16, "apart from what it watches");
        let others: Vec<Vec<Place>> =
            (2..=255).map(|n| fill(&places, Kind::Check, peer([192, 0, 2, n]))).collect();
        assert_eq!(checks.len() + others.iter().flatten().count(), 512, "an eighth in all");
        assert_eq!(others.iter().filter(|own| own.len() == 16).count(), 31);
        let host: [u16; 8] = [0x2001, 0xdb8, 0, 1, 0, 0, 0, 1];
        assert!(places.take(Kind::Check, peer(host)).is_none());
        drop((checks, others));
        assert_eq!(fill(&places, Kind::Check, peer(host)).len(), 16);
        assert_eq!(places.checks.taken().by_peer.len(), 0, "nothing is kept of who is gone");
        drop(watches);
        assert_eq!(places.watches.taken().all, 0);
    }

    #[test]
    fn where_there_are_few_places_one_peer_has_an_eighth_of_them_and_at_least_one() {
        for (all, of_peer) in [(0, 1), (8, 1), (64, 1), (160, 2), (1_024, 16), (1 << 20, 16)] {
            let places = Anyone::new(all);
            assert_eq!(fill(&places, Kind::Check, peer([192, 0, 2, 1])).len(), of_peer, "of {all}");
        }
    }

    #[test]
    fn a_host_with_many_ipv6_addresses_is_one_peer() {
        let places = Anyone::new(4_096);
        let host = |last| peer([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
        let held: Vec<Place> = (0..100).map_while(|n| places.take(Kind::Watch, host(n))).collect();
        assert_eq!(held.len(), 16);
        assert!(places.take(Kind::Watch, peer([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1])).is_some());
    }
}
