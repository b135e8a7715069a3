//! Everything that is read back from the store, as any bytes: it is refused, or it is read; and what was read is
//! written again as something that reads the same. With the right checksum behind them, so that what stands behind
//! the checksum is reached, too.

use usaged::sanitize::{Erased, RootKey, Rotation};
use usaged::{amend, drain, ingest, store};

/// The first byte chooses the form, the rest is the row.
pub fn run(input: &[u8]) {
    let Some((choice, bytes)) = input.split_first() else { return };
    let rooms = [store::fuzzing::ROWS, drain::fuzzing::ROWS, amend::fuzzing::ROWS, ingest::fuzzing::ROWS];
    let rows: Vec<_> = rooms.into_iter().flatten().chain(PURE).collect();
    let sealed = sealed(bytes);
    let (name, again) = rows[usize::from(*choice) % rows.len()];
    for row in [bytes, &sealed] {
        if let Some(written) = again(row) {
            assert_eq!(again(&written).as_ref(), Some(&written), "{name}: what is written is not read back");
        }
    }
    record(bytes);
    let root = RootKey::from_hex(&"0123456789abcdef".repeat(4)).unwrap();
    assert!(root.unwrap(bytes, &[3; 16]).is_err(), "a data root was made up");
}

const PURE: &[(&str, fn(&[u8]) -> Option<Vec<u8>>)] = &[
    ("erased", |bytes| Some(Erased::decode(bytes)?.encode())),
    ("rotation", |bytes| Some(Rotation::decode(bytes)?.encode())),
];

/// The bytes with their CRC-32 behind them.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    [bytes, &crc32fast::hash(bytes).to_be_bytes()].concat()
}

/// A record with a right checksum: what it says of itself is what it is.
fn record(bytes: &[u8]) {
    for record in [bytes.to_vec(), sealed(bytes)] {
        for commit in [1, u64::from_be_bytes(*record.last_chunk().unwrap_or(&[0; 8]))] {
            if let Some(len) = store::fuzzing::record_len(commit, &record) {
                assert_eq!(len, record.len(), "a record of another length than its bytes");
            }
        }
    }
}
