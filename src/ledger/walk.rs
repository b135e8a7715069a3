//! The one way through the entries, for opening and for verifying: every record is read, its number
//! and hash compared with what they must be, and every signed root with the tree so far.
//!
//! Two trees grow side by side: one of the entries as they are, one of the hashes that `tree` has of
//! them. A signed root says which of the two is right, and so whether an entry or a hash was changed.

use std::fs::File;
use std::io;

use super::files::Derived;
use super::finding::{Finding, Findings};
use super::leaf;
use super::record::{FIRST, FRAME, Found, RecordFault, Records};
use super::tree::{Edge, Hash, leaf_hash};

/// Suspect hashes of one stretch that are remembered; with more of them, the stretch is named whole.
const SUSPECTS: usize = 1_000;

/// A signed root to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) size: u64,
    pub(super) root: Hash,
}

/// Where to begin.
#[derive(Debug)]
pub(super) struct Start {
    /// The tree so far, as it was signed.
    pub(super) edge: Edge,
    /// The offset of the first record to read.
    pub(super) offset: u64,
    /// The number of the entry at index 1.
    pub(super) base: u64,
}

impl Start {
    /// At the first record. What the base is, the first entry tells.
    pub(super) fn first() -> Self {
        Self { edge: Edge::default(), offset: FIRST, base: 1 }
    }
}

/// How far a damaged end may be cut off.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tail {
    /// From this number on nothing has left the outbox: whatever is damaged there goes.
    From(u64),
    /// Only a record that the file ends in, behind the last checkpoint.
    Last,
}

/// What was seen on the way.
#[derive(Debug)]
pub(super) struct Walked {
    /// The tree of the entries.
    pub(super) edge: Edge,
    /// Bytes up to the end of the last good record.
    pub(super) bytes: u64,
    /// The number of the entry at index 1.
    pub(super) base: u64,
    /// Whether the derived files say something else than the entries.
    pub(super) is_derived_wrong: bool,
    /// Whether the end is torn and may be cut off.
    pub(super) is_torn: bool,
    /// What is wrong.
    pub(super) findings: Findings,
}

/// The walk.
pub(super) struct Walk<'a> {
    records: Records,
    end: u64,
    signed: &'a [Signed],
    derived: Option<&'a Derived>,
    tail: Tail,
    base: u64,
    /// The tree of the entries, and of the hashes that are stored of them.
    found: Edge,
    told: Edge,
    /// Entries of this stretch whose hash is not the stored one.
    suspects: Vec<u64>,
    too_many: bool,
    /// Roots cannot be compared any more.
    is_lost: bool,
    signed_before: u64,
    /// The size of the last checkpoint.
    last: u64,
    whole: u64,
    is_derived_wrong: bool,
    findings: Findings,
}

impl<'a> Walk<'a> {
    /// Sets out. `signed` are the checkpoints behind the start, in the order of their sizes.
    pub(super) fn new(
        entries: File,
        start: Start,
        signed: &'a [Signed],
        derived: Option<&'a Derived>,
        tail: Tail,
    ) -> io::Result<Self> {
        let end = entries.metadata()?.len();
        let told = start.edge.clone();
        Ok(Self {
            records: Records::new(entries, start.offset, end)?,
            end,
            signed,
            derived,
            tail,
            base: start.base,
            signed_before: start.edge.size(),
            found: start.edge,
            told,
            suspects: Vec::new(),
            too_many: false,
            is_lost: false,
            last: signed.last().map_or(0, |last| last.size),
            whole: start.offset,
            is_derived_wrong: false,
            findings: Findings::default(),
        })
    }

    /// Goes to the end. `progress` is told the offset now and then.
    pub(super) fn run(mut self, progress: &mut dyn FnMut(u64)) -> io::Result<Walked> {
        let mut is_torn = false;
        let mut next = self.records.next()?;
        loop {
            if self.index().is_multiple_of(1024) {
                progress(self.whole);
            }
            next = match next {
                Found::End => break,
                Found::Leaf(bytes) => {
                    let behind = self.records.offset();
                    let after = self.records.next()?;
                    self.leaf(&bytes, behind, &after);
                    after
                }
                Found::Bad(fault) if self.may_be_cut(fault) => {
                    is_torn = true;
                    break;
                }
                Found::Bad(fault) => match self.damaged(fault)? {
                    Some(after) => after,
                    None => break,
                },
            };
        }
        let size = self.index();
        if self.last > size {
            self.findings.add(Finding::Cut { size, signed: self.last });
        }
        // Behind the last checkpoint nothing tells which of the two is right: the entries count.
        self.is_derived_wrong |= !self.suspects.is_empty();
        progress(self.end);
        Ok(Walked {
            edge: self.found,
            bytes: self.whole,
            base: self.base,
            is_derived_wrong: self.is_derived_wrong,
            is_torn,
            findings: self.findings,
        })
    }

    /// The index of the entry that comes next.
    const fn index(&self) -> u64 {
        self.found.size()
    }

    /// The number that the entry at `index` must have.
    const fn number(&self, index: u64) -> u64 {
        if index == 0 { 0 } else { self.base.saturating_add(index - 1) }
    }

    /// The index of a number that the ledger is long enough for.
    fn index_of(&self, number: u64) -> Option<u64> {
        let index = number.checked_sub(self.base)?.checked_add(1)?;
        let left = self.end.saturating_sub(self.whole) / FRAME;
        (index <= self.last.max(self.index().saturating_add(left))).then_some(index)
    }

    /// Where `offsets` says that the record behind the next one begins.
    fn told_offset(&self) -> Option<u64> {
        let told = self.derived.and_then(|derived| derived.offset(self.index() + 1).ok());
        told.filter(|told| *told > self.whole && *told < self.end)
    }

    fn may_be_cut(&self, fault: RecordFault) -> bool {
        let index = self.index();
        index >= self.last.max(1)
            && match self.tail {
                Tail::From(number) => self.number(index) >= number,
                Tail::Last if fault == RecordFault::Checksum => self.records.offset() == self.end,
                Tail::Last => self.told_offset().is_none(),
            }
    }

    /// A good record, and what comes behind it.
    fn leaf(&mut self, bytes: &[u8], behind: u64, after: &Found) {
        let index = self.index();
        if index == 0 {
            self.base = leaf::next_number(bytes).unwrap_or(1);
        }
        let told = self.derived.and_then(|derived| derived.offset(index).ok());
        self.is_derived_wrong |= told != Some(self.whole);
        let number = leaf::number_of(bytes);
        let follows = match after {
            Found::Leaf(bytes) => leaf::number_of(bytes),
            Found::Bad(_) | Found::End => None,
        };
        let (expected, following) = (self.number(index), self.number(index + 1));
        match number {
            Some(number) if number == expected => self.take(leaf_hash(bytes)),
            _ if follows == Some(expected) => {
                self.findings.add(Finding::Extra { index, number });
            }
            Some(number) if follows == Some(following) => {
                self.findings.add(Finding::Replaced { index, number });
                self.take_told();
            }
            Some(number) if number < expected => {
                self.findings.add(Finding::Extra { index, number: Some(number) });
            }
            _ => {
                let to = number.and_then(|number| self.index_of(number)).filter(|to| *to > index);
                if let Some(to) = to {
                    self.findings.add(Finding::Missing { from: index, to: to - 1 });
                    self.pass_over(to);
                    self.take(leaf_hash(bytes));
                } else {
                    // It never had such a number, or none.
                    self.findings.add(Finding::Changed { index });
                    self.take_told();
                }
            }
        }
        self.whole = behind;
    }

    /// Goes on behind a record that cannot be read, if there is a way.
    fn damaged(&mut self, fault: RecordFault) -> io::Result<Option<Found>> {
        let (index, offset) = (self.index(), self.whole);
        self.findings.add(Finding::Damaged { index, offset, fault });
        if fault != RecordFault::Checksum {
            let Some(next) = self.told_offset() else {
                self.findings.add(Finding::Unreadable { offset });
                return Ok(None);
            };
            self.records.seek(next)?;
        }
        self.take_told();
        self.whole = self.records.offset();
        Ok(Some(self.records.next()?))
    }

    /// Entries up to `to` are not there: their stored hashes stand for them.
    fn pass_over(&mut self, to: u64) {
        while self.index() < to && !self.is_lost {
            self.take_told();
        }
        // Without stored hashes, only the numbers still tell something: go on from the right one.
        if self.index() < to {
            self.found = Edge::of_unknown(to);
            self.told = self.found.clone();
        }
    }

    /// The next entry is not what it was: its stored hash stands for it.
    fn take_told(&mut self) {
        let told = self.derived.and_then(|derived| derived.leaf(self.index()));
        self.is_lost |= told.is_none();
        let hash = told.unwrap_or_default();
        self.push(hash, hash);
    }

    fn take(&mut self, hash: Hash) {
        let index = self.index();
        let told = self.derived.and_then(|derived| derived.leaf(index));
        if told.is_some_and(|told| told != hash) {
            if self.suspects.len() < SUSPECTS { self.suspects.push(index) } else { self.too_many = true }
        }
        self.is_derived_wrong |= told.is_none();
        self.push(hash, told.unwrap_or(hash));
    }

    fn push(&mut self, found: Hash, told: Hash) {
        let (index, complete) = (self.index(), self.found.push(found));
        let stored =
            |level: u32| self.derived.and_then(|derived| derived.subtree(level, index >> level).ok());
        let mut larger = (0..).zip(&complete).skip(1);
        self.is_derived_wrong |= larger.any(|(level, hash)| stored(level) != Some(*hash));
        self.told.push(told);
        while let Some((signed, rest)) = self.signed.split_first() {
            if signed.size > self.index() {
                break;
            }
            if signed.size == self.index() && !self.is_lost {
                self.compare(*signed);
            }
            // The last one stays: it says how long the ledger must be.
            if rest.is_empty() {
                break;
            }
            self.signed = rest;
        }
    }

    /// A signed root says whether the entries or the stored hashes are right.
    fn compare(&mut self, signed: Signed) {
        let (found, told) = (self.found.root() == signed.root, self.told.root() == signed.root);
        if found {
            self.is_derived_wrong |= !told;
            self.told = self.found.clone();
        } else if told && !self.too_many {
            for index in &self.suspects {
                self.findings.add(Finding::Changed { index: *index });
            }
            self.found = self.told.clone();
        } else {
            let (from, to) = (self.signed_before, signed.size.saturating_sub(1));
            self.findings.add(Finding::Among { from: from.min(to), to, size: signed.size });
            self.is_lost = true;
        }
        self.suspects.clear();
        self.too_many = false;
        self.signed_before = signed.size;
    }
}
