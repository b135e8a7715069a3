//! Taking over changed rates of customers from the configuration: the file is read again as a whole, and is good or
//! changes nothing. What else differs in it takes a restart, which the log says.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::exposure::{self, Place};
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
    /// Locked over a whole reload, so that two of them cannot take over in the wrong order.
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
}

impl ConfigurationSource {
    /// Watches the file of what is in force.
    pub(super) fn begin(in_force: InForce, accounts: Accounts) -> Self {
        let watch = in_force.file().map(|file| Watch::files([file.to_owned()]));
        for result in ["loaded", "unchanged", "refused"] {
            Metric::ConfigurationLoads.begin(&[("result", result)]);
        }
        Metric::ConfigurationRefused.set(&[], 0.0);
        let (state, last) = (Mutex::new(State { in_force, exposed: None }), watch::Sender::new(None));
        Self(Arc::new(Inner { state, accounts, watch, last }))
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
        loop {
            self.reload_aside(false).await;
            watch.changed().await;
        }
    }

    /// Reads the file again on a thread that may block, and takes over what is good; gives whether there was no mistake.
    /// One that has not changed is read again only if `is_asked`.
    pub(super) async fn reload_aside(&self, is_asked: bool) -> bool {
        let inner = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || inner.reload(is_asked)).await;
        done.unwrap_or_else(|_| {
            tracing::error!("the reload of the configuration panicked, the rates before stay");
            false
        })
    }
}

impl Inner {
    fn reload(&self, is_asked: bool) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watch) = &self.watch {
            watch.renew();
        }
        let State { in_force, exposed } = &mut *state;
        let found = in_force.file().map(Place::Configuration);
        let found = found.and_then(|file| exposure::of(file, &Runner::present()));
        if let Some(problem) = &found
            && (is_asked || *exposed != found)
        {
            self.refuse(std::slice::from_ref(problem), asked_by(is_asked));
        }
        // What somebody else may have written is not read. Once it is known who wrote it, it is, and what it says is told.
        let was_exposed = std::mem::replace(exposed, found).is_some();
        if exposed.is_some() {
            return false;
        }
        match in_force.read_again(is_asked || was_exposed) {
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
        let (at, outcome) = (Clock::system().now(), ReloadOutcome::Refused);
        let need_restart = Vec::new();
        self.last.send_replace(Some(LastConfiguration { at, asked_by, outcome, problems, need_restart }));
        Metric::ConfigurationRefused.set(&[], 1.0);
        Metric::ConfigurationLoads.add(&[("result", "refused")], 1);
    }
}

const fn asked_by(is_asked: bool) -> &'static str {
    if is_asked { "signal" } else { "change of a file" }
}
