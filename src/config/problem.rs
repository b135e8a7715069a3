//! A mistake in the configuration: where it is, what it is and what to do about it.

use std::fmt;

use serde::Serialize;

/// One mistake. All mistakes are reported at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file as it was named, or the flag.
    pub place: String,
    /// The line in the file, from 1; 0 for a flag or a default.
    pub line: usize,
    /// The key with its sections, such as `store.segment_bytes`; empty if the file cannot be read as TOML there.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
    /// Whether a device or the system did not give a file, or the clock of this machine is all that speaks against it. Then
    /// nothing is known to be wrong with what was written, and it is worth another try.
    #[serde(skip)]
    pub is_of_the_system: bool,
}

/// Whether a device or the system failed, and not a name or a right, which a person puts right.
#[must_use]
pub fn is_of_the_system(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let failures = [
        Errno::IO,
        Errno::NOSPC,
        Errno::DQUOT,
        Errno::ROFS,
        Errno::STALE,
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::AGAIN,
    ];
    Errno::from_io_error(error).is_some_and(|found| failures.contains(&found))
}

impl Problem {
    /// The same for the log. A key that there is not is not named there: it could be the id of a customer, written in the
    /// wrong place.
    #[must_use]
    pub fn for_log(&self) -> String {
        let is_ours = self.what != NO_KEY && self.what != NO_SECTION;
        let key = if is_ours { self.key.clone() } else { String::new() };
        Self { key, ..self.clone() }.to_string()
    }
}

/// What is said of a key, or of a section, that there is not.
pub(super) const NO_KEY: &str = "there is no such key";
pub(super) const NO_SECTION: &str = "there is no such section";

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}; {}", self.what, self.remedy)
    }
}

/// Where the value of a key came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The file, the flag, or the word `default`.
    pub name: String,
    /// The line in the file, or 0.
    pub line: usize,
}

impl Place {
    /// A problem of `key` here.
    pub fn problem(&self, key: &str, what: impl Into<String>, remedy: impl Into<String>) -> Problem {
        Problem {
            place: self.name.clone(),
            line: self.line,
            key: key.to_owned(),
            what: what.into(),
            remedy: remedy.into(),
            is_of_the_system: false,
        }
    }
}

/// The line, from 1, of a byte of `text`.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// The word of `known` that is most like `word`, if one is like it at all.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let far = |name: &&str| distance(word.as_bytes(), name.as_bytes());
    known.into_iter().min_by_key(far).filter(|name| far(name) <= 1 + name.len() / 4)
}

/// How many letters must be put in, taken out or replaced to make `a` into `b`.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, letter) in a.iter().enumerate() {
        let mut before = at;
        let mut left = at + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(b) {
            let here = (before + usize::from(letter != other)).min(left + 1).min(*cell + 1);
            before = *cell;
            *cell = here;
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = at + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::{distance, nearest};

    // covers: P1
    #[test]
    fn a_customer_in_the_wrong_place_is_named_to_who_starts_it_and_not_in_the_log() {
        let text = "[acme]\nx = 1\n[ingest]\nglobex = { events_per_second = 3 }\n";
        let problems = parse("usaged.toml", text, &[]).err().unwrap_or_default();
        let all = |said: &dyn Fn(&super::Problem) -> String| problems.iter().map(said).collect::<String>();
        let (told, logged) = (all(&ToString::to_string), all(&super::Problem::for_log));
        for name in ["acme", "globex"] {
            assert!(told.contains(name) && !logged.contains(name), "{logged}");
        }
        assert!(logged.contains("usaged.toml:4: there is no such section"), "{logged}");
    }

    #[test]
    fn a_slip_of_the_pen_finds_its_word() {
        assert_eq!(distance(b"kitten", b"sitting"), 3);
        assert_eq!(distance(b"", b"abc"), 3);
        assert_eq!(nearest("segment_byte", ["segment_age", "segment_bytes"]), Some("segment_bytes"));
        assert_eq!(nearest("colour", ["segment_age", "segment_bytes"]), None);
    }
}
