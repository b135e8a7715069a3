//! The record format, byte for byte: what is written reads back, and every changed bit is found.

use std::sync::Arc;

use super::chain::Chain;
use super::fault::RecordFault;
use super::record::{RecordHeader, SealedRecord};
use super::stored::StoredRecord;
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
        body_len: 0,
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
        let record = StoredRecord::read(9, &bytes).unwrap();
        let expected = RecordHeader { body_len: u32::try_from(body.len()).unwrap(), ..header() };
        assert_eq!(record.header, expected);
        assert_eq!(record.chain(), chain);
        assert_eq!(record.link(Chain([1; 16])), Some(chain));
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
            assert_eq!(StoredRecord::read(9, &changed), Err(RecordFault::Checksum), "byte {at} bit {bit}");
        }
        assert!(StoredRecord::read(9, &bytes[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn a_record_under_another_commit_or_key_or_of_another_version_is_refused_by_name() {
    let (bytes, _) = stored(b"some body");
    assert_eq!(StoredRecord::read(10, &bytes), Err(RecordFault::Misplaced));
    let record = StoredRecord::read(9, &bytes).unwrap();
    assert_eq!(record.open(&seal_key(43)), Err(RecordFault::Seal));

    let mut newer = bytes;
    newer[1] = 2;
    let end = newer.len() - 4;
    let crc = crc32fast::hash(&newer[..end]).to_be_bytes();
    newer[end..].copy_from_slice(&crc);
    assert_eq!(StoredRecord::read(9, &newer), Err(RecordFault::Version(2)));
}

#[test]
fn a_changed_header_does_not_open_even_with_a_right_checksum() {
    let (mut bytes, _) = stored(b"some body");
    bytes[17] ^= 1;
    let end = bytes.len() - 4;
    let crc = crc32fast::hash(&bytes[..end]).to_be_bytes();
    bytes[end..].copy_from_slice(&crc);
    let record = StoredRecord::read(9, &bytes).unwrap();
    assert_eq!(record.open(&seal_key(42)), Err(RecordFault::Seal));
}
