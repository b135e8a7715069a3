//! The byte search of the leak hunt: in which of many forms which of many canaries stands in some bytes.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Bytes by which a place is looked up. A shorter form would be found by chance in random bytes.
const WINDOW: usize = 6;

/// Forms of canaries, by their first bytes.
#[derive(Default)]
pub struct Search {
    forms: HashMap<[u8; WINDOW], Vec<(Vec<u8>, usize)>>,
    /// Which first three bytes any form has: what sorts out nearly every place.
    starts: Vec<bool>,
}

impl Search {
    /// Looks for `form` too, which belongs to the canary of this number.
    pub fn add(&mut self, form: Vec<u8>, canary: usize) {
        let first = *form.first_chunk::<WINDOW>().unwrap_or_else(|| panic!("too short: {form:?}"));
        if self.starts.is_empty() {
            self.starts = vec![false; 1 << 24];
        }
        self.starts[start(&first)] = true;
        self.forms.entry(first).or_default().push((form, canary));
    }

    /// The forms of a canary.
    pub fn forms_of(&self, canary: usize) -> Vec<Vec<u8>> {
        let all = self.forms.values().flatten();
        all.filter(|(_, of)| *of == canary).map(|(form, _)| form.clone()).collect()
    }

    /// The canaries that stand anywhere in `bytes`.
    pub fn canaries_in(&self, bytes: &[u8]) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        for (at, window) in bytes.windows(WINDOW).enumerate() {
            if !self.starts[start(window)] {
                continue;
            }
            let candidates = self.forms.get(window).into_iter().flatten();
            found.extend(
                candidates.filter(|(form, _)| bytes[at..].starts_with(form)).map(|(_, canary)| *canary),
            );
        }
        found
    }
}

fn start(window: &[u8]) -> usize {
    usize::from(window[0]) << 16 | usize::from(window[1]) << 8 | usize::from(window[2])
}

/// Every file below a directory.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all
}

#[test]
fn a_form_is_found_anywhere_and_only_whole() {
    let mut search = Search::default();
    search.add(b"needle-1".to_vec(), 1);
    search.add(b"needle-22".to_vec(), 2);
    for (bytes, expected) in [
        ("needle-1", vec![1]),
        ("xx\0needle-22\0needleneedle-1xx", vec![1, 2]),
        ("", vec![]),
        ("needle", vec![]),
        ("needle-2", vec![]),
        ("Needle-1", vec![]),
    ] {
        assert_eq!(search.canaries_in(bytes.as_bytes()).into_iter().collect::<Vec<_>>(), expected, "{bytes}");
    }
}
