//! Has what is stored follow the policy that is in force.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::amend::Amend;

/// Tells the room that changes what is stored of every policy that comes into force. Ends with the source of policies.
pub(super) async fn heed(version: watch::Receiver<Arc<str>>, amend: Amend, request_deadline: Duration) {
    tell(version, request_deadline, || amend.policy_changed()).await;
}

/// Calls `changed` for every policy that comes into force: at once, and once more when every request that was decided
/// under the one before has been stored.
async fn tell(mut version: watch::Receiver<Arc<str>>, request_deadline: Duration, changed: impl Fn()) {
    while version.changed().await.is_ok() {
        changed();
        while let Ok(again) = tokio::time::timeout(2 * request_deadline, version.changed()).await {
            if again.is_err() {
                return;
            }
            changed();
        }
        changed();
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    // covers: P6
    #[tokio::test]
    async fn each_policy_is_told_of_at_once_and_again_when_what_was_decided_before_is_stored() {
        let (told, mut calls) = tokio::sync::mpsc::channel(16);
        let version = watch::Sender::new(Arc::from("0"));
        let deadline = Duration::from_millis(20);
        let heeding = tokio::spawn(tell(version.subscribe(), deadline, move || {
            let _ = told.try_send(std::time::Instant::now());
        }));
        let mut call =
            async || tokio::time::timeout(Duration::from_mins(1), calls.recv()).await.unwrap().unwrap();
        for number in ["1", "2"] {
            version.send_replace(Arc::from(number));
            let first = call().await;
            assert!(call().await.duration_since(first) >= 2 * deadline, "not before they are stored");
        }
        drop(version);
        heeding.await.unwrap();
        assert_eq!(calls.recv().await, None, "and not more often");
    }
}
