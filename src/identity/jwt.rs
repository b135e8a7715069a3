//! Tokens of an identity provider: JSON Web Tokens that one of its keys has signed, for us, and that have not
//! ended. What is cheap is looked at first, so that a bad token costs no signature check.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value};
use sha2::Digest as _;

use super::key_set::{Key, KeyPrint, KeySet};
use crate::model::UnixMillis;

/// Bytes of a token. The headers of a request have 8 KiB in all.
const MOST_BYTES: usize = 8 * 1024;

/// An algorithm that signatures may have: public-key ones only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

/// An algorithm that is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AlgorithmError {
    /// No signature at all.
    #[error("\"none\" means that nobody signed the token: anyone could write one")]
    Unsigned,
    /// A shared secret.
    #[error(
        "HMAC takes a shared secret, and the keys of a JWKS are public: anyone who reads them could write a token"
    )]
    Symmetric,
    /// Another word.
    #[error("there is no such algorithm here")]
    Unknown,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// Its name in RFC 7518.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    pub(super) const fn api(self) -> jsonwebtoken::Algorithm {
        use jsonwebtoken::Algorithm as Api;
        match self {
            Self::Rs256 => Api::RS256,
            Self::Rs384 => Api::RS384,
            Self::Rs512 => Api::RS512,
            Self::Ps256 => Api::PS256,
            Self::Ps384 => Api::PS384,
            Self::Ps512 => Api::PS512,
            Self::Es256 => Api::ES256,
            Self::Es384 => Api::ES384,
            Self::EdDsa => Api::EdDSA,
        }
    }
}

impl std::str::FromStr for Algorithm {
    type Err = AlgorithmError;
    fn from_str(text: &str) -> Result<Self, AlgorithmError> {
        if text.eq_ignore_ascii_case("none") {
            return Err(AlgorithmError::Unsigned);
        }
        if text.get(..2).is_some_and(|head| head.eq_ignore_ascii_case("hs")) {
            return Err(AlgorithmError::Symmetric);
        }
        Self::ALL.into_iter().find(|known| known.as_str() == text).ok_or(AlgorithmError::Unknown)
    }
}

/// Which tokens are for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtOptions {
    /// Who has to have issued them: the claim `iss`, to the letter.
    pub issuer: String,
    /// For whom they have to be: one of these is in the claim `aud`.
    pub audiences: BTreeSet<String>,
    /// How they may be signed.
    pub algorithms: BTreeSet<Algorithm>,
    /// How far the issuer's clock may be from ours.
    pub leeway: Duration,
}

/// Why a token proves nothing. Never a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// It is no signed JSON Web Token.
    #[error("it is no signed JSON Web Token")]
    Form,
    /// Its algorithm is not in the list.
    #[error("its algorithm is not accepted")]
    Algorithm,
    /// It demands what we do not understand.
    #[error("it has critical header fields")]
    Critical,
    /// Another issuer.
    #[error("it is of another issuer")]
    Issuer,
    /// Another audience.
    #[error("it is for another audience")]
    Audience,
    /// It has no end, or has ended.
    #[error("it has ended")]
    Ended,
    /// It has not begun.
    #[error("it does not hold yet")]
    Early,
    /// No key of the set is named by it.
    #[error("it names no key that is known")]
    Key,
    /// The signature is not by that key.
    #[error("its signature does not hold")]
    Signature,
}

/// The claims of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// Reads a JSON object.
    #[must_use]
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    /// The texts in a claim: itself, the items of a list, or the words of `scope`.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<&str> {
        match self.0.get(name) {
            Some(Value::String(text)) if name == "scope" => text.split(' ').collect(),
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => Vec::new(),
        }
    }

    /// A time of RFC 7519: seconds, perhaps with a fraction.
    fn time(&self, name: &str) -> Option<UnixMillis> {
        let seconds = self.0.get(name)?;
        let whole = seconds.as_i64().or_else(|| {
            let text = seconds.as_number()?.to_string();
            text.split(['.', 'e', 'E']).next()?.parse().ok().filter(|_| !text.contains(['e', 'E']))
        })?;
        Some(UnixMillis(whole.saturating_mul(1000)))
    }

    fn check(&self, options: &JwtOptions, now: UnixMillis) -> Result<UnixMillis, JwtError> {
        if self.0.get("iss").and_then(Value::as_str) != Some(options.issuer.as_str()) {
            return Err(JwtError::Issuer);
        }
        if !self.values("aud").iter().any(|audience| options.audiences.contains(*audience)) {
            return Err(JwtError::Audience);
        }
        let leeway = i64::try_from(options.leeway.as_millis()).unwrap_or(i64::MAX);
        let until = self.time("exp").ok_or(JwtError::Ended)?.plus_ms(leeway);
        if now >= until {
            return Err(JwtError::Ended);
        }
        match self.0.contains_key("nbf").then(|| self.time("nbf")) {
            Some(Some(from)) if now.plus_ms(leeway) >= from => Ok(until),
            None => Ok(until),
            Some(_) => Err(JwtError::Early),
        }
    }
}

/// A token that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What it says.
    pub claims: Claims,
    /// When it ends, leeway included.
    pub until: UnixMillis,
    /// The key that signed it: when that is withdrawn, the token holds no more.
    pub key: KeyPrint,
}

/// What tells one token from another without keeping it: SHA-256.
#[must_use]
pub fn digest(token: &[u8]) -> [u8; 32] {
    sha2::Sha256::digest(token).into()
}

/// Looks at everything of a token but its signature, which costs little. What is good here proves nothing yet.
///
/// # Errors
/// Why it cannot prove anything.
pub fn look(token: &str, keys: &KeySet, options: &JwtOptions, now: UnixMillis) -> Result<(), JwtError> {
    unproved(token, keys, options, now).map(|_| ())
}

/// How a token says it is signed, and the key that it names, if all else is good.
fn unproved<'k>(
    token: &str,
    keys: &'k KeySet,
    options: &JwtOptions,
    now: UnixMillis,
) -> Result<(Algorithm, &'k Key), JwtError> {
    if token.len() > MOST_BYTES || token.bytes().filter(|byte| *byte == b'.').count() != 2 {
        return Err(JwtError::Form);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| JwtError::Form)?;
    let algorithm = options.algorithms.iter().find(|known| known.api() == header.alg);
    let algorithm = *algorithm.ok_or(JwtError::Algorithm)?;
    if header.crit.is_some() || header.zip.is_some() || header.enc.is_some() {
        return Err(JwtError::Critical);
    }
    let unproved: Map<String, Value> =
        jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| JwtError::Form)?;
    Claims(unproved).check(options, now)?;
    let key = keys.find(header.kid.as_deref(), algorithm).ok_or(JwtError::Key)?;
    Ok((algorithm, key))
}

/// Checks a token against the keys of its issuer.
///
/// # Errors
/// Why it proves nothing.
pub fn verify(
    token: &str,
    keys: &KeySet,
    options: &JwtOptions,
    now: UnixMillis,
) -> Result<Verified, JwtError> {
    let (algorithm, key) = unproved(token, keys, options, now)?;
    let mut validation = jsonwebtoken::Validation::new(algorithm.api());
    // The times and names are checked by our own clock and rules, before and after.
    validation.required_spec_claims.clear();
    (validation.validate_exp, validation.validate_aud) = (false, false);
    let decoded = jsonwebtoken::decode::<Map<String, Value>>(token, key.decoding(), &validation);
    let claims = Claims(decoded.map_err(|_| JwtError::Signature)?.claims);
    let until = claims.check(options, now)?;
    Ok(Verified { claims, until, key: key.print() })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
#[path = "jwt_tests.rs"]
mod tests;
