//! How many connections are open: in all, and of each peer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::observe::Metric;

/// Counts open connections against two caps. Clones share the count.
#[derive(Debug, Clone)]
pub(super) struct Peers {
    open: Arc<Mutex<Open>>,
    most: usize,
    most_per_peer: usize,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_peer: HashMap<Peer, usize>,
}

/// What counts as one peer: an IPv4 address or an IPv6 /64, which is what one host commonly has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Peer {
    V4([u8; 4]),
    V6([u16; 4]),
}

impl From<IpAddr> for Peer {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.octets()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

/// Why a connection is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// As many are open as there may be.
    Total,
    /// As many of this peer are open as there may be.
    Peer,
}

impl Refused {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Peer => "peer",
        }
    }
}

/// A place among the open connections; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    peers: Peers,
    peer: Peer,
}

impl Peers {
    pub(super) fn new(most: usize, most_per_peer: usize) -> Self {
        Self { open: Arc::default(), most, most_per_peer }
    }

    /// Takes a place for a connection of `ip`.
    pub(super) fn admit(&self, ip: IpAddr) -> Result<Place, Refused> {
        let peer = Peer::from(ip);
        let all = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            if open.all >= self.most {
                return Err(Refused::Total);
            }
            let of_peer = open.by_peer.entry(peer).or_insert(0);
            if *of_peer >= self.most_per_peer {
                return Err(Refused::Peer);
            }
            *of_peer = of_peer.saturating_add(1);
            open.all = open.all.saturating_add(1);
            open.all
        };
        report(all);
        Ok(Place { peers: self.clone(), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let all = {
            let mut open = self.peers.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.all = open.all.saturating_sub(1);
            if let Some(of_peer) = open.by_peer.get_mut(&self.peer) {
                *of_peer = of_peer.saturating_sub(1);
                if *of_peer == 0 {
                    open.by_peer.remove(&self.peer);
                }
            }
            open.all
        };
        report(all);
    }
}

fn report(open: usize) {
    Metric::Connections.set(&[], u32::try_from(open).unwrap_or(u32::MAX).into());
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_peer_cannot_take_every_place() {
        let peers = Peers::new(3, 2);
        let _a = peers.admit(ip("192.0.2.1")).unwrap();
        let b = peers.admit(ip("::ffff:192.0.2.1")).unwrap();
        assert_eq!(peers.admit(ip("192.0.2.1")).unwrap_err(), Refused::Peer);
        let _c = peers.admit(ip("192.0.2.2")).unwrap();
        assert_eq!(peers.admit(ip("192.0.2.3")).unwrap_err(), Refused::Total);
        drop(b);
        assert!(peers.admit(ip("192.0.2.1")).is_ok(), "a closed connection frees its place");
    }

    #[test]
    fn a_host_with_many_ipv6_addresses_is_one_peer() {
        let peers = Peers::new(10, 1);
        let _a = peers.admit(ip("2001:db8:1:2::1")).unwrap();
        assert_eq!(peers.admit(ip("2001:db8:1:2:ffff::9")).unwrap_err(), Refused::Peer);
        assert!(peers.admit(ip("2001:db8:1:3::1")).is_ok());
    }

    #[test]
    fn nothing_is_kept_of_peers_that_are_gone() {
        let peers = Peers::new(10, 10);
        drop(peers.admit(ip("192.0.2.1")).unwrap());
        assert!(peers.open.lock().unwrap().by_peer.is_empty());
    }
}
