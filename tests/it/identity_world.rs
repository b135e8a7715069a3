//! A certificate authority, identities and a configuration that uses them, for a collector as a process of its own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use usaged::grpc::client::{Channel, ClientTls, connect_with};

use crate::cli_run::{Ended, usaged};

/// A certificate authority.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// A certificate and its key, both PEM.
#[derive(Clone)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// What stands in a certificate.
#[derive(Default, Clone, Copy)]
pub struct Names<'n> {
    pub uri: Option<&'n str>,
    pub dns: Option<&'n str>,
    pub cn: Option<&'n str>,
    pub serial: u64,
    /// Whether it has expired.
    pub is_over: bool,
    /// Whether it does not hold yet.
    pub is_later: bool,
}

/// So many days from now.
macro_rules! days {
    ($days:expr) => {{
        let days: i64 = $days;
        let seconds = jiff::Timestamp::now().as_second() + 86_400 * days;
        x509_parser::time::ASN1Time::from_timestamp(seconds).unwrap().to_datetime()
    }};
}

impl Ca {
    pub fn new(name: &str) -> Self {
        Self::until(name, 365)
    }

    /// One that holds for so many days from now.
    pub fn until(name: &str, days: i64) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = (days!(-9), days!(days));
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for a server on this machine.
    pub fn server(&self) -> Pair {
        let mut params =
            CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.not_before, params.not_after) = (days!(-1), days!(90));
        self.sign(params)
    }

    /// A certificate for a client.
    pub fn client(&self, names: Names<'_>) -> Pair {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.subject_alt_names.extend(names.uri.map(|uri| SanType::URI(uri.try_into().unwrap())));
        params.subject_alt_names.extend(names.dns.map(|dns| SanType::DnsName(dns.try_into().unwrap())));
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(cn) = names.cn {
            params.distinguished_name.push(DnType::CommonName, cn);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if names.serial > 0 {
            params.serial_number = Some(SerialNumber::from(names.serial));
        }
        (params.not_before, params.not_after) = match names {
            Names { is_over: true, .. } => (days!(-9), days!(-1)),
            Names { is_later: true, .. } => (days!(1), days!(90)),
            _ => (days!(-1), days!(90)),
        };
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }

    /// A list that revokes the certificates with these serial numbers, and is current for so many days.
    pub fn revokes(&self, serials: &[u64], current: i64) -> String {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: days!(-1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: days!(-9),
            next_update: days!(current),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// The identities of most tests.
pub const IDENTITIES: &str = r#"
[[identity]]
name = "customers"
role = "sender"
customer = "{customer}"
san_uri = "spiffe://vendor.example/customer/{customer}"

[[identity]]
name = "relay"
role = "relay"
customers = ["acme", "globex"]
san_dns = "relay.vendor.example"

[[identity]]
name = "improve-job"
role = "drainer"
subscriptions = ["improve-job"]
subject = ["CN=improve-job"]

[[identity]]
name = "ops"
role = "operator"
san_uri = "spiffe://vendor.example/operator"

[[identity]]
name = "audit"
role = "auditor"
subject = ["CN=auditor"]
"#;

/// A directory with everything that a collector with identities needs.
pub struct World {
    pub dir: tempfile::TempDir,
    pub ca: Ca,
}

pub fn write(path: &Path, text: &str) {
    // As an operator does it: whole, by a rename.
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    let mode = if path.extension().is_some_and(|end| end == "key") { 0o600 } else { 0o644 };
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(mode)).unwrap();
    std::fs::rename(&beside, path).unwrap();
}

impl World {
    pub fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap(), ca: Ca::new("test CA") };
        std::fs::create_dir(world.path("pki")).unwrap();
        let server = world.ca.server();
        world.put("pki/server.pem", &server.certificate);
        world.put("pki/server.key", &server.key);
        world.put("pki/ca.pem", &world.ca.pem);
        world.put("pki/ca.crl", &world.ca.revokes(&[], 30));
        world.put("pki/identities.toml", IDENTITIES);
        world.put("usaged.toml", &world.configuration());
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn put(&self, name: &str, text: &str) {
        write(&self.path(name), text);
    }

    /// A configuration with TLS, client certificates, a revocation list, the file of identities and tokens.
    pub fn configuration(&self) -> String {
        let file = |name: &str| self.path("pki").join(name).display().to_string();
        format!(
            "[tls]\ncertificate = {:?}\nkey = {:?}\nclient_ca = {:?}\nclient_crl = {:?}\n[identity]\nfile = {:?}\n\
             tokens = true\n",
            file("server.pem"),
            file("server.key"),
            file("ca.pem"),
            file("ca.crl"),
            file("identities.toml"),
        )
    }

    /// The collector, not started.
    pub fn place(&self) -> crate::fault_daemon::Place {
        let config = self.path("usaged.toml").display().to_string();
        crate::fault_daemon::Place::new(self.dir.path()).with(&["--config", &config])
    }

    /// How a client knows the collector.
    pub fn tls(&self) -> ClientTls {
        ClientTls { ca: Some(self.ca.pem.clone().into_bytes()), is_on: true, ..ClientTls::default() }
    }

    /// The same with a certificate.
    pub fn with(&self, pair: &Pair) -> ClientTls {
        let own = Some((pair.certificate.clone().into_bytes(), pair.key.clone().into_bytes()));
        ClientTls { own, ..self.tls() }
    }

    /// A certificate of the operator, written to files for the command line: the flags.
    pub fn operator_flags(&self) -> Vec<String> {
        self.flags(&self.operator())
    }

    /// Runs a command as the operator, to the collector at `address`.
    pub fn run(&self, address: &str, args: &[&str]) -> Ended {
        let flags = self.operator_flags();
        let flags = flags.iter().map(String::as_str).chain(["--server", address]);
        usaged(args.iter().copied().chain(flags))
    }

    /// The same, expecting it to come to its end.
    pub fn done(&self, address: &str, args: &[&str]) -> Ended {
        let ended = self.run(address, args);
        assert_eq!(ended.code, 0, "{args:?}: {}", ended.err);
        ended
    }

    pub fn operator(&self) -> Pair {
        self.ca.client(Names { uri: Some("spiffe://vendor.example/operator"), ..Names::default() })
    }

    pub fn sender(&self, customer: &str) -> Pair {
        let uri = format!("spiffe://vendor.example/customer/{customer}");
        self.ca.client(Names { uri: Some(&uri), ..Names::default() })
    }

    pub fn flags(&self, pair: &Pair) -> Vec<String> {
        self.put("client.pem", &pair.certificate);
        self.put("client.key", &pair.key);
        let file = |name: &str| self.path(name).display().to_string();
        ["--tls-ca", &file("pki/ca.pem"), "--tls-cert", &file("client.pem"), "--tls-key", &file("client.key")]
            .map(str::to_owned)
            .to_vec()
    }
}

/// Connects, expecting to.
pub async fn channel(address: &str, tls: &ClientTls) -> Channel {
    connect_with(address, tls).await.unwrap_or_else(|error| panic!("{error}"))
}
