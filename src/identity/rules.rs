//! From the names in a certificate, the claims of a token or the id of a token in the file to a caller. The rules
//! that fit must agree on one role, else nobody is let in.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::certificate::CertificateNames;
use super::jwt::Claims;
use super::pattern::{Fit, Pattern};
use super::principal::IdentityName;
use super::role::Role;
use super::token::{TokenHash, TokenId};
use crate::model::{CustomerId, UnixMillis};

/// One name that a rule asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// A URI of the subject alternative name.
    Uri(Pattern),
    /// A DNS name of the subject alternative name.
    Dns(Pattern),
    /// An attribute of the subject.
    Subject(&'static str, Pattern),
    /// A claim of an identity provider's token.
    Claim(String, Pattern),
}

impl Condition {
    pub(super) const fn pattern(&self) -> &Pattern {
        match self {
            Self::Uri(pattern) | Self::Dns(pattern) | Self::Subject(_, pattern) | Self::Claim(_, pattern) => {
                pattern
            }
        }
    }
}

/// What proves an identity of the file.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A client certificate.
    Certificate,
    /// An identity provider's token.
    Claims,
    /// A token of ours, by its hash.
    Token(TokenId, TokenHash),
}

/// Whom a rule makes of who fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    /// Always the same.
    Fixed(Arc<Role>),
    /// The sender of the customer that is named in the place for it.
    SenderNamed,
}

/// One identity of the file.
#[derive(Debug, Clone)]
pub struct Rule {
    pub(super) name: IdentityName,
    pub(super) who: Who,
    pub(super) credential: Credential,
    pub(super) conditions: Vec<Condition>,
    /// When the token ends, if it is one and ends.
    pub(super) until: Option<UnixMillis>,
}

/// Whom the rules make of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleMatch {
    /// No rule fits.
    Nobody,
    /// The rules that fit agree.
    One(IdentityName, Arc<Role>),
    /// Rules that fit contradict each other, or the caller names several customers.
    Several,
}

impl RuleMatch {
    /// Whom both make of a caller, with what both let it do.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        match (self, other) {
            (Self::One(name, role), Self::One(_, other)) => match role.common(&other) {
                Some(both) if both == *role => Self::One(name, role),
                Some(both) => Self::One(name, Arc::new(both)),
                None => Self::Several,
            },
            (Self::Nobody, Self::Nobody | Self::One(..) | Self::Several) | (Self::One(..), Self::Nobody) => {
                Self::Nobody
            }
            (Self::One(..), Self::Several)
            | (Self::Several, Self::Nobody | Self::One(..) | Self::Several) => Self::Several,
        }
    }
}

impl Rule {
    /// What an operator calls the identity.
    #[must_use]
    pub const fn name(&self) -> &IdentityName {
        &self.name
    }

    /// What proves it.
    #[must_use]
    pub const fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Decides by the values that `values` gives for a condition.
    fn of<'v>(&self, values: impl Fn(&Condition) -> Vec<&'v str>) -> RuleMatch {
        let mut named: BTreeSet<CustomerId> = BTreeSet::new();
        for condition in &self.conditions {
            let fits: Vec<Fit> =
                values(condition).into_iter().filter_map(|value| condition.pattern().fit(value)).collect();
            if fits.is_empty() {
                return RuleMatch::Nobody;
            }
            named.extend(fits.into_iter().filter_map(|fit| match fit {
                Fit::Customer(customer) => Some(customer),
                Fit::Plain => None,
            }));
        }
        let mut named = named.into_iter();
        match (&self.who, named.next(), named.next()) {
            (_, _, Some(_)) => RuleMatch::Several,
            (Who::Fixed(role), None, None) => RuleMatch::One(self.name.clone(), Arc::clone(role)),
            (Who::SenderNamed, Some(customer), None) => {
                RuleMatch::One(self.name.clone(), Arc::new(Role::Sender(customer)))
            }
            // Neither can be: the file was checked.
            (Who::Fixed(_), Some(_), None) | (Who::SenderNamed, None, None) => RuleMatch::Nobody,
        }
    }
}

/// Every identity of the file.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    tokens: HashMap<TokenId, usize>,
}

impl Rules {
    pub(super) fn new(rules: Vec<Rule>) -> Self {
        let tokens = rules.iter().enumerate().filter_map(|(at, rule)| match rule.credential {
            Credential::Token(id, _) => Some((id, at)),
            Credential::Certificate | Credential::Claims => None,
        });
        let tokens = tokens.collect();
        Self { rules, tokens }
    }

    /// Every identity, in the order of the file.
    #[must_use]
    pub fn all(&self) -> &[Rule] {
        &self.rules
    }

    /// When the token of ours with this id ends, if it does.
    #[must_use]
    pub fn token_ends(&self, id: TokenId) -> Option<UnixMillis> {
        self.tokens.get(&id).and_then(|at| self.rules.get(*at)).and_then(|rule| rule.until)
    }

    /// When the first of our tokens ends, if one does.
    #[must_use]
    pub fn first_end(&self) -> Option<UnixMillis> {
        self.rules.iter().filter_map(|rule| rule.until).min()
    }

    /// Who holds a certificate with these names.
    #[must_use]
    pub fn of_certificate(&self, names: &CertificateNames) -> RuleMatch {
        let values = |condition: &Condition| match condition {
            Condition::Uri(_) => names.uris.iter().map(String::as_str).collect(),
            Condition::Dns(_) => names.dns.iter().map(String::as_str).collect(),
            Condition::Subject(kind, _) => {
                let of_kind = names.subject.iter().filter(|(other, _)| other == kind);
                of_kind.map(|(_, value)| value.as_str()).collect()
            }
            Condition::Claim(..) => Vec::new(),
        };
        let of_kind = |rule: &&Rule| matches!(rule.credential, Credential::Certificate);
        agreed(self.rules.iter().filter(of_kind).map(|rule| rule.of(values)))
    }

    /// Who holds an identity provider's token with these claims.
    #[must_use]
    pub fn of_claims(&self, claims: &Claims) -> RuleMatch {
        let values = |condition: &Condition| match condition {
            Condition::Claim(name, _) => claims.values(name),
            Condition::Uri(_) | Condition::Dns(_) | Condition::Subject(..) => Vec::new(),
        };
        let of_kind = |rule: &&Rule| matches!(rule.credential, Credential::Claims);
        agreed(self.rules.iter().filter(of_kind).map(|rule| rule.of(values)))
    }

    /// Who holds the token of ours with this id and hash.
    #[must_use]
    pub fn of_token(&self, id: TokenId, hash: &TokenHash) -> RuleMatch {
        let rule = self.tokens.get(&id).and_then(|at| self.rules.get(*at));
        match rule.map(|rule| (&rule.credential, &rule.who, &rule.name)) {
            Some((Credential::Token(_, kept), Who::Fixed(role), name)) if kept.is(hash) => {
                RuleMatch::One(name.clone(), Arc::clone(role))
            }
            _ => RuleMatch::Nobody,
        }
    }
}

/// What all rules that fit say; `Several` if they say different things.
fn agreed(matches: impl Iterator<Item = RuleMatch>) -> RuleMatch {
    let mut found = RuleMatch::Nobody;
    for one in matches {
        found = match (found, one) {
            (found, RuleMatch::Nobody) => found,
            (RuleMatch::Nobody, one) => one,
            (RuleMatch::One(name, role), RuleMatch::One(_, other)) if role == other => {
                RuleMatch::One(name, role)
            }
            (RuleMatch::One(..) | RuleMatch::Several, RuleMatch::One(..) | RuleMatch::Several) => {
                return RuleMatch::Several;
            }
        };
    }
    found
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
#[path = "rules_tests.rs"]
mod tests;
