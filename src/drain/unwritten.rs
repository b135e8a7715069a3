//! Rows that changed and wait to be written, beside those that the queue writes by itself.

use std::collections::HashMap;

use crate::store::{MetaOp, MetaTable};

/// Rows to put (`Some`) and to delete (`None`): of each row what it is to be in the end.
#[derive(Debug, Clone, Default)]
pub(super) struct Unwritten {
    rows: HashMap<(MetaTable, Vec<u8>), Option<Vec<u8>>>,
    /// Entries for the ledger, in order.
    told: Vec<MetaOp>,
}

impl Unwritten {
    /// Has a row written (`Some`) or deleted (`None`).
    pub(super) fn set(&mut self, table: MetaTable, key: Vec<u8>, row: Option<Vec<u8>>) {
        self.rows.insert((table, key), row);
    }

    /// Has the ledger told.
    pub(super) fn tell(&mut self, entry: MetaOp) {
        self.told.push(entry);
    }

    /// What the ledger is to be told.
    pub(super) fn told(&self) -> &[MetaOp] {
        &self.told
    }

    /// Takes everything that waits.
    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Takes back what could not be written. What changed since is newer.
    pub(super) fn put_back(&mut self, mut older: Self) {
        std::mem::swap(&mut self.told, &mut older.told);
        self.told.append(&mut older.told);
        for (key, row) in older.rows {
            self.rows.entry(key).or_insert(row);
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.told.is_empty()
    }

    /// The operations that write it.
    pub(super) fn operations(&self) -> impl Iterator<Item = MetaOp> {
        let rows = self.rows.iter().map(|((table, key), row)| match row {
            Some(row) => MetaOp::Put { table: *table, key: key.clone(), value: row.clone() },
            None => MetaOp::Delete { table: *table, key: key.clone() },
        });
        rows.chain(self.told.iter().cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_written_comes_again_unless_it_changed_since() {
        let (a, b) = (b"a".to_vec(), b"b".to_vec());
        let mut rows = Unwritten::default();
        rows.set(MetaTable::Totals, a.clone(), Some(vec![1]));
        rows.set(MetaTable::Totals, b.clone(), Some(vec![1]));
        rows.tell(MetaOp::Ledger(vec![1]));
        let failed = rows.take();
        assert!(rows.is_empty());
        rows.set(MetaTable::Totals, b.clone(), None);
        rows.tell(MetaOp::Ledger(vec![2]));
        rows.put_back(failed);
        assert_eq!(rows.rows.get(&(MetaTable::Totals, a)), Some(&Some(vec![1])));
        assert_eq!(rows.rows.get(&(MetaTable::Totals, b)), Some(&None));
        let told: Vec<_> = rows.operations().skip(2).collect();
        assert_eq!(told, [MetaOp::Ledger(vec![1]), MetaOp::Ledger(vec![2])], "in order");
    }
}
