//! Where values that a name announces end.

use super::view::{self, NAME, SPACE, View, WORD};

/// Backslashes before a quote: each level of JSON in JSON doubles them, and adds one.
pub(super) const BACKSLASHES: usize = 15;

/// The ends that were found last, by the quote around the value. In a text without spaces every value goes on to its
/// end: when none is taken as a finding, each would be run through again for each name before it.
#[derive(Debug, Default)]
pub(super) struct ValueEnds {
    /// Where the run began that was looked at, and where it ends: a value that begins inside it ends there, too.
    runs: [(usize, usize); 4],
    /// The same of the rest of a line.
    line: (usize, usize),
}

impl ValueEnds {
    /// Where the value that begins at `start` ends, however long it is.
    pub(super) fn end(&mut self, view: View<'_>, start: usize, quote: u8) -> usize {
        let run = match quote {
            b'"' => self.runs.get_mut(1),
            b'\'' => self.runs.get_mut(2),
            b'`' => self.runs.get_mut(3),
            _ => self.runs.first_mut(),
        };
        let Some(run) = run else { return start };
        if !(run.0..run.1).contains(&start) {
            *run = (start, run_end(view, start, quote, view.len()));
        }
        unescaped(view, start, quote, run.1)
    }

    /// Where the line that goes on at `start` ends, or is quoted.
    pub(super) fn line(&mut self, view: View<'_>, start: usize) -> usize {
        if !(self.line.0..self.line.1).contains(&start) {
            self.line = (start, line_within(view, start, view.len()));
        }
        self.line.1
    }
}

/// The same of a value of at most so many bytes.
pub(super) fn within(view: View<'_>, start: usize, quote: u8, most: usize) -> usize {
    unescaped(view, start, quote, run_end(view, start, quote, most))
}

/// Where a value ends: at its quote, or where a list, a query or a sentence goes on. Each byte decides by itself, with
/// the one behind it.
fn run_end(view: View<'_>, start: usize, quote: u8, most: usize) -> usize {
    let mut at = start;
    while at - start < most {
        let byte = view.at(at);
        match byte {
            0 | b'\n' | b'\r' => break,
            byte if quote != 0 && byte == quote => break,
            _ if quote != 0 => {}
            b'"' | b'\'' | b'`' | b'<' | b'&' | b';' => break,
            b',' | b')' | b']' | b'}' | b'|' | b'>' if !view::is(view.at(at + 1), WORD | NAME) => break,
            byte if view::is(byte, SPACE) => break,
            _ => {}
        }
        at += 1;
    }
    at
}

/// Where the line that goes on at `start` ends, or the first `most` bytes of it.
pub(super) fn line_within(view: View<'_>, start: usize, most: usize) -> usize {
    let mut at = start;
    while at - start < most && !matches!(view.at(at), 0 | b'\n' | b'\r' | b'"' | b'\'') {
        at += 1;
    }
    at
}

/// Backslashes before the closing quote are not of the value.
fn unescaped(view: View<'_>, start: usize, quote: u8, end: usize) -> usize {
    let least = if quote == 0 { end } else { start.max(end.saturating_sub(BACKSLASHES)) };
    let mut end = end;
    while end > least && view.before(end) == b'\\' {
        end -= 1;
    }
    end
}
