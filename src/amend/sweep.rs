//! Going through the queue in pieces: what is found there is judged and rewritten, and the places that were rewritten
//! are remembered, so that the old bytes can be taken off the disk.

use std::sync::Arc;

use tracing::Instrument as _;

use super::touched::Touched;
use super::{AmendError, blocking};
use crate::model::{CommitNumber, CustomerKey};
use crate::observe::trace;
use crate::store::{Amended, Amendment, MetaOp, Place, Scan, Scanned, Store};

/// Places that are looked at in one piece of work, and headers that are judged in it.
const PIECE: (u64, usize) = (16_384, 256);
/// What one piece of work makes of some records.
pub(super) struct Piece<T, U> {
    /// What is to be amended, in order, each with what it is for.
    pub(super) amendments: Vec<(Amendment, U)>,
    /// What was seen.
    pub(super) told: T,
}

/// What judges the headers of one piece, off the runtime's threads.
pub(super) type Judging<T, U> = Arc<dyn Fn(&Scanned) -> Result<Piece<T, U>, AmendError> + Send + Sync>;
/// What is to be written together with some amendments.
pub(super) type Noting<'n, U> =
    dyn FnMut(&[(CommitNumber, &U)]) -> Result<Vec<MetaOp>, AmendError> + Send + 'n;

/// A way through the queue, piece by piece.
pub(super) struct Sweep<T, U> {
    pub(super) store: Store,
    pub(super) customer: Option<CustomerKey>,
    pub(super) from: CommitNumber,
    pub(super) upto: CommitNumber,
    pub(super) judging: Judging<T, U>,
    pub(super) touched: Touched,
}

impl<T: Send + 'static, U: Send + Sync + 'static> Sweep<T, U> {
    /// Judges the next piece; `None` at the end. [`Self::from`] is the commit that comes after it.
    pub(super) async fn next(&mut self) -> Result<Option<Piece<T, U>>, AmendError> {
        self.from = self.from.max(self.store.oldest());
        if self.from > self.upto {
            return Ok(None);
        }
        let (reader, judging) = (self.store.clone(), Arc::clone(&self.judging));
        let scan = Scan {
            customer: self.customer,
            from: self.from,
            to: self.upto,
            places: PIECE.0,
            headers: PIECE.1,
        };
        let piece = blocking(move || {
            let scanned = reader.scan(scan)?;
            Ok::<_, AmendError>((scanned.next, judging(&scanned)?))
        });
        let (next, piece) = piece.await??;
        // Where nothing is left to look at, the way ends.
        self.from = if next > self.from { next } else { self.upto.next() };
        Ok(Some(piece))
    }

    /// Amends what was judged, some at a time; with each write goes what `noting` gives for it.
    pub(super) async fn amend(
        &mut self,
        amendments: Vec<(Amendment, U)>,
        noting: &mut Noting<'_, U>,
    ) -> Result<(), AmendError> {
        let mut left = amendments.into_iter().peekable();
        while left.peek().is_some() {
            let chunk = Amendment::chunk(&mut left, |(amendment, _)| amendment);
            let told: Vec<(CommitNumber, &U)> = chunk.iter().map(|(one, of)| (one.commit, of)).collect();
            let ops = noting(&told)?;
            let commits: Vec<CommitNumber> = told.iter().map(|(commit, _)| *commit).collect();
            let amendments = chunk.into_iter().map(|(amendment, _)| amendment).collect();
            let outcomes = self.store.amend_with(amendments, ops).await?;
            for (commit, outcome) in commits.into_iter().zip(outcomes) {
                match outcome {
                    Amended::Done => self.touched.add(commit),
                    Amended::Gone | Amended::Absent | Amended::Damaged => {}
                    // Only this room amends, and one thing at a time.
                    Amended::Changed | Amended::Unlike => {
                        return Err(AmendError::Damaged { what: "an amendment" });
                    }
                }
            }
        }
        Ok(())
    }
}

/// Takes the old bytes of these places off the disk.
pub(super) async fn purge(store: &Store, places: Vec<Place>) -> Result<(), AmendError> {
    let store = store.clone();
    let span = trace::purge();
    let purged = blocking(move || store.purge(&places, &mut |_| {})).instrument(span.clone()).await??;
    trace::purged(&span, purged.files, purged.bytes);
    tracing::info!(
        files = purged.files,
        bytes = purged.bytes,
        seconds = purged.took.as_secs_f64(),
        "took old bytes off the disk"
    );
    Ok(())
}
