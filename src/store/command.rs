//! What the writer thread is asked to do.

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::customers::Basis;
use super::dedup::Dedup;
use super::fault::{AppendError, SetError, StoreError};
use super::layout::MetaTable;
use super::reader::Damage;
use super::record::SealedRecord;
use super::registry::{NewChange, SetOutcome};
use super::root::Rewrapped;
use super::salts::KeyOp;
use crate::model::CommitNumber;

/// A batch to store: all of it or nothing.
#[derive(Debug)]
pub struct Append {
    /// Its records, in order; may be empty if nothing of the batch is kept.
    pub records: Vec<SealedRecord>,
    /// What names the batch.
    pub dedup: Dedup,
    /// Given back when the batch comes again. Opaque here; at most a few KiB.
    pub receipt: Vec<u8>,
    /// The participation that it was decided under. The batch is refused as stale if that was changed
    /// meanwhile. Without one it is stored whatever holds.
    pub basis: Option<Basis>,
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
    /// Changes the keys of a customer, if that still applies.
    Key(KeyOp),
    /// Binds the store to another root key.
    Root(Rewrapped),
}

/// The answer to an append.
pub(super) type AppendReply = oneshot::Sender<Result<Appended, AppendError>>;
/// The answer to a change of metadata.
pub(super) type MetaReply = oneshot::Sender<Result<(), StoreError>>;
/// The answer to changes of participations.
pub(super) type SetReply = oneshot::Sender<Result<Vec<Result<SetOutcome, SetError>>, StoreError>>;

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
            Self::Maintain(_) | Self::Close(_) => (0, 1),
        }
    }
}
