//! Serves the pages over HTTP/1.1, with a bound on connections and on the patience for a request.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Exposition;

/// How often recorded values are folded into their buckets.
const UPKEEP: Duration = Duration::from_secs(5);

/// How long to wait after a failed accept: out of file descriptors, most likely.
const PAUSE: Duration = Duration::from_millis(200);

/// The limits of the admin port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Open connections. The next ones wait until one closes.
    pub max_connections: usize,
    /// How long a connection may take to send a request, and may idle between two.
    pub request_deadline: Duration,
    /// How long requests in flight may go on after shutdown began.
    pub shutdown_grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 64,
            request_deadline: Duration::from_secs(10),
            shutdown_grace: Duration::from_secs(2),
        }
    }
}

/// Serves `pages` on `listener` until `shutdown`, and keeps `exposition` small meanwhile.
pub async fn serve(
    listener: TcpListener,
    pages: Router,
    exposition: Exposition,
    options: Options,
    shutdown: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(options.max_connections.clamp(1, Semaphore::MAX_PERMITS)));
    let connections = TaskTracker::new();
    let mut upkeep = tokio::time::interval(UPKEEP);
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            _ = upkeep.tick() => {
                exposition.upkeep();
                continue;
            }
            accepted = next(&listener, &places) => accepted,
        };
        match accepted {
            Some((stream, place)) => {
                let (pages, shutdown) = (pages.clone(), shutdown.clone());
                connections.spawn(answer(stream, place, pages, options.request_deadline, shutdown));
            }
            None => tokio::time::sleep(PAUSE).await,
        }
    }
    drop(listener);
    connections.close();
    // What is cut here is a page, which is asked for again.
    let _drained = tokio::time::timeout(options.shutdown_grace, connections.wait()).await;
}

/// The next connection once there is a place for it; `None` if accepting failed.
async fn next(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    let (stream, _) = listener.accept().await.ok()?;
    Some((stream, place))
}

async fn answer(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    pages: Router,
    patience: Duration,
    shutdown: CancellationToken,
) {
    let mut http = auto::Builder::new(TokioExecutor::new()).http1_only();
    http.http1().timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(64 * 1024);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(pages));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _closed = connection.await;
        }
    }
    drop(place);
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::watch;

    use super::*;
    use crate::admin::{Readiness, pages};

    #[tokio::test]
    async fn a_page_is_served_a_slow_request_is_closed_and_shutdown_ends_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_collector, readiness) = watch::channel(Readiness::Ready);
        let exposition = Exposition::detached();
        let pages = pages(exposition.clone(), readiness, crate::admin::Explaining::default());
        let options = Options { request_deadline: Duration::from_millis(100), ..Options::default() };
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(serve(listener, pages, exposition, options, shutdown.clone()));

        let mut asking = TcpStream::connect(address).await.unwrap();
        asking.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        asking.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("alive\n"), "{answer}");

        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET /livez HT").await.unwrap();
        let mut rest = Vec::new();
        tokio::time::timeout(Duration::from_secs(10), slow.read_to_end(&mut rest)).await.unwrap().unwrap();

        shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(10), served).await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
