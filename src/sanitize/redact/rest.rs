//! What stays of a text beside what was found, looked through for known identifiers once more.
//!
//! A finding is of one place, and the known identifier that begins there or that overlaps it may begin before it: `token` is
//! a name, and says what follows; a value that is nobody's stays, and is the beginning of one; of what a sender wrote as a
//! marker only the marker stays. **Each reading is looked through from its beginning to its end**, so that it makes no
//! difference how it is written, nor what the detectors took of it.

use super::item::{self, Item};
use super::known::Known;
use super::reach::Farthest;
use crate::sanitize::detect::Reading;

/// Readings of one text: as it stands, decoded once and twice, and with borders.
const READINGS: usize = 4;

/// A stretch of a text as it came that is of a known identifier: where it begins, where it ends, and its number.
pub(super) type Stretch = (usize, usize, usize);

/// The readings of a text, each with the known identifier that reaches farthest so far.
pub(super) struct Rest<'r> {
    known: &'r Known,
    readings: [Option<(Reading<'r>, Farthest)>; READINGS],
}

impl<'r> Rest<'r> {
    pub(super) fn new(known: &'r Known, all: impl Iterator<Item = Reading<'r>>) -> Self {
        let mut readings = [None; READINGS];
        readings.iter_mut().zip(all).for_each(|(one, reading)| *one = Some((reading, Farthest::default())));
        Self { known, readings }
    }

    /// The first stretch of a known identifier that begins at `from` or behind it and before `to`, or that began before and
    /// goes on there. Asked for from left to right.
    pub(super) fn first(&mut self, from: usize, to: usize) -> Option<Stretch> {
        let Self { known, readings } = self;
        let all = readings.iter_mut().flatten().filter_map(|(reading, farthest)| {
            let within = (reading.place(from), reading.place(to));
            let (start, end) = first(known, reading.text, farthest, within)?;
            Some((reading.origin(start), reading.origin(end), farthest.number))
        });
        all.filter(|(_, end, _)| *end > from).min_by_key(|(start, end, _)| (*start, usize::MAX - end))
    }
}

/// The same of one reading, by the places in it.
fn first(
    known: &Known,
    text: &[u8],
    farthest: &mut Farthest,
    (from, to): (usize, usize),
) -> Option<(usize, usize)> {
    loop {
        if farthest.end > from {
            let start = past_signs(text, farthest.start.max(from), to);
            if start < farthest.end.min(to) {
                return Some((start, farthest.end));
            }
        }
        if farthest.next >= to {
            return None;
        }
        match marker(text, farthest.next) {
            Some(end) => farthest.next = end,
            None => farthest.step(known, text),
        }
    }
}

/// A place moved to the next letter or digit that is not of a marker, at most to `to`: what separates two words is of neither.
fn past_signs(text: &[u8], from: usize, to: usize) -> usize {
    let mut at = from;
    while at < to
        && let Some(byte) = text.get(at)
        && !byte.is_ascii_alphanumeric()
        && byte.is_ascii()
    {
        at = marker(text, at).unwrap_or(at + 1);
    }
    at
}

/// Where the marker ends that is at a place. What is written like one of ours stays, for text comes in again.
fn marker(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at).filter(|byte| **byte == b'[').and_then(|_| item::marker(text, at)) {
        Some(Item::Marker { end }) => Some(end),
        Some(Item::Token { .. }) | None => None,
    }
}
