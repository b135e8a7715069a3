//! Attacks on the handshake of TLS, which costs the collector more than it costs a client that only
//! repeats what another one said.

use std::io::Result;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::attack_frames::{Hostile, Target};
use crate::attack_list::Attack;
use crate::door_raw::PREFACE;

pub const ATTACKS: &[Attack] = &[
    Attack {
        name: "TLS hello flood",
        how: "the hello of a good client, repeated on every new connection",
        holds: "reason=\"rate\"",
        threads: 4,
        run: |target| hello(target, HELLO.len(), Duration::from_millis(2)),
    },
    Attack {
        name: "TLS half hellos",
        how: "200 connections from 4 addresses that say half of a hello and wait",
        holds: "reason=\"tls_slow\"",
        threads: 1,
        run: |target| crowd(target, &HELLO[..HELLO.len() / 2]),
    },
    Attack {
        name: "TLS hellos and silence",
        how: "200 connections from 4 addresses that say hello and never answer",
        holds: "reason=\"tls_slow\"",
        threads: 1,
        run: |target| crowd(target, &HELLO),
    },
    Attack {
        name: "TLS nonsense",
        how: "noise, HTTP/2 in clear, and records that end early",
        holds: "reason=\"tls\"",
        threads: 2,
        run: nonsense,
    },
];

/// What a client says first, for a collector that it does not know.
static HELLO: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
    let mut config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
});

/// Says `bytes` of a hello, waits a moment for the answer that it makes the door work out, and goes.
fn hello(target: &Target, bytes: usize, moment: Duration) -> Result<()> {
    target.count(1);
    let mut peer = Hostile::connect(target)?;
    peer.send(&HELLO[..bytes])?;
    std::thread::sleep(moment);
    Ok(())
}

fn crowd(target: &Target, begin: &[u8]) -> Result<()> {
    let mut peers: Vec<Hostile<'_>> = Vec::new();
    while target.goes_on() {
        while peers.len() < 200 && target.goes_on() {
            target.count(1);
            let mut peer = Hostile::connect_from(target, 4)?;
            let _closed = peer.send(begin);
            peers.push(peer);
        }
        peers.retain_mut(Hostile::hear_noise);
    }
    Ok(())
}

fn nonsense(target: &Target) -> Result<()> {
    let short = &[&HELLO[..60], &[0xff; 40][..]].concat();
    for bytes in [PREFACE, &[0x80; 600], &[22, 3, 3, 0xff, 0xff], short] {
        target.count(1);
        let mut peer = Hostile::connect(target)?;
        peer.send(bytes)?;
        while target.goes_on() && peer.hear_noise() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}
