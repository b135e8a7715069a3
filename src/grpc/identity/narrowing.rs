//! What is taken away from what is in force although files were refused: a mistake in one of them keeps nobody in whom a
//! good one does not name any more, or has revoked. Nobody is let in by it.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::server::WebPkiClientVerifier;

use super::certificate::{ClientCertificate, Verifier};
use super::refused::Refused;
use super::tls::{authorities, genuine_lists};
use crate::identity::{KeyPrint, KeySet, RuleMatch, Rules, TokenId};
use crate::model::UnixMillis;

/// The files that are good beside one that is not, as far as they decide who is let in. What is `None` takes nothing away.
#[derive(Clone, Default)]
pub struct Narrowing {
    /// The identities of the file.
    pub rules: Option<Rules>,
    /// The CAs and the revocation lists.
    pub clients: ClientNarrowing,
    /// The keys of the identity provider, where they come from a file.
    pub keys: Option<KeySet>,
}

/// What a file of CAs and one of revocation lists take away, each by itself.
#[derive(Clone, Default)]
pub struct ClientNarrowing {
    /// Lets nobody through who does not come from the CAs.
    cas: Option<Verifier>,
    /// Lets nobody through whom a list has revoked. Whose list is missing, or out of date, passes.
    lists: Option<Verifier>,
}

impl ClientNarrowing {
    /// Of the texts of the files, as far as they are good: a certificate in one that has expired, a list of a CA that the other
    /// does not name, change nothing of what the rest takes away. The lists are those of the CAs `before`, which are in force,
    /// if the file of CAs is not good.
    #[must_use]
    pub fn of(cas: Option<&[u8]>, lists: Option<&[u8]>, before: Option<&[u8]>) -> Self {
        let given = cas.and_then(authorities);
        let cas = given.as_ref().and_then(|(_, roots)| lenient(roots.clone(), Vec::new()));
        let lists = given.or_else(|| before.and_then(authorities)).and_then(|(cas, roots)| {
            let lists = genuine_lists(lists?, &cas).filter(|lists| !lists.is_empty())?;
            lenient(roots, lists)
        });
        Self { cas, lists }
    }

    fn after(self, before: &Self) -> Self {
        Self {
            cas: self.cas.or_else(|| before.cas.clone()),
            lists: self.lists.or_else(|| before.lists.clone()),
        }
    }
}

/// Who tells only whom these CAs did not issue, or these lists revoke.
fn lenient(roots: RootCertStore, lists: Vec<CertificateRevocationListDer<'static>>) -> Option<Verifier> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .with_crls(lists)
        .allow_unknown_revocation_status()
        .build()
        .ok()
}

impl Narrowing {
    /// This, and of `before` what is not said here: what was taken away is given back by a good file alone.
    pub(super) fn after(self, before: &Self) -> Self {
        Self {
            rules: self.rules.or_else(|| before.rules.clone()),
            clients: self.clients.after(&before.clients),
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
        let ClientNarrowing { cas, lists } = &self.clients;
        [cas, lists].into_iter().flatten().try_for_each(|clients| certificate.check(clients, now))
    }

    /// Whether a key of the provider was taken away.
    pub(super) fn lacks(&self, key: KeyPrint) -> bool {
        self.keys.as_ref().is_some_and(|keys| !keys.has(key))
    }
}
