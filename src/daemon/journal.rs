//! Lines on standard error, where that is systemd's journal: each with its priority before it, so that `journalctl -p err`
//! finds the errors. Anywhere else nothing is put before them.

use std::io::{self, Write};

use rustix::fs::fstat;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// What systemd tells those whose output it reads: the device and the number of that file.
const VARIABLE: &str = "JOURNAL_STREAM";

/// Whether what is written to standard error goes to the journal.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "it is said of this process by whoever started it, and is no setting"
)]
pub fn is_read_by_journal() -> bool {
    std::env::var(VARIABLE).is_ok_and(|named| is_stderr(&named))
}

fn is_stderr(named: &str) -> bool {
    fstat(io::stderr()).is_ok_and(|found| named == format!("{}:{}", found.st_dev, found.st_ino))
}

/// The priority of an error, as it stands before a line.
pub const ERROR: &str = "<3>";

/// Writes the lines of the log with their priorities.
pub(super) struct Journal;

/// One line.
pub(super) struct Line(&'static str);

impl<'a> MakeWriter<'a> for Journal {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(priority(Level::INFO))
    }

    fn make_writer_for(&'a self, line: &Metadata<'_>) -> Line {
        Line(priority(*line.level()))
    }
}

const fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => ERROR,
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

impl Write for Line {
    /// A line comes whole, and goes out whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().lock().write_all(&[self.0.as_bytes(), line].concat())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
