//! Who is calling, and what that lets them do. Pure: names, rules and decisions; files, sockets and
//! clocks are elsewhere. What no rule allows is refused.
//!
//! - `role`, `principal`: what a caller can be
//! - `grants`: the one table of which role may call which method, and on whose data
//! - `token`, `token_row`: bearer tokens of our own, their text, their hash and what is stored
//! - `pattern`, `rules`, `rules_file`: from the names in a certificate or the claims of a token to a caller
//! - `certificate`: the names and the end of a certificate
//! - `issued`: who issued a certificate or a revocation list
//! - `jwt`, `key_set`: tokens of an identity provider

mod certificate;
mod grants;
mod issued;
mod jwt;
mod key_set;
mod pattern;
mod principal;
mod role;
mod rules;
mod rules_file;
mod telling;
mod token;
mod token_row;

pub use certificate::{CertificateError, CertificateNames};
pub use grants::{Denied, Entry, GRANTS, Grant, Named, Reach, decide, entry};
pub use issued::{IssuerCertificate, RevocationList, Signed};
pub use jwt::{Algorithm, AlgorithmError, Claims, JwtError, JwtOptions, Verified, digest, look, verify};
pub use key_set::{KeyPrint, KeySet, KeySetError};
pub use principal::{IdentityName, Principal};
pub use role::{Role, RoleKind};
pub use rules::{Credential, Rule, RuleMatch, Rules};
pub use rules_file::{RuleProblem, parse_rules};
pub use token::{PREFIX, TokenHash, TokenId, TokenText};
pub use token_row::TokenRow;
