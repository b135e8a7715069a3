//! One connection: its HTTP/2 limits, its deadlines, and its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use super::finish::Finishing;
use super::guarded::{Guarded, PREFACE_BYTES};
use super::peers::Newcomer;
use super::slots::Slots;
use super::socket::Entrance;
use super::watch::watched;
use super::{Budget, Options, Share};
use crate::observe::Metric;

/// How long a connection that we ended stays open for reading, so that the last answers arrive: a
/// socket that is closed with unread bytes in it resets, and what the client has not read is lost.
const LINGER: Duration = Duration::from_secs(1);

/// What all connections share.
#[derive(Clone)]
pub(super) struct Shared(Arc<Inner>);

struct Inner {
    routes: Routes,
    options: Options,
    budget: Budget,
    slots: Slots,
    entrance: Entrance,
    http: http2::Builder<TokioExecutor>,
}

/// The connection that a request came over. Every request carries an [`Arc`] of it in its extensions.
#[derive(Debug)]
pub struct Caller {
    /// The address of the peer. Used for admission only: never stored, logged or counted.
    pub peer: SocketAddr,
    /// Cancelled when the connection is about to end: streams are to finish.
    pub closing: CancellationToken,
    /// The bytes that requests of this connection may take.
    pub share: Share,
}

impl Shared {
    pub(super) fn new(routes: Routes, options: Options, budget: Budget, entrance: Entrance) -> Self {
        let slots = Slots::new(options.max_requests);
        let http = http(&options);
        Self(Arc::new(Inner { routes, options, budget, slots, entrance, http }))
    }

    /// The calls that go on without their callers.
    pub(super) fn finishing(&self) -> &Finishing {
        self.0.slots.finishing()
    }

    /// Says what of the budgets is in use.
    pub(super) fn tell(&self) {
        self.0.budget.tell();
        self.0.slots.tell();
    }
}

fn http(options: &Options) -> http2::Builder<TokioExecutor> {
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .max_concurrent_streams(options.max_concurrent_streams)
        .max_local_error_reset_streams(options.max_local_resets)
        .max_pending_accept_reset_streams(options.max_pending_resets)
        .max_header_list_size(options.max_header_bytes)
        .keep_alive_interval(options.keepalive_interval)
        .keep_alive_timeout(options.keepalive_timeout)
        .initial_stream_window_size(options.stream_window_bytes)
        .initial_connection_window_size(options.connection_window_bytes)
        .max_frame_size(options.frame_bytes)
        .max_send_buf_size(options.send_buffer_bytes.min(16 * 1024 * 1024))
        .auto_date_header(false);
    http
}

/// Serves one connection to its end. `closing` is cancelled at shutdown.
pub(super) async fn drive(
    stream: TcpStream,
    peer: SocketAddr,
    newcomer: &Arc<Newcomer>,
    shared: Shared,
    closing: CancellationToken,
) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let options = &shared.0.options;
    let born = Instant::now();
    let entering = shared.0.entrance.enter(stream, options.preface_deadline, &closing);
    let entered = tokio::select! {
        entered = entering => entered,
        () = closing.cancelled() => return,
    };
    let (stream, visitor) = match entered {
        Ok(entered) => entered,
        Err(refused) => {
            Metric::ConnectionsRefused.add(&[("reason", refused.as_str())], 1);
            return;
        }
    };
    let visitor = Arc::new(visitor);
    let read = Arc::new(AtomicUsize::new(0));
    let mut io = TokioIo::new(Guarded::new(stream, Arc::clone(&read), options.write_deadline));
    let caller = Arc::new(Caller { peer, closing: closing.clone(), share: shared.0.budget.share() });
    let slots = Arc::new(shared.0.slots.of_connection(options.max_concurrent_streams, peer.ip().into()));
    let service = hyper::service::service_fn({
        let (shared, slots, newcomer) = (shared.clone(), Arc::clone(&slots), Arc::clone(newcomer));
        move |mut request: http::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(Arc::clone(&caller));
            let routes = shared.0.routes.clone();
            let deadline = shared.0.options.request_deadline;
            let who = (Arc::clone(&visitor), Arc::clone(&newcomer));
            watched(routes, request, who, Arc::clone(&slots), deadline)
        }
    });
    let mut connection = Box::pin(shared.0.http.serve_connection(&mut io, service));
    let has_begun = || read.load(Ordering::Relaxed) >= PREFACE_BYTES;

    tokio::select! {
        _ = connection.as_mut() => return,
        () = sleep_until(born + options.preface_deadline) => {}
        () = closing.cancelled() => {}
    }
    if !has_begun() {
        if !closing.is_cancelled() {
            Metric::ConnectionsRefused.add(&[("reason", "preface")], 1);
        }
        return;
    }
    tokio::select! {
        _ = connection.as_mut() => return,
        () = sleep_until(born + around(options.connection_age)) => closing.cancel(),
        () = slots.unread().for_too_long(options.write_deadline) => {
            Metric::ConnectionsRefused.add(&[("reason", "unread")], 1);
            return;
        }
        () = closing.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    // At shutdown the accept loop cuts after its own grace; an aged connection ends here.
    let grace = options.connection_age_grace.max(options.shutdown_grace);
    let ended = tokio::time::timeout(grace, async {
        // The end waits for the answer to a PING, which a client that is gone never gives: without a
        // call in progress, nothing is lost.
        tokio::select! {
            _ = connection.as_mut() => {}
            () = slots.quiet(LINGER) => {}
        }
    });
    let has_ended = ended.await.is_ok();
    drop(connection);
    if has_ended {
        let _gone = tokio::time::timeout(LINGER, linger(io.into_inner())).await;
    }
}

/// Says that nothing more is written, and drops what still comes until the client closes, too.
async fn linger(mut io: Guarded) -> std::io::Result<()> {
    io.shutdown().await?;
    let mut unread = vec![0; 16 * 1024];
    while io.read(&mut unread).await? > 0 {}
    Ok(())
}

/// `age`, give or take a tenth, so that connections that came together do not go together.
fn around(age: Duration) -> Duration {
    age.mul_f64(rand::random_range(0.9..1.1))
}
