//! Messages off a request body, undecoded: the five bytes before each are read first, then its
//! bytes are reserved from the budget, and only then is it read.

use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use tokio::time::timeout;
use tonic::body::Body;

use crate::grpc::door::{Reservation, Share};
use crate::grpc::status::{Cause, Fault};
use crate::model::limits;

/// What comes before each message: a flag and the length.
const PREFIX_BYTES: usize = 5;

/// When a refused sender is asked to come back.
const RETRY: Duration = Duration::from_millis(200);

/// One message as it came, and the bytes reserved for it.
#[derive(Debug)]
pub(super) struct Message {
    /// The bytes: in the frame that they came in, if they came in one.
    pub(super) bytes: Bytes,
    /// Free when this is dropped.
    pub(super) reservation: Reservation,
}

/// What to do while the budget is spent.
#[derive(Debug, Clone, Copy)]
pub(super) enum WhenSpent {
    /// Refuse at once: the sender comes again.
    Refuse,
    /// Wait so long and let flow control hold the sender, then refuse.
    Wait(Duration),
}

/// A message, or why it was passed over; the messages after it can still be read.
pub(super) type Next = Result<Message, Fault>;

/// Reads messages off a body.
pub(super) struct Messages {
    body: Body,
    /// What is left of the last frame.
    rest: Bytes,
    share: Share,
    deadline: Duration,
}

impl Messages {
    /// Reads `body`, each message at the expense of `share` and within `deadline` from its first byte.
    pub(super) const fn new(body: Body, share: Share, deadline: Duration) -> Self {
        Self { body, rest: Bytes::new(), share, deadline }
    }

    /// The next message; `None` after the last. Waits for its first byte without a deadline.
    ///
    /// # Errors
    /// If the body breaks off, is not gRPC, or is too slow: nothing more can be read of it.
    pub(super) async fn next(&mut self, when_spent: WhenSpent) -> Result<Option<Next>, Fault> {
        while self.rest.is_empty() {
            match self.frame().await? {
                Some(frame) => self.rest = frame,
                None => return Ok(None),
            }
        }
        let length = timeout(self.deadline, self.prefix()).await.map_err(|_| too_slow())??;
        let size = usize::try_from(length).unwrap_or(usize::MAX);
        if size > limits::REQUEST_BYTES {
            self.pass_over(size).await?;
            return Ok(Some(Err(too_large())));
        }
        let reservation = match when_spent {
            WhenSpent::Refuse => self.share.take(length),
            WhenSpent::Wait(patience) => timeout(patience, self.share.wait(length)).await.ok().flatten(),
        };
        let Some(reservation) = reservation else {
            self.pass_over(size).await?;
            return Ok(Some(Err(spent())));
        };
        let bytes = timeout(self.deadline, self.take(size)).await.map_err(|_| too_slow())??;
        Ok(Some(Ok(Message { bytes, reservation })))
    }

    /// Reads to the end, where a unary request must be.
    pub(super) async fn end(&mut self) -> Result<(), Fault> {
        if !self.rest.is_empty() {
            return Err(Fault::of(Cause::Malformed, "Submit takes one message; use SubmitStream for more"));
        }
        if self.body.is_end_stream() {
            return Ok(());
        }
        match timeout(self.deadline, self.frame()).await.map_err(|_| too_slow())?? {
            None => Ok(()),
            Some(_) => {
                Err(Fault::of(Cause::Malformed, "Submit takes one message; use SubmitStream for more"))
            }
        }
    }

    /// The next bytes; `None` at the end.
    async fn frame(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let polled = std::future::poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx)).await;
            match polled.map(|frame| frame.map(http_body::Frame::into_data)) {
                None => return Ok(None),
                Some(Ok(Ok(data))) if data.is_empty() => {}
                Some(Ok(Ok(data))) => return Ok(Some(data)),
                // Trailers of a request mean nothing.
                Some(Ok(Err(_trailers))) => {}
                Some(Err(_reset)) => return Err(Fault::of(Cause::Cancelled, "the caller went away")),
            }
        }
    }

    async fn more(&mut self) -> Result<Bytes, Fault> {
        self.frame()
            .await?
            .ok_or_else(|| Fault::of(Cause::Malformed, "the request ends in the middle of a message"))
    }

    /// The length of the message that begins here.
    async fn prefix(&mut self) -> Result<u32, Fault> {
        let prefix = self.take(PREFIX_BYTES).await?;
        match *prefix {
            [0, a, b, c, d] => Ok(u32::from_be_bytes([a, b, c, d])),
            [1, ..] => Err(Fault::of(Cause::Compressed, "send the request uncompressed")),
            _ => Err(Fault::of(Cause::Malformed, "the message does not begin as gRPC messages do")),
        }
    }

    /// The next `size` bytes. Copies them only if they came in several frames.
    async fn take(&mut self, size: usize) -> Result<Bytes, Fault> {
        if self.rest.is_empty() && size > 0 {
            self.rest = self.more().await?;
        }
        if self.rest.len() >= size {
            return Ok(self.rest.split_to(size));
        }
        let mut whole = BytesMut::with_capacity(size);
        loop {
            let missing = size.saturating_sub(whole.len());
            whole.extend_from_slice(&self.rest.split_to(missing.min(self.rest.len())));
            if whole.len() >= size {
                return Ok(whole.freeze());
            }
            self.rest = self.more().await?;
        }
    }

    /// Reads `size` bytes and keeps none.
    async fn pass_over(&mut self, size: usize) -> Result<(), Fault> {
        let (deadline, mut missing) = (self.deadline, size);
        let passing = async {
            loop {
                let here = missing.min(self.rest.len());
                drop(self.rest.split_to(here));
                missing = missing.saturating_sub(here);
                if missing == 0 {
                    return Ok(());
                }
                self.rest = self.more().await?;
            }
        };
        timeout(deadline, passing).await.map_err(|_| too_slow())?
    }
}

fn too_large() -> Fault {
    Fault::of(Cause::TooLarge, "a request is at most 4 MiB; send several batches")
}

fn spent() -> Fault {
    Fault::of(Cause::NoBytes, "the collector is reading as much as it can hold; try again").retry_after(RETRY)
}

fn too_slow() -> Fault {
    Fault::of(Cause::Slow, "the request did not arrive in time; try again").retry_after(RETRY)
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
