//! The record format, byte for byte: what is written reads back, and every changed bit is found.

use std::sync::Arc;

use super::chain::Chain;
use super::fault::RecordFault;
use super::record::{RecordHeader, SealedRecord, Stub};
use super::stored::{Stored, StoredRecord};
use crate::model::{CustomerKey, ProgramName, Purpose, Purposes, UnixMillis};
use crate::sanitize::{CustomerSalt, CustomerSecret, DataRoot, Ratchet, SealKey};

fn seal_key(customer: u64) -> Arc<SealKey> {
    let salt = CustomerSalt::new([u8::try_from(customer).unwrap(); 32]);
    let (root, ratchet) = (DataRoot::new([1; 32]), Ratchet::new(0, [2; 32]));
    CustomerSecret::derive(&root, &salt, ratchet, CustomerKey(customer))
        .seal_key(&ProgramName::new("ceip").unwrap(), UnixMillis(0))
}

fn header() -> RecordHeader {
    RecordHeader {
        customer: CustomerKey(42),
        program: "ceip".into(),
        product: "vcenter".into(),
        level: "standard".into(),
        region: "eea".into(),
        received: UnixMillis(1_700_000_000_123),
        events: 3,
        purposes: Purposes::only(Purpose::Improve),
        dictionary_version: 7,
        accepted_version: 6,
        revision: 5,
        plan: [8; 8],
        body_len: 0,
    }
}

fn read(commit: u64, bytes: &[u8]) -> Result<StoredRecord, RecordFault> {
    match Stored::read(commit, bytes)? {
        Stored::Record(record) => Ok(record),
        Stored::Gone(_) => panic!("a stub"),
    }
}

fn stored(body: &[u8]) -> (Vec<u8>, Chain) {
    SealedRecord::encode(&header(), body, &seal_key(42)).unwrap().bind(9, Chain([1; 16]))
}

#[test]
fn a_record_reads_back_as_it_was_written() {
    let noise: Vec<u8> = (0..2_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    for body in [Vec::new(), vec![0; 10_000], noise] {
        let (bytes, chain) = stored(&body);
        let record = read(9, &bytes).unwrap();
        let expected = RecordHeader { body_len: u32::try_from(body.len()).unwrap(), ..header() };
        assert_eq!(record.header, expected);
        assert_eq!(Stored::Record(record.clone()).first(), Some((record.tag(), chain)));
        assert!(Stored::Record(record.clone()).follows(Chain([1; 16])));
        assert!(!Stored::Record(record.clone()).follows(Chain([2; 16])));
        assert_eq!(record.open(&seal_key(42)).unwrap(), body);
        assert_eq!(record.stored_len(), bytes.len());
    }
}

#[test]
fn what_compresses_is_stored_compressed_and_never_in_the_clear() {
    let body = b"canary-in-the-body ".repeat(100);
    let (bytes, _) = stored(&body);
    assert!(bytes.len() < body.len() / 4, "{} of {}", bytes.len(), body.len());
    assert!(memchr::memmem::find(&bytes, b"canary").is_none());
}

// covers: D5
#[test]
fn every_changed_bit_and_every_cut_is_refused() {
    let (bytes, _) = stored(b"some body");
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert_eq!(read(9, &changed), Err(RecordFault::Checksum), "byte {at} bit {bit}");
        }
        assert!(read(9, &bytes[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn a_record_under_another_commit_or_key_or_of_another_version_is_refused_by_name() {
    let (bytes, _) = stored(b"some body");
    assert_eq!(read(10, &bytes), Err(RecordFault::Misplaced));
    let record = read(9, &bytes).unwrap();
    assert_eq!(record.open(&seal_key(43)), Err(RecordFault::Seal));

    let mut newer = bytes;
    newer[1] = 2;
    let end = newer.len() - 4;
    let crc = crc32fast::hash(&newer[..end]).to_be_bytes();
    newer[end..].copy_from_slice(&crc);
    assert_eq!(read(9, &newer), Err(RecordFault::Version(2)));
}

#[test]
fn a_changed_header_does_not_open_even_with_a_right_checksum() {
    let (mut bytes, _) = stored(b"some body");
    bytes[17] ^= 1;
    let end = bytes.len() - 4;
    let crc = crc32fast::hash(&bytes[..end]).to_be_bytes();
    bytes[end..].copy_from_slice(&crc);
    let record = read(9, &bytes).unwrap();
    assert_eq!(record.open(&seal_key(42)), Err(RecordFault::Seal));
}

// covers: D5
#[test]
fn a_replaced_record_keeps_its_place_in_the_chain_and_shows_only_what_it_holds_now() {
    let (bytes, chain) = stored(b"the first body");
    let first = read(9, &bytes).unwrap();
    let lower = RecordHeader { level: "none".into(), ..header() };
    let mut tags = vec![first.tag()];
    let mut before = Stored::Record(first);
    for body in [b"lower".as_slice(), b"lowest"] {
        let record = SealedRecord::encode(&lower, body, &seal_key(42)).unwrap();
        let (tag, chain_value) = before.first().unwrap();
        let bytes = record.replace(9, tag, chain_value);
        let found = read(9, &bytes).unwrap();
        assert_eq!(found.open(&seal_key(42)).unwrap(), body);
        assert_eq!(found.header.level, "none");
        assert!(found.is_amended() && found.stored_len() == bytes.len());
        before = Stored::Record(found.clone());
        assert_eq!(before.first(), Some((tags[0], chain)));
        assert!(before.follows(Chain([1; 16])) && !before.follows(Chain([2; 16])));
        tags.push(found.tag());
        every_change_is_found(&bytes);
    }
    tags.dedup();
    assert_eq!(tags.len(), 3);
}

// covers: P8
#[test]
fn a_stub_keeps_its_place_in_the_chain_and_says_nothing_of_the_record() {
    let (bytes, chain) = stored(b"some body");
    let first = Stored::read(9, &bytes).unwrap();
    let stub = Stub { received: first.received(), events: 3 };
    let bytes = stub.encode(9, first.first());
    let gone = Stored::read(9, &bytes).unwrap();
    assert_eq!((gone.commit(), gone.received()), (first.commit(), first.received()));
    assert_eq!((gone.first(), gone.stored_len()), (first.first(), bytes.len()));
    assert!(gone.follows(Chain([1; 16])) && !gone.follows(Chain([2; 16])));
    assert_eq!(gone.first().unwrap().1, chain);
    for word in [b"ceip".as_slice(), b"vcenter", b"standard", b"eea", &42_u64.to_be_bytes()] {
        assert!(memchr::memmem::find(&bytes, word).is_none(), "{word:?}");
    }
    every_change_is_found(&bytes);
    // Of what could not be read, the running hash is not known: nothing is claimed of it.
    let blank = Stub { received: UnixMillis(7), events: 0 }.encode(9, None);
    let found = Stored::read(9, &blank).unwrap();
    assert_eq!((found.first(), found.stored_len()), (None, blank.len()));
    assert!(found.follows(Chain([2; 16])));
    every_change_is_found(&blank);
}

fn every_change_is_found(bytes: &[u8]) {
    for at in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        assert_eq!(Stored::read(9, &changed), Err(RecordFault::Checksum), "byte {at}");
        assert!(Stored::read(9, &bytes[..at]).is_err(), "cut at {at}");
    }
}
