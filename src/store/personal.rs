//! The file of personal rows: the families that say who a customer is and what opens its records, apart from the
//! backup that they belong to. Its form is in the module documentation of [`super`].

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rocksdb::WriteBatch;
use zeroize::{Zeroize, Zeroizing};

use super::backup::BackupError;
use super::bytes::Bytes;
use super::layout::{PERSONAL, SALTS};
use super::rocks::{Db, between, write_options};

const MAGIC: &[u8; 8] = b"usgd-per";
const VERSION: u16 = 1;
/// Bytes that are written at a time.
const BUFFER: usize = 64 * 1024;
/// No row is longer; a longer length is damage.
const LONGEST: u32 = 16 * 1024 * 1024;
/// Rows in one write while they are put back.
const GROUP: usize = 1_024;
/// The kind that stands where the rows end.
const END: u8 = 0;
/// Bytes of each end of a secret that are searched for.
const PATTERN: usize = 16;

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

/// Writes the personal rows of `db` to the new file `path`. Gives how many there are, and the patterns of the
/// secrets among them, in order.
pub(super) fn write(db: &Db, store: [u8; 16], path: &Path) -> Result<(u64, Patterns), BackupError> {
    let failed = |source| BackupError::File { path: path.to_owned(), source };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let buffer = Zeroizing::new(Vec::with_capacity(BUFFER));
    let mut output = Output { file, buffer, crc: crc32fast::Hasher::new() };
    let (mut rows, mut patterns) = (0, Vec::new());
    let head = [MAGIC.as_slice(), &VERSION.to_be_bytes(), &store].concat();
    output.put(&head).map_err(failed)?;
    for (name, kind) in PERSONAL.iter().zip(END + 1..) {
        let Some(family) = db.cf_handle(name) else { continue };
        let mut found = db.raw_iterator_cf_opt(&family, between(Vec::new(), vec![0xff; 64]));
        found.seek_to_first();
        while let Some((key, value)) = found.item() {
            let lengths = (u32::try_from(key.len()), u32::try_from(value.len()));
            let (Ok(key_len), Ok(value_len)) = lengths else { return Err(BackupError::Damaged) };
            let mut put = || {
                output.put(&[kind])?;
                output.put(&key_len.to_be_bytes())?;
                output.put(&value_len.to_be_bytes())?;
                output.put(key)?;
                output.put(value)
            };
            put().map_err(failed)?;
            if *name == SALTS {
                // The first byte is a version.
                let ends =
                    [value.get(1..=PATTERN), value.len().checked_sub(PATTERN).and_then(|at| value.get(at..))];
                patterns.extend(ends.into_iter().flatten().filter_map(pattern));
            }
            rows += 1;
            found.next();
        }
        found.status().map_err(|error| BackupError::Database(error.into()))?;
    }
    output.put(&[END]).and_then(|()| output.put(&u64::to_be_bytes(rows))).map_err(failed)?;
    let crc = output.crc.clone().finalize();
    let end =
        output.put(&crc.to_be_bytes()).and_then(|()| output.flush()).and_then(|()| output.file.sync_all());
    end.map_err(failed)?;
    patterns.sort_unstable();
    patterns.dedup();
    Ok((rows, patterns))
}

/// Sixteen bytes as a number.
pub(super) fn pattern(bytes: &[u8]) -> Option<u128> {
    bytes.try_into().ok().map(u128::from_be_bytes)
}

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
type Row = (&'static str, Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>);

/// Visits every row of a file, and checks that it is whole and belongs to the store.
fn visit(
    path: &Path,
    store: [u8; 16],
    mut row: impl FnMut(Row) -> Result<(), BackupError>,
) -> Result<u64, BackupError> {
    let failed = |source: io::Error| {
        if source.kind() == io::ErrorKind::UnexpectedEof {
            BackupError::Damaged
        } else {
            BackupError::File { path: path.to_owned(), source }
        }
    };
    let mut input = Input::open(path).map_err(failed)?;
    let head = input.take(MAGIC.len() + 2 + store.len()).map_err(failed)?;
    let mut bytes = Bytes(&head);
    if bytes.array::<8>() != Some(*MAGIC) || bytes.u16() != Some(VERSION) {
        return Err(BackupError::Damaged);
    }
    if bytes.array() != Some(store) {
        return Err(BackupError::Foreign);
    }
    let mut rows = 0;
    loop {
        let kind = input.take(1).map_err(failed)?.first().copied().unwrap_or(END);
        if kind == END {
            break;
        }
        let name = PERSONAL.get(usize::from(kind - 1)).ok_or(BackupError::Damaged)?;
        let (key, value) = (input.number().map_err(failed)?, input.number().map_err(failed)?);
        if key > LONGEST || value > LONGEST {
            return Err(BackupError::Damaged);
        }
        let length = |n: u32| usize::try_from(n).map_err(|_| BackupError::Damaged);
        let key = input.take(length(key)?).map_err(failed)?;
        row((name, key, input.take(length(value)?).map_err(failed)?))?;
        rows += 1;
    }
    let said = input.take(8).map_err(failed)?;
    let crc = input.crc.clone().finalize();
    if Bytes(&said).u64() != Some(rows) || input.number().map_err(failed)? != crc {
        return Err(BackupError::Damaged);
    }
    Ok(rows)
}

/// Puts the rows of a file back into a database that has none of them.
pub(super) fn put_back(db: &Db, store: [u8; 16], path: &Path) -> Result<u64, BackupError> {
    // First the whole file is checked: nothing is written of a damaged one.
    visit(path, store, |_| Ok(()))?;
    let mut batch = WriteBatch::default();
    let write = |batch: WriteBatch, sync| {
        db.write_opt(batch, &write_options(sync)).map_err(|error| BackupError::Database(error.into()))
    };
    let rows = visit(path, store, |(name, key, value)| {
        let family = db.cf_handle(name).ok_or(BackupError::Damaged)?;
        batch.put_cf(&family, key.as_slice(), value.as_slice());
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

/// Finds patterns in a stream of bytes.
pub(super) struct Search<'a> {
    patterns: &'a [u128],
    /// Which values the last three bytes of some pattern have: nearly all places are passed over by it.
    ends: Vec<u64>,
}

impl<'a> Search<'a> {
    const BITS: usize = 1 << 24;

    /// `patterns` are in order.
    pub(super) fn new(patterns: &'a [u128]) -> Self {
        let mut ends = vec![0_u64; Self::BITS / 64];
        for pattern in patterns {
            let (word, bit) = Self::place(*pattern);
            if let Some(word) = ends.get_mut(word) {
                *word |= bit;
            }
        }
        Self { patterns, ends }
    }

    fn place(window: u128) -> (usize, u64) {
        let low = usize::try_from(window & 0x00ff_ffff).unwrap_or(0);
        (low / 64, 1 << (low % 64))
    }

    /// How many times some pattern is in what is read.
    pub(super) fn count(&self, mut from: impl Read) -> io::Result<u64> {
        let mut chunk = Zeroizing::new(vec![0_u8; 1024 * 1024]);
        let (mut window, mut seen, mut found) = (0_u128, 0_usize, 0);
        loop {
            let read = from.read(&mut chunk)?;
            if read == 0 {
                return Ok(found);
            }
            for byte in chunk.get(..read).unwrap_or_default() {
                window = (window << 8) | u128::from(*byte);
                seen = seen.saturating_add(1);
                let (word, bit) = Self::place(window);
                let near = self.ends.get(word).is_some_and(|word| word & bit != 0);
                if near && seen >= PATTERN && self.patterns.binary_search(&window).is_ok() {
                    found += 1;
                }
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_found_wherever_it_is_and_nothing_else_is() {
        let secret: Vec<u8> = (100..116).collect();
        let patterns = vec![pattern(&secret).unwrap()];
        let search = Search::new(&patterns);
        for at in [0, 1, 1024 * 1024 - 7, 1024 * 1024, 1_500_000] {
            let mut bytes = vec![7_u8; 2_000_000];
            assert_eq!(search.count(bytes.as_slice()).unwrap(), 0);
            bytes.splice(at..at + 16, secret.iter().copied());
            assert_eq!(search.count(bytes.as_slice()).unwrap(), 1, "at {at}");
            bytes.splice(at + 3..at + 4, [0]);
            assert_eq!(search.count(bytes.as_slice()).unwrap(), 0, "changed at {at}");
        }
    }
}
