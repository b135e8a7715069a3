//! The attacks, as one table: what each is called, what it does, and what must hold besides what holds
//! under all of them (service for honest clients, bounded memory, recovery).

use std::io::Result;
use std::time::Duration;

use crate::attack_bombs as bombs;
use crate::attack_frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Hostile, PING, PRIORITY, RST_STREAM, SETTINGS, Target,
    WINDOW_UPDATE, call, data, frame, headers, literal, message, streams,
};
use crate::door_raw::PREFACE;

/// One row.
pub struct Attack {
    pub name: &'static str,
    /// What is done.
    pub how: &'static str,
    /// What the door must have said at least once: a part of one of the answers, or of a line of its
    /// metrics. Empty where silence is an answer.
    pub holds: &'static str,
    /// Threads that do it.
    pub threads: usize,
    /// One go: returns when the door closes or the attack is over.
    pub run: fn(&Target) -> Result<()>,
}

/// On what comes before HTTP/2 begins: in plain text. On the handshake of TLS there are others.
pub const CONNECTIONS: &[Attack] = &[
    Attack {
        name: "half prefaces",
        how: "200 connections from 4 addresses that say half of a preface and wait",
        holds: "reason=\"preface\"",
        threads: 1,
        run: |target| crowd(target, (200, 4), &PREFACE[..12]),
    },
    Attack {
        name: "slow prefaces",
        how: "200 connections from 4 addresses that say a byte of a preface at a time",
        holds: "closed",
        threads: 1,
        run: slow_prefaces,
    },
    Attack {
        name: "handshake flood",
        how: "connections that are opened and closed",
        holds: "reason=\"rate\"",
        threads: 4,
        run: |target| {
            target.count(1);
            Hostile::connect(target).map(drop)
        },
    },
    Attack {
        name: "other protocols",
        how: "TLS and HTTP/1 on every new connection",
        holds: "reason=\"rate\"",
        threads: 2,
        run: other_protocols,
    },
    Attack {
        name: "idle strangers at two addresses",
        how: "600 connections that say they are HTTP/2 and nothing more",
        holds: "reason=\"evicted\"",
        threads: 1,
        run: |target| crowd(target, (600, 2), &[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()),
    },
    Attack {
        name: "idle strangers at many addresses",
        how: "600 such connections from 20 addresses: more than there are places in all",
        holds: "reason=\"evicted\"",
        threads: 1,
        run: |target| crowd(target, (600, 20), &[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()),
    },
];

/// On HTTP/2 and on what is read of requests: in plain text, and over TLS by a customer who is known.
pub const REQUESTS: &[Attack] = &[
    Attack {
        name: "rapid reset",
        how: "requests that are reset at once (CVE-2023-44487)",
        holds: "reason=\"flood\"",
        threads: 4,
        run: |target| requests_and(target, |stream| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])),
    },
    Attack {
        name: "MadeYouReset, window",
        how: "requests that make us reset them: a window update of zero (CVE-2025-8671)",
        holds: "GOAWAY",
        threads: 4,
        run: |target| requests_and(target, |stream| frame(WINDOW_UPDATE, 0, stream, &[0; 4])),
    },
    Attack {
        name: "MadeYouReset, data",
        how: "data after the end of each request (CVE-2025-8671)",
        holds: "GOAWAY",
        threads: 4,
        run: |target| requests_and(target, |stream| [end(stream), frame(DATA, 0, stream, b"x")].concat()),
    },
    Attack {
        name: "continuation flood",
        how: "headers that never end (CVE-2024-27316)",
        holds: "GOAWAY",
        threads: 4,
        run: continuations,
    },
    Attack {
        name: "header bomb",
        how: "one header of 3 KB, named 4,000 times by one byte each",
        holds: "ENHANCE_YOUR_CALM",
        threads: 2,
        run: header_bomb,
    },
    Attack {
        name: "stream flood",
        how: "requests that are opened and left, as many as go",
        holds: "REFUSED_STREAM",
        threads: 4,
        run: |target| requests_and(target, |_| Vec::new()),
    },
    Attack {
        name: "SETTINGS flood",
        how: "settings that want to be acknowledged, answers unread",
        holds: "reason=\"flood\"",
        threads: 4,
        run: |target| frames(target, &frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])),
    },
    Attack {
        name: "PING flood",
        how: "pings, answers unread",
        holds: "reason=\"flood\"",
        threads: 4,
        run: |target| frames(target, &frame(PING, 0, 0, &[7; 8])),
    },
    Attack {
        name: "priority flood",
        how: "priorities and window updates that mean nothing (CVE-2019-9513)",
        holds: "reason=\"flood\"",
        threads: 4,
        run: |target| frames(target, &frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])),
    },
    Attack {
        name: "empty DATA",
        how: "data frames without data (CVE-2019-9518)",
        holds: "ENHANCE_YOUR_CALM",
        threads: 4,
        run: |target| body_of(target, &frame(DATA, 0, 1, &[])),
    },
    Attack {
        name: "padded DATA",
        how: "data frames of one byte and 255 of padding",
        holds: "",
        threads: 4,
        run: |target| body_of(target, &frame(DATA, 8, 1, &[&[254, 0][..], &[0; 254]].concat())),
    },
    Attack {
        name: "slow bodies",
        how: "32 connections of 16 requests of 1 MiB that bring a byte at a time",
        holds: "reason=\"REQUEST_TOO_SLOW\"",
        threads: 1,
        run: slow_bodies,
    },
    Attack {
        name: "zero window",
        how: "requests whose answers nobody takes (HTTP/2 window of 0)",
        holds: "reason=\"unread\"",
        threads: 8,
        run: zero_window,
    },
    Attack {
        name: "unread socket",
        how: "requests whose answers fill a socket that nobody reads",
        holds: "closed",
        threads: 8,
        run: unread,
    },
    Attack {
        name: "gzip bombs",
        how: "requests of 64 KB that say they become 64 MiB, or lie about it",
        holds: "reason=\"REQUEST_TOO_LARGE\"",
        threads: 2,
        run: |target| bombs::send(target, &bombs::GZIP),
    },
    Attack {
        name: "zstd bombs",
        how: "requests that become 64 MiB, with and without saying so, or lie about it",
        holds: "reason=\"REQUEST_TOO_LARGE\"",
        threads: 2,
        run: |target| bombs::send(target, &bombs::ZSTD),
    },
    Attack {
        name: "empty parts",
        how: "4 MiB of two-byte events and fields, plain and compressed",
        holds: "reason=\"INVALID_FIELD\"",
        threads: 2,
        run: |target| bombs::send(target, &bombs::EMPTY_PARTS),
    },
    Attack {
        name: "deep nesting",
        how: "values inside values, a hundred thousand deep",
        holds: "refused",
        threads: 2,
        run: |target| bombs::send(target, &bombs::NESTED),
    },
    Attack {
        name: "giant lengths",
        how: "lengths up to 2^64, of messages and of their parts",
        holds: "reason=\"MALFORMED_REQUEST\"",
        threads: 2,
        run: |target| bombs::send(target, &bombs::LENGTHS),
    },
];

/// The end of a request's body: one empty frame.
fn end(stream: u32) -> Vec<u8> {
    frame(DATA, END_STREAM, stream, &[])
}

/// Requests without an end, each followed by `then`.
pub fn requests_and(target: &Target, then: fn(u32) -> Vec<u8>) -> Result<()> {
    let mut peer = Hostile::begin(target, &[])?;
    let block = call("Submit", &[]);
    let ids: Vec<u32> = streams().take(20_000).collect();
    for some in ids.chunks(50) {
        let bytes: Vec<u8> =
            some.iter().flat_map(|id| [headers(*id, END_HEADERS, &block), then(*id)].concat()).collect();
        target.count(50);
        peer.send(&bytes)?;
        if !peer.hear() {
            return Ok(());
        }
    }
    hold(target, &mut peer)
}

/// Keeps what is open open, as long as the door and the attack last.
fn hold(target: &Target, peer: &mut Hostile<'_>) -> Result<()> {
    while target.goes_on() && peer.hear() {
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn continuations(target: &Target) -> Result<()> {
    let mut peer = Hostile::begin(target, &[])?;
    peer.send(&headers(1, 0, &call("Submit", &[])))?;
    let more = frame(CONTINUATION, 0, 1, &literal("x-more", &"y".repeat(1000)));
    while target.goes_on() && peer.hear() {
        target.count(16);
        peer.send(&more.repeat(16))?;
    }
    Ok(())
}

fn header_bomb(target: &Target) -> Result<()> {
    let mut peer = Hostile::begin(target, &[])?;
    // With incremental indexing (0x40), so that it gets into the table; then 62, its place there.
    let mut entry = literal("x-bomb", &"y".repeat(3000));
    entry[0] = 0x40;
    let block = [call("Submit", &[]), entry, vec![0x80 | 62; 4000]].concat();
    for id in streams() {
        target.count(1);
        peer.send(&headers(id, END_HEADERS | END_STREAM, &block))?;
        if !peer.hear() {
            break;
        }
    }
    Ok(())
}

/// The same frame again and again; nothing that comes back is read.
fn frames(target: &Target, one: &[u8]) -> Result<()> {
    let mut peer = Hostile::begin(target, &[])?;
    let many = one.repeat(200);
    while target.goes_on() {
        target.count(200);
        peer.send(&many)?;
    }
    Ok(())
}

/// A request whose body is `one`, again and again.
fn body_of(target: &Target, one: &[u8]) -> Result<()> {
    let mut peer = Hostile::begin(target, &[])?;
    peer.send(&headers(1, END_HEADERS, &call("Submit", &[])))?;
    let many = one.repeat(200);
    while target.goes_on() && peer.hear() {
        target.count(200);
        peer.send(&many)?;
    }
    Ok(())
}

/// As many connections, from so many addresses, that begin with `begin`, as long as the door leaves them open; then
/// others.
pub fn crowd(target: &Target, (size, addresses): (usize, u8), begin: &[u8]) -> Result<()> {
    let mut peers = Vec::new();
    while target.goes_on() {
        while peers.len() < size && target.goes_on() {
            target.count(1);
            let mut peer = Hostile::connect_from(target, addresses)?;
            // Where it is closed at once, that is its answer.
            let _closed = peer.send(begin);
            peers.push(peer);
        }
        peers.retain_mut(Hostile::hear);
    }
    Ok(())
}

fn slow_prefaces(target: &Target) -> Result<()> {
    let mut peers: Vec<Hostile<'_>> = Vec::new();
    for byte in PREFACE.iter().cycle() {
        while peers.len() < 200 && target.goes_on() {
            target.count(1);
            peers.push(Hostile::connect_from(target, 4)?);
        }
        peers.retain_mut(|peer| peer.send(&[*byte]).is_ok() && peer.hear());
        if !target.goes_on() {
            break;
        }
    }
    Ok(())
}

fn other_protocols(target: &Target) -> Result<()> {
    for hello in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"]
    {
        target.count(1);
        let mut peer = Hostile::connect(target)?;
        peer.send(&hello.repeat(8))?;
        hold(target, &mut peer)?;
    }
    Ok(())
}

fn slow_bodies(target: &Target) -> Result<()> {
    let block = call("Submit", &[]);
    let ids: Vec<u32> = streams().take(16).collect();
    let mut peers = Vec::new();
    for _ in 0..32 {
        let mut peer = Hostile::begin(target, &[])?;
        for id in &ids {
            let begun = data(*id, &[0, 0, 16, 0, 0], false);
            peer.send(&[headers(*id, END_HEADERS, &block), begun].concat())?;
            target.count(1);
        }
        peers.push(peer);
    }
    while target.goes_on() && !peers.is_empty() {
        peers.retain_mut(|peer| {
            let bytes: Vec<u8> = ids.iter().flat_map(|id| data(*id, b"x", false)).collect();
            peer.send(&bytes).is_ok() && peer.hear()
        });
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn zero_window(target: &Target) -> Result<()> {
    let mut peer = Hostile::begin(target, &[(4, 0)])?;
    let (block, body) = (call("Submit", &[]), message(0, &bombs::honest()));
    for id in streams().take(128) {
        target.count(1);
        peer.send(&[headers(id, END_HEADERS, &block), data(id, &body, true)].concat())?;
    }
    hold(target, &mut peer)
}

fn unread(target: &Target) -> Result<()> {
    let windows = [(4, 0x7fff_ffff)];
    let mut peer = Hostile::with_buffer(target, 2048)?.encrypted()?.introduced(&windows)?;
    peer.send(&frame(WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes()))?;
    let block = call("GetCollectionPlan", &[]);
    let body = message(0, &bombs::plan());
    for id in streams() {
        target.count(1);
        peer.send(&[headers(id, END_HEADERS, &block), data(id, &body, true)].concat())?;
        if id % 32 == 1 {
            // Fewer at a time than the door takes.
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}
