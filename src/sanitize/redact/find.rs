//! What is found in a text, by place: for measuring the detectors, and for whoever wants to see before choosing.

use crate::sanitize::canonical::{Canonical, Scratch, canonical, tells_mac};
use crate::sanitize::detect::{Folded, Nothing, What};

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
        for found in self.folded.findings(text, Nothing) {
            let stays = match found.what {
                What::Class(class) => {
                    !found.is_joined
                        && !tells_mac(found.text)
                        && matches!(canonical(class, found.text, &mut self.scratch), Canonical::Known(_))
                }
                What::NationalId
                | What::Iban
                | What::PaymentCard
                | What::Encoded
                | What::Token
                | What::Known(_) => false,
            };
            if !stays {
                see(Found { start: found.start, end: found.end, what: found.what.word() });
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
