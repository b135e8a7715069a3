//! What is taken away from what is in force although files were refused: a mistake in one of them keeps nobody in whom a
//! good one does not name any more, or has revoked. Nobody is let in by it.

use super::certificate::{ClientCertificate, Verifier};
use super::refused::Refused;
use crate::identity::{KeyPrint, KeySet, RuleMatch, Rules, TokenId};
use crate::model::UnixMillis;

/// The files that are good beside one that is not, as far as they decide who is let in. What is `None` takes nothing away.
#[derive(Clone, Default)]
pub struct Narrowing {
    /// The identities of the file.
    pub rules: Option<Rules>,
    /// Who decides whether client certificates are genuine.
    pub clients: Option<Verifier>,
    /// The keys of the identity provider, where they come from a file.
    pub keys: Option<KeySet>,
}

impl Narrowing {
    /// This, and of `before` what is not said here: what was taken away is given back by a good file alone.
    pub(super) fn after(self, before: &Self) -> Self {
        Self {
            rules: self.rules.or_else(|| before.rules.clone()),
            clients: self.clients.or_else(|| before.clients.clone()),
            keys: self.keys.or_else(|| before.keys.clone()),
        }
    }

    /// Whom the rules in force, and these, make of a caller.
    pub(super) fn of(&self, rules: &Rules, of: impl Fn(&Rules) -> RuleMatch) -> RuleMatch {
        let found = of(rules);
        match &self.rules {
            Some(narrower) => found.within(of(narrower)),
            None => found,
        }
    }

    /// When a token of the file ends, by the rules in force and by these.
    pub(super) fn token_ends(&self, rules: &Rules, id: TokenId) -> Option<UnixMillis> {
        let narrower = self.rules.as_ref().and_then(|narrower| narrower.token_ends(id));
        rules.token_ends(id).into_iter().chain(narrower).min()
    }

    /// Whether a certificate that holds by what is in force is revoked by this.
    pub(super) fn check(&self, certificate: &ClientCertificate, now: UnixMillis) -> Result<(), Refused> {
        self.clients.as_ref().map_or(Ok(()), |clients| certificate.check(clients, now))
    }

    /// Whether a key of the provider was taken away.
    pub(super) fn lacks(&self, key: KeyPrint) -> bool {
        self.keys.as_ref().is_some_and(|keys| !keys.has(key))
    }
}
