//! A socket that tells whether the preface has come, and gives up on a client that does not read or
//! sends too many frames beside its requests.

use std::future::Future;
use std::io::{ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::frames::Frames;
use super::socket::Socket;
use crate::observe::Metric;

/// Bytes of a client's preface (24) and of the header of its first SETTINGS frame (9).
pub(super) const PREFACE_BYTES: usize = 24 + 9;

/// A socket with a deadline for writes that nobody reads.
pub(super) struct Guarded {
    stream: Socket,
    /// Bytes read, up to about [`PREFACE_BYTES`].
    read: Arc<AtomicUsize>,
    write_deadline: Duration,
    /// Runs while `is_stalled`.
    stall: Pin<Box<Sleep>>,
    is_stalled: bool,
    frames: Frames,
}

impl Guarded {
    pub(super) fn new(stream: Socket, read: Arc<AtomicUsize>, write_deadline: Duration) -> Self {
        let (stall, frames) = (Box::pin(sleep(write_deadline)), Frames::new(Instant::now()));
        Self { stream, read, write_deadline, stall, is_stalled: false, frames }
    }

    /// What a write came to; an error if the client has read nothing for too long.
    fn written(&mut self, cx: &mut Context<'_>, polled: Poll<Result<usize>>) -> Poll<Result<usize>> {
        if let Poll::Ready(outcome) = &polled {
            self.frames.wrote(outcome.as_ref().map_or(0, |written| *written));
            self.is_stalled = false;
            return polled;
        }
        if !self.is_stalled {
            self.is_stalled = true;
            self.stall.as_mut().reset(Instant::now() + self.write_deadline);
        }
        ready!(self.stall.as_mut().poll(cx));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let new = buf.filled().get(before..).unwrap_or_default();
        if !new.is_empty() && !self.frames.read(new, Instant::now()) {
            Metric::ConnectionsRefused.add(&[("reason", "flood")], 1);
            return Poll::Ready(Err(ErrorKind::ConnectionAborted.into()));
        }
        if self.read.load(Ordering::Relaxed) < PREFACE_BYTES {
            self.read.fetch_add(buf.filled().len().saturating_sub(before), Ordering::Relaxed);
        }
        polled
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
