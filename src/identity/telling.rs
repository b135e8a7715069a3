//! What tells one holder of a credential from all the others. A rule that asks for nothing of that kind fits everybody of
//! an issuer or of an organisation, and is refused. What can be known here is what standards and the larger providers
//! say of their claims; whether a group of one's own has everybody in it cannot.

use super::pattern::Pattern;
use super::rules::{Condition, Who};

/// Attributes of a subject that are one holder's own. The others are shared by a whole organisation.
const OWN_ATTRIBUTES: [&str; 3] = ["CN", "UID", "SERIALNUMBER"];

/// Claims that say of a token how it was made and for whom, or which organisation its holder belongs to: every token of
/// an issuer for this collector has them, or everybody of a tenant.
const COMMON_CLAIMS: [&str; 29] = [
    // RFC 7519, RFC 9068 and OpenID Connect Core.
    "iss",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "typ",
    "azp",
    "auth_time",
    "acr",
    "amr",
    "at_hash",
    "c_hash",
    "sid",
    "email_verified",
    "phone_number_verified",
    // Keycloak, Entra ID, Cognito, Google, Auth0, Okta.
    "session_state",
    "allowed-origins",
    "ver",
    "tid",
    "idp",
    "azpacr",
    "appidacr",
    "token_use",
    "hd",
    "org_id",
    "org_name",
    "gty",
    "cid",
];

/// Claims that whoever logs in writes, or may write, itself. The standard of such logins forbids to rely on them for who it is.
const SELF_WRITTEN: [&str; 17] = [
    "nonce",
    "name",
    "given_name",
    "family_name",
    "middle_name",
    "nickname",
    "preferred_username",
    "profile",
    "picture",
    "website",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "phone_number",
    "address",
    "updated_at",
];

/// Words of a scope that every client may ask for, by the standard of such logins.
const COMMON_SCOPES: [&str; 6] = ["openid", "profile", "email", "address", "phone", "offline_access"];

/// Groups and roles that providers put everybody into: Okta, Entra ID and Active Directory, Keycloak.
const EVERYBODY: [&str; 8] = [
    "everyone",
    "all users",
    "authenticated users",
    "domain users",
    "domain computers",
    "offline_access",
    "uma_authorization",
    "default-access",
];

/// How Keycloak begins the name of the role that everybody of a realm has.
const DEFAULT_ROLES: &str = "default-roles-";

/// What is wrong with a rule, and what to do.
type Mistake = (&'static str, &'static str);

/// Refuses a rule that fits everybody of an issuer or of an organisation, or whoever says so of itself.
pub(super) fn tells_one_from_all(who: &Who, conditions: &[Condition]) -> Result<(), Mistake> {
    if *who == Who::SenderNamed {
        // Each is another by what stands in the place; so it has to be somebody else who wrote that.
        let is_open = |condition: &Condition| {
            let Condition::Claim(name, pattern) = condition else { return false };
            pattern.names_customer() && !is_told_by_the_issuer(name)
        };
        return if conditions.iter().any(is_open) {
            Err((
                "`{customer}` stands in a claim that says nothing of who holds the token, or that its holder writes",
                "let the provider put the id of the customer into a claim of its own, or take `sub`",
            ))
        } else {
            Ok(())
        };
    }
    if conditions.is_empty() || conditions.iter().any(tells) {
        return Ok(());
    }
    Err((
        "it fits everybody of the organisation or of the issuer, who would all have this role",
        "ask for what only those have who are meant: CN, UID, SERIALNUMBER, a SAN, a group, a scope of this collector, \
         or `sub`",
    ))
}

fn tells(condition: &Condition) -> bool {
    match condition {
        Condition::Uri(_) | Condition::Dns(_) => true,
        Condition::Subject(kind, _) => OWN_ATTRIBUTES.contains(kind),
        Condition::Claim(name, pattern) => {
            is_told_by_the_issuer(name)
                && match pattern {
                    Pattern::Exact(value) => !is_of_everybody(name, value),
                    Pattern::Customer { .. } => true,
                }
        }
    }
}

/// Whether a claim says who holds the token, by the word of its issuer.
fn is_told_by_the_issuer(name: &str) -> bool {
    !COMMON_CLAIMS.contains(&name) && !SELF_WRITTEN.contains(&name)
}

/// Whether everybody has this value in this claim.
fn is_of_everybody(name: &str, value: &str) -> bool {
    if ["scope", "scp"].contains(&name) {
        return value.split(' ').all(|word| COMMON_SCOPES.contains(&word));
    }
    let value = value.trim_start_matches('/').to_lowercase();
    EVERYBODY.contains(&value.as_str()) || value.starts_with(DEFAULT_ROLES)
}
