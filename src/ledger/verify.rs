//! `ledger verify`: everything that can be told from the files alone, without a collector and without
//! the key that signs.

use std::fs::File;
use std::io;
use std::path::Path;

use data_encoding::BASE64;
use serde::Serialize;

use super::checkpoint::SignedCheckpoint;
use super::files::{CHECKPOINTS, Derived, ENTRIES, FileFault, VKEY};
use super::finding::{Finding, Findings};
use super::key::VerifierKey;
use super::notes::{self, Gathered};
use super::record::HEADER;
use super::walk::{Signed, Start, Tail, Walk, Walked};

/// Bytes of a file that holds one line.
const LINE_BYTES: u64 = 1024;

/// What is to be verified.
#[derive(Debug)]
pub struct Verification<'a> {
    /// The directory of the ledger.
    pub dir: &'a Path,
    /// The key that must have signed it; without one, the one in the directory, which whoever can
    /// change the ledger can change as well.
    pub key: Option<&'a VerifierKey>,
    /// An older checkpoint that must still hold, from a receipt or an export.
    pub checkpoint: Option<&'a SignedCheckpoint>,
}

/// What was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The name of the ledger.
    pub origin: String,
    /// The key that its checkpoints were checked with.
    pub key: String,
    /// Entries.
    pub entries: u64,
    /// The root over them, in base64.
    pub root: String,
    /// Checkpoints in the ledger.
    pub checkpoints: u64,
    /// Entries that the last checkpoint has signed.
    pub signed: u64,
    /// Whether the end is torn, as after a crash: behind every checkpoint, and harmless.
    pub is_torn: bool,
    /// What is wrong.
    pub findings: Findings,
}

impl Verification<'_> {
    /// Verifies. `progress` is told the bytes that are done and all there are.
    ///
    /// # Errors
    /// If a file cannot be read; what is wrong with the ledger is in the result.
    pub fn run(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<Verified, FileFault> {
        let mut findings = Findings::default();
        let Some(key) = self.key_to_use(&mut findings)? else {
            return Ok(Verified::nothing(findings));
        };
        let Some(gathered) = gather(self.dir, &key)? else {
            findings.add(Finding::File { file: CHECKPOINTS });
            return Ok(Verified::nothing(findings));
        };
        gathered.findings.named.iter().for_each(|finding| findings.add(finding.clone()));
        let mut signed = gathered.signed;
        if let Some(given) = self.checkpoint {
            match given.verify(&key) {
                Ok(given) => {
                    include(&mut signed, Signed { size: given.size, root: given.root }, &mut findings);
                }
                Err(fault) => findings.add(Finding::Given { fault }),
            }
        }
        let derived = Derived::to_read(self.dir);
        let Some(walked) = walk(self.dir, &signed, derived.as_ref(), Start::first(), Tail::Last, progress)?
        else {
            findings.add(Finding::File { file: ENTRIES });
            return Ok(Verified::nothing(findings));
        };
        walked.findings.named.iter().for_each(|finding| findings.add(finding.clone()));
        findings.more = findings.more.saturating_add(walked.findings.more);
        Ok(Verified {
            origin: key.name().to_owned(),
            key: key.to_string(),
            entries: walked.edge.size(),
            root: BASE64.encode(&walked.edge.root()),
            checkpoints: gathered.notes,
            signed: gathered.last.map_or(0, |last| last.checkpoint().size),
            is_torn: walked.is_torn,
            findings,
        })
    }

    /// The key that was given, or that of the directory; they must be the same.
    fn key_to_use(&self, findings: &mut Findings) -> Result<Option<VerifierKey>, FileFault> {
        let found = read_key(self.dir)?;
        match (self.key, found) {
            (Some(given), Some(found)) if *given != found => {
                findings.add(Finding::Key { found: found.to_string(), expected: given.to_string() });
                Ok(Some(given.clone()))
            }
            (Some(given), _) => Ok(Some(given.clone())),
            (None, Some(found)) => Ok(Some(found)),
            (None, None) => {
                findings.add(Finding::File { file: VKEY });
                Ok(None)
            }
        }
    }
}

impl Verified {
    fn nothing(findings: Findings) -> Self {
        let (origin, key, root) = (String::new(), String::new(), String::new());
        Self { origin, key, entries: 0, root, checkpoints: 0, signed: 0, is_torn: false, findings }
    }
}

/// Puts a root among the others, in the order of their sizes.
fn include(all: &mut Vec<Signed>, one: Signed, findings: &mut Findings) {
    match all.binary_search_by_key(&one.size, |signed| signed.size) {
        Ok(at) if all.get(at).is_some_and(|signed| signed.root != one.root) => {
            findings.add(Finding::Forked { size: one.size });
        }
        Ok(_) => {}
        Err(at) => all.insert(at, one),
    }
}

/// The verifier key of a directory; `None` if there is none that can be read.
pub(super) fn read_key(dir: &Path) -> Result<Option<VerifierKey>, FileFault> {
    let path = dir.join(VKEY);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileFault::of("open", &path)(error)),
    };
    let mut text = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, LINE_BYTES), &mut text)
        .map_err(FileFault::of("read", &path))?;
    Ok(std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()))
}

/// Every checkpoint of a directory; `None` if the file is not there.
pub(super) fn gather(dir: &Path, key: &VerifierKey) -> Result<Option<Gathered>, FileFault> {
    let path = dir.join(CHECKPOINTS);
    match File::open(&path) {
        Ok(file) => notes::gather(file, key).map(Some).map_err(FileFault::of("read", &path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileFault::of("open", &path)(error)),
    }
}

/// Walks through the entries of a directory; `None` if the file is not there or is none of ours.
pub(super) fn walk(
    dir: &Path,
    signed: &[Signed],
    derived: Option<&Derived>,
    start: Start,
    tail: Tail,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Option<Walked>, FileFault> {
    let path = dir.join(ENTRIES);
    let mut entries = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileFault::of("open", &path)(error)),
    };
    let mut header = [0; HEADER.len()];
    match io::Read::read_exact(&mut entries, &mut header) {
        Ok(()) if header == HEADER => {}
        Ok(()) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(FileFault::of("read", &path)(error)),
    }
    let read = |error| FileFault::of("read", &path)(error);
    let all = entries.metadata().map_err(read)?.len();
    let walk = Walk::new(entries, start, signed, derived, tail).map_err(read)?;
    walk.run(&mut |done| progress(done, all)).map(Some).map_err(read)
}
