//! The files of a ledger: their names, and how they are opened and read at a place.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::tree::{Edge, Hash, stored_count, stored_index};

pub(super) const ENTRIES: &str = "entries";
pub(super) const TREE: &str = "tree";
pub(super) const OFFSETS: &str = "offsets";
pub(super) const CHECKPOINTS: &str = "checkpoints";
pub(super) const VKEY: &str = "vkey";

/// A system call that failed, with what it was about.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {path}", path = path.display())]
pub struct FileFault {
    /// What was tried.
    pub what: &'static str,
    /// On what.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

impl FileFault {
    pub(super) fn of(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { what, path: path.to_owned(), source }
    }

    /// Whether there was no space.
    #[must_use]
    pub fn is_full(&self) -> bool {
        is_full(&self.source)
    }
}

pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// Makes a directory that nobody else may look into.
pub(super) fn make_dir(path: &Path) -> Result<(), FileFault> {
    DirBuilder::new().mode(0o700).create(path).map_err(FileFault::of("make", path))
}

/// Opens a file to read and write, and makes it if it is not there.
pub(super) fn open(path: &Path) -> Result<File, FileFault> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(FileFault::of("open", path))
}

/// Syncs a directory, so that what was made, renamed or removed in it is.
pub(super) fn sync_dir(path: &Path) -> Result<(), FileFault> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(FileFault::of("sync", path))
}

/// The two files that can be made again from the entries: the hashes of every complete subtree
/// (32 bytes each, at [`stored_index`]) and the offset of every record (8 bytes each).
#[derive(Debug)]
pub(super) struct Derived {
    tree: File,
    offsets: File,
}

impl Derived {
    pub(super) const fn new(tree: File, offsets: File) -> Self {
        Self { tree, offsets }
    }

    /// Opens those of `dir` to read, if they are there.
    pub(super) fn to_read(dir: &Path) -> Option<Self> {
        let open = |name| File::open(dir.join(name)).ok();
        Some(Self { tree: open(TREE)?, offsets: open(OFFSETS)? })
    }

    /// The hash of a complete subtree.
    pub(super) fn subtree(&self, level: u32, index: u64) -> io::Result<Hash> {
        let mut hash = [0; 32];
        self.tree.read_exact_at(&mut hash, stored_index(level, index).saturating_mul(32))?;
        Ok(hash)
    }

    /// The hash of a leaf; `None` if there is none.
    pub(super) fn leaf(&self, index: u64) -> Option<Hash> {
        self.subtree(0, index).ok()
    }

    /// The right edge of the tree at some size.
    pub(super) fn edge(&self, size: u64) -> io::Result<Edge> {
        Edge::of(size, &mut |level, index| self.subtree(level, index))
    }

    /// Where the record of an entry begins.
    pub(super) fn offset(&self, index: u64) -> io::Result<u64> {
        let mut offset = [0; 8];
        self.offsets.read_exact_at(&mut offset, index.saturating_mul(8))?;
        Ok(u64::from_be_bytes(offset))
    }

    /// Writes hashes and offsets of entries from `size` on, in one write each.
    pub(super) fn write(&self, size: u64, hashes: &[Hash], offsets: &[u64]) -> io::Result<()> {
        self.tree.write_all_at(hashes.as_flattened(), stored_count(size).saturating_mul(32))?;
        let offsets: Vec<u8> = offsets.iter().flat_map(|offset| offset.to_be_bytes()).collect();
        self.offsets.write_all_at(&offsets, size.saturating_mul(8))
    }

    /// Cuts both to `size` entries.
    pub(super) fn cut(&self, size: u64) -> io::Result<()> {
        self.tree.set_len(stored_count(size).saturating_mul(32))?;
        self.offsets.set_len(size.saturating_mul(8))
    }

    /// Whether both have exactly what `size` entries have.
    pub(super) fn fits(&self, size: u64) -> io::Result<bool> {
        let tree = self.tree.metadata()?.len() == stored_count(size).saturating_mul(32);
        Ok(tree && self.offsets.metadata()?.len() == size.saturating_mul(8))
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.tree.sync_data()?;
        self.offsets.sync_data()
    }
}
