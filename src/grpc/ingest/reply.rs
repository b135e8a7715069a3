//! Answers of the ingest door: one message and the trailers, or trailers only.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::{Frame, SizeHint};
use prost::Message;
use tonic::Status;
use tonic::body::Body;

use crate::grpc::compression::{ACCEPT_ENCODING, ACCEPTED};
use crate::grpc::status::Fault;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const OK: HeaderValue = HeaderValue::from_static("0");

/// Appends `message` with the five bytes that go before it.
pub(super) fn put_framed(message: &impl Message, buf: &mut BytesMut) {
    let length = message.encoded_len();
    buf.reserve(length.saturating_add(5));
    buf.put_u8(0);
    buf.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    // `BytesMut` grows, so this cannot fail.
    let _grown = message.encode(buf);
}

/// The answer to a unary request.
fn answer(message: &impl Message) -> Response<Body> {
    let mut data = BytesMut::new();
    put_framed(message, &mut data);
    with_body(Body::new(Answer { data: Some(data.freeze()), is_over: false }))
}

/// The answer to a unary request, or its refusal.
pub(super) fn unary(outcome: Result<impl Message, Fault>) -> Response<Body> {
    match outcome {
        Ok(message) => answer(&message),
        Err(fault) => refusal(&fault),
    }
}

/// An answer whose frames come from `body`.
pub(super) fn with_body(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    told(response)
}

/// The same, telling how requests may be compressed.
fn told(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(ACCEPT_ENCODING, ACCEPTED);
    response
}

/// The refusal of a call.
pub(super) fn refusal(fault: &Fault) -> Response<Body> {
    told(fault.status().into_http())
}

/// Trailers that say how a call ended.
pub(super) fn trailers(fault: Option<&Fault>) -> Result<HeaderMap, Status> {
    let mut trailers = HeaderMap::with_capacity(3);
    match fault {
        Some(fault) => fault.status().add_header(&mut trailers)?,
        None => {
            trailers.insert("grpc-status", OK);
        }
    }
    Ok(trailers)
}

/// One message, then the trailers.
struct Answer {
    data: Option<Bytes>,
    is_over: bool,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if std::mem::replace(&mut self.is_over, true) {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(trailers(None).map(Frame::trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.data.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(u64::try_from(left).unwrap_or(u64::MAX))
    }
}
