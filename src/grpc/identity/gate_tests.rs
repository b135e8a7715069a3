//! What a connection may bring without proving itself: credentials that are tried out, and tokens that cannot be checked.

use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use rcgen::{KeyPair, PublicKeyData as _};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::super::{Standing, Tokens};
use super::*;
use crate::grpc::status::Cause;
use crate::identity::{Algorithm, JwtOptions, KeySet, TokenId, TokenText, parse_rules};
use crate::ledger::Refusals;
use crate::observe::Clock;
use crate::sanitize::RootKey;
use crate::store::{self, Store};

const STATUS: &str = "/usaged.admin.v1.AdminService/GetStatus";
const NOW: i64 = 1_790_000_000;

/// A collector's authority, and a provider.
struct World {
    authority: Authority,
    key: KeyPair,
    clock: Clock,
    _dir: tempfile::TempDir,
}

impl World {
    fn new(fetches_keys: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = RootKey::from_hex(&"0123456789abcdef".repeat(4)).unwrap();
        let clock = Clock::manual(UnixMillis(NOW * 1000));
        let store = Store::open(store::Options::new(dir.path()), &root, clock.clone()).unwrap();
        let tokens = Tokens::open(store, clock.clone()).unwrap();
        let rules = parse_rules(
            "[[identity]]\nname = \"ops\"\nrole = \"operator\"\nclaims = { groups = \"operators\" }\n",
        );
        let jwt = JwtOptions {
            issuer: "https://id.example".to_owned(),
            audiences: ["usaged".to_owned()].into(),
            algorithms: [Algorithm::Es256].into(),
            leeway: std::time::Duration::ZERO,
        };
        let standing =
            Standing { rules: rules.unwrap(), jwt: Some(jwt), fetches_keys, ..Standing::default() };
        let authority = Authority::new(standing, tokens, Refusals::new(clock.clone()), clock.clone());
        Self { authority, key: KeyPair::generate().unwrap(), clock, _dir: dir }
    }

    fn visitor(&self) -> (Visitor, CancellationToken) {
        let closing = CancellationToken::new();
        (Visitor::new(Gate::guarded(self.authority.clone()), None, closing.clone()), closing)
    }

    /// The keys of the provider, under this name.
    fn keys(&self, id: &str) -> KeySet {
        let (x, y) = self.key.der_bytes().split_at(33);
        let (x, y) = (BASE64URL_NOPAD.encode(x.get(1..).unwrap()), BASE64URL_NOPAD.encode(y));
        let keys = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": id, "x": x, "y": y}]});
        KeySet::read(keys.to_string().as_bytes(), &[Algorithm::Es256]).unwrap()
    }

    fn token(&self, id: &str, seconds_left: i64) -> HeaderMap {
        let claims = json!({
            "iss": "https://id.example", "aud": "usaged", "exp": NOW + seconds_left, "groups": ["operators"]
        });
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
        header.kid = Some(id.to_owned());
        let key = jsonwebtoken::EncodingKey::from_ec_der(self.key.serialized_der());
        bearer(&jsonwebtoken::encode(&header, &claims, &key).unwrap())
    }
}

fn bearer(token: &str) -> HeaderMap {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    HeaderMap::from_iter([(AUTHORIZATION, value)])
}

/// A token that nobody signed, and that says it has ended.
fn unsigned() -> HeaderMap {
    let encode = |part: serde_json::Value| BASE64URL_NOPAD.encode(part.to_string().as_bytes());
    let header = encode(json!({"alg": "ES256", "kid": "k1"}));
    let claims = json!({"iss": "https://id.example", "aud": "usaged", "exp": NOW - 1});
    bearer(&format!("{header}.{}.AAAA", encode(claims)))
}

fn cause(visitor: &Visitor, headers: &HeaderMap) -> Option<Cause> {
    visitor.admit(STATUS, headers).err().map(|fault| fault.cause())
}

// covers: B1
#[tokio::test]
async fn a_token_that_says_it_has_ended_is_a_guess_unless_the_connection_has_proved_itself() {
    let world = World::new(false);
    world.authority.replace_keys(world.keys("k1"));
    let (stranger, closing) = world.visitor();
    for call in 0..17 {
        assert!(!closing.is_cancelled(), "{call}");
        assert_eq!(cause(&stranger, &unsigned()), Some(Cause::EndedCredential));
    }
    assert!(closing.is_cancelled());

    let (job, closing) = world.visitor();
    assert_eq!(cause(&job, &world.token("k1", 60)), None);
    let ended = world.token("k1", -1);
    for _ in 0..10_000 {
        assert_eq!(cause(&job, &ended), Some(Cause::EndedCredential));
    }
    assert!(!closing.is_cancelled(), "a job whose token ran out is told so as often as it asks");
}

#[tokio::test]
async fn a_token_whose_key_is_not_here_yet_is_to_come_again_and_is_no_guess() {
    let world = World::new(true);
    let (caller, closing) = world.visitor();
    let early = world.token("k1", 3600);
    for call in 0..1024 {
        assert_eq!(cause(&caller, &early), Some(Cause::KeysAwaited), "{call}");
        assert!(!closing.is_cancelled(), "{call}");
    }
    assert_eq!(cause(&caller, &early), Some(Cause::KeysAwaited));
    assert!(closing.is_cancelled(), "not for ever on one connection");

    // The keys come, and with them the caller.
    let (caller, closing) = world.visitor();
    let fetch = world.authority.fetch_begins();
    world.authority.fetched(fetch, Some(world.keys("k1")));
    assert_eq!(cause(&caller, &world.token("k1", 3600)), None);
    // A new key: until the keys have been fetched once more, and then it is known or is none.
    for id in ["k2", "made-up"] {
        assert_eq!(cause(&caller, &world.token(id, 3600)), Some(Cause::KeysAwaited));
    }
    let fetch = world.authority.fetch_begins();
    world.authority.fetched(fetch, Some(world.keys("k2")));
    assert_eq!(cause(&caller, &world.token("k2", 3600)), None);
    assert_eq!(cause(&caller, &world.token("made-up", 3600)), Some(Cause::BadCredential));
    // What holds a call while it runs: its key is withdrawn, or all of them are too old.
    let running = caller.admit(STATUS, &world.token("k2", 3600)).unwrap();
    world.authority.replace_keys(KeySet::default());
    assert_eq!(running.still().unwrap_err().cause(), Cause::KeysAwaited);
    assert_eq!(cause(&caller, &world.token("k2", 3600)), Some(Cause::KeysAwaited));
    world.authority.replace_keys(World::new(true).keys("k2"));
    assert_eq!(running.still().unwrap_err().cause(), Cause::EndedCredential);
    assert!(!closing.is_cancelled());
}

#[tokio::test]
async fn a_key_that_a_file_does_not_have_does_not_come() {
    let world = World::new(false);
    world.authority.replace_keys(world.keys("k1"));
    let (caller, _closing) = world.visitor();
    assert_eq!(cause(&caller, &world.token("k2", 3600)), Some(Cause::BadCredential));
}

#[tokio::test]
async fn a_call_that_runs_goes_by_the_end_that_its_token_has_now() {
    let world = World::new(false);
    let text = TokenText::new(TokenId::new([1; 8]), &zeroize::Zeroizing::new([2; 32]));
    let (id, hash) = TokenText::read(text.reveal().as_bytes()).unwrap();
    let hash = String::from(hash);
    let ends = |second: i64| {
        let at = jiff::Timestamp::from_second(second).unwrap();
        let table =
            format!("name = \"ops\"\nrole = \"operator\"\ntoken_hash = \"{id}:{hash}\"\nexpires = {at}");
        let rules = parse_rules(&format!("[[identity]]\n{table}\n")).unwrap();
        world.authority.replace(Standing { rules, ..Standing::default() });
    };
    let (job, _closing) = world.visitor();
    let begun = || job.admit(STATUS, &bearer(text.reveal())).map_err(|fault| fault.cause());
    ends(NOW + 3600);
    let running = begun().unwrap();
    let still = || running.still().err().map(|fault| fault.cause());
    // Brought forward to a time that is near: not only when it is asked again, a minute later.
    ends(NOW + 10);
    assert_eq!(still(), None);
    world.clock.advance_ms(9_999);
    assert_eq!(still(), None);
    world.clock.advance_ms(1);
    assert_eq!(still(), Some(Cause::EndedCredential));
    assert_eq!(begun().err(), Some(Cause::EndedCredential));
    // Put off: it holds on, beyond the end that it had when it began.
    ends(NOW + 7200);
    assert_eq!(still(), None);
    world.clock.advance_ms(3_600_000);
    assert_eq!(still(), None);
    // Brought forward into the past.
    ends(NOW);
    assert_eq!(still(), Some(Cause::EndedCredential));
}
