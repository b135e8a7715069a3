//! Takes off the disk what notices said: where a level keeps the customer's id, a notice names a customer that was
//! erased. Once its subscriptions have acknowledged it, or are deleted, nothing may say that name any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Shared;
use crate::observe::Seldom;
use crate::store::{MetaTable, Place, PurgeError};

/// It is tried again every second.
static NO_PURGE: Seldom = Seldom::new();

/// Whether files may still hold notices that have ended.
#[derive(Debug, Default)]
pub(super) struct NoticesPurge {
    due: AtomicBool,
    is_running: AtomicBool,
}

impl NoticesPurge {
    /// That of a collector that starts: what `is_due` may not have been done before it ended.
    pub(super) fn new(is_due: bool) -> Self {
        Self { due: AtomicBool::new(is_due), ..Self::default() }
    }

    /// Takes note that a notice has ended, and that this is written.
    pub(super) fn is_due(&self) {
        self.due.store(true, Ordering::Release);
    }
}

impl Shared {
    /// Begins to rewrite the files that may hold notices that have ended. It is not waited for: a backup or the purge
    /// of an erasure can keep it waiting for long.
    pub(super) fn purge_notices(self: &Arc<Self>) {
        let state = &self.notices_purge;
        if !state.due.load(Ordering::Acquire) || state.is_running.swap(true, Ordering::AcqRel) {
            return;
        }
        state.due.store(false, Ordering::Release);
        let shared = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let places = [Place::Rows { table: MetaTable::Notices, prefix: Vec::new() }];
            let purged = shared.store.purge(&places, &mut |_| {});
            if let Err(error) = purged {
                shared.notices_purge.is_due();
                // A store that was closed is purged at the next start.
                if !matches!(error, PurgeError::Store(_))
                    && let Some(unsaid) = NO_PURGE.due()
                {
                    tracing::warn!(%error, unsaid, "what notices said is not off the disk; it is tried again");
                }
            }
            shared.notices_purge.is_running.store(false, Ordering::Release);
        });
    }
}
