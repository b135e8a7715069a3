//! What ends the daemon, or tells it to read its files again.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};

use super::configuration::ConfigurationSource;
use super::error::DaemonError;
use super::guarded::Guarded;
use super::identities::IdentitySource;
use super::ledger::Keeper;
use super::reload::PolicySource;
use super::systemd;

/// The signals that the daemon listens to. To be made before it says that it is ready.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// TERM or INT: finish and end.
    End,
    /// HUP: load the policy, certificates, identities and rates again.
    Reload,
}

impl Signals {
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::End,
            _ = self.interrupt.recv() => Wish::End,
            _ = self.hang_up.recv() => Wish::Reload,
        }
    }
}

/// What is read again on a signal.
#[derive(Clone, Copy)]
pub(super) struct Sources<'s> {
    pub policy: &'s PolicySource,
    pub identities: &'s IdentitySource,
    pub configuration: &'s ConfigurationSource,
    pub guarded: &'s Guarded,
}

/// Takes over what changes in the files of the policy and in the configuration, and looks at who may change files. Never
/// returns.
pub(super) async fn follow_files(policy: PolicySource, configuration: ConfigurationSource, guarded: Guarded) {
    tokio::join!(policy.follow(), configuration.follow(), guarded.follow());
}

/// Reads everything again whenever it is asked for; once more if that was during a reload. Never returns.
async fn reload_whenever(asked: &Notify, sources: Sources<'_>) -> Infallible {
    let Sources { policy, identities, configuration, guarded } = sources;
    loop {
        asked.notified().await;
        systemd::reloading();
        // None of them waits for the disk of another.
        let (of_policy, of_identities, of_configuration, ()) = tokio::join!(
            policy.reload_aside(),
            identities.reload_aside(),
            configuration.reload_aside(),
            guarded.look_aside(),
        );
        let taken_over = of_policy && of_identities && of_configuration;
        let policy = policy.handle().load();
        if taken_over {
            systemd::ready(policy.version());
        } else {
            systemd::refused(policy.version());
        }
    }
}

/// Serves until a signal asks for the end, or the store or the ledger fails. Reloads go on beside: files on a disk that
/// does not answer keep nobody from ending the collector.
pub(super) async fn until_the_end(
    mut signals: Signals,
    sources: Sources<'_>,
    mut fatal: watch::Receiver<Option<Arc<str>>>,
    keeper: &mut Keeper,
) -> Result<(), DaemonError> {
    let asked = Notify::new();
    let mut reloads = std::pin::pin!(reload_whenever(&asked, sources));
    loop {
        tokio::select! {
            wish = signals.next() => match wish {
                Wish::End => {
                    tracing::info!("asked to end, finishing what was accepted");
                    return Ok(());
                }
                Wish::Reload => asked.notify_one(),
            },
            failed = fatal.wait_for(Option::is_some) => {
                let why = failed.ok().and_then(|why| why.clone()).unwrap_or_default();
                tracing::error!(%why, "the store failed, ending: what was acknowledged is on disk");
                return Err(DaemonError::StoreFailed);
            }
            error = keeper.failed() => return Err(error),
            never = &mut reloads => match never {},
        }
    }
}
