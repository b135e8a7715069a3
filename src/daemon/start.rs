//! A start: the manager is told that it goes on, and whoever asks for the end meanwhile does not wait for the doors to open.

use std::io::Write as _;
use std::net::SocketAddr;

use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::end::{Signals, Wish};
use super::error::DaemonError;
use super::exposure::check_files;
use super::runner::Runner;
use super::systemd;
use crate::config::Config;

/// A start under way.
pub(super) struct Start {
    /// Asks the manager for more time.
    extending: AbortHandle,
    over: CancellationToken,
}

impl Start {
    /// Says that it is over: from now on a signal is for whoever serves. To be said before the first request can be
    /// accepted: whoever ends a start cuts what it is doing.
    pub(super) fn is_over(&self) {
        self.extending.abort();
        self.over.cancel();
    }
}

/// Starts and serves, until the end.
pub(super) async fn serve(config: Config) -> Result<(), DaemonError> {
    let mut signals = Signals::listen().map_err(DaemonError::Runtime)?;
    let extending = tokio::spawn(systemd::starting());
    let over = CancellationToken::new();
    let start = Start { extending: extending.abort_handle(), over: over.clone() };
    let serving = async {
        let config = aside("looking at files", move || {
            check_files(&config, &Runner::present())?;
            Ok(config)
        });
        super::serve_until_the_end(config.await?, start).await
    };
    let served = tokio::select! {
        biased;
        served = serving => served,
        () = asked_to_end(&mut signals, &over) => {
            // What it was doing is cut as by a crash, which every start survives; nothing was acknowledged.
            tracing::info!("asked to end while it started");
            systemd::stopping("asked to end while it started");
            Ok(())
        }
    };
    extending.abort();
    if served.is_err() {
        systemd::stopping("it cannot go on; the log says why");
    }
    served
}

/// Has `read` done on a thread that may block. Whatever a start does with files goes this way: a disk that does not answer
/// must not keep it from being ended.
pub(super) async fn aside<T: Send + 'static>(
    what: &'static str,
    read: impl FnOnce() -> Result<T, DaemonError> + Send + 'static,
) -> Result<T, DaemonError> {
    // The text of a panic could hold anything and goes nowhere.
    let failed = |_| std::io::Error::other(format!("{what} panicked: a mistake in the collector"));
    tokio::task::spawn_blocking(read).await.map_err(|panic| DaemonError::Runtime(failed(panic)))?
}

/// Says where it listens: to the log, and in one line to the program that started it.
pub(super) fn announce(addresses: &[(&str, SocketAddr)]) {
    let listens: Vec<String> = addresses.iter().map(|(door, at)| format!("{door}={at}")).collect();
    let listens = listens.join(" ");
    tracing::info!(listens, version = env!("CARGO_PKG_VERSION"), "ready");
    let mut out = std::io::stdout().lock();
    // Nobody may be reading; the log has said it too.
    let _ = writeln!(out, "usaged ready {listens}").and_then(|()| out.flush());
}

/// Waits until it is asked to end before the start is over. A wish to reload is heeded when it is.
async fn asked_to_end(signals: &mut Signals, over: &CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = over.cancelled() => return std::future::pending().await,
            wish = signals.next() => match wish {
                Wish::End => return,
                Wish::Reload => {}
            },
        }
    }
}
