//! The file `checkpoints`: signed notes, oldest first, an empty line after each.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};

use super::checkpoint::{DASH, NOTE_BYTES, NoteFault, SignedCheckpoint};
use super::finding::{Finding, Findings};
use super::key::VerifierKey;
use super::walk::Signed;

/// Reads the notes of a file one after another, in bounded memory.
#[derive(Debug)]
pub(super) struct Notes {
    input: BufReader<File>,
    /// Bytes up to the end of the last whole note.
    whole: u64,
    line: Vec<u8>,
}

/// What comes next in the file.
#[derive(Debug)]
pub(super) enum Next {
    Note(SignedCheckpoint),
    /// Something that is not a checkpoint.
    Bad(NoteFault),
    /// The file ends in the middle of a note.
    Torn,
    End,
}

impl Notes {
    pub(super) fn new(file: File) -> Self {
        Self { input: BufReader::new(file), whole: 0, line: Vec::new() }
    }

    /// Bytes up to the end of the last note that was read.
    pub(super) const fn whole(&self) -> u64 {
        self.whole
    }

    /// Reads the next note: everything up to the second empty line.
    pub(super) fn next(&mut self) -> io::Result<Next> {
        let (mut note, mut empty) = (Vec::new(), 0);
        while empty < 2 {
            self.line.clear();
            let most = u64::try_from(NOTE_BYTES).unwrap_or(u64::MAX);
            let read = (&mut self.input).take(most).read_until(b'\n', &mut self.line)?;
            if !self.line.ends_with(b"\n") {
                // A write that was cut short has no signature with an empty line behind it.
                let is_complete = note.ends_with(b"\n\n") && read == 0 && has_signature(&note);
                return Ok(match note.is_empty() && read == 0 {
                    true => Next::End,
                    false if is_complete => Next::Bad(NoteFault::Form),
                    false => Next::Torn,
                });
            }
            empty += u8::from(self.line == b"\n");
            note.extend_from_slice(&self.line);
            if note.len() > NOTE_BYTES {
                return Ok(Next::Bad(NoteFault::Form));
            }
        }
        self.whole = self.whole.saturating_add(u64::try_from(note.len()).unwrap_or(u64::MAX));
        // The empty line behind it is not part of the note.
        note.pop();
        let read = String::from_utf8(note).map_err(|_| NoteFault::Form);
        Ok(read.and_then(|note| SignedCheckpoint::read(&note)).map_or_else(Next::Bad, Next::Note))
    }
}

fn has_signature(note: &[u8]) -> bool {
    note.windows(DASH.len()).any(|bytes| bytes == DASH.as_bytes())
}

/// Every checkpoint of a file.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Their roots, by size.
    pub(super) signed: Vec<Signed>,
    /// The newest one that is good.
    pub(super) last: Option<SignedCheckpoint>,
    /// Bytes up to the end of the last whole note.
    pub(super) whole: u64,
    /// How many notes there are.
    pub(super) notes: u64,
    /// What is wrong.
    pub(super) findings: Findings,
}

/// Reads every note and checks that `key` signed it. A note that the file ends in is left out: it
/// was never answered.
pub(super) fn gather(file: File, key: &VerifierKey) -> io::Result<Gathered> {
    let (mut notes, mut all) = (Notes::new(file), Gathered::default());
    loop {
        let next = notes.next()?;
        all.notes = all.notes.saturating_add(1);
        let place = all.notes;
        let note = match next {
            Next::End | Next::Torn => break,
            Next::Bad(fault) => {
                all.findings.add(Finding::Checkpoint { place, fault });
                continue;
            }
            Next::Note(note) => note,
        };
        let signed = match note.verify(key) {
            Ok(checkpoint) => Signed { size: checkpoint.size, root: checkpoint.root },
            Err(fault) => {
                all.findings.add(Finding::Checkpoint { place, fault });
                continue;
            }
        };
        match all.signed.last() {
            Some(before) if before.size == signed.size && before.root != signed.root => {
                all.findings.add(Finding::Forked { size: signed.size });
            }
            Some(before) if before.size > signed.size => all.findings.add(Finding::Order { place }),
            Some(before) if before.size == signed.size => {}
            Some(_) | None => {
                all.signed.push(signed);
                all.last = Some(note);
            }
        }
    }
    all.notes = all.notes.saturating_sub(1);
    all.whole = notes.whole();
    if all.last.is_none() && all.findings.is_empty() {
        all.findings.add(Finding::NoCheckpoint);
    }
    Ok(all)
}
