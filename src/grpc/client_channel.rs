//! The connection of a client: in clear or under TLS, with a token in every call or without.

use std::future::Future;
use std::io::{Error as IoError, ErrorKind};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response, Uri};
use hyper_rustls::ConfigBuilderExt as _;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::body::Body;
use tonic::transport::Endpoint;
use tower::Service;

use super::identity::roots;

/// What a client needs for TLS, and proves itself with. The texts of files.
#[derive(Default, Clone)]
pub struct ClientTls {
    /// PEM: the CAs that the collector's certificate has to come from. Without it, those that the system trusts.
    pub ca: Option<Vec<u8>>,
    /// PEM: the client's own certificate and its key.
    pub own: Option<(Vec<u8>, Vec<u8>)>,
    /// A bearer token.
    pub token: Option<String>,
    /// Whether the connection is under TLS.
    pub is_on: bool,
}

/// Why a client cannot connect.
#[derive(Debug, thiserror::Error)]
pub enum ClientTlsError {
    /// Not an address.
    #[error("not an address such as 127.0.0.1:7171 or https://collector.example:7171")]
    Address,
    /// The CAs cannot be used.
    #[error("the CAs that the collector's certificate should come from cannot be read as PEM")]
    Roots,
    /// The client's certificate or key cannot be used.
    #[error("the client certificate and its key cannot be read as PEM, or do not belong together")]
    Own,
    /// The token cannot be sent.
    #[error("the token has characters that no token has")]
    Token,
    /// The token could be read on the way.
    #[error("a token is not sent to another machine in clear; use https:// or --tls-ca")]
    InClear,
    /// Nobody answers.
    #[error("{0}")]
    Refused(String),
}

/// A connection to a collector. Clones share it.
#[derive(Debug, Clone)]
pub struct Channel {
    inner: tonic::transport::Channel,
    authorization: Option<HeaderValue>,
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future = <tonic::transport::Channel as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::poll_ready(&mut self.inner, cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        Service::call(&mut self.inner, request)
    }
}

/// Connects in clear to `address`, such as `127.0.0.1:7171` or `http://127.0.0.1:7171`.
///
/// # Errors
/// If it is not an address or nobody answers.
pub async fn connect(address: &str) -> Result<Channel, ClientTlsError> {
    connect_with(address, &ClientTls::default()).await
}

/// Connects to `address` with what `tls` says. An address that begins with `https://` is under TLS in any case.
///
/// # Errors
/// If something of it cannot be used, or nobody answers.
pub async fn connect_with(address: &str, tls: &ClientTls) -> Result<Channel, ClientTlsError> {
    let is_on = tls.is_on || address.starts_with("https://");
    let bare =
        address.strip_prefix("http://").or_else(|| address.strip_prefix("https://")).unwrap_or(address);
    // Under TLS, too, the connector below is the one that encrypts: tonic's own is not built in.
    let uri: Uri = format!("http://{bare}").parse().map_err(|_| ClientTlsError::Address)?;
    let host = uri.host().map(|host| host.trim_start_matches('[').trim_end_matches(']').to_owned());
    let host = host.filter(|host| !host.is_empty()).ok_or(ClientTlsError::Address)?;
    let endpoint = Endpoint::from(uri.clone())
        .tcp_nodelay(true)
        .connect_timeout(Duration::from_secs(5))
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20);
    let authorization = tls.token.as_deref().map(bearer).transpose()?;
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if authorization.is_some() && !is_on && !is_here {
        return Err(ClientTlsError::InClear);
    }
    let connected = if is_on {
        let origin: Uri = format!("https://{bare}").parse().map_err(|_| ClientTlsError::Address)?;
        let connector = Encrypted {
            connector: TlsConnector::from(Arc::new(config(tls)?)),
            name: ServerName::try_from(host.clone()).map_err(|_| ClientTlsError::Address)?,
            host,
            port: uri.port_u16().unwrap_or(443),
        };
        endpoint.origin(origin).connect_with_connector(connector).await
    } else {
        endpoint.connect().await
    };
    let inner = connected.map_err(|error| ClientTlsError::Refused(innermost(&error)))?;
    Ok(Channel { inner, authorization })
}

fn bearer(token: &str) -> Result<HeaderValue, ClientTlsError> {
    let mut value =
        HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(|_| ClientTlsError::Token)?;
    // Not printed, and not kept by the compression of headers.
    value.set_sensitive(true);
    Ok(value)
}

/// Why a call broke on the way, of a status that no collector has sent.
#[must_use]
pub fn broken(status: &tonic::Status) -> Option<String> {
    std::error::Error::source(status).map(innermost)
}

/// The reason under all the reasons: the ones above it say only that there is one.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

fn config(tls: &ClientTls) -> Result<rustls::ClientConfig, ClientTlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_| ClientTlsError::Roots)?;
    let builder = match &tls.ca {
        Some(pem) => builder.with_root_certificates(roots(pem).ok_or(ClientTlsError::Roots)?),
        None => builder.with_native_roots().map_err(|_| ClientTlsError::Roots)?,
    };
    let mut config = match &tls.own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
            let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(ClientTlsError::Own)?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| ClientTlsError::Own)?;
            builder.with_client_auth_cert(chain, key).map_err(|_| ClientTlsError::Own)?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Connects and encrypts.
#[derive(Clone)]
struct Encrypted {
    connector: TlsConnector,
    name: ServerName<'static>,
    host: String,
    port: u16,
}

impl Service<Uri> for Encrypted {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = IoError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, IoError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), IoError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { connector, name, host, port } = self.clone();
        Box::pin(async move {
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            let stream = connector.connect(name, stream).await?;
            if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                return Err(IoError::new(ErrorKind::InvalidData, "the other side does not speak HTTP/2"));
            }
            Ok(TokioIo::new(stream))
        })
    }
}
