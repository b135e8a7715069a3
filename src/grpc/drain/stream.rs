//! `StreamingPull`: batches go out while the client's limits allow, acknowledgements come in beside
//! them, and nothing waits for the other.

use std::collections::{HashMap, HashSet};
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::places::{Place, Places};
use super::{MAX_DEADLINE, convert, own, place};
use crate::drain::{Delivery, Drain, Pulled};
use crate::grpc::identity::Access;
use crate::grpc::proto::drain::{StreamingPullRequest, StreamingPullResponse};
use crate::grpc::status::{Cause, Fault};
use crate::grpc::times::duration;
use crate::model::SubscriptionName;

/// Answers that wait for the client to read them.
const WAITING_ANSWERS: usize = 2;
/// Bytes of batches in one answer; and batches.
const ANSWER: (u64, usize) = (1024 * 1024, 100);
/// How long one pull behind the stream waits for a batch.
const POLL: Duration = Duration::from_secs(10);
/// Batches that may be out: the default and the most.
const BATCHES: (u32, u32) = (100, 10_000);
/// Bytes that may be out: the default and the most.
const BYTES: (u64, u64) = (16 * 1024 * 1024, 64 * 1024 * 1024);
/// Leases that one write to the store changes.
const CHUNK: usize = 1000;

type Step<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Waiting = mpsc::Sender<Result<Outgoing, Status>>;

/// An answer that waits for the client to read it.
struct Outgoing {
    drain: Drain,
    name: SubscriptionName,
    batches: Vec<Delivery>,
    /// The rest of it.
    answer: StreamingPullResponse,
}

impl Outgoing {
    fn is_empty(&self) -> bool {
        let StreamingPullResponse { notices, acknowledged_ids, failures, .. } = &self.answer;
        self.batches.is_empty() && notices.is_empty() && acknowledged_ids.is_empty() && failures.is_empty()
    }

    /// What of it may go out now; `None` if that is nothing. A client that reads slowly gets no batch of which its
    /// customer has agreed to less meanwhile.
    fn leave(mut self) -> Option<StreamingPullResponse> {
        self.drain.keep_fresh(&self.name, &mut self.batches);
        if self.is_empty() {
            return None;
        }
        let batches = self.batches.into_iter().map(convert::received).collect();
        Some(StreamingPullResponse { batches, ..self.answer })
    }
}

/// The place of a stream, once it has one: of the reader and of the answers, whichever ends last.
type OwnPlace = Arc<OnceLock<Place>>;

/// The answers of a stream, as the transport takes them.
pub struct Answers {
    waiting: ReceiverStream<Result<Outgoing, Status>>,
    _place: OwnPlace,
}

impl Stream for Answers {
    type Item = Result<StreamingPullResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match ready!(Pin::new(&mut self.waiting).poll_next(cx)) {
                None => return Poll::Ready(None),
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                Some(Ok(outgoing)) => {
                    if let Some(answer) = outgoing.leave() {
                        return Poll::Ready(Some(Ok(answer)));
                    }
                }
            }
        }
    }
}

/// Begins a stream. It ends with the client, with an error, or when the connection is `closing`.
pub(super) fn begin(
    drain: Drain,
    places: Places,
    requests: Streaming<StreamingPullRequest>,
    access: Access,
    closing: CancellationToken,
) -> Answers {
    let (send, receive) = mpsc::channel(WAITING_ANSWERS);
    let own_place = OwnPlace::default();
    let answers = Answers { waiting: ReceiverStream::new(receive), _place: Arc::clone(&own_place) };
    tokio::spawn(async move {
        let stand = (places, Arc::clone(&own_place));
        let work = tokio::spawn(run(drain, stand, requests, access, closing, send.clone()));
        let end = match work.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fault)) => Err(fault),
            Err(_panic) => {
                Err(Fault::of(Cause::Internal, "the collector failed on this stream; it is logged"))
            }
        };
        if let Err(fault) = end {
            // If the client is gone, nobody is left to tell.
            let _told = send.send(Err(fault.status())).await;
        }
        drop(own_place);
    });
    answers
}

async fn run(
    drain: Drain,
    (places, own_place): (Places, OwnPlace),
    mut requests: Streaming<StreamingPullRequest>,
    access: Access,
    closing: CancellationToken,
    send: Waiting,
) -> Result<(), Fault> {
    let Ok(Some(first)) = requests.message().await else {
        return Err(Fault::field("subscription", "name the subscription in the first request"));
    };
    let mut stream = Flow::open(drain, &access, &first).await?;
    // It is set here and nowhere else.
    let _set = own_place.set(place(&places, &stream.name)?);
    let mut pulling: Option<Pulling> = None;
    let mut settling: Option<Step<Result<Settled, Fault>>> = stream.settle(first)?;
    loop {
        stream.forget_expired(Instant::now());
        if pulling.is_none() {
            pulling = Some(stream.pull());
        }
        let first_end = stream.first_end;
        tokio::select! {
            biased;
            () = send.closed() => return Ok(()),
            settled = step(&mut settling) => {
                settling = None;
                let settled = settled?;
                stream.settled(&settled);
                // There may be room for batches now. To wait for notices alone leases nothing.
                pulling = pulling.filter(|pulling| !pulling.notices_only);
                let outgoing = stream.outgoing(Vec::new(), settled.answer);
                if !outgoing.is_empty() && send.send(Ok(outgoing)).await.is_err() {
                    return Ok(());
                }
            }
            request = requests.message(), if settling.is_none() => match request {
                Ok(Some(request)) if !request.subscription.is_empty() => {
                    return Err(Fault::field("subscription", "is for the first request of a stream only"));
                }
                Ok(Some(request)) => settling = stream.settle(request)?,
                // The client has closed its side or is gone. What is leased stays leased.
                Ok(None) | Err(_) => return Ok(()),
            },
            pulled = pulled(&mut pulling) => {
                pulling = None;
                let outgoing = stream.received(pulled?);
                if !outgoing.is_empty() && send.send(Ok(outgoing)).await.is_err() {
                    return Ok(());
                }
            }
            // Room for batches: as above.
            () = until(first_end) => pulling = pulling.filter(|pulling| !pulling.notices_only),
            () = closing.cancelled() => {
                return Err(Fault::of(Cause::Closing, "the connection is closing; open another and go on")
                    .spread(Duration::from_millis(100)));
            }
        }
    }
}

async fn step<T>(step: &mut Option<Step<T>>) -> T {
    match step {
        Some(step) => step.as_mut().await,
        None => pending().await,
    }
}

/// A pull under way.
struct Pulling {
    step: Step<Result<Pulled, Fault>>,
    /// The limits are reached: it waits for notices, and for no batch.
    notices_only: bool,
}

async fn pulled(pulling: &mut Option<Pulling>) -> Result<Pulled, Fault> {
    match pulling {
        Some(pulling) => pulling.step.as_mut().await,
        None => pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// What became of one request's acknowledgements and deadlines.
struct Settled {
    /// Leases that are over.
    over: Vec<String>,
    /// Leases that go on until then.
    extended: Vec<(String, Instant)>,
    answer: StreamingPullResponse,
}

/// A batch that is out.
struct Out {
    bytes: u64,
    until: Instant,
}

/// The flow control of one stream.
struct Flow {
    drain: Drain,
    name: SubscriptionName,
    ack_deadline: Duration,
    max_batches: usize,
    max_bytes: u64,
    out: HashMap<String, Out>,
    out_bytes: u64,
    /// No lease ends before this.
    first_end: Option<Instant>,
    /// The number of the last notice that was given on this stream.
    seen_notice: u64,
}

impl Flow {
    async fn open(drain: Drain, access: &Access, first: &StreamingPullRequest) -> Result<Self, Fault> {
        let name = own(access, "subscription", &first.subscription)?;
        let max_batches = match first.max_outstanding_batches {
            0 => BATCHES.0,
            n if n <= BATCHES.1 => n,
            _ => return Err(Fault::field("max_outstanding_batches", "must be from 1 to 10000")),
        };
        let max_bytes = match first.max_outstanding_bytes {
            0 => BYTES.0,
            n if n <= BYTES.1 => n,
            _ => return Err(Fault::field("max_outstanding_bytes", "must be from 1 to 67108864")),
        };
        let ack_deadline = drain.get(&name).await?.subscription.ack_deadline;
        let max_batches = usize::try_from(max_batches).unwrap_or(1);
        Ok(Self {
            drain,
            name,
            ack_deadline,
            max_batches,
            max_bytes,
            out: HashMap::new(),
            out_bytes: 0,
            first_end: None,
            seen_notice: 0,
        })
    }

    /// The next pull: for batches as far as the limits allow, and for notices that this stream has not given.
    fn pull(&self) -> Pulling {
        let bytes = self.max_bytes.saturating_sub(self.out_bytes).min(ANSWER.0);
        let batches = self.max_batches.saturating_sub(self.out.len()).min(ANSWER.1);
        let batches = if bytes == 0 { 0 } else { batches };
        let (drain, name, seen) = (self.drain.clone(), self.name.clone(), self.seen_notice);
        let step =
            Box::pin(async move { drain.pull(&name, batches, bytes, POLL, seen).await.map_err(Fault::from) });
        Pulling { step, notices_only: batches == 0 }
    }

    fn received(&mut self, pulled: Pulled) -> Outgoing {
        let until = Instant::now() + self.ack_deadline;
        for delivery in &pulled.deliveries {
            let bytes = u64::try_from(delivery.body.len()).unwrap_or(u64::MAX);
            self.out_bytes = self.out_bytes.saturating_add(bytes);
            self.out.insert(delivery.ack_id.clone(), Out { bytes, until });
            self.ends_at(until);
        }
        if let Some(last) = pulled.notices.last() {
            self.seen_notice = last.number;
        }
        let notices = pulled.notices.into_iter().map(convert::notice).collect();
        let answer = StreamingPullResponse { notices, ..StreamingPullResponse::default() };
        self.outgoing(pulled.deliveries, answer)
    }

    fn outgoing(&self, batches: Vec<Delivery>, answer: StreamingPullResponse) -> Outgoing {
        Outgoing { drain: self.drain.clone(), name: self.name.clone(), batches, answer }
    }

    /// Acknowledges and changes deadlines as `request` says; `None` if it says nothing.
    fn settle(&self, request: StreamingPullRequest) -> Result<Option<Step<Result<Settled, Fault>>>, Fault> {
        let StreamingPullRequest { ack_ids, modify_ack_ids, modify_deadline, .. } = request;
        let deadline = duration("modify_deadline", modify_deadline, MAX_DEADLINE)?;
        if ack_ids.is_empty() && modify_ack_ids.is_empty() {
            return Ok(None);
        }
        let (drain, name) = (self.drain.clone(), self.name.clone());
        // It goes on if the stream ends: what follows an acknowledgement is not left out.
        let settling = tokio::spawn(settle(drain, name, ack_ids, modify_ack_ids, deadline));
        let failed = |_| Fault::of(Cause::Internal, "the collector failed on this stream; it is logged");
        Ok(Some(Box::pin(async move { settling.await.map_err(failed)? })))
    }

    fn settled(&mut self, settled: &Settled) {
        for id in &settled.over {
            self.forget(id);
        }
        for (id, until) in &settled.extended {
            if let Some(out) = self.out.get_mut(id) {
                out.until = *until;
                self.ends_at(*until);
            }
        }
    }

    fn ends_at(&mut self, until: Instant) {
        self.first_end = Some(self.first_end.map_or(until, |first| first.min(until)));
    }

    fn forget(&mut self, ack_id: &str) {
        if let Some(out) = self.out.remove(ack_id) {
            self.out_bytes = self.out_bytes.saturating_sub(out.bytes);
        }
    }

    /// Batches whose lease has ended are not out any more: they will be delivered again.
    fn forget_expired(&mut self, now: Instant) {
        if self.first_end.is_none_or(|first| first > now) {
            return;
        }
        self.out.retain(|_, out| out.until > now);
        self.out_bytes = self.out.values().map(|out| out.bytes).fold(0, u64::saturating_add);
        self.first_end = self.out.values().map(|out| out.until).min();
    }
}

async fn settle(
    drain: Drain,
    name: SubscriptionName,
    ack_ids: Vec<String>,
    modify_ack_ids: Vec<String>,
    deadline: Duration,
) -> Result<Settled, Fault> {
    let mut settled =
        Settled { over: Vec::new(), extended: Vec::new(), answer: StreamingPullResponse::default() };
    for ids in ack_ids.chunks(CHUNK) {
        let result = drain.acknowledge(&name, ids).await?;
        let failed: HashSet<&str> = result.failures.iter().map(|(id, _)| id.as_str()).collect();
        let done = ids.iter().filter(|id| !failed.contains(id.as_str())).cloned();
        settled.answer.acknowledged_ids.extend(done);
        settled.answer.failures.extend(convert::failures(result.failures));
    }
    for ids in modify_ack_ids.chunks(CHUNK) {
        let result = drain.modify_deadline(&name, ids, deadline).await?;
        if deadline.is_zero() {
            settled.over.extend(ids.iter().cloned());
        } else {
            let until = Instant::now() + deadline;
            settled.extended.extend(ids.iter().map(|id| (id.clone(), until)));
        }
        settled.answer.failures.extend(convert::failures(result.failures));
    }
    // Whatever became of an acknowledgement, its lease is over.
    settled.over.extend(ack_ids);
    Ok(settled)
}
