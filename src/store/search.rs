//! Searching files for secrets that must not be in them.

use std::io::{self, Read};

use zeroize::Zeroizing;

/// Bytes of each end of a secret that are searched for.
pub(super) const PATTERN: usize = 16;

/// Sixteen bytes as a number.
pub(super) fn pattern(bytes: &[u8]) -> Option<u128> {
    bytes.try_into().ok().map(u128::from_be_bytes)
}

/// Finds patterns in a stream of bytes.
pub(super) struct Search<'a> {
    patterns: &'a [u128],
    /// Which values the last three bytes of some pattern have: nearly all places are passed over by it.
    ends: Vec<u64>,
}

impl<'a> Search<'a> {
    const BITS: usize = 1 << 24;

    /// `patterns` are in order.
    pub(super) fn new(patterns: &'a [u128]) -> Self {
        let mut ends = vec![0_u64; Self::BITS / 64];
        for pattern in patterns {
            let (word, bit) = Self::place(*pattern);
            if let Some(word) = ends.get_mut(word) {
                *word |= bit;
            }
        }
        Self { patterns, ends }
    }

    fn place(window: u128) -> (usize, u64) {
        let low = usize::try_from(window & 0x00ff_ffff).unwrap_or(0);
        (low / 64, 1 << (low % 64))
    }

    /// How many times some pattern is in what is read.
    pub(super) fn count(&self, mut from: impl Read) -> io::Result<u64> {
        let mut chunk = Zeroizing::new(vec![0_u8; 1024 * 1024]);
        let (mut window, mut seen, mut found) = (0_u128, 0_usize, 0);
        loop {
            let read = from.read(&mut chunk)?;
            if read == 0 {
                return Ok(found);
            }
            for byte in chunk.get(..read).unwrap_or_default() {
                window = (window << 8) | u128::from(*byte);
                seen = seen.saturating_add(1);
                let (word, bit) = Self::place(window);
                let near = self.ends.get(word).is_some_and(|word| word & bit != 0);
                if near && seen >= PATTERN && self.patterns.binary_search(&window).is_ok() {
                    found += 1;
                }
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_found_wherever_it_is_and_nothing_else_is() {
        let secret: Vec<u8> = (100..116).collect();
        let patterns = vec![pattern(&secret).unwrap()];
        let search = Search::new(&patterns);
        for at in [0, 1, 1024 * 1024 - 7, 1024 * 1024, 1_500_000] {
            let mut bytes = vec![7_u8; 2_000_000];
            assert_eq!(search.count(bytes.as_slice()).unwrap(), 0);
            bytes.splice(at..at + 16, secret.iter().copied());
            assert_eq!(search.count(bytes.as_slice()).unwrap(), 1, "at {at}");
            bytes.splice(at + 3..at + 4, [0]);
            assert_eq!(search.count(bytes.as_slice()).unwrap(), 0, "changed at {at}");
        }
    }
}
