//! Taking over changed certificates, revocation lists, identities and provider keys: whole and at once, or not at
//! all; only what a good file takes back is taken back although another is refused. Connections and streams go on; each
//! is asked again by what is in force then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::identity_files::{self, Loaded, Refused};
use super::provider_keys::ProviderKeys;
use super::readings::{Need, Readings, Unread};
use super::runner::Runner;
use super::watched::Watch;
use crate::config::{Config, Identities, Problem};
use crate::grpc::{Authority, Gate, Tokens};
use crate::ledger::Refusals;
use crate::model::UnixMillis;
use crate::observe::{Clock, Metric};

/// How often it is told how long certificates still hold, and when tokens were used last.
const TOLD_EVERY: Duration = Duration::from_secs(15);
/// When what does not end ends.
const NEVER: UnixMillis = UnixMillis(i64::MAX);
/// Tokens with the name of an identity that are told of at a time.
const NAMESAKES: usize = 16;
/// How long a start waits for the keys of the provider.
const FIRST_KEYS: Duration = Duration::from_secs(5);

/// The identities in force and the files that they come from. Clones share both.
#[derive(Clone)]
pub(super) struct IdentitySource(Option<Arc<Inner>>);

struct Inner {
    identities: Identities,
    authority: Authority,
    tokens: Tokens,
    clock: Clock,
    readings: Readings,
    state: Mutex<State>,
    /// When the certificates and tokens in force end. Looked at by what may not wait for a disk.
    ends: ArcSwap<Ends>,
    keys: ProviderKeys,
    watch: Watch,
}

type Ends = Vec<(&'static str, UnixMillis)>;

/// What was loaded last. Never locked while a file is read or looked at.
struct State {
    print: [u8; 32],
    /// The text of the CAs that client certificates come from.
    client_ca: Option<Arc<[u8]>>,
    /// What the files were refused for when they were read last.
    refused: Option<Vec<String>>,
    /// What files that were refused have taken away from what is in force, by their print.
    narrowed: Option<[u8; 32]>,
    /// Whether it was said that they cannot be read, since they were read last.
    is_hanging: bool,
}

/// What a reading found: everything good, or refused; `None` if nothing asked for it.
type Found = Option<Result<Loaded, Box<Refused>>>;

/// What was loaded before the store opened.
pub(super) struct Prepared(Option<(Identities, Loaded, Watch)>);

/// Checks everything that the configuration says of identities, as `runner` would start it, and starts nothing.
///
/// # Errors
/// Every mistake.
pub fn check_identities(config: &Config, runner: &Runner) -> Result<(), Vec<Problem>> {
    let Some(identities) = &config.identities else { return Ok(()) };
    identity_files::load(identities, Clock::system().now(), runner, None)
        .map(|_| ())
        .map_err(|refused| refused.problems)
}

impl Prepared {
    /// Reads everything for the first time. The files are watched from before they are read.
    ///
    /// # Errors
    /// Every mistake.
    pub(super) fn load(identities: Option<&Identities>, clock: &Clock) -> Result<Self, Vec<Problem>> {
        let Some(identities) = identities else { return Ok(Self(None)) };
        let watch = Watch::files(identity_files::files(identities));
        let loaded = identity_files::load(identities, clock.now(), &Runner::present(), None);
        let loaded = loaded.map_err(|refused| refused.problems)?;
        Ok(Self(Some((identities.clone(), loaded, watch))))
    }

    /// Puts it in force.
    pub(super) fn begin(self, tokens: &Tokens, refusals: &Refusals, clock: &Clock) -> IdentitySource {
        let Some((identities, loaded, watch)) = self.0 else { return IdentitySource(None) };
        let Loaded { standing, keys, ends, client_ca, print } = loaded;
        let authority = Authority::new(standing, tokens.clone(), refusals.clone(), clock.clone());
        if let Some(keys) = keys {
            authority.replace_keys(keys);
        }
        tracing::info!(tls = identities.tls.is_some(), "callers are asked who they are");
        Metric::IdentityLoads.add(&[("result", "loaded")], 1);
        tell_ends(&ends, clock.now());
        tell_namesakes(&authority);
        let state = Mutex::new(State { print, client_ca, refused: None, narrowed: None, is_hanging: false });
        let (tokens, clock) = (tokens.clone(), clock.clone());
        let (keys, ends) = (ProviderKeys::of(&identities), ArcSwap::from_pointee(ends));
        let readings = Readings::new();
        let inner = Inner { identities, authority, tokens, clock, readings, state, ends, keys, watch };
        IdentitySource(Some(Arc::new(inner)))
    }
}

impl IdentitySource {
    /// What the door asks.
    pub(super) fn gate(&self) -> Gate {
        self.0.as_ref().map_or_else(Gate::open, |inner| Gate::guarded(inner.authority.clone()))
    }

    /// Whether a token that is issued would be accepted: now, or once identities are configured.
    pub(super) fn takes_tokens(&self) -> bool {
        self.0.as_ref().is_none_or(|inner| inner.identities.accepts_tokens)
    }

    /// Reads the files again because a signal asks for it, and takes over what is good; gives whether there was no mistake.
    /// Waits only so long.
    pub(super) async fn reload_aside(&self) -> bool {
        self.read(Need::Sure).await
    }

    async fn read(&self, need: Need) -> bool {
        let Some(inner) = &self.0 else { return true };
        let (source, late) = (Arc::clone(inner), Arc::clone(inner));
        // What comes too late may be old.
        let again = move || late.watch.ring();
        inner.readings.read(need, move || source.find(need), again, |found| inner.take(need, found)).await
    }

    /// Waits until the keys of the provider were asked for once, if they are fetched, but not for long: who comes before
    /// them is told to call again.
    pub(super) async fn asked_for_keys(&self) {
        let Some(inner) = &self.0 else { return };
        let _slow = tokio::time::timeout(FIRST_KEYS, inner.keys.asked_for()).await;
    }

    /// Follows the files, the provider and the time until `closing`.
    pub(super) async fn follow(self, closing: CancellationToken) {
        let Some(inner) = self.0.clone() else { return };
        let work = async {
            let keys = inner.keys.follow(&inner.identities, &inner.authority);
            tokio::join!(self.follow_files(), keys, inner.tell());
        };
        tokio::select! {
            () = closing.cancelled() => {}
            () = work => {}
        }
        if let Err(error) = inner.tokens.write_uses().await {
            tracing::warn!(%error, "when tokens were used last was not written");
        }
    }

    /// Reads the files again when they are others, and now and then while they are refused, or would be: a directory that
    /// cannot be watched, a disk that was away, a time that has come. Never returns.
    async fn follow_files(&self) {
        let Some(inner) = &self.0 else { return std::future::pending().await };
        loop {
            let need = if inner.watch.changed().await { Need::Sure } else { Need::Maybe };
            self.read(need).await;
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the files, unless nothing asks for it. Blocks.
    fn find(&self, need: Need) -> Found {
        let (is_refused, client_ca) = {
            let state = self.state();
            (state.refused.is_some() || state.is_hanging, state.client_ca.clone())
        };
        let is_exposed = || !identity_files::exposed_of(&self.identities, &Runner::present()).is_empty();
        if need == Need::Maybe && !is_refused && !is_exposed() {
            return None;
        }
        self.watch.renew();
        Some(identity_files::load(&self.identities, self.clock.now(), &Runner::present(), client_ca))
    }

    /// Takes over what was found, or tells why there is nothing; gives whether there is no mistake.
    fn take(&self, need: Need, found: Result<Found, Unread>) -> bool {
        let done = match found {
            Ok(None) => return true,
            Ok(Some(loaded)) => self.take_over_or_tell(need, loaded),
            Err(Unread::Waits) => return false,
            Err(Unread::Hangs) => {
                let is_news = !std::mem::replace(&mut self.state().is_hanging, true);
                Metric::IdentitiesRefused.set(&[], 1.0);
                if is_news || need == Need::Sure {
                    tracing::error!(
                        "certificates and identities cannot be read: their disk does not answer; those before stay"
                    );
                }
                return false;
            }
            Err(Unread::Panicked) => {
                Metric::IdentitiesRefused.set(&[], 1.0);
                tracing::error!("the reload of identities panicked, those before stay");
                return false;
            }
        };
        let mut state = self.state();
        state.is_hanging = false;
        // A count of refusals stands still after the last, while the files are as wrong as before.
        Metric::IdentitiesRefused.set(&[], if state.refused.is_some() { 1.0 } else { 0.0 });
        done
    }

    fn take_over_or_tell(&self, need: Need, loaded: Result<Loaded, Box<Refused>>) -> bool {
        let mut state = self.state();
        match loaded {
            Ok(loaded) if loaded.print == state.print => {
                if state.narrowed.take().is_some() {
                    self.authority.widen();
                }
                if state.refused.take().is_some() {
                    tracing::info!("certificates and identities are those in force again");
                }
                Metric::IdentityLoads.add(&[("result", "unchanged")], 1);
                true
            }
            Ok(loaded) => {
                (state.print, state.refused, state.narrowed) = (loaded.print, None, None);
                state.client_ca.clone_from(&loaded.client_ca);
                self.put_in_force(loaded);
                true
            }
            Err(refused) => {
                let Refused { problems, narrowing, print } = *refused;
                // A mistake in one file lets nobody in; nor does it keep anybody in whom a good one has put out.
                if state.narrowed != Some(print) {
                    self.authority.narrow(narrowing);
                    state.narrowed = Some(print);
                }
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                if need == Need::Sure || state.refused.as_ref() != Some(&problems) {
                    tell_refusal(&problems);
                    state.refused = Some(problems);
                }
                false
            }
        }
    }

    fn put_in_force(&self, Loaded { standing, keys, mut ends, .. }: Loaded) {
        // A file in which nothing ends any more would be told of as it was.
        let before = self.ends.load();
        let gone = before.iter().filter(|(file, _)| ends.iter().all(|(other, _)| other != file));
        let gone: Vec<_> = gone.map(|(file, _)| (*file, NEVER)).collect();
        ends.extend(gone);
        self.authority.replace(standing);
        if let Some(keys) = keys {
            self.authority.replace_keys(keys);
        }
        tell_ends(&ends, self.clock.now());
        tell_namesakes(&self.authority);
        self.ends.store(Arc::new(ends));
        Metric::IdentityLoads.add(&[("result", "loaded")], 1);
        tracing::info!("certificates and identities taken over");
    }

    /// Tells the metrics how long certificates still hold, and the store when tokens were used. Never returns.
    async fn tell(&self) {
        loop {
            sleep(TOLD_EVERY).await;
            tell_ends(&self.ends.load(), self.clock.now());
            if let Err(error) = self.tokens.write_uses().await {
                tracing::warn!(%error, "when tokens were used last was not written, trying again");
            }
        }
    }
}

fn tell_refusal(problems: &[String]) {
    Metric::IdentityLoads.add(&[("result", "refused")], 1);
    for problem in problems {
        tracing::error!(problem, "identities refused");
    }
    let mistakes = problems.len();
    tracing::error!(
        mistakes,
        "certificates and identities refused as a whole, those before stay, less whom a good file has put out"
    );
}

fn tell_ends(ends: &[(&'static str, UnixMillis)], now: UnixMillis) {
    for (file, until) in ends {
        let seconds = i32::try_from(until.ms_since(now).div_euclid(1000)).unwrap_or(i32::MAX);
        Metric::CertificateExpiry.set(&[("file", file)], seconds.into());
    }
}

/// Tells of tokens that could be taken for an identity of the file; not by the name, which may be a customer's.
fn tell_namesakes(authority: &Authority) {
    for token in authority.namesakes().into_iter().take(NAMESAKES) {
        tracing::warn!(%token, "a token is called as an identity of the file is; issue it anew by another name");
    }
}
