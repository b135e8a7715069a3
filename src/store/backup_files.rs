//! The files of a backup: their list with sums, and how they are copied against it.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::backup_error::{BackupError, at};
use super::search::Search;
use super::unfinished::MARK;

/// Bytes that are read at a time.
const CHUNK: usize = 1024 * 1024;

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSum {
    /// Its place inside the backup, such as `db/000042.sst`.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
}

impl FileSum {
    /// Reads a file of `dir`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of(dir: &Path, path: &str) -> Result<Self, BackupError> {
        let file = dir.join(path);
        let mut input = Hashed::new(File::open(&file).map_err(at(&file))?);
        io::copy(&mut input, &mut io::sink()).map_err(at(&file))?;
        Ok(input.sum(path))
    }

    /// Whether its place can only be inside the backup.
    fn is_inside(&self) -> bool {
        let mut parts = Path::new(&self.path).components();
        !self.path.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)))
    }

    fn changed(&self) -> BackupError {
        BackupError::Changed { file: self.path.clone() }
    }

    /// Checks the file in `dir` against this.
    ///
    /// # Errors
    /// If it is another, or cannot be read.
    pub fn check(&self, dir: &Path) -> Result<(), BackupError> {
        if !self.is_inside() {
            return Err(self.changed());
        }
        match Self::of(dir, &self.path) {
            Ok(found) if found == *self => Ok(()),
            Err(BackupError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(self.changed())
            }
            Ok(_) => Err(self.changed()),
            Err(error) => Err(error),
        }
    }

    /// Copies it from one directory to another, checks it on the way, and syncs it.
    ///
    /// # Errors
    /// If it is another, or cannot be read or written.
    pub fn copy(&self, from: &Path, to: &Path) -> Result<(), BackupError> {
        if !self.is_inside() {
            return Err(self.changed());
        }
        let (source, target) = (from.join(&self.path), to.join(&self.path));
        if let Some(parent) = target.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(at(parent))?;
        }
        let input = File::open(&source).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound { self.changed() } else { at(&source)(error) }
        })?;
        let mut input = Hashed::new(input);
        let mut output = File::create_new(&target).map_err(at(&target))?;
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = input.read(&mut chunk).map_err(at(&source))?;
            let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            output.write_all(bytes).map_err(at(&target))?;
        }
        output.sync_all().map_err(at(&target))?;
        if input.sum(&self.path) == *self { Ok(()) } else { Err(self.changed()) }
    }
}

/// A file that is read, with the sum so far.
struct Hashed {
    file: File,
    sum: Sha256,
    bytes: u64,
}

impl Hashed {
    fn new(file: File) -> Self {
        Self { file, sum: Sha256::new(), bytes: 0 }
    }

    fn sum(self, path: &str) -> FileSum {
        let sha256 = HEXLOWER.encode(&self.sum.finalize());
        FileSum { path: path.to_owned(), bytes: self.bytes, sha256 }
    }
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.sum.update(buffer.get(..read).unwrap_or_default());
        self.bytes = self.bytes.saturating_add(super::bytes::count(read));
        Ok(read)
    }
}

/// Searches every file of a copy for secrets, and takes its sum. The log of messages of RocksDB is searched and not
/// listed: it is written to by whoever looks at the copy. Nor is the mark of an unfinished backup. Gives the list, and the bytes of all.
pub(super) fn sums(
    dir: &Path,
    search: &Search<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(Vec<FileSum>, u64), BackupError> {
    let mut files = Vec::new();
    for inside in ["", "db"] {
        let place = dir.join(inside);
        for entry in fs::read_dir(&place).map_err(at(&place))? {
            let entry = entry.map_err(at(&place))?;
            let meta = entry.metadata().map_err(at(&place))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if inside.is_empty() { name } else { format!("{inside}/{name}") };
            if meta.is_file() {
                files.push((path, meta.len()));
            }
        }
    }
    files.sort();
    let of = files.iter().map(|(_, bytes)| bytes).sum();
    let (mut done, mut found, mut listed) = (0, 0, Vec::new());
    for (path, bytes) in &files {
        progress(done, of);
        let file = dir.join(path);
        let mut input = Hashed::new(File::open(&file).map_err(at(&file))?);
        found += search.count(&mut input).map_err(at(&file))?;
        if !path.starts_with("db/LOG") && path != MARK {
            listed.push(input.sum(path));
        }
        done += bytes;
    }
    progress(done, of);
    if found == 0 { Ok((listed, of)) } else { Err(BackupError::Secrets { found }) }
}
