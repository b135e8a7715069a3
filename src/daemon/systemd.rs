//! What systemd, or another manager that speaks its protocol, is told: that the doors are open, that the policy is read
//! again, that it ends, and that it is alive. Without `NOTIFY_SOCKET` nobody is told anything.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Instant;

use crate::grpc::Heart;
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

/// What became of asking something whether it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// It does.
    Lives,
    /// It has ended in order, or has failed and said so; what that means is decided elsewhere.
    Ended,
    /// It did not answer in time.
    Late,
}

/// What the manager is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// That the collector is alive.
    Alive,
    /// Nothing: the store is closed, or has failed, which ends the process elsewhere.
    Ending,
    /// Nothing: the writer of the store hangs.
    WriterHangs,
    /// Nothing: the accept loop of the gRPC door hangs.
    DoorHangs,
}

/// Alive is what stores, and takes connections unless it was asked to end: while what was accepted is finished, there is no
/// accept loop.
const fn verdict(writer: Answer, door: Answer) -> Verdict {
    match (writer, door) {
        (Answer::Late, Answer::Lives | Answer::Ended | Answer::Late) => Verdict::WriterHangs,
        (Answer::Lives | Answer::Ended, Answer::Late) => Verdict::DoorHangs,
        (Answer::Ended, Answer::Lives | Answer::Ended) => Verdict::Ending,
        (Answer::Lives, Answer::Lives | Answer::Ended) => Verdict::Alive,
    }
}

/// The answer of something that gives whether it lives, and has so long for it.
async fn ask(long: Duration, asked: impl Future<Output = bool>) -> Answer {
    match tokio::time::timeout(long, asked).await {
        Ok(true) => Answer::Lives,
        Ok(false) => Answer::Ended,
        Err(_) => Answer::Late,
    }
}

/// Says that it is alive, at half of the interval of the watchdog, and only when the writer of the store and the accept
/// loop of the door have answered meanwhile: whoever answers health checks and stores nothing is dead, and so is whoever
/// takes no connections. Never returns.
pub(super) async fn watch(store: Store, door: Heart) {
    let Some(interval) = sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero()) else {
        return std::future::pending().await;
    };
    let half = interval / 2;
    tracing::info!(?interval, "watched by systemd");
    let mut beat = tokio::time::interval(half);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let writer = async { store.maintain().await.is_ok() };
        let (writer, door) = tokio::join!(ask(half, writer), ask(half, door.beats()));
        match verdict(writer, door) {
            Verdict::Alive => tell(&[NotifyState::Watchdog]),
            Verdict::Ending => {}
            Verdict::WriterHangs => tracing::error!(
                waited = ?half,
                "the writer of the store does not answer; systemd is not told that the collector is alive"
            ),
            Verdict::DoorHangs => tracing::error!(
                waited = ?half,
                "the gRPC door takes no connections; systemd is not told that the collector is alive"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alive_is_what_stores_and_takes_connections_until_it_is_asked_to_end() {
        use Answer::{Ended, Late, Lives};
        for (writer, door, told) in [
            (Lives, Lives, Verdict::Alive),
            (Lives, Ended, Verdict::Alive),
            (Lives, Late, Verdict::DoorHangs),
            (Ended, Lives, Verdict::Ending),
            (Ended, Ended, Verdict::Ending),
            (Ended, Late, Verdict::DoorHangs),
            (Late, Lives, Verdict::WriterHangs),
            (Late, Ended, Verdict::WriterHangs),
            (Late, Late, Verdict::WriterHangs),
        ] {
            assert_eq!(verdict(writer, door), told, "{writer:?} {door:?}");
        }
    }

    #[tokio::test]
    async fn a_door_whose_loop_does_not_go_round_is_late() {
        let hung = Heart::default();
        assert_eq!(ask(Duration::from_millis(10), hung.beats()).await, Answer::Late);
        let never = Duration::from_hours(1);
        assert_eq!(ask(never, async { true }).await, Answer::Lives);
        assert_eq!(ask(never, async { false }).await, Answer::Ended);
    }
}
