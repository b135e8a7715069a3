//! What is found in a text, by place: for measuring the detectors, and for whoever wants to see before choosing.

use crate::sanitize::canonical::{Canonical, Scratch, canonical};
use crate::sanitize::detect::{Folded, Nothing, Scan, What};

/// A stretch of a text that redaction replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Where it begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// What it is: an identifier class, or the word of a marker.
    pub what: &'static str,
}

/// Everything in a text that redaction replaces at every level, without what only a batch knows.
#[must_use]
pub fn find(text: &str) -> Vec<Found> {
    let mut folded = Folded::default();
    let reading = folded.read(text);
    let mut scratch = Scratch::default();
    let mut all = Vec::new();
    for found in Scan::new(reading.text, Nothing) {
        let bytes = reading.text.get(found.start..found.end).unwrap_or_default();
        let stays = if let What::Class(class) = found.what {
            matches!(canonical(class, bytes, &mut scratch), Canonical::Known(_))
        } else {
            false
        };
        if !stays {
            let (start, end) = (reading.origin(found.start), reading.origin(found.end));
            all.push(Found { start, end, what: found.what.word() });
        }
    }
    all
}
