//! What systemd, or another manager that speaks its protocol, is told: that the doors are open, that the policy is read
//! again, that it ends, and that it is alive. Without `NOTIFY_SOCKET` nobody is told anything.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Instant;

use crate::store::Store;

/// By how much more time for the start is asked for, and how often.
const MORE: (Duration, Duration) = (Duration::from_mins(1), Duration::from_secs(20));
/// How long more time is asked for. A start that takes longer hangs, and is better tried again.
const START: Duration = Duration::from_hours(1);

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd cannot be told how the collector is");
    }
}

/// Says that it starts, and asks for more time for as long as that takes: a large write-ahead log is read, or what was
/// erased since a backup is erased again; an hour at most.
pub(super) async fn starting() {
    let more = u32::try_from(MORE.0.as_micros()).unwrap_or(u32::MAX);
    let begun = Instant::now();
    while begun.elapsed() < START {
        tell(&[NotifyState::Status("opening the store"), NotifyState::ExtendTimeoutUsec(more)]);
        tokio::time::sleep(MORE.1).await;
    }
}

/// Says that the doors are open.
pub(super) fn ready(policy: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&format!("serving, policy {policy}"))]);
}

/// Says that the policy is read again; [`ready`] says that it was.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now, NotifyState::Status("reading the policy again")]),
        Err(error) => tracing::warn!(%error, "the monotonic clock cannot be read"),
    }
}

/// Says that the policy, certificates, identities or the configuration were refused, and those before are still in force.
pub(super) fn refused(policy: &str) {
    let status = format!("serving, policy {policy}; the last reload was refused");
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// Says that it ends.
pub(super) fn stopping(why: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(why)]);
}

/// Says that it is alive, at half of the interval of the watchdog, and only when the writer of the store has answered
/// meanwhile: whoever answers health checks and stores nothing is dead. Never returns.
pub(super) async fn watch(store: Store) {
    let Some(interval) = sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero()) else {
        return std::future::pending().await;
    };
    let half = interval / 2;
    tracing::info!(?interval, "watched by systemd");
    let mut beat = tokio::time::interval(half);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        match tokio::time::timeout(half, store.maintain()).await {
            Ok(Ok(())) => tell(&[NotifyState::Watchdog]),
            // It is closed, or has failed; that ends the process elsewhere.
            Ok(Err(_)) => {}
            Err(_) => tracing::error!(
                waited = ?half,
                "the writer of the store does not answer; systemd is not told that the collector is alive"
            ),
        }
    }
}
