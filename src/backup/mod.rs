//! Backups of a whole collector: its store, without the rows that say who a customer is; those rows in a file of their
//! own; and its ledger. Made while it runs or when nothing runs, and put back so that what was erased stays erased.
//!
//! # The two parts
//!
//! The **directory** holds what is large: records, which are sealed, subscriptions, deduplication rows, the ledger. It
//! says nothing of who a customer is, and nothing in it opens. The **file of personal rows** holds ids, participations
//! and salts, bearer tokens, the erasures that are remembered, and notices of them. Keep many directories, for as long as you like; keep **only the
//! newest** file of personal rows, and delete older ones when a new one is made: then a customer who was erased is
//! erased from all directories too. Neither part is of use without the root key, and a restored ledger goes on only
//! with its own key: keep both keys, apart from both parts.
//!
//! # The directory
//!
//! | file | what |
//! |---|---|
//! | `BACKUP` | JSON, written last: [`Manifest`]. A directory without it is not finished |
//! | `FORMAT`, `witness`, `db/` | the store, as [`crate::store`] specifies it |
//! | `ledger/` | `entries`, `checkpoints` and `vkey`, as [`crate::ledger`] specifies them, up to the moment of the copy |
//!
//! While it is made, a file `UNFINISHED` in it names the store and the file of personal rows. If the making is interrupted,
//! the next backup of the same store into the same directory clears what is left, as long as nothing else is in there, and
//! writes that file of personal rows anew.
//!
//! # A restore
//!
//! Every file is compared with its sum in `BACKUP`, everything is read as by [`check`], and only then is the new data
//! directory put in place, by a rename. What was erased after the backup was made does not come back:
//!
//! - A customer who is not in the file of personal rows, or whose erasure is on the ledger, has no keys: its records do not
//!   open, and are taken off the disk.
//! - An erasure by identifier, installation or time that is in the file, and not in the backup, is carried out again
//!   before the collector serves ([`crate::amend::Amend::erase_again`]), by the pseudonyms that it left.
//! - If the ledger tells of such an erasure, or of a change of a participation, that the file of personal rows does not
//!   know, the file is too old: the restore is refused, or the customers that it concerns are left out as if they had
//!   been erased (`leave_out`).
//!
//! Notices of erasures are those of the file, and what no drainer has acknowledged of them is delivered. Bearer tokens are
//! those of the file, too: one that was revoked or forgotten before it was written does not come back, nor does one that
//! names a customer who is left out.
//!
//! What the ledger tells of the time after the backup holds: a sum of what came in or left that it was told of is not told
//! again, one that it was not told of is, and who received data is told of its erasures, of each program that it received.
//! What left in the last minutes before the loss no ledger knows; so every subscription of the backup is taken for one that
//! may have received data of every customer of before the restore, of each program that the customer ever chose and of which
//! data may leave for its purpose at a level that the customer chose, or ever left for it, as the whole ledger tells: a
//! policy that has become narrower since makes no notice less. Of a level that the policy does not have any more, and of
//! what a ledger told that was found broken, nobody knows: it counts as left for every purpose.
//!
//! Commits, customers and entries of the ledger get numbers behind all that can have been given since the backup. What
//! subscriptions had acknowledged since then comes to them again.

mod checking;
mod fault;
mod manifest;
mod restoring;
mod settling;
mod since;
mod taking;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod since_tests;

pub use checking::{Inspected, check};
pub use fault::{BackupFault, Behind};
pub use manifest::{LedgerPart, Manifest};
pub use restoring::{Report, Request, restore};
pub use taking::{Places, Taken, personal, personal_closed, take, take_closed};

/// How far something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is done.
    pub part: &'static str,
    /// How much of it: bytes, records or rows.
    pub done: u64,
    /// All of it; 0 where that is not known.
    pub of: u64,
}
