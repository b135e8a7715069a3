//! The accept loop: takes connections while there are places, backs off when the system has no
//! more to give, and ends in order.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;

use super::connection::{Shared, drive};
use super::heart::Heart;
use super::peers::{Caps, Peers};
use super::socket::Entrance;
use super::{Budget, Options};
use crate::grpc::identity::Gate;
use crate::observe::Metric;

/// The first and the longest pause after a failed accept. Without one, a process that is out of
/// file descriptors spins: 52,303 failed accepts in 3 s were measured.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// How often it is told what of the budgets is in use.
const TELL: Duration = Duration::from_secs(1);

/// How long a call whose connection was cut has at least to notice that.
const NOTICE: Duration = Duration::from_secs(1);

/// How a door ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every request in flight was answered.
    Drained,
    /// The grace period ended first; so many connections were cut.
    Cut(usize),
}

/// Serves `routes` to the connections of `listener` until `shutdown`; then asks every client to go
/// away, and waits for requests in flight up to the grace period, also for those that go on without their callers. Nobody is asked who they are: for loopback.
pub async fn serve(
    listener: TcpListener,
    routes: Routes,
    options: Options,
    shutdown: CancellationToken,
) -> Ended {
    serve_guarded(listener, routes, options, (Gate::open(), Heart::default()), shutdown).await
}

/// The same, to callers that `gate` lets in; `heart` is answered as long as connections are taken.
pub async fn serve_guarded(
    listener: TcpListener,
    routes: Routes,
    options: Options,
    (gate, heart): (Gate, Heart),
    shutdown: CancellationToken,
) -> Ended {
    let peers = Peers::new(Caps {
        most: options.max_connections,
        per_peer: options.max_connections_per_peer,
        new_per_peer: options.new_connections_per_peer,
    });
    let grace = options.shutdown_grace;
    let budget = Budget::new(options.request_bytes, options.request_bytes_per_connection);
    let shared = Shared::new(routes.prepare(), options, budget, Entrance::new(gate));
    let connections = TaskTracker::new();
    let (closing, cut) = (CancellationToken::new(), CancellationToken::new());
    let mut pause = PAUSE.0;
    let mut tell = tokio::time::interval(TELL);
    tell.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            _ = tell.tick() => {
                shared.tell();
                continue;
            }
            () = heart.asked() => {
                heart.answer();
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = PAUSE.0;
                match peers.admit(peer.ip()) {
                    Ok(place) => {
                        let (shared, closing, cut) = (shared.clone(), closing.child_token(), cut.clone());
                        connections.spawn(async move {
                            let newcomer = place.newcomer();
                            tokio::select! {
                                () = drive(stream, peer, newcomer, shared, closing) => {}
                                () = newcomer.evicted() => {}
                                () = cut.cancelled() => {}
                            }
                            drop(place);
                        });
                    }
                    Err(refused) => refuse(stream, refused.as_str()),
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if pause == PAUSE.0 {
                    tracing::warn!(%error, "accepting connections failed; backing off");
                }
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    () = tokio::time::sleep(pause) => {}
                    () = heart.asked() => heart.answer(),
                }
                pause = pause.saturating_mul(2).min(PAUSE.1);
            }
        }
    }
    heart.end();
    // The port is free for a successor from here on. It comes before clients are asked to go away: those that
    // come back at once are refused, and do not wait in the queue of a socket that nobody will accept from.
    drop(listener);
    closing.cancel();
    connections.close();
    let until = Instant::now() + grace;
    let left = match tokio::time::timeout_at(until, connections.wait()).await {
        Ok(()) => 0,
        Err(_over) => connections.len(),
    };
    cut.cancel();
    connections.wait().await;
    // Also those whose callers are gone by now.
    let left_of_grace = until.saturating_duration_since(Instant::now());
    let unfinished = shared.finishing().wait(left_of_grace.max(NOTICE)).await;
    if unfinished > 0 {
        tracing::warn!(unfinished, "grace period over, calls that change something are not at their end");
    }
    if left == 0 { Ended::Drained } else { Ended::Cut(left) }
}

/// Closes a connection that has no place. Nothing was read of it, so nothing can be answered.
fn refuse(stream: TcpStream, reason: &'static str) {
    Metric::ConnectionsRefused.add(&[("reason", reason)], 1);
    drop(stream);
}

/// Whether accepting the next connection can go on at once.
fn is_of_one_connection(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::Interrupted
    )
}
