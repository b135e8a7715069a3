//! Requests that are small where they are sent and large where they are read, or deep, or lie.

use std::io::{Read as _, Result, Write as _};
use std::sync::LazyLock;

use usaged::grpc::client::Message as _;
use usaged::grpc::proto::ingest::{GetCollectionPlanRequest, SubmitRequest};

use crate::attack_frames::{END_HEADERS, Hostile, Target, call, headers, message, streams};
use crate::fair_neighbour::fresh;

/// Bytes of what becomes too much.
const HUGE: usize = 64 << 20;

/// A bomb: how it says that it is compressed, and the bytes of the body.
pub struct Bomb(&'static str, Vec<u8>);

/// Sends them one after the other, over one connection after the other.
pub fn send(target: &Target, bombs: &[Bomb]) -> Result<()> {
    let mut peer = Hostile::begin(target, &[])?;
    // Until the door has said how large its windows are.
    peer.hear();
    for (id, bomb) in streams().zip(bombs.iter().cycle()) {
        let block = call("Submit", &[("grpc-encoding", bomb.0)]);
        target.count(1);
        peer.send(&headers(id, END_HEADERS, &block))?;
        peer.send_body(id, &bomb.1)?;
        if !peer.hear() {
            break;
        }
    }
    Ok(())
}

/// A batch that any customer may send.
pub fn honest() -> Vec<u8> {
    fresh(5).encode_to_vec()
}

/// A question for a collection plan.
pub fn plan() -> Vec<u8> {
    GetCollectionPlanRequest { product: "vcenter".into(), ..GetCollectionPlanRequest::default() }
        .encode_to_vec()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A frame that does not say how large it is.
fn streamed(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    zstd::stream::read::Encoder::new(bytes, 3).unwrap().read_to_end(&mut out).unwrap();
    out
}

pub static GZIP: LazyLock<Vec<Bomb>> = LazyLock::new(gzip);

fn gzip() -> Vec<Bomb> {
    let zeros = gzipped(&vec![0; HUGE]);
    let mut liar = zeros.clone();
    let at = liar.len() - 4;
    liar.splice(at.., 1_000_000_u32.to_le_bytes());
    vec![
        Bomb("gzip", message(1, &zeros)),
        Bomb("gzip", message(1, &liar)),
        Bomb("gzip", message(1, &gzipped(&zeros))),
    ]
}

pub static ZSTD: LazyLock<Vec<Bomb>> = LazyLock::new(zstd);

fn zstd() -> Vec<Bomb> {
    let zeros = vec![0; HUGE];
    let known = zstd::bulk::compress(&zeros, 1).unwrap();
    // Magic, descriptor with four bytes of size: they say a megabyte.
    let mut liar = known.clone();
    let sized = (liar[4] & 0x20 != 0, 5_usize);
    let at = if sized.0 { sized.1 } else { sized.1 + 1 };
    liar.splice(at..at + 4, 1_000_000_u32.to_le_bytes());
    vec![
        Bomb("zstd", message(1, &known)),
        Bomb("zstd", message(1, &liar)),
        Bomb("zstd", message(1, &streamed(&zeros))),
    ]
}

/// Events and fields of two bytes: each becomes a hundred times that where messages are decoded.
pub static EMPTY_PARTS: LazyLock<Vec<Bomb>> = LazyLock::new(empty_parts);

fn empty_parts() -> Vec<Bomb> {
    let head = SubmitRequest { events: Vec::new(), ..fresh(0) }.encode_to_vec();
    let events_tag = events_tag();
    let size = 4 * 1024 * 1024 - 4096;
    let events = [&head[..], &[events_tag, 0].repeat(size / 2)].concat();
    // One event whose fields are all empty.
    let fields = [0x12, 0].repeat(500_000);
    let one = [&head[..], &[events_tag], &varint(fields.len()), &fields].concat();
    vec![
        Bomb("identity", message(0, &events)),
        Bomb("gzip", message(1, &gzipped(&events))),
        Bomb("identity", message(0, &one)),
    ]
}

/// The tag of `SubmitRequest.events`.
fn events_tag() -> u8 {
    let only = SubmitRequest { events: vec![Default::default()], ..SubmitRequest::default() };
    only.encode_to_vec()[0]
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 128 {
        out.push(u8::try_from(value % 128).unwrap() | 128);
        value /= 128;
    }
    out.push(u8::try_from(value).unwrap());
    out
}

/// A list in a list in a list.
pub static NESTED: LazyLock<Vec<Bomb>> = LazyLock::new(nested);

fn nested() -> Vec<Bomb> {
    let head = SubmitRequest { events: Vec::new(), ..fresh(0) }.encode_to_vec();
    let inside = |tag: u8, bytes: &[u8]| [&[tag][..], &varint(bytes.len()), bytes].concat();
    // Built from the inside, which is quadratic: so from prefixes, backwards.
    let mut reversed: Vec<u8> = Vec::new();
    for level in 0..100_000_usize {
        // Value.list = 7, List.values = 1, by turns.
        let tag = if level % 2 == 0 { 0x0a } else { 0x3a };
        let length = varint(reversed.len());
        reversed.extend(length.iter().rev());
        reversed.push(tag);
    }
    reversed.reverse();
    let field = inside(0x12, &[&inside(0x0a, b"vcpus")[..], &inside(0x12, &reversed)].concat());
    let event = [&inside(0x0a, b"vm.inventory")[..], &field].concat();
    let deep = [&head[..], &inside(events_tag(), &event)].concat();
    vec![Bomb("identity", message(0, &deep)), Bomb("gzip", message(1, &gzipped(&deep)))]
}

pub static LENGTHS: LazyLock<Vec<Bomb>> = LazyLock::new(lengths);

fn lengths() -> Vec<Bomb> {
    let head = SubmitRequest { events: Vec::new(), ..fresh(0) }.encode_to_vec();
    let endless = [&head[..], &[events_tag()], &[0xff; 9], &[1]].concat();
    let long = [&head[..], &[events_tag()], &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
    let mut giant = message(0, &honest());
    giant.splice(1..5, [0xff; 4]);
    vec![
        Bomb("identity", message(0, &endless)),
        Bomb("identity", message(0, &long)),
        Bomb("identity", giant),
        Bomb("gzip", message(1, &[0x1f, 0x8b])),
        Bomb(
            "zstd",
            message(1, &[0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ),
        Bomb("identity", message(7, b"x")),
    ]
}
