//! The ledger: what was done with whose data, in files of its own that can only grow. It must survive a
//! repair of the store, so it is not in it; and whoever can write its files, but has not its key, cannot
//! change what it says unseen. This page is the specification of what is on disk. Numbers are big-endian.
//!
//! # Promises
//!
//! - An entry is in once, in the order of its number in the outbox, or the outbox still has it.
//! - What was answered is on disk. A crash tears at most what was not answered; the end is cut off and said.
//! - A changed, removed, inserted, moved or cut-off entry that a checkpoint has signed is found by
//!   [`Verification`], offline, and at the next start; it says which entry, or between which ones it is.
//! - Entries hold words of the policy, counts, times and names that an operator gave, and a customer's number;
//!   no value of a payload, and no name of a customer. So an erasure changes nothing here.
//! - Memory is bounded: records are read one at a time, of at most 1 MiB; of the checkpoints, 40 bytes each.
//!
//! # The directory
//!
//! `<data>/ledger`, for the owner's eyes only (0700, files 0600). It is made whole, as `ledger.begin`, and put in
//! place by a rename.
//!
//! | file | what |
//! |---|---|
//! | `entries` | the line `usaged ledger, format 1`, then records. Held with an exclusive `flock` by the collector |
//! | `checkpoints` | signed notes, oldest first, an empty line after each |
//! | `vkey` | one line: the verifier key |
//! | `tree` | hashes of 32 bytes; can be made again from the entries |
//! | `offsets` | the offset of each record in `entries` (8); can be made again from the entries |
//!
//! A **record** is the length of its leaf (4), the CRC-32 of length and leaf (4), the leaf. A **leaf** is one JSON
//! object on one line: `{"number":17,"at":1786000000000,"fact":{"kind":"exported","customer":"c17"}}`. `number` is
//! the entry's number in the outbox of the store; numbers have no gap, so every entry shows its own place. What
//! follows it are the bytes that the maker of the entry wrote ([`Entry::to_bytes`]): members in the order of their
//! declaration, no white space, absent ones left out. The kinds are those of [`Fact`]; a reader shows a kind that
//! it does not know as it is.
//!
//! The first entry has the number 0 and the kind `ledger_begun`: the name of the ledger, the id of the store, and
//! the number that comes next, which is 1 unless this ledger goes on for a broken one, which it then names.
//!
//! # The tree
//!
//! The Merkle tree of RFC 6962 over the leaves: `SHA-256(00 ‖ leaf)`, `SHA-256(01 ‖ left ‖ right)`. The file `tree`
//! has the hash of every complete subtree right after the leaf that completes it, so the hash of the `n`th
//! subtree of 2^`l` leaves is the one at `2m - popcount(m) + l`, where `m = (n + 1) 2^l - 1`. Proofs of
//! inclusion and of consistency are those of RFC 9162, and take a logarithm of reads.
//!
//! # Checkpoints
//!
//! A checkpoint is a C2SP `tlog-checkpoint` in a C2SP `signed-note`: the name of the ledger
//! (`usaged-ledger/` and 16 hexadecimal digits), the number of entries, the root in base64, an empty line, and a
//! line `— <name> <base64 of key id and Ed25519 signature>`. One is signed when the ledger is begun, after so
//! many entries or so long ([`Options`]), for every export and receipt, and at the end. Each goes to the log as
//! well, in parts. The key is 64 hexadecimal digits in a file beside the data directory.
//!
//! # Appending and opening
//!
//! An append writes `tree` and `offsets`, then `entries`, syncs `entries`, and answers. A write that fails for want
//! of space is taken back; after any other failure nothing more is written. A checkpoint syncs `tree` and
//! `offsets` before it is signed.
//!
//! At open, a small ledger is read whole. Of a large one, the hashes in `tree` must give the last signed root, and
//! what comes behind it is read; if anything is odd, all of it is.
//!
//! | what | then |
//! |---|---|
//! | a damaged record, or the end of the file in one, where the store has forgotten nothing from that number on | cut off from there; the outbox has it |
//! | any other damaged record, number out of order, hash that differs from a signed one, signature that is not good | refused, with the entry |
//! | fewer entries than a checkpoint has signed, or than the store has forgotten | refused: cut off |
//! | more entries than the store has made | refused: put in, or the store was set back; goes on if the loss of data is accepted |
//! | the key of another ledger, another store's ledger, a missing file | refused |
//! | `tree` or `offsets` are wrong or missing | made again |
//! | a checkpoint that was not written to its end | cut off: nobody was given it |
//!
//! A refused ledger stays as it is. If that is accepted (`accept_break`), it is renamed to `ledger.broken-` and the
//! time, and a new one begins whose first entry names it, its last good checkpoint, and what was wrong.
//!
//! What this does not show: that an entry was never made; and, from the files alone, that entries and the
//! checkpoints over them were cut off together. The store notices that at the next start, and anybody does who
//! has kept a later checkpoint.

mod about;
mod checkpoint;
mod copy;
mod entry;
mod export;
mod fault;
mod files;
mod finding;
mod key;
mod leaf;
#[expect(clippy::module_inception, reason = "the handle has the name of the room")]
mod ledger;
mod notes;
pub mod number;
mod open;
mod options;
mod parts;
mod proof;
mod read;
mod record;
mod refusals;
mod tree;
mod verify;
mod walk;

pub use checkpoint::{Checkpoint, NoteFault, SignedCheckpoint};
pub use copy::{Copied, copy, reach, visit};
pub use entry::{Entry, Fact};
pub use export::{EXPORT_FORMAT, Export, ExportFault, Exported, Since, proof_text};
pub use fault::{LedgerError, OpenError};
pub use files::FileFault;
pub use finding::{Finding, Findings};
pub use key::{KeyFault, LedgerKey, VerifierKey};
pub use leaf::{LEAF_BYTES, Leaf};
pub use ledger::{Appended, Head, Ledger};
pub use open::Report;
pub use options::{Options, Source};
pub use parts::{ErasureScope, ErasureStep, OldLedger, Period, Refusal, Terms, TokenRole, Under};
pub use proof::{includes, is_beginning};
pub use record::RecordFault;
pub use refusals::Refusals;
pub use tree::{Hash, empty_root, leaf_hash, node_hash};
pub use verify::{Verification, Verified};
