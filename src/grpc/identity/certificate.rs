//! The certificate that a connection was opened with. It is checked again while the connection lives, by the
//! CAs and revocation lists in force then.

use std::time::Duration;

use rustls::pki_types::{CertificateDer, UnixTime};

use super::refused::Refused;
use crate::identity::CertificateNames;
use crate::model::UnixMillis;

/// Certificates that one client may send. A chain is two or three long.
const MOST: usize = 8;

/// A client's certificate, with what leads to its CA.
#[derive(Debug)]
pub(super) struct ClientCertificate {
    chain: Vec<CertificateDer<'static>>,
    pub(super) names: CertificateNames,
}

/// Decides whether certificates are genuine.
pub(super) type Verifier = std::sync::Arc<dyn rustls::server::danger::ClientCertVerifier>;

impl ClientCertificate {
    /// Reads the chain of a handshake; `None` if there is none, or it cannot be read.
    pub(super) fn of(chain: Option<&[CertificateDer<'static>]>) -> Option<Self> {
        let chain = chain.filter(|chain| chain.len() <= MOST)?;
        let names = CertificateNames::read(chain.first()?).ok()?;
        Some(Self { chain: chain.to_vec(), names })
    }

    /// Whether it is genuine, not revoked and not over, by `verifier` at `now`.
    pub(super) fn check(&self, verifier: &Verifier, now: UnixMillis) -> Result<(), Refused> {
        let Some((own, rest)) = self.chain.split_first() else { return Err(Refused::Missing) };
        let since = Duration::from_millis(u64::try_from(now.0).unwrap_or(0));
        // Whatever is wrong with a certificate that was genuine once is that it holds no more.
        let checked = verifier.verify_client_cert(own, rest, UnixTime::since_unix_epoch(since));
        checked.map(|_| ()).map_err(|_| Refused::Ended)
    }
}
