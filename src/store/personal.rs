//! The file of personal rows: the families that say who a customer is and what opens its records, apart from the
//! backups that they belong to, with what was erased, notices of it and bearer tokens. Its form is in the module documentation of [`super`].

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use zeroize::{Zeroize, Zeroizing};

use super::backup_error::BackupError;
use super::layout::{META, PERSONAL, SALTS};
use super::meta::MetaTable;
use super::rocks::{Db, between};
use super::search::{PATTERN, pattern};
use crate::model::UnixMillis;

pub(super) const MAGIC: &[u8; 8] = b"usgd-per";
pub(super) const VERSION: u16 = 1;
/// The tables of the metadata family whose rows come along: they let what was erased be erased again from a backup
/// that still holds it.
pub(super) const ERASED: [MetaTable; 2] = [MetaTable::Suppressions, MetaTable::Erasures];
/// The tables whose rows are in this file and in no directory: they name customers, and those of an old directory would be
/// wrong. A token that was revoked since must not come back, and a drainer that was not told of an erasure since must be.
pub(super) const APART: [MetaTable; 2] = [MetaTable::Tokens, MetaTable::Notices];
/// The kind of the rows of both.
pub(super) const KIND_META: u8 = 5;
/// Bytes that are written at a time.
const BUFFER: usize = 64 * 1024;
/// The kind that stands where the rows end.
pub(super) const END: u8 = 0;

/// A file that is written, with the checksum so far. What it holds in memory is wiped.
struct Output {
    file: File,
    buffer: Zeroizing<Vec<u8>>,
    crc: crc32fast::Hasher,
}

impl Output {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc.update(bytes);
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        if bytes.len() > BUFFER { self.file.write_all(bytes) } else { self.buffer.write_all(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.buffer.zeroize();
        Ok(())
    }
}

/// Where the bytes of secrets begin and end: what must not be in the backup.
pub(super) type Patterns = Vec<u128>;

/// What is written, counted.
struct Rows<'a> {
    output: Output,
    path: &'a Path,
    count: u64,
    patterns: Patterns,
}

/// Writes the personal rows of `db`, all as they were at one moment, to the new file `path`. Gives how many there
/// are, and the patterns of the secrets among them, in order.
pub(super) fn write(
    db: &Db,
    store: [u8; 16],
    made: UnixMillis,
    path: &Path,
) -> Result<(u64, Patterns), BackupError> {
    let failed = |source| BackupError::File { path: path.to_owned(), source };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let buffer = Zeroizing::new(Vec::with_capacity(BUFFER));
    let output = Output { file, buffer, crc: crc32fast::Hasher::new() };
    let mut rows = Rows { output, path, count: 0, patterns: Vec::new() };
    let head = [MAGIC.as_slice(), &VERSION.to_be_bytes(), &store, &made.0.to_be_bytes()].concat();
    rows.output.put(&head).map_err(failed)?;
    let moment = db.snapshot();
    for (name, kind) in PERSONAL.iter().zip(END + 1..) {
        rows.family(db, &moment, (name, kind), (Vec::new(), vec![0xff; 64]))?;
    }
    for table in ERASED.into_iter().chain(APART) {
        let (lower, upper) = table.bounds();
        rows.family(db, &moment, (META, KIND_META), (lower.to_vec(), upper.to_vec()))?;
    }
    rows.end()
}

impl Rows<'_> {
    fn family(
        &mut self,
        db: &Db,
        moment: &rocksdb::SnapshotWithThreadMode<'_, Db>,
        (name, kind): (&str, u8),
        (lower, upper): (Vec<u8>, Vec<u8>),
    ) -> Result<(), BackupError> {
        let failed = |source| BackupError::File { path: self.path.to_owned(), source };
        let Some(family) = db.cf_handle(name) else { return Ok(()) };
        let mut options = between(lower, upper);
        options.set_snapshot(moment);
        let mut found = db.raw_iterator_cf_opt(&family, options);
        found.seek_to_first();
        while let Some((key, value)) = found.item() {
            let lengths = (u32::try_from(key.len()), u32::try_from(value.len()));
            let (Ok(key_len), Ok(value_len)) = lengths else { return Err(BackupError::Damaged) };
            let output = &mut self.output;
            let mut put = || {
                output.put(&[kind])?;
                output.put(&key_len.to_be_bytes())?;
                output.put(&value_len.to_be_bytes())?;
                output.put(key)?;
                output.put(value)
            };
            put().map_err(failed)?;
            if name == SALTS {
                // The first byte is a version.
                let last = value.len().checked_sub(PATTERN).and_then(|at| value.get(at..));
                let ends = [value.get(1..=PATTERN), last];
                self.patterns.extend(ends.into_iter().flatten().filter_map(pattern));
            }
            self.count += 1;
            found.next();
        }
        found.status().map_err(|error| BackupError::Database(error.into()))
    }

    fn end(mut self) -> Result<(u64, Patterns), BackupError> {
        let failed = |source| BackupError::File { path: self.path.to_owned(), source };
        let output = &mut self.output;
        output.put(&[END]).and_then(|()| output.put(&u64::to_be_bytes(self.count))).map_err(failed)?;
        let crc = output.crc.clone().finalize();
        output
            .put(&crc.to_be_bytes())
            .and_then(|()| output.flush())
            .and_then(|()| output.file.sync_all())
            .map_err(failed)?;
        self.patterns.sort_unstable();
        self.patterns.dedup();
        Ok((self.count, self.patterns))
    }
}
