//! The keys of an identity provider, fetched over HTTPS: from the address of a key set, or from the one that its
//! discovery document names. Every answer is bounded in size and time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;

use crate::identity::{Algorithm, KeySet, KeySetError};

/// Bytes of one answer.
const ANSWER_BYTES: usize = 256 * 1024;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why keys were not fetched. Never a part of an answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The address cannot be used.
    #[error("the address is not one that begins with https://")]
    Address,
    /// The CAs that the provider's certificate has to come from cannot be used.
    #[error("there are no CAs that the provider's certificate could come from")]
    Roots,
    /// Nobody answered.
    #[error("the provider cannot be reached, or its certificate is not genuine")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    /// It did not answer in time.
    #[error("the provider did not answer within 10 s")]
    Slow,
    /// It answered something else.
    #[error("the provider answered with status {0}")]
    Status(StatusCode),
    /// The answer is too large, or broke off.
    #[error("the answer is larger than 256 KiB, or broke off")]
    Answer,
    /// The discovery document is not one, or is of another issuer.
    #[error("the discovery document is not one, or is of another issuer")]
    Discovery,
    /// The keys cannot be used.
    #[error("the keys cannot be used")]
    Keys(#[source] KeySetError),
}

/// Where keys are fetched from.
#[derive(Clone)]
pub struct Provider {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    place: Place,
    algorithms: Vec<Algorithm>,
}

#[derive(Clone)]
enum Place {
    /// The key set itself.
    Keys(Uri),
    /// The discovery document of an issuer.
    Issuer(String),
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Provider {
    /// A provider whose key set is at `url`, or, without one, whose discovery document names it. `ca` is the text of
    /// a file of CAs in PEM, in place of those that the system trusts.
    ///
    /// # Errors
    /// If the address or the CAs cannot be used.
    pub fn new(
        issuer: &str,
        url: Option<&str>,
        ca: Option<&[u8]>,
        algorithms: Vec<Algorithm>,
    ) -> Result<Self, FetchError> {
        let place = if let Some(url) = url {
            Place::Keys(https(url)?)
        } else {
            https(issuer)?;
            Place::Issuer(issuer.to_owned())
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| FetchError::Roots)?;
        let config = match ca {
            Some(pem) => config.with_root_certificates(roots(pem).ok_or(FetchError::Roots)?),
            None => config.with_native_roots().map_err(|_| FetchError::Roots)?,
        };
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config.with_no_client_auth())
            .https_only()
            .enable_http1();
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector.build());
        Ok(Self { client, place, algorithms })
    }

    /// Fetches the keys.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn fetch(&self) -> Result<KeySet, FetchError> {
        let keys = match &self.place {
            Place::Keys(uri) => uri.clone(),
            Place::Issuer(issuer) => {
                let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
                let body = self.get(https(&url)?).await?;
                let found: Discovery = serde_json::from_slice(&body).map_err(|_| FetchError::Discovery)?;
                // OpenID Connect Discovery 1.0, 4.3: a document of another issuer proves nothing about this one.
                if found.issuer != *issuer {
                    return Err(FetchError::Discovery);
                }
                https(&found.jwks_uri)?
            }
        };
        let body = self.get(keys).await?;
        KeySet::read(&body, &self.algorithms).map_err(FetchError::Keys)
    }

    async fn get(&self, uri: Uri) -> Result<Bytes, FetchError> {
        let request = Request::get(uri).header("accept", "application/json").body(Empty::new());
        let request = request.map_err(|_| FetchError::Address)?;
        let whole = async {
            let answer = self.client.request(request).await.map_err(FetchError::Unreachable)?;
            if answer.status() != StatusCode::OK {
                return Err(FetchError::Status(answer.status()));
            }
            let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
            body.map(http_body_util::Collected::to_bytes).map_err(|_| FetchError::Answer)
        };
        tokio::time::timeout(PATIENCE, whole).await.map_err(|_| FetchError::Slow)?
    }
}

fn https(url: &str) -> Result<Uri, FetchError> {
    let uri: Uri = url.parse().map_err(|_| FetchError::Address)?;
    let is_whole = uri.scheme_str() == Some("https") && uri.host().is_some_and(|host| !host.is_empty());
    if is_whole { Ok(uri) } else { Err(FetchError::Address) }
}

/// The CAs of a file; `None` if there is none in it.
pub(in crate::grpc) fn roots(pem: &[u8]) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for ca in CertificateDer::pem_slice_iter(pem) {
        roots.add(ca.ok()?).ok()?;
    }
    (!roots.is_empty()).then_some(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_fetched_over_https_only() {
        for bad in ["http://id.example/keys", "https:///keys", "id.example", "file:///etc/passwd", ""] {
            assert!(matches!(https(bad), Err(FetchError::Address)), "{bad}");
        }
        assert!(https("https://id.example/keys").is_ok());
        assert!(roots(b"no certificate").is_none());
    }
}
