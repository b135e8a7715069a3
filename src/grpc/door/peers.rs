//! How many connections are open, in all and of each peer, and how fast each peer opens them: one that is
//! closed for what it does comes again at once, and every greeting costs a processor.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::observe::Metric;

/// Counts connections against their caps. Clones share the count.
#[derive(Debug, Clone)]
pub(super) struct Peers {
    open: Arc<Mutex<Open>>,
    caps: Caps,
    begun: Instant,
}

/// What there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caps {
    /// Open connections.
    pub(super) most: usize,
    /// Those of one peer, which may also come at once.
    pub(super) per_peer: usize,
    /// New connections of one peer in a second, over a longer time.
    pub(super) new_per_peer: u32,
}

impl Caps {
    /// The time in which one more may come, and that in which a whole burst may.
    fn pace(self) -> (Duration, Duration) {
        let one = Duration::from_secs(1) / self.new_per_peer.max(1);
        (one, one.saturating_mul(u32::try_from(self.per_peer).unwrap_or(u32::MAX)))
    }
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_peer: HashMap<Peer, OfPeer>,
    /// When peers that are gone are forgotten next.
    sweep: Duration,
}

/// What is known of a peer that is here, or was a moment ago.
#[derive(Debug, Default, Clone, Copy)]
struct OfPeer {
    open: usize,
    /// When it may open as many at once again as ever, since the beginning.
    rested: Duration,
}

/// How often peers that are gone are forgotten, and from how many on at any time.
const SWEEP: Duration = Duration::from_secs(5);
const CROWD: usize = 8_192;

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
    /// This peer opens them too fast.
    Rate,
}

impl Refused {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Peer => "peer",
            Self::Rate => "rate",
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
    pub(super) fn new(caps: Caps) -> Self {
        Self { open: Arc::default(), caps, begun: Instant::now() }
    }

    /// Takes a place for a connection of `ip`.
    pub(super) fn admit(&self, ip: IpAddr) -> Result<Place, Refused> {
        self.admit_at(ip, self.begun.elapsed())
    }

    fn admit_at(&self, ip: IpAddr, now: Duration) -> Result<Place, Refused> {
        let peer = Peer::from(ip);
        let all = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.forget(now);
            if open.all >= self.caps.most {
                return Err(Refused::Total);
            }
            let of_peer = open.by_peer.entry(peer).or_default();
            if of_peer.open >= self.caps.per_peer {
                return Err(Refused::Peer);
            }
            let (one, burst) = self.caps.pace();
            let rested = of_peer.rested.max(now).saturating_add(one);
            if rested.saturating_sub(now) > burst {
                return Err(Refused::Rate);
            }
            of_peer.rested = rested;
            of_peer.open = of_peer.open.saturating_add(1);
            open.all = open.all.saturating_add(1);
            open.all
        };
        report(all);
        Ok(Place { peers: self.clone(), peer })
    }
}

impl Open {
    /// Forgets peers that are gone and have rested.
    fn forget(&mut self, now: Duration) {
        if now >= self.sweep || self.by_peer.len() > CROWD {
            self.by_peer.retain(|_, peer| peer.open > 0 || peer.rested > now);
            self.sweep = now.saturating_add(SWEEP);
        }
        // Still too many: an address each, so that no rate holds any of them.
        if self.by_peer.len() > CROWD {
            self.by_peer.retain(|_, peer| peer.open > 0);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let all = {
            let mut open = self.peers.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.all = open.all.saturating_sub(1);
            if let Some(of_peer) = open.by_peer.get_mut(&self.peer) {
                of_peer.open = of_peer.open.saturating_sub(1);
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

    fn peers(most: usize, per_peer: usize, new_per_peer: u32) -> Peers {
        Peers::new(Caps { most, per_peer, new_per_peer })
    }

    #[test]
    fn one_peer_cannot_take_every_place() {
        let peers = peers(3, 2, 1_000_000);
        let _a = peers.admit(ip("192.0.2.1")).unwrap();
        let b = peers.admit(ip("::ffff:192.0.2.1")).unwrap();
        assert_eq!(peers.admit(ip("192.0.2.1")).unwrap_err(), Refused::Peer);
        let _c = peers.admit(ip("192.0.2.2")).unwrap();
        assert_eq!(peers.admit(ip("192.0.2.3")).unwrap_err(), Refused::Total);
        drop(b);
        assert!(peers.admit_at(ip("192.0.2.1"), SWEEP).is_ok(), "a closed connection frees its place");
    }

    #[test]
    fn a_host_with_many_ipv6_addresses_is_one_peer() {
        let peers = peers(10, 1, 1_000_000);
        let _a = peers.admit(ip("2001:db8:1:2::1")).unwrap();
        assert_eq!(peers.admit(ip("2001:db8:1:2:ffff::9")).unwrap_err(), Refused::Peer);
        assert!(peers.admit(ip("2001:db8:1:3::1")).is_ok());
    }

    // covers: B1
    #[test]
    fn a_peer_that_comes_again_and_again_is_slowed_down_and_others_are_not() {
        let peers = peers(100, 20, 10);
        let at = |millis| Duration::from_millis(millis);
        let comes = |who: &str, now| peers.admit_at(ip(who), now).map(drop);
        let greeted = (0..1000).filter(|_| comes("192.0.2.1", at(0)).is_ok()).count();
        assert_eq!(greeted, 20, "a burst");
        assert_eq!(comes("192.0.2.1", at(0)), Err(Refused::Rate));
        assert_eq!(comes("192.0.2.2", at(0)), Ok(()));
        let greeted = (0..10_000).filter(|n| comes("192.0.2.1", at(*n)).is_ok()).count();
        assert!((99..=101).contains(&greeted), "{greeted} in ten seconds");
    }

    // covers: B1
    #[test]
    fn nothing_is_kept_of_peers_that_are_gone() {
        let peers = peers(10, 10, 10);
        drop(peers.admit_at(ip("192.0.2.1"), Duration::ZERO).unwrap());
        drop(peers.admit_at(ip("192.0.2.2"), SWEEP * 2).unwrap());
        assert_eq!(peers.open.lock().unwrap().by_peer.len(), 1);
        for n in 0..3 * CROWD {
            let [.., a, b] = u32::try_from(n).unwrap().to_be_bytes();
            drop(peers.admit_at(IpAddr::from([192, 0, a, b]), SWEEP * 2));
        }
        assert!(peers.open.lock().unwrap().by_peer.len() <= CROWD + 1);
    }
}
