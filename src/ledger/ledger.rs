//! The ledger as the other rooms see it: a handle to append, sign and read with.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::checkpoint::{Checkpoint, SignedCheckpoint};
use super::fault::{LedgerError, OpenError};
use super::files::{CHECKPOINTS, Derived, ENTRIES, FileFault};
use super::key::{LedgerKey, VerifierKey};
use super::leaf;
use super::open::{self, Opened, Report, last_number};
use super::options::{Options, Source};
use super::record::frame;
use super::tree::{Edge, leaf_hash};
use crate::model::UnixMillis;
use crate::observe::Clock;

/// An open ledger. Cheap to clone. Every call may wait for the disk.
#[derive(Clone)]
pub struct Ledger(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) options: Options,
    key: LedgerKey,
    verifier: VerifierKey,
    clock: Clock,
    pub(super) entries: File,
    pub(super) derived: Derived,
    checkpoints: File,
    /// The number of the entry at index 1.
    base: u64,
    state: Mutex<State>,
    head: watch::Sender<Head>,
}

struct State {
    edge: Edge,
    bytes: u64,
    noted: u64,
    last: SignedCheckpoint,
    signed_at: UnixMillis,
    has_failed: bool,
}

/// How far the ledger reaches. All of it is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Head {
    /// Entries.
    pub size: u64,
    /// The number of the last one.
    pub number: u64,
}

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Entries that were put in.
    pub new: u64,
    /// Entries that were there already.
    pub again: u64,
    /// How far the ledger reaches now.
    pub head: Head,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger")
            .field("dir", &self.0.options.dir)
            .field("head", &self.head())
            .finish_non_exhaustive()
    }
}

impl Ledger {
    /// Opens the ledger of `options`, or begins it. It must have all that the outbox has forgotten.
    ///
    /// # Errors
    /// If a file cannot be used, another process has it, or it does not add up.
    pub fn open(
        options: Options,
        key: LedgerKey,
        source: &Source,
        clock: Clock,
    ) -> Result<(Self, Report), OpenError> {
        let now = clock.now();
        let opened = open::open(&options, &key, source, now)?;
        let Opened { name, entries, derived, checkpoints, edge, bytes, noted, base, last, report } = opened;
        let head = Head { size: edge.size(), number: last_number(base, edge.size()) };
        let state = State { edge, bytes, noted, last, signed_at: now, has_failed: false };
        let inner = Inner {
            verifier: key.verifier(&name),
            options,
            key,
            clock,
            entries,
            derived,
            checkpoints,
            base,
            state: Mutex::new(state),
            head: watch::Sender::new(head),
        };
        Ok((Self(Arc::new(inner)), report))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn fault(
        &self,
        what: &'static str,
        file: &str,
    ) -> impl FnOnce(io::Error) -> FileFault + use<> {
        let path = self.0.options.dir.join(file);
        move |source| FileFault { what, path, source }
    }

    /// The key that checkpoints are verified with.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.0.verifier
    }

    /// How far it reaches.
    #[must_use]
    pub fn head(&self) -> Head {
        *self.0.head.borrow()
    }

    /// Tells whenever it reaches further.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Head> {
        self.0.head.subscribe()
    }

    /// The index of the entry with this number; it need not be there yet.
    #[must_use]
    pub fn index_of(&self, number: u64) -> Option<u64> {
        number.checked_sub(self.0.base)?.checked_add(1)
    }

    /// How many entries there are, and how many bytes of `entries` they take.
    pub(super) fn extent(&self) -> (u64, u64) {
        let state = self.state();
        (state.edge.size(), state.bytes)
    }

    /// Appends entries, each with its number in the outbox. What is there already is passed over; the
    /// others must follow, one number after the other. Answers when they are on disk.
    ///
    /// # Errors
    /// If there is no space, the disk fails, or the entries do not follow. Then none of them is in.
    pub fn append(&self, entries: &[(u64, Vec<u8>)]) -> Result<Appended, LedgerError> {
        let mut state = self.state();
        if state.has_failed {
            return Err(LedgerError::Failed);
        }
        let size = state.edge.size();
        let mut edge = state.edge.clone();
        let (mut records, mut hashes, mut offsets) = (Vec::new(), Vec::new(), Vec::new());
        let (mut next, mut at) = (last_number(self.0.base, size).saturating_add(1), state.bytes);
        for (number, entry) in entries {
            if *number < next {
                self.is_there(*number, entry, &state)?;
                continue;
            }
            if *number > next {
                return Err(LedgerError::Gap { number: *number, expected: next });
            }
            let leaf = leaf::make(*number, entry);
            let framed = leaf.as_deref().and_then(frame);
            let (Some(leaf), Some(record)) = (leaf, framed) else {
                return Err(LedgerError::NotAnEntry { number: *number });
            };
            offsets.push(at);
            at = at.saturating_add(u64::try_from(record.len()).unwrap_or(u64::MAX));
            hashes.extend(edge.push(leaf_hash(&leaf)));
            records.extend_from_slice(&record);
            next = next.saturating_add(1);
        }
        let new = edge.size() - size;
        if new > 0 {
            let written = self.0.derived.write(size, &hashes, &offsets);
            let written = written.and_then(|()| self.0.entries.write_all_at(&records, state.bytes));
            if let Err(error) = written.and_then(|()| self.0.entries.sync_data()) {
                return Err(self.undo(&mut state, error));
            }
            (state.edge, state.bytes) = (edge, at);
        }
        let head = Head { size: state.edge.size(), number: next.saturating_sub(1) };
        drop(state);
        self.0.head.send_if_modified(|known| std::mem::replace(known, head) != head);
        let again = u64::try_from(entries.len()).unwrap_or(u64::MAX).saturating_sub(new);
        Ok(Appended { new, again, head })
    }

    /// Whether an entry is in already, just as it is.
    fn is_there(&self, number: u64, entry: &[u8], state: &State) -> Result<(), LedgerError> {
        let index = self.index_of(number).ok_or(LedgerError::Conflict { number })?;
        let leaf = self.leaf_within(index, state.edge.size(), state.bytes)?;
        if leaf::is_of(&leaf, number, entry) { Ok(()) } else { Err(LedgerError::Conflict { number }) }
    }

    /// Takes a write back that did not come to its end. If that fails too, or it was not for want of
    /// space, nothing more is written: what is on disk is not known.
    fn undo(&self, state: &mut State, error: io::Error) -> LedgerError {
        let is_full = super::files::is_full(&error);
        let cut = self.0.entries.set_len(state.bytes).and_then(|()| self.0.derived.cut(state.edge.size()));
        state.has_failed = !is_full || cut.is_err();
        if state.has_failed { self.fault("write", ENTRIES)(error).into() } else { LedgerError::Full }
    }

    /// Whether there are entries that should be signed by now.
    #[must_use]
    pub fn is_checkpoint_due(&self) -> bool {
        let state = self.state();
        let unsigned = state.edge.size().saturating_sub(state.last.checkpoint().size);
        let every = i64::try_from(self.0.options.checkpoint_every.as_millis()).unwrap_or(i64::MAX);
        unsigned >= self.0.options.checkpoint_entries.max(1)
            || (unsigned > 0 && self.0.clock.now().ms_since(state.signed_at) >= every)
    }

    /// How many entries no checkpoint signs yet, and for how many milliseconds there was none.
    #[must_use]
    pub fn unsigned(&self) -> (u64, i64) {
        let state = self.state();
        let unsigned = state.edge.size().saturating_sub(state.last.checkpoint().size);
        (unsigned, self.0.clock.now().ms_since(state.signed_at).max(0))
    }

    /// Signs what is there, if the last checkpoint does not have it all. Answers when it is on disk.
    ///
    /// # Errors
    /// If there is no space or the disk fails.
    pub fn checkpoint(&self) -> Result<SignedCheckpoint, LedgerError> {
        let mut state = self.state();
        let size = state.edge.size();
        if state.last.checkpoint().size == size {
            return Ok(state.last.clone());
        }
        if state.has_failed {
            return Err(LedgerError::Failed);
        }
        self.0.derived.sync().map_err(|error| LedgerError::of(self.fault("sync", "tree")(error)))?;
        let origin = self.0.verifier.name().to_owned();
        let signed = Checkpoint { origin, size, root: state.edge.root() }.sign(&self.0.key);
        let note = format!("{}\n", signed.note());
        let written = self.0.checkpoints.write_all_at(note.as_bytes(), state.noted);
        if let Err(error) = written.and_then(|()| self.0.checkpoints.sync_data()) {
            let cut = self.0.checkpoints.set_len(state.noted);
            state.has_failed = cut.is_err();
            return Err(LedgerError::of(self.fault("write", CHECKPOINTS)(error)));
        }
        state.noted = state.noted.saturating_add(u64::try_from(note.len()).unwrap_or(u64::MAX));
        state.signed_at = self.0.clock.now();
        state.last = signed.clone();
        let line = signed.note().trim_end().lines().last().unwrap_or_default().to_owned();
        let root = data_encoding::BASE64.encode(&signed.checkpoint().root);
        tracing::info!(origin = self.0.verifier.name(), size, root, signature = line, "ledger checkpoint");
        Ok(signed)
    }

    /// A checkpoint that holds the entry with this number: the last one, or else one that is signed now. `None` as long
    /// as the entry is not in. Of number 0, which no entry has, whatever there is holds what there is of it.
    ///
    /// # Errors
    /// As [`Self::checkpoint`].
    pub fn checkpoint_of(&self, number: u64) -> Result<Option<SignedCheckpoint>, LedgerError> {
        let is_within = |size| number == 0 || self.index_of(number).is_some_and(|index| index < size);
        let last = self.last_checkpoint();
        if is_within(last.checkpoint().size) {
            return Ok(Some(last));
        }
        if is_within(self.head().size) { self.checkpoint().map(Some) } else { Ok(None) }
    }

    /// The last checkpoint.
    #[must_use]
    pub fn last_checkpoint(&self) -> SignedCheckpoint {
        self.state().last.clone()
    }
}
