//! Which tokens of an identity provider hold. Keys are made anew for each test.

use std::sync::LazyLock;

use data_encoding::BASE64URL_NOPAD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData as _};
use serde_json::json;

use super::super::key_set::KeySetError;
use super::*;

/// An issuer with one key: how it signs, and its public half.
struct Issuer {
    key: KeyPair,
    algorithm: Algorithm,
    kid: &'static str,
}

static ISSUER: LazyLock<Issuer> = LazyLock::new(|| Issuer::new(Algorithm::Es256, "k1"));
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

impl Issuer {
    fn new(algorithm: Algorithm, kid: &'static str) -> Self {
        let kind = if algorithm == Algorithm::EdDsa { &PKCS_ED25519 } else { &PKCS_ECDSA_P256_SHA256 };
        Self { key: KeyPair::generate_for(kind).unwrap(), algorithm, kid }
    }

    fn jwk(&self) -> Value {
        let point = BASE64URL_NOPAD;
        let raw = self.key.der_bytes();
        if self.algorithm == Algorithm::EdDsa {
            return json!({"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "x": point.encode(raw)});
        }
        // 04, then both coordinates.
        let (x, y) = raw.split_at(33);
        json!({"kty": "EC", "crv": "P-256", "kid": self.kid, "x": point.encode(&x[1..]), "y": point.encode(y)})
    }

    fn keys(&self) -> KeySet {
        read(&json!({"keys": [self.jwk()]})).unwrap()
    }

    fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let key = jsonwebtoken::EncodingKey::from_ec_der(self.key.serialized_der());
        let key = if self.algorithm == Algorithm::EdDsa {
            jsonwebtoken::EncodingKey::from_ed_der(self.key.serialized_der())
        } else {
            key
        };
        let header: jsonwebtoken::Header = serde_json::from_value(header.clone()).unwrap();
        jsonwebtoken::encode(&header, claims, &key).unwrap()
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_with(&json!({"alg": self.algorithm.as_str(), "kid": self.kid}), claims)
    }
}

fn read(set: &Value) -> Result<KeySet, KeySetError> {
    KeySet::read(set.to_string().as_bytes(), &[Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256])
}

fn options() -> JwtOptions {
    JwtOptions {
        issuer: "https://id.example".to_owned(),
        audiences: ["usaged".to_owned()].into(),
        algorithms: [Algorithm::Es256, Algorithm::EdDsa].into(),
        leeway: Duration::from_secs(30),
    }
}

fn claims() -> Value {
    json!({"iss": "https://id.example", "aud": "usaged", "exp": 1_800_000_600, "tenant": "acme"})
}

fn with(key: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[key] = value;
    claims
}

#[test]
fn a_token_of_the_issuer_for_us_holds_until_its_end() {
    for issuer in [&*ISSUER, &Issuer::new(Algorithm::EdDsa, "e1")] {
        let keys = issuer.keys();
        let found = verify(&issuer.sign(&claims()), &keys, &options(), NOW).unwrap();
        assert_eq!(found.claims.values("tenant"), ["acme"]);
        assert_eq!(found.until, UnixMillis(1_800_000_630_000), "its end and the leeway");
        assert!(keys.has(found.key) && !Issuer::new(Algorithm::Es256, "k1").keys().has(found.key));
    }
    let list = with("aud", json!(["other", "usaged"]));
    assert!(verify(&ISSUER.sign(&list), &ISSUER.keys(), &options(), NOW).is_ok());
}

#[test]
fn a_token_that_is_not_for_us_or_not_for_now_is_refused() {
    let cases = [
        (with("iss", json!("https://id.example/")), JwtError::Issuer),
        (with("iss", json!(["https://id.example"])), JwtError::Issuer),
        (with("iss", Value::Null), JwtError::Issuer),
        (with("aud", json!("usaged2")), JwtError::Audience),
        (with("aud", json!([])), JwtError::Audience),
        (with("aud", Value::Null), JwtError::Audience),
        (with("exp", json!(1_799_999_970)), JwtError::Ended),
        (with("exp", json!("1900000000")), JwtError::Ended),
        (with("exp", json!(1e300)), JwtError::Ended),
        (with("exp", Value::Null), JwtError::Ended),
        (with("nbf", json!(1_800_000_031)), JwtError::Early),
        (with("nbf", json!("soon")), JwtError::Early),
    ];
    for (claims, expected) in cases {
        let refused = verify(&ISSUER.sign(&claims), &ISSUER.keys(), &options(), NOW).unwrap_err();
        assert_eq!(refused, expected, "{claims}");
    }
    assert!(
        verify(&ISSUER.sign(&with("exp", json!(1_799_999_971.9))), &ISSUER.keys(), &options(), NOW).is_ok()
    );
    assert!(
        verify(&ISSUER.sign(&with("nbf", json!(1_800_000_030))), &ISSUER.keys(), &options(), NOW).is_ok()
    );
}

#[test]
fn a_token_that_another_key_signed_or_that_was_changed_is_refused() {
    let other = Issuer::new(Algorithm::Es256, "k1");
    let keys = ISSUER.keys();
    assert_eq!(verify(&other.sign(&claims()), &keys, &options(), NOW), Err(JwtError::Signature));
    let (good, evil) = (ISSUER.sign(&claims()), ISSUER.sign(&with("tenant", json!("globex"))));
    let part = |token: &str, at: usize| token.split('.').nth(at).unwrap().to_owned();
    let mixed = format!("{}.{}.{}", part(&good, 0), part(&evil, 1), part(&good, 2));
    assert_eq!(verify(&mixed, &keys, &options(), NOW), Err(JwtError::Signature));
    let unnamed = ISSUER.sign_with(&json!({"alg": "ES256", "kid": "k2"}), &claims());
    assert_eq!(verify(&unnamed, &keys, &options(), NOW), Err(JwtError::Key));
    let nameless = ISSUER.sign_with(&json!({"alg": "ES256"}), &claims());
    assert!(verify(&nameless, &keys, &options(), NOW).is_ok(), "there is one key that it can be");
    let two = json!({"keys": [ISSUER.jwk(), Issuer::new(Algorithm::Es256, "k2").jwk()]});
    assert_eq!(verify(&nameless, &read(&two).unwrap(), &options(), NOW), Err(JwtError::Key));
}

#[test]
fn unsigned_symmetric_and_unlisted_algorithms_are_refused() {
    let encode = |json: &Value| BASE64URL_NOPAD.encode(json.to_string().as_bytes());
    let body = encode(&claims());
    for (header, signature, expected) in [
        (json!({"alg": "none"}), "", JwtError::Form),
        (json!({"alg": "None"}), "", JwtError::Form),
        (json!({"alg": "HS256", "kid": "k1"}), "AAAA", JwtError::Algorithm),
        (json!({"alg": "RS256", "kid": "k1"}), "AAAA", JwtError::Algorithm),
        (json!({"alg": "ES256", "kid": "k1", "crit": ["b64"], "b64": false}), "AAAA", JwtError::Critical),
        (json!({"alg": "ES256", "kid": "k1"}), "AAAA", JwtError::Signature),
        (json!({"alg": "ES256", "kid": "k1"}), "", JwtError::Signature),
    ] {
        let token = format!("{}.{body}.{signature}", encode(&header));
        assert_eq!(verify(&token, &ISSUER.keys(), &options(), NOW), Err(expected), "{header}");
    }
    // The classic: the public key as an HMAC secret.
    let secret = jsonwebtoken::EncodingKey::from_secret(ISSUER.key.der_bytes());
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    let forged = jsonwebtoken::encode(&header, &claims(), &secret).unwrap();
    assert_eq!(verify(&forged, &ISSUER.keys(), &options(), NOW), Err(JwtError::Algorithm));
    for bad in ["", "a", "a.b", "a.b.c", "....", "\u{e9}.x.y", &"x.".repeat(9000)] {
        assert_eq!(verify(bad, &ISSUER.keys(), &options(), NOW), Err(JwtError::Form), "{}", bad.len());
    }
}

#[test]
fn algorithms_are_public_key_ones_by_their_names() {
    for known in Algorithm::ALL {
        assert_eq!(known.as_str().parse(), Ok(known));
    }
    let refused = |text: &str| text.parse::<Algorithm>().unwrap_err();
    for none in ["none", "None", "NONE"] {
        assert_eq!(refused(none), AlgorithmError::Unsigned);
    }
    for hmac in ["HS256", "hs512", "HS1"] {
        assert_eq!(refused(hmac), AlgorithmError::Symmetric);
    }
    for unknown in ["", "RS1", "rs256", "ES512"] {
        assert_eq!(refused(unknown), AlgorithmError::Unknown);
    }
}

#[test]
fn a_key_set_with_a_secret_a_weak_or_no_key_is_refused() {
    let rsa = |bytes: usize| {
        let n = BASE64URL_NOPAD.encode(&vec![0xc3; bytes]);
        json!({"kty": "RSA", "kid": "r", "n": n, "e": "AQAB"})
    };
    let set = |keys: &[Value]| json!({"keys": keys});
    let with = |key: &str, value: Value| {
        let mut jwk = ISSUER.jwk();
        jwk[key] = value;
        jwk
    };
    let refused = [
        (json!({}), KeySetError::Form),
        (json!([]), KeySetError::Form),
        (set(&[]), KeySetError::NoKey),
        (set(&[json!({"kty": "oct", "k": "AAAA"}), ISSUER.jwk()]), KeySetError::Symmetric),
        (set(&[with("d", json!("AAAA"))]), KeySetError::Private),
        (set(&[with("use", json!("enc"))]), KeySetError::NoKey),
        (set(&[with("alg", json!("ES384"))]), KeySetError::NoKey),
        (set(&[with("crv", json!("P-384"))]), KeySetError::NoKey),
        (set(&[with("x", json!("AAAA"))]), KeySetError::NoKey),
        (set(&[rsa(128)]), KeySetError::NoKey),
        (
            set(&[{
                let mut one = rsa(256);
                one["e"] = json!("AAAB");
                one
            }]),
            KeySetError::NoKey,
        ),
        (set(&[rsa(2048)]), KeySetError::NoKey),
        (set(&[ISSUER.jwk(), ISSUER.jwk()]), KeySetError::SameName),
        (set(&vec![ISSUER.jwk(); 65]), KeySetError::TooMany),
    ];
    for (set, expected) in refused {
        assert_eq!(read(&set).err(), Some(expected), "{set}");
    }
    assert_eq!(read(&set(&[rsa(256), json!({"kty": "new"}), ISSUER.jwk()])).unwrap().len(), 2);
}
