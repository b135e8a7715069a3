//! What a client of the collector needs, so that no other room names tonic or prost.

use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::metadata::MetadataValue;
use tonic_types::StatusExt as _;

use super::codec::Encoded;
pub use super::compression::Encoding;
use super::compression::outgoing::Outgoing;
use super::identity::CUSTOMER_KEY;
use super::proto::ingest::{SubmitResponse, SubmitStreamResponse};
use crate::model::CustomerId;

pub use super::client_channel::{Channel, ClientTls, ClientTlsError, broken, connect, connect_with};
pub use prost::Message;
pub use prost_types::{Duration as ProtoDuration, Timestamp};
pub use tonic::{Code, Request, Status, Streaming};

/// Bytes of one answer that a client takes: a pull is bounded by the server, and one batch may be
/// larger than its request was.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// A request in the name of `customer`; `None` if the id cannot be metadata (it always can).
#[must_use]
pub fn of_customer<T>(message: T, customer: &CustomerId) -> Option<Request<T>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(CUSTOMER_KEY, MetadataValue::try_from(customer.as_str()).ok()?);
    Some(request)
}

/// The stable reason of a refusal, as in `google.rpc.ErrorInfo`.
#[must_use]
pub fn reason(status: &Status) -> Option<String> {
    status.get_error_details().error_info().map(|info| info.reason.clone())
}

/// Whether nothing is known under the name that was asked for.
#[must_use]
pub fn is_unknown(status: &Status) -> bool {
    status.code() == Code::NotFound
}

/// How long to wait before a retry, as in `google.rpc.RetryInfo`.
#[must_use]
pub fn retry_delay(status: &Status) -> Option<Duration> {
    status.get_error_details().retry_info().and_then(|info| info.retry_delay)
}

/// Sends `SubmitRequest`s that are encoded already.
#[derive(Debug, Clone)]
pub struct EncodedIngest(Grpc<Outgoing>);

impl EncodedIngest {
    /// A client over `channel`.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        Self::compressed(channel, None)
    }

    /// A client over `channel` that compresses requests.
    #[must_use]
    pub fn compressed(channel: Channel, encoding: Option<Encoding>) -> Self {
        let outgoing = Outgoing::new(channel, encoding);
        Self(Grpc::new(outgoing).max_decoding_message_size(MAX_ANSWER_BYTES))
    }

    /// `Submit`, with the wire bytes of a `SubmitRequest`.
    ///
    /// # Errors
    /// The status of the call.
    pub async fn submit(&mut self, request: Request<Bytes>) -> Result<SubmitResponse, Status> {
        self.ready().await?;
        let path = PathAndQuery::from_static("/usaged.ingest.v1.IngestService/Submit");
        self.0.unary(request, path, Encoded::default()).await.map(tonic::Response::into_inner)
    }

    /// `SubmitStream`, with the wire bytes of `SubmitRequest`s.
    ///
    /// # Errors
    /// The status of the call.
    pub async fn submit_stream<S>(
        &mut self,
        requests: Request<S>,
    ) -> Result<Streaming<SubmitStreamResponse>, Status>
    where
        S: tokio_stream::Stream<Item = Bytes> + Send + 'static,
    {
        self.ready().await?;
        let path = PathAndQuery::from_static("/usaged.ingest.v1.IngestService/SubmitStream");
        self.0.streaming(requests, path, Encoded::default()).await.map(tonic::Response::into_inner)
    }

    async fn ready(&mut self) -> Result<(), Status> {
        self.0.ready().await.map_err(|_| Status::unavailable("the connection is gone"))
    }
}
