//! Reading an open ledger: entries, those of one customer, and proofs. What is read is on disk and
//! never changes, so nothing is locked meanwhile.

use std::os::unix::fs::FileExt as _;

use memchr::memmem::Finder;

use super::fault::LedgerError;
use super::files::{ENTRIES, OFFSETS, TREE};
use super::leaf::{self, Leaf};
use super::ledger::Ledger;
use super::proof;
use super::record::{FIRST, Found, Records, unframe};
use super::tree::Hash;
use crate::model::CustomerKey;

/// Bytes of entries that one call gives, about.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

impl Ledger {
    /// The bytes of a leaf.
    fn leaf_bytes(&self, index: u64) -> Result<Vec<u8>, LedgerError> {
        let (size, bytes) = self.extent();
        self.leaf_within(index, size, bytes)
    }

    /// The bytes of a leaf, of a ledger with `size` entries in `bytes`.
    pub(super) fn leaf_within(&self, index: u64, size: u64, bytes: u64) -> Result<Vec<u8>, LedgerError> {
        let offset = |index| self.0.derived.offset(index).map_err(self.fault("read", OFFSETS));
        let begin = offset(index)?;
        let end = if index + 1 < size { offset(index + 1)? } else { bytes };
        let damaged = LedgerError::Damaged { index };
        let most = super::leaf::LEAF_BYTES + 8;
        let length = end.checked_sub(begin).and_then(|length| usize::try_from(length).ok());
        let Some(length) = length.filter(|length| *length <= most) else { return Err(damaged) };
        let mut record = vec![0; length];
        self.0.entries.read_exact_at(&mut record, begin).map_err(self.fault("read", ENTRIES))?;
        unframe(&record).map(<[u8]>::to_vec).ok_or(damaged)
    }

    /// Entries from the index `from` on, at most `limit`, and fewer if they are long. Empty behind the end.
    ///
    /// # Errors
    /// If they cannot be read, or are damaged.
    pub fn read(&self, from: u64, limit: usize) -> Result<Vec<Leaf>, LedgerError> {
        let mut found = Vec::new();
        let mut bytes = 0;
        let size = self.head().size;
        for index in (from..size).take(limit) {
            let leaf = self.leaf_bytes(index)?;
            bytes += leaf.len();
            found.push(Leaf::read(index, leaf).ok_or(LedgerError::Damaged { index })?);
            if bytes >= PAGE_BYTES {
                break;
            }
        }
        Ok(found)
    }

    /// Entries before the index `before`, newest first, at most `limit`, and fewer if they are long.
    ///
    /// # Errors
    /// If they cannot be read, or are damaged.
    pub fn read_back(&self, before: u64, limit: usize) -> Result<Vec<Leaf>, LedgerError> {
        let mut found = Vec::new();
        let mut bytes = 0;
        for index in (0..before.min(self.head().size)).rev().take(limit) {
            let leaf = self.leaf_bytes(index)?;
            bytes += leaf.len();
            found.push(Leaf::read(index, leaf).ok_or(LedgerError::Damaged { index })?);
            if bytes >= PAGE_BYTES {
                break;
            }
        }
        Ok(found)
    }

    /// Gives every entry about a customer among the first `size`, oldest first, until `each` says stop
    /// (`false`). Reads the file once from end to end, in bounded memory.
    ///
    /// # Errors
    /// If they cannot be read, or are damaged.
    pub fn of_customer(
        &self,
        customer: CustomerKey,
        size: u64,
        each: &mut dyn FnMut(Leaf) -> bool,
    ) -> Result<(), LedgerError> {
        let needle = leaf::needle(customer);
        let (finder, several) = (Finder::new(&needle), Finder::new(leaf::SEVERAL));
        let file =
            std::fs::File::open(self.0.options.dir.join(ENTRIES)).map_err(self.fault("open", ENTRIES))?;
        let mut records = Records::new(file, FIRST, self.extent().1).map_err(self.fault("read", ENTRIES))?;
        for index in 0..size {
            let Found::Leaf(bytes) = records.next().map_err(self.fault("read", ENTRIES))? else {
                return Err(LedgerError::Damaged { index });
            };
            if finder.find(&bytes).or_else(|| several.find(&bytes)).is_none() {
                continue;
            }
            let leaf = Leaf::read(index, bytes).ok_or(LedgerError::Damaged { index })?;
            if leaf.is_about(customer) && !each(leaf) {
                break;
            }
        }
        Ok(())
    }

    /// The proof that the entry at `index` is among the first `size`.
    ///
    /// # Errors
    /// If the hashes cannot be read.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, LedgerError> {
        let size = size.min(self.head().size);
        let path = proof::inclusion(index, size, &mut |level, index| self.0.derived.subtree(level, index));
        Ok(path.map_err(self.fault("read", TREE))?)
    }

    /// The proof that the first `old` entries are the beginning of the first `size`.
    ///
    /// # Errors
    /// If the hashes cannot be read.
    pub fn consistency(&self, old: u64, size: u64) -> Result<Vec<Hash>, LedgerError> {
        let size = size.min(self.head().size);
        let path = proof::consistency(old, size, &mut |level, index| self.0.derived.subtree(level, index));
        Ok(path.map_err(self.fault("read", TREE))?)
    }
}
