//! Messages off a request body, undecoded. Every byte that is kept was reserved from the budget
//! before, in steps as the bytes arrive, and the reservation lives exactly as long as the bytes.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http_body::Body as _;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::Code;
use tonic::body::Body;

use crate::grpc::compression::{Bad, Encoding};
use crate::grpc::status::{Cause, Fault};
use crate::ingest::fair::Held;
use crate::model::limits;

use super::purse::{Paid, Purse, WhenSpent};

/// What comes before each message: a flag and the length.
const PREFIX_BYTES: usize = 5;

/// When a refused sender is asked to come back.
const RETRY: Duration = Duration::from_millis(200);

/// What a message is charged before its bytes arrive: a prefix alone does not take megabytes.
const FIRST: usize = 64 * 1024;

/// Messages that become at most so many bytes are expanded on the thread that received them: less than a
/// millisecond. Larger ones go to a thread that may block.
const INLINE_BYTES: usize = 256 * 1024;

/// A message that is under way brings `.0` bytes in `.1`, or its sender is too slow.
const STALL: (usize, Duration) = (64 * 1024, Duration::from_secs(5));

/// What is dropped of a refused request while its answer goes out: so many bytes, for so long, of so many requests at a
/// time. Of others the stream is reset.
const LEFTOVER: (usize, Duration) = (256 * 1024, Duration::from_secs(1));
static LEFTOVERS: Semaphore = Semaphore::const_new(256);

/// The bytes of a message, what they are charged, and the place of the batch. It is given back with the
/// last clone of them, wherever that is: the call may have ended long before.
struct Charged<B> {
    bytes: B,
    _paid: (Paid, Option<Held>),
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Charged<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

fn charged<B: AsRef<[u8]> + Send + 'static>(bytes: B, paid: Paid, place: Option<Held>) -> Bytes {
    Bytes::from_owner(Charged { bytes, _paid: (paid, place) })
}

/// A message, or why it was passed over; the messages after it can still be read. The bytes are
/// those of the frame that they came in, if they came in one.
pub(super) type Next = Result<Bytes, Fault>;

/// How the messages of a request are expanded.
#[derive(Debug, Clone)]
pub(super) struct Expansion {
    /// What its header says; `None` if no message may be compressed.
    pub(super) encoding: Option<Encoding>,
    /// Turns at expanding large messages, which all requests share.
    pub(super) turns: Arc<Semaphore>,
}

/// Reads messages off a body.
pub(super) struct Messages {
    body: Body,
    expansion: Expansion,
    /// What is left of the last frame.
    rest: Bytes,
    purse: Purse,
    deadline: Duration,
}

impl Messages {
    /// Reads `body`, each message at the expense of `purse` and within `deadline` from its first byte.
    pub(super) const fn new(body: Body, expansion: Expansion, purse: Purse, deadline: Duration) -> Self {
        Self { body, expansion, rest: Bytes::new(), purse, deadline }
    }

    /// The one message of a unary call. A refusal is the answer as soon as it is certain, whatever is still to come.
    ///
    /// # Errors
    /// If there is none, or another than one, or it is refused.
    pub(super) async fn only(mut self) -> Result<Bytes, Fault> {
        let only = self.read_only().await;
        if only.is_err() {
            self.let_go();
        }
        only
    }

    async fn read_only(&mut self) -> Result<Bytes, Fault> {
        let most = limits::REQUEST_BYTES.saturating_add(PREFIX_BYTES);
        // What the header of the request says of its length.
        if usize::try_from(self.body.size_hint().lower()).unwrap_or(usize::MAX) > most {
            return Err(too_large());
        }
        let message = match self.read(WhenSpent::Refuse).await? {
            Some(read) => read.map_err(|(_missing, fault)| fault)?,
            None => return Err(Fault::of(Cause::Malformed, "the request is empty; send one message")),
        };
        self.end().await?;
        Ok(message)
    }

    /// Drops what is under way of a request that was refused, for a moment and no more than one window of it: on a
    /// stream that is closed it would be a mistake of the connection, and ends it when there are many.
    fn let_go(mut self) {
        if self.body.is_end_stream() {
            return;
        }
        let Ok(place) = LEFTOVERS.try_acquire() else { return };
        tokio::spawn(async move {
            let mut left = LEFTOVER.0;
            let dropping = async {
                while let Ok(Some(data)) = self.frame().await {
                    left = left.saturating_sub(data.len());
                    if left == 0 {
                        break;
                    }
                }
            };
            let _over = timeout(LEFTOVER.1, dropping).await;
            drop(place);
        });
    }

    /// The next message; `None` after the last. Waits for its first byte without a deadline.
    ///
    /// # Errors
    /// If the body breaks off, is not gRPC, or is too slow: nothing more can be read of it.
    pub(super) async fn next(&mut self, when_spent: WhenSpent) -> Result<Option<Next>, Fault> {
        match self.read(when_spent).await? {
            Some(Err((missing, fault))) => {
                self.pass_over(missing).await?;
                Ok(Some(Err(fault)))
            }
            Some(Ok(message)) => Ok(Some(Ok(message))),
            None => Ok(None),
        }
    }

    /// The next message, or why it is refused, and how many of its bytes were not read.
    async fn read(&mut self, when_spent: WhenSpent) -> Result<Option<Result<Bytes, (usize, Fault)>>, Fault> {
        while self.rest.is_empty() {
            match self.frame().await? {
                Some(frame) => self.rest = frame,
                None => return Ok(None),
            }
        }
        let (encoding, length) = match self.prefix_here() {
            Some(here) => self.said(here)?,
            None => timeout(self.deadline, self.prefix()).await.map_err(|_| too_slow())??,
        };
        let size = usize::try_from(length).unwrap_or(usize::MAX);
        if size > limits::REQUEST_BYTES {
            return Ok(Some(Err((size, too_large()))));
        }
        let place = match self.purse.place(when_spent).await {
            Ok(place) => place,
            Err(fault) => return Ok(Some(Err((size, fault)))),
        };
        match timeout(self.deadline, self.body_of(size, when_spent)).await.map_err(|_| too_slow())?? {
            Ok((bytes, paid)) => {
                let whole = self.whole(bytes, paid, place, encoding, when_spent).await;
                Ok(Some(whole.map_err(|fault| (0, fault))))
            }
            Err(unpaid) => Ok(Some(Err(unpaid))),
        }
    }

    /// A message that is here, as it is to be read.
    async fn whole(
        &mut self,
        message: Bytes,
        paid: Paid,
        place: Option<Held>,
        encoding: Option<Encoding>,
        when_spent: WhenSpent,
    ) -> Next {
        let message = match encoding {
            None => charged(message, paid, place),
            Some(encoding) => {
                let (expanded, paid_anew) = self.expand(message, encoding, when_spent).await?;
                drop(paid);
                charged(expanded, paid_anew, place)
            }
        };
        self.purse.received(message.len());
        Ok(message)
    }

    /// Expands a message that is here whole, at the expense of the purse.
    async fn expand(
        &mut self,
        message: Bytes,
        encoding: Encoding,
        when_spent: WhenSpent,
    ) -> Result<(Vec<u8>, Paid), Fault> {
        let size = encoding.size(&message)?;
        let mut paid = self.purse.bytes(size.max(self.purse.least()), when_spent).await?;
        let expanded = if size.max(message.len()) <= INLINE_BYTES {
            encoding.expand(&message, size)?
        } else {
            let turn = Arc::clone(&self.expansion.turns).acquire_owned().await;
            let work = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                encoding.expand(&message, size)
            });
            work.await.unwrap_or(Err(Bad::Broken))?
        };
        paid.keep(expanded.capacity().max(self.purse.least()));
        Ok((expanded, paid))
    }

    /// Reads `size` bytes at the expense of the purse; how many are missing, if it does not pay for them.
    async fn body_of(
        &mut self,
        size: usize,
        when_spent: WhenSpent,
    ) -> Result<Result<(Bytes, Paid), (usize, Fault)>, Fault> {
        let first = size.min(FIRST.max(self.rest.len()));
        let mut room = first.max(self.purse.least());
        let mut paid = match self.purse.bytes(room, when_spent).await {
            Ok(paid) => paid,
            Err(fault) => return Ok(Err((size, fault))),
        };
        if self.rest.is_empty() && size > 0 {
            self.rest = self.more().await?;
        }
        let mut whole: Vec<u8> = Vec::new();
        let (mut stalled, mut enough) = (Instant::now() + STALL.1, STALL.0);
        loop {
            let missing = size.saturating_sub(whole.len());
            let here = missing.min(self.rest.len());
            let wanted = whole.len().saturating_add(here);
            if wanted > room {
                // Twice as much as there is, so that a large message is copied a few times only.
                let goal = size.min(wanted.max(room.saturating_mul(2)));
                match self.purse.bytes(goal.saturating_sub(room), when_spent).await {
                    Ok(more) => paid.add(more),
                    Err(fault) => return Ok(Err((missing, fault))),
                }
                room = goal;
            }
            if whole.is_empty() && here == size {
                return Ok(Ok((self.rest.split_to(here), paid)));
            }
            if wanted > whole.capacity() {
                whole.reserve_exact(size.min(room).saturating_sub(whole.len()));
            }
            whole.extend_from_slice(&self.rest.split_to(here));
            if whole.len() >= size {
                return Ok(Ok((whole.into(), paid)));
            }
            if whole.len() >= enough {
                (stalled, enough) = (Instant::now() + STALL.1, whole.len().saturating_add(STALL.0));
            }
            self.rest = timeout_at(stalled, self.more()).await.map_err(|_| too_slow())??;
        }
    }

    /// Reads to the end, where a unary request must be.
    async fn end(&mut self) -> Result<(), Fault> {
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
                // The door's own deadline for a first message.
                Some(Err(status)) if status.code() == Code::Unavailable => return Err(too_slow()),
                Some(Err(_reset)) => return Err(Fault::of(Cause::Cancelled, "the caller went away")),
            }
        }
    }

    async fn more(&mut self) -> Result<Bytes, Fault> {
        self.frame()
            .await?
            .ok_or_else(|| Fault::of(Cause::Malformed, "the request ends in the middle of a message"))
    }

    /// How the message that begins here is compressed, and its length.
    async fn prefix(&mut self) -> Result<(Option<Encoding>, u32), Fault> {
        let mut prefix = [0; PREFIX_BYTES];
        for byte in &mut prefix {
            if self.rest.is_empty() {
                self.rest = self.more().await?;
            }
            // `more` is never empty.
            *byte = self.rest.split_to(1).first().copied().unwrap_or_default();
        }
        self.said(prefix)
    }

    /// What comes before a message, if it is here whole, as nearly always.
    fn prefix_here(&mut self) -> Option<[u8; PREFIX_BYTES]> {
        let prefix = *self.rest.first_chunk()?;
        self.rest.advance(PREFIX_BYTES);
        Some(prefix)
    }

    /// What stands before a message.
    fn said(&self, [flag, a, b, c, d]: [u8; PREFIX_BYTES]) -> Result<(Option<Encoding>, u32), Fault> {
        let length = u32::from_be_bytes([a, b, c, d]);
        match (flag, self.expansion.encoding) {
            (0, _) => Ok((None, length)),
            (1, Some(encoding)) => Ok((Some(encoding), length)),
            (1, None) => Err(Fault::of(Cause::Malformed, COMPRESSED_UNSAID)),
            _ => Err(Fault::of(Cause::Malformed, "the message does not begin as gRPC messages do")),
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

const COMPRESSED_UNSAID: &str =
    "a message is compressed, and the request does not say how: name gzip or zstd in grpc-encoding";

fn too_large() -> Fault {
    Fault::of(Cause::TooLarge, "a request is at most 4 MiB; send several batches")
}

fn too_slow() -> Fault {
    Fault::of(Cause::Slow, "the request did not arrive in time; try again").spread(RETRY)
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
