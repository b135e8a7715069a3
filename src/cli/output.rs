//! What a command shows: tables and lines for people, or JSON for programs.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::exit::Failure;

/// A line under the head, and no other.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Where results go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    pub const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether results are to be JSON.
    pub const fn is_json(self) -> bool {
        self.json
    }

    /// Writes one JSON value on one line.
    pub fn json(self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value)
            .map_err(|error| Failure::Failed(format!("writing JSON: {error}")))?;
        self.line(&text)
    }

    /// Writes one line.
    #[expect(clippy::unused_self, reason = "whoever writes has been told where to")]
    pub fn line(self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let written =
            out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
        written.map_err(stdout_failed)
    }

    /// Writes a table.
    pub fn table(self, table: &Table) -> Result<(), Failure> {
        self.line(&table.trim_fmt())
    }

    /// A bar over `total` steps on standard error; hidden when nobody watches.
    pub fn progress(self, total: Option<u64>, what: &'static str) -> ProgressBar {
        if self.json || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let (bar, form) = match total {
            Some(total) => {
                (ProgressBar::new(total), "{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}")
            }
            None => (ProgressBar::new_spinner(), "{spinner} {msg} {human_pos} {per_sec}"),
        };
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        if let Ok(style) = ProgressStyle::with_template(form) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        bar.with_message(what)
    }
}

/// What to say when standard output fails. A reader that went away is not worth a message.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn stdout_failed(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        // As `head` closing a pipe: nobody is left to tell.
        std::process::exit(0);
    }
    Failure::Failed(format!("writing to standard output: {error}"))
}

/// A table with this head, laid out for the width of the terminal.
pub(super) fn table<H: AsRef<str>>(head: &[H]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic);
    if !head.is_empty() {
        table.set_header(head.iter().map(AsRef::as_ref));
    }
    table
}

/// A table of names and values.
pub(super) fn pairs<K: Into<String>, V: Into<String>>(rows: impl IntoIterator<Item = (K, V)>) -> Table {
    let mut table = table::<&str>(&[]);
    for (name, value) in rows {
        table.add_row([name.into(), value.into()]);
    }
    table
}

/// Puts the numbers of some columns to the right.
pub(super) fn right(table: &mut Table, columns: impl IntoIterator<Item = usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// A number with its thousands apart: `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
