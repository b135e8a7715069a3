//! Reading the file of personal rows, and putting them back.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rocksdb::WriteBatch;
use zeroize::Zeroizing;

use super::backup_error::BackupError;
use super::bytes::Bytes;
use super::layout::{CHANGES, CUSTOMERS, IDS, META, PERSONAL, SALTS};
use super::meta::MetaTable;
use super::personal::{APART, END, KIND_META, MAGIC, VERSION};
use super::rocks::{Db, between, write_options};
use super::salts::BRIDGES;
use crate::model::{CustomerKey, UnixMillis};

/// No row is longer; a longer length is damage.
const LONGEST: u32 = 16 * 1024 * 1024;
/// Rows in one write while they are put back.
const GROUP: usize = 1_024;

/// A file that is read, with the checksum so far.
struct Input {
    file: io::BufReader<File>,
    crc: crc32fast::Hasher,
}

impl Input {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: io::BufReader::new(File::open(path)?), crc: crc32fast::Hasher::new() })
    }

    fn take(&mut self, length: usize) -> io::Result<Zeroizing<Vec<u8>>> {
        let mut bytes = Zeroizing::new(vec![0; length]);
        self.file.read_exact(&mut bytes)?;
        self.crc.update(&bytes);
        Ok(bytes)
    }

    fn number(&mut self) -> io::Result<u32> {
        let bytes = self.take(4)?;
        Ok(Bytes(&bytes).u32().unwrap_or(u32::MAX))
    }
}

/// A row: its family, its key and its value.
pub(super) struct Row {
    pub(super) family: &'static str,
    pub(super) key: Zeroizing<Vec<u8>>,
    pub(super) value: Zeroizing<Vec<u8>>,
}

impl Row {
    /// The customer that it is about; none of rows that only separate others, and of what was erased.
    pub(super) fn customer(&self) -> Option<CustomerKey> {
        let number = |bytes: &[u8]| Some(CustomerKey(u64::from_be_bytes(*bytes.first_chunk()?)));
        match self.family {
            IDS => number(&self.value),
            SALTS => number(self.key.strip_prefix(&BRIDGES).unwrap_or(&self.key)),
            CUSTOMERS | CHANGES => number(&self.key),
            _ => None,
        }
    }

    /// The epoch of a bridge.
    pub(super) fn bridge(&self) -> Option<u32> {
        let rest = self.key.strip_prefix(&BRIDGES).filter(|_| self.family == SALTS)?;
        Some(u32::from_be_bytes(*rest.last_chunk()?))
    }

    /// Whether it is of a table that is in this file only.
    pub(super) fn is_apart(&self) -> bool {
        self.family == META && APART.iter().any(|table| self.key.starts_with(&table.key(&[])))
    }

    /// The erasure that it is the row of.
    pub(super) fn erasure(&self) -> Option<[u8; 16]> {
        let key = self.key.strip_prefix(&MetaTable::Erasures.key(&[])[..]).filter(|_| self.family == META)?;
        key.try_into().ok()
    }
}

/// What a file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) store: [u8; 16],
    pub(super) made: UnixMillis,
    pub(super) rows: u64,
}

/// Visits every row of a file, and checks that it is whole and, if that is given, belongs to the store.
pub(super) fn visit(
    path: &Path,
    store: Option<[u8; 16]>,
    mut row: impl FnMut(Row) -> Result<(), BackupError>,
) -> Result<Told, BackupError> {
    let failed = |source: io::Error| {
        if source.kind() == io::ErrorKind::UnexpectedEof {
            BackupError::Damaged
        } else {
            BackupError::File { path: path.to_owned(), source }
        }
    };
    let mut input = Input::open(path).map_err(failed)?;
    let head = input.take(MAGIC.len() + 2 + 16 + 8).map_err(failed)?;
    let mut bytes = Bytes(&head);
    if bytes.array::<8>() != Some(*MAGIC) || bytes.u16() != Some(VERSION) {
        return Err(BackupError::Damaged);
    }
    let found = bytes.array().ok_or(BackupError::Damaged)?;
    if store.is_some_and(|store| store != found) {
        return Err(BackupError::Foreign);
    }
    let made = UnixMillis(bytes.i64().ok_or(BackupError::Damaged)?);
    let mut rows = 0;
    loop {
        let kind = input.take(1).map_err(failed)?.first().copied().unwrap_or(END);
        if kind == END {
            break;
        }
        let family = match kind {
            KIND_META => META,
            kind => PERSONAL.get(usize::from(kind - 1)).ok_or(BackupError::Damaged)?,
        };
        let (key, value) = (input.number().map_err(failed)?, input.number().map_err(failed)?);
        if key > LONGEST || value > LONGEST {
            return Err(BackupError::Damaged);
        }
        let length = |n: u32| usize::try_from(n).map_err(|_| BackupError::Damaged);
        let key = input.take(length(key)?).map_err(failed)?;
        let found = Row { family, key, value: input.take(length(value)?).map_err(failed)? };
        if family == META && found.erasure().is_none() && !is_suppression(&found.key) && !found.is_apart() {
            return Err(BackupError::Damaged);
        }
        row(found)?;
        rows += 1;
    }
    let said = input.take(8).map_err(failed)?;
    let crc = input.crc.clone().finalize();
    if Bytes(&said).u64() != Some(rows) || input.number().map_err(failed)? != crc {
        return Err(BackupError::Damaged);
    }
    Ok(Told { store: found, made, rows })
}

/// Whether it is the key of what is withheld after an erasure.
fn is_suppression(key: &[u8]) -> bool {
    key.starts_with(&MetaTable::Suppressions.key(&[]))
}

/// Puts the rows of a file that `keep` keeps back into a database that has none of them. Gives how many.
pub(super) fn put_back(
    db: &Db,
    store: [u8; 16],
    path: &Path,
    keep: &mut dyn FnMut(&Row) -> bool,
) -> Result<u64, BackupError> {
    // First the whole file is checked: nothing is written of a damaged one.
    visit(path, Some(store), |_| Ok(()))?;
    let mut batch = WriteBatch::default();
    let mut rows = 0;
    let write = |batch: WriteBatch, sync| {
        db.write_opt(batch, &write_options(sync)).map_err(|error| BackupError::Database(error.into()))
    };
    visit(path, Some(store), |row| {
        if !keep(&row) {
            return Ok(());
        }
        rows += 1;
        let family = db.cf_handle(row.family).ok_or(BackupError::Damaged)?;
        batch.put_cf(&family, row.key.as_slice(), row.value.as_slice());
        if batch.len() >= GROUP { write(std::mem::take(&mut batch), false) } else { Ok(()) }
    })?;
    write(batch, true)?;
    Ok(rows)
}

/// Whether the database has personal rows.
pub(super) fn has_any(db: &Db) -> Result<bool, BackupError> {
    for name in PERSONAL {
        let Some(family) = db.cf_handle(name) else { continue };
        let mut rows = db.raw_iterator_cf_opt(&family, between(Vec::new(), vec![0xff; 64]));
        rows.seek_to_first();
        if rows.valid() {
            return Ok(true);
        }
        rows.status().map_err(|error| BackupError::Database(error.into()))?;
    }
    Ok(false)
}
