//! Certificates, keys, CAs and revocation lists, from their texts to what rustls takes: checked whole, so that what
//! is swapped in works. TLS 1.3 by ring and nothing older.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use super::certificate::Verifier;
use super::revocation;
use crate::identity::{CertificateNames, RevocationList};
use crate::model::UnixMillis;

/// Certificates in one file of CAs, or revocation lists in one file.
const MOST: usize = 1_000;

/// The texts of the files.
#[derive(Debug, Clone, Copy)]
pub struct TlsTexts<'t> {
    /// PEM: our certificate first, then what leads to its CA.
    pub certificate: &'t [u8],
    /// PEM: the key of our certificate.
    pub key: &'t [u8],
    /// PEM: the CAs that client certificates have to come from.
    pub client_ca: Option<&'t [u8]>,
    /// PEM: what those CAs have revoked, and the intermediate CAs that have revoked something.
    pub client_crl: Option<&'t [u8]>,
    /// Whether a client without a certificate may connect.
    pub allows_none: bool,
}

/// What becomes of them.
#[derive(Clone)]
pub struct TlsMaterial {
    /// How connections are encrypted.
    pub server: Arc<ServerConfig>,
    /// Who decides about client certificates.
    pub clients: Option<Verifier>,
    /// When the first of each kind of file ends.
    pub ends: Vec<(&'static str, UnixMillis)>,
}

/// Why a file is refused. Says the key of the configuration that names the file, and nothing of its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {remedy}")]
pub struct TlsError {
    /// The key of the configuration.
    pub key: &'static str,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: &'static str,
    /// Whether the time alone is the reason: it may be good at another, or once a clock is right, with no change that a
    /// person makes.
    pub is_of_the_time: bool,
}

pub(super) fn wrong(key: &'static str, what: impl Into<String>, remedy: &'static str) -> TlsError {
    TlsError { key, what: what.into(), remedy, is_of_the_time: false }
}

/// What is wrong at this time.
fn untimely(key: &'static str, what: impl Into<String>, remedy: &'static str) -> TlsError {
    TlsError { is_of_the_time: true, ..wrong(key, what, remedy) }
}

/// Makes what rustls takes of the texts, for use from `now` on.
///
/// # Errors
/// Everything that is wrong.
pub fn build(texts: &TlsTexts<'_>, now: UnixMillis) -> Result<TlsMaterial, Vec<TlsError>> {
    let mut problems = Vec::new();
    let mut ends = Vec::new();
    let chain = certificates("tls.certificate", texts.certificate, now, &mut problems);
    ends.extend(chain.as_ref().map(|(_, until)| ("certificate", *until)));
    let key = private_key(texts.key).map_err(|error| problems.push(error)).ok();
    let clients = clients(texts, now, &mut ends, &mut problems);
    let (Some((chain, _)), Some(key), Ok(clients)) = (chain, key, clients) else { return Err(problems) };
    if !problems.is_empty() {
        return Err(problems);
    }
    let server = server(chain, key, clients.clone()).map_err(|error| vec![error])?;
    Ok(TlsMaterial { server: Arc::new(server), clients, ends })
}

fn server(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    clients: Option<Verifier>,
) -> Result<ServerConfig, TlsError> {
    let mismatch =
        "name the key that the certificate was made for, with the certificate itself first in its file";
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| {
            wrong("tls.certificate", format!("TLS 1.3 cannot be set up: {error}"), "report it")
        })?;
    let builder = match clients {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut server = builder.with_single_cert(chain, key).map_err(|error| {
        let what = if matches!(error, rustls::Error::InconsistentKeys(_)) {
            "does not match the certificate".to_owned()
        } else {
            format!("cannot be used with the certificate: {error}")
        };
        wrong("tls.key", what, mismatch)
    })?;
    server.alpn_protocols = vec![b"h2".to_vec()];
    // Every connection proves itself anew: a session that is resumed would bring back what was revoked.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    Ok(server)
}

/// The certificates of a file, and when the first of them ends.
fn certificates(
    key: &'static str,
    pem: &[u8],
    now: UnixMillis,
    problems: &mut Vec<TlsError>,
) -> Option<(Vec<CertificateDer<'static>>, UnixMillis)> {
    let form = "write certificates in PEM, each between BEGIN CERTIFICATE and END CERTIFICATE";
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).take(MOST.saturating_add(1)).collect();
    let read = match read {
        Ok(read) if (1..=MOST).contains(&read.len()) => read,
        Ok(read) if read.is_empty() => {
            problems.push(wrong(key, "holds no certificate", form));
            return None;
        }
        Ok(_) => {
            problems.push(wrong(key, "holds more than 1000 certificates", "name the ones that are needed"));
            return None;
        }
        Err(_) => {
            problems.push(wrong(key, "is not PEM", form));
            return None;
        }
    };
    let mut first: Option<UnixMillis> = None;
    for (at, der) in (1..).zip(&read) {
        let Ok(names) = CertificateNames::read(der) else {
            problems.push(wrong(key, format!("certificate {at} of it cannot be read"), form));
            return None;
        };
        if now >= names.until {
            problems.push(untimely(
                key,
                format!("certificate {at} of it has expired, at {}", day(names.until)),
                "renew it: every client would refuse it, or be refused",
            ));
        } else if now < names.from {
            problems.push(untimely(
                key,
                format!("certificate {at} of it does not hold before {}", day(names.from)),
                "wait until then, or set the clock of this machine right",
            ));
        }
        first = Some(first.map_or(names.until, |first| first.min(names.until)));
    }
    first.map(|until| (read, until))
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        wrong(
            "tls.key",
            "holds no private key that can be read",
            "write it in PEM (PKCS#8, PKCS#1 or SEC1), without a passphrase",
        )
    })
}

/// The CAs in the text of a file, whatever the time; `None` if they cannot be used.
pub(super) fn authorities(pem: &[u8]) -> Option<(Vec<CertificateDer<'static>>, RootCertStore)> {
    let mut roots = RootCertStore::empty();
    let (cas, _) = certificates("tls.client_ca", pem, UnixMillis(0), &mut Vec::new())?;
    cas.iter().all(|ca| roots.add(ca.clone()).is_ok()).then_some((cas, roots))
}

/// The revocation lists in the text of a file, whatever the time, that one of these CAs has signed, or one that it has issued and
/// that stands in the file.
pub(super) fn genuine_lists(
    pem: &[u8],
    cas: &[CertificateDer<'_>],
) -> Option<Vec<CertificateRevocationListDer<'static>>> {
    let lists: Result<Vec<_>, _> =
        CertificateRevocationListDer::pem_slice_iter(pem).take(MOST.saturating_add(1)).collect();
    let stated: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem).take(MOST.saturating_add(1)).collect();
    let lists = lists.ok().filter(|lists| lists.len() <= MOST)?;
    let stated = stated.ok().filter(|stated| stated.len() <= MOST)?;
    let known = revocation::known(cas, &stated);
    let is_genuine = |list: &CertificateRevocationListDer<'_>| {
        RevocationList::read(list).is_some_and(|list| revocation::is_genuine(&list, &known))
    };
    Some(lists.into_iter().filter(is_genuine).collect())
}

fn clients(
    texts: &TlsTexts<'_>,
    now: UnixMillis,
    ends: &mut Vec<(&'static str, UnixMillis)>,
    problems: &mut Vec<TlsError>,
) -> Result<Option<Verifier>, ()> {
    let Some(pem) = texts.client_ca else { return Ok(None) };
    let (cas, until) = certificates("tls.client_ca", pem, now, problems).ok_or(())?;
    ends.push(("client_ca", until));
    let mut roots = RootCertStore::empty();
    for (at, ca) in (1..).zip(&cas) {
        if roots.add(ca.clone()).is_err() {
            let what = format!("certificate {at} of it cannot be a CA");
            problems.push(wrong("tls.client_ca", what, "name CA certificates only"));
            return Err(());
        }
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::new(rustls::crypto::ring::default_provider()),
    );
    if let Some(pem) = texts.client_crl {
        let (lists, until) = revocations(pem, &cas, now, problems).ok_or(())?;
        ends.push(("client_crl", until));
        builder = builder.with_crls(lists).enforce_revocation_expiration();
    }
    if texts.allows_none {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map(Some).map_err(|_| {
        problems.push(wrong("tls.client_crl", "cannot be read", "write revocation lists in PEM (X509 CRL)"));
    })
}

/// The revocation lists of a file, and when the first of them is out of date.
fn revocations(
    pem: &[u8],
    cas: &[CertificateDer<'_>],
    now: UnixMillis,
    problems: &mut Vec<TlsError>,
) -> Option<(Vec<CertificateRevocationListDer<'static>>, UnixMillis)> {
    let form = "write revocation lists in PEM, each between BEGIN X509 CRL and END X509 CRL";
    let lists: Result<Vec<_>, _> =
        CertificateRevocationListDer::pem_slice_iter(pem).take(MOST.saturating_add(1)).collect();
    let lists = lists.ok().filter(|lists| (1..=MOST).contains(&lists.len()));
    let Some(lists) = lists else {
        problems.push(wrong("tls.client_crl", "holds no revocation list, or more than 1000", form));
        return None;
    };
    let mut first: Option<UnixMillis> = None;
    let mut read = Vec::new();
    for (at, list) in (1..).zip(&lists) {
        let Some(list) = RevocationList::read(list) else {
            let what =
                format!("revocation list {at} of it cannot be read, or does not say when the next comes");
            problems.push(wrong("tls.client_crl", what, form));
            return None;
        };
        let until = list.next_update;
        read.push(list);
        if now >= until {
            problems.push(untimely(
                "tls.client_crl",
                format!("revocation list {at} of it is out of date since {}", day(until)),
                "fetch the next one: what was revoked since then would be let in",
            ));
        }
        first = Some(first.map_or(until, |first| first.min(until)));
    }
    let stated: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem).take(MOST.saturating_add(1)).collect();
    let Some(stated) = stated.ok().filter(|stated| stated.len() <= MOST) else {
        problems.push(wrong(
            "tls.client_crl",
            "holds certificates that are not PEM, or more than 1000",
            form,
        ));
        return None;
    };
    problems.extend(revocation::check(&read, cas, &stated));
    first.map(|until| (lists, until))
}

/// A day in UTC.
fn day(at: UnixMillis) -> String {
    jiff::Timestamp::from_millisecond(at.0).map(|at| at.to_string()).unwrap_or_default()
}
