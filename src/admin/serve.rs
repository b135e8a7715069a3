//! Serves the pages over HTTP/1.1, with a bound on connections, on their age, and on the patience for a request and for
//! whoever reads its answer.

use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Exposition;
use super::patient::Patient;
use super::places::{Place, Places};

/// How often recorded values are folded into their buckets.
const UPKEEP: Duration = Duration::from_secs(5);

/// How long to wait after a failed accept: out of file descriptors, most likely.
const PAUSE: Duration = Duration::from_millis(200);

/// The limits of the admin port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Open connections. For a further one the oldest is closed, of the peer that has most.
    pub max_connections: usize,
    /// How long a connection may take to send a request, and may idle between two.
    pub request_deadline: Duration,
    /// How long a client may take to read an answer.
    pub answer_deadline: Duration,
    /// How old a connection may get: then it is closed after the answer that is under way.
    pub connection_age: Duration,
    /// How long requests in flight may go on after shutdown began.
    pub shutdown_grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 64,
            request_deadline: Duration::from_secs(10),
            answer_deadline: Duration::from_secs(10),
            connection_age: Duration::from_mins(5),
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
    let places = Places::new(options.max_connections);
    let connections = TaskTracker::new();
    let mut upkeep = tokio::time::interval(UPKEEP);
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            _ = upkeep.tick() => {
                exposition.upkeep();
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let place = places.take(peer.ip());
                let answers = answer(stream, pages.clone(), options.clone(), shutdown.clone());
                connections.spawn(held(place, answers));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
    drop(listener);
    connections.close();
    // What is cut here is a page, which is asked for again.
    let _drained = tokio::time::timeout(options.shutdown_grace, connections.wait()).await;
}

/// Answers until the connection is over, or has to make room.
async fn held(place: Place, answers: impl Future<Output = ()>) {
    tokio::select! {
        () = answers => {}
        () = place.evicted() => {}
    }
    drop(place);
}

async fn answer(stream: TcpStream, pages: Router, options: Options, shutdown: CancellationToken) {
    let mut http = auto::Builder::new(TokioExecutor::new()).http1_only();
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.request_deadline)
        .max_buf_size(64 * 1024);
    let io = TokioIo::new(Patient::new(stream, options.answer_deadline));
    let connection = http.serve_connection(io, TowerToHyperService::new(pages));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = shutdown.cancelled() => {}
        () = tokio::time::sleep(options.connection_age) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _closed = connection.await;
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

    /// A port with these options.
    async fn open(options: Options) -> (std::net::SocketAddr, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_collector, readiness) = watch::channel(Readiness::Ready);
        let exposition = Exposition::detached();
        let pages = pages(exposition.clone(), readiness, crate::admin::Explaining::default());
        let shutdown = CancellationToken::new();
        tokio::spawn(serve(listener, pages, exposition, options, shutdown.clone()));
        (address, shutdown)
    }

    const ASKED: &[u8] = b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n";

    /// A connection that asks for one page after the other and reads none, until the port takes no more.
    async fn deaf(address: std::net::SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let full = async {
            let many = ASKED.repeat(1_000);
            while stream.write_all(&many).await.is_ok() {}
        };
        // Nothing is taken for so long only if the answers do not go out.
        let _took_no_more = tokio::time::timeout(Duration::from_secs(1), full).await;
        stream
    }

    /// One page.
    async fn page(address: std::net::SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Everything that still comes, until the port closes.
    async fn until_closed(stream: &mut TcpStream) {
        let mut some = vec![0; 1 << 16];
        while matches!(stream.read(&mut some).await, Ok(read) if read > 0) {}
    }

    /// covers: B1
    #[tokio::test]
    async fn clients_that_do_not_read_keep_nobody_out() {
        let long = Duration::from_hours(1);
        let options = Options { max_connections: 3, answer_deadline: long, ..Options::default() };
        let (address, shutdown) = open(options).await;
        let _deaf = tokio::join!(deaf(address), deaf(address), deaf(address), deaf(address));
        for _ in 0..5 {
            let answer = tokio::time::timeout(Duration::from_mins(1), page(address)).await.unwrap();
            assert!(answer.ends_with("alive\n"), "{answer}");
        }
        shutdown.cancel();
    }

    /// covers: B1
    #[tokio::test]
    async fn an_answer_that_is_not_read_in_time_and_a_connection_that_is_old_are_closed() {
        let short = Duration::from_millis(100);
        let (address, shutdown) = open(Options { answer_deadline: short, ..Options::default() }).await;
        let mut deaf = deaf(address).await;
        tokio::time::timeout(Duration::from_mins(1), until_closed(&mut deaf)).await.unwrap();
        shutdown.cancel();

        // One that asks again and again, and reads.
        let (address, shutdown) = open(Options { connection_age: short, ..Options::default() }).await;
        let mut busy = TcpStream::connect(address).await.unwrap();
        let (mut from, mut to) = busy.split();
        let asks = async {
            while to.write_all(ASKED).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let mut some = vec![0; 1 << 16];
        let reads = async { while matches!(from.read(&mut some).await, Ok(read) if read > 0) {} };
        let closed = tokio::time::timeout(Duration::from_mins(1), async {
            tokio::select! { () = asks => {}, () = reads => {} }
        });
        closed.await.unwrap();
        shutdown.cancel();
    }
}
