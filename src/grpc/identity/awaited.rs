//! Keys of an identity provider that tokens name and that are not here. After a start, or after the provider took a new
//! key, a genuine token comes before its key does: whoever brings it is to call again. Once keys were fetched since and
//! its key is still not among them, it is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;
use tokio::sync::Notify;

use super::seen::Digest;
use crate::identity::digest;

/// Keys that are remembered. More of them only have callers try again once more.
const REMEMBERED: usize = 1_024;

/// A fetch of the keys: its number, from 1.
#[derive(Debug, Clone, Copy)]
pub struct KeyFetch(u64);

/// Keys that were asked for.
pub(super) struct Awaited {
    /// How many fetches had begun when a key was asked for first; by the digest of what names it.
    asked: Cache<Digest, u64>,
    begun: AtomicU64,
    /// The last fetch that brought keys.
    ended: AtomicU64,
    /// Rings when a key is asked for.
    wanted: Arc<Notify>,
}

impl Awaited {
    pub(super) fn new() -> Self {
        let (begun, ended) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { asked: Cache::new(REMEMBERED), begun, ended, wanted: Arc::default() }
    }

    pub(super) fn wanted(&self) -> Arc<Notify> {
        Arc::clone(&self.wanted)
    }

    pub(super) fn begin(&self) -> KeyFetch {
        KeyFetch(self.begun.fetch_add(1, Ordering::AcqRel).saturating_add(1))
    }

    /// Takes note that a fetch has brought keys, which are in force.
    pub(super) fn end(&self, KeyFetch(number): KeyFetch) {
        self.ended.fetch_max(number, Ordering::AcqRel);
    }

    /// The last fetch that brought keys.
    pub(super) fn fetches(&self) -> u64 {
        self.ended.load(Ordering::Acquire)
    }

    /// Has the keys fetched because the one that `token` names is not here; whether it may still come: none of the first
    /// `fetches` began after it was asked for.
    pub(super) fn may_come(&self, token: &str, fetches: u64) -> bool {
        self.wanted.notify_one();
        let header = token.split('.').next().unwrap_or_default();
        let named = digest(header.as_bytes());
        let since = self.asked.get(&named).unwrap_or_else(|| {
            let begun = self.begun.load(Ordering::Acquire);
            self.asked.insert(named, begun);
            begun
        });
        fetches <= since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_come_until_a_fetch_that_began_later_has_not_brought_it() {
        let awaited = Awaited::new();
        let may_come = |token| awaited.may_come(token, awaited.fetches());
        assert!(may_come("a.1.x"), "before any fetch");
        let first = awaited.begin();
        assert!(may_come("b.1.x"), "the fetch is under way, and its answer may be older");
        awaited.end(first);
        assert!(!may_come("a.2.y"), "the same key, in another token");
        assert!(may_come("b.1.x") && may_come("c.1.x"));
        // A fetch that failed says nothing.
        let _failed = awaited.begin();
        assert!(may_come("b.1.x"));
        let last = awaited.begin();
        awaited.end(last);
        assert!(!may_come("a.1.x") && !may_come("b.1.x") && !may_come("c.1.x"));
        assert!(may_come("d.1.x"));
        // What was read before the last keys were is told by those: nobody is refused by keys that were not looked at.
        assert!(awaited.may_come("d.1.x", 1));
    }

    #[test]
    fn a_crowd_of_made_up_keys_makes_nobody_s_key_a_wrong_one() {
        let awaited = Awaited::new();
        awaited.end(awaited.begin());
        for number in 0..10 * REMEMBERED {
            assert!(awaited.may_come(&format!("{number}.1.x"), awaited.fetches()));
        }
        assert!(awaited.asked.len() <= REMEMBERED);
        assert!(awaited.may_come("genuine.1.x", awaited.fetches()));
    }
}
