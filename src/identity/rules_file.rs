//! The file of identities, read with every mistake reported: a rule that opens more than it says is refused, not
//! interpreted.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::Spanned;

use super::certificate::ATTRIBUTES;
use super::pattern::{PLACE, Pattern};
use super::principal::IdentityName;
use super::role::{Role, RoleKind};
use super::rules::{Condition, Credential, Rule, Rules, Who};
use super::telling::tells_one_from_all;
use super::token::{TokenHash, TokenId};
use crate::model::{CustomerId, SubscriptionName, UnixMillis};

/// Identities in one file.
const MOST: usize = 10_000;

/// A mistake in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleProblem {
    /// The line in the file, from 1.
    pub line: usize,
    /// The identity, as it is called there; empty if the file cannot be read.
    pub name: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    identity: Vec<Spanned<Raw>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    role: RoleKind,
    customer: Option<String>,
    #[serde(default)]
    customers: Vec<String>,
    #[serde(default)]
    subscriptions: Vec<String>,
    san_uri: Option<String>,
    san_dns: Option<String>,
    #[serde(default)]
    subject: Vec<String>,
    #[serde(default)]
    claims: BTreeMap<String, String>,
    token_hash: Option<String>,
    /// A text, or a time as TOML writes it.
    expires: Option<toml::Value>,
}

/// What is wrong and what to do.
type Mistake = (String, &'static str);

fn mistake(what: impl Into<String>, remedy: &'static str) -> Mistake {
    (what.into(), remedy)
}

/// Reads the text of the file.
///
/// # Errors
/// Every mistake.
pub fn parse_rules(text: &str) -> Result<Rules, Vec<RuleProblem>> {
    let line = |offset: usize| text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
    let file: File = toml::from_str(text).map_err(|error| {
        let line = line(error.span().map_or(0, |span| span.start));
        // The parser's message can quote what is there; a file of identities holds no secret.
        let what = error.message().replace('\n', ", ");
        vec![RuleProblem { line, name: String::new(), what, remedy: "correct the TOML".to_owned() }]
    })?;
    let mut problems = Vec::new();
    let mut rules: Vec<Rule> = Vec::new();
    let (mut names, mut tokens) = (BTreeSet::new(), BTreeSet::new());
    for raw in &file.identity {
        let (line, raw) = (line(raw.span().start), raw.get_ref());
        let mut report = |(what, remedy): Mistake| {
            let (name, remedy) = (raw.name.clone(), remedy.to_owned());
            problems.push(RuleProblem { line, name, what, remedy });
        };
        match rule(raw) {
            Err(mistake) => report(mistake),
            Ok(rule) => {
                if !names.insert(rule.name.clone()) {
                    report(mistake("another identity has this name", "give each a name of its own"));
                }
                if let Credential::Token(id, _) = rule.credential
                    && !tokens.insert(id)
                {
                    report(mistake("another identity has this token", "issue a token for each"));
                }
                rules.push(rule);
            }
        }
    }
    if file.identity.len() > MOST {
        let what = format!("the file has more than {MOST} identities");
        let remedy = "write one identity with `{customer}` for all senders".to_owned();
        problems.push(RuleProblem { line: 1, name: String::new(), what, remedy });
    }
    if problems.is_empty() { Ok(Rules::new(rules)) } else { Err(problems) }
}

fn rule(raw: &Raw) -> Result<Rule, Mistake> {
    let name =
        IdentityName::new(&raw.name).map_err(|error| mistake(error.to_string(), "choose such a name"))?;
    let (credential, conditions) = proof(raw)?;
    let who = who(raw, &conditions)?;
    tells_one_from_all(&who, &conditions).map_err(|(what, remedy)| mistake(what, remedy))?;
    let until = until(raw)?;
    Ok(Rule { name, who, credential, conditions, until })
}

/// When a token of the file ends. What else proves an identity says so itself.
fn until(raw: &Raw) -> Result<Option<UnixMillis>, Mistake> {
    let Some(expires) = &raw.expires else { return Ok(None) };
    if raw.token_hash.is_none() {
        return Err(mistake(
            "expires is for token_hash: a certificate or a provider's token says itself when it ends",
            "leave it out",
        ));
    }
    let text = match expires {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Datetime(at) => Some(at.to_string()),
        toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Array(_)
        | toml::Value::Table(_) => None,
    };
    // A time without an offset is another one at every place.
    let read = text.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    read.map(|at| Some(UnixMillis(at.as_millisecond())))
        .ok_or_else(|| mistake("expires is no time", "write it as \"2027-02-01T00:00:00Z\""))
}

fn proof(raw: &Raw) -> Result<(Credential, Vec<Condition>), Mistake> {
    let by_certificate = raw.san_uri.is_some() || raw.san_dns.is_some() || !raw.subject.is_empty();
    let kinds = [by_certificate, !raw.claims.is_empty(), raw.token_hash.is_some()];
    match kinds.iter().filter(|is_set| **is_set).count() {
        0 => {
            return Err(mistake(
                "nothing says who this is, so it would be everybody",
                "name what proves it: san_uri, san_dns, subject, claims or token_hash",
            ));
        }
        1 => {}
        _ => {
            return Err(mistake(
                "certificate names, claims and token_hash are different proofs",
                "make one identity for each",
            ));
        }
    }
    if let Some(text) = &raw.token_hash {
        let parts = text.split_once(':');
        let read = parts.and_then(|(id, hash)| {
            Some(Credential::Token(id.parse::<TokenId>().ok()?, TokenHash::try_from(hash.to_owned()).ok()?))
        });
        let remedy = "take the line that `usaged token issue --offline` prints";
        return read.map(|token| (token, Vec::new())).ok_or_else(|| {
            mistake("token_hash is not a token's id and hash; the token itself does not belong here", remedy)
        });
    }
    let mut conditions = Vec::new();
    let mut add = |key: &str, made: Result<Condition, &'static str>| match made {
        Ok(condition) => {
            conditions.push(condition);
            Ok(())
        }
        Err(what) => Err(mistake(format!("{key}: {what}"), "correct the name")),
    };
    if let Some(uri) = &raw.san_uri {
        add("san_uri", Pattern::read(uri, "/?#:").map(Condition::Uri))?;
    }
    if let Some(dns) = &raw.san_dns {
        let lower = dns.to_ascii_lowercase();
        add("san_dns", Pattern::read(&lower, ".").map(Condition::Dns))?;
    }
    for attribute in &raw.subject {
        add("subject", subject(attribute))?;
    }
    for (name, value) in &raw.claims {
        add("claims", Pattern::read(value, "").map(|pattern| Condition::Claim(name.clone(), pattern)))?;
    }
    let credential = if by_certificate { Credential::Certificate } else { Credential::Claims };
    Ok((credential, conditions))
}

fn subject(text: &str) -> Result<Condition, &'static str> {
    let form = "write attributes as \"CN=jobs\"; known are CN, O, OU, C, ST, L, SERIALNUMBER, UID and DC";
    let (kind, value) = text.split_once('=').ok_or(form)?;
    let kind = kind.trim().to_ascii_uppercase();
    let (kind, _) = ATTRIBUTES.iter().find(|(known, _)| *known == kind).ok_or(form)?;
    Ok(Condition::Subject(kind, Pattern::read(value.trim(), "")?))
}

fn who(raw: &Raw, conditions: &[Condition]) -> Result<Who, Mistake> {
    let places = conditions.iter().filter(|condition| condition.pattern().names_customer()).count();
    let takes_place = raw.customer.as_deref() == Some(PLACE);
    if places > 1 {
        return Err(mistake("`{customer}` stands in several names", "leave it in the one that proves it"));
    }
    if takes_place != (places == 1) || takes_place && raw.role != RoleKind::Sender {
        return Err(mistake(
            "`{customer}` is for senders: it stands in one name and in `customer`",
            "write it in both for a sender, and in neither for another role",
        ));
    }
    if takes_place && raw.customers.is_empty() && raw.subscriptions.is_empty() {
        return Ok(Who::SenderNamed);
    }
    let remedy = "correct the identity";
    let bad = |rule: &str| mistake(rule, "write valid ids; there are no wildcards");
    let customers = raw.customer.iter().chain(&raw.customers);
    let customers: Result<BTreeSet<_>, _> = customers.map(|text| CustomerId::new(text)).collect();
    let subscriptions = raw.subscriptions.iter().map(|text| SubscriptionName::new(text));
    let subscriptions: Result<BTreeSet<_>, _> = subscriptions.collect();
    let customers = customers.map_err(|error| bad(error.rule))?;
    let subscriptions = subscriptions.map_err(|error| bad(error.rule))?;
    let role = Role::new(raw.role, customers, subscriptions).map_err(|what| mistake(what, remedy))?;
    Ok(Who::Fixed(role.into()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    fn refused(body: &str) -> Vec<RuleProblem> {
        let file = format!("# identities\n[[identity]]\nname = \"x\"\n{body}\n");
        parse_rules(&file).err().unwrap_or_else(|| panic!("taken: {body}"))
    }

    #[test]
    fn a_rule_that_opens_more_than_it_says_is_refused_with_the_reason() {
        let table = [
            ("role = \"operator\"", "it would be everybody"),
            ("role = \"operator\"\nsan_dns = \"*\"", "no wildcards"),
            ("role = \"operator\"\nsan_dns = \"*.example.com\"", "no wildcards"),
            ("role = \"operator\"\nsan_uri = \"spiffe://v/{customer}\"", "is for senders"),
            ("role = \"operator\"\nsubject = [\"O=Vendor\"]", "everybody of the organisation"),
            (
                "role = \"operator\"\nclaims = { iss = \"https://id.example\" }",
                "everybody of the organisation",
            ),
            ("role = \"auditor\"\nclaims = { aud = \"usaged\" }", "everybody of the organisation"),
            ("role = \"auditor\"\nclaims = { scope = \"openid\" }", "everybody of the organisation"),
            ("role = \"auditor\"\nclaims = { scp = \"openid profile\" }", "everybody of the organisation"),
            (
                "role = \"operator\"\nclaims = { scope = \"offline_access\", aud = \"u\", azp = \"portal\" }",
                "everybody of the organisation",
            ),
            ("role = \"operator\"\nclaims = { hd = \"vendor.example\" }", "everybody of the organisation"),
            ("role = \"operator\"\nclaims = { tid = \"72f988bf\" }", "everybody of the organisation"),
            ("role = \"operator\"\nclaims = { groups = \"Everyone\" }", "everybody of the organisation"),
            ("role = \"operator\"\nclaims = { groups = \"/Domain Users\" }", "everybody of the organisation"),
            (
                "role = \"operator\"\nclaims = { roles = \"default-roles-main\" }",
                "everybody of the organisation",
            ),
            (
                "role = \"operator\"\nclaims = { preferred_username = \"ann\" }",
                "everybody of the organisation",
            ),
            ("role = \"operator\"\nclaims = { nonce = \"letmein\" }", "everybody of the organisation"),
            (
                "role = \"sender\"\ncustomer = \"{customer}\"\nclaims = { nonce = \"{customer}\" }",
                "its holder writes",
            ),
            (
                "role = \"sender\"\ncustomer = \"{customer}\"\nclaims = { name = \"{customer}\", scope = \"u.send\" }",
                "its holder writes",
            ),
            ("role = \"operator\"\ncustomer = \"acme\"\nsan_dns = \"a\"", "have no customers"),
            ("role = \"sender\"\nsan_dns = \"a\"", "needs its customer"),
            ("role = \"sender\"\ncustomer = \"*\"\nsan_dns = \"a\"", "customer id is"),
            ("role = \"sender\"\ncustomer = \"{customer}\"\nsan_dns = \"a\"", "stands in one name and"),
            ("role = \"sender\"\ncustomer = \"acme\"\nsan_uri = \"x/{customer}\"", "stands in one name and"),
            (
                "role = \"sender\"\ncustomer = \"{customer}\"\nsan_uri = \"x/{customer}\"\nsan_dns = \"{customer}.x\"",
                "several names",
            ),
            ("role = \"relay\"\nsan_dns = \"a\"", "needs the customers"),
            ("role = \"relay\"\ncustomers = [\"*\"]\nsan_dns = \"a\"", "customer id is"),
            ("role = \"drainer\"\nsan_dns = \"a\"", "needs the subscriptions"),
            ("role = \"drainer\"\nsubscriptions = [\"*\"]\nsan_dns = \"a\"", "a subscription is"),
            ("role = \"auditor\"\nsan_dns = \"a\"\nclaims = { sub = \"b\" }", "different proofs"),
            ("role = \"auditor\"\nsubject = [\"jobs\"]", "CN=jobs"),
            ("role = \"auditor\"\nsubject = [\"EMAIL=jobs\"]", "CN=jobs"),
            ("role = \"auditor\"\ntoken_hash = \"usaged_0000\"", "does not belong here"),
            ("role = \"auditor\"\nsan_dns = \"a\"\nexpires = \"2027-02-01T00:00:00Z\"", "is for token_hash"),
            ("role = \"root\"\nsan_dns = \"a\"", "unknown variant"),
            ("role = \"auditor\"\nsan_dsn = \"a\"", "unknown field"),
        ];
        for (body, said) in table {
            let problems = refused(body);
            let all: Vec<_> = problems.iter().map(|p| format!("{} {}", p.what, p.remedy)).collect();
            assert!(all.iter().any(|text| text.contains(said)), "{body}: {all:?}");
            assert!(problems.iter().all(|problem| problem.line >= 2 && !problem.remedy.is_empty()), "{body}");
        }
    }

    #[test]
    fn a_rule_that_asks_for_one_thing_that_only_those_have_who_are_meant_is_taken() {
        for body in [
            "role = \"operator\"\nclaims = { groups = \"usaged-operators\" }",
            "role = \"operator\"\nclaims = { scope = \"usaged.admin\" }",
            "role = \"operator\"\nclaims = { scope = \"openid\", sub = \"5f2c\" }",
            "role = \"operator\"\nclaims = { hd = \"vendor.example\", email = \"ann@vendor.example\" }",
            "role = \"auditor\"\nclaims = { client_id = \"audit-job\" }",
            "role = \"sender\"\ncustomer = \"{customer}\"\nclaims = { sub = \"{customer}\" }",
            "role = \"sender\"\ncustomer = \"{customer}\"\nclaims = { scope = \"openid\", tenant = \"{customer}\" }",
            "role = \"auditor\"\nsubject = [\"O=Vendor\", \"CN=audit\"]",
        ] {
            let file = format!("[[identity]]\nname = \"x\"\n{body}\n");
            assert!(parse_rules(&file).is_ok(), "{body}: {:?}", parse_rules(&file).err());
        }
    }

    #[test]
    fn a_token_of_the_file_ends_when_it_says() {
        let id = "01".repeat(8);
        let file = |expires: &str| {
            let hash = "ab".repeat(32);
            format!("[[identity]]\nname = \"a\"\nrole = \"auditor\"\ntoken_hash = \"{id}:{hash}\"\n{expires}")
        };
        let ends = |expires: &str| parse_rules(&file(expires)).unwrap().token_ends(id.parse().unwrap());
        assert_eq!(ends("expires = \"1970-01-01T00:00:01Z\""), Some(UnixMillis(1_000)));
        assert_eq!(ends(""), None);
        // As TOML itself writes times, in any offset.
        for own in ["1970-01-01T00:00:01Z", "1970-01-01 00:00:01Z", "1970-01-01T02:00:01+02:00"] {
            assert_eq!(ends(&format!("expires = {own}")), Some(UnixMillis(1_000)), "{own}");
        }
        let wrong =
            ["\"tomorrow\"", "\"\"", "\"2027-02-01\"", "2027-02-01", "2027-02-01T00:00:00", "08:00:00", "1"];
        for wrong in wrong.map(|time| format!("expires = {time}")) {
            let wrong = wrong.as_str();
            let problems = parse_rules(&file(wrong)).err().unwrap();
            assert!(
                problems.iter().all(|problem| problem.what.contains("is no time")),
                "{wrong}: {problems:?}"
            );
        }
    }

    #[test]
    fn every_mistake_is_reported_and_names_and_tokens_are_given_once() {
        let one = "[[identity]]\nname = \"a\"\nrole = \"auditor\"\n";
        let hash = format!("token_hash = \"{}:{}\"\n", "01".repeat(8), "ab".repeat(32));
        let problems = parse_rules(&format!("{one}{hash}{one}{hash}{one}")).err().unwrap();
        let lines: Vec<_> = problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [5, 5, 9], "{problems:?}");
        assert_eq!(parse_rules("").unwrap().all().len(), 0);
    }
}
