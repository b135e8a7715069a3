//! The keys of an identity provider, fetched again and again, sooner when a token names one that is not there.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::identity_files;
use crate::config::{Identities, KeysFrom};
use crate::grpc::{Authority, Provider};
use crate::identity::KeySet;
use crate::observe::Metric;

/// Fetches of keys lie so far apart at least, also when tokens name keys that are not there.
const FETCH_GAP: Duration = Duration::from_secs(10);
/// The first pause after a fetch that failed; it doubles up to the time between two fetches.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Whether the keys were asked for since the start.
pub(super) struct ProviderKeys(watch::Sender<bool>);

/// What was fetched last, and what comes next.
struct Fetched {
    held: Option<(KeySet, Instant)>,
    pause: Duration,
}

impl ProviderKeys {
    /// Nothing to wait for where no keys are fetched.
    pub(super) fn of(identities: &Identities) -> Self {
        let fetches = matches!(identities.jwt, Some((_, KeysFrom::Address { .. })));
        Self(watch::Sender::new(!fetches))
    }

    /// Waits until the provider has answered once, well or not.
    pub(super) async fn asked_for(&self) {
        let mut asked = self.0.subscribe();
        let _ended = asked.wait_for(|asked| *asked).await.is_err();
    }

    /// Fetches the keys for `authority` as long as it runs. Never returns.
    pub(super) async fn follow(&self, identities: &Identities, authority: &Authority) {
        let (Some(mut provider), Some((_, KeysFrom::Address { refresh, keep, ca, .. }))) =
            (provider_of(identities).await, &identities.jwt)
        else {
            self.0.send_replace(true);
            return std::future::pending().await;
        };
        let wanted: Arc<Notify> = authority.wanted_keys();
        let mut fetched = Fetched { held: None, pause: FIRST_PAUSE };
        loop {
            // The CAs that its certificate has to come from may have been swapped.
            if ca.is_some()
                && let Some(made) = provider_of(identities).await
            {
                provider = made;
            }
            let next = fetched.once(&provider, authority, *refresh, *keep).await;
            self.0.send_replace(true);
            let at = Instant::now();
            tokio::select! {
                () = sleep(next) => {}
                () = wanted.notified() => sleep_until(at + FETCH_GAP.min(next)).await,
            }
        }
    }
}

/// The provider, with the CAs of its file, which is read on a thread that may block.
async fn provider_of(identities: &Identities) -> Option<Provider> {
    if !matches!(identities.jwt, Some((_, KeysFrom::Address { .. }))) {
        return None;
    }
    let identities = identities.clone();
    let made = tokio::task::spawn_blocking(move || identity_files::provider_of(&identities));
    made.await.ok().flatten()
}

impl Fetched {
    /// Fetches once; gives how long to wait until the next time, if no token asks for it.
    async fn once(
        &mut self,
        provider: &Provider,
        authority: &Authority,
        refresh: Duration,
        keep: Duration,
    ) -> Duration {
        let fetch = authority.fetch_begins();
        match provider.fetch().await {
            Ok(keys) => {
                let are_others = self.held.as_ref().is_none_or(|(before, _)| !before.is(&keys));
                authority.fetched(fetch, are_others.then(|| keys.clone()));
                if are_others {
                    tracing::info!(keys = keys.len(), "keys of the identity provider taken over");
                }
                // Counted when they are in force: who sees the count may go by them.
                Metric::IdentityKeyFetches.add(&[("result", "fetched")], 1);
                self.held = Some((keys, Instant::now()));
                self.pause = FIRST_PAUSE;
                refresh
            }
            Err(error) => {
                Metric::IdentityKeyFetches.add(&[("result", "failed")], 1);
                let error = super::error::with_causes(&error);
                tracing::warn!(error, "keys of the identity provider were not fetched, those before stay");
                if self.held.take_if(|(_, at)| at.elapsed() >= keep).is_some() {
                    tracing::error!("keys of the identity provider are too old, its tokens are refused");
                    authority.replace_keys(KeySet::default());
                }
                let now = self.pause;
                self.pause = self.pause.saturating_mul(2).min(refresh);
                now
            }
        }
    }
}
