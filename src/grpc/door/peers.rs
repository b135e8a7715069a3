//! How many connections are open, in all and of each peer, and how fast each peer opens them: one that is
//! closed for what it does comes again at once, and every greeting costs a processor. Where all places are
//! taken, a connection that has proved nothing makes room: whoever only holds places keeps nobody out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use super::peer::Peer;
use super::strangers::Strangers;
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
    /// Those that have proved nothing yet.
    strangers: Strangers,
    /// How many there ever were.
    numbers: u64,
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
pub(super) struct Place(Arc<Newcomer>);

/// A connection until it has proved itself: while it has not, it may have to make room for another one.
#[derive(Debug)]
pub(super) struct Newcomer {
    peers: Peers,
    peer: Peer,
    number: u64,
    is_known: AtomicBool,
    evicted: CancellationToken,
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
        let evicted = CancellationToken::new();
        let mut open = self.open();
        open.forget(now);
        let known = open.by_peer.get(&peer).copied().unwrap_or_default();
        let makes_room = if known.open >= self.caps.per_peer {
            Some(open.strangers.first_of(peer).ok_or(Refused::Peer)?)
        } else if open.all >= self.caps.most {
            Some(open.strangers.first().ok_or(Refused::Total)?)
        } else {
            None
        };
        // Before anybody is sent away for it: one peer makes others go at this pace at the most.
        let (one, burst) = self.caps.pace();
        let rested = known.rested.max(now).saturating_add(one);
        if rested.saturating_sub(now) > burst {
            return Err(Refused::Rate);
        }
        if let Some(stranger) = makes_room {
            open.strangers.evict(stranger);
            open.leaves(stranger.0);
            Metric::ConnectionsRefused.add(&[("reason", "evicted")], 1);
        }
        let number = open.comes(peer, rested);
        open.strangers.add(peer, number, evicted.clone());
        report(open.all);
        drop(open);
        let (peers, is_known) = (self.clone(), AtomicBool::new(false));
        Ok(Place(Arc::new(Newcomer { peers, peer, number, is_known, evicted })))
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Who has it.
    pub(super) const fn newcomer(&self) -> &Arc<Newcomer> {
        &self.0
    }
}

impl Newcomer {
    /// It has proved itself: its place is its own from now on.
    pub(super) fn has_proved_itself(&self) {
        if self.is_known.load(Ordering::Relaxed) {
            return;
        }
        let mut open = self.peers.open();
        // Not if it was sent away at this moment.
        if open.strangers.remove(self.peer, self.number) {
            self.is_known.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it has.
    pub(super) fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Relaxed)
    }

    /// Waits until it has to go.
    pub(super) fn evicted(&self) -> WaitForCancellationFuture<'_> {
        self.evicted.cancelled()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.0.peers.open();
        // The place of one that was sent away is another's since then.
        if open.strangers.remove(self.0.peer, self.0.number) || self.0.is_known() {
            open.leaves(self.0.peer);
            report(open.all);
        }
    }
}

impl Open {
    /// Counts one more of `peer`: its number.
    fn comes(&mut self, peer: Peer, rested: Duration) -> u64 {
        let of_peer = self.by_peer.entry(peer).or_default();
        of_peer.rested = rested;
        of_peer.open = of_peer.open.saturating_add(1);
        self.all = self.all.saturating_add(1);
        self.numbers = self.numbers.wrapping_add(1);
        self.numbers
    }

    /// Counts one less.
    fn leaves(&mut self, peer: Peer) {
        self.all = self.all.saturating_sub(1);
        if let Some(of_peer) = self.by_peer.get_mut(&peer) {
            of_peer.open = of_peer.open.saturating_sub(1);
        }
    }

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

    /// A connection that proves itself at once.
    fn known(peers: &Peers, who: &str) -> Result<Place, Refused> {
        let place = peers.admit(ip(who))?;
        place.newcomer().has_proved_itself();
        Ok(place)
    }

    #[test]
    fn one_peer_cannot_take_every_place() {
        let peers = peers(3, 2, 1_000_000);
        let _a = known(&peers, "192.0.2.1").unwrap();
        let b = known(&peers, "::ffff:192.0.2.1").unwrap();
        assert_eq!(peers.admit(ip("192.0.2.1")).unwrap_err(), Refused::Peer);
        let _c = known(&peers, "192.0.2.2").unwrap();
        assert_eq!(peers.admit(ip("192.0.2.3")).unwrap_err(), Refused::Total);
        drop(b);
        assert!(peers.admit_at(ip("192.0.2.1"), SWEEP).is_ok(), "a closed connection frees its place");
    }

    // covers: B1
    #[test]
    fn strangers_that_hold_every_place_make_room_and_those_who_proved_themselves_stay() {
        let peers = peers(8, 4, 1_000_000);
        let at = |who: &str| peers.admit_at(ip(who), SWEEP);
        let first = at("192.0.2.9").unwrap();
        first.newcomer().has_proved_itself();
        let strangers: Vec<Place> =
            (0..7).map(|n| at(if n < 4 { "192.0.2.1" } else { "192.0.2.2" }).unwrap()).collect();
        let gone = || strangers.iter().map(|one| one.newcomer().evicted.is_cancelled()).collect::<Vec<_>>();
        assert_eq!(gone(), [false; 7], "there was room for all");
        let honest = at("192.0.2.3").unwrap();
        honest.newcomer().has_proved_itself();
        assert_eq!(gone(), [true, false, false, false, false, false, false], "the oldest of many goes");
        let _more = [at("192.0.2.4").unwrap(), at("192.0.2.5").unwrap()];
        assert_eq!(gone(), [true, true, false, false, true, false, false]);
        assert_eq!(peers.open().all, 8, "there are never more than there may be");
        for stranger in &strangers {
            stranger.newcomer().has_proved_itself();
        }
        assert_eq!(strangers.iter().filter(|one| one.newcomer().is_known()).count(), 4, "too late for three");
        drop(strangers);
        assert_eq!(peers.open().all, 4, "a place is given back once");
        assert!(!first.newcomer().evicted.is_cancelled() && !honest.newcomer().evicted.is_cancelled());
    }

    #[test]
    fn a_peer_sends_strangers_away_no_faster_than_it_may_come() {
        let peers = peers(100, 4, 10);
        let places: Vec<_> = (0..100).map(|_| peers.admit_at(ip("192.0.2.1"), Duration::ZERO)).collect();
        assert_eq!(places.iter().filter(|place| place.is_ok()).count(), 4);
        assert_eq!(places.last().unwrap().as_ref().unwrap_err(), &Refused::Rate);
        let _next = peers.admit_at(ip("192.0.2.1"), Duration::from_millis(100)).unwrap();
        let sent_away = places.iter().flatten().filter(|one| one.newcomer().evicted.is_cancelled()).count();
        assert_eq!((sent_away, peers.open().all), (1, 4));
    }

    #[test]
    fn a_host_with_many_ipv6_addresses_is_one_peer() {
        let peers = peers(10, 1, 1_000_000);
        let _a = known(&peers, "2001:db8:1:2::1").unwrap();
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
