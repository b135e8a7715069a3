//! Taking over a changed policy: whole and at once, or not at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;
use tokio::time::timeout;

use super::policy_files;
use super::readings::{Need, Readings, SLOW, Unread};
use super::runner::Runner;
use super::watched::Watch;
use crate::grpc::{LastReload, NotReloaded, Reload, ReloadOutcome};
use crate::ledger::{Refusal, Refusals};
use crate::model::{LevelName, ProgramName};
use crate::observe::{Clock, Metric};
use crate::policy::{self, Handle, Policy, PolicyFile, Problem, Severity};

/// Levels that all customers are capped at: `ingest.level_caps`.
type Caps = BTreeMap<ProgramName, LevelName>;

/// The policy in force and the place that it comes from. Clones share both.
#[derive(Clone)]
pub(super) struct PolicySource {
    dir: Option<Arc<Path>>,
    /// What the configuration caps for all customers: every policy has to have these levels.
    caps: Arc<Caps>,
    handle: Handle,
    readings: Readings,
    /// Whether it was said that the files cannot be read, since they were read last.
    is_told: Arc<AtomicBool>,
    /// Tells the version of every policy that comes into force.
    version: Arc<watch::Sender<Arc<str>>>,
    /// What the last reload did.
    last: Arc<watch::Sender<Option<LastReload>>>,
    /// Begun before the files were read first, so that no change falls in between.
    watch: Option<Watch>,
    refusals: Refusals,
}

/// What a reload did.
pub(super) struct Reloaded {
    /// The version in force.
    pub version: String,
    /// Whether it is another than before.
    pub changed: bool,
}

impl PolicySource {
    /// Loads the policy for the first time.
    pub fn load(dir: Option<PathBuf>, caps: Caps, refusals: Refusals) -> Result<Self, Vec<Problem>> {
        let dir: Option<Arc<Path>> = dir.map(Into::into);
        let watch = dir.as_deref().map(Watch::directory);
        let policy = read_policy(dir.as_deref(), &caps, &Runner::present())?;
        tracing::info!(version = policy.version(), dir = place(dir.as_deref()), "policy loaded");
        tell_load("loaded");
        let version = Arc::new(watch::Sender::new(policy.version().into()));
        Ok(Self {
            version,
            last: Arc::new(watch::Sender::new(None)),
            dir,
            caps: Arc::new(caps),
            handle: Handle::new(Arc::new(policy)),
            readings: Readings::new(),
            is_told: Arc::default(),
            watch,
            refusals,
        })
    }

    /// The policy in force, for the rooms that decide by it.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Tells whenever another policy comes into force.
    pub fn watch_version(&self) -> watch::Receiver<Arc<str>> {
        self.version.subscribe()
    }

    /// What the last reload did; nothing before the first.
    pub fn last_reload(&self) -> watch::Receiver<Option<LastReload>> {
        self.last.subscribe()
    }

    /// Reads the files again and puts them in force, if there is no mistake in them; keeps and logs what became of it. Waits
    /// only so long.
    async fn reload(&self, need: Need, asked_by: &'static str) -> Result<Reloaded, NotReloaded> {
        let source = self.clone();
        let read = move || {
            if let Some(watch) = &source.watch {
                watch.renew();
            }
            read_policy(source.dir.as_deref(), &source.caps, &Runner::present())
        };
        self.readings.read(need, read, self.again(), |found| self.take_over(asked_by, found)).await
    }

    /// What a reading does that comes to its end when nobody waits for it any more: what it has found may be old.
    fn again(&self) -> impl FnOnce() + Send + 'static {
        let watch = self.watch.clone();
        move || {
            if let Some(watch) = watch {
                watch.ring();
            }
        }
    }

    fn take_over(
        &self,
        asked_by: &'static str,
        found: Result<Result<Policy, Vec<Problem>>, Unread>,
    ) -> Result<Reloaded, NotReloaded> {
        let found = match found {
            Ok(found) => found,
            Err(Unread::Waits) => return Err(NotReloaded::Hangs),
            Err(Unread::Hangs) => return Err(self.cannot_be_read(asked_by)),
            Err(Unread::Panicked) => {
                Metric::PolicyRefused.set(&[], 1.0);
                tracing::error!("policy reload panicked, the one before stays");
                return Err(NotReloaded::Failed);
            }
        };
        self.is_told.store(false, Ordering::Relaxed);
        let done = self.put_in_force(found);
        let (outcome, problems) = match &done {
            Ok(Reloaded { changed: true, .. }) => (ReloadOutcome::TakenOver, Vec::new()),
            Ok(_) => (ReloadOutcome::Unchanged, Vec::new()),
            Err(problems) => (ReloadOutcome::Refused, problems.iter().map(ToString::to_string).collect()),
        };
        self.tell(asked_by, outcome, problems);
        done.map_err(|problems| {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            NotReloaded::Refused(lines.join("\n"))
        })
    }

    /// Tells that the files cannot be read: once, and whenever a signal asks for it.
    fn cannot_be_read(&self, asked_by: &'static str) -> NotReloaded {
        Metric::PolicyRefused.set(&[], 1.0);
        if !self.is_told.swap(true, Ordering::Relaxed) || asked_by == SIGNAL {
            tracing::error!("policy cannot be read: its disk does not answer; the one before stays");
            let what = format!("{}: cannot be read: its disk does not answer", place(self.dir.as_deref()));
            let remedy = "look at its mount; it is read by itself when it answers";
            self.tell(asked_by, ReloadOutcome::Refused, vec![format!("{what}; {remedy}")]);
        }
        NotReloaded::Hangs
    }

    fn tell(&self, asked_by: &'static str, outcome: ReloadOutcome, problems: Vec<String>) {
        let policy_version = self.handle.load().version().to_owned();
        tracing::info!(asked_by, outcome = outcome.as_str(), policy = policy_version, "reload done");
        let at = Clock::system().now();
        self.last.send_replace(Some(LastReload { at, asked_by, outcome, policy_version, problems }));
    }

    fn put_in_force(&self, found: Result<Policy, Vec<Problem>>) -> Result<Reloaded, Vec<Problem>> {
        let before = self.handle.load().version().to_owned();
        match found {
            Ok(policy) if policy.version() == before => {
                tell_load("unchanged");
                tracing::info!(version = before, "policy unchanged");
                Ok(Reloaded { version: before, changed: false })
            }
            Ok(policy) => {
                let version = policy.version().to_owned();
                self.handle.swap(Arc::new(policy));
                self.version.send_replace(version.as_str().into());
                tell_load("loaded");
                tracing::info!(version, before, "policy taken over");
                Ok(Reloaded { version, changed: true })
            }
            Err(problems) => {
                tell_load(REFUSED);
                self.refusals.count(Refusal::Policy);
                for problem in &problems {
                    tracing::error!(%problem, "policy refused");
                }
                let mistakes = problems.len();
                tracing::error!(
                    mistakes,
                    in_force = before,
                    "policy refused as a whole, the one before stays"
                );
                Err(problems)
            }
        }
    }

    /// What the admin API calls. The reload goes on although its caller goes away: what it finds out is told to others, too.
    pub fn on_demand(&self) -> Reload {
        let source = self.clone();
        Arc::new(move || {
            let source = source.clone();
            let reload = tokio::spawn(async move { source.reload(Need::Maybe, "admin API").await });
            Box::pin(async move {
                // Its turn comes when one that hangs is given up: who called is not kept that long.
                let reloaded = timeout(SLOW, reload).await.map_err(|_| NotReloaded::Hangs)?;
                let Reloaded { version, changed } = reloaded.unwrap_or(Err(NotReloaded::Failed))?;
                Ok((version, changed))
            })
        })
    }

    /// Reloads whenever a file of the directory changes, or the directory is another, and when one that was refused is good,
    /// because not every change is seen. Never returns; a shipped policy never changes.
    pub async fn follow(self) {
        let Some(watch) = self.watch.clone() else { return std::future::pending().await };
        loop {
            if !watch.changed().await && !self.is_good_again().await {
                continue;
            }
            let _told = self.reload(Need::Sure, "change of a file").await;
        }
    }

    /// Whether the files were refused and would not be now. A try in vain says nothing.
    async fn is_good_again(&self) -> bool {
        let is_refused = |last: &LastReload| last.outcome == ReloadOutcome::Refused;
        if !self.last.borrow().as_ref().is_some_and(is_refused) {
            return false;
        }
        let source = self.clone();
        let read = move || read_policy(source.dir.as_deref(), &source.caps, &Runner::present()).is_ok();
        self.readings.read(Need::Maybe, read, self.again(), Result::unwrap_or_default).await
    }

    /// Reloads because a signal asks for it; gives whether there was no mistake.
    pub async fn reload_aside(&self) -> bool {
        self.reload(Need::Sure, SIGNAL).await.is_ok()
    }
}

const SIGNAL: &str = "signal";
const REFUSED: &str = "refused";

/// Tells of a load and what came of it.
fn tell_load(result: &'static str) {
    Metric::PolicyLoads.add(&[("result", result)], 1);
    Metric::PolicyRefused.set(&[], if result == REFUSED { 1.0 } else { 0.0 });
    Metric::PolicyLoadTime.set_time(Clock::system().now());
}

fn place(dir: Option<&Path>) -> String {
    dir.map_or_else(|| "shipped".to_owned(), |dir| dir.display().to_string())
}

/// Reads and compiles a policy directory, which nobody but root and `runner` may change, or the shipped policy. It must
/// have the levels that the configuration caps at. The notes of a good policy are for `policy check`, not for the log.
///
/// # Errors
/// Every mistake.
pub fn read_policy(dir: Option<&Path>, caps: &Caps, runner: &Runner) -> Result<Policy, Vec<Problem>> {
    let files: Vec<PolicyFile> =
        dir.map_or_else(|| Ok(policy::shipped()), |dir| policy_files::read_guarded(dir, runner))?;
    let (policy, _notes) = policy::compile_with(&files, crate::sanitize::in_listed_value)?;
    policy
        .check_caps(caps)
        .map_err(|faults| faults.iter().map(|fault| missing_cap(fault)).collect::<Vec<_>>())?;
    Ok(policy)
}

/// A cap of the configuration that the policy does not know: it would cap nothing.
fn missing_cap(fault: &str) -> Problem {
    let (what, remedy) = fault.rsplit_once("; ").unwrap_or((fault, "name what the policy has"));
    Problem {
        file: "configuration".to_owned(),
        line: 1,
        key: "ingest.level_caps".to_owned(),
        what: what.to_owned(),
        remedy: remedy.to_owned(),
        severity: Severity::Error,
        is_of_the_system: false,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_policy_without_a_level_that_is_capped_at_is_refused_by_the_key_of_the_configuration() {
        let caps = |program, level| {
            Caps::from([(ProgramName::new(program).unwrap(), LevelName::new(level).unwrap())])
        };
        assert!(read_policy(None, &caps("ceip", "none"), &Runner::present()).is_ok());
        for (program, level) in [("ciep", "none"), ("ceip", "nil")] {
            let problems = read_policy(None, &caps(program, level), &Runner::present()).unwrap_err();
            let text = problems.first().unwrap().to_string();
            assert!(text.contains("ingest.level_caps") && text.contains(program), "{text}");
        }
    }
}
