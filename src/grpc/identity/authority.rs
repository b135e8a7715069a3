//! Who a certificate or a token proves somebody to be. What it goes by is swapped as a whole; each swap, and each
//! revocation, begins a new generation, by which running calls know that they have to ask again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use http::{HeaderMap, header::AUTHORIZATION};
use rustls::ServerConfig;
use tokio::sync::Notify;

use super::access::Proof;
use super::awaited::{Awaited, KeyFetch};
use super::certificate::{ClientCertificate, Verifier};
use super::narrowing::Narrowing;
use super::refused::Refused;
use super::seen::Seen;
use super::tokens::Tokens;
use crate::identity::{
    Denied, IdentityName, JwtError, JwtOptions, KeySet, PREFIX, Principal, RuleMatch, Rules, TokenId,
    TokenText, digest, look, verify,
};
use crate::ledger::{Refusal, Refusals};
use crate::model::UnixMillis;
use crate::observe::{Clock, Metric};

/// What an authority goes by: all of it at once.
#[derive(Clone, Default)]
pub struct Standing {
    /// The identities of the file.
    pub rules: Rules,
    /// How connections are encrypted; `None` for a door on loopback without it.
    pub server: Option<Arc<ServerConfig>>,
    /// Who decides whether client certificates are genuine; without one, none is.
    pub clients: Option<Verifier>,
    /// Which tokens of an identity provider are for us.
    pub jwt: Option<JwtOptions>,
    /// Whether its keys are fetched, so that one that is not here may come.
    pub fetches_keys: bool,
    /// Whether the tokens in the store are accepted.
    pub accepts_tokens: bool,
    /// What is taken away from all this.
    pub narrowing: Narrowing,
}

/// Decides who is calling. Clones share it.
#[derive(Clone)]
pub struct Authority(Arc<Inner>);

struct Inner {
    clock: Clock,
    tokens: Tokens,
    standing: ArcSwap<Standing>,
    keys: ArcSwap<KeySet>,
    /// Grows with every swap and revocation.
    generation: AtomicU64,
    seen: Seen,
    refusals: Refusals,
    awaited: Awaited,
}

impl Authority {
    /// An authority that goes by `standing`, and by `tokens`.
    #[must_use]
    pub fn new(standing: Standing, tokens: Tokens, refusals: Refusals, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            clock,
            tokens,
            standing: ArcSwap::from_pointee(standing),
            keys: ArcSwap::default(),
            generation: AtomicU64::new(0),
            seen: Seen::new(),
            refusals,
            awaited: Awaited::new(),
        }))
    }

    /// Rings when a token names a key of the provider that is not there.
    #[must_use]
    pub fn wanted_keys(&self) -> Arc<Notify> {
        self.0.awaited.wanted()
    }

    /// Counts a refusal, for the metrics and for the ledger.
    pub(super) fn refused(&self, refused: &Refused) {
        Metric::CallersRefused.add(&[("reason", refused.as_str())], 1);
        match refused {
            Refused::Missing | Refused::Invalid | Refused::Ended | Refused::SaysEnded => {
                self.0.refusals.count(Refusal::Unauthenticated);
            }
            Refused::Denied(Denied::OtherCustomer) => self.0.refusals.count(Refusal::OtherCustomer),
            Refused::Unknown | Refused::Changed | Refused::Denied(_) => {
                self.0.refusals.count(Refusal::NotPermitted);
            }
            Refused::Unchecked | Refused::Busy => {}
        }
    }

    /// Goes by something else from now on, running calls too.
    pub fn replace(&self, standing: Standing) {
        self.0.standing.store(Arc::new(standing));
        self.0.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Takes away from what is in force what `narrowing` does not let in, from running calls too, until it is replaced.
    pub fn narrow(&self, narrowing: Narrowing) {
        let before = self.0.standing.load();
        let narrowing = narrowing.after(&before.narrowing);
        self.replace(Standing { narrowing, ..Standing::clone(&before) });
    }

    /// Goes by all of what is in force again.
    pub fn widen(&self) {
        let before = self.0.standing.load();
        self.replace(Standing { narrowing: Narrowing::default(), ..Standing::clone(&before) });
    }

    /// Takes other keys of the identity provider.
    pub fn replace_keys(&self, keys: KeySet) {
        self.0.keys.store(Arc::new(keys));
        self.0.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes that the keys are about to be fetched.
    #[must_use]
    pub fn fetch_begins(&self) -> KeyFetch {
        self.0.awaited.begin()
    }

    /// Takes note that a fetch brought the keys: others, or with `None` those that were here.
    pub fn fetched(&self, fetch: KeyFetch, keys: Option<KeySet>) {
        if let Some(keys) = keys {
            self.replace_keys(keys);
        }
        self.0.awaited.end(fetch);
    }

    /// Whether an identity of the file is called so.
    pub(super) fn has_name(&self, name: &IdentityName) -> bool {
        self.0.standing.load().rules.all().iter().any(|rule| rule.name().reads_as(name))
    }

    /// Tokens in the store that are called as an identity of the file is.
    #[must_use]
    pub fn namesakes(&self) -> Vec<TokenId> {
        self.0.tokens.namesakes(&self.0.standing.load().rules, self.now())
    }

    /// How a connection that is accepted now is encrypted.
    pub(in crate::grpc) fn server(&self) -> Option<Arc<ServerConfig>> {
        self.0.standing.load().server.clone()
    }

    pub(super) fn now(&self) -> UnixMillis {
        self.0.clock.now()
    }

    /// Changes whenever what was found out before may not hold any more.
    pub(super) fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire).wrapping_add(self.0.tokens.revocations())
    }

    /// Who holds the token in the headers; `None` if there is none. `is_known` says whether the connection has proved
    /// itself before.
    pub(super) fn by_headers(
        &self,
        headers: &HeaderMap,
        now: UnixMillis,
        is_known: bool,
    ) -> Result<Option<(Principal, Proof)>, Refused> {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = given.next() else { return Ok(None) };
        if given.next().is_some() {
            return Err(Refused::Invalid);
        }
        let value = value.as_bytes();
        let token = value
            .split_at_checked(7)
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "))
            .map(|(_, token)| token)
            .ok_or(Refused::Invalid)?;
        let proof = if token.starts_with(PREFIX.as_bytes()) {
            let (id, hash) = TokenText::read(token).ok_or(Refused::Invalid)?;
            Proof::Token(id, hash)
        } else {
            Proof::Provided(self.provided(token, now, is_known)?)
        };
        let principal = self.again(&proof, now)?;
        if let Proof::Token(id, _) = &proof {
            self.0.tokens.used(*id, now);
        }
        Ok(Some((principal, proof)))
    }

    /// What an identity provider's token says, if it holds.
    fn provided(
        &self,
        token: &[u8],
        now: UnixMillis,
        is_known: bool,
    ) -> Result<Arc<crate::identity::Verified>, Refused> {
        let standing = self.0.standing.load();
        let options = standing.jwt.as_ref().ok_or(Refused::Invalid)?;
        let token = std::str::from_utf8(token).map_err(|_| Refused::Invalid)?;
        let (digest, generation) = (digest(token.as_bytes()), self.0.generation.load(Ordering::Acquire));
        // Before the keys, so that those were looked at that came with the last fetch.
        let fetches = self.0.awaited.fetches();
        let keys = self.0.keys.load();
        let looked = || match look(token, &keys, options, now) {
            Err(JwtError::Key) if standing.fetches_keys => {
                let may_come = self.0.awaited.may_come(token, fetches);
                Err(if may_come || keys.is_empty() { Refused::Unchecked } else { Refused::Invalid })
            }
            looked => looked.map_err(Refused::from),
        };
        self.0.seen.find(digest, generation, is_known, looked, || verify(token, &keys, options, now))
    }

    /// Who holds a certificate.
    pub(super) fn by_certificate(
        &self,
        certificate: &ClientCertificate,
        now: UnixMillis,
    ) -> Result<Principal, Refused> {
        let standing = self.0.standing.load();
        // A CA that was taken away takes its certificates with it.
        certificate.check(standing.clients.as_ref().ok_or(Refused::Ended)?, now)?;
        standing.narrowing.check(certificate, now)?;
        let found = standing.narrowing.of(&standing.rules, |rules| rules.of_certificate(&certificate.names));
        principal(found, Some(certificate.names.until))
    }

    /// Who has this proof, by what holds now; nobody, once it has ended.
    pub(super) fn again(&self, proof: &Proof, now: UnixMillis) -> Result<Principal, Refused> {
        let principal = self.named_by(proof, now)?;
        if principal.has_ended(now) { Err(Refused::Ended) } else { Ok(principal) }
    }

    fn named_by(&self, proof: &Proof, now: UnixMillis) -> Result<Principal, Refused> {
        let standing = self.0.standing.load();
        let narrowing = &standing.narrowing;
        match proof {
            Proof::Certificate(certificate) => self.by_certificate(certificate, now),
            Proof::Token(id, hash) => {
                match narrowing.of(&standing.rules, |rules| rules.of_token(*id, hash)) {
                    RuleMatch::Nobody if standing.accepts_tokens => self.0.tokens.find(*id, hash, now),
                    RuleMatch::Nobody => Err(Refused::Invalid),
                    found @ (RuleMatch::One(..) | RuleMatch::Several) => {
                        principal(found, narrowing.token_ends(&standing.rules, *id))
                    }
                }
            }
            Proof::Provided(verified) => {
                let keys = self.0.keys.load();
                if standing.jwt.is_none() || now >= verified.until {
                    return Err(Refused::Ended);
                }
                if narrowing.lacks(verified.key) {
                    return Err(Refused::Ended);
                }
                if !keys.has(verified.key) {
                    // They became too old, and it is not the caller's fault.
                    let may_come = standing.fetches_keys && keys.is_empty();
                    return Err(if may_come { Refused::Unchecked } else { Refused::Ended });
                }
                let found = narrowing.of(&standing.rules, |rules| rules.of_claims(&verified.claims));
                principal(found, Some(verified.until))
            }
        }
    }
}

fn principal(found: RuleMatch, until: Option<UnixMillis>) -> Result<Principal, Refused> {
    match found {
        RuleMatch::One(name, role) => Ok(Principal { name, role, until, token: None }),
        RuleMatch::Nobody | RuleMatch::Several => Err(Refused::Unknown),
    }
}
