//! A call that runs is asked again whether its caller still may: before each message in either direction, and
//! every few seconds while there is none.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};
use tonic::Status;

use crate::grpc::identity::Access;
use crate::grpc::status::Fault;

/// How long a call on which nothing is said goes on after its credential has ended. Part of the API's contract.
const ASKED_EVERY: Duration = Duration::from_secs(5);

/// Whether a call may go on.
pub(super) struct Standing {
    access: Access,
    next: Pin<Box<Sleep>>,
}

impl Standing {
    pub(super) fn of(access: Access) -> Self {
        Self { access, next: Box::pin(sleep(ASKED_EVERY)) }
    }

    /// Fails once the call may not go on; wakes the task when it is to be asked again.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        self.access.still()?;
        while self.next.as_mut().poll(cx).is_ready() {
            self.access.still()?;
            self.next.as_mut().reset(Instant::now() + ASKED_EVERY);
        }
        Ok(())
    }
}

/// The body of a request that fails once its caller may not go on.
pub(super) struct Asked<B> {
    body: B,
    access: Access,
}

impl<B> Asked<B> {
    pub(super) const fn of(body: B, access: Access) -> Self {
        Self { body, access }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Asked<B>
where
    B::Error: std::error::Error + Send + Sync + 'static,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        // After the wait for it: what came under a credential that had ended by then is not taken, and neither is
        // what came before, if its end came then.
        if let Err(fault) = self.access.still() {
            return Poll::Ready(Some(Err(fault.status())));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|error| Status::from_error(Box::new(error)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
