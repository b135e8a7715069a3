//! Whether the accept loop still goes round: whoever asks is answered by the loop itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Asks an accept loop whether it goes round. Clones ask the same one.
#[derive(Debug, Clone, Default)]
pub struct Heart(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    asked: Notify,
    answered: Notify,
    has_ended: AtomicBool,
}

impl Heart {
    /// Waits until the loop answers, and gives whether it still takes connections. One that hangs, or has not begun, never
    /// answers.
    pub async fn beats(&self) -> bool {
        // Before it is asked: an answer that comes at once is heard, too.
        let answered = self.0.answered.notified();
        if self.has_ended() {
            return false;
        }
        self.0.asked.notify_one();
        answered.await;
        !self.has_ended()
    }

    fn has_ended(&self) -> bool {
        self.0.has_ended.load(Ordering::Acquire)
    }

    /// For the loop: waits until somebody asks.
    pub(super) async fn asked(&self) {
        self.0.asked.notified().await;
    }

    /// For the loop: it goes round.
    pub(super) fn answer(&self) {
        self.0.answered.notify_waiters();
    }

    /// For the loop: it takes no more connections, as was asked for.
    pub(super) fn end(&self) {
        self.0.has_ended.store(true, Ordering::Release);
        self.0.answered.notify_waiters();
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::time::Duration;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::grpc::identity::Gate;
    use crate::grpc::{Options, serve_guarded};

    #[tokio::test]
    async fn an_accept_loop_answers_while_it_goes_round_and_says_that_it_has_ended() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (heart, shutdown) = (Heart::default(), CancellationToken::new());
        let routes = tonic::service::Routes::default();
        let door = serve_guarded(
            listener,
            routes,
            Options::default(),
            (Gate::open(), heart.clone()),
            shutdown.clone(),
        );
        let door = tokio::spawn(door);
        for _ in 0..3 {
            assert!(heart.beats().await);
        }
        shutdown.cancel();
        door.await.unwrap();
        assert!(!heart.beats().await, "it is not waited for");
    }

    #[tokio::test]
    async fn a_loop_that_does_not_go_round_never_answers_and_all_who_ask_are_answered() {
        let heart = Heart::default();
        let asked = tokio::time::timeout(Duration::from_millis(10), heart.beats()).await;
        assert!(asked.is_err());
        let asking: Vec<_> = (0..3)
            .map(|_| {
                let heart = heart.clone();
                tokio::spawn(async move { heart.beats().await })
            })
            .collect();
        while !asking.iter().all(tokio::task::JoinHandle::is_finished) {
            heart.answer();
            tokio::task::yield_now().await;
        }
        for asked in asking {
            assert!(asked.await.unwrap());
        }
    }
}
