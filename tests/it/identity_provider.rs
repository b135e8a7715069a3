//! Tokens of an identity provider: keys from a file that is swapped, and fetched over HTTPS from a provider that comes
//! and goes.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use usaged::grpc::client::{Channel, ClientTls, Code, Request, Status, reason, retry_delay};
use usaged::grpc::proto::admin::GetStatusRequest;
use usaged::grpc::proto::admin::admin_service_client::AdminServiceClient;

use crate::fault_daemon::{Daemon, until};
use crate::identity_live::loads;
use crate::identity_world::{Pair, World, channel};

/// A key of a provider.
pub struct Key {
    key: KeyPair,
    id: &'static str,
}

impl Key {
    pub fn new(id: &'static str) -> Self {
        Self { key: KeyPair::generate().unwrap(), id }
    }

    fn jwk(&self) -> Json {
        // 04, then both coordinates of a point of P-256.
        let (x, y) = self.key.der_bytes().split_at(33);
        let (x, y) = (BASE64URL_NOPAD.encode(&x[1..]), BASE64URL_NOPAD.encode(y));
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id, "x": x, "y": y})
    }

    pub fn set(&self) -> String {
        json!({"keys": [self.jwk()]}).to_string()
    }

    /// A token for somebody of the group `group`.
    pub fn token(&self, issuer: &str, group: &str) -> String {
        let exp = jiff::Timestamp::now().as_second() + 86_400;
        let claims = json!({"iss": issuer, "aud": "usaged", "exp": exp, "groups": [group]});
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
        header.kid = Some(self.id.to_owned());
        let key = jsonwebtoken::EncodingKey::from_ec_der(self.key.serialized_der());
        jsonwebtoken::encode(&header, &claims, &key).unwrap()
    }

    /// A token that says it is of this key, and is not; each number makes another.
    pub fn forged(&self, issuer: &str, number: u64) -> String {
        let exp = jiff::Timestamp::now().as_second() + 86_400;
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": self.id});
        let claims =
            json!({"iss": issuer, "aud": "usaged", "exp": exp, "groups": ["operators"], "jti": number});
        let encode = |part: Json| BASE64URL_NOPAD.encode(part.to_string().as_bytes());
        format!("{}.{}.{}", encode(header), encode(claims), BASE64URL_NOPAD.encode(&[7; 64]))
    }
}

const GROUP: &str =
    "[[identity]]\nname = \"sso\"\nrole = \"operator\"\nclaims = { groups = \"operators\" }\n";

/// A collector that takes tokens of `issuer`.
fn world(issuer: &str, keys: &str) -> World {
    let world = World::new();
    world.put("pki/identities.toml", &format!("{}\n{GROUP}", crate::identity_world::IDENTITIES));
    let jwt =
        format!("[jwt]\nissuer = {issuer:?}\naudience = [\"usaged\"]\nalgorithms = [\"ES256\"]\n{keys}\n");
    world.put("usaged.toml", &format!("{}{jwt}", world.configuration()));
    world
}

/// The same, with the set of one key in a file.
pub fn provided(issuer: &str, key: &Key) -> World {
    let world = world(issuer, "");
    let file = world.path("pki/jwks.json").display().to_string();
    world.put("pki/jwks.json", &key.set());
    let config = std::fs::read_to_string(world.path("usaged.toml")).unwrap();
    world.put("usaged.toml", &format!("{config}jwks_file = {file:?}\n"));
    world
}

async fn as_operator(world: &World, daemon: &Daemon, token: &str) -> (Code, String) {
    let tls = ClientTls { token: Some(token.to_owned()), ..world.tls() };
    let mut admin = AdminServiceClient::new(channel(&daemon.grpc, &tls).await);
    match admin.get_status(GetStatusRequest {}).await {
        Ok(_) => (Code::Ok, String::new()),
        Err(status) => refusal(&status),
    }
}

fn refusal(status: &Status) -> (Code, String) {
    (status.code(), reason(status).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_s_token_is_who_its_claims_say_by_keys_that_are_swapped() {
    let issuer = "https://id.example";
    let (first, second) = (Key::new("k1"), Key::new("k2"));
    let world = provided(issuer, &first);
    let daemon = world.place().start();
    let ok = (Code::Ok, String::new());
    let invalid = (Code::Unauthenticated, "CREDENTIAL_INVALID".to_owned());
    assert_eq!(as_operator(&world, &daemon, &first.token(issuer, "operators")).await, ok);
    let unknown = (Code::PermissionDenied, "IDENTITY_UNKNOWN".to_owned());
    assert_eq!(as_operator(&world, &daemon, &first.token(issuer, "others")).await, unknown);
    assert_eq!(
        as_operator(&world, &daemon, &first.token("https://evil.example", "operators")).await,
        invalid
    );
    assert_eq!(as_operator(&world, &daemon, &Key::new("k1").token(issuer, "operators")).await, invalid);
    assert_eq!(as_operator(&world, &daemon, &second.token(issuer, "operators")).await, invalid);

    let held = first.token(issuer, "operators");
    world.put("pki/jwks.json", &second.set());
    until("the new key is taken over", || {
        daemon.page("/metrics").contains("identity_loads_total{result=\"loaded\"} 2")
    });
    assert_eq!(as_operator(&world, &daemon, &second.token(issuer, "operators")).await, ok);
    assert_ne!(
        as_operator(&world, &daemon, &held).await,
        ok,
        "a key that is withdrawn takes its tokens with it"
    );

    // Also while another file is refused; the key that takes its place lets nobody in.
    world.put("pki/identities.toml", "nonsense");
    until("the identities are refused", || loads(&daemon, "refused") > 0);
    assert_eq!(as_operator(&world, &daemon, &second.token(issuer, "operators")).await, ok);
    let refused = loads(&daemon, "refused");
    world.put("pki/jwks.json", &first.set());
    until("the keys are read", || loads(&daemon, "refused") > refused);
    let ended = (Code::Unauthenticated, "CREDENTIAL_ENDED".to_owned());
    for (key, expected) in [(&first, invalid), (&second, ended)] {
        assert_eq!(as_operator(&world, &daemon, &key.token(issuer, "operators")).await, expected);
    }
    assert_eq!(daemon.end(), 0);
}

/// A provider behind HTTPS: discovery, and the keys that it has now; `None` answers with an error.
struct Provider {
    issuer: String,
    keys: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicU32>,
}

impl Provider {
    async fn open(pair: &Pair, keys: &str) -> Self {
        let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let provider = Self {
            issuer: issuer.clone(),
            keys: Arc::new(Mutex::new(Some(keys.to_owned()))),
            asked: Arc::default(),
        };
        let (keys, asked) = (Arc::clone(&provider.keys), Arc::clone(&provider.asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                let keys = keys.lock().unwrap().clone();
                let body = if request.starts_with("GET /.well-known/openid-configuration ") {
                    Some(json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")}).to_string())
                } else {
                    asked.fetch_add(1, Ordering::SeqCst);
                    keys
                };
                let (status, body) =
                    body.map_or(("503 Service Unavailable", String::new()), |body| ("200 OK", body));
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        provider
    }
}

fn fetches(daemon: &Daemon, result: &str) -> u64 {
    let line = format!("usaged_identity_key_fetches_total{{result=\"{result}\"}} ");
    let page = daemon.page("/metrics");
    page.lines().find_map(|text| text.strip_prefix(&line)).map_or(0, |n| n.parse().unwrap())
}

/// A collector that fetches the keys of a provider, as `keys` says, and the provider, which has `first`.
async fn fetching(first: &Key, keys: &str) -> (World, Provider) {
    let pki = crate::identity_world::Ca::new("provider CA");
    let provider = Provider::open(&pki.server(), &first.set()).await;
    let world = world(&provider.issuer, keys);
    world.put("pki/provider.pem", &pki.pem);
    let config = std::fs::read_to_string(world.path("usaged.toml")).unwrap();
    let ca = world.path("pki/provider.pem").display().to_string();
    world.put("usaged.toml", &format!("{config}ca = {ca:?}\n"));
    (world, provider)
}

/// Calls over a connection that is there; with the time after which it is to call again.
async fn call(connected: &Channel, token: &str) -> (Code, String, Option<Duration>) {
    let mut request = Request::new(GetStatusRequest {});
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    match AdminServiceClient::new(connected.clone()).get_status(request).await {
        Ok(_) => (Code::Ok, String::new(), None),
        Err(status) => (status.code(), reason(&status).unwrap_or_default(), retry_delay(&status)),
    }
}

/// Calls as often as it is told to call again; what it comes to in the end.
async fn call_until_settled(connected: &Channel, token: &str) -> (Code, String) {
    let begun = std::time::Instant::now();
    loop {
        let (code, reason, again) = call(connected, token).await;
        if code != Code::Unavailable {
            return (code, reason);
        }
        assert_eq!(reason, "IDENTITY_KEYS_UNAVAILABLE");
        assert!(again.is_some() && begun.elapsed() < crate::fault_daemon::SOON, "{again:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Whoever comes with a genuine token while the provider is down is told to call again, each at another time, and gets
/// in on the same connection once the provider is back: at the start, and after `keep`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_down_has_its_callers_wait_and_refuses_none_for_good() {
    let key = Key::new("k1");
    let (world, provider) = fetching(&key, "refresh = \"1s\"\nkeep = \"1s\"").await;
    *provider.keys.lock().unwrap() = None;
    // It is ready: who needs no provider is served.
    let daemon = world.place().start();
    let token = key.token(&provider.issuer, "operators");
    let connected = channel(&daemon.grpc, &world.tls()).await;
    let mut told = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let (code, reason, again) = call(&connected, &token).await;
        assert_eq!((code, &*reason), (Code::Unavailable, "IDENTITY_KEYS_UNAVAILABLE"));
        told.insert(again.unwrap());
    }
    assert!(told.len() > 10 && told.first().unwrap() >= &Duration::from_secs(1), "{told:?}");
    let failed = fetches(&daemon, "failed");
    assert!(failed > 0, "the start has waited for the first answer");
    *provider.keys.lock().unwrap() = Some(key.set());
    assert_eq!(call_until_settled(&connected, &token).await, (Code::Ok, String::new()));

    *provider.keys.lock().unwrap() = None;
    until("the keys are too old", || world.place().said().contains("are too old, its tokens are refused"));
    let (code, reason, again) = call(&connected, &token).await;
    assert_eq!((code, &*reason), (Code::Unavailable, "IDENTITY_KEYS_UNAVAILABLE"));
    assert!(again.is_some());
    *provider.keys.lock().unwrap() = Some(key.set());
    assert_eq!(call_until_settled(&connected, &token).await, (Code::Ok, String::new()));
    assert_eq!(daemon.end(), 0);
}

/// The first token of a new key has the keys fetched, long before their time; and however many name keys that nobody has,
/// the provider is asked seldom, and they are refused for good once it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_a_new_key_has_it_fetched_and_made_up_ones_do_not_hammer_the_provider() {
    let (first, second) = (Key::new("k1"), Key::new("k2"));
    let (world, provider) = fetching(&first, "refresh = \"1h\"").await;
    let begun = std::time::Instant::now();
    let daemon = world.place().start();
    let connected = channel(&daemon.grpc, &world.tls()).await;
    // The start has waited for the keys.
    let ok = (Code::Ok, String::new());
    let (code, ..) = call(&connected, &first.token(&provider.issuer, "operators")).await;
    assert_eq!((code, provider.asked.load(Ordering::SeqCst)), (Code::Ok, 1));
    *provider.keys.lock().unwrap() = Some(second.set());
    let (code, reason, _) = call(&connected, &second.token(&provider.issuer, "operators")).await;
    assert_eq!((code, &*reason), (Code::Unavailable, "IDENTITY_KEYS_UNAVAILABLE"));
    let made_up = Key::new("made-up").token(&provider.issuer, "operators");
    let genuine = second.token(&provider.issuer, "operators");
    let settled = call_until_settled(&connected, &genuine);
    let (settled, made_up) = tokio::join!(settled, call_until_settled(&connected, &made_up));
    assert_eq!(settled, ok);
    assert_eq!(made_up, (Code::Unauthenticated, "CREDENTIAL_INVALID".to_owned()));

    for number in 0..200 {
        let id: &'static str = format!("made-up {number}").leak();
        let (code, ..) = call(&connected, &Key::new(id).token(&provider.issuer, "operators")).await;
        assert_eq!(code, Code::Unavailable, "{number}");
    }
    let asked = u64::from(provider.asked.load(Ordering::SeqCst));
    let most = 2 + begun.elapsed().as_secs() / 10;
    assert!((2..=most).contains(&asked), "asked {asked} times, at most {most} were to be");
    assert_eq!(daemon.end(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_discovered_fetched_kept_when_a_fetch_fails_and_refreshed() {
    let (first, second) = (Key::new("k1"), Key::new("k2"));
    let (world, provider) = fetching(&first, "refresh = \"1s\"").await;
    let daemon = world.place().start();
    let ok = (Code::Ok, String::new());
    until("the keys are fetched", || fetches(&daemon, "fetched") > 0);
    let token = first.token(&provider.issuer, "operators");
    assert_eq!(as_operator(&world, &daemon, &token).await, ok);

    // It fails, and then answers nonsense, a secret, and too much: the keys stay.
    let secret = json!({"keys": [{"kty": "oct", "k": "AAAA", "kid": "k1"}]}).to_string();
    for answer in [None, Some("nonsense".to_owned()), Some(secret), Some("x".repeat(300 << 10))] {
        let failed = fetches(&daemon, "failed");
        *provider.keys.lock().unwrap() = answer;
        until("the fetch fails", || fetches(&daemon, "failed") > failed + 1);
        assert_eq!(as_operator(&world, &daemon, &token).await, ok);
    }
    let fetched = fetches(&daemon, "fetched");
    *provider.keys.lock().unwrap() = Some(second.set());
    until("the new keys are fetched", || fetches(&daemon, "fetched") > fetched);
    assert_eq!(as_operator(&world, &daemon, &second.token(&provider.issuer, "operators")).await, ok);
    assert_ne!(as_operator(&world, &daemon, &token).await, ok);
    assert!(provider.asked.load(Ordering::SeqCst) > 5);
    assert_eq!(daemon.end(), 0);
}
