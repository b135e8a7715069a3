//! Answers to those who ask for a count: a stream that tells how far it is and takes as long as it takes, or one message
//! if the count is done in time. Whoever goes away ends the count.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status};

use super::proto::admin as pb;
use super::status::Fault;
use crate::amend::{AmendError, Counting, Heed};

/// It is told how far a count is no more often.
const TOLD_EVERY: Duration = Duration::from_millis(250);
/// Messages that wait for a caller; more are not kept for it.
const WAITING: usize = 4;

/// A stream that ends with what was counted.
pub(super) type Counted<T> = ReceiverStream<Result<T, Status>>;

/// Begins a count that the caller follows.
pub(super) fn followed<T, F>(
    told: fn(pb::CountProgress) -> T,
    count: impl FnOnce(Heed) -> F,
) -> Response<Counted<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, AmendError>> + Send + 'static,
{
    let (to, answers) = mpsc::channel(WAITING);
    let (listener, mut last) = (to.clone(), None::<Instant>);
    let counted = count(Box::new(move |Counting { done, total }| {
        if last.is_none_or(|last| last.elapsed() >= TOLD_EVERY) {
            last = Some(Instant::now());
            // Whoever does not read so fast is not waited for.
            let _ = listener.try_send(Ok(told(pb::CountProgress { done, total })));
        }
        !listener.is_closed()
    }));
    tokio::spawn(async move {
        let answer = counted.await.map_err(|error| Status::from(Fault::from(error)));
        let _ = to.send(answer).await;
    });
    Response::new(ReceiverStream::new(answers))
}

/// Waits for a count for so long, and no longer than the caller does.
pub(super) async fn within<T, F>(limit: Duration, count: impl FnOnce(Heed) -> F) -> Result<T, Fault>
where
    F: Future<Output = Result<T, AmendError>>,
{
    let (gone, begun) = (CancellationToken::new(), Instant::now());
    let _gone = gone.clone().drop_guard();
    let heed = Box::new(move |_| !gone.is_cancelled() && begun.elapsed() < limit);
    count(heed).await.map_err(Fault::from)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use tokio::sync::oneshot;
    use tokio_stream::StreamExt as _;

    use super::*;
    use crate::grpc::status::Cause;

    /// A count that has no end, as long as it is wanted.
    async fn endless(mut heed: Heed, ended: oneshot::Sender<()>) -> Result<pb::CountProgress, AmendError> {
        tokio::task::spawn_blocking(move || {
            while heed(Counting { done: 1, total: 2 }) {
                std::thread::yield_now();
            }
            let _ = ended.send(());
        })
        .await
        .unwrap();
        Err(AmendError::GivenUp)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_count_that_is_followed_tells_how_far_it_is_and_ends_when_its_caller_goes_away() {
        let (ended, has_ended) = oneshot::channel();
        let mut answers = followed(|at| at, |heed| endless(heed, ended)).into_inner();
        assert_eq!(answers.next().await.unwrap().unwrap(), pb::CountProgress { done: 1, total: 2 });
        drop(answers);
        has_ended.await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_count_for_one_answer_ends_when_its_caller_goes_away_or_its_time_is_over() {
        let (ended, mut has_ended) = oneshot::channel();
        let mut waiting = Box::pin(within(Duration::MAX, |heed| endless(heed, ended)));
        tokio::select! {
            biased;
            counted = &mut waiting => panic!("it has no end: {counted:?}"),
            () = tokio::task::yield_now() => {}
        }
        assert!(has_ended.try_recv().is_err());
        drop(waiting);
        has_ended.await.unwrap();

        let (ended, has_ended) = oneshot::channel();
        let refused = within(Duration::ZERO, |heed| endless(heed, ended)).await.unwrap_err();
        assert_eq!(refused.cause(), Cause::CountTooLong);
        has_ended.await.unwrap();
    }
}
