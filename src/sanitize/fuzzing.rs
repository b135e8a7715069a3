//! A door for `tests/fuzz`, in builds with its counters only: how much the detectors look at.

use super::detect::{Folded, Nothing, work};

/// How many bytes the detectors look at in a text, each as often as they do.
#[must_use]
pub fn looked(text: &str) -> u64 {
    let mut folded = Folded::default();
    work::of(|| _ = folded.findings(text, Nothing).count())
}
