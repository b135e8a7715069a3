//! What the tests of the store share: a store in a directory of its own, and batches that the real
//! sanitiser made.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tempfile::TempDir;
use usaged::model::{
    CommitNumber, CustomerId, CustomerKey, LevelName, Participation, ProgramName, UnixMillis,
};
use usaged::observe::Clock;
use usaged::policy::{Policy, compile, shipped};
use usaged::sanitize::wire::{Head, ProtoReader};
use usaged::sanitize::{
    Applicant, CustomerSalt, CustomerSecret, DataRoot, Permit, Ratchet, RootKey, SanitizedBatch, Scratch,
    SealKey, sanitize,
};
use usaged::store::{
    Append, Appended, Dedup, Entry, MetaOp, MetaTable, OpenError, Options, ReadLimits, SealedRecord, Store,
};

/// The time at which tests begin.
pub const START: UnixMillis = UnixMillis(1_800_000_000_000);
/// Bytes of a body: enough that segments of 64 KiB fill up soon.
const HOSTS: u32 = 40;

/// The root key of all tests.
pub fn root_key() -> RootKey {
    RootKey::from_hex(&"0123456789abcdef".repeat(4)).unwrap()
}

fn secret() -> Arc<CustomerSecret> {
    let (root, salt) = (DataRoot::new([5; 32]), CustomerSalt::new([7; 32]));
    Arc::new(CustomerSecret::derive(&root, &salt, Ratchet::new(0, [6; 32]), CustomerKey(1)))
}

/// The key that opens the records of [`record`].
pub fn seal_key(received: UnixMillis) -> Arc<SealKey> {
    secret().seal_key(&ProgramName::new("ceip").unwrap(), received)
}

fn message(number: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push((number << 3) | 2);
    varint(bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn varint(mut n: usize, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n.to_le_bytes()[0] | 0x80);
        n >>= 7;
    }
    out.push(n.to_le_bytes()[0]);
}

/// A request with [`HOSTS`] events whose content depends on `n`.
fn request(n: u64) -> Vec<u8> {
    let mut out = Vec::new();
    message(1, format!("00000000-0000-4000-8000-{n:012x}").as_bytes(), &mut out);
    message(2, b"vcenter", &mut out);
    for at in 0..HOSTS {
        let mut field = Vec::new();
        let mut value = Vec::new();
        message(1, format!("host-{n}-{at}.example.com").as_bytes(), &mut value);
        message(1, b"host", &mut field);
        message(2, &value, &mut field);
        let mut event = Vec::new();
        message(1, b"vm.inventory", &mut event);
        message(4, &field, &mut event);
        message(6, &event, &mut out);
    }
    out
}

fn policy() -> Arc<Policy> {
    static POLICY: OnceLock<Arc<Policy>> = OnceLock::new();
    Arc::clone(POLICY.get_or_init(|| Arc::new(compile(&shipped()).unwrap().0)))
}

/// The sanitised batch number `n`, received at `received`.
pub fn batch(n: u64, received: UnixMillis) -> SanitizedBatch {
    let mut participation = Participation::none(CustomerId::new("acme").unwrap());
    for product in ["vcenter", "horizon", "tanzu-cli"] {
        participation.accepted_dictionaries.insert(usaged::model::ProductName::new(product).unwrap(), 2);
    }
    participation.levels.insert(ProgramName::new("ceip").unwrap(), LevelName::new("standard").unwrap());
    let bytes = request(n);
    let head = Head::read(&bytes).unwrap();
    let (secret, caps) = (secret(), BTreeMap::new());
    let applicant = Applicant {
        participation: &participation,
        secret: &secret,
        caps: &caps,
        received,
        epoch: 0,
        suppressed: None,
    };
    let permit = Permit::grant(policy(), &applicant, &head);
    let mut made = sanitize(&permit, &head, ProtoReader::new(&bytes), &mut Scratch::default()).unwrap();
    assert_eq!(made.batches.len(), 1, "{:?}", made.tally);
    made.batches.remove(0)
}

/// The sealed record number `n`.
pub fn record(n: u64, received: UnixMillis) -> SealedRecord {
    SealedRecord::seal(&batch(n, received), 1, &seal_key(received)).unwrap()
}

/// A batch of one record under the id `n`.
pub fn append(n: u64, received: UnixMillis) -> Append {
    Append {
        records: vec![record(n, received)],
        dedup: dedup(n),
        receipt: format!("receipt {n}").into_bytes(),
        basis: None,
        collected: Vec::new(),
    }
}

/// The id and digest of batch `n`.
pub fn dedup(n: u64) -> Dedup {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&n.to_be_bytes());
    Dedup { id, digest: [n.to_le_bytes()[0]; 16] }
}

/// A data directory, and the options and clock to open a store in it.
pub struct Bench {
    /// Removed when the bench is dropped.
    home: Option<TempDir>,
    pub path: PathBuf,
    pub options: Options,
    pub clock: Clock,
}

impl Bench {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut bench = Self::at(&dir.path().join("data"));
        bench.home = Some(dir);
        bench
    }

    fn at(path: &Path) -> Self {
        // The witness is written before every answer: each loss is seen, however small.
        let mut options = Options::new(path);
        options.witness_lag = std::time::Duration::ZERO;
        options.reserve_bytes = 0;
        Self { home: None, path: path.to_owned(), options, clock: Clock::manual(START) }
    }

    /// Small segments, so that few batches make many.
    pub fn with_segments_of(mut self, bytes: u64) -> Self {
        self.options.segment_bytes = bytes;
        self.options.retention_bytes = bytes * 40;
        self
    }

    pub fn open(&self) -> Store {
        self.try_open().unwrap()
    }

    pub fn try_open(&self) -> Result<Store, OpenError> {
        reopen(&self.options, &root_key(), &self.clock)
    }

    /// A copy of the directory as it is now: what a crash would leave.
    pub fn crashed(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        // The database may take a file away while it is copied: then there is a newer state to copy.
        while !copied(&self.path, &path) {
            std::fs::remove_dir_all(&path).unwrap();
        }
        let options = Options { dir: path.clone(), ..self.options.clone() };
        Self { home: Some(dir), path, options, clock: self.clock.clone() }
    }

    /// The files of the database whose names end so, oldest first.
    pub fn files(&self, ending: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path.join("db")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut found: Vec<_> = paths.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
        found.sort();
        found
    }
}

/// A copy of the directory of a store that is open.
pub fn copy_of(dir: &Path) -> tempfile::TempDir {
    loop {
        let copy = tempfile::tempdir().unwrap();
        // The database may take a file away while it is copied: then there is a newer state to copy.
        if copied(dir, copy.path()) {
            return copy;
        }
    }
}

/// Copies a directory; whether the same files were there all the time.
fn copied(from: &Path, to: &Path) -> bool {
    let before = files_below(from);
    let is_whole = before.iter().all(|path| {
        let target = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        match std::fs::copy(path, &target) {
            Ok(_) => true,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => panic!("{error}"),
        }
    });
    // One that came meanwhile may be named by one that was copied late.
    is_whole && files_below(from) == before
}

fn files_below(dir: &Path) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files.extend(files_below(&entry.path()));
        } else {
            files.insert(entry.path());
        }
    }
    files
}

/// Stores the batches `numbers`, one after the other.
pub async fn fill(store: &Store, clock: &Clock, numbers: std::ops::RangeInclusive<u64>) {
    for n in numbers {
        let outcome = store.append(append(n, clock.now())).await.unwrap();
        assert_eq!(outcome, Appended::Stored { last: CommitNumber(n) });
    }
}

/// Everything in the queue.
pub fn drain(store: &Store) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    loop {
        let from = all.last().map_or(CommitNumber(1), |entry| entry.commit().next());
        let some = store.read(from, ReadLimits { records: 7, bytes: 100_000 }).unwrap();
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

/// The commits that can be read, after checking that each has the bytes that were stored under it.
pub fn readable(store: &Store) -> Vec<u64> {
    let mut commits = Vec::new();
    for entry in drain(store) {
        let Entry::Record(record) = entry else { continue };
        let expected = batch(record.commit.0, record.header.received);
        assert!(
            record.open(&seal_key(record.header.received)).unwrap() == expected.body(),
            "commit {} has other bytes",
            record.commit
        );
        commits.push(record.commit.0);
    }
    commits
}

/// A row of a subscription.
pub fn put(key: &[u8], value: &[u8]) -> MetaOp {
    MetaOp::Put { table: MetaTable::Subscriptions, key: key.to_vec(), value: value.to_vec() }
}

/// Opens a store that this process may have let go of a moment ago. A test that starts a program right
/// now has a copy of the lock's descriptor between fork and exec, so `Locked` is tried again for a while.
pub fn reopen(options: &Options, key: &RootKey, clock: &Clock) -> Result<Store, OpenError> {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(2);
    loop {
        match Store::open(options.clone(), key, clock.clone()) {
            Err(OpenError::Locked { .. }) if std::time::Instant::now() < until => {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            opened => return opened,
        }
    }
}
