//! The byte search: whether any of many byte strings stands anywhere in the files of a directory.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::cli::exit::Failure;

/// Bytes by which a place is looked up. Shorter needles are not searched for.
const WINDOW: usize = 6;

/// Needles, by their first bytes.
pub(super) struct Search<'n> {
    needles: HashMap<[u8; WINDOW], Vec<&'n [u8]>, foldhash::fast::FixedState>,
    pub count: u64,
}

/// What a search went through and found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub files: u64,
    pub bytes: u64,
    pub hits: Vec<PathBuf>,
}

impl<'n> Search<'n> {
    pub fn new(needles: impl IntoIterator<Item = &'n [u8]>) -> Self {
        let mut search = Self { needles: HashMap::default(), count: 0 };
        for needle in needles {
            if let Some(first) = needle.first_chunk::<WINDOW>() {
                search.needles.entry(*first).or_default().push(needle);
                search.count += 1;
            }
        }
        search
    }

    /// Searches every file below `dir`.
    pub fn directory(&self, dir: &Path) -> Result<Found, Failure> {
        let mut found = Found::default();
        self.walk(dir, &mut found)?;
        Ok(found)
    }

    fn walk(&self, dir: &Path, found: &mut Found) -> Result<(), Failure> {
        let failed = || format!("searching {}", dir.display());
        for entry in std::fs::read_dir(dir).map_err(Failure::io(failed()))? {
            let path = entry.map_err(Failure::io(failed()))?.path();
            if path.is_dir() {
                self.walk(&path, found)?;
                continue;
            }
            let mut bytes = Vec::new();
            let read = File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes));
            read.map_err(Failure::io(format!("searching {}", path.display())))?;
            found.files += 1;
            found.bytes += u64::try_from(bytes.len()).unwrap_or(0);
            if self.is_in(&bytes) {
                found.hits.push(path);
            }
        }
        Ok(())
    }

    /// Whether any needle stands in these bytes.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        bytes.windows(WINDOW).enumerate().any(|(at, window)| {
            let first: Option<&[u8; WINDOW]> = window.try_into().ok();
            let candidates = first.and_then(|first| self.needles.get(first));
            candidates.is_some_and(|needles| {
                needles.iter().any(|needle| bytes.get(at..).is_some_and(|rest| rest.starts_with(needle)))
            })
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_needle_is_found_at_the_start_in_the_middle_and_at_the_end_and_only_whole() {
        let search = Search::new([b"needle-1".as_slice(), b"needle-2", b"short"]);
        assert_eq!(search.count, 2);
        for hit in ["needle-1", "xxneedle-2", "needleneedle-1xx"] {
            assert!(search.is_in(hit.as_bytes()), "{hit}");
        }
        for miss in ["", "needle", "needle-", "needle-3", "short", "needle\0-1"] {
            assert!(!search.is_in(miss.as_bytes()), "{miss}");
        }
    }

    #[test]
    fn every_file_below_a_directory_is_searched() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a/hit"), b"\0\0needle-1\0").unwrap();
        std::fs::write(dir.path().join("miss"), b"nothing").unwrap();
        let found = Search::new([b"needle-1".as_slice()]).directory(dir.path()).unwrap();
        assert_eq!((found.files, found.hits), (2, vec![dir.path().join("a/hit")]));
    }
}
