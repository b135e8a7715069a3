//! What the store keeps of a token: everything but the token.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::principal::{IdentityName, Principal};
use super::role::Role;
use super::token::{TokenHash, TokenId};
use crate::model::UnixMillis;

/// The version of the row, its first byte.
const VERSION: u8 = 1;

/// A token as it is stored: version 1 (1), JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRow {
    /// What an operator calls whoever has it.
    pub name: IdentityName,
    /// What it lets them do.
    pub role: Role,
    /// The hash of its text.
    pub hash: TokenHash,
    /// When it was issued.
    pub issued: UnixMillis,
    /// Who issued it, as they said or as their own identity is called.
    pub issued_by: String,
    /// When it ends by itself.
    pub expires: UnixMillis,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<UnixMillis>,
    /// When it was used last, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<UnixMillis>,
}

impl TokenRow {
    /// As it is stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        // Keys are words and numbers go into a vector, so this does not fail.
        bytes.extend(serde_json::to_vec(self).unwrap_or_default());
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote; `None` if it is something else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first() {
            Some((&VERSION, json)) => serde_json::from_slice(json).ok(),
            _ => None,
        }
    }

    /// The caller that the token of this id proves as long as it holds.
    #[must_use]
    pub fn principal(&self, id: TokenId) -> Principal {
        let (name, role) = (self.name.clone(), Arc::new(self.role.clone()));
        Principal { name, role, until: Some(self.expires), token: Some(id) }
    }

    /// Whether it proves anything at `now`.
    #[must_use]
    pub fn holds(&self, now: UnixMillis) -> bool {
        self.revoked.is_none() && now < self.expires
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    fn row() -> TokenRow {
        TokenRow {
            name: IdentityName::new("jobs").unwrap(),
            role: Role::Auditor,
            hash: TokenHash::try_from("ab".repeat(32)).unwrap(),
            issued: UnixMillis(1),
            issued_by: "uid 0".to_owned(),
            expires: UnixMillis(100),
            revoked: None,
            used: None,
        }
    }

    #[test]
    fn a_row_is_read_as_it_was_written_and_another_version_is_refused() {
        let row = row();
        let read = TokenRow::from_bytes(&row.to_bytes()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{row:?}"));
        assert!(read.hash.is(&row.hash));
        let mut other = row.to_bytes();
        *other.first_mut().unwrap() = 2;
        assert!(TokenRow::from_bytes(&other).is_none());
        assert!(TokenRow::from_bytes(&[]).is_none());
    }

    #[test]
    fn a_token_proves_nothing_once_it_is_revoked_or_over() {
        let mut row = row();
        assert!(row.holds(UnixMillis(99)) && !row.holds(UnixMillis(100)));
        let proved = row.principal(TokenId::new([7; 8]));
        assert_eq!(proved.called(), "jobs/0707070707070707");
        assert_eq!((&*proved.role, proved.until), (&Role::Auditor, Some(UnixMillis(100))));
        row.revoked = Some(UnixMillis(5));
        assert!(!row.holds(UnixMillis(6)));
    }
}
