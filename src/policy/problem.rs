//! What is wrong with a policy, and where: file, line, key, what, remedy.

use std::fmt;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The policy is refused.
    Error,
    /// The policy is good, and this is worth knowing.
    Note,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Note => "note",
        }
    }
}

/// One mistake in a policy, or one thing worth knowing about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, relative to the policy directory, such as `programs/ceip.toml`; with the directory as it was named, of
    /// what could not be read or may not be believed.
    pub file: String,
    /// The line, from 1; 0 of a file or directory as a whole.
    pub line: usize,
    /// The key in the file, such as `levels[0].treatments.host_name`; empty for the file as a whole.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
    /// How bad it is.
    pub severity: Severity,
    /// Whether a device or the system did not give a file. Then nothing is known to be wrong with what was written.
    pub is_of_the_system: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}; {}", self.what, self.remedy)
    }
}

/// A place in a policy file that a problem can point to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) key: String,
}

impl Place {
    /// A file as a whole.
    pub(super) fn file(path: &str) -> Self {
        Self { file: path.to_owned(), line: 1, key: String::new() }
    }

    /// A key below this one, on the same line.
    pub(super) fn below(&self, key: &str) -> Self {
        Self { file: self.file.clone(), line: self.line, key: join(&self.key, key) }
    }

    fn problem(&self, severity: Severity, what: String, remedy: String) -> Problem {
        let (file, key) = (self.file.clone(), self.key.clone());
        Problem { file, line: self.line, key, what, remedy, severity, is_of_the_system: false }
    }
}

/// The key `key` below `prefix`, quoted where TOML would quote it.
pub(super) fn join(prefix: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let quoted = if bare { key.to_owned() } else { format!("{key:?}") };
    if prefix.is_empty() { quoted } else { format!("{prefix}.{quoted}") }
}

/// Collects the problems of all files.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn error(&mut self, place: &Place, what: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(place.problem(Severity::Error, what.into(), remedy.into()));
    }

    pub(super) fn note(&mut self, place: &Place, what: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(place.problem(Severity::Note, what.into(), remedy.into()));
    }

    /// How many there are so far.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// All of them, by file and line: the notes if there is no error, else everything.
    pub(super) fn into_notes(mut self) -> Result<Vec<Problem>, Vec<Problem>> {
        self.0.sort();
        self.0.dedup();
        if self.0.iter().any(|problem| problem.severity == Severity::Error) {
            Err(self.0)
        } else {
            Ok(self.0)
        }
    }
}
