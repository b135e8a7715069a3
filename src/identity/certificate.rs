//! What of a certificate matters here: the names of whoever holds it, and when it ends. Whether it is
//! genuine was decided before, by rustls.

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::model::UnixMillis;

/// Names of one kind in one certificate; more are not looked at, which can only refuse.
const MOST_NAMES: usize = 64;

/// The attributes of a subject that rules can ask for, with their object identifiers.
pub(super) const ATTRIBUTES: [(&str, &str); 9] = [
    ("CN", "2.5.4.3"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("C", "2.5.4.6"),
    ("ST", "2.5.4.8"),
    ("L", "2.5.4.7"),
    ("SERIALNUMBER", "2.5.4.5"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("DC", "0.9.2342.19200300.100.1.25"),
];

/// A certificate that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It is no X.509 certificate.
    #[error("it is not an X.509 certificate")]
    Form,
}

/// The names in a certificate, and its times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateNames {
    /// URIs of the subject alternative name.
    pub uris: Vec<String>,
    /// DNS names of the subject alternative name, in lower case. They may begin with `*.`, and then fit nothing.
    pub dns: Vec<String>,
    /// Attributes of the subject: kind and value.
    pub subject: Vec<(&'static str, String)>,
    /// From when on it holds.
    pub from: UnixMillis,
    /// Until when it holds.
    pub until: UnixMillis,
}

impl CertificateNames {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(der: &[u8]) -> Result<Self, CertificateError> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::Form)?;
        if !rest.is_empty() {
            return Err(CertificateError::Form);
        }
        let ms = |seconds: i64| UnixMillis(seconds.saturating_mul(1000));
        let validity = certificate.validity();
        let mut names = Self {
            from: ms(validity.not_before.timestamp()),
            until: ms(validity.not_after.timestamp()),
            ..Self::default()
        };
        // A second extension of the same kind is an error, and then there are no names.
        if let Some(san) = certificate.subject_alternative_name().map_err(|_| CertificateError::Form)? {
            for name in san.value.general_names.iter().take(MOST_NAMES) {
                if let GeneralName::URI(uri) = name {
                    names.uris.push((*uri).to_owned());
                } else if let GeneralName::DNSName(name) = name {
                    names.dns.push(name.to_ascii_lowercase());
                }
            }
        }
        for attribute in certificate.subject().iter_attributes().take(MOST_NAMES) {
            let oid = attribute.attr_type().to_id_string();
            let kind = ATTRIBUTES.iter().find(|(_, id)| *id == oid).map(|(kind, _)| *kind);
            if let (Some(kind), Ok(value)) = (kind, attribute.as_str()) {
                names.subject.push((kind, value.to_owned()));
            }
        }
        Ok(names)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn names_and_times_are_read_from_a_real_certificate() {
        let mut params = CertificateParams::new(vec!["Relay.Example.COM".to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::URI("spiffe://v.example/c/acme".try_into().unwrap()));
        params.distinguished_name.push(DnType::CommonName, "jobs");
        params.distinguished_name.push(DnType::OrganizationName, "Acme, Inc.");
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let names = CertificateNames::read(made.der()).unwrap();
        assert_eq!(names.uris, ["spiffe://v.example/c/acme"]);
        assert_eq!(names.dns, ["relay.example.com"]);
        assert!(names.subject.contains(&("CN", "jobs".to_owned())), "{names:?}");
        assert!(names.subject.contains(&("O", "Acme, Inc.".to_owned())), "{names:?}");
        assert_eq!(names.from, UnixMillis(1_767_225_600_000));
        assert_eq!(names.until, UnixMillis(1_798_761_600_000));
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let made =
            CertificateParams::new(vec![]).unwrap().self_signed(&KeyPair::generate().unwrap()).unwrap();
        let mut longer = made.der().to_vec();
        longer.push(0);
        for bad in [&b""[..], b"x", &longer, made.der().get(..100).unwrap()] {
            assert_eq!(CertificateNames::read(bad), Err(CertificateError::Form));
        }
    }
}
