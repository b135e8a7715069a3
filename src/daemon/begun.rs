//! A new store that is begun under keys that were there before: so it looks when the volume with the data is not mounted.
//! Nothing else tells the first start of all from that one.

use std::path::{Path, PathBuf};

use super::error::DaemonError;
use crate::config::{Config, RootKeySource};
use crate::store::{self, OpenError};

/// Refuses to begin a store where the ledger of one is, unless a break of the ledger is accepted.
///
/// # Errors
/// If there is only a ledger.
pub(super) fn check_ledger(config: &Config) -> Result<(), DaemonError> {
    let (path, ledger) = (&config.store.dir, &config.ledger.dir);
    let has_ledger = || std::fs::read_dir(ledger).is_ok_and(|mut entries| entries.next().is_some());
    if config.ledger.accept_break || store::is_begun(path)? || !has_ledger() {
        return Ok(());
    }
    Err(OpenError::LedgerAlone { path: path.clone(), ledger: ledger.clone() }.into())
}

/// Where a store is opened, and with which keys.
pub(super) struct Begun {
    dir: PathBuf,
    keys: Vec<PathBuf>,
}

/// What was there before the store was opened and a key was made.
pub(super) struct Before {
    /// Where there is no store; `None` if there is one, or no key either.
    begun_in: Option<PathBuf>,
}

impl Begun {
    pub(super) fn new(config: &Config) -> Self {
        let root_key = match &config.root_key {
            RootKeySource::File(file) => Some(file.clone()),
            // What comes with every start says nothing of the one before.
            RootKeySource::Given(_) => None,
        };
        let keys = root_key.into_iter().chain([config.ledger_key.clone()]).collect();
        Self { dir: config.store.dir.clone(), keys }
    }

    /// Looks before anything is made.
    pub(super) fn look(self) -> Result<Before, DaemonError> {
        let is_new = !store::is_begun(&self.dir)?;
        let has_keys = self.keys.iter().any(|key| Path::exists(key));
        Ok(Before { begun_in: (is_new && has_keys).then_some(self.dir) })
    }
}

impl Before {
    /// Tells of a store that is new now, beside keys that are not.
    pub(super) fn tell(self) {
        let Some(dir) = self.begun_in else { return };
        tracing::warn!(
            path = %dir.display(),
            "a new store is begun, and its keys were there before: if there was a store, its volume is not mounted; end the \
             collector now, it knows no customer"
        );
    }
}
