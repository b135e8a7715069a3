//! Keys that are destroyed, or wrapped anew, and that files may still hold until they are purged. Nobody knows at an open
//! what was left to do when the process before ended, so then all of it is due.

use std::sync::{Mutex, MutexGuard, PoisonError};

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
        let due = Count { destroyed: 1, purged: 0 };
        Self { epochs_and_root: Mutex::new([due; 2]), turn: Mutex::default() }
    }

    fn counts(&self) -> MutexGuard<'_, [Count; 2]> {
        self.epochs_and_root.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keys were destroyed, and that is written.
    pub(super) fn note(&self, gone: GoneKeys) {
        let [epochs, data_root] = &mut *self.counts();
        epochs.destroyed += u64::from(gone.epochs);
        data_root.destroyed += u64::from(gone.data_root);
    }
}

impl Store {
    /// Whether a file may still hold keys that were destroyed or wrapped anew: from when that is written, and from an open,
    /// until [`Store::purge_keys`] has come to its end.
    #[must_use]
    pub fn holds_gone_keys(&self) -> bool {
        self.shared().key_purges.counts().iter().any(|count| count.purged < count.destroyed)
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
        let begun = *purges.counts();
        let due = begun.iter().zip([Place::Keys, Place::DataRoot]);
        let due = due.filter(|(count, _)| count.purged < count.destroyed);
        let places: Vec<Place> = due.map(|(_, place)| place).collect();
        if places.is_empty() {
            return Ok(());
        }
        self.purge(&places, &mut |_| {})?;
        for (now, begun) in purges.counts().iter_mut().zip(begun) {
            now.purged = begun.destroyed;
        }
        Ok(())
    }
}
