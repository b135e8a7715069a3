//! The store: a durable queue of sealed records, the registry of customers, and the rows of
//! drainers, in one RocksDB with one writer thread. This page is the specification of what is on
//! disk. All numbers are big-endian; "text" is a length in one byte, then UTF-8.
//!
//! # Promises
//!
//! - What was acknowledged is on disk: every group of commands is one synced write, and is answered after it.
//! - A batch is whole or absent, and is stored once per deduplication id within the window.
//! - Damaged bytes are never served: a record is set aside and counted, anything else refuses to open by name.
//! - Acknowledged data that is gone is noticed at open. Of records and synced metadata from before the last
//!   `witness_lag` (250 ms) this always holds. Of later ones it holds unless the write-ahead log was cut off
//!   cleanly: behind damaged bytes in it, later groups prove that earlier ones were acknowledged.
//! - Memory is bounded: 40 MiB of memtables, 24 MiB of blocks, 64 MiB of waiting records, 512 open
//!   files; none of it grows with the backlog or the number of customers.
//!
//! # The directory
//!
//! | file | what |
//! |---|---|
//! | `FORMAT` | two lines: `usaged store, format 1` and `id ` with 32 hexadecimal digits, the random id of the store. Written after the witness and before the database, replaced never |
//! | `LOCK` | empty; held with an exclusive `flock` by whoever has the store open |
//! | `witness` | two slots of 70 bytes at the offsets 0 and 4096, written in turn, each followed by `fdatasync`; made whole, with turn 1, before all else |
//! | `db/` | the database |
//!
//! A slot of the witness: magic `usgd-wit` (8), version 1 (2), store id (16), turn (8), last acknowledged
//! commit (8), running hash (16), synced groups (8), CRC-32 of all that (4). The readable slot with the higher
//! turn holds; a torn write leaves the other. The witness is written at most `witness_lag` after a commit,
//! and at close.
//!
//! # Column families
//!
//! | family | key | value |
//! |---|---|---|
//! | `seg.` + 8 hex digits | commit number (8) | a record |
//! | `dedup.` + 8 hex digits | deduplication id (16) | version 1 (1), digest (16), last commit (8), receipt |
//! | `meta` | see below | a row |
//! | `ids` | customer id; `00`; `FF` | customer key (8); empty; empty |
//! | `customers` | customer key (8) | version 1 (1), JSON of the change |
//! | `changes` | customer key (8), revision (8) | version 1 (1), JSON of the change |
//! | `salts` | customer key (8) | version 1 (1), salt (32) |
//! | | customer key (8), `r` | version 1 (1), oldest epoch kept (4), its state (32) |
//! | | `ff` (8), customer key (8), epoch (4) | a bridge: version 1 (1), seed (32), made (8), ends (8), text: by, reason |
//! | `aside` | commit number (8) | row: fault (1), time in Unix ms (8), the first 256 KiB of what was found |
//! | `default` | | empty |
//!
//! RocksDB copies the first and the last key of each file into its manifest, and nothing erases them there. So each
//! write to `ids` writes `00` and `FF` too, all of the family is one file at every level, and no other key says who a
//! customer is.
//!
//! A **row** is version 1 (1), fields, CRC-32 of both (4). Rows of `meta`:
//!
//! | key | fields |
//! |---|---|
//! | `01` `store` | format (4), store id (16), root key check (16), time of creation (8) |
//! | `01` `usaged-commit-head` | last commit (8), running hash (16), synced groups (8); part of every synced group |
//! | `01` `data-root` | changes of the root key so far (4), the data root wrapped under it (`sanitize/keys.rs`) |
//! | `01` `rotation` | four times: from (8), epoch that begins then (4), length of epochs in ms (8) |
//! | `01` `registry` | next customer key (8), customers (8) |
//! | `01` `outbox` | number of the next entry (8), first number that was not forgotten (8) |
//! | `01` `data-root` | the data root, wrapped: a value of `sanitize` |
//! | `02`, segment number (4) | closed (1), number (4), first commit (8), last commit before it (8), running hash before it (16), begun (8), last commit (8), running hash (16), earliest and latest time received (8, 8), records (8), bytes (8); of a segment that is not closed, what follows "begun" is found by reading it |
//! | `03`, family number (4) | begun (8) |
//! | `10` to `1a`, then a key | rows of other rooms, without this form: subscriptions, leases, dead letters, cursors; suppressions, erasures, what was received by whom, totals, bindings, notices, bearer tokens ([`MetaTable`]) |
//! | `1f` `restored` | that the store was restored: see "Backups" |
//! | `1a`, token id (8) | a bearer token without its text: version 1 (1), JSON with its SHA-256 (`identity/token_row.rs`) |
//! | `20`, number (8) | an entry of the outbox: numbers are dense, and none is given twice |
//! | `21`, number (8) | a sum of what came in and the ledger was not told of: version 1 (1), JSON (`sums.rs`) |
//! | `22`, number modulo 128 (1) | what one group added to sums that were there (`increment.rs`) |
//!
//! # Segments
//!
//! Commit numbers are dense, from 1. A segment is closed by size, age or restart ([`Options`]), or because the disk is
//! short and every subscription has drained it: the family of the next is made, then one synced write closes the row of
//! the old and writes that of the new, then the old is flushed so that it does not pin the write-ahead log, unless it is
//! dropped right away. Dropping takes the row away in a synced write and then drops the family, which frees its files
//! at once. So a family without a row is either empty or older than every row, and is dropped at open; a row without a
//! family is a loss.
//!
//! # A record
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 1 | magic `D5` |
//! | 1 | 1 | version: 1 |
//! | 2 | 1 | codec of the body: 0 as it is, 1 LZ4 block |
//! | 3 | 1 | purposes: 1 deliver, 2 recommend, 4 improve |
//! | 4 | 2 | length of the header, nonce counted |
//! | 6 | 4 | length of the body, opened and decompressed |
//! | 10 | 4 | events |
//! | 14 | 8 | customer key |
//! | 22 | 8 | time received, Unix ms |
//! | 30 | 4 | version of the product's dictionary |
//! | 34 | 4 | dictionary version that the customer had accepted |
//! | 38 | 8 | revision of the participation that it was decided under |
//! | 46 | 8 | print of the plan that made the body |
//! | 54 | | texts: program, product, level, region |
//! | | 12 | nonce, random |
//! | | | body, compressed, then sealed with AES-256-GCM under the key of customer, program and UTC day received; everything before it is authenticated with it |
//! | | 16 | tag |
//! | | 16 | tag of the record that was stored here first; in the forms 1 and 2 only |
//! | | 1 | form: 0 as first stored, 1 replaced, 2 gone, 3 blank |
//! | | 8 | commit number |
//! | | 16 | running hash after it: the first 128 bits of SHA-256 over the running hash before, the commit number and the tag of the record that was stored here first |
//! | | 4 | CRC-32 of all before |
//!
//! An **amendment** ([`Amendment`]) writes another value under the same key. A replaced record (form 1) has a header and
//! a body of its own, and keeps commit number, first tag and running hash, so that the chain and the witness hold. In
//! the place of a record that is gone (form 2) is a stub: magic, version, time received (8), events (4), then as above
//! from the first tag on. A blank (form 3) is a stub in the place of a record that could not be read: it has no first
//! tag, its running hash is zero and is not compared, and its time is that of the newest record of the segment.
//!
//! # Purging
//!
//! What was overwritten or deleted stays in the write-ahead log and in older table files until both are rewritten.
//! [`Store::purge`] writes all memtables out, so that the log so far goes, has the files that overlap the places
//! in question rewritten down to the lowest level, and fails unless all files that were there before are gone.
//!
//! # Backups
//!
//! [`Store::backup`] makes a directory of the same form, from a checkpoint, without the families `ids`, `customers`,
//! `changes` and `salts`; `FORMAT` is written last. These rows go to a file of their own: magic `usgd-per` (8),
//! version 1 (2), store id (16), time it was made in Unix ms (8); for each row 1 to 4 for its family in that order, or 5
//! for a row of `meta` that begins with `14`, `15`, `19` or `1a` (1), length of the key (4), length of the value (4), key, value;
//! then 0 (1), rows (8), CRC-32 of all that (4). The rows `14` and `15` are erasures, which stay in the directory as
//! well: a newer file brings those that were done after the directory was made. The rows `19` and `1a`, notices of erasures
//! and bearer tokens, are in the file only: they name customers, a notice that came since must not be lost, and what was
//! revoked must not come back with an old directory. [`put_back`] joins the two.
//!
//! [`restore()`] makes a store of both. Commit numbers go on a million behind the last one, or 100 for each millisecond
//! since the backup, whichever is more; customer keys and numbers of the outbox go on behind all that were given. The
//! row `1f` `restored` says what was restored: last commit (8), next commit (8), time of the backup (8), time of the
//! restore (8), then the ids (16 each) of erasures whose row the backup did not have; it is taken away when those were
//! carried out again, before anything is served. What else a backup of a collector has is said in [`crate::backup`].
//!
//! # Versions of the format
//!
//! The number in `FORMAT` says what a program must understand to do no harm. This program reads and writes format 1.
//!
//! - **Upgrade.** A program reads every format from 1 to its own. If its own is higher, it brings the store there at the
//!   first open, step by step, each step done again after a crash, and writes the new number into `FORMAT` last. Every
//!   release opens a store of format 1 that is kept in `tests/fixtures/format-1` and drains it to the same bytes.
//! - **Downgrade.** A higher number is refused by name before anything is changed: go back to the program that wrote it,
//!   or restore a backup that was made before. Within one format, older and newer programs can follow each other freely.
//! - **Within a format** only that may be added which an older program may pass over without harm. It leaves tables of
//!   `meta` between `10` and `1f` that it does not know as they are; it shows kinds of ledger entries that it does not
//!   know as they are; it answers fewer questions. Everything else raises the number: a new column family (refused by
//!   name), a new field of a row, a new version or form of a record (one such record is set aside), and any table that
//!   withholds or erases something, because passing over it would serve what must not be served.
//! - **Before the first release** two rows of format 1 got a second version: what was erased (suppressions), and what was
//!   received by whom, which now says of which programs it was and how it named the customer. This program reads the
//!   first version of both and writes the second, each row when it changes; a program from before refuses the second by
//!   name, and changes nothing. Format 1 is what the first release writes.
//! - Backups have the format of the store in them and a number of their own in `BACKUP`, under the same rules.
//!
//! # When something is wrong
//!
//! | what | then |
//! |---|---|
//! | unknown format version, unknown family, other root key, parts of two stores | refused by name |
//! | a record fails its checksum, is of another version, does not open, is missing, or its block cannot be read | set aside, counted once, never served; reading goes on behind it |
//! | a row, the manifest or a needed file is damaged | refused by name |
//! | the write-ahead log ends in damaged bytes | what comes before counts; refused as amnesia if that is less than the witness, or a later group in the log, proves |
//! | commits are missing, differ, or the database or the witness file is gone, or both | amnesia: refused with what is missing, unless `accept_data_loss`; then numbers go on behind the lost ones |
//! | the disk is full | at `reserve_bytes` segments that are drained go, the one that is written to last, then appends are refused with a hint; metadata and amendments as long as they fit; goes on by itself when space is freed; a purge that it would interrupt is refused |
//! | a block of a segment is damaged | purging that segment is refused by name: a compaction would stop on it, and the whole database with it |
//! | 100,000 entries wait in the outbox | what would add one is refused as busy, and does not happen; so is a batch that would begin a sum of what came in, if 8,192 of them wait |
//! | a sync or write fails otherwise | the store has failed ([`Store::fatal`]); nothing more is written or acknowledged |
//!
//! `RocksDB`'s own repair is never run, and the live directory is never opened twice.

mod amend;
mod aside;
mod backup;
mod backup_error;
mod backup_files;
mod backup_places;
mod bytes;
mod catalogue;
mod chain;
mod check;
mod check_records;
mod check_told;
mod collected;
mod command;
mod customers;
mod dedup;
mod directory;
mod epochs;
mod evidence;
mod fault;
mod find;
pub mod floor;
mod forecast;
#[doc(hidden)]
pub mod fuzzing;
mod gauges;
mod gone_keys;
mod group;
mod increment;
mod inspect;
mod joint;
mod layout;
mod loss;
mod meta;
mod open;
mod options;
mod outbox;
mod pending;
mod personal;
mod personal_read;
mod purge;
mod purge_files;
mod queue;
mod reader;
mod record;
mod registry;
mod restore;
mod retention;
mod rocks;
mod roll;
mod root;
mod salts;
mod salvage;
mod scan;
mod search;
mod segments;
mod shared;
mod status;
pub(crate) mod step;
#[expect(clippy::module_inception, reason = "the handle has the name of the room")]
mod store;
mod stored;
mod sums;
mod survey;
mod ticker;
mod unfinished;
mod upkeep;
mod witness;
mod writer;
mod written;

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod amend_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod backup_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod collected_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod crash_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod made_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod record_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod rows_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod samples;

pub use amend::{Amended, Amendment};
pub use backup::{Backup, BackupProgress, PersonalBackup, backup_closed, backup_personal_closed};
pub use backup_error::BackupError;
pub use backup_files::FileSum;
pub use backup_places::check_restored;
pub use check::Check;
pub use check_told::{CheckProgress, Checked, Fault, Faults};
pub use collected::{Collected, CollectedKey};
pub use command::{Append, Appended, Fenced, MetaOp};
pub use customers::{Basis, CustomerEntry, Customers, suppression_of, suppression_of_mark};
pub use dedup::Dedup;
pub use directory::{expect_store, is_begun};
pub use epochs::{MAX_BRIDGES, Moved, Ratcheted};
pub use fault::{AppendError, DatabaseFault, OpenError, RecordFault, SetError, StoreError};
pub use find::Found;
pub use inspect::{DedupInspection, Inspection, SegmentInspection, inspect};
pub use joint::Joint;
pub use loss::{AcceptedLoss, Loss};
pub use meta::{MetaRow, MetaTable};
pub use options::{Options, WhenFull};
pub use outbox::Notary;
pub use purge::{Place, PurgeError, PurgeProgress, Purged};
pub use reader::{Entry, ReadLimits};
pub use record::{RecordHeader, SealedRecord};
pub use registry::{Customer, NewChange, SetOutcome};
pub use restore::{PersonalContents, Restore, Restored, personal_contents, put_back, restore};
pub use root::Rewrapped;
pub use salts::{Bridge, KeyOp};
pub use scan::{HeaderAt, Scan, Scanned};
pub use status::Status;
pub use store::{Queued, Store};
pub use stored::StoredRecord;
pub use unfinished::finished;
