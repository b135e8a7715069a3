//! Around each request: a slot, a deadline, a guard against panics, and the count by code.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::Service as _;
use tracing::{Instrument as _, Span};

use super::begun::Begun;
use super::connection::Caller;
use super::method::Method;
use super::peers::Newcomer;
use super::slots::{OwnSlots, Slot};
use super::standing::{Asked, Standing};
use super::unread::{Going, Unread};
use crate::grpc::identity::Visitor;
use crate::grpc::status::{Cause, Fault};
use crate::observe::{Metric, Seldom, trace};

/// A caller can repeat it.
static PANICKED: Seldom = Seldom::new();

/// Where a status has its google.rpc details.
const DETAILS: &str = "grpc-status-details-bin";

/// When a refused caller is asked to come back.
const RETRY: Duration = Duration::from_millis(200);

/// A place that an answer takes until its body has gone out or is given up: put into the extensions
/// of the response, it is kept with the body.
#[derive(Debug, Clone)]
pub struct Held(#[expect(dead_code, reason = "dropping it frees the place")] pub Arc<dyn Any + Send + Sync>);

/// Answers `request` through `routes`, whatever happens inside.
pub(super) async fn watched<B>(
    mut routes: Routes,
    mut request: Request<B>,
    (visitor, newcomer): (Arc<Visitor>, Arc<Newcomer>),
    slots: Arc<OwnSlots>,
    prompt: Duration,
) -> Result<Response<Watched>, Infallible>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let mut count = Count::of(Method::of(request.uri().path()));
    // Before a place is taken or a byte of the body is read.
    let access = match visitor.admit(request.uri().path(), request.headers()) {
        Ok(access) => access,
        Err(fault) => return Ok(refuse(&fault, count, None)),
    };
    if access.is_known() {
        newcomer.has_proved_itself();
    }
    request.extensions_mut().insert(access.clone());
    let proves = access.is_local().then_some(newcomer);
    let is_stream = count.method.is_stream();
    let (slot, full) = if access.is_anyone() {
        (
            slots.take_for_stranger(is_stream),
            "too many callers without a credential ask for health; try again",
        )
    } else {
        (slots.take(is_stream), "too many requests are in flight; try again")
    };
    let Some(slot) = slot else {
        let fault = Fault::of(Cause::NoSlots, full).spread(RETRY);
        return Ok(refuse(&fault, count, None));
    };
    let (slot, finishes) = (Arc::new(slot), count.method.finishes());
    let deadline = count.method.deadline(prompt);
    // Our own streams end themselves, when what they hold is answered.
    let closing = request.extensions().get::<Arc<Caller>>().filter(|_| count.method.is_only_watching());
    let closing = closing.map(|caller| Box::pin(caller.closing.clone().cancelled_owned()));
    let unread = (!is_stream).then(|| slots.unread().clone());
    let standing = is_stream.then(|| Standing::of(access.clone()));
    let (waits, still) = (count.method.waits(), access.clone());
    let call = async move {
        if is_stream {
            routes.call(request.map(|body| Begun::within(prompt, Asked::of(body, access)))).await
        } else if finishes {
            routes.call(request.map(|body| Begun::whole_within(prompt, Asked::of(body, access)))).await
        } else {
            routes.call(request.map(|body| Asked::of(body, access))).await
        }
    };
    let call = Caught(Box::pin(call.instrument(count.span.clone())));
    let held = Arc::clone(&slot);
    let call = async { if finishes { slots.finishing().to_its_end(call, held).await } else { call.await } };
    let answered = match deadline {
        Some(deadline) => tokio::time::timeout(deadline, call).await,
        None => Ok(call.await),
    };
    // What a caller waited for, or brought slowly, may have come after its credential had ended.
    if let Ok(Ok(Ok(response))) = &answered
        && (waits || code_in(response.headers()).is_some_and(|code| code != Code::Ok))
        && let Err(fault) = still.still()
    {
        return Ok(refuse(&fault, count, Some(slot)));
    }
    Ok(match answered {
        Ok(Ok(Ok(response))) if is_of_the_caller(response.headers()) => {
            refuse(&unreadable(), count, Some(slot))
        }
        Ok(Ok(Ok(mut response))) => {
            let held = response.extensions_mut().remove::<Held>();
            if let Some(code) = code_in(response.headers()) {
                count.answered(code);
            }
            response.map(|body| Watched {
                body,
                count,
                closing,
                _unread: unread.map(Unread::answered),
                standing,
                proves,
                _slot: Some(slot),
                _held: held,
                is_over: false,
            })
        }
        Ok(Err(_panic)) => refuse(&panicked(), count, Some(slot)),
        Err(_elapsed) => {
            let text = if finishes {
                "the request takes long and is brought to its end; get or list what it changes to see what became of it, or try again"
            } else {
                "the request took too long; try again"
            };
            let fault = Fault::of(Cause::Slow, text).spread(RETRY);
            refuse(&fault, count, Some(slot))
        }
    })
}

fn refuse(fault: &Fault, mut count: Count, slot: Option<Arc<Slot>>) -> Response<Watched> {
    count.answered(fault.cause().code());
    let response: Response<Body> = fault.status().into_http();
    response.map(|body| Watched {
        body,
        count,
        closing: None,
        _unread: None,
        standing: None,
        proves: None,
        _slot: slot,
        _held: None,
        is_over: false,
    })
}

/// What is said of a panic: its text could hold anything and goes nowhere.
fn panicked() -> Fault {
    if let Some(unsaid) = PANICKED.due() {
        tracing::error!(unsaid, "a request made the collector fail; this is a mistake in the collector");
    }
    Fault::of(Cause::Internal, "the collector failed on this request; it is logged")
}

/// Whether tonic says INTERNAL: of a message that is missing, cut off or framed as it should not be, which is the
/// caller's mistake. What is ours comes from the table of faults, with its details.
fn is_of_the_caller(headers: &HeaderMap) -> bool {
    code_in(headers) == Some(Code::Internal) && !headers.contains_key(DETAILS)
}

fn unreadable() -> Fault {
    let text =
        "the message is missing, ends too early, or is not framed as gRPC frames it; send one whole message";
    Fault::of(Cause::Malformed, text)
}

/// A future that ends with an error in place of a panic.
struct Caught<F>(Pin<Box<F>>);

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Box<dyn Any + Send>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

/// Counts a request once, by its code; as cancelled if it never got one.
struct Count {
    method: Method,
    is_counted: bool,
    /// The call in a trace.
    span: Span,
}

impl Count {
    fn of(method: Method) -> Self {
        Self { method, is_counted: false, span: trace::request(method.as_str()) }
    }

    fn answered(&mut self, code: Code) {
        if !std::mem::replace(&mut self.is_counted, true) {
            trace::answered(&self.span, code_name(code));
            Metric::Requests.add(&[("method", self.method.as_str()), ("code", code_name(code))], 1);
        }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.answered(Code::Cancelled);
    }
}

pub(super) fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|value| Code::from_bytes(value.as_bytes()))
}

const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// The body of an answer. Holds the request's slot until it has gone out.
pub(super) struct Watched {
    body: Body,
    count: Count,
    /// Ends the answer when the connection is about to close; set where nothing else would.
    closing: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// Set until the client has read a unary answer.
    _unread: Option<Going>,
    /// Whether the caller of a stream still may.
    standing: Option<Standing>,
    /// Whose first answer this may be, where nobody is asked who they are: then the answer is the proof.
    proves: Option<Arc<Newcomer>>,
    _slot: Option<Arc<Slot>>,
    _held: Option<Held>,
    is_over: bool,
}

impl Watched {
    /// Ends the answer with `fault`.
    fn end(&mut self, fault: &Fault) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.is_over = true;
        self.count.answered(fault.cause().code());
        let mut trailers = HeaderMap::new();
        let written = fault.status().add_header(&mut trailers);
        Poll::Ready(Some(written.map(|()| Frame::trailers(trailers))))
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Some(Err(fault)) = self.standing.as_mut().map(|standing| standing.poll(cx)) {
            return self.end(&fault);
        }
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.body).poll_frame(cx)));
        let Ok(polled) = polled else { return self.end(&panicked()) };
        if let (Poll::Pending, Some(closing)) = (&polled, self.closing.as_mut())
            && closing.as_mut().poll(cx).is_ready()
        {
            let fault = Fault::of(Cause::Closing, "the connection is closing; open another and go on");
            return self.end(&fault.spread(RETRY));
        }
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && frame.is_data()
            && let Some(newcomer) = self.proves.take()
        {
            newcomer.has_proved_itself();
        }
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(trailers) = frame.trailers_ref()
        {
            if is_of_the_caller(trailers) {
                return self.end(&unreadable());
            }
            if let Some(code) = code_in(trailers) {
                self.count.answered(code);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
