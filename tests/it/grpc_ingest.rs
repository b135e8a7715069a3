//! The ingest door over a real socket, with the real client: bounds, refusals, panics, order.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tokio_stream::StreamExt;
use tonic_types::StatusExt;
use usaged::grpc::client::{Channel, Code, EncodedIngest, Encoding, Request, Status, connect, of_customer};
use usaged::grpc::proto::ingest::ingest_service_client::IngestServiceClient;
use usaged::grpc::proto::ingest::submit_stream_response::Result as Outcome;
use usaged::grpc::proto::ingest::{Event, SubmitRequest};
use usaged::grpc::{Options, serve};
use usaged::model::CustomerId;

use crate::door_raw::{Door, SOON};

async fn channel(door: &Door) -> Channel {
    connect(&door.address.to_string()).await.unwrap()
}

fn customer() -> CustomerId {
    CustomerId::new("acme").unwrap()
}

fn request<T>(message: T) -> Request<T> {
    of_customer(message, &customer()).unwrap()
}

fn batch(number: usize, bytes: usize) -> SubmitRequest {
    SubmitRequest {
        batch_id: format!("00000000-0000-4000-8000-{number:012x}"),
        product: "vcenter".into(),
        instance: "x".repeat(bytes),
        events: vec![Event { name: "vm.inventory".into(), ..Event::default() }],
        ..SubmitRequest::default()
    }
}

fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().expect("every refusal has a reason");
    assert_eq!(info.domain, "usaged");
    info.reason.clone()
}

#[tokio::test]
async fn a_batch_is_answered_whatever_its_size_up_to_the_limit() {
    let door = Door::open(Options::default()).await;
    let mut ingest = EncodedIngest::new(channel(&door).await);
    for bytes in [0, 1, 100_000, 300_000, 4_000_000] {
        let encoded: Bytes = batch(1, bytes).encode_to_vec().into();
        ingest.submit(request(encoded)).await.unwrap();
    }
}

// covers: B1
#[tokio::test]
async fn a_batch_over_the_limit_is_refused_for_good() {
    let door = Door::open(Options::default()).await;
    let mut ingest = EncodedIngest::new(channel(&door).await);
    let status = ingest.submit(request(vec![0; 4 * 1024 * 1024 + 1].into())).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "REQUEST_TOO_LARGE"));
    ingest.submit(request(Bytes::new())).await.expect("the connection goes on");
}

// covers: B2
#[tokio::test]
async fn a_spent_byte_budget_refuses_with_a_retry_hint() {
    let door = Door::open(Options { request_bytes: 1000, ..Options::default() }).await;
    let mut ingest = EncodedIngest::new(channel(&door).await);
    let status = ingest.submit(request(vec![0; 1001].into())).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "REQUEST_BYTES_SPENT"));
    let delay = status.get_error_details().retry_info().and_then(|r| r.retry_delay);
    assert!(delay.is_some_and(|d| d > Duration::ZERO));
    ingest.submit(request(vec![0; 1000].into())).await.expect("what fits is taken");
}

// covers: B2
#[tokio::test]
async fn too_many_requests_are_refused_with_a_retry_hint() {
    let door = Door::open(Options { max_requests: 1, ..Options::default() }).await;
    let mut ingest = EncodedIngest::new(channel(&door).await);
    let (hold, held) = tokio::sync::mpsc::channel::<Bytes>(1);
    let requests = tokio_stream::wrappers::ReceiverStream::new(held);
    let mut open = ingest.submit_stream(request(requests)).await.unwrap();
    let status = ingest.submit(request(Bytes::new())).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "TOO_MANY_REQUESTS"));
    assert!(status.get_error_details().retry_info().is_some());
    drop(hold);
    assert!(open.next().await.is_none());
}

// covers: P1
#[tokio::test]
async fn a_caller_without_a_valid_customer_is_refused_and_not_quoted() {
    let door = Door::open(Options::default()).await;
    let mut ingest = IngestServiceClient::new(channel(&door).await);
    let status = ingest.submit(Request::new(batch(1, 1))).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "CUSTOMER_MISSING"));

    let mut spoofed = Request::new(batch(1, 1));
    spoofed.metadata_mut().insert("usaged-customer", "canary-77/../x".parse().unwrap());
    let status = ingest.submit(spoofed).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "CUSTOMER_INVALID"));
    assert!(!format!("{status:?}").contains("canary-77"));
}

#[tokio::test]
async fn requests_are_taken_compressed_and_what_is_not_known_is_refused_with_what_is() {
    let door = Door::open(Options::default()).await;
    let channel = channel(&door).await;
    let large: String = (0..60_000).map(|n| format!("{n} ")).collect();
    let large = Bytes::from(large);
    for encoding in [None, Some(Encoding::Gzip), Some(Encoding::Zstd)] {
        let mut ingest = EncodedIngest::compressed(channel.clone(), encoding);
        ingest.submit(request(large.clone())).await.unwrap();
        let stream = tokio_stream::iter([large.clone(), Bytes::from_static(b"x"), large.clone()]);
        let mut answers = ingest.submit_stream(request(stream)).await.unwrap();
        for _ in 0..3 {
            let answer = answers.message().await.unwrap().unwrap();
            assert!(matches!(answer.result, Some(Outcome::Receipt(_))), "{encoding:?}: {answer:?}");
        }
    }
    let mut packed = request(Bytes::from_static(b"x"));
    packed.metadata_mut().insert("grpc-encoding", "br".parse().unwrap());
    let status = EncodedIngest::new(channel).submit(packed).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unimplemented, "COMPRESSION_NOT_SUPPORTED"));
    assert_eq!(status.metadata().get("grpc-accept-encoding").unwrap(), "identity,gzip,zstd");
}

#[tokio::test]
async fn headers_over_the_limit_are_refused_and_the_connection_goes_on() {
    let door = Door::open(Options::default()).await;
    let mut ingest = EncodedIngest::new(channel(&door).await);
    let mut heavy = request(Bytes::new());
    heavy.metadata_mut().insert("x-heavy", "y".repeat(9 * 1024).parse().unwrap());
    ingest.submit(heavy).await.unwrap_err();
    ingest.submit(request(Bytes::new())).await.unwrap();
}

#[tokio::test]
async fn pipelined_batches_are_answered_in_the_order_they_were_sent() {
    let door = Door::open(Options::default()).await;
    let mut ingest = IngestServiceClient::new(channel(&door).await);
    let sizes = [10, 200_000, 1, 70_000, 3, 3, 3];
    let sent: Vec<SubmitRequest> = (0..200).map(|n| batch(n, sizes[n % sizes.len()])).collect();
    let ids: Vec<String> = sent.iter().map(|b| b.batch_id.clone()).collect();
    let answers = ingest.submit_stream(request(tokio_stream::iter(sent))).await.unwrap().into_inner();
    let answered: Vec<_> = tokio::time::timeout(SOON, answers.collect::<Vec<_>>()).await.unwrap();
    let answered: Vec<String> = answered
        .into_iter()
        .map(|answer| {
            let answer = answer.unwrap();
            assert!(matches!(answer.result, Some(Outcome::Receipt(_))), "{answer:?}");
            answer.batch_id
        })
        .collect();
    assert_eq!(answered, ids);
}

#[tokio::test]
async fn a_refused_batch_of_a_stream_is_answered_in_the_stream_and_the_others_go_on() {
    let door = Door::open(Options { request_bytes: 1000, ..Options::default() }).await;
    let mut ingest = EncodedIngest::new(channel(&door).await);
    let large: Bytes = vec![0; 4 * 1024 * 1024 + 1].into();
    let requests = tokio_stream::iter([Bytes::new(), large, Bytes::new()]);
    let answers: Vec<_> = ingest.submit_stream(request(requests)).await.unwrap().collect().await;
    let outcomes: Vec<_> = answers.into_iter().map(|a| a.unwrap().result.unwrap()).collect();
    let [Outcome::Receipt(_), Outcome::Error(refused), Outcome::Receipt(_)] = outcomes.as_slice() else {
        panic!("{outcomes:?}");
    };
    assert_eq!((refused.code, refused.reason.as_str()), (3, "REQUEST_TOO_LARGE"));
    assert_eq!(refused.retry_delay_ms, 0);
}

// covers: S1
#[tokio::test]
async fn a_stream_is_told_to_move_on_when_the_collector_shuts_down() {
    let door = Door::open(Options::default()).await;
    let mut ingest = EncodedIngest::new(channel(&door).await);
    let (send, sent) = tokio::sync::mpsc::channel::<Bytes>(1);
    let requests = tokio_stream::wrappers::ReceiverStream::new(sent);
    let mut answers = ingest.submit_stream(request(requests)).await.unwrap();
    send.send(Bytes::new()).await.unwrap();
    assert!(answers.next().await.unwrap().is_ok());
    door.shutdown.cancel();
    let status = answers.next().await.unwrap().unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "CONNECTION_CLOSING"));
    drop((send, answers, ingest));
    assert_eq!(door.close().await, usaged::grpc::Ended::Drained);
}

#[tokio::test]
async fn a_method_that_is_not_there_is_unimplemented() {
    let door = Door::open(Options::default()).await;
    let mut grpc = tonic::client::Grpc::new(channel(&door).await);
    for path in ["/usaged.ingest.v1.IngestService/Nothing", "/usaged.Nothing/Submit"] {
        grpc.ready().await.unwrap();
        let codec = usaged::grpc::codec::Encoded::<()>::default();
        let path = http::uri::PathAndQuery::from_static(path);
        let status = grpc.unary(request(Bytes::new()), path, codec).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented);
    }
}

/// A service with a mistake in it.
#[derive(Clone)]
struct Broken;

impl tonic::server::NamedService for Broken {
    const NAME: &'static str = "usaged.ingest.v1.IngestService";
}

impl tower::Service<http::Request<tonic::body::Body>> for Broken {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), std::convert::Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<tonic::body::Body>) -> Self::Future {
        Box::pin(async { panic!("canary-78") })
    }
}

// covers: P1
#[tokio::test]
async fn a_panic_becomes_internal_without_its_text_and_the_collector_stays_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = tokio_util::sync::CancellationToken::new();
    let routes = tonic::service::Routes::new(Broken);
    tokio::spawn(serve(listener, routes, Options::default(), shutdown.clone()));
    let mut ingest = EncodedIngest::new(connect(&address.to_string()).await.unwrap());
    for _ in 0..3 {
        let status = ingest.submit(request(Bytes::new())).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Internal, "INTERNAL"));
        assert!(!format!("{status:?}").contains("canary-78"));
    }
}
