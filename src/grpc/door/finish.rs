//! Calls that change what is kept go on without their callers: one that went away, or was told that it takes too long, leaves
//! nothing half done. Such a call keeps its place among the requests until it ends, so there are no more of them than
//! that, and the door waits for them when it closes.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::slots::Slot;

/// The calls that go on without their callers. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Finishing(TaskTracker);

impl Finishing {
    /// Brings `call` to its end, also if this future is dropped before.
    pub(super) async fn to_its_end<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, Box<dyn Any + Send>>> + Send + 'static,
        slot: Arc<Slot>,
    ) -> Result<T, Box<dyn Any + Send>> {
        let task = self.0.spawn(async move {
            let answer = call.await;
            drop(slot);
            answer
        });
        // It catches its own panics; what is left is a runtime that ends.
        task.await.unwrap_or_else(|ended| Err(Box::new(ended)))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Waits until there is none, but not longer than `patience`. Gives how many are left.
    pub(super) async fn wait(&self, patience: Duration) -> usize {
        self.0.close();
        let _is_late = tokio::time::timeout(patience, self.0.wait()).await;
        self.len()
    }
}
