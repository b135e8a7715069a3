//! The bytes of a connection, in clear or under TLS, and how a new connection comes to them.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::turns::Turns;
use crate::grpc::identity::{Gate, Visitor};

/// A socket, in clear or under TLS.
pub(super) enum Socket {
    Clear(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Where connections become callers. Clones share the bound on what handshakes take.
#[derive(Clone)]
pub(super) struct Entrance {
    gate: Gate,
    handshakes: Turns,
}

/// Why a connection did not become a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotEntered {
    /// The handshake failed: a client without TLS, without TLS 1.3, or with a certificate that is not genuine.
    Tls,
    /// It was not over in time.
    Slow,
}

impl NotEntered {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Slow => "tls_slow",
        }
    }
}

impl Entrance {
    pub(super) fn new(gate: Gate) -> Self {
        Self { gate, handshakes: Turns::of_half_the_workers() }
    }

    /// Lets a connection in that was accepted a moment ago; within `patience`. The certificates are those in force
    /// now.
    pub(super) async fn enter(
        &self,
        stream: TcpStream,
        patience: Duration,
        closing: &CancellationToken,
    ) -> std::result::Result<(Socket, Visitor), NotEntered> {
        let server = self.gate.authority().and_then(crate::grpc::identity::Authority::server);
        let Some(server) = server else {
            let visitor = Visitor::new(self.gate.clone(), None, closing.clone());
            return Ok((Socket::Clear(stream), visitor));
        };
        // A step of a handshake costs about a millisecond of a processor.
        let handshake = self.handshakes.take(TlsAcceptor::from(server).accept(stream));
        let accepted = timeout_at(Instant::now() + patience, handshake).await;
        let stream = accepted.map_err(|_| NotEntered::Slow)?.map_err(|_| NotEntered::Tls)?;
        let visitor =
            Visitor::new(self.gate.clone(), stream.get_ref().1.peer_certificates(), closing.clone());
        Ok((Socket::Tls(Box::new(stream)), visitor))
    }
}

/// Passes a poll on to the stream that there is.
macro_rules! pass {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Socket::Clear($stream) => $call,
            Socket::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        pass!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        pass!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        pass!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Clear(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        pass!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        pass!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
