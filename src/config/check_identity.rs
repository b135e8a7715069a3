//! Whether callers can be told apart: what of `[tls]`, `[identity]` and `[jwt]` would open a door, as far as it shows
//! without reading the files that they name.

use super::keys::Settings;
use super::table::Source;
use super::word::ClientCertificates;
use crate::identity::{Algorithm, AlgorithmError};

/// Whether something can prove who a caller is.
pub(super) fn has_identities(settings: &Settings) -> bool {
    settings.identity.file.is_some() || settings.identity.tokens
}

pub(super) fn check(settings: &Settings, source: &mut Source<'_>) {
    listener(settings, source);
    tls(settings, source);
    jwt(settings, source);
}

fn listener(settings: &Settings, source: &mut Source<'_>) {
    let grpc = settings.grpc.listen;
    if grpc.ip().is_loopback() {
        return;
    }
    if !has_identities(settings) {
        let what = format!(
            "{grpc} can be reached from other machines, and nobody is asked who they are: anyone could send, read and \
             administer in the name of any customer"
        );
        let remedy = "set [tls], and identity.file or identity.tokens, or listen on 127.0.0.1 or [::1]";
        source.report("grpc.listen", what, remedy);
    } else if settings.tls.certificate.is_none() {
        let what = format!(
            "{grpc} can be reached from other machines, and what is sent there, tokens too, could be read on the way"
        );
        let remedy = "set tls.certificate and tls.key, or listen on 127.0.0.1 or [::1]";
        source.report("grpc.listen", what, remedy);
    }
}

fn tls(settings: &Settings, source: &mut Source<'_>) {
    let tls = &settings.tls;
    match (&tls.certificate, &tls.key) {
        (Some(_), None) => {
            source.report("tls.certificate", "there is no key to it", "set tls.key, too");
        }
        (None, Some(_)) => {
            source.report("tls.key", "there is no certificate to it", "set tls.certificate, too");
        }
        (Some(_), Some(_)) if !has_identities(settings) => {
            let what = "connections would be encrypted, and nobody asked who they are: whoever connects could send, \
                        read and administer in the name of any customer";
            source.report(
                "tls.certificate",
                what,
                "set identity.file or identity.tokens, or leave [tls] out",
            );
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    if tls.client_ca.is_some() {
        if tls.certificate.is_none() {
            let what = "client certificates come over TLS only";
            source.report("tls.client_ca", what, "set tls.certificate and tls.key, too");
        }
        if settings.identity.file.is_none() {
            let what = "nothing says who the client certificates belong to";
            source.report("tls.client_ca", what, "set identity.file, with san_uri, san_dns or subject");
        }
    } else {
        if tls.client_crl.is_some() {
            let what = "there are no client certificates that could be revoked";
            source.report("tls.client_crl", what, "set tls.client_ca, too");
        }
        if tls.client_certificates == ClientCertificates::Required {
            let what = "there is no CA that client certificates could come from: nobody could connect";
            source.report("tls.client_certificates", what, "set tls.client_ca, too");
        }
    }
}

fn jwt(settings: &Settings, source: &mut Source<'_>) {
    let jwt = &settings.jwt;
    if jwt.issuer.is_empty() {
        let set = [
            ("jwt.audience", !jwt.audience.is_empty()),
            ("jwt.algorithms", !jwt.algorithms.is_empty()),
            ("jwt.jwks_file", jwt.jwks_file.is_some()),
            ("jwt.jwks_url", !jwt.jwks_url.is_empty()),
            ("jwt.ca", jwt.ca.is_some()),
        ];
        for (key, _) in set.iter().filter(|(_, is_set)| *is_set) {
            source.report(key, "there is no issuer whose tokens it could be about", "set jwt.issuer, too");
        }
        return;
    }
    if settings.identity.file.is_none() {
        let what = "nothing says what the tokens of this issuer let their holders do";
        source.report("jwt.issuer", what, "set identity.file, with identities that have `claims`");
    }
    if jwt.audience.is_empty() || jwt.audience.iter().any(|name| name.trim().is_empty() || name.contains('*'))
    {
        let what = "tokens that the issuer made for somebody else would be accepted";
        let remedy = "name what the issuer writes into the claim `aud` of tokens for this collector";
        source.report("jwt.audience", what, remedy);
    }
    algorithms(&jwt.algorithms, source);
    if jwt.jwks_file.is_some() && !jwt.jwks_url.is_empty() {
        let what = "the keys come from a file already, jwt.jwks_file";
        source.report("jwt.jwks_url", what, "leave one of them out");
    }
    let is_https = |url: &str| url.starts_with("https://") && url.len() > "https://".len();
    if !jwt.jwks_url.is_empty() && !is_https(&jwt.jwks_url) {
        let what = "whoever is on the way could put keys of their own in";
        source.report("jwt.jwks_url", what, "write an address that begins with https://");
    } else if jwt.jwks_url.is_empty() && jwt.jwks_file.is_none() && !is_https(&jwt.issuer) {
        let what = "its keys cannot be found: it is no address that begins with https://";
        source.report("jwt.issuer", what, "set jwt.jwks_url or jwt.jwks_file");
    }
}

fn algorithms(names: &[String], source: &mut Source<'_>) {
    let known: Vec<_> = Algorithm::ALL.iter().map(|known| known.as_str()).collect();
    if names.is_empty() {
        let remedy = format!("name those that the issuer signs with: {}", known.join(", "));
        source.report("jwt.algorithms", "no algorithm is accepted, so no token would hold", remedy);
    }
    for name in names {
        if let Err(error) = name.parse::<Algorithm>() {
            let remedy = match error {
                AlgorithmError::Unsigned | AlgorithmError::Symmetric | AlgorithmError::Unknown => {
                    format!("choose from {}", known.join(", "))
                }
            };
            source.report("jwt.algorithms", format!("{name:?}: {error}"), remedy);
        }
    }
}
