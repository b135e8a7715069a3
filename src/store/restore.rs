//! Putting a backup back: its files and the personal rows are joined in a new directory, and numbers go on far behind
//! those that the store can have given since the backup. What was erased since is named, so that it is erased again.

use std::collections::BTreeSet;
use std::path::Path;

use rocksdb::WriteBatch;

use super::backup::{forget_apart, id, open};
use super::backup_error::{BackupError, at};
use super::backup_files::FileSum;
use super::backup_places::sync_dir;
use super::bytes::{Bytes, count};
use super::directory::{Directory, Format};
use super::fault::OpenError;
use super::joint::Joint;
use super::layout::{CUSTOMERS, open_row};
use super::layout::{
    FIXED, Head, IDS, KEY_OUTBOX, KEY_REGISTRY, META, OutboxRow, RegistryRow, outbox_key, row as encode_row,
};
use super::meta::MetaTable;
use super::open::{Judge, go_on, leap, row};
use super::options::Options;
use super::personal_read::{self, Row, has_any};
use super::rocks::{Db, Setup, families, write_options};
use super::survey;
use super::witness::Witness;
use crate::model::{CommitNumber, CustomerKey, ErasureId, UnixMillis};

/// Commits by which numbers go on behind those of the backup at least.
const GAP: u64 = 1_000_000;
/// And for each millisecond since it was made: far more than any store takes.
const PER_MS: u64 = 100;
/// The key of the row that says that the store was restored.
const RESTORED: &[u8] = b"restored";

/// What is put back, and how.
#[derive(Debug)]
pub struct Restore<'a> {
    /// The directory of the backup.
    pub backup: &'a Path,
    /// Its files.
    pub files: &'a [FileSum],
    /// When it was made.
    pub made: UnixMillis,
    /// The file of personal rows.
    pub rows: &'a Path,
    /// Customers whose rows are left out: as if they had been erased.
    pub leave_out: &'a BTreeSet<CustomerKey>,
    /// Bridges that are left out.
    pub bridges_out: &'a BTreeSet<(CustomerKey, u32)>,
    /// The number of the last entry of the ledger that comes with it: the outbox goes on behind it.
    pub ledger: u64,
    /// The new directory. Its parent is there.
    pub to: &'a Path,
    /// The time.
    pub now: UnixMillis,
}

/// A store that was put back. It is the row that is left in it until what was erased since is erased again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The last commit of the backup.
    pub head: CommitNumber,
    /// The commit that numbers go on with.
    pub next: CommitNumber,
    /// When the backup was made.
    pub made: UnixMillis,
    /// When it was put back.
    pub at: UnixMillis,
    /// Erasures that are not in the backup: they are carried out again.
    pub again: Vec<ErasureId>,
}

impl Restored {
    fn encode(&self) -> Vec<u8> {
        encode_row(|out| {
            out.extend_from_slice(&self.head.0.to_be_bytes());
            out.extend_from_slice(&self.next.0.to_be_bytes());
            out.extend_from_slice(&self.made.0.to_be_bytes());
            out.extend_from_slice(&self.at.0.to_be_bytes());
            for erasure in &self.again {
                out.extend_from_slice(erasure.as_bytes());
            }
        })
    }

    fn decode(row: &[u8]) -> Option<Self> {
        let mut input: Bytes<'_> = open_row(row)?;
        let (head, next) = (CommitNumber(input.u64()?), CommitNumber(input.u64()?));
        let (made, at) = (UnixMillis(input.i64()?), UnixMillis(input.i64()?));
        let (ids, rest) = input.0.as_chunks::<16>();
        let again = ids.iter().map(|id| ErasureId::from_bytes(*id)).collect();
        rest.is_empty().then_some(Self { head, next, made, at, again })
    }
}

impl super::Store {
    /// Says that the store was restored and that what was erased since the backup is not erased again yet: until
    /// the row under the returned key of [`MetaTable::Restored`] is taken away.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn restored(&self) -> Result<Option<(Vec<u8>, Restored)>, super::StoreError> {
        const DAMAGED: super::StoreError = super::StoreError::Damaged { what: "the row of a restore" };
        let Some(row) = self.meta(MetaTable::Restored, RESTORED)? else { return Ok(None) };
        Ok(Some((RESTORED.to_vec(), Restored::decode(&row).ok_or(DAMAGED)?)))
    }
}

/// What became of personal rows.
#[derive(Default)]
pub(super) struct Joined {
    /// Erasures whose row the backup does not have in this form.
    again: Vec<ErasureId>,
    /// Customers that are there.
    customers: u64,
    /// The ids of those that are left out, in quotation marks, as rows name them.
    out: Vec<Vec<u8>>,
}

/// Joins a backup and personal rows in the new directory `restore.to`. It is a store once [`Joint::finish`] was called.
///
/// # Errors
/// If a file of the backup is missing or changed, the personal rows are not those of the store, or something cannot
/// be written.
pub fn restore<'r>(
    restore: &'r Restore<'r>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Joint<'r>, BackupError> {
    let of = restore.files.iter().map(|file| file.bytes).sum();
    let mut done = 0;
    for file in restore.files {
        progress(done, of);
        file.copy(restore.backup, restore.to)?;
        done += file.bytes;
    }
    progress(done, of);
    let directory = Directory::claim_to_write(restore.to).map_err(BackupError::Open)?;
    let store = id(&directory)?;
    let (db, names) = open_copy(&directory)?;
    drop(names);
    // Of these only what the newest file has holds: what was revoked since does not come back.
    forget_apart(&db)?;
    let mut joined = Joined::default();
    let mut keep = |found: &Row| is_kept(&db, restore, found, &mut joined);
    personal_read::put_back(&db, store, restore.rows, &mut keep)?;
    Joint::new(restore, directory, db, joined)
}

impl Joint<'_> {
    /// Has numbers go on behind all that were given since the backup, and makes it a store.
    ///
    /// # Errors
    /// If something cannot be read or written.
    pub fn finish(mut self) -> Result<Restored, BackupError> {
        self.write(true)?;
        let Self { restore, directory, db, joined, .. } = self;
        let (restored, head) = go_behind(&db, restore, &joined)?;
        drop(db);
        let witness = directory.witness();
        Witness::begin(&witness, id(&directory)?, 0, head).map_err(at(&witness))?;
        sync_dir(&directory.database())?;
        sync_dir(restore.to)?;
        Ok(restored)
    }
}

/// Puts the personal rows in the file `rows` back into the backup in `dir`, which no process has open. Gives how many.
///
/// # Errors
/// If there is no backup in `dir`, it has personal rows, or the file does not belong to it.
pub fn put_back(dir: &Path, rows: &Path) -> Result<u64, BackupError> {
    let directory = Directory::claim_to_write(dir).map_err(BackupError::Open)?;
    let Format::Known(store) = directory.format().map_err(BackupError::Open)? else {
        return Err(BackupError::Open(OpenError::Absent { path: dir.to_owned() }));
    };
    let (db, _) = open_copy(&directory)?;
    if has_any(&db)? {
        return Err(BackupError::Present);
    }
    personal_read::put_back(&db, store, rows, &mut |_| true)
}

/// Opens a copy with every family that a store has.
fn open_copy(directory: &Directory) -> Result<(Db, Vec<String>), BackupError> {
    if !directory.has_database().map_err(BackupError::Open)? {
        return Err(BackupError::Open(OpenError::Absent { path: directory.path().to_owned() }));
    }
    let path = directory.database();
    let mut names = families(&path)?;
    names.extend(FIXED.map(str::to_owned));
    names.sort_unstable();
    names.dedup();
    Ok((open(&path, &names, true)?, names))
}

/// Whether a personal row comes back. What was erased comes back in any case, to be erased again.
fn is_kept(db: &Db, restore: &Restore<'_>, found: &Row, joined: &mut Joined) -> bool {
    if let Some(erasure) = found.erasure() {
        // A row of an erasure that was done never changes again: the backup was made after it.
        let before =
            db.cf_handle(META).and_then(|meta| db.get_cf(&meta, found.key.as_slice()).ok()).flatten();
        if before.as_deref() != Some(found.value.as_slice()) {
            joined.again.push(ErasureId::from_bytes(erasure));
        }
        return true;
    }
    if found.is_apart() {
        // The ids come before them in the file.
        return !joined.out.iter().any(|id| memchr::memmem::find(&found.value, id).is_some());
    }
    let Some(customer) = found.customer() else { return true };
    let is_out = restore.leave_out.contains(&customer)
        || found.bridge().is_some_and(|epoch| restore.bridges_out.contains(&(customer, epoch)));
    joined.customers += u64::from(found.family == CUSTOMERS && !is_out);
    if is_out && found.family == IDS {
        joined.out.push([b"\"".as_slice(), found.key.as_slice(), b"\""].concat());
    }
    !is_out
}

/// Has commits, customers and entries of the ledger go on behind all that were given since the backup, and leaves word
/// of the restore.
fn go_behind(db: &Db, restore: &Restore<'_>, joined: &Joined) -> Result<(Restored, Head), BackupError> {
    let judge = Judge {
        path: restore.to,
        accept: false,
        witnessed: Head::default(),
        accepted: std::cell::Cell::default(),
    };
    let setup = Setup::new();
    let mut found = survey::take(db, &setup, &judge, restore.now).map_err(BackupError::Open)?;
    let since = u64::try_from(restore.now.ms_since(restore.made)).unwrap_or(0);
    let gap = GAP.max(since.saturating_mul(PER_MS));
    let head = Head { commit: found.head.commit.saturating_add(gap), ..found.head };
    let options = Options::new(restore.to);
    go_on(db, &setup, &mut found.catalogue, head, &options, restore.now)?;
    let get = |key| row(db, key, &judge).map_err(BackupError::Open);
    let registry = get(KEY_REGISTRY)?.map_or(Some(RegistryRow::START), |row| RegistryRow::decode(&row));
    let registry = registry.ok_or(BackupError::Damaged)?;
    leap(db, RegistryRow { customers: joined.customers, ..registry }, restore.now, &judge)
        .map_err(BackupError::Open)?;
    let outbox = get(KEY_OUTBOX)?.map_or(Some(OutboxRow::START), |row| OutboxRow::decode(&row));
    let outbox = outbox.ok_or(BackupError::Damaged)?;
    let behind = restore.ledger.saturating_add(1);
    let moved = OutboxRow { next: outbox.next.max(behind), first: outbox.first.max(behind) };
    let restored = Restored {
        head: CommitNumber(found.head.commit),
        next: CommitNumber(head.commit).next(),
        made: restore.made,
        at: restore.now,
        again: joined.again.clone(),
    };
    let meta = db.cf_handle(META).ok_or(BackupError::Damaged)?;
    let mut batch = WriteBatch::default();
    // The ledger has them.
    batch.delete_range_cf(&meta, outbox_key(outbox.first), outbox_key(moved.first));
    batch.put_cf(&meta, KEY_OUTBOX, moved.encode());
    batch.put_cf(&meta, MetaTable::Restored.key(RESTORED), restored.encode());
    // The head is written by the beginning of a segment, except by the very first.
    let head = Head { writes: head.writes.saturating_add(1), ..head };
    batch.put_cf(&meta, super::layout::KEY_HEAD, head.encode());
    db.write_opt(batch, &write_options(true))?;
    Ok((restored, head))
}

/// What a file of personal rows holds, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonalContents {
    /// The id of the store.
    pub store: [u8; 16],
    /// When it was made.
    pub made: UnixMillis,
    /// Its rows.
    pub rows: u64,
    /// The revision of each customer's participation.
    pub revisions: std::collections::HashMap<CustomerKey, u64>,
    /// The erasures that it knows.
    pub erasures: BTreeSet<ErasureId>,
}

/// Reads a file of personal rows through, and checks it.
///
/// # Errors
/// If it is damaged, or cannot be read.
pub fn personal_contents(rows: &Path) -> Result<PersonalContents, BackupError> {
    let (mut revisions, mut erasures) = (std::collections::HashMap::new(), BTreeSet::new());
    let told = personal_read::visit(rows, None, |found| {
        erasures.extend(found.erasure().map(ErasureId::from_bytes));
        if found.family == CUSTOMERS {
            let change = super::registry::decode(&found.value).map_err(|_| BackupError::Damaged)?;
            revisions.extend(found.customer().map(|customer| (customer, change.revision)));
        }
        Ok(())
    })?;
    let made = told.made;
    debug_assert!(count(revisions.len()) <= told.rows, "customers are among the rows");
    Ok(PersonalContents { store: told.store, made, rows: told.rows, revisions, erasures })
}
