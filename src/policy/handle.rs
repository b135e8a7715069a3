//! The policy in force, swapped while requests run. Whoever loads it keeps that snapshot, so a
//! batch is decided under one policy (P5).

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Policy;

/// The policy in force. Clones share it.
#[derive(Debug, Clone)]
pub struct Handle(Arc<ArcSwap<Policy>>);

impl Handle {
    /// Puts a first policy in force.
    #[must_use]
    pub fn new(policy: Arc<Policy>) -> Self {
        Self(Arc::new(ArcSwap::new(policy)))
    }

    /// The policy in force now. Load once per batch.
    #[must_use]
    pub fn load(&self) -> Arc<Policy> {
        self.0.load_full()
    }

    /// Puts another policy in force and gives back the one before.
    #[expect(clippy::must_use_candidate, reason = "who only replaces a policy has no use for the one before")]
    pub fn swap(&self, policy: Arc<Policy>) -> Arc<Policy> {
        self.0.swap(policy)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::Arc;

    use super::super::{compile, sample, shipped};
    use super::Handle;

    #[test]
    fn what_was_loaded_stays_as_it_was_when_another_policy_is_swapped_in() {
        // covers: P5
        let handle = Handle::new(Arc::new(sample::policy()));
        let batch = handle.load();
        let before = batch.version().to_owned();
        let mut files = shipped();
        files.first_mut().unwrap().text.push('\n');
        let swapped = handle.clone().swap(Arc::new(compile(&files).unwrap().0));
        assert!(Arc::ptr_eq(&swapped, &batch));
        assert_eq!(batch.version(), before);
        assert_ne!(handle.load().version(), before);
    }
}
