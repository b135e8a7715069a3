//! How a command ends: one list of exit codes, shown by `usaged --help`, and the failures that lead
//! to them. A failure says what was tried and what to do; never a value of a payload.

use std::io::Write as _;

use serde_json::json;

use crate::daemon::{JOURNAL_ERROR, is_read_by_journal};

/// The exit codes, as `usaged --help` shows them.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed: a file, a device or the program itself; or another process has the store open
  2  the command line is wrong
  3  a configuration or a policy was refused; nothing was started or changed
  4  the collector cannot be reached, or was busy until the time to retry was over
  5  the collector refused the request: wrong input, unknown name, changed revision
  6  the store or the ledger was refused: of another version or key, damaged, changed, or with
     acknowledged data missing
  7  done in part: some inputs were refused and are named, the others are in
  8  a check that was asked for found something, such as `policy diff --fail-on-exposure`";

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A file, a device or the program itself.
    #[error("{0}")]
    Failed(String),
    /// The command line is wrong in a way that clap does not see.
    #[error("{0}")]
    Usage(String),
    /// A configuration or policy was refused, with every problem.
    #[error("{what}\n{}", problems.join("\n"))]
    Refused {
        /// What was refused.
        what: String,
        /// Each problem: place, what, remedy.
        problems: Vec<String>,
    },
    /// The collector cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// The collector refused.
    #[error("{message} [{reason}]")]
    Server {
        /// The stable reason, as in `google.rpc.ErrorInfo`, or the name of the status code.
        reason: String,
        /// What it said.
        message: String,
    },
    /// The store was refused.
    #[error("{0}")]
    Store(String),
    /// Some of it was done.
    #[error("{0}")]
    Partly(String),
    /// A check that was asked for found something.
    #[error("{0}")]
    Found(String),
}

impl Failure {
    /// What a failed read, write or other system call says.
    pub(super) fn io(what: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::Failed(format!("{what}: {error}"))
    }

    /// A configuration or a policy that was refused for its mistakes. If the system did not give all of it, nothing is
    /// known to be wrong with it, and it is worth another try.
    pub(super) fn mistakes(what: impl Into<String>, problems: Vec<String>, is_of_the_system: bool) -> Self {
        let what = what.into();
        if is_of_the_system {
            return Self::Failed(format!("{what}\n{}", problems.join("\n")));
        }
        Self::Refused { what, problems }
    }

    /// The code that the process ends with.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Refused { .. } => 3,
            Self::Unreachable(_) => 4,
            Self::Server { .. } => 5,
            Self::Store(_) => 6,
            Self::Partly(_) => 7,
            Self::Found(_) => 8,
        }
    }

    /// The word for the kind of failure.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Failed(_) => "failed",
            Self::Usage(_) => "usage",
            Self::Refused { .. } => "refused",
            Self::Unreachable(_) => "unreachable",
            Self::Server { .. } => "server",
            Self::Store(_) => "store",
            Self::Partly(_) => "partly",
            Self::Found(_) => "found",
        }
    }

    /// Tells the person, or the program, on standard error.
    pub(super) fn report(&self, as_json: bool) {
        if as_json {
            let mut error =
                json!({ "kind": self.kind(), "exit_code": self.exit_code(), "message": self.to_string() });
            if let (Self::Refused { problems, .. }, Some(object)) = (self, error.as_object_mut()) {
                object.insert("problems".to_owned(), json!(problems));
            }
            if let (Self::Server { reason, .. }, Some(object)) = (self, error.as_object_mut()) {
                object.insert("reason".to_owned(), json!(reason));
            }
            say_error(&json!({ "error": error }).to_string());
        } else {
            say_error(&format!("usaged: {self}"));
        }
    }
}

/// Says what went wrong; in systemd's journal each line is an error.
fn say_error(text: &str) {
    let before = if is_read_by_journal() { JOURNAL_ERROR } else { "" };
    text.lines().for_each(|line| say(&format!("{before}{line}")));
}

/// Writes one line to standard error. When even that fails, nobody is left to tell.
pub(super) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
