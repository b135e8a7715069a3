//! Connections that have proved nothing yet, and which of them makes room for a new one: the oldest of the
//! peer that has most of them, so that a peer that has few is not pushed out by one that has many.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use tokio_util::sync::CancellationToken;

use super::peer::Peer;

/// The strangers of each peer, by their numbers: the oldest has the lowest.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    of_peer: BTreeMap<Peer, BTreeMap<u64, CancellationToken>>,
    /// The peers: how many each has, and its oldest. The last one is the first to give one up.
    ranks: BTreeSet<(usize, Reverse<u64>, Peer)>,
}

impl Strangers {
    /// One more, which is told by `evicted` when it has to go.
    pub(super) fn add(&mut self, peer: Peer, number: u64, evicted: CancellationToken) {
        self.change(peer, |own| own.insert(number, evicted));
    }

    /// It is none any more: it has proved itself, or is gone. Whether it was one.
    pub(super) fn remove(&mut self, peer: Peer, number: u64) -> bool {
        self.change(peer, |own| own.remove(&number)).is_some()
    }

    /// Sends one away.
    pub(super) fn evict(&mut self, (peer, number): (Peer, u64)) {
        if let Some(evicted) = self.change(peer, |own| own.remove(&number)) {
            evicted.cancel();
        }
    }

    /// The one that goes first of all.
    pub(super) fn first(&self) -> Option<(Peer, u64)> {
        self.ranks.last().map(|(_, Reverse(oldest), peer)| (*peer, *oldest))
    }

    /// The one of `peer` that goes first.
    pub(super) fn first_of(&self, peer: Peer) -> Option<(Peer, u64)> {
        let (oldest, _) = self.of_peer.get(&peer)?.first_key_value()?;
        Some((peer, *oldest))
    }

    fn change<T>(
        &mut self,
        peer: Peer,
        change: impl FnOnce(&mut BTreeMap<u64, CancellationToken>) -> T,
    ) -> T {
        let own = self.of_peer.entry(peer).or_default();
        if let Some(rank) = rank(peer, own) {
            self.ranks.remove(&rank);
        }
        let changed = change(own);
        match rank(peer, own) {
            Some(rank) => {
                self.ranks.insert(rank);
            }
            None => {
                self.of_peer.remove(&peer);
            }
        }
        changed
    }
}

fn rank(peer: Peer, own: &BTreeMap<u64, CancellationToken>) -> Option<(usize, Reverse<u64>, Peer)> {
    own.first_key_value().map(|(oldest, _)| (own.len(), Reverse(*oldest), peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> Peer {
        Peer::from(std::net::IpAddr::from([192, 0, 2, n]))
    }

    #[test]
    fn the_oldest_of_the_peer_that_has_most_goes_first() {
        let mut strangers = Strangers::default();
        assert_eq!(strangers.first(), None);
        let told: Vec<CancellationToken> = (0..7).map(|_| CancellationToken::new()).collect();
        for (token, (number, of)) in told.iter().zip([(0, 1), (1, 2), (2, 2), (3, 2), (4, 3), (5, 3), (6, 3)])
        {
            strangers.add(peer(of), number, token.clone());
        }
        let mut gone = Vec::new();
        while let Some(first) = strangers.first() {
            strangers.evict(first);
            gone.push(first.1);
        }
        assert_eq!(gone, [1, 4, 2, 5, 0, 3, 6], "a peer with one is older than both and stays for long");
        assert!(told.iter().all(CancellationToken::is_cancelled));
        assert!(strangers.of_peer.is_empty() && strangers.ranks.is_empty());
    }

    #[test]
    fn one_that_has_proved_itself_is_not_sent_away() {
        let mut strangers = Strangers::default();
        let told = CancellationToken::new();
        strangers.add(peer(1), 0, told.clone());
        strangers.add(peer(1), 1, CancellationToken::new());
        assert!(strangers.remove(peer(1), 0) && !strangers.remove(peer(1), 0));
        assert_eq!(strangers.first_of(peer(1)), Some((peer(1), 1)));
        assert_eq!(strangers.first_of(peer(2)), None);
        strangers.evict((peer(1), 0));
        assert!(!told.is_cancelled());
    }
}
