//! A caller that is known: its name, its role and until when.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::role::Role;
use super::token::TokenId;
use crate::model::{InvalidId, UnixMillis};

/// What an operator calls an identity. It is shown and logged, so it must not be a customer's id or a
/// person's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdentityName(String);

impl IdentityName {
    /// What a valid one looks like.
    pub const RULE: &'static str = "a name is 1 to 64 of letters, digits and . _ -";

    /// Checks and takes `text`.
    ///
    /// # Errors
    /// If it does not follow [`Self::RULE`].
    pub fn new(text: &str) -> Result<Self, InvalidId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !text.is_empty() && text.len() <= 64 && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId { rule: Self::RULE })
        }
    }

    /// Whether a reader could take one for the other: capital letters make no other name.
    #[must_use]
    pub const fn reads_as(&self, other: &Self) -> bool {
        self.0.as_str().eq_ignore_ascii_case(other.0.as_str())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for IdentityName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for IdentityName {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::new(&text)
    }
}

impl From<IdentityName> for String {
    fn from(name: IdentityName) -> Self {
        name.0
    }
}

/// A caller that has proved who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// What an operator calls it.
    pub name: IdentityName,
    /// What it may do. Shared: each request has one, and a relay may name a thousand customers.
    pub role: Arc<Role>,
    /// When its proof ends, if it does.
    pub until: Option<UnixMillis>,
    /// The token in the store that proves it. Whoever issues one chooses its name; the file gives each name once.
    pub token: Option<TokenId>,
}

impl Principal {
    /// What tells it from every other where it is remembered who did something: the name in the file of identities, or
    /// the name and the id of its token, with what no name has between them.
    #[must_use]
    pub fn called(&self) -> String {
        match &self.token {
            None => self.name.to_string(),
            Some(token) => format!("{}/{token}", self.name),
        }
    }

    /// Whether its proof has ended at `now`.
    #[must_use]
    pub fn has_ended(&self, now: UnixMillis) -> bool {
        self.until.is_some_and(|until| now >= until)
    }
}
