//! What the writer thread is asked to do.

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::amend::{Amended, Amendment};
use super::collected::{Collected, CollectedKey};
use super::customers::Basis;
use super::dedup::Dedup;
use super::fault::{AppendError, SetError, StoreError};
use super::meta::MetaTable;
use super::reader::Damage;
use super::record::SealedRecord;
use super::registry::{NewChange, SetOutcome};
use super::root::Rewrapped;
use super::salts::KeyOp;
use crate::model::{Change, CommitNumber, CustomerKey, UnixMillis};

/// A batch to store: all of it or nothing.
#[derive(Debug)]
pub struct Append {
    /// Its records, in order; may be empty if nothing of the batch is kept.
    pub records: Vec<SealedRecord>,
    /// What names the batch.
    pub dedup: Dedup,
    /// Given back when the batch comes again. Opaque here; at most a few KiB.
    pub receipt: Vec<u8>,
    /// What it was decided under. The batch is refused as stale if the participation was changed, something was
    /// erased or the keys were moved on meanwhile. Without one it is stored whatever holds.
    pub basis: Option<Basis>,
    /// What of it the ledger is told in sums: written with the records, if the batch is stored now. Ignored without a
    /// [`super::Notary`] that tells of it.
    pub collected: Vec<(CollectedKey, Collected)>,
}

/// What became of a batch. It is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// Stored now.
    Stored {
        /// The commit of its last record; without records, the last commit before it.
        last: CommitNumber,
    },
    /// It was stored before.
    Duplicate {
        /// The commit of its last record then.
        last: CommitNumber,
        /// The receipt that was stored with it.
        receipt: Vec<u8>,
    },
    /// Another batch was stored under the same id. This one was not.
    Conflict,
}

/// A change of one metadata row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetaOp {
    /// Writes a row.
    Put {
        /// Its table.
        table: MetaTable,
        /// Its key.
        key: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// Takes a row away.
    Delete {
        /// Its table.
        table: MetaTable,
        /// Its key.
        key: Vec<u8>,
    },
    /// Takes away every row whose key begins so.
    DeleteAll {
        /// Its table.
        table: MetaTable,
        /// How the keys begin.
        prefix: Vec<u8>,
    },
    /// Puts an entry for the ledger into the outbox. It gets the next number.
    Ledger(Vec<u8>),
    /// The same, and writes a row that knows the number: eight bytes at `at` of the value, in place of those there.
    LedgerWith {
        /// The entry.
        entry: Vec<u8>,
        /// The table of the row.
        table: MetaTable,
        /// Its key.
        key: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
        /// Where the number goes.
        at: usize,
    },
    /// Has everybody who holds this customer read it anew; a batch that was decided before is decided again.
    Touch(CustomerKey),
    /// Changes the keys of a customer, if that still applies.
    Key(KeyOp),
    /// Binds the store to another root key.
    Root(Rewrapped),
}

impl MetaOp {
    /// Whether it puts an entry into the outbox.
    pub(super) const fn enters(&self) -> bool {
        matches!(self, Self::Ledger(_) | Self::LedgerWith { .. })
    }
}

/// Where and when a fence stands. What is stored before it was handed over before that time, so it happened until then;
/// what is stored of its customer behind it was decided by whoever had read its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fenced {
    /// The last record before it.
    pub upto: CommitNumber,
    /// When it was written, by the clock of the store.
    pub at: UnixMillis,
    /// When the newest batch of the present segment was received: later, if the clock was put back since.
    pub newest: UnixMillis,
}

/// The rows of a fence. Only the writer knows where it stands, so the rows are made there.
pub(super) struct FenceRows(Box<dyn FnOnce(Fenced) -> Result<Vec<MetaOp>, StoreError> + Send>);

impl FenceRows {
    /// The most rows that one has, for the size of a group.
    const MOST: usize = 8;

    pub(super) fn new(rows: impl FnOnce(Fenced) -> Result<Vec<MetaOp>, StoreError> + Send + 'static) -> Self {
        Self(Box::new(rows))
    }

    pub(super) fn of(self, fenced: Fenced) -> Result<Vec<MetaOp>, StoreError> {
        (self.0)(fenced)
    }
}

impl std::fmt::Debug for FenceRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FenceRows(..)")
    }
}

/// The answer to an append.
pub(super) type AppendReply = oneshot::Sender<Result<Appended, AppendError>>;
/// The answer to anything else.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;
/// The answer to a change of metadata.
pub(super) type MetaReply = Reply<()>;
/// The answer to changes of participations.
pub(super) type SetReply = Reply<Vec<Result<SetOutcome, SetError>>>;

/// One thing to do.
#[derive(Debug)]
pub(super) enum Command {
    Append {
        append: Append,
        /// Its share of the bytes that may wait; given back when it is dropped.
        _share: OwnedSemaphorePermit,
        reply: AppendReply,
    },
    Meta {
        ops: Vec<MetaOp>,
        durable: bool,
        reply: MetaReply,
    },
    Set {
        changes: Vec<NewChange>,
        reply: SetReply,
    },
    Amend {
        amendments: Vec<Amendment>,
        ops: Vec<MetaOp>,
        _share: OwnedSemaphorePermit,
        reply: Reply<Vec<Amended>>,
    },
    /// Writes rows that know where they stand; nothing that was decided for the customer before is stored behind them.
    Fence {
        customer: CustomerKey,
        rows: FenceRows,
        reply: Reply<Fenced>,
    },
    /// The same, and takes every row of the customer away.
    Destroy {
        key: CustomerKey,
        rows: FenceRows,
        reply: Reply<(Option<Change>, Fenced)>,
    },
    Count {
        collected: Vec<(CollectedKey, Collected)>,
        reply: MetaReply,
    },
    Tell {
        upto: Option<u64>,
        reply: Reply<Option<u64>>,
    },
    /// What a process tells the ledger at its end.
    Last {
        entries: Vec<Vec<u8>>,
        reply: MetaReply,
    },
    Forget {
        upto: u64,
        reply: MetaReply,
    },
    /// A synced write that changes nothing: what was written before it is not in the newest rows alone.
    Mark(MetaReply),
    SetAside(Damage),
    /// Retention, rotation, gauges.
    Maintain(Option<oneshot::Sender<()>>),
    Close(oneshot::Sender<()>),
}

impl Command {
    /// What it adds to a group: bytes and rows.
    pub(super) fn size(&self) -> (u64, usize) {
        match self {
            Self::Append { append, .. } => {
                let bytes: usize = append.records.iter().map(SealedRecord::stored_len).sum();
                (super::bytes::count(bytes + append.receipt.len()), append.records.len())
            }
            Self::Meta { ops, .. } => (0, ops.len()),
            Self::Set { changes, .. } => (0, changes.len()),
            Self::SetAside(damage) => (super::bytes::length(&damage.bytes), 1),
            Self::Amend { amendments, ops, .. } => {
                (super::amend::bytes(amendments), amendments.len() + ops.len())
            }
            Self::Fence { .. } | Self::Destroy { .. } => (0, FenceRows::MOST),
            Self::Last { entries, .. } => (0, entries.len()),
            Self::Count { collected, .. } => (0, collected.len()),
            Self::Forget { .. } | Self::Tell { .. } | Self::Mark(_) | Self::Maintain(_) | Self::Close(_) => {
                (0, 1)
            }
        }
    }
}
