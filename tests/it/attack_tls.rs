//! Attacks on the handshake of TLS, which costs the collector more than it costs a client that only
//! repeats what another one said.

use std::io::Result;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::attack_bombs as bombs;
use crate::attack_frames::{
    END_HEADERS, Hostile, RST_STREAM, Target, call, call_at, data, frame, headers, message, streams,
};
use crate::attack_list::{Attack, requests_and};
use crate::door_raw::PREFACE;
use crate::identity_world::Pair;

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
    Attack {
        name: "TLS, rapid reset",
        how: "handshakes, then requests that are reset at once",
        holds: "closed",
        threads: 2,
        run: |target| requests_and(target, |stream| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])),
    },
    Attack {
        name: "TLS, idle strangers",
        how: "600 connections from 20 addresses that shake hands and say nothing more",
        holds: "reason=\"evicted\"",
        threads: 2,
        run: idle,
    },
    Attack {
        name: "TLS, health by strangers",
        how: "nobody in particular asks for health, 8 times at once, again and again",
        holds: "answered",
        threads: 4,
        run: |target| asks(target, &call_at("/grpc.health.v1.Health/Check", &[])),
    },
    Attack {
        name: "TLS, health watched by strangers",
        how: "64 connections of nobody in particular that watch health, 8 times each, and stay",
        holds: "TOO_MANY_REQUESTS",
        threads: 1,
        run: |target| stays(target, &call_at("/grpc.health.v1.Health/Watch", &[]), &message(0, &[])),
    },
    Attack {
        name: "TLS, half a question for health by strangers",
        how: "the same, asking how it is now, with the first bytes of a request whose rest never comes",
        holds: "TOO_MANY_REQUESTS",
        threads: 1,
        run: |target| stays(target, &call_at("/grpc.health.v1.Health/Check", &[]), &message(0, &[])[..3]),
    },
    Attack {
        name: "TLS, reflection by strangers",
        how: "the same for the list of services, which is for known callers",
        holds: "CREDENTIAL_MISSING",
        threads: 4,
        run: |target| {
            asks(target, &call_at("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", &[]))
        },
    },
    Attack {
        name: "TLS, bombs by strangers",
        how: "requests that become 64 MiB, by nobody in particular: refused before a byte of them is read",
        holds: "CREDENTIAL_MISSING",
        threads: 2,
        run: |target| bombs::send(target, &bombs::GZIP),
    },
    Attack {
        name: "TLS, stream flood by strangers",
        how: "requests by nobody in particular that are opened and left, as many as go",
        holds: "CREDENTIAL_MISSING",
        threads: 4,
        run: |target| requests_and(target, |_| Vec::new()),
    },
    Attack {
        name: "TLS, noise bearer tokens",
        how: "calls with tokens of the right form that nobody issued",
        holds: "CREDENTIAL_INVALID",
        threads: 4,
        run: |target| {
            let noise = "x".repeat(300);
            asks(
                target,
                &call(
                    "Submit",
                    &[("authorization", &format!("Bearer eyJhbGciOiJFUzI1NiJ9.{noise}.{noise}"))],
                ),
            )
        },
    },
];

/// A client that trusts the CA in `pem`, with a certificate of its own or without.
pub fn client(pem: &str, own: Option<&Pair>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
    let config = config.with_root_certificates(roots);
    let mut config = match own {
        Some(own) => {
            let chain = vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

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

/// Calls with this header, eight at once and then again, as long as the door listens.
fn asks(target: &Target, block: &[u8]) -> Result<()> {
    let mut peer = Hostile::begin(target, &[])?;
    let ids: Vec<u32> = streams().take(100_000).collect();
    for some in ids.chunks(8) {
        let body = message(0, &[]);
        let bytes: Vec<u8> = some
            .iter()
            .flat_map(|id| [headers(*id, END_HEADERS, block), data(*id, &body, true)].concat())
            .collect();
        target.count(8);
        peer.send(&bytes)?;
        if !peer.hear() {
            break;
        }
    }
    Ok(())
}

/// Calls with this header and body from as many connections as one address may have, as often on each as a stranger may,
/// and stays; comes again where the door closes.
fn stays(target: &Target, block: &[u8], body: &[u8]) -> Result<()> {
    let mut peers: Vec<Hostile<'_>> = Vec::new();
    while target.goes_on() {
        if peers.len() < 64 {
            peers.extend(eight(target, block, body).ok());
        } else {
            peers.retain_mut(Hostile::hear);
        }
    }
    Ok(())
}

/// One connection with eight calls, which stay open.
pub fn eight<'t>(target: &'t Target, block: &[u8], body: &[u8]) -> Result<Hostile<'t>> {
    let mut peer = Hostile::begin(target, &[])?;
    let ends = body.len() == message(0, &[]).len();
    let calls: Vec<u8> = streams()
        .take(8)
        .flat_map(|id| [headers(id, END_HEADERS, block), data(id, body, ends)].concat())
        .collect();
    target.count(8);
    peer.send(&calls)?;
    Ok(peer)
}

fn idle(target: &Target) -> Result<()> {
    let mut peers = Vec::new();
    while target.goes_on() {
        if peers.len() < 300 {
            target.count(1);
            peers.extend(Hostile::begin_from(target, 20).ok());
        } else {
            peers.retain_mut(Hostile::hear);
        }
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
