//! Frames that a client sends beside its requests: settings, pings, priorities, window updates, resets.
//! Each costs a processor as much as a small request and asks for nothing, so an honest client sends few
//! of them for what it sends and gets. One that sends many is closed: no library limits them all.

use std::time::Duration;

use tokio::time::Instant;

/// What a connection has to spend at most, and at its beginning.
const MOST: u32 = 2_000;
/// What it gets: in a second, ...
const A_SECOND: u32 = 500;
/// ... for the headers of a request, for a frame of a body, ...
const HEADERS: u32 = 2;
const DATA: u32 = 1;
/// ... and for so many bytes that it was sent: it has to say that it has read them.
const WRITTEN: usize = 4 * 1024;
/// What a reset costs, and any other frame. A client whose requests all run out of time resets them all,
/// up to those of two connections' worth at once.
const RESET: u32 = 8;
const OTHER: u32 = 1;

const FRAME_HEAD: usize = 9;
const PREFACE: usize = 24;

/// Counts the frames of one connection as they come.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes to pass over: the preface, or the rest of a frame.
    rest: usize,
    head: [u8; FRAME_HEAD],
    /// How much of the head of the next frame is here.
    seen: usize,
    left: u32,
    /// Bytes written that nothing was given for yet.
    written: usize,
    refilled: Instant,
}

impl Frames {
    pub(super) const fn new(now: Instant) -> Self {
        Self { rest: PREFACE, head: [0; FRAME_HEAD], seen: 0, left: MOST, written: 0, refilled: now }
    }

    /// Takes note of what was written to the client.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.written = self.written.saturating_add(bytes);
        let worth = u32::try_from(self.written / WRITTEN).unwrap_or(u32::MAX);
        self.written %= WRITTEN;
        self.earn(worth);
    }

    /// Reads on; whether the client may go on.
    pub(super) fn read(&mut self, mut bytes: &[u8], now: Instant) -> bool {
        self.refill(now);
        while !bytes.is_empty() {
            if self.rest > 0 {
                let here = self.rest.min(bytes.len());
                self.rest = self.rest.saturating_sub(here);
                bytes = bytes.get(here..).unwrap_or_default();
                continue;
            }
            let (place, byte) = (self.head.get_mut(self.seen), bytes.first());
            if let (Some(place), Some(byte)) = (place, byte) {
                *place = *byte;
            }
            self.seen = self.seen.saturating_add(1);
            bytes = bytes.get(1..).unwrap_or_default();
            if self.seen == FRAME_HEAD && !self.frame() {
                return false;
            }
        }
        true
    }

    /// Pays for the frame whose head is here.
    fn frame(&mut self) -> bool {
        let [a, b, c, kind, ..] = self.head;
        self.seen = 0;
        self.rest = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
        let cost = match kind {
            // DATA: what an empty one costs is limited where it is read.
            0 if self.rest > 0 => return self.earn(DATA),
            // HEADERS.
            1 => return self.earn(HEADERS),
            // CONTINUATION is limited with the headers that it belongs to.
            0 | 9 => 0,
            3 => RESET,
            _ => OTHER,
        };
        let left = self.left.checked_sub(cost);
        self.left = left.unwrap_or_default();
        left.is_some()
    }

    fn earn(&mut self, more: u32) -> bool {
        self.left = self.left.saturating_add(more).min(MOST);
        true
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.refilled);
        // Not more often, so that nothing is lost to rounding.
        if passed >= Duration::from_millis(100) {
            let millis = u32::try_from(passed.as_millis()).unwrap_or(u32::MAX);
            self.refilled = now;
            self.earn(millis.saturating_mul(A_SECOND) / 1000);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let [_, a, b, c] = u32::try_from(payload).unwrap_or_default().to_be_bytes();
        [&[a, b, c, kind, 0, 0, 0, 0, 0][..], &vec![0xff; payload]].concat()
    }

    /// A connection whose preface has come.
    fn begun(now: Instant) -> Frames {
        let mut frames = Frames::new(now);
        assert!(frames.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", now));
        frames
    }

    /// How many of `bytes` a client can send at one moment, up to a million.
    fn how_many(bytes: &[u8]) -> usize {
        let now = Instant::now();
        let mut frames = begun(now);
        (0..1_000_000).take_while(|_| frames.read(bytes, now)).count()
    }

    // covers: B1
    #[test]
    fn a_flood_of_frames_that_ask_for_nothing_is_cut_and_requests_are_not() {
        for (kind, size) in [(4, 6), (4, 0), (6, 8), (2, 5), (8, 4), (7, 8), (77, 100)] {
            assert_eq!(how_many(&frame(kind, size)), 2_000, "frames of kind {kind}");
        }
        let request = [frame(1, 50), frame(0, 400)].concat();
        assert_eq!(how_many(&request), 1_000_000);
        let acknowledged = [request.clone(), frame(8, 4), frame(8, 4), frame(6, 8)].concat();
        assert_eq!(how_many(&acknowledged), 1_000_000);
        let reset = [frame(1, 50), frame(3, 4)].concat();
        assert!(how_many(&reset) < 350, "rapid reset");
    }

    #[test]
    fn frames_are_counted_however_they_are_cut() {
        let now = Instant::now();
        let stream = [frame(1, 50), frame(6, 8), frame(0, 1000), frame(8, 4), frame(4, 0)].concat();
        for size in [1, 2, 7, 9, 10, 64, 2000] {
            let mut frames = begun(now);
            frames.left = 1000;
            assert!(stream.chunks(size).all(|chunk| frames.read(chunk, now)));
            assert_eq!(frames.left, 1000 + HEADERS + DATA - 3 * OTHER, "in pieces of {size}");
        }
    }

    #[test]
    fn time_and_what_was_written_earn_more() {
        let now = Instant::now();
        let mut frames = begun(now);
        let update = frame(8, 4);
        frames.left = 0;
        frames.wrote(10 * WRITTEN - 1);
        frames.wrote(1);
        assert_eq!((0..100).take_while(|_| frames.read(&update, now)).count(), 10);
        let mut frames = begun(now);
        frames.left = 0;
        let later = now + Duration::from_millis(200);
        assert_eq!((0..1000).take_while(|_| frames.read(&update, later)).count(), 100);
    }
}
