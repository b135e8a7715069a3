//! Bearer tokens of our own: their text, and the hash that is all that is kept of them.
//!
//! The text is `usaged_` and 71 digits of base32hex: an id of 8 bytes, a secret of 32 bytes, and the CRC-32
//! of both. The id finds the row in one step, the checksum tells a slip of the pen (and a scanner that looks
//! for leaked secrets) from a token, and the secret is what is proved. Of 256 random bits an unkeyed hash
//! gives nothing away.

use data_encoding::{BASE32HEX_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// How the text of a token begins. Our detectors know it.
pub const PREFIX: &str = "usaged_";

const ID: usize = 8;
const SECRET: usize = 32;
const CRC: usize = 4;
const BYTES: usize = ID + SECRET + CRC;
/// Digits after the prefix.
const DIGITS: usize = (BYTES * 8).div_ceil(5);
/// The hash covers this, too, so that it is of no other use.
const LABEL: &[u8] = b"usaged bearer token v1";

/// What names a token: random, shown, and no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenId([u8; ID]);

impl TokenId {
    /// From its bytes.
    #[must_use]
    pub const fn new(bytes: [u8; ID]) -> Self {
        Self(bytes)
    }

    /// Its bytes: the key of its row.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Display for TokenId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl std::str::FromStr for TokenId {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or("a token id is 16 hexadecimal digits")
    }
}

impl TryFrom<String> for TokenId {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TokenId> for String {
    fn from(id: TokenId) -> Self {
        id.to_string()
    }
}

/// What is kept of a token.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    fn of(id: TokenId, secret: &[u8]) -> Self {
        Self(Sha256::new().chain_update(LABEL).chain_update(id.0).chain_update(secret).finalize().into())
    }

    /// Whether both are the same, in a time that does not depend on where they differ.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl std::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenHash")
    }
}

impl TryFrom<String> for TokenHash {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or("a token's hash is 64 hexadecimal digits")
    }
}

impl From<TokenHash> for String {
    fn from(hash: TokenHash) -> Self {
        HEXLOWER.encode(&hash.0)
    }
}

/// The text of a token, wiped when dropped. Shown once, when it is made.
pub struct TokenText(Zeroizing<String>);

impl TokenText {
    /// The text of a token with this id and secret, both random.
    #[must_use]
    pub fn new(id: TokenId, secret: &Zeroizing<[u8; SECRET]>) -> Self {
        let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES));
        bytes.extend_from_slice(&id.0);
        bytes.extend_from_slice(secret.as_ref());
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_be_bytes());
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + DIGITS));
        text.push_str(PREFIX);
        let digits = Zeroizing::new(BASE32HEX_NOPAD.encode(&bytes).to_ascii_lowercase());
        text.push_str(&digits);
        Self(text)
    }

    /// The text itself, for the one who asked for the token.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What of a text that may be a token names and proves it; `None` if it is none. A token of ours is told by
    /// its first bytes; what is wrong behind them costs one pass over 71 digits.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<(TokenId, TokenHash)> {
        let digits = text.strip_prefix(PREFIX.as_bytes()).filter(|digits| digits.len() == DIGITS)?;
        if digits.iter().any(u8::is_ascii_uppercase) {
            return None;
        }
        let upper = Zeroizing::new(digits.to_ascii_uppercase());
        let bytes = Zeroizing::new(BASE32HEX_NOPAD.decode(&upper).ok()?);
        let (body, crc) = bytes.split_at_checked(ID + SECRET)?;
        if crc != crc32fast::hash(body).to_be_bytes() {
            return None;
        }
        let (id, secret) = body.split_first_chunk::<ID>()?;
        let id = TokenId(*id);
        Some((id, TokenHash::of(id, secret)))
    }
}

impl std::fmt::Debug for TokenText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenText")
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    fn token(byte: u8) -> TokenText {
        TokenText::new(TokenId::new([byte; 8]), &Zeroizing::new([byte ^ 0x5a; 32]))
    }

    #[test]
    fn a_token_is_read_as_it_was_made() {
        let text = token(7);
        let (id, hash) = TokenText::read(text.reveal().as_bytes()).unwrap();
        assert_eq!(id, TokenId::new([7; 8]));
        assert!(hash.is(&TokenHash::of(id, &[7 ^ 0x5a; 32])));
        assert_eq!(text.reveal().len(), PREFIX.len() + DIGITS);
        assert!(!hash.is(&TokenText::read(token(8).reveal().as_bytes()).unwrap().1));
        assert_eq!(format!("{text:?} {hash:?}"), "TokenText TokenHash", "neither is printed by accident");
    }

    #[test]
    fn a_text_with_one_other_character_is_no_token() {
        let good = token(3).reveal().to_owned();
        for at in 0..good.len() {
            let mut bad = good.clone().into_bytes();
            let byte = bad.get_mut(at).unwrap();
            *byte = if *byte == b'0' { b'1' } else { b'0' };
            assert!(TokenText::read(&bad).is_none(), "{at}");
        }
        for bad in
            [&good[1..], &good[..good.len() - 1], &format!("{good}0"), &good.to_uppercase(), "usaged_", ""]
        {
            assert!(TokenText::read(bad.as_bytes()).is_none());
        }
    }

    #[test]
    fn ids_and_hashes_are_written_as_they_are_read() {
        let (id, hash) = TokenText::read(token(9).reveal().as_bytes()).unwrap();
        assert_eq!(id.to_string().parse::<TokenId>().unwrap(), id);
        let text = String::from(hash);
        assert!(TokenHash::try_from(text.clone()).unwrap().is(&hash));
        assert!(TokenHash::try_from(text.to_uppercase().replace('0', "G")).is_err());
        assert!("12".parse::<TokenId>().is_err());
    }
}
