//! The limits of the door. Facts behind the defaults: RELIABILITY, "The door".

use std::time::Duration;

/// Every limit of the gRPC door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Open connections in all. Each may hold `connection_window_bytes` that nobody has read yet.
    /// For one more, the oldest that has proved nothing is closed, of the peer that has most of them; if all have
    /// proved themselves, the new one. A connection proves itself with its first call by a known caller; where
    /// callers are not asked who they are, with its first answer.
    pub max_connections: usize,
    /// Open connections of one peer: an IPv4 address, or an IPv6 /64. For one more, the oldest of this peer that has
    /// proved nothing is closed.
    pub max_connections_per_peer: usize,
    /// New connections of one peer in a second, over a longer time than it takes for
    /// `max_connections_per_peer` at this pace, which may come at once. One more is closed at once.
    pub new_connections_per_peer: u32,
    /// Requests in flight in all, streams counted. One more is answered `RESOURCE_EXHAUSTED`.
    pub max_requests: usize,
    /// Requests in flight on one connection (`SETTINGS_MAX_CONCURRENT_STREAMS`).
    pub max_concurrent_streams: u32,
    /// Streams of one connection that the peer provoked us to reset before it is told to go away
    /// (`MadeYouReset`, CVE-2025-8671).
    pub max_local_resets: usize,
    /// Streams of one connection that the peer reset before they were looked at, before it is told
    /// to go away (rapid reset, CVE-2023-44487).
    pub max_pending_resets: usize,
    /// Bytes of the headers of one request, counted as HTTP/2 does.
    pub max_header_bytes: u32,
    /// How long a new connection may take for its HTTP/2 preface and first SETTINGS. Keepalive does
    /// not apply before it, so without this a half-sent preface stays open for ever.
    pub preface_deadline: Duration,
    /// How often a connection is probed with a PING.
    pub keepalive_interval: Duration,
    /// How long the answer to a PING may take before the connection is closed.
    pub keepalive_timeout: Duration,
    /// How long a client may leave what we write unread, or the answer to a unary call, before the
    /// connection is closed. A PING cannot find such a client: it waits behind what is unread, or
    /// passes by what a window of zero holds back.
    pub write_deadline: Duration,
    /// How old a connection may get, give or take a tenth, before it is asked to go away: so that
    /// clients behind a load balancer spread again.
    pub connection_age: Duration,
    /// How long requests in flight may go on after that.
    pub connection_age_grace: Duration,
    /// How long requests in flight may go on after shutdown began.
    pub shutdown_grace: Duration,
    /// Bytes of one request that may be under way (`SETTINGS_INITIAL_WINDOW_SIZE`). More than the
    /// usual batch of 500 events (170 KB), so that one needs no window update.
    pub stream_window_bytes: u32,
    /// Bytes of all requests of one connection that may be under way.
    pub connection_window_bytes: u32,
    /// Bytes of one frame (`SETTINGS_MAX_FRAME_SIZE`). A request that comes in one frame is not copied.
    pub frame_bytes: u32,
    /// Bytes of one answer that are buffered for a client that reads slowly.
    pub send_buffer_bytes: usize,
    /// Bytes that ingest requests being read or stored may take in all. Reserved before a request is
    /// read; when it is spent, `RESOURCE_EXHAUSTED`.
    pub request_bytes: u32,
    /// The share of `request_bytes` that one connection may take.
    pub request_bytes_per_connection: u32,
    /// How long a request may take from its first byte to its last, and a unary request that waits
    /// for nothing to its answer.
    pub request_deadline: Duration,
    /// Batches of one `SubmitStream` that are being stored at a time.
    pub stream_batches: usize,
    /// `Pull` and `StreamingPull` calls at a time, each with up to 4 MiB of batches in memory. One subscription gets
    /// half, and at most as many as it leaves free.
    pub max_pulls: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 512,
            max_connections_per_peer: 64,
            new_connections_per_peer: 100,
            max_requests: 4096,
            max_concurrent_streams: 128,
            max_local_resets: 128,
            max_pending_resets: 128,
            max_header_bytes: 8 * 1024,
            preface_deadline: Duration::from_secs(5),
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            write_deadline: Duration::from_secs(30),
            connection_age: Duration::from_mins(30),
            connection_age_grace: Duration::from_secs(30),
            shutdown_grace: Duration::from_secs(20),
            stream_window_bytes: 256 * 1024,
            connection_window_bytes: 512 * 1024,
            frame_bytes: 256 * 1024,
            send_buffer_bytes: 256 * 1024,
            request_bytes: 64 * 1024 * 1024,
            request_bytes_per_connection: 16 * 1024 * 1024,
            request_deadline: Duration::from_secs(15),
            stream_batches: 32,
            max_pulls: 32,
        }
    }
}
