//! The pages: an index, liveness, readiness and metrics.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;

use super::Exposition;
use super::explain::{self, Explaining};

const TEXT: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];

/// The format that Prometheus asks for by default.
const PROMETHEUS: [(header::HeaderName, &str); 1] =
    [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];

const INDEX: &str = "<!doctype html>
<html lang=\"en\"><head><meta charset=\"utf-8\"><title>usaged</title></head><body>
<h1>usaged</h1>
<ul>
<li><a href=\"/livez\">/livez</a>: whether the process answers</li>
<li><a href=\"/readyz\">/readyz</a>: whether it takes and gives batches (200), or why not (503)</li>
<li><a href=\"/metrics\">/metrics</a>: counters, gauges and histograms for Prometheus</li>
<li>POST /explain?product=PRODUCT: what each level would store of the events in the body, one a line, and why</li>
<li>/explain/batch/CUSTOMER/ID: what became of a batch, and why</li>
</ul>
</body></html>
";

/// Whether the collector takes and gives batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// The store is being opened.
    Starting,
    /// It does.
    Ready,
    /// A write failed: nothing can be stored until a restart.
    StoreFailed,
    /// It finishes what it has accepted, and takes nothing new.
    ShuttingDown,
}

impl Readiness {
    const fn answer(self) -> (StatusCode, &'static str) {
        match self {
            Self::Ready => (StatusCode::OK, "ready\n"),
            Self::Starting => (StatusCode::SERVICE_UNAVAILABLE, "not ready: starting\n"),
            Self::StoreFailed => (
                StatusCode::SERVICE_UNAVAILABLE,
                "not ready: a write to the store failed; restart the collector\n",
            ),
            Self::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "not ready: shutting down\n"),
        }
    }
}

/// The pages of a collector that is as `readiness` says.
pub fn pages(
    exposition: Exposition,
    readiness: watch::Receiver<Readiness>,
    explaining: Explaining,
) -> Router {
    let scraped = scraped_pages(exposition, readiness);
    scraped.route("/", get(async || Html(INDEX))).merge(explain::routes(explaining))
}

/// Those of them that a machine reads, and other machines may: nothing can be changed through them, and nothing of a
/// customer is there.
pub fn scraped_pages(exposition: Exposition, readiness: watch::Receiver<Readiness>) -> Router {
    Router::new()
        .route("/livez", get(async || (TEXT, "alive\n")))
        .route("/readyz", get(async move || ready(*readiness.borrow())))
        .route("/metrics", get(async move || (PROMETHEUS, exposition.render())))
        .fallback(async || {
            (StatusCode::NOT_FOUND, TEXT, "no such page; there are /livez, /readyz and /metrics\n")
        })
}

fn ready(readiness: Readiness) -> Response {
    let (status, text) = readiness.answer();
    (status, TEXT, text).into_response()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn get(pages: &Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = pages.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_follows_the_collector_and_liveness_does_not() {
        let (collector, readiness) = watch::channel(Readiness::Starting);
        let pages = pages(Exposition::detached(), readiness, Explaining::default());
        for (now, status, text) in [
            (Readiness::Starting, 503, "starting"),
            (Readiness::Ready, 200, "ready"),
            (Readiness::StoreFailed, 503, "restart"),
            (Readiness::ShuttingDown, 503, "shutting down"),
        ] {
            collector.send_replace(now);
            let (code, body) = get(&pages, "/readyz").await;
            assert_eq!(code.as_u16(), status, "{now:?}");
            assert!(body.contains(text), "{body}");
            assert_eq!(get(&pages, "/livez").await.0, StatusCode::OK);
        }
    }

    #[tokio::test]
    async fn the_index_lists_every_page_and_metrics_are_text() {
        let (_collector, readiness) = watch::channel(Readiness::Ready);
        let pages = pages(Exposition::detached(), readiness, Explaining::default());
        let (_, index) = get(&pages, "/").await;
        for page in ["/livez", "/readyz", "/metrics"] {
            assert!(index.contains(page), "{page}");
            assert_eq!(get(&pages, page).await.0, StatusCode::OK);
        }
        let (_, metrics) = get(&pages, "/metrics").await;
        assert!(metrics.contains("# TYPE usaged_events_received_total counter"), "{metrics}");
        assert_eq!(get(&pages, "/etc/passwd").await.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn what_other_machines_may_read_is_three_pages_that_change_nothing() {
        let (_collector, readiness) = watch::channel(Readiness::Ready);
        let pages = scraped_pages(Exposition::detached(), readiness);
        for page in ["/livez", "/readyz", "/metrics"] {
            assert_eq!(get(&pages, page).await.0, StatusCode::OK);
            for method in ["POST", "PUT", "DELETE", "PATCH"] {
                let request = Request::builder().method(method).uri(page).body(Body::empty()).unwrap();
                let refused = pages.clone().oneshot(request).await.unwrap().status();
                assert_eq!(refused, StatusCode::METHOD_NOT_ALLOWED, "{method} {page}");
            }
        }
        for page in ["/", "/console", "/debug", "/metrics/", "/../metrics"] {
            assert_eq!(get(&pages, page).await.0, StatusCode::NOT_FOUND, "{page}");
        }
    }
}
