//! Metrics on an address of their own, for a Prometheus on another machine: read-only, and only if the
//! configuration names the address. The admin port stays on loopback.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::error::DaemonError;
use crate::admin::{self, Exposition, Readiness};

/// Connections that may be open: a few scrapers and probes. For a further one the oldest goes.
const CONNECTIONS: usize = 8;

/// What serves the metrics, if anything does.
pub(super) struct Scraped(Option<(SocketAddr, JoinHandle<()>)>);

/// Takes the address, if there is one.
pub(super) async fn listen(address: Option<SocketAddr>) -> Result<Option<TcpListener>, DaemonError> {
    let Some(address) = address else { return Ok(None) };
    let bound = TcpListener::bind(address).await;
    bound.map(Some).map_err(|source| DaemonError::Listen { address, source })
}

impl Scraped {
    /// Serves on `listener` until `close`.
    pub fn serve(
        listener: Option<TcpListener>,
        exposition: &Exposition,
        readiness: &watch::Receiver<Readiness>,
        close: &CancellationToken,
    ) -> Self {
        let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let (Some(listener), Some(address)) = (listener, address) else { return Self(None) };
        let pages = admin::scraped_pages(exposition.clone(), readiness.clone());
        let options = admin::Options { max_connections: CONNECTIONS, ..admin::Options::default() };
        let served = admin::serve(listener, pages, exposition.clone(), options, close.clone());
        Self(Some((address, tokio::spawn(served))))
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.0.as_ref().map(|(address, _)| *address)
    }

    /// Waits until it has ended.
    pub async fn closed(self) {
        if let Some((_, served)) = self.0 {
            let _ended = served.await;
        }
    }
}
