//! What was found out about an identity provider's tokens a moment ago, so that a signature is checked once for
//! each and not once for each request; and a bound on how many are checked at all.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;

use super::refused::Refused;
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

    /// What a token says: as it was found out before, or by `verify`, which checks its signature. What cannot hold, as
    /// `look` sees, takes no turn at a check from those that may, and no place among those that were checked.
    pub(super) fn find(
        &self,
        digest: Digest,
        generation: u64,
        is_known: bool,
        look: impl FnOnce() -> Result<(), Refused>,
        verify: impl FnOnce() -> Result<Verified, JwtError>,
    ) -> Result<Arc<Verified>, Refused> {
        if let Some(found) = self.get(&digest, generation) {
            return Ok(found?);
        }
        look()?;
        if !self.may_check(is_known) {
            return Err(Refused::Busy);
        }
        let found = verify().map(Arc::new);
        self.put(digest, generation, found.clone());
        Ok(found?)
    }

    /// What was found out about a token under these keys.
    fn get(&self, digest: &Digest, generation: u64) -> Option<Result<Arc<Verified>, JwtError>> {
        let entry = self.tokens.get(digest)?;
        let is_fresh =
            entry.generation == generation && (entry.result.is_ok() || entry.at.elapsed() < REFUSED_FOR);
        is_fresh.then_some(entry.result)
    }

    /// Remembers what was found out.
    fn put(&self, digest: Digest, generation: u64, result: Result<Arc<Verified>, JwtError>) {
        self.tokens.insert(digest, Entry { generation, at: Instant::now(), result });
    }

    /// Whether one more signature may be checked now, for a connection that has proved itself, or has not.
    fn may_check(&self, is_known: bool) -> bool {
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
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::identity::{Claims, KeyPrint};
    use crate::model::UnixMillis;

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
    fn a_signature_is_checked_once_for_each_token_and_each_set_of_keys() {
        let (seen, checks, looks) = (Seen::new(), Cell::new(0), Cell::new(0));
        let ask =
            |token: u8, generation: u64, looked: Result<(), JwtError>, found: Result<Verified, JwtError>| {
                let look = || {
                    looks.set(looks.get() + 1);
                    looked.map_err(Refused::from)
                };
                let verify = || {
                    checks.set(checks.get() + 1);
                    found
                };
                seen.find([token; 32], generation, true, look, verify)
            };
        let good = || {
            let claims = Claims::from_json("{}").unwrap();
            Verified { claims, until: UnixMillis(9), key: KeyPrint::default() }
        };
        for _ in 0..100 {
            assert!(ask(1, 7, Ok(()), Ok(good())).is_ok());
        }
        assert_eq!((checks.get(), looks.get()), (1, 1), "a hundred calls");
        assert!(ask(1, 8, Ok(()), Ok(good())).is_ok());
        assert!(ask(2, 8, Ok(()), Ok(good())).is_ok());
        assert_eq!(checks.get(), 3, "other keys, another token");
        // What cannot hold costs no check; what does not is remembered, too.
        assert_eq!(ask(3, 8, Err(JwtError::Ended), Ok(good())).err(), Some(Refused::SaysEnded));
        assert_eq!(checks.get(), 3);
        for _ in 0..2 {
            let refused = ask(4, 8, Ok(()), Err(JwtError::Signature));
            assert_eq!(refused.err(), Some(Refused::Invalid));
        }
        assert_eq!(checks.get(), 4);
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
