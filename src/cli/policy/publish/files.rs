//! Writes what is published into a directory: only files that are not there, or that an earlier run wrote.
//! A list of them stays in the directory, so that pages of a product that is no more are taken away.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::exit::Failure;

/// The list of the files that were written.
const LIST: &str = ".usaged-publish.json";
/// Bytes of the list: a policy has at most some thousand files.
const LIST_BYTES: u64 = 1 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct List {
    /// Who wrote it.
    made_by: String,
    /// The policy.
    policy_version: String,
    /// The paths, below the directory.
    files: BTreeSet<String>,
}

const MADE_BY: &str = "usaged policy publish";

/// A file to write: its path below the directory, and its text.
pub(super) type File = (String, String);

/// Writes the files, and takes away those of an earlier run that are none of them. Gives what was taken away.
pub(super) fn write(out: &Path, policy_version: &str, files: &[File]) -> Result<Vec<String>, Failure> {
    let own = earlier(out)?;
    let foreign: Vec<&str> = files
        .iter()
        .map(|(path, _)| path.as_str())
        .filter(|path| !own.contains(*path) && out.join(path).symlink_metadata().is_ok())
        .collect();
    if !foreign.is_empty() {
        return Err(Failure::Failed(format!(
            "{} has files that `usaged policy publish` did not write, and would overwrite: {}; name another directory, or \
             move them away",
            out.display(),
            foreign.join(", ")
        )));
    }
    for (path, text) in files {
        put(out, path, text)?;
    }
    let written: BTreeSet<String> = files.iter().map(|(path, _)| path.clone()).collect();
    let stale: Vec<String> = own.difference(&written).cloned().collect();
    for path in &stale {
        let path = out.join(path);
        if path.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
            std::fs::remove_file(&path).map_err(Failure::io(format!("removing {}", path.display())))?;
        }
    }
    let list =
        List { made_by: MADE_BY.to_owned(), policy_version: policy_version.to_owned(), files: written };
    let mut text = serde_json::to_string_pretty(&list).map_err(|error| Failure::Failed(error.to_string()))?;
    text.push('\n');
    put(out, LIST, &text)?;
    Ok(stale)
}

/// The files that an earlier run wrote there.
fn earlier(out: &Path) -> Result<BTreeSet<String>, Failure> {
    let path = out.join(LIST);
    let unreadable = |what: &str| {
        Failure::Failed(format!("{} {what}; remove it, and the files that it should list", path.display()))
    };
    let meta = match path.symlink_metadata() {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(Failure::io(format!("reading {}", path.display()))(error)),
    };
    if !meta.is_file() || meta.len() > LIST_BYTES {
        return Err(unreadable("is not a list that this program wrote"));
    }
    let text = std::fs::read(&path).map_err(Failure::io(format!("reading {}", path.display())))?;
    let list: List =
        serde_json::from_slice(&text).map_err(|_| unreadable("is not a list that this program wrote"))?;
    // Whoever changed the list must not have us remove a file elsewhere.
    let inside = |path: &String| {
        let parts = Path::new(path).components();
        parts.clone().count() > 0
            && parts.into_iter().all(|part| matches!(part, std::path::Component::Normal(_)))
    };
    if list.made_by != MADE_BY || !list.files.iter().all(inside) {
        return Err(unreadable("is not a list that this program wrote"));
    }
    Ok(list.files)
}

/// Writes one file whole: beside its place first, so that a reader never sees half of it.
fn put(out: &Path, path: &str, text: &str) -> Result<(), Failure> {
    let path: PathBuf = out.join(path);
    let dir = path.parent().unwrap_or(out);
    let failed = |error: std::io::Error| Failure::Failed(format!("writing {}: {error}", path.display()));
    std::fs::create_dir_all(dir).map_err(failed)?;
    let mut file = tempfile::Builder::new().prefix(".usaged-").tempfile_in(dir).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    // A temporary file is its owner's alone; what is published is for all to read.
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(readable).map_err(failed)?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(())
}
