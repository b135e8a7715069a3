//! Taking over changed certificates, revocation lists, identities and provider keys: whole and at once, or not at
//! all; only what a good file takes back is taken back although another is refused. Connections and streams go on; each
//! is asked again by what is in force then.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::identity_files::{self, Loaded, Refused};
use super::provider_keys::ProviderKeys;
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
/// Files that take longer to read lie on a disk that does not answer.
const SLOW: Duration = Duration::from_secs(10);
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
    /// Readings of the files that were begun.
    begun: AtomicU64,
    state: Mutex<State>,
    /// When the certificates and tokens in force end. Looked at by what may not wait for a disk.
    ends: ArcSwap<Ends>,
    keys: ProviderKeys,
    watch: Watch,
}

type Ends = Vec<(&'static str, UnixMillis)>;

/// What was loaded last. Never locked while a file is read or looked at.
struct State {
    /// Which reading that was: what one that was begun before has found is not taken over any more.
    number: u64,
    print: [u8; 32],
    /// The text of the CAs that client certificates come from.
    client_ca: Option<Arc<[u8]>>,
    /// What the files were refused for when they were read last.
    refused: Option<Vec<String>>,
    /// What files that were refused have taken away from what is in force, by their print.
    narrowed: Option<[u8; 32]>,
}

/// Why files are read again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// By a signal, or because they have changed.
    Now,
    /// They were refused; what is in the way may be gone without a change that is seen.
    Again,
}

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
        let state = Mutex::new(State { number: 0, print, client_ca, refused: None, narrowed: None });
        let (tokens, clock) = (tokens.clone(), clock.clone());
        let (keys, ends) = (ProviderKeys::of(&identities), ArcSwap::from_pointee(ends));
        let begun = AtomicU64::new(0);
        let inner = Inner { identities, authority, tokens, clock, begun, state, ends, keys, watch };
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

    /// Reads the files again on a thread that may block, and takes over what is good; gives whether there was no mistake.
    pub(super) async fn reload_aside(&self) -> bool {
        self.read_aside(Asked::Now).await
    }

    async fn read_aside(&self, asked: Asked) -> bool {
        let Some(inner) = self.0.clone() else { return true };
        let mut reading = tokio::task::spawn_blocking(move || inner.reload(asked));
        let done = if let Ok(done) = timeout(SLOW, &mut reading).await {
            done
        } else {
            Metric::IdentitiesRefused.set(&[], 1.0);
            tracing::error!(
                "certificates and identities cannot be read: their disk does not answer; those before stay"
            );
            reading.await
        };
        done.unwrap_or_else(|_| {
            Metric::IdentitiesRefused.set(&[], 1.0);
            tracing::error!("the reload of identities panicked, those before stay");
            false
        })
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
            let asked = if inner.watch.changed().await { Asked::Now } else { Asked::Again };
            self.read_aside(asked).await;
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reload(&self, asked: Asked) -> bool {
        let done = self.read_again(asked);
        let state = self.state();
        // A count of refusals stands still after the last, while the files are as wrong as before.
        Metric::IdentitiesRefused.set(&[], if state.refused.is_some() { 1.0 } else { 0.0 });
        done
    }

    fn read_again(&self, asked: Asked) -> bool {
        let number = self.begun.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let is_again = asked == Asked::Again;
        let is_refused = self.state().refused.is_some();
        let is_exposed = || !identity_files::exposed_of(&self.identities, &Runner::present()).is_empty();
        if is_again && !is_refused && !is_exposed() {
            return true;
        }
        self.watch.renew();
        let client_ca = self.state().client_ca.clone();
        let loaded = identity_files::load(&self.identities, self.clock.now(), &Runner::present(), client_ca);
        let mut state = self.state();
        if number < state.number {
            // One that was begun later, and has seen every change that this one has, came to its end before.
            return state.refused.is_none();
        }
        state.number = number;
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
                self.take_over(loaded);
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
                if !is_again || state.refused.as_ref() != Some(&problems) {
                    tell_refusal(&problems);
                    state.refused = Some(problems);
                }
                false
            }
        }
    }

    fn take_over(&self, Loaded { standing, keys, mut ends, .. }: Loaded) {
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
