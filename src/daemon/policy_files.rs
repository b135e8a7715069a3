//! Where the policy comes from: the texts of a directory, or the shipped ones inside the program.
//! `policy` itself never touches a file.

use std::path::Path;

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
    let mut reader = Reader { files: Vec::new(), problems: Vec::new() };
    reader.walk(dir, "", 0);
    if reader.problems.is_empty() && reader.files.is_empty() {
        reader.refuse("", "has no policy files", "name a directory with programs/*.toml and products/*.toml");
    }
    if reader.problems.is_empty() { Ok(reader.files) } else { Err(reader.problems) }
}

struct Reader {
    files: Vec<PolicyFile>,
    problems: Vec<Problem>,
}

impl Reader {
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
        match std::fs::metadata(path) {
            Ok(meta) if meta.len() > MAX_FILE_BYTES => {
                return self.refuse(&shown, "is larger than 1 MiB", "split the dictionary");
            }
            Ok(_) => {}
            Err(error) => return self.refuse(&shown, format!("cannot be read: {error}"), "make it readable"),
        }
        match std::fs::read_to_string(path) {
            Ok(text) => self.files.push(PolicyFile { path: shown, text }),
            Err(error) => {
                self.refuse(&shown, format!("cannot be read: {error}"), "make it readable UTF-8 text");
            }
        }
    }
}

/// The names in `dir` that are text.
fn names(dir: &Path) -> std::io::Result<Vec<String>> {
    std::fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
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
}
