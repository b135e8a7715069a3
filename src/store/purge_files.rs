//! The table files of the database, as purging sees them: which hold keys of a range.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::bytes::count;
use super::fault::StoreError;
use super::rocks::Db;

/// A range of keys of a family; both ends belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) family: String,
    pub(super) first: Vec<u8>,
    pub(super) last: Vec<u8>,
}

impl Range {
    pub(super) fn new(family: &str, first: &[u8], last: &[u8]) -> Self {
        Self { family: family.to_owned(), first: first.to_vec(), last: last.to_vec() }
    }
}

/// A table file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    pub(super) first: Vec<u8>,
    pub(super) last: Vec<u8>,
}

/// The names of all table files.
pub(super) fn names(db: &Db) -> Result<BTreeSet<PathBuf>, StoreError> {
    let files = db.live_files().map_err(StoreError::database("list the files of the database"))?;
    Ok(files.iter().map(|file| path(db, &file.name)).collect())
}

fn path(db: &Db, name: &str) -> PathBuf {
    db.path().join(name.trim_start_matches('/'))
}

/// The table files that overlap a range.
pub(super) fn live(db: &Db, range: &Range) -> Result<Vec<File>, StoreError> {
    let files = db.live_files().map_err(StoreError::database("list the files of the database"))?;
    let overlaps = |file: &rocksdb::LiveFile| {
        file.column_family_name == range.family
            && file.start_key.as_ref().is_none_or(|start| *start <= range.last)
            && file.end_key.as_ref().is_none_or(|end| *end >= range.first)
    };
    Ok(files
        .iter()
        .filter(|file| overlaps(file))
        .map(|file| File {
            path: path(db, &file.name),
            bytes: count(file.size),
            first: file.start_key.clone().unwrap_or_else(|| range.first.clone()),
            last: file.end_key.clone().unwrap_or_else(|| range.last.clone()),
        })
        .collect())
}
