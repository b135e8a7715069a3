//! Copying a ledger into a backup, while a collector may be writing to it or not; and reading one that is in no
//! collector's hands.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::files::{CHECKPOINTS, ENTRIES, FileFault, VKEY, make_dir, sync_dir};
use super::leaf::{self, Leaf};
use super::notes::{Next, Notes};
use super::record::{FIRST, Found, HEADER, Records, frame};

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Entries.
    pub entries: u64,
    /// The number of the last one.
    pub number: u64,
}

/// Copies the ledger in `from` to the new directory `to`, up to the entry with the number `upto`, with the checkpoints
/// over what is copied. A torn end is left out. The hashes are made again at the next open.
///
/// # Errors
/// If a file cannot be read or written.
pub fn copy(from: &Path, to: &Path, upto: u64) -> Result<Copied, FileFault> {
    make_dir(to)?;
    // The checkpoints first: what they have signed is on disk before them.
    let notes = notes(&from.join(CHECKPOINTS))?;
    let path = to.join(ENTRIES);
    let mut output = io::BufWriter::new(create(&path)?);
    let written = FileFault::of("write", &path);
    output.write_all(HEADER).map_err(written)?;
    let mut copied = Copied { entries: 0, number: 0 };
    let mut failed = None;
    visit(from, &mut |leaf| {
        if copied.entries > 0 && leaf.number > upto {
            return false;
        }
        let record = frame(leaf.text.as_bytes()).unwrap_or_default();
        failed = output.write_all(&record).err();
        copied = Copied { entries: copied.entries.saturating_add(1), number: number(&leaf, copied) };
        failed.is_none()
    })?;
    let end = failed.map_or_else(|| output.into_inner().map_err(io::IntoInnerError::into_error), Err);
    end.and_then(|file| file.sync_all()).map_err(FileFault::of("write", &path))?;
    let path = to.join(CHECKPOINTS);
    let mut output = create(&path)?;
    let kept = notes.iter().filter(|(size, _)| *size <= copied.entries);
    let text = kept.flat_map(|(_, note)| [note.as_str(), "\n"]).collect::<Vec<_>>().concat();
    output
        .write_all(text.as_bytes())
        .and_then(|()| output.sync_all())
        .map_err(FileFault::of("write", &path))?;
    let (source, target) = (from.join(VKEY), to.join(VKEY));
    let key = fs::read(&source).map_err(FileFault::of("read", &source))?;
    let mut output = create(&target)?;
    output.write_all(&key).and_then(|()| output.sync_all()).map_err(FileFault::of("write", &target))?;
    sync_dir(to)?;
    Ok(copied)
}

/// The number that the ledger has reached with a leaf: the first entry says which one comes next.
fn number(leaf: &Leaf, before: Copied) -> u64 {
    if before.entries > 0 {
        return leaf.number;
    }
    leaf::next_number(leaf.text.as_bytes()).map_or(0, |next| next.saturating_sub(1))
}

fn create(path: &Path) -> Result<File, FileFault> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path).map_err(FileFault::of("make", path))
}

/// The size and the text of every whole checkpoint.
fn notes(path: &Path) -> Result<Vec<(u64, String)>, FileFault> {
    let read = |error| FileFault::of("read", path)(error);
    let mut notes = Notes::new(File::open(path).map_err(read)?);
    let mut found = Vec::new();
    loop {
        match notes.next().map_err(read)? {
            Next::Note(note) => found.push((note.checkpoint().size, note.note().to_owned())),
            Next::Bad(_) => {}
            Next::Torn | Next::End => return Ok(found),
        }
    }
}

/// Gives every entry of the ledger in `dir`, in order, until `each` says stop (`false`), or one cannot be read. Nothing
/// is checked beyond that: [`super::Verification`] does.
///
/// # Errors
/// If the file cannot be read.
pub fn visit(dir: &Path, each: &mut dyn FnMut(Leaf) -> bool) -> Result<(), FileFault> {
    let path = dir.join(ENTRIES);
    let read = |error| FileFault::of("read", &path)(error);
    let file = File::open(&path).map_err(read)?;
    let length = file.metadata().map_err(read)?.len();
    let mut records = Records::new(file, FIRST, length).map_err(read)?;
    let mut index = 0;
    while let Found::Leaf(bytes) = records.next().map_err(read)? {
        let Some(leaf) = Leaf::read(index, bytes) else { return Ok(()) };
        if !each(leaf) {
            return Ok(());
        }
        index += 1;
    }
    Ok(())
}

/// How far the ledger in `dir` reaches.
///
/// # Errors
/// If it cannot be read.
pub fn reach(dir: &Path) -> Result<Copied, FileFault> {
    let mut reached = Copied { entries: 0, number: 0 };
    visit(dir, &mut |leaf| {
        reached = Copied { entries: reached.entries.saturating_add(1), number: number(&leaf, reached) };
        true
    })?;
    Ok(reached)
}
