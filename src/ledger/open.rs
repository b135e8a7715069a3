//! Opening: what is there is checked, a torn end is cut off, what can be made again is made again;
//! or a ledger is begun, the first one or the one after a broken one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rand::TryRng as _;
use rand::rngs::SysRng;
use rustix::fs::{FlockOperation, flock};

use super::checkpoint::{Checkpoint, SignedCheckpoint};
use super::entry::{Entry, Fact};
use super::fault::OpenError;
use super::files::{self, Derived, FileFault};
use super::finding::{Finding, Findings};
use super::key::LedgerKey;
use super::leaf::{self, Leaf};
use super::notes::Gathered;
use super::options::{Options, Source};
use super::parts::OldLedger;
use super::record::{FIRST, FRAME, Found, HEADER, Records, frame};
use super::tree::{Edge, leaf_hash};
use super::verify::{gather, read_key, walk};
use super::walk::{Signed, Start, Tail, Walked};
use crate::model::UnixMillis;

/// A ledger whose files are checked and open.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) name: String,
    pub(super) entries: File,
    pub(super) derived: Derived,
    pub(super) checkpoints: File,
    pub(super) edge: Edge,
    /// Bytes of `entries` and of `checkpoints`.
    pub(super) bytes: u64,
    pub(super) noted: u64,
    /// The number of the entry at index 1.
    pub(super) base: u64,
    pub(super) last: SignedCheckpoint,
    pub(super) report: Report,
}

/// What opening did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// A ledger was begun.
    pub begun: bool,
    /// In place of one that was broken; what was wrong with it.
    pub broken: Option<Findings>,
    /// Bytes of a torn end that were cut off; the outbox still holds what they were.
    pub cut: u64,
    /// The hashes or offsets were made again.
    pub rebuilt: bool,
    /// Every entry was read; otherwise those behind the last checkpoint.
    pub whole: bool,
}

/// Why what is there cannot be used.
enum Refusal {
    Error(OpenError),
    Broken(Findings),
}

impl From<FileFault> for Refusal {
    fn from(fault: FileFault) -> Self {
        Self::Error(fault.into())
    }
}

impl From<Finding> for Refusal {
    fn from(finding: Finding) -> Self {
        let mut findings = Findings::default();
        findings.add(finding);
        Self::Broken(findings)
    }
}

/// Opens the ledger of `options`, or begins it.
pub(super) fn open(
    options: &Options,
    key: &LedgerKey,
    source: &Source,
    now: UnixMillis,
) -> Result<Opened, OpenError> {
    let dir = &options.dir;
    let is_there = dir.try_exists().map_err(FileFault::of("look for", dir))?;
    let found = if is_there {
        existing(options, key, source)
    } else if source.forgotten > 0 {
        Err(Finding::Gone { forgotten: source.forgotten }.into())
    } else {
        begin(options, key, source, now, None).map_err(Refusal::Error)
    };
    match found {
        Ok(opened) => Ok(opened),
        Err(Refusal::Error(error)) => Err(error),
        Err(Refusal::Broken(findings)) if options.accept_break => {
            let mut opened = begin(options, key, source, now, Some(&findings))?;
            opened.report.broken = Some(findings);
            Ok(opened)
        }
        Err(Refusal::Broken(findings)) => Err(OpenError::Broken { path: dir.clone(), findings }),
    }
}

fn existing(options: &Options, key: &LedgerKey, source: &Source) -> Result<Opened, Refusal> {
    let dir = options.dir.as_path();
    let entries = claim(dir)?;
    let found = read_key(dir)?.ok_or(Finding::File { file: files::VKEY })?;
    let verifier = key.verifier(found.name());
    if verifier != found {
        return Err(Finding::Key { found: found.to_string(), expected: verifier.to_string() }.into());
    }
    let gathered = gather(dir, &found)?.ok_or(Finding::File { file: files::CHECKPOINTS })?;
    let Gathered { signed, last: Some(last), whole, findings, .. } = gathered else {
        return Err(Refusal::Broken(gathered.findings));
    };
    if !findings.is_empty() {
        return Err(Refusal::Broken(findings));
    }
    let derived = Derived::new(files::open(&dir.join(files::TREE))?, files::open(&dir.join(files::OFFSETS))?);
    let (walked, from) = check(options, &entries, &derived, &signed, source)?;
    if !walked.findings.is_empty() {
        return Err(Refusal::Broken(walked.findings));
    }
    belongs(&entries, dir, &walked, source)?;

    let mut report = Report { whole: from == 0, ..Report::default() };
    if walked.is_torn {
        let path = dir.join(files::ENTRIES);
        let length = entries.metadata().map_err(FileFault::of("read", &path))?.len();
        entries
            .set_len(walked.bytes)
            .and_then(|()| entries.sync_all())
            .map_err(FileFault::of("cut", &path))?;
        report.cut = length.saturating_sub(walked.bytes);
    }
    let size = walked.edge.size();
    let repaired = || -> io::Result<bool> {
        if walked.is_derived_wrong {
            rebuild(dir, &derived)?;
        } else if !derived.fits(size)? {
            derived.cut(size)?;
        }
        Ok(walked.is_derived_wrong)
    };
    report.rebuilt = repaired().map_err(FileFault::of("make again the hashes in", dir))?;
    let checkpoints = files::open(&dir.join(files::CHECKPOINTS))?;
    checkpoints.set_len(whole).map_err(FileFault::of("cut", &dir.join(files::CHECKPOINTS)))?;
    Ok(Opened {
        name: found.name().to_owned(),
        entries,
        derived,
        checkpoints,
        edge: walked.edge,
        bytes: walked.bytes,
        noted: whole,
        base: walked.base,
        last,
        report,
    })
}

/// Opens the entries, and holds them against other processes.
fn claim(dir: &Path) -> Result<File, Refusal> {
    let path = dir.join(files::ENTRIES);
    let entries = match OpenOptions::new().read(true).write(true).open(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Finding::File { file: files::ENTRIES }.into());
        }
        Err(error) => return Err(FileFault::of("open", &path)(error).into()),
    };
    hold(&entries, dir).map_err(Refusal::Error)?;
    Ok(entries)
}

fn hold(entries: &File, dir: &Path) -> Result<(), OpenError> {
    match flock(entries, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked { path: dir.to_owned() }),
        Err(errno) => Err(FileFault::of("lock", dir)(errno.into()).into()),
    }
}

/// Walks through the entries: those behind the last checkpoint, or all of them if there are few or
/// something is wrong. Gives the index that it began at.
fn check(
    options: &Options,
    entries: &File,
    derived: &Derived,
    signed: &[Signed],
    source: &Source,
) -> Result<(Walked, u64), Refusal> {
    let dir = options.dir.as_path();
    let tail = Tail::From(source.forgotten.saturating_add(1));
    let go = |signed: &[Signed], start| -> Result<Walked, Refusal> {
        let walked = walk(dir, signed, Some(derived), start, tail, &mut |_, _| {})?;
        walked.ok_or_else(|| Finding::File { file: files::ENTRIES }.into())
    };
    let length = entries.metadata().map_err(FileFault::of("read", dir))?.len();
    if let Some(last) = signed.last().filter(|_| length > options.check_bytes) {
        let start = || -> io::Result<Option<Start>> {
            let edge = derived.edge(last.size)?;
            let base = first(entries)?.and_then(|first| leaf::next_number(first.text.as_bytes()));
            let offset = end_of(entries, derived.offset(last.size.saturating_sub(1))?)?;
            let is_signed = edge.root() == last.root;
            Ok(base.filter(|_| is_signed && offset <= length).map(|base| Start { edge, offset, base }))
        };
        // A start that cannot be made is no fault yet: the whole walk tells.
        if let Ok(Some(start)) = start() {
            let walked = go(std::slice::from_ref(last), start)?;
            if walked.findings.is_empty() && !walked.is_derived_wrong {
                return Ok((walked, last.size));
            }
        }
    }
    Ok((go(signed, Start::first())?, 0))
}

/// Where the record ends that begins at `offset`.
fn end_of(entries: &File, offset: u64) -> io::Result<u64> {
    let mut length = [0; 4];
    entries.read_exact_at(&mut length, offset)?;
    Ok(offset.saturating_add(FRAME).saturating_add(u64::from(u32::from_be_bytes(length))))
}

/// The first entry.
fn first(entries: &File) -> io::Result<Option<Leaf>> {
    let length = entries.metadata()?.len();
    let found = Records::new(entries.try_clone()?, FIRST, length)?.next()?;
    Ok(match found {
        Found::Leaf(bytes) => Leaf::read(0, bytes),
        Found::Bad(_) | Found::End => None,
    })
}

/// Whether the ledger is of this store, and has what the store has moved into it.
fn belongs(entries: &File, dir: &Path, walked: &Walked, source: &Source) -> Result<(), Refusal> {
    let expected = HEXLOWER.encode(&source.store);
    let first = first(entries).map_err(FileFault::of("read", dir))?;
    match first.as_ref().and_then(Leaf::fact) {
        Some(Fact::LedgerBegun { store, .. }) if *store == expected => {}
        Some(Fact::LedgerBegun { store, .. }) => {
            return Err(Finding::Store { found: store.clone(), expected }.into());
        }
        Some(_) | None => return Err(Finding::Changed { index: 0 }.into()),
    }
    let last = last_number(walked.base, walked.edge.size());
    if last < source.forgotten {
        return Err(Finding::Behind { last, forgotten: source.forgotten }.into());
    }
    if last > source.made {
        return Err(Finding::Ahead { last, made: source.made }.into());
    }
    Ok(())
}

/// The number of the last entry; of a ledger that has only its first one, the number before the next.
pub(super) const fn last_number(base: u64, size: u64) -> u64 {
    base.saturating_add(size).saturating_sub(2)
}

/// Makes hashes and offsets again from the entries, which were checked.
fn rebuild(dir: &Path, derived: &Derived) -> io::Result<()> {
    const CHUNK: usize = 4096;
    let entries = File::open(dir.join(files::ENTRIES))?;
    let length = entries.metadata()?.len();
    let mut records = Records::new(entries, FIRST, length)?;
    let (mut edge, mut from) = (Edge::default(), 0);
    let (mut hashes, mut offsets) = (Vec::new(), Vec::new());
    loop {
        let offset = records.offset();
        let found = records.next()?;
        if let Found::Leaf(bytes) = &found {
            offsets.push(offset);
            hashes.extend(edge.push(leaf_hash(bytes)));
        }
        let is_end = !matches!(found, Found::Leaf(_));
        if is_end || offsets.len() >= CHUNK {
            derived.write(from, &hashes, &offsets)?;
            from = edge.size();
            hashes.clear();
            offsets.clear();
        }
        if is_end {
            derived.cut(edge.size())?;
            return derived.sync();
        }
    }
}

/// Begins a ledger: all of its files are made aside and put in place in one step. A broken one is
/// kept, under another name.
fn begin(
    options: &Options,
    key: &LedgerKey,
    source: &Source,
    now: UnixMillis,
    broken: Option<&Findings>,
) -> Result<Opened, OpenError> {
    let dir = options.dir.as_path();
    let mut random = [0; 8];
    SysRng.try_fill_bytes(&mut random).map_err(|_| OpenError::Entropy)?;
    let name = format!("usaged-ledger/{}", HEXLOWER.encode(&random));
    let is_there = dir.try_exists().map_err(FileFault::of("look for", dir))?;
    let kept = beside(dir, &format!("broken-{}", now.0));
    let after = broken.map(|findings| old_ledger(dir, findings, is_there.then_some(kept.as_path())));
    let base = source.forgotten.saturating_add(1);
    let store = HEXLOWER.encode(&source.store);
    let fact = Fact::LedgerBegun { origin: name.clone(), store, next: base, after };
    let leaf = leaf::make(0, &Entry { at: now, fact }.to_bytes()).unwrap_or_default();
    let record = frame(&leaf).unwrap_or_default();

    let draft = beside(dir, "begin");
    if draft.exists() {
        fs::remove_dir_all(&draft).map_err(FileFault::of("clear", &draft))?;
    }
    files::make_dir(&draft)?;
    let file = |name: &str| files::open(&draft.join(name));
    let entries = file(files::ENTRIES)?;
    let derived = Derived::new(file(files::TREE)?, file(files::OFFSETS)?);
    let (checkpoints, vkey) = (file(files::CHECKPOINTS)?, file(files::VKEY)?);
    let mut edge = Edge::default();
    let hashes = edge.push(leaf_hash(&leaf));
    let last = Checkpoint { origin: name.clone(), size: 1, root: edge.root() }.sign(key);
    let note = format!("{}\n", last.note());
    let write = || -> io::Result<()> {
        entries.write_all_at(&[HEADER, &record].concat(), 0)?;
        derived.write(0, &hashes, &[FIRST])?;
        checkpoints.write_all_at(note.as_bytes(), 0)?;
        vkey.write_all_at(format!("{}\n", key.verifier(&name)).as_bytes(), 0)?;
        derived.sync()?;
        [&entries, &checkpoints, &vkey].into_iter().try_for_each(File::sync_all)
    };
    write().map_err(FileFault::of("begin a ledger in", &draft))?;
    files::sync_dir(&draft)?;
    hold(&entries, dir)?;
    if is_there {
        fs::rename(dir, &kept).map_err(FileFault::of("put aside", dir))?;
    }
    fs::rename(&draft, dir).map_err(FileFault::of("put in place", dir))?;
    files::sync_dir(dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    let length = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
    Ok(Opened {
        name,
        entries,
        derived,
        checkpoints,
        edge,
        bytes: length(HEADER.len() + record.len()),
        noted: length(note.len()),
        base,
        last,
        report: Report { begun: true, whole: true, ..Report::default() },
    })
}

/// What a new ledger remembers of a broken one.
fn old_ledger(dir: &Path, findings: &Findings, kept: Option<&Path>) -> OldLedger {
    let name = kept.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    OldLedger {
        origin: read_key(dir).ok().flatten().map(|key| key.name().to_owned()).unwrap_or_default(),
        checkpoint: last_note(dir).unwrap_or_default(),
        fault: findings.to_string(),
        kept_in: name.unwrap_or_default(),
    }
}

/// A name beside the ledger's.
fn beside(dir: &Path, end: &str) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    name.into()
}

/// The last good checkpoint of a ledger that is broken.
fn last_note(dir: &Path) -> Option<String> {
    let key = read_key(dir).ok().flatten()?;
    let last = gather(dir, &key).ok().flatten()?.last?;
    Some(last.note().to_owned())
}
