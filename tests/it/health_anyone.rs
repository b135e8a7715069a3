//! Health is there for whoever asks without a credential, also while somebody at another address asks for as much of it
//! as goes, and does not end.

use crate::attack_frames::{END_HEADERS, Hostile, Target, call_at, data, headers, message};
use crate::attack_tls::{client, eight};
use crate::fault_daemon::{Daemon, until};
use crate::identity_world::World;

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// Connections of one address, as many as it may have, with eight calls on each.
const CONNECTIONS: usize = 64;
/// What one address is given of each kind.
const OF_PEER: u64 = 16;

/// Strangers at an address of their own.
fn strangers(world: &World, daemon: &Daemon, number: u8) -> Target {
    let mut target = Target::new(&daemon.grpc, number);
    target.tls = Some(client(&world.ca.pem, None));
    target
}

fn said(target: &Target, what: &str) -> u64 {
    target.said.lock().unwrap().get(what).copied().unwrap_or(0)
}

/// Asks once, from the address of `target`: whether it was answered, and not refused.
fn is_answered(target: &Target, path: &str) -> bool {
    let before = (said(target, "answered"), said(target, "refused"));
    let mut peer = once(target, path);
    until("an answer", || {
        assert!(peer.hear(), "the door closed: {:?}", target.said.lock().unwrap());
        (said(target, "answered"), said(target, "refused")) != before
    });
    said(target, "answered") > before.0
}

fn once<'t>(target: &'t Target, path: &str) -> Hostile<'t> {
    let mut peer = Hostile::begin(target, &[]).unwrap();
    peer.send(&[headers(1, END_HEADERS, &call_at(path, &[])), data(1, &message(0, &[]), true)].concat())
        .unwrap();
    peer
}

/// As many calls as one address can begin, with this body.
fn crowd<'t>(target: &'t Target, path: &str, body: &[u8]) -> Vec<Hostile<'t>> {
    (0..CONNECTIONS).map(|_| eight(target, &call_at(path, &[]), body).unwrap()).collect()
}

// covers: B1
#[test]
fn one_address_that_watches_health_or_never_ends_its_question_keeps_no_other_from_an_answer() {
    let world = World::new();
    let daemon = world.place().start();
    let honest = strangers(&world, &daemon, 9);
    let most = u64::try_from(CONNECTIONS * 8).unwrap();

    let greedy = strangers(&world, &daemon, 66);
    let mut held = crowd(&greedy, WATCH, &message(0, &[]));
    until("every watch is answered or refused", || {
        for peer in &mut held {
            peer.hear();
        }
        said(&greedy, "answered") + said(&greedy, "refused") == most
    });
    assert_eq!(said(&greedy, "answered"), OF_PEER);
    assert!(is_answered(&honest, CHECK) && is_answered(&honest, WATCH));
    assert!(is_answered(&greedy, CHECK), "who watches may ask, too");
    drop(held);

    let halting = strangers(&world, &daemon, 67);
    let mut held = crowd(&halting, CHECK, &message(0, &[])[..3]);
    until("those that have no place are refused", || {
        for peer in &mut held {
            peer.hear();
        }
        said(&halting, "refused") >= most - OF_PEER
    });
    assert!(is_answered(&honest, CHECK) && is_answered(&honest, WATCH));
    drop(held);
    assert_eq!(daemon.end(), 0);
}
