//! Takes keys that were destroyed, or wrapped anew, out of every file: after each start, because nobody knows what was
//! left to do, and whenever keys go. What fails is tried again until it is done.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::error::with_causes;
use crate::observe::Seldom;
use crate::store::{PurgeError, Store};

/// It is tried again every five seconds.
static NO_PURGE: Seldom = Seldom::new();

/// A start has better things to do for so long.
const AFTER_START: Duration = Duration::from_secs(3);
/// How often it is looked whether something is due.
const LOOK: Duration = Duration::from_secs(1);
/// The pause after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Looks for which it is waited while more keys go, as when an epoch ends: what holds them is written anew once, and not
/// for every thousand customers.
const WAITED: u32 = 60;

/// Looks after them until `shutdown`. What is left then is for the next start.
pub(super) async fn run(store: Store, shutdown: CancellationToken) {
    let mut looks = tokio::time::interval_at(Instant::now() + AFTER_START, LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut calm = Calm::default();
    let work = async {
        loop {
            looks.tick().await;
            if !store.holds_gone_keys() || !calm.has_come(store.gone_keys()) {
                continue;
            }
            let purging = store.clone();
            let purged = tokio::task::spawn_blocking(move || purging.purge_keys()).await;
            if let Ok(Err(error)) = purged {
                // A store that was closed is purged after the next start.
                if !matches!(error, PurgeError::Store(_))
                    && let Some(unsaid) = NO_PURGE.due()
                {
                    let error = with_causes(&error);
                    tracing::warn!(
                        error,
                        unsaid,
                        "keys that are gone may still be in files; it is tried again"
                    );
                }
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = work => {}
    }
}

/// Whether keys have stopped going.
#[derive(Debug, Default)]
struct Calm {
    gone: u64,
    waited: u32,
}

impl Calm {
    /// Whether none has gone since the last look, or it was waited for long enough. Pure but for what it remembers.
    fn has_come(&mut self, gone: u64) -> bool {
        let is_calm = self.gone == gone || self.waited >= WAITED;
        self.waited = if is_calm { 0 } else { self.waited + 1 };
        self.gone = gone;
        is_calm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_waited_until_no_more_keys_go_but_not_for_ever() {
        let mut calm = Calm::default();
        assert!(!calm.has_come(2), "just opened");
        assert!(calm.has_come(2));
        assert!(!calm.has_come(3));
        assert!(calm.has_come(3));
        let waited = (4..1_000).take_while(|gone| !calm.has_come(*gone)).count();
        assert_eq!(u32::try_from(waited), Ok(WAITED));
    }
}
