//! Lists of CAs that clients come from, and of others; what is taken lets their clients in, by rustls itself.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use rustls::pki_types::UnixTime;
use rustls::pki_types::pem::PemObject as _;

use super::super::tls::{TlsTexts, build};
use super::*;
use crate::model::UnixMillis;

const NOW: UnixMillis = UnixMillis(1_780_272_000_000);

struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) =
        (rcgen::date_time_ymd(2026, 1, 1), rcgen::date_time_ymd(2027, 1, 1));
    params
}

impl Ca {
    fn of(name: &str, usages: &[KeyUsagePurpose], by: Option<&Self>) -> Self {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = usages.to_vec();
        let key = KeyPair::generate().unwrap();
        let made = match by {
            None => params.self_signed(&key).unwrap(),
            Some(by) => params.signed_by(&key, &by.issuer).unwrap(),
        };
        Self { pem: made.pem(), issuer: Issuer::new(params, key) }
    }

    fn root(name: &str) -> Self {
        Self::of(name, &[KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign], None)
    }

    fn below(&self, name: &str) -> Self {
        Self::of(name, &[KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign], Some(self))
    }

    fn list(&self, revoked: &[u64]) -> String {
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: rcgen::date_time_ymd(2026, 2, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2026, 5, 1),
            next_update: rcgen::date_time_ymd(2026, 7, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    fn client(&self, serial: u64) -> String {
        let mut params = params("client");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(SerialNumber::from(serial));
        params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().pem()
    }
}

/// What is said of lists for clients of these CAs; else whether a client with this chain is let in.
fn told(cas: &str, lists: &str, chain: &[&str]) -> Result<bool, String> {
    let (key, params) = (KeyPair::generate().unwrap(), params("collector"));
    let (certificate, key) = (params.self_signed(&key).unwrap().pem(), key.serialize_pem());
    let texts = TlsTexts {
        certificate: certificate.as_bytes(),
        key: key.as_bytes(),
        client_ca: Some(cas.as_bytes()),
        client_crl: Some(lists.as_bytes()),
        allows_none: true,
    };
    let built = build(&texts, NOW).map_err(|problems| {
        assert!(problems.iter().all(|problem| problem.key == KEY && !problem.remedy.is_empty()));
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    })?;
    let chain: Vec<_> =
        chain.iter().map(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).collect();
    let (own, rest) = chain.split_first().unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_millis(NOW.0.unsigned_abs()));
    Ok(built.clients.unwrap().verify_client_cert(own, rest, now).is_ok())
}

fn refused(cas: &str, lists: &str) -> String {
    told(cas, lists, &[cas]).unwrap_err()
}

#[test]
fn lists_of_the_cas_that_clients_come_from_are_taken_and_let_them_in() {
    let (one, two) = (Ca::root("one"), Ca::root("two"));
    assert_eq!(told(&one.pem, &one.list(&[7]), &[&one.client(8)]), Ok(true));
    assert_eq!(told(&one.pem, &one.list(&[7]), &[&one.client(7)]), Ok(false));
    let cas = format!("{}{}", one.pem, two.pem);
    let lists = format!("{}{}", two.list(&[]), one.list(&[]));
    assert_eq!(told(&cas, &lists, &[&two.client(1)]), Ok(true));
}

#[test]
fn a_list_of_another_ca_or_none_of_one_is_refused_by_name() {
    let (one, two) = (Ca::root("one"), Ca::root("two"));
    let foreign = refused(&one.pem, &two.list(&[]));
    assert!(foreign.contains("list 1 of it is of CN=two, which is no CA in tls.client_ca"), "{foreign}");
    assert!(foreign.contains("holds no revocation list of the CA CN=one"), "{foreign}");
    let missing = refused(&format!("{}{}", one.pem, two.pem), &one.list(&[]));
    assert!(missing.contains("holds no revocation list of the CA CN=two"), "{missing}");
    assert!(!missing.contains("CN=one"), "{missing}");
    // The name is right, and the key is another's.
    let same = refused(&one.pem, &Ca::root("one").list(&[]));
    assert!(same.contains("is not signed by CN=one"), "{same}");
    let renewed = Ca::root("one");
    let both =
        refused(&format!("{}{}", one.pem, renewed.pem), &format!("{}{}", one.list(&[]), renewed.list(&[])));
    assert!(both.contains("two CAs called CN=one have different keys"), "{both}");
}

#[test]
fn a_list_of_an_intermediate_ca_needs_its_certificate_beside_it() {
    let root = Ca::root("root");
    let below = root.below("below");
    let lists = format!("{}{}", root.list(&[]), below.list(&[9]));
    let unstated = refused(&root.pem, &lists);
    assert!(unstated.contains("put the certificate of an intermediate CA beside its list"), "{unstated}");
    let stated = format!("{lists}{}", below.pem);
    assert_eq!(told(&root.pem, &stated, &[&below.client(8), &below.pem]), Ok(true));
    assert_eq!(told(&root.pem, &stated, &[&below.client(9), &below.pem]), Ok(false));
    let no_list = refused(&root.pem, &format!("{}{}", root.list(&[]), below.pem));
    assert!(no_list.contains("holds no revocation list of the CA CN=below"), "{no_list}");
    // Stated is not trusted: neither of another CA, nor one that may sign no lists.
    let other = Ca::root("other").below("below");
    let foreign = refused(&root.pem, &format!("{}{}{}", root.list(&[]), other.list(&[]), other.pem));
    assert!(foreign.contains("CN=below, which stands in it, is issued by none"), "{foreign}");
    let mute = Ca::of("mute", &[KeyUsagePurpose::KeyCertSign], Some(&root));
    let mute = refused(&root.pem, &format!("{}{}", root.list(&[]), mute.pem));
    assert!(mute.contains("CN=mute may not sign revocation lists"), "{mute}");
}
