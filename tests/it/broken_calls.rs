//! Calls whose message is missing or broken: that is the caller's mistake, and no alarm rings. And what the alarms count is
//! there before it is counted the first time.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use tonic_types::StatusExt as _;
use tower::Service as _;
use usaged::grpc::client::{Channel, Code, Status, connect};

use crate::cli_flow::page;
use crate::cli_run::Collector;
use crate::watch_rules::alerts;

const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// How a call with `body` ends.
async fn status(channel: &Channel, path: &str, body: &[u8]) -> Status {
    let request = http::Request::post(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(tonic::body::Body::new(Full::new(Bytes::copy_from_slice(body))))
        .unwrap();
    let mut channel = channel.clone();
    std::future::poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
    let response = channel.call(request).await.unwrap();
    if let Some(status) = Status::from_header_map(response.headers()) {
        return status;
    }
    let collected = response.into_body().collect().await.unwrap();
    collected.trailers().and_then(Status::from_header_map).unwrap_or_else(|| Status::unknown("no trailers"))
}

/// The count of a series on the page of metrics.
fn count(collector: &Collector, series: &str) -> Option<f64> {
    let page = page(collector, "/metrics");
    let line = page.lines().find_map(|line| line.strip_prefix(series))?;
    line.trim().parse().ok()
}

// covers: P1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_missing_or_broken_is_the_callers_mistake_and_nobody_is_woken() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    let internal = "usaged_requests_refused_total{reason=\"INTERNAL\"}";
    let malformed = "usaged_requests_refused_total{reason=\"MALFORMED_REQUEST\"}";
    let by_code = "usaged_requests_total{method=\"Health.Check\",code=\"INTERNAL\"}";
    assert_eq!((count(&collector, internal), count(&collector, malformed)), (Some(0.0), Some(0.0)));
    let channel = connect(&collector.grpc).await.unwrap();
    let bodies: [&[u8]; 7] = [
        b"",
        b"\0\0",
        b"\0\0\0\0",
        b"\0\0\0\0\x09abc",
        b"\x01\0\0\0\x02ab",
        b"\x07\0\0\0\x02ab",
        b"\0\0\0\0\x02\xff\xff",
    ];
    let unary = [
        HEALTH,
        "/grpc.health.v1.Health/Watch",
        "/usaged.admin.v1.AdminService/ListParticipations",
        "/usaged.drain.v1.DrainService/Acknowledge",
    ];
    let mut sent = 0.0;
    for path in unary {
        for body in bodies {
            let told = status(&channel, path, body).await;
            assert_eq!(told.code(), Code::InvalidArgument, "{path} {body:?}: {told:?}");
            let details = told.get_error_details();
            let reason = details.error_info().map(|info| info.reason.clone());
            assert_eq!(reason.as_deref(), Some("MALFORMED_REQUEST"), "{path} {body:?}: {told:?}");
            sent += 1.0;
        }
    }
    let streams = [
        "/usaged.ingest.v1.IngestService/Submit",
        "/usaged.ingest.v1.IngestService/SubmitStream",
        "/usaged.drain.v1.DrainService/StreamingPull",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ];
    for path in streams {
        for body in bodies {
            let told = status(&channel, path, body).await;
            assert_ne!(told.code(), Code::Internal, "{path} {body:?}: {told:?}");
            assert_ne!(told.code(), Code::Unknown, "{path} {body:?}: {told:?}");
        }
    }
    assert_eq!(count(&collector, internal), Some(0.0), "nobody is woken");
    assert_eq!(count(&collector, by_code), None);
    assert!(count(&collector, malformed) >= Some(sent), "{:?}", count(&collector, malformed));
    assert_eq!(collector.end(), 0);
}

/// What an expression counts the growth of: a metric, and the values that a label may have.
fn grown(expr: &str) -> Vec<(String, Option<(String, Vec<String>)>)> {
    let counted = expr.split("increase(").skip(1).filter_map(|rest| rest.split_once('['));
    counted
        .map(|(series, _)| {
            let Some((name, labels)) = series.split_once('{') else { return (series.to_owned(), None) };
            let (label, values) = labels.trim_end_matches('}').split_once('=').unwrap();
            let values = values.trim_start_matches('~').trim_matches('"').split('|');
            (name.to_owned(), Some((label.to_owned(), values.map(ToOwned::to_owned).collect())))
        })
        .collect()
}

/// The first step of a series that was not there cannot be seen: it has no value before it.
#[test]
fn what_an_alert_counts_the_growth_of_is_there_with_zero_before_its_first_step() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    let create = ["subscription", "create", "team", "--purpose", "improve", "--recipient", "tests"];
    let created = collector.client(&create, "");
    assert_eq!(created.code, 0, "{}", created.err);
    let page = page(&collector, "/metrics");
    let mut looked_at = 0;
    for alert in alerts() {
        for (name, label) in grown(&alert["expr"]) {
            let (label, values) = label.unwrap_or_default();
            let values = if values.is_empty() { vec![String::new()] } else { values };
            for value in values {
                let wanted = if label.is_empty() { String::new() } else { format!("{label}=\"{value}\"") };
                let found = page.lines().find(|line| {
                    let rest = line.strip_prefix(name.as_str());
                    rest.is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(&wanted))
                });
                let found = found.unwrap_or_else(|| panic!("{}: no {name} {wanted}", alert["alert"]));
                assert!(found.ends_with(" 0"), "{}: {found}", alert["alert"]);
                looked_at += 1;
            }
        }
    }
    assert!(looked_at > 10, "{looked_at}");
    assert_eq!(collector.end(), 0);
}
