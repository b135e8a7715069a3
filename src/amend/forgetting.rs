//! Forgetting erasures that were done long ago, and what need not be withheld any more.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::remembered::{self, Asked};
use super::{AmendError, ROUND, Shared, blocking};
use crate::model::UnixMillis;
use crate::sanitize::Erased;
use crate::store::{MetaOp, MetaTable};

/// How long the row of an erasure that is done is kept, for who asks, and for backups: a year.
const REMEMBERED_MS: i64 = 365 * 86_400_000;
/// Rows that are looked at, and forgotten, at a time.
const ROWS: usize = 1_000;

impl Shared {
    /// Looks through what is remembered, once in a while: it takes as long as there are rows.
    pub(super) async fn forget_old(self: &Arc<Self>) -> Result<(), AmendError> {
        let now = self.clock.now();
        let last = *self.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        let often = i64::try_from(ROUND.as_millis()).unwrap_or(i64::MAX);
        if last.is_some_and(|last| (0..often).contains(&now.ms_since(last))) {
            return Ok(());
        }
        // What is forgotten is not remembered again: not by a clock that is wrong for a while.
        let Some(settled) = self.clock.settled(Duration::from_millis(REMEMBERED_MS.unsigned_abs())) else {
            return Ok(());
        };
        self.forget_erasures(settled).await?;
        self.forget_suppressions(settled).await?;
        *self.forgotten.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        Ok(())
    }

    async fn forget_erasures(self: &Arc<Self>, now: UnixMillis) -> Result<(), AmendError> {
        // None is done before it was asked for.
        let (asked, mut after) = (UnixMillis(now.0.saturating_sub(REMEMBERED_MS)), None);
        loop {
            let some: Vec<Asked> = self.remembered().before(asked, after, ROWS);
            let Some(last) = some.last().copied() else { return Ok(()) };
            after = Some(last);
            let shared = Arc::clone(self);
            let old = blocking(move || {
                let mut old = Vec::new();
                for one in some {
                    let done = remembered::read(&shared.store, one.1)?.map(|erasure| erasure.done);
                    // What has no row is forgotten already.
                    if done.is_none_or(|done| done.is_some_and(|done| now.ms_since(done) > REMEMBERED_MS)) {
                        old.push(one);
                    }
                }
                Ok::<_, AmendError>(old)
            });
            let old = old.await??;
            if !old.is_empty() {
                let key = |one: &Asked| one.1.as_bytes().to_vec();
                let ops = old.iter().map(|one| MetaOp::Delete { table: MetaTable::Erasures, key: key(one) });
                self.store.write_meta(ops.collect(), true).await?;
                self.remembered().forget(&old);
            }
        }
    }

    /// Late arrivals are withheld until then. For a year more the pseudonyms are kept, to erase the same from a backup.
    async fn forget_suppressions(self: &Arc<Self>, now: UnixMillis) -> Result<(), AmendError> {
        let is_over =
            |row: &[u8]| Erased::decode(row).is_some_and(|erased| now.ms_since(erased.until) > REMEMBERED_MS);
        let mut after = None::<Vec<u8>>;
        loop {
            let (store, from) = (self.store.clone(), after);
            let rows = blocking(move || store.scan_meta(MetaTable::Suppressions, &[], from.as_deref(), ROWS))
                .await??;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = Some(last.clone());
            let over = rows.into_iter().filter(|(_, row)| is_over(row));
            let ops: Vec<MetaOp> =
                over.map(|(key, _)| MetaOp::Delete { table: MetaTable::Suppressions, key }).collect();
            if !ops.is_empty() {
                self.store.write_meta(ops, true).await?;
            }
        }
    }
}
