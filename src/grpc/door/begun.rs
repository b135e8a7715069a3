//! The body of a stream, whose first message has a deadline: a stream that is opened and left is
//! ended, and its place is free again.

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

/// A body that fails if its first message is not there in time.
pub(super) struct Begun<B> {
    body: B,
    prefix: [u8; PREFIX_BYTES],
    seen: usize,
    /// Set until the first message has come.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<B> Begun<B> {
    pub(super) fn within(deadline: Duration, body: B) -> Self {
        Self { body, prefix: [0; PREFIX_BYTES], seen: 0, deadline: Some(Box::pin(sleep(deadline))) }
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
            if self.deadline.is_some()
                && let Some(data) = frame.as_ref().and_then(|f| f.as_ref().ok()?.data_ref()).cloned()
            {
                self.saw(&data);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(|e| Status::from_error(Box::new(e)))));
        }
        if let Some(deadline) = self.deadline.as_mut() {
            std::task::ready!(deadline.as_mut().poll(cx));
            self.deadline = None;
            let fault = Fault::of(Cause::Slow, "the first message of the stream did not come in time")
                .retry_after(Duration::from_millis(200));
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

    async fn read(frames: &'static [&'static [u8]]) -> Result<(), Status> {
        let frames =
            tokio_stream::iter(frames.iter().map(|f| Ok::<_, Status>(Frame::data(Bytes::from_static(f)))));
        let body = StreamBody::new(frames.chain(tokio_stream::pending()));
        let mut body = Begun::within(Duration::from_millis(20), body);
        loop {
            match tokio::time::timeout(Duration::from_millis(200), body.frame()).await {
                Ok(frame) => drop(frame.unwrap()?),
                Err(_still_open) => return Ok(()),
            }
        }
    }

    #[tokio::test]
    async fn a_stream_without_a_whole_first_message_is_ended() {
        let cases: [&'static [&'static [u8]]; 3] = [&[], &[&[0, 0]], &[&[0, 0, 0], &[0, 2, 1]]];
        for frames in cases {
            assert_eq!(read(frames).await.unwrap_err().code(), tonic::Code::Unavailable);
        }
        read(&[&[0, 0, 0], &[0, 2, 1, 1]]).await.unwrap();
        read(&[&[0, 0, 0, 0, 0]]).await.unwrap();
    }
}
