//! Where the policy comes from: the texts of a directory, or the shipped ones inside the program.
//! `policy` itself never touches a file.

use std::fs::Metadata;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatVfsMountFlags, StatxAttributes, StatxFlags, statvfs, statx};

use super::exposure::changeable;
use super::reach::let_in;
use super::regular::{self, NotOpened};
use super::runner::Runner;
use crate::config::is_of_the_system;
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
    let mut reader = Reader { guard, ..Reader::default() };
    reader.walk(dir, "", 0);
    if reader.problems.is_empty() && reader.exposed.is_empty() && reader.files.is_empty() {
        reader.refuse(
            dir,
            "has no policy files",
            "name a directory with programs/*.toml and products/*.toml",
        );
    }
    reader.problems.append(&mut reader.exposed);
    if reader.problems.is_empty() { Ok(reader.files) } else { Err(reader.problems) }
}

/// Every file and directory of a policy that others than `runner` can change. Reads none of them.
pub(super) fn exposed(dir: &Path, runner: &Runner) -> Vec<Problem> {
    let mut reader = Reader { guard: Some(runner), only_looks: true, ..Reader::default() };
    reader.walk(dir, "", 0);
    reader.exposed
}

#[derive(Default)]
struct Reader<'r> {
    /// Who alone may change what is read; `None` if it does not matter.
    guard: Option<&'r Runner>,
    /// Whether no text is wanted.
    only_looks: bool,
    files: Vec<PolicyFile>,
    /// What cannot be read.
    problems: Vec<Problem>,
    /// What others can change.
    exposed: Vec<Problem>,
}

/// A problem of a file or directory as a whole, which is named as a person finds it.
fn problem(path: &Path, what: impl Into<String>, remedy: &str) -> Problem {
    let (file, what, remedy) = (path.display().to_string(), what.into(), remedy.to_owned());
    let (key, severity) = (String::new(), Severity::Error);
    Problem { file, line: 0, key, what, remedy, severity, is_of_the_system: false }
}

impl Reader<'_> {
    fn refuse(&mut self, path: &Path, what: impl Into<String>, remedy: &str) {
        self.problems.push(problem(path, what, remedy));
    }

    fn unread(&mut self, path: &Path, error: &std::io::Error, remedy: &str) {
        let remedy = self.remedy(path, error, remedy);
        let found = problem(path, format!("cannot be read: {error}"), &remedy);
        self.problems.push(Problem { is_of_the_system: is_of_the_system(error), ..found });
    }

    fn walk(&mut self, dir: &Path, prefix: &str, depth: u8) {
        let mut names = match names(dir) {
            Ok(names) => names,
            Err(error) => return self.unread(dir, &error, "name a readable directory"),
        };
        match std::fs::metadata(dir) {
            Ok(metadata) => self.judge(&metadata, dir, || is_mounted_read_only(dir)),
            Err(error) => self.unread(dir, &error, "make it readable"),
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
            let what = format!("is beyond the {MAX_FILES} files of a policy");
            return self.refuse(path, what, "merge files");
        }
        if self.only_looks {
            // Nothing is opened, which a pipe or a disk that does not answer would hold up.
            let looked_at = std::fs::metadata(path);
            return looked_at.map_or((), |metadata| self.judge(&metadata, path, || false));
        }
        let (file, metadata) = match regular::open(path) {
            Ok((_, metadata)) if metadata.len() > MAX_FILE_BYTES => {
                return self.refuse(path, "is larger than 1 MiB", "split the dictionary");
            }
            Ok(opened) => opened,
            Err(NotOpened::Other(kind)) => {
                let what = format!("is {kind} and no regular file");
                return self.refuse(path, what, "take it out of the policy, or put a file in its place");
            }
            Err(NotOpened::Failed(error)) => return self.unread(path, &error, "make it readable"),
        };
        self.judge(&metadata, path, || false);
        let mut text = String::new();
        match file.take(MAX_FILE_BYTES).read_to_string(&mut text) {
            Ok(_) => self.files.push(PolicyFile { path: shown, text }),
            Err(error) => self.unread(path, &error, "make it readable UTF-8 text"),
        }
    }

    /// What to do about a file or directory that was not read: the commands that let the collector in, if that is what is
    /// wanting.
    fn remedy(&self, path: &Path, error: &std::io::Error, else_: &str) -> String {
        let guard = self.guard.filter(|_| error.kind() == ErrorKind::PermissionDenied);
        guard.map_or_else(|| else_.to_owned(), |runner| let_in(path, runner))
    }

    /// Refuses what somebody else can change; its permissions do not matter if it `is_fixed`.
    fn judge(&mut self, metadata: &Metadata, path: &Path, is_fixed: impl FnOnce() -> bool) {
        let Some(guard) = self.guard else { return };
        if let Some((what, remedy)) = changeable(metadata, guard)
            && !(guard.trusts(metadata.uid()) && is_fixed())
        {
            self.exposed.push(problem(path, what, remedy));
        }
    }
}

/// Whether a directory is a mount of its own that cannot be written to. So Kubernetes brings a `ConfigMap` in, as a
/// directory with mode 777 that nobody in the pod can change.
pub(super) fn is_mounted_read_only(dir: &Path) -> bool {
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
        let files: Vec<_> = problems.iter().map(|problem| problem.file.clone()).collect();
        let named = |name| dir.path().join(name).display().to_string();
        assert_eq!(files, [named("a.toml"), named("b.toml")]);
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
        let looked_at = || {
            let problems = exposed(dir.path(), &runner);
            problems.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        for (name, wrong, right) in [
            ("", 0o777, 0o700),
            ("programs", 0o702, 0o755),
            ("programs/ceip.toml", 0o646, 0o644),
            ("a.toml", 0o666, 0o600),
        ] {
            mode(name, wrong);
            let told = refused();
            // The place as a person finds it, also of the directory that was named.
            let place = dir.path().join(name).display().to_string();
            let begins = format!("{}: can be changed by others", place.trim_end_matches('/'));
            let words = [&format!("mode {wrong:03o}"), "chmod go-w"];
            assert!(told.len() == 1 && told[0].starts_with(&begins), "{name}: {told:?}");
            assert!(words.iter().all(|word| told[0].contains(word)), "{name}: {told:?}");
            assert_eq!(told, looked_at(), "{name}");
            assert!(read_dir(dir.path()).is_ok(), "whoever looks at somebody's files may");
            mode(name, right);
        }
        assert_eq!(looked_at(), Vec::<String>::new());
        let other = Runner::with(runner.user() + 1, 7);
        let told = read_guarded(dir.path(), &other).err().map_or(0, |problems| problems.len());
        assert_eq!(told, if runner.user() == 0 { 0 } else { 4 }, "what is root's is trusted");
    }
}
