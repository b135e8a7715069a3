//! What is found in a text, whichever of its readings shows it: as it stands, with its escapes decoded, and with
//! those decoded that this brings to light.
//!
//! No reading is enough: `jane%40example.com` is an address only when it is decoded, and of `password=a%20b` the
//! decoded reading shows half. So **what any reading shows is replaced**. Findings of different readings that overlap
//! become one, over all that they cover: what the longest is, or if they are the same, what the deepest reads.
//! The reading with borders is the better one for `主机esx01.corp.example.com故障`, and not for `bücher.example.com`.

use std::cell::RefCell;

use super::border::{self, Beyond};
use super::fold::Reading;
use super::scan::Scan;
use super::{Finding, Lookup, What, email};

/// The depth of the reading with borders.
const BORDERED: usize = 3;

/// A finding, by its place in the text as it came.
#[derive(Clone, Copy)]
pub(in crate::sanitize) struct Hit<'t> {
    /// Where it begins, in bytes.
    pub(in crate::sanitize) start: usize,
    /// Where it ends.
    pub(in crate::sanitize) end: usize,
    /// What it is.
    pub(in crate::sanitize) what: What,
    /// It as it was read.
    pub(in crate::sanitize) text: &'t [u8],
    /// Whether there is more in it than this: it is replaced even if this is nobody's.
    pub(in crate::sanitize) is_joined: bool,
}

/// One reading, and what is found in it next.
pub(in crate::sanitize) struct Level<'t, L: Lookup> {
    reading: Reading<'t>,
    scan: Scan<'t, L>,
    next: Option<Seen<'t>>,
}

/// A finding of one reading.
#[derive(Clone, Copy)]
struct Seen<'t> {
    hit: Hit<'t>,
    /// Where it begins in its reading.
    from: usize,
    /// How deep that is.
    depth: usize,
    /// What it has beyond ASCII. Told once: a long finding is compared with each that it overlaps.
    beyond: Beyond,
}

impl Seen<'_> {
    fn rank(&self) -> (usize, u8) {
        (self.hit.end - self.hit.start, self.hit.what.sensitivity())
    }

    /// Whether this says more of what two findings cover than the other.
    fn is_better(&self, other: &Self) -> bool {
        if (self.depth == BORDERED) != (other.depth == BORDERED) {
            return if self.depth == BORDERED {
                self.is_better_bordered(other)
            } else {
                !other.is_better_bordered(self)
            };
        }
        if self.hit.what == other.hit.what { self.depth > other.depth } else { self.rank() > other.rank() }
    }

    /// The same of a finding between borders and one across them, which can be a name with the words around it.
    fn is_better_bordered(&self, across: &Self) -> bool {
        match across.beyond {
            Beyond::Nothing if self.hit.what == across.hit.what => true,
            Beyond::Others if !matches!(across.hit.what, What::Known(_)) => {
                self.hit.what.sensitivity() >= across.hit.what.sensitivity()
            }
            Beyond::Letters if self.hit.what == across.hit.what => false,
            Beyond::Nothing | Beyond::Others | Beyond::Letters => self.rank() > across.rank(),
        }
    }
}

impl<'t, L: Lookup + Copy> Level<'t, L> {
    fn new(reading: Reading<'t>, known: L, spare: &'t RefCell<Vec<u8>>) -> Self {
        Self { reading, scan: Scan::new(reading.text, known, Some(spare)), next: None }
    }

    fn hit(&self, found: Finding) -> Hit<'t> {
        Hit {
            start: self.reading.origin(found.start),
            end: self.reading.origin(found.end),
            what: found.what,
            text: self.reading.text.get(found.start..found.end).unwrap_or_default(),
            is_joined: self.scan.is_joined,
        }
    }

    /// Where what hangs by an `@` on a finding begins, as this reading shows it: the finding itself may be seen in
    /// another one.
    fn hung_on(&self, start: usize, free: usize) -> usize {
        let (at, free) = (self.reading.place(start), self.reading.place(free));
        let view = self.scan.view;
        if free < at && email::is_part(view.before(at)) {
            let from = email::hung_on(view, at, free);
            if from < at { self.reading.origin(from).min(start) } else { start }
        } else {
            start
        }
    }

    fn go_on(&mut self, depth: usize) -> Option<Seen<'t>> {
        let next = self.scan.next().map(|found| {
            let hit = self.hit(found);
            Seen { hit, from: found.start, depth, beyond: border::beyond_ascii(hit.text) }
        });
        std::mem::replace(&mut self.next, next)
    }
}

/// Reads a text finding by finding.
#[expect(clippy::large_enum_variant, reason = "made where it stays, and most texts have one reading")]
pub(in crate::sanitize) enum Findings<'t, L: Lookup> {
    /// Those of a text that has one reading.
    One(Level<'t, L>),
    /// Those of a text that has several.
    Several(Several<'t, L>),
}

/// What is found in the readings of a text together.
pub(in crate::sanitize) struct Several<'t, L: Lookup> {
    as_it_stands: Level<'t, L>,
    /// The text with its escapes decoded once and twice, and with its borders drawn, if it has any.
    others: [Option<Level<'t, L>>; 3],
    /// Where the latest finding ends.
    free: usize,
}

impl<'t, L: Lookup + Copy> Findings<'t, L> {
    pub(super) fn new(
        first: Reading<'t>,
        others: [Option<Reading<'t>>; 3],
        known: L,
        spare: &'t RefCell<Vec<u8>>,
    ) -> Self {
        let level = |reading| Level::new(reading, known, spare);
        if others.iter().all(Option::is_none) {
            return Self::One(level(first));
        }
        Self::Several(Several::new(level(first), others.map(|other| other.map(level))))
    }

    /// All readings of the text.
    pub(in crate::sanitize) fn readings(&self) -> impl Iterator<Item = Reading<'t>> {
        let (first, others) = match self {
            Self::One(level) => (level, None),
            Self::Several(several) => (&several.as_it_stands, Some(&several.others)),
        };
        let others = others.into_iter().flatten().flatten();
        [first].into_iter().chain(others).map(|level| level.reading)
    }
}

impl<'t, L: Lookup + Copy> Several<'t, L> {
    fn new(as_it_stands: Level<'t, L>, others: [Option<Level<'t, L>>; 3]) -> Self {
        let mut all = Self { as_it_stands, others, free: 0 };
        for depth in 0..=all.others.len() {
            all.take_next(depth);
        }
        all
    }

    fn take_next(&mut self, depth: usize) -> Option<Seen<'t>> {
        match depth.checked_sub(1) {
            None => self.as_it_stands.go_on(depth),
            Some(at) => self.others.get_mut(at)?.as_mut()?.go_on(depth),
        }
    }

    /// The depth of the reading whose next finding begins first, before `end`.
    fn first(&self, end: usize) -> Option<usize> {
        let others = self.others.iter().map(|level| level.as_ref().and_then(|level| level.next));
        let all = [self.as_it_stands.next].into_iter().chain(others);
        let starts = all.enumerate().filter_map(|(depth, next)| Some((next?.hit.start, depth)));
        starts.min().filter(|(start, _)| *start < end).map(|(_, depth)| depth)
    }

    /// A finding that begins in the middle of an escape (`2Fdb.example.com` of `%2Fdb.example.com`) begins after it, if a
    /// reading that decodes the escape sees something there too.
    fn trim(&self, seen: &mut Seen<'t>, deeper: &Seen<'t>) {
        let reading = |depth: usize| match depth.checked_sub(1) {
            None => Some(&self.as_it_stands.reading),
            Some(at) => self.others.get(at)?.as_ref().map(|level| &level.reading),
        };
        let (Some(own), Some(other)) = (reading(seen.depth), reading(deeper.depth)) else { return };
        let start = other.boundary(seen.hit.start);
        if start == seen.hit.start || start > deeper.hit.start || start >= seen.hit.end {
            return;
        }
        let cut = (seen.from..start).take_while(|at| own.origin(*at) < start).count();
        seen.from += cut;
        seen.hit.start = start;
        seen.hit.text = seen.hit.text.get(cut..).unwrap_or_default();
    }

    /// The next finding, with everything that overlaps it.
    fn joined(&mut self) -> Option<Hit<'t>> {
        let mut main = self.take_next(self.first(usize::MAX)?)?;
        let (mut start, mut end) = (main.hit.start, main.hit.end);
        let mut alone = true;
        while let Some(depth) = self.first(end) {
            let other = self.take_next(depth)?;
            if alone && other.depth > main.depth && other.depth != BORDERED {
                self.trim(&mut main, &other);
                start = main.hit.start;
            }
            let place = |seen: &Seen<'_>| (seen.hit.start, seen.hit.end, seen.hit.what);
            let is_same = place(&main) == place(&other);
            let is_better = other.is_better(&main);
            end = end.max(other.hit.end);
            let is_joined = main.hit.is_joined || other.hit.is_joined || !is_same;
            if is_better {
                main = other;
            }
            main.hit.is_joined = is_joined;
            alone = false;
        }
        let levels = self.others.iter().flatten().chain([&self.as_it_stands]);
        let from = levels.map(|level| level.hung_on(start, self.free)).min().unwrap_or(start);
        let is_joined = main.hit.is_joined || from < start;
        self.free = end;
        Some(Hit { start: from.min(start), end, is_joined, ..main.hit })
    }
}

impl<'t, L: Lookup + Copy> Iterator for Findings<'t, L> {
    type Item = Hit<'t>;

    #[inline]
    fn next(&mut self) -> Option<Hit<'t>> {
        match self {
            Self::One(level) => level.scan.next().map(|found| level.hit(found)),
            Self::Several(all) => all.joined(),
        }
    }
}
