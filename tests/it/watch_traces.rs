//! Traces of the collector itself: off unless asked for; names, numbers and words of closed lists only; no request waits
//! for them; what is left goes out at the end.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::cli_flow::page;
use crate::cli_run::{Collector, Ended};

/// What is read of `opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest`.
#[derive(Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<ResourceSpans>,
}

#[derive(Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<ScopeSpans>,
}

#[derive(Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Message)]
struct ScopeSpans {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Message)]
struct Span {
    #[prost(bytes = "vec", tag = "4")]
    parent: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "11")]
    events: Vec<KeyValue>,
}

#[derive(Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Message)]
struct AnyValue {
    #[prost(oneof = "Any", tags = "1, 2, 3, 4")]
    value: Option<Any>,
}

#[derive(prost::Oneof)]
enum Any {
    #[prost(string, tag = "1")]
    Word(String),
    #[prost(bool, tag = "2")]
    Flag(bool),
    #[prost(int64, tag = "3")]
    Number(i64),
    #[prost(double, tag = "4")]
    Float(f64),
}

/// A collector of traces that takes everything and keeps the bytes.
struct Receiver {
    address: String,
    taken: Arc<Mutex<Vec<Bytes>>>,
    _stop: oneshot::Sender<()>,
}

impl Receiver {
    fn start() -> Self {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = oneshot::channel();
        let (say, said) = std::sync::mpsc::sync_channel(1);
        let keep = Arc::clone(&taken);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                say.send(listener.local_addr().unwrap().to_string()).unwrap();
                tokio::spawn(take_all(listener, keep));
                let _dropped = stopped.await;
            });
        });
        Self { address: said.recv().unwrap(), taken, _stop: stop }
    }

    fn bytes(&self) -> Vec<u8> {
        self.taken.lock().unwrap().concat()
    }

    fn spans(&self) -> Vec<Span> {
        let taken = self.taken.lock().unwrap();
        let exports = taken.iter().map(|bytes| Export::decode(bytes.clone()).unwrap());
        exports.flat_map(|e| e.resources).flat_map(|r| r.scopes).flat_map(|s| s.spans).collect()
    }
}

async fn take_all(listener: TcpListener, keep: Arc<Mutex<Vec<Bytes>>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let keep = Arc::clone(&keep);
        let service = service_fn(move |request: Request<Incoming>| {
            let keep = Arc::clone(&keep);
            async move {
                assert_eq!(
                    request.uri().path(),
                    "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
                );
                let body = request.into_body().collect().await.unwrap().to_bytes();
                // One gRPC message: a flag, a length, and the bytes.
                keep.lock().unwrap().push(body.slice(5..));
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", "0".parse().unwrap());
                let empty = BytesMut::zeroed(5).freeze();
                let frames = [Ok::<_, Infallible>(Frame::data(empty)), Ok(Frame::trailers(trailers))];
                let body = StreamBody::new(tokio_stream::iter(frames));
                let answer = Response::builder().header("content-type", "application/grpc");
                Ok::<_, Infallible>(answer.body(body).unwrap())
            }
        });
        let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
    }
}

fn ok(ended: Ended) -> Ended {
    assert_eq!(ended.code, 0, "{} {}", ended.out, ended.err);
    ended
}

/// A batch, a pull and an erasure, with canaries in them.
fn work(collector: &Collector, dir: &std::path::Path) {
    let set =
        ["participation", "set", "canary-customer", "--level", "ceip=enhanced", "--reason", "canary-reason"];
    ok(collector.client(&set, ""));
    let create =
        ["subscription", "create", "team", "--purpose", "improve", "--recipient", "canary-recipient"];
    ok(collector.client(&create, ""));
    let events =
        "{\"name\":\"vm.inventory\",\"fields\":{\"host\":\"canary-host.example.com\",\"vcpus\":8}}\n";
    ok(collector.client(&["send", "--customer", "canary-customer", "--product", "vcenter"], events));
    let out = dir.join("out").display().to_string();
    ok(collector.client(&["drain", "team", "--out", &out], ""));
    let erase = [
        "erase",
        "--customer",
        "canary-customer",
        "--class",
        "host_name",
        "--value",
        "canary-host.example.com",
    ];
    let erased = ok(collector.client(&[&erase[..], &["--reference", "canary-ticket"]].concat(), ""));
    assert!(!erased.out.is_empty());
}

fn traced(dir: &std::path::Path, address: &str) -> Collector {
    let collector = format!("traces.collector=\"{address}\"");
    let args = [
        "--set",
        "traces.enabled=true",
        "--set",
        "traces.one_in=1",
        "--set",
        &collector,
        "--log-format",
        "json",
    ];
    Collector::start(dir, &args)
}

/// covers: P1, S1
#[test]
fn traces_tell_what_was_done_in_numbers_and_words_of_closed_lists_up_to_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    let collector = traced(dir.path(), &receiver.address);
    work(&collector, dir.path());
    assert_eq!(collector.end(), 0);

    let spans = receiver.spans();
    let closed: &[(&str, &[&str])] = &[
        ("request", &["method", "code", "bytes", "events"]),
        ("group_commit", &["records", "events", "bytes"]),
        ("pull", &["batches"]),
        ("purge", &["files", "bytes"]),
        ("erasure_step", &["stage"]),
    ];
    for (name, _) in closed {
        assert!(spans.iter().any(|span| span.name == *name), "there is no span {name}");
    }
    for span in &spans {
        let (_, keys) =
            closed.iter().find(|(name, _)| *name == span.name).unwrap_or_else(|| panic!("{span:?}"));
        for KeyValue { key, .. } in &span.attributes {
            assert!(keys.contains(&key.as_str()), "{key} of {span:?}");
        }
        assert!(span.events.is_empty(), "no line of the log is in a trace: {span:?}");
    }
    let has = |span: &Span, key: &str, is: fn(&Any) -> bool| {
        let mut values = span.attributes.iter().filter(|attribute| attribute.key == key);
        values.any(|attribute| attribute.value.as_ref().and_then(|v| v.value.as_ref()).is_some_and(is))
    };
    let submit = |span: &&Span| {
        has(span, "method", |v| matches!(v, Any::Word(word) if word.contains("Submit")))
            && has(span, "code", |v| matches!(v, Any::Word(word) if word == "OK"))
            && has(span, "bytes", |v| matches!(v, Any::Number(n) if *n > 0))
            && has(span, "events", |v| matches!(v, Any::Number(1)))
    };
    assert!(spans.iter().any(|span| submit(&span)), "{spans:#?}");
    assert!(
        spans.iter().any(|span| span.name == "pull" && !span.parent.is_empty()),
        "a pull is part of its call"
    );

    let bytes = receiver.bytes();
    assert!(bytes.windows(12).any(|window| window == b"group_commit"), "the search finds what is there");
    for canary in ["canary", "esx-", "127.0.0.1", "p1-host"] {
        assert!(
            !bytes.windows(canary.len()).any(|window| window == canary.as_bytes()),
            "{canary} is in a trace"
        );
    }
}

#[test]
fn without_a_collector_of_traces_nothing_waits_and_the_log_says_it_once() {
    let dir = tempfile::tempdir().unwrap();
    // A port that nobody listens on: the listener is gone before the collector starts.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let collector = traced(dir.path(), &free.to_string());
    work(&collector, dir.path());
    let begun = Instant::now();
    while !page(&collector, "/metrics").lines().any(|line| {
        line.strip_prefix("usaged_trace_spans_total{result=\"dropped\"} ").is_some_and(|n| n.trim() != "0")
    }) {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "nothing is dropped: {}",
            page(&collector, "/metrics")
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(collector.end(), 0);
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert_eq!(log.matches("does not take them").count(), 1, "{log}");
    assert!(!log.contains("canary"), "{log}");
}

#[test]
fn nothing_is_traced_unless_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    let address = format!("traces.collector=\"{}\"", receiver.address);
    let collector = Collector::start(dir.path(), &["--set", &address]);
    work(&collector, dir.path());
    assert!(!page(&collector, "/metrics").contains("usaged_trace_spans_total{"));
    assert_eq!(collector.end(), 0);
    assert!(receiver.bytes().is_empty());
}
