//! Taking over changed rates of customers from the configuration: the file is read again as a whole, and is good or
//! changes nothing. What else differs in it takes a restart, which the log says.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::exposure::{self, Place};
use super::readings::{Need, Readings, Unread};
use super::runner::Runner;
use super::watched::Watch;
use crate::config::{Again, InForce, Problem};
use crate::grpc::{LastConfiguration, ReloadOutcome};
use crate::ingest::fair::Accounts;
use crate::observe::{Clock, Metric};

/// The configuration in force and its file. Clones share both.
#[derive(Clone)]
pub(super) struct ConfigurationSource(Arc<Inner>);

struct Inner {
    readings: Readings,
    /// Never locked while the file is read or looked at.
    state: Mutex<State>,
    accounts: Accounts,
    watch: Option<Watch>,
    /// What the last reload did.
    last: watch::Sender<Option<LastConfiguration>>,
}

struct State {
    in_force: InForce,
    /// Why the file was not even read, when it was to be read last.
    exposed: Option<Problem>,
    /// Whether it was said that the file cannot be read, since it was read last.
    is_unread: bool,
}

/// What a file says that is another, or that was asked for; or every mistake in it.
type Said = Result<Option<Again>, Vec<Problem>>;

/// What a reading has found.
struct Found {
    exposed: Option<Problem>,
    /// What is in force if it is taken over, and what to tell; nothing, if the file was not even read.
    read: Option<(InForce, Said)>,
}

impl ConfigurationSource {
    /// Watches the file of what is in force.
    pub(super) fn begin(in_force: InForce, accounts: Accounts) -> Self {
        let watch = in_force.file().map(|file| Watch::files([file.to_owned()]));
        for result in ["loaded", "unchanged", "refused"] {
            Metric::ConfigurationLoads.begin(&[("result", result)]);
        }
        Metric::ConfigurationRefused.set(&[], 0.0);
        let state = Mutex::new(State { in_force, exposed: None, is_unread: false });
        let (readings, last) = (Readings::new(), watch::Sender::new(None));
        Self(Arc::new(Inner { readings, state, accounts, watch, last }))
    }

    /// What the last reload did; nothing before the first.
    pub(super) fn last_reload(&self) -> watch::Receiver<Option<LastConfiguration>> {
        self.0.last.subscribe()
    }

    /// Reads the file whenever something changes beside it, and now and then, because not every change is seen: of a file
    /// elsewhere that a link leads to, or of who may write it. Never returns; without a file nothing changes.
    pub(super) async fn follow(self) {
        let Some(watch) = &self.0.watch else { return std::future::pending().await };
        // It may have changed since it was read first, before it was watched.
        let mut need = Need::Maybe;
        loop {
            self.reload(need, false).await;
            need = if watch.changed().await { Need::Sure } else { Need::Maybe };
        }
    }

    /// Reads the file because a signal asks for it; gives whether there was no mistake.
    pub(super) async fn reload_aside(&self) -> bool {
        self.reload(Need::Sure, true).await
    }

    /// Reads the file again on a thread that may block, and takes over what is good; gives whether there was no mistake.
    /// One that has not changed is read again only if `is_asked`. Waits only so long.
    async fn reload(&self, need: Need, is_asked: bool) -> bool {
        let (inner, late) = (Arc::clone(&self.0), Arc::clone(&self.0));
        let read = move || inner.read(is_asked);
        let again = move || late.watch.iter().for_each(Watch::ring);
        self.0.readings.read(need, read, again, |found| self.0.found(is_asked, found)).await
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, is_asked: bool) -> Found {
        if let Some(watch) = &self.watch {
            watch.renew();
        }
        let (mut in_force, is_untold) = {
            let state = self.state();
            (state.in_force.clone(), state.exposed.is_some() || state.is_unread)
        };
        let file = in_force.file().map(Place::Configuration);
        let exposed = file.and_then(|file| exposure::of(file, &Runner::present()));
        if exposed.is_some() {
            // What somebody else may have written is not read. Once it is known who wrote it, it is, and what it says is told.
            return Found { exposed, read: None };
        }
        let again = in_force.read_again(is_asked || is_untold);
        Found { exposed, read: Some((in_force, again)) }
    }

    fn found(&self, is_asked: bool, found: Result<Found, Unread>) -> bool {
        let Found { exposed, read } = match found {
            Ok(found) => found,
            Err(Unread::Waits) => return false,
            Err(Unread::Hangs) => {
                self.cannot_be_read(is_asked);
                return false;
            }
            Err(Unread::Panicked) => {
                Metric::ConfigurationRefused.set(&[], 1.0);
                tracing::error!("the reload of the configuration panicked, the rates before stay");
                return false;
            }
        };
        let mut state = self.state();
        let was_unread = std::mem::take(&mut state.is_unread);
        let is_another = state.exposed != exposed;
        state.exposed.clone_from(&exposed);
        if let Some(problem) = &exposed
            && (is_asked || is_another || was_unread)
        {
            self.refuse(std::slice::from_ref(problem), asked_by(is_asked));
        }
        let Some((in_force, again)) = read else { return false };
        state.in_force = in_force;
        match again {
            Ok(None) => true,
            Ok(Some(again)) => {
                self.take_over(again, asked_by(is_asked));
                true
            }
            Err(problems) => {
                self.refuse(&problems, asked_by(is_asked));
                false
            }
        }
    }

    /// Tells that the file cannot be read: once, and whenever a signal asks for it.
    fn cannot_be_read(&self, is_asked: bool) {
        let mut state = self.state();
        if std::mem::replace(&mut state.is_unread, true) && !is_asked {
            return;
        }
        tracing::error!("configuration cannot be read: its disk does not answer; the rates before stay");
        let file = state.in_force.file().map(|file| file.display().to_string()).unwrap_or_default();
        let remedy = "look at its mount; it is read by itself when it answers";
        let problem = format!("{file}: cannot be read: its disk does not answer; {remedy}");
        self.tell_refused(vec![problem], asked_by(is_asked));
    }

    fn take_over(&self, Again { limits, need_restart }: Again, asked_by: &'static str) {
        let (result, outcome) = if limits.is_some() {
            ("loaded", ReloadOutcome::TakenOver)
        } else {
            ("unchanged", ReloadOutcome::Unchanged)
        };
        if let Some(limits) = limits {
            let customers = limits.rates_of.len();
            self.accounts.change(limits);
            tracing::info!(customers, "rates of customers taken over from the configuration");
        }
        if !need_restart.is_empty() {
            let settings = need_restart.join(" ");
            tracing::warn!(settings, "the configuration has changed in keys that take a restart");
        }
        let at = Clock::system().now();
        let problems = Vec::new();
        self.last.send_replace(Some(LastConfiguration { at, asked_by, outcome, problems, need_restart }));
        Metric::ConfigurationRefused.set(&[], 0.0);
        // Counted when they are in force: who sees the count may go by them.
        Metric::ConfigurationLoads.add(&[("result", result)], 1);
    }

    fn refuse(&self, problems: &[Problem], asked_by: &'static str) {
        let problems: Vec<String> = problems.iter().map(Problem::for_log).collect();
        for problem in &problems {
            tracing::error!(problem, "configuration refused");
        }
        let mistakes = problems.len();
        tracing::error!(mistakes, "configuration refused as a whole, the rates before stay");
        self.tell_refused(problems, asked_by);
        Metric::ConfigurationLoads.add(&[("result", "refused")], 1);
    }

    fn tell_refused(&self, problems: Vec<String>, asked_by: &'static str) {
        let (at, outcome) = (Clock::system().now(), ReloadOutcome::Refused);
        let need_restart = Vec::new();
        self.last.send_replace(Some(LastConfiguration { at, asked_by, outcome, problems, need_restart }));
        Metric::ConfigurationRefused.set(&[], 1.0);
    }
}

const fn asked_by(is_asked: bool) -> &'static str {
    if is_asked { "signal" } else { "change of a file" }
}
