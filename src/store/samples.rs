//! What the tests of this room share: a store in a directory of its own, with records of registered customers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::command::Append;
use super::dedup::Dedup;
use super::record::{RecordHeader, SealedRecord};
use super::registry::NewChange;
use super::{Amendment, Bridge, Customers, Entry, KeyOp, MetaOp, Options, ReadLimits, Store, StoredRecord};
use crate::model::{
    CommitNumber, CustomerId, CustomerKey, LevelName, Participation, ProgramName, Purpose, Purposes,
    UnixMillis,
};
use crate::observe::Clock;
use crate::sanitize::{EpochSeed, RootKey, SealKey};

/// When every record was received.
pub(super) const RECEIVED: UnixMillis = UnixMillis(1_800_000_000_000);

pub(super) fn open(dir: &Path) -> Store {
    let mut options = Options::new(dir);
    options.witness_lag = std::time::Duration::ZERO;
    options.reserve_bytes = 0;
    options.segment_bytes = 64 * 1024;
    options.retention_bytes = 3 * 1024 * 1024;
    open_with(&options)
}

pub(super) fn open_with(options: &Options) -> Store {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
    loop {
        // A test that starts a process has a copy of the lock between fork and exec.
        match Store::open(options.clone(), &root_key(0), Clock::manual(RECEIVED)) {
            Err(super::OpenError::Locked { .. }) if std::time::Instant::now() < until => {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            opened => return opened.unwrap(),
        }
    }
}

pub(super) fn id(name: &str) -> CustomerId {
    CustomerId::new(name).unwrap()
}

/// Gives a customer a level, which makes it known. Gives its key.
pub(super) async fn register(store: &Store, name: &str, level: &str) -> CustomerKey {
    let mut participation = Participation::none(id(name));
    participation.levels.insert(ProgramName::new("ceip").unwrap(), LevelName::new(level).unwrap());
    let change = NewChange { participation, by: "ops".into(), reason: "a test".into(), if_revision: None };
    store.set_participation(vec![change]).await.unwrap().remove(0).unwrap().key
}

/// The key that seals the records of a customer.
pub(super) fn seal_key(store: &Store, key: CustomerKey) -> Option<SealKey> {
    let customers = Customers::new(store.clone(), 8);
    let secret = Arc::clone(&customers.get_by_key(key).unwrap()?.secret);
    Some(SealKey::clone(&secret.seal_key(&ProgramName::new("ceip").unwrap(), RECEIVED)))
}

/// A root key; another one for each number.
pub(super) fn root_key(number: u8) -> RootKey {
    RootKey::from_hex(&format!("{number:02x}23456789abcdef").repeat(4)).unwrap()
}

/// Keeps a bridge with this seed.
pub(super) fn bridge(customer: CustomerKey, seed: &[u8]) -> MetaOp {
    let seed = EpochSeed::new(seed.try_into().unwrap());
    let (by, reason) = ("ops".to_owned(), "a test".to_owned());
    MetaOp::Key(KeyOp::Bridge(Bridge {
        customer,
        epoch: 1,
        seed,
        made: RECEIVED,
        until: RECEIVED,
        by,
        reason,
    }))
}

/// Bytes that do not compress, other ones for each `n`.
pub(super) fn noise(n: u64) -> Vec<u8> {
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(2_000).collect()
}

/// A record of a customer.
pub(super) fn record(store: &Store, customer: CustomerKey, level: &str, body: &[u8]) -> SealedRecord {
    let header = RecordHeader {
        customer,
        program: "ceip".into(),
        product: "vcenter".into(),
        level: level.into(),
        region: String::new(),
        received: RECEIVED,
        events: 3,
        purposes: Purposes::only(Purpose::Improve),
        dictionary_version: 1,
        accepted_version: 1,
        revision: 1,
        plan: [1; 8],
        body_len: 0,
    };
    SealedRecord::encode(&header, body, &seal_key(store, customer).unwrap()).unwrap()
}

/// Stores records numbered `numbers`, those of odd commits for the first customer. Gives their sealed bytes.
pub(super) async fn fill(
    store: &Store,
    customers: [CustomerKey; 2],
    numbers: std::ops::RangeInclusive<u64>,
) -> BTreeMap<u64, Vec<u8>> {
    let mut sealed = BTreeMap::new();
    for n in numbers {
        let customer = customers[usize::from(n % 2 == 0)];
        let record = record(store, customer, "enhanced", &noise(n));
        sealed.insert(n, record.sealed()[80..].to_vec());
        let mut id = [0; 16];
        id[8..].copy_from_slice(&n.to_be_bytes());
        let dedup = Dedup { id, digest: [1; 16] };
        let receipt = format!("receipt {n}").into_bytes();
        store
            .append(Append { records: vec![record], dedup, receipt, basis: None, collected: Vec::new() })
            .await
            .unwrap();
    }
    sealed
}

/// The record at a commit, if it is one.
pub(super) fn at(store: &Store, commit: u64) -> Option<StoredRecord> {
    match store.read_one(CommitNumber(commit)).unwrap() {
        Some(Entry::Record(record)) => Some(record),
        Some(Entry::Gone { .. } | Entry::Damaged { .. }) | None => None,
    }
}

/// Amendments of all these commits: to other bytes, or to nothing.
pub(super) fn amendments(
    store: &Store,
    commits: impl IntoIterator<Item = u64>,
    replace: bool,
) -> Vec<Amendment> {
    let amend = |commit| {
        let found = at(store, commit)?;
        let with = replace.then(|| record(store, found.header.customer, "standard", &noise(commit + 10_000)));
        Some(Amendment { commit: CommitNumber(commit), with, expect: found.tag() })
    };
    commits.into_iter().filter_map(amend).collect()
}

/// Everything in the queue.
pub(super) fn queue(store: &Store) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    loop {
        let from = all.last().map_or(CommitNumber(1), |entry| entry.commit().next());
        let some = store.read(from, ReadLimits { records: 50, bytes: 1 << 20 }).unwrap();
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

/// The files under `dir` that hold one of these byte strings.
pub(super) fn holding<'a>(dir: &Path, needles: impl IntoIterator<Item = &'a [u8]>) -> Vec<PathBuf> {
    let needles: Vec<_> = needles.into_iter().map(memchr::memmem::Finder::new).collect();
    let mut todo = vec![dir.to_owned()];
    let mut found = Vec::new();
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                if needles.iter().any(|needle| needle.find(&bytes).is_some()) {
                    found.push(path);
                }
            }
        }
    }
    found
}

/// Does what blocks, away from the runtime.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}
