//! What was found out about an identity provider's tokens a moment ago, so that a signature is checked once for
//! each and not once for each request; and a bound on how many are checked at all.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;

use crate::identity::{JwtError, Verified};

/// Tokens that are remembered.
const REMEMBERED: usize = 4_096;

/// Checks of signatures in a second, and in one burst. One costs 0.05 to 0.3 ms. Half of them are for tokens that come
/// over connections that have proved themselves: noise on others keeps no known client from renewing its token.
const CHECKS: u32 = 500;
const KEPT: u32 = CHECKS / 2;

/// How long a refusal is remembered. The keys of the provider may be fetched anew meanwhile.
const REFUSED_FOR: Duration = Duration::from_secs(10);

/// The SHA-256 of a token.
pub(super) type Digest = [u8; 32];

#[derive(Clone)]
struct Entry {
    /// The generation of the keys that it was checked against.
    generation: u64,
    at: Instant,
    result: Result<Arc<Verified>, JwtError>,
}

/// Tokens that were seen.
pub(super) struct Seen {
    tokens: Cache<Digest, Entry>,
    bucket: Mutex<Bucket>,
}

struct Bucket {
    left: u32,
    filled: Instant,
}

impl Seen {
    pub(super) fn new() -> Self {
        let bucket = Bucket { left: CHECKS, filled: Instant::now() };
        Self { tokens: Cache::new(REMEMBERED), bucket: Mutex::new(bucket) }
    }

    /// What was found out about a token under these keys.
    pub(super) fn get(&self, digest: &Digest, generation: u64) -> Option<Result<Arc<Verified>, JwtError>> {
        let entry = self.tokens.get(digest)?;
        let is_fresh =
            entry.generation == generation && (entry.result.is_ok() || entry.at.elapsed() < REFUSED_FOR);
        is_fresh.then_some(entry.result)
    }

    /// Remembers what was found out.
    pub(super) fn put(&self, digest: Digest, generation: u64, result: Result<Arc<Verified>, JwtError>) {
        self.tokens.insert(digest, Entry { generation, at: Instant::now(), result });
    }

    /// Whether one more signature may be checked now, for a connection that has proved itself, or has not.
    pub(super) fn may_check(&self, is_known: bool) -> bool {
        let kept = if is_known { 0 } else { KEPT };
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now(), kept)
    }
}

impl Bucket {
    /// Takes one, if that leaves `kept`.
    fn take(&mut self, now: Instant, kept: u32) -> bool {
        let since = now.saturating_duration_since(self.filled);
        let more = since.as_millis().saturating_mul(u128::from(CHECKS)) / 1000;
        if more > 0 {
            self.left = self.left.saturating_add(u32::try_from(more).unwrap_or(CHECKS)).min(CHECKS);
            self.filled = now;
        }
        let is_left = self.left > kept;
        if is_left {
            self.left = self.left.saturating_sub(1);
        }
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_signatures_are_checked_in_a_second_as_there_may_be() {
        let begun = Instant::now();
        let mut bucket = Bucket { left: CHECKS, filled: begun };
        let taken = |bucket: &mut Bucket, at| (0..CHECKS * 2).filter(|_| bucket.take(at, 0)).count();
        assert_eq!(taken(&mut bucket, begun), 500);
        assert_eq!(taken(&mut bucket, begun + Duration::from_millis(100)), 50);
        assert_eq!(taken(&mut bucket, begun + Duration::from_mins(1)), 500);
    }

    // covers: B1
    #[test]
    fn noise_on_connections_that_have_proved_nothing_leaves_half_to_those_that_have() {
        let begun = Instant::now();
        let mut bucket = Bucket { left: CHECKS, filled: begun };
        let taken = |bucket: &mut Bucket, at, kept| (0..CHECKS * 2).filter(|_| bucket.take(at, kept)).count();
        assert_eq!(taken(&mut bucket, begun, KEPT), 250);
        assert_eq!(taken(&mut bucket, begun, 0), 250);
        // While known clients take all that there is, strangers get nothing; then again their half.
        assert_eq!(taken(&mut bucket, begun + Duration::from_millis(100), KEPT), 0);
        assert_eq!(taken(&mut bucket, begun + Duration::from_millis(100), 0), 50);
        assert_eq!(taken(&mut bucket, begun + Duration::from_secs(1), KEPT), 200);
    }

    #[test]
    fn what_was_found_out_holds_for_the_keys_that_it_was_found_out_with() {
        let seen = Seen::new();
        seen.put([1; 32], 7, Err(JwtError::Key));
        assert_eq!(seen.get(&[1; 32], 7), Some(Err(JwtError::Key)));
        assert_eq!(seen.get(&[1; 32], 8), None);
        assert_eq!(seen.get(&[2; 32], 7), None);
    }
}
