//! Who the rules take a caller for.

use super::super::rules_file::parse_rules;
use super::super::token::TokenText;
use super::*;

const FILE: &str = r#"
[[identity]]
name = "acme-gateway"
role = "sender"
customer = "acme"
san_uri = "spiffe://v.example/gateway/acme"

[[identity]]
name = "customers"
role = "sender"
customer = "{customer}"
san_uri = "spiffe://v.example/customer/{customer}"

[[identity]]
name = "relay"
role = "relay"
customers = ["acme", "globex"]
san_dns = "Relay.example.com"

[[identity]]
name = "jobs"
role = "drainer"
subscriptions = ["improve"]
subject = ["CN=jobs", "O=Vendor"]

[[identity]]
name = "sso-operators"
role = "operator"
claims = { groups = "usaged-operators" }

[[identity]]
name = "sso-senders"
role = "sender"
customer = "{customer}"
claims = { scope = "usaged.send", tenant = "{customer}" }
"#;

fn names(uris: &[&str], dns: &[&str], subject: &[(&'static str, &str)]) -> CertificateNames {
    CertificateNames {
        uris: uris.iter().map(|&uri| uri.to_owned()).collect(),
        dns: dns.iter().map(|&name| name.to_owned()).collect(),
        subject: subject.iter().map(|(kind, value)| (*kind, (*value).to_owned())).collect(),
        ..CertificateNames::default()
    }
}

fn said(found: &RuleMatch) -> String {
    match found {
        RuleMatch::Nobody => "nobody".to_owned(),
        RuleMatch::Several => "several".to_owned(),
        RuleMatch::One(name, role) => {
            let of: Vec<_> = role.customers().iter().map(ToString::to_string).collect();
            format!("{name} {} {}", role.kind(), of.join(","))
        }
    }
}

#[test]
fn a_certificate_is_who_its_names_say_or_nobody() {
    let rules = parse_rules(FILE).unwrap();
    let table: &[(CertificateNames, &str)] = &[
        (names(&["spiffe://v.example/gateway/acme"], &[], &[]), "acme-gateway sender acme"),
        (names(&["spiffe://v.example/customer/globex"], &[], &[]), "customers sender globex"),
        (names(&["spiffe://v.example/customer/a/b"], &[], &[]), "nobody"),
        (names(&["spiffe://v.example/x"], &["other.example"], &[("CN", "acme")]), "nobody"),
        (names(&[], &["relay.example.com"], &[]), "relay relay acme,globex"),
        (names(&[], &[], &[("CN", "jobs"), ("O", "Vendor")]), "jobs drainer "),
        (names(&[], &[], &[("CN", "jobs")]), "nobody"),
        (names(&[], &[], &[("CN", "jobs"), ("O", "Other")]), "nobody"),
        (names(&[], &[], &[]), "nobody"),
        // Two customers, or two roles, in one certificate: it could be either, so it is neither.
        (
            names(&["spiffe://v.example/customer/acme", "spiffe://v.example/customer/globex"], &[], &[]),
            "several",
        ),
        (names(&["spiffe://v.example/customer/acme"], &["relay.example.com"], &[]), "several"),
        // Two rules that say the same.
        (
            names(&["spiffe://v.example/gateway/acme", "spiffe://v.example/customer/acme"], &[], &[]),
            "acme-gateway sender acme",
        ),
    ];
    for (names, expected) in table {
        assert_eq!(said(&rules.of_certificate(names)), *expected, "{names:?}");
    }
}

#[test]
fn claims_are_texts_lists_of_texts_or_the_words_of_a_scope() {
    let rules = parse_rules(FILE).unwrap();
    let table = [
        (r#"{"groups":["a","usaged-operators"]}"#, "sso-operators operator "),
        (r#"{"groups":"usaged-operators"}"#, "sso-operators operator "),
        (r#"{"groups":"usaged-operators x"}"#, "nobody"),
        (r#"{"groups":{"usaged-operators":true}}"#, "nobody"),
        (r#"{"scope":"openid usaged.send","tenant":"acme"}"#, "sso-senders sender acme"),
        (r#"{"scope":"openid","tenant":"acme"}"#, "nobody"),
        (r#"{"scope":"usaged.send"}"#, "nobody"),
        (r#"{"scope":"usaged.send","tenant":["acme","globex"]}"#, "several"),
        (r#"{"scope":"usaged.send","tenant":"no customer"}"#, "nobody"),
        (r#"{"groups":["usaged-operators"],"scope":"usaged.send","tenant":"acme"}"#, "several"),
    ];
    for (json, expected) in table {
        let claims = Claims::from_json(json).unwrap();
        assert_eq!(said(&rules.of_claims(&claims)), expected, "{json}");
    }
}

#[test]
fn a_token_of_the_file_is_found_by_its_id_and_proved_by_its_hash() {
    let text = TokenText::new(TokenId::new([1; 8]), &zeroize::Zeroizing::new([2; 32]));
    let (id, hash) = TokenText::read(text.reveal().as_bytes()).unwrap();
    let file = format!(
        "[[identity]]\nname = \"ops\"\nrole = \"operator\"\ntoken_hash = \"{id}:{}\"\n",
        String::from(hash)
    );
    let rules = parse_rules(&file).unwrap();
    assert_eq!(said(&rules.of_token(id, &hash)), "ops operator ");
    let other = TokenText::new(TokenId::new([1; 8]), &zeroize::Zeroizing::new([3; 32]));
    let (_, other) = TokenText::read(other.reveal().as_bytes()).unwrap();
    assert_eq!(rules.of_token(id, &other), RuleMatch::Nobody);
    assert_eq!(rules.of_token(TokenId::new([9; 8]), &hash), RuleMatch::Nobody);
}
