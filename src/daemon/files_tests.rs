//! Copies of a data directory that is in use, and what its files hold.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Copies a directory as a process that ends leaves it: all files of one moment. What the database does aside meanwhile, such as
/// writing a file out and then naming it in its manifest, makes another copy necessary.
pub(super) fn copy(from: &Path, to: &Path) {
    for _ in 0..100 {
        let before = sizes(from);
        copy_files(from, to);
        if sizes(from) == before {
            return;
        }
        fs::remove_dir_all(to).unwrap();
        fs::create_dir(to).unwrap();
    }
    panic!("{} does not come to rest", from.display());
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            fs::create_dir_all(&to).unwrap();
            copy_files(&path, &to);
        } else if let Err(error) = fs::copy(path, to) {
            // It went meanwhile: a store that is open takes its files away.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
        }
    }
}

/// How long each file under a directory is.
fn sizes(dir: &Path) -> BTreeMap<PathBuf, u64> {
    let (mut todo, mut found) = (vec![dir.to_owned()], BTreeMap::new());
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => todo.push(path),
                Ok(metadata) => drop(found.insert(path, metadata.len())),
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}"),
            }
        }
    }
    found
}

/// The names of the files under `dir` that hold one of these.
pub(super) fn holding<'a>(dir: &Path, needles: impl IntoIterator<Item = &'a [u8]>) -> Vec<PathBuf> {
    let needles: Vec<_> = needles.into_iter().map(memchr::memmem::Finder::new).collect();
    let (mut todo, mut found) = (vec![dir.to_owned()], Vec::new());
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
                continue;
            }
            let bytes = match fs::read(&path) {
                // It went meanwhile: a store that is open takes its files away.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                read => read.unwrap(),
            };
            if needles.iter().any(|needle| needle.find(&bytes).is_some()) {
                found.push(path);
            }
        }
    }
    found
}
