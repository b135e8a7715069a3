//! The body of a request that has a deadline. Of a stream its first message: one that is opened and left is
//! ended, and its place is free again. Of a call that goes on without its caller all of it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::Status;

use crate::grpc::status::{Cause, Fault};

/// What comes before each message: a flag and the length.
const PREFIX_BYTES: usize = 5;

/// A body that fails if its first message, or all of it, is not there in time.
pub(super) struct Begun<B> {
    body: B,
    is_of_stream: bool,
    prefix: [u8; PREFIX_BYTES],
    seen: usize,
    /// Set until what is waited for has come.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<B> Begun<B> {
    /// Waits so long for the first message.
    pub(super) fn within(deadline: Duration, body: B) -> Self {
        let deadline = Some(Box::pin(sleep(deadline)));
        Self { body, is_of_stream: true, prefix: [0; PREFIX_BYTES], seen: 0, deadline }
    }

    /// Waits so long for the end of it.
    pub(super) fn whole_within(deadline: Duration, body: B) -> Self {
        Self { is_of_stream: false, ..Self::within(deadline, body) }
    }

    fn saw(&mut self, data: &[u8]) {
        for (place, byte) in self.prefix.iter_mut().skip(self.seen).zip(data) {
            *place = *byte;
        }
        self.seen = self.seen.saturating_add(data.len());
        let [_, a, b, c, d] = self.prefix;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if self.seen >= PREFIX_BYTES.saturating_add(length) {
            self.deadline = None;
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Begun<B>
where
    B::Error: std::error::Error + Send + Sync + 'static,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(frame) = polled {
            if self.is_of_stream
                && self.deadline.is_some()
                && let Some(data) = frame.as_ref().and_then(|f| f.as_ref().ok()?.data_ref()).cloned()
            {
                self.saw(&data);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(|e| Status::from_error(Box::new(e)))));
        }
        if let Some(deadline) = self.deadline.as_mut() {
            std::task::ready!(deadline.as_mut().poll(cx));
            self.deadline = None;
            let text = if self.is_of_stream {
                "the first message of the stream did not come in time"
            } else {
                "the request did not come in time"
            };
            let fault = Fault::of(Cause::Slow, text).spread(Duration::from_millis(200));
            return Poll::Ready(Some(Err(fault.status())));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use http_body_util::{BodyExt as _, StreamBody};
    use tokio_stream::StreamExt as _;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    type Frames = &'static [&'static [u8]];

    /// A body of these frames that does not end.
    fn body(frames: Frames) -> impl Body<Data = Bytes, Error = Status> + Unpin {
        let frames =
            tokio_stream::iter(frames.iter().map(|f| Ok::<_, Status>(Frame::data(Bytes::from_static(f)))));
        StreamBody::new(frames.chain(tokio_stream::pending()))
    }

    async fn read(mut body: Begun<impl Body<Data = Bytes, Error = Status> + Unpin>) -> Result<(), Status> {
        loop {
            match tokio::time::timeout(Duration::from_millis(200), body.frame()).await {
                Ok(Some(frame)) => drop(frame?),
                Ok(None) | Err(_) => return Ok(()),
            }
        }
    }

    #[tokio::test]
    async fn a_stream_without_a_whole_first_message_is_ended() {
        let cases: [Frames; 3] = [&[], &[&[0, 0]], &[&[0, 0, 0], &[0, 2, 1]]];
        for frames in cases {
            let refused = read(Begun::within(SHORT, body(frames))).await.unwrap_err();
            assert_eq!(refused.code(), tonic::Code::Unavailable);
        }
        read(Begun::within(SHORT, body(&[&[0, 0, 0], &[0, 2, 1, 1]]))).await.unwrap();
        read(Begun::within(SHORT, body(&[&[0, 0, 0, 0, 0]]))).await.unwrap();
    }

    /// covers: B1
    #[tokio::test]
    async fn a_call_that_goes_on_without_its_caller_does_not_wait_for_a_request_without_an_end() {
        let refused = read(Begun::whole_within(SHORT, body(&[&[0, 0, 0, 0, 0]]))).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unavailable);
        let whole = http_body_util::Full::new(Bytes::from_static(&[0; 5])).map_err(|never| match never {});
        read(Begun::whole_within(SHORT, whole)).await.unwrap();
    }
}
