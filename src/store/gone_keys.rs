//! Keys that are destroyed, or wrapped anew, and that files may still hold until they are purged. Nobody knows at an open
//! what was left to do when the process before ended, so then all of it is due.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Store;
use super::purge::{Place, PurgeError};

/// Of which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct GoneKeys {
    /// States of ratchets that were moved on, and bridges.
    pub(super) epochs: bool,
    /// Wrappings of the data root.
    pub(super) data_root: bool,
}

/// How often keys of a kind were destroyed, and up to which of these times no file holds them.
#[derive(Debug, Clone, Copy)]
struct Count {
    destroyed: u64,
    purged: u64,
    /// When the oldest of those that files may hold went, at the earliest.
    since: Instant,
}

impl Count {
    const fn is_due(&self) -> bool {
        self.purged < self.destroyed
    }

    fn note(&mut self, now: Instant) {
        if !self.is_due() {
            self.since = now;
        }
        self.destroyed += 1;
    }

    /// Files hold nothing any more of what had gone when a purge began.
    const fn note_purged(&mut self, begun: u64, at: Instant) {
        self.purged = begun;
        self.since = at;
    }
}

#[derive(Debug)]
pub(super) struct KeyPurges {
    epochs_and_root: Mutex<[Count; 2]>,
    /// Held while they are purged: who comes second finds it done.
    turn: Mutex<()>,
}

impl KeyPurges {
    /// Those of a store that was just opened.
    pub(super) fn at_open() -> Self {
        let due = Count { destroyed: 1, purged: 0, since: Instant::now() };
        Self { epochs_and_root: Mutex::new([due; 2]), turn: Mutex::default() }
    }

    fn counts(&self) -> MutexGuard<'_, [Count; 2]> {
        self.epochs_and_root.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keys were destroyed, and that is written.
    pub(super) fn note(&self, gone: GoneKeys) {
        let [epochs, data_root] = &mut *self.counts();
        for count in
            [gone.epochs.then_some(epochs), gone.data_root.then_some(data_root)].into_iter().flatten()
        {
            count.note(Instant::now());
        }
    }
}

impl Store {
    /// Whether a file may still hold keys that were destroyed or wrapped anew: from when that is written, and from an open,
    /// until [`Store::purge_keys`] has come to its end.
    #[must_use]
    pub fn holds_gone_keys(&self) -> bool {
        self.gone_keys_held().is_some()
    }

    /// For how long a file may have held keys that were destroyed or wrapped anew; `None` if none does. What the process
    /// before left counts from the open.
    #[must_use]
    pub fn gone_keys_held(&self) -> Option<Duration> {
        let counts = *self.shared().key_purges.counts();
        counts.iter().filter(|count| count.is_due()).map(|count| count.since.elapsed()).max()
    }

    /// Grows whenever keys are destroyed or wrapped anew.
    #[must_use]
    pub fn gone_keys(&self) -> u64 {
        self.shared().key_purges.counts().iter().map(|count| count.destroyed).sum()
    }

    /// Takes keys that were destroyed or wrapped anew out of every file, if any may hold some. Blocks.
    ///
    /// # Errors
    /// As [`Store::purge`]. It stays due.
    pub fn purge_keys(&self) -> Result<(), PurgeError> {
        let purges = &self.shared().key_purges;
        let _turn = purges.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (begun, at) = (*purges.counts(), Instant::now());
        let due = begun.iter().zip([Place::Keys, Place::DataRoot]);
        let due = due.filter(|(count, _)| count.is_due());
        let places: Vec<Place> = due.map(|(_, place)| place).collect();
        if places.is_empty() {
            return Ok(());
        }
        self.purge(&places, &mut |_| {})?;
        for (now, begun) in purges.counts().iter_mut().zip(begun) {
            now.note_purged(begun.destroyed, at);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_since_keys_went_is_that_of_the_oldest_that_no_purge_has_taken_out() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut count = Count { destroyed: 1, purged: 0, since: start };
        count.note(at(5));
        assert_eq!((count.is_due(), count.since), (true, start), "more that goes makes it no younger");
        let begun = count.destroyed;
        count.note(at(7));
        count.note_purged(begun, at(6));
        assert_eq!(
            (count.is_due(), count.since),
            (true, at(6)),
            "what went during the purge may still be there"
        );
        count.note_purged(count.destroyed, at(8));
        assert!(!count.is_due());
        count.note(at(20));
        assert_eq!((count.is_due(), count.since), (true, at(20)));
    }
}
