//! The data directory: who holds it, and which store and format it is.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rustix::fs::{FlockOperation, flock, statvfs};

use super::fault::OpenError;
use super::layout::FORMAT_VERSION;
use super::options::Options;

const FORMAT: &str = "FORMAT";
const LOCK: &str = "LOCK";
const WITNESS: &str = "witness";
const DATABASE: &str = "db";
const TITLE: &str = "usaged store, format ";

/// A data directory that this process holds. It lets go when it is dropped.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    _lock: File,
}

/// What the format file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// There is no file: no store yet.
    Absent,
    /// This format, and the id of the store.
    Known([u8; 16]),
}

impl Directory {
    /// Takes hold of `path`; makes the directory if it does not exist.
    pub(super) fn claim(path: &Path) -> Result<Self, OpenError> {
        // The registry of participations holds customer ids: nobody else's business on a shared machine.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|source| failed("make", path, source))?;
        let lock_path = path.join(LOCK);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(|source| failed("write to", path, source))?;
        Self::hold(path, lock)
    }

    /// Takes hold of a store that exists, without writing anything.
    pub(super) fn claim_to_read(path: &Path) -> Result<Self, OpenError> {
        match File::open(path.join(LOCK)) {
            Ok(lock) => Self::hold(path, lock),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(OpenError::Absent { path: path.to_owned() })
            }
            Err(source) => Err(failed("read", path, source)),
        }
    }

    /// Looks at a store that exists, or at a backup: without writing anything, and without a hold on it if it has
    /// no lock file, as a backup has not.
    pub(super) fn look(path: &Path) -> Result<Self, OpenError> {
        match Self::claim_to_read(path) {
            Err(OpenError::Absent { .. }) if path.join(FORMAT).exists() || path.join(DATABASE).exists() => {
                let dir = File::open(path).map_err(|source| failed("read", path, source))?;
                Ok(Self { path: path.to_owned(), _lock: dir })
            }
            looked => looked,
        }
    }

    /// Takes hold of a store that exists, or of a backup, which has no lock file yet.
    pub(super) fn claim_to_write(path: &Path) -> Result<Self, OpenError> {
        if !path.join(FORMAT).exists() {
            return Err(OpenError::Absent { path: path.to_owned() });
        }
        Self::claim(path)
    }

    fn hold(path: &Path, lock: File) -> Result<Self, OpenError> {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked { path: path.to_owned() }),
            Err(errno) => Err(failed("lock", path, errno.into())),
        }
    }

    /// The directory itself.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory of the database.
    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// The witness file.
    pub(super) fn witness(&self) -> PathBuf {
        self.path.join(WITNESS)
    }

    /// Whether there is a database.
    pub(super) fn has_database(&self) -> Result<bool, OpenError> {
        is_there(&self.database().join("CURRENT"))
    }

    /// Reads the format file.
    pub(super) fn format(&self) -> Result<Format, OpenError> {
        let path = self.path.join(FORMAT);
        let text = match fs::read(&path) {
            Ok(bytes) => String::from_utf8(bytes).map_err(|_| OpenError::NotAStore { path: path.clone() })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return if is_there(&self.database())? {
                    Err(OpenError::NotAStore { path })
                } else {
                    Ok(Format::Absent)
                };
            }
            Err(source) => return Err(failed("read", &path, source)),
        };
        let mut lines = text.lines();
        let version = lines.next().and_then(|line| line.strip_prefix(TITLE));
        let Some(version) = version else { return Err(OpenError::NotAStore { path }) };
        if version != FORMAT_VERSION.to_string() {
            let found: String = version.chars().filter(char::is_ascii_graphic).take(16).collect();
            return Err(OpenError::UnknownVersion { path: self.path.clone(), found, known: FORMAT_VERSION });
        }
        let id = lines.next().and_then(|line| line.strip_prefix("id "));
        let id = id.and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok()).and_then(|id| id.try_into().ok());
        id.map(Format::Known).ok_or(OpenError::NotAStore { path })
    }

    /// Writes the format file of a new store: whole or not at all.
    pub(super) fn write_format(&self, id: [u8; 16]) -> Result<(), OpenError> {
        let path = self.path.join(FORMAT);
        let new = self.path.join("FORMAT.new");
        let write = || -> io::Result<()> {
            let mut file = File::create(&new)?;
            writeln!(file, "{TITLE}{FORMAT_VERSION}\nid {}", HEXLOWER.encode(&id))?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|source| failed("write", &path, source))
    }

    /// Copies the format file to another directory.
    pub(super) fn copy_format(&self, to: &Path) -> io::Result<()> {
        let target = to.join(FORMAT);
        fs::copy(self.path.join(FORMAT), &target)?;
        File::open(&target)?.sync_all()
    }

    /// Bytes that the file system has free for this user.
    pub(super) fn free_bytes(&self) -> io::Result<u64> {
        let stat = statvfs(&self.path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Bytes of all files of the store. Files that vanish while it is counted do not count.
    pub(super) fn bytes(&self) -> u64 {
        let size = |path: &Path| -> u64 {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries
                .filter_map(|entry| entry.metadata().ok())
                .filter(fs::Metadata::is_file)
                .map(|m| m.len())
                .sum()
        };
        size(&self.path) + size(&self.database())
    }
}

/// Whether there is a store in `path`, or what is left of one: else opening it begins a new one.
///
/// # Errors
/// If it cannot be looked at.
pub fn is_begun(path: &Path) -> Result<bool, OpenError> {
    for part in [FORMAT, DATABASE, WITNESS] {
        if is_there(&path.join(part))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Refuses a directory without a store if there has to be one.
///
/// # Errors
/// If there is none, or that cannot be seen.
pub fn expect_store(options: &Options) -> Result<(), OpenError> {
    if options.must_exist && !is_begun(&options.dir)? {
        return Err(OpenError::Gone { path: options.dir.clone() });
    }
    Ok(())
}

/// Whether something is there. What cannot be looked at is not taken for absent: a store would be begun in its place.
fn is_there(path: &Path) -> Result<bool, OpenError> {
    path.try_exists().map_err(|source| failed("read", path, source))
}

/// An error of the file system, by name where the remedy is another.
pub(super) fn failed(what: &'static str, path: &Path, source: io::Error) -> OpenError {
    if source.kind() == io::ErrorKind::ReadOnlyFilesystem {
        OpenError::ReadOnly { path: path.to_owned() }
    } else {
        OpenError::File { what, path: path.to_owned(), source }
    }
}
