//! The live segments, in memory: which commits, which times, how many bytes. Rows of the closed
//! ones are in the metadata family.

use super::chain::Chain;
use super::layout::{open_row, row};
use super::retention::Closed;
use crate::model::UnixMillis;

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    /// Its number; the family is named after it.
    pub(super) number: u32,
    /// Its first commit, or the one it will begin with.
    pub(super) first: u64,
    /// The last commit before `first` that exists; less than `first - 1` only after data loss was accepted.
    pub(super) follows: u64,
    /// The running hash before its first record.
    pub(super) chain_before: Chain,
    /// When it was begun.
    pub(super) created: UnixMillis,
    /// Whether it is written to no more. What follows was not stored before it is closed.
    pub(super) closed: bool,
    /// What is in it.
    pub(super) content: Content,
}

/// What is in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    /// The last commit; `first - 1` while it is empty.
    pub(super) last: u64,
    /// The running hash after the last record.
    pub(super) chain: Chain,
    /// The earliest time a record of it was received.
    pub(super) oldest: UnixMillis,
    /// The latest.
    pub(super) newest: UnixMillis,
    /// Records.
    pub(super) records: u64,
    /// Bytes of records.
    pub(super) bytes: u64,
}

impl Content {
    /// Takes in one more record.
    pub(super) fn add(&mut self, commit: u64, chain: Chain, received: UnixMillis, bytes: u64) {
        self.oldest = if self.records == 0 { received } else { self.oldest.min(received) };
        self.newest = if self.records == 0 { received } else { self.newest.max(received) };
        self.last = commit;
        self.chain = chain;
        self.records += 1;
        self.bytes += bytes;
    }
}

impl Segment {
    /// A new one, empty, after `last` with the running hash `chain`.
    pub(super) fn begin(number: u32, last: u64, follows: u64, chain: Chain, now: UnixMillis) -> Self {
        let content = Content { last, chain, oldest: now, newest: now, records: 0, bytes: 0 };
        Self { number, first: last + 1, follows, chain_before: chain, created: now, closed: false, content }
    }

    /// Its row in the metadata family. Of a segment that is not closed, the content is found by
    /// reading it.
    pub(super) fn encode(&self) -> Vec<u8> {
        row(|out| {
            let content = self.content;
            out.push(u8::from(self.closed));
            out.extend_from_slice(&self.number.to_be_bytes());
            out.extend_from_slice(&self.first.to_be_bytes());
            out.extend_from_slice(&self.follows.to_be_bytes());
            out.extend_from_slice(&self.chain_before.0);
            out.extend_from_slice(&self.created.0.to_be_bytes());
            out.extend_from_slice(&content.last.to_be_bytes());
            out.extend_from_slice(&content.chain.0);
            out.extend_from_slice(&content.oldest.0.to_be_bytes());
            out.extend_from_slice(&content.newest.0.to_be_bytes());
            out.extend_from_slice(&content.records.to_be_bytes());
            out.extend_from_slice(&content.bytes.to_be_bytes());
        })
    }

    /// Reads a row.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = open_row(bytes)?;
        let closed = match input.u8()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        Some(Self {
            closed,
            number: input.u32()?,
            first: input.u64().filter(|first| *first > 0)?,
            follows: input.u64()?,
            chain_before: Chain(input.array()?),
            created: UnixMillis(input.i64()?),
            content: Content {
                last: input.u64()?,
                chain: Chain(input.array()?),
                oldest: UnixMillis(input.i64()?),
                newest: UnixMillis(input.i64()?),
                records: input.u64()?,
                bytes: input.u64()?,
            },
        })
    }
}

/// Where a read continues: a segment and the commits of it that may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// The segment.
    pub(super) number: u32,
    /// The first commit to read.
    pub(super) from: u64,
    /// The last commit that may be read.
    pub(super) to: u64,
}

/// What subscriptions still hold of the stored records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Held {
    /// Bytes of records that one of them is not past.
    pub(super) bytes: u64,
    /// Bytes of the segments that these are in: those do not give way where what is not drained is kept.
    pub(super) kept: u64,
    /// Bytes of closed segments that all of them are past: these give way to whatever needs the room.
    pub(super) spare: u64,
}

/// All live segments, oldest first; the last is the one written to.
#[derive(Debug, Clone, Default)]
pub(super) struct Catalogue {
    pub(super) segments: Vec<Segment>,
}

impl Catalogue {
    /// The segment that is written to.
    pub(super) fn active(&self) -> Option<&Segment> {
        self.segments.last()
    }

    /// The first commit that may still be there.
    pub(super) fn oldest(&self) -> u64 {
        self.segments.first().map_or(1, |segment| segment.first)
    }

    /// When the newest record of all was received; `None` if there is none.
    pub(super) fn newest(&self) -> Option<UnixMillis> {
        let filled = self.segments.iter().filter(|segment| segment.content.records > 0);
        filled.map(|segment| segment.content.newest).max()
    }

    /// The last commit of all.
    pub(super) fn head(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.content.last)
    }

    /// How many places at or after `from`, up to the head, never hold a record again: those that were lost.
    pub(super) fn lost_from(&self, from: u64) -> u64 {
        let (mut lost, mut before) = (0_u64, None);
        for segment in &self.segments {
            // Of a segment that is missing as a whole, only the one before it tells.
            let last = before.unwrap_or(segment.follows).min(segment.follows);
            let gap = segment.first.saturating_sub(from.max(last.saturating_add(1)));
            lost = lost.saturating_add(gap);
            before = Some(segment.content.last);
        }
        lost
    }

    /// Bytes of all records.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.content.bytes).sum()
    }

    /// What subscriptions still hold, of which every one is past what is below `released`.
    pub(super) fn held(&self, released: u64) -> Held {
        let mut held = Held::default();
        for Segment { first, content, closed, .. } in &self.segments {
            if content.records == 0 || content.last < released {
                held.spare = held.spare.saturating_add(if *closed { content.bytes } else { 0 });
                continue;
            }
            held.kept = held.kept.saturating_add(content.bytes);
            // Where the line lies within a segment, by its commits: nothing is known of the bytes of each.
            let (all, left) = (content.last - first + 1, content.last - released.max(*first) + 1);
            let part = u128::from(content.bytes) * u128::from(left) / u128::from(all);
            held.bytes = held.bytes.saturating_add(u64::try_from(part).unwrap_or(u64::MAX));
        }
        held
    }

    /// The segment that holds the first existing commit at or after `from`.
    pub(super) fn span(&self, from: u64) -> Option<Span> {
        let at = self.segments.partition_point(|segment| segment.content.last < from);
        let segment = self.segments.get(at).filter(|segment| segment.content.records > 0)?;
        Some(Span { number: segment.number, from: from.max(segment.first), to: segment.content.last })
    }

    /// The closed segments, as retention sees them.
    pub(super) fn closed(&self) -> Vec<Closed> {
        let closed = self.segments.iter().filter(|segment| segment.closed);
        closed
            .map(|Segment { number, content, .. }| Closed {
                number: *number,
                last: content.last,
                newest_ms: content.newest.0,
                bytes: content.bytes,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(number: u32, first: u64, last: u64) -> Segment {
        let mut segment = Segment::begin(number, first - 1, first - 1, Chain::default(), UnixMillis(5));
        for commit in first..=last {
            segment.content.add(commit, Chain([1; 16]), UnixMillis(5), 10);
        }
        segment
    }

    #[test]
    fn what_every_subscription_is_past_is_not_held_and_its_segments_give_way_whole() {
        let closed = Segment { closed: true, ..segment(3, 1, 20) };
        let catalogue = Catalogue { segments: vec![closed, segment(4, 21, 30), segment(5, 31, 30)] };
        let table = [
            (0, 300, 300, 0),
            (1, 300, 300, 0),
            (11, 200, 300, 0),
            (20, 110, 300, 0),
            (21, 100, 100, 200),
            (30, 10, 100, 200),
            (31, 0, 0, 200),
            (99, 0, 0, 200),
        ];
        for (released, bytes, kept, spare) in table {
            assert_eq!(catalogue.held(released), Held { bytes, kept, spare }, "{released}");
        }
    }

    #[test]
    fn a_read_finds_its_segment_by_number() {
        let catalogue =
            Catalogue { segments: vec![segment(3, 11, 20), segment(4, 25, 30), segment(5, 31, 30)] };
        let span = |number, from, to| Some(Span { number, from, to });
        let table = [
            (0, span(3, 11, 20)),
            (11, span(3, 11, 20)),
            (20, span(3, 20, 20)),
            (21, span(4, 25, 30)),
            (30, span(4, 30, 30)),
            (31, None),
            (u64::MAX, None),
        ];
        for (from, expected) in table {
            assert_eq!(catalogue.span(from), expected, "{from}");
        }
        assert_eq!((catalogue.oldest(), catalogue.head(), catalogue.bytes()), (11, 30, 160));
    }

    #[test]
    fn places_between_segments_are_lost() {
        let empty = Segment::begin(6, 40, 30, Chain::default(), UnixMillis(5));
        let segments = vec![segment(3, 11, 20), segment(4, 25, 30), empty];
        let catalogue = Catalogue { segments };
        for (from, lost) in [(0, 14), (21, 14), (23, 12), (25, 10), (31, 10), (40, 1), (41, 0), (u64::MAX, 0)]
        {
            assert_eq!(catalogue.lost_from(from), lost, "{from}");
        }
        let whole = Catalogue { segments: vec![segment(3, 11, 20), segment(4, 21, 30), segment(5, 31, 30)] };
        assert_eq!((whole.lost_from(0), Catalogue::default().lost_from(0)), (0, 0));
    }

    #[test]
    fn a_row_reads_back() {
        let segment = Segment { closed: true, ..segment(3, 11, 20) };
        assert_eq!(Segment::decode(&segment.encode()), Some(segment));
    }
}
