//! What the configuration says of identities, as the daemon takes it: the files, and how tokens are checked.

use std::path::PathBuf;
use std::time::Duration;

use super::keys::Settings;
use super::word::ClientCertificates;
use crate::identity::JwtOptions;

/// The files that TLS takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// CAs of client certificates.
    pub client_ca: Option<PathBuf>,
    /// What they have revoked.
    pub client_crl: Option<PathBuf>,
    /// Whether a client without a certificate may connect.
    pub allows_none: bool,
}

/// Where the keys of an identity provider come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeysFrom {
    /// A file.
    File(PathBuf),
    /// An address; `None` for the one that the issuer's discovery document names.
    Address {
        /// The address of the key set.
        url: Option<String>,
        /// The CAs of the provider's certificate, in place of the system's.
        ca: Option<PathBuf>,
        /// How often they are fetched.
        refresh: Duration,
        /// How long they are kept when they cannot be fetched.
        keep: Duration,
    },
}

/// Who may call, and how they prove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identities {
    /// How connections are encrypted; without, on loopback only.
    pub tls: Option<TlsFiles>,
    /// The file of identities.
    pub file: Option<PathBuf>,
    /// Whether the tokens of `usaged token issue` are accepted.
    pub accepts_tokens: bool,
    /// Which tokens of an identity provider are.
    pub jwt: Option<(JwtOptions, KeysFrom)>,
}

/// What was set; `None` if nobody is asked who they are. The settings were checked.
pub(super) fn identities(settings: &Settings) -> Option<Identities> {
    super::check_identity::has_identities(settings).then(|| Identities {
        tls: tls(settings),
        file: settings.identity.file.clone(),
        accepts_tokens: settings.identity.tokens,
        jwt: jwt(settings),
    })
}

fn tls(settings: &Settings) -> Option<TlsFiles> {
    let keys = &settings.tls;
    Some(TlsFiles {
        certificate: keys.certificate.clone()?,
        key: keys.key.clone()?,
        client_ca: keys.client_ca.clone(),
        client_crl: keys.client_crl.clone(),
        allows_none: keys.client_certificates == ClientCertificates::Optional,
    })
}

fn jwt(settings: &Settings) -> Option<(JwtOptions, KeysFrom)> {
    let keys = &settings.jwt;
    if keys.issuer.is_empty() {
        return None;
    }
    let options = JwtOptions {
        issuer: keys.issuer.clone(),
        audiences: keys.audience.iter().cloned().collect(),
        algorithms: keys.algorithms.iter().filter_map(|name| name.parse().ok()).collect(),
        leeway: keys.leeway.0,
    };
    let from = match &keys.jwks_file {
        Some(file) => KeysFrom::File(file.clone()),
        None => KeysFrom::Address {
            url: Some(keys.jwks_url.clone()).filter(|url| !url.is_empty()),
            ca: keys.ca.clone(),
            refresh: keys.refresh.0,
            keep: keys.keep.0,
        },
    };
    Some((options, from))
}
