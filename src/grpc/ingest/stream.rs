//! `SubmitStream`: batches are stored side by side, up to a bound, and answered in the order of the
//! requests.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::message::Messages;
use super::purse::WhenSpent;
use super::reply::{put_framed, trailers};
use super::{Ingest, Sender, batch_id};
use crate::grpc::proto::ingest::SubmitStreamResponse;
use crate::grpc::proto::ingest::submit_stream_response::Result as Outcome;
use crate::grpc::status::{Cause, Fault};
use crate::ingest::fair::Held;

/// How long a stream waits for room in the budget before a batch is refused. Flow control holds the
/// sender meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers that are ready go out together up to about so many bytes.
const COALESCED_BYTES: usize = 16 * 1024;

/// What the reader hands to the answerer, in the order of the requests.
enum Answer {
    /// A batch that is being stored.
    Pending(JoinHandle<SubmitStreamResponse>),
    /// A batch that was refused unread.
    Refused(SubmitStreamResponse),
    /// The end of the stream, and why, if the sender did not end it.
    End(Option<Fault>),
}

/// Begins to read `messages`; the body that is returned answers them.
pub(super) fn begin(
    ingest: Arc<Ingest>,
    sender: Sender,
    messages: Messages,
    closing: CancellationToken,
    place: Option<Held>,
) -> Answers {
    let (send, receive) = mpsc::channel(ingest.stream_batches);
    tokio::spawn(read(ingest, sender, messages, closing, send));
    Answers { receive, first: None, is_over: false, _place: place }
}

/// Takes a place before it reads, so that no more than the bound are stored at a time.
async fn read(
    ingest: Arc<Ingest>,
    sender: Sender,
    mut messages: Messages,
    closing: CancellationToken,
    send: mpsc::Sender<Answer>,
) {
    while let Ok(place) = send.reserve().await {
        let next = tokio::select! {
            biased;
            () = send.closed() => return,
            // Before the next batch, of which a fast sender always has one.
            () = closing.cancelled() => {
                let fault = Fault::of(Cause::Closing, "the connection is closing; open another and go on")
                    .spread(Duration::from_millis(100));
                place.send(Answer::End(Some(fault)));
                return;
            }
            next = messages.next(WhenSpent::Wait(PATIENCE)) => next,
        };
        match next {
            Ok(Some(Ok(message))) => {
                let (ingest, sender) = (Arc::clone(&ingest), sender.clone());
                place.send(Answer::Pending(tokio::spawn(async move {
                    let batch_id = batch_id(&message);
                    let outcome = match ingest.submit(&sender, message).await {
                        Ok(receipt) => Outcome::Receipt(receipt),
                        Err(fault) => Outcome::Error(fault.batch_error()),
                    };
                    SubmitStreamResponse { batch_id, result: Some(outcome) }
                })));
            }
            Ok(Some(Err(fault))) => place.send(Answer::Refused(refused(&fault))),
            Ok(None) => {
                place.send(Answer::End(None));
                return;
            }
            Err(fault) => {
                place.send(Answer::End(Some(fault)));
                return;
            }
        }
    }
}

/// The answer to a batch that was not read, so that its id is not known.
fn refused(fault: &Fault) -> SubmitStreamResponse {
    SubmitStreamResponse { batch_id: String::new(), result: Some(Outcome::Error(fault.batch_error())) }
}

fn failed() -> Fault {
    Fault::of(Cause::Internal, "the collector failed on this batch; it is logged")
}

/// The answers of a stream, as a body.
pub(super) struct Answers {
    receive: mpsc::Receiver<Answer>,
    /// The batch whose turn it is.
    first: Option<JoinHandle<SubmitStreamResponse>>,
    is_over: bool,
    /// The place of the stream, as long as it is answered.
    _place: Option<Held>,
}

/// The next step of a body of answers.
enum Step {
    Answer(SubmitStreamResponse),
    End(Option<Fault>),
}

impl Answers {
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            if let Some(first) = self.first.as_mut() {
                let joined = std::task::ready!(Pin::new(first).poll(cx));
                self.first = None;
                return Poll::Ready(Step::Answer(joined.unwrap_or_else(|_panic| refused(&failed()))));
            }
            match std::task::ready!(self.receive.poll_recv(cx)) {
                Some(Answer::Pending(batch)) => self.first = Some(batch),
                Some(Answer::Refused(answer)) => return Poll::Ready(Step::Answer(answer)),
                Some(Answer::End(fault)) => return Poll::Ready(Step::End(fault)),
                // The reader always sends an end, unless it failed.
                None => return Poll::Ready(Step::End(Some(failed()))),
            }
        }
    }
}

impl http_body::Body for Answers {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let mut ready = BytesMut::new();
        loop {
            match self.poll_step(cx) {
                Poll::Ready(Step::Answer(answer)) => {
                    put_framed(&answer, &mut ready);
                    if ready.len() >= COALESCED_BYTES {
                        return Poll::Ready(Some(Ok(Frame::data(ready.freeze()))));
                    }
                }
                Poll::Ready(Step::End(fault)) if ready.is_empty() => {
                    self.is_over = true;
                    return Poll::Ready(Some(trailers(fault.as_ref()).map(Frame::trailers)));
                }
                Poll::Ready(Step::End(fault)) => {
                    // The answers first; then this step again.
                    self.end_again(fault);
                    return Poll::Ready(Some(Ok(Frame::data(ready.freeze()))));
                }
                Poll::Pending if ready.is_empty() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Some(Ok(Frame::data(ready.freeze())))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }
}

impl Answers {
    /// Makes the end the next step.
    fn end_again(&mut self, fault: Option<Fault>) {
        let (send, receive) = mpsc::channel(1);
        // The channel is new and has room for one.
        let _sent = send.try_send(Answer::End(fault));
        self.receive = receive;
    }
}
