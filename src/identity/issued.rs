//! Who issued a certificate or a list of revoked ones, and what of it is signed. Read here, verified elsewhere.

use x509_parser::prelude::{AlgorithmIdentifier, CertificateRevocationList, FromDer as _, X509Certificate};
use x509_parser::x509::X509Name;

use crate::model::UnixMillis;

/// Bytes of a name that are shown.
const SHOWN: usize = 128;

/// The extension of a list that is not of all certificates of its CA: the issuing distribution point.
const PARTIAL: &str = "2.5.29.28";

/// What somebody has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Whom it names as its issuer, in DER.
    pub issuer: Vec<u8>,
    /// The same, to be shown.
    pub by: String,
    /// What is signed.
    pub message: Vec<u8>,
    /// How, the object identifier in DER without its head.
    pub algorithm: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
}

/// A certificate, as one that others are issued by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerCertificate {
    /// Its name, in DER.
    pub subject: Vec<u8>,
    /// The same, to be shown.
    pub name: String,
    /// Its public key.
    pub key: Vec<u8>,
    /// Whether it may sign revocation lists.
    pub may_revoke: bool,
    /// What its own issuer has signed.
    pub signed: Signed,
}

/// A list of revoked certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    /// What its CA has signed.
    pub signed: Signed,
    /// When the next one comes.
    pub next_update: UnixMillis,
    /// Whether it is of some certificates of its CA only.
    pub is_partial: bool,
}

impl IssuerCertificate {
    /// Reads a certificate in DER; `None` if it is none.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        let usage = certificate.key_usage().ok().filter(|_| rest.is_empty())?;
        Some(Self {
            subject: certificate.subject().as_raw().to_vec(),
            name: shown(certificate.subject()),
            key: certificate.public_key().subject_public_key.data.to_vec(),
            may_revoke: usage.is_none_or(|usage| usage.value.crl_sign()),
            signed: Signed::of(
                certificate.issuer(),
                certificate.tbs_certificate.as_ref(),
                &certificate.signature_algorithm,
                &certificate.signature_value.data,
            ),
        })
    }
}

impl RevocationList {
    /// Reads a list in DER; `None` if it is none, or does not say when the next one comes.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        let (rest, list) = CertificateRevocationList::from_der(der).ok()?;
        let next = list.next_update().filter(|_| rest.is_empty())?;
        Some(Self {
            signed: Signed::of(
                list.issuer(),
                list.tbs_cert_list.as_ref(),
                &list.signature_algorithm,
                &list.signature_value.data,
            ),
            next_update: UnixMillis(next.timestamp().saturating_mul(1000)),
            is_partial: list.extensions().iter().any(|extension| extension.oid.to_id_string() == PARTIAL),
        })
    }
}

impl Signed {
    fn of(
        issuer: &X509Name<'_>,
        message: &[u8],
        algorithm: &AlgorithmIdentifier<'_>,
        signature: &[u8],
    ) -> Self {
        Self {
            issuer: issuer.as_raw().to_vec(),
            by: shown(issuer),
            message: message.to_vec(),
            algorithm: algorithm.algorithm.as_bytes().to_vec(),
            signature: signature.to_vec(),
        }
    }
}

/// The name of a CA, as the operator's files have it.
fn shown(name: &X509Name<'_>) -> String {
    let text = name.to_string().replace(char::is_control, " ");
    text.char_indices().take_while(|(at, _)| *at < SHOWN).map(|(_, char)| char).collect()
}
