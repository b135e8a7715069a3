//! Looking again and again, while the collector runs, at who else could change what it goes by, or read what it keeps: what
//! a start is refused for is known before the next start. It goes on all the same: ending would help nobody.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::with_causes;
use super::exposure::{self, Place};
use super::readings::{Need, Readings, Unread};
use super::runner::Runner;
use super::watched::LOOKED_EVERY;
use super::{identity_files, ledger_key, policy_files, root_key};
use crate::config::{Config, Identities, RootKeySource};
use crate::observe::Metric;

/// What only the collector may change or read. Clones share it.
#[derive(Clone)]
pub(super) struct Guarded(Arc<Inner>);

struct Inner {
    configuration: Option<PathBuf>,
    data_dir: PathBuf,
    policy_dir: Option<PathBuf>,
    identities: Option<Identities>,
    root_key: Option<PathBuf>,
    ledger_key: PathBuf,
    readings: Readings,
    /// What was said last.
    told: Mutex<Vec<String>>,
}

impl Guarded {
    pub(super) fn of(config: &Config) -> Self {
        let root_key = match &config.root_key {
            RootKeySource::File(file) => Some(file.clone()),
            RootKeySource::Given(_) => None,
        };
        Self(Arc::new(Inner {
            configuration: config.in_force.file().map(ToOwned::to_owned),
            data_dir: config.store.dir.clone(),
            policy_dir: config.policy_dir.clone(),
            identities: config.identities.clone(),
            root_key,
            ledger_key: config.ledger_key.clone(),
            readings: Readings::new(),
            told: Mutex::default(),
        }))
    }

    /// Looks at regular intervals. Never returns.
    pub(super) async fn follow(self) {
        loop {
            self.look_aside().await;
            tokio::time::sleep(LOOKED_EVERY).await;
        }
    }

    /// Looks on a thread that may block.
    pub(super) async fn look_aside(&self) {
        let inner = Arc::clone(&self.0);
        let look = move || inner.exposed(&Runner::present());
        // That a disk does not answer is told by whoever reads what is on it. It is looked again soon.
        let tell = |found| match found {
            Ok(found) => self.0.tell(found),
            Err(Unread::Panicked) => tracing::error!("looking at who can change or read files panicked"),
            Err(Unread::Waits | Unread::Hangs) => {}
        };
        self.0.readings.read(Need::Maybe, look, || (), tell).await;
    }
}

impl Inner {
    fn tell(&self, found: Vec<String>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        Metric::ExposedFiles.set_count(&[], u64::try_from(found.len()).unwrap_or(u64::MAX));
        for problem in found.iter().filter(|problem| !told.contains(problem)) {
            tracing::error!(problem, "others can change what the collector goes by, or read what it keeps");
        }
        if found.is_empty() && !told.is_empty() {
            tracing::info!("nobody else can change what the collector goes by, or read what it keeps");
        }
        *told = found;
    }

    /// Every file and directory that somebody else can change or read, with what to do.
    fn exposed(&self, runner: &Runner) -> Vec<String> {
        let configuration = self.configuration.as_deref().map(Place::Configuration);
        let places = configuration.into_iter().chain([Place::Data(&self.data_dir)]);
        let mut found: Vec<String> =
            places.filter_map(|place| Some(exposure::of(place, runner)?.to_string())).collect();
        if let Some(identities) = &self.identities {
            found.extend(identity_files::exposed_of(identities, runner).iter().map(ToString::to_string));
        }
        if let Some(dir) = &self.policy_dir {
            found.extend(policy_files::exposed(dir, runner).iter().map(ToString::to_string));
        }
        let root_key = self.root_key.as_deref().and_then(|path| root_key::exposed_file(path, runner));
        found.extend(root_key.map(|error| with_causes(&error)));
        let ledger_key = ledger_key::exposed_file(&self.ledger_key, runner);
        found.extend(ledger_key.map(|error| with_causes(&error)));
        found
    }
}
