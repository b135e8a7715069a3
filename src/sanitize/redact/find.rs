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

/// Finds in one text after another, with the same buffers.
#[derive(Debug, Default)]
pub struct Finder {
    folded: Folded,
    scratch: Scratch,
}

impl Finder {
    /// Shows everything in a text that redaction replaces at every level, without what only a batch knows.
    pub fn each(&mut self, text: &str, mut see: impl FnMut(Found)) {
        let reading = self.folded.read(text);
        for found in Scan::new(reading.text, Nothing) {
            let bytes = reading.text.get(found.start..found.end).unwrap_or_default();
            let stays = match found.what {
                What::Class(class) => {
                    matches!(canonical(class, bytes, &mut self.scratch), Canonical::Known(_))
                }
                What::NationalId | What::Iban | What::PaymentCard | What::Token | What::Known(_) => false,
            };
            if !stays {
                let (start, end) = (reading.origin(found.start), reading.origin(found.end));
                see(Found { start, end, what: found.what.word() });
            }
        }
    }
}

/// What [`Finder::each`] shows of one text.
#[must_use]
pub fn find(text: &str) -> Vec<Found> {
    let mut all = Vec::new();
    Finder::default().each(text, |found| all.push(found));
    all
}
