//! What the tests of the ledger share: a ledger in a directory of its own, entries, and the file
//! format by its specification, so that a forger can write it too.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use usaged::ledger::{
    Entry, Fact, Findings, Ledger, LedgerKey, OpenError, Options, Report, SignedCheckpoint, Source,
    Verification, Verified,
};
use usaged::model::{CustomerKey, UnixMillis};
use usaged::observe::Clock;

pub const STORE: [u8; 16] = [0xab; 16];
pub const HEADER: &[u8] = b"usaged ledger, format 1\n";

/// The key of all tests.
pub fn key() -> LedgerKey {
    LedgerKey::from_seed(&[7; 32])
}

pub fn source(forgotten: u64, made: u64) -> Source {
    Source { store: STORE, forgotten, made }
}

/// The entry with this number: of one of three customers.
pub fn entry(number: u64) -> Vec<u8> {
    let fact = match number % 4 {
        0 => Fact::CollectorStarted { version: format!("0.{number}.0") },
        n => Fact::Exported { customer: CustomerKey(n) },
    };
    Entry { at: UnixMillis(1_800_000_000_000 + i64::try_from(number).unwrap()), fact }.to_bytes()
}

pub fn entries(numbers: std::ops::RangeInclusive<u64>) -> Vec<(u64, Vec<u8>)> {
    numbers.map(|number| (number, entry(number))).collect()
}

pub fn options(dir: &Path) -> Options {
    Options {
        checkpoint_every: Duration::MAX,
        checkpoint_entries: u64::MAX,
        ..Options::new(&dir.join("ledger"))
    }
}

pub fn open_with(options: &Options, source: &Source) -> Result<(Ledger, Report), OpenError> {
    Ledger::open(options.clone(), key(), source, Clock::manual(UnixMillis(1_800_000_000_000)))
}

pub fn open(dir: &Path, forgotten: u64, made: u64) -> Ledger {
    open_with(&options(dir), &source(forgotten, made)).unwrap().0
}

/// A closed ledger: its first entry and `last` more, with a checkpoint after each of `signed` entries and at the end.
pub fn sample(dir: &Path, last: u64, signed: &[u64]) -> PathBuf {
    let ledger = open(dir, 0, last);
    for number in 1..=last {
        ledger.append(&entries(number..=number)).unwrap();
        if signed.contains(&(number + 1)) {
            ledger.checkpoint().unwrap();
        }
    }
    ledger.checkpoint().unwrap();
    dir.join("ledger")
}

pub fn verify_with(dir: &Path, checkpoint: Option<&SignedCheckpoint>) -> Verified {
    Verification { dir, key: None, checkpoint }.run(&mut |_, _| {}).unwrap()
}

pub fn verify(dir: &Path) -> Verified {
    verify_with(dir, None)
}

/// What opening a tampered ledger says.
pub fn refused(dir: &Path, forgotten: u64, made: u64) -> Option<Findings> {
    match open_with(&options(dir), &source(forgotten, made)) {
        Err(OpenError::Broken { findings, .. }) => Some(findings),
        Err(error) => panic!("{error:?}"),
        Ok(_) => None,
    }
}

/// The leaves of a ledger, as texts; of one that is being written, those that are there whole.
pub fn leaves(ledger: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(ledger.join("entries")).unwrap();
    let mut rest = bytes.strip_prefix(HEADER).unwrap();
    let mut found = Vec::new();
    while let Some(length) = rest.first_chunk::<4>() {
        let end = 8 + usize::try_from(u32::from_be_bytes(*length)).unwrap();
        let Some(leaf) = rest.get(8..end) else { break };
        found.push(leaf.to_vec());
        rest = &rest[end..];
    }
    found
}

/// The file `entries` with these leaves, with every length and checksum right.
pub fn write_leaves(ledger: &Path, leaves: &[Vec<u8>]) {
    let mut bytes = HEADER.to_vec();
    for leaf in leaves {
        let length = u32::try_from(leaf.len()).unwrap().to_be_bytes();
        bytes.extend_from_slice(&length);
        bytes.extend_from_slice(&crc32fast::hash(&[&length, leaf.as_slice()].concat()).to_be_bytes());
        bytes.extend_from_slice(leaf);
    }
    fs::write(ledger.join("entries"), bytes).unwrap();
}

/// A copy of a directory with files.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}
