//! Where the policy comes from: the texts of a directory, or the shipped ones inside the program.
//! `policy` itself never touches a file.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatVfsMountFlags, StatxAttributes, StatxFlags, statvfs, statx};

use super::exposure::changeable;
use super::runner::Runner;
use crate::policy::{PolicyFile, Problem, Severity};

/// Files in one policy directory. A policy of a thousand products is not hand-written TOML.
const MAX_FILES: usize = 1_000;
/// Bytes of one policy file.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Reads every `*.toml` file of `dir` and of the directories in it. Names that begin with a dot are
/// passed over: editors and Kubernetes keep their own things there.
///
/// # Errors
/// Every file that cannot be read.
pub fn read_dir(dir: &Path) -> Result<Vec<PolicyFile>, Vec<Problem>> {
    read(dir, None)
}

/// The same for a collector that is run by `runner`: nobody else may decide what is kept.
///
/// # Errors
/// Every file that cannot be read, and every file and directory that others can change.
pub(super) fn read_guarded(dir: &Path, runner: &Runner) -> Result<Vec<PolicyFile>, Vec<Problem>> {
    read(dir, Some(runner))
}

fn read(dir: &Path, guard: Option<&Runner>) -> Result<Vec<PolicyFile>, Vec<Problem>> {
    let mut reader = Reader { guard, files: Vec::new(), problems: Vec::new() };
    reader.walk(dir, "", 0);
    if reader.problems.is_empty() && reader.files.is_empty() {
        reader.refuse("", "has no policy files", "name a directory with programs/*.toml and products/*.toml");
    }
    if reader.problems.is_empty() { Ok(reader.files) } else { Err(reader.problems) }
}

struct Reader<'r> {
    /// Who alone may change what is read; `None` if it does not matter.
    guard: Option<&'r Runner>,
    files: Vec<PolicyFile>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn refuse(&mut self, file: &str, what: impl Into<String>, remedy: &str) {
        let file = if file.is_empty() { ".".to_owned() } else { file.to_owned() };
        let (what, remedy) = (what.into(), remedy.to_owned());
        self.problems.push(Problem {
            file,
            line: 1,
            key: String::new(),
            what,
            remedy,
            severity: Severity::Error,
        });
    }

    fn walk(&mut self, dir: &Path, prefix: &str, depth: u8) {
        let mut names = match names(dir) {
            Ok(names) => names,
            Err(error) => {
                return self.refuse(
                    prefix,
                    format!("the directory cannot be read: {error}"),
                    "name a readable one",
                );
            }
        };
        match std::fs::metadata(dir) {
            Ok(metadata) => self.judge(&metadata, prefix, || is_mounted_read_only(dir)),
            Err(error) => self.refuse(prefix, format!("cannot be read: {error}"), "make it readable"),
        }
        names.sort();
        for name in names.into_iter().filter(|name| !name.starts_with('.')) {
            let (path, shown) = (dir.join(&name), format!("{prefix}{name}"));
            if path.is_dir() {
                if depth == 0 {
                    self.walk(&path, &format!("{shown}/"), 1);
                }
            } else if Path::new(&name).extension().is_some_and(|extension| extension == "toml") {
                self.read(&path, shown);
            }
        }
    }

    fn read(&mut self, path: &Path, shown: String) {
        if self.files.len() >= MAX_FILES {
            return self.refuse(
                &shown,
                format!("is beyond the {MAX_FILES} files of a policy"),
                "merge files",
            );
        }
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = match opened {
            Ok((metadata, _)) if metadata.len() > MAX_FILE_BYTES => {
                return self.refuse(&shown, "is larger than 1 MiB", "split the dictionary");
            }
            Ok(opened) => opened,
            Err(error) => return self.refuse(&shown, format!("cannot be read: {error}"), "make it readable"),
        };
        self.judge(&metadata, &shown, || false);
        let mut text = String::new();
        match file.take(MAX_FILE_BYTES).read_to_string(&mut text) {
            Ok(_) => self.files.push(PolicyFile { path: shown, text }),
            Err(error) => {
                self.refuse(&shown, format!("cannot be read: {error}"), "make it readable UTF-8 text");
            }
        }
    }

    /// Refuses what somebody else can change; its permissions do not matter if it `is_fixed`.
    fn judge(&mut self, metadata: &Metadata, shown: &str, is_fixed: impl FnOnce() -> bool) {
        let Some(guard) = self.guard else { return };
        if let Some((what, remedy)) = changeable(metadata, guard)
            && !(guard.trusts(metadata.uid()) && is_fixed())
        {
            self.refuse(shown, what, remedy);
        }
    }
}

/// Whether a directory is a mount of its own that cannot be written to. So Kubernetes brings a `ConfigMap` in, as a
/// directory with mode 777 that nobody in the pod can change.
fn is_mounted_read_only(dir: &Path) -> bool {
    let is_mount = statx(CWD, dir, AtFlags::empty(), StatxFlags::empty())
        .is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT));
    is_mount && statvfs(dir).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// The names in `dir` that are text.
fn names(dir: &Path) -> std::io::Result<Vec<String>> {
    std::fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn files_are_named_by_their_place_in_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["programs", "products", ".git"] {
            std::fs::create_dir(dir.path().join(sub)).unwrap();
        }
        for file in
            ["programs/ceip.toml", "products/vcenter.toml", ".git/x.toml", "products/.y.toml", "README.md"]
        {
            std::fs::write(dir.path().join(file), file).unwrap();
        }
        let files = read_dir(dir.path()).unwrap();
        let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["products/vcenter.toml", "programs/ceip.toml"]);
        assert!(files.iter().all(|file| file.path == file.text));
    }

    #[test]
    fn every_unreadable_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.toml"), b"\xff\xfe").unwrap();
        std::fs::write(dir.path().join("b.toml"), "x".repeat(1 << 21)).unwrap();
        let problems = read_dir(dir.path()).unwrap_err();
        let files: Vec<_> = problems.iter().map(|problem| problem.file.as_str()).collect();
        assert_eq!(files, ["a.toml", "b.toml"]);
        assert_eq!(read_dir(&dir.path().join("none")).unwrap_err().len(), 1);
    }

    #[test]
    fn a_file_or_directory_that_others_can_change_is_named_where_it_decides_what_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("programs")).unwrap();
        for file in ["programs/ceip.toml", "a.toml", "notes.md"] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        let mode = |name: &str, mode: u32| {
            std::fs::set_permissions(dir.path().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let runner = Runner::present();
        let refused = || {
            let problems = read_guarded(dir.path(), &runner).err().unwrap_or_default();
            problems.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        mode("notes.md", 0o666);
        assert_eq!(refused(), Vec::<String>::new());
        for (name, wrong, right, shown) in [
            ("", 0o777, 0o700, ".:1"),
            ("programs", 0o702, 0o755, "programs/:1"),
            ("programs/ceip.toml", 0o646, 0o644, "programs/ceip.toml:1"),
            ("a.toml", 0o666, 0o600, "a.toml:1"),
        ] {
            mode(name, wrong);
            let told = refused();
            let words = [shown, &format!("mode {wrong:03o}"), "chmod go-w"];
            assert!(told.len() == 1 && words.iter().all(|word| told[0].contains(word)), "{name}: {told:?}");
            assert!(read_dir(dir.path()).is_ok(), "whoever looks at somebody's files may");
            mode(name, right);
        }
        let other = Runner::with(runner.user() + 1, 7);
        let told = read_guarded(dir.path(), &other).err().map_or(0, |problems| problems.len());
        assert_eq!(told, if runner.user() == 0 { 0 } else { 4 }, "what is root's is trusted");
    }
}
